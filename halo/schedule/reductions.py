"""Directives on updates: folding in pieces, and in any order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..errors import Location
from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Read, Var
from ..ir.facts import free_vars
from ..ir.pipeline import Definition, Function, RVar
from ..types import index
from .associativity import Operator
from .copies import Structural
from .directive import PAIRS, Directive, Stage, arg, directive, quoted
from .loops import Dim, Fetching, FuseOp, Loops, SplitOp, Streaming
from .rewrite import fresh, mapped

__all__ = ["Atomic", "Factored", "Rfactor", "rfactor"]


@directive("atomic")
class Atomic(Directive):
    """Allow parallel and vectorised reduction loops: each site is updated in one piece, in any order.

        parallel for r: f[g[r]] = f[g[r]] + e     ->   parallel for r: atomically f[g[r]] += e

    The update must be associative and commutative. Floats then round in whatever order they come.
    """

    def check(self, stage: Stage) -> None:
        facts = stage.loops.facts
        if not facts.update:
            self.refuse(stage, "the pure stage updates nothing", hint=f"{stage.label}.update(0).atomic()")
        if facts.order in ("kept", "fixed"):
            reason = facts.reason or "which of two equal terms comes first matters"
            self.refuse(stage, f"the update is not proven associative and commutative: {reason}",
                        legal=("serial reduction loops",))  # fmt: skip

    def apply(self, loops: Loops) -> Loops:
        return replace(loops, facts=replace(loops.facts, atomic=True))


@directive("rfactor")
class Rfactor(Structural):
    """Fold in pieces: `f_intm` folds what the other reduction loops cover, for each value of `u`; `f` folds those.

        f[x] += e[r]   ->   f_intm[u, x] = 0                      u runs where "ro" did
        (r split into       f_intm[u, x] += e[8*u + ri]           pieces: may be parallel, vectorised, ...
        ro, ri)             f[x] += f_intm[ro, x]

    `vars` maps loops of the reduction to names of new variables, which become the outermost axes of `f_intm` in this
    order. The operator must be associative; the pieces keep the order of the terms unless it commutes. Returns
    `f_intm`, which starts with the directives given to this stage so far.
    """

    vars: tuple[tuple[str, str], ...] = arg(PAIRS)

    def made_name(self, owner: str) -> str:
        return f"{owner}_intm"

    @classmethod
    def bind(cls, receiver: str, loc: Location | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        return super().bind(receiver, loc, ([args],) if len(args) == 2 else args, kwargs)

    def check(self, stage: Stage) -> None:
        loops = stage.loops
        if not loops.facts.update:
            self.refuse(stage, "the pure stage reduces nothing", hint=f"{stage.label}.update(0).{self}")
        reductions = tuple(d.name for d in loops.dims if d.is_reduction)
        for name, new in self.vars:
            self.need_loop(stage, name)
            if not loops.dim(name).is_reduction:
                self.refuse(stage, f'"{name}" is a loop over a pure variable', legal=quoted(reductions))
            kept = (*stage.vars, *(n for n in loops.names if n not in dict(self.vars)))
            if new in kept or [b for _, b in self.vars].count(new) > 1:
                self.refuse(stage, f'"{new}" is a loop or a variable of this stage already',
                            hint=self.instead(stage, new, f"{new}{new}"))  # fmt: skip
        for d in loops.dims:
            roots = loops.roots(d.name)
            if d.is_reduction and roots & set(stage.vars):
                self.refuse(stage, f'"{d.name}" was fused of a reduction loop and a pure one')
        if loops.facts.reason:
            self.refuse(stage, f"the update is not proven associative: {loops.facts.reason}")
        if loops.facts.order == "kept":
            self._check_order(stage, reductions)

    def _check_order(self, stage: Stage, reductions: tuple[str, ...]) -> None:
        """Without commutativity the pieces must be runs of neighbours: the outermost loops are factored."""
        chosen = dict(self.vars)
        inner = [n for k, n in enumerate(reductions) if n in chosen and any(m not in chosen for m in reductions[:k])]
        if inner:
            outer = next(m for m in reductions if m not in chosen)
            reason = f'"{inner[0]}" runs inside "{outer}", and the order of the terms matters'
            self.refuse(stage, reason, legal=quoted(reductions[:-1]), hint=self.instead(stage, inner[0], outer))


@dataclass(frozen=True)
class Factored:
    """What `rfactor` makes of a Function: the intermediate one, its own new definition, and the loops of both."""

    intermediate: Function
    definition: Definition
    inner_loops: Loops
    outer_loops: Loops


def rfactor(f: Function, d: Definition, loops: Loops, news: dict[str, str], op: Operator, name: str) -> Factored:
    """Factor loops of definition `d` of `f` into variables (`news`) of the Function `name`. Its loops are `loops`."""
    space = _Space(d, loops, news)
    pure = {v: fresh(v) for v in f.vars}
    array = Array(name, tuple(f.types[k] for k in op.items), len(news) + len(f.vars))
    made = tuple(space.variables[old] for old in news)
    own = space.values | pure
    memo: dict[Expr, Expr] = {}

    def moved(e: Expr) -> Expr | None:
        if isinstance(e, Read) and e.array is f.array:
            return Read(array, (*made, *(visit(i) for i in e.indices)), op.items.index(e.item))
        return own.get(e) if isinstance(e, Var) else None

    def visit(e: Expr) -> Expr:
        return A.rewrite(e, moved, memo)

    update = mapped(d, visit)
    pred = A.all_of((*space.guards, *(() if update.pred is None else (update.pred,))))
    update = replace(update, indices=(*made, *update.indices), values=tuple(v for v in update.values if v is not None),
                     rvars=space.kept, pred=None if A.conjuncts(pred) == [] else pred, loops=None,
                     specializations=())  # fmt: skip
    vars = (*made, *pure.values())
    start = Definition(vars, op.identity, loc=d.loc)
    inner = Function(name, vars, array.types, array, (start, update), fastmath=f.fastmath, loc=d.loc)
    merge = _merge(f, d, op, array, space, list(news))
    return Factored(inner, merge, space.inner_loops(update, inner), space.outer_loops(merge, f))


def _merge(f: Function, d: Definition, op: Operator, array: Array, space: _Space, order: list[str]) -> Definition:
    """`f[x] = f[x] (+) f_intm[u, x]` for every piece `u`."""
    reduced = {r.var for r in d.rvars}
    indices = tuple(v if free_vars(i) & reduced else i for i, v in zip(d.indices, f.vars, strict=True))
    rvars = space.factored()
    by_name = {r.var.name: r.var for r in rvars}
    pieces = [Read(array, (*(by_name[n] for n in order), *indices), k) for k in range(len(op.items))]
    so_far = [Read(f.array, indices, k) for k in op.items]
    values: list[Expr | None] = [None] * len(f.types)
    for k, v in zip(op.items, op.combine(so_far, pieces), strict=True):
        values[k] = v
    return Definition(indices, tuple(values), rvars, loc=d.loc)


class _Space:
    """The reduction domain of a definition as its loops run over it, cut into factored and kept loops."""

    def __init__(self, d: Definition, loops: Loops, news: dict[str, str]) -> None:
        self.loops, self.news = loops, news
        self.ranges: dict[str, tuple[Expr, Expr]] = {r.var.name: (r.lo, r.extent) for r in d.rvars}
        roots = set(self.ranges)
        self.guards: list[Expr] = []
        done: list[tuple[Any, dict[str, tuple[Expr, Expr]]]] = []
        for op, below in loops.ops_with_roots():
            if below <= roots:
                done.append((op, {n: self.ranges.pop(n) for n in op.consumed}))
                self.ranges |= self._made(*done[-1])
        self.names = [dim.name for dim in loops.dims if dim.name in self.ranges]
        self.variables = {n: Var(news.get(n, n), index) for n in self.names}
        env: dict[str, Expr] = dict(self.variables)
        for op, ranges in reversed(done):
            self._undo(op, ranges, env)
        self.values: dict[Any, Expr] = {r.var: env[r.var.name] for r in d.rvars}
        self.kept = tuple(RVar(self.variables[n], *self.ranges[n]) for n in self.names if n not in news)

    def _made(self, op: Any, ranges: dict[str, tuple[Expr, Expr]]) -> dict[str, tuple[Expr, Expr]]:
        """The (lo, extent) of the loops that `op` makes of those it consumes."""
        zero, one = Const(0, index), Const(1, index)
        if isinstance(op, SplitOp):
            factor = _factor(op)
            tiles = A.floordiv(A.add(ranges[op.old][1], A.sub(factor, one)), factor)
            return {op.outer: (zero, tiles), op.inner: (zero, factor)}
        if isinstance(op, FuseOp):
            return {op.fused: (zero, A.mul(ranges[op.outer][1], ranges[op.inner][1]))}
        return {op.new: ranges[op.old]}

    def _undo(self, op: Any, ranges: dict[str, tuple[Expr, Expr]], env: dict[str, Expr]) -> None:
        """Give what `op` consumed in terms of what it made."""
        made = {n: env.pop(n) for n in op.made}
        if isinstance(op, SplitOp):
            lo, extent = ranges[op.old]
            offset = A.add(A.mul(made[op.outer], _factor(op)), made[op.inner])
            if not (isinstance(extent, Const) and isinstance(op.factor, int) and extent.value % op.factor == 0):
                self.guards.append(A.lt(offset, extent))
            env[op.old] = A.add(lo, offset)
        elif isinstance(op, FuseOp):
            (outer_lo, _), (inner_lo, n) = ranges[op.outer], ranges[op.inner]
            env[op.outer] = A.add(outer_lo, A.floordiv(made[op.fused], n))
            env[op.inner] = A.add(inner_lo, A.mod(made[op.fused], n))
        else:
            env[op.old] = made[op.new]

    def factored(self) -> tuple[RVar, ...]:
        """The factored loops as variables of the outer reduction."""
        return tuple(RVar(Var(n, index), *self.ranges[n]) for n in self.names if n in self.news)

    def inner_loops(self, d: Definition, f: Function) -> Loops:
        """The loops of the intermediate update: as they were, the factored ones over pure variables now."""
        plain = Loops.of(d, f, self.loops.facts)
        dims = [replace(dim, name=self.news.get(dim.name, dim.name)) for dim in self.loops.dims]
        kept = self._kept_ops(plain, [replace(dim, axis=_axis(plain, dim)) for dim in dims])
        return replace(kept, tensor=self.loops.tensor, hints=tuple(map(self._renamed, self.loops.hints)))

    def _renamed(self, h: Fetching | Streaming) -> Fetching | Streaming:
        if isinstance(h, Streaming):
            return h
        return replace(h, at=self.news.get(h.at, h.at), start=self.news.get(h.start, h.start))

    def outer_loops(self, d: Definition, f: Function) -> Loops:
        """The loops of the merging update: variables new to it outermost, then the others as they were."""
        plain = Loops.of(d, f, replace(self.loops.facts, atomic=False))
        dims = [dim for dim in self.loops.dims if dim.name not in self.names or dim.name in self.news]
        dims = [
            replace(
                dim,
                axis=_axis(plain, dim),
                kind="serial" if dim.name in self.news or dim.kind == "tensorize" else dim.kind,
            )
            for dim in dims
        ]
        old = {*self.loops.original}
        return self._kept_ops(plain, [*(p for p in plain.dims if p.name not in old and p.name not in self.news), *dims])

    def _kept_ops(self, plain: Loops, dims: list[Dim]) -> Loops:
        reduced = {v.name for v in self.values}
        return replace(
            plain, dims=tuple(dims), ops=tuple(op for op, below in self.loops.ops_with_roots() if not below & reduced)
        )


def _axis(plain: Loops, dim: Dim) -> str:
    return plain.dim(dim.name).axis if dim.name in plain else dim.axis


def _factor(op: SplitOp) -> Expr:
    return Const(op.factor, index) if isinstance(op.factor, int) else op.factor
