"""The nest of a Func after a pass, as text."""

from __future__ import annotations

import halo
from halo.func.signature import signature
from halo.ir.node import interning
from halo.ir.text import to_text
from halo.lowering import Pass, State
from halo.types import Type


def after(f: halo.Func, name: str, **types: Type) -> str:
    """The statement of `f`, lowered for the element types `types` of its inputs, as pass `name` leaves it."""
    return stages(f, **types)[name]


def stages(f: halo.Func, **types: Type) -> dict[str, str]:
    """The text after every pass that has a statement to show."""
    found: dict[str, str] = {}

    def observe(step: Pass, state: State) -> None:
        if state.stmt is not None:
            found[step.name] = to_text(state.stmt)

    program = f.program(types)
    with interning():
        program.lowered(signature(program.arguments, types, types=True), observe=observe)
    return found
