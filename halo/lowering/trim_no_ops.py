"""Trim no-ops: a loop whose whole body is under a condition on its variable runs only where the condition holds.

    for y in 0..32: if 32*yo + y < h: s    ->    for y in 0..min(32, h - 32*yo): s
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Op
from ..ir.facts import free_vars
from ..ir.interval import slacks, solve
from ..ir.stmt import For, If, Stmt
from ..types import index
from .walk import map_stmt


def trim_no_ops(s: Stmt) -> Stmt:
    s = map_stmt(s, trim_no_ops)
    if not (isinstance(s, For) and s.kind in ("serial", "parallel") and isinstance(s.body, If)):
        return s
    if s.body.orelse is not None:
        return s
    lo, end = s.lo, A.add(s.lo, s.extent)
    kept: list[Expr] = []
    for c in A.conjuncts(s.body.cond):
        ends = _ends(c, s)
        if ends is None:
            kept.append(c)
            continue
        for low, high in ends:
            if low is not None:
                lo = A.maximum(lo, low)
            if high is not None:
                end = A.minimum(end, A.add(high, Const(1, index)))
    if lo is s.lo and end is A.add(s.lo, s.extent):
        return s
    body = s.body.then if not kept else If(A.all_of(kept), s.body.then, None, s.body.likely)
    return trim_no_ops(s.replace(lo=lo, extent=A.sub(end, lo), body=body))


def _ends(c: Expr, loop: For) -> list[tuple[Expr | None, Expr | None]] | None:
    """The ranges of the loop variable that together are the same as `c`; None if `c` is not such a condition."""
    if not (isinstance(c, Op) and c.name in ("le", "eq") and c.args[0].type is index and loop.var in free_vars(c)):
        return None
    ends = [solve(slack, loop.var) for slack in slacks(c)]
    return None if any(end == (None, None) for end in ends) else ends
