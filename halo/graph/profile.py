"""Profiles: the time of each group of a net, beside the arithmetic that it does, the bytes that it moves, and what the machine
can do of both."""

from __future__ import annotations

import ctypes
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from halo.func.counts import FOREIGN, call_of, count
from halo.func.inspect import typed_call
from halo.ir.node import interning

from .ir import Function
from .kernels import pipeline
from .symbolic import evaluated

if TYPE_CHECKING:
    from halo.show.peaks import Machine

    from .net import Frame, Group, Net

__all__ = ["Profile", "Row", "profile", "work_of"]


@dataclass(frozen=True)
class Row:
    """One group: the median time in seconds, arithmetic operations, bytes read and written. `roof`: the share of the roof, the
    least time for the operations in registers, or for the bytes out of the smallest cache that holds them, whichever is
    longer, over the time that it took (see `halo.show.machine`). NaN where only data tell how many operations there are."""

    name: str
    source: str
    seconds: float
    flops: float
    bytes: int
    roof: float

    @property
    def gflops(self) -> float:
        """Arithmetic, in 10**9 operations a second."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """Memory, in 10**9 bytes a second."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


class Profile(tuple[Row, ...]):
    """Rows in the order of the groups; prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        total = sum(r.seconds for r in self)
        width = max((len(r.name) for r in self), default=5)
        lines = [f"{'group':<{width}}  {'ms':>8}  {'share':>6}  {'GFLOP/s':>8}  {'GB/s':>6}  {'of the roof':>11}"]
        for r in self:
            share = r.seconds / total if total else 0.0
            roof = "-" if math.isnan(r.roof) else f"{r.roof:.0%}"
            lines.append(f"{r.name:<{width}}  {r.seconds * 1e3:8.3f}  {share:6.1%}  {r.gflops:8.1f}  {r.gbytes:6.1f}"
                         f"  {roof:>11}")  # fmt: skip
        return "\n".join((*lines, f"{'all':<{width}}  {total * 1e3:8.3f}"))


def work_of(f: Function, dims: Mapping[str, int]) -> dict[str, float] | None:
    """The arithmetic operations of `f` by what computes them (a key of `halo.show.peaks.KINDS`) for the extents `dims`, a
    multiply-add as two: those of its loops where every value is computed once. None where only data tell how many."""
    func = pipeline(f).func
    func.unschedule()
    arrays, out = {p.name: _like(p.type, dims) for p in f.params}, _like(f.body.type, dims)
    program, s = typed_call(func, (), {})
    with interning():
        low = program.lowered(s)
        given = program.call({name: a for name, a in arrays.items() if name in program.arguments}, out.shape)
        found = count(low.nest, call_of(low, given, (out,))[1])
    return None if found is None or FOREIGN in found.all_work() else found.all_work()


def _like(t: Any, dims: Mapping[str, int]) -> np.ndarray[Any, Any]:
    """An array of that type, without memory of its own."""
    return np.broadcast_to(np.zeros((), t.dtype.dtype), evaluated(t.shape, dims))


def profile(net: Net, calls: Mapping[str, tuple[list[Any], list[Any]]], runs: int) -> Profile:
    """Call the kernels one by one, `runs` times, as the functions of `net.nets` are called: those that `calls` has arrays for;
    what is not called takes no time."""
    from halo.show.peaks import machine

    found: list[tuple[Group, float, dict[str, float] | None, int]] = []
    for name, part in net.nets.items():
        dims, times = {}, [0.0] * len(part.groups)
        if name in calls:
            dims = part.arrays(tuple(calls[name][0]), {})[1]
            times = _times(part, *calls[name], dims, runs)
        for group, seconds in zip(part.groups, times, strict=True):
            work: dict[str, float] | None = {}
            moved = 0
            if name in calls:
                own = dims | {n: k for n, v in group.extents for k in evaluated((v,), dims)}
                (moved,) = evaluated((sum(e.type.bytes for e in (*group.function.params, group.function.body)),), own)
                work = work_of(group.function, own)
            found.append((group, seconds, work, moved))
    own_machine = machine(*sorted({kind for _, _, work, _ in found for kind in work or ()}))
    return Profile(_row(*one, own_machine) for one in found)


def _row(group: Group, seconds: float, work: dict[str, float] | None, moved: int, machine: Machine) -> Row:
    flops, roof = math.nan, math.nan
    if work is not None:
        flops = sum(work.values(), 0.0)
        computed = sum(n / machine.peak(kind) for kind, n in work.items())
        least = max(computed, moved / machine.bandwidth(machine.fits(moved)))
        roof = least / seconds if seconds else 0.0
    return Row(group.name, group.source, seconds, flops, moved, roof)


def _times(net: Net, arrays: list[Any], outs: list[Any], dims: Mapping[str, int], runs: int) -> list[float]:
    """The median seconds of each kernel of `net`."""
    error = (ctypes.c_int64 * 64)()
    times: list[list[float]] = [[] for _ in net.driver.steps]

    def one_by_one(frame: Frame) -> None:
        for _ in range(runs):
            for (kernel, first), kept in zip(net.driver.steps, times, strict=True):
                call, slots = kernel.code._call, frame.address + 8 * first  # type: ignore[attr-defined]  # machine code has it
                start = time.perf_counter()
                call(slots, error)
                kept.append(time.perf_counter() - start)

    net.run(arrays, outs, dims, one_by_one)  # all addresses are in the frame then
    return [statistics.median(t) for t in times]
