"""`f.explore(...)`: try schedules and see at once what they do. The state is `f.schedule()` itself; what is shown is data.

e = f.explore(img=photo)
e.steps                 the lines that could come next, legal or not, with the reason
e.apply(e.steps[3])     one of them, or any line of your own: applied, compiled, timed
e.undo(); e.goto(2)     every state is kept, as a tree
e.code                  the Python of the schedule, to copy
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, HaloError, here
from ..func.runnable import Runnable
from ..progress import in_notebook
from ..schedule.schedule import Schedule
from .report import Report, report
from .steps import Step, allowed, run, steps

__all__ = ["Explorer", "State", "explore"]

SECONDS = 0.15  # for the runs of one timing


@dataclass(frozen=True)
class State:
    """A schedule that was tried: the line that led to it from the state `parent`, and milliseconds a call."""

    number: int
    parent: int | None
    code: str
    schedule: Schedule
    milliseconds: float


class Explorer:
    """A pipeline on given inputs, the schedules that were tried on it, and what could be tried next."""

    def __init__(self, f: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], out: Any, shape: Any) -> None:
        self.f, self._args, self._inputs, self._shape = f, args, dict(inputs), shape
        result = f(*args, out=out, shape=shape, **inputs)
        self._out = result if out is None else out
        self.states: list[State] = []
        self.current: State = self._record(None, "as it was")
        self._steps: tuple[Step, ...] | None = None
        self._checked = 0
        self._stage = ""
        self.reports: dict[int, Report] = {}
        self._loops: dict[Schedule, str] = {}
        self.widget: Any = None
        if in_notebook():  # what it is shown with is there when it is shown
            self.loops()
            with contextlib.suppress(ImportError):
                from . import widget  # noqa: F401  (loaded, for later)

    def _call(self) -> Any:
        return self.f(*self._args, out=self._out, shape=self._shape, **self._inputs)

    def _record(self, parent: int | None, code: str) -> State:
        state = State(len(self.states), parent, code, self.f.schedule(), self._time())
        self.states.append(state)
        return state

    def _time(self) -> float:
        self._call()
        best, start = float("inf"), time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            before = time.perf_counter()
            self._call()
            best = min(best, time.perf_counter() - before)
        return best * 1e3

    # What could come next ----------------------------------------------------------------------------------------------

    @property
    def steps(self) -> tuple[Step, ...]:
        """The lines that could come next: all suggestions, those that are refused with the reason."""
        self.check()
        assert self._steps is not None
        return self._steps

    def check(self, count: int | None = None) -> bool:
        """Ask the nest about the next `count` suggestions (all, if it is left out). False when all are known."""
        if self._steps is None:
            self._steps, self._checked = tuple(steps(self.f, self.loops(), self._stage)), 0
        end = len(self._steps) if count is None else min(self._checked + count, len(self._steps))
        known = tuple(allowed(self.f, s) for s in self._steps[self._checked : end])
        self._steps = (*self._steps[: self._checked], *known, *self._steps[end:])
        self._checked = end
        return end < len(self._steps)

    @property
    def suggested(self) -> tuple[Step, ...]:
        """The same, as far as is known by now."""
        self.check(0)
        assert self._steps is not None
        return self._steps

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that have suggestions."""
        return tuple(name for name, g in self.f.program().stages().items() if hasattr(g, "definitions"))

    def look_at(self, stage: str = "") -> None:
        """Have suggestions for one stage only; for all, if none is named. ArgumentError for what is no stage."""
        if stage and stage not in self.stages:
            raise ArgumentError(f"there is no stage {stage!r}", loc=here(), legal=self.stages)
        self._stage, self._steps = stage, None

    # Doing it ----------------------------------------------------------------------------------------------------------

    def apply(self, step: Step | str) -> State:
        """Run a line that gives directives, compile and time. What is refused raises its HaloError and changes nothing."""
        code = step.code if isinstance(step, Step) else step
        before = self.f.schedule()
        try:
            run(self.f, code)
            state = self._record(self.current.number, code)
        except HaloError:
            self.f.apply(before)
            raise
        self.current, self._steps = state, None
        return state

    def undo(self) -> State:
        """Back to the state that the present one came from. ArgumentError at the first one."""
        if self.current.parent is None:
            raise ArgumentError("there is nothing to undo", loc=here())
        return self.goto(self.current.parent)

    def goto(self, number: int) -> State:
        """To any state that was there before; the others are kept."""
        if not 0 <= number < len(self.states):
            raise ArgumentError(
                f"there is no state {number}", loc=here(), legal=tuple(map(str, range(len(self.states))))
            )
        self.current, self._steps = self.states[number], None
        self.f.apply(self.current.schedule)
        return self.current

    # Looking at it -----------------------------------------------------------------------------------------------------

    @property
    def code(self) -> str:
        """The Python that gives the present schedule again."""
        return str(self.f.schedule())

    def loops(self) -> str:
        """The nest of the present schedule as text, made once."""
        schedule = self.f.schedule()
        if schedule not in self._loops:
            self._loops[schedule] = self.f.loops()
        return self._loops[schedule]

    def report(self) -> Report:
        """What the present schedule costs, stage by stage, and how far from the roof that is; `reports` has those that were
        made, by the number of the state."""
        found = report(self.f, self._args, self._inputs, self._out, self._shape)
        self.reports[self.current.number] = found
        return found

    def report_before(self) -> Report | None:
        """That of the nearest of the states that the present one came from, of which there is one."""
        number = self.current.parent
        while number is not None and number not in self.reports:
            number = self.states[number].parent
        return None if number is None else self.reports[number]

    def tree(self) -> Iterator[tuple[State, int]]:
        """The states, each followed by those that came from it, and how many steps lead to it."""

        def below(state: State, depth: int) -> Iterator[tuple[State, int]]:
            yield state, depth
            for child in self.states:
                if child.parent == state.number:
                    yield from below(child, depth + 1)

        return below(self.states[0], 0)

    def history(self) -> str:
        """The states as a tree of text, the present one marked."""
        return "\n".join(
            f"{'->' if s is self.current else '  '} {s.number:>2}  {s.milliseconds:8.3f} ms  {'  ' * depth}{s.code}"
            for s, depth in self.tree()
        )

    def __repr__(self) -> str:
        legal = [f"  {s.code}" for s in self.steps if s.legal]
        refused = [f"  {s.code}   # {s.reason}" for s in self.steps if not s.legal]
        parts = (self.history(), self.loops(), "next:", *legal, "refused:" if refused else "", *refused)
        return "\n".join(p for p in parts if p)

    def _repr_html_(self) -> str:
        from .reprs import snapshot

        return snapshot(self.loops(), self.f.measured(), self.history(), self.code)

    def _repr_mimebundle_(self, **_: Any) -> Any:
        """The widget where there is anywidget (the extra `notebook`), and in any case the snapshot that a saved notebook
        keeps."""
        still = {"text/plain": self.history(), "text/html": self._repr_html_()}
        widget = self._live()
        if widget is None:
            return still
        live = widget._repr_mimebundle_() or {}
        data, metadata = live if isinstance(live, tuple) else (live, {})
        return {**data, **still}, metadata

    def _display_(self) -> Any:
        """What marimo shows: of a bundle it would take the snapshot."""
        return self._live() or self

    def _live(self) -> Any:
        """The widget, None without anywidget."""
        try:
            from .widget import ExplorerWidget
        except ImportError:
            return None
        self.widget = self.widget or ExplorerWidget(self)
        return self.widget


def explore(f: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], out: Any, shape: Any) -> Explorer:
    return Explorer(f, args, inputs, out, shape)
