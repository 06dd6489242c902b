"""Golden nests: what every pass makes of a small pipeline that it is about."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

import halo
from halo.lowering import PASSES

from .passes import after

Golden = Callable[[str, str], None]


def blur() -> tuple[halo.Func, halo.Func]:
    y, x = halo.vars("y x")
    img = halo.Input("img", halo.u16, ndim=2)
    rows, out = halo.Func("rows"), halo.Func("out")
    rows[y, x] = (img[y, x - 1] + img[y, x] + img[y, x + 1]) // 3
    out[y, x] = (rows[y - 1, x] + rows[y, x] + rows[y + 1, x]) // 3
    return out, rows


def tiled() -> halo.Func:
    out, rows = blur()
    out.tile("y", "x", "yo", "xo", "yi", "xi", 8, 32).vectorize("xi", 16).parallel("yo")
    rows.compute_at(out, "xo").vectorize("x", 16)
    return out


def sliding() -> halo.Func:
    out, rows = blur()
    out.serial("y")
    rows.store_root().compute_at(out, "y")
    return out


def enlarged() -> halo.Func:
    y, x = halo.vars("y x")
    img = halo.Input("img", halo.f32, ndim=2)
    wide, out = halo.Func("wide"), halo.Func("out")
    wide[y, x] = img[y, x // 2]
    out[y, x] = 0.25 * wide[y // 2 - 1 + 2 * (y % 2), x] + 0.75 * wide[y // 2, x]
    out.serial("y")
    wide.store_root().compute_at(out, "y")
    return out


def beside() -> halo.Func:
    out, rows = blur()
    out.serial("y")
    rows.store_root().compute_at(out, "y").fold_storage("y", 8).async_()
    return out


def in_turns() -> halo.Func:
    out, rows = blur()
    out.split("y", "yo", "yi", 4)
    rows.compute_at(out, "yi").hoist_storage_root().ring_buffer(3).async_()
    return out


def edge() -> halo.Func:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = halo.pad(halo.Input("img", halo.u8, ndim=1), "edge")[x - 1]
    return f.serial("x")


def guarded() -> halo.Func:
    x = halo.Var("x")
    img, f = halo.Input("img", halo.u8, ndim=1), halo.Func("f")
    f[x] = halo.select(x > 0, img[x - 1], 0)
    return f.serial("x")


def histogram() -> halo.Func:
    i = halo.Var("i")
    img, f = halo.Input("img", halo.u8, ndim=2), halo.Func("f")
    r = halo.rdom(img)
    f[i] = halo.u32(0)
    f[img[r[0], r[1]]] += 1
    return f.serial("i")


def scan() -> halo.Func:
    y, x = halo.vars("y x")
    img, f = halo.Input("img", halo.f32, ndim=2), halo.Func("f")
    r = halo.rdom((1, 9))
    f[y, x] = img[y, x]
    f[y, r[0]] = f[y, r[0] - 1] + img[y, r[0]]
    return f.serial("y")


def triangle() -> halo.Func:
    y, x = halo.vars("y x")
    f = halo.Func("f")
    r = halo.rdom(10)
    r.where(r[0] <= y)
    f[y, x] = 0
    f[y, x] += r[0]
    f.update(0).reorder("x", "y")
    return f.serial("y")


def colours() -> halo.Func:
    y, x, c = halo.vars("y x c")
    img, f = halo.Input("img", halo.u8, ndim=3), halo.Func("f")
    f[y, x, c] = 255 - img[y, x, c]
    return f.bound("c", 0, 3).reorder("y", "x", "c").unroll("c").vectorize("x", 16)


def optional() -> halo.Func:
    x = halo.Var("x")
    flag, img = halo.Param("flag", halo.bool_), halo.Input("img", halo.i32, ndim=1)
    costly, f = halo.Func("costly"), halo.Func("f")
    costly[x] = img[x] * img[x]
    f[x] = halo.select(flag, costly[x] + costly[x + 1], 0)
    costly.compute_root().serial("x")
    return f.serial("x")


def both() -> halo.Func:
    x = halo.Var("x")
    img = halo.Input("img", halo.i32, ndim=1)
    a, b, f = halo.Func("a"), halo.Func("b"), halo.Func("f")
    a[x] = img[x] + 1
    b[x] = img[x] - 1
    f[x] = a[x - 1] * b[x + 1]
    a.compute_root()
    b.compute_root().compute_with(a, "x")
    return f.serial("x")


def aligned(align: str) -> halo.Func:
    x = halo.Var("x")
    img = halo.Input("img", halo.i32, ndim=1)
    a, b, f = halo.Func("a"), halo.Func("b"), halo.Func("f")
    a[x] = img[x] + 1
    b[x] = img[x] - 1
    f[x] = a[x] * b[x + 1] + b[x + 4]
    a.compute_root()
    b.compute_root().compute_with(a, "x", align=align)
    return f.serial("x")


def fetched() -> halo.Func:
    out, rows = blur()
    out.split("y", "yo", "yi", 8).vectorize("x", 16).stream_stores().prefetch(rows, "yi", 2)
    rows.compute_root().prefetch(rows.inputs["img"], "y", 1, strategy="clamp").vectorize("x", 16)
    return out


def chain() -> halo.Func:
    x = halo.Var("x")
    stages = [halo.Func(f"f{k}") for k in range(4)]
    stages[0][x] = halo.Input("img", halo.i32, ndim=1)[x]
    for f, g in pairwise(stages):
        f.compute_root()
        g[x] = f[x - 1] + f[x + 1]
    return stages[-1].serial("x")


def halved() -> halo.Func:
    x = halo.Var("x")
    img, f = halo.Input("img", halo.u16, ndim=1), halo.Func("f")
    f[x] = img[2 * x] + 2 * img[2 * x + 1] + img[2 * x + 2]
    return f.vectorize("x", 4, tail="round_up")


def memoized() -> halo.Func:
    """f is what only g needs, which is kept; h is kept tile by tile."""
    x = halo.Var("x")
    img, k = halo.Input("img", halo.u16, ndim=1), halo.Param("k", halo.i32)
    f, g, h, out = halo.Func("f"), halo.Func("g"), halo.Func("h"), halo.Func("out")
    f[x] = img[x] * 3
    g[x] = halo.select(k > 3, f[x] + f[x + 1], 0)
    h[x] = img[x + 2] + halo.u16(k)
    out[x] = halo.select(k > 0, g[x], 1) + h[x]
    out.split("x", "xo", "xi", 8)
    f.compute_root()
    g.compute_root().memoize(k // 8)
    h.compute_at(out, "xo").memoize()
    return out


CASES = [
    ("inline", "build_nest", tiled),
    ("guard_reads", "build_nest", guarded),
    ("stage_outputs", "build_nest", scan),
    ("build_nest", "build_nest", tiled),
    ("compute_with", "build_nest", both),
    ("compute_with_aligned_at_the_start", "infer_bounds", lambda: aligned("start")),
    ("compute_with_aligned_at_the_end", "infer_bounds", lambda: aligned("end")),
    ("infer_bounds", "infer_bounds", tiled),
    ("infer_bounds_of_a_scan", "infer_bounds", scan),
    ("infer_bounds_of_a_scatter", "infer_bounds", histogram),
    ("fold_storage", "fold_storage", sliding),
    ("inject_memoization", "inject_memoization", memoized),
    ("skip_stages", "skip_stages", optional),
    ("skip_stages_of_memoized_ones", "skip_stages", memoized),
    ("slide", "slide", sliding),
    ("slide_of_every_other_row", "slide", enlarged),
    ("prefetch", "prefetch", fetched),
    ("flatten_of_a_prefetch", "flatten", fetched),
    ("checks", "checks", guarded),
    ("ring_buffers", "ring_buffers", in_turns),
    ("fork_producers", "fork_producers", beside),
    ("fork_producers_of_a_ring", "fork_producers", in_turns),
    ("inline_lets", "inline_lets", tiled),
    ("trim_no_ops", "trim_no_ops", triangle),
    ("partition", "partition", edge),
    ("partition_of_a_guard", "partition", guarded),
    ("unroll", "unroll", colours),
    ("flatten", "flatten", tiled),
    ("flatten_of_a_fold", "flatten", sliding),
    ("flatten_of_memoized_stages", "flatten", memoized),
    ("flatten_of_what_is_copied", "flatten", scan),
    ("vectorize", "vectorize", tiled),
    ("interleave", "interleave", colours),
    ("deinterleave", "deinterleave", halved),
    ("lifetimes", "lifetimes", chain),
]


@pytest.mark.parametrize(("name", "step", "make"), CASES, ids=[name for name, _, _ in CASES])
def test_what_a_pass_makes(golden: Golden, name: str, step: str, make: Callable[[], halo.Func]) -> None:
    golden(f"lowering/{name}", after(make(), step))


def test_passes_are_named_once() -> None:
    names = [p.name for p in PASSES]
    assert len(set(names)) == len(names)
    assert all(p.says for p in PASSES)
