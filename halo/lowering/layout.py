"""Layouts: where the values of an Array lie in flat memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir import algebra as A
from ..ir.expr import Buffer, Const, Expr
from ..types import index

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Where element `item` of an Array lies: buffers[item][first + sum((i - mins) % fold * strides)]."""

    buffers: tuple[Buffer, ...]
    mins: tuple[Expr, ...]
    extents: tuple[Expr, ...]
    strides: tuple[tuple[Expr, ...], ...]  # an item each
    fold: dict[int, int]
    first: Expr = field(default_factory=lambda: Const(0, index))  # where the place in a ring begins

    def at(self, indices: tuple[Expr, ...], item: int) -> Expr:
        total = self.first
        for d, (i, lo, stride) in enumerate(zip(indices, self.mins, self.strides[item], strict=True)):
            offset = A.mod(i, Const(self.fold[d], index)) if d in self.fold else A.sub(i, lo)
            total = A.add(total, A.mul(offset, stride))
        return total
