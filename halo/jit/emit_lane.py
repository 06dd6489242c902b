"""Loops over the lanes of a vector, for what would be too much code to write out for each of them.

In such a loop an index or a mask is computed for one lane: `lane_of` gives the scalar expression of the lane's number.
What has none is computed for all lanes before, and kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import algebra as A
from ..ir.expr import Broadcast, Buffer, Cast, Const, Expr, Load, Op, Ramp, Var
from ..types import bool_, index
from .emit_cast import pack
from .emit_function import Function, memory_type

__all__ = ["each_flag", "each_lane", "each_of", "lane_of"]

_LARGEST = 100  # nodes; what is larger is better computed in all lanes at once
_EFFECTS = ("print", "require", "call")


def lane_of(e: Expr, lane: Expr) -> Expr | None:
    """Lane number `lane` (a scalar `index`) of `e`; None if there is no short expression for it."""
    found: dict[Expr, Expr] = {}
    try:
        return _lane(e, lane, found)
    except _NoLaneError:
        return None


class _NoLaneError(Exception):
    """The lanes of an expression have no common form."""


def _lane(e: Expr, lane: Expr, found: dict[Expr, Expr]) -> Expr:
    if e.lanes == 1:
        return e
    if e not in found:
        if len(found) > _LARGEST:
            raise _NoLaneError
        found[e] = e  # counted before what is under it
        found[e] = _of_node(e, lane, found)
    return found[e]


def _of_node(e: Expr, lane: Expr, found: dict[Expr, Expr]) -> Expr:
    if isinstance(e, Broadcast) and e.value.lanes == 1:
        return e.value
    if isinstance(e, Ramp) and e.base.lanes == 1 and e.stride.lanes == 1:
        number = lane if e.type is index else Cast(lane, e.type)
        return A.add(e.base, A.mul(e.stride, number))
    if isinstance(e, Cast):
        return Cast(_lane(e.value, lane, found), e.type)
    if isinstance(e, Load):
        pred = None if e.pred is None else _lane(e.pred, lane, found)
        return Load(e.buffer, _lane(e.index, lane, found), pred)
    if isinstance(e, Op) and e.name not in _EFFECTS:
        return Op(e.name, tuple(_lane(a, lane, found) for a in e.args), e.type, e.data)
    raise _NoLaneError


Each = Callable[[Var], Expr]


def each_lane(f: Function, lanes: int, body: Callable[[Var], None]) -> None:
    """A loop over lanes; `body` gets the variable that is the lane's number."""
    again, done, before, lane = f.label(), f.label(), f.block, Var("lane", index, 0, lanes - 1)
    mark = f.mark()
    f.jump(again)
    at, number = len(f.lines), f.new("")
    f.bind(lane, number)
    f.depth += 1
    f.levels[lane] = f.depth
    body(lane)
    f.depth -= 1
    f.restore(mark)
    following = f.new(f"add nuw nsw i64 {number}, 1")
    f.lines[at] = f"{number} = phi i64 [ 0, %{before} ], [ {following}, %{f.block} ]"
    f.do(f"br i1 {f.new(f'icmp ult i64 {following}, {lanes}')}, label %{again}, label %{done}")
    f.begin(done)


def each_of(f: Function, e: Expr) -> Each:
    """What gives the scalar expression of one lane of `e`."""
    if lane_of(e, Const(0, index)) is None:
        return _kept(f, f.value(e), e)

    def one(lane: Var) -> Expr:
        scalar = lane_of(e, lane)
        assert scalar is not None
        return scalar

    return one


def each_flag(f: Function, mask: str, lanes: int) -> Each:
    """The same for a mask that is known as an operand alone."""
    return _kept(f, mask, Broadcast(Const(0, bool_), lanes))


def _kept(f: Function, value: str, like: Expr) -> Each:
    """A vector of `like`'s type in memory, read lane by lane."""
    memory, type = Buffer("lanes", like.type, "stack"), memory_type(like.type, like.lanes)
    f.bind(memory, f.room(type))
    f.do(f"store {type} {pack(f, like.type, like.lanes, value)}, ptr {f.values[memory]}, align 64")
    return lambda lane: Load(memory, lane)
