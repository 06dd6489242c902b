"""32, 39 and 40: schedules that crashed compilers, traces and what else can be seen, sizes that stay bounded."""

from __future__ import annotations

import numpy as np
import pytest

import halo

from .stages import X, Y, func, two_taps

# 32: schedules that crashed compilers ---------------------------------------------------------------------------------


def pipeline() -> dict[str, halo.Func]:
    """in -> local sums (an update) -> clamped stencil -> output, as Halide's fuzz_schedule has it."""
    img = halo.Input("img", halo.i32, ndim=2)
    a = func("a", (Y, X), halo.pad(img, "edge")[Y, X] * 3)
    r = halo.rdom((-2, 5), (-1, 3), names="ry rx")
    b = halo.Func("b")
    b[Y, X] = 0
    b[Y, X] += a[Y + r.ry, X + r.rx]
    b.compute_root()
    c = func("c", (Y, X), halo.max(b[Y, X - 1], halo.max(b[Y, X], b[Y, X + 1])))
    out = func("out", (Y, X), c[Y - 1, X] + c[Y, X] + c[Y + 1, X])
    return {"a": a, "b": b, "c": c, "out": out}


IMG = np.random.default_rng(32).integers(-99, 99, (23, 41), np.int32)

CRASHERS = {
    "shifted splits in shifted splits": lambda a, b, c, out: (
        out.split("x", "x", "xi", 15, tail="shift_inwards").split("xi", "xi", "xii", 4, tail="shift_inwards").vectorize("xii"),
        c.compute_at(out, "xi").split("x", "x", "xi", 7, tail="shift_inwards"), b.compute_at(out, "x")),
    "places inside of unrolled loops": lambda a, b, c, out: (
        out.tile("y", "x", "yo", "xo", "yi", "xi", 3, 5, tail="guard").unroll("yi").unroll("xi"),
        c.compute_at(out, "xi"), b.compute_at(c, "x"), a.compute_at(out, "yo")),
    "windows inside of fused loops": lambda a, b, c, out: (
        out.split("y", "yo", "yi", 4, tail="guard").reorder("yo", "x", "yi").fuse("yo", "x", "t"),
        c.store_at(out, "t").compute_at(out, "yi"),
        b.store_at(out, "t").compute_at(c, "y")),
    "vectors of a reduction, reordered": lambda a, b, c, out: (
        b.update(0).reorder("ry", "y", "x", "rx").unroll("rx").vectorize("x", 4, tail="guard"),
        b.store_root().compute_at(out, "y"), c.compute_at(out, "x")),
    "a window of rows in parts": lambda a, b, c, out: (
        out.vectorize("x", 8, tail="round_up").parallel("y", 5), a.compute_at(out, "y").vectorize("x", 16),
        b.compute_at(out, "y_p").update(0).vectorize("x", 8, tail="guard"), c.compute_at(out, "x").vectorize("x", 4)),
    "wrappers, clones and specialisations": lambda a, b, c, out: (
        a.in_(b).compute_at(b, "y"), c.clone_in(out).compute_at(out, "y"),
        out.specialize(out.inputs["img"].shape[1] > 9).tile("y", "x", "y", "x", "yi", "xi", 4, 8).vectorize("xi")),
    "storage in another order, aligned, bounded": lambda a, b, c, out: (
        b.reorder_storage("x", "y").align_storage("y", 16), c.compute_at(out, "y").align_bounds("x", 8, 3).vectorize("x", 8),
        a.compute_at(b, "x").bound_extent("x", 3)),
    "factored twice": lambda a, b, c, out: (
        b.update(0).rfactor({"ry": "u"}).compute_at(b, "x"), c.compute_at(out, "x").store_at(out, "y")),
    "nested vectors and odd factors": lambda a, b, c, out: (
        out.tile("y", "x", "yo", "xo", "yi", "xi", 3, 6, tail="guard").vectorize("xi", 3, tail="guard").vectorize("yi"),
        c.compute_at(out, "xo").vectorize("y", 2).unroll("x", 3), b.compute_at(out, "yo").vectorize("x", 5)),
}  # fmt: skip


