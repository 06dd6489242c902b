"""Random numbers as integer arithmetic: a hash of a point's coordinates, the same under every schedule and backend."""

from __future__ import annotations

from ..types import u32
from .expr import Broadcast, Cast, Const, Expr, Op

__all__ = ["random_bits"]


def random_bits(e: Op) -> Expr:
    """The u32 that the operation `random` draws: its stream `e.data`, mixed with one `index` operand after the other.

    Each step is the finaliser of MurmurHash3, in which every bit of the input changes half of the output's.
    """
    drawn = _constant(int(e.data), e.lanes)
    for k, coordinate in enumerate(e.args):
        salted = _op("mul", Cast(coordinate, u32), _constant(0x9E3779B1 + 2 * k, e.lanes))
        drawn = _mixed(_op("add", _op("xor", drawn, salted), _constant(0x85EBCA77 * (k + 1), e.lanes)))
    return drawn


def _mixed(h: Expr) -> Expr:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = _op("mul", _op("xor", h, _op("shr", h, _constant(shift, h.lanes))), _constant(factor, h.lanes))
    return _op("xor", h, _op("shr", h, _constant(16, h.lanes)))


def _op(name: str, a: Expr, b: Expr) -> Expr:
    return Op(name, (a, b), u32)


def _constant(value: int, lanes: int) -> Expr:
    c = Const(value % 2**32, u32)
    return c if lanes == 1 else Broadcast(c, lanes)
