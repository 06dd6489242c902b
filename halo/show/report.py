"""`f.report(...)`: what a schedule costs, stage by stage, as numbers to compute with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..func.profile import profile
from ..func.runnable import Runnable
from ..func.trace import Trace, trace
from ..jit.python_trace import LOAD, STORE, TooLongError

if TYPE_CHECKING:
    import pandas

__all__ = ["Report", "StageReport", "report"]

SAMPLE = 96  # points a side of the region that is traced to count what is done
MOST = 400_000  # events of such a trace; of a pipeline that makes more of it nothing is counted


@dataclass(frozen=True)
class StageReport:
    """One stage, per call of the whole pipeline.

    - `seconds`, of all threads together; `times` that it is computed, a piece each; `allocations`, and their `bytes`;
    - `redundancy`: points computed over distinct points, counted in a trace of a corner of the region (NaN where that is
      too much to trace);
    - `loads`: values read for each point that is stored, counted there too;
    - `footprint`: bytes of one allocation: what has to fit a cache.
    """

    name: str
    seconds: float
    times: float
    allocations: float
    bytes: float
    redundancy: float
    loads: float
    footprint: float


@dataclass(frozen=True, repr=False)
class Report:
    """`stages`, those that take most time first; `seconds` from call to return. `to_dict()` and `to_frame()` are the
    same as plain data."""

    stages: tuple[StageReport, ...]
    seconds: float

    def __getitem__(self, name: str) -> StageReport:
        return next(s for s in self.stages if s.name == name)

    def __iter__(self) -> Iterator[StageReport]:
        return iter(self.stages)

    def to_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "stages": [asdict(s) for s in self.stages]}

    def to_frame(self) -> pandas.DataFrame:
        """A row a stage. ImportError without pandas."""
        import pandas

        return pandas.DataFrame([asdict(s) for s in self.stages]).set_index("name")

    def rows(self) -> list[tuple[str, ...]]:
        """A table of text, its head first."""
        whole = sum(s.seconds for s in self.stages) or 1.0
        head = ("stage", "ms", "%", "times", "redundancy", "loads a point", "footprint")
        return [
            head,
            *((s.name, f"{s.seconds * 1e3:.3f}", f"{100 * s.seconds / whole:.0f}", f"{s.times:.0f}",
               _count(s.redundancy, 2), _count(s.loads, 1), _size(s.footprint)) for s in self.stages),
        ]  # fmt: skip

    def __repr__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(t.ljust(w) if k == 0 else t.rjust(w) for k, (t, w) in enumerate(zip(row, widths, strict=True)))
                 for row in rows)  # fmt: skip
        return "\n".join((*lines, f"{self.seconds * 1e3:.3f} ms a call"))


def report(r: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], out: Any, shape: Any) -> Report:
    """Profile a call, and trace a corner of it."""
    times = profile(r, args, inputs, out, shape, None)
    corner = _corner(r, args, inputs, out, shape)
    found = []
    for s in times:
        redundancy, loads = (math.nan, math.nan) if corner is None else _counted(corner, s.name)
        footprint = s.bytes / s.allocations if s.allocations else 0.0
        found.append(StageReport(s.name, s.seconds, s.times, s.allocations, s.bytes, redundancy, loads, footprint))
    return Report(tuple(found), times.seconds)


def _corner(r: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], out: Any, shape: Any) -> Trace | None:
    """The trace of the first points of every axis of the region; None if that is too long."""
    result = r(*args, out=out, shape=shape, **inputs)
    first = result[0] if isinstance(result, (tuple, list)) else result
    try:
        return trace(r, args, inputs, None, tuple(min(n, SAMPLE) for n in first.shape), None, MOST)
    except TooLongError:
        return None


def _counted(corner: Trace, name: str) -> tuple[float, float]:
    """The redundancy of a stage, and its loads a point."""
    if name not in corner.arrays:
        return 1.0, 0.0
    stores = corner.of(name)
    pure = stores[stores.stage == 0].at[:, : corner.ndim[corner.arrays.index(name)]]
    distinct = len({tuple(at) for at in pure.tolist()})
    redundancy = len(pure) / distinct if distinct else 1.0
    return redundancy, _loads_for(corner, name) / len(stores) if len(stores) else 0.0


def _loads_for(corner: Trace, name: str) -> int:
    """How many values are read for the points that `name` stores: the loads since the store before."""
    events = corner.events[(corner.events.event == LOAD) | (corner.events.event == STORE)]
    own = corner.arrays.index(name) if name in corner.arrays else -1
    total = waiting = 0
    for event, array in zip(events.event.tolist(), events.array.tolist(), strict=True):
        if event == LOAD:
            waiting += 1
        else:
            total += waiting if array == own else 0
            waiting = 0
    return total


def _count(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _size(bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if bytes < 1000:
            return f"{bytes:.0f} {unit}"
        bytes /= 1000
    return f"{bytes:.1f} GB"
