"""Slide: compute only what the last iteration did not.

A Function stored outside the loop that it is computed in keeps what earlier iterations computed. If, as the innermost
such serial loop advances, exactly one axis of its region moves, always the same way, then only the new part is needed:

    for y: let g.min = y - 1, g.extent = 3   ->   for y: let g.min = (y - 1 if first y else y + 1), g.extent = (3 or 1)

(Halide's sliding window. Not where updates touch other points of that axis: they must run over the whole region.)

Where loops round the region up to whole tiles, the new part begins where its tiles end with those of the whole region:

    8 points in tiles of 4; one of them new  ->  4 points, the last tile

so that nothing is touched which the whole region's tiles would not touch, and what is computed again gets its updates again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Var, is_true, reads
from ..ir.facts import free_vars
from ..ir.interval import monotonic
from ..ir.pipeline import Function, Pipeline
from ..ir.stmt import Block, For, If, Let, Memoize, Produce, Realize, Stmt
from ..schedule.loops import FuseOp, Loops, SplitOp
from ..types import index
from .boxes import extent_of, last_of
from .walk import map_stmt

SERIAL = ("serial", "unroll")


@dataclass(frozen=True)
class _Scope:
    """What is around a statement: the definitions so far (closed) with regions as they are needed, and as they are left
    after sliding; the loops inside each Realize, outermost first."""

    values: dict[Var, Expr]
    left: dict[Var, Expr]
    loops: dict[Array, tuple[For, ...]]
    slid: dict[Array, bool]  # whether each point is computed once, wherever the region has been seen so far
    regions: dict[Var, Array]  # the Array whose region a definition begins

    def let(self, var: Var, value: Expr) -> _Scope:
        values = {**self.values, var: A.substitute(value, self.values)}
        return replace(self, values=values, left={**self.left, var: A.substitute(value, self.left)})

    def inside(self, lets: list[tuple[Var, Expr]]) -> _Scope:
        """In the production of the region `lets` and beside it."""
        scope = self
        for var, value in lets:
            scope = replace(scope, left={**scope.left, var: A.substitute(value, scope.left)})
        return scope

    def enter(self, loop: For) -> _Scope:
        return replace(self, loops={a: (*loops, loop) for a, loops in self.loops.items()})

    def store(self, a: Array) -> _Scope:
        return replace(self, loops={**self.loops, a: ()})


def slide(s: Stmt, p: Pipeline) -> Stmt:
    functions = {f.array: f for f in p.functions}
    if all(f.store is None for f in p.functions):
        return s
    return _slide(s, _Scope({}, {}, {}, {}, {a.mins[0]: a for a in functions if a.ndim}), functions)


def _slide(s: Stmt, scope: _Scope, functions: dict[Array, Function]) -> Stmt:
    match s:
        case For():
            extent = A.substitute(s.extent, scope.values)
            once = isinstance(extent, Const) and extent.value == 1
            return s.replace(body=_slide(s.body, scope.let(s.var, s.lo) if once else scope.enter(s), functions))
        case Realize():
            scope.slid.pop(s.what, None)
            body = _slide(s.body, scope.store(s.what), functions)
            again = (
                functions[s.what].asynchronous and functions[s.what].store is not None and not scope.slid.get(s.what)
            )
            return s.replace(body=body, ahead=0 if again else s.ahead)
        case Let():
            region = _region(s, scope.regions)
            if region is None:
                return s.replace(body=_slide(s.body, scope.let(s.var, s.value), functions))
            what, lets, body = region
            inner = scope
            for var, value in lets:
                inner = inner.let(var, value)
            lets, once = _slid(what, lets, scope, inner, functions[what])
            scope.slid[what] = once and what not in scope.slid  # a second place computes it all again
            result = _slide(body, inner.inside(lets), functions)
            for var, value in reversed(lets):
                result = Let(var, value, result)
            return result
        case If() if s.orelse is not None:
            return _either(s, scope, functions)
        case Produce():
            # its loops run over what is left of its region, and so do the regions of what is computed in them
            return _only_first(s.replace(body=_slide(s.body, replace(scope, values=scope.left), functions)), scope)
    return map_stmt(s, lambda t: _slide(t, scope, functions))


def _either(s: If, scope: _Scope, functions: dict[Array, Function]) -> Stmt:
    """Each branch as if there were no other."""
    assert s.orelse is not None
    before = dict(scope.slid)
    then = _slide(s.then, scope, functions)
    other = replace(scope, slid=before)
    orelse = _slide(s.orelse, other, functions)
    scope.slid.update({a: once and scope.slid.get(a, True) for a, once in other.slid.items()})
    return s.replace(then=then, orelse=orelse)


def _region(s: Let, regions: dict[Var, Array]) -> tuple[Array, list[tuple[Var, Expr]], Stmt] | None:
    """The definitions of one Array's region that begin here: (min, extent) for each of its axes; if it is produced in the
    first site inside."""
    what = regions.get(s.var)
    if what is None:
        return None
    lets: list[tuple[Var, Expr]] = []
    t: Stmt = s
    for var in (v for d in range(what.ndim) for v in (what.mins[d], what.extents[d])):
        if not isinstance(t, Let) or t.var is not var:
            return None
        lets.append((var, t.value))
        t = t.body
    return (what, lets, t) if what in _produced(t) else None


def _produced(s: Stmt) -> list[Array]:
    while isinstance(s, Let | Realize | Memoize):
        s = s.body
    return [t.what for t in (s.stmts if isinstance(s, Block) else (s,)) if isinstance(t, Produce)]


def _slid(
    what: Array, lets: list[tuple[Var, Expr]], scope: _Scope, inner: _Scope, f: Function
) -> tuple[list[tuple[Var, Expr]], bool]:
    """The region without what earlier iterations computed, and whether it has nothing of that left."""
    inside: list[For] = []
    done: set[int] = set()
    once = True
    for loop in reversed(scope.loops.get(what, ())):
        if loop.kind not in SERIAL or any(_depends(scope, e, loop) for t in inside for e in (t.lo, t.extent)):
            return lets, False
        moved = [
            d
            for d in range(what.ndim)
            if loop.var in free_vars(inner.values[what.mins[d]]) | free_vars(inner.values[what.extents[d]])
        ]
        if len(moved) > 1 or done.intersection(moved):
            return lets, False
        once = once and bool(moved or not done) and all(_tiles(f, d) == () for d in moved)
        done.update(moved)
        if moved:
            slid = _along(what, lets, loop, moved[0], inner, f)
            if slid is None:
                return lets, False
            lets = slid
        inside.append(loop)
    return lets, once


def _depends(scope: _Scope, e: Expr, loop: For) -> bool:
    return loop.var in free_vars(A.substitute(e, scope.values))


def _only_first(s: Produce, scope: _Scope) -> Stmt:
    """The production, in the first iteration only of the innermost loops round it that its region does not depend on."""
    first: Expr = A.true()
    for loop in reversed(scope.loops.get(s.what, ())):
        region = [scope.values.get(v, v) for v in (*s.what.mins, *s.what.extents)]
        if loop.kind not in SERIAL or any(loop.var in free_vars(e) for e in region):
            break
        first = A.and_(first, A.le(loop.var, loop.lo))
    return s if is_true(first) else If(first, s)


def _along(
    what: Array, lets: list[tuple[Var, Expr]], loop: For, d: int, inner: _Scope, f: Function
) -> list[tuple[Var, Expr]] | None:
    lo = inner.values[what.mins[d]]
    hi = last_of(lo, inner.values[what.extents[d]])
    up = monotonic(lo, loop.var), monotonic(hi, loop.var)
    tiles = _tiles(f, d)
    if None in up or tiles is None or not _pure_along(f, d):
        return None
    first = A.le(loop.var, loop.lo)
    before = {loop.var: A.sub(loop.var, Const(1, index))}
    if up[0] in (0, 1) and up[1] in (0, 1):
        start = A.maximum(A.add(A.substitute(hi, before), Const(1, index)), lo)
        if len(tiles) == 1:
            beyond = A.sub(_end_of_tiles(start, hi, tiles[0]), _end_of_tiles(lo, hi, tiles[0]))
            start = A.sub(start, A.maximum(beyond, Const(0, index)))
        elif tiles:  # tiles in tiles
            grain = Const(math.prod(tiles), index)
            start = A.add(lo, A.mul(A.floordiv(A.sub(start, lo), grain), grain))
        low, high = A.select(first, lo, start), hi
    elif up[0] in (0, -1) and up[1] in (0, -1) and len(tiles) < 2:
        end = A.sub(A.substitute(lo, before), Const(1, index))
        for factor in tiles:
            end = _end_of_tiles(lo, end, factor)
        low, high = lo, A.select(first, hi, A.minimum(end, hi))
    else:
        return None
    slid = {what.mins[d]: low, what.extents[d]: extent_of(low, high)}
    return [(var, slid.get(var, value)) for var, value in lets]


def _end_of_tiles(lo: Expr, hi: Expr, factor: int) -> Expr:
    """The last point of whole tiles from `lo` on that hold `hi`."""
    n, size = A.add(A.sub(hi, lo), Const(1, index)), Const(factor, index)
    tiles = A.floordiv(A.add(n, A.sub(size, Const(1, index))), size)
    return A.add(lo, A.sub(A.mul(tiles, size), Const(1, index)))


def _tiles(f: Function, d: int) -> tuple[int, ...] | None:
    """The sizes of the tiles, outermost first, that the loops of the pure definition round the region up to along axis d;
    None if these are no numbers."""
    pure = f.definitions[0]
    found = {_tiles_of(loops, f.vars[d].name) for loops in (pure.loops, *(loops for _, loops in pure.specializations))}
    if None in found:
        return None
    several = [t for t in found if t]
    return tuple(n for t in several for n in t)


def _tiles_of(loops: Loops, axis: str) -> tuple[int, ...] | None:
    parts, fused, tiles = {axis}, set[str](), tuple[int, ...]()
    for op in loops.ops:
        if parts.isdisjoint(op.consumed):
            continue
        if isinstance(op, SplitOp) and op.tail == "round_up":
            if not isinstance(op.factor, int) or op.old in fused:
                return None
            tiles = (*tiles, op.factor)
        if isinstance(op, FuseOp) or not fused.isdisjoint(op.consumed):
            fused.update(op.made)
        parts = parts.difference(op.consumed).union(op.made)
        fused.intersection_update(parts)
    return tiles


def _pure_along(f: Function, d: int) -> bool:
    """Whether every definition computes each point along axis d from nothing else of the Function along it."""
    v = f.vars[d]
    for definition in f.definitions[1:]:
        if definition.indices[d] is not v:
            return False
        roots = (*definition.indices, *definition.values, definition.pred)
        if any(r.array is f.array and r.indices[d] is not v for r in reads(roots)):
            return False
    return True
