"""What a program waits for before its first picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from .measure import Result, in_fresh_process

IMPORT = """
import time, numpy
start = time.perf_counter()
import halo
print(time.perf_counter() - start)
"""

FIRST_CALL = """
import time, numpy as np, halo, numba
img = np.random.default_rng(0).integers(0, 21845, (512, 512), np.uint16)
import llvmlite.binding
start = time.perf_counter()
from benchmarks.blur import func, schedule
blur = func()
schedule(blur)
blur(img=img, shape=(510, 510))
print(time.perf_counter() - start)
"""


LOCAL_LAPLACIAN = """
import time, numpy as np
img = np.random.default_rng(0).integers(0, 65536, (1536, 2560, 3), np.uint16)
start = time.perf_counter()
from benchmarks.local_laplacian import func, schedule
laplacian = func()
schedule(laplacian)
laplacian(img=img)
print(time.perf_counter() - start)
"""


def run() -> Iterator[Result]:
    yield Result("import halo, beyond NumPy", in_fresh_process(IMPORT), "s", 0.3)
    yield Result("3x3 blur: first call, nothing cached", in_fresh_process(FIRST_CALL), "s", 0.5)
    with tempfile.TemporaryDirectory() as cache:
        in_fresh_process(FIRST_CALL, cache, repeat=1)
        yield Result("3x3 blur: first call, from the disk cache", in_fresh_process(FIRST_CALL, cache), "s", 0.1)
        yield Result(
            "local Laplacian: import and first call, nothing cached", in_fresh_process(LOCAL_LAPLACIAN), "s", 1.2
        )
        in_fresh_process(LOCAL_LAPLACIAN, cache, repeat=1)
        cached = in_fresh_process(LOCAL_LAPLACIAN, cache)
        yield Result("local Laplacian: import and first call, from the cache", cached, "s", 0.6)
