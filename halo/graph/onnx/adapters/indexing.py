"""Reading and writing where tensors say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halo import nn
from halo.ir.shapes import DimExpr, dim_max
from halo.types import as_type

from ...ir import Constant
from ...shape_arithmetic import values
from ..node import Node, adapter, element_type

__all__: list[str] = []


@adapter("Gather")
def _(n: Node) -> Any:
    return nn.take(n[0], n[1], axis=n.attrs.get("axis", 0))


@adapter("GatherElements")
def _(n: Node) -> Any:
    return nn.gather_elements(n[0], n[1], axis=n.attrs.get("axis", 0))


@adapter("GatherND")
def _(n: Node) -> Any:
    return nn.gather_nd(n[0], n[1], batch_dims=n.attrs.get("batch_dims", 0))


@adapter("ScatterElements")
def _(n: Node) -> Any:
    return nn.scatter_elements(n[0], n[1], n[2], axis=n.attrs.get("axis", 0), reduction=n.text("reduction", "none"))


@adapter("Scatter")
def _(n: Node) -> Any:
    return nn.scatter_elements(n[0], n[1], n[2], axis=n.attrs.get("axis", 0))


@adapter("ScatterND")
def _(n: Node) -> Any:
    return nn.scatter_nd(n[0], n[1], n[2], reduction=n.text("reduction", "none"))


@adapter("OneHot")
def _(n: Node) -> Any:
    depth = n.scalar(1)
    off, on = (nn.reshape(nn.strided_slice(n[2], begin=(k,), end=(k + 1,)), shape=()) for k in (0, 1))
    return nn.one_hot(n[0], off, on, depth=int(depth), axis=n.attrs.get("axis", -1))


@adapter("ReverseSequence")
def _(n: Node) -> Any:
    return nn.reverse_sequence(
        n[0], n[1], batch_axis=n.attrs.get("batch_axis", 1), time_axis=n.attrs.get("time_axis", 0)
    )


@adapter("Range")
def _(n: Node) -> Any:
    whole = [values(n[k]) for k in range(3)]
    if all(v is not None for v in whole):
        start, limit, step = (v.item() for v in whole if v is not None)
        if any(isinstance(v, DimExpr) for v in (start, limit)) and isinstance(step, int) and step > 0:
            return nn.arange(n[0], n[2], length=dim_max(-((start - limit) // step), 0))
    if all(n.is_known(k) for k in range(3)):
        start, limit, step = (n.scalar(k) for k in range(3))
        return nn.arange(n[0], n[2], length=max(math.ceil((limit - start) / step), 0))
    start, limit, step = (nn.cast(n[k], dtype="f64") for k in range(3))
    steps = nn.ceil(nn.divide(nn.subtract(limit, start), step))
    return nn.arange(n[0], n[2], length=n.extent(nn.cast(steps, dtype="i64")))


@adapter("EyeLike")
def _(n: Node) -> Any:
    x = n[0]
    dtype = x.type.dtype if "dtype" not in n.attrs else element_type(n.attrs["dtype"])
    k = n.attrs.get("k", 0)
    ones = nn.broadcast_to(Constant(np.ones((), as_type(dtype).dtype)), shape=x.type.static)
    return nn.trilu(nn.trilu(ones, k=k), k=k, upper=False)


@adapter("NonZero")
def _(n: Node) -> Any:
    x = n[0]
    hits = nn.not_equal(x, np.zeros((), x.type.dtype.dtype))
    return nn.nonzero(x, count=n.extent(nn.sum(nn.cast(hits, dtype="i64"))))


@adapter("Compress")
def _(n: Node) -> Any:
    return nn.compress(n[0], n[1], axis=n.attrs.get("axis"))


@adapter("TensorScatter")
def _(n: Node) -> Any:
    past, update, axis = n[0], n[1], n.attrs.get("axis", -2) % n[0].type.ndim
    rank, batch, length = past.type.ndim, past.type.static[0], past.type.static[axis]
    steps = np.arange(update.type.static[axis], dtype=np.int64).reshape((-1, *(1,) * (rank - 1 - axis)))
    first = n.get(2)
    if first is None:
        at = Constant(steps)
    else:
        at = nn.add(nn.reshape(nn.cast(first, dtype="i64"), shape=(batch, *(1,) * (rank - 1))), steps)
    if n.text("mode", "linear") == "circular":
        at = nn.mod(at, np.int64(length))
    places = nn.broadcast_to(at, shape=update.type.static)
    return nn.scatter_elements(past, places, update, axis=axis)
