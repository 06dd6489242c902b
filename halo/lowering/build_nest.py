"""Build the nest: one loop nest per stage, in schedule order, each Function produced and stored where it is placed.

The region of a Function is named by variables of its Array (`mins`, `extents`), which `infer_bounds` defines. At each
site (a loop of a stage, or the root) the Functions computed there are produced, producers first, before what reads them:

    for y: for x: f[y, x] = ...      ->      realize g: for y: produce g { for ...: g[...] = ... }; for x: f[y, x] = ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Read, Var, children, is_true
from ..ir.pipeline import Definition, Function, Pipeline, Place
from ..ir.stmt import Block, Extern, For, If, Let, Produce, Provide, Realize, Stmt, block
from ..types import index


def build_nest(p: Pipeline) -> Stmt:
    return _Nest(p).root()


@dataclass(frozen=True)
class _Loop:
    """One loop of a stage while its nest is made: iterations lo..lo+extent of `var`."""

    var: Var
    lo: Expr
    extent: Expr


@dataclass(frozen=True)
class _Derived:
    """A variable of the plain nest (or of an earlier op) as a function of loops: `var = value`, meant only where `guard`."""

    var: Var
    value: Expr
    guard: Expr | None
    needs: frozenset[Var]


class _Body:
    """A statement with the Arrays that it reads (outside their own production) and those that it produces."""

    def __init__(self, stmt: Stmt, reads: set[Array]) -> None:
        self.stmt, self.reads, self.made = stmt, reads, set[Array]()

    def prepend(self, other: _Body) -> None:
        self.stmt = block(other.stmt, self.stmt)
        self.reads |= other.reads
        self.made |= other.made

    def store(self, functions: list[Function]) -> None:
        """Storage round all of it, for those of the functions that are produced somewhere in it."""
        for f in reversed(functions):
            if f.array in self.made:
                self.stmt = Realize(f.array, (), self.stmt, f.memory)


class _Nest:
    def __init__(self, p: Pipeline) -> None:
        self.p = p
        self.roots: list[Function] = []
        self.placed: dict[tuple[str, str], list[Function]] = {}
        self.inner: list[Function] = []  # computed at the innermost loop of each reader
        for f in p.functions:
            if f.name in p.outputs or f.compute.kind == "root":
                self.roots.append(f)
            elif f.compute.kind == "inline":
                self.inner.append(f)
            for place in {f.compute, f.store or f.compute}:
                if place.kind == "at":
                    self.placed.setdefault((place.func, place.loop), []).append(f)

    def root(self) -> Stmt:
        body = _Body(Block(()), set())
        for f in reversed(self.roots):
            if f.name in self.p.outputs or f.array in body.reads:
                body.prepend(self.produce(f))
        stored = (f for f in self.p.functions if f.name not in self.p.outputs)
        body.store([f for f in stored if (f.store or f.compute).kind == "root"])
        _check_placed(self.p, body.stmt)
        return body.stmt

    def produce(self, f: Function) -> _Body:
        box = tuple(zip(f.array.mins, f.array.extents, strict=True))
        if f.extern is not None:
            body = _Body(Extern(f.extern, f.array, tuple(f.extern.arrays), box), set(f.extern.arrays))
        else:
            body = _Body(Block(()), set())
            for k in range(len(f.definitions) - 1, -1, -1):
                body.prepend(self.stage(f, k, f.definitions[k]))
        body.reads.discard(f.array)
        body.made.add(f.array)
        body.stmt = Produce(f.array, body.stmt)
        return body

    def stage(self, f: Function, k: int, d: Definition) -> _Body:
        if k == 0 and all(v is None for v in d.values):  # halo.undef: nothing is stored
            return _Body(Block(()), set())
        result = self.loops(f, k, d, d.loops)
        for cond, loops in reversed(d.specializations):
            special = self.loops(f, k, d, loops)
            special.stmt = If(cond, special.stmt, result.stmt)
            special.reads |= result.reads
            special.made |= result.made
            result = special
        return result

    def loops(self, f: Function, k: int, d: Definition, loops: Any) -> _Body:
        ranges, derived = _ranges(f, d, loops)
        leaf = self._leaf(f, k, d)
        body = _Body(leaf, set(_arrays(_all_exprs(leaf))))
        here = [g for g in self.inner if g.array is not f.array]
        for g in reversed(here):
            if g.array in body.reads:
                body.prepend(self.produce(g))
        body.store([g for g in here if g.array in body.made])
        order = [ranges[dim.name] for dim in loops.dims]
        for depth in range(len(order) - 1, -1, -1):
            dim, loop = loops.dims[depth], order[depth]
            self._site(f, k, dim.name, body)
            inside = _define(derived, [o.var for o in order[: depth + 1]], loop.var, body.stmt)
            body.stmt = For(loop.var, loop.lo, loop.extent, dim.kind, inside, dim.partition, f"{f.name}.{dim.name}")
        return body

    def _leaf(self, f: Function, k: int, d: Definition) -> Stmt:
        leaf: Stmt = Provide(f.array, d.indices, d.values, None, d.atomic)
        conditions = [] if d.pred is None else [d.pred]
        if k > 0:  # stores outside the region are masked: what is asked for is a part of the infinite Func
            for i, v, lo, n in zip(d.indices, f.vars, f.array.mins, f.array.extents, strict=True):
                if i is not v:
                    conditions += [A.le(lo, i), A.lt(i, A.add(lo, n))]
        return leaf if not conditions else If(A.all_of(conditions), leaf)

    def _site(self, f: Function, k: int, loop: str, body: _Body) -> None:
        """What is computed and stored at this loop of this stage, round `body`."""
        here = Place("at", f.name, loop, k)
        candidates = self.placed.get((f.name, loop), [])
        for g in reversed([g for g in candidates if _same_place(g.compute, here)]):
            if g.array in body.reads:
                body.prepend(self.produce(g))
        body.store([g for g in candidates if _same_place(g.store or g.compute, here)])


def _same_place(place: Place, here: Place) -> bool:
    if place.kind != here.kind:
        return False
    return place.kind == "root" or (
        place.func == here.func and place.loop == here.loop and place.stage in (None, here.stage)
    )


def _ranges(f: Function, d: Definition, loops: Any) -> tuple[dict[str, _Loop], list[_Derived]]:
    """The range of every loop, and how the variables that ops consumed follow from them (in the order of the ops)."""
    by_name: dict[str, _Loop] = {}
    for v, lo, n in zip(f.vars, f.array.mins, f.array.extents, strict=True):
        by_name[v.name] = _Loop(v, lo, n)
    for r in d.rvars:
        by_name[r.var.name] = _Loop(r.var, r.lo, r.extent)
    derived: list[_Derived] = []
    for op in loops.ops:
        kind = type(op).__name__
        if kind == "SplitOp":
            _split(op, by_name, derived)
        elif kind == "FuseOp":
            _fuse(op, by_name, derived)
        else:
            by_name[op.new] = by_name.pop(op.old)
    return by_name, derived


def _split(op: Any, by_name: dict[str, _Loop], derived: list[_Derived]) -> None:
    old = by_name.pop(op.old)
    factor = Const(op.factor, index) if isinstance(op.factor, int) else A.cast(op.factor, index)
    one = Const(1, index)
    inner = Var(op.inner, index, 0, op.factor - 1 if isinstance(op.factor, int) else None)
    tiles = A.floordiv(A.add(old.extent, A.sub(factor, one)), factor)
    outer = Var(op.outer, index, 0, tiles.value - 1 if isinstance(tiles, Const) else None)
    by_name[op.outer] = _Loop(outer, Const(0, index), tiles)
    by_name[op.inner] = _Loop(inner, Const(0, index), factor)
    base = A.mul(outer, factor)
    if op.tail == "shift_inwards":
        base = A.maximum(A.minimum(base, A.sub(old.extent, factor)), Const(0, index))
    value = A.add(A.add(base, inner), old.lo)
    end = A.add(old.lo, old.extent)
    fits = op.tail == "round_up" or is_true(A.lt(value, end))
    derived.append(_Derived(old.var, value, None if fits else A.lt(old.var, end), frozenset((outer, inner))))


def _fuse(op: Any, by_name: dict[str, _Loop], derived: list[_Derived]) -> None:
    outer, inner = by_name.pop(op.outer), by_name.pop(op.inner)
    fused = Var(op.fused, index, 0)
    by_name[op.fused] = _Loop(fused, Const(0, index), A.mul(outer.extent, inner.extent))
    derived.append(_Derived(outer.var, A.add(A.floordiv(fused, inner.extent), outer.lo), None, frozenset((fused,))))
    derived.append(_Derived(inner.var, A.add(A.mod(fused, inner.extent), inner.lo), None, frozenset((fused,))))


def _define(derived: list[_Derived], known: list[Var], newest: Var, body: Stmt) -> Stmt:
    """Wrap `body` in the definitions (and guards) that become possible once loop `newest` is entered."""
    have, before = _closure(derived, known), _closure(derived, [v for v in known if v is not newest])
    for d in derived:  # an op's value uses what later ops define, so later ones end up outermost
        if d.var in have and d.var not in before:
            if d.guard is not None:
                body = If(d.guard, body, likely=True)
            body = Let(d.var, d.value, body)
    return body


def _closure(derived: list[_Derived], known: list[Var]) -> set[Var]:
    have = set(known)
    for d in reversed(derived):
        if d.needs <= have:
            have.add(d.var)
    return have


# Which arrays are read -----------------------------------------------------------------------------------------------


def _arrays(roots: list[Expr]) -> set[Array]:
    """The Arrays read anywhere under the expressions."""
    seen: set[Expr] = set()
    stack, found = list(roots), set[Array]()
    while stack:
        e = stack.pop()
        if e not in seen:
            seen.add(e)
            stack.extend(children(e))
            if isinstance(e, Read):
                found.add(e.array)
    return found


def _all_exprs(s: Stmt) -> list[Expr]:
    match s:
        case For():
            return [s.lo, s.extent]
        case Let():
            return [s.value]
        case If():
            return [s.cond, *_all_exprs(s.then)]
        case Provide():
            return [*s.indices, *(v for v in s.values if v is not None)]
    return []


def _check_placed(p: Pipeline, body: Stmt) -> None:
    """Every read of a Function happens inside its storage."""
    outputs = frozenset(f.array for f in p.functions if f.name in p.outputs)
    functions = {f.array: f for f in p.functions}
    stack: list[tuple[Stmt, frozenset[Array]]] = [(body, outputs)]
    while stack:
        s, stored = stack.pop()
        match s:
            case Realize():
                stack.append((s.body, stored | {s.what}))
            case For() | Let() | Produce():
                stack.append((s.body, stored))
            case If():
                stack.append((s.then, stored))
                if s.orelse is not None:
                    stack.append((s.orelse, stored))
            case Block():
                stack.extend((c, stored) for c in s.stmts)
        own = [] if isinstance(s, If) else _all_exprs(s)
        for a in _arrays([s.cond] if isinstance(s, If) else own):
            if a in functions and a not in stored:
                f = functions[a]
                raise ScheduleError(f"{f.name} is needed outside the loop it is computed in", loc=f.compute.loc or f.loc)
