"""Deinterleave: loads of every k-th element that lie side by side share dense loads, of which each is a shuffle.

img[ramp(3*i, 3, 16)], img[ramp(3*i + 1, 3, 16)], img[ramp(3*i + 2, 3, 16)]
->  shuffles of img[ramp(3*i, 1, 16)], img[ramp(3*i + 16, 1, 16)], img[ramp(3*i + 32, 1, 16)]

No element is touched outside the first and the last that one of them names.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Lin, Load, Op, Ramp, Shuffle, children
from ..ir.stmt import Evaluate, Stmt, Store
from .walk import exprs, map_exprs, map_stmt

MOST = 4  # wider apart, a gather is cheaper

Neighbours = list[tuple[int, Load]]  # and how far they are from the first


def deinterleave(s: Stmt, lanes: int) -> Stmt:
    """`lanes` f32 are a vector of the target."""
    if not isinstance(s, (Store, Evaluate)):
        return map_stmt(s, lambda t: deinterleave(t, lanes))
    shared: dict[Expr, Expr] = {}
    for together in _together(_strided(exprs(s))):
        shared.update(_shared(together, lanes))
    return map_exprs(s, lambda e: _replaced(e, shared)) if shared else s


def _strided(roots: Iterable[Expr]) -> list[Load]:
    """The loads under `roots` that always happen, and whose lanes are a small constant stride apart."""
    found: dict[Expr, None] = {}
    stack = list(roots)
    while stack:
        e = stack.pop()
        if e not in found:
            found[e] = None
            stack.extend((e.args[0], e.args[2]) if isinstance(e, Op) and e.name == "rare" else children(e))
    return [e for e in found if isinstance(e, Load) and e.pred is None and _stride(e)]


def _stride(e: Load) -> int:
    at = e.index
    if isinstance(at, Ramp) and at.base.lanes == 1 and isinstance(at.stride, Const) and 2 <= at.stride.value <= MOST:
        return int(at.stride.value)
    return 0


def _base(e: Load) -> Expr:
    assert isinstance(e.index, Ramp)
    return e.index.base


def _together(loads: list[Load]) -> Iterable[Neighbours]:
    """Loads of one buffer and stride, at constant distances less than the stride: two or more."""
    families: dict[object, Neighbours] = {}
    for load in loads:
        variable, at = _parts(_base(load))
        families.setdefault((load.buffer, load.lanes, _stride(load), variable), []).append((at, load))
    for family in families.values():
        family.sort(key=lambda near: near[0])
        while family:
            reach = family[0][0] + _stride(family[0][1])
            near = [(at, load) for at, load in family if at < reach]
            family = family[len(near) :]
            if len(near) > 1:
                yield near


def _parts(base: Expr) -> tuple[object, int]:
    """What of an index varies, and the constant that is added to it."""
    if isinstance(base, Lin):
        return base.terms, base.const
    return (None, int(base.value)) if isinstance(base, Const) else (((base, 1),), 0)


def _shared(near: Neighbours, lanes: int) -> Iterable[tuple[Load, Expr]]:
    """Each of the loads, as a shuffle."""
    (lowest, first), (highest, _) = near[0], near[-1]
    stride, n = _stride(first), first.lanes
    span = (n - 1) * stride + 1 + highest - lowest
    width = min(max(lanes * 4 // first.type.bytes, 1), span)
    starts = [min(k * width, span - width) for k in range(-(-span // width))]
    parts = tuple(
        Load(first.buffer, A.ramp(A.add(_base(first), A.const(start)), A.const(1), width)) for start in starts
    )
    for at, load in near:
        places = range(at - lowest, at - lowest + n * stride, stride)
        yield load, Shuffle(parts, tuple((p // width) * width + p - starts[p // width] for p in places))


def _replaced(e: Expr, values: dict[Expr, Expr]) -> Expr:
    memo: dict[Expr, Expr] = {}

    def visit(e: Expr) -> Expr:
        if e not in memo:
            inner = A.map_children(e, visit)
            memo[e] = values.get(e, inner)
        return memo[e]

    return visit(e)
