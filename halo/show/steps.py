"""What one could do next to a schedule: every directive's suggestions, as lines of Python, with why some are not legal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import HaloError
from ..func.inspect import check_places
from ..jit.target import Target as Machine
from ..schedule.directive import Around, Directive, Stage, Target, registry

__all__ = ["Step", "allowed", "steps"]


@dataclass(frozen=True)
class Step:
    """One line of Python that gives a directive. `reason`: why it is refused, empty if it is legal as far as is known."""

    code: str
    reason: str = ""

    @property
    def legal(self) -> bool:
        """Whether nothing refuses it, as far as is known."""
        return not self.reason


def steps(f: Any, nest: str, only: str = "") -> Iterator[Step]:
    """The suggestions for all stages of the pipeline that ends in `f` (or for the one named), readers first; `nest` is
    its nest as text.

    Whether a place is round every reader the nest tells alone: `allowed` asks it.
    """
    stages = {name: g for name, g in f.program().stages().items() if hasattr(g, "definitions")}
    outputs = set(map(id, f.program().outputs))
    produced = set(re.findall(r"produce ([\w.]+):", nest))  # the others are inline and have no loops
    for name, g in stages.items():
        if only and name != only:
            continue
        readers = tuple(_readers(g, stages))
        for index in range(1 + len(g.definitions.updates)):
            loops = g.loops_of(index)
            if loops is None:
                continue
            label = name if index == 0 else f"{name}.update({index - 1})"
            stage = Stage(label, loops, g.definitions.vars)
            around = Around(() if id(g) in outputs else readers, Machine.host().vector_bits // 32)
            for cls in registry.values():
                if name in produced if cls.on == "stage" else index == 0:
                    yield from (Step(f"{label}.{d}", _refusal(d, stage)) for d in cls.suggest(stage, around))


def _readers(g: Any, stages: dict[str, Any]) -> Iterator[tuple[Target, Any]]:
    """The stages that read `g`, also through what is computed inline, with their loops."""
    from ..frontend.graph import reads
    from ..ir.surface_walk import base

    for name, h in stages.items():
        if h is not g and any(base(access.target) is g for access in reads(h)):
            for index in range(1 + len(h.definitions.updates)):
                loops = h.loops_of(index)
                if loops is not None:
                    yield Target(name, index or None), loops


def _refusal(d: Directive, stage: Stage) -> str:
    try:
        d.check(stage)
    except HaloError as error:
        return _why(error)
    return ""


def _why(error: HaloError) -> str:
    """The reason, without the directive, which the line says already."""
    return error.message.partition("): ")[2] or error.message


def allowed(f: Any, step: Step) -> Step:
    """`step` as the nest has it: tried on the pipeline, and taken back."""
    if not step.legal:
        return step
    before = f.schedule()
    try:
        run(f, step.code)
        check_places(f)
    except HaloError as error:
        return Step(step.code, _why(error))
    finally:
        f.apply(before)
    return step


def run(f: Any, code: str) -> None:
    """Execute a line that gives directives, with the names of the stages of `f`'s pipeline."""
    import halo

    exec(compile(code, "<explore>", "exec"), {"halo": halo, **f.program().stages()})
