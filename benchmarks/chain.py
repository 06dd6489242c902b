"""Thirty 3x3 stages, one after the other: from the definition to the result, nothing cached."""

from __future__ import annotations

from collections.abc import Iterator

from .measure import Result, in_fresh_process

CHAIN = """
import time, numpy as np, halo, numba, llvmlite.binding
img = np.random.default_rng(0).random((256, 256), np.float32)
start = time.perf_counter()
from benchmarks.chain import chain
chain(30)(img=halo.pad(img, "edge"))
print(time.perf_counter() - start)
"""


def chain(stages: int):
    import halo

    def stage(f):
        @halo.func
        def smooth(y, x):
            return sum(f[y + dy, x + dx] for dy in range(-1, 2) for dx in range(-1, 2)) / 9

        return smooth

    f = halo.Input("img", ndim=2)
    for _ in range(stages):
        f = stage(f)
    return f


def run() -> Iterator[Result]:
    yield Result("30 chained 3x3 stages: definition to result", in_fresh_process(CHAIN), "s", 1.5)
