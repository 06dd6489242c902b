"""Profiles: the time of each group of a net, beside the arithmetic that it does and the bytes that it moves."""

from __future__ import annotations

import ctypes
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halo import nn

from .ir import Call, Function, walk
from .symbolic import evaluated

if TYPE_CHECKING:
    from .net import Net

__all__ = ["Profile", "Row", "flops", "profile"]


@dataclass(frozen=True)
class Row:
    """One group: the median time in seconds, floating-point operations, bytes read and written."""

    name: str
    source: str
    seconds: float
    flops: int
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


def flops(f: Function, dims: Mapping[str, int]) -> int:
    """The multiplications and additions of the convolutions and products in `f`, and one an element of the rest, for
    the extents `dims`."""
    total = 0
    for e in walk(f.body):
        if isinstance(e, Call):
            n = math.prod(evaluated(e.type.shape, dims))
            second = e.args[1] if len(e.args) > 1 else None
            weight = () if second is None else evaluated(second.type.shape, dims)
            if e.op is nn.conv2d:
                kernel = nn.Layout(e.attrs["kernel_layout"])
                n *= 2 * math.prod(kernel.logical(weight)[1:])
            elif e.op is nn.dense:
                n *= 2 * weight[1]
            elif e.op is nn.matmul:
                n *= 2 * weight[-2:][0]
            total += n
    return total


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
