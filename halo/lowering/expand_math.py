"""Expand the transcendentals and `random`: every one becomes a typed expression of primitive operations.

So they inline, vectorise on every target, give the same bits in scalar and vector code, and the reference backends
evaluate the very same definitions. f16 and bf16 are computed in f32 and rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir.algebra import cast, rewrite
from ..ir.expr import Broadcast, Expr, Op, Var
from ..ir.stmt import Stmt
from ..types import Type, f32
from . import math_arc, math_exp, math_log, math_misc, math_pow, math_trig
from .math_core import Value
from .math_random import random
from .walk import map_exprs

__all__ = ["DEFINITIONS", "definition", "expand_math"]

DEFINITIONS: dict[str, Callable[..., Value]] = {
    name: getattr(module, name)
    for module in (math_exp, math_log, math_pow, math_trig, math_arc, math_misc)
    for name in module.FUNCTIONS
}


def expand_math(s: Stmt) -> Stmt:
    """`s` without transcendental operations and without `random`."""
    memo: dict[Expr, Expr] = {}

    def expand(e: Expr) -> Expr | None:
        if not isinstance(e, Op) or (e.name not in DEFINITIONS and e.name != "random"):
            return None
        args = tuple(rewrite(a, expand, memo) for a in e.args)
        return random(e.data, args) if e.name == "random" else _expanded(e.name, args)

    return map_exprs(s, lambda e: rewrite(e, expand, memo))


def _expanded(name: str, args: tuple[Expr, ...]) -> Expr:
    first = args[0]
    if isinstance(first, Broadcast) and all(isinstance(a, Broadcast) and a.n == first.n for a in args):
        inner: Any = args
        return Broadcast(_expanded(name, tuple(a.value for a in inner)), first.n)
    if first.type.bits == 16:
        return cast(_expanded(name, tuple(cast(a, f32) for a in args)), first.type)
    return DEFINITIONS[name](*(Value(a) for a in args)).e


def definition(name: str, type: Type) -> tuple[tuple[Var, ...], Expr]:
    """The definition of `name` in f32 or f64, as (parameters, value)."""
    count = 2 if name in ("pow", "atan2", "hypot") else 1
    parameters = tuple(Var(v, type) for v in ("x", "y")[:count])
    return parameters, _expanded(name, parameters)
