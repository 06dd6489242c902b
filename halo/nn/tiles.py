"""Register tiles: how many sums a kernel keeps in registers, and in what shape, found from the target's register file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from halo.jit.target import Target

__all__ = ["CACHED", "Tile", "cycles", "register_tile", "settled"]

PER_STEP = 3.0  # cycles that a step of the reduction takes beside its arithmetic, as measured on AVX-512
LOAD = 0.75  # cycles of a load, likewise: of a tile with one vector of weights they take longer than its arithmetic
CACHED = 1 << 20  # bytes of weights that stay in the second-level cache from one strip of rows to the next
LATENCY = 8  # sums in flight that keep two units of four cycles busy
PAGE = 4096  # bytes after which lines share a set of the first-level cache
STAY = 10  # lines of a set that stay there beside those of the weights
MANY = 100  # rows, with which that can be gained
AWAY = 1.02  # what a tile of more rows than stay there takes longer, as measured


@dataclass(frozen=True)
class Tile:
    """Sums for `rows` x `columns` points, and `vectors` vectors of channels at each."""

    rows: int
    columns: int
    vectors: int


def registers(target: Target) -> int:
    return 32 if target.vector_bits == 512 or not target.is_x86 else 16


def register_tile(target: Target, rows: int, columns: int, vectors: int, whole: bool = False, points: int = 32,
                  apart: bool = True) -> Tile:  # fmt: skip
    """The fastest tile for an output of `rows` x `columns` points with `vectors` vectors of channels; `whole`: which its
    own divide. `points`: at most so many. `apart`: the vectors of weights of a step do not follow one another in memory.

    A step of the reduction loads a vector of weights for each of the tile's, and one value for each of its points, which
    is multiplied with all of them. All sums, the weights and that value must fit into the registers.

    >>> register_tile(Target("x86_64-unknown-linux-gnu", "", "+avx512f,+avx512bw,+avx512vl"), 56, 56, 4)
    Tile(rows=1, columns=14, vectors=2)
    """
    most = registers(target)
    best, found = 0.0, Tile(1, 1, 1)
    for v in (v for v in range(1, min(vectors, 4) + 1) if vectors % v == 0 or not whole):
        for p in range(1, min((most - 1 - v) // v, points) + 1):
            for r, c in {(1, p)} | ({(p // columns, columns)} if p % columns == 0 else set()):
                if r > rows or c > columns:
                    continue
                sums = r * c * v
                rate = sums / cycles(r * c, v, apart) * _share(rows, r) * _share(columns, c) * _share(vectors, v)
                if rate > best:
                    best, found = rate, Tile(r, c, v)
    return found


def settled(target: Target, tile: Tile, rows: int, line: int) -> Tile:
    """`tile`, or one of fewer of many `rows`, of `line` bytes each, one after the other, that do not stay in the second-level
    cache: where the same column of a tile does not stay in the first either, and not much more is computed twice.

    >>> avx512 = Target("x86_64-unknown-linux-gnu", "", "+avx512f,+avx512bw,+avx512vl")
    >>> [settled(avx512, Tile(1, 14, 2), rows, line).columns for rows, line in ((1024, 4096), (1024, 3072), (28, 4096))]
    [10, 14, 14]
    """
    most = STAY * PAGE // math.gcd(max(line, 1), PAGE)
    if tile.columns <= most or rows < MANY:
        return tile
    lower = register_tile(target, 1, rows, tile.vectors, whole=True, points=most)
    return lower if _share(rows, lower.columns) * AWAY >= _share(rows, tile.columns) else tile


def cycles(points: int, vectors: int, apart: bool = True) -> float:
    """What a step of the reduction takes: more than two vectors of weights come too late, of one stream more than three."""
    late = max(vectors - 2, 0) if apart else 2 * max(vectors - 3, 0)
    return max(max(points * vectors, LATENCY) / 2 + PER_STEP + late, LOAD * (points + vectors))


def _share(n: int, tile: int) -> float:
    """How much of what tiles of this size compute is wanted of `n`."""
    return n / (-(-n // tile) * tile)


def chunk(n: Any, tile: int, pieces: int) -> int:
    """The size, a multiple of `tile`, that cuts `n` into about `pieces` equal parts."""
    tiles = -(-n // tile)
    return int(-(-tiles // max(min(pieces, tiles), 1)) * tile)
