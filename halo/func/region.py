"""How large the outputs are, where the caller does not say."""

from __future__ import annotations

from ..frontend.graph import Graph, input_along
from ..ir.surface import Function

__all__ = ["Place", "region"]

Place = tuple[str, int]  # an input's name and axis


def region(output: Function, graph: Graph) -> tuple[Place | None, ...]:
    """For each axis of `output`, the input axis whose extent it has."""
    return tuple(input_along(output, v, graph) for v in output.definitions.vars)
