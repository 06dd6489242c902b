"""Tensorize: loops that an intrinsic replaces become one store of what the instruction gives.

    for xi in 0..16: for k in 0..4: f[x + xi] += i32(a[k])*i32(b[4*xi + k])    ->    f[ramp(x, 1, 16)] =
                                     dot(f[ramp(x, 1, 16)], broadcast(a[ramp(0, 1, 4)], 16), b[ramp(0, 1, 64)])

Tiles that were cut, and those of a target without the instruction, run in lanes as far as they are independent.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Instruction
from ..ir.facts import free_vars
from ..ir.intrinsic import Meaning
from ..ir.stmt import For, If, Stmt, Store
from .match import Fit, Tile, fit, tile_of
from .vectorize import LIMIT, Lanes, NotInLanes
from .walk import map_stmt

__all__ = ["tensorize"]


def tensorize(s: Stmt) -> Stmt:
    if not (isinstance(s, For) and s.intrinsic is not None):
        return map_stmt(s, tensorize)
    done = None if s.intrinsic.code is None else _instruction(s)
    return _plain(s) if done is None else done


def _instruction(s: For) -> Stmt | None:
    """One instruction for all of the tile `s`, or None if it is not whole."""
    tile, meaning = tile_of(s), s.intrinsic.intrinsic.meaning
    if not isinstance(tile, Tile) or not isinstance(tile.store, Store):
        return None
    inside = {loop.var for loop in tile.loops}
    conditions = (*tile.conditions, *tile.tail)
    if any(not inside.isdisjoint(free_vars(c)) for c in conditions):
        return None
    found = fit(tile, meaning)
    if not isinstance(found, Fit) or any(not isinstance(loop.extent, Const) for loop in tile.loops):
        return None
    try:
        stored = _stored(tile, meaning, found, s)
    except NotInLanes:
        return None
    return If(A.all_of(conditions), stored) if conditions else stored


def _stored(tile: Tile, m: Meaning, found: Fit, s: For) -> Store:
    assert isinstance(tile.store, Store)
    own = [found.loops[v] for v in m.vars]
    operands = tuple(in_lanes(found.operands[o], [found.loops[v] for v in o.indices]) for o in m.operands)
    args = (in_lanes(tile.own, own), *operands) if m.accumulates else operands
    lanes = 1
    for v in m.vars:
        lanes *= m.extents[v]
    value = Instruction(s.intrinsic.code, args, tile.value.type, lanes)
    return Store(tile.store.buffer, in_lanes(tile.indices[0], own), value)


def in_lanes(e: Expr, loops: Sequence[For]) -> Expr:
    """`e` in a lane for each iteration of `loops`, the innermost one's next to each other."""
    for loop in reversed(loops):
        assert isinstance(loop.extent, Const)
        e = Lanes(loop.var, loop.lo, loop.extent.value).wide(e)
    return e


def _plain(s: For) -> Stmt:
    """The loops as they are: independent ones in lanes."""
    tile = tile_of(s)
    stored = free_vars(tile.indices[0]) if isinstance(tile, Tile) else frozenset[Expr]()
    lanes = 1

    def visit(s: Stmt) -> Stmt:
        nonlocal lanes
        if isinstance(s, For) and s.kind == "tensorize":
            wide = s.var in stored and isinstance(s.extent, Const) and lanes * s.extent.value <= LIMIT
            lanes *= s.extent.value if wide and isinstance(s.extent, Const) else 1
            s = s.replace(kind="vectorize" if wide else "serial", intrinsic=None)
        return map_stmt(s, visit)

    return visit(s)
