"""Partition loops: a prologue, a steady state and an epilogue, so that boundaries and tails cost nothing inside.

In the body of a loop every condition, `min` and `max` of index expressions is settled one way nearly everywhere. Which
way is guessed by evaluating it once in the middle of large loops; where it is *proven* to hold, whatever the inner loops
do, is found by intervals and solved for the loop variable. The intersection of these ranges is the steady state:

    for x in 0..w: f[x] = g[max(x - 1, 0)]   ->   for x in 0..1: g[max(x - 1, 0)]; for x in 1..w: g[x - 1]
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce
from operator import or_

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Op, Var, children, is_false, is_true
from ..ir.facts import arrays_read, const_bounds, free_vars
from ..ir.interval import Range, lower, slacks, solve
from ..ir.stmt import Block, For, If, Memoize, Prefetch, Realize, Stmt, block, substmts
from ..types import bool_, index
from .inline_lets import substitute
from .probe import SIZE, probe
from .walk import exprs, is_made_in, map_exprs, map_stmt

Loops = dict[Var, tuple[Expr, Expr]]  # the loops around: lo and extent
FAR = 3 * SIZE


def partition(s: Stmt) -> Stmt:
    """Split every serial or parallel loop, outermost first.

    In the ends of a loop, the loops inside are split again only by what was unsettled there (in the last tile of a row,
    most of its own points are steady); with `always`, by everything."""
    return _partition(s, _far(s), None)


def _far(s: Stmt) -> Loops:
    """The extents of inputs, three times those of outputs: what makes a picture smaller does not read beyond it."""
    arrays = {a for e in exprs(s) for a in arrays_read(e) if a.kind == "input"}
    found: Loops = {v: (Const(FAR, index), Const(0, index)) for a in arrays for v in a.extents if isinstance(v, Var)}
    return reduce(or_, map(_far, substmts(s)), found)


def _partition(s: Stmt, loops: Loops, only: Collection[Expr] | None) -> Stmt:
    if isinstance(s, For):
        loops = {**loops, s.var: (s.lo, s.extent)}
        if s.kind in ("serial", "parallel") and s.partition != "never" and (_is_long(s) or s.partition == "always"):
            return _split(s, loops, only)
    return map_stmt(s, lambda t: _partition(t, loops, only))


def _is_long(s: For) -> bool:
    """Whether a steady state can pay: not in the two or three iterations of a tile's edge, unless an instruction does
    them there."""
    most = const_bounds(s.extent)[1]
    return most is None or most > 3 or _has_tiles(s.body)


def _has_tiles(s: Stmt) -> bool:
    """Whether instructions may take the place of loops in it, where they are whole."""
    return (isinstance(s, For) and s.intrinsic is not None) or any(map(_has_tiles, substmts(s)))


def _split(s: For, loops: Loops, only: Collection[Expr] | None) -> Stmt:
    settled, lo, hi = _steady(s, loops, only)
    if not settled:
        return s.replace(body=_partition(s.body, loops, only))
    end = A.add(s.lo, s.extent)
    first = s.lo if lo is None else A.clamp(lo, s.lo, end)
    last = end if hi is None else A.clamp(A.add(hi, Const(1, index)), first, end)
    inner = _partition(_replace(s.body, settled), loops, only)
    tail = _partition(s.body, loops, None if s.partition == "always" else settled)
    if s.kind == "parallel":
        steady = A.and_(A.le(first, s.var), A.lt(s.var, last))
        return s.replace(body=If(steady, inner, tail, likely=True))
    return block(
        _loop(s, s.lo, first, tail),
        _loop(s, first, last, inner),
        _loop(s, last, end, tail),
    )


def _loop(s: For, lo: Expr, end: Expr, body: Stmt) -> Stmt | None:
    extent = A.sub(end, lo)
    if (isinstance(extent, Const) and extent.value <= 0) or (isinstance(body, Block) and not body.stmts):
        return None
    if isinstance(extent, Const) and extent.value == 1:
        return substitute(body, {s.var: lo})
    return s.replace(lo=lo, extent=extent, body=body)


def _steady(s: For, loops: Loops, only: Collection[Expr] | None) -> tuple[dict[Expr, Expr], Expr | None, Expr | None]:
    """What is settled in the steady state, and its ends (inclusive; None where the loop's own end will do)."""
    settled: dict[Expr, Expr] = {}
    lows: list[Expr] = []
    highs: list[Expr] = []
    for e, likely, inner in _candidates(s.body, ()):
        if e in settled or (only is not None and e not in only) or not _depends(e, s.var, inner):
            continue
        if is_made_in(s.body, e):  # has another value in each iteration
            continue
        decided = _decide(e, likely, s.var, inner, loops, settled)
        if decided is None:
            continue
        value, low, high = decided
        settled[e] = value
        lows += low
        highs += high
    first = None if not lows else reduce(A.maximum, lows)
    last = None if not highs else reduce(A.minimum, highs)
    return settled, first, last


def _depends(e: Expr, v: Var, inner: tuple[Range, ...]) -> bool:
    """Whether `e`, or the range of an inner loop that it depends on, depends on v."""
    needs = set(free_vars(e))
    for r in inner:  # innermost first
        if r.var in needs:
            needs.update(*(free_vars(end) for end in (r.lo, r.hi) if end is not None))
    return v in needs


def _candidates(s: Stmt, inner: tuple[Range, ...]) -> Iterator[tuple[Op, bool, tuple[Range, ...]]]:
    """Conditions and extremes of index expressions in `s`, whether they are likely to be true, and the ranges of the
    loops inside that they may use."""
    if isinstance(s, Prefetch):  # no reason to write anything twice
        return
    seen: set[Expr] = set()
    if isinstance(s, If) and s.likely:
        for c in A.conjuncts(s.cond):
            if isinstance(c, Op) and c.name == "le" and c.args[0].type is index:
                seen.add(c)
                yield c, True, inner
    for e in exprs(s):
        found = reversed(tuple(_undecided(e, seen)))
        yield from ((c, False, inner) for c in found if not _is_paid_once(s, c))
    if isinstance(s, For):
        inner = (Range(s.var, s.lo, A.sub(A.add(s.lo, s.extent), Const(1, index))), *inner)
    for t in substmts(s):
        yield from _candidates(t, inner)


def _is_paid_once(s: Stmt, e: Op) -> bool:
    """Whether `e` is an end of a loop that repeats much more: a shorter last tile needs no loops of its own, and rows that
    only the first iteration computes are no reason to write all of it twice. Or of what is looked up, box by box."""
    if isinstance(s, Memoize):
        return True
    if not (isinstance(s, For) and s.kind in ("serial", "parallel")):
        return False
    return e.name in ("min", "max") or any(_has_loops(t) for t in substmts(s))


def _has_loops(s: Stmt) -> bool:
    return (isinstance(s, For) and s.kind in ("serial", "parallel")) or any(map(_has_loops, substmts(s)))


def _undecided(e: Expr, seen: set[Expr]) -> Iterator[Op]:
    """Those in `e`, outermost first. Of a rare choice only the usual value counts: there is no other in a steady state."""
    stack = [e]
    while stack:
        e = stack.pop()
        if e in seen:
            continue
        seen.add(e)
        stack.extend((e.args[0], e.args[2]) if isinstance(e, Op) and e.name == "rare" else children(e))
        if isinstance(e, Op) and e.args and e.args[0].type is index and e.name in ("le", "eq", "ne", "min", "max"):
            yield e


def _decide(
    e: Op,
    likely: bool,
    v: Var,
    inner: tuple[Range, ...],
    loops: Loops,
    settled: dict[Expr, Expr],
) -> tuple[Expr, list[Expr], list[Expr]] | None:
    """The value that `e` has in the steady state, and the lower and upper ends of `v` that prove it."""
    ranges = {**loops, **{r.var: (r.lo, A.sub(r.hi, r.lo)) for r in inner if r.lo is not None and r.hi is not None}}
    truth = likely or probe(e, ranges)
    if truth is None:
        return None
    if e.name in ("min", "max"):
        a, b = e.args
        pick, other = (a, b) if truth else (b, a)
        slack = A.sub(other, pick) if e.name == "min" else A.sub(pick, other)
        value, proofs = pick, [slack]
    else:
        cond = e if truth else A.not_(e)
        if not (isinstance(cond, Op) and cond.name in ("le", "eq")):
            return None  # `!=` is not one range
        value, proofs = Const(int(truth), bool_), slacks(cond)
    lows: list[Expr] = []
    highs: list[Expr] = []
    for slack in proofs:
        least: Expr | None = slack
        for r in inner:
            least = None if least is None else lower(_settle(least, settled), r)
        if least is None:
            return None
        least = _settle(least, settled)
        for part in slacks(Op("le", (Const(0, index), least), bool_)):
            if v not in free_vars(part):  # no range of v makes it hold: the steady state is all of the loop or nothing
                lo, extent = loops[v]
                end = A.sub(A.add(lo, extent), Const(1, index))
                always = A.le(Const(0, index), part)
                if is_false(always):
                    return None
                if not is_true(always):
                    highs.append(A.select(always, end, A.sub(lo, Const(1, index))))
                continue
            low, high = solve(part, v)
            if low is None and high is None:
                return None
            lows += [] if low is None else [low]
            highs += [] if high is None else [high]
    return value, lows, highs


def _settle(e: Expr, settled: dict[Expr, Expr]) -> Expr:
    return A.rewrite(e, _Settled(settled), {})


class _Settled:
    """What is settled, put in place; also inside of what it is replaced by."""

    def __init__(self, settled: dict[Expr, Expr]) -> None:
        self.settled = settled

    def __call__(self, e: Expr) -> Expr | None:
        found = self.settled.get(e)
        return None if found is None else A.rewrite(found, self, {})


def _replace(s: Stmt, settled: dict[Expr, Expr]) -> Stmt:
    memo: dict[Expr, Expr] = {}
    visit = _Settled(settled)
    return substitute(_keeping_bounds(s, map_exprs(s, lambda e: A.rewrite(e, visit, memo))), {})


def _keeping_bounds(old: Stmt, new: Stmt) -> Stmt:
    """`new`, which is `old` rewritten, with the constant bounds that sizes had: `n - 4*i` for `min(4, n - 4*i)` has none."""
    inside = [_keeping_bounds(a, b) for a, b in zip(substmts(old), substmts(new), strict=True)]
    match old, new:
        case For(), For():
            extent = new.extent if new.kind in ("serial", "parallel") else _bounded(old.extent, new.extent)
            return new.replace(extent=extent, body=inside[0])
        case Realize(), Realize():
            sizes = tuple((lo, _bounded(n, m)) for (_, n), (lo, m) in zip(old.bounds, new.bounds, strict=True))
            return new.replace(bounds=sizes, body=inside[0])
    rest = iter(inside)
    return map_stmt(new, lambda _: next(rest))


def _bounded(old: Expr, new: Expr) -> Expr:
    least, most = const_bounds(old)[1], const_bounds(new)[1]
    return new if least is None or (most is not None and most <= least) else A.minimum(new, Const(least, index))
