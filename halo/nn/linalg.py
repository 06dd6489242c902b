"""Linear algebra: what elimination tells of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here
from halo.types import f32

from .op import Kind, op
from .shapes import indices, takes
from .tensor import Tensor, TensorType

__all__ = ["det"]


@op(Kind.OPAQUE, reference=lambda x: np.linalg.det(x.astype(np.float64)).astype(x.dtype))
def det(x: TensorType) -> TensorType:
    """The determinants of square matrices, [..., N, N] to [...], by elimination with the largest pivot of each column: ONNX
    Det, NumPy linalg.det. That of no rows is 1.

    >>> from halo import nn
    >>> nn.det(np.array([[0, 2], [3, 4]], np.float32))
    array(-6., dtype=float32)
    """
    takes("det", "float", x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or not isinstance(x.shape[-1], int):
        raise ArgumentError(f"det takes square matrices of a size that is known, [..., N, N], not {x}", loc=here())
    return TensorType(x.shape[:-2], x.dtype)


@det.strategy("elimination")
def _(x: Tensor) -> Tensor:
    """A step takes the row of the largest entry of its column up, and its multiples from the rows below."""
    n, dtype = int(x.shape[-1]), x.dtype if x.dtype.bits > 32 else f32
    batch = indices(x.ndim - 2)
    f = Func("det")
    if n == 0:
        f[batch] = x.dtype(1)
        return Tensor(f, x.shape[:-2], x.dtype)
    t, i, j = halo.vars("t i j")
    m, start, largest, pivot, rows = map(Func, ("m", "start", "largest", "pivot", "rows"))
    start[(*batch, i, j)] = x.func[(*batch, i, j)].astype(dtype)

    def size(row: Any) -> Any:
        """Of a row's entry in the column of the step; one that is no number is the largest, one that is done the least."""
        v = halo.abs(m[(t - 1, *batch, row, t)])
        return halo.select(row < t, dtype(-1), halo.isnan(v), dtype(np.inf), v)

    at, r, every = (t, *batch), halo.rdom(n, names="k"), halo.rdom(n, names="d")
    k, d = r.k, every.d
    largest[at] = dtype(-1)
    largest[at] = halo.max(largest[at], size(k))
    pivot[at] = halo.i32(n - 1)
    pivot[at] = halo.min(pivot[at], halo.select(size(k) == largest[at], halo.i32(k), halo.i32(n - 1)))
    best = halo.clamp(pivot[at], 0, n - 1)
    source = halo.select(i == t, best, i == best, t, i)
    own, first = (m[(t - 1, *batch, source, c)] for c in (j, t))
    top, above = (m[(t - 1, *batch, best, c)] for c in (j, t))
    own = halo.select(
        (i == best) & (i != t), -own, own
    )  # rows that change places, and one its sign: the determinant stays
    first = halo.select((i == best) & (i != t), -first, first)
    rows[(*at, i, j)] = halo.select((i > t) & (above != 0), own - first / above * top, own)
    halo.scan(m, start, rows, n)
    f[batch] = halo.prod(m[(n - 1, *batch, d, d)], every).astype(x.dtype)
    return Tensor(f, x.shape[:-2], x.dtype)
