"""Windows: convolutions and pools."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halo import nn

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


@adapter("Conv")
def _(n: Node) -> Any:
    weight = n[1]
    return nn.conv(n[0], weight, n.get(2), groups=n.attrs.get("group", 1), **_window(n, weight.type.static[2:]))


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
    return nn.conv_transpose(x, weight, n.get(2), strides=strides, padding=padding, dilation=dilation, output_padding=more,
                             groups=groups)  # fmt: skip


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
