"""Products of matrices by their other names, as `matmul` and `dense` say them: on arrays, on Tensors and in graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.types import f32

from .einsum import matmul
from .elementwise import add, multiply
from .matrix import dense
from .shape import transpose
from .tensor import type_of

__all__ = ["batch_matmul", "gemm", "scaled"]


def gemm(a: Any, b: Any, c: Any = None, *, alpha: float = 1.0, beta: float = 1.0, trans_a: bool = False,
         trans_b: bool = False) -> Any:  # fmt: skip
    """alpha * a @ b + beta * c, of matrices, each transposed before where that is said; `c` broadcasts: ONNX Gemm.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.gemm(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32), np.float32(1), alpha=2.0, trans_b=True)
    array([[7., 7.],
           [7., 7.]], dtype=float32)
    """
    for x in (a, b):
        if type_of(x).ndim != 2:
            raise ArgumentError(f"gemm takes matrices, not {type_of(x)}", loc=here(), hint="nn.matmul(a, b)")
    a = transpose(a, axes=(1, 0)) if trans_a else a
    if type_of(a).dtype is not f32:
        product = scaled(matmul(a, transpose(b, axes=(1, 0)) if trans_b else b), alpha)
        return product if c is None else add(product, scaled(c, beta))
    weight = scaled(b if trans_b else transpose(b, axes=(1, 0)), alpha)
    if c is None:
        return dense(a, weight)
    c = scaled(c, beta)
    if type_of(c).shape == type_of(weight).shape[:1]:
        return dense(a, weight, c)
    return add(dense(a, weight), c)


def scaled(x: Any, by: float) -> Any:
    """x times a number of its type; itself, where that is 1."""
    return x if by == 1 else multiply(x, np.asarray(by, type_of(x).dtype.dtype))


def batch_matmul(a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = True) -> Any:
    """The products of the matrices in the last two axes: TOPI batch_matmul, whose right matrices are transposed unless that is
    said otherwise. One matrix serves all others.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.batch_matmul(np.ones((2, 1, 3), np.float32), np.ones((2, 4, 3), np.float32)).shape
    (2, 1, 4)
    """
    sides = []
    for x, turned in ((a, transpose_a), (b, transpose_b)):
        rank = type_of(x).ndim
        if rank < 3:
            raise ArgumentError(f"batch_matmul takes matrices one above the other, not {type_of(x)}", loc=here(),
                                hint="nn.matmul(a, b)")  # fmt: skip
        sides.append(transpose(x, axes=(*range(rank - 2), rank - 1, rank - 2)) if turned else x)
    return matmul(*sides)
