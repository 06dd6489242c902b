"""Operators that move values: reshape, flatten, transpose, concatenate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here
from halo.ir.shapes import shown

from .op import Kind, op
from .shapes import same_type
from .tensor import Tensor, TensorType

__all__ = ["concatenate", "flatten", "reshape", "transpose"]


@op(Kind.INJECTIVE, reference=lambda x, *, shape: np.reshape(x, shape), view=True)
def reshape(x: TensorType, *, shape: tuple[int, ...]) -> TensorType:
    """The values of `x` in the same order, in another shape. One extent may be -1: what is left. NumPy reshape.

    >>> from halo import nn
    >>> nn.reshape(np.arange(6, dtype=np.float32), shape=(2, -1)).shape
    (2, 3)
    """
    size, known = math.prod(x.static), math.prod(n for n in shape if n != -1)
    if shape.count(-1) > 1 or (-1 in shape and (not known or size % known)) or (-1 not in shape and known != size):
        raise ArgumentError(f"{shown(x.shape)} does not reshape to {shown(shape)}", loc=here())
    return TensorType(tuple(size // known if n == -1 else n for n in shape), x.dtype)


@reshape.strategy("direct")
def _(x: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    extents = reshape.infer((x.type,), {"shape": shape}).static
    f = Func("reshape")
    i = tuple(halo.vars(" ".join(f"i{d}" for d in range(len(extents))))) if extents else ()
    flat: Any = 0
    for v, n in zip(i, extents, strict=True):
        flat = flat * n + v
    f[i] = x.func[_unravelled(flat, x.type.static)]
    return Tensor(f, extents, x.dtype)


def _unravelled(flat: Any, extents: tuple[int, ...]) -> tuple[Any, ...]:
    found: list[Any] = []
    for n in reversed(extents[1:]):
        found.append(flat % n if n > 1 else 0)
        flat = flat // n
    if not extents:
        return ()
    # it is less than that in any case, but where reshapes follow each other nobody sees it
    return (halo.min(flat, extents[0] - 1) if extents[0] > 1 else 0, *reversed(found))


@op(Kind.INJECTIVE, reference=lambda x, *, axis=1: x.reshape(math.prod(x.shape[:axis]), -1), view=True)
def flatten(x: TensorType, *, axis: int = 1) -> TensorType:
    """A matrix: the axes before `axis` are its rows, the rest its columns. ONNX Flatten.

    >>> from halo import nn
    >>> nn.flatten(np.zeros((2, 3, 4), np.float32)).shape
    (2, 12)
    """
    if not -x.ndim <= axis <= x.ndim:
        raise ArgumentError(f"flatten of {x} has no axis {axis}", loc=here())
    k = axis if axis >= 0 else axis + x.ndim
    return TensorType((math.prod(x.static[:k]), math.prod(x.static[k:])), x.dtype)


@flatten.strategy("direct")
def _(x: Tensor, *, axis: int) -> Tensor:
    return reshape(x, shape=flatten.infer((x.type,), {"axis": axis}).shape)  # type: ignore[no-any-return]  # operators take and give tensors and expressions


def _order(ndim: int, axes: Any) -> tuple[int, ...]:
    order = tuple(range(ndim))[::-1] if axes is None else tuple(a % ndim for a in axes)
    if sorted(order) != list(range(ndim)):
        raise ArgumentError(f"axes={axes} is no order of {ndim} axes", loc=here())
    return order


@op(Kind.INJECTIVE, reference=lambda x, *, axes=None: np.ascontiguousarray(np.transpose(x, axes)))
def transpose(x: TensorType, *, axes: tuple[int, ...] | None = None) -> TensorType:
    """The axes in another order (the reverse one, if left out): NumPy transpose, ONNX Transpose.

    >>> from halo import nn
    >>> nn.transpose(np.zeros((2, 3, 4), np.float32), axes=(0, 2, 1)).shape
    (2, 4, 3)
    """
    return TensorType(tuple(x.shape[a] for a in _order(x.ndim, axes)), x.dtype)


@transpose.strategy("direct")
def _(x: Tensor, *, axes: tuple[int, ...] | None) -> Tensor:
    order = _order(x.ndim, axes)
    f = Func("transpose")
    i = tuple(halo.vars(" ".join(f"i{d}" for d in range(x.ndim)))) if x.ndim else ()
    f[i] = x.func[tuple(i[order.index(d)] for d in range(x.ndim))]
    return Tensor(f, tuple(x.shape[a] for a in order), x.dtype)


@op(Kind.OPAQUE, reference=lambda *xs, axis=0: np.concatenate(xs, axis), follows=True)
def concatenate(*xs: TensorType, axis: int = 0) -> TensorType:
    """One after the other along an axis: NumPy concatenate, ONNX Concat.

    In a graph it costs nothing where its parts can be computed in their places of the result.

    >>> from halo import nn
    >>> nn.concatenate(np.zeros((1, 2), np.float32), np.ones((1, 1), np.float32), axis=1)
    array([[0., 0., 1.]], dtype=float32)
    """
    if not xs or not -xs[0].ndim <= axis < xs[0].ndim:
        raise ArgumentError(f"nothing to concatenate along axis {axis}", loc=here())
    d = axis % xs[0].ndim
    rest = {(*t.shape[:d], *t.shape[d + 1 :]) for t in xs if t.ndim == xs[0].ndim}
    if len(rest) > 1 or any(t.ndim != xs[0].ndim for t in xs):
        raise ArgumentError(f"{' and '.join(map(str, xs))} differ in more than axis {axis}", loc=here())
    total = sum(TensorType((t.shape[d],), t.dtype).static[0] for t in xs)
    return TensorType((*xs[0].shape[:d], total, *xs[0].shape[d + 1 :]), same_type("concatenate", *xs))


@concatenate.strategy("direct")
def _(*xs: Tensor, axis: int) -> Tensor:
    d = axis % xs[0].ndim
    i = tuple(halo.vars(" ".join(f"i{k}" for k in range(xs[0].ndim))))
    f = Func("concatenate")
    end, value = 0, None
    for x in reversed(xs):
        end += x.shape[d]
    for x in reversed(xs):
        start = end - x.shape[d]
        if x.shape[d]:
            part = x.func[(*i[:d], halo.clamp(i[d] - start, 0, x.shape[d] - 1), *i[d + 1 :])]
            value = part if value is None else halo.select(i[d] < end, part, value)
        end = start
    f[i] = xs[0].func[i] if value is None else value
    shape = concatenate.infer(tuple(x.type for x in xs), {"axis": axis}).shape
    return Tensor(f, shape, xs[0].dtype)
