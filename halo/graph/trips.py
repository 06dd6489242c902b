"""Trips: how often a loop runs whose condition counts, as tf2onnx and `while` write it:

k = 0;  while k < n: ...; k = k + 1         ->      n times
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from halo.ir.shapes import SYMBOLIC, Dim, DimExpr, dim_max

from .ir import Call, Constant, Expr, Var
from .shape_arithmetic import values

__all__ = ["counted"]

STEP = Dim("iteration_")  # no name of an axis
ROOM = {  # what is more than 0 where it holds
    "less": lambda a, b: b - a,
    "greater": lambda a, b: a - b,
    "less_equal": lambda a, b: b - a + 1,
    "greater_equal": lambda a, b: a - b + 1,
}


def counted(number: Var, own: Sequence[Var], carried: Sequence[Expr], next_: Sequence[Expr], args: Mapping[Var, Expr],
            condition: Expr | None, again: Expr) -> Any:  # fmt: skip
    """How many iterations there are, an integer or an extent, of a loop that begins where `condition` holds and goes on
    while `again` does; None where shapes do not tell. Iteration `number` has the values `own`, `carried` at first and then
    `next_`; `args`: what else it reads."""
    fixed = {id(v): found for v, e in args.items() if (found := values(e)) is not None}
    known = {**fixed, id(number): _entry(STEP, ())}
    for v, first, then in zip(own, carried, next_, strict=True):
        if any(n != 1 for n in v.type.shape):
            continue
        start, step = values(first), values(then, {**fixed, id(v): _entry(STEP, v.type.shape)})
        if start is not None and step is not None:
            more = step.item() - STEP
            if isinstance(more, int):
                known[id(v)] = _entry(start.item() + more * STEP, start.shape)
    left = _room(again, known)
    slope = None if left is None else _slope(left)
    if left is None or slope is None or slope >= 0:
        return None
    after = dim_max(-(-(left - slope * STEP) // -slope), 0)  # that begin behind one that the condition was asked for
    if condition is None or (isinstance(condition, Constant) and condition.data.item()):
        return after + 1
    first = _room(condition, {})
    return None if first is None or first != left - slope * STEP - slope else dim_max(-(-first // -slope), 0)


def _entry(value: Any, shape: tuple[int, ...]) -> Any:
    found = np.empty(shape, object)
    found[...] = value
    return found


def _room(e: Expr, known: Mapping[int, Any]) -> Any:
    """What is more than 0 where the comparison `e` holds, None for what is none of integers that are `known`."""
    if isinstance(e, Call) and e.op.name == "logical_and":
        for part, other in (e.children, e.children[::-1]):
            if (holds := values(part, known)) is not None and all(holds.reshape(-1)):
                return _room(other, known)
    if not isinstance(e, Call) or e.op.name not in ROOM:
        return None
    a, b = (values(x, known) for x in e.children)
    return None if a is None or b is None or a.size != 1 or b.size != 1 else ROOM[e.op.name](a.item(), b.item())


def _slope(left: Any) -> Any:
    """By how much it grows with each iteration, None if not by the same."""
    if not isinstance(left, DimExpr):
        return 0
    of = {STEP.name: STEP + 1}
    more = left.evaluate(lambda name: of.get(name, Dim(name)), SYMBOLIC) - left
    return more if isinstance(more, int) else None
