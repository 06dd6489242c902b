"""Subscripts of graph expressions, as those of arrays: integers, slices, new axes, and one tensor of integers."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from halo import nn
from halo.errors import ArgumentError, here
from halo.ir.shapes import DimExpr

from .ir import Expr

__all__ = ["subscripted"]

END = 2**31  # no axis has as many entries


def subscripted(x: Any, key: Any) -> Expr:
    """`x[key]`. Raises ArgumentError for what NumPy does not take, for more than one tensor of integers, and for masks: how
    many entries these take, only values tell.

    >>> from halo.graph import Var
    >>> from halo import Dim, f32
    >>> x = Var("x", nn.TensorType((Dim("n"), 3, 4), f32))
    >>> x[::-1, 1].type, x[..., None, :2].type
    (f32[n, 4], f32[n, 3, 1, 2])
    """
    keys = _whole(key if isinstance(key, tuple) else (key,), x.ndim)
    at = [k for k in keys if k is not None]
    whole = slice(None)
    cut = [d for d, k in enumerate(at) if isinstance(k, slice) and k != whole]
    if cut:
        begin, end, strides = zip(*(_bounds(at[d]) for d in cut), strict=True)
        x = nn.strided_slice(x, begin=begin, end=end, strides=strides, axes=tuple(cut))
    for d in reversed(range(len(at))):
        if not isinstance(at[d], slice):
            x = nn.take(x, _place(at[d], x.shape[d], keys), axis=d)
    kept = [k for k in keys if k is None or isinstance(k, slice) or (isinstance(k, Expr) and k.ndim)]
    new = tuple(d for d, k in enumerate(kept) if k is None)
    return nn.expand_dims(x, new) if new else x  # type: ignore[no-any-return]  # of expressions, one


def _whole(keys: tuple[Any, ...], ndim: int) -> list[Any]:
    """One of `keys` an axis, and None for each new one."""
    many = sum(k is not None and k is not Ellipsis for k in keys)
    dots = [n for n, k in enumerate(keys) if k is Ellipsis]
    if many > ndim or len(dots) > 1:
        raise ArgumentError(f"a tensor of {ndim} axes is subscripted by {len(keys)}", loc=here())
    at = dots[0] if dots else len(keys)
    return [*keys[:at], *(slice(None),) * (ndim - many), *keys[at + 1 :]]


def _bounds(s: slice) -> tuple[Any, Any, int]:
    step = 1 if s.step is None else _integer(s.step)
    first, last = (0, END) if step > 0 else (END, -END)
    return (first if s.start is None else _integer(s.start)), (last if s.stop is None else _integer(s.stop)), step


def _place(k: Any, n: Any, keys: list[Any]) -> Any:
    """What `take` takes for the subscript `k` of an axis of `n` entries."""
    if isinstance(k, Expr) and k.dtype.is_int:
        if k.ndim and not all(isinstance(other, slice) or other is k for other in keys):
            raise ArgumentError(
                "a tensor of indices has slices beside it only", loc=here(), hint="nn.take, nn.gather_nd"
            )
        return k
    k = _integer(k)
    if isinstance(k, DimExpr):
        raise ArgumentError(f"{k} is no entry of an axis", loc=here(), hint="a slice")
    if isinstance(n, int) and not -n <= k < n:
        raise ArgumentError(f"an axis of {n} entries has no entry {k}", loc=here())
    return np.asarray(k, np.int64)


def _integer(k: Any) -> Any:
    if isinstance(k, DimExpr):
        return k
    try:
        if isinstance(k, (bool, np.bool_)):
            raise TypeError
        return operator.index(k)
    except TypeError as error:
        raise ArgumentError(f"a subscript is an integer, a slice or a tensor of integers, not {k!r}", loc=here(),
                            hint="nn.take, nn.where, nn.compress") from error  # fmt: skip
