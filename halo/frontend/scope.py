"""The free names of a function, as they were when it was decorated."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

__all__ = ["MISSING", "Scope", "keep", "touches_halo"]

MISSING: Any = object()


class Scope:
    """What the names of one function meant at one moment: closure cells, then globals; builtins at look-up.

    Lists and arrays are copied. `helpers` has the Scopes of the plain functions of the same module that can be reached,
    so that a later rebinding of what they use changes nothing either.
    """

    __slots__ = ("globals", "helpers", "names")

    def __init__(self, function: FunctionType, helpers: dict[FunctionType, Scope] | None = None) -> None:
        self.names: dict[str, Any] = {}
        self.globals = function.__globals__
        self.helpers: dict[FunctionType, Scope] = {} if helpers is None else helpers
        self.helpers[function] = self
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._add(name, cell.cell_contents)
            except ValueError:  # not assigned yet
                continue
        for name in _global_names(code):
            if name not in self.names:
                value = self.globals.get(name, MISSING)
                if value is not MISSING:
                    self._add(name, value)

    def _add(self, name: str, value: Any) -> None:
        kind = type(value)
        if kind is FunctionType:
            if value.__globals__ is self.globals and value not in self.helpers:
                Scope(value, self.helpers)
        elif kind in _COPIED:
            value = keep(value)
        self.names[name] = value

    def lookup(self, name: str) -> Any:
        """What `name` means, or MISSING."""
        value = self.names.get(name, MISSING)
        return getattr(builtins, name, MISSING) if value is MISSING else value

    def of(self, function: FunctionType) -> Scope:
        """The Scope of a helper: the one taken at decoration, or for a function of another module one taken now."""
        found = self.helpers.get(function)
        return Scope(function, self.helpers) if found is None else found

    def nearest(self, name: str, more: Iterable[str] = ()) -> list[str]:
        """Known names that look like `name`, best first."""
        return get_close_matches(name, {*more, *self.names, *self.globals, *dir(builtins)}, n=3)

    def frozen(self, function: FunctionType) -> FunctionType:
        """A copy of the helper `function` that sees the names of its Scope, for Python itself to call."""
        return _frozen(function, self.helpers, {})


def _global_names(code: CodeType) -> Iterator[str]:
    """Names that the code and the functions nested in it may look up (attribute names are among them: harmless)."""
    yield from code.co_names
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _global_names(constant)


def keep(value: Any) -> Any:
    """`value` as it is now: lists, dicts and arrays copied, inside tuples too; arrays become read-only."""
    kind = type(value)
    if kind is list or kind is tuple:
        return kind([keep(v) if type(v) in _COPIED else v for v in value])
    if kind is dict:
        return {k: keep(v) if type(v) in _COPIED else v for k, v in value.items()}
    if kind is np.ndarray:
        value = value.copy()
        value.flags.writeable = False
    return value


_COPIED = frozenset({list, tuple, dict, np.ndarray})


def _frozen(f: FunctionType, helpers: dict[FunctionType, Scope], made: dict[FunctionType, Any]) -> FunctionType:
    if f in made or f not in helpers:
        return made.get(f, f)  # type: ignore[no-any-return]  # a dict of any values
    names, code = helpers[f].names, f.__code__
    cells = tuple(CellType() for _ in code.co_freevars)
    made[f] = copy = FunctionType(code, {**f.__globals__}, f.__name__, f.__defaults__, cells)
    copy.__kwdefaults__ = f.__kwdefaults__
    seen = {n: _frozen(v, helpers, made) if type(v) is FunctionType else v for n, v in names.items()}
    copy.__globals__.update({n: v for n, v in seen.items() if n not in code.co_freevars})
    for name, cell in zip(code.co_freevars, cells, strict=True):
        if name in seen:
            cell.cell_contents = seen[name]
    return copy


def touches_halo(function: FunctionType, scope: Scope) -> bool:
    """Whether `function` or a helper that it reaches names anything of halo's (in modules that know of halo)."""
    return _touches(function, scope, set())


def _touches(function: FunctionType, scope: Scope, seen: set[FunctionType]) -> bool:
    seen.add(function)
    if function.__closure__ is None and not any(_of_halo(v, 0) for v in function.__globals__.values()):
        return False
    return any(_of_halo(v) or (type(v) is FunctionType and v not in seen and _touches(v, scope, seen))
               for v in scope.of(function).names.values())  # fmt: skip


def _of_halo(value: Any, depth: int = 2) -> bool:
    if isinstance(value, ModuleType):
        return value.__name__.split(".")[0] == "halo"
    if isinstance(value, (list, tuple)) and depth:
        return any(_of_halo(v, depth - 1) for v in value)
    if isinstance(value, dict) and depth:
        return any(_of_halo(v, depth - 1) for v in value.values())
    home = value if isinstance(value, (type, FunctionType)) else type(value)
    return str(getattr(home, "__module__", "")).split(".")[0] == "halo"
