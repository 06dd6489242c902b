"""If, Loop and Scan: nodes with graphs inside, which read the values around them by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from halo import nn
from halo.errors import ArgumentError, here
from halo.ir.shapes import DimExpr

from ..control import if_, loop
from ..ir import Constant, Expr
from ..passes.fold_constants import value_of
from ..shape_arithmetic import shape_vector, values

__all__ = ["CONTROL", "Scope", "graphs_in"]


class Scope(Protocol):
    """What is known where a node stands: an importer."""

    opset: int
    values: dict[str, Expr]
    given: Mapping[str, Any]

    def graph(self, graph: Any, known: Mapping[str, Expr]) -> tuple[Expr, ...]:
        """The outputs of a graph inside, over `known` by name."""

    def unique(self, name: str) -> str:
        """`name`, or one like it, that no other node of the model has."""


def graphs_in(n: Any) -> Iterator[Any]:
    """The graphs that are attributes of node `n`."""
    for a in n.attribute:
        if a.type == a.GRAPH:
            yield a.g
        elif a.type == a.GRAPHS:
            yield from a.graphs


def _free(graph: Any) -> dict[str, None]:
    """The names that `graph` reads and does not make."""
    own = {v.name for v in (*graph.input, *graph.initializer)} | {t.values.name for t in graph.sparse_initializer}
    found: dict[str, None] = {}
    for n in graph.node:
        for name in (*n.input, *(name for inner in graphs_in(n) for name in _free(inner))):
            if name and name not in own:
                found[name] = None
        own |= set(n.output)
    for v in graph.output:
        if v.name not in own:
            found[v.name] = None
    return found


def _captured(scope: Scope, graphs: Sequence[Any]) -> tuple[dict[str, Expr], dict[str, Expr]]:
    """What `graphs` read of outside, by name: that which is known before a call, and the arguments."""
    known: dict[str, Expr] = {}
    args: dict[str, Expr] = {}
    for name in (name for g in graphs for name in _free(g)):
        e = scope.values.get(name)
        if e is not None:
            constant = _known(scope, e)
            if constant is not None:
                known[name] = constant
            else:
                args[name] = e
    return known, args


def _known(scope: Scope, e: Expr) -> Expr | None:
    """`e` without parameters of the program, if shapes and what is given decide it."""
    if isinstance(e, Constant):
        return e
    if isinstance(e.type, tuple) or e.type.dtype.is_float:
        return None
    entries = values(e)
    if entries is not None and (
        e.type.dtype.name == "i64" or not any(isinstance(v, DimExpr) for v in entries.reshape(-1))
    ):
        if e.type.dtype.name == "i64":
            return shape_vector(tuple(entries.reshape(-1)), entries.shape)
        return Constant(entries.astype(e.type.dtype.dtype))
    found = value_of(e, scope.given) if scope.given else None
    return None if found is None else Constant(found)


def _value(scope: Scope, e: Expr | None) -> Expr | None:
    found = None if e is None else _known(scope, e)
    return e if found is None else found


def _if(scope: Scope, n: Any, inputs: Sequence[Expr | None], attrs: Mapping[str, Any]) -> tuple[Expr, ...]:
    branches = [attrs["then_branch"], attrs["else_branch"]]
    condition = _value(scope, inputs[0])
    assert condition is not None
    if isinstance(condition, Constant) and condition.data.size == 1:
        return scope.graph(branches[0 if condition.data.item() else 1], scope.values)
    known, args = _captured(scope, branches)

    def branch(graph: Any) -> Callable[..., tuple[Expr, ...]]:
        return lambda *own: scope.graph(graph, {**known, **dict(zip(args, own, strict=True))})

    return if_(condition, list(args.values()), branch(branches[0]), branch(branches[1]), _stem(scope, n))


def _loop(scope: Scope, n: Any, inputs: Sequence[Expr | None], attrs: Mapping[str, Any]) -> tuple[Expr, ...]:
    graph = attrs["body"]
    trip, condition = _value(scope, inputs[0]), _value(scope, inputs[1] if len(inputs) > 1 else None)
    carried = [e for e in inputs[2:] if e is not None]
    if len(graph.input) != len(carried) + 2 or len(graph.output) <= len(carried):
        raise ArgumentError(f"its body takes {len(graph.input)} values and gives {len(graph.output)}, which does not fit "
                            f"{len(carried)} carried ones", loc=here())  # fmt: skip
    known, args = _captured(scope, [graph])
    names = [v.name for v in graph.input]

    def body(i: Expr, *own: Expr) -> tuple[Expr | None, Sequence[Expr], Sequence[Expr]]:
        states, more = own[: len(carried)], own[len(carried) :]
        inside = {**known, **dict(zip(args, more, strict=True)), names[0]: i, names[1]: Constant(np.array(True))}
        again, *rest = scope.graph(graph, inside | dict(zip(names[2:], states, strict=True)))
        return _value(scope, again), rest[: len(carried)], rest[len(carried) :]

    return loop(trip, condition, carried, list(args.values()), body, _stem(scope, n))


def _scan(scope: Scope, n: Any, inputs: Sequence[Expr | None], attrs: Mapping[str, Any]) -> tuple[Expr, ...]:
    if scope.opset >= 9:
        return _scanned(scope, n, [e for e in inputs if e is not None], attrs)
    if inputs[0] is not None:
        raise ArgumentError("sequences of different lengths are not supported", loc=here())
    own = [e for e in inputs[1:] if e is not None]  # an entry of the first axis each, one after the other
    renamed = {"directions": "scan_input_directions"}
    attrs = {renamed.get(k, k): v for k, v in attrs.items()}
    known, args = _captured(scope, [attrs["body"]])

    def entry(i: Expr, *all_: Expr) -> tuple[Expr | None, Sequence[Expr], Sequence[Expr]]:
        inner = _Inside(scope, {**known, **dict(zip(args, all_[len(own) :], strict=True))})
        return None, [], _scanned(inner, n, [nn.take(x, i, axis=0) for x in all_[: len(own)]], attrs)

    trip = shape_vector((own[0].type.shape[0],), ())
    return loop(trip, None, [], [*own, *args.values()], entry, _stem(scope, n))


class _Inside:
    """A scope of other values."""

    def __init__(self, scope: Scope, values: dict[str, Expr]) -> None:
        self.opset, self.values = scope.opset, values
        self.given: Mapping[str, Any] = {}
        self.graph, self.unique = scope.graph, scope.unique


def _scanned(scope: Scope, n: Any, inputs: Sequence[Expr], attrs: Mapping[str, Any]) -> tuple[Expr, ...]:
    graph, count = attrs["body"], int(attrs["num_scan_inputs"])
    carried, read = list(inputs[: len(inputs) - count]), list(inputs[len(inputs) - count :])
    rows = len(graph.output) - len(carried)
    if not 0 < count <= len(inputs) or len(graph.input) != len(inputs) or rows < 0:
        raise ArgumentError(f"its body takes {len(graph.input)} values, and there are {len(inputs)}", loc=here())

    def given(name: str, entries: int) -> list[int]:
        found = [int(v) for v in attrs.get(name, (0,) * entries)]
        if len(found) != entries:
            raise ArgumentError(f"{name} has {len(found)} entries, not {entries}", loc=here())
        return found

    axes = [
        nn.shapes.axis_of("Scan", a, x.type.ndim) for a, x in zip(given("scan_input_axes", count), read, strict=True)
    ]
    lengths = {x.type.shape[a] for a, x in zip(axes, read, strict=True)}
    if len(lengths) > 1:
        raise ArgumentError(f"what it reads has {' and '.join(map(str, lengths))} entries", loc=here())
    (length,) = lengths
    known, args = _captured(scope, [graph])
    names = [v.name for v in graph.input]
    back = given("scan_input_directions", count)

    def body(i: Expr, *own: Expr) -> tuple[Expr | None, Sequence[Expr], Sequence[Expr]]:
        states, sources, more = own[: len(carried)], own[len(carried) : len(inputs)], own[len(inputs) :]
        last = nn.subtract(shape_vector((length - 1,), ()), i)
        parts = [nn.take(x, last if b else i, axis=a) for x, a, b in zip(sources, axes, back, strict=True)]
        inside = {**known, **dict(zip(args, more, strict=True)), **dict(zip(names, (*states, *parts), strict=True))}
        found = scope.graph(graph, inside)
        return None, found[: len(carried)], found[len(carried) :]

    found = loop(shape_vector((length,), ()), None, carried, [*read, *args.values()], body, _stem(scope, n))
    turned = given("scan_output_directions", rows)
    stacked = []
    for e, axis, b in zip(found[len(carried) :], given("scan_output_axes", rows), turned, strict=True):
        y = nn.strided_slice(e, begin=(-1,), end=(-(2**31),), axes=(0,), strides=(-1,)) if b else e
        to = nn.shapes.axis_of("Scan", axis, e.type.ndim)
        order = [*range(1, e.type.ndim)]
        order.insert(to, 0)
        stacked.append(nn.transpose(y, axes=tuple(order)) if to else y)
    return (*found[: len(carried)], *stacked)


def _stem(scope: Scope, n: Any) -> str:
    name = re.sub(r"\W+", "_", n.name or (n.output[0] if n.output else ""), flags=re.ASCII).strip("_")
    return scope.unique(name if name[:1].isalpha() else f"{n.op_type.lower()}_{name}".strip("_"))


CONTROL: dict[str, Callable[[Scope, Any, Sequence[Expr | None], Mapping[str, Any]], tuple[Expr, ...]]] = {
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
}
"""By operator: what a node with graphs inside is, of the scope that it stands in."""
