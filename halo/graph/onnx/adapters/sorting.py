"""Order: the largest, the different, the boxes that do not overlap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halo import nn

from ...ir import Constant
from ...shape_arithmetic import shape_vector
from ..node import Node, adapter

__all__: list[str] = []


def _top(n: Node, k: Any, largest: bool) -> Any:
    x, axis = n[0], n.attrs.get("axis", -1)
    first = nn.topk(x, k=k, axis=axis, largest=largest)
    return nn.gather_elements(x, first, axis=axis), first


@adapter("TopK", 1)
def _(n: Node) -> Any:
    return _top(n, n.attrs["k"], True)


@adapter("TopK", 10)
def _(n: Node) -> Any:
    (k,) = n.extents(1)
    return _top(n, k, bool(n.attrs.get("largest", 1)))


@adapter("Unique")
def _(n: Node) -> Any:
    """The values, or the slices along an axis, that differ: the results' shapes depend on what they are."""
    x, axis = n[0], n.attrs.get("axis")
    ndim, shape = x.type.ndim, x.type.shape
    front = x if axis is None else nn.transpose(x, axes=_to_front(ndim, axis))
    total = math.prod(shape) if axis is None else shape[axis]
    columns = 1 if axis is None else math.prod(front.type.shape[1:])
    if not isinstance(columns, int):
        raise n.wrong(f"slices of {columns} entries are compared, and that is known when the program runs")
    rows = nn.reshape(front, shape=(total, columns))
    zero, one = Constant(np.array(0)), Constant(np.array(1))
    order = nn.arange(zero, one, length=total)
    for column in reversed(range(columns)):  # stable, so the first column decides in the end
        key = nn.reshape(nn.strided_slice(rows, begin=(column,), end=(column + 1,), axes=(1,)), shape=(total,))
        order = nn.take(order, nn.argsort(nn.take(key, order)))
    ordered = nn.take(rows, order)
    after = nn.strided_slice(ordered, begin=(1,), end=(total,))
    later = nn.any(nn.not_equal(after, nn.strided_slice(ordered, begin=(0,), end=(total - 1,))), axes=(1,))
    first = nn.strided_slice(nn.concatenate(np.ones(1, np.bool_), later), begin=(0,), end=(total,))  # of its kind
    new = nn.cast(nn.reshape(first, shape=(total,)), dtype="i64")
    count = n.extent(nn.sum(new))
    starts = nn.reshape(nn.nonzero(new, count=count), shape=(-1,))
    values, firsts = nn.take(ordered, starts), nn.take(order, starts)
    ends = nn.concatenate(nn.strided_slice(starts, begin=(1,), end=(count,)), shape_vector((total,), (1,)))
    counts = nn.subtract(nn.strided_slice(ends, begin=(0,), end=(count,)), starts)
    rank = nn.subtract(nn.cumsum(new), one)
    if not n.attrs.get("sorted", 1):
        appear = nn.argsort(firsts)
        values, firsts, counts = (nn.take(v, appear) for v in (values, firsts, counts))
        rank = nn.take(nn.argsort(appear), rank)  # the inverse of an order is the order of it
    inverse = nn.scatter_elements(nn.broadcast_to(zero, shape=(total,)), order, rank)
    if axis is None:
        return nn.reshape(values, shape=(count,)), firsts, inverse, counts
    moved = nn.reshape(values, shape=(count, *front.type.shape[1:]))
    back = tuple(_to_front(ndim, axis).index(d) for d in range(ndim))
    return nn.transpose(moved, axes=back), firsts, inverse, counts


def _to_front(ndim: int, axis: int) -> tuple[int, ...]:
    return (axis % ndim, *(d for d in range(ndim) if d != axis % ndim))


@adapter("NonMaxSuppression")
def _(n: Node) -> Any:
    boxes, scores = n[0], n[1]
    batch, classes, total = scores.type.shape
    given = n.get(2)
    most = 0 if given is None else n.extent(nn.reshape(given, shape=()))
    threshold, least = n.scalar(3, 0.0), n.scalar(4)
    order = nn.argsort(scores, descending=True)
    if least is not None:  # what counts are the first ones
        good = nn.cast(nn.greater(scores, np.asarray(least, scores.type.dtype.dtype)), dtype="i64")
        most_good = n.extent(nn.max(nn.sum(good, axes=(2,))))
        order = nn.strided_slice(order, begin=(0,), end=(most_good,), axes=(2,))
    many = order.type.shape[2]
    ranked = nn.gather_elements(scores, order, axis=2)
    each = nn.broadcast_to(nn.reshape(boxes, shape=(batch, 1, total, 4)), shape=(batch, classes, total, 4))
    places = nn.broadcast_to(nn.reshape(order, shape=(batch, classes, many, 1)), shape=(batch, classes, many, 4))
    sorted_boxes = nn.gather_elements(each, places, axis=2)
    kept = nn.overlap_suppression(
        sorted_boxes, ranked, most=most, threshold=float(threshold), least=None if least is None else float(least),
        centred=bool(n.attrs.get("center_point_box")),
    )  # fmt: skip
    hits = nn.nonzero(kept, count=n.extent(nn.sum(nn.cast(kept, dtype="i64"))))
    points = nn.transpose(hits, axes=(1, 0))
    box = nn.reshape(nn.gather_nd(order, points), shape=(-1, 1))
    return nn.concatenate(nn.strided_slice(points, begin=(0,), end=(2,), axes=(1,)), box, axis=1)
