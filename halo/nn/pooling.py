"""Pooling: the largest or the mean value of a window that slides over the spatial axes."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import halo
from halo import Func, Input, RDom
from halo.errors import ArgumentError, here
from halo.jit.results import LARGE
from halo.jit.target import Target
from halo.types import i64

from .layouts import Layout
from .lines import accumulator, along, extent, schedule_along
from .op import Kind, Types, op
from .schedule import bound, inline_rest, padded_stage
from .shapes import Window, takes
from .tensor import Tensor, TensorType

__all__ = ["average_pool", "global_average_pool", "lp_pool", "max_pool", "max_pool_indices"]


WIDE = 64  # entries of rows of which it pays to find the columns of windows first
ROWS = 2  # of windows, that are asked for before they are reached
WRITTEN_OUT = 128  # taps of a window: more are a loop


def _axes(x: TensorType | Tensor, layout: str) -> tuple[int, ...]:
    """The spatial axes: those but N and C, and its blocks."""
    of = Layout(layout)
    if len(of.axes) != x.ndim or not {"N", "C"} < {*of.letters}:
        raise ArgumentError(f"a pool over {layout} does not take {x.ndim} axes", loc=here())
    return tuple(d for d, (letter, _) in enumerate(of.axes) if letter not in "NC")


def _spatial(x: TensorType | Tensor, layout: str) -> tuple[Any, ...]:
    """Their extents."""
    return tuple(x.shape[d] for d in _axes(x, layout))


def _window(x: TensorType | Tensor, layout: str, kernel: Any, strides: Any, padding: Any, dilation: Any = 1) -> Window:
    return Window.of(kernel, kernel if strides is None else strides, padding, dilation, len(_axes(x, layout)))


def _pooled(x: TensorType, w: Window, layout: str, ceil: bool) -> TensorType:
    of = dict(zip(_axes(x, layout), w.extents(_spatial(x, layout), ceil), strict=True))
    return TensorType(tuple(of.get(d, n) for d, n in enumerate(x.shape)), x.dtype)


def _variables(layout: str) -> tuple[Any, ...]:
    """The indices: n, channel (or its block), the spatial ones, and that inside of a block."""
    of = Layout(layout)
    names = {"N": "n", "C": "co", "D": "z", "H": "y", "W": "x"}
    return tuple(halo.vars(" ".join("c" if block else names.get(a, a.lower()) for a, block in of.axes)))


def _places(x: Tensor, w: Window, value: Any, i: tuple[Any, ...], layout: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """What each tap of the window at `i` has, `value` outside of the array, and its place along the spatial axes."""
    axes = _axes(x, layout)
    bounds = [(0, x.shape[d]) if d in axes else None for d in range(x.ndim)]
    # a window may reach beyond the padding where the last one is rounded up, so the view is used then too
    view = halo.pad(x.func, "constant", value, bounds=bounds)
    for tap in itertools.product(*map(range, w.kernel)):
        at = tuple(
            i[d] * s + k * apart - b
            for d, k, s, apart, b in zip(axes, tap, w.strides, w.dilation, w.before, strict=True)
        )
        of = dict(zip(axes, at, strict=True))
        yield view[tuple(of.get(d, v) for d, v in enumerate(i))], at


def _taps(x: Tensor, w: Window, value: float, shape: Any, name: str, fold: Any, layout: str, end: Any = None) -> Tensor:
    """`fold` of what the window has at each place, `value` outside; `end(total, i)` of that, if there is one."""
    f, i, wide = Func(name), _variables(layout), accumulator(x)
    if _shares_columns(x, w, layout):
        total = _of_columns(x, w, value, i, fold, layout)
    elif math.prod(w.kernel) <= WRITTEN_OUT:
        total = functools.reduce(fold, (tap.astype(wide) for tap, _ in _places(x, w, value, i, layout)))
    else:
        folded, axes = Func("folded"), _axes(x, layout)
        r: RDom = halo.rdom(*w.kernel, names=[f"k{d}" for d in range(len(w.kernel))])
        padded = padded_stage(x, w, x.dtype(value), axes)
        of = {d: i[d] * s + k * apart for d, k, s, apart in zip(axes, r, w.strides, w.dilation, strict=True)}
        tap = padded[tuple(of.get(d, v) for d, v in enumerate(i))].astype(wide)
        folded[i] = halo.max(tap, r) if fold is halo.max else halo.sum(tap, r)
        total = folded[i]
    f[i] = (total if end is None else end(total, i)).astype(x.dtype)
    return Tensor(f, shape, x.dtype)


def _shares_columns(x: Tensor, w: Window, layout: str) -> bool:
    """Whether neighbouring windows of vectors of a picture have columns in common."""
    n = x.shape[-1]
    return (
        _axes(x, layout) == (x.ndim - 2, x.ndim - 1)
        and isinstance(n, int)
        and n >= WIDE
        and min(w.kernel) > 1
        and w.kernel[1] > w.strides[1]
        and math.prod(w.kernel) <= WRITTEN_OUT
    )


def _of_columns(x: Tensor, w: Window, value: Any, i: tuple[Any, ...], fold: Any, layout: str) -> Any:
    """`fold` of a window along the last two axes: of its columns, which the neighbouring windows share."""
    columns, (*rest, y, last) = Func("columns"), i
    (high, across), (down, step) = w.kernel, w.strides
    tall = Window((high, 1), (down, 1), (w.before[0], 0, 0, 0), (w.dilation[0], 1))
    taps = (tap.astype(accumulator(x)) for tap, _ in _places(x, tall, value, i, layout))
    columns[i] = functools.reduce(fold, taps)
    return functools.reduce(
        fold,
        (columns[(*rest, y, last * step + k * w.dilation[1] - w.before[1])] for k in range(across)),
    )


def _apart(attrs: Mapping[str, Any]) -> bool:
    """Whether no two windows have an entry in common."""
    strides = attrs["kernel"] if attrs["strides"] is None else attrs["strides"]
    n = next((len(v) for v in (attrs["kernel"], strides) if isinstance(v, (tuple, list))), 1)
    w = Window.of(attrs["kernel"], strides, 0, attrs["dilation"], n)
    reach = ((k - 1) * apart + 1 for k, apart in zip(w.kernel, w.dilation, strict=True))
    return all(s >= k for s, k in zip(w.strides, reach, strict=True))


def _schedule_pool(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    f = out.func
    bound(f, out)
    stages = {g.name: g for g in f.program().graph.functions if g.name in ("padded", "folded", "columns")}
    inline_rest(f, *stages.values())
    n, tasks, *_, last = f.definitions.vars
    lanes = target.natural_lanes(out.dtype)
    if "columns" in stages:
        rows = f.definitions.vars[-2]
        stages["columns"].compute_at(f, rows).vectorize(last, lanes)
        for x in _from_memory(stages["columns"], types[0]):
            f.prefetch(x, rows, ROWS, strategy="non_faulting")
    if isinstance(out.shape[-1], int) and out.shape[-1] >= lanes:
        f.vectorize(last, lanes)
    f.fuse(n, tasks, "tasks").parallel("tasks")


def _from_memory(f: Func, t: TensorType | None) -> Iterator[Input]:
    """The arrays of the type `t` that `f` reads, if they are larger than the caches."""
    from halo.frontend.graph import Graph

    if t is not None and isinstance(t.bytes, int) and t.bytes >= LARGE:
        yield from (x for x in Graph((f,)).uses(f).inputs if isinstance(x, Input) and x.extents == t.shape)


def _channels_second(reference: Any) -> Any:
    """`reference`, of [N, C, ...], for any plain layout."""

    def moved(x: Any, *, layout: str = "NCHW", **attrs: Any) -> Any:
        order = sorted(range(x.ndim), key=lambda d: ("NC".find(layout[d]) % 3, d))
        made = reference(x.transpose(order), **attrs)
        return np.ascontiguousarray(made.transpose(np.argsort(order)))

    return moved


def _reference_pool(fold: Any, empty: float) -> Any:
    def reference(x: Any, *, kernel: Any, strides: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False,
                  count_include_pad: bool = False, **more: Any) -> Any:  # fmt: skip
        w = Window.of(kernel, kernel if strides is None else strides, padding, dilation, x.ndim - 2)
        extents = x.shape[2:]
        shape = w.extents(extents, ceil)
        out = np.empty((*x.shape[:2], *shape), x.dtype)
        for at in np.ndindex(*shape):
            places = [
                [i * w.strides[d] - w.before[d] + k * w.dilation[d] for k in range(w.kernel[d])]
                for d, i in enumerate(at)
            ]
            inside = [[p for p in ps if 0 <= p < n] for ps, n in zip(places, extents, strict=True)]
            taps = x[np.ix_(*map(range, x.shape[:2]), *inside)].reshape(*x.shape[:2], -1)
            out[(..., *at)] = fold(taps, **more) if taps.size else empty
            if count_include_pad and taps.size:  # the zeros around count, as far as the padding goes
                counted = [
                    sum(-w.padding[d] <= p < n + w.padding[len(at) + d] for p in places[d])
                    for d, n in enumerate(extents)
                ]
                out[(..., *at)] = taps.sum(axis=-1) / math.prod(counted)
        return out

    return _channels_second(reference)


@op(Kind.ANCHOR, reference=_reference_pool(lambda taps: taps.max(axis=-1), -np.inf), follows=True,
    once=_apart)  # fmt: skip
def max_pool(x: TensorType, *, kernel: Any, strides: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False,
             layout: str = "NCHW") -> TensorType:  # fmt: skip
    """The largest value of each window: ONNX MaxPool, TOPI pool1d to pool3d. `x`: [N, C, H, W], or as `layout` says ("NCW",
    "NDHWC"), or blocked.

    `strides` are the kernel's, if left out; `padding` as of `conv2d`, of what is smaller than everything; `ceil`: a window
    that starts inside counts though it ends outside. Raises ArgumentError where the window is larger than the axis.

    >>> from halo import nn
    >>> nn.max_pool(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4), kernel=2)[0, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    w = _window(x, layout, kernel, strides, padding, dilation)
    return _pooled(x, w, layout, ceil)


@max_pool.strategy("direct", schedule=_schedule_pool)
def _(x: Tensor, *, kernel: Any, strides: Any, padding: Any, dilation: Any, ceil: bool, layout: str) -> Tensor:
    w = _window(x, layout, kernel, strides, padding, dilation)
    least = -math.inf if x.dtype.is_float else int(np.iinfo(x.dtype.dtype).min)
    return _taps(x, w, least, _pooled(x.type, w, layout, ceil).shape, "max_pool", halo.max, layout)


@op(Kind.ANCHOR, reference=_reference_pool(lambda taps: taps.mean(axis=-1), 0), follows=True,
    once=_apart)  # fmt: skip
def average_pool(x: TensorType, *, kernel: Any, strides: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False,
                 count_include_pad: bool = False, layout: str = "NCHW") -> TensorType:  # fmt: skip
    """The mean of each window: ONNX AveragePool, TOPI pool1d to pool3d. `x`: as of `max_pool`.

    It is that of the entries inside the array; with `count_include_pad`, that of those in the padding (zeros) too.

    >>> from halo import nn
    >>> nn.average_pool(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4), kernel=2)[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    w = _window(x, layout, kernel, strides, padding, dilation)
    return _pooled(x, w, layout, ceil)


@average_pool.strategy("direct", schedule=_schedule_pool)
def _(x: Tensor, *, kernel: Any, strides: Any, padding: Any, dilation: Any, ceil: bool, count_include_pad: bool,
      layout: str) -> Tensor:  # fmt: skip
    w = _window(x, layout, kernel, strides, padding, dilation)

    axes = _axes(x, layout)

    def inside(i: Any, d: int) -> Any:
        """How many taps of the window at `i` count along spatial axis `d`."""
        start, extent = i * w.strides[d] - w.before[d], x.shape[axes[d]]
        low, high = (-w.before[d], extent + w.padding[len(axes) + d]) if count_include_pad else (0, extent)
        places = (start + k * w.dilation[d] for k in range(w.kernel[d]))
        return sum((halo.select((p >= low) & (p < high), 1, 0) for p in places), start=0)

    def mean(total: Any, i: Any) -> Any:
        first, *rest = (inside(i[a], d) for d, a in enumerate(axes))
        return total / math.prod(rest, start=first).astype(accumulator(x))

    shape = _pooled(x.type, w, layout, ceil).shape
    rounds_up = shape != _pooled(x.type, w, layout, False).shape
    if not rounds_up and (count_include_pad or not w.padded):
        taps = float(math.prod(w.kernel))
        return _taps(x, w, 0, shape, "average_pool", lambda a, b: a + b, layout, lambda total, i: total / taps)
    return _taps(x, w, 0, shape, "average_pool", lambda a, b: a + b, layout, mean)


def _reference_indices(x: Any, *, column_major: bool = False, **attrs: Any) -> Any:
    spatial = x.shape[2:]
    order = np.arange(math.prod(spatial)).reshape(spatial[::-1] if column_major else spatial)
    within = order.transpose() if column_major else order
    flat = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * len(spatial)) * math.prod(spatial) + within
    w = Window.of(
        attrs["kernel"],
        attrs.get("strides") or attrs["kernel"],
        attrs.get("padding", 0),
        attrs.get("dilation", 1),
        len(spatial),
    )
    shape = w.extents(spatial, attrs.get("ceil", False))
    out = np.zeros((*x.shape[:2], *shape), np.int64)
    for at in np.ndindex(*shape):
        inside = [
            [p for k in range(w.kernel[d]) if 0 <= (p := i * w.strides[d] - w.before[d] + k * w.dilation[d]) < n]
            for (d, i), n in zip(enumerate(at), spatial, strict=True)
        ]
        where = np.ix_(*map(range, x.shape[:2]), *inside)
        best = x[where].reshape(*x.shape[:2], -1).argmax(axis=-1)[..., None]
        out[(..., *at)] = np.take_along_axis(flat[where].reshape(*x.shape[:2], -1), best, -1)[..., 0]
    return out


@op(Kind.OPAQUE, reference=_reference_indices)
def max_pool_indices(x: TensorType, *, kernel: Any, strides: Any = None, padding: Any = 0, dilation: Any = 1,
                     ceil: bool = False, layout: str = "NCHW", column_major: bool = False) -> TensorType:  # fmt: skip
    """Where the values of `max_pool` come from, as indices into the flattened `x`: the Indices of ONNX MaxPool.

    `column_major`: the spatial axes are flattened the first one fastest.

    >>> from halo import nn
    >>> nn.max_pool_indices(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4), kernel=2)[0, 0]
    array([[ 5,  7],
           [13, 15]])
    """
    if len(Layout(layout).letters) != x.ndim or not layout.startswith("NC"):
        raise ArgumentError(f"indices are into a plain layout with the channels second, not {layout}", loc=here())
    w = _window(x, layout, kernel, strides, padding, dilation)
    return TensorType(_pooled(x, w, layout, ceil).shape, i64)


@max_pool_indices.strategy("direct")
def _(x: Tensor, *, kernel: Any, strides: Any, padding: Any, dilation: Any, ceil: bool, layout: str,
      column_major: bool) -> Tensor:  # fmt: skip
    w = _window(x, layout, kernel, strides, padding, dilation)
    f, i, spatial = Func("max_pool_indices"), _variables(layout), _spatial(x, layout)
    least = -math.inf if x.dtype.is_float else int(x.dtype.min)
    start = i[0].astype(i64) * x.shape[1] + i[1]

    def index(at: Any) -> Any:
        pairs = list(zip(at, spatial, strict=True))
        flat: Any = 0
        for p, n in reversed(pairs) if column_major else pairs:
            flat = flat * n + halo.clamp(p, 0, n - 1)
        return flat

    best, where = None, None
    for tap, at in _places(x, w, least, i, layout):
        if best is None:
            best, where = tap, index(at)
        else:
            where = halo.select(tap > best, index(at), where)
            best = halo.max(best, tap)
    f[i] = start * math.prod(spatial) + where
    return Tensor(f, _pooled(x.type, w, layout, ceil).shape, i64)


@op(Kind.ANCHOR, reference=_reference_pool(lambda taps, p=2: (abs(taps) ** p).sum(axis=-1) ** (1 / p), 0), follows=True,
    once=_apart)  # fmt: skip
def lp_pool(x: TensorType, *, kernel: Any, strides: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False,
            p: int = 2, layout: str = "NCHW") -> TensorType:  # fmt: skip
    """The norm of each window, sum(|x|**p)**(1/p): ONNX LpPool. `x`: as of `max_pool`.

    >>> from halo import nn
    >>> nn.lp_pool(np.array([[[3, 4]]], np.float32), kernel=2, layout="NCW")
    array([[[5.]]], dtype=float32)
    """
    takes("lp_pool", "float", x)
    if p < 1:
        raise ArgumentError(f"there is no norm of order {p}", loc=here())
    return _pooled(x, _window(x, layout, kernel, strides, padding, dilation), layout, ceil)


@lp_pool.strategy("direct", schedule=_schedule_pool)
def _(x: Tensor, *, kernel: Any, strides: Any, padding: Any, dilation: Any, ceil: bool, p: int, layout: str) -> Tensor:
    w = _window(x, layout, kernel, strides, padding, dilation)
    f, i, wide = Func("lp_pool"), _variables(layout), accumulator(x)

    def power(v: Any) -> Any:
        return halo.abs(v) if p == 1 else v * v if p == 2 else halo.pow(halo.abs(v), float(p))

    total = functools.reduce(lambda a, b: a + b, (power(tap.astype(wide)) for tap, _ in _places(x, w, 0, i, layout)))
    f[i] = (total if p == 1 else halo.sqrt(total) if p == 2 else halo.pow(total, 1 / p)).astype(x.dtype)
    return Tensor(f, _pooled(x.type, w, layout, ceil).shape, x.dtype)


@op(Kind.ANCHOR, reference=_channels_second(lambda x: x.astype(np.float64).mean(axis=(2, 3), keepdims=True).astype(x.dtype)),
    follows=True, once=lambda attrs: True)  # fmt: skip
def global_average_pool(x: TensorType, *, layout: str = "NCHW") -> TensorType:
    """The mean over all of H and W: ONNX GlobalAveragePool. `x`: [N, C, H, W], or as `layout` says, or blocked, to
    [N, C, 1, 1].

    >>> from halo import nn
    >>> nn.global_average_pool(np.ones((1, 2, 3, 3), np.float32)).shape
    (1, 2, 1, 1)
    """
    takes("global_average_pool", "float", x)
    axes = _axes(x, layout)
    if len(axes) != 2:
        raise ArgumentError(f"the mean over H and W is not of {layout}", loc=here(), hint="nn.mean(x, axes=...)")
    return TensorType(tuple(1 if d in axes else n for d, n in enumerate(x.shape)), x.dtype)


def _channels_inside(layout: str) -> bool:
    letter: str = Layout(layout).axes[-1][0]
    return letter == "C"


def _schedule_global(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """Where channels are innermost, a vector of them at a time; else each picture is a line."""
    f = out.func
    if not _channels_inside(attrs["layout"]):
        schedule_along(out, out.ndim)
        return
    bound(f, out)
    sums, (*outer, last), lanes = f["sums"], f.definitions.vars, target.natural_lanes(out.dtype)
    f.fuse(*outer[:2], "tasks").parallel("tasks").vectorize(last, lanes)
    of = sums.definitions.vars
    sums.compute_at(f, "tasks").vectorize(of[-1], lanes)
    sums.update(0).reorder("y", "x", *of).vectorize(of[-1], lanes)
    inline_rest(f, sums)


@global_average_pool.strategy("direct", schedule=_schedule_global)
def _(x: Tensor, *, layout: str) -> Tensor:
    f, wide, i, axes = Func("global_average_pool"), accumulator(x), _variables(layout), _axes(x, layout)
    ranges = [extent(x, d) for d in axes]
    rest = tuple(v for d, v in enumerate(i) if d not in axes)

    def value(*r: Any) -> Any:
        of = dict(zip(axes, r, strict=True))
        return x.func[tuple(of.get(d, v) for d, v in enumerate(i))].astype(wide)

    if _channels_inside(layout):
        total = Func("sums")
        total[rest] = wide(0)
        total[rest] += value(*halo.rdom(*ranges, names="y x"))
    else:
        total = along("line", rest, wide(0), operator.add, value, ranges, wide)
    f[i] = (total[rest] / wide(math.prod(ranges))).astype(x.dtype)
    return Tensor(f, global_average_pool.infer((x.type,), {"layout": layout}).shape, x.dtype)
