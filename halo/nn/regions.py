"""Regions of pictures, brought to one size."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here

from .lines import extent
from .op import Kind, op
from .shapes import indices, takes
from .tensor import Tensor, TensorType

__all__ = ["roi_align"]

MOST = 256  # samples a side of a cell: more than pictures have points there


def _roi_align(x: Any, rois: Any, batch: Any, *, size: Any, samples: int = 2, scale: float = 1.0, mode: str = "avg",
               half_pixel: bool = True) -> Any:  # fmt: skip
    out = np.zeros((len(rois), x.shape[1], *size), np.float64)
    for r, i, j in np.ndindex(len(rois), *size):
        start, extent = [], []
        for d in (1, 0):  # x comes first in a region
            lo, hi = (float(rois[r, k]) * scale - 0.5 * half_pixel for k in (d, d + 2))
            start.append(lo)
            extent.append(hi - lo if half_pixel else max(hi - lo, 1.0))
        values = []
        for a, b in np.ndindex(samples, samples):
            near = []
            for d, (cell, k) in enumerate(((i, a), (j, b))):
                n = x.shape[2 + d]
                v = start[d] + (cell + (k + 0.5) / samples) * extent[d] / size[d]
                if not -1 <= v <= n:
                    near.append([(0, 0.0), (0, 0.0)])
                    continue
                v = min(max(v, 0.0), n - 1.0)
                low = math.floor(v)
                near.append([(low, 1 - (v - low)), (min(low + 1, n - 1), v - low)])
            values.append([w * u * x[int(batch[r]), :, p, q] for (p, w), (q, u) in itertools.product(*near)])
        found = np.array(values, np.float64)
        out[r, :, i, j] = found.sum(1).mean(0) if mode == "avg" else found.max((0, 1))
    return out.astype(x.dtype)


@op(Kind.OPAQUE, reference=_roi_align)
def roi_align(x: TensorType, rois: TensorType, batch: TensorType, *, size: tuple[int, int], samples: int = 2,
              scale: float = 1.0, mode: str = "avg", half_pixel: bool = True) -> TensorType:  # fmt: skip
    """Regions of pictures as cells of one `size` (He et al. 2017, Mask R-CNN): ONNX RoiAlign, TOPI roi_align. `x`: [N, C, H,
    W]; `rois`: [R, 4], the corners x1, y1, x2, y2 of each in units of `scale` points; `batch`: [R], which picture it is of.
    The result: [R, C, size...].

    Each cell is the mean ("avg") of `samples` times `samples` points, each found linearly between its four neighbours, or
    the largest of all the weighted neighbours ("max", as ONNX Runtime has it). `half_pixel`: the middle of a point is at its
    number and a half; without it a region is a point wide at least.

    >>> from halo import nn
    >>> x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> nn.roi_align(x, np.array([[0, 0, 4, 4]], np.float32), np.array([0]), size=(2, 2))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]], dtype=float32)
    """
    takes("roi_align", "float", x, rois)
    takes("roi_align", "int", batch)
    if mode not in ("avg", "max"):
        raise ArgumentError(f"roi_align has no mode {mode!r}", loc=here(), legal=("avg", "max"))
    if (
        x.ndim != 4
        or rois.ndim != 2
        or rois.shape[1] != 4
        or batch.shape != rois.shape[:1]
        or rois.dtype is not x.dtype
    ):
        raise ArgumentError(f"{rois} of {batch} are no regions of {x}", loc=here(), hint="rois [R, 4], batch [R]")
    if 0 in x.shape[:1] + x.shape[2:] or len(size) != 2 or min(*size, samples) < 1 or samples > MOST:
        raise ArgumentError(f"roi_align makes no {size} of {samples} samples from {x}", loc=here(),
                            hint=f"samples from 1 to {MOST}")  # fmt: skip
    return TensorType((rois.shape[0], x.shape[1], *size), x.dtype)


@roi_align.strategy("direct")
def _(x: Tensor, rois: Tensor, batch: Tensor, *, size: Any, samples: int, scale: float, mode: str,
      half_pixel: bool) -> Tensor:  # fmt: skip
    t = x.dtype
    pictures, _, *spatial = (extent(x, d) for d in range(4))
    f, (n, c, *at) = Func("roi_align"), indices(4)
    r: RDom = halo.rdom(samples, samples, names=["a", "b"])
    near = []
    for d, k in enumerate(r):
        lo, hi = (rois.func[n, 1 - d + e] * t(scale) - t(0.5 * half_pixel) for e in (0, 2))
        side = hi - lo if half_pixel else halo.max(hi - lo, t(1))
        v = lo + (at[d].astype(t) + (k.astype(t) + t(0.5)) / t(samples)) * side / t(size[d])
        last = spatial[d] - 1
        held = halo.all(v >= t(-1), v <= t(spatial[d]))
        v = halo.clamp(halo.select(held, v, t(0)), t(0), t(last))
        low = halo.clamp(halo.i32(halo.floor(v)), 0, last)
        part = v - low.astype(t)
        weights = (halo.select(held, w, t(0)) for w in (t(1) - part, part))
        near.append(list(zip((low, halo.min(low + 1, last)), weights, strict=True)))
    picture = halo.clamp(halo.i32(batch.func[n]), 0, pictures - 1)
    values = [x.func[picture, c, p, q] * (w * u) for (p, w), (q, u) in itertools.product(*near)]
    if mode == "avg":
        f[(n, c, *at)] = halo.sum(values[0] + values[1] + values[2] + values[3], r) / t(samples * samples)
    else:
        f[(n, c, *at)] = halo.max(halo.max(halo.max(values[0], values[1]), halo.max(values[2], values[3])), r)
    return Tensor(f, (rois.shape[0], x.shape[1], *size), t)
