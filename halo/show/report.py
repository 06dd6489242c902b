"""`f.report(...)`: what a schedule costs, stage by stage, as numbers to compute with, and how far from the roof it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..func.counts import Counts, call_of, count
from ..func.profile import Profile, profiled
from ..func.runnable import Runnable
from ..func.running import resolved
from ..func.trace import trace
from ..jit.python_trace import TooLongError
from .peaks import Machine, machine

if TYPE_CHECKING:
    import pandas

__all__ = ["Report", "StageReport", "report"]

SAMPLE = 96  # points a side of the region that is traced to count what is done
MOST = 400_000  # events of such a trace; of a pipeline that makes more of it nothing is counted
WHOLE = "(whole call)"


@dataclass(frozen=True)
class StageReport:
    """One stage, per call of the whole pipeline. NaN stands where a number cannot be told without running.

    - `seconds`, of all threads together; `times` that it is computed, a piece each; `allocations`, and their `bytes`;
    - `redundancy`: points computed over distinct points, of the pure definition;
    - `loads`: values read for each point that is stored, and `flops`: arithmetic operations of any type for each (a
      multiply-add is two, a transcendental one), both arms of a `select` included;
    - `footprint`: bytes of one allocation, or of the array of an output; `fits`: the smallest cache that holds them;
    - `outside`: bytes of inputs that it reads and of outputs that it writes, each value once; `between`: bytes of other
      stages that it reads, and that it writes for them, each value once each time that it is computed;
    - `intensity`: flops for each of these bytes;
    - `flops_per_second`, in the stage's part of the time of the call;
    - `share`: of the roof: the least time for the flops, each at the machine's peak for its type, or for the bytes of any
      level at its bandwidth, whichever is longer, over the stage's part of the time of the call; `bound` says which it is:
      "compute", or where the bytes come from; `computes`: the kind of most of the flops (a key of `peaks.KINDS`).
    """

    name: str
    seconds: float
    times: float
    allocations: float
    bytes: float
    redundancy: float
    loads: float
    footprint: float
    fits: str
    outside: float
    between: float
    flops: float
    intensity: float
    flops_per_second: float
    share: float
    bound: str
    computes: str = ""


@dataclass(frozen=True, repr=False)
class Report:
    """`stages`, those that take most time first; `seconds` from call to return; `whole`, the call as one stage that reads
    the inputs and writes the outputs; the `machine` that it ran on. `to_dict()` and `to_frame()` are the same as plain
    data, and in a notebook there is the roofline as a picture."""

    stages: tuple[StageReport, ...]
    seconds: float
    whole: StageReport
    machine: Machine

    def __getitem__(self, name: str) -> StageReport:
        return next(s for s in self.stages if s.name == name)

    def __iter__(self) -> Iterator[StageReport]:
        return iter(self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Numbers and text alone, as JSON has them."""
        return {
            "seconds": self.seconds,
            "stages": [asdict(s) for s in self.stages],
            "whole": asdict(self.whole),
            "machine": asdict(self.machine),
        }

    def to_frame(self) -> pandas.DataFrame:
        """A row a stage. ImportError without pandas."""
        import pandas

        return pandas.DataFrame([asdict(s) for s in self.stages]).set_index("name")

    def rows(self) -> list[tuple[str, ...]]:
        """A table of text, its head first, the whole call last."""
        whole = sum(s.seconds for s in self.stages) or 1.0
        head = ("stage", "ms", "%", "times", "redundancy", "loads", "flops", "footprint", "outside", "between", "flops/byte",
                "Gflop/s", "of the roof")  # fmt: skip
        return [head, *(_row(s, whole) for s in self.stages), _row(self.whole, self.whole.seconds)]

    def notes(self) -> tuple[str, ...]:
        """What stands under the table."""
        return (
            f"{self.seconds * 1e3:.3f} ms a call; times are those of all threads; loads and flops are those of a point, "
            "outside the bytes of inputs and outputs, between those of other stages",
            f"the roof: {self.machine}",
        )

    def __repr__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(t.ljust(w) if k == 0 else t.rjust(w) for k, (t, w) in enumerate(zip(row, widths, strict=True)))
                 for row in rows)  # fmt: skip
        return "\n".join((*lines, *self.notes()))

    def _repr_html_(self) -> str:
        from .roofline import page

        return page(self)


