"""Extents that values give when a program runs: a `Let` around what has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from halo.ir.shapes import Dim, dims_of

from .ir import Expr, Let, walk
from .symbolic import extents_of

__all__ = ["bound_by", "under"]


def under(lets: Sequence[tuple[Dim, Expr]], e: Expr) -> Expr:
    """`e` in which each of these extents is what its value is, the first one known to all the others."""
    for dim, value in reversed(lets):
        e = Let(dim, value, e)
    return e


def bound_by(lets: Mapping[str, tuple[Dim, Expr]], outputs: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """`outputs` under those of `lets`, by name, whose extents they have and no Let in them gives."""
    while lets:
        made = {str(e.dim) for e in walk(*outputs) if isinstance(e, Let)}
        used = {name for e in walk(*outputs) for n in extents_of(e) for name in dims_of(n)}
        free = [lets[name] for name in lets if name in used - made]
        if not free:
            break
        outputs = tuple(under(free, e) for e in outputs)
    return outputs
