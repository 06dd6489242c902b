"""Lifetimes: a buffer is taken from the pool before the first statement that uses it, and goes back after the last.

    alloc a: alloc b: {produce a; produce b from a; produce out from b}
->  alloc a: {produce a; alloc b: {produce b from a; free a; produce out from b}}

So a chain of stages at the root needs room for two of them at a time, not for all.
"""

from __future__ import annotations

from ..ir.expr import Buffer, Load, walk
from ..ir.stmt import Allocate, Block, CallExtern, Fetch, Free, Let, Produce, Recall, Stmt, Store, block, substmts
from .walk import exprs, map_stmt

Uses = dict[int, tuple[Stmt, frozenset[Buffer]]]  # of a statement, by its identity


def lifetimes(s: Stmt) -> Stmt:
    return _visit(s, {})


def _visit(s: Stmt, uses: Uses) -> Stmt:
    s = map_stmt(s, lambda t: _visit(t, uses))
    if not isinstance(s, Allocate):
        return s
    stmts = s.body.stmts if isinstance(s.body, Block) else (s.body,)
    first = next((k for k, t in enumerate(stmts) if s.buffer in _buffers(t, uses)), 0)
    body = block(*stmts[first:])
    freed = _freed(body, s.buffer, uses)
    return block(*stmts[:first], s.replace(body=body if freed is None else freed))


def _freed(s: Stmt, b: Buffer, uses: Uses) -> Stmt | None:
    """`s` with `b` freed in it, or None where something uses `b` to the end."""
    if isinstance(s, Let | Allocate | Recall | Produce):
        body = _freed(s.body, b, uses)
        return None if body is None else s.replace(body=body)
    if not isinstance(s, Block):
        return None
    last = max((k for k, t in enumerate(s.stmts) if b in _buffers(t, uses)), default=-1)
    if last < 0:
        return None
    before, at, after = s.stmts[:last], s.stmts[last], s.stmts[last + 1 :]
    inner = _freed(at, b, uses)
    if inner is not None:
        return block(*before, inner, *after)
    return block(*before, at, Free(b), *after) if after else None


def _buffers(s: Stmt, uses: Uses) -> frozenset[Buffer]:
    """What `s` loads from or stores to."""
    if id(s) not in uses:
        found = {e.buffer for e in walk(exprs(s)) if isinstance(e, Load)}
        if isinstance(s, Store | Fetch):
            found.add(s.buffer)
        if isinstance(s, CallExtern):
            found.update(v.buffer for v in s.views)
        uses[id(s)] = s, frozenset(found.union(*(_buffers(t, uses) for t in substmts(s))))
    return uses[id(s)][1]
