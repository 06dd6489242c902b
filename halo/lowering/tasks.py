"""Tasks: the iterations of a parallel loop are grouped into tasks of enough work to be worth handing out.

    for y in 0..h parallel: s    ->    for t in 0..ceil(h/g) parallel: for y in t*g..min(t*g + g, h): s

where g iterations store about GRAIN points. A small image is one task, which starts no thread.
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Var
from ..ir.facts import const_bounds, free_vars
from ..ir.sorting import Sorter
from ..ir.stmt import Block, Extern, For, Let, Stmt, substmts
from ..types import index
from .walk import map_stmt

GRAIN = 1 << 14
SORTED = 16  # points that a value of a sorted row is worth
MOST = 1 << 20  # of one loop, so that products of many stay small


def tasks(s: Stmt) -> Stmt:
    s = map_stmt(s, tasks)
    if not (isinstance(s, For) and s.kind == "parallel"):
        return s
    one = Const(1, index)
    grain = A.maximum(A.floordiv(Const(GRAIN, index), A.maximum(_points(s.body, frozenset((s.var,))), one)), one)
    if isinstance(grain, Const) and grain.value == 1:
        return s
    task = Var(f"{s.var.name}_task", index, 0)
    count = A.floordiv(A.add(s.extent, A.sub(grain, one)), grain)
    first = A.mul(task, grain)
    inner = s.replace(kind="serial", lo=A.add(s.lo, first), extent=A.minimum(grain, A.sub(s.extent, first)))
    return For(task, Const(0, index), count, "parallel", inner, "never", s.label)


def _points(s: Stmt, inside: frozenset[Expr]) -> Expr:
    """About how many points `s` stores. A loop whose extent depends on those `inside` counts by its bound, or once."""
    if isinstance(s, For):
        extent = s.extent
        if not inside.isdisjoint(free_vars(extent)):
            extent = Const(const_bounds(extent)[1] or 1, index)
        extent = A.clamp(extent, Const(1, index), Const(MOST, index))
        return A.mul(extent, _points(s.body, inside | {s.var}))
    if isinstance(s, Let):
        return _points(s.body, inside | {s.var})
    if isinstance(s, Extern) and isinstance(s.function.function, Sorter):
        _, n = s.function.required(s.box)[0][s.function.function.axis]
        if not inside.isdisjoint(free_vars(n)):
            n = Const(const_bounds(n)[1] or 1, index)
        return A.mul(A.clamp(n, Const(1, index), Const(MOST, index)), Const(SORTED, index))
    inner = substmts(s)
    if not inner:
        return Const(0 if isinstance(s, Block) else 1, index)
    total: Expr = Const(0, index)
    for t in inner:
        total = A.add(total, _points(t, inside))
    return total
