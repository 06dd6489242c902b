"""What ONNX Runtime's optimiser writes in place of ONNX's own operators: its domain `com.microsoft`, but for what is quantised.

Most are one of ONNX's operators with others around it, and are imported as these.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from halo import nn
from halo.nn.products import scaled

from ...ir import Constant
from ..node import ADAPTERS, Node, adapter

__all__ = ["activated", "channels_last", "channels_second", "standard"]


def standard(n: Node, op: str, *inputs: Any, outputs: int = 1, **attrs: Any) -> Any:
    """What ONNX's newest `op` makes of these inputs, with the attributes of `n` and `attrs`."""
    return ADAPTERS[op][-1][1](replace(n, op=op, inputs=inputs, outputs=outputs, attrs={**n.attrs, **attrs}))


def channels_second(x: Any) -> Any:
    """[N, H, W, C] as [N, C, H, W], of any number of axes."""
    rank = x.type.ndim
    return nn.transpose(x, axes=(0, rank - 1, *range(1, rank - 1)))


def channels_last(x: Any) -> Any:
    """[N, C, H, W] as [N, H, W, C], of any number of axes."""
    return nn.transpose(x, axes=(0, *range(2, x.type.ndim), 1))


# Operators with an activation

_PARAMETERS = {"Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",)}


def activated(n: Node, x: Any) -> Any:
    """`x` after the activation that the node names, if any, with its parameters."""
    name = n.text("activation")
    if not name:
        return x
    if name not in ADAPTERS:
        raise n.wrong(f"there is no activation {name!r}")
    given = {key: n.attrs[f"activation_{key}"] for key in ("alpha", "beta", "gamma") if f"activation_{key}" in n.attrs}
    given |= dict(zip(_PARAMETERS.get(name, ()), n.attrs.get("activation_params", ()), strict=False))
    if name == "Clip":
        return nn.clip(x, low=float(given.get("min", -math.inf)), high=float(given.get("max", math.inf)))
    return ADAPTERS[name][-1][1](replace(n, op=name, inputs=(x,), attrs=given))


@adapter("com.microsoft.FusedConv")
def _(n: Node) -> Any:
    y = standard(n, "Conv", n[0], n[1], n.get(2))
    return activated(n, y if n.get(3) is None else nn.add(y, n[3]))


@adapter("com.microsoft.FusedGemm")
def _(n: Node) -> Any:
    return activated(n, standard(n, "Gemm", n[0], n[1], n.get(2)))


@adapter("com.microsoft.ConvTransposeWithDynamicPads")
def _(n: Node) -> Any:
    more: dict[str, Any] = {} if n.get(2) is None else {"pads": n.ints("", 2)}
    return standard(n, "ConvTranspose", n[0], n[1], n.get(3), **more)


@adapter("com.microsoft.NhwcMaxPool")
def _(n: Node) -> Any:
    return channels_last(standard(n, "MaxPool", channels_second(n[0])))


# Matrices


def _turned(x: Any, rows: bool, batch: bool) -> Any:
    """`x` with its first axis moved before the last one (`batch`), then with its last two exchanged (`rows`)."""
    axes = list(range(x.type.ndim))
    if batch:
        axes = [*axes[1:-1], 0, axes[-1]]
    if rows and len(axes) > 1:
        axes[-2:] = axes[:-3:-1]
    return x if axes == sorted(axes) else nn.transpose(x, axes=tuple(axes))


def _matmul(n: Node) -> Any:
    a, b = (
        _turned(n[k], bool(n.attrs.get(f"trans{w}")), bool(n.attrs.get(f"transBatch{w}"))) for k, w in enumerate("AB")
    )
    return scaled(nn.matmul(a, b), float(n.attrs.get("alpha", 1)))


adapter("com.microsoft.FusedMatMul")(_matmul)
adapter("com.microsoft.TransposeMatMul")(_matmul)

# Activations


@adapter("com.microsoft.Gelu")
def _(n: Node) -> Any:
    return nn.gelu(n[0])


@adapter("com.microsoft.BiasGelu")
def _(n: Node) -> Any:
    return nn.gelu(nn.add(n[0], n[1]))


@adapter("com.microsoft.FastGelu")
def _(n: Node) -> Any:
    return nn.gelu(n[0] if n.get(1) is None else nn.add(n[0], n[1]), approximate="tanh")


@adapter("com.microsoft.QuickGelu")
def _(n: Node) -> Any:
    return nn.multiply(n[0], nn.sigmoid(scaled(n[0], float(n.attrs.get("alpha", 1.702)))))


@adapter("com.microsoft.BiasAdd")
def _(n: Node) -> Any:
    return nn.add(nn.add(n[0], n[1]), n[2])


@adapter("com.microsoft.BiasSplitGelu")
def _(n: Node) -> Any:
    x, axis = nn.add(n[0], n[1]), n[0].type.ndim - 1
    half = x.type.shape[axis] // 2
    value, gate = (nn.strided_slice(x, begin=(k * half,), end=((k + 1) * half,), axes=(axis,)) for k in (0, 1))
    return nn.multiply(value, nn.gelu(gate))


