"""What ONNX's operators mean: each one an operator of `halo.nn`, of ONNX's newest semantics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halo import nn

from ..ir import Constant
from .node import Node, adapter

__all__: list[str] = []


def _unary(op: str, f: Any) -> None:
    adapter(op)(lambda n: f(n[0]))


for _op, _f in (("Abs", nn.absolute), ("Ceil", nn.ceil), ("Cos", nn.cos), ("Erf", nn.erf), ("Exp", nn.exp),
                ("Floor", nn.floor), ("Log", nn.log), ("Neg", nn.negative), ("Reciprocal", nn.reciprocal),
                ("Relu", nn.relu), ("Sigmoid", nn.sigmoid), ("Sin", nn.sin), ("Sqrt", nn.sqrt),
                ("Tanh", nn.tanh)):  # fmt: skip
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
    return nn.reshape(b, shape=(*b.type.static, *(1,) * behind))


for _op, _f in (("Add", nn.add), ("Sub", nn.subtract), ("Mul", nn.multiply), ("Div", nn.divide), ("Pow", nn.power)):
    _binary(_op, _f)


def _variadic(op: str, f: Any) -> None:
    def fold(n: Node) -> Any:
        total = n[0]
        for k in range(1, len(n.inputs)):
            total = f(total, n[k])
        return total

    adapter(op)(fold)


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


@adapter("LeakyRelu")
def _(n: Node) -> Any:
    return nn.leaky_relu(n[0], alpha=float(n.attrs.get("alpha", 0.01)))


@adapter("Elu")
def _(n: Node) -> Any:
    return nn.elu(n[0], alpha=float(n.attrs.get("alpha", 1.0)))


@adapter("HardSigmoid")
def _(n: Node) -> Any:
    return nn.hard_sigmoid(n[0], alpha=float(n.attrs.get("alpha", 0.2)), beta=float(n.attrs.get("beta", 0.5)))


@adapter("HardSwish")
def _(n: Node) -> Any:
    return nn.multiply(n[0], nn.hard_sigmoid(n[0], alpha=1 / 6, beta=0.5))


@adapter("PRelu", 7)
def _(n: Node) -> Any:
    x, zero = n[0], np.zeros((), n[0].type.dtype.dtype)
    return nn.add(nn.maximum(x, zero), nn.multiply(n[1], nn.minimum(x, zero)))


# Windows


def _padding(n: Node, spatial: Any, kernel: Any, strides: Any, dilation: Any) -> tuple[int, ...]:
    """What `pads` or `auto_pad` say."""
    how = n.attrs.get("auto_pad", b"NOTSET").decode()
    if how in ("NOTSET", "VALID"):
        return n.ints("pads", default=(0,) * (2 * len(kernel))) if how == "NOTSET" else (0,) * (2 * len(kernel))
    before, after = [], []
    for extent, k, s, d in zip(spatial, kernel, strides, dilation, strict=True):
        total = max((-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent, 0)
        less, more = total // 2, total - total // 2
        before.append(less if how == "SAME_UPPER" else more)
        after.append(more if how == "SAME_UPPER" else less)
    return (*before, *after)


def _window(n: Node, kernel: tuple[int, ...]) -> dict[str, Any]:
    x = n[0]
    if len(kernel) != 2 or x.type.ndim != 4:
        raise n.wrong(f"windows over two spatial axes are there, not over {len(kernel)}")
    ones = (1,) * len(kernel)
    strides, dilation = n.ints("strides", default=ones), n.ints("dilations", default=ones)
    padding = _padding(n, x.type.static[2:], kernel, strides, dilation)
    return {"strides": strides, "padding": padding, "dilation": dilation}


@adapter("Conv")
def _(n: Node) -> Any:
    window = _window(n, n[1].type.static[2:])
    return nn.conv2d(n[0], n[1], n.get(2), groups=n.attrs.get("group", 1), **window)


@adapter("MaxPool")
def _(n: Node) -> Any:
    if n.outputs > 1:
        raise n.wrong("the indices of the maxima are not there")
    kernel = n.ints("kernel_shape")
    return nn.max_pool(n[0], kernel=kernel, ceil=bool(n.attrs.get("ceil_mode")), **_window(n, kernel))


@adapter("AveragePool")
def _(n: Node) -> Any:
    kernel = n.ints("kernel_shape")
    return nn.average_pool(n[0], kernel=kernel, ceil=bool(n.attrs.get("ceil_mode")),
                           count_include_pad=bool(n.attrs.get("count_include_pad")), **_window(n, kernel))  # fmt: skip


@adapter("GlobalAveragePool")
def _(n: Node) -> Any:
    return nn.global_average_pool(n[0])


# Normalisation


@adapter("BatchNormalization")
def _(n: Node) -> Any:
    return nn.batch_norm(n[0], n[1], n[2], n[3], n[4], epsilon=float(n.attrs.get("epsilon", 1e-5)))


@adapter("Softmax", 1)
def _(n: Node) -> Any:
    x, axis = n[0], n.attrs.get("axis", 1)
    rows = nn.softmax(nn.flatten(x, axis=axis))  # the axes from `axis` on are one
    return nn.reshape(rows, shape=x.type.static)


@adapter("Softmax", 13)
def _(n: Node) -> Any:
    return nn.softmax(n[0], axis=n.attrs.get("axis", -1))


@adapter("Dropout")
def _(n: Node) -> Any:
    return n[0]  # at inference


@adapter("Identity")
def _(n: Node) -> Any:
    return n[0]


# Matrices


@adapter("Gemm")
def _(n: Node) -> Any:
    a, b, c = n[0], n[1], n.get(2)
    alpha, beta = float(n.attrs.get("alpha", 1)), float(n.attrs.get("beta", 1))
    a = nn.transpose(a, axes=(1, 0)) if n.attrs.get("transA") else a
    weight = b if n.attrs.get("transB") else nn.transpose(b, axes=(1, 0))
    if alpha != 1:
        weight = nn.multiply(weight, np.float32(alpha))
    if c is not None and beta != 1:
        c = nn.multiply(c, np.float32(beta))
    if c is None or c.type.shape == weight.type.shape[:1]:
        return nn.dense(a, weight, c)
    return nn.add(nn.dense(a, weight), c)


# Shapes


@adapter("Reshape", 1)
def _(n: Node) -> Any:
    x, shape = n[0], n.ints("shape", 1)
    if not n.attrs.get("allowzero"):
        shape = tuple(x.type.shape[d] if v == 0 else v for d, v in enumerate(shape))
    return nn.reshape(x, shape=shape)


@adapter("Transpose")
def _(n: Node) -> Any:
    return nn.transpose(n[0], axes=n.ints("perm"))


@adapter("Concat")
def _(n: Node) -> Any:
    return nn.concatenate(*(n[k] for k in range(len(n.inputs))), axis=n.attrs.get("axis", 1))


@adapter("Flatten")
def _(n: Node) -> Any:
    return nn.flatten(n[0], axis=n.attrs.get("axis", 1))


@adapter("Unsqueeze")
def _(n: Node) -> Any:
    x, axes = n[0], n.ints("axes", 1)
    rank = x.type.ndim + len(axes)
    at = {a % rank for a in axes}
    rest = iter(x.type.static)
    return nn.reshape(x, shape=tuple(1 if d in at else next(rest) for d in range(rank)))


@adapter("Constant")
def _(n: Node) -> Any:
    for key, dtype in (("value", None), ("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                       ("value_ints", np.int64)):  # fmt: skip
        if key in n.attrs:
            return Constant(np.asarray(n.attrs[key], dtype), n.name or "c")
    raise n.wrong("it has no value that is a tensor of numbers")


@adapter("ConstantOfShape")
def _(n: Node) -> Any:
    shape = n.ints("", 0)
    value = np.asarray(n.attrs.get("value", np.zeros(1, np.float32)))
    return Constant(np.full(shape, value.reshape(-1)[0], value.dtype), n.name or "c")
