"""Convolution over any number of spatial axes, and its transpose, as they are defined: of any numbers, without packing."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here

from .op import Kind, op
from .reductions import accumulator
from .schedule import padded_stage
from .shapes import Window, indices, same_type, takes
from .tensor import Tensor, TensorType, type_of

__all__ = ["conv", "conv_transpose"]


def _reference(x: Any, weight: Any, bias: Any = None, *, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
               groups: int = 1) -> Any:  # fmt: skip
    n = x.ndim - 2
    w = Window.of(weight.shape[2:], strides, padding, dilation, n)
    padded = np.pad(x, ((0, 0), (0, 0), *zip(w.padding[:n], w.padding[n:], strict=True)))
    shape = w.extents(x.shape[2:])
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
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
    return (out if bias is None else out + bias.reshape(-1, *(1,) * n)).astype(x.dtype)


@op(Kind.OPAQUE, reference=_reference)
def conv(x: TensorType, weight: TensorType, bias: TensorType | None = None, *, strides: Any = 1, padding: Any = 0,
         dilation: Any = 1, groups: int = 1) -> TensorType:  # fmt: skip
    """Convolution (correlation) over any number of spatial axes: ONNX Conv, TOPI conv1d and conv3d. `x`: [N, I, ...];
    `weight`: [O, I / groups, ...]; `bias`: [O]. Attributes as of `conv2d`, which is the fast one of two axes. Integers wrap.

    >>> from halo import nn
    >>> nn.conv(np.array([[[1, 2, 3]]], np.float32), np.ones((1, 1, 2), np.float32))
    array([[[3., 5.]]], dtype=float32)
    """
    takes("conv", "number", x)
    if x.ndim < 3 or weight.ndim != x.ndim:
        raise ArgumentError(f"conv of {x} takes weights of as many axes, not {weight}", loc=here())
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ArgumentError(
            f"conv of {groups} groups takes {weight.shape[1] * groups} channels, and x has {x.shape[1]}", loc=here()
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ArgumentError(f"bias is {bias} for {weight.shape[0]} channels", loc=here())
    w = Window.of(weight.shape[2:], strides, padding, dilation, x.ndim - 2)
    return TensorType((x.shape[0], weight.shape[0], *w.extents(x.shape[2:])), same_type("conv", x, weight, bias))


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


def _transposed(
    x: TensorType, weight: TensorType, strides: Any, padding: Any, dilation: Any, more: Any
) -> tuple[Window, tuple[int, ...]]:
    """The window, and how far the result reaches along each spatial axis."""
    n = x.ndim - 2
    w = Window.of(weight.shape[2:], strides, padding, dilation, n)
    extra = tuple(more) if isinstance(more, (tuple, list)) else (more,) * n
    found = tuple(
        (m - 1) * w.strides[d] + w.reach(d) + extra[d] - w.padding[d] - w.padding[n + d]
        for d, m in enumerate(x.shape[2:])
    )
    if any(isinstance(m, int) and m < 0 for m in found):
        raise ArgumentError(f"the padding leaves nothing of {x}", loc=here())
    return w, found


def _reference_transposed(x: Any, weight: Any, bias: Any = None, *, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
                          output_padding: Any = 0, groups: int = 1) -> Any:  # fmt: skip
    n = x.ndim - 2
    w, extents = _transposed(type_of(x), type_of(weight), strides, padding, dilation, output_padding)
    o = weight.shape[1]
    out = np.zeros(
        (x.shape[0], o * groups, *(m + a + b for m, a, b in zip(extents, w.padding[:n], w.padding[n:], strict=True)))
    )
    i = x.shape[1] // groups
    for tap in np.ndindex(*w.kernel):
        at = tuple(
            slice(k * d, k * d + (m - 1) * s + 1, s)
            for k, d, m, s in zip(tap, w.dilation, x.shape[2:], w.strides, strict=True)
        )
        for g in range(groups):
            own = slice(g * i, (g + 1) * i)
            part = np.einsum("ni...,io->no...", x[:, own].astype(np.float64), weight[(own, slice(None), *tap)])
            out[(slice(None), slice(g * o, (g + 1) * o), *at)] += part
    kept: Any = (..., *(slice(a, a + m) for a, m in zip(w.padding[:n], extents, strict=True)))
    out = out[kept]
    return (out if bias is None else out + bias.reshape(-1, *(1,) * n)).astype(x.dtype)


@op(Kind.OPAQUE, reference=_reference_transposed)
def conv_transpose(x: TensorType, weight: TensorType, bias: TensorType | None = None, *, strides: Any = 1, padding: Any = 0,
                   dilation: Any = 1, output_padding: Any = 0, groups: int = 1) -> TensorType:  # fmt: skip
    """The transpose of `conv`: each value of x is spread over the window that it came from. ONNX ConvTranspose, TOPI
    conv2d_transpose. `x`: [N, I, ...]; `weight`: [I, O / groups, ...]; `bias`: [O]. `output_padding`: so many entries more
    at the end, one integer or one an axis.

    >>> from halo import nn
    >>> nn.conv_transpose(np.array([[[1, 2]]], np.float32), np.ones((1, 1, 2), np.float32))
    array([[[1., 3., 2.]]], dtype=float32)
    """
    takes("conv_transpose", "number", x)
    if x.ndim < 3 or weight.ndim != x.ndim or x.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        raise ArgumentError(f"conv_transpose of {x} in {groups} groups does not take weights {weight}", loc=here())
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        raise ArgumentError(f"bias is {bias} for {weight.shape[1] * groups} channels", loc=here())
    _, spatial = _transposed(x, weight, strides, padding, dilation, output_padding)
    return TensorType((x.shape[0], weight.shape[1] * groups, *spatial), same_type("conv_transpose", x, weight, bias))


@conv_transpose.strategy("direct")
def _(x: Tensor, weight: Tensor, bias: Tensor | None, *, strides: Any, padding: Any, dilation: Any, output_padding: Any,
      groups: int) -> Tensor:  # fmt: skip
    w, spatial = _transposed(x.type, weight.type, strides, padding, dilation, output_padding)
    n, wide, each = x.ndim - 2, accumulator(x), weight.shape[1]
    b, o, *at = indices(x.ndim)
    r: RDom = halo.rdom(weight.shape[0] // groups, *w.kernel, names=["c", *(f"k{d}" for d in range(n))])
    group = o // each if groups > 1 else 0
    c = group * (weight.shape[0] // groups) + r.c
    # what the window at p = (place + before - tap * dilation) / strides spreads here, where that is whole
    places = [v + w.before[d] - k * w.dilation[d] for d, (v, k) in enumerate(zip(at, list(r)[1:], strict=True))]
    source = [halo.clamp(p // w.strides[d], 0, x.shape[2 + d] - 1) for d, p in enumerate(places)]
    inside = [(p >= 0) & (p % w.strides[d] == 0) & (p // w.strides[d] < x.shape[2 + d]) for d, p in enumerate(places)]
    product = x.func[(b, c, *source)].astype(wide) * weight.func[
        (c, o % each if groups > 1 else o, *list(r)[1:])
    ].astype(wide)
    sums, f = Func("sums"), Func("conv_transpose")
    sums[(b, o, *at)] = halo.sum(halo.select(halo.all(*inside), product, wide(0)), r)
    total = sums[(b, o, *at)]
    f[(b, o, *at)] = (total if bias is None else total + bias.func[o].astype(wide)).astype(x.dtype)
    return Tensor(f, (x.shape[0], each * groups, *spatial), x.dtype)
