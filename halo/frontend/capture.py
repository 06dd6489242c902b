"""What `@halo.func` keeps of a Python function: cheap to take, translated at first use."""

from __future__ import annotations

import ast
import builtins
import inspect
from types import CodeType, FunctionType
from typing import Any

from ..errors import DefinitionError, Location, here
from ..ir.surface import Definitions, Function
from .inputs import NO_DEFAULT, Hint
from .scope import Scope
from .source import Source, load
from .translate import translate

__all__ = ["Capture", "capture"]

_NOT_PLAIN = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def capture(function: Any, source: str | None = None, name: str | None = None) -> Capture:
    """The Capture of `function` as its names are now. `source` is its text where Python does not know it."""
    if not isinstance(function, FunctionType):
        what = type(function).__name__
        raise DefinitionError(f"halo.func decorates plain Python functions, and this is of type {what}", loc=here())
    code, own = function.__code__, function.__name__
    if code.co_flags & _NOT_PLAIN:
        what = "a generator" if code.co_flags & inspect.CO_GENERATOR else "a coroutine"
        raise DefinitionError(f"{own} is {what}", loc=_place(code, source), hint="return the value at one point")
    if code.co_flags & inspect.CO_VARKEYWORDS:
        raise DefinitionError(f"{own} takes **{code.co_varnames[_parameters(code) - 1]}", loc=_place(code, source),
                              hint="name each input as a keyword-only parameter: def f(y, x, *, img)")  # fmt: skip
    if function.__defaults__:
        raise DefinitionError(f"an index variable of {own} has a default", loc=_place(code, source),
                              hint="put the inputs after a star: def f(y, x, *, gain=1.0)")  # fmt: skip
    return Capture(function, source, name or own)


def _parameters(code: CodeType) -> int:
    """How many of the code's variables are parameters."""
    stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_argcount + code.co_kwonlyargcount + stars


def _place(code: CodeType, source: str | None) -> Location:
    """The first line of the function."""
    if source is None:
        return Location(code.co_filename, code.co_firstlineno)
    return Location(f"<source of {code.co_name}>", 1, text=source.strip().split("\n")[0])


class Capture:
    """A decorated function: its signature, and what its free names meant when it was decorated.

    `index_names` are the index variables (without the pack), `pack` the name of `*i` or None, `inputs_hint` what the
    signature says of each input. None of these needs the source; `definitions` does, at its first call.
    """

    __slots__ = ("_definitions", "_source", "_text", "index_names", "inputs_hint", "name", "pack", "py_func", "scope")

    def __init__(self, function: FunctionType, text: str | None, name: str) -> None:
        code = function.__code__
        names, count = code.co_varnames, code.co_argcount
        self.py_func, self.name, self._text = function, name, text
        self.scope = Scope(function)
        self.index_names: tuple[str, ...] = names[:count]
        inputs = names[count : count + code.co_kwonlyargcount]
        self.pack: str | None = names[count + len(inputs)] if code.co_flags & inspect.CO_VARARGS else None
        annotations, defaults = function.__annotations__, function.__kwdefaults__ or {}
        self.inputs_hint = {n: Hint(annotations.get(n), defaults.get(n, NO_DEFAULT)) for n in inputs}
        self._source: Source | None = None
        self._definitions: dict[tuple[int | None, Any], Definitions] = {}

    @property
    def ndim(self) -> int | None:
        """The number of index variables; None for a pack, whose length the use decides."""
        return len(self.index_names) if self.pack is None else None

    @property
    def source(self) -> Source:
        """The syntax tree (parsed once)."""
        if self._source is None:
            self._source = load(self.py_func, self._text)
        return self._source

    def definitions(self, rank: int | None = None, self_func: Function | None = None) -> Definitions:
        """What the function defines, for `rank` index variables; `self_func` is what its own name means in it."""
        if self.pack is None:
            rank = None
        key = rank, self_func
        if key not in self._definitions:
            hints = {n: Hint(self._annotation(h.annotation), h.default) for n, h in self.inputs_hint.items()}
            self._definitions[key] = translate(self.source, self.scope, self.py_func.__name__, hints, rank, self_func)
        return self._definitions[key]

    def _annotation(self, annotation: Any) -> Any:
        """An annotation's value; texts (`from __future__ import annotations`) are looked up in the Scope."""
        names = {**vars(builtins), **self.scope.globals, **self.scope.names}
        for _ in range(2):  # a text of a text: quoted, and `annotations` imported
            if isinstance(annotation, str):
                try:
                    annotation = eval(annotation, names)
                except Exception:
                    break
        return annotation

    def offsets(self) -> dict[str, int]:
        """How many axes each input has more than the pack has variables, from subscripts like `img[(*i, k)]` (1)."""
        found: dict[str, int] = {}
        for node in ast.walk(self.source.node):
            if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
                continue
            more = self._beside_pack(node.slice)
            if node.value.id in self.inputs_hint and more is not None:
                found.setdefault(node.value.id, more)
        return found

    def _beside_pack(self, key: ast.expr) -> int | None:
        """How many indices stand beside the whole pack in a subscript; None if it is not there."""
        elements = key.elts if isinstance(key, ast.Tuple) else [ast.Starred(key)]
        packs = [e for e in elements if isinstance(e, ast.Starred)]
        whole = len(packs) == 1 and isinstance(packs[0].value, ast.Name) and packs[0].value.id == self.pack
        return len(elements) - 1 if whole else None

    def rank_for(self, ranks: dict[str, int]) -> int | None:
        """The number of index variables with which inputs of these ranks fit; None where that does not follow."""
        if self.pack is None:
            return len(self.index_names)
        found = {ranks[n] - more for n, more in self.offsets().items() if n in ranks}
        return len(self.index_names) + found.pop() if len(found) == 1 else None
