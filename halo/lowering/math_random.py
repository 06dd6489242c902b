"""Random numbers as a hash of where they are drawn: the same at one point under every schedule.

Each coordinate is mixed in by a bijection of 32 bits in which every bit of the operand changes every bit of the result
with a probability near 1/2 (C. Wellons, *Prospecting for hash functions*, 2018: `lowbias32`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.algebra import broadcast, cast
from ..ir.expr import Const, Expr
from ..types import u32
from .math_core import Value

__all__ = ["random"]


def random(stream: int, indices: Sequence[Expr]) -> Expr:
    """A u32 for the point `indices` (modulo 2**32) of the stream of this number."""
    lanes = max((i.lanes for i in indices), default=1)
    state = Value(broadcast(Const(stream & 0xFFFFFFFF, u32), lanes))
    for i in indices:
        state = _mixed((state ^ Value(cast(broadcast(i, lanes), u32))) + 0x9E3779B9)
    return state.e


def _mixed(x: Value) -> Value:
    x = (x ^ x >> 16) * 0x7FEB352D
    x = (x ^ x >> 15) * 0x846CA68B
    return x ^ x >> 16
