"""Prefetch: which box of a stage or an input the rest of a loop's body will read, some iterations later.

    for y: prefetch f (2 iterations of y on); for x: g[y, x] = f[y + 1, x]
->  for y: prefetch f[y + 3, 0..w]; for x: ...

The box is what all that follows in the loop reads of `f`, in terms of the loops around; nothing is required for it. In
vectors it is that of all lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir.expr import Array, Expr, Read, Var, reads
from ..ir.facts import const_bounds
from ..ir.interval import Range, lower, upper
from ..ir.pipeline import Pipeline
from ..ir.stmt import Block, Extern, For, If, Let, Prefetch, Realize, Stmt, block, substmts
from .boxes import Box, Boxes, extent_of, last_of
from .fold_storage import boxes_inside
from .walk import exprs, map_stmt

Around = tuple[Stmt, ...]  # the loops, definitions, conditions and storage around a statement, outermost first


def prefetch(s: Stmt, p: Pipeline) -> Stmt:
    if not any(loops.hints for f in p.functions for d in f.definitions
               for loops in (d.loops, *(special for _, special in d.specializations)) if loops is not None):  # fmt: skip
        return s
    return _Prefetch({*p.inputs, *(p[name].array for name in p.outputs)}).visit(s, ())


class _Prefetch:
    """`kept`: the Arrays that are there during the whole call."""

    def __init__(self, kept: set[Array]) -> None:
        self.kept = kept

    def visit(self, s: Stmt, around: Around) -> Stmt:
        if isinstance(s, Block) and any(isinstance(t, Prefetch) for t in s.stmts):
            rest = block(*(t for t in s.stmts if not isinstance(t, Prefetch)))
            asked = (self.known(t, rest, around) for t in s.stmts if isinstance(t, Prefetch))
            return block(*asked, self.visit(rest, around))
        if isinstance(s, For | Let | If | Realize):
            around = (*around, s)
        return map_stmt(s, lambda t: self.visit(t, around))

    def known(self, s: Prefetch, rest: Stmt, around: Around) -> Prefetch:
        """`s` with its box."""
        if not (s.what in self.kept or any(isinstance(t, Realize) and t.what is s.what for t in around)):
            raise ScheduleError(f"prefetch: {s.what.name} is not in memory yet where that loop begins: it is kept inside it",
                                loc=s.loc, legal=("store_root()", "store_at(f, v), outside of that loop"))  # fmt: skip
        inner = _inside(around, s.loop)
        if s.strategy == "non_faulting":  # beyond the end of a row is the next one
            inner, rest = tuple(t for t in inner if not (isinstance(t, If) and t.likely)), _whole(rest)
        conditions = tuple(c for t in inner if isinstance(t, If) for c in A.conjuncts(t.cond))
        found = Boxes()
        inside = boxes_inside(rest, s.what, conditions)
        kinds = [k for k in ("read", "own") if (k, s.what) in inside] or [
            "write"
        ]  # of an update: what it is about to update
        for kind in kinds:
            if (kind, s.what) in inside:
                found.touch("read", s.what, inside[kind, s.what])
        items = tuple(sorted({r.item for r in _reads(rest) if r.array is s.what}))
        if not items and not any(isinstance(t, Extern) and s.what in t.inputs for t in _all(rest)):
            raise ScheduleError(f"prefetch: nothing of {s.what.name} is read in that loop", loc=s.loc)
        assert s.loop is not None and s.distance is not None
        for t in reversed(inner):
            if isinstance(t, Let):
                found = found.let({t.var: t.value})
            elif isinstance(t, For):
                if t.var is s.loop:
                    found = found.let({t.var: A.add(t.var, s.distance)})
                if t.kind == "vectorize":
                    found = found.over(Range(t.var, t.lo, last_of(t.lo, t.extent)))
        ends = _without_data(found["read", s.what])
        if any(lo is None or hi is None for lo, hi in ends):
            raise ScheduleError(
                f"prefetch: which part of {s.what.name} will be read is not known in advance", loc=s.loc
            )
        region = tuple((lo, extent_of(lo, hi)) for lo, hi in ends if lo is not None and hi is not None)
        return Prefetch(s.what, s.strategy, region, items or (0,))


def _inside(around: Around, loop: Var | None) -> Around:
    """Those of `around` from `loop` on, or from the outermost vectorised loop, whose lanes ask as one."""
    at = (k for k, t in enumerate(around) if isinstance(t, For) and (t.var is loop or t.kind == "vectorize"))
    return around[next(at) :]


def _whole(s: Stmt) -> Stmt:
    """`s` with all the iterations of loops that are cut into parts, those that the last part is not to have too."""
    return map_stmt(s.then if isinstance(s, If) and s.likely and s.orelse is None else s, _whole)


def _all(s: Stmt) -> Iterator[Stmt]:
    yield s
    for t in substmts(s):
        yield from _all(t)


def _reads(s: Stmt) -> Iterator[Read]:
    return (r for t in _all(s) for r in reads(exprs(t)))


def _without_data(box: Box) -> Box:
    """The ends, whatever the values are that they depend on: those of a later iteration may not be there to be read."""
    return tuple((_whatever(lo, lower), _whatever(hi, upper)) for lo, hi in box)


def _whatever(end: Expr | None, bound: Callable[[Expr, Range], Expr | None]) -> Expr | None:
    unknown: dict[Expr, Var] = {}

    def hide(e: Expr) -> Expr | None:
        if not isinstance(e, Read):
            return None
        if e not in unknown:
            unknown[e] = Var("data", e.type, *const_bounds(e))
        return unknown[e]

    hidden = None if end is None else A.rewrite(end, hide, {})
    for v in unknown.values():
        hidden = None if hidden is None else bound(hidden, Range(v, None, None))
    return hidden
