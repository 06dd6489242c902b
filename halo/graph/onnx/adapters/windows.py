"""Windows: convolutions and pools."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from halo import nn
from halo.types import f32

from ...ir import Constant
from ..node import Node, adapter
from .matrices import shifted

__all__ = ["window_of"]


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
    return window_of(n, n[0].type.shape[2:], kernel)


def window_of(n: Node, spatial: tuple[Any, ...], kernel: tuple[int, ...]) -> dict[str, Any]:
    """The strides, padding and dilation of a node over axes of these extents."""
    if len(kernel) != len(spatial):
        raise n.wrong(f"a window over {len(kernel)} axes is none of {n[0].type}")
    ones = (1,) * len(kernel)
    strides, dilation = n.ints("strides", default=ones), n.ints("dilations", default=ones)
    padding = _padding(n, spatial, kernel, strides, dilation)
    return {"strides": strides, "padding": padding, "dilation": dilation}


def _of_rows(x: Any) -> Any:
    """A signal as a picture of one row."""
    n, c, extent = x.type.shape
    return nn.reshape(x, shape=(n, c, 1, extent))


@adapter("Conv")
def _(n: Node) -> Any:
    x, weight, groups = n[0], n[1], n.attrs.get("group", 1)
    window = _window(n, weight.type.static[2:])
    bias = n.get(2)
    made = nn.conv.infer((x.type, weight.type, None if bias is None else bias.type), {**window, "groups": groups})
    if made.dtype is not f32 or x.type.ndim > 5 or 0 in (*x.type.shape, *made.shape):
        return nn.conv(x, weight, bias, groups=groups, **window)
    if x.type.ndim == 5:
        return _of_planes(x, weight, bias, groups=groups, **window)
    if x.type.ndim == 4:
        return nn.conv2d(x, weight, bias, groups=groups, **window)
    (stride,), (dilation,), (before, after) = window["strides"], window["dilation"], window["padding"]
    y = nn.conv2d(_of_rows(x), _of_rows(weight), bias, groups=groups, strides=(1, stride), dilation=(1, dilation),
                  padding=(0, before, 0, after))  # fmt: skip
    return nn.reshape(y, shape=(*y.type.shape[:2], y.type.shape[3]))


def _of_planes(x: Any, weight: Any, bias: Any, *, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """A convolution of volumes as one of pictures: of each plane of the result, with the planes under its window as channels."""
    (o, i, depth, *kernel), (s, *across), (d, *apart) = weight.type.static, strides, dilation
    (front, top, left, back, bottom, right) = padding
    batch, c, planes, h, w = x.type.shape
    x = nn.reshape(nn.transpose(x, axes=(0, 2, 1, 3, 4)), shape=(batch, planes, c, 1, h, w))
    none = (0,) * 4
    taps = [
        nn.pad(x, before=(0, front - k * d, *none), after=(0, back - (depth - 1 - k) * d, *none)) for k in range(depth)
    ]
    if s > 1:
        taps = [nn.strided_slice(t, begin=(0,), end=(sys.maxsize,), strides=(s,), axes=(1,)) for t in taps]
    planes = taps[0].type.shape[1]
    x = nn.reshape(nn.concatenate(*taps, axis=3), shape=(batch * planes, c * depth, h, w))
    y = nn.conv2d(x, nn.reshape(weight, shape=(o, i * depth, *kernel)), bias, strides=tuple(across),
                  padding=(top, left, bottom, right), dilation=tuple(apart), groups=groups)  # fmt: skip
    return nn.transpose(nn.reshape(y, shape=(batch, planes, *y.type.shape[1:])), axes=(0, 2, 1, 3, 4))


@adapter("ConvTranspose")
def _(n: Node) -> Any:
    x, weight, groups = n[0], n[1], n.attrs.get("group", 1)
    kernel = weight.type.static[2:]
    ones = (1,) * len(kernel)
    strides, dilation = n.ints("strides", default=ones), n.ints("dilations", default=ones)
    more, asked = n.ints("output_padding", default=(0,) * len(kernel)), n.ints("output_shape")
    how = n.text("auto_pad", "NOTSET")
    full = tuple(
        (m - 1) * s + (k - 1) * d + 1 + e
        for m, s, k, d, e in zip(x.type.shape[2:], strides, kernel, dilation, more, strict=True)
    )
    if asked is not None or how.startswith("SAME"):
        wanted = asked or tuple(m * s for m, s in zip(x.type.static[2:], strides, strict=True))
        total = [f - w for f, w in zip(full, wanted[-len(kernel) :], strict=True)]
        more = tuple(e + max(-t, 0) for e, t in zip(more, total, strict=True))  # what the window does not reach
        less = [max(t, 0) // 2 for t in total]
        rest = [max(t, 0) - v for t, v in zip(total, less, strict=True)]
        padding = (*less, *rest) if how == "SAME_UPPER" else (*rest, *less)
    else:
        padding = n.ints("pads", default=(0,) * (2 * len(kernel))) if how == "NOTSET" else (0,) * (2 * len(kernel))
    bias = n.get(2)
    window = {"strides": strides, "padding": padding, "dilation": dilation, "output_padding": more, "groups": groups}
    made = nn.conv_transpose.infer((x.type, weight.type, None if bias is None else bias.type), window)
    if x.type.ndim not in (3, 4) or made.dtype is not f32 or 0 in (*x.type.shape, *weight.type.shape, *made.shape):
        return nn.conv_transpose(x, weight, bias, **window)
    if x.type.ndim == 4:
        return _phases(x, weight, bias, strides, padding, dilation, more, groups)
    y = _phases(_of_rows(x), _of_rows(weight), bias, (1, *strides), (0, padding[0], 0, padding[1]), (1, *dilation),
                (0, *more), groups)  # fmt: skip
    return nn.reshape(y, shape=(*y.type.shape[:2], y.type.shape[3]))


def _phases(x: Any, weight: Any, bias: Any, strides: Any, padding: Any, dilation: Any, more: Any, groups: int) -> Any:
    """A transposed convolution as an ordinary one, of a channel for each of the `strides` places that a value is spread to
    (Shi et al., Is the deconvolution layer the same as a convolutional layer?, 2016): place q * stride + phase is met by tap
    j * stride + phase of value q - j, so the taps of a phase, in reverse, are its weights; zeros fill up the phases of fewer
    taps. depth_to_space lays the phases out."""
    i, o, *kernel = weight.type.static
    (sy, sx), within = strides, [d if s == 1 else 1 for s, d in zip(strides, dilation, strict=True)]
    reach = [(k - 1) * d // w + 1 for k, d, w in zip(kernel, dilation, within, strict=True)]
    ky, kx = taps = [-(-k // s) for k, s in zip(reach, strides, strict=True)]
    weight = nn.reshape(weight, shape=(i, o, kernel[0], 1, kernel[1], 1))
    apart = [d // w for d, w in zip(dilation, within, strict=True)]  # zeros between the taps of a dilated window
    weight = nn.pad(weight, before=(0,) * 6, after=(0, 0, 0, apart[0] - 1, 0, apart[1] - 1))
    weight = nn.reshape(weight, shape=(i, o, kernel[0] * apart[0], kernel[1] * apart[1]))
    whole = (ky * sy - kernel[0] * apart[0], kx * sx - kernel[1] * apart[1])
    weight = nn.pad(weight, before=(0,) * 4, after=(0, 0, *whole))
    weight = nn.reshape(weight, shape=(groups, i // groups, o, ky, sy, kx, sx))
    weight = nn.transpose(weight, axes=(0, 2, 4, 6, 1, 3, 5))
    weight = nn.reshape(weight, shape=(groups * o * sy * sx, i // groups, ky, kx))
    weight = nn.strided_slice(weight, begin=(-1, -1), end=(-ky - 1, -kx - 1), strides=(-1, -1), axes=(2, 3))
    if bias is not None and sy * sx > 1:
        bias = nn.reshape(nn.broadcast_to(nn.reshape(bias, shape=(-1, 1)), shape=(groups * o, sy * sx)), shape=(-1,))
    # the values that are asked for lie from padding // stride on, and to (their end) / stride: no others are computed
    first, last, cut, rest = [], [], [], []
    for d in range(2):
        s, w, k = strides[d], within[d], taps[d]
        end = (kernel[d] - 1) * dilation[d] + 1 + more[d] - padding[2 + d] - s  # beyond all the values of x, spread
        before, after = (k - 1) * w - padding[d] // s, -(-end // s)
        first.append(max(before, 0))
        last.append(max(after, 0))
        cut.append(padding[d] - ((k - 1) * w - first[d]) * s)
        rest.append(last[d] * s - end)
    y = nn.conv2d(x, weight, bias, padding=(*first, *last), dilation=tuple(within), groups=groups)
    if sy * sx > 1:
        y = nn.depth_to_space(y, block=(sy, sx), mode="CRD")
    return nn.pad(y, before=(0, 0, *(-c for c in cut)), after=(0, 0, *(-r for r in rest))) if any((*cut, *rest)) else y


@adapter("ConvInteger")
def _(n: Node) -> Any:
    x, weight = shifted(n[0], n.get(2)), n[1]
    zero = n.get(3)
    if zero is not None and zero.type.ndim == 1:
        zero = nn.reshape(zero, shape=(-1, *(1,) * (weight.type.ndim - 1)))
    return nn.conv(x, shifted(weight, zero), groups=n.attrs.get("group", 1), **_window(n, weight.type.static[2:]))


LAYOUTS = {3: "NCW", 4: "NCHW", 5: "NCDHW"}


def _pool(n: Node, **more: Any) -> dict[str, Any]:
    kernel, x = n.ints("kernel_shape"), n[0]
    if x.type.ndim not in LAYOUTS:
        raise n.wrong(f"pools are over one to three spatial axes, and there is {x.type}")
    return {
        "kernel": kernel,
        "ceil": bool(n.attrs.get("ceil_mode")),
        "layout": LAYOUTS[x.type.ndim],
        **_window(n, kernel),
        **more,
    }


@adapter("MaxPool")
def _(n: Node) -> Any:
    values = nn.max_pool(n[0], **_pool(n))
    if n.outputs == 1:
        return values
    return values, nn.max_pool_indices(n[0], **_pool(n, column_major=bool(n.attrs.get("storage_order"))))


@adapter("AveragePool")
def _(n: Node) -> Any:
    return nn.average_pool(n[0], **_pool(n, count_include_pad=bool(n.attrs.get("count_include_pad"))))


@adapter("LpPool")
def _(n: Node) -> Any:
    return nn.lp_pool(n[0], **_pool(n, p=int(n.attrs.get("p", 2))))


def _spatial(n: Node) -> dict[str, Any]:
    return {"axes": tuple(range(2, n[0].type.ndim)), "keepdims": True}


@adapter("GlobalAveragePool")
def _(n: Node) -> Any:
    return nn.global_average_pool(n[0]) if n[0].type.ndim == 4 else nn.mean(n[0], **_spatial(n))


@adapter("GlobalMaxPool")
def _(n: Node) -> Any:
    return nn.max(n[0], **_spatial(n))


@adapter("MaxUnpool")
def _(n: Node) -> Any:
    x, kernel = n[0], n.ints("kernel_shape")
    asked, w = n.ints("", 2), _window(n, kernel)
    spatial = tuple(
        (m - 1) * s + k - before - after
        for m, s, k, before, after in zip(
            x.type.static[2:],
            w["strides"],
            kernel,
            w["padding"][: len(kernel)],
            w["padding"][len(kernel) :],
            strict=True,
        )
    )
    natural = (*x.type.static[:2], *spatial)
    indices, shape = nn.reshape(n[1], shape=(-1,)), asked or natural
    if shape != natural:  # the indices are into the natural shape
        indices = _moved(indices, natural, shape)
    zeros = nn.broadcast_to(Constant(np.zeros((), x.type.dtype.dtype)), shape=(math.prod(shape),))
    return nn.reshape(nn.scatter_elements(zeros, indices, nn.reshape(x, shape=(-1,))), shape=shape)


def _moved(flat: Any, src: tuple[int, ...], dst: tuple[int, ...]) -> Any:
    """Indices into an array of shape `src` as ones into an array of shape `dst`."""
    total: Any = None
    rest = flat
    inner = 1
    for m, k in zip(reversed(src), reversed(dst), strict=True):
        part = nn.multiply(nn.mod(rest, np.int64(m)), np.int64(inner))
        total = part if total is None else nn.add(total, part)
        rest, inner = nn.divide(rest, np.int64(m)), inner * k
    return total
