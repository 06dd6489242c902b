"""How the benchmarks measure: fresh processes for what happens once, the best of many runs for what repeats."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Result:
    """`value` of `what` in `unit`; `goal` is the most it may be (the least where `at_least`), None for a comparison."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        bound = "" if self.goal is None else f"{'>=' if self.at_least else '<='} {self.goal:g} {self.unit}"
        verdict = {None: "", True: "reached", False: "MISSED"}[self.reached]
        return f"{self.what:<58} {self.value:10.3f} {self.unit:<4} {bound:<14} {verdict}".rstrip()


def best(f: Callable[[], object], seconds: float = 1.0) -> float:
    """The shortest time of f() in seconds, of as many calls as fit in `seconds` (at least 3)."""
    end, times = time.perf_counter() + seconds, []
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return min(times)


def interleaved(
    runs: Mapping[str, Callable[[], object]], rounds: int = 12, seconds: float = 0.04
) -> dict[str, list[float]]:
    """Seconds of one call of each of `runs`, A B A B, for `rounds` rounds. A turn is as many calls as fit in `seconds`,
    after one that is not counted; its time is their median. Who goes first changes from round to round: what a turn
    leaves to the next one (pages to be zeroed, a cold cache) does not always fall on the same."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    order, shuffle = list(runs), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            run = runs[name]
            run()
            turn, end = [], time.perf_counter() + seconds
            while not turn or time.perf_counter() < end:
                start = time.perf_counter()
                run()
                turn.append(time.perf_counter() - start)
            times[name].append(statistics.median(turn))
    return times


def per_call(f: Callable[[], object], calls: int = 2000, rounds: int = 20) -> float:
    """The time of one f() in seconds, the best mean of `rounds` rounds: for calls of microseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            f()
        times.append(time.perf_counter() - start)
    return min(times) / calls


def in_fresh_process(code: str, cache: str | None = None, repeat: int = 3) -> float:
    """The least number that `code` prints, in new processes, each with an empty disk cache if no `cache` is given.

    Modules have their bytecode, as pip leaves it: one process that is not counted writes it."""

    def run(directory: str) -> float:
        environment = {**os.environ, "HALO_CACHE_DIR": directory, "PYTHONPATH": str(ROOT),
                       "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}  # fmt: skip
        command = [sys.executable, "-c", code]
        out = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
        return float(out.stdout.split()[-1])

    values = []
    with tempfile.TemporaryDirectory() as bytecode:
        for _ in range(repeat + 1):
            with tempfile.TemporaryDirectory() as empty:
                values.append(run(cache or empty))
    return min(values[1:])
