"""Vector indices with `//` and `%` in them, as when a picture is made larger.

`(b + j) // 2` over lanes j steps every second lane. Taken apart by j % 2 it is two ramps, `b // 2 + m` and
`(b + 1) // 2 + m`; `(b + j) % 2` is a constant in either. So c dense loads and a shuffle do the work of a gather.
"""

from __future__ import annotations

import math

from ..ir import algebra as A
from ..ir.expr import Broadcast, Const, Expr, Op, Ramp, walk
from .emit_vector import constant_of

__all__ = ["phases"]

_MOST = 8  # phases


def phases(index: Expr) -> list[Expr] | None:
    """Indices whose lanes in turn are those of `index`: lane c*m + r of it is lane m of phase r."""
    divisors = [d for e in walk((index,)) if (d := _divisor(e)) is not None]
    count = math.lcm(*divisors)
    if not divisors or not 1 < count <= _MOST or index.lanes % count or index.lanes == count:
        return None
    return _phases(index, count)


def _divisor(e: Expr) -> int | None:
    """What a vector is divided by, if that is constant."""
    if not isinstance(e, Op) or e.name not in ("floordiv", "mod") or e.lanes == 1:
        return None
    by = constant_of(e.args[1])
    return None if by is None else int(by)


def _phases(e: Expr, count: int) -> list[Expr] | None:
    lanes = e.lanes // count
    if isinstance(e, Broadcast) and e.value.lanes == 1:
        return [A.broadcast(e.value, lanes)] * count
    if isinstance(e, Ramp) and e.base.lanes == 1:
        stride, steps = A.mul(e.stride, A.const(count)), range(count)
        return [_ramp(A.add(e.base, A.mul(e.stride, A.const(r))), stride, lanes) for r in steps]
    if not isinstance(e, Op) or e.name not in ("floordiv", "mod", "add", "sub", "mul", "min", "max"):
        return None
    parts = [_phases(a, count) for a in e.args]
    if len(parts) != 2 or parts[0] is None or parts[1] is None:
        return None
    results = [_applied(e.name, a, b) for a, b in zip(parts[0], parts[1], strict=True)]
    return None if any(r is None for r in results) else [r for r in results if r is not None]


def _ramp(base: Expr, stride: Expr, lanes: int) -> Expr:
    return base if lanes == 1 else A.ramp(base, stride, lanes)


def _applied(name: str, a: Expr, b: Expr) -> Expr | None:
    """One operation on two phases; None for a division that is not exact in the stride."""
    if name not in ("floordiv", "mod"):
        return A.op(name, a, b)
    by = constant_of(b)
    if by is None or by <= 0:
        return None
    divisor = A.const(int(by))
    divide = A.floordiv if name == "floordiv" else A.mod
    if isinstance(a, Broadcast) and a.value.lanes == 1:
        return A.broadcast(divide(a.value, divisor), a.n)
    if isinstance(a, Ramp) and isinstance(a.stride, Const) and a.stride.value % by == 0:
        base = divide(a.base, divisor)
        return A.broadcast(base, a.n) if name == "mod" else Ramp(base, A.const(a.stride.value // int(by)), a.n)
    return None