def expected(img: np.ndarray) -> np.ndarray:
    big = np.pad(img, 8, "edge") * 3
    h, w = big.shape
    sums = sum(big[2 + y : h - 2 + y, 1 + x : w - 1 + x] for y in range(-2, 3) for x in range(-1, 2))
    widest = np.maximum(np.maximum(sums[:, :-2], sums[:, 1:-1]), sums[:, 2:])
    rows = widest[:-2] + widest[1:-1] + widest[2:]
    return rows[5:-5, 6:-6]


@pytest.mark.parametrize("name", [None, *CRASHERS])
def test_32_schedules_that_crashed_compilers(name: str | None) -> None:
    stages = pipeline()
    if name is not None:
        CRASHERS[name](*stages.values())
    for img in (IMG, IMG[:1, :1], IMG[:5, :13]):
        np.testing.assert_array_equal(stages["out"](img=img, shape=img.shape), expected(img))


# 39: traces and inspection --------------------------------------------------------------------------------------------

SERIAL = """\
begin realization of f[-1..1]
begin production of g[0..1]
begin production of f[-1..0]
-3 stored to f[-1]
0 stored to f[0]
end production of f[-1..0]
0 loaded from f[0]
-3 loaded from f[-1]
-3 stored to g[0]
begin production of f[1..1]
3 stored to f[1]
end production of f[1..1]
3 loaded from f[1]
0 loaded from f[0]
3 stored to g[1]
end production of g[0..1]
end realization of f[-1..1]
"""

VECTORS = """\
begin realization of f[-1..1]
begin production of f[-1..1]
-3 stored to f[-1]
0 stored to f[0]
3 stored to f[1]
end production of f[-1..1]
begin production of g[0..1]
0 loaded from f[0]
3 loaded from f[1]
-3 loaded from f[-1]
0 loaded from f[0]
-3 stored to g[0]
3 stored to g[1]
end production of g[0..1]
end realization of f[-1..1]
"""


@pytest.mark.parametrize(("kind", "events"), [("serial", SERIAL), ("vectors", VECTORS)])
def test_39_the_events_of_a_run_in_order(kind: str, events: str, capfd: pytest.CaptureFixture[str]) -> None:
    f, g = two_taps()
    if kind == "serial":
        f.store_root().compute_at(g, "x")
    else:
        g.vectorize("x", 2)
    for s in (f, g):
        s.trace_stores().trace_loads().trace_realizations()
    assert g(shape=(2,)).tolist() == [-3, 3]
    assert capfd.readouterr().out == events


def test_39_events_of_tuples_have_the_element(capfd: pytest.CaptureFixture[str]) -> None:
    f = func("f", (Y, X), (Y + X, Y * 0.5)).trace_stores()
    f(shape=(2, 1))
    assert capfd.readouterr().out.splitlines() == [
        "0 stored to f[0, 0][0]", "0.0 stored to f[0, 0][1]", "1 stored to f[1, 0][0]", "0.5 stored to f[1, 0][1]",
    ]  # fmt: skip


def test_39_what_can_be_seen_of_a_pipeline() -> None:
    f, g = two_taps()
    f.store_root().compute_at(g, "x")
    assert g.loops().splitlines()[1:3] == ["produce g:", "  for x:"]
    assert "<pre" in g._repr_html_()
    assert "def kernel" in g.inspect_source()
    assert "define i32 @g" in g.inspect_llvm()
    assert g.inspect_asm()


# 40: sizes ------------------------------------------------------------------------------------------------------------


def size(f: halo.Func, **types: halo.Type) -> int:
    """Instructions and labels before LLVM's passes: what compile time depends on."""
    return len(f.inspect_llvm(**types).splitlines())


@pytest.mark.parametrize("n", [5, 8, 12])
def test_40_many_dimensions(n: int) -> None:
    axes = halo.vars(" ".join(f"d{k}" for k in range(n)))
    f = func("f", tuple(axes), sum(axes[1:], axes[0]))
    g = func("g", tuple(axes), f[tuple(axes)] * 2)
    f.compute_at(g, "d1")
    g.parallel("d0").vectorize(f"d{n - 1}", 2)
    np.testing.assert_array_equal(g(shape=(2,) * n), 2 * np.indices((2,) * n).sum(axis=0))


