"""Profiles: the time of each group of a net, beside the arithmetic that it does and the bytes that it moves."""

from __future__ import annotations

import ctypes
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from halo.func.counts import call_of, count
from halo.func.inspect import typed_call
from halo.ir.node import interning

from .ir import Function
from .kernels import pipeline
from .symbolic import evaluated

if TYPE_CHECKING:
    from .net import Net

__all__ = ["Profile", "Row", "flops", "profile"]


@dataclass(frozen=True)
class Row:
    """One group: the median time in seconds, arithmetic operations, bytes read and written."""

    name: str
    source: str
    seconds: float
    flops: float
    bytes: int

    @property
    def gflops(self) -> float:
        """Arithmetic, in 10**9 operations a second."""
        return self.flops / self.seconds / 1e9

    @property
    def gbytes(self) -> float:
        """Memory, in 10**9 bytes a second."""
        return self.bytes / self.seconds / 1e9


class Profile(tuple[Row, ...]):
    """Rows in the order of the groups; prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        total = sum(r.seconds for r in self)
        width = max((len(r.name) for r in self), default=5)
        lines = [f"{'group':<{width}}  {'ms':>8}  {'share':>6}  {'GFLOP/s':>8}  {'GB/s':>6}"]
        for r in self:
            share = r.seconds / total
            lines.append(f"{r.name:<{width}}  {r.seconds * 1e3:8.3f}  {share:6.1%}  {r.gflops:8.1f}  {r.gbytes:6.1f}")
        return "\n".join((*lines, f"{'all':<{width}}  {total * 1e3:8.3f}"))


def flops(f: Function, dims: Mapping[str, int]) -> float:
    """The arithmetic operations of `f`, of any type, for the extents `dims`, a multiply-add as two: those of its loops where
    every value is computed once. NaN where only data tell how many."""
    func = pipeline(f).func
    func.unschedule()
    arrays, out = {p.name: _like(p.type, dims) for p in f.params}, _like(f.body.type, dims)
    program, s = typed_call(func, (), {})
    with interning():
        low = program.lowered(s)
        given = program.call({name: a for name, a in arrays.items() if name in program.arguments}, out.shape)
        found = count(low.nest, call_of(low, given, (out,))[1])
    return math.nan if found is None else sum(found.all_work().values(), 0.0)


def _like(t: Any, dims: Mapping[str, int]) -> np.ndarray[Any, Any]:
    """An array of that type, without memory of its own."""
    return np.broadcast_to(np.zeros((), t.dtype.dtype), evaluated(t.shape, dims))


def profile(net: Net, arrays: list[Any], outs: list[Any], dims: Mapping[str, int], runs: int) -> Profile:
    """Call the kernels one by one, `runs` times."""
    outside = (ctypes.c_int64 * (len(arrays) + len(outs)))(*(a.ctypes.data for a in (*arrays, *outs)))
    net._run(arrays, outs, dims)
    frame = net._take()
    net._driver.run(frame.address, outside)  # fills in the addresses
    error = (ctypes.c_int64 * 64)()
    times: list[list[float]] = [[] for _ in net.groups]
    for _ in range(runs):
        for k, step in enumerate(net._driver.steps):
            call = step.kernel.code._call  # type: ignore[attr-defined]  # machine code has it
            slots = frame.address + 8 * step.first
            start = time.perf_counter()
            call(slots, error)
            times[k].append(time.perf_counter() - start)
    net._free.append(frame)
    rows = []
    for group, t in zip(net.groups, times, strict=True):
        (moved,) = evaluated((sum(e.type.bytes for e in (*group.function.params, group.function.body)),), dims)
        rows.append(Row(group.name, group.source, statistics.median(t), flops(group.function, dims), moved))
    return Profile(rows)
