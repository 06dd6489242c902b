"""Sharing: primitive functions that differ in what their extents are called only are one, as equal layers of a network are.

A quotient in an extent, half a width, say, and an extent that is made of many, the sum of many parts, have names of their own in
the function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from halo.errors import ArgumentError
from halo.ir.shapes import Dim, DimExpr, as_extents, dims_of, folds_of, with_folds
from halo.nn import TensorType
from halo.nn.shapes import assumptions

from .ir import Call, Expr, Function, Var, walk, with_children
from .symbolic import extents_of, names_in, of_type, renamed, substituted
from .text import function_text

__all__ = ["Shared"]

FEW = 4  # names: what is made of more is one


class Shared:
    """The different ones, by name."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self._known: dict[str, tuple[str, tuple[str, ...]]] = {}  # by their text: the name, and its extents in order

    def add(self, stem: str, f: Function) -> tuple[str, dict[str, Any]]:
        """The name of the function that `f` is, `stem` or one like it, and what those extents of that one are that are
        called otherwise in `f`."""
        f, long = _shortened(f)
        own = _names(f)
        key = function_text("", renamed(f, {n: Dim(f"_{k}") for k, n in enumerate(own)}), {})
        if key not in self._known:
            name, k = stem, 0
            while name in self.functions or name == "main":
                k += 1
                name = f"{stem}_{k}"
            self.functions[name], self._known[key] = f, (name, own)
        name, extents = self._known[key]
        given = {n: long.get(m, Dim(m)) for n, m in zip(extents, own, strict=True)}
        return name, {n: v for n, v in given.items() if v != Dim(n)}


def _names(f: Function) -> tuple[str, ...]:
    """The names of the extents of `f`, in the order in which it comes to them."""
    return names_in((*f.params, *walk(f.body)))


def _shortened(f: Function) -> tuple[Function, dict[str, Any]]:
    """`f` with names for quotients in the extents of its parameters, and for long ones, and what they are."""
    f, parts = _with_names(f, _of_quotients)
    f, long = _with_names(f, _of_long)
    return f, parts | {name: substituted(n, parts) for name, n in long.items()}


Short = Callable[[Any], Any]


def _of_quotients(f: Function, stem: str) -> tuple[Short, dict[str, Any]]:
    """Those of half a width and of a quarter are parts."""
    found = dict.fromkeys(text for p in f.params for n in extents_of(p) for text in folds_of(n))
    names = {text: Dim(f"{stem}{k}") for k, text in enumerate(found)}
    return lambda n: with_folds(n, names), dict(
        zip(map(str, names.values()), as_extents(tuple(found)) or (), strict=True)
    )


def _of_long(f: Function, stem: str) -> tuple[Short, dict[str, Any]]:
    long = dict[DimExpr, Dim]()
    for n in (n for p in f.params for n in extents_of(p) if len({*dims_of(n)}) > FEW):
        long.setdefault(n, Dim(f"{stem}{len(long)}"))

    def short(v: Any) -> Any:
        if len({*dims_of(v)}) > FEW:
            for n, dim in long.items():
                times = v // n
                if isinstance(times, int) and n * times == v:
                    return dim * times
        return v

    return short, {str(dim): n for n, dim in long.items()}


def _with_names(
    f: Function, found: Callable[[Function, str], tuple[Short, dict[str, Any]]]
) -> tuple[Function, dict[str, Any]]:
    """`f` with the names that `found` gives for parts of its extents, and what they are: none, where what the extents are
    tells something that the names do not."""
    stem, names = "part", {*_names(f)}
    while any(n.startswith(stem) for n in names):
        stem += "_"
    one, whole = found(f, stem)
    if not whole:
        return f, {}

    def short(v: Any) -> Any:
        return tuple(map(short, v)) if isinstance(v, tuple) else one(v) if isinstance(v, DimExpr) else v

    params = tuple(Var(p.name, TensorType(short(p.type.shape), p.type.dtype)) for p in f.params)
    made: dict[int, Expr] = dict(zip(map(id, f.params), params, strict=True))
    try:
        with assumptions() as assumed:
            for e in (e for e in walk(f.body) if id(e) not in made):
                new = with_children(e, tuple(made[id(c)] for c in e.children))
                if isinstance(new, Call):
                    new = replace(new, attributes=tuple((k, short(v)) for k, v in new.attributes))
                if of_type(new.type, whole) != e.type:
                    return f, {}
                made[id(e)] = new
    except ArgumentError:  # of rules that know too little of these
        return f, {}
    if any(relation == "~" for relation, *_ in assumed):  # they may differ now
        return f, {}
    return replace(f, params=params, body=made[id(f.body)]), whole
