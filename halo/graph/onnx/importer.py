"""From a model file to a Module: initializers become constants, nodes what their adapters make of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from halo import nn
from halo.errors import ArgumentError, HaloError, UnknownValueError, here
from halo.ir.shapes import Dim, as_extents
from halo.nn import TensorType
from halo.nn.selection import extents_by
from halo.types import as_type

from ..arguments import by_name
from ..ir import Constant, Expr, Function, Tuple, Var, constant, from_node
from ..lets import bound_by, under
from ..module import Module
from . import adapters as _adapters  # noqa: F401  (enters them)
from .control import CONTROL
from .files import block_of, check_names, check_size, hold, read
from .functions import DEEPEST, body_of, bound, defaults, full_name, missing, type_proto
from .node import ADAPTERS, Node, adapter_of, element_type
from .ranks import declared_ranks
from .schemas import check_node

__all__ = ["from_onnx"]


def from_onnx(
    model: Any, *, shapes: Mapping[str, Any] | None = None, values: Mapping[str, Any] | None = None
) -> Module:
    """A Module that computes what an ONNX model does: `model` is a path, the bytes of a file, or an `onnx.ModelProto`.

    `shapes`: those of inputs, by name, where the model leaves them open. `values`: arrays for inputs, by name, that shapes
    and axes depend on: the program is right for these values of them only. Needs the package `onnx` (the extra `[onnx]`).
    Raises ArgumentError for what is no model, and lists all operators that are not supported at once.

    >>> import numpy as np, onnx.parser
    >>> from halo import graph
    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 18]>
    ...     g (float[2] x) => (float[2] y) { y = Relu(x) }''')
    >>> graph.from_onnx(model).compile()(x=np.array([-1, 2], np.float32))
    array([0., 2.], dtype=float32)
    """
    try:
        return _module(read(model), by_name("shapes", shapes), by_name("values", values))
    except (HaloError, OSError):
        raise
    except Exception as error:  # a damaged file gets anywhere
        raise ArgumentError(f"this is no ONNX model: {type(error).__name__}: {error}", loc=here()) from error


def _module(proto: Any, shapes: Mapping[str, Any], values: Mapping[str, Any]) -> Module:
    if not proto.graph.output:
        raise ArgumentError("this is no ONNX model: it has no outputs", loc=here())
    opsets = {o.domain: o.version for o in proto.opset_import}
    opset = min(opsets.get("", opsets.get("ai.onnx", 1)), 2**31 - 1)
    functions = {(f.domain, f.name): f for f in proto.functions}
    absent = missing(proto.graph.node, opset, functions)
    if absent:
        what = ", ".join(f"{op} ({count})" for op, count in sorted(absent.items()))
        raise ArgumentError(f"operators of this model are not supported in opset {opset}: {what}", loc=here(),
                            legal=tuple(sorted(ADAPTERS)))  # fmt: skip
    known: dict[str, int] = {}
    while True:
        try:
            return _Importer(opset, functions, shapes, values, block_of(proto), known).module(proto)
        except UnknownValueError as error:
            if error.extent is None or error.extent[0] in known:
                raise
            known.update((error.extent,))  # an axis that the file leaves open, though its weights do not


class _Importer:
    def __init__(self, opset: int, functions: Mapping[tuple[str, str], Any], shapes: Mapping[str, Any],
                 given: Mapping[str, Any], block: int, known: Mapping[str, int]) -> None:  # fmt: skip
        self.opset, self.functions, self.shapes, self.given, self.block = opset, functions, shapes, given, block
        self.known = known  # extents by what they are called that are integers
        self.values: dict[str, Expr] = {}
        self.depth = 0
        self.names: set[str] = set()  # that `unique` gave, in all of the model
        self.lets: dict[str, tuple[Dim, Expr]] = {}  # the extents that values give, by name
        self.ranks: dict[str, int] = {}  # the most axes of values that the graph tells of, by name

    def module(self, proto: Any) -> Module:
        graph = proto.graph
        self._hold(graph)
        params = tuple(self._param(v) for v in graph.input if v.name not in self.values)
        unknown = set(self.shapes) - {p.name for p in params}
        if unknown:
            raise ArgumentError(
                f"{sorted(unknown)[0]} is no input of the model", loc=here(), legal=tuple(p.name for p in params)
            )
        self.values |= {p.name: p for p in params}
        for n in graph.node:
            self._node(n)
        outputs = bound_by(self.lets, tuple(self._value(o.name, "the model") for o in graph.output))
        body = outputs[0] if len(outputs) == 1 else Tuple(outputs)
        metadata = {p.key: p.value for p in proto.metadata_props}
        made = {name: self.values[name] for n in graph.node for name in n.output if name in self.values}
        tensors = {name: e for name, e in made.items() if not isinstance(e, (Var, Constant))}
        return Module({"main": Function(params, body)}, tuple(o.name for o in graph.output), metadata, tensors)

    def _hold(self, graph: Any) -> None:
        """The constants of a graph become values, and what it says of ranks is known."""
        check_names(graph)
        self.ranks = declared_ranks(graph)
        for t in graph.initializer:
            self.values[t.name] = Constant(_numbers(hold(t), t.name), t.name)

    def graph(self, graph: Any, known: Mapping[str, Expr]) -> tuple[Expr, ...]:
        """The outputs of a graph inside of this one, over `known` by name."""
        inner = self._inside(self.opset, known)
        inner._hold(graph)
        for n in graph.node:
            inner._node(n)
        return bound_by(inner.lets, tuple(inner._value(o.name, "a graph inside") for o in graph.output))

    def _inside(self, opset: int, known: Mapping[str, Expr]) -> _Importer:
        if self.depth == DEEPEST:
            raise ArgumentError(f"graphs and functions deeper than {DEEPEST} are not supported", loc=here())
        given = self.given if known is self.values else {}
        inner = _Importer(opset, self.functions, {}, given, self.block, self.known)
        inner.depth, inner.names, inner.values = self.depth + 1, self.names, dict(known)
        return inner

    def unique(self, name: str) -> str:
        """`name`, or one like it, that was not asked for before."""
        found, k = name, 0
        while found in self.names:
            k += 1
            found = f"{name}_{k}"
        self.names.add(found)
        return found

    def _param(self, v: Any) -> Var:
        t = v.type.tensor_type
        if not v.type.HasField("tensor_type") or not t.elem_type:
            raise ArgumentError(f"the input {v.name} is no tensor", loc=here())
        shape: Any = self.shapes.get(v.name)
        if shape is None:
            shape = tuple(_extent(d, f"{v.name}_{k}") for k, d in enumerate(t.shape.dim))
        shape = tuple(self.known.get(n, n) if isinstance(n, str) else n for n in shape)
        found = TensorType(as_extents(shape) or (), element_type(t.elem_type))
        check_size(found, f"the input {v.name}")
        return Var(v.name, found)

    def _value(self, name: str, reader: str) -> Expr:
        if name not in self.values:
            raise ArgumentError(f"{reader} reads {name!r}, which nothing gives before it", loc=here())
        return self.values[name]

    def _node(self, n: Any) -> None:
        made = adapter_of(full_name(n), self.opset)
        reader = f"the {n.op_type} node {n.name or ' '.join(n.output)}"
        inputs = tuple(self._value(name, reader) if name else None for name in n.input)
        control = CONTROL.get(full_name(n))
        if made is None and control is None:
            return self._body(n, inputs)
        outputs = sum(1 for name in n.output if name)
        name = n.name or (n.output[0] if n.output else "")
        before = len(self.lets)
        rank = self.ranks.get(n.output[0]) if n.output else None

        def let(value: Expr) -> Dim:
            dim = Dim(self.unique(_identifier(f"{name}_extent")))
            self.lets[dim.name] = dim, value
            return dim

        try:
            check_node(n, self.opset)
            attrs = {a.name: _attribute(a) for a in n.attribute}
            node = Node(n.op_type, name, inputs, attrs, self.opset, outputs, self.given, let, rank, self.block)
            with from_node(name), extents_by(node.extent):
                if made is not None:
                    found = made(node)
                elif control is not None:
                    found = control(self, n, inputs, attrs)
        except HaloError as error:
            if error.message.startswith("the "):
                raise
            kind = type(error) if isinstance(error, ArgumentError) else ArgumentError
            told = kind(f"{reader}: {error.message}", loc=here(), nest=error.nest, legal=error.legal, hint=error.hint)
            if isinstance(told, UnknownValueError) and isinstance(error, UnknownValueError):
                told.extent = error.extent
            raise told from error
        except Exception as error:  # what is missing, of another kind, or too large
            raise ArgumentError(f"{reader} is damaged: {type(error).__name__}: {error}", loc=here()) from error
        results = found if isinstance(found, tuple) else (found,)
        for name, value in zip(n.output, results, strict=False):
            # what depends on constants only is an array
            e = self._decided(under(list(self.lets.values())[before:], constant(value)))
            self.values[name] = e
            check_size(e.type, reader)

    def _decided(self, e: Expr) -> Expr:
        """`e` with integers for its extents that weights decide: a call checks that they are these."""
        if not self.known or isinstance(e.type, tuple):
            return e
        shape = tuple(self.known.get(str(n), n) for n in e.type.shape)
        return e if shape == e.type.shape else nn.reshape(e, shape=shape)

    def _body(self, n: Any, inputs: tuple[Expr | None, ...]) -> None:
        """The node as what its function's body makes of its inputs."""
        function = body_of(n, self.opset, self.functions, [type_proto(e) for e in inputs])
        if function is None:
            raise ArgumentError(
                f"operators of this model are not supported in opset {self.opset}: {full_name(n)}", loc=here()
            )
        opsets = {o.domain: o.version for o in function.opset_import}
        inner = self._inside(opsets.get("", self.opset), {})
        inner.given = self.given
        inner.values = {name: e for name, e in zip(function.input, inputs, strict=False) if e is not None}
        attributes = {a.name: a for a in (*defaults(n, self.opset), *function.attribute_proto, *n.attribute)}
        for m in bound(function.node, attributes):
            kept = [name if name in inner.values or name not in function.input else "" for name in m.input]
            del m.input[:]
            m.input.extend(kept)
            inner._node(m)
        for name, result in zip(n.output, function.output, strict=False):
            if name:
                self.values[name] = inner._value(result, f"the function {function.name}")


def _identifier(text: str) -> str:
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    return name if name.isidentifier() else f"d{name}"


def _extent(d: Any, unnamed: str) -> int | str:
    """An extent of an input: one that is left open is symbolic, by its name where it has one."""
    if d.HasField("dim_value") and d.dim_value >= 0:
        return int(d.dim_value)
    return _identifier(re.sub(r"\W+", "_", d.dim_param, flags=re.ASCII).strip("_") or unnamed)


def _attribute(a: Any) -> Any:
    from onnx import helper

    value = helper.get_attribute_value(a)
    return hold(value) if hasattr(value, "raw_data") and hasattr(value, "dims") else value


def _numbers(a: Any, name: str) -> np.ndarray[Any, Any]:
    try:
        as_type(a.dtype)
    except HaloError as error:
        raise ArgumentError(
            f"the constant {name} is of {a.dtype}, which is no type of the language", loc=here()
        ) from error
    return np.asarray(a)
