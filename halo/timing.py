"""Where the time of a compilation goes: a stopwatch with a lap for each step."""

from __future__ import annotations

import time

__all__ = ["Stopwatch"]


class Stopwatch:
    """Seconds of each step, in order; a step that comes again adds up.

    >>> watch = Stopwatch()
    >>> watch.lap("parse")
    >>> list(watch.laps)
    ['parse']
    """

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, step: str) -> None:
        """What passed since the last lap was `step`."""
        now = time.perf_counter()
        self.laps[step] = self.laps.get(step, 0.0) + now - self._since
        self._since = now

    def pause(self) -> None:
        """What passed since the last lap is nobody's."""
        self._since = time.perf_counter()

    @property
    def seconds(self) -> float:
        return sum(self.laps.values())

    def __str__(self) -> str:
        return "\n".join(f"  {step:<16} {seconds * 1e3:8.1f} ms" for step, seconds in self.laps.items())
