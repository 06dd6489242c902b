"""Simplify: equal calls become one; reshapes of reshapes, and those that change nothing, go."""

from __future__ import annotations

from typing import Any

from halo import nn

from ..ir import Call, Constant, Expr, Function, Module, Var, rewrite


def simplify(m: Module) -> Module:
    seen: dict[Any, Expr] = {}

    def step(e: Expr, old: Expr) -> Expr:
        if not isinstance(e, Call):
            return e
        if isinstance(e.op, nn.Op) and e.op.view:
            e = _reshaped(e)
        if not isinstance(e, Call):
            return e
        return seen.setdefault(_key(e), e)

    return m.with_main(Function(m.main.params, rewrite(m.main.body, step)))


def _reshaped(e: Call) -> Expr:
    source = e.args[0]
    while isinstance(source, Call) and isinstance(source.op, nn.Op) and source.op.view:
        source = source.args[0]
    assert source is not None
    if source.type == e.type:
        return source
    if isinstance(source, (Var, Constant, Call)) and source is not e.args[0]:
        return Call(nn.reshape, (source,), (("shape", e.type.shape),), e.name)
    return e


def _key(e: Call) -> Any:
    """Equal for equal calls of the same arguments."""
    return id(e.op), tuple(map(id, e.args)), repr(e.attributes)
