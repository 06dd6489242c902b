"""Convolution over any number of spatial axes: as one of pictures, and as it is defined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.types import f32, f64

from .convolution import conv2d, is_narrow, of_rows, widened
from .einsum import matmul
from .elementwise import add
from .lines import accumulator
from .op import Kind, Types, op
from .schedule import padded_stage
from .shape import concatenate, pad, reshape, strided_slice, transpose
from .shapes import Window, decided, indices, same_type, takes
from .tensor import Tensor, TensorType, type_of

__all__ = ["conv"]


def _reference(x: Any, weight: Any, bias: Any = None, *, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
               groups: int = 1) -> Any:  # fmt: skip
    n = x.ndim - 2
    w = Window.of(weight.shape[2:], strides, padding, dilation, n)
    padded = np.pad(x, ((0, 0), (0, 0), *zip(w.padding[:n], w.padding[n:], strict=True)))
    shape = w.extents(x.shape[2:])
    wide = np.float64 if type_of(x).dtype.is_float else x.dtype
    out = np.zeros((x.shape[0], len(weight), *shape), wide)
    o, i = len(weight) // groups, weight.shape[1]
    for tap in np.ndindex(*w.kernel):
        at = tuple(
            slice(k * d, k * d + (m - 1) * s + 1, s)
            for k, d, m, s in zip(tap, w.dilation, shape, w.strides, strict=True)
        )
        for g in range(groups):
            k = weight[(slice(g * o, (g + 1) * o), slice(None), *tap)].astype(wide)
            part = padded[(slice(None), slice(g * i, (g + 1) * i), *at)].astype(wide)
            out[:, g * o : (g + 1) * o] += np.einsum("ni...,oi->no...", part, k)
    return (out if bias is None else out + bias.astype(wide).reshape(-1, *(1,) * n)).astype(x.dtype)


@op(Kind.OPAQUE, reference=_reference)
def conv(x: TensorType, weight: TensorType, bias: TensorType | None = None, *, strides: Any = 1, padding: Any = 0,
         dilation: Any = 1, groups: int = 1) -> TensorType:  # fmt: skip
    """Convolution (correlation) over any number of spatial axes: ONNX Conv, TOPI conv1d and conv3d. `x`: [N, I, ...];
    `weight`: [O, I / groups, ...]; `bias`: [O]. Attributes as of `conv2d`. Integers wrap.

    >>> from halo import nn
    >>> nn.conv(np.array([[[1, 2, 3]]], np.float32), np.ones((1, 1, 2), np.float32))
    array([[[3., 5.]]], dtype=float32)
    """
    takes("conv", "number", x)
    if x.ndim < 3 or weight.ndim != x.ndim:
        raise ArgumentError(f"conv of {x} takes weights of as many axes, not {weight}", loc=here())
    decided("conv", x.shape[1], weight.shape[1] * groups)
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ArgumentError(
            f"conv of {groups} groups takes {weight.shape[1] * groups} channels, and x has {x.shape[1]}", loc=here()
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ArgumentError(f"bias is {bias} for {weight.shape[0]} channels", loc=here())
    w = Window.of(weight.shape[2:], strides, padding, dilation, x.ndim - 2)
    return TensorType((x.shape[0], weight.shape[0], *w.extents(x.shape[2:])), same_type("conv", x, weight, bias))


# As convolutions of fewer axes ----------------------------------------------------------------------------------------


conv.strategy("wide", when=is_narrow, composed=True)(widened(conv))


def _has_entries(types: Types, attrs: Any) -> bool:
    return all(0 not in t.shape for t in (*types, conv.infer(types, attrs)) if t is not None)


@conv.strategy("rows", when=lambda types, attrs, _: types[0].ndim == 3 and _has_entries(types, attrs), composed=True)
def _(x: Any, weight: Any, bias: Any, *, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Signals are pictures of one row."""
    w = Window.of(type_of(weight).shape[2:], strides, padding, dilation, 1)
    y = conv2d(of_rows(x), of_rows(weight), bias, strides=(1, *w.strides), dilation=(1, *w.dilation),
               padding=(0, w.padding[0], 0, w.padding[1]), groups=groups)  # fmt: skip
    n, c, _, extent = type_of(y).shape
    return reshape(y, shape=(n, c, extent))


@conv.strategy(
    "pictures", when=lambda types, attrs, _: types[0].ndim == 4 and _has_entries(types, attrs), composed=True
)
def _(x: Any, weight: Any, bias: Any, **attrs: Any) -> Any:
    return conv2d(x, weight, bias, **attrs)


def _is_product(types: Types, attrs: Any, target: Any) -> bool:
    x, weight, _ = types
    assert x is not None and weight is not None
    if x.ndim < 5 or attrs["groups"] > 1 or x.dtype not in (f32, f64) or not _has_entries(types, attrs):
        return False
    w = Window.of(weight.shape[2:], attrs["strides"], attrs["padding"], attrs["dilation"], x.ndim - 2)
    return all(isinstance(n, int) for n in x.shape) and {*w.kernel, *w.strides} == {1} and not any(w.padding)


@conv.strategy("product", when=_is_product, composed=True)
def _(x: Any, weight: Any, bias: Any, **attrs: Any) -> Any:
    """A window of one entry: the weights times a matrix whose rows are channels, as they lie."""
    (batch, c, *extents), o = type_of(x).static, type_of(weight).static[0]
    y = matmul(reshape(weight, shape=(o, c)), reshape(x, shape=(batch, c, math.prod(extents))))
    y = y if bias is None else add(y, reshape(bias, shape=(o, 1)))
    return reshape(y, shape=(batch, o, *extents))


