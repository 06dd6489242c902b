"""Trim no-ops: a loop whose whole body is under a condition on its variable runs only where the condition holds.

for y in 0..32: if 32*yo + y < h: s    ->    for y in 0..min(32, h - 32*yo): s

A condition that reads memory is asked before the loop where no iteration changes it:

for j in 0..n: if j > t and f[t] > 0: f[j] = ...    ->    if t + 1 < n: if f[t] > 0: for j in t + 1..n: f[j] = ...
"""

from __future__ import annotations

from collections.abc import Iterator

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Op, Read, reads
from ..ir.facts import free_vars
from ..ir.interval import differ, slacks, solve
from ..ir.stmt import Block, Extern, For, If, Memoize, Prefetch, Provide, Realize, Stmt, block, substmts
from ..types import index
from .walk import is_made_in, map_stmt


def trim_no_ops(s: Stmt) -> Stmt:
    s = map_stmt(s, trim_no_ops)
    if not isinstance(s, For):
        return s
    conditions, body = _conditions(s.body)
    lo, end = first, last = s.lo, A.add(s.lo, s.extent)
    kept: list[Expr] = []
    outside: list[Expr] = []
    once: list[Expr] = []  # what the iterations from `first` to before `last` read alike
    known = True  # whether the conditions so far hold just there
    for c in conditions:
        ends = None if is_made_in(body, c) else _ends(c, s)
        if s.var not in free_vars(c) and not any(True for _ in reads((c,))):
            outside.append(c)
        elif known and s.var not in free_vars(c) and _is_steady(c, body, conditions):
            once.append(c)
        elif ends is None:
            kept.append(c)
            known = False
        else:
            for low, high in ends:
                first = first if low is None else A.maximum(first, low)
                last = last if high is None else A.minimum(last, A.add(high, Const(1, index)))
            if s.kind in ("serial", "parallel"):
                lo, end = first, last
            else:
                kept.append(c)
    if len(kept) == len(conditions):
        return s
    if kept:
        body = If(A.all_of(kept), body, None, likely=True)
    trimmed: Stmt = s.replace(lo=lo, extent=A.sub(end, lo), body=body)
    if once:  # is read only where it was
        trimmed = If(A.all_of(once), trimmed)
        outside += _each(A.lt(first, last))
    return If(A.all_of(outside), trimmed, None, likely=True) if outside else trimmed


def _each(c: Expr) -> list[Expr]:
    """The comparisons without minima and maxima that together are the comparison `c`."""
    return [A.le(Const(0, index), slack) for slack in slacks(c)] if isinstance(c, Op) else [c]


def _is_steady(c: Expr, body: Stmt, conditions: list[Expr]) -> bool:
    """Whether `body`, which runs under `conditions`, stores to nothing that `c` reads."""
    if not is_made_in(body, c):
        return True
    read = [r for r in reads((c,)) if isinstance(r, Read)]
    for s, under in _making(body, conditions):
        for r in read:
            if r.array is not (s.outputs if isinstance(s, Extern) else s.what):
                continue
            if not isinstance(s, Provide):
                return False
            if not any(differ(i, j, under) for i, j in zip(s.indices, r.indices, strict=True)):
                return False
    return True


def _making(s: Stmt, conditions: list[Expr]) -> Iterator[tuple[Provide | Realize | Memoize | Extern, list[Expr]]]:
    """What makes values inside of `s`, and the conditions that each is under."""
    if isinstance(s, (Provide, Realize, Memoize, Extern)):
        yield s, conditions
    for inner in substmts(s):
        more = A.conjuncts(s.cond) if isinstance(s, If) and inner is s.then else ()
        yield from _making(inner, [*conditions, *more])


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
