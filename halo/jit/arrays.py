"""Everything that holds an array, as NumPy arrays that share its memory; and what a kernel needs to know of one.

Accepted are NumPy arrays and whatever has `__array_interface__`, the buffer protocol, `__dlpack__` (on the CPU) or
`__array__`. Nothing is copied but what machine code cannot address: another byte order, misaligned data, and strides
that are no multiple of the element.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from ..errors import ArgumentError, TypeMismatchError
from ..types import Type, as_type
from . import dlpack

__all__ = [
    "Array",
    "as_array",
    "described",
    "element_strides",
    "element_type",
    "is_addressable",
    "overlap",
    "overlaps_itself",
]

Array = np.ndarray[Any, Any]
_EFFORT: Any = 10_000  # candidate solutions
_types: dict[np.dtype[Any], Type | None] = {}


def as_array(value: Any, name: str, shared: bool = False) -> Array:
    """`value` as an array on its memory. Raises ArgumentError, which calls it `name`.

    `__array__` alone may hand out a copy: with `shared` it is not enough.

    >>> as_array(memoryview(b"ab"), "img")
    array([97, 98], dtype=uint8)
    """
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    try:
        found = _view(value, shared)
    except (BufferError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ArgumentError(f"{name}: {type(value).__name__} gives no array: {error}") from error
    if found is None:
        hint = f"{name}=numpy.asarray(...)" if isinstance(value, (list, tuple, int, float, np.generic)) else ""
        raise ArgumentError(f"{name} is an array, not {described(value)}", hint=hint)
    return found


def _view(value: Any, shared: bool) -> Array | None:
    if isinstance(value, (str, np.generic)):
        return None
    if hasattr(value, "__array_interface__") or hasattr(value, "__array_struct__"):
        return np.asarray(value)
    foreign = hasattr(value, "__dlpack__")
    with contextlib.suppress(*((TypeError, RuntimeError, ValueError, BufferError) if foreign else (TypeError,))):
        return np.asarray(memoryview(value))  # which says what is read-only, and has no bf16
    if foreign:
        return dlpack.as_array(value)
    return np.asarray(value) if hasattr(value, "__array__") and not shared else None


def described(value: Any) -> str:
    """A short text for an argument of any type, whatever its own repr does."""
    try:
        text = repr(value)
    except Exception:
        text = ""
    return f"{type(value).__name__} {text if len(text) < 40 else text[:37] + '...'}".rstrip()


def element_type(a: Array) -> Type | None:
    """The type of the elements of `a`, whatever their byte order; None if the language has none."""
    dtype = a.dtype
    if dtype not in _types:
        _types[dtype] = None
        with contextlib.suppress(TypeMismatchError):
            _types[dtype] = as_type(dtype)
    return _types[dtype]


def is_addressable(a: Array) -> bool:
    """Whether machine code can address `a` as it is: native byte order, aligned, strides of whole elements."""
    size = a.itemsize
    if not a.dtype.isnative or a.ctypes.data % size:
        return False
    return all(s % size == 0 or n <= 1 for s, n in zip(a.strides, a.shape, strict=True))


def element_strides(a: Array) -> tuple[int, ...]:
    """The strides of `a` in elements. That of a last axis of one element is 1: any step along it is."""
    strides = tuple(s // a.itemsize for s in a.strides)
    return (*strides[:-1], 1) if strides and a.shape[-1] <= 1 else strides


def overlap(a: Array, b: Array) -> bool:
    """Whether some byte belongs to both (where that is too hard to tell, whether their ranges meet)."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=_EFFORT))
    except np.exceptions.TooHardError:
        return True


def overlaps_itself(a: Array) -> bool:
    """Whether two elements of `a` may share memory: False where its axes, by stride, each step over the one before."""
    reach = a.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1):
        if stride < reach:
            return a.size > 0
        reach = stride * (n - 1) + reach
    return False
