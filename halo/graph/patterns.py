"""Patterns: what the passes that recognise something ask of expressions. `once` are the ids of those that nothing else reads."""

from __future__ import annotations

from typing import TypeGuard

from halo import nn

from .ir import Call, Constant, Expr, walk

__all__ = ["channels_of", "factors", "inside", "is_call", "number", "of_constants"]


def is_call(e: Expr, op: nn.Op, once: set[int]) -> TypeGuard[Call]:
    return isinstance(e, Call) and e.op is op and id(e) in once


def of_constants(root: Expr) -> set[int]:
    """The ids of what follows from constants alone."""
    found: set[int] = set()
    for e in walk(root):
        if isinstance(e, Constant) or (isinstance(e, Call) and e.children and all(id(c) in found for c in e.children)):
            found.add(id(e))
    return found


def channels_of(e: Call) -> int | None:
    """The axis of the channels of what a layer with weights makes; None for other operators, and for blocks."""
    if e.op in (nn.conv, nn.conv_transpose):
        return 1
    if e.op is nn.dense and e.attrs["kernel_layout"] == "OI":
        return len(e.type.shape) - 1
    if e.op is not nn.conv2d or len(e.attrs["layout"]) != 4 or e.attrs["out_layout"] not in ("", e.attrs["layout"]):
        return None
    return str(e.attrs["layout"]).index("C")


def number(e: Expr) -> float | None:
    """The one entry of a constant."""
    return float(e.data.item()) if isinstance(e, Constant) and e.data.size == 1 else None


def inside(e: Expr, op: nn.Op, value: float, once: set[int]) -> Expr | None:
    """`x` where `e` is `op(x, value)`, or the other way round."""
    if is_call(e, op, once):
        for x, c in (e.children, e.children[::-1]):
            if number(c) == value and x.type == e.type:
                return x
    return None


def factors(e: Expr, once: set[int]) -> tuple[float, list[Expr]]:
    """The number and the values that `e` is the product of: itself, for what is none. Values have the type of `e`."""
    scale, found, todo = 1.0, list[Expr](), [(e, True)]
    while todo:
        x, is_open = todo.pop()
        if isinstance(x, Call) and is_open and x.op in (nn.multiply, nn.divide):
            a, b = x.children
            n, m = number(a), number(b)
            if m is not None and a.type == e.type and (x.op is nn.multiply or m != 0):
                scale = scale * m if x.op is nn.multiply else scale / m
                todo.append((a, id(a) in once))
                continue
            if n is not None and x.op is nn.multiply and b.type == e.type:
                scale *= n
                todo.append((b, id(b) in once))
                continue
            if x.op is nn.multiply and a.type == b.type == e.type:
                todo += [(a, id(a) in once), (b, id(b) in once)]
                continue
        found.append(x)
    return scale, found
