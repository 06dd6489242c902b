"""Normalisation and softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here

from .elementwise import elementwise
from .op import Kind, op
from .tensor import Tensor, TensorType

__all__ = ["batch_norm", "softmax"]


def _batch_norm(x: Any, scale: Any, bias: Any, mean: Any, variance: Any, *, epsilon: float = 1e-5) -> Any:
    s = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    shape = (-1, *(1,) * (x.ndim - 2))
    return (x * s.reshape(shape) + (bias - mean * s).reshape(shape)).astype(x.dtype)


@op(Kind.BROADCAST, reference=_batch_norm)
def batch_norm(x: TensorType, scale: TensorType, bias: TensorType, mean: TensorType, variance: TensorType, *,
               epsilon: float = 1e-5) -> TensorType:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, an entry of each a channel (axis 1): ONNX BatchNormalization
    at inference (Ioffe and Szegedy 2015).

    >>> from halo import nn
    >>> one = np.ones(2, np.float32)
    >>> nn.batch_norm(np.full((1, 2, 1), 3, np.float32), one, one, one, one, epsilon=0.0)[0, :, 0]
    array([3., 3.], dtype=float32)
    """
    for t in (scale, bias, mean, variance):
        if t.shape != x.shape[1:2]:
            raise ArgumentError(f"batch_norm of {x} takes {x.shape[1]} entries of each, not {t}", loc=here())
    return x


@batch_norm.strategy("direct")
def _(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *, epsilon: float) -> Tensor:
    channels = (
        Tensor(_along(t, x.ndim), (x.shape[1], *(1,) * (x.ndim - 2)), t.dtype) for t in (scale, bias, mean, variance)
    )

    def value(v: Any, s: Any, b: Any, m: Any, var: Any) -> Any:
        return (v - m) * (s / halo.sqrt(var + epsilon)) + b

    return elementwise("batch_norm", value, x, *channels)


def _along(t: Tensor, ndim: int) -> Func:
    """A vector along axis 0 of what has the axes behind the first one."""
    f = Func("channels")
    i = tuple(halo.vars(" ".join(f"i{d}" for d in range(ndim - 1))))
    f[i] = t.func[i[0]]
    return f


def _softmax(x: Any, *, axis: int = -1) -> Any:
    e = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
    return (e / e.sum(axis=axis, keepdims=True)).astype(x.dtype)


@op(Kind.OPAQUE, reference=_softmax)
def softmax(x: TensorType, *, axis: int = -1) -> TensorType:
    """exp(x - max) / sum(exp(x - max)) along an axis: ONNX Softmax since opset 13.

    >>> from halo import nn
    >>> nn.softmax(np.zeros((1, 4), np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    if not -x.ndim <= axis < x.ndim:
        raise ArgumentError(f"softmax of {x} has no axis {axis}", loc=here())
    return x


@softmax.strategy("direct")
def _(x: Tensor, *, axis: int) -> Tensor:
    d = axis % x.ndim
    n = x.shape[d] if isinstance(x.shape[d], int) else x.func.shape[d]
    i = tuple(halo.vars(" ".join(f"i{k}" for k in range(x.ndim))))
    rest = (*i[:d], *i[d + 1 :])

    def at(k: Any) -> tuple[Any, ...]:
        return (*i[:d], k, *i[d + 1 :])

    top, powers, total, f = Func("top"), Func("powers"), Func("total"), Func("softmax")
    r: RDom = halo.rdom(n, names="k")
    top[rest] = halo.max(x.func[at(r.k)], r)
    powers[i] = halo.exp(x.func[i] - top[rest])
    r = halo.rdom(n, names="k")
    total[rest] = halo.sum(powers[at(r.k)], r)
    f[i] = powers[i] / total[rest]
    powers.compute_root()
    return Tensor(f, x.shape, x.dtype)
