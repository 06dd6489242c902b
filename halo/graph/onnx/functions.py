"""Function bodies: what an operator without an adapter is made of, by the model or by ONNX's own definition of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from halo.types import as_type

from ..ir import Expr
from .control import CONTROL, graphs_in
from .node import adapter_of
from .schemas import schema_of

__all__ = ["DEEPEST", "body_of", "bound", "defaults", "full_name", "missing", "type_proto"]

DEEPEST = 32  # bodies within bodies


def full_name(n: Any) -> str:
    return n.op_type if n.domain in ("", "ai.onnx") else f"{n.domain}.{n.op_type}"


def body_of(n: Any, opset: int, functions: Mapping[tuple[str, str], Any], types: Any = None) -> Any:
    """The FunctionProto of node `n` in `opset`; None if there is none. `types`: of its inputs, where the body is made for
    them (None: only whether there is one is asked)."""
    local = functions.get((n.domain, n.op_type))
    if local is not None:
        return local
    schema = schema_of(n, opset)
    if schema is None:
        return None
    if schema.has_function:
        return _newest(schema.function_opset_versions, opset, schema.get_function_with_opset_version)
    if schema.has_context_dependent_function:
        if types is None:
            return schema
        get = schema.get_context_dependent_function_with_opset_version
        call, own = n.SerializeToString(), [t.SerializeToString() for t in types]
        return _newest(schema.context_dependent_function_opset_versions, opset, lambda v: get(v, call, own))
    return None


def defaults(n: Any, opset: int) -> list[Any]:
    """The attributes that ONNX's definition of node `n` gives a value to, where it has a definition."""
    schema = schema_of(n, opset)
    return [] if schema is None else [a.default_value for a in schema.attributes.values() if a.default_value.name]


def _newest(versions: Any, opset: int, get: Any) -> Any:
    import onnx

    found = [v for v in versions if v <= opset] or [min(versions)]
    return onnx.FunctionProto.FromString(get(max(found)))


def type_proto(e: Expr | None) -> Any:
    """The type of an expression, as ONNX writes it."""
    import onnx

    if e is None:
        return onnx.TypeProto()
    number = onnx.helper.np_dtype_to_tensor_dtype(as_type(e.type.dtype).dtype)
    return onnx.helper.make_tensor_type_proto(number, [n if isinstance(n, int) else str(n) for n in e.type.shape])


def bound(nodes: Any, attributes: Mapping[str, Any]) -> Iterator[Any]:
    """The nodes of a body with the attributes of the call in place of their names; one that is not given is left out."""
    import onnx

    for n in nodes:
        made = onnx.NodeProto()
        made.CopyFrom(n)
        del made.attribute[:]
        for a in n.attribute:
            if a.ref_attr_name:
                if a.ref_attr_name in attributes:
                    one = onnx.AttributeProto()
                    one.CopyFrom(attributes[a.ref_attr_name])
                    one.name = a.name
                    made.attribute.append(one)
                continue
            one = made.attribute.add()
            one.CopyFrom(a)
            for graph in (one.g, *one.graphs) if a.type in (a.GRAPH, a.GRAPHS) else ():
                inner = list(bound(graph.node, attributes))
                del graph.node[:]
                graph.node.extend(inner)
        yield made


def missing(nodes: Any, opset: int, functions: Mapping[tuple[str, str], Any]) -> dict[str, int]:
    """How many nodes of each operator have neither an adapter nor a body."""
    found: dict[str, int] = {}
    todo = list(nodes)
    while todo:
        n = todo.pop()
        name = full_name(n)
        todo += [inner for graph in graphs_in(n) for inner in graph.node]
        if name not in CONTROL and adapter_of(name, opset) is None and body_of(n, opset, functions) is None:
            found[name] = found.get(name, 0) + 1
    return found
