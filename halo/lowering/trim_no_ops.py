"""Trim no-ops: a loop whose whole body is under a condition on its variable runs only where the condition holds.

for y in 0..32: if 32*yo + y < h: s    ->    for y in 0..min(32, h - 32*yo): s
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Op, reads
from ..ir.facts import free_vars
from ..ir.interval import slacks, solve
from ..ir.stmt import Block, For, If, Prefetch, Stmt, block
from ..types import index
from .walk import is_made_in, map_stmt


def trim_no_ops(s: Stmt) -> Stmt:
    s = map_stmt(s, trim_no_ops)
    if not isinstance(s, For):
        return s
    conditions, body = _conditions(s.body)
    lo, end = s.lo, A.add(s.lo, s.extent)
    kept: list[Expr] = []
    outside: list[Expr] = []
    for c in conditions:
        ends = None if is_made_in(body, c) else _ends(c, s)
        if s.var not in free_vars(c) and not any(True for _ in reads((c,))):
            outside.append(c)
        elif ends is None or s.kind not in ("serial", "parallel"):
            kept.append(c)
        else:
            for low, high in ends:
                lo = lo if low is None else A.maximum(lo, low)
                end = end if high is None else A.minimum(end, A.add(high, Const(1, index)))
    if len(kept) == len(conditions):
        return s
    if kept:
        body = If(A.all_of(kept), body, None, likely=True)
    trimmed: Stmt = s.replace(lo=lo, extent=A.sub(end, lo), body=body)
    return If(A.all_of(outside), trimmed, None, likely=True) if outside else trimmed


def _conditions(s: Stmt) -> tuple[list[Expr], Stmt]:
    """The conditions that all of `s` is under, and what is under them."""
    found: list[Expr] = []
    asked: list[Stmt] = []  # what asks for memory does nothing
    while True:
        if isinstance(s, If) and s.orelse is None:
            found += A.conjuncts(s.cond)
            s = s.then
        elif isinstance(s, Block) and s.stmts and isinstance(s.stmts[0], Prefetch):
            asked.append(s.stmts[0])
            s = block(*s.stmts[1:])
        else:
            return found, block(*asked, s)


def _ends(c: Expr, loop: For) -> list[tuple[Expr | None, Expr | None]] | None:
    """The ranges of the loop variable that together are the same as `c`; None if `c` is not such a condition."""
    if not (isinstance(c, Op) and c.name in ("le", "eq") and c.args[0].type is index and loop.var in free_vars(c)):
        return None
    ends = [solve(slack, loop.var) for slack in slacks(c)]
    return None if any(end == (None, None) for end in ends) else ends
