"""Activations: elementwise functions that networks bend their values with."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import halo
from halo.errors import ArgumentError, here
from halo.lowering.math_exp import EXP2_32
from halo.types import f32, f64, i32

from .elementwise import add, elementwise, maximum, minimum, multiply, unary
from .op import Kind, any_extent, op
from .shapes import takes
from .tensor import Tensor, TensorType, type_of

__all__ = ["celu", "elu", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "mish", "prelu", "relu", "selu", "shrink",
           "sigmoid", "softplus", "softsign", "thresholded_relu"]  # fmt: skip


SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875  # of ONNX


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus_of(v: Any) -> Any:
    """log(1 + exp(v)), which neither overflows nor loses small values."""
    return halo.max(v, 0) + halo.log1p(halo.exp(-halo.abs(v)))


relu = unary("relu", lambda v: halo.max(v, 0), lambda x: np.maximum(x, 0), "max(x, 0). ONNX Relu.", "number")
sigmoid = unary("sigmoid", lambda v: 1 / (1 + halo.exp(-v)), _sigmoid, "1 / (1 + exp(-x)). ONNX Sigmoid.")
softplus = unary(
    "softplus", softplus_of, lambda x: np.logaddexp(x, 0).astype(x.dtype), "log(1 + exp(x)). ONNX Softplus."
)
softsign = unary(
    "softsign", lambda v: v / (1 + halo.abs(v)), lambda x: x / (1 + abs(x)), "x / (1 + |x|). ONNX Softsign."
)
mish = unary("mish", lambda v: v * halo.tanh(softplus_of(v)), lambda x: x * np.tanh(np.logaddexp(x, 0)),
             "x * tanh(log(1 + exp(x))) (Misra 2019). ONNX Mish.")  # fmt: skip
hard_swish = unary("hard_swish", lambda v: v * halo.clamp(v * (1 / 6) + 0.5, 0, 1), lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
                   "x * min(max(x / 6 + 1/2, 0), 1) (Howard et al. 2019). ONNX HardSwish.")  # fmt: skip


def _leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    return np.where(x < 0, x * x.dtype.type(alpha), x)


def prelu(x: Any, slope: Any) -> Any:
    """x, times `slope`, which broadcasts to it, where it is negative (He et al. 2015): ONNX and TOPI PRelu.

    >>> from halo import nn
    >>> nn.prelu(np.array([[-2, -2]], np.float32), np.array([0.5, 3], np.float32))
    array([[-1., -6.]], dtype=float32)
    """
    zero = np.zeros((), type_of(x).dtype.dtype)
    return add(maximum(x, zero), multiply(slope, minimum(x, zero)))


@op(Kind.ELEMENTWISE, reference=_leaky_relu, follows=True, general=any_extent)
def leaky_relu(x: TensorType, *, alpha: float = 0.01) -> TensorType:
    """x, times `alpha` where it is negative. ONNX LeakyRelu.

    >>> from halo import nn
    >>> nn.leaky_relu(np.array([-2, 3], np.float32), alpha=0.5)
    array([-1.,  3.], dtype=float32)
    """
    return x


@leaky_relu.strategy("direct")
def _(x: Tensor, *, alpha: float) -> Tensor:
    return elementwise("leaky_relu", lambda v: halo.select(v < 0, v * alpha, v), x)


def _elu(x: Any, *, alpha: float = 1.0) -> Any:
    return np.where(x < 0, x.dtype.type(alpha) * (np.exp(np.minimum(x, 0)) - 1), x)


@op(Kind.ELEMENTWISE, reference=_elu, follows=True, general=any_extent)
def elu(x: TensorType, *, alpha: float = 1.0) -> TensorType:
    """x, or alpha * (exp(x) - 1) where it is negative (Clevert et al. 2015). ONNX Elu.

    >>> from halo import nn
    >>> nn.elu(np.array([0, 3], np.float32))
    array([0., 3.], dtype=float32)
    """
    return x


@elu.strategy("direct")
def _(x: Tensor, *, alpha: float) -> Tensor:
    return elementwise("elu", lambda v: halo.select(v < 0, alpha * (halo.exp(halo.min(v, 0)) - 1), v), x)


def _hard_sigmoid(x: Any, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return np.clip(x * x.dtype.type(alpha) + x.dtype.type(beta), 0, 1)


@op(Kind.ELEMENTWISE, reference=_hard_sigmoid, follows=True, general=any_extent)
def hard_sigmoid(x: TensorType, *, alpha: float = 0.2, beta: float = 0.5) -> TensorType:
    """min(max(alpha * x + beta, 0), 1). ONNX HardSigmoid.

    >>> from halo import nn
    >>> nn.hard_sigmoid(np.array([-9, 0, 9], np.float32))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    return x


