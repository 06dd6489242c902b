"""Deformable windows: each point of a window is moved by what the network computes (Dai et al. 2017)."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here

from .op import Kind, op
from .shapes import Window, indices, same_type, takes
from .tensor import Tensor, TensorType

__all__ = ["deformable_columns"]


def _reference(x: Any, offset: Any, mask: Any = None, *, kernel: Any, strides: Any = 1, padding: Any = 0,
               dilation: Any = 1, groups: int = 1) -> Any:  # fmt: skip
    w = Window.of(tuple(kernel), strides, padding, dilation)
    n, c, *spatial = x.shape
    blocks, taps = w.extents(spatial), math.prod(w.kernel)
    out = np.zeros((n, c, taps, *blocks))
    for b, k, *at in np.ndindex(n, groups * taps, *blocks):
        group, tap = divmod(k, taps)
        own = slice(group * (c // groups), (group + 1) * (c // groups))
        place = [
            at[d] * w.strides[d] - w.before[d] + np.unravel_index(tap, w.kernel)[d] * w.dilation[d]
            + float(offset[(b, 2 * k + d, *at)])
            for d in range(2)
        ]  # fmt: skip
        for corner in itertools.product((0, 1), repeat=2):
            p = [math.floor(v) + e for v, e in zip(place, corner, strict=True)]
            if all(0 <= i < m for i, m in zip(p, spatial, strict=True)):
                share = math.prod(1 - abs(v - i) for v, i in zip(place, p, strict=True))
                out[(b, own, tap, *at)] += share * x[(b, own, *p)].astype(np.float64)
        if mask is not None:
            out[(b, own, tap, *at)] *= mask[(b, k, *at)]
    return out.reshape(n, c * taps, *blocks).astype(x.dtype)


@op(Kind.OPAQUE, reference=_reference)
def deformable_columns(x: TensorType, offset: TensorType, mask: TensorType | None = None, *, kernel: tuple[int, ...],
                       strides: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> TensorType:  # fmt: skip
    """What the windows of a deformable convolution see, between points bilinearly and zero outside: [N, C * taps, blocks...],
    of which a 1 x 1 convolution makes ONNX DeformConv, TOPI deformable_conv2d. `x`: [N, C, H, W]; `offset`:
    [N, groups * taps * 2, blocks...], how far each tap is moved down and to the right, for each of `groups` of channels;
    `mask`: [N, groups * taps, blocks...], what it counts (Zhu et al. 2019). Other attributes as of `conv2d`.

    >>> from halo import nn
    >>> x = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> nn.deformable_columns(x, np.full((1, 2, 3, 3), 0.5, np.float32), kernel=(1, 1))
    array([[[[2.  , 3.  , 1.75],
             [5.  , 6.  , 3.25],
             [3.25, 3.75, 2.  ]]]], dtype=float32)
    """
    takes("deformable_columns", "float", x)
    dtype = same_type("deformable_columns", x, offset, mask)
    if x.ndim != 4 or groups < 1 or x.shape[1] % groups:
        raise ArgumentError(f"{x} is no picture of {groups} groups of channels, [N, C, H, W]", loc=here())
    w = Window.of(tuple(kernel), strides, padding, dilation)
    blocks, taps = w.extents(x.shape[2:]), math.prod(w.kernel)
    moved, counted = ((x.shape[0], groups * taps * k, *blocks) for k in (2, 1))
    if offset.shape != moved or (mask is not None and mask.shape != counted):
        raise ArgumentError(f"offsets are of {moved} and masks of {counted}, not {offset} and {mask}", loc=here())
    return TensorType((x.shape[0], x.shape[1] * taps, *blocks), dtype)


@deformable_columns.strategy("direct")
def _(x: Tensor, offset: Tensor, mask: Tensor | None, *, kernel: Any, strides: Any, padding: Any, dilation: Any,
      groups: int) -> Tensor:  # fmt: skip
    w, t = Window.of(tuple(kernel), strides, padding, dilation), x.dtype
    many, spatial = int(x.shape[1]), [int(n) for n in x.shape[2:]]
    blocks, taps = w.extents(spatial), math.prod(w.kernel)
    view = halo.pad(x.func, "constant", 0, bounds=[None, None, *((0, n) for n in spatial)])
    f, (b, k, *at) = Func("deformable_columns"), indices(4)
    channel, tap = k // taps, k % taps
    moved = channel // (many // groups) * taps + tap
    near = []
    for d, step in enumerate((tap // w.kernel[1], tap % w.kernel[1])):
        start = at[d] * w.strides[d] - w.before[d] + step * w.dilation[d]
        v = start.astype(t) + offset.func[(b, 2 * moved + d, *at)]
        v = halo.clamp(halo.select(halo.isnan(v), t(-2), v), t(-2), t(spatial[d] + 1))  # zero from there on
        low = halo.floor(v)
        near.append([(halo.i32(low), t(1) - (v - low)), (halo.i32(low) + 1, v - low)])
    parts = [view[b, channel, p, q] * (u * v) for (p, u), (q, v) in itertools.product(*near)]
    value = parts[0] + parts[1] + parts[2] + parts[3]
    f[(b, k, *at)] = value if mask is None else value * mask.func[(b, moved, *at)]
    return Tensor(f, (x.shape[0], many * taps, *blocks), t)
