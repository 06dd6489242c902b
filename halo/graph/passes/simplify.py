"""Simplify: equal calls become one, as do small constants; reshapes of reshapes, and reshapes, slices, casts and
arithmetic that change nothing, go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from halo import nn

from ..ir import Call, Constant, Expr, Function, Item, rewrite
from ..module import Module, in_bodies

UNITS = {nn.multiply: 1, nn.divide: 1, nn.subtract: 0, nn.power: 1}  # as second arguments; -0 + 0 is not -0
SMALL = 64  # bytes: the numbers that operators are made with


def simplify(m: Module) -> Module:
    return in_bodies(m, _simplified)


def _simplified(f: Function) -> Function:
    seen: dict[Any, Expr] = {}

    def step(e: Expr, old: Expr) -> Expr:
        if isinstance(e, Item):
            return seen.setdefault((id(e.value), e.index), e)
        if isinstance(e, Constant) and e.data.nbytes <= SMALL:
            return seen.setdefault((e.type, e.data.tobytes()), e)
        if not isinstance(e, Call):
            return e
        if isinstance(e.op, nn.Op) and e.op.view:
            e = reshaped(e.children[0], e.type.shape, e.name)
        elif (x := _unchanged(e)) is not None:
            e = x
        return seen.setdefault(_key(e), e) if isinstance(e, Call) else e

    return replace(f, body=rewrite(f.body, step))


def reshaped(e: Expr, shape: tuple[Any, ...], name: str = "") -> Expr:
    """`e` in another shape: of what was reshaped before, only once."""
    while isinstance(e, Call) and isinstance(e.op, nn.Op) and e.op.view:
        e = e.children[0]
    return e if e.type.shape == shape else Call(nn.reshape, (e,), (("shape", shape),), name)


def _unchanged(e: Call) -> Expr | None:
    """The argument that `e` is: of a cast to the type that there is, a slice that leaves out nothing, a product with 1."""
    if e.op in UNITS:
        for x, by in (e.children, e.children[::-1]) if e.op is nn.multiply else (e.children,):
            if x.type == e.type and isinstance(by, Constant) and by.data.size == 1 and by.data.item() == UNITS[e.op]:
                return x
    elif e.op in (nn.cast, nn.strided_slice) and e.type == e.children[0].type:
        whole = e.op is nn.cast or all(step == 1 for step in e.attrs["strides"] or ())
        return e.children[0] if whole else None
    return None


def _key(e: Call) -> Any:
    """Equal for equal calls of the same arguments."""
    return id(e.op), tuple(map(id, e.args)), repr(e.attributes)
