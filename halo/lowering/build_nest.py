"""Build the nest: one loop nest per stage, in schedule order, each Function produced and stored where it is placed.

The region of a Function is named by variables of its Array (`mins`, `extents`), which `infer_bounds` defines. At each
site (a loop of a stage, or the root) the Functions computed there are produced, producers first, before what reads them:

    for y: for x: f[y, x] = ...      ->      realize g: for y: produce g { for ...: g[...] = ... }; for x: f[y, x] = ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Op, Var, reads
from ..ir.pipeline import Definition, Function, Pipeline, Place
from ..ir.sorting import sorts_rows
from ..ir.stmt import (
    Block,
    Extern,
    For,
    Hoist,
    If,
    Let,
    Prefetch,
    Produce,
    Provide,
    Realize,
    Stmt,
    Stream,
    block,
    substmts,
)
from ..schedule.loops import Fetching, Loops, Streaming
from ..schedule.rewrite import arrays_of
from ..types import index
from .compute_with import Step, alignment, fused_groups, shared_depth, stage_order
from .placement import check_placed
from .stage_loops import LoopRange, StageLoops
from .walk import exprs


def build_nest(p: Pipeline) -> Stmt:
    return _Nest(p).root()


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

    def keep(self, functions: list[Function]) -> None:
        """Storage round all of it, and nothing outside needs or has them."""
        self.store(functions)
        arrays = {f.array for f in functions}
        self.made -= arrays
        self.reads -= arrays

    def hoist(self, functions: list[Function]) -> None:
        for f in functions:
            if f.array in self.made:
                self.stmt = Hoist(f.array, self.stmt, ring=f.ring)


class _Nest:
    def __init__(self, p: Pipeline) -> None:
        self.p = p
        self.arrays = {a.name: a for a in (*p.inputs, *(f.array for f in p.functions))}
        self.groups = fused_groups(p)  # in the order of computation, the Functions that compute_with joins together
        self.placed: dict[tuple[str, str], list[list[Function]]] = {}
        self.stored: dict[tuple[str, str], list[Function]] = {}
        self.hoisted: dict[tuple[str, str], list[Function]] = {}
        for group in self.groups:
            f = group[-1]
            if f.compute.kind == "at":
                self.placed.setdefault((f.compute.func, f.compute.loop), []).append(group)
            for g in group:
                store = g.store or g.compute
                if store.kind == "at":
                    self.stored.setdefault((store.func, store.loop), []).append(g)
                if g.hoist is not None and g.hoist.kind == "at":
                    self.hoisted.setdefault((g.hoist.func, g.hoist.loop), []).append(g)

    def root(self) -> Stmt:
        body = _Body(Block(()), set())
        for group in reversed(self.groups):
            self._produce(group, body, lambda f: f.compute.kind == "root" or f.name in self.p.outputs)
        body.store(
            [f for f in self.p.functions if f.name not in self.p.outputs and (f.store or f.compute).kind == "root"]
        )
        body.hoist([f for f in self.p.functions if f.hoist is not None and f.hoist.kind == "root"])
        check_placed(self.p, body.stmt)
        return body.stmt

    def _produce(self, group: list[Function], body: _Body, belongs: Callable[[Function], bool]) -> None:
        """Put the production of those of the group that belong here, and are needed, before `body`."""
        needed = [f for f in group if belongs(f) and (f.array in body.reads or f.name in self.p.outputs)]
        if needed and any(f.states for f in group):  # states need each other
            needed = group
        if needed:
            body.prepend(self.produce(needed))

    def produce(self, group: list[Function]) -> _Body:
        """The stages of a Function; of several, joined as `compute_with` says: the last one is marked as producing
        everything, the others come before it with nothing of their own."""
        *joined, f = group
        if f.extern is not None and not sorts_rows(f):
            box = tuple(zip(f.array.mins, f.array.extents, strict=True))
            body = _Body(Extern(f.extern, f.array, tuple(f.extern.arrays), box), set(f.extern.arrays))
        else:
            body = _Body(Block(()), set())
            for steps in reversed(stage_order(group)):
                body.prepend(self.stage(*steps[0]) if len(steps) == 1 else self.joined(steps))
        body.stmt = block(*(Produce(g.array, Block(())) for g in joined), Produce(f.array, body.stmt))
        for g in group:
            body.reads.discard(g.array)
            body.made.add(g.array)
        return body

    def stage(self, f: Function, k: int) -> _Body:
        d = f.definitions[k]
        if k == 0 and all(v is None for v in d.values):  # halo.undef: nothing is stored
            return _Body(Block(()), set())
        result = self.loops(f, k, d.loops)
        for cond, loops in reversed(d.specializations):
            special = self.loops(f, k, loops)
            special.stmt = If(cond, special.stmt, result.stmt)
            special.reads |= result.reads
            special.made |= result.made
            result = special
        return result

    def loops(self, f: Function, k: int, loops: Loops) -> _Body:
        nest = StageLoops(f, f.definitions[k], loops)
        return self._inside(f, k, nest, ())

    def _inside(self, f: Function, k: int, nest: StageLoops, shared: Sequence[LoopRange]) -> _Body:
        """The body of the stage with all loops round it but the outermost, in whose place are those that it shares."""
        leaf = self._leaf(f, k, f.definitions[k], self._streams(f, f.definitions[k], nest.hints))
        inputs = set(leaf.inputs) if isinstance(leaf, Extern) else set()
        body = _Body(leaf, {r.array for r in reads(_leaf_exprs(leaf))} | inputs)
        for group in reversed(self.groups):
            self._produce(group, body, lambda g: g.compute.kind == "inline" and g.array is not f.array)
        body.keep([g for group in self.groups for g in group if g.compute.kind == "inline" and g.array is not f.array])
        ranges = [*shared, *nest.ranges[len(shared) :]]
        for at in range(len(nest.dims) - 1, len(shared) - 1, -1):
            self._site([(f, k, nest.dims[at].name)], body)
            body.stmt = self._for(f, nest, at, nest.define(at, self._fetching(nest, at, ranges, body.stmt)))
        return body

    def _fetching(self, nest: StageLoops, at: int, ranges: list[LoopRange], body: Stmt) -> Stmt:
        """What the stage asks for in loop number `at`, before its body."""
        names = [dim.name for dim in nest.dims]
        asked = (
            Prefetch(self.arrays[h.what], h.strategy, None, (), ranges[names.index(h.start)].var,
                     Const(h.distance, index) if isinstance(h.distance, int) else h.distance, h.by.loc)
            for h in nest.hints if isinstance(h, Fetching) and h.at == names[at]
        )  # fmt: skip
        return block(*asked, body)

    def _streams(self, f: Function, d: Definition, hints: tuple[Any, ...]) -> Callable[[Stmt], Stmt]:
        """A statement of the stage `d`, with what its hints say of its stores and loads."""
        streaming = [h for h in hints if isinstance(h, Streaming)]
        stores = (f.array,) if any(h.stores for h in streaming) else ()
        names = {n for h in streaming for n in h.loads or ()}
        every = any(h.loads is None for h in streaming)
        loads = tuple(a for a in sorted(arrays_of(d), key=lambda a: a.name)
                      if a is not f.array and a.kind != "table" and (every or a.name in names))  # fmt: skip
        return lambda s: Stream(stores, loads, s) if stores or loads else s

    def _for(self, f: Function, nest: StageLoops, at: int, body: Stmt) -> For:
        dim, r = nest.dims[at], nest.ranges[at]
        first = dim.kind == "tensorize" and (at == 0 or nest.dims[at - 1].kind != "tensorize")
        tensor = nest.tensor if first else None
        return For(r.var, r.lo, r.extent, dim.kind, body, dim.partition, f"{f.name}.{dim.name}", tensor)

    def joined(self, steps: list[Step]) -> _Body:
        """Stages that run in one nest down to the loop that `compute_with` names, one after the other inside it.

        Each shared loop runs over the union of its ranges, moved as `align` says; each stage does its part where the
        iteration is its own."""
        nests = [StageLoops(f, f.definitions[k], f.definitions[k].loops) for f, k in steps]
        depth = shared_depth(steps)
        parent = nests[0]
        shifts = [
            [_shift(n.ranges[e], parent.ranges[e], alignment(f, k, parent.dims[e].name)) for e in range(depth)]
            for (f, k), n in zip(steps, nests, strict=True)
        ]
        as_one = bool(steps[0][0].states)  # of a scan, whose states have one region of steps
        ranges = parent.ranges[:depth] if as_one else [
            _union([_moved(n.ranges[e], by[e]) for n, by in zip(nests, shifts, strict=True)]) for e in range(depth)
        ]  # fmt: skip
        body = _Body(Block(()), set())
        for (f, k), nest, by in zip(reversed(steps), reversed(nests), reversed(shifts), strict=True):
            part = self._inside(f, k, nest, ranges)
            for e in range(depth - 1, -1, -1):
                part.stmt = nest.define(e, part.stmt)
            for e in range(depth - 1, -1, -1):
                own, shared = nest.ranges[e], ranges[e]
                if as_one:
                    part.stmt = part.stmt if own is shared else Let(own.var, shared.var, part.stmt)
                    continue
                inside = A.and_(A.le(own.lo, own.var), A.lt(own.var, own.end))
                part.stmt = Let(own.var, A.sub(shared.var, by[e]), If(inside, part.stmt, likely=True))
            body.prepend(part)
        f, _ = steps[0]
        for e in range(depth - 1, -1, -1):
            self._site([(g, k, n.dims[e].name) for (g, k), n in zip(steps, nests, strict=True)], body)
            for nest in reversed(nests):
                body.stmt = self._fetching(nest, e, ranges, body.stmt)
            dim, r = parent.dims[e], ranges[e]
            body.stmt = For(r.var, r.lo, r.extent, dim.kind, body.stmt, dim.partition, f"{f.name}.{dim.name}")
        return body

    def _leaf(self, f: Function, k: int, d: Definition, streams: Callable[[Stmt], Stmt]) -> Stmt:
        if sorts_rows(f):
            box: list[tuple[Expr, Expr]] = [(v, Const(1, index)) for v in f.vars]
            axis = f.extern.function.axis
            box[axis] = f.array.mins[axis], f.array.extents[axis]
            return Extern(f.extern, f.array, f.extern.arrays, tuple(box))
        several = next((len(i.args) for i in d.indices if isinstance(i, Op) and i.name == "scatter"), 0)
        leaf = streams(self._scatter(f, d, several)) if several else self._store(f, k, d, d.indices, d.values, streams)
        return leaf if d.pred is None else If(d.pred, leaf)

    def _store(self, f: Function, k: int, d: Definition, indices: tuple[Expr, ...], values: tuple[Expr | None, ...],
               streams: Callable[[Stmt], Stmt] = lambda s: s) -> Stmt:  # fmt: skip
        inside = []
        if k > 0:  # stores outside the region are masked: what is asked for is a part of the infinite Func
            for i, v, lo, n in zip(indices, f.vars, f.array.mins, f.array.extents, strict=True):
                if i is not v and not (f.states and d.rvars and v is f.vars[0]):
                    inside += [A.le(lo, i), A.lt(i, A.add(lo, n))]
        leaf = streams(Provide(f.array, indices, values, None, d.atomic))
        return If(A.all_of(inside), leaf, likely=True) if inside else leaf

    def _scatter(self, f: Function, d: Definition, several: int) -> Stmt:
        """`f[scatter(i, j)] = gather(a, b)`: all values are there before the first is stored, then from left to right."""
        stores: list[Stmt] = []
        held: list[tuple[Var, Expr]] = []
        for k in range(several):
            memo: dict[Expr, Expr] = {}

            def there(e: Expr | None, k: int = k, memo: dict[Expr, Expr] = memo) -> Expr | None:
                e = None if e is None else _element(e, k, memo)
                if e is None or not any(True for _ in reads((e,))):
                    return e
                held.append((Var(f"{f.name}_{len(held)}", e.type), e))
                return held[-1][0]

            indices, values = tuple(map(there, d.indices)), tuple(map(there, d.values))
            stores.append(self._store(f, 1, d, tuple(i for i in indices if i is not None), values))
        leaf = block(*stores)
        for var, value in reversed(held):
            leaf = Let(var, value, leaf)
        return leaf

    def _site(self, loops: list[tuple[Function, int, str]], body: _Body) -> None:
        """What is computed and stored at this loop (of each of the stages that share it), round `body`."""
        for f, k, loop in loops:

            def here(place: Place, k: int = k) -> bool:
                return place.stage in (None, k)

            for group in reversed(self.placed.get((f.name, loop), [])):
                self._produce(group, body, lambda g: here(g.compute))
            body.store([g for g in self.stored.get((f.name, loop), []) if here(g.store or g.compute)])
            body.hoist([g for g in self.hoisted.get((f.name, loop), []) if g.hoist is not None and here(g.hoist)])


def _element(e: Expr, k: int, memo: dict[Expr, Expr]) -> Expr:
    """`e` with the k-th of the values of every scatter and gather."""

    def visit(e: Expr) -> Expr | None:
        return e.args[k] if isinstance(e, Op) and e.name in ("scatter", "gather") else None

    return A.rewrite(e, visit, memo)


def _shift(own: LoopRange, parent: LoopRange, how: str) -> Expr:
    """How far iterations of `own` move along those of `parent`."""
    if how == "start":
        return A.sub(parent.lo, own.lo)
    return A.sub(parent.end, own.end) if how == "end" else Const(0, index)


def _moved(r: LoopRange, by: Expr) -> LoopRange:
    return LoopRange(r.var, A.add(r.lo, by), r.extent)


def _union(ranges: list[LoopRange]) -> LoopRange:
    lo, end = ranges[0].lo, ranges[0].end
    for r in ranges[1:]:
        lo, end = A.minimum(lo, r.lo), A.maximum(end, r.end)
    return LoopRange(Var(ranges[0].var.name), lo, A.sub(end, lo))


def _leaf_exprs(leaf: Stmt) -> tuple[Expr, ...]:
    return (*exprs(leaf), *(e for s in substmts(leaf) for e in _leaf_exprs(s)))