@hard_sigmoid.strategy("direct")
def _(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    return elementwise("hard_sigmoid", lambda v: halo.min(halo.max(v * alpha + beta, 0), 1), x)


def _gelu(x: Any, *, approximate: str = "none") -> Any:
    v = x.astype(np.float64)
    if approximate == "tanh":
        return (v / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))).astype(x.dtype)
    return (v / 2 * (1 + np.vectorize(math.erf, otypes=[np.float64])(v / math.sqrt(2)))).astype(x.dtype)


# log2 of the share of a normal distribution below -a, as a polynomial in a: up to 5.75 the share is right to 1e-8
_TAIL = (
    -1.0, -1.1511054, -0.45920733, -0.052494902, 0.0070498628, -0.00010934795,
    -0.00021153924, 5.1206232e-05, -5.543247e-06, 2.4019542e-07,
)  # fmt: skip
_END = 5.75


def _share_below(v: Any) -> Any:
    """The share of a normal distribution below `v`, in f32: 2**p of -|v|, whose last bits hold the exponent once it is
    rounded by adding 1.5 * 2**23 (as in `lowering.math_exp`), and from 0 on what that leaves of 1."""
    magic, a = f32(1.5 * 2.0**23 + 127), halo.abs(v)
    p = halo.fma(_polynomial(a * a, _TAIL[1::2]), a, _polynomial(a * a, _TAIL[::2]))  # two chains, each half as long
    sum = p + magic
    scale = halo.reinterpret(f32, halo.reinterpret(i32, sum) << 23)
    tail = halo.select(a < _END, _polynomial(p - (sum - magic), (1.0, *EXP2_32)) * scale, f32(0))
    return halo.select(v >= 0, 1 - tail, tail)  # so that the subtraction is the one that is masked


def _polynomial(x: Any, terms: Sequence[float]) -> Any:
    *rest, total = map(f32, terms)
    return functools.reduce(lambda sum, c: halo.fma(sum, x, c), reversed(rest), total)


@op(Kind.ELEMENTWISE, reference=_gelu, follows=True, general=any_extent)
def gelu(x: TensorType, *, approximate: str = "none") -> TensorType:
    """x times the share of a normal distribution below it (Hendrycks and Gimpel 2016): ONNX Gelu. `approximate`: "none",
    by the error function, or "tanh".

    >>> from halo import nn
    >>> nn.gelu(np.array([0, 30], np.float32))
    array([ 0., 30.], dtype=float32)
    """
    takes("gelu", "float", x)
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu has no approximation {approximate!r}", loc=here(), legal=("none", "tanh"))
    return x


@gelu.strategy("direct")
def _(x: Tensor, *, approximate: str) -> Tensor:
    def exactly(v: Any) -> Any:
        if x.dtype is not f64:
            wide = v.astype(f32)
            return (wide * _share_below(wide)).astype(x.dtype)
        return 0.5 * v * (1 + halo.erf(v * math.sqrt(0.5)))

    def by_tanh(v: Any) -> Any:
        return 0.5 * v * (1 + halo.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v * v * v)))

    return elementwise("gelu", by_tanh if approximate == "tanh" else exactly, x)


