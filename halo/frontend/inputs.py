"""The inputs of one definition: keyword-only parameters become arrays or scalars by how they are used."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import DefinitionError, HaloError, Location
from ..ir.place import at
from ..ir.surface import Input, Param
from ..types import ArrayType, Type, as_type
from .source import Source
from .values import Undecided

__all__ = ["NO_DEFAULT", "Hint", "Inputs"]

NO_DEFAULT: Any = object()


class Hint(NamedTuple):
    """What a signature says of a keyword-only parameter without being translated."""

    annotation: Any = None
    default: Any = NO_DEFAULT


class Inputs:
    """The declared inputs by name, in signature order. What use has not decided yet is `Undecided`."""

    def __init__(self, source: Source, hints: Mapping[str, Hint]) -> None:
        self._source = source
        self._types: dict[str, Type] = {}
        self._used: dict[str, Location] = {}  # where it was decided: shown beside a contradiction
        self._loc: dict[str, Location] = {}
        self.found: dict[str, Input | Param | Undecided] = {}
        self._arrays = set(_arrays(source.node))
        for arg in source.node.args.kwonlyargs:
            self._declare(arg, hints.get(arg.arg, Hint()))

    def _declare(self, arg: ast.arg, hint: Hint) -> None:
        name, loc = arg.arg, self._source.loc(arg)
        self._loc[name] = loc
        with at(loc):
            if isinstance(hint.annotation, ArrayType):
                t = hint.annotation
                self.found[name] = Input(name, t.type, t.ndim, t.contiguous)
                if hint.default is not NO_DEFAULT:
                    raise DefinitionError(f"{name} is an array, and only scalars have defaults", loc=loc)
                return
            if hint.annotation is not None:
                self._types[name] = self._annotated(name, hint.annotation, loc)
            if hint.default is not NO_DEFAULT:
                self.found[name] = self._param(name, hint.default, loc)
            else:
                self.found[name] = Undecided(name, loc)

    def _annotated(self, name: str, annotation: Any, loc: Location) -> Type:
        try:
            return as_type(annotation)
        except HaloError:
            raise DefinitionError(f"the annotation of {name} is not a type of the language", loc=loc,
                                  hint=f"{name}: halo.f32, or halo.u8[:, :] for an array") from None  # fmt: skip

    def _param(self, name: str, default: Any, loc: Location) -> Param:
        if not isinstance(default, (bool, int, float, np.generic)):
            raise DefinitionError(f"the default of {name} is not a number", loc=loc,
                                  hint="pass arrays as arguments; bind constants outside: f(weights=w)")  # fmt: skip
        return Param(name, self._types.get(name), default)

    def is_array(self, u: Undecided) -> bool:
        """Whether `u` is subscripted, padded or asked for its shape somewhere in the definition."""
        return u.name in self._arrays

    def scalar(self, u: Undecided, loc: Location) -> Param:
        """The Param that `u` is, now that it is used as a value."""
        found = self.found[u.name]
        if isinstance(found, Input):
            raise self._both(u.name, "a scalar", "an array", loc)
        if isinstance(found, Undecided):
            with at(u.loc):
                found = self.found[u.name] = Param(u.name, self._types.get(u.name))
            self._used[u.name] = loc
        return found

    def array(self, u: Undecided | Param, loc: Location) -> Input:
        """The Input that `u` is, now that it is used as an array."""
        found = self.found[u.name]
        if isinstance(found, Param):
            raise self._both(u.name, "an array", "a scalar", loc)
        if isinstance(found, Undecided):
            with at(found.loc):
                found = self.found[u.name] = Input(u.name, self._types.get(u.name))
            self._used.setdefault(u.name, loc)
        return found

    def rank(self, array: Any, n: int, loc: Location) -> None:
        """Note that `array` is subscripted by `n` indices; a contradiction is an error with both places."""
        if not isinstance(array, Input) or self.found.get(array.name) is not array:
            return
        if array.ndim is None:
            array.ndim = n
            self._used[array.name] = loc
        elif array.ndim != n:
            known = self._used.get(array.name, self._loc[array.name])
            raise DefinitionError(f"{array.name} has {_axes(array.ndim)} and is subscripted by {n}", loc=loc,
                                  related=((known, f"{_axes(array.ndim)} here"),))  # fmt: skip

    def _both(self, name: str, now: str, before: str, loc: Location) -> DefinitionError:
        place = self._used.get(name, self._loc[name])
        message = f"{name} is used as {now} and as {before}"
        return DefinitionError(message, loc=loc, related=((place, f"{before} here"),))

    def finished(self) -> tuple[Input | Param, ...]:
        """All inputs, once the whole definition is translated."""
        return tuple(self._decided(name, i) for name, i in self.found.items())

    def _decided(self, name: str, found: Input | Param | Undecided) -> Input | Param:
        if isinstance(found, Undecided):
            return self.scalar(found, found.loc)
        if isinstance(found, Input) and found.ndim is None:
            raise DefinitionError(f"{name} is never subscripted, so nothing says how many axes it has",
                                  loc=self._loc[name], hint=f"{name}: halo.u8[:, :]")  # fmt: skip
        return found


_TAKE_ARRAYS = ("pad", "sort", "argsort")


def _arrays(function: ast.AST) -> Iterator[str]:
    """The names that are used as arrays as they stand: `a[...]`, `a.shape`, `halo.pad(a, ...)`, `halo.sort(a)`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) or (isinstance(node, ast.Attribute) and node.attr in ("shape", "ndim")):
            used: ast.expr | None = node.value
        elif isinstance(node, ast.Call) and node.args and ast.unparse(node.func).split(".")[-1] in _TAKE_ARRAYS:
            used = node.args[0]
        else:
            continue
        if isinstance(used, ast.Name):
            yield used.id


def _axes(n: int) -> str:
    return "one axis" if n == 1 else f"{n} axes"
