"""An example of each directive, on one of a few small pipelines: what the page of directives is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import halo

__all__ = ["EXAMPLES", "Example"]


def blur() -> dict[str, Any]:
    """Two stages: `out` reads two rows of `rows`, which reads two values of `img`."""
    y, x = halo.vars("y x")
    img, rows, out = halo.Input("img", halo.i32, ndim=2), halo.Func("rows"), halo.Func("out")
    rows[y, x] = img[y, x] + img[y, x + 1]
    out[y, x] = rows[y, x] + rows[y + 1, x]
    rows.compute_root()
    out.serial("y")
    return {"img": img, "rows": rows, "out": out}


def plane() -> dict[str, Any]:
    """One stage."""
    y, x = halo.vars("y x")
    out = halo.Func("out")
    out[y, x] = 10 * y + x
    out.serial("y")
    return {"out": out}


def pair() -> dict[str, Any]:
    """Two stages that do not read each other, and their sum."""
    y, x = halo.vars("y x")
    img, low, high, out = halo.Input("img", halo.i32, ndim=2), halo.Func("low"), halo.Func("high"), halo.Func("out")
    low[y, x] = halo.min(img[y, x], img[y, x + 1])
    high[y, x] = halo.max(img[y, x], img[y, x + 1])
    out[y, x] = high[y, x] - low[y, x]
    low.compute_root()
    high.compute_root()
    out.serial("y")
    return {"low": low, "high": high, "out": out}


def total() -> dict[str, Any]:
    """A sum over 64 values."""
    a, out, r = halo.Input("a", halo.i32, ndim=1), halo.Func("out"), halo.rdom(64, names="r")
    out[()] = 0
    out[()] += a[r.r]
    return {"out": out}


def narrow() -> dict[str, Any]:
    """A sum of bytes in 32 bits."""
    a, out, r = halo.Input("a", halo.u8, ndim=2), halo.Func("out"), halo.rdom(16, names="r")
    y = halo.Var("y")
    out[y] = halo.i32(0)
    out[y] += halo.i32(a[y, r.r])
    return {"out": out}


def product() -> dict[str, Any]:
    """A product of matrices of bytes in 32 bits, in tiles of 16 columns and 4 terms."""
    y, x = halo.vars("y x")
    a, b, out = halo.Input("a", halo.u8, ndim=2), halo.Input("b", halo.i8, ndim=2), halo.Func("out")
    r = halo.rdom(64, names="k")
    out[y, x] = halo.i32(0)
    out[y, x] += halo.i32(a[y, r.k]) * halo.i32(b[x, r.k])
    out.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 4).reorder("y", "xo", "ko", "xi", "ki")
    return {"out": out}


@dataclass(frozen=True)
class Example:
    """`code`, run with the stages that `pipeline` makes; `shows`: the stages whose order of computation is worth a look."""

    pipeline: Callable[[], dict[str, Any]]
    code: str
    shows: tuple[str, ...] = ()


EXAMPLES: Mapping[str, Example] = {
    "split": Example(plane, 'out.split("x", "xo", "xi", 4)'),
    "fuse": Example(plane, 'out.fuse("y", "x", "point")'),
    "reorder": Example(plane, 'out.reorder("x", "y")', ("out",)),
    "tile": Example(plane, 'out.tile("y", "x", "yo", "xo", "yi", "xi", 2, 4)', ("out",)),
    "rename": Example(plane, 'out.rename("x", "column")'),
    "serial": Example(plane, 'out.serial("x")'),
    "parallel": Example(plane, 'out.parallel("y", 2)'),
    "vectorize": Example(plane, 'out.vectorize("x", 4)', ("out",)),
    "unroll": Example(plane, 'out.unroll("x", 2)'),
    "unscheduled": Example(plane, "out.unscheduled()"),
    "partition": Example(blur, 'out.vectorize("x", 4).partition("x", "never")'),
    "never_partition": Example(blur, 'out.vectorize("x", 4).never_partition("y", "x")'),
    "always_partition": Example(blur, 'out.vectorize("x", 4, tail="guard").always_partition("x")'),
    "never_partition_all": Example(blur, 'out.vectorize("x", 4).never_partition_all()'),
    "always_partition_all": Example(blur, 'out.vectorize("x", 4, tail="guard").always_partition_all()'),
    "compute_root": Example(blur, "rows.compute_root()", ("rows", "out")),
    "compute_at": Example(blur, 'rows.compute_at(out, "y")', ("rows", "out")),
    "compute_inline": Example(blur, "rows.compute_inline()"),
    "store_root": Example(blur, 'rows.store_root().compute_at(out, "y")', ("rows", "out")),
    "store_at": Example(
        blur, 'out.split("y", "strip", "y", 3)\nrows.store_at(out, "strip").compute_at(out, "y")', ("rows", "out")
    ),
    "hoist_storage": Example(
        blur,
        'out.tile("y", "x", "yo", "xo", "yi", "xi", 2, 2)\nrows.compute_at(out, "xo").hoist_storage(out, "yo")',
        ("rows", "out"),
    ),
    "hoist_storage_root": Example(blur, 'rows.compute_at(out, "y").hoist_storage_root()'),
    "ring_buffer": Example(
        blur, 'out.split("y", "strip", "y", 2)\nrows.compute_at(out, "strip").hoist_storage_root().ring_buffer(2)'
    ),
    "compute_with": Example(pair, 'high.compute_with(low, "y")', ("low", "high")),
    "async_": Example(blur, 'rows.store_root().compute_at(out, "y").async_()'),
    "prefetch": Example(blur, 'out.prefetch(rows, "y", 2)'),
    "stream_stores": Example(blur, 'out.vectorize("x", 8).stream_stores()'),
    "stream_loads": Example(blur, 'out.vectorize("x", 8).stream_loads(rows)'),
    "tensorize": Example(product, 'out.update(0).tensorize("xi", halo.intrinsics.dot_u8i8_i32)'),
    "trace_loads": Example(blur, "rows.trace_loads()"),
    "trace_stores": Example(blur, "rows.trace_stores()"),
    "trace_realizations": Example(blur, 'rows.compute_at(out, "y").trace_realizations()'),
    "add_trace_tag": Example(blur, 'rows.add_trace_tag("after the change")'),
    "debug_to_file": Example(blur, 'rows.debug_to_file("rows.npy")'),
    "specialize": Example(blur, 'out.specialize(img.shape[1] >= 64).vectorize("x", 16)'),
    "memoize": Example(blur, "rows.compute_root().memoize()"),
    "in_": Example(blur, 'img.in_(rows).compute_at(rows, "y")'),
    "clone_in": Example(blur, 'rows.clone_in(out).compute_at(out, "y")'),
    "eager_inline": Example(blur, "rows.compute_inline()\nout.eager_inline(rows)"),
    "atomic": Example(total, 'out.update(0).atomic().vectorize("r", 16)'),
    "rfactor": Example(
        total,
        'out.update(0).split("r", "ro", "ri", 16)\n'
        'partial = out.update(0).rfactor({"ro": "u"})\npartial.compute_root().update(0).parallel("u")',
    ),
    "change_type": Example(narrow, "out.change_type(halo.u16)"),
    "reorder_storage": Example(blur, 'rows.reorder_storage("x", "y")'),
    "align_storage": Example(blur, 'rows.align_storage("x", 16)'),
    "fold_storage": Example(blur, 'rows.store_root().compute_at(out, "y").fold_storage("y", 4)', ("rows", "out")),
    "store_in": Example(blur, 'rows.bound_storage("x", 64).compute_at(out, "y").store_in("stack")'),
    "bound": Example(plane, 'out.bound("x", 0, 8).unroll("x")'),
    "bound_extent": Example(plane, 'out.bound_extent("x", 8).vectorize("x")'),
    "bound_storage": Example(blur, 'rows.compute_at(out, "y").bound_storage("x", 64)'),
    "promise_output": Example(plane, 'out.promise_output("extent", 1, 8)'),
    "promise_alignment": Example(plane, "out.promise_alignment(64)"),
    "align_bounds": Example(blur, 'rows.align_bounds("x", 4)', ("rows",)),
    "align_extent": Example(blur, 'rows.align_extent("y", 4)', ("rows",)),
    "set_estimate": Example(plane, 'out.set_estimate("x", 0, 1920)'),
    "set_estimates": Example(plane, "out.set_estimates([(0, 1080), (0, 1920)])"),
}
