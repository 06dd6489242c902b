"""Inject memoization: a memoized stage is looked up where its storage begins, and computed only if it is not there.

    alloc f: produce g; produce f; s    ->    alloc f: memoize f by k, img:
                                                produce g; produce f: if f_missed: {...; keep f}; s

It is looked up before anything is produced at that site, so that what only `f` reads (`g`) need not be computed either:
`skip_stages` sees to that. The key is all that its values follow from: the parameters and extents that it and its
producers mention, and the part of each input that these definitions read for the region at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Var, walk
from ..ir.pipeline import ROOT, Definition, Function, Pipeline
from ..ir.stmt import Block, For, Hoist, If, Keep, Let, Memoize, Produce, Realize, Stmt, block, substmts
from ..schedule.loops import Loops
from ..schedule.rewrite import read_by
from ..types import bool_, index
from .boxes import extent_of
from .build_nest import build_nest
from .checks import closed_boxes
from .infer_bounds import infer_bounds
from .walk import exprs, map_stmt

Box = tuple[tuple[Expr, Expr], ...]


def inject_memoization(s: Stmt, p: Pipeline) -> Stmt:
    memoized = {f.array: _Memoized(f, k, p) for k, f in enumerate(p.functions) if f.memoized is not None}
    return _visit(s, memoized, _Around()) if memoized else s


class _Memoized:
    """A Function whose values are kept, the `stage`-th of its pipeline, with what they follow from: variables, and boxes
    of inputs in terms of these and of its region."""

    def __init__(self, f: Function, stage: int, p: Pipeline) -> None:
        self.function, self.stage = f, stage
        sub = _upstream(f, p)
        nest, boxes = infer_bounds(build_nest(sub), sub)
        self.variables = tuple(_free(nest, {*f.array.mins, *f.array.extents}))
        needed = closed_boxes(nest, boxes)
        self.inputs = tuple(a for a in p.inputs if ("read", a) in needed)
        self.boxes = tuple(tuple(_clipped(a, needed["read", a])) for a in self.inputs)

    @property
    def key(self) -> Expr | None:
        return self.function.memoized[0] if self.function.memoized else None

    def refuse(self, reason: str, hint: str) -> ScheduleError:
        loc = self.function.memoized[1] if self.function.memoized else None
        return ScheduleError(f"{self.function.name}.memoize: {reason}", loc=loc, hint=hint)


def _upstream(f: Function, p: Pipeline) -> Pipeline:
    """The pipeline that ends in `f`, in plain loops."""
    by_array = {g.array: g for g in p.functions}
    needed, todo = {f.array}, [f]
    while todo:
        for a in read_by(todo.pop()) - needed:
            needed.add(a)
            todo += [by_array[a]] if a in by_array else []
    functions = (_plain(g) for g in p.functions if g.array in needed)
    return Pipeline(tuple(functions), (f.name,), p.inputs, p.params, places=p.places)


def _plain(f: Function) -> Function:
    bare = Function(
        f.name, f.vars, f.types, f.array, (), ROOT, domain=f.domain, extern=f.extern, fastmath=f.fastmath, loc=f.loc
    )
    return replace(bare, definitions=tuple(_plain_loops(d, f) for d in f.definitions))


def _plain_loops(d: Definition, f: Function) -> Definition:
    return replace(d, loops=Loops.of(d, f), specializations=(), atomic=False)


def _free(s: Stmt, bound: set[Var]) -> Iterator[Var]:
    """The variables in `s` that nothing in it binds, each once, but for those `bound`."""
    stmts, used = [s], dict[Var, None]()
    bound = set(bound)
    for t in stmts:
        if isinstance(t, For | Let):
            bound.add(t.var)
        used.update((e, None) for e in walk(exprs(t)) if isinstance(e, Var))
        stmts += substmts(t)
    return (v for v in used if v not in bound)


def _clipped(a: Array, box: tuple[tuple[Expr | None, Expr | None], ...]) -> Iterator[tuple[Expr, Expr]]:
    """The part of the array in `box`, as lo and extent an axis: nothing is read outside of it."""
    for (lo, hi), n in zip(box, a.extents, strict=True):
        first = Const(0, index) if lo is None else A.maximum(lo, Const(0, index))
        end = A.sub(n, Const(1, index))
        yield first, extent_of(first, end if hi is None else A.minimum(hi, end))


@dataclass(frozen=True)
class _Around:
    """What is around a statement: the vectorised loop, and the Arrays stored there, inside of all loops or further out."""

    vector: str = ""
    here: frozenset[Array] = frozenset()
    outside: frozenset[Array] = frozenset()

    def loop(self, s: For) -> _Around:
        return _Around(s.label if s.kind == "vectorize" else self.vector, frozenset(), self.here | self.outside)

    def store(self, a: Array) -> _Around:
        return replace(self, here=self.here | {a}, outside=self.outside - {a})


def _visit(s: Stmt, memoized: dict[Array, _Memoized], around: _Around) -> Stmt:
    if isinstance(s, For):
        return s.replace(body=_visit(s.body, memoized, around.loop(s)))
    if isinstance(s, Realize):
        return _site(s, memoized, around)
    if isinstance(s, Produce) and s.what in memoized:
        return _produced(s.replace(body=_visit(s.body, memoized, around)), memoized[s.what], around)
    return map_stmt(s, lambda t: _visit(t, memoized, around))


def _site(s: Stmt, memoized: dict[Array, _Memoized], around: _Around) -> Stmt:
    """Storage, then what is memoized of it is looked up, readers first, then `s` goes on."""
    stores: list[Realize | Hoist] = []
    while isinstance(s, Realize | Hoist):
        stores.append(s)
        around = around.store(s.what) if isinstance(s, Realize) else around
        s = s.body
    s = _visit(s, memoized, around)
    for r in stores:
        if isinstance(r, Realize) and r.what in memoized:
            s = _looked_up(r, memoized[r.what], s)
    for r in reversed(stores):
        s = r.replace(body=s)
    return s


def _looked_up(r: Realize, m: _Memoized, body: Stmt) -> Memoize:
    missed = Var(f"{r.what.name}_missed", bool_)
    region = tuple(zip(r.what.mins, r.what.extents, strict=True))
    body = _when_missed(body, r.what, missed)
    return Memoize(r.what, missed, m.stage, region, m.variables, m.inputs, m.boxes, body, m.key)


def _when_missed(s: Stmt, what: Array, missed: Var) -> Stmt:
    """`s` with `what` computed, and then kept, only if it was `missed`."""
    if isinstance(s, Produce) and s.what is what:
        return s.replace(body=If(missed, block(s.body, Keep(missed))))
    return map_stmt(s, lambda t: _when_missed(t, what, missed)) if isinstance(s, Block | Memoize) else s


def _produced(s: Produce, m: _Memoized, around: _Around) -> Produce:
    """Refuse what a stage that is not computed each time would make wrong."""
    if around.vector:
        raise m.refuse(f"it is computed in the lanes of the vectorised loop {around.vector}",
                       "compute it outside of that loop")  # fmt: skip
    for a in _produced_in(s.body, frozenset()):
        if a in around.outside:
            raise m.refuse(f"{a.name} is computed inside of it, which does not happen each time, but is kept further out",
                           f"{a.name}.compute_at(...) without store_at")  # fmt: skip
    return s


def _produced_in(s: Stmt, stored: frozenset[Array]) -> Iterator[Array]:
    """The Arrays that are produced in `s`, but stored outside of it."""
    if isinstance(s, Realize):
        stored |= {s.what}
    elif isinstance(s, Produce) and s.what not in stored:
        yield s.what
    for t in substmts(s):
        yield from _produced_in(t, stored)