def report(r: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], out: Any, shape: Any) -> Report:
    """Profile a call, count its loops, and trace a corner of it where that does not tell how much is computed again."""
    times, ran, result = profiled(r, args, inputs, out, shape, None)
    results = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    _, program, values = resolved(r, args, inputs, shape, out)
    sizes, known = call_of(ran, program.call(values, shape), results)
    counts = count(ran.nest, known)
    outputs = {p.array.name for p in ran.ports if p.kind == "output"}
    work = _Work(counts, sizes, outputs, machine(*(counts.kinds if counts else ())))
    again = _redundancy(counts)
    if not all(s.name in again for s in times):
        again = _traced(r, args, inputs, results[0].shape) | again
    return Report(tuple(work.stages(times, again)), times.seconds, work.whole(times.seconds), work.machine)


class _Work:
    """The work of a call, with the names of its stages and arrays, held against a machine."""

    def __init__(self, counts: Counts | None, sizes: Mapping[str, int], outputs: set[str], m: Machine) -> None:
        self.counts, self.sizes, self.outputs, self.machine = counts, sizes, outputs, m

    def stages(self, times: Profile, again: Mapping[str, float]) -> Iterator[StageReport]:
        """What is known of each stage of `times`."""
        threads = sum(s.seconds for s in times) or 1.0
        for s in times:
            allocated = s.bytes / s.allocations if s.allocations else 0.0
            footprint = float(self._footprint(s.name)) or allocated
            outside, between, levels = self._moved(s.name)
            wall = times.seconds * s.seconds / threads
            points, loads, flops = self._done(s.name)
            yield StageReport(
                s.name, s.seconds, s.times, s.allocations, s.bytes, again.get(s.name, math.nan), loads, footprint,
                self.machine.fits(footprint) if footprint else "", outside, between, flops,
                *self._roof(flops * points, self._work(s.name), outside + between, levels, wall),
            )  # fmt: skip

    def whole(self, seconds: float) -> StageReport:
        """The call as one stage: what it must read and write, and all flops."""
        nan = math.nan
        if self.counts is None:
            return StageReport(WHOLE, seconds, 1.0, 0.0, 0.0, nan, nan, 0.0, "", nan, nan, nan, nan, nan, nan, "")
        read: dict[str, float] = {}
        for loads in self.counts.loads.values():
            for name, n in loads.items():
                if name in self.sizes and name not in self.outputs:
                    read[name] = min(read.get(name, 0.0) + n * self.counts.types[name], self.sizes[name])
        levels = self._levels({**read, **{name: float(self.sizes[name]) for name in self.outputs}})
        work = self.counts.all_work()
        outside, flops = sum(levels.values(), 0.0), sum(work.values(), 0.0)
        points = sum(self.counts.pure[name] for name in self.outputs) or 1
        return StageReport(WHOLE, seconds, 1.0, 0.0, 0.0, nan, nan, 0.0, "", outside, 0.0, flops / points,
                           *self._roof(flops, work, outside, levels, seconds))  # fmt: skip

    def _footprint(self, name: str) -> int:
        if name in self.sizes:
            return self.sizes[name]
        return 0 if self.counts is None else self.counts.footprint.get(name, 0)

    def _done(self, name: str) -> tuple[int, float, float]:
        """Points stored, and loads and flops for each of them."""
        if self.counts is None:
            return 0, math.nan, math.nan
        points = self.counts.points[name]
        if not points:
            return 0, 0.0, 0.0
        loads = sum(self.counts.loads[name].values()) if name in self.counts.loads else 0
        return points, loads / points, self.counts.flops(name) / points

    def _work(self, name: str) -> Mapping[str, float]:
        return {} if self.counts is None else self.counts.work.get(name, {})

    def _moved(self, name: str) -> tuple[float, float, dict[str, float]]:
        """Bytes outside and between that a stage moves, and how many of all of them by the level that they lie in."""
        if self.counts is None:
            return math.nan, math.nan, {}
        moved: dict[str, float] = {}
        for other, n in self.counts.loads.get(name, {}).items():
            if other != name:
                there = self.sizes[other] if self._is_input(other) else self._written(other)
                moved[other] = min(n * self.counts.types[other], there)
        moved[name] = self._written(name)
        outside = sum(n for other, n in moved.items() if other in self.sizes)
        return outside, sum(moved.values()) - outside, self._levels(moved)

    def _is_input(self, name: str) -> bool:
        return name in self.sizes and name not in self.outputs

    def _written(self, name: str) -> float:
        """Bytes that a stage writes, each value once each time that it is computed; updates work on what is there."""
        assert self.counts is not None
        points = self.counts.pure[name] or self.counts.points[name]
        return float(points * self.counts.types.get(name, 0))

    def _levels(self, moved: Mapping[str, float]) -> dict[str, float]:
        levels: dict[str, float] = {}
        for name, n in moved.items():
            level = self.machine.fits(self._footprint(name))
            levels[level] = levels.get(level, 0.0) + n
        return levels

    def _roof(
        self, flops: float, work: Mapping[str, float], bytes: float, levels: Mapping[str, float], seconds: float
    ) -> tuple[float, float, float, str, str]:
        """Flops a byte, flops a second, the share of the roof, what bounds it, and what most of the flops are."""
        if math.isnan(flops + bytes):
            return math.nan, math.nan, math.nan, "", ""
        needed = {kind: n / self.machine.peak(kind) for kind, n in work.items()}
        least = {"compute": sum(needed.values())}
        for level, n in levels.items():
            least["memory" if level in ("", "no cache") else level] = n / self.machine.bandwidth(level)
        bound = max(least, key=lambda what: least[what])
        if not least[bound] or not seconds:
            return 0.0, 0.0, 0.0, "", ""
        computes = max(needed, key=lambda kind: needed[kind], default="")
        return flops / bytes if bytes else math.inf, flops / seconds, least[bound] / seconds, bound, computes


