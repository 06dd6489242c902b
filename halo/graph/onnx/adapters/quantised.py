"""Quantised values, written out: q = saturate(round(x / scale) + zero)."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn
from halo.types import u8

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


def quantised(x: Any, scale: Any, zero: Any, dtype: Any, saturate: bool = True) -> Any:
    """`x` in `dtype`: integers, rounded, or floats of 8 bits and fewer."""
    q = nn.divide(x, scale)
    if not dtype.is_float:
        q = nn.rint(q)
    elif zero is not None and zero.type.dtype.bits == 8:  # of floats of 8 bits it is 0
        zero = None
    wide = q if zero is None else nn.add(q, nn.cast(zero, dtype=q.type.dtype))
    return nn.cast(wide, dtype=dtype, saturate=saturate)


def dequantised(q: Any, scale: Any, zero: Any, dtype: Any = None) -> Any:
    """The numbers that `q` stands for, in `dtype`, or the type of the scale."""
    dtype = dtype or scale.type.dtype
    between = "f32" if q.type.dtype.is_float else "i32"
    away = nn.cast(q, dtype=between)
    if zero is not None:
        away = nn.subtract(away, nn.cast(zero, dtype=between))
    return nn.multiply(nn.cast(away, dtype=dtype), nn.cast(scale, dtype=dtype))


@adapter("QuantizeLinear")
def _(n: Node) -> Any:
    zero, scale = n.get(2), n[1]
    dtype = zero.type.dtype if zero is not None else u8
    if zero is None and n.attrs.get("output_dtype"):
        dtype = element_type(n.attrs["output_dtype"])
    precision = element_type(n.attrs["precision"]) if n.attrs.get("precision") else scale.type.dtype
    x, scale = (nn.cast(v, dtype=precision) for v in (n[0], scale))
    along = None if zero is None else _along(n, zero)
    return quantised(x, _along(n, scale), along, dtype, bool(n.attrs.get("saturate", 1)))


@adapter("DequantizeLinear")
def _(n: Node) -> Any:
    zero, to = n.get(2), n.attrs.get("output_dtype")
    along = None if zero is None else _along(n, zero)
    return dequantised(n[0], _along(n, n[1]), along, element_type(to) if to else None)


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
