"""Order: sorting, and what builds on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target
from halo.types import f32, i32, i64, u32

from .lines import extent
from .op import Kind, Types, op
from .schedule import bound, in_parallel
from .shapes import assume, axis_of, indices, takes
from .tensor import Tensor, TensorType

__all__ = ["argsort", "sort", "topk"]


def _ordered(x: Any, axis: int, descending: bool) -> Any:
    """Indices in stable order, NaN last."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    n = x.shape[axis]
    turned = np.flip(x, axis)
    order = n - 1 - np.flip(np.argsort(turned, axis=axis, kind="stable"), axis)
    if x.dtype.kind != "f":
        return order
    nans = np.take_along_axis(np.isnan(x), order, axis)
    return np.take_along_axis(order, np.argsort(nans, axis=axis, kind="stable"), axis)


@op(Kind.OPAQUE, reference=lambda x, *, axis=-1, descending=False: _ordered(x, axis, descending).astype(np.int64))
def argsort(x: TensorType, *, axis: int = -1, descending: bool = False) -> TensorType:
    """The indices, as i64, that put x in order along an axis: NumPy argsort, TOPI argsort. Equal values stay in
    their order, and NaN comes last.

    >>> from halo import nn
    >>> nn.argsort(np.array([3, 1, 3, 2]), descending=True)
    array([0, 2, 3, 1])
    """
    takes("argsort", "number", x)
    axis_of("argsort", axis, x.ndim)
    return TensorType(x.shape, i64)


@argsort.strategy("direct")
def _(x: Tensor, *, axis: int, descending: bool) -> Tensor:
    d = axis_of("argsort", axis, x.ndim)
    order = halo.argsort(x.func, d, descending, bounds=(0, extent(x, d)))
    f, i = Func("argsort"), indices(x.ndim)
    f[i] = order[i].astype(i64)
    return Tensor(f, x.shape, i64)


@op(
    Kind.OPAQUE,
    reference=lambda x, *, axis=-1, descending=False: np.take_along_axis(x, _ordered(x, axis, descending), axis),
)
def sort(x: TensorType, *, axis: int = -1, descending: bool = False) -> TensorType:
    """x in order along an axis, NaN last: NumPy sort, TOPI sort.

    >>> from halo import nn
    >>> nn.sort(np.array([3, 1, 2]))
    array([1, 2, 3])
    """
    takes("sort", "number", x)
    axis_of("sort", axis, x.ndim)
    return x


@sort.strategy("direct")
def _(x: Tensor, *, axis: int, descending: bool) -> Tensor:
    d = axis_of("sort", axis, x.ndim)
    values = halo.sort(x.func, d, descending, bounds=(0, extent(x, d)))
    f, i = Func("sort"), indices(x.ndim)
    f[i] = values[i]
    return Tensor(f, x.shape, x.dtype)


def _topk(x: Any, *, k: int, axis: int = -1, largest: bool = True) -> Any:
    return np.take(_ordered(x, axis, largest), np.arange(k), axis).astype(np.int64)


@op(Kind.OPAQUE, reference=_topk)
def topk(x: TensorType, *, k: int, axis: int = -1, largest: bool = True) -> TensorType:
    """The indices, as i64, of the k largest entries along an axis (or the least), the first of `argsort`: TOPI topk, ONNX
    TopK. Of equal ones those that come first; NaN only where there are fewer others.

    >>> from halo import nn
    >>> nn.topk(np.array([3, 1, 3, 4]), k=2)
    array([3, 0])
    """
    takes("topk", "number", x)
    d = axis_of("topk", axis, x.ndim)
    n, known = x.shape[d], [v for v in (x.shape[d], k) if isinstance(v, int)]
    if len(known) < 2:
        assume(">=", n, k)
    if any(v < 0 for v in known) or (len(known) == 2 and k > n):
        raise ArgumentError(f"there are no {k} largest of {x} along axis {axis}", loc=here())
    return TensorType((*x.shape[:d], k, *x.shape[d + 1 :]), i64)


# The few best of a row: sorted in registers, a vector of lanes at a time, as integers that hold a value and its place -------

FEW, NONE, LAST = 32, np.int64(-(1 << 63)), np.int64((1 << 31) - 1)


def _are_few(types: Types, attrs: Any, target: Target) -> bool:
    x, k = types[0], attrs["k"]
    if x is None or x.dtype.bytes > 4 or not isinstance(k, int) or not 0 < k <= FEW:
        return False
    n = x.shape[axis_of("topk", attrs["axis"], x.ndim)]
    return k <= 8 or not isinstance(n, int) or k * k <= 3 * n  # the best of all lanes are found one by one


