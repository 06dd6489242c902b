"""Fold storage: along an axis that slides, keep only as many points as one iteration touches.

If in every iteration of a serial loop between storage and computation the touched box of an axis moves one way and
spans at most n points, its storage becomes a circular buffer of n rounded up to a power of two (or what `fold_storage`
asks for; whether that is enough is tested at entry where only a call can tell): point i lies at i mod n. If the
boxes of different iterations have no point in common, the loops inside may fold another axis in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, reads
from ..ir.facts import arrays_read, const_bounds, free_vars
from ..ir.interval import Range, monotonic, upper
from ..ir.pipeline import Function, Pipeline
from ..ir.stmt import Block, Extern, For, Hoist, If, Let, Produce, Provide, Realize, Stmt, substmts
from ..types import index
from .boxes import Box, Boxes, boxes_of_exprs, extent_of, last_of, touched
from .walk import exprs, map_stmt

_FURTHEST = 64  # iterations in front of its readers: more does not pay
_WIDEST = 2**16  # what is only known to be below the largest extent of an array is no window


def fold_storage(s: Stmt, p: Pipeline) -> tuple[Stmt, Boxes]:
    """`s` with folded storage, and how many entries at a time each fold that was asked for must have room for, where
    only a call knows that: ("fold", array) -> (most, most) an axis, in terms of the variables of the root."""
    functions = {f.array: f for f in p.functions}

    def visit(t: Stmt) -> tuple[Stmt, Boxes]:
        room = Boxes()

        def inside(child: Stmt) -> Stmt:
            child, inner = visit(child)
            room.merge(_outside(t, inner))
            return child

        t = map_stmt(t, inside)
        return _fold(t, functions[t.what], room) if isinstance(t, Realize) else (t, room)

    return visit(s)


def _outside(s: Stmt, boxes: Boxes) -> Boxes:
    """`boxes` of a statement directly inside `s`, in terms of the variables around `s`."""
    match s:
        case For():
            return boxes.over(Range(s.var, s.lo, last_of(s.lo, s.extent)))
        case Let():
            return boxes.let({s.var: s.value})
    return boxes


@dataclass(frozen=True)
class _Sliding:
    """Axis `axis` moves one way with `loop`, an iteration of which touches its entries `box` (first and last). `lets` are
    defined between the storage and the loop."""

    axis: int
    loop: For
    lets: tuple[Let, ...]
    box: tuple[Expr, Expr]

    @property
    def span(self) -> Expr:
        return extent_of(*self.box)

    def spanning(self, ahead: int) -> int | None:
        """At most how many entries are touched while one thread is in an iteration and another `ahead` of it in front."""
        (lo, hi), later = self.box, {self.loop.var: A.add(self.loop.var, Const(ahead, index))}
        ends = (lo, A.substitute(hi, later)), (A.substitute(lo, later), hi)
        found = [const_bounds(extent_of(*e))[1] for e in (self.box, *ends)]
        return None if None in found else max(int(n) for n in found if n is not None)

    def ahead(self, size: int) -> int:
        """How many iterations may lie between two threads that use the same `size` entries in turns."""
        for n in range(1, _FURTHEST + 1):
            needed = self.spanning(n)
            if needed is None or needed > size:
                return n - 1
        return _FURTHEST

    @property
    def apart(self) -> bool:
        """Whether no entry is touched in more than one iteration."""
        (lo, hi), following = self.box, {self.loop.var: A.add(self.loop.var, Const(1, index))}
        gaps = A.sub(A.substitute(lo, following), hi), A.sub(lo, A.substitute(hi, following))
        return any(least is not None and least > 0 for least, _ in map(const_bounds, gaps))

    @property
    def most(self) -> Expr | None:
        """The most that any iteration touches, in terms of the variables round the storage."""
        most = upper(self.span, Range(self.loop.var, self.loop.lo, last_of(self.loop.lo, self.loop.extent)))
        for let in reversed(self.lets):
            most = most and A.substitute(most, {let.var: let.value})
        return most


def _fold(s: Realize, f: Function, room: Boxes) -> tuple[Realize, Boxes]:
    if f.states and f.store is None and not f.fold and not f.debug_file:
        return s.replace(fold=((0, 2),) if _last_alone(s.body, f, s.what) else ()), room
    found = None if f.store is None else _sliding(s.body, s.what)
    if not f.fold:
        if f.debug_file:
            return s, room
        return _double(s, found) if f.asynchronous else s.replace(fold=tuple(_automatic(s, found))), room
    d, n, loc = next((e for e in f.fold if found is None or e[0] != found.axis), f.fold[0])
    if found is None or d != found.axis:
        raise ScheduleError(f"fold_storage: nothing moves along axis {f.vars[d].name} of {f.name} between its storage "
                            "and its computation", loc=loc,
                            hint="store it outside of a serial loop that it is computed in")  # fmt: skip
    least, most = const_bounds(found.span)
    if least is not None and n < least:
        raise ScheduleError(f"fold_storage: {f.name} needs {least} points of axis {f.vars[d].name}, not {n}", loc=loc,
                            hint=f'fold_storage("{f.vars[d].name}", {least if most is None else most})')  # fmt: skip
    if most is None or n < most:
        zero = Const(0, index)
        needed = found.most
        room.touch("fold", s.what, tuple((needed, needed) if e == d else (zero, zero) for e in range(s.what.ndim)))
    return s.replace(fold=((d, n),), ahead=found.ahead(n) if f.asynchronous else None), room


def _double(s: Realize, found: _Sliding | None) -> Realize:
    """Folded so that a thread may fill in what the next iteration reads while another is in this one; if it slides."""
    most = None if found is None else found.spanning(1)
    if found is None or most is None or not 0 < most <= _WIDEST:
        return s
    size = 1 << (most - 1).bit_length()
    full = const_bounds(s.bounds[found.axis][1])[1]
    if full is not None and size >= full:
        return s
    return s.replace(fold=((found.axis, size),), ahead=found.ahead(size))


def _last_alone(s: Stmt, f: Function, what: Array) -> bool:
    """Whether of the state `f` of a scan nothing but the last step is read outside of the steps, which touch two of it."""
    if isinstance(s, Produce) and s.what.name in f.states:
        return True
    if isinstance(s, Let | Realize | Hoist):
        return _last_alone(s.body, f, what)
    if isinstance(s, Block):
        return all(_last_alone(t, f, what) for t in s.stmts)
    box = boxes_inside(s, what, ()).get(("read", what))
    if box is None:
        return True
    lo, hi = box[0]
    return lo is not None and hi is not None and const_bounds(extent_of(lo, hi))[1] == 1


def _automatic(s: Realize, found: _Sliding | None) -> Iterator[tuple[int, int]]:
    """What is folded without being asked for: (axis, size), along the first loop and, as long as iterations share
    nothing, along those inside."""
    while found is not None:
        most = const_bounds(found.span)[1]
        if most is None or not 0 < most <= _WIDEST:
            return
        size = 1 << (int(most) - 1).bit_length()
        full = const_bounds(s.bounds[found.axis][1])[1]
        if full is None or size < full:
            yield found.axis, size
        found = _sliding(found.loop.body, s.what) if found.apart else None


def _sliding(t: Stmt, what: Array) -> _Sliding | None:
    """The axis of `what` that moves with the first loop that contains everything, and what an iteration touches."""
    lets: list[Let] = []
    while isinstance(t, Let | If | Realize | Block | Produce):
        if isinstance(t, Block):
            users = [c for c in t.stmts if _uses(c, what)]
            if len(users) != 1:
                return None
            t = users[0]
            continue
        if isinstance(t, If):
            if t.orelse is not None and _uses(t.orelse, what):
                return None
            t = t.then
            continue
        if isinstance(t, Let):
            lets.append(t)
        t = t.body
    if not isinstance(t, For) or t.kind != "serial":
        return None
    if not _produced_inside(t.body, what):
        return None
    box = _touched(t.body, what)
    moving = [d for d, (lo, hi) in enumerate(box) if lo is None or hi is None or t.var in free_vars(lo) | free_vars(hi)]
    if len(moving) != 1 or _at_once(t.body, what, moving[0], frozenset()):
        return None
    lo, hi = box[moving[0]]
    if lo is None or hi is None:
        return None
    directions = {monotonic(lo, t.var), monotonic(hi, t.var)}
    if None in directions or {1, -1} <= directions:
        return None
    return _Sliding(moving[0], t, tuple(lets), (lo, hi))


def _at_once(s: Stmt, what: Array, d: int, lanes: frozenset[Expr]) -> bool:
    """Whether neighbours along axis d are accessed as one vector, or given as one array to an extern stage: wrapping
    round would tear it apart."""
    if isinstance(s, Extern):
        regions = ((s.outputs, s.box), *zip(s.inputs, s.function.required(s.box), strict=True))
        return any(a is what and const_bounds(box[d][1])[1] != 1 for a, box in regions)
    if isinstance(s, For) and s.kind == "vectorize":
        lanes |= {s.var}
    if isinstance(s, Let) and not lanes.isdisjoint(free_vars(s.value)):
        lanes |= {s.var}
    if isinstance(s, Provide) and s.what is what and not lanes.isdisjoint(free_vars(s.indices[d])):
        return True
    if _reads(s, what) and any(
        r.array is what and not lanes.isdisjoint(free_vars(r.indices[d])) for r in reads(exprs(s))
    ):
        return True
    return any(_at_once(t, what, d, lanes) for t in substmts(s))


def _produced_inside(s: Stmt, what: Array) -> bool:
    stack = [s]
    while stack:
        t = stack.pop()
        if isinstance(t, Produce) and t.what is what:
            return True
        stack.extend(substmts(t))
    return False


def _uses(s: Stmt, what: Array) -> bool:
    stack = [s]
    while stack:
        t = stack.pop()
        if isinstance(t, Produce) and t.what is what:
            return True
        if isinstance(t, Extern) and what in t.inputs:
            return True
        if _reads(t, what):
            return True
        stack.extend(substmts(t))
    return False


def _reads(s: Stmt, what: Array) -> bool:
    """Whether an expression of `s` itself reads `what`."""
    return any(what in arrays_read(e) for e in exprs(s))


def _touched(s: Stmt, what: Array) -> Box:
    """What `s` reads or writes of `what`, in terms of the variables around it."""
    boxes = boxes_inside(s, what, ())
    both = Boxes()
    for (kind, a), box in boxes.items():
        if kind != "self":
            both.touch("touch", a, box)
    return both[("touch", what)]


def boxes_inside(s: Stmt, what: Array, under: tuple[Expr, ...]) -> Boxes:
    boxes = Boxes()
    match s:
        case For():
            boxes = boxes_inside(s.body, what, under).over(Range(s.var, s.lo, last_of(s.lo, s.extent)))
        case Let():
            boxes = boxes_inside(s.body, what, under).let({s.var: s.value})
        case If():
            boxes = boxes_inside(s.then, what, (*under, *A.conjuncts(s.cond)))
            if s.orelse is not None:
                boxes.merge(boxes_inside(s.orelse, what, (*under, *A.conjuncts(A.not_(s.cond)))))
        case Provide():
            if s.what is what or _reads(s, what):
                boxes = touched(s, under)
        case Extern():
            for a, needed in zip(s.inputs, s.function.required(s.box), strict=True):
                boxes.touch("read", a, tuple((lo, last_of(lo, n)) for lo, n in needed))
        case _:
            for t in substmts(s):
                boxes.merge(boxes_inside(t, what, under))
            if isinstance(s, Produce) and s.what is what:
                boxes.touch(
                    "write", what, tuple((m, last_of(m, n)) for m, n in zip(what.mins, what.extents, strict=True))
                )
    own = Boxes()
    for (kind, a), box in (
        *boxes_of_exprs(exprs(s) if not isinstance(s, Provide) else (), under).items(),
        *boxes.items(),
    ):
        if a is what:
            own.touch(kind, a, box)
    return own
