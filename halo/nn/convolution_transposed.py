"""Transposed convolution: as an ordinary one with a channel for each phase of the strides, and as it is defined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here

from .convolution import is_narrow, of_rows, widened
from .convolution_nd import conv
from .lines import accumulator
from .op import Kind, Types, op
from .shape import broadcast_to, concatenate, depth_to_space, pad, reshape, strided_slice, transpose
from .shapes import Window, decided, indices, same_type, takes
from .tensor import Tensor, TensorType, type_of

__all__ = ["conv_transpose"]


def _window(
    x: TensorType, weight: TensorType, strides: Any, padding: Any, dilation: Any, more: Any
) -> tuple[Window, tuple[int, ...]]:
    """The window, and how many entries more each spatial axis has at its end."""
    w = Window.of(weight.shape[2:], strides, padding, dilation, x.ndim - 2)
    return w, tuple(more) if isinstance(more, (tuple, list)) else (more,) * (x.ndim - 2)


def _transposed(
    x: TensorType, weight: TensorType, strides: Any, padding: Any, dilation: Any, more: Any
) -> tuple[Window, tuple[int, ...]]:
    """The window, and how far the result reaches along each spatial axis."""
    n = x.ndim - 2
    w, extra = _window(x, weight, strides, padding, dilation, more)
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
    o, wide = weight.shape[1], np.float64 if type_of(x).dtype.is_float else x.dtype
    whole = (m + a + b for m, a, b in zip(extents, w.padding[:n], w.padding[n:], strict=True))
    out = np.zeros((x.shape[0], o * groups, *whole), wide)
    i = x.shape[1] // groups
    for tap in np.ndindex(*w.kernel):
        at = tuple(
            slice(k * d, k * d + (m - 1) * s + 1, s)
            for k, d, m, s in zip(tap, w.dilation, x.shape[2:], w.strides, strict=True)
        )
        for g in range(groups):
            own = slice(g * i, (g + 1) * i)
            k = weight[(own, slice(None), *tap)].astype(wide)
            part = np.einsum("ni...,io->no...", x[:, own].astype(wide), k)
            out[(slice(None), slice(g * o, (g + 1) * o), *at)] += part
    kept: Any = (..., *(slice(a, a + m) for a, m in zip(w.padding[:n], extents, strict=True)))
    out = out[kept]
    return (out if bias is None else out + bias.astype(wide).reshape(-1, *(1,) * n)).astype(x.dtype)


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
    if x.ndim > 1 and weight.ndim:
        decided("conv_transpose", x.shape[1], weight.shape[0])
    if x.ndim < 3 or weight.ndim != x.ndim or x.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        raise ArgumentError(f"conv_transpose of {x} in {groups} groups does not take weights {weight}", loc=here())
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        raise ArgumentError(f"bias is {bias} for {weight.shape[1] * groups} channels", loc=here())
    _, spatial = _transposed(x, weight, strides, padding, dilation, output_padding)
    return TensorType((x.shape[0], weight.shape[1] * groups, *spatial), same_type("conv_transpose", x, weight, bias))


# As ordinary convolutions --------------------------------------------------------------------------------------------


conv_transpose.strategy("wide", when=is_narrow, composed=True)(widened(conv_transpose))


def _has_entries(types: Types, attrs: Any) -> bool:
    return all(0 not in t.shape for t in (*types, conv_transpose.infer(types, attrs)) if t is not None)


@conv_transpose.strategy(
    "rows", when=lambda types, attrs, _: types[0].ndim == 3 and _has_entries(types, attrs), composed=True
)
def _(
    x: Any, weight: Any, bias: Any, *, strides: Any, padding: Any, dilation: Any, output_padding: Any, groups: int
) -> Any:
    """Signals are pictures of one row."""
    w, more = _window(type_of(x), type_of(weight), strides, padding, dilation, output_padding)
    y = conv_transpose(of_rows(x), of_rows(weight), bias, strides=(1, *w.strides), dilation=(1, *w.dilation),
                       padding=(0, w.padding[0], 0, w.padding[1]), output_padding=(0, *more), groups=groups)  # fmt: skip
    n, c, _, extent = type_of(y).shape
    return reshape(y, shape=(n, c, extent))


MOST = 16  # convolutions, one a phase


@conv_transpose.strategy("phases", when=lambda types, attrs, _: _has_entries(types, attrs), composed=True)
def _(
    x: Any, weight: Any, bias: Any, *, strides: Any, padding: Any, dilation: Any, output_padding: Any, groups: int
) -> Any:
    """A channel for each of the `strides` places that a value is spread to (Shi et al., Is the deconvolution layer the same
    as a convolutional layer?, 2016): place q * stride + phase is met by tap j * stride + phase of value q - j, so the taps of
    a phase, in reverse, are its weights; zeros fill up the phases of fewer taps. depth_to_space lays the phases out."""
    w, more = _window(type_of(x), type_of(weight), strides, padding, dilation, output_padding)
    (batch, *_), (i, o, *_), n = type_of(x).shape, type_of(weight).static, len(w.kernel)
    phases = math.prod(w.strides)
    within = tuple(d if s == 1 else 1 for s, d in zip(w.strides, w.dilation, strict=True))
    weight, taps = _of_phases(weight, w, within, groups)
    # the values that are asked for lie from padding // stride on, and to (their end) / stride: no others are computed
    first, last, cut, rest = [], [], [], []
    for d, (s, apart, k) in enumerate(zip(w.strides, within, taps, strict=True)):
        end = w.reach(d) + more[d] - w.padding[n + d] - s  # beyond all the values of x, spread
        first.append(max((k - 1) * apart - w.padding[d] // s, 0))
        last.append(max(-(-end // s), 0))
        cut.append(w.padding[d] - ((k - 1) * apart - first[d]) * s)
        rest.append(last[d] * s - end)
    attrs: dict[str, Any] = {"padding": (*first, *last), "dilation": within, "groups": groups}
    if groups > 1 and o == i // groups == 1 and 1 < phases <= MOST:  # depthwise, and each phase is
        each = (reshape(strided_slice(weight, begin=(p,), end=(p + 1,), axes=(1,)), shape=(groups, 1, *taps))
                for p in range(phases))  # fmt: skip
        y = concatenate(*(conv(x, k, bias, **attrs) for k in each), axis=1)
        y = depth_to_space(y, block=w.strides)
    else:
        if bias is not None and phases > 1:
            bias = broadcast_to(reshape(bias, shape=(groups, 1, o)), shape=(groups, phases, o))
            bias = reshape(bias, shape=(groups * phases * o,))
        y = conv(x, reshape(weight, shape=(groups * phases * o, i // groups, *taps)), bias, **attrs)
        if phases > 1:
            extents = type_of(y).shape[2:]
            if groups > 1:
                y = reshape(y, shape=(batch * groups, phases * o, *extents))
            y = depth_to_space(y, block=w.strides)
            if groups > 1:
                y = reshape(y, shape=(batch, groups * o, *type_of(y).shape[2:]))
    return pad(y, before=(0, 0, *(-c for c in cut)), after=(0, 0, *(-r for r in rest))) if any((*cut, *rest)) else y


def _of_phases(weight: Any, w: Window, within: tuple[int, ...], groups: int) -> tuple[Any, tuple[int, ...]]:
    """The weights [groups, phases, O / groups, I / groups, taps...] of the phases, and how many taps each has."""
    i, o, *kernel = type_of(weight).static
    n = len(kernel)
    none = (0,) * (2 * n + 2)
    apart = [d // m for d, m in zip(w.dilation, within, strict=True)]  # zeros between the taps of a dilated window
    reach = [(k - 1) * a + 1 for k, a in zip(kernel, apart, strict=True)]
    taps = tuple(-(-k // s) for k, s in zip(reach, w.strides, strict=True))
    if max(apart) > 1:
        weight = reshape(weight, shape=(i, o, *(e for k in kernel for e in (k, 1))))
        weight = pad(weight, before=none, after=(0, 0, *(e for a in apart for e in (0, a - 1))))
        kernel = [k * a for k, a in zip(kernel, apart, strict=True)]
        weight = reshape(weight, shape=(i, o, *kernel))
    whole = [t * s - k for t, s, k in zip(taps, w.strides, kernel, strict=True)]
    weight = pad(weight, before=none[: n + 2], after=(0, 0, *whole)) if any(whole) else weight
    split = (e for t, s in zip(taps, w.strides, strict=True) for e in (t, s))
    weight = reshape(weight, shape=(groups, i // groups, o, *split))
    weight = transpose(weight, axes=(0, *range(4, 2 * n + 3, 2), 2, 1, *range(3, 2 * n + 3, 2)))
    weight = reshape(weight, shape=(groups, math.prod(w.strides), o, i // groups, *taps))
    if max(taps) > 1:
        weight = strided_slice(weight, begin=(-1,) * n, end=tuple(-k - 1 for k in taps), strides=(-1,) * n,
                               axes=tuple(range(4, 4 + n)))  # fmt: skip
    return weight, taps


# As it is defined ----------------------------------------------------------------------------------------------------


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
