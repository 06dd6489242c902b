"""Sampling between the points of a grid, and spreading windows over one."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here

from .lines import extent
from .op import Kind, op
from .shapes import Window, assume, equal, indices, takes
from .tensor import Tensor, TensorType

__all__ = ["affine_grid", "col2im", "grid_sample"]

PADDING = {"zeros": "constant", "border": "edge"}


def _weights(mode: str, t: Any) -> list[Any]:
    """What the neighbours count, `t` behind the one below: -1, 0, 1, 2 of "cubic" (Keys 1981), 0, 1 of "linear"."""
    if mode == "linear":
        return [1 - t, t]
    a = -0.75

    def far(v: Any) -> Any:
        return ((a * v - 5 * a) * v + 8 * a) * v - 4 * a

    def near(v: Any) -> Any:
        return ((a + 2) * v - (a + 3)) * v * v + 1

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _located(v: Any, n: Any, align: bool) -> Any:
    """The place on an axis of `n` of a coordinate from -1 to 1."""
    return (v + 1) * ((n - 1) / 2) if align else ((v + 1) * n - 1) / 2


def _outside(p: int, n: int, padding: str, align: bool) -> int | None:
    """The index that stands for `p`; None for a zero."""
    if 0 <= p < n:
        return p
    if padding == "zeros":
        return None
    if padding == "border" or n == 1:
        return min(max(p, 0), n - 1)
    period = 2 * (n - 1) if align else 2 * n
    p %= period
    return p if p < n else period - p - (0 if align else 1)


def _grid_sample(
    x: Any, grid: Any, *, mode: str = "linear", padding: str = "zeros", align_corners: bool = False
) -> Any:
    spatial = x.shape[2:]
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for b, *at in np.ndindex(*grid.shape[:-1]):
        near = []
        for d, n in enumerate(spatial):
            v = float(_located(np.float64(grid[(b, *at, len(spatial) - 1 - d)]), n, align_corners))
            if mode == "nearest":
                near.append([(round(v), 1.0)])
            else:
                low = math.floor(v) - (mode == "cubic")
                near.append([(low + k, w) for k, w in enumerate(_weights(mode, v - math.floor(v)))])
        for taps in itertools.product(*near):
            places = [_outside(p, n, padding, align_corners) for (p, _), n in zip(taps, spatial, strict=True)]
            if None not in places:
                out[(b, slice(None), *at)] += math.prod(w for _, w in taps) * x[(b, slice(None), *places)]
    return out.astype(x.dtype)


@op(Kind.OPAQUE, reference=_grid_sample)
def grid_sample(x: TensorType, grid: TensorType, *, mode: str = "linear", padding: str = "zeros",
                align_corners: bool = False) -> TensorType:  # fmt: skip
    """x at the points of a grid: ONNX GridSample, TOPI grid_sample. `x`: [N, C, spatial...]; `grid`: [N, shape..., D], D
    coordinates from -1 to 1, that of the last axis first. The result: [N, C, shape...].

    `mode`: "nearest", "linear" or "cubic". `padding`: what is outside, "zeros", "border" or "reflection". `align_corners`: -1
    and 1 are the middles of the outermost points, else their outer edges.

    >>> from halo import nn
    >>> x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    >>> nn.grid_sample(x, np.zeros((1, 1, 1, 2), np.float32))
    array([[[[1.5]]]], dtype=float32)
    """
    takes("grid_sample", "float", grid)
    if mode not in ("nearest", "linear", "cubic"):
        raise ArgumentError(f"grid_sample has no mode {mode!r}", loc=here(), legal=("nearest", "linear", "cubic"))
    if padding not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            f"grid_sample has no padding {padding!r}", loc=here(), legal=("zeros", "border", "reflection")
        )
    if (
        x.ndim < 3
        or grid.ndim != x.ndim
        or grid.shape[-1] != x.ndim - 2
        or not equal(grid.shape[0], x.shape[0])
        or 0 in x.shape[2:]
    ):
        raise ArgumentError(f"points {grid} are none of {x}", loc=here(), hint=f"a grid [N, ..., {x.ndim - 2}]")
    for n in x.shape[2:]:
        if not isinstance(n, int):
            assume(">=", n, 1)
    return TensorType((*x.shape[:2], *grid.shape[1:-1]), x.dtype)


@grid_sample.strategy("direct")
def _(x: Tensor, grid: Tensor, *, mode: str, padding: str, align_corners: bool) -> Tensor:
    spatial = tuple(extent(x, d) for d in range(2, x.ndim))
    how = PADDING.get(padding, "reflect" if align_corners else "symmetric")
    view = halo.pad(x.func, how, 0, bounds=[None, None, *((0, n) for n in spatial)])
    f, i = Func("grid_sample"), indices(x.ndim)
    b, c, *at = i
    near = []
    for d, n in enumerate(spatial):
        wide = n if isinstance(n, int) else n.astype(grid.dtype)
        v = _located(grid.func[(b, *at, len(spatial) - 1 - d)], wide, align_corners)
        v = halo.clamp(halo.select(halo.isnan(v), 0, v), -(2.0**24), 2.0**24)  # where floats are still integers
        if mode == "nearest":
            near.append([(halo.i32(halo.round(v)), None)])
            continue
        low = halo.floor(v)
        weights = _weights(mode, v - low)
        near.append([(halo.i32(low) + k - (mode == "cubic"), w) for k, w in enumerate(weights)])
    parts = []
    for taps in itertools.product(*near):
        value = view[(b, c, *(p for p, _ in taps))]
        weights = [w for _, w in taps if w is not None]
        parts.append(functools.reduce(lambda p, w: p * w, weights, value.astype(grid.dtype) if weights else value))
    f[i] = functools.reduce(lambda p, q: p + q, parts).astype(x.dtype)
    return Tensor(f, (*x.shape[:2], *grid.shape[1:-1]), x.dtype)


def _along(i: Any, n: int, align: bool) -> Any:
    """The coordinate from -1 to 1 of entry `i` of `n`."""
    if align:
        return -1 + i * (2 / (n - 1)) if n > 1 else -1 + i * 0.0
    return (2 * i + 1) / n - 1


def _affine_grid(theta: Any, *, size: Any, align_corners: bool = False) -> Any:
    axes = [np.array([_along(np.float64(i), n, align_corners) for i in range(n)]) for n in size]
    points = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(size)], axis=-1)
    flat = points.reshape(-1, len(size) + 1) @ theta.astype(np.float64).transpose(0, 2, 1)
    return flat.reshape(len(theta), *size, len(size)).astype(theta.dtype)


@op(Kind.OPAQUE, reference=_affine_grid)
def affine_grid(theta: TensorType, *, size: tuple[int, ...], align_corners: bool = False) -> TensorType:
    """The points that the affine maps `theta`, [N, D, D + 1], move those of a grid of `size` to, for `grid_sample`: ONNX
    AffineGrid, TOPI affine_grid. The result: [N, size..., D].

    >>> from halo import nn
    >>> nn.affine_grid(np.array([[[2, 0.5]]], np.float32), size=(2,), align_corners=True)
    array([[[-1.5],
            [ 2.5]]], dtype=float32)
    """
    takes("affine_grid", "float", theta)
    if theta.ndim != 3 or theta.shape[1:] != (len(size), len(size) + 1):
        raise ArgumentError(f"{theta} are no maps of {len(size)} axes", loc=here())
    return TensorType((theta.shape[0], *size, len(size)), theta.dtype)


@affine_grid.strategy("direct")
def _(theta: Tensor, *, size: tuple[int, ...], align_corners: bool) -> Tensor:
    n = len(size)
    f, (b, *at, k) = Func("affine_grid"), indices(n + 2)
    total = theta.func[b, k, n]
    for d in range(n):
        total = total + theta.func[b, k, n - 1 - d] * _along(at[d].astype(theta.dtype), size[d], align_corners)
    f[(b, *at, k)] = total
    return Tensor(f, (theta.shape[0], *size, n), theta.dtype)


def _col2im(x: Any, *, size: Any, kernel: Any, strides: Any = 1, padding: Any = 0, dilation: Any = 1) -> Any:
    n = len(size)
    w = Window.of(kernel, strides, padding, dilation, n)
    blocks = w.extents(size)
    columns = x.reshape(x.shape[0], -1, *w.kernel, *blocks)
    out = np.zeros((x.shape[0], columns.shape[1], *size), x.dtype)
    for tap in np.ndindex(*w.kernel):
        for block in np.ndindex(*blocks):
            at = tuple(
                b * w.strides[d] + t * w.dilation[d] - w.before[d]
                for d, (b, t) in enumerate(zip(block, tap, strict=True))
            )
            if all(0 <= p < m for p, m in zip(at, size, strict=True)):
                out[(slice(None), slice(None), *at)] += columns[(slice(None), slice(None), *tap, *block)]
    return out


@op(Kind.OPAQUE, reference=_col2im)
def col2im(x: TensorType, *, size: tuple[int, ...], kernel: tuple[int, ...], strides: Any = 1, padding: Any = 0,
           dilation: Any = 1) -> TensorType:  # fmt: skip
    """Windows put back where they come from, and added up where they overlap: ONNX Col2Im. `x`: [N, C * taps, windows], to
    [N, C, size...]. Attributes as of `conv2d`.

    >>> from halo import nn
    >>> nn.col2im(np.ones((1, 2, 3), np.float32), size=(4,), kernel=(2,))
    array([[[1., 2., 2., 1.]]], dtype=float32)
    """
    takes("col2im", "number", x)
    w = Window.of(tuple(kernel), strides, padding, dilation, len(size))
    windows, taps = math.prod(w.extents(size)), math.prod(w.kernel)
    if x.ndim != 3 or x.shape[1] % taps or x.shape[2] != windows:
        raise ArgumentError(f"{x} are not {windows} windows of {taps} taps", loc=here())
    return TensorType((x.shape[0], x.shape[1] // taps, *size), x.dtype)


@col2im.strategy("direct")
def _(x: Tensor, *, size: Any, kernel: Any, strides: Any, padding: Any, dilation: Any) -> Tensor:
    n = len(size)
    w = Window.of(tuple(kernel), strides, padding, dilation, n)
    blocks, taps = w.extents(size), math.prod(w.kernel)
    f, (b, c, *at) = Func("col2im"), indices(n + 2)
    r: RDom = halo.rdom(*w.kernel, names=[f"k{d}" for d in range(n)])
    tap: Any = 0
    block: Any = 0
    inside = []
    for d, k in enumerate(r):
        place = at[d] + w.before[d] - k * w.dilation[d]
        inside += [place >= 0, place % w.strides[d] == 0, place // w.strides[d] < blocks[d]]
        tap = tap * w.kernel[d] + k
        block = block * blocks[d] + halo.clamp(place // w.strides[d], 0, blocks[d] - 1)
    f[(b, c, *at)] = halo.sum(halo.select(halo.all(*inside), x.func[b, c * taps + tap, block], x.dtype(0)), r)
    return Tensor(f, (x.shape[0], x.shape[1] // taps, *size), x.dtype)
