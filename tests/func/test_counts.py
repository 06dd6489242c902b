"""What is counted without running is what the loops do when they run, and what paper and pencil say."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from benchmarks.case import Case
from halo.func import iterations
from halo.func import trace as tracing
from halo.func.counts import Counts, call_of, count
from halo.func.running import resolved
from halo.func.signature import signature
from halo.ir.node import interning
from halo.jit.target import Target
from halo.show.sample import sample
from tests.show.stages import IMG, blur

MORE = Path(__file__).parent.parent.parent / "benchmarks" / "more"
NAMES = ("blur", "blur_large", "unsharp", "harris", "bilateral_grid", "local_laplacian", "stencil_chain", "equalise",
         "elementwise", "matmul", "conv_layer", *sorted(p.stem for p in MORE.glob("[!_]*.py")))  # fmt: skip
LONG = ("local_laplacian", "stencil_chain", "depthwise", "conv_layer")
PASSES = {"bilateral_grid": 1.5, "equalise": 1.5, "iir": 2}  # of the bytes of the arrays: a Case counts several passes
BORDER = 1.07  # inputs may have one, of which a Case says nothing


def benchmark_module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.{'more.' if (MORE / f'{name}.py').exists() else ''}{name}")


def counted(f: Any, shape: Any, inputs: Mapping[str, Any], out: Any) -> tuple[Counts, dict[str, int]]:
    """The counts of a call, and the bytes of its arrays."""
    _, program, values = resolved(f, (), inputs, shape, out)
    with interning():
        low = program.lowered(signature(program.arguments, values), Target.host())
        sizes, known = call_of(low, program.call(values, shape), (out,))
        found = count(low.nest, known)
    assert found is not None
    return found, sizes


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in NAMES])
def test_the_bytes_of_a_benchmark_are_those_of_its_arrays(name: str) -> None:
    case: Case = benchmark_module(name).case()
    wanted = sum(a.nbytes for a in case.inputs.values()) + case.out.nbytes
    for schedule in (case.schedule, lambda f: None):
        f = case.func()
        schedule(f)
        counts, sizes = counted(f, case.shape, case.inputs, case.out)
        assert sum(sizes.values()) == wanted
        assert set(case.inputs) <= {n for loads in counts.loads.values() for n in loads}
        (written,) = sizes.keys() - set(case.inputs)
        assert counts.distinct.get(written, case.out.size) == case.out.size
    assert 0.999 <= wanted * PASSES.get(name, 1) / case.bytes <= BORDER


def per_point(name: str) -> float:
    """Operations for each point of the result, where each stage is computed once, and borders aside."""
    m = benchmark_module(name)
    match name:
        case "blur" | "blur_large":
            return 3 + 3  # two additions and a division
        case "matmul" | "matmul_int8":
            return 2 * m.N
        case "matvec":
            return 2 * m.N
        case "sums":
            return m.N
        case "conv_layer":
            return 2 * 9 * m.CHANNELS + 1  # and what is negative is set to 0
        case "depthwise":
            return (17 * m.INNER + m.OUTER * (3 * m.INNER + 1)) / m.OUTER
        case "grey":
            return 3 + 3
        case "yuv":
            return (6 + 3 * (2 * (1 + 1 + 2) + 2)) / 3  # luma; u and v, of which one is chosen, and it is clamped
        case "erode":
            return 2 * (m.SIZE - 1)
        case "gauss":
            return 2 * (2 * len(m.WEIGHTS) - m.WEIGHTS.count(1))  # and one to round
        case "median":
            return 6 + 12
        case "iir":
            return 4 * 3
        case "integral":
            return 2
        case "elementwise":
            return 4 + 2 + 2  # exp, tanh, sqrt, abs, -x * x, and what adds the products
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["blur", "blur_large", "conv_layer", "depthwise", "elementwise", "erode", "gauss", "grey", "iir",
                                  "integral", "matmul", "matmul_int8", "matvec", "median", "sums", "yuv"])  # fmt: skip
def test_the_operations_of_a_benchmark_are_those_of_paper_and_pencil(name: str) -> None:
    case: Case = benchmark_module(name).case()
    f = case.func()
    for stage in f.program().stages().values():
        if isinstance(stage, halo.Func):
            stage.compute_root()
    counts, _ = counted(f, case.shape, case.inputs, case.out)
    flops = sum(counts.all_work().values())
    assert flops / case.out.size == pytest.approx(per_point(name), rel=0.006)
    kind = max(counts.work.items(), key=lambda item: sum(item[1].values()))[1]
    assert max(kind, key=lambda k: kind[k]) == case.computes


def both(f: Any, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[Counts | None, tracing.Trace]:
    """What is counted of the loops that run, and what they do."""
    ran: list[Any] = []

    class Kept(tracing.Traced):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            ran.append(self.lowered)

    monkeypatch.setattr(tracing, "Traced", Kept)
    try:
        inputs, origin = sample(f, shape)
    except halo.ArgumentError:  # sums over whole pictures, of any size
        inputs, origin = {name: np.ones(shape, np.uint8) for name in f.inputs}, (0,) * len(shape)
    done = f.trace(shape=shape, origin=origin, **inputs)
    _, program, values = resolved(f, (), inputs, shape, None)
    results = done.result if isinstance(done.result, tuple) else (done.result,)
    with interning():
        _, known = call_of(ran[-1], program.call(values, shape), results)
        for port in ran[-1].ports:
            if port.kind == "output":
                known |= dict(zip(port.mins, origin, strict=True))
        return count(ran[-1].nest, known), done


def agree(counts: Counts, done: tracing.Trace) -> None:
    """Each point stored, each allocation is what happened; and so are the different points, and who is read."""
    read = {name for loads in counts.loads.values() for name, n in loads.items() if n}
    for name, ndim in zip(done.arrays, done.ndim, strict=True):
        stores, allocations = done.of(name), done.of(name, "allocate").at[:, :ndim]
        pure = stores[stores.stage == 0].at
        assert (counts.points[name], counts.pure[name]) == (len(stores), len(pure)), name
        if len(pure) and name in counts.distinct:
            assert counts.distinct[name] == len(np.unique(pure, axis=0)), name
        if len(allocations):
            assert counts.footprint[name] == max(allocations.prod(axis=1)) * counts.types[name], name
        assert name in read or not len(done.of(name, "load")), name


SMALL = {"local_laplacian": (9, 11, 3), "nl_means": (9, 10), "pyramid": (12, 20), "matmul": (20, 70),
         "matmul_int8": (12, 40), "conv_layer": (1, 3, 9, 64), "depthwise": (4, 9, 32), "stencil_chain": (8, 10)}  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in NAMES])
def test_the_loops_of_a_benchmark_do_what_is_counted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case: Case = benchmark_module(name).case()
    f = case.func()
    case.schedule(f)
    shape = SMALL.get(name) or tuple(min(n, 18 + 5 * d) for d, n in enumerate(case.shape))
    counts, done = both(f, shape, monkeypatch)
    assert counts is not None
    agree(counts, done)


@given(
    tile=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    tail=st.sampled_from(["guard", "shift_inwards", "round_up"]),
    where=st.sampled_from(["yo", "xo", "yi", "xi"]),
    shape=st.tuples(st.integers(1, 50), st.integers(1, 60)),
    fused=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_tiles_and_tails(tile: tuple[int, int], tail: str, where: str, shape: tuple[int, int], fused: bool) -> None:
    f = blur()
    with pytest.MonkeyPatch.context() as patch:
        try:
            f.tile("y", "x", "yo", "xo", "yi", "xi", *tile, tail=tail)
            f["rows"].compute_at(f, where)
            if fused:
                f.fuse("yo", "xo", "t") if where in ("yi", "xi") else f.fuse("yi", "xi", "t")
            counts, done = both(f, shape, patch)
        except halo.HaloError:
            return
    assert counts is not None
    agree(counts, done)


def test_triangles_and_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops as long as others say, conditions on several variables at once, and points left out."""
    y, x = halo.vars("y x")
    f, g = halo.Func("f"), halo.Func("g")
    r = halo.rdom(7, 9, names="j i")
    r.where((r.i + 2 * r.j < 13) & (r.i >= r.j))
    g[y, x] = y * 100 + x
    f[y, x] = g[2 * y, x]
    f[r.j, r.i] += 1
    g.compute_at(f, "x").store_root()
    counts, done = both(f, (12, 14), monkeypatch)
    assert counts is not None
    agree(counts, done)
    assert counts.points["f"] == 12 * 14 + sum(i + 2 * j < 13 and i >= j for j in range(7) for i in range(9))