def _selu(x: Any, *, alpha: float = SELU_ALPHA, gamma: float = SELU_GAMMA) -> Any:
    return (gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))).astype(x.dtype)


@op(Kind.ELEMENTWISE, reference=_selu, follows=True, general=any_extent)
def selu(x: TensorType, *, alpha: float = SELU_ALPHA, gamma: float = SELU_GAMMA) -> TensorType:
    """gamma * x, or gamma * alpha * (exp(x) - 1) where it is negative (Klambauer et al. 2017). ONNX Selu.

    >>> from halo import nn
    >>> nn.selu(np.array([0, 1], np.float32), gamma=2.0)
    array([0., 2.], dtype=float32)
    """
    takes("selu", "float", x)
    return x


@selu.strategy("direct")
def _(x: Tensor, *, alpha: float, gamma: float) -> Tensor:
    def value(v: Any) -> Any:
        return halo.select(v > 0, gamma * v, gamma * alpha * halo.expm1(halo.min(v, 0)))

    return elementwise("selu", value, x)


def _celu(x: Any, *, alpha: float = 1.0) -> Any:
    return (np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))).astype(x.dtype)


@op(Kind.ELEMENTWISE, reference=_celu, follows=True, general=any_extent)
def celu(x: TensorType, *, alpha: float = 1.0) -> TensorType:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1)) (Barron 2017). ONNX Celu.

    >>> from halo import nn
    >>> nn.celu(np.array([0, 3], np.float32))
    array([0., 3.], dtype=float32)
    """
    takes("celu", "float", x)
    if alpha == 0:
        raise ArgumentError("celu divides by alpha, which is 0", loc=here())
    return x


@celu.strategy("direct")
def _(x: Tensor, *, alpha: float) -> Tensor:
    return elementwise("celu", lambda v: halo.max(v, 0) + halo.min(alpha * halo.expm1(v / alpha), 0), x)


@op(Kind.ELEMENTWISE, reference=lambda x, *, alpha=1.0: np.where(x > alpha, x, 0).astype(x.dtype), follows=True,
    general=any_extent)  # fmt: skip
def thresholded_relu(x: TensorType, *, alpha: float = 1.0) -> TensorType:
    """x where it is more than `alpha`, else 0 (Konda et al. 2014). ONNX ThresholdedRelu.

    >>> from halo import nn
    >>> nn.thresholded_relu(np.array([1, 3], np.float32))
    array([0., 3.], dtype=float32)
    """
    takes("thresholded_relu", "number", x)
    return x


@thresholded_relu.strategy("direct")
def _(x: Tensor, *, alpha: float) -> Tensor:
    return elementwise("thresholded_relu", lambda v: halo.select(v > alpha, v, 0), x)


def _shrink(x: Any, *, lambd: float = 0.5, bias: float = 0.0) -> Any:
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0)).astype(x.dtype)


@op(Kind.ELEMENTWISE, reference=_shrink, follows=True, general=any_extent)
def shrink(x: TensorType, *, lambd: float = 0.5, bias: float = 0.0) -> TensorType:
    """x moved towards zero by `bias`, and 0 within `lambd` of it. ONNX Shrink.

    >>> from halo import nn
    >>> nn.shrink(np.array([-3, 0.25, 3], np.float32), bias=1.0)
    array([-2.,  0.,  2.], dtype=float32)
    """
    takes("shrink", "number", x)
    return x


@shrink.strategy("direct")
def _(x: Tensor, *, lambd: float, bias: float) -> Tensor:
    def value(v: Any) -> Any:
        wide = v if x.dtype.is_float else v.astype(halo.f64)
        return halo.select(wide < -lambd, wide + bias, halo.select(wide > lambd, wide - bias, 0)).astype(x.dtype)

    return elementwise("shrink", value, x)
