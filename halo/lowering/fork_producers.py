"""Fork producers: what `async_` is given to is computed in a thread of its own, beside what reads it.

    alloc f[...]: for y: {produce f; g reads f}
->  alloc f[...]: fork ready = 0, room = 2:
                    for y: {acquire room; produce f; release ready}
                  beside:
                    for y: {acquire ready; g reads f; release room}
                  alone:
                    for y: {produce f; g reads f}

Both halves run the loops between the storage and the production. `ready` counts what has been produced. `room` is how far
the producer may be in front: what `Realize.ahead` allows, or the places of a ring; there is none if no point is ever
computed twice or thrown away. Where the producer may not be in front at all, the fork is inside of the loops, round one
production and its readers. Of all that is not finished, what comes first in the nest as it was (which is `alone`) never
waits for anything: so nothing waits for ever. (Halide's fork_async_producers.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from ..errors import ScheduleError
from ..ir.expr import Array, Expr, reads
from ..ir.facts import free_vars
from ..ir.pipeline import Function, Pipeline
from ..ir.stmt import (
    Acquire,
    Block,
    Extern,
    For,
    Fork,
    Hoist,
    If,
    Keep,
    Let,
    Memoize,
    Prefetch,
    Produce,
    Realize,
    Release,
    Semaphore,
    Stmt,
    block,
    substmts,
)
from .compute_with import fused_groups
from .walk import exprs, map_stmt

Unit = frozenset[Array]  # what is computed together


def fork_producers(s: Stmt, p: Pipeline) -> Stmt:
    if not any(f.asynchronous for f in p.functions):
        return s
    return _Forks(p).visit(s, _Scope())


def _looks_up(s: Stmt) -> bool:
    """Whether memoized values are looked up or kept in `s`, which is done once, by one thread."""
    return isinstance(s, Memoize | Keep) or any(map(_looks_up, substmts(s)))


@dataclass(frozen=True)
class _Scope:
    """Around a statement: whose storage there is, which units are to be forked at their productions, and a vectorised
    loop."""

    stored: frozenset[Array] = frozenset()
    at_site: frozenset[Unit] = frozenset()
    lanes: For | None = None

    def site(self, unit: Unit) -> _Scope:
        return replace(self, at_site=self.at_site | {unit})


class _Channel:
    """How one thread waits for what another produces, and that for room. When the readers of `unit` are in two threads,
    each has a channel of its own."""

    def __init__(self, unit: Unit, room: int | None) -> None:
        name = min(a.name for a in unit)
        self.unit, self.limit = unit, room
        self.ready, self.room = Semaphore(f"{name}_ready"), Semaphore(f"{name}_room")
        self.parts: tuple[_Channel, ...] = ()

    def split(self) -> tuple[_Channel, _Channel]:
        self.parts = a, b = _Channel(self.unit, self.limit), _Channel(self.unit, self.limit)
        return a, b

    def leaves(self) -> Iterator[_Channel]:
        for part in self.parts:
            yield from part.leaves()
        if not self.parts:
            yield self


class _Forks:
    def __init__(self, p: Pipeline) -> None:
        self.functions = {f.array: f for f in p.functions}
        self.units = {f.array: frozenset(g.array for g in group) for group in fused_groups(p) for f in group}
        self.channels: dict[Semaphore, _Channel] = {}
        self.counts: dict[_Channel, int] = {}  # at how many places it is waited for

    def visit(self, s: Stmt, scope: _Scope) -> Stmt:
        match s:
            case For() if s.kind == "vectorize":
                scope = replace(scope, lanes=s)
            case Hoist() if self.is_async(s.what) and s.ring > 1:
                loop = _turns(s.body, s.what, (), frozenset())
                if loop is not None and len(self.units[s.what]) == 1:
                    inside = replace(scope, stored=scope.stored | {s.what})
                    return s.replace(
                        body=self.fork(
                            self.units[s.what], s.body, s.ring, loop, inside, inside.site(self.units[s.what])
                        )
                    )
            case Realize() if self.is_async(s.what) and s.what not in scope.stored:
                return s.replace(body=self.realized(s, replace(scope, stored=scope.stored | {s.what})))
            case Block():
                first = (self.units[a] for t in s.stmts for a in _made(t) if self.units[a] in scope.at_site)
                unit = next(first, None)
                if unit is not None:
                    return self.beside(s, unit, replace(scope, at_site=scope.at_site - {unit}))
            case Fork():  # of a channel's half: it has been visited
                return s
        return map_stmt(s, lambda t: self.visit(t, scope))

    def is_async(self, what: Array) -> bool:
        return self.functions[what].asynchronous

    def realized(self, s: Realize, scope: _Scope) -> Stmt:
        unit = self.units[s.what]
        if not unit <= scope.stored:  # the storage of what is computed with it comes first
            return self.visit(s.body, scope)
        loop = _first_loop(s.body, unit)
        if loop is None or s.ahead == 0 or (len(unit) > 1 and s.ahead is not None):
            return self.visit(s.body, scope.site(unit))
        room = None if s.ahead is None else s.ahead + 1
        return self.fork(unit, s.body, room, None if room is None else loop, scope, scope.site(unit))

    def beside(self, s: Block, unit: Unit, scope: _Scope) -> Stmt:
        """A production, and its readers with other productions that it does not wait for, in two threads."""
        first = next(k for k, t in enumerate(s.stmts) if _is_site(t, unit))
        needed = {a for t in s.stmts if _is_site(t, unit) for u in _all(t) for a in _read(u)}
        while first and _made(s.stmts[first - 1]) and needed.isdisjoint(_made(s.stmts[first - 1])):
            first -= 1
        before = (self.visit(t, scope) for t in s.stmts[:first])
        return block(*before, self.fork(unit, block(*s.stmts[first:]), None, None, scope, scope))

    def fork(
        self, unit: Unit, body: Stmt, room: int | None, loop: For | None, scope: _Scope, otherwise: _Scope
    ) -> Stmt:
        """`body` in two threads. `loop`: an iteration of it, in each, takes and gives back one of `room`. Where that cannot
        be since other threads are in its way, what can be inside of it, `otherwise`."""
        if scope.lanes is not None:
            raise self.refused(unit, f"it is computed in the vectorised loop {scope.lanes.label}, whose lanes run in step",
                               "compute it outside of that loop")  # fmt: skip
        if not _produces(body, unit) or _looks_up(body):
            return self.visit(body, scope)
        own = _Channel(unit, room)
        producer, consumer = _asking(_keep(body, unit)), _asking(_strip(body, unit, own))
        between = _between(body, producer)
        if between and all(self.units[a] in scope.at_site for a in between):  # it can go no further than they do
            return self.visit(body, otherwise)
        for other in between:
            raise self.waiting(unit, other)
        outer = self.operations(body)
        readers = {c: (_reads_any(producer, c.unit), _reads_any(consumer, c.unit)) for c in outer}
        if any(all(readers[c]) and count != self.counts[c] for c, count in outer.items()):
            return self.visit(body, otherwise)  # of what reads the other stage, some is elsewhere
        for c, (here, there) in readers.items():
            a, b = c.split() if here and there else (c, None) if here else (None, c)
            producer, consumer = self.redirected(producer, c, a), self.redirected(consumer, c, b)
            if c.parts:
                self.known(c.parts[0], producer)
                self.known(c.parts[1], consumer)
        consumer = _limited(consumer, loop, own, of_producer=False)
        self.known(own, consumer)
        consumer = self.visit(consumer, scope)
        channels = tuple(own.leaves())
        producer = _announced(producer, unit, channels)
        for c in channels:
            producer = _limited(producer, loop, c, of_producer=True)
        producer = self.visit(producer, scope)
        alone = body
        for c in outer:
            alone = self.all_of(alone, c)
        counts = [(c.ready, 0) for c in channels] + [(c.room, room) for c in channels if room is not None]
        return Fork(tuple(counts), producer, consumer, alone)

    # Channels of the forks around

    def known(self, c: _Channel, readers: Stmt) -> None:
        """`c` is what `readers` wait for."""
        self.channels |= {c.ready: c, c.room: c}
        self.counts[c] = sum(isinstance(t, Acquire) and t.semaphore is c.ready for t in _all(readers))

    def operations(self, s: Stmt) -> dict[_Channel, int]:
        """The channels that `s` waits for, and at how many places."""
        found: dict[_Channel, int] = {}
        for t in _all(s):
            if isinstance(t, Acquire | Release):
                c = self.channels[t.semaphore]
                found[c] = found.get(c, 0) + isinstance(t, Acquire)
        return found

    def redirected(self, s: Stmt, c: _Channel, to: _Channel | None) -> Stmt:
        """`s` with `to` in place of `c`; without it if that is None."""
        if isinstance(s, Acquire | Release):
            if s.semaphore not in (c.ready, c.room):
                return s
            if to is None:
                return Block(())
            return s.replace(semaphore=to.ready if s.semaphore is c.ready else to.room)
        return map_stmt(s, lambda t: self.redirected(t, c, to))

    def all_of(self, s: Stmt, c: _Channel) -> Stmt:
        """`s` waiting for all that `c` has become."""
        if isinstance(s, Acquire | Release) and s.semaphore in (c.ready, c.room):
            return block(*(self.redirected(s, c, leaf) for leaf in c.leaves()))
        return map_stmt(s, lambda t: self.all_of(t, c))

    # Refusals

    def waiting(self, unit: Unit, a: Array) -> ScheduleError:
        """It would read, in its thread, what the other one computes."""
        name = min(u.name for u in unit)
        why = (
            f"it reads {a.name}, which is computed between where {name} is kept and where it is computed, in the thread "
            "of its readers"
        )
        legal = (f"{a.name}.compute_root()", f"{a.name}.compute_at({name}, v)", f"{a.name}.async_(), stored outside")
        return self.refused(unit, why, legal[0], legal)

    def refused(self, unit: Unit, why: str, hint: str, legal: tuple[str, ...] = ()) -> ScheduleError:
        f: Function = min((self.functions[u] for u in unit), key=lambda f: f.name)
        return ScheduleError(f"{f.name}.async_(): {why}", loc=f.compute.loc or f.loc, legal=legal, hint=hint)


# The halves


def _is_site(s: Stmt, unit: Unit) -> bool:
    """Whether `s` is a production of the unit, perhaps under a condition."""
    return not unit.isdisjoint(_made(s))


def _keep(s: Stmt, unit: Unit) -> Stmt:
    """Of `s` the productions of the unit, what they wait for, and the loops round them."""
    if _is_site(s, unit) or isinstance(s, Acquire | Release | Prefetch):
        return s
    match s:
        case Block():
            return block(*(_keep(t, unit) for t in s.stmts))
        case If():
            then, orelse = _keep(s.then, unit), None if s.orelse is None else _keep(s.orelse, unit)
            if orelse is not None and _is_empty(orelse):
                orelse = None
            return Block(()) if orelse is None and _is_empty(then) else If(s.cond, then, orelse, s.likely)
        case For() | Let() | Realize() | Hoist():
            body = _keep(s.body, unit)
            return _round(s, body)
        case Produce():  # of a reader: its loops
            return _keep(s.body, unit)
    return Block(())


def _strip(s: Stmt, unit: Unit, channel: _Channel) -> Stmt:
    """`s` without the productions of the unit: it waits for each before the first statement that reads it."""
    stmts = s.stmts if isinstance(s, Block) else (s,)
    if any(_is_site(t, unit) for t in stmts):
        rest = [_strip(t, unit, channel) for t in stmts if not _is_site(t, unit)]
        first = next((k for k, t in enumerate(rest) if _reads_any(t, unit)), len(rest))
        return block(*rest[:first], Acquire(channel.ready), *rest[first:])
    if isinstance(s, Realize | Hoist):
        return _round(s, _strip(s.body, unit, channel))
    return map_stmt(s, lambda t: _strip(t, unit, channel))


def _asking(s: Stmt) -> Stmt:
    """`s` asking for no memory that what stands beside it does not read."""
    if not isinstance(s, Block | Prefetch):
        return map_stmt(s, _asking)
    stmts = [t if isinstance(t, Prefetch) else _asking(t) for t in (s.stmts if isinstance(s, Block) else (s,))]
    read = {a for t in _all(block(*stmts)) for a in _read(t)}
    return block(*(t for t in stmts if not isinstance(t, Prefetch) or t.what in read))


def _round(s: For | Let | Realize | Hoist, body: Stmt) -> Stmt:
    """`s` round `body`, unless that does nothing or (of storage) nothing with it."""
    if _is_empty(body):
        return body
    if isinstance(s, Realize | Hoist) and not any(s.what in _read(t) or _makes(t, s.what) for t in _all(body)):
        return body
    return s.replace(body=body)


def _announced(s: Stmt, unit: Unit, channels: tuple[_Channel, ...]) -> Stmt:
    """`s` saying after each production of the unit that it is there."""
    stmts = s.stmts if isinstance(s, Block) else (s,)
    last = max((k for k, t in enumerate(stmts) if _is_site(t, unit)), default=-1)
    if last >= 0:
        return block(*stmts[: last + 1], *(Release(c.ready) for c in channels), *stmts[last + 1 :])
    return map_stmt(s, lambda t: _announced(t, unit, channels))


def _limited(s: Stmt, loop: For | None, channel: _Channel, of_producer: bool) -> Stmt:
    """`s` with each iteration of `loop` taking room, or giving it back."""
    if loop is None:
        return s
    if isinstance(s, For) and s.var is loop.var and any(_waits(t, channel.ready) for t in _all(s)):
        if of_producer:
            return s.replace(body=block(Acquire(channel.room), s.body))
        return s.replace(body=block(s.body, Release(channel.room)))
    return map_stmt(s, lambda t: _limited(t, loop, channel, of_producer))


def _first_loop(s: Stmt, unit: Unit) -> For | None:
    """The outermost loop round a production of the unit."""
    if isinstance(s, For):
        return s if _produces(s, unit) else None
    return next((loop for t in substmts(s) if (loop := _first_loop(t, unit)) is not None), None)


def _turns(s: Stmt, what: Array, loops: tuple[For, ...], varying: Collection[Expr]) -> For | None:
    """The innermost loop round the storage of `what`, if each of its iterations uses the next place of the ring: there is
    one such storage, in rectangular loops, with no condition but in the innermost one."""
    match s:
        case Realize() if s.what is what:
            return loops[-1] if loops and s.ahead is None else None
        case For():
            if not all(free_vars(e).isdisjoint(varying) and not any(reads((e,))) for e in (s.lo, s.extent)):
                return None
            return _turns(s.body, what, (*loops, s), {*varying, s.var})
        case Let():
            moves = not free_vars(s.value).isdisjoint(varying) or any(reads((s.value,)))
            return _turns(s.body, what, loops, {*varying, s.var} if moves else varying)
        case Produce() | Realize() | Hoist():
            return _turns(s.body, what, loops, varying)
        case If() | Block():
            inside = [t for t in substmts(s) if any(isinstance(u, Realize) and u.what is what for u in _all(t))]
            found = _turns(inside[0], what, loops, varying) if len(inside) == 1 else None
            return found if isinstance(s, Block) or (loops and found is loops[-1]) else None
    return None


# What statements do


def _all(s: Stmt) -> Iterator[Stmt]:
    todo = [s]
    while todo:
        s = todo.pop()
        yield s
        todo += substmts(s)


def _made(s: Stmt) -> set[Array]:
    """What `s` produces if it is a production, perhaps under a condition."""
    while isinstance(s, If) and s.orelse is None:
        s = s.then
    return {s.what} if isinstance(s, Produce) else set()


def _is_empty(s: Stmt) -> bool:
    return isinstance(s, Block) and not s.stmts


def _waits(s: Stmt, semaphore: Semaphore) -> bool:
    return isinstance(s, Acquire | Release) and s.semaphore is semaphore


def _makes(s: Stmt, what: Array) -> bool:
    return isinstance(s, Produce) and s.what is what


def _produces(s: Stmt, unit: Unit) -> bool:
    return any(isinstance(t, Produce) and t.what in unit for t in _all(s))


def _read(s: Stmt) -> set[Array]:
    """The Arrays that `s` itself reads (or gives to a function that may)."""
    found = {r.array for r in reads(exprs(s))}
    return found | {*s.inputs, s.outputs} if isinstance(s, Extern) else found


def _between(body: Stmt, producer: Stmt) -> list[Array]:
    """What `producer` reads of what the rest of `body` computes."""
    made = {t.what for t in _all(body) if isinstance(t, Produce)}
    made -= {t.what for t in _all(producer) if isinstance(t, Produce)}
    return sorted({a for t in _all(producer) for a in _read(t) & made}, key=lambda a: a.name)


def _reads_any(s: Stmt, unit: Unit) -> bool:
    return any(not unit.isdisjoint(_read(t)) for t in _all(s))
