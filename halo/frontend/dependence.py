"""When several updates written in one loop body may run as separate stages, each over the whole loop.

Written, the body runs interleaved: U1(r), U2(r), then U1(r'), U2(r') for the next point r' > r. As stages, all of U1
runs before all of U2. So U2 at r and U1 at a later r' change places, and must not touch the same element, one of them
writing it. A read that was made before U1 (a local) and is used in U2 also trades places with U1 at the same point.

Two elements `f[a(r)]` and `f[b(r')]` are compared axis by axis, as linear forms over the loops' variables: an axis may
prove that they never meet, or that they meet at one distance r' - r of some loop.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import gcd, inf
from typing import Any

from ..ir.surface import Call, Expr, Extent, IndexVar, Literal, Param, RDom, RVarRef

__all__ = ["Element", "Loop", "conflict", "same_element"]

Loop = tuple[RDom, int]


@dataclass(frozen=True)
class Element:
    """`f[indices]`, or its tuple element `item` (None: all of them)."""

    indices: tuple[Expr, ...]
    item: int | None = None


@dataclass
class _Linear:
    """`const + sum(coefficient * atom)`; loop variables are told from what is the same at every point of the loops."""

    const: int = 0
    loops: dict[Loop, int] = field(default_factory=dict)
    fixed: dict[Hashable, int] = field(default_factory=dict)

    def plus(self, other: _Linear, factor: int) -> _Linear:
        return _Linear(self.const + factor * other.const, _sum(self.loops, other.loops, factor),
                       _sum(self.fixed, other.fixed, factor))  # fmt: skip


def _sum(a: dict[Any, int], b: dict[Any, int], factor: int) -> dict[Any, int]:
    total = {k: a.get(k, 0) + factor * b.get(k, 0) for k in {**a, **b}}
    return {k: v for k, v in total.items() if v}


def linear(e: Expr) -> _Linear | None:
    """`e` as a linear form, or None."""
    match e:
        case Literal(value=int() as value):
            return _Linear(int(value))
        case RVarRef():
            return _Linear(loops={(e.rdom, e.axis): 1})
        case IndexVar() | Param():
            return _Linear(fixed={e.name: 1})
        case Extent():
            return _Linear(fixed={(id(e.target), e.axis): 1})
        case Call(op="neg", args=(a,)):
            inner = linear(a)
            return None if inner is None else _Linear().plus(inner, -1)
        case Call(op="add" | "sub" | "mul" as op, args=(a, b)):
            return _binary(op, linear(a), linear(b))
    return None


def _binary(op: str, a: _Linear | None, b: _Linear | None) -> _Linear | None:
    if a is None or b is None:
        return None
    if op != "mul":
        return a.plus(b, 1 if op == "add" else -1)
    if b.loops or b.fixed:
        a, b = b, a
    return None if b.loops or b.fixed else _Linear().plus(a, b.const)


def conflict(first: Element, second: Element, common: tuple[Loop, ...], stale: bool) -> bool:
    """Whether `first` at a point r' of the loops `common` may be what `second` is at a point r before r' (if `stale`:
    before or equal). With no common loops: at any points at all."""
    if first.item is not None and second.item is not None and first.item != second.item:
        return False
    distances: dict[Loop, int] = {}
    for a, b in zip(first.indices, second.indices, strict=True):
        x, y = linear(a), linear(b)
        if x is None or y is None:
            continue
        if _never_meet(x, y):
            return False
        found = _distance(x, y, common)
        if found is not None and distances.setdefault(*found) != found[1]:
            return False
    for loop in common:
        if loop not in distances or distances[loop] > 0:
            return True
        if distances[loop] < 0:
            return False
    return stale or not common


def same_element(a: Element, b: Element) -> bool:
    """Whether both are the same element at each point."""
    pairs = [(linear(x), linear(y)) for x, y in zip(a.indices, b.indices, strict=True)]
    return a.item == b.item and all(x is not None and x == y for x, y in pairs)


def _never_meet(x: _Linear, y: _Linear) -> bool:
    """Whether x at one point and y at another are never equal: by divisibility, or by their ranges."""
    if x.fixed != y.fixed:
        return False
    const = x.const - y.const
    step = gcd(*x.loops.values(), *y.loops.values())
    if const % step if step else const:
        return True
    (lo, hi), (low, high) = _range(x), _range(y)
    return hi < low or high < lo


def _range(x: _Linear) -> tuple[float, float]:
    lo: float = x.const
    hi: float = x.const
    for (rdom, axis), c in x.loops.items():
        first, n = rdom.axes[axis]
        start = first.value if isinstance(first, Literal) else None
        low = -inf if start is None else start
        high = inf if start is None or not isinstance(n, Literal) else start + max(n.value - 1, 0)
        lo, hi = lo + min(c * low, c * high), hi + max(c * low, c * high)
    return lo, hi


def _distance(x: _Linear, y: _Linear, common: Any) -> tuple[Loop, int] | None:
    """The loop and the distance r' - r at which x(r') == y(r), where there is just one (x in r', y in r)."""
    if x.fixed != y.fixed or x.loops != y.loops or len(x.loops) != 1:
        return None
    ((loop, c),) = x.loops.items()
    return (loop, (y.const - x.const) // c) if loop in common else None
