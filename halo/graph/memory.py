"""Plan memory: where in the arena of a call each intermediate is, so that those alive at once do not overlap.

Where sizes are known, or bounded, there are offsets (`plan`). Where a call decides them there are storages, which intermediates
use one after the other (`share`); each is as large as the largest of them turns out to be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halo.ir.shapes import greatest_value
from halo.jit.extents import ALIGNMENT

from .symbolic import USUAL, evaluated

__all__ = ["ALIGNMENT", "Lifetime", "aligned", "laid_out", "plan", "share"]


@dataclass(frozen=True)
class Lifetime:
    """Memory of so many bytes, from the step that writes it to the last one that reads it."""

    bytes: Any  # an extent, for `laid_out` and `share`
    first: int
    last: int


def laid_out(
    values: Sequence[Lifetime], greatest: Mapping[str, int]
) -> tuple[tuple[tuple[Any, ...], ...], list[tuple[int, int]], int]:
    """The storages of the arena, each as sizes of which the largest counts; for each value which it is in, and how many bytes
    from its start; and how large the arena is, 0 where a call decides that. Where all sizes are bounded, by what Dims are at
    the most, it is planned for these, and a call allocates nothing.

    >>> from halo import Dim
    >>> n = Dim("n")
    >>> laid_out([Lifetime(64, 0, 1), Lifetime(4 * n, 1, 2), Lifetime(64, 2, 3)], {"n": 64})
    (((320,),), [(0, 256), (0, 0), (0, 256)], 320)
    >>> laid_out([Lifetime(64, 0, 1), Lifetime(4 * n, 1, 2), Lifetime(64, 2, 3)], {})
    (((64,), (4*n,)), [(0, 0), (1, 0), (0, 0)], 0)
    """
    most = [greatest_value(v.bytes, greatest) for v in values]
    if None not in most:
        offsets, arena = plan([replace(v, bytes=n) for v, n in zip(values, most, strict=True)])
        return ((arena,),), [(0, offset) for offset in offsets], arena
    own = share(values, evaluated(tuple(v.bytes for v in values), defaultdict(lambda: USUAL)))
    storages = tuple(
        tuple({str(v.bytes): v.bytes for v, s in zip(values, own, strict=True) if s == k}.values())
        for k in range(max(own) + 1)
    )
    return storages, [(s, 0) for s in own], 0


def plan(values: Sequence[Lifetime]) -> tuple[list[int], int]:
    """The offset of each, and the bytes of all together. The largest ones are placed first, each in the smallest gap.

    >>> plan([Lifetime(64, 0, 1), Lifetime(64, 1, 2), Lifetime(64, 2, 3)])
    ([0, 64, 0], 128)
    """
    offsets = [0] * len(values)
    placed: list[int] = []
    for k in sorted(range(len(values)), key=lambda k: (-values[k].bytes, values[k].first)):
        v = values[k]
        taken = sorted(
            (offsets[j], offsets[j] + _rounded(values[j].bytes))
            for j in placed
            if values[j].first <= v.last and v.first <= values[j].last
        )
        best, room, end = -1, 0, 0
        for lo, hi in taken:
            gap = lo - end
            if gap >= _rounded(v.bytes) and (best < 0 or gap < room):
                best, room = end, gap
            end = max(end, hi)
        offsets[k] = end if best < 0 else best
        placed.append(k)
    total = max((offsets[k] + _rounded(values[k].bytes) for k in placed), default=0)
    return offsets, total


def share(values: Sequence[Lifetime], sizes: Sequence[int]) -> list[int]:
    """The number of the storage of each. `sizes` are what they may be, as which they are fitted to each other.

    >>> share([Lifetime(64, 0, 1), Lifetime(64, 1, 2), Lifetime(64, 2, 3)], (64, 64, 64))
    [0, 1, 0]
    """
    last: list[int] = []  # the step from which on each storage is free
    room: list[int] = []
    found = [0] * len(values)
    for k in sorted(range(len(values)), key=lambda k: values[k].first):
        v, size = values[k], sizes[k]
        free = [s for s, end in enumerate(last) if end < v.first]
        if free:
            s = min(free, key=lambda s: (max(size - room[s], 0), room[s]))
        else:
            s = len(last)
            last.append(0)
            room.append(0)
        found[k], last[s], room[s] = s, v.last, max(room[s], size)
    return found


def _rounded(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT


def aligned(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`a`, packed and on a boundary of `ALIGNMENT` bytes; copied only if it is not."""
    if a.flags.c_contiguous and a.ctypes.data % ALIGNMENT == 0 and a.dtype.isnative:
        return a
    memory = np.empty(a.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    found: np.ndarray[Any, Any] = memory[start : start + a.nbytes].view(a.dtype.newbyteorder("=")).reshape(a.shape)
    found[...] = a
    return found
