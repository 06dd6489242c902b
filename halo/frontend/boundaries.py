"""Pad views as index arithmetic: where an unbounded subscript falls in an array of extents `box`.

The interior is the plain subscript under a condition that is almost always true, so that loop partitioning leaves it
alone there; a last clamp, without effect, says what range the rest has.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Op, Var
from ..ir.facts import arrays_read, free_vars
from ..ir.linear import parts
from ..types import index

__all__ = ["Box", "inside", "inward"]

Box = Sequence[tuple[Expr, Expr] | None]  # (lo, extent) an axis; None: an axis that is left alone
_ONE = 1


def inside(indices: Sequence[Expr], box: Box) -> Expr:
    """Whether `indices` are in `box`."""
    conditions = []
    for i, axis in zip(indices, box, strict=True):
        if axis is not None:
            lo, n = axis
            conditions += [A.le(lo, i), A.lt(i, A.add(lo, n))]
    return A.all_of(conditions)


def inward(mode: str, indices: Sequence[Expr], box: Box) -> tuple[Expr, ...]:
    """`indices` brought into `box` as `mode` says; for `constant`, which is guarded, as they are if they are plain sums:
    of any other the guard need not tell the range."""
    if mode == "constant":
        return tuple(
            i if axis is None or all(_is_plain(atom) for atom, _ in parts(i)[0]) else _inward("edge", i, *axis)
            for i, axis in zip(indices, box, strict=True)
        )
    return tuple(i if axis is None else _inward(mode, i, *axis) for i, axis in zip(indices, box, strict=True))


def _is_plain(atom: Expr) -> bool:
    """Whether it is a variable, or made of scalars, the same at every index."""
    return isinstance(atom, Var) or not (arrays_read(atom) or any(v.type is index for v in free_vars(atom)))


def _inward(mode: str, i: Expr, lo: Expr, n: Expr) -> Expr:
    last = A.sub(A.add(lo, n), _const(1))
    if mode == "edge":
        return A.minimum(A.maximum(i, lo), last)
    outside = A.not_(A.and_(A.le(lo, i), A.le(i, last)))
    folded = A.add(lo, _FOLD[mode](A.sub(i, lo), n))
    if isinstance(outside, Const):
        return folded if outside.value else i
    return A.minimum(A.maximum(Op("rare", (outside, folded, i), index), lo), last)


def _wrap(k: Expr, n: Expr) -> Expr:
    return A.mod(k, n)


def _symmetric(k: Expr, n: Expr) -> Expr:
    """... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ..."""
    period = A.mul(n, _const(2))
    k = A.mod(k, period)
    return A.minimum(k, A.sub(A.sub(period, _const(1)), k))


def _reflect(k: Expr, n: Expr) -> Expr:
    """... 2 1 | 0 1 2 ... n-1 | n-2 n-3 ...; by 0 where there is one element."""
    period = A.mul(A.sub(n, _const(1)), _const(2))
    k = A.mod(k, period)
    return A.minimum(k, A.sub(period, k))


def _const(value: int) -> Const:
    return Const(value, index)


_FOLD = {"wrap": _wrap, "symmetric": _symmetric, "reflect": _reflect}
