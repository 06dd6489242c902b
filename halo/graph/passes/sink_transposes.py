"""Sink transposes: values change the order of their axes behind the operators that take any order, and there they cancel.

relu(transpose(x, [0, 2, 3, 1]))                   ->  transpose(relu(x), [0, 2, 3, 1])
transpose(transpose(x, [0, 2, 3, 1]), [0, 3, 1, 2])  ->  x

Programs with channels last, whose convolutions `expand` has made from those with channels second, become ones with channels
second throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from halo import nn
from halo.nn import Kind

from ..ir import Call, Constant, Expr, Function, rewrite
from ..module import Module, in_bodies
from .simplify import reshaped

Axes = tuple[int, ...]  # of each axis of the result, the one that it is in the argument
SMALL = 16  # times fewer entries than the result: an argument that is transposed at no cost worth naming


def sink_transposes(m: Module) -> Module:
    return in_bodies(m, _sunk_in)


def _sunk_in(f: Function) -> Function:
    made: dict[tuple[int, Axes], Expr] = {}  # transposes, one of each value

    def transposed(x: Expr, axes: Axes) -> Expr:
        x, axes = _taken_apart(x, axes)
        if axes == tuple(range(len(axes))):
            return x
        if [a for a in axes if x.type.shape[a] != 1] == [a for a in range(len(axes)) if x.type.shape[a] != 1]:
            return reshaped(x, tuple(x.type.shape[a] for a in axes))
        return made.setdefault((id(x), axes), Call(nn.transpose, (x,), (("axes", axes),), _name(x)))

    def change(e: Expr, old: Expr) -> Expr:
        if not isinstance(e, Call) or not isinstance(e.op, nn.Op) or not e.children:
            return e
        if e.op is nn.transpose:
            return transposed(e.children[0], _order(e))
        axes = next((_order(c) for c in e.children if _is_transpose(c)), None)
        return e if axes is None else _sunk(e, axes, transposed)

    return replace(f, body=rewrite(f.body, change))


def _name(x: Expr) -> str:
    return x.name if isinstance(x, Call) else ""


def _is_transpose(e: Expr) -> bool:
    return isinstance(e, Call) and e.op is nn.transpose


def _entries(e: Expr) -> int:
    return math.prod(n for n in e.type.shape if isinstance(n, int))


def _order(e: Expr) -> Axes:
    assert isinstance(e, Call)
    given = e.attrs["axes"]
    return tuple(reversed(range(e.type.ndim))) if given is None else tuple(a % e.type.ndim for a in given)


def _taken_apart(x: Expr, axes: Axes) -> tuple[Expr, Axes]:
    """What is transposed, where `x` is itself a transpose."""
    while _is_transpose(x):
        inner = _order(x)
        x, axes = x.children[0], tuple(inner[a] for a in axes)
    return x, axes


def _sunk(e: Call, axes: Axes, transposed: Callable[[Expr, Axes], Expr]) -> Expr:
    """`e`, of whose arguments some are transposed by `axes`, as a transpose of the same of what these are of."""
    ndim, back = len(axes), tuple(sorted(range(len(axes)), key=axes.__getitem__))

    def of(op_args: Any, attrs: dict[str, Any]) -> Call:
        return replace(e, args=tuple(op_args), attributes=tuple(attrs.items()))

    def alike(c: Expr | None) -> bool:
        return c is None or (_is_transpose(c) and _order(c) == axes)

    def small(c: Expr) -> bool:
        return c.type.ndim <= ndim and SMALL * _entries(c) <= _entries(e)

    def moved(c: Expr | None) -> Expr | None:
        if c is None or alike(c):
            return None if c is None else c.children[0]
        shape = (1,) * (ndim - c.type.ndim) + c.type.shape
        return transposed(reshaped(c, shape), back)

    assert isinstance(e.op, nn.Op)
    if e.op.kind <= Kind.BROADCAST and e.op.follows and e.type.ndim == ndim:
        if all(alike(c) or isinstance(c, Constant) or small(c) for c in e.children):
            return transposed(of(map(moved, e.args), e.attrs), axes)
        return e
    if not all(map(alike, e.children)):
        return e
    inner = tuple(map(moved, e.args))
    if "layout" in e.attrs and len(e.attrs["layout"]) == ndim:
        layout = "".join(e.attrs["layout"][k] for k in back)
        return transposed(of(inner, {**e.attrs, "layout": layout}), axes) if layout.startswith("NC") else e
    match e.op:
        case nn.concatenate:
            return transposed(of(inner, {"axis": axes[e.attrs["axis"] % ndim]}), axes)
        case nn.pad:
            ends = {name: tuple(e.attrs[name][k] for k in back) for name in ("before", "after")}
            return transposed(of(inner, {**e.attrs, **ends}), axes)
        case nn.strided_slice if e.attrs["axes"] is not None:
            return transposed(of(inner, {**e.attrs, "axes": tuple(axes[a % ndim] for a in e.attrs["axes"])}), axes)
        case nn.sum | nn.mean | nn.max | nn.min | nn.prod if e.attrs["axes"] is not None:
            over = {axes[a % ndim] for a in e.attrs["axes"]}
            reduced = of(inner, {**e.attrs, "axes": tuple(sorted(over))})
            if e.attrs["keepdims"]:
                return transposed(reduced, axes)
            left = [a for a in axes if a not in over]
            return transposed(reduced, tuple(sorted(left).index(a) for a in left))
    return e