def _redundancy(counts: Counts | None) -> dict[str, float]:
    """Points computed over distinct points, by stage."""
    return {} if counts is None else {name: counts.pure[name] / n for name, n in counts.distinct.items() if n}


def _traced(r: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, float]:
    """The same in a trace of a corner of the region."""
    try:
        corner = trace(r, args, inputs, None, tuple(min(n, SAMPLE) for n in shape), None, MOST)
    except TooLongError:
        return {}
    found: dict[str, float] = {}
    for name, ndim in zip(corner.arrays, corner.ndim, strict=True):
        stores = corner.of(name)
        pure = stores[stores.stage == 0].at[:, :ndim]
        if len(pure):
            found[name] = len(pure) / len({tuple(at) for at in pure.tolist()})
    return found


def _row(s: StageReport, whole: float) -> tuple[str, ...]:
    footprint = f"{_size(s.footprint)}{f' ({s.fits})' if s.fits else ''}" if s.footprint else ""
    return (
        s.name, f"{s.seconds * 1e3:.3f}", f"{100 * s.seconds / whole:.0f}", f"{s.times:.0f}", _count(s.redundancy, 2),
        _count(s.loads, 1), _count(s.flops, 1), footprint, _size(s.outside), _size(s.between), _count(s.intensity, 2),
        _count(s.flops_per_second / 1e9, 2), f"{s.share:.0%} ({_bound(s)})" if s.bound else "-",
    )  # fmt: skip


def _bound(s: StageReport) -> str:
    return s.computes if s.bound == "compute" else s.bound


def _count(value: float, digits: int) -> str:
    return "-" if not math.isfinite(value) else f"{value:.{digits}f}"


def _size(bytes: float) -> str:
    if math.isnan(bytes):
        return "-"
    for unit in ("B", "kB", "MB"):
        if bytes < 1000:
            return f"{bytes:.0f} {unit}"
        bytes /= 1000
    return f"{bytes:.1f} GB"
