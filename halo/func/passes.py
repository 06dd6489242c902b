"""The compiler at work: the nest after every pass, what a pass changed, and how long it took."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError, here
from ..ir.node import interning
from ..ir.pipeline import Lowered
from ..ir.text import to_text
from ..jit.target import Target, as_target
from ..lowering import PASSES, Pass, State
from ..timing import Stopwatch
from .inspect import typed_call
from .program import Program
from .runnable import Runnable
from .signature import Signature

__all__ = ["Passes", "observed", "passes"]


class Passes:
    """What each pass of the compiler makes of a pipeline. Prints as a table: pass, milliseconds, lines, what it is for.

    `timings` has the seconds of each pass, in their order, `texts` the nests that they leave.
    """

    def __init__(self, texts: Mapping[str, str], timings: Mapping[str, float]) -> None:
        self.texts, self.timings = dict(texts), dict(timings)

    def after(self, name: str) -> str:
        """The nest as pass `name` leaves it. ArgumentError if there is no such pass, or no nest yet."""
        if name not in self.texts:
            raise ArgumentError(f"no pass that leaves a nest is called {name!r}", legal=tuple(self.texts), loc=here())
        return self.texts[name]

    def diff(self, name: str) -> str:
        """What pass `name` changed, as a unified diff; empty if nothing."""
        after, names = self.after(name), list(self.texts)
        k = names.index(name)
        before = self.texts[names[k - 1]] if k else ""
        lines = difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"before {name}", f"after {name}", "", "", 3, ""
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        says = {p.name: p.says for p in PASSES}
        return "\n".join(
            f"{name:<14} {seconds * 1e3:8.1f} ms  {len(self.texts.get(name, '').splitlines()):5} lines  {says[name]}"
            for name, seconds in self.timings.items()
        )


def passes(r: Runnable, args: tuple[Any, ...], types: Mapping[str, Any], target: Target | None) -> Passes:
    program, s = typed_call(r, args, types)
    with interning():
        return observed(program, s, target)[0]


def observed(program: Program, s: Signature, target: Target | None) -> tuple[Passes, Lowered]:
    """What each pass makes of the program for the types `s`, and what comes of it. Inside `interning()`."""
    texts: dict[str, str] = {}
    watch = Stopwatch()

    def observe(step: Pass, state: State) -> None:
        watch.lap(step.name)
        if state.stmt is not None:
            texts[step.name] = to_text(state.stmt)
        watch.pause()

    p = program.typed(s, target)
    watch.pause()
    low = program.variant(p, program.schedule(), as_target(target), "fast", observe)
    return Passes(texts, watch.laps), low
