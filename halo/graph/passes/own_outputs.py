"""Own outputs: each result of the program is memory of its own; one that is an input, a constant or another result is copied."""

from __future__ import annotations

from dataclasses import replace

from halo import nn

from ..ir import Call, Expr, Function, If, Item, Loop, Tuple
from ..module import Module, in_bodies


def own_outputs(m: Module) -> Module:
    return in_bodies(m, _owned)


def _owned(f: Function) -> Function:
    seen: set[tuple[int, int]] = set()

    def own(e: Expr) -> Expr:
        made = isinstance(e, (Call, If, Loop)) or (isinstance(e, Item) and isinstance(e.value, (If, Loop)))
        key = (id(e.value), e.index) if isinstance(e, Item) else (id(e), 0)
        if not made or key in seen:
            return nn.identity(e)  # type: ignore[no-any-return]  # operators take and give tensors and expressions
        seen.add(key)
        return e

    outputs = tuple(map(own, f.outputs))
    return replace(f, body=Tuple(outputs) if isinstance(f.body, Tuple) else outputs[0])
