"""Sharing: primitive functions that differ in what their extents are called only are one, as equal layers of a network are.

An extent that is made of many, the sum of many parts, say, has a name of its own in the function.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from halo.errors import ArgumentError
from halo.ir.shapes import Dim, DimExpr, dims_of
from halo.nn import TensorType

from .ir import Call, Expr, Function, Var, walk, with_children
from .symbolic import extents_of, names_in, of_type, renamed
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
    """`f` with names for the long extents of its parameters, and what they are."""
    names = set(_names(f))
    stem, long = "many", dict[DimExpr, Dim]()
    while any(n.startswith(stem) for n in names):
        stem += "_"
    for n in (n for p in f.params for n in extents_of(p) if len({*dims_of(n)}) > FEW):
        long.setdefault(n, Dim(f"{stem}{len(long)}"))
    if not long:
        return f, {}

    def short(v: Any) -> Any:
        if isinstance(v, tuple):
            return tuple(map(short, v))
        if isinstance(v, DimExpr) and len({*dims_of(v)}) > FEW:
            for n, dim in long.items():
                times = v // n
                if isinstance(times, int) and n * times == v:
                    return dim * times
        return v

    params = tuple(Var(p.name, TensorType(short(p.type.shape), p.type.dtype)) for p in f.params)
    made: dict[int, Expr] = dict(zip(map(id, f.params), params, strict=True))
    try:
        for e in (e for e in walk(f.body) if id(e) not in made):
            new = with_children(e, tuple(made[id(c)] for c in e.children))
            if isinstance(new, Call):
                new = replace(new, attributes=tuple((k, short(v)) for k, v in new.attributes))
            made[id(e)] = new
    except ArgumentError:  # of rules that know too little of these
        return f, {}
    whole = {str(dim): n for n, dim in long.items()}
    if of_type(made[id(f.body)].type, whole) != f.type:
        return f, {}
    return replace(f, params=params, body=made[id(f.body)]), whole
