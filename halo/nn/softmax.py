"""Softmax and its like."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .lines import across, along, extent, is_last, line_of, schedule_across, schedule_along
from .op import Kind, Types, op
from .shapes import axis_of, indices, takes
from .tensor import Tensor, TensorType

__all__ = ["hardmax", "log_softmax", "softmax"]


def _schedule(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    x = types[0]
    assert x is not None
    d = attrs["axis"] % x.ndim
    if is_last(x, d):
        schedule_along(out, d)
    else:
        schedule_across(out, d, ("line_sum", "line_powers"))


class _Line:
    """What softmax finds of the line along an axis: its largest value, the powers, and their sum."""

    def __init__(self, x: Tensor, axis: int, kept: bool) -> None:
        """`kept`: the powers are, as they are read again."""
        d = axis % x.ndim
        last, line, n = is_last(x.type, d), line_of(x), extent(x, d)
        fold = along if last else across
        self.dtype, self.i = line.dtype, indices(x.ndim)
        i = self.i
        self.rest = (*i[:d], *i[d + 1 :])

        def at(k: Any) -> tuple[Any, ...]:
            return (*i[:d], k, *i[d + 1 :])

        self.line = line.func
        self.top = fold(
            "line_top", self.rest, self.dtype(-math.inf), halo.max, lambda k: self.line[at(k)], (n,), self.dtype
        )
        powers, self.powers = Func("powers"), Func("line_powers")
        powers[i] = halo.exp(self.line[i] - self.top[self.rest])
        self.powers[i] = powers[i]
        added = self.powers if kept and last else powers
        self.total = fold("line_sum", self.rest, self.dtype(0), operator.add, lambda k: added[at(k)], (n,), self.dtype)


def _softmax(x: Any, *, axis: int = -1) -> Any:
    e = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
    return (e / e.sum(axis=axis, keepdims=True)).astype(x.dtype)


@op(Kind.REDUCTION, reference=_softmax)
def softmax(x: TensorType, *, axis: int = -1) -> TensorType:
    """exp(x - max) / sum(exp(x - max)) along an axis: ONNX Softmax since opset 13.

    >>> from halo import nn
    >>> nn.softmax(np.zeros((1, 4), np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    if not -x.ndim <= axis < x.ndim:
        raise ArgumentError(f"softmax of {x} has no axis {axis}", loc=here())
    return x


@softmax.strategy("lines", schedule=_schedule)
def _(x: Tensor, *, axis: int) -> Tensor:
    line = _Line(x, axis, kept=True)
    scale, f, i = Func("line_scale"), Func("softmax"), line.i
    scale[line.rest] = 1 / line.total[line.rest]
    f[i] = (line.powers[i] * scale[line.rest]).astype(x.dtype)
    return Tensor(f, x.shape, x.dtype)


def _log_softmax(x: Any, *, axis: int = -1) -> Any:
    v = x.astype(np.float64) - x.max(axis=axis, keepdims=True)
    return (v - np.log(np.exp(v).sum(axis=axis, keepdims=True))).astype(x.dtype)


@op(Kind.REDUCTION, reference=_log_softmax)
def log_softmax(x: TensorType, *, axis: int = -1) -> TensorType:
    """The logarithm of `softmax`: x - max - log(sum(exp(x - max))) along an axis. ONNX LogSoftmax since opset 13.

    >>> from halo import nn
    >>> nn.log_softmax(np.array([[3]], np.float32))
    array([[0.]], dtype=float32)
    """
    takes("log_softmax", "float", x)
    axis_of("log_softmax", axis, x.ndim)
    return x


@log_softmax.strategy("lines", schedule=_schedule)
def _(x: Tensor, *, axis: int) -> Tensor:
    line = _Line(x, axis, kept=False)
    log, f, i = Func("line_log"), Func("log_softmax"), line.i
    log[line.rest] = halo.log(line.total[line.rest])
    f[i] = (line.line[i] - line.top[line.rest] - log[line.rest]).astype(x.dtype)
    return Tensor(f, x.shape, x.dtype)


def _hardmax(x: Any, *, axis: int = -1) -> Any:
    n = np.arange(x.shape[axis]).reshape(tuple(-1 if d == axis % x.ndim else 1 for d in range(x.ndim)))
    return (n == x.argmax(axis=axis, keepdims=True)).astype(x.dtype)


@op(Kind.OPAQUE, reference=_hardmax)
def hardmax(x: TensorType, *, axis: int = -1) -> TensorType:
    """1 at the first largest value along an axis, 0 elsewhere: ONNX Hardmax since opset 13.

    >>> from halo import nn
    >>> nn.hardmax(np.array([[1, 3, 3]], np.float32))
    array([[0., 1., 0.]], dtype=float32)
    """
    takes("hardmax", "float", x)
    axis_of("hardmax", axis, x.ndim)
    return x


@hardmax.strategy("direct")
def _(x: Tensor, *, axis: int) -> Tensor:
    d = axis % x.ndim
    i = indices(x.ndim)
    rest = (*i[:d], *i[d + 1 :])
    place, f = Func("place"), Func("hardmax")
    r: RDom = halo.rdom(extent(x, d), names="k")
    place[rest] = halo.argmax(x.func[(*i[:d], r.k, *i[d + 1 :])], r)[0]
    f[i] = halo.select(place[rest] == i[d], x.dtype(1), x.dtype(0))
    return Tensor(f, x.shape, x.dtype)
