"""Copies of Functions, and Functions that read something else in place of what they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..ir import algebra as A
from ..ir.expr import Array, Expr, Read, Var, walk
from ..ir.pipeline import Definition, Function, RVar

__all__ = ["arrays_of", "copied", "fresh", "mapped", "read_by", "redirected"]


def read_by(function: Function) -> set[Array]:
    """The Arrays that the definitions of `function` read, its own included."""
    found = {a for d in function.definitions for a in arrays_of(d)}
    return found | set(function.extern.arrays if function.extern is not None else ())


def arrays_of(d: Definition) -> set[Array]:
    """The Arrays that one definition reads."""
    return {e.array for e in walk((*d.indices, *d.values, d.pred)) if isinstance(e, Read)}


def mapped(definition: Definition, f: Callable[[Expr], Expr]) -> Definition:
    """`definition` with every expression replaced by what `f` makes of it."""
    return replace(
        definition,
        indices=tuple(f(e) for e in definition.indices),
        values=tuple(None if e is None else f(e) for e in definition.values),
        pred=None if definition.pred is None else f(definition.pred),
        rvars=tuple(RVar(r.var, f(r.lo), f(r.extent)) for r in definition.rvars),
    )


def redirected(function: Function, old: Array, new: Array) -> Function:
    """`function` reading `new` wherever it read `old`."""
    memo: dict[Expr, Expr] = {}

    def through(e: Expr) -> Expr | None:
        if isinstance(e, Read) and e.array is old:
            indices = tuple(visit(i) for i in e.indices)
            return Read(new, indices, e.item, None if e.pred is None else visit(e.pred))
        return None

    def visit(e: Expr) -> Expr:
        return A.rewrite(e, through, memo)

    extern = function.extern
    if extern is not None:
        extern = replace(extern, arrays=tuple(new if a is old else a for a in extern.arrays))
    return replace(function, definitions=tuple(mapped(d, visit) for d in function.definitions), extern=extern)


def fresh(v: Var, name: str | None = None) -> Var:
    """A new variable like `v`."""
    return Var(name or v.name, v.type, v.lo, v.hi)


def copied(function: Function, name: str) -> Function:
    """A copy of `function`, with an Array and variables of its own."""
    array = Array(name, function.types, function.array.ndim)
    own: dict[Any, Any] = {v: fresh(v) for v in function.vars}
    for d in function.definitions:
        own |= {r.var: fresh(r.var) for r in d.rvars}
    memo: dict[Expr, Expr] = {}

    def renamed(d: Definition) -> Definition:
        new = mapped(d, lambda e: A.substitute(e, own, memo))
        return replace(new, rvars=tuple(replace(r, var=own[r.var]) for r in new.rvars))

    made = replace(function, name=name, array=array, vars=tuple(own[v] for v in function.vars),
                   definitions=tuple(renamed(d) for d in function.definitions))  # fmt: skip
    return redirected(made, function.array, array)
