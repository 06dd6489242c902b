"""Integers that the shapes of a call decide, as a tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here
from halo.types import as_type

from .op import Kind, op
from .tensor import Tensor, TensorType

__all__ = ["extents"]


def _reference(*, values: Any, shape: Any, dtype: str = "i64") -> Any:
    return np.array(values, as_type(dtype).dtype).reshape(shape)


@op(Kind.OPAQUE, reference=_reference)
def extents(*, values: tuple[Any, ...], shape: tuple[int, ...], dtype: str = "i64") -> TensorType:
    """A tensor of `shape` with these entries, integers or extents of symbolic axes: ONNX Shape.

    >>> from halo import nn
    >>> nn.extents(values=(2, 3), shape=(2,))
    array([2, 3])
    """
    if math.prod(shape) != len(values):
        raise ArgumentError(f"{len(values)} values are no tensor of {shape}", loc=here())
    return TensorType(tuple(shape), as_type(dtype))


@extents.strategy("direct")
def _(*, values: Any, shape: Any, dtype: str) -> Tensor:
    t = as_type(dtype)
    i = tuple(halo.vars(" ".join(f"i{d}" for d in range(len(shape))))) if shape else ()
    at: Any = 0
    for v, n in zip(i, shape, strict=True):
        at = at * n + v
    found: Any = t(values[-1]) if values else t(0)
    for k in reversed(range(len(values) - 1)):
        found = halo.select(at == k, t(values[k]), found)
    f = Func("extents")
    f[i] = found
    return Tensor(f, tuple(shape), t)
