"""Probe: guess which way a condition goes nearly everywhere, by evaluating it once, in the middle of large loops.

Only a guess: it steers `partition`, which proves what it uses.
"""

from __future__ import annotations

from typing import Any

from ..ir.expr import Cast, Const, Expr, Lin, Op, Var

SIZE = 100_003  # of whatever is not known: extents, strides


def probe(e: Op, loops: dict[Var, Any]) -> bool | None:
    """The truth of a comparison; of a `min` or `max`, whether it is its first operand. None if it cannot be told."""
    values: dict[Expr, int] = {}
    try:
        a, b = (_value(x, loops, values) for x in e.args)
    except _UnknownError:
        return None
    return {"le": a <= b, "eq": a == b, "ne": a != b, "min": a <= b, "max": a >= b}[e.name]


class _UnknownError(Exception):
    pass


def _value(e: Expr, loops: dict[Var, Any], values: dict[Expr, int]) -> int:
    found = values.get(e)
    if found is None:
        found = values[e] = _evaluate(e, loops, values)
    return found


def _evaluate(e: Expr, loops: dict[Var, Any], values: dict[Expr, int]) -> int:
    def of(x: Expr) -> int:
        return _value(x, loops, values)

    if isinstance(e, Const):
        return int(e.value)
    if isinstance(e, Var):
        if e in loops:
            lo, extent = loops[e]
            values[e] = 0  # a range that mentions its own variable
            return of(lo) + of(extent) // 2
        if e.lo is not None and e.hi is not None:
            return min((e.lo + e.hi) // 2, SIZE + e.uid % 97) if e.hi < 2**31 - 1 else SIZE + e.uid % 97
        return SIZE // 3 + e.uid % 97 if ".shape" not in e.name and e.lo is None else SIZE + e.uid % 97
    if isinstance(e, Lin):
        return e.const + sum(k * of(a) for a, k in e.terms)
    if isinstance(e, Cast):
        return of(e.value)
    if isinstance(e, Op):
        rule = _RULES.get(e.name)
        if rule is not None:
            return int(rule(*(of(a) for a in e.args)))
    raise _UnknownError


_RULES: dict[str, Any] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b if b else 0, "mod": lambda a, b: a % b if b else 0, "min": min, "max": max,
    "le": lambda a, b: a <= b, "lt": lambda a, b: a < b, "eq": lambda a, b: a == b, "ne": lambda a, b: a != b,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "not": lambda a: not a, "select": lambda c, a, b: a if c else b,
    "rare": lambda c, a, b: a if c else b,
}  # fmt: skip
