"""What ONNX's operators mean: each one an operator of `halo.nn`, of ONNX's newest semantics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halo import nn

from ...ir import Constant
from ..node import Node, adapter, element_type

__all__: list[str] = []


def _unary(op: str, f: Any) -> None:
    adapter(op)(lambda n: f(n[0]))


for _op, _f in (
    ("Abs", nn.absolute), ("Acos", nn.acos), ("Acosh", nn.acosh), ("Asin", nn.asin), ("Asinh", nn.asinh), ("Atan", nn.atan),
    ("Atanh", nn.atanh), ("BitwiseNot", nn.bitwise_not), ("Ceil", nn.ceil), ("Cos", nn.cos), ("Cosh", nn.cosh),
    ("Erf", nn.erf), ("Exp", nn.exp), ("Floor", nn.floor), ("HardSwish", nn.hard_swish), ("IsNaN", nn.isnan), ("Log", nn.log),
    ("Mish", nn.mish), ("Neg", nn.negative), ("Not", nn.logical_not), ("Reciprocal", nn.reciprocal), ("Relu", nn.relu),
    ("Round", nn.rint), ("Sigmoid", nn.sigmoid), ("Sign", nn.sign), ("Sin", nn.sin), ("Sinh", nn.sinh),
    ("Softplus", nn.softplus), ("Softsign", nn.softsign), ("Sqrt", nn.sqrt), ("Tan", nn.tan), ("Tanh", nn.tanh),
):  # fmt: skip
    _unary(_op, _f)


# Arithmetic. Before opset 7, B is broadcast to A from `axis` on where `broadcast` is set


def _binary(op: str, f: Any) -> None:
    adapter(op, 7)(lambda n: f(n[0], n[1]))
    adapter(op, 1)(lambda n: f(n[0], _from_axis(n)))


def _from_axis(n: Node) -> Any:
    a, b = n[0], n[1]
    axis = n.attrs.get("axis")
    if not n.attrs.get("broadcast") or axis is None:
        return b
    behind = a.type.ndim - (axis % a.type.ndim) - b.type.ndim
    return nn.reshape(b, shape=(*b.type.shape, *(1,) * behind))


for _op, _f in (
    ("Add", nn.add), ("And", nn.logical_and), ("BitwiseAnd", nn.bitwise_and), ("BitwiseOr", nn.bitwise_or),
    ("BitwiseXor", nn.bitwise_xor), ("Div", nn.divide), ("Equal", nn.equal), ("Greater", nn.greater),
    ("GreaterOrEqual", nn.greater_equal), ("Less", nn.less), ("LessOrEqual", nn.less_equal), ("Mul", nn.multiply),
    ("Or", nn.logical_or), ("Pow", nn.power), ("Sub", nn.subtract), ("Xor", nn.logical_xor),
):  # fmt: skip
    _binary(_op, _f)


@adapter("Mod")
def _(n: Node) -> Any:
    return nn.mod(n[0], n[1], fmod=bool(n.attrs.get("fmod")))


@adapter("BitShift")
def _(n: Node) -> Any:
    return (nn.left_shift if n.text("direction") == "LEFT" else nn.right_shift)(n[0], n[1])


@adapter("Where")
def _(n: Node) -> Any:
    return nn.where(n[0], n[1], n[2])


@adapter("Cast")
def _(n: Node) -> Any:
    to = n.attrs["to"]
    return _cast(n, element_type(_NAMES[to.decode()] if isinstance(to, bytes) else to))


def _cast(n: Node, dtype: Any) -> Any:
    """Input 0 as `dtype`; what is out of range becomes what the node says."""
    how: dict[str, Any] = {"saturate": False} if not n.attrs.get("saturate", 1) else {}
    if n.text("round_mode", "up") != "up":
        how["round_mode"] = n.text("round_mode")
    x = n[0]
    if dtype.is_stored and dtype.is_int and x.type.dtype.is_float:  # what is out of range wraps, as in ONNX's own tests
        x = nn.cast(x, dtype="i32")
    return nn.cast(x, dtype=dtype, **how)


_NAMES = {"FLOAT": 1, "UINT8": 2, "INT8": 3, "UINT16": 4, "INT16": 5, "INT32": 6, "INT64": 7, "BOOL": 9, "FLOAT16": 10,
          "DOUBLE": 11, "UINT32": 12, "UINT64": 13}  # fmt: skip  # before opset 6, types are texts


@adapter("CastLike")
def _(n: Node) -> Any:
    return _cast(n, n[1].type.dtype)


def _variadic(op: str, f: Any) -> None:
    def fold(n: Node) -> Any:
        total = n[0]
        for k in range(1, len(n.inputs)):
            total = f(total, n[k])
        return total

    adapter(op)(fold)


@adapter("Mean")
def _(n: Node) -> Any:
    total = n[0]
    for k in range(1, len(n.inputs)):
        total = nn.add(total, n[k])
    return nn.divide(total, np.asarray(len(n.inputs), total.type.dtype.dtype))


for _op, _f in (("Sum", nn.add), ("Max", nn.maximum), ("Min", nn.minimum)):
    _variadic(_op, _f)


@adapter("Clip", 1)
def _(n: Node) -> Any:
    low, high = float(n.attrs.get("min", -math.inf)), float(n.attrs.get("max", math.inf))
    return nn.clip(n[0], low=low, high=high)


@adapter("Clip", 11)
def _(n: Node) -> Any:
    x, low, high = n[0], n.get(1), n.get(2)
    known = all(bound is None or isinstance(bound, Constant) for bound in (low, high))
    if known and x.type.dtype.is_float:
        lows, highs = n.array(1), n.array(2)
        least, most = -math.inf if lows is None else float(lows), math.inf if highs is None else float(highs)
        if least <= most:
            return nn.clip(x, low=least, high=most)
    for bound, f in ((low, nn.maximum), (high, nn.minimum)):
        x = x if bound is None else f(x, bound)
    return x


def _activation(op: str, f: Any, **defaults: float) -> None:
    adapter(op)(lambda n: f(n[0], **{k: float(n.attrs.get(k, v)) for k, v in defaults.items()}))


_activation("LeakyRelu", nn.leaky_relu, alpha=0.01)
_activation("Elu", nn.elu, alpha=1.0)
_activation("Celu", nn.celu, alpha=1.0)
_activation("HardSigmoid", nn.hard_sigmoid, alpha=0.2, beta=0.5)
_activation("Selu", nn.selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875)
_activation("Shrink", nn.shrink, lambd=0.5, bias=0.0)
_activation("ThresholdedRelu", nn.thresholded_relu, alpha=1.0)


@adapter("Gelu")
def _(n: Node) -> Any:
    return nn.gelu(n[0], approximate=n.text("approximate", "none"))


@adapter("Swish")
def _(n: Node) -> Any:
    x, alpha = n[0], float(n.attrs.get("alpha", 1))
    return nn.multiply(x, nn.sigmoid(x if alpha == 1 else nn.multiply(x, np.asarray(alpha, x.type.dtype.dtype))))


@adapter("IsInf")
def _(n: Node) -> Any:
    return nn.isinf(
        n[0], negative=bool(n.attrs.get("detect_negative", 1)), positive=bool(n.attrs.get("detect_positive", 1))
    )


@adapter("PRelu", 1)
def _(n: Node) -> Any:
    slope, x = n[1], n[0]
    if x.type.ndim > 1 and slope.type.ndim == 1:  # an entry a channel
        slope = nn.reshape(slope, shape=(-1, *(1,) * (x.type.ndim - 2)))
    return nn.prelu(x, slope)


@adapter("PRelu", 7)
def _(n: Node) -> Any:
    return nn.prelu(n[0], n[1])


# Windows
