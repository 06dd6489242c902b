"""Layouts: where the values of an Array lie in flat memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir import algebra as A
from ..ir.expr import Buffer, Const, Expr
from ..ir.linear import parts
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
    corner: tuple[Expr, ...] = ()  # what `mins` are names of

    def at(self, indices: tuple[Expr, ...], item: int) -> Expr:
        total = self.first
        for d, (i, lo, stride) in enumerate(zip(indices, self.mins, self.strides[item], strict=True)):
            offset = A.mod(i, Const(self.fold[d], index)) if d in self.fold else A.sub(i, lo)
            if self.corner and d not in self.fold:
                apart = A.sub(i, self.corner[d])
                if len(parts(apart)[0]) < len(parts(offset)[0]):  # how far into the storage is known without the name
                    offset = apart
            total = A.add(total, A.mul(offset, stride))
        return total