def _untouched(w: Window) -> int | None:
    """The first of two neighbouring axes along which a window is one entry, and takes all of them."""
    n = len(w.kernel)
    alone = [w.kernel[d] == w.strides[d] == 1 and w.padding[d] == w.padding[n + d] == 0 for d in range(n)]
    return next((d for d in range(n - 1) if alone[d] and alone[d + 1]), None)


def _merges(types: Types, attrs: Any, target: Any) -> bool:
    x, weight, _ = types
    assert x is not None and weight is not None
    if x.ndim < 5 or not _has_entries(types, attrs):
        return False
    w = Window.of(weight.shape[2:], attrs["strides"], attrs["padding"], attrs["dilation"], x.ndim - 2)
    return _untouched(w) is not None


@conv.strategy("merged", when=_merges, composed=True)
def _(x: Any, weight: Any, bias: Any, *, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Two axes that the window does not reach along are one."""
    shape, kernel = type_of(x).shape, type_of(weight).static
    n = len(shape) - 2
    w = Window.of(kernel[2:], strides, padding, dilation, n)
    d = _untouched(w)
    assert d is not None

    def merged(extents: Any) -> tuple[Any, ...]:
        return (*extents[: d + 2], extents[d + 2] * extents[d + 3], *extents[d + 4 :])

    def left(of: tuple[int, ...]) -> tuple[int, ...]:
        return (*of[:d], *of[d + 1 :])

    y = conv(reshape(x, shape=merged(shape)), reshape(weight, shape=merged(kernel)), bias, strides=left(w.strides),
             padding=(*left(w.padding[:n]), *left(w.padding[n:])), dilation=left(w.dilation), groups=groups)  # fmt: skip
    made = type_of(y).shape
    return reshape(y, shape=(*made[: d + 2], *shape[d + 2 : d + 4], *made[d + 3 :]))


@conv.strategy("planes", when=lambda types, attrs, _: types[0].ndim > 4 and _has_entries(types, attrs), composed=True)
def _(x: Any, weight: Any, bias: Any, *, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """A convolution of volumes as one of pictures, of each plane of the result: the planes under its window are channels.
    Depthwise, it is the sum of one for each plane of the window."""
    (batch, c, planes, *extents), (o, i, depth, *kernel) = type_of(x).shape, type_of(weight).static
    n = len(extents)
    w = Window.of((depth, *kernel), strides, padding, dilation, n + 1)
    front, back, s, d = w.padding[0], w.padding[n + 1], w.strides[0], w.dilation[0]
    within: dict[str, Any] = {"strides": w.strides[1:], "dilation": w.dilation[1:], "groups": groups,
              "padding": (*w.padding[1 : n + 1], *w.padding[n + 2 :])}  # fmt: skip
    moved = (0, 2, 1, *range(3, n + 3))
    x = reshape(transpose(x, axes=moved), shape=(batch, planes, c, 1, *extents))
    if front or back:
        x = pad(x, before=(0, front, *(0,) * (n + 2)), after=(0, back, *(0,) * (n + 2)))
    (planes,) = Window.of(depth, s, (front, back), d, 1).extents((planes,))
    taps = [
        strided_slice(x, begin=(k * d,), end=(k * d + (planes - 1) * s + 1,), strides=(s,), axes=(1,))
        for k in range(depth)
    ]
    if depth > 1 and groups > 1 and i == o // groups == 1:
        y = None
        for k, tap in enumerate(taps):
            part = strided_slice(weight, begin=(k,), end=(k + 1,), axes=(2,))
            made = conv(reshape(tap, shape=(batch * planes, c, *extents)), reshape(part, shape=(o, i, *kernel)),
                        bias if k == 0 else None, **within)  # fmt: skip
            y = made if y is None else add(made, y)
    else:
        x = reshape(concatenate(*taps, axis=3), shape=(batch * planes, c * depth, *extents))
        y = conv(x, reshape(weight, shape=(o, i * depth, *kernel)), bias, **within)
    return transpose(reshape(y, shape=(batch, planes, *type_of(y).shape[1:])), axes=moved)


# As it is defined ----------------------------------------------------------------------------------------------------


@conv.strategy("direct")
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, strides: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    n, wide = x.ndim - 2, accumulator(x)
    w = Window.of(weight.shape[2:], strides, padding, dilation, n)
    padded = padded_stage(x, w, x.dtype(0))
    b, o, *at = indices(x.ndim)
    r: RDom = halo.rdom(*weight.shape[1:], names=["c", *(f"k{d}" for d in range(n))])
    first = o // (weight.shape[0] // groups) * weight.shape[1] if groups > 1 else 0
    taps = (v * w.strides[d] + k * w.dilation[d] for d, (v, k) in enumerate(zip(at, list(r)[1:], strict=True)))
    sums, f = Func("sums"), Func("conv")
    product = padded[(b, first + r.c, *taps)].astype(wide) * weight.func[(o, *r)].astype(wide)
    sums[(b, o, *at)] = halo.sum(product, r)
    total = sums[(b, o, *at)]
    f[(b, o, *at)] = (total if bias is None else total + bias.func[o].astype(wide)).astype(x.dtype)
    return Tensor(f, conv.infer((x.type, weight.type, None), {"strides": strides, "padding": padding, "dilation": dilation,
                                                              "groups": groups}).shape, x.dtype)  # fmt: skip