def test_40_a_deep_chain_of_inlined_stages() -> None:
    def chain(n: int) -> halo.Func:
        f = halo.Func("s0")
        f[X] = X
        for k in range(1, n):
            g = halo.Func(f"s{k}")
            g[X] = f[X] + (f[X] ^ k)  # a shared value is computed once
            f = g
        return f

    want = np.arange(9, dtype=np.int32)
    for k in range(1, 200):
        want = want + (want ^ np.int32(k))
    np.testing.assert_array_equal(chain(200)(shape=(9,)), want)
    assert size(chain(200)) < 2.2 * size(chain(100))


def pyramid(n: int, windows: bool) -> halo.Func:
    stages = [func("s0", (Y, X), Y + X)]
    for k in range(1, n):
        f = stages[-1]
        stages.append(func(f"s{k}", (Y, X), f[Y - 1, X - 1] + f[Y, X] + f[Y + 1, X + 1]))
    *inner, out = stages
    out.tile("y", "x", "yo", "xo", "yi", "xi", 16, 16, tail="guard")
    for f in inner:
        if windows:
            f.store_at(out, "xo").compute_at(out, "yi")
        else:
            f.compute_at(out, "xo")
    return out


@pytest.mark.parametrize("windows", [False, True])
def test_40_a_truncated_pyramid(windows: bool) -> None:
    y, x = np.ogrid[:20, :33]
    np.testing.assert_array_equal(pyramid(10, windows)(shape=(20, 33)), (y + x) * 3**9)
    assert size(pyramid(12, windows)) < 2.5 * size(pyramid(6, windows))


def test_40_a_hundred_small_extern_stages() -> None:
    def increment(out: np.ndarray, a: np.ndarray) -> None:
        out[...] = a + 1

    f = func("f", X, X)
    for k in range(100):
        f = halo.extern(increment, [f], halo.i32, 1, name=f"e{k}")
    g = func("g", X, f[X])
    np.testing.assert_array_equal(g(shape=(7,)), np.arange(7) + 100)


def test_40_lots_of_loop_invariants() -> None:
    def many(n: int) -> halo.Func:
        value = halo.f32(X)
        for k in range(n):
            p = halo.Param(f"p{k}", halo.f32)
            value = value + halo.sqrt(p + k) * X
        return func("f", (Y, X), value + Y).vectorize("x", 8)

    values = {f"p{k}": np.float32(k) for k in range(100)}
    x = np.arange(9)
    want = x + sum(np.sqrt(np.float64(2 * k)) for k in range(100)) * x
    np.testing.assert_allclose(many(100)(shape=(1, 9), **values)[0], want, rtol=1e-5)
    assert size(many(100)) < 2.5 * size(many(50))


def test_40_no_explosion_of_bounds_or_code() -> None:
    def selects(n: int) -> halo.Func:
        img = halo.Input("img", halo.i32, ndim=1)
        f = func("f0", X, img[X])
        for k in range(1, n):
            f = func(f"f{k}", X, halo.select(f[X] > 50 + k, f[X - 1], f[X + 1]))
        return f

    data = np.arange(200, dtype=np.int32) * 7 % 101
    want = data
    for k in range(1, 20):
        want = np.where(want[1:-1] > 50 + k, want[:-2], want[2:])
    np.testing.assert_array_equal(selects(20).realize((162,), origin=(19,), img=data), want)
    assert size(selects(20), img=halo.i32) < 2.5 * size(selects(10), img=halo.i32)


def test_40_arrays_of_more_than_2_gib_are_no_special_case() -> None:
    # only axes are limited; untouched pages of this one are never there
    img = halo.Input("img", halo.u8, ndim=2)
    last = 1 << 30
    f = func("f", X, img[2, X + last - 20] + 1)
    data = np.zeros((3, last), np.uint8)
    data[2, -1] = 7
    assert f(img=data, shape=(20,)).tolist() == [1] * 19 + [8]