def _rank(v: Any, place: Any, dtype: Any, largest: bool) -> Any:
    """An i64 that is the larger the better `v` is, of equal ones the earlier. NaN is the least, and the zeros are equal."""
    if not dtype.is_float:
        wide = v.astype(i64) - (np.int64(1 << 31) if dtype is u32 else np.int64(0))
        order = wide if largest else -1 - wide
    else:
        v = v.astype(f32) if largest else -v.astype(f32)
        bits = halo.reinterpret(i32, halo.select(v == 0, f32(0), v))
        falling = bits ^ ((bits >> 31) & LAST.astype(np.int32))  # of negative floats larger bits are smaller values
        order = halo.select(halo.isnan(v), np.int32(-(1 << 31)), falling).astype(i64)
    return (order << 32) | (LAST - place.astype(i64))


def _inserted(best: Any, count: int, v: Any) -> tuple[Any, ...]:
    """The `count` values of `best`, which fall, and `v` in its place among them."""
    return tuple(halo.max(best[c], v if c == 0 else halo.min(best[c - 1], v)) for c in range(count))


def _at(k: Any, values: Sequence[Any]) -> Any:
    """The one of `values` that is number `k`."""
    *first, last = values
    return halo.select(*(part for c, v in enumerate(first) for part in (k == c, v)), last) if first else last


def _schedule_few(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    f, best, lanes = out.func, out.func["best"], target.natural_lanes(i64)
    d = axis_of("topk", attrs["axis"], out.ndim)
    bound(f, out)
    row, (q, *rest) = [*f.definitions.vars[:d]], f.definitions.vars[d:]
    f.unroll(q)
    kept = [best]
    if rest:  # several rows in a vector
        v = rest.pop()
        row += [*rest, "rows"]
        f.split(v, "rows", v, lanes).reorder(*row, q, v).vectorize(v)
        lane = best.definitions.vars[-1]
        best.vectorize(lane, lanes).update(0).reorder("s", lane).vectorize(lane, lanes)
    else:
        kept.append(f["parts"])
        kept[1].vectorize("l").update(0).vectorize("l")
    if not row:
        for g in kept:
            g.compute_root()
        return
    task = in_parallel(f, row)
    for g in kept:
        g.compute_at(f, task)


@topk.strategy("few", when=_are_few, schedule=_schedule_few)
def _(x: Tensor, *, k: int, axis: int, largest: bool) -> Tensor:
    d, count = axis_of("topk", axis, x.ndim), max(k, 2)
    n, best, f, i = extent(x, d), Func("best"), Func("topk"), indices(x.ndim)
    rest = (*i[:d], *i[d + 1 :])
    nothing = (NONE,) * count
    best[rest] = nothing
    if d < x.ndim - 1:
        r: RDom = halo.rdom(n, names="s")
        best[rest] = _inserted(best[rest], count, _rank(x.func[(*i[:d], r.s, *i[d + 1 :])], r.s, x.dtype, largest))
    else:
        lanes, parts, lane = Target.host().natural_lanes(i64), Func("parts"), halo.Var("l")
        view = halo.pad(x.func, "constant", 0, bounds=[None] * d + [(0, n)])
        r = halo.rdom((n + (lanes - 1)) // lanes, names="s")
        s = r.s * lanes + lane
        parts[(*rest, lane)] = nothing
        value = halo.select(s < n, _rank(view[(*rest, s)], s, x.dtype, largest), NONE)
        parts[(*rest, lane)] = _inserted(parts[(*rest, lane)], count, value)
        r = halo.rdom(count, lanes, names="c m")
        found = parts[(*rest, r.m)]
        best[rest] = _inserted(best[rest], count, _at(r.c, [found[c] for c in range(count)]))
    f[i] = LAST - (_at(i[d], [best[rest][c] for c in range(k)]) & LAST)
    return Tensor(f, (*x.shape[:d], k, *x.shape[d + 1 :]), i64)


@topk.strategy("sorted")
def _(x: Tensor, *, k: int, axis: int, largest: bool) -> Tensor:
    d = axis_of("topk", axis, x.ndim)
    order = halo.argsort(x.func, d, largest, bounds=(0, extent(x, d)))
    f, i = Func("topk"), indices(x.ndim)
    f[i] = order[i].astype(i64)
    return Tensor(f, (*x.shape[:d], k, *x.shape[d + 1 :]), i64)
