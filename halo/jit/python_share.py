"""Which subexpressions of a statement deserve a name: those used more than once, and the middles of very deep ones."""

from __future__ import annotations

from collections.abc import Container, Sequence

from ..ir.expr import Expr, Load, Read, children
from ..types import index

__all__ = ["shared"]

_SIZE, _INDEX_SIZE = 4, 9  # smaller ones are clearer written twice
_DEPTH = 40  # Python's parser nests no deeper than some 100 parentheses


def shared(roots: Sequence[Expr], known: Container[Expr]) -> list[Expr]:
    """The nodes under `roots` to name, operands first. Nodes in `known` have a name already."""
    order, uses = _census(roots, known)
    size: dict[Expr, int] = {}
    depth: dict[Expr, int] = {}
    named: list[Expr] = []
    for e in order:
        below = () if e in known else children(e)
        size[e] = 1 + (len(below) if isinstance(e, (Load, Read)) else sum(size[c] for c in below))
        depth[e] = 1 + max((depth[c] for c in below), default=0)
        enough = _INDEX_SIZE if e.type is index else _SIZE
        if (uses[e] > 1 and size[e] >= enough) or depth[e] >= _DEPTH:
            named.append(e)
            size[e] = depth[e] = 1
    return named


def _census(roots: Sequence[Expr], known: Container[Expr]) -> tuple[list[Expr], dict[Expr, int]]:
    """All nodes in post-order, and how often each is an operand or a root."""
    order: list[Expr] = []
    uses: dict[Expr, int] = {}
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        e, done = stack.pop()
        if done:
            order.append(e)
            continue
        seen = e in uses
        uses[e] = uses.get(e, 0) + 1
        if not seen:
            stack.append((e, True))
            if e not in known:
                stack.extend((c, False) for c in reversed(children(e)))
    return order, uses
