"""Elementwise operators and those that broadcast: each value from the values at its own index."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here
from halo.types import Type

from .op import Kind, Op, any_extent, op
from .shapes import broadcast, indices, places, same_type, takes
from .tensor import Tensor, TensorType, type_of

__all__ = [
    "absolute",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "binary",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "divide",
    "elementwise",
    "erf",
    "exp",
    "floor",
    "identity",
    "log",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "power",
    "reciprocal",
    "rint",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "subtract",
    "tan",
    "tanh",
    "unary",
    "where",
]


def elementwise(name: str, value: Callable[..., Any], *args: Tensor, dtype: Any = None, shape: Any = None) -> Tensor:
    """The Tensor of `value` of what `args`, broadcast together or to `shape`, have at each index."""
    shape = broadcast(*(a.shape for a in args)) if shape is None else shape
    f = Func(name)
    i = indices(len(shape))
    f[i] = value(*(a.func[places(i, shape, a.shape)] for a in args))
    return Tensor(f, shape, dtype or args[0].dtype)


def unary(name: str, value: Callable[[Any], Any], reference: Callable[..., Any], doc: str, kind: str = "float",
          dtype: Any = None) -> Op:  # fmt: skip
    """An operator of one tensor, of the element types of `kind` (see `takes`); its result has `dtype`, or that of x."""

    def rule(x: TensorType) -> TensorType:
        takes(name, kind, x)
        return TensorType(x.shape, dtype or x.dtype)

    def compute(x: Tensor) -> Tensor:
        return elementwise(name, value, x, dtype=dtype)

    return _made(name, rule, compute, Kind.ELEMENTWISE, reference, doc)


def binary(name: str, value: Callable[[Any, Any], Any], reference: Callable[..., Any], doc: str, kind: str = "number",
           dtype: Any = None) -> Op:  # fmt: skip
    """An operator of two tensors of one type, broadcast together; its result has `dtype`, or that of the arguments."""

    def rule(a: TensorType, b: TensorType) -> TensorType:
        takes(name, kind, a, b)
        one = same_type(name, a, b)
        return TensorType(broadcast(a.shape, b.shape), dtype or one)

    def compute(a: Tensor, b: Tensor) -> Tensor:
        return elementwise(name, value, a, b, dtype=dtype)

    return _made(name, rule, compute, Kind.BROADCAST, reference, doc)


def _made(name: str, rule: Any, compute: Any, kind: Kind, reference: Any, doc: str) -> Op:
    rule.__name__, rule.__doc__ = name, doc
    made = op(kind, reference=reference, follows=True, general=any_extent)(rule)
    made.strategy("direct")(compute)
    return made


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _rounded(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`f` in f64, in the type of x."""
    return lambda x: f(x.astype(np.float64)).astype(x.dtype)


identity = unary("identity", lambda v: v, np.array, "A copy of x. ONNX Identity.", "any")

absolute = unary("absolute", halo.abs, np.abs, "|x|. ONNX Abs.", "number")
negative = unary("negative", lambda v: -v, np.negative, "-x. ONNX Neg.", "number")
ceil = unary("ceil", halo.ceil, np.ceil, "The next integer that is no less. ONNX Ceil.")
floor = unary("floor", halo.floor, np.floor, "The next integer that is no more. ONNX Floor.")
rint = unary("rint", halo.round, np.rint, "The nearest integer, of two the even one. ONNX Round.")
sqrt = unary("sqrt", halo.sqrt, np.sqrt, "The square root. ONNX Sqrt.")
rsqrt = unary("rsqrt", lambda v: 1 / halo.sqrt(v), lambda x: 1 / np.sqrt(x), "1 / sqrt(x), rounded twice. TOPI rsqrt.")
reciprocal = unary("reciprocal", lambda v: 1 / v, np.reciprocal, "1 / x of floats. ONNX Reciprocal.")
exp = unary("exp", halo.exp, np.exp, "e to the power of x. ONNX Exp.")
log = unary("log", halo.log, np.log, "The natural logarithm. ONNX Log.")
erf = unary("erf", halo.erf, _rounded(_erf), "The error function. ONNX Erf.")
sin = unary("sin", halo.sin, np.sin, "The sine. ONNX Sin.")
cos = unary("cos", halo.cos, np.cos, "The cosine. ONNX Cos.")
tan = unary("tan", halo.tan, np.tan, "The tangent. ONNX Tan.")
asin = unary("asin", halo.asin, np.arcsin, "The inverse sine. ONNX Asin.")
acos = unary("acos", halo.acos, np.arccos, "The inverse cosine. ONNX Acos.")
atan = unary("atan", halo.atan, np.arctan, "The inverse tangent. ONNX Atan.")
sinh = unary("sinh", halo.sinh, np.sinh, "The hyperbolic sine. ONNX Sinh.")
cosh = unary("cosh", halo.cosh, np.cosh, "The hyperbolic cosine. ONNX Cosh.")
tanh = unary("tanh", halo.tanh, np.tanh, "The hyperbolic tangent. ONNX Tanh.")
asinh = unary("asinh", halo.asinh, np.arcsinh, "The inverse hyperbolic sine. ONNX Asinh.")
acosh = unary("acosh", halo.acosh, np.arccosh, "The inverse hyperbolic cosine. ONNX Acosh.")
atanh = unary("atanh", halo.atanh, np.arctanh, "The inverse hyperbolic tangent. ONNX Atanh.")

