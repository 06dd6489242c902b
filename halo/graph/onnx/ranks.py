"""Ranks: how many axes values of a graph have at the most, where the model declares what follows from them."""

from __future__ import annotations

from typing import Any

__all__ = ["declared_ranks"]

ALIKE = frozenset((
    "Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Log", "Mul", "Neg", "Not", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Softplus", "Sqrt", "Sub",
    "Tanh",
))  # fmt: skip
"""Operators whose results have as many axes as the argument that has most."""


def declared_ranks(graph: Any) -> dict[str, int]:
    """The most axes of values, by name: of those with a declared shape as many as it has, of what elementwise operators make
    such a value from no more than that."""
    found = {
        v.name: len(v.type.tensor_type.shape.dim)
        for v in (*graph.value_info, *graph.output)
        if v.type.tensor_type.HasField("shape")
    }
    for n in reversed(graph.node):
        if n.op_type in ALIKE and n.output[0] in found:
            for name in n.input:
                found[name] = min(found.get(name, found[n.output[0]]), found[n.output[0]])
    return found
