"""Pooling: the largest or the mean value of a window that slides over the spatial axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .layouts import Layout
from .op import Kind, Types, op
from .schedule import bound
from .shapes import Window
from .tensor import Tensor, TensorType

__all__ = ["average_pool", "global_average_pool", "max_pool"]


def _spatial(x: TensorType | Tensor, layout: str) -> tuple[Any, ...]:
    if len(Layout(layout).axes) != x.ndim or x.ndim < 4:
        raise ArgumentError(f"a pool over {layout} does not take {x.ndim} axes", loc=here())
    return tuple(x.shape[2:4])


def _pooled(x: TensorType, w: Window, layout: str, ceil: bool) -> TensorType:
    n, c, *_ = x.shape
    return TensorType((n, c, *w.extents(_spatial(x, layout), ceil), *x.shape[4:]), x.dtype)


def _taps(x: Tensor, w: Window, value: float, shape: Any, name: str, fold: Any, divide: Any = None) -> Tensor:
    """`fold` of what the window has at each place, `value` outside; divided by `divide(y, x)`, if there is one."""
    f = Func(name)
    i = tuple(halo.vars("n co y x c" if x.ndim == 5 else "n co y x"))
    n, c, y, column, *inner = i
    bounds: list[Any] = [None, None, (0, x.shape[2]), (0, x.shape[3]), *(None for _ in inner)]
    # a window may reach beyond the padding where the last one is rounded up, so the view is used then too
    view = halo.pad(x.func, "constant", value, bounds=bounds)
    (top, left), (sy, sx), (dy, dx) = w.before, w.strides, w.dilation
    total = None
    for ky in range(w.kernel[0]):
        for kx in range(w.kernel[1]):
            tap = view[(n, c, y * sy + ky * dy - top, column * sx + kx * dx - left, *inner)]
            total = tap if total is None else fold(total, tap)
    f[i] = total if divide is None else total / divide(y, column)
    return Tensor(f, shape, x.dtype)


def _schedule_pool(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    f = out.func
    bound(f, out)
    n, c, *_, last = f.definitions.vars
    lanes = target.natural_lanes(out.dtype)
    if isinstance(out.shape[-1], int) and out.shape[-1] >= lanes:
        f.vectorize(last, lanes)
    f.fuse(n, c, "tasks").parallel("tasks")


def _reference_pool(fold: Any, empty: float) -> Any:
    def reference(x: Any, *, kernel: Any, strides: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False,
                  layout: str = "NCHW", count_include_pad: bool = False) -> Any:  # fmt: skip
        w = Window.of(kernel, kernel if strides is None else strides, padding, dilation)
        rows, columns = w.extents(x.shape[2:4], ceil)
        (top, left), (sy, sx), (dy, dx) = w.before, w.strides, w.dilation
        out = np.empty((*x.shape[:2], rows, columns), x.dtype)
        for y in range(rows):
            for v in range(columns):
                ys = [k for k in range(y * sy - top, y * sy - top + w.reach(0), dy) if 0 <= k < x.shape[2]]
                vs = [k for k in range(v * sx - left, v * sx - left + w.reach(1), dx) if 0 <= k < x.shape[3]]
                taps = x[:, :, ys][:, :, :, vs].reshape(*x.shape[:2], -1)
                out[:, :, y, v] = fold(taps) if taps.size else empty
                if count_include_pad and taps.size:  # the zeros around count, as far as the padding goes
                    rows_in, columns_in = (
                        sum(
                            -w.padding[d] <= p < x.shape[2 + d] + w.padding[2 + d]
                            for p in range(start, start + w.reach(d), step)
                        )
                        for d, start, step in ((0, y * sy - top, dy), (1, v * sx - left, dx))
                    )
                    out[:, :, y, v] = taps.sum(axis=-1) / (rows_in * columns_in)
        return out

    return reference


@op(Kind.ANCHOR, reference=_reference_pool(lambda taps: taps.max(axis=-1), -np.inf), follows=True)
def max_pool(x: TensorType, *, kernel: Any, strides: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False,
             layout: str = "NCHW") -> TensorType:  # fmt: skip
    """The largest value of each window: ONNX MaxPool, TOPI pool2d. `x`: [N, C, H, W], or blocked.

    `strides` are the kernel's, if left out; `padding` as of `conv2d`, of what is smaller than everything; `ceil`: a window
    that starts inside counts though it ends outside. Raises ArgumentError where the window is larger than the axis.

    >>> from halo import nn
    >>> nn.max_pool(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4), kernel=2)[0, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    w = Window.of(kernel, kernel if strides is None else strides, padding, dilation)
    return _pooled(x, w, layout, ceil)


@max_pool.strategy("direct", schedule=_schedule_pool)
def _(x: Tensor, *, kernel: Any, strides: Any, padding: Any, dilation: Any, ceil: bool, layout: str) -> Tensor:
    w = Window.of(kernel, kernel if strides is None else strides, padding, dilation)
    least = -math.inf if x.dtype.is_float else int(np.iinfo(x.dtype.dtype).min)
    return _taps(x, w, least, _pooled(x.type, w, layout, ceil).shape, "max_pool", halo.max)


@op(Kind.ANCHOR, reference=_reference_pool(lambda taps: taps.mean(axis=-1), 0), follows=True)
def average_pool(x: TensorType, *, kernel: Any, strides: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False,
                 count_include_pad: bool = False, layout: str = "NCHW") -> TensorType:  # fmt: skip
    """The mean of each window: ONNX AveragePool, TOPI pool2d. `x`: [N, C, H, W], or blocked.

    It is that of the entries inside the array; with `count_include_pad`, that of those in the padding (zeros) too.

    >>> from halo import nn
    >>> nn.average_pool(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4), kernel=2)[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    w = Window.of(kernel, kernel if strides is None else strides, padding, dilation)
    return _pooled(x, w, layout, ceil)


@average_pool.strategy("direct", schedule=_schedule_pool)
def _(x: Tensor, *, kernel: Any, strides: Any, padding: Any, dilation: Any, ceil: bool, count_include_pad: bool,
      layout: str) -> Tensor:  # fmt: skip
    w = Window.of(kernel, kernel if strides is None else strides, padding, dilation)

    def inside(i: Any, d: int) -> Any:
        """How many taps of the window at `i` count along axis `d`."""
        start, extent = i * w.strides[d] - w.before[d], x.shape[2 + d]
        low, high = (-w.before[d], extent + w.padding[2 + d]) if count_include_pad else (0, extent)
        places = (start + k * w.dilation[d] for k in range(w.kernel[d]))
        return sum((halo.select((p >= low) & (p < high), 1, 0) for p in places), start=0)

    def count(y: Any, column: Any) -> Any:
        return (inside(y, 0) * inside(column, 1)).astype(x.dtype)

    shape = _pooled(x.type, w, layout, ceil).shape
    rounds_up = shape != _pooled(x.type, w, layout, False).shape
    if not rounds_up and (count_include_pad or not w.padded):
        taps = float(math.prod(w.kernel))
        return _taps(x, w, 0, shape, "average_pool", lambda a, b: a + b, lambda y, c: taps)
    return _taps(x, w, 0, shape, "average_pool", lambda a, b: a + b, count)


@op(Kind.ANCHOR, reference=lambda x, *, layout="NCHW": x.mean(axis=(2, 3), keepdims=True), follows=True)
def global_average_pool(x: TensorType, *, layout: str = "NCHW") -> TensorType:
    """The mean over all of H and W: ONNX GlobalAveragePool. `x`: [N, C, H, W], or blocked, to [N, C, 1, 1].

    >>> from halo import nn
    >>> nn.global_average_pool(np.ones((1, 2, 3, 3), np.float32)).shape
    (1, 2, 1, 1)
    """
    _spatial(x, layout)
    return TensorType((*x.shape[:2], 1, 1, *x.shape[4:]), x.dtype)


def _schedule_global(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    f = out.func
    bound(f, out)
    sums = f["sums"]
    n, c, *_, last = f.definitions.vars
    f.fuse(n, c, "tasks")
    if out.ndim == 5:
        f.vectorize(last, target.natural_lanes(out.dtype))
        sums.compute_at(f, "tasks").vectorize(sums.definitions.vars[-1])
        sums.update(0).reorder("y", "x", *sums.definitions.vars).vectorize(sums.definitions.vars[-1])


@global_average_pool.strategy("direct", schedule=_schedule_global)
def _(x: Tensor, *, layout: str) -> Tensor:
    h, w = _spatial(x, layout)
    sums, f = Func("sums"), Func("global_average_pool")
    r: RDom = halo.rdom(h, w, names="y x")
    n, c, *inner = halo.vars("n co c" if x.ndim == 5 else "n co")
    sums[(n, c, *inner)] = 0.0
    sums[(n, c, *inner)] += x.func[(n, c, r.y, r.x, *inner)]
    n, c, y, column, *inner = halo.vars("n co y x c" if x.ndim == 5 else "n co y x")
    f[(n, c, y, column, *inner)] = sums[(n, c, *inner)] / x.dtype(h * w)
    return Tensor(f, (*x.shape[:2], 1, 1, *x.shape[4:]), x.dtype)