# Norms


@adapter("SimplifiedLayerNormalization")
def _(n: Node) -> Any:
    x, axis, epsilon = n[0], n.attrs.get("axis", -1), float(n.attrs.get("epsilon", 1e-5))
    y = nn.rms_norm(x, n[1], axis=axis, epsilon=epsilon)
    return y if n.outputs == 1 else (y, _deviation(x, axis, epsilon))


def _deviation(x: Any, axis: int, epsilon: float) -> Any:
    """One by the root of the mean square over the axes from `axis` on."""
    wide = nn.cast(x, dtype="f32") if x.type.dtype.bits < 32 else x
    square = nn.mean(nn.multiply(wide, wide), axes=tuple(range(axis % x.type.ndim, x.type.ndim)), keepdims=True)
    return nn.reciprocal(nn.sqrt(nn.add(square, np.asarray(epsilon, square.type.dtype.dtype))))


def _skip_norm(n: Node, bias: Any, norm: Any) -> Any:
    total = nn.add(n[0], n[1])
    total = total if bias is None else nn.add(total, bias)
    y, *more = norm(total)
    return (y, *more, total)[: 4 if n.outputs > 1 else 1]


@adapter("com.microsoft.SkipLayerNormalization")
def _(n: Node) -> Any:
    def norm(x: Any) -> Any:
        shift = n.get(3) if n.get(3) is not None else Constant(np.zeros(n[2].type.static, n[2].type.dtype.dtype))
        found = standard(n, "LayerNormalization", x, n[2], shift, outputs=3 if n.outputs > 1 else 1, axis=-1)
        return found if isinstance(found, tuple) else (found,)

    return _skip_norm(n, n.get(4), norm)


@adapter("com.microsoft.SkipSimplifiedLayerNormalization")
def _(n: Node) -> Any:
    epsilon = float(n.attrs.get("epsilon", 1e-5))

    def norm(x: Any) -> Any:
        deviation = _deviation(x, -1, epsilon)  # its mean is of no use to anybody
        return nn.rms_norm(x, n[2], epsilon=epsilon), deviation, deviation

    return _skip_norm(n, n.get(3), norm)


def _group_norm(n: Node, x: Any, scale: Any, shift: Any) -> Any:
    last = bool(n.attrs.get("channels_last", 1))
    x = channels_second(x) if last else x
    y = nn.group_norm(x, scale, shift, groups=n.attrs["groups"], epsilon=float(n.attrs.get("epsilon", 1e-5)))
    y = nn.multiply(y, nn.sigmoid(y)) if n.attrs["activation"] else y
    return channels_last(y) if last else y


@adapter("com.microsoft.GroupNorm")
def _(n: Node) -> Any:
    return _group_norm(n, n[0], n[1], n[2])


@adapter("com.microsoft.SkipGroupNorm")
def _(n: Node) -> Any:
    skip, shape = n[3], n[0].type.shape
    if skip.type.ndim == 2:  # one value a channel
        skip = nn.reshape(skip, shape=(shape[0], *(1,) * (len(shape) - 2), shape[-1]))
    total = nn.add(n[0], skip)
    total = total if n.get(4) is None else nn.add(total, n[4])
    y = _group_norm(n, total, n[1], n[2])
    return y if n.outputs == 1 else (y, total)


@adapter("com.microsoft.EmbedLayerNormalization")
def _(n: Node) -> Any:
    ids, segments, places = n[0], n.get(1), n.get(8)
    total = nn.take(n[2], ids)
    if places is None:
        places = nn.arange(Constant(np.array(0)), Constant(np.array(1)), length=ids.type.shape[1])
    total = nn.add(total, nn.take(n[3], places))
    if segments is not None:
        total = nn.add(total, nn.take(n[4], segments))
    y = nn.layer_norm(total, n[5], n[6], epsilon=float(n.attrs.get("epsilon", 1e-12)))
    mask = n.get(7)
    if mask is None:
        count = nn.broadcast_to(Constant(np.zeros((), np.int32)), shape=ids.type.shape[:1])
    else:
        count = nn.cast(nn.sum(nn.cast(mask, dtype="i64"), axes=(1,)), dtype="i32")
    return (y, count, total)[: 3 if n.outputs > 1 else 1]


# What ONNX has as well


def _same(op: str) -> None:
    adapter(f"com.microsoft.{op}")(lambda n: standard(n, op, *n.inputs))


for _op in ("GridSample", "Pad", "Trilu"):
    _same(_op)


@adapter("com.microsoft.Range")
def _(n: Node) -> Any:
    step = n.get(2)
    return standard(n, "Range", n[0], n[1], Constant(np.ones((), n[0].type.dtype.dtype)) if step is None else step)


@adapter("com.microsoft.Unique")
def _(n: Node) -> Any:
    values, _, places, counts = standard(n, "Unique", n[0], outputs=4, sorted=0)
    return values, places, counts
