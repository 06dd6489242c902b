"""Binding: `f(img=g)` substitutes Funcs, Inputs, Params, expressions and constants for inputs, and makes a new Func.

One simultaneous substitution in the pipeline as it stands: every stage that reaches such an input is copied, with its
directives, redirected to the copies; all else is shared. What is bound is not itself substituted in.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import ArgumentError, Location, here
from ..frontend.externs import Sorting
from ..frontend.graph import Argument, Graph
from ..frontend.scans import Scan
from ..ir.surface import (
    Access,
    Call,
    Definitions,
    Expr,
    External,
    Function,
    Indexable,
    Input,
    Pad,
    Param,
    Table,
    as_expr,
)
from ..ir.surface_walk import Rewriter, base
from ..jit.arrays import as_array
from ..schedule.copies import Structural
from ..schedule.directive import Target

if TYPE_CHECKING:
    from .func import Func, Made
    from .program import Program

__all__ = ["bind", "is_symbolic", "padded"]


def is_symbolic(value: Any) -> bool:
    """Whether an argument of a call asks for binding."""
    if isinstance(value, Pad):
        return not isinstance(base(value), Table)
    return isinstance(value, (Indexable, Expr))


def bind(program: Program, arguments: Mapping[str, Any]) -> dict[Any, Func]:
    """Copies of the stages of `program` that reach the inputs of these names, with those replaced."""
    loc, graph = here(), program.graph
    copy = _Copy({name: _value(graph.arguments[name], v, loc) for name, v in arguments.items()})
    reached = _reached(graph, copy.values)
    copy.made.update((f, cast(Any, f).blank()) for f in reached if f.scan is not None)  # their steps read them
    for f in graph.functions:
        if f in reached:
            copy.function(f)
    copy.schedules()
    return copy.made


def _reached(graph: Graph, names: Container[str]) -> set[Function]:
    """The stages that reach one of the inputs `names`, and the steps that read their states."""
    reached: set[Function] = set()
    before = -1
    while before < len(reached):
        before = len(reached)
        for f in graph.functions:
            uses = graph.uses(f)
            if any(i.name in names for i in uses.inputs) or not reached.isdisjoint(uses.functions):
                reached.update((f,) if f.scan is None else f.scan.states)
    return reached


def padded(program: Program, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of a call with the arrays that `pad` views are of; and the views, of the inputs themselves."""
    arrays, views = dict(arguments), {}
    for name, value in arguments.items():
        if isinstance(value, Pad):
            table = base(value)
            assert isinstance(table, Table)
            arrays[name] = table.data
            views[name] = _Onto(program.arguments[name].source).view(value)
    return arrays, views


class _Onto(Rewriter):
    """A pad view of an array as one of an input."""

    def __init__(self, source: Any) -> None:
        super().__init__()
        self._source = source

    def target(self, t: Indexable) -> Indexable:
        return self._source if isinstance(t, Table) else t


def _value(a: Argument, value: Any, loc: Location | None) -> Any:
    """What replaces input `a`: an Indexable for an array, an Expr for a scalar."""
    if a.ndim is None:
        if isinstance(value, Function) and value.ndim == 0:
            return Access(value, ())
        if isinstance(value, (Expr, bool, int, float, np.generic)):
            return as_expr(value)
        raise ArgumentError(f"{a.name} is a scalar, and cannot be {_what(value)}", loc=loc)
    if isinstance(value, Expr):
        raise ArgumentError(f"{a.name} is an array, and cannot be an expression", loc=loc,
                            hint="a halo.Func or halo.Input")  # fmt: skip
    target = value if isinstance(value, Indexable) else _table(a.name, value, loc)
    at_rank = getattr(target, "at_rank", None)
    if at_rank is not None:
        target = at_rank(a.ndim)
    if target.ndim is not None and target.ndim != a.ndim:
        raise ArgumentError(
            f"{a.name} is subscripted by {a.ndim} indices, and {_what(value)} has {target.ndim} axes", loc=loc
        )
    return target


def _table(name: str, value: Any, loc: Location | None) -> Table:
    try:
        return Table(value if isinstance(value, (list, tuple)) else as_array(value, name), name)
    except ArgumentError as error:
        raise ArgumentError(error.message, loc=loc, hint=error.hint) from error


def _what(value: Any) -> str:
    name = getattr(value, "name", None)
    return f"{type(value).__name__} {name}" if isinstance(name, str) else f"a {type(value).__name__}"


class _Copy(Rewriter):
    """Copies of stages with inputs replaced by `values`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.values = values
        self.made: dict[Any, Func] = {}
        self.scans: dict[Scan, Scan] = {}

    def function(self, f: Any) -> None:
        new = self.made.setdefault(f, f.blank())
        d = f.definitions
        if isinstance(f.external, Sorting):
            from .sort import sorting

            e = f.external
            whole = e.whole and (self.expr(e.whole[0]), self.expr(e.whole[1]))
            sorting(new, self.view(e.inputs[0]), e.function, whole, d.vars)
            return
        pure = None if d.pure is None else self.define(d.pure)
        inputs = tuple(i for i in map(self._input, d.inputs) if i is not None)
        if f.external is not None:
            new.external = self._external(f.external)
        if f.scan is not None:
            new.scan = self._scan(f.scan)
        new.settle(Definitions(d.vars, pure, tuple(map(self.define, d.updates)), inputs))

    def _scan(self, s: Scan) -> Scan:
        if s not in self.scans:
            states, steps = (tuple(self.made.get(f, f) for f in of) for of in (s.states, s.steps))
            self.scans[s] = Scan(states, steps, self.expr(s.length), s.reverse)
        return self.scans[s]

    def _external(self, e: External) -> External:
        def bounds(box: Any) -> Any:
            return [[(self.expr(as_expr(lo)), self.expr(as_expr(n))) for lo, n in of] for of in e.bounds(box)]

        return replace(e, inputs=tuple(map(self.view, e.inputs)), bounds=None if e.bounds is None else bounds)

    def _input(self, i: Input | Param) -> Input | Param | None:
        value = self.values.get(i.name, i)
        return value if isinstance(value, (Input, Param)) else None

    def leaf(self, e: Expr) -> Expr | None:
        return self.values.get(e.name) if isinstance(e, Param) else None

    def target(self, t: Indexable) -> Indexable:
        if isinstance(t, Input):
            return self.values.get(t.name, t)  # type: ignore[no-any-return]  # a dict of any values
        return self.made.get(t, t) if isinstance(t, Function) else t

    def _rebuilt(self, e: Expr) -> Expr:
        new = super()._rebuilt(e)
        if isinstance(e, Access) and isinstance(e.target, Input) and e.target.name in self.values and e.target.type:
            return Call("expect", (new,), (e.target.type, e.target.name))
        return new

    # Directives ------------------------------------------------------------------------------------------------------

    def schedules(self) -> None:
        """Give the copies the directives of the originals."""
        stages = [(new, f.directives) for f, new in self.made.items()]
        while stages:
            new, directives = stages.pop()
            for k, d in directives:
                copy = d.redirected(self._redirect)
                if isinstance(d, Structural):
                    made: Made = d.made.copied(new, copy)
                    object.__setattr__(copy, "made", made)
                    self.made[d.made] = made
                    stages.append((made, d.made.directives))
                new.directives.append((k, copy))

    def _redirect(self, t: Target) -> Target:
        return Target(self.made.get(t.func, t.func), t.stage) if isinstance(t.func, Function) else t
