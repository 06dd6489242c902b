"""Fetches: the cache lines of a box, each asked for once along the axis whose elements are next to each other.

    prefetch f[y + 2, x..x + 64]   ->   if that is all in f: fetch f[(y + 2)*stride + x] .. f[(y + 2)*stride + x + 63]

Along an axis of another stride elements are asked for one by one, or as many at a time as share a line.
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Var
from ..ir.stmt import Fetch, For, If, Stmt
from ..types import index
from .layout import Layout

__all__ = ["LINE", "fetches"]

LINE = 64  # bytes


def fetches(layout: Layout, item: int, box: tuple[tuple[Expr, Expr], ...], strategy: str) -> Stmt:
    """Statements that ask for element `item` of what lies as `layout` says, over `box`."""
    zero, one = Const(0, index), Const(1, index)
    inside: list[Expr] = []
    ends: list[tuple[Expr, Expr]] = []  # the first entry, and how many
    for (lo, n), least, extent in zip(box, layout.mins, layout.extents, strict=True):
        end, most = A.add(lo, n), A.add(least, extent)
        if strategy == "guard":
            inside += [A.le(least, lo), A.le(end, most)]
        elif strategy == "clamp":
            lo = A.maximum(lo, least)
            n = A.sub(A.minimum(end, most), lo)
        elif not (isinstance(n, Const) and n.value <= LINE):  # an index that is known by its type alone says little
            n = A.minimum(n, extent)
        ends.append((lo, n))
    strides, bytes = layout.strides[item], layout.buffers[item].type.bytes
    ones = (d for d, s in enumerate(strides) if isinstance(s, Const) and s.value == 1)
    dense = next((d for d in ones if d not in layout.fold), None)
    first: list[Expr] = [lo for lo, _ in ends]
    last = list(first)
    loops: list[tuple[Var, Expr]] = []
    for d, (lo, n) in enumerate(ends):
        if d == dense:
            last[d] = A.sub(A.add(lo, n), one)
            inside.append(A.lt(zero, n))
            continue
        k = Var(f"fetch{d}", index, 0)
        step = _shared(strides[d], bytes) if d == len(ends) - 1 and d not in layout.fold else one
        if step is one:
            first[d] = last[d] = A.add(lo, k)
            loops.append((k, n))
        else:  # of those that share a line the first, and the very last
            first[d] = last[d] = A.add(lo, A.minimum(A.mul(k, step), A.sub(n, one)))
            inside.append(A.lt(zero, n))
            loops.append((k, A.add(A.floordiv(A.add(n, A.sub(step, Const(2, index))), step), one)))
    body: Stmt = Fetch(layout.buffers[item], layout.at(tuple(first), item), layout.at(tuple(last), item))
    for k, count in reversed(loops):
        body = For(k, zero, count, "serial", body, "never")
    return If(A.all_of(inside), body) if inside else body


def _shared(stride: Expr, bytes: int) -> Expr:
    """How many entries that are `stride` elements apart share a line: one or more."""
    apart = A.maximum(A.maximum(stride, A.neg(stride)), Const(1, index))
    return A.maximum(A.floordiv(Const(LINE // bytes, index), apart), Const(1, index))