def test_a_long_search_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterations, "MOST", 3)
    f = blur().tile("y", "x", "yo", "xo", "yi", "xi", 7, 7, tail="guard").fuse("yo", "xo", "t")
    _, program, values = resolved(f, (), {"img": IMG}, (64, 128), None)
    with interning():
        low = program.lowered(signature(program.arguments, values), Target.host())
        known = call_of(low, program.call(values, (64, 128)), (np.empty((64, 128)),))[1]
        assert count(low.nest, known) is None


def test_what_computes_it() -> None:
    """Products of narrow numbers that are added up in wide ones have instructions of their own."""
    i = halo.Var("i")
    a, b, w = halo.Input("a", halo.u8, 1), halo.Input("b", halo.i8, 1), halo.Input("w", halo.i16, 1)
    kinds = {
        "f32": halo.f32(a[i]) * 0.5, "f64": halo.f64(a[i]) + 1.0, "i8": a[i] + a[i + 1], "i16": w[i] * w[i],
        "i32": halo.i32(w[i]) + halo.i32(a[i]), "i64": halo.i64(w[i]) * 3,
        "dot8": halo.i32(a[i]) * halo.i32(b[i]) + halo.i32(a[i + 1]) * halo.i32(b[i + 1]),
        "dot16": halo.i32(w[i]) * halo.i32(w[i + 1]),
    }  # fmt: skip
    arrays = {"a": np.zeros(9, np.uint8), "b": np.zeros(9, np.int8), "w": np.zeros(9, np.int16)}
    for kind, e in kinds.items():
        f = halo.Func("f")
        f[i] = e
        counts, _ = counted(
            f, (8,), {n: arrays[n] for n in f.inputs}, np.zeros(8, e.type.dtype if hasattr(e, "type") else None)
        )
        assert set(counts.work["f"]) == {kind}
