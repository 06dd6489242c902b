"""Ring buffers: each iteration of the loops inside of a Hoist uses the next of its places.

    hoist f[w] ring 2: for y in 0..h: alloc f[w]: s    ->    hoist f[w] ring 2: for y in 0..h: alloc f[w] slot y % 2: s

Iterations are counted through all loops between the Hoist and the Realize: `(y - y_lo)*x_extent + x - x_lo`.
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr
from ..ir.stmt import For, Hoist, Realize, Stmt
from ..types import index
from .walk import map_stmt

Rings = dict[Array, tuple[int, Expr]]  # places, and the iterations so far of the loops inside


def ring_buffers(s: Stmt) -> Stmt:
    return _visit(s, {})


def _visit(s: Stmt, rings: Rings) -> Stmt:
    match s:
        case Hoist() if s.ring > 1:
            rings = {**rings, s.what: (s.ring, Const(0, index))}
        case For() if rings:
            rings = {a: (n, _count(before, s)) for a, (n, before) in rings.items()}
        case Realize() if s.what in rings:
            n, count = rings[s.what]
            s = s.replace(slot=A.mod(count, Const(n, index)))
    return map_stmt(s, lambda t: _visit(t, rings))


def _count(before: Expr, loop: For) -> Expr:
    """The iterations before this one of `loop`, of all loops that `before` counts and of this."""
    return A.add(A.mul(before, loop.extent), A.sub(loop.var, loop.lo))
