"""Constant folding: the semantics of `expr.py` on Python numbers. None where folding would not be exact or is not known."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from ..types import Type, f32, f64, index


def fold(name: str, values: tuple[Any, ...], operand: Type, result: Type) -> Any:
    """`name(*values)` on operands of type `operand`, as a value of type `result`, or None."""
    if name == "cast":
        return _cast(values[0], operand, result)
    if operand.is_float:
        rule = _FLOAT.get(name)
        if rule is None or operand not in (f32, f64):
            return None
        value = rule(*values)
        return value if result.is_bool else _round(value, result)
    rule = _INT.get(name)
    if rule is None:
        return None
    value = rule(*values)
    return int(value) if result.is_bool or result is index else result.wrap(value)


def _round(value: float, type: Type) -> float | None:
    """To the nearest `type`; one rounding from double is exact for + - * / of f32."""
    if type is f32:
        import numpy as np

        with np.errstate(all="ignore"):
            return float(np.float32(value))
    return value if type is f64 else None


def _cast(value: Any, source: Type, target: Type) -> Any:
    if target.is_bool:
        return int(value != 0)
    if target.is_float:
        if target not in (f32, f64) or (not source.is_float and abs(value) >= 2**53):
            return None
        return _round(float(value), target)
    if source.is_float:
        if math.isnan(value):
            return 0
        lo, hi = int(target.min), int(target.max)
        return lo if value <= lo else hi if value >= hi else int(value)
    return value if target is index else target.wrap(value)


def _floordiv(a: int, b: int) -> int:
    return a // b if b else 0


def _mod(a: int, b: int) -> int:
    return a % b if b else 0


_COMPARE: dict[str, Callable[..., Any]] = {"eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le}
_INT: dict[str, Callable[..., Any]] = {
    **_COMPARE, "add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": _floordiv, "mod": _mod,
    "min": min, "max": max, "neg": operator.neg, "abs": abs, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
}  # fmt: skip
_FLOAT: dict[str, Callable[..., Any]] = {
    **_COMPARE, "add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg, "abs": abs,
    "div": lambda a, b: a / b if b else math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b),
}  # fmt: skip
