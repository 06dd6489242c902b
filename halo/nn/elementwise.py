"""Elementwise operators and those that broadcast: each value from the values at its own index."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import halo
from halo import Expr, Func
from halo.errors import ArgumentError, here

from .op import Kind, Op, any_extent, op
from .shapes import broadcast, same_type
from .tensor import Tensor, TensorType

__all__ = [
    "absolute",
    "add",
    "ceil",
    "clip",
    "cos",
    "divide",
    "elementwise",
    "elu",
    "erf",
    "exp",
    "floor",
    "hard_sigmoid",
    "identity",
    "leaky_relu",
    "log",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "reciprocal",
    "relu",
    "rsqrt",
    "sigmoid",
    "sin",
    "sqrt",
    "subtract",
    "tanh",
]


def elementwise(name: str, value: Callable[..., Any], *args: Tensor, dtype: Any = None) -> Tensor:
    """The Tensor of `value` of what `args`, broadcast together, have at each index."""
    shape = broadcast(*(a.shape for a in args))
    f = Func(name)
    i = tuple(halo.vars(" ".join(f"i{d}" for d in range(len(shape))))) if shape else ()
    f[i] = value(*(_at(a, i) for a in args))
    return Tensor(f, shape, dtype or args[0].dtype)


def _at(a: Tensor, i: tuple[Any, ...]) -> Expr:
    own = i[len(i) - a.ndim :]
    return a.func[tuple(0 if n == 1 else v for v, n in zip(own, a.shape, strict=True))]  # type: ignore[no-any-return]  # a Func's value at a point


def _unary(name: str, value: Callable[[Any], Any], reference: Callable[..., Any], doc: str) -> Op:
    def rule(x: TensorType) -> TensorType:
        return x

    def compute(x: Tensor) -> Tensor:
        return elementwise(name, value, x)

    return _made(name, rule, compute, Kind.ELEMENTWISE, reference, doc)


def _binary(name: str, value: Callable[[Any, Any], Any], reference: Callable[..., Any], doc: str) -> Op:
    def rule(a: TensorType, b: TensorType) -> TensorType:
        return TensorType(broadcast(a.shape, b.shape), same_type(name, a, b))

    def compute(a: Tensor, b: Tensor) -> Tensor:
        return elementwise(name, value, a, b)

    return _made(name, rule, compute, Kind.BROADCAST, reference, doc)


def _made(name: str, rule: Any, compute: Any, kind: Kind, reference: Any, doc: str) -> Op:
    rule.__name__, rule.__doc__ = name, doc
    made = op(kind, reference=reference, follows=True, general=any_extent)(rule)
    made.strategy("direct")(compute)
    return made


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


identity = _unary("identity", lambda v: v, np.array, "A copy of x. ONNX Identity.")
_erf = np.vectorize(math.erf)

relu = _unary("relu", lambda v: halo.max(v, 0), lambda x: np.maximum(x, 0), "max(x, 0). ONNX Relu.")
sigmoid = _unary("sigmoid", lambda v: 1 / (1 + halo.exp(-v)), _sigmoid, "1 / (1 + exp(-x)). ONNX Sigmoid.")
exp = _unary("exp", halo.exp, np.exp, "e to the power of x. ONNX Exp.")
sqrt = _unary("sqrt", halo.sqrt, np.sqrt, "The square root. ONNX Sqrt.")
rsqrt = _unary("rsqrt", lambda v: 1 / halo.sqrt(v), lambda x: 1 / np.sqrt(x), "1 / sqrt(x), rounded twice. TOPI rsqrt.")
tanh = _unary("tanh", halo.tanh, np.tanh, "The hyperbolic tangent. ONNX Tanh.")
absolute = _unary("absolute", halo.abs, np.abs, "|x|. ONNX Abs.")
ceil = _unary("ceil", halo.ceil, np.ceil, "The next integer that is no less. ONNX Ceil.")
cos = _unary("cos", halo.cos, np.cos, "The cosine. ONNX Cos.")
erf = _unary("erf", halo.erf, lambda x: _erf(x).astype(x.dtype), "The error function. ONNX Erf.")
floor = _unary("floor", halo.floor, np.floor, "The next integer that is no more. ONNX Floor.")
log = _unary("log", halo.log, np.log, "The natural logarithm. ONNX Log.")
negative = _unary("negative", lambda v: -v, np.negative, "-x. ONNX Neg.")
reciprocal = _unary("reciprocal", lambda v: 1 / v, np.reciprocal, "1 / x of floats. ONNX Reciprocal.")
sin = _unary("sin", halo.sin, np.sin, "The sine. ONNX Sin.")
add = _binary("add", lambda a, b: a + b, np.add, "a + b, broadcast. ONNX Add.")
subtract = _binary("subtract", lambda a, b: a - b, np.subtract, "a - b, broadcast. ONNX Sub.")
multiply = _binary("multiply", lambda a, b: a * b, np.multiply, "a * b, broadcast. ONNX Mul.")
power = _binary("power", halo.pow, np.power, "a to the power of b, broadcast, of floats. ONNX Pow.")
maximum = _binary("maximum", halo.max, np.maximum, "The larger one; NaN if either is. ONNX Max.")
minimum = _binary("minimum", halo.min, np.minimum, "The smaller one; NaN if either is. ONNX Min.")


@op(Kind.ELEMENTWISE, reference=lambda x, *, low, high: np.clip(x, low, high), follows=True, general=any_extent)
def clip(x: TensorType, *, low: float, high: float) -> TensorType:
    """min(max(x, low), high). ONNX Clip with constant bounds. Raises ArgumentError if low > high.

    >>> from halo import nn
    >>> nn.clip(np.array([-1, 3, 9], np.float32), low=0.0, high=6.0)
    array([0., 3., 6.], dtype=float32)
    """
    if low > high:
        raise ArgumentError(f"clip from {low} to {high} leaves nothing", loc=here())
    return x


@clip.strategy("direct")
def _(x: Tensor, *, low: float, high: float) -> Tensor:
    return elementwise("clip", lambda v: halo.min(halo.max(v, low), high), x)


def _divide(a: Any, b: Any) -> Any:
    return a / b if a.dtype.kind == "f" else (np.sign(a) * np.sign(b) * (abs(a) // abs(b))).astype(a.dtype)


@op(Kind.BROADCAST, reference=_divide, follows=True, general=any_extent)
def divide(a: TensorType, b: TensorType) -> TensorType:
    """a / b, broadcast; of integers rounded towards zero, and 0 where b is. ONNX Div.

    >>> from halo import nn
    >>> nn.divide(np.array([-7, 7], np.int32), np.array([2, 0], np.int32))
    array([-3,  0], dtype=int32)
    """
    return TensorType(broadcast(a.shape, b.shape), same_type("divide", a, b))


@divide.strategy("direct")
def _(a: Tensor, b: Tensor) -> Tensor:
    def towards_zero(x: Any, y: Any) -> Any:
        down = x // y  # rounded down: one too few where the signs differ and something is left
        return halo.select(((x < 0) != (y < 0)) & (x % y != 0), down + 1, down)

    return elementwise("divide", (lambda x, y: x / y) if a.dtype.is_float else towards_zero, a, b)


def _leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    return np.where(x < 0, x * x.dtype.type(alpha), x)


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
