"""Own outputs: each result of the program is memory of its own; one that is an input, a constant or another result is copied."""

from __future__ import annotations

from halo import nn

from ..ir import Call, Expr, Function, Module, Tuple


def own_outputs(m: Module) -> Module:
    seen: set[int] = set()

    def own(e: Expr) -> Expr:
        if not isinstance(e, Call) or id(e) in seen:
            return nn.identity(e)  # type: ignore[no-any-return]  # operators take and give tensors and expressions
        seen.add(id(e))
        return e

    outputs = tuple(map(own, m.main.outputs))
    body = Tuple(outputs) if isinstance(m.main.body, Tuple) else outputs[0]
    return m.with_main(Function(m.main.params, body))
