"""`f.profile(...)`: where the time and the memory of a call go, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from ..errors import ArgumentError, here
from ..ir.pipeline import Lowered, Pipeline
from ..jit import profile as counting
from ..jit.kernel import Instead, Kernel, compile_kernel
from ..jit.target import Target
from ..lowering.instrument import Calls, instrument
from .program import stopwatch
from .runnable import Runnable
from .running import resolved
from .signature import signature

__all__ = ["Profile", "StageProfile", "profile", "profiled"]

ENOUGH = 0.2  # seconds after which no further run is made


@dataclass(frozen=True)
class StageProfile:
    """One stage, per run: seconds of all threads together, how often it was computed, what it allocated."""

    name: str
    seconds: float
    times: float
    allocations: float
    bytes: float


@dataclass(frozen=True, repr=False)
class Profile:
    """What `f.profile(...)` found: `stages` in the order of the time they take, `seconds` from call to return."""

    stages: tuple[StageProfile, ...]
    seconds: float
    runs: int

    def __getitem__(self, name: str) -> StageProfile:
        return next(s for s in self.stages if s.name == name)

    def __iter__(self) -> Iterator[StageProfile]:
        return iter(self.stages)

    def __repr__(self) -> str:
        rows = [("stage", "ms", "%", "times", "allocations", "bytes"), *self._rows()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(t.ljust(w) if k == 0 else t.rjust(w) for k, (t, w) in enumerate(zip(row, widths, strict=True)))
                 for row in rows]  # fmt: skip
        return "\n".join(
            (*lines, f"{self.seconds * 1e3:.3f} ms a call, mean of {self.runs}; times are those of all threads")
        )

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

    def _rows(self) -> Iterator[tuple[str, ...]]:
        whole = sum(s.seconds for s in self.stages) or 1.0
        for s in self.stages:
            share = 100 * s.seconds / whole
            yield (
                s.name,
                f"{s.seconds * 1e3:.3f}",
                f"{share:.1f}",
                f"{s.times:.0f}",
                f"{s.allocations:.0f}",
                f"{s.bytes:.0f}",
            )


def profile(
    r: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], out: Any, shape: Any, runs: int | None
) -> Profile:
    """Run `r` with counters in its machine code: `runs` times, or for a while."""
    return profiled(r, args, inputs, out, shape, runs)[0]


def profiled(
    r: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], out: Any, shape: Any, runs: int | None
) -> tuple[Profile, Lowered, Any]:
    """The profile, the loops that ran, and their result."""
    if runs is not None and (type(runs) is not int or runs < 1):
        raise ArgumentError(f"a profile has one or more runs, not {runs!r}", loc=here())
    _, program, values = resolved(r, args, inputs, shape, out)
    ran: Lowered
    names: tuple[str, ...]

    def make(p: Pipeline, lowered: Lowered, instead: Instead | None) -> Kernel:
        nonlocal ran, names  # a call may fall back to more cautious loops
        body, names = instrument(lowered.body, Calls(*counting.names()))
        ran = lowered
        return compile_kernel(p, target, lambda: replace(lowered, body=body), program.options(p), instead=instead,
                              cached=False, watch=stopwatch())  # fmt: skip

    target = Target.host()
    with counting.lock:
        kernel = program.chain(signature(program.arguments, values), target, make)
        result = kernel(out=out, shape=shape, **values)  # pages touched, threads awake
        table = counting.counters()
        table[:] = 0
        start = time.perf_counter()
        done = 0
        while done < (runs or 1) or (runs is None and time.perf_counter() - start < ENOUGH):
            kernel(out=out, shape=shape, **values)
            done += 1
        seconds = (time.perf_counter() - start) / done
        found = table[: len(names)] / done
    rate = counting.ticks_per_second()
    stages = (
        StageProfile(name, max(row[0] / rate, 0.0), *row[1:]) for name, row in zip(names, found.tolist(), strict=True)
    )
    measured = Profile(tuple(sorted(stages, key=lambda s: -s.seconds)), seconds, done)
    r.measured(measured)
    return measured, ran, result
