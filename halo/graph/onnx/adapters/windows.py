"""Windows: convolutions and pools."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halo import nn
from halo.ir.shapes import dim_max

from ...ir import Constant
from ..node import Node, adapter
from .matrices import shifted
from .reductions import norm

__all__ = ["window_of"]


def _padding(n: Node, spatial: Any, kernel: Any, strides: Any, dilation: Any) -> tuple[Any, ...]:
    """What `pads` or `auto_pad` say; where an axis is open, that is its arithmetic."""
    how = n.text("auto_pad", "NOTSET")
    if how in ("NOTSET", "VALID"):
        return n.ints("pads", default=(0,) * (2 * len(kernel))) if how == "NOTSET" else (0,) * (2 * len(kernel))
    before, after = [], []
    for extent, k, s, d in zip(spatial, kernel, strides, dilation, strict=True):
        total = dim_max(((extent + s - 1) // s - 1) * s + (k - 1) * d + 1 - extent, 0)
        less = total // 2
        before.append(less if how == "SAME_UPPER" else total - less)
        after.append(total - less if how == "SAME_UPPER" else less)
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


def _padded(x: Any, window: dict[str, Any], value: Any = 0) -> tuple[Any, dict[str, Any]]:
    """`x`, and the window over it: padded with `value` before, where only a call knows how much."""
    padding = window["padding"]
    half = len(padding) // 2
    if all(isinstance(v, int) for v in padding):
        return x, window
    grown = nn.pad(x, before=(0, 0, *padding[:half]), after=(0, 0, *padding[half:]), value=value)
    return grown, {**window, "padding": (0,) * len(padding)}


@adapter("Conv")
def _(n: Node) -> Any:
    weight = n[1]
    x, window = _padded(n[0], _window(n, weight.type.static[2:]))
    return nn.conv(x, weight, n.get(2), groups=n.attrs.get("group", 1), **window)


@adapter("DeformConv")
def _(n: Node) -> Any:
    x, weight, offset, bias, mask = n[0], n[1], n[2], n.get(3), n.get(4)
    columns = nn.deformable_columns(
        x,
        offset,
        mask,
        kernel=weight.type.static[2:],
        groups=n.attrs.get("offset_group", 1),
        **_window(n, weight.type.static[2:]),
    )
    flat = nn.reshape(weight, shape=(weight.type.shape[0], -1, 1, 1))
    return nn.conv(columns, flat, bias, groups=n.attrs.get("group", 1))


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
        wanted = asked or tuple(m * s for m, s in zip(x.type.shape[2:], strides, strict=True))
        total = [f - w for f, w in zip(full, wanted[-len(kernel) :], strict=True)]
        if not all(isinstance(t, int) for t in total):
            raise n.wrong(f"what is padded of {x.type} is known when the program runs, and is wanted before")
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
    x, window = _padded(x, _window(n, weight.type.static[2:]))
    return nn.conv(x, shifted(weight, zero), groups=n.attrs.get("group", 1), **window)


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


def _pooled(n: Node, op: Any, value: Any = 0, **more: Any) -> Any:
    """The pool `op` of the input, padded with `value` where only a call knows how much."""
    x, attrs = n[0], _pool(n, **more)
    kernel, padding = attrs["kernel"], attrs["padding"]
    if all(isinstance(v, int) for v in padding):
        return op(x, **attrs)
    before = padding[: len(kernel)]
    if all(isinstance(v, int) for v in before) and not attrs.get("count_include_pad"):
        inside = {**attrs, "padding": (*before, *(0 if not isinstance(v, int) else v for v in padding[len(kernel) :]))}
        rounded = op(x, **{**inside, "ceil": True})
        same = tuple((m + s - 1) // s for m, s in zip(x.type.shape[2:], attrs["strides"], strict=True))
        if rounded.type.shape[2:] == same:  # windows that begin inside, whatever is behind the end
            return rounded
    grown, attrs = _padded(x, attrs, value)
    return op(grown, **attrs)


@adapter("MaxPool")
def _(n: Node) -> Any:
    dtype = n[0].type.dtype
    values = _pooled(n, nn.max_pool, -math.inf if dtype.is_float else int(dtype.min))
    if n.outputs == 1:
        return values
    attrs = _pool(n, column_major=bool(n.attrs.get("storage_order")))
    if not all(isinstance(v, int) for v in attrs["padding"]):
        raise n.wrong(f"indices into {n[0].type} with a padding that is known when the program runs are not supported")
    return values, nn.max_pool_indices(n[0], **attrs)


@adapter("AveragePool")
def _(n: Node) -> Any:
    x, counts = n[0], bool(n.attrs.get("count_include_pad"))
    attrs = _pool(n, count_include_pad=counts)
    if counts or all(isinstance(v, int) for v in attrs["padding"]):
        return _pooled(n, nn.average_pool, count_include_pad=counts)
    ones = nn.broadcast_to(Constant(np.ones((), x.type.dtype.dtype)), shape=(1, 1, *x.type.shape[2:]))
    (sums, window), (there, _) = _padded(x, attrs), _padded(ones, attrs)  # the entries that are padded do not count
    return nn.divide(nn.average_pool(sums, **window), nn.average_pool(there, **window))


@adapter("LpPool")
def _(n: Node) -> Any:
    return _pooled(n, nn.lp_pool, p=int(n.attrs.get("p", 2)))


def _spatial(n: Node) -> dict[str, Any]:
    return {"axes": tuple(range(2, n[0].type.ndim)), "keepdims": True}


@adapter("GlobalLpPool")
def _(n: Node) -> Any:
    return norm(n[0], float(n.attrs.get("p", 2)), **_spatial(n))


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
