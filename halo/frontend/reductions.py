"""Inline reductions made stages: `sum(e for k in rdom)` becomes an update, of a Func of its own or of the one it is in.

    f[y, x] = sum(e, r)            ->  f[y, x] = 0;  f[y, x] += e over r
    f[y, x] = 1 + sum(e, r)        ->  f_sum[y, x] = 0;  f_sum[y, x] += e over r;  f[y, x] = 1 + f_sum[y, x]

From surface to surface, so before types are known. What the fold starts with is `Call("identity", (start?), op)`: a
constant, or `start`, in the type of what the first update folds, `updates[0].values[k].args[1]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..ir.place import at
from ..ir.surface import (
    Access,
    Call,
    Define,
    Definitions,
    Expr,
    Function,
    IndexVar,
    Item,
    Literal,
    RDom,
    Reduction,
    RVarRef,
)
from ..ir.surface_walk import Rewriter, roots, same, walk
from ..types import bool_, i32, i64

__all__ = ["MakeStage", "extract"]

_OPERATORS = {"sum": "add", "prod": "mul", "min": "min", "max": "max", "any": "or", "all": "and"}


class MakeStage(Protocol):
    def __call__(self, name: str, define: Callable[[Function], Definitions]) -> Function:
        """A new Func `name` whose definitions are what `define` gives for it."""


def extract(owner: Function, name: str, d: Definitions, make: MakeStage) -> tuple[Definitions, tuple[Function, ...]]:
    """`d`, the definitions of `owner`, without inline reductions; and the stages that these became: `name` + "_sum"."""
    stages = [s for s in (d.pure, *d.updates) if s is not None]
    if not any(isinstance(e, Reduction) for s in stages for e in walk(roots(s))):
        return d, ()
    pure, updates = d.pure, d.updates
    if pure is not None:
        parts = _whole(pure)
        if parts is not None:
            pure, first = _split(owner, pure, parts)
            updates = (*first, *updates)
    made: list[Function] = []
    rewritten = [None if s is None else _Extraction(name, d.vars, s, make, made).define(s) for s in (pure, *updates)]
    return Definitions(d.vars, rewritten[0], tuple(s for s in rewritten[1:] if s), d.inputs), tuple(made)


# A definition that is a reduction ------------------------------------------------------------------------------------


def _whole(d: Define) -> list[Reduction] | None:
    """The reductions that `d` consists of, if it consists of some that share one update."""
    first = d.values[0]
    if isinstance(first, Item):
        arg = first.reduction
        own = [isinstance(v, Item) and v.reduction is arg and v.index == k for k, v in enumerate(d.values)]
        return [arg] if all(own) and len(d.values) == len(arg.rdom) + 1 else None
    parts = [v for v in d.values if isinstance(v, Reduction)]
    if len(parts) < len(d.values):
        return None
    if len(parts) == 1:
        return None if parts[0].op == "mean" and parts[0].pred is not None else parts
    if any(r.op == "mean" or not _same_domain(r, parts[0]) for r in parts):
        return None
    return parts


def _same_domain(a: Reduction, b: Reduction) -> bool:
    if len(a.rdom) != len(b.rdom) or (a.pred is None) is not (b.pred is None):
        return False
    ends = [(x, y) for p, q in zip(a.rdom.axes, b.rdom.axes, strict=True) for x, y in zip(p, q, strict=True)]
    if a.pred is not None and b.pred is not None:
        ends.append((a.pred, b.pred))
    return all(same(x, y, a.rdom, b.rdom) for x, y in ends)


def _split(owner: Function, d: Define, parts: list[Reduction]) -> tuple[Define, tuple[Define, ...]]:
    """The pure stage and the updates of `owner` that fold `parts` at the points `d.args`."""
    lead = parts[0]
    onto = _Renamed({(r.rdom, k): lead.rdom[k] for r in parts for k in range(len(r.rdom)) if r.rdom is not lead.rdom})
    starts: list[Expr] = []
    steps: list[Expr] = []
    with at(d.loc):
        for part in parts:
            start, step = _fold(owner, d.args, len(starts), part, onto, len(parts) > 1 or part.op.startswith("arg"))
            starts += start
            steps += step
        updates = [Define(d.args, tuple(steps), lead.rdom, lead.pred, None, lead.loc or d.loc)]
        if lead.op == "mean":
            updates.append(Define(d.args, (Call("div", (Access(owner, d.args), _count(lead.rdom))),), loc=d.loc))
    return Define(d.args, tuple(starts), loc=d.loc), tuple(updates)


def _fold(owner: Function, args: tuple[Expr, ...], at_item: int, r: Reduction, onto: Rewriter,
          tuple_valued: bool) -> tuple[list[Expr], list[Expr]]:  # fmt: skip
    """What the elements of `owner` from `at_item` on start with, and become at each point of the domain."""
    value = onto.expr(r.values[0])
    if r.op.startswith("arg"):
        return _arg_extremum(owner, args, r, value)
    own = Access(owner, args, at_item if tuple_valued else None)
    if r.op in ("any", "all"):
        value = Call("cast", (value,), bool_)
    start = None if r.start is None else onto.expr(r.start)
    return [Call("identity", () if start is None else (start,), r.op)], [
        Call(_OPERATORS.get(r.op, "add"), (own, value))
    ]


def _arg_extremum(owner: Function, args: tuple[Expr, ...], r: Reduction, value: Expr) -> tuple[list[Expr], list[Expr]]:
    """First extremum wins; a NaN is one. Under a condition the first coordinate starts one too low: none found yet."""
    n = len(r.rdom)
    own = [Access(owner, args, k) for k in range(n + 1)]
    lows = [Call("cast", (lo,), i32) for lo, _ in r.rdom.axes]
    better: Expr = Call("lt" if r.op == "argmin" else "gt", (value, own[n]))
    nan = Call("and", (Call("isnan", (value,)), Call("not", (Call("isnan", (own[n],)),))))
    better = Call("or", (better, nan))
    if r.pred is not None:
        lows[0] = Call("sub", (lows[0], Literal(1)))
        better = Call("or", (better, Call("eq", (own[0], lows[0]))))
    new = (*r.rdom, value)
    return [*lows, Call("identity", (), r.op.removeprefix("arg"))], [
        Call("select", (better, a, b)) for a, b in zip(new, own, strict=True)
    ]


def _count(rdom: RDom) -> Expr:
    """The number of points, an i64: a float divided by it stays that float."""
    total: Expr = Literal(1, i64)
    for _, n in rdom.axes:
        total = Call("mul", (total, Call("cast", (n,), i64)))
    return total


# A reduction inside an expression ------------------------------------------------------------------------------------


class _Renamed(Rewriter):
    """Replaces reduction variables, and index variables by name."""

    def __init__(self, new: dict[tuple[RDom, int], Expr], names: dict[str, Expr] | None = None) -> None:
        super().__init__()
        self._new, self._names = new, names or {}

    def leaf(self, e: Expr) -> Expr | None:
        if isinstance(e, RVarRef):
            return self._new.get((e.rdom, e.axis))
        return self._names.get(e.name) if isinstance(e, IndexVar) else None


def _axis(v: Expr) -> tuple[RDom, int]:
    assert isinstance(v, RVarRef)
    return v.rdom, v.axis


class _Extraction(Rewriter):
    """Replaces the reductions of one stage by reads of new Funcs, over the variables that they use."""

    def __init__(self, name: str, vars: tuple[str, ...], d: Define, make: MakeStage, made: list[Function]) -> None:
        super().__init__()
        self._name, self._make, self._made = name, make, made
        self._scope: list[Expr] = [IndexVar(v) for v in vars]
        if d.rdom is not None:
            self._scope += d.rdom
        self._stages: dict[Reduction, tuple[Function, tuple[Expr, ...]]] = {}

    def leaf(self, e: Expr) -> Expr | None:
        if isinstance(e, Item):
            stage, place = self._stage(e.reduction)
            return Access(stage, place, e.index)
        if not isinstance(e, Reduction):
            return None
        stage, place = self._stage(e)
        if e.op != "mean":
            return Access(stage, place)
        if e.pred is None:
            return Call("div", (Access(stage, place), _count(e.rdom)))
        return Call("div", (Access(stage, place, 0), Access(stage, place, 1)))

    def _stage(self, r: Reduction) -> tuple[Function, tuple[Expr, ...]]:
        if r not in self._stages:
            with at(r.loc):
                place = self._used(r)
                stage = self._make(f"{self._name}_{r.op}", lambda own: self._definitions(own, r, place))
            self._made.append(stage)
            self._stages[r] = stage, place
        return self._stages[r]

    def _used(self, r: Reduction) -> tuple[Expr, ...]:
        """The variables around `r` that it depends on, outermost first."""
        names: set[object] = {e.name for e in walk((r,)) if isinstance(e, IndexVar)}
        axes: set[object] = {_axis(e) for e in walk((r,)) if isinstance(e, RVarRef)}
        inside = names | axes
        return tuple(v for v in self._scope if (v.name if isinstance(v, IndexVar) else _axis(v)) in inside)

    def _definitions(self, own: Function, r: Reduction, place: tuple[Expr, ...]) -> Definitions:
        vars: list[str] = []
        for v in place:
            name = v.name  # type: ignore[attr-defined]  # the place is made of index variables
            while name in vars or name in r.rdom.names:
                name += "_"
            vars.append(name)
        new = [IndexVar(v) for v in vars]
        onto = _Renamed({(v.rdom, v.axis): n for v, n in zip(place, new, strict=True) if isinstance(v, RVarRef)},
                        {v.name: n for v, n in zip(place, new, strict=True) if isinstance(v, IndexVar)})  # fmt: skip
        renamed = onto.expr(r)
        assert isinstance(renamed, Reduction)
        parts = [renamed]
        if r.op == "mean" and r.pred is not None:
            total = Reduction("sum", (Literal(1),), renamed.rdom, renamed.pred, Literal(0, i64))
            parts.append(total)
        pure, updates = _split(own, Define(tuple(new), tuple(parts), loc=r.loc), parts)
        if r.op == "mean":
            updates = updates[:1]
        d, inner = extract(own, self._name, Definitions(tuple(vars), pure, updates), self._make)
        self._made.extend(inner)
        return d
