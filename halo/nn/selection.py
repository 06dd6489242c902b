"""What values select, so that they decide how much there is: of arrays at once, and in programs that name the extents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from halo.errors import ArgumentError, here

from .casting import cast
from .elementwise import subtract
from .indexing import gather_elements, gather_nd, nonzero, scatter_elements, take
from .logic import equal, greater, not_equal
from .reductions import any as any_of
from .reductions import cumsum
from .reductions import max as max_of
from .reductions import sum as sum_of
from .shape import broadcast_to, concatenate, reshape, strided_slice, transpose
from .shapes import axis_of
from .sorting import argsort
from .suppression import overlap_suppression
from .tensor import type_of

__all__ = ["compress", "extents_by", "non_max_suppression", "unique"]

_named: ContextVar[Callable[[Any], Any] | None] = ContextVar("named", default=None)


@contextmanager
def extents_by(named: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, `named` gives the extent that an i64[] of a program is."""
    token = _named.set(named)
    try:
        yield
    finally:
        _named.reset(token)


def extent(count: Any) -> Any:
    """An i64[] as an extent: the integer of an array, or what stands for it in a program that computes it."""
    if isinstance(count, np.ndarray | np.generic):
        return max(int(count), 0)
    named = _named.get()
    if named is None:
        raise ArgumentError(
            "how much values select is known of arrays alone, in @graph.function, and in ONNX models", loc=here()
        )
    return named(count)


def compress(x: Any, condition: Any, *, axis: int | None = None) -> Any:
    """The slices of x along an axis, or its entries, where `condition` holds: NumPy compress, ONNX Compress.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.compress(np.array([5, 6, 7]), np.array([True, False, True]))
    array([5, 7])
    """
    if axis is None:
        x, axis = reshape(x, shape=(-1,)), 0
    at = nonzero(condition, count=extent(sum_of(cast(condition, dtype="i64"))))
    return take(x, reshape(at, shape=(-1,)), axis=axis)


def unique(x: Any, *, axis: int | None = None, ordered: bool = True) -> tuple[Any, ...]:
    """The values of x, or its slices along an axis, that differ, in order or as they appear; where each is first; which of them
    each entry is; and how often each is there: ONNX Unique, NumPy unique.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.unique(np.array([3, 1, 3]))
    (array([1, 3]), array([1, 0]), array([1, 0, 1]), array([1, 2]))
    """
    ndim, shape = type_of(x).ndim, type_of(x).shape
    order_of_axes = () if axis is None else _to_front(ndim, axis)
    front = x if axis is None else transpose(x, axes=order_of_axes)
    total = math.prod(shape) if axis is None else shape[axis]
    columns = 1 if axis is None else math.prod(type_of(front).shape[1:])
    if not isinstance(columns, int):
        raise ArgumentError(
            f"slices of {columns} entries are compared, and that is known when the program runs", loc=here()
        )
    rows = reshape(front, shape=(total, columns))
    order: Any = None
    for column in reversed(range(columns)):  # stable, so the first column decides in the end
        key = reshape(strided_slice(rows, begin=(column,), end=(column + 1,), axes=(1,)), shape=(total,))
        order = argsort(key) if order is None else take(order, argsort(take(key, order)))
    if order is None:
        order = argsort(cast(any_of(not_equal(rows, rows), axes=(1,)), dtype="i32"))
    sorted_rows = take(rows, order)
    after = strided_slice(sorted_rows, begin=(1,), end=(total,))
    later = any_of(not_equal(after, strided_slice(sorted_rows, begin=(0,), end=(total - 1,))), axes=(1,))
    first = strided_slice(concatenate(np.ones(1, np.bool_), later), begin=(0,), end=(total,))  # of its kind
    new = cast(reshape(first, shape=(total,)), dtype="i64")
    count = extent(sum_of(new))
    starts = reshape(nonzero(new, count=count), shape=(-1,))
    values, firsts = take(sorted_rows, starts), take(order, starts)
    whole = (
        np.array([total]) if isinstance(total, int) else reshape(sum_of(cast(equal(new, new), dtype="i64")), shape=(1,))
    )
    ends = concatenate(strided_slice(starts, begin=(1,), end=(count,)), whole)
    counts = subtract(strided_slice(ends, begin=(0,), end=(count,)), starts)
    rank = subtract(cumsum(new), np.int64(1))
    if not ordered:
        appear = argsort(firsts)
        values, firsts, counts = (take(v, appear) for v in (values, firsts, counts))
        rank = take(argsort(appear), rank)  # the inverse of an order is the order of it
    inverse = scatter_elements(order, order, rank)  # each entry is written
    if axis is None:
        return reshape(values, shape=(count,)), firsts, inverse, counts
    moved = reshape(values, shape=(count, *type_of(front).shape[1:]))
    return transpose(moved, axes=tuple(order_of_axes.index(d) for d in range(ndim))), firsts, inverse, counts


def _to_front(ndim: int, axis: int) -> tuple[int, ...]:
    d = axis_of("unique", axis, ndim)
    return (d, *(k for k in range(ndim) if k != d))


def non_max_suppression(
    boxes: Any, scores: Any, *, most: Any, threshold: float = 0.0, least: float | None = None, centred: bool = False,
) -> Any:  # fmt: skip
    """(batch, class, box) of each box that is kept, those of a class by falling scores: ONNX and TOPI NonMaxSuppression.

    `boxes`: [B, N, 4], two corners (y, x) each, or with `centred` a centre (x, y), a width and a height; `scores`: [B, C, N]. Of a
    class at most `most` are kept, none that shares more than `threshold` with one that is (area of both over area of
    either), and none of a score that is not above `least`.

    >>> import numpy as np
    >>> from halo import nn
    >>> boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 1.1], [5, 5, 6, 6]]], np.float32)
    >>> nn.non_max_suppression(boxes, np.array([[[0.5, 0.9, 0.7]]], np.float32), most=3, threshold=0.5)
    array([[0, 0, 1],
           [0, 0, 2]])
    """
    t = type_of(scores)
    if t.ndim != 3 or type_of(boxes).ndim != 3 or type_of(boxes).shape[2] != 4:
        raise ArgumentError(
            f"boxes of [B, N, 4] and scores of [B, C, N] are taken, not {type_of(boxes)} and {t}", loc=here()
        )
    batch, classes, total = t.shape
    order = argsort(scores, descending=True)
    if least is not None:  # what counts are the first ones
        good = cast(greater(scores, np.asarray(least, t.dtype.dtype)), dtype="i64")
        order = strided_slice(order, begin=(0,), end=(extent(max_of(sum_of(good, axes=(2,)))),), axes=(2,))
    many = type_of(order).shape[2]
    ranked = gather_elements(scores, order, axis=2)
    each = broadcast_to(reshape(boxes, shape=(batch, 1, total, 4)), shape=(batch, classes, total, 4))
    places = broadcast_to(reshape(order, shape=(batch, classes, many, 1)), shape=(batch, classes, many, 4))
    kept = overlap_suppression(
        gather_elements(each, places, axis=2), ranked, most=most, threshold=threshold, least=least, centred=centred
    )
    points = transpose(nonzero(kept, count=extent(sum_of(cast(kept, dtype="i64")))), axes=(1, 0))
    box = reshape(gather_nd(order, points), shape=(-1, 1))
    return concatenate(strided_slice(points, begin=(0,), end=(2,), axes=(1,)), box, axis=1)
