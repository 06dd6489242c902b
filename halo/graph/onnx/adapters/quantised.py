"""Quantised values, written out: q = saturate(round(x / scale) + zero)."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn
from halo.types import i32, u8

from ..node import Node, adapter, element_type
from .matrices import shifted
from .windows import window_of

__all__: list[str] = []


def _along(n: Node, v: Any) -> Any:
    """A scale or zero point of `x` as what broadcasts to it: one value, one an entry of `axis`, or one a block of it."""
    x, axis = n[0], n.attrs.get("axis", 1)
    block = n.attrs.get("block_size", 0)
    if block:
        d = axis % x.type.ndim
        at = [min(k // block, v.type.static[d] - 1) for k in range(x.type.static[d])]
        return nn.take(v, np.array(at, np.int64), axis=d)
    if not v.type.ndim or v.type.static == (1,):
        return nn.reshape(v, shape=())
    return nn.reshape(v, shape=(-1, *(1,) * (x.type.ndim - 1 - axis % x.type.ndim)))


def quantised(x: Any, scale: Any, zero: Any, dtype: Any) -> Any:
    """`x` as integers of `dtype`."""
    q = nn.rint(nn.divide(x, scale))
    wide = q if zero is None else nn.add(q, nn.cast(zero, dtype=q.type.dtype))
    return nn.cast(wide, dtype=dtype)  # saturates


def dequantised(q: Any, scale: Any, zero: Any) -> Any:
    away = nn.cast(q, dtype="i32") if zero is None else nn.subtract(nn.cast(q, dtype="i32"), nn.cast(zero, dtype="i32"))
    return nn.multiply(nn.cast(away, dtype=scale.type.dtype), scale)


@adapter("QuantizeLinear")
def _(n: Node) -> Any:
    zero = n.get(2)
    dtype = (
        zero.type.dtype
        if zero is not None
        else element_type(n.attrs["output_dtype"])
        if n.attrs.get("output_dtype")
        else u8
    )
    x = n[0] if n[0].type.dtype is not i32 else nn.cast(n[0], dtype=n[1].type.dtype)
    return quantised(x, _along(n, n[1]), None if zero is None else _along(n, zero), dtype)


@adapter("DequantizeLinear")
def _(n: Node) -> Any:
    zero = n.get(2)
    return dequantised(n[0], _along(n, n[1]), None if zero is None else _along(n, zero))


@adapter("QLinearMatMul")
def _(n: Node) -> Any:
    a, b = shifted(n[0], n[2], rows=True), shifted(n[3], n[5])
    product = nn.cast(nn.matmul(a, b), dtype="f32")
    scale = nn.multiply(*(nn.cast(n[k], dtype="f32") for k in (1, 4)))
    return quantised(nn.multiply(product, scale), nn.cast(n[6], dtype="f32"), n[7], n[7].type.dtype)


@adapter("QLinearConv")
def _(n: Node) -> Any:
    x, weight = shifted(n[0], n[2]), n[3]

    def a_channel(v: Any) -> Any:
        return nn.reshape(v, shape=(-1, *(1,) * (x.type.ndim - 2))) if v.type.ndim else v

    zero = n[5] if not n[5].type.ndim else nn.reshape(n[5], shape=(-1, *(1,) * (weight.type.ndim - 1)))
    window = window_of(n, x.type.static[2:], weight.type.static[2:])
    sums = nn.conv(x, shifted(weight, zero), n.get(8), groups=n.attrs.get("group", 1), **window)
    y = nn.multiply(nn.cast(sums, dtype="f32"), nn.multiply(n[1], a_channel(n[4])))
    return quantised(y, n[6], n[7], n[7].type.dtype)


@adapter("BitCast")
def _(n: Node) -> Any:
    return nn.reinterpret(n[0], dtype=element_type(n.attrs["to"]))
