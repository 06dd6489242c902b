"""What machine code calls back into Python for: extern stages, and printing.

An extern stage becomes a call of `i32 symbol(words, error)`. The words are, for each region (those to write come first),
its address, its extents and its strides in elements; `error` is the call's error memory, by which an exception finds
the call that it belongs to. Python's lock must be free while such a kernel runs.
"""

from __future__ import annotations

import ctypes
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.stmt import Block, CallExtern, Stmt
from ..types import ML_DTYPES, Type, as_type

__all__ = ["FAILED", "External", "Externals", "calls_in", "print_values"]

FAILED = -3  # the status of a kernel in which a callback raised
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(ctypes.c_int64), ctypes.c_void_p)


@dataclass(frozen=True)
class External:
    """`function` under the name `symbol`, called on arrays of these (type, rank, whether it is written)."""

    symbol: str
    function: Callable[..., Any]
    arrays: tuple[tuple[Type, int, bool], ...]


def calls_in(s: Stmt) -> tuple[External, ...]:
    """The extern stages that `s` calls."""
    found: dict[str, External] = {}
    todo: list[Any] = [s]
    while todo:
        s = todo.pop()
        if isinstance(s, CallExtern):
            arrays = tuple((v.buffer.type, len(v.extents), k < s.outputs) for k, v in enumerate(s.views))
            found[s.symbol] = External(s.symbol, s.function, arrays)
        elif isinstance(s, Block):
            todo += s.stmts
        else:
            todo += [
                t
                for name in ("body", "then", "orelse", "producer", "consumer", "alone")
                if (t := getattr(s, name, None)) is not None
            ]
    return tuple(found.values())


class Externals:
    """The callbacks of one kernel. `symbols` is what its code links against."""

    def __init__(self, externals: Sequence[External]) -> None:
        self._raised: dict[int, BaseException] = {}
        self._callbacks = {e.symbol: _CALLBACK(_callback(e, self._raised)) for e in externals}

    @property
    def symbols(self) -> dict[str, int]:
        return {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in self._callbacks.items()}

    def raised(self, error: int) -> BaseException | None:
        """What a callback of the call with this error memory raised."""
        return self._raised.pop(error, None)


def _callback(e: External, raised: dict[int, BaseException]) -> Callable[[Any, int], int]:
    def call(words: Any, error: int) -> int:
        try:
            e.function(*_views(words, e.arrays))
        except BaseException as exception:  # it goes on from the Python side of the call
            raised[error] = exception
            return FAILED
        return 0

    return call


class _Memory:
    """An array for NumPy to look at."""

    def __init__(self, interface: dict[str, Any]) -> None:
        self.__array_interface__ = interface


def _views(words: Any, arrays: tuple[tuple[Type, int, bool], ...]) -> list[np.ndarray[Any, Any]]:
    views, at = [], 0
    for type, ndim, written in arrays:
        size = type.bytes
        shape = tuple(words[at + 1 : at + 1 + ndim])
        strides = tuple(s * size for s in words[at + 1 + ndim : at + 1 + 2 * ndim])
        typestr = f"|V{size}" if type.name in ML_DTYPES else type.dtype.str
        interface = {
            "version": 3,
            "typestr": typestr,
            "shape": shape,
            "strides": strides,
            "data": (words[at], not written),
        }
        a = np.asarray(_Memory(interface)) if all(shape) else np.empty(shape, type.dtype)
        views.append(a.view(type.dtype))
        at += 1 + 2 * ndim
    return views


def _print_values(message: bytes, types: bytes, words: Any) -> None:
    """The message with the values in their places."""
    try:
        names = types.decode().split(",")
        print(message.decode().format(*(str(value(as_type(name), words[k])) for k, name in enumerate(names))))
    except Exception:  # a closed stdout, say: printing changes no result
        traceback.print_exc(file=sys.stderr)


print_values = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int64))(_print_values)
"""What machine code calls as `halo_print(message, types, words)`."""


def value(type: Type, word: int) -> Any:
    """The value of `type` that machine code tells in 8 bytes: an integer as it is, a float as a double."""
    if type.is_float:
        return type.dtype.type(np.int64(word).view(np.float64))
    return type.dtype.type(type.wrap(word)) if not type.is_bool else bool(word)
