"""How large the outputs are, where the caller does not say."""

from __future__ import annotations

from collections.abc import Mapping

from ..frontend.graph import Graph, reads
from ..ir.surface import Call, Expr, Function, IndexVar, Input, Literal
from ..ir.surface_walk import base

__all__ = ["Place", "region"]

Place = tuple[str, int]  # an input's name and axis


def region(output: Function, graph: Graph) -> tuple[Place | None, ...]:
    """For each axis of `output`, the input axis whose extent it has: of the first input (in the order of `f.inputs`)
    that is subscripted by the axis's plain variable, also through producers that are read at it."""
    order = {name: k for k, name in enumerate(graph.arguments)}
    return tuple(_axis(output, v, order) for v in output.definitions.vars)


def _axis(output: Function, variable: str, order: Mapping[str, int]) -> Place | None:
    found: list[Place] = []
    seen = {(output, variable)}
    todo = [(output, variable)]
    while todo:
        f, v = todo.pop(0)
        for access in reads(f):
            target = base(access.target)
            for axis, e in enumerate(access.indices):
                if _plain(e) != v or target is f:
                    continue
                if isinstance(target, Input):
                    found.append((target.name, axis))
                elif isinstance(target, Function):
                    inner = target, target.definitions.vars[axis]
                    if inner not in seen:
                        seen.add(inner)
                        todo.append(inner)
    return min(found, key=lambda place: order[place[0]], default=None)


def _plain(e: Expr) -> str | None:
    """The variable that `e` is; `y + 0`, which an unrolled loop may write, is `y`."""
    while isinstance(e, Call) and e.op in ("add", "sub") and isinstance(e.args[1], Literal) and e.args[1].value == 0:
        e = e.args[0]
    return e.name if isinstance(e, IndexVar) else None
