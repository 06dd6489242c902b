"""Infer bounds: how much of each Function its readers need, at every site where it is computed.

From the last statement of a site to the first, the boxes that are read are collected (`Boxes`), the variables of inner
loops eliminated by intervals; then the region of each Function (`mins`, `extents` of its Array) is defined round its
production, in terms of its readers' regions at that site:

    let g.min[0] = f.min[0] - 1; let g.extent[0] = f.extent[0] + 2; produce g ...; f ... reads g
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

from ..errors import BoundsError, Location
from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Lin, Op, Var
from ..ir.facts import const_bounds, free_vars
from ..ir.interval import Range
from ..ir.pipeline import Function, Pipeline
from ..ir.stmt import Block, Extern, For, Hoist, If, Let, Prefetch, Produce, Provide, Realize, Stmt, Stream, block
from ..types import index
from .boxes import NOTHING, Box, Boxes, End, boxes_of_exprs, clamped, extent_of, implied, join, last_of, touched
from .outputs import reads_of


def infer_bounds(s: Stmt, p: Pipeline) -> tuple[Stmt, Boxes]:
    """Define the region of every Function and size every Realize. Also gives the boxes that the root reads of the
    inputs and writes of the outputs, in terms of the regions defined there."""
    functions = {f.array: f for f in p.functions}
    inference = _Inference(p, functions)
    stmt, lets, boxes = inference.site(s, ())
    return wrap(lets, stmt), boxes


Lets = list[tuple[Var, Expr]]


class _Inference:
    def __init__(self, p: Pipeline, functions: dict[Array, Function]) -> None:
        self.p, self.functions = p, functions
        self.outputs = {f.array for f in p.functions if f.name in p.outputs}
        self.loops: set[Expr] = set()  # variables of loops,
        self.made: set[Expr] = set()  # and those that are made of several

    def visit(self, s: Stmt, under: tuple[Expr, ...]) -> tuple[Stmt, Boxes]:
        """`s` with regions defined, and what it touches where the conditions `under` hold."""
        match s:
            case Provide():
                return s, touched(s, under)
            case For():
                self.loops.add(s.var)
                body, boxes = self.visit(s.body, under)
                mine = boxes_of_exprs((s.lo, s.extent), under)
                r = Range(s.var, s.lo, A.sub(A.add(s.lo, s.extent), Const(1, index)))
                return s.replace(body=body), mine.merge(boxes.over(r))
            case Let():
                self.made.add(s.var)
                body, boxes = self.visit(s.body, under)
                mine = boxes_of_exprs((s.value,), under)
                return s.replace(body=body), mine.merge(boxes.let({s.var: s.value}).where(under, s.value))
            case If():
                then, boxes = self.visit(s.then, self._under(under, s.cond))
                orelse = None
                if s.orelse is not None:
                    orelse, other = self.visit(s.orelse, self._under(under, A.not_(s.cond)))
                    boxes.merge(other)
                return s.replace(then=then, orelse=orelse), boxes.merge(boxes_of_exprs((s.cond,), under))
            case Extern():
                return s, self._extern(s)
            case Stream():
                body, boxes = self.visit(s.body, under)
                return s.replace(body=body), boxes
            case Prefetch():  # what is asked for need not be there
                return s, Boxes()
        stmt, lets, boxes = self.site(s, under)
        return wrap(lets, stmt), boxes.let(closed(lets))

    def _under(self, under: tuple[Expr, ...], cond: Expr) -> tuple[Expr, ...]:
        """The conditions where `cond` holds, too, and what they say together."""
        all_ = (*under, *A.conjuncts(cond))
        return (*dict.fromkeys((*all_, *implied(all_, self.made, self.loops | self.made))),)

    def site(self, s: Stmt, under: tuple[Expr, ...]) -> tuple[Stmt, Lets, Boxes]:
        """Storage, then productions and what reads them: regions are defined from the last reader to the first producer.
        The definitions go round all of it; the boxes are in terms of what they define."""
        stores: list[Realize | Hoist] = []
        while isinstance(s, Realize | Hoist):
            stores.append(s)
            s = s.body
        result: Stmt | None = None
        boxes, lets, known = Boxes(), Lets(), dict[Var, Expr]()
        stepped: set[Array] = set()
        for t in reversed(s.stmts if isinstance(s, Block) else (s,)):
            if isinstance(t, Produce) and self.functions[t.what].states:
                inner = Boxes()
                if t.what not in stepped:  # the last state, with the steps of all
                    body, inner = self.visit(t.body, under)
                    t = t.replace(body=body)
                    states = [self.p[name].array for name in self.functions[t.what].states]
                    stepped.update(states)
                    lets += self._scanned(states, boxes, inner)
                inner.touch("write", t.what, _written(t.what))
            elif isinstance(t, Produce):
                region = self._region(t.what, boxes)
                body, inner = self.visit(t.body, under)
                own_reads = inner.pop(("read", t.what), None)
                if own_reads is not None:  # values taken before any is stored
                    inner.touch("own", t.what, own_reads)
                    inner.touch("self", t.what, own_reads)
                own = Boxes(boxes).merge(inner)  # of stages joined by compute_with the other's production has both
                lets += self._grow(t.what, region, own)
                t = t.replace(body=body)
                inner.touch("write", t.what, _written(t.what))
            else:
                t, inner = self.visit(t, under)
            if any(a.kind == "input" for _, a in inner):
                _close(known, lets)
                inner = inner.of_inputs(known)
            boxes = inner.merge(boxes)
            result = block(t, result)
        body = result or Block(())
        values = _close(known, lets) if stores else {}
        for r in reversed(stores):
            if isinstance(r, Realize):
                body = r.replace(body=body, bounds=self._storage(r.what, boxes, values))
            else:
                room = self._bounded(
                    r.what, Boxes({("room", r.what): boxes[("room", r.what)]}).let(values)["room", r.what]
                )
                body = r.replace(body=body, extents=tuple(n for _, n in room))
        return body, lets, boxes

    def _extern(self, s: Extern) -> Boxes:
        boxes = Boxes()
        for a, needed in zip(s.inputs, s.function.required(s.box), strict=True):
            boxes.touch("read", a, tuple((lo, last_of(lo, n)) for lo, n in needed))
        boxes.touch("write", s.outputs, tuple((lo, last_of(lo, n)) for lo, n in s.box))
        return boxes

    def _storage(self, what: Array, boxes: Boxes, values: dict[Var, Expr]) -> tuple[tuple[Expr, Expr], ...]:
        """What is written or read of `what` anywhere inside its storage."""
        touched = Boxes()
        for kind in ("write", "read", "own"):
            if (kind, what) in boxes:
                touched.touch("any", what, Boxes({("any", what): boxes.pop((kind, what))}).let(values)["any", what])
        boxes.pop(("self", what), None)
        box = touched["any", what]
        region = tuple((lo, extent_of(lo, hi)) for lo, hi in self._bounded(what, box))
        if self.functions[what].bound_storage or self.functions[what].hoist is not None:
            boxes.touch("room", what, tuple((n, n) for _, n in region))
        return region

    def _region(self, what: Array, boxes: Boxes) -> Lets:
        """The definitions of the region of `what`, from what is read of it after its production."""
        if what in self.outputs:
            return []
        box = boxes.get(("read", what))
        if box is not None and self.functions[what].domain:
            boxes.touch("domain", what, box)
        return self._region_of(what, box, boxes)

    def _region_of(self, what: Array, box: Box | None, boxes: Boxes) -> Lets:
        if box is None:
            return [(v, Const(0, index)) for v in (*what.mins, *what.extents)]
        f = self.functions[what]
        fixed = {axis: (lo, n) for axis, lo, n in f.bound}
        if fixed:
            boxes.touch("bound", what, box)
        lets = Lets()
        for d, (lo, hi) in enumerate(self._bounded(what, box)):
            lo, n = _aligned(f, d, lo, extent_of(lo, hi))
            first, n = fixed.get(d, (lo, n))
            lo = lo if first is None else first
            lets += [(what.mins[d], lo), (what.extents[d], n)]
        return lets

    def _grow(self, what: Array, region: Lets, inner: Boxes) -> Lets:
        """`region`, grown to what the updates of `what` read of it outside: computed too, though nobody else reads it.

        Where the stores are masked to the region, reads that stay in it need nothing; else the whole range read counts,
        which may not move with the region itself."""
        masked, whole = inner.get(("own", what)), inner.get(("self", what))
        if masked is None or whole is None or not region:
            return region
        own = {*what.mins, *what.extents}
        values = dict(region)
        some: dict[Var, Expr] = {n: Var(n.name, index, 0) for n in what.extents}  # of an empty region nothing is read
        grown = Lets()
        for d, ((lo, hi), (first, final)) in enumerate(zip(masked, whole, strict=True)):
            m, n = what.mins[d], what.extents[d]
            low, high = values[m], last_of(values[m], values[n])
            if lo is None or not _never_negative(A.sub(lo, m), some):
                low = A.minimum(low, self._own_free(what, d, first, own))
            if hi is None or not _never_negative(A.sub(last_of(m, n), hi), some):
                high = A.maximum(high, self._own_free(what, d, final, own))
            grown += [(m, low), (n, extent_of(low, high))]
        return grown

    def _scanned(self, states: list[Array], boxes: Boxes, inner: Boxes) -> Lets:
        """The regions of the states of a scan: what is read of them afterwards (`boxes`), and in the steps (`inner`).

        The axis of the steps goes from the start to what is asked for. Any other that is read in the steps as far as some
        axes go has one region with these: that covers what any of them is read at, and reads inside must stay in it."""
        after = {a: boxes.get(("read", a)) for a in states}
        within = {a: inner.pop(("read", a), None) for a in states}
        start = self.functions[states[0]].definitions[1].indices[0]
        steps: Box = ((start, start),)
        for box in after.values():
            steps = steps if box is None else join(steps, box[:1])
        axes = [(a, d) for a in states for d in range(1, a.ndim)]
        owner: dict[Expr, tuple[Array, int]] = {v: (a, d) for a, d in axes for v in (a.mins[d], a.extents[d])}
        group = {axis: {axis} for axis in axes}
        inside: dict[tuple[Array, int], tuple[Expr, Expr]] = {}
        for a, box in within.items():
            if box is not None:
                inner.touch("own", a, (*steps, *box[1:]))
                for d, ends in enumerate(self._bounded(a, (*steps, *box[1:]))[1:], 1):
                    inside[a, d] = ends
                    for v in free_vars(ends[0]) | free_vars(ends[1]):
                        if v in owner and group[owner[v]] is not group[a, d]:
                            joined = group[owner[v]] | group[a, d]
                            group.update(dict.fromkeys(joined, joined))
        region: dict[int, Box] = {}
        for joined in {id(g): g for g in group.values()}.values():
            members = [axis for axis in axes if axis in joined]
            parts: list[Box] = [(box[d],) for a, d in members if (box := after[a]) is not None]
            parts += [part for axis in members if axis in inside for part in self._beyond(axis, inside[axis], members)]
            region[id(joined)] = reduce(join, parts) if parts else ((Const(0, index), Const(-1, index)),)
        lets = Lets()
        for a in reversed(states):  # the loop over the steps is the last one's: where others read may depend on it
            whole = (*steps, *(e for d in range(1, a.ndim) for e in region[id(group[a, d])]))
            lets += self._region_of(a, whole, boxes)
            if (box := after[a]) is not None:
                boxes.touch("domain", a, box)
        return lets

    def _beyond(
        self, axis: tuple[Array, int], ends: tuple[Expr, Expr], members: list[tuple[Array, int]]
    ) -> Iterator[Box]:
        """What is read in the steps along `axis` that may lie outside of the one region of all `members`, whatever that is."""
        first, count = Var("first"), Var("count", index, 0)
        values: dict[Any, Expr] = {}
        for a, d in members:
            values |= {a.mins[d]: first, a.extents[d]: count}
        for name, end in (("min", ends[0]), ("max", ends[1])):
            for e in _least(name, end):
                e = A.substitute(e, values)
                gap = A.sub(e, first) if name == "min" else A.sub(last_of(first, count), e)
                if _never_negative(gap, {}):
                    continue
                far = _whatever(e, name == "min", (first, count))
                if far is None:
                    raise self._unbounded(*axis)
                yield ((far, NOTHING[1]) if name == "min" else (NOTHING[0], far),)

    def _own_free(self, what: Array, d: int, end: End, own: set[Var]) -> Expr:
        if end is None or not own.isdisjoint(free_vars(end)):
            raise self._unbounded(what, d)
        return end

    def _bounded(self, what: Array, box: Box) -> list[tuple[Expr, Expr]]:
        for d, (lo, hi) in enumerate(box):
            if lo is None or hi is None:
                raise self._unbounded(what, d)
        return list(box)  # type: ignore[arg-type]  # no end is None here

    def _unbounded(self, what: Array, d: int) -> BoundsError:
        return _unbounded_at(self.p, what, d, self.functions.get(what))


def unbounded(p: Pipeline, what: Array, d: int) -> BoundsError:
    """The error for an input that some definition reads at an index without bounds."""
    reader = next((f for f in p.functions for e in f.definitions for r in reads_of(e) if r.array is what), None)
    return _unbounded_at(p, what, d, reader)


def _unbounded_at(p: Pipeline, what: Array, d: int, f: Function | None) -> BoundsError:
    """The error stands at the access that is unbounded, or else at the definition of `f`."""
    accesses = [(r.indices[d], access) for r, access in p.places.items() if r.array is what]
    found: list[Location | None] = [
        access.loc for i, access in accesses if len(accesses) == 1 or None in clamped(i, ())
    ]
    return BoundsError(
        f"{what.name} is needed over an unbounded range of axis {d}",
        loc=found[0] if found else None if f is None else f.loc,
        hint="clamp the index: halo.clamp(i, lo, hi)",
    )


def _aligned(f: Function, d: int, lo: Expr, n: Expr) -> tuple[Expr, Expr]:
    """The region of axis d grown to what `align_bounds` and `align_extent` ask for."""
    for axis, modulus, remainder in f.align_bounds:
        if axis == d:
            m, r = Const(modulus, index), Const(remainder, index)
            first = A.add(A.mul(A.floordiv(A.sub(lo, r), m), m), r)
            lo, n = first, _round_up(A.add(n, A.sub(lo, first)), modulus)
    for axis, modulus in f.align_extent:
        if axis == d:
            n = _round_up(n, modulus)
    return lo, n


def _round_up(n: Expr, multiple: int) -> Expr:
    m = Const(multiple, index)
    return A.mul(A.floordiv(A.add(n, Const(multiple - 1, index)), m), m)


def _never_negative(e: Expr, facts: dict[Var, Expr]) -> bool:
    lo, _ = const_bounds(A.substitute(e, facts))
    return lo is not None and lo >= 0


def _whatever(e: Expr, low: bool, variables: tuple[Var, ...]) -> End:
    """What `e` is never below (`low`) or above, whatever the variables are."""
    if free_vars(e).isdisjoint(variables):
        return e
    if isinstance(e, Op) and e.name in ("min", "max"):
        ends = [_whatever(a, low, variables) for a in e.args]
        known = [x for x in ends if x is not None]
        if not known or (len(known) < len(ends) and low == (e.name == "min")):
            return None
        return reduce(A.minimum if e.name == "min" else A.maximum, known)
    if isinstance(e, Lin):
        total: Expr = Const(e.const, index)
        for atom, k in e.terms:
            bound = _whatever(atom, low == (k > 0), variables)
            if bound is None:
                return None
            total = A.add(total, A.mul(bound, Const(k, index)))
        return total
    lo, hi = const_bounds(e)
    bound_of = lo if low else hi
    return None if bound_of is None else Const(bound_of, index)


def _least(name: str, e: Expr) -> list[Expr]:
    """What `e` is the least (or the greatest) of."""
    if isinstance(e, Op) and e.name == name:
        return [x for a in e.args for x in _least(name, a)]
    if isinstance(e, Lin):
        for atom, k in e.terms:
            if k == 1 and isinstance(atom, Op) and atom.name == name:
                rest = A.sub(e, atom)
                return [x for a in _least(name, atom) for x in _least(name, A.add(a, rest))]
    return [e]


def _written(what: Array) -> Box:
    """The region of `what`, in terms of its own variables."""
    return tuple((m, last_of(m, n)) for m, n in zip(what.mins, what.extents, strict=True))


def closed(lets: Lets) -> dict[Var, Expr]:
    """What each definition comes to in terms of the variables outside all of them."""
    return _close({}, lets)


def _close(known: dict[Var, Expr], lets: Lets) -> dict[Var, Expr]:
    """`known`, which has the first of `lets`, with all of them."""
    for var, value in lets[len(known) :]:
        known[var] = A.substitute(value, known)
    return known


def wrap(lets: Lets, body: Stmt) -> Stmt:
    for var, value in reversed(lets):
        body = Let(var, value, body)
    return body
