"""ONNX's own definitions of operators: what a node must have."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halo.errors import ArgumentError, here

__all__ = ["check_node", "schema_of"]

ANY = 2**31 - 1  # ONNX's count of inputs or outputs without a limit


@dataclass(frozen=True)
class _Wanted:
    """How many inputs and outputs a node has, from the least to the most, and its attributes by name."""

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    attributes: Mapping[str, Any]
    required: frozenset[str]


def schema_of(n: Any, opset: int) -> Any:
    """ONNX's definition of the operator of node `n`; None where there is none."""
    from onnx import defs

    try:
        return defs.get_schema(n.op_type, opset, "" if n.domain == "ai.onnx" else n.domain)
    except defs.SchemaError:
        return None


def check_node(n: Any, opset: int) -> None:
    """The inputs and outputs of a node are as many as ONNX defines, and its attributes numbers, lists, texts, ... as they are
    there, with none left out that has no default. Raises ArgumentError."""
    wanted = _wanted(n.op_type, opset, n.domain)
    if wanted is None:
        return
    for what, given, (least, most) in (("input", n.input, wanted.inputs), ("output", n.output, wanted.outputs)):
        if not least <= len(given) <= most:
            raise ArgumentError(f"it has {_counted(len(given), what)}, and ONNX's {_range(least, most)}", loc=here())
    for a in n.attribute:
        kind = wanted.attributes.get(a.name)
        if kind is not None and a.type != kind.value:
            found = a.AttributeType.Name(a.type) if a.type in a.AttributeType.values() else "of no kind"
            raise ArgumentError(f"its attribute {a.name} is {found}, and ONNX's is {kind.name}", loc=here())
    if absent := sorted(wanted.required.difference(a.name for a in n.attribute)):
        raise ArgumentError(f"it has no attribute {absent[0]}, which ONNX's must have", loc=here())


@functools.cache
def _wanted(op: str, opset: int, domain: str) -> _Wanted | None:
    from onnx import NodeProto

    schema = schema_of(NodeProto(op_type=op, domain=domain), opset)
    if schema is None:
        return None
    attributes = schema.attributes
    return _Wanted((schema.min_input, schema.max_input), (schema.min_output, schema.max_output),
                   {name: a.type for name, a in attributes.items()},
                   frozenset(name for name, a in attributes.items() if a.required))  # fmt: skip


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _range(least: int, most: int) -> str:
    if most >= ANY:
        return f"{least} or more"
    return f"{least}" if least == most else f"{least} to {most}"
