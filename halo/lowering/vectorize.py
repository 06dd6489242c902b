"""Vectorise: a vectorised loop of n iterations becomes one pass over n-lane values.

The loop variable becomes `ramp(lo, 1, n)`; what depends on it becomes vectors, the rest stays scalar and is broadcast
where the two meet. Lanes of nested vectors are ordered with the outer loop slowest. Conditions that differ between
lanes become masks of stores and loads. Storage allocated inside gets a lane of its own for each iteration.
What cannot run in lanes (calls, stores of all lanes to one place that are no reduction) stays a serial loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir.expr import Broadcast, Buffer, Cast, Const, Expr, Lin, Load, Op, Ramp, Reduce, Shuffle, Var, children
from ..ir.facts import const_bounds
from ..ir.stmt import Allocate, Block, Evaluate, Fetch, For, If, Let, Produce, Stmt, Store, Stream, block
from ..types import Type, i8, i32, index
from .walk import map_stmt

LIMIT = 1024
IDENTITY: dict[str, Callable[[Type], float]] = {
    "add": lambda t: 0,
    "mul": lambda t: 1,
    "min": lambda t: t.max,
    "max": lambda t: t.min,
    "or": lambda t: 0,
    "and": lambda t: -1 if t.kind == "int" else t.max,
    "xor": lambda t: 0,
}


def vectorize(s: Stmt) -> Stmt:
    s = map_stmt(s, vectorize)
    if not (isinstance(s, For) and s.kind == "vectorize"):
        return s
    count = const_bounds(s.extent)[1]
    if count is None or count > LIMIT:
        raise ScheduleError(
            f"the vectorised loop {s.label} needs a constant number of iterations",
            hint=f"give the vector width: vectorize({s.label.rpartition('.')[2]!r}, 8)",
        )
    try:
        lanes = Lanes(s.var, s.lo, count)
        if isinstance(s.extent, Const):
            return lanes.stmt(s.body, None)
        return lanes.stmt(If(A.lt(s.var, A.add(s.lo, s.extent)), s.body), None)
    except NotInLanes:
        return s.replace(kind="serial")


class NotInLanes(Exception):
    """The body cannot run in lanes; the loop stays serial."""


class Lanes:
    """Statements and expressions with `var` running over n lanes."""

    def __init__(self, var: Var, lo: Expr, n: int) -> None:
        self.n = n
        self.values: dict[Expr, Expr] = {var: A.ramp(lo, Const(1, lo.type), n)}
        self.widened: set[Buffer] = set()
        self.memo: dict[Expr, Expr] = {}

    # Expressions. A result with the lanes of the original is the same in every iteration; else it has n times as many.

    def varies(self, e: Expr, done: Expr) -> bool:
        return done.lanes != e.lanes

    def bind(self, var: Var, value: Expr) -> None:
        """`var` is `value` from here on. Copies of a loop may share a variable that is not the same in their lanes."""
        if self.memo.get(var, value) is not value:
            self.memo.clear()
        self.values[var] = value

    def expr(self, e: Expr) -> Expr:
        found = self.memo.get(e)
        if found is None:
            found = self.values.get(e)
            if found is None:
                found = self._expr(e)
            self.memo[e] = found
        return found

    def wide(self, e: Expr) -> Expr:
        """`e` in all n lanes, whether it varies or not."""
        done = self.expr(e)
        return done if done.lanes != e.lanes else A.broadcast(done, e.lanes * self.n)

    def _expr(self, e: Expr) -> Expr:
        if isinstance(e, Load):
            return self._load(e)
        below = [(c, self.expr(c)) for c in children(e)]
        if all(new.lanes == old.lanes for old, new in below):
            return A.map_children(e, self.expr)
        if isinstance(e, Op):
            if e.name == "le" and e.args[0].type is index and e.lanes == 1:
                return self._le(e)
            return A.op(e.name, *(self.wide(a) for a in e.args), type=e.type, data=e.data)
        if isinstance(e, Lin | Cast):
            return A.map_children(e, self.expr)
        if isinstance(e, Reduce):
            return Reduce(e.name, self.wide(e.value), e.n * self.n)
        if isinstance(e, Ramp):
            return self._ramp(e)
        if isinstance(e, Broadcast):
            return self._repeat(self.wide(e.value), e.value.lanes, e.n)
        if isinstance(e, Shuffle):
            return self._shuffle(e)
        raise NotInLanes

    def _le(self, e: Op) -> Expr:
        """Compare lane numbers, not 64-bit indices: 0 <= base - s*k is k <= base // s."""
        a, b = (self.wide(x) for x in e.args)
        d = A.sub(b, a)
        if not (isinstance(d, Ramp) and d.base.lanes == 1 and isinstance(d.stride, Const) and d.stride.value):
            return A.le(a, b)
        step, small = d.stride.value, i8 if self.n <= i8.max else i32
        lanes = Ramp(Const(0, small), Const(1, small), self.n)

        def limit(k: Expr) -> Expr:
            return A.broadcast(A.cast(A.clamp(k, Const(-1, index), Const(self.n, index)), small), self.n)

        if step < 0:
            return A.le(lanes, limit(A.floordiv(d.base, Const(-step, index))))
        return A.le(limit(A.neg(A.floordiv(d.base, Const(step, index)))), lanes)

    def _repeat(self, value: Expr, inner: int, times: int) -> Expr:
        """Each group of `inner` lanes repeated `times` times."""
        picks = [i * inner + b for i in range(self.n) for _ in range(times) for b in range(inner)]
        return Shuffle((value,), tuple(picks))

    def _ramp(self, e: Ramp) -> Expr:
        base, stride = self.expr(e.base), self.expr(e.stride)
        if isinstance(base, Ramp) and e.base.lanes == 1 and stride.lanes == 1 and base.base.lanes == 1:
            return Ramp(Ramp(base.base, stride, e.n), A.broadcast(base.stride, e.n), self.n)
        inner = e.base.lanes
        bases = self._repeat(self.wide(e.base), inner, e.n)
        steps = self._repeat(self.wide(e.stride), e.stride.lanes, e.n * inner // e.stride.lanes)
        count = Ramp(A.broadcast(Const(0, e.type), inner), A.broadcast(Const(1, e.type), inner), e.n)
        return A.add(bases, A.mul(steps, Broadcast(count, self.n)))

    def _shuffle(self, e: Shuffle) -> Expr:
        vectors = tuple(self.wide(v) for v in e.vectors)
        starts: list[tuple[int, int, int]] = []  # for each lane of the old concatenation: new start, lane, width
        offset = 0
        for v in e.vectors:
            starts += [(offset, lane, v.lanes) for lane in range(v.lanes)]
            offset += v.lanes * self.n
        picks = [start + i * width + lane for i in range(self.n) for start, lane, width in (starts[p] for p in e.picks)]
        return Shuffle(vectors, tuple(picks))

    def _load(self, e: Load) -> Expr:
        at = self._at(e.buffer, e.index)
        pred = None if e.pred is None else self.expr(e.pred)
        if at.lanes == e.index.lanes and (pred is None or e.pred is None or pred.lanes == e.pred.lanes):
            return Load(e.buffer, at, pred)
        if at.lanes == e.index.lanes:
            at = A.broadcast(at, at.lanes * self.n)
        return Load(e.buffer, at, None if e.pred is None else self._to(self.wide(e.pred), at.lanes))

    def _at(self, buffer: Buffer, at: Expr) -> Expr:
        """The index into `buffer`; memory allocated inside the loop is interleaved: n lanes for each element."""
        if buffer not in self.widened:
            return self.expr(at)
        n = Const(self.n, index)
        moved = self.expr(at)
        if at.lanes == 1 and moved.lanes == 1:
            return Ramp(A.mul(moved, n), Const(1, index), self.n)
        wide = self.wide(at)
        zero, one = (A.broadcast(Const(k, index), at.lanes) for k in (0, 1))
        return A.add(A.mul(wide, A.broadcast(n, wide.lanes)), Ramp(zero, one, self.n))

    # Statements. `mask` is what holds per lane of the vectorised loops around.

    def stmt(self, s: Stmt, mask: Expr | None) -> Stmt:
        match s:
            case Block():
                return block(*(self.stmt(t, mask) for t in s.stmts))
            case Produce():
                return Produce(s.what, self.stmt(s.body, mask))
            case Store():
                return self._store(s, mask)
            case If():
                return self._if(s, mask)
            case Let():
                return self._let(s, mask)
            case For():
                return self._for(s, mask)
            case Allocate():
                self.widened.add(s.buffer)
                body = self.stmt(s.body, mask)
                bound = None if s.bound is None else s.bound * self.n
                size = self.expr(s.size)
                if size.lanes > 1:  # each lane needs as much as the one that needs most
                    size = Reduce("max", size, 1)
                return Allocate(s.buffer, A.mul(size, Const(self.n, index)), body, bound)
            case Stream():
                return s.replace(body=self.stmt(s.body, mask))
            case Fetch():  # the same for all lanes; what each has for itself is in the cache
                own = s.buffer in self.widened or self.expr(s.first).lanes > 1 or self.expr(s.last).lanes > 1
                return block() if own else s
            case Evaluate() if self.expr(s.value).lanes == s.value.lanes and mask is None:
                return s
        raise NotInLanes

    def _let(self, s: Let, mask: Expr | None) -> Stmt:
        value = self.expr(s.value)
        if value.lanes == s.value.lanes:
            self.bind(s.var, s.var)
            return Let(s.var, value, self.stmt(s.body, mask))
        if isinstance(value, Ramp) and value.type is index:  # written out, so that it cancels in addresses
            self.bind(s.var, value)
            return self.stmt(s.body, mask)
        wide = Var(s.var.name, s.var.type)
        wide.lanes = value.lanes
        self.bind(s.var, wide)
        return Let(wide, value, self.stmt(s.body, mask))

    def _if(self, s: If, mask: Expr | None) -> Stmt:
        cond = self.expr(s.cond)
        if cond.lanes == 1:
            orelse = None if s.orelse is None else self.stmt(s.orelse, mask)
            return If(cond, self.stmt(s.then, mask), orelse, s.likely)
        then = self.stmt(s.then, self._and(mask, cond))
        return then if s.orelse is None else block(then, self.stmt(s.orelse, self._and(mask, A.not_(cond))))

    def _and(self, a: Expr | None, b: Expr) -> Expr:
        if a is None:
            return b
        lanes = max(a.lanes, b.lanes)
        return A.and_(self._to(a, lanes), self._to(b, lanes))

    def _to(self, e: Expr, lanes: int) -> Expr:
        """A mask or value with one lane an iteration, stretched over the inner lanes of each."""
        if e.lanes == lanes:
            return e
        if e.lanes == self.n:
            return self._repeat(e, 1, lanes // self.n)
        return A.broadcast(e, lanes)

    def _for(self, s: For, mask: Expr | None) -> Stmt:
        lo, extent = self.expr(s.lo), self.expr(s.extent)
        if lo.lanes > 1:  # each lane counts from its own start
            count = Var(s.var.name, index, 0)
            self.bind(s.var, A.add(lo, A.broadcast(count, lo.lanes)))
            return self._over(s, count, Const(0, index), extent, mask)
        self.bind(s.var, s.var)
        return self._over(s, s.var, lo, extent, mask)

    def _over(self, s: For, var: Var, lo: Expr, extent: Expr, mask: Expr | None) -> Stmt:
        kind = "serial" if s.kind == "parallel" else s.kind
        if extent.lanes == 1:
            return For(var, lo, extent, kind, self.stmt(s.body, mask), s.partition, s.label)
        inside = A.lt(A.broadcast(var, self.n), A.add(A.broadcast(lo, self.n), extent))
        longest = Reduce("max", extent, 1)
        return For(var, lo, longest, kind, self.stmt(s.body, self._and(mask, inside)), s.partition, s.label)

    def _store(self, s: Store, mask: Expr | None) -> Stmt:
        at = self._at(s.buffer, s.index)
        if s.pred is not None:
            mask = self._and(mask, self.wide(s.pred))
        if at.lanes > s.index.lanes:
            if s.atomic and not self._apart(s, at):
                raise NotInLanes  # two lanes may meet
            value = self.wide(s.value)
            if mask is not None:
                mask = self._to(mask, at.lanes)
                at, value = self._guarded(at, mask), self._guarded(value, mask)
            return Store(s.buffer, at, value, mask, s.atomic)
        value = self.expr(s.value)
        if value.lanes == s.value.lanes and mask is None and not self._reads(s.value, s.buffer):
            return Store(s.buffer, at, value, None, s.atomic)
        return self._reduction(s, at, mask)

    def _apart(self, s: Store, at: Expr) -> bool:
        """Whether each lane of the update `place = place op e` has a place of its own, and reads no other."""
        steps = isinstance(at, Ramp) and at.base.lanes == 1 and isinstance(at.stride, Const) and at.stride.value != 0
        found = _as_update(s) if steps else None
        return found is not None and not self._reads(found[1], s.buffer)

    def _reduction(self, s: Store, at: Expr, mask: Expr | None) -> Stmt:
        """All lanes update one place: fold them first, if the update is `place = place op e`."""
        found = _as_update(s)
        if found is None or not s.atomic or s.index.lanes != 1:
            raise NotInLanes
        name, e = found
        if self._reads(e, s.buffer):
            raise NotInLanes
        value = self.wide(e)
        if mask is not None:
            neutral = A.broadcast(Const(IDENTITY[name](e.type), e.type), value.lanes)
            mask = self._to(mask, value.lanes)
            value = A.select(mask, self._guarded(value, mask), neutral)
        return Store(s.buffer, at, A.op(name, Load(s.buffer, at), Reduce(name, value, 1)), None, s.atomic)

    def _guarded(self, e: Expr, mask: Expr) -> Expr:
        """`e` with no memory touched, and nothing required, for lanes that are masked; what lanes share is read if any of
        them is on."""
        memo: dict[tuple[Expr, Expr], Expr] = {}

        def guarded(e: Expr, on: Expr) -> Expr:
            if (e, on) not in memo:
                memo[e, on] = visit(e, on)
            return memo[e, on]

        def visit(e: Expr, on: Expr) -> Expr:
            if isinstance(e, Load) and e.buffer.kind != "table":
                at = guarded(e.index, on)
                return Load(e.buffer, at, on if e.pred is None else A.and_(guarded(e.pred, on), on))
            if isinstance(e, Op) and e.name == "require":
                cond, *values = (guarded(a, _shared(on, a.lanes)) for a in e.args)
                return Op("require", (A.or_(cond, A.not_(_shared(on, cond.lanes))), *values), e.type, e.data)
            if isinstance(e, Op) and e.name == "print":
                raise NotInLanes
            if isinstance(e, Shuffle):
                starts = [sum(v.lanes for v in e.vectors[:k]) for k in range(len(e.vectors))]
                lanes = [_picking(on, e.picks, start, v.lanes) for start, v in zip(starts, e.vectors, strict=True)]
                return Shuffle(tuple(map(guarded, e.vectors, lanes)), e.picks)
            return A.map_children(e, lambda c: guarded(c, _shared(on, c.lanes)))

        return guarded(e, mask)

    def _reads(self, e: Expr, buffer: Buffer) -> bool:
        return (isinstance(e, Load) and e.buffer is buffer) or any(self._reads(c, buffer) for c in children(e))


def _shared(mask: Expr, lanes: int) -> Expr:
    """The mask of a vector of `lanes` lanes that is repeated as a whole for the lanes of `mask`, or folded to them."""
    if mask.lanes <= lanes:
        times = lanes // mask.lanes
        return mask if times == 1 else Shuffle((mask,), tuple(k for k in range(mask.lanes) for _ in range(times)))
    if lanes == 1:
        return Reduce("or", mask, 1)
    return _any(mask, [range(start, start + lanes) for start in range(0, mask.lanes, lanes)])


def _picking(mask: Expr, picks: tuple[int, ...], start: int, lanes: int) -> Expr:
    """The mask of the lanes start..start+lanes of what `picks` picks from for the lanes of `mask`."""
    readers = [[k for k, p in enumerate(picks) if p == start + lane] for lane in range(lanes)]
    most = max(map(len, readers))
    if not most:
        return A.broadcast(A.false(), lanes)
    off = mask.lanes  # a lane that is never on
    return _any(mask, [[r[min(k, len(r) - 1)] if r else off for r in readers] for k in range(most)])


def _any(mask: Expr, groups: Sequence[Sequence[int]]) -> Expr:
    """Lane k: whether any of the lanes g[k] of `mask` is on; lane `mask.lanes` is off."""
    result: Expr = A.broadcast(A.false(), len(groups[0]))
    for g in groups:
        off = (A.broadcast(A.false(), 1),) if mask.lanes in g else ()
        result = A.or_(result, Shuffle((mask, *off), tuple(g)))
    return result


def _as_update(s: Store) -> tuple[str, Expr] | None:
    """(op, e) if `s` is `b[i] = b[i] op e`; a fused multiply-add counts as its sum."""
    v = s.value
    if not isinstance(v, Op):
        return None
    own = Load(s.buffer, s.index)
    if v.name == "fma" and v.args[2] is own:
        return "add", A.mul(v.args[0], v.args[1])
    if v.name in IDENTITY and own in v.args:
        return v.name, v.args[1] if v.args[0] is own else v.args[0]
    return None
