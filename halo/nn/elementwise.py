"""Elementwise operators and those that broadcast: each value from the values at its own index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import halo
from halo import Expr, Func
from halo.errors import ArgumentError, here

from .op import Kind, Op, any_extent, op
from .shapes import broadcast, same_type
from .tensor import Tensor, TensorType

__all__ = ["add", "clip", "divide", "elementwise", "exp", "identity", "maximum", "minimum", "multiply", "relu", "rsqrt", "sigmoid",
           "sqrt", "subtract", "tanh"]  # fmt: skip


def elementwise(name: str, value: Callable[..., Any], *args: Tensor, dtype: Any = None) -> Tensor:
    """The Tensor of `value` of what `args`, broadcast together, have at each index."""
    shape = broadcast(*(a.shape for a in args))
    f = Func(name)
    i = tuple(halo.vars(" ".join(f"i{d}" for d in range(len(shape))))) if shape else ()
    f[i] = value(*(_at(a, i) for a in args))
    return Tensor(f, shape, dtype or args[0].dtype)


def _at(a: Tensor, i: tuple[Any, ...]) -> Expr:
    own = i[len(i) - a.ndim :]
    return a.func[tuple(0 if n == 1 else v for v, n in zip(own, a.shape, strict=True))]  # type: ignore[no-any-return]


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
relu = _unary("relu", lambda v: halo.max(v, 0), lambda x: np.maximum(x, 0), "max(x, 0). ONNX Relu.")
sigmoid = _unary("sigmoid", lambda v: 1 / (1 + halo.exp(-v)), _sigmoid, "1 / (1 + exp(-x)). ONNX Sigmoid.")
exp = _unary("exp", halo.exp, np.exp, "e to the power of x. ONNX Exp.")
sqrt = _unary("sqrt", halo.sqrt, np.sqrt, "The square root. ONNX Sqrt.")
rsqrt = _unary("rsqrt", lambda v: 1 / halo.sqrt(v), lambda x: 1 / np.sqrt(x), "1 / sqrt(x), rounded twice. TOPI rsqrt.")
tanh = _unary("tanh", halo.tanh, np.tanh, "The hyperbolic tangent. ONNX Tanh.")
add = _binary("add", lambda a, b: a + b, np.add, "a + b, broadcast. ONNX Add.")
subtract = _binary("subtract", lambda a, b: a - b, np.subtract, "a - b, broadcast. ONNX Sub.")
multiply = _binary("multiply", lambda a, b: a * b, np.multiply, "a * b, broadcast. ONNX Mul.")
divide = _binary("divide", lambda a, b: a / b, np.divide, "a / b of floats, broadcast. ONNX Div of floats.")
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
