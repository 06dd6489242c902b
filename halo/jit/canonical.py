"""The canonical text of a pipeline: what the disk cache is keyed on.

Two captures of the same definitions under the same schedule give the same bytes, in this process or another one.
Each object is written once, where it is first met, and by its number after that: the text is linear in the size of the
DAG. Source locations are left out, so that an edit further up in the file costs no compilation; they are listed beside
it in the same order, which is how cached metadata refers to them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from ..errors import HaloError, Location
from ..ir.expr import Array, Buffer, Op
from ..ir.node import Node
from ..ir.pipeline import Pipeline
from ..types import Type

__all__ = ["Canonical", "UncacheableError", "canonical"]


class UncacheableError(HaloError):
    """The pipeline holds something that has no meaning in another process, such as a Python function."""


@dataclass(frozen=True)
class Canonical:
    """`text` is equal exactly for equal pipelines; `locations` are the places in the user's code, in its order."""

    text: bytes
    locations: tuple[Location, ...]

    def __add__(self, other: Canonical) -> Canonical:
        return Canonical(self.text + b" " + other.text, self.locations + other.locations)


def canonical(pipeline: Pipeline) -> Canonical:
    """`pipeline` as text. Raises `UncacheableError`.

    >>> canonical(Pipeline((), (), ())).text
    b'Pipeline( ( ) ( ) ( ) ( ) ( ) )'
    """
    writer = _Writer()
    text = writer.write(pipeline)
    return Canonical(text, tuple(writer.locations))


class _Writer:
    """A depth-first walk with a stack of its own: expressions are deeper than Python's recursion limit."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.locations: list[Location] = []

    def write(self, root: Any) -> bytes:
        out: list[str] = []
        todo: list[Any] = [root]
        while todo:
            item = todo.pop()
            if type(item) is _Word:
                out.append(item)
            elif item is None or type(item) in _SCALARS:
                out.append(repr(item))
            elif type(item) is float:
                out.append(item.hex())
            elif type(item) in (tuple, list):
                out.append("(")
                todo.append(_CLOSE)
                todo.extend(reversed(item))
            elif isinstance(item, Location):
                self.locations.append(item)
            else:
                self._object(item, out, todo)
        return " ".join(out).encode()

    def _object(self, item: Any, out: list[str], todo: list[Any]) -> None:
        number = self.numbers.get(id(item))
        if number is not None:
            out.append(f"#{number}")
            return
        head, parts = _parts(item)
        if parts is None:
            out.append(head)
            return
        self.numbers[id(item)] = len(self.numbers)
        out.append(f"{head}(")
        todo.append(_CLOSE)
        todo.extend(reversed(parts))


class _Word(str):
    """Text that is written as it is."""


_CLOSE = _Word(")")
_SCALARS = (bool, int, str, bytes, complex)
_FIELDS: dict[type, tuple[str, ...]] = {}


def _parts(item: Any) -> tuple[str, tuple[Any, ...] | None]:
    """The word for `item`, and what it consists of (None for what the word says in full)."""
    if isinstance(item, Type):
        return item.name, None
    if isinstance(item, Op) and item.name == "call":
        raise UncacheableError(f"{item.data} is machine code of another compiler's")
    if isinstance(item, Node):
        return type(item).__name__, tuple(getattr(item, name) for name in item.fields)
    if isinstance(item, Array):
        return "Array", (item.name, item.types, item.ndim, item.kind, item.contiguous, item.shape, item.table)
    if isinstance(item, Buffer):
        return "Buffer", (item.name, item.type, item.kind, item.table)
    if isinstance(item, np.ndarray):
        return f"ndarray:{item.dtype}{item.shape}:{hashlib.sha256(item.tobytes()).hexdigest()}", None
    if isinstance(item, np.generic):
        return f"{item.dtype}:{item.tobytes().hex()}", None
    if isinstance(item, (dict, frozenset)):
        return type(item).__name__, tuple(sorted(item.items() if isinstance(item, dict) else item, key=repr))
    if isinstance(item, Enum):
        return str(item), None
    if is_dataclass(item):
        kind = type(item)
        names = _FIELDS.get(kind)
        if names is None:
            names = _FIELDS[kind] = tuple(f.name for f in fields(item) if f.compare)
        return kind.__name__, tuple(getattr(item, name) for name in names)
    raise UncacheableError(f"{item!r} cannot be told apart from others across processes")
