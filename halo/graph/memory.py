"""Plan memory: where in the arena of a call each intermediate is, so that those alive at once do not overlap.

Where sizes are known there are offsets (`plan`). Where a call decides them there are storages, which intermediates use one
after the other (`share`); each is as large as the largest of them turns out to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from halo.jit.extents import ALIGNMENT

__all__ = ["ALIGNMENT", "Lifetime", "aligned", "plan", "share"]


@dataclass(frozen=True)
class Lifetime:
    """Memory of so many bytes, from the step that writes it to the last one that reads it."""

    bytes: Any  # an extent, for `share`
    first: int
    last: int


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