add = binary("add", lambda a, b: a + b, np.add, "a + b, broadcast. ONNX Add.")
subtract = binary("subtract", lambda a, b: a - b, np.subtract, "a - b, broadcast. ONNX Sub.")
multiply = binary("multiply", lambda a, b: a * b, np.multiply, "a * b, broadcast. ONNX Mul.")
maximum = binary("maximum", halo.max, np.maximum, "The larger one; NaN if either is. ONNX Max.")
minimum = binary("minimum", halo.min, np.minimum, "The smaller one; NaN if either is. ONNX Min.")


@op(Kind.ELEMENTWISE, reference=np.sign, follows=True, general=any_extent)
def sign(x: TensorType) -> TensorType:
    """-1, 0 or 1; NaN of NaN. ONNX Sign.

    >>> from halo import nn
    >>> nn.sign(np.array([-7, 0, 3], np.int8))
    array([-1,  0,  1], dtype=int8)
    """
    takes("sign", "number", x)
    return x


@sign.strategy("direct")
def _(x: Tensor) -> Tensor:
    def value(v: Any) -> Any:
        one = halo.select(v > 0, 1, v)
        return halo.select(v < 0, -1, one) if x.dtype.is_signed else one

    return elementwise("sign", value, x)


def _power(a: Any, b: Any) -> Any:
    if a.dtype.kind == "f":
        return np.power(a, b.astype(a.dtype) if b.dtype.kind != "f" else b).astype(a.dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.trunc(np.power(a.astype(np.float64), b.astype(np.float64))).astype(a.dtype)


@op(Kind.BROADCAST, reference=_power, follows=True, general=any_extent)
def power(a: TensorType, b: TensorType) -> TensorType:
    """a to the power of b, broadcast, in the type of `a`: ONNX Pow. Of integers it wraps; a fraction is cut off.

    >>> from halo import nn
    >>> nn.power(np.array([2, 3, 10], np.int32), np.array([10, 4, -1], np.int64))
    array([1024,   81,    0], dtype=int32)
    """
    takes("power", "number", a, b)
    return TensorType(broadcast(a.shape, b.shape), a.dtype)


@power.strategy("direct")
def _(a: Tensor, b: Tensor) -> Tensor:
    def of_floats(x: Any, y: Any) -> Any:
        wide = halo.f64 if halo.f64 in (a.dtype, b.dtype) or not a.dtype.is_float else a.dtype
        found = halo.pow(x.astype(wide), y.astype(wide))
        return found.astype(a.dtype)

    def of_integers(x: Any, y: Any) -> Any:
        """By squares: a factor for each bit of the exponent."""
        product: Any = a.dtype(1)
        square = x
        for bit in range(b.dtype.bits - b.dtype.is_signed):
            product = halo.select((y >> bit) & 1 == 1, product * square, product)
            square = square * square
        if not b.dtype.is_signed:
            return product
        odd = halo.select(y & 1 == 1, x, a.dtype(1))
        below = halo.select(x * x == 1, odd, a.dtype(0))  # a fraction
        return halo.select(y < 0, below, product)

    both = a.dtype.is_int and b.dtype.is_int
    return elementwise("power", of_integers if both else of_floats, a, b, dtype=a.dtype)


def _mod(a: Any, b: Any, *, fmod: bool = False) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.fmod(a, b) if fmod else np.mod(a, b)


@op(Kind.BROADCAST, reference=_mod, follows=True, general=any_extent)
def mod(a: TensorType, b: TensorType, *, fmod: bool = False) -> TensorType:
    """What is left of a / b rounded down, broadcast: it has the sign of b. With `fmod` that of the division towards zero,
    which has the sign of a. ONNX Mod. Of integers, 0 where b is.

    >>> from halo import nn
    >>> nn.mod(np.array([-7, 7], np.int32), np.array([3, -3], np.int32))
    array([ 2, -2], dtype=int32)
    >>> nn.mod(np.array([-7, 7], np.int32), np.array([3, -3], np.int32), fmod=True)
    array([-1,  1], dtype=int32)
    """
    takes("mod", "number", a, b)
    return TensorType(broadcast(a.shape, b.shape), same_type("mod", a, b))


@mod.strategy("direct")
def _(a: Tensor, b: Tensor, *, fmod: bool) -> Tensor:
    def towards_zero(x: Any, y: Any) -> Any:
        rest = halo.abs(x) % halo.abs(y)
        return halo.select(x < 0, -rest, rest)

    signed = a.dtype.is_signed
    return elementwise("mod", towards_zero if fmod and signed else lambda x, y: x % y, a, b)


@op(Kind.BROADCAST, reference=lambda condition, a, b: np.where(condition, a, b), follows=True, general=any_extent)
def where(condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
    """`a` where the condition holds, else `b`, all broadcast together. ONNX Where.

    >>> from halo import nn
    >>> nn.where(np.array([True, False]), np.array([1, 2]), np.array([8, 9]))
    array([1, 9])
    """
    takes("the condition of where", "bool", condition)
    return TensorType(broadcast(condition.shape, a.shape, b.shape), same_type("where", a, b))


@where.strategy("direct")
def _(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return elementwise("where", halo.select, condition, a, b, dtype=a.dtype)


def _bounds(t: Type, low: float, high: float) -> tuple[float, float]:
    """The bounds in the type, which are its own ends where they are further out."""
    if low > high or (not t.is_float and not (low <= t.max and t.min <= high)):
        raise ArgumentError(f"clip from {low} to {high} leaves nothing", loc=here())
    if t.is_float:
        return low, high
    low, high = max(low, t.min), min(high, t.max)
    if low % 1 or high % 1:
        raise ArgumentError(f"clip of {t.name} is from an integer to another, not from {low} to {high}", loc=here())
    return int(low), int(high)


@op(Kind.ELEMENTWISE, reference=lambda x, *, low, high: np.clip(x, *_bounds(type_of(x).dtype, low, high)), follows=True,
    general=any_extent)  # fmt: skip
def clip(x: TensorType, *, low: float, high: float) -> TensorType:
    """min(max(x, low), high). ONNX Clip with constant bounds. Raises ArgumentError if low > high, and for integers if these
    are none, or if none of their type is between them.

    >>> from halo import nn
    >>> nn.clip(np.array([-1, 3, 9], np.float32), low=0.0, high=6.0)
    array([0., 3., 6.], dtype=float32)
    """
    takes("clip", "number", x)
    _bounds(x.dtype, low, high)
    return x


@clip.strategy("direct")
def _(x: Tensor, *, low: float, high: float) -> Tensor:
    low, high = _bounds(x.dtype, low, high)
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
    takes("divide", "number", a, b)
    return TensorType(broadcast(a.shape, b.shape), same_type("divide", a, b))


@divide.strategy("direct")
def _(a: Tensor, b: Tensor) -> Tensor:
    def towards_zero(x: Any, y: Any) -> Any:
        down = x // y  # rounded down: one too few where the signs differ and something is left
        return halo.select(((x < 0) != (y < 0)) & (x % y != 0), down + 1, down)

    return elementwise("divide", (lambda x, y: x / y) if a.dtype.is_float else towards_zero, a, b)
