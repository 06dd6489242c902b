"""What this machine can do at most: multiply-adds in registers, bytes a second out of each cache and out of memory.

Measured once, in about a second, and kept beside the compiled code, under the processor's name and the number of threads.
"""

# mypy: disable-error-code="valid-type, index, no-untyped-def"
# (annotations of Funcs are values of the language, not types)
from __future__ import annotations

import functools
import json
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import halo

from ..jit import cache
from ..jit.target import Target
from ..jit.threads import get_num_threads

__all__ = ["Machine", "byte_ops_per_second", "bytes_per_second", "caches", "flops_per_second", "machine"]

ROWS, WAYS, LANES, STEPS = 64, 24, 16, 4096  # pieces of work, each of 24 accumulators of 16 lanes, 4096 times
MEMORY = "memory"
FAR = 1 << 24  # f32 of an array of the triad: far beyond the caches
SECONDS = 0.12  # of runs, for one measurement


@dataclass(frozen=True)
class Machine:
    """A processor with `threads` of them at work: the f32 flops of all of them a second, and the bytes a second out of
    each level: ("L1", ...), ..., ("memory", ...). `caches` are bytes, of one core, or what all share."""

    name: str
    threads: int
    flops_per_second: float
    bytes_per_second: tuple[tuple[str, float], ...]
    caches: tuple[tuple[str, int], ...]

    def fits(self, bytes: float) -> str:
        """The smallest cache that holds so much: "L1", ..., or "no cache"; empty where no cache is known."""
        if not self.caches:
            return ""
        return next((level for level, size in self.caches if bytes <= size), "no cache")

    def bandwidth(self, level: str) -> float:
        """Bytes a second out of a level, as `fits` names it; what is in no cache comes from memory."""
        speeds = dict(self.bytes_per_second)
        return speeds.get(level, speeds[MEMORY])

    def __str__(self) -> str:
        speeds = ", ".join(f"{level} {speed / 1e9:.0f} GB/s" for level, speed in self.bytes_per_second)
        sizes = ", ".join(f"{level} {size >> 10} KiB" for level, size in self.caches)
        return f"{self.name}, {self.threads} threads: {self.flops_per_second / 1e9:.0f} Gflop/s; {speeds}; {sizes}"


def machine() -> Machine:
    """This one, with as many threads as parallel loops have now."""
    found = caches()
    speeds = tuple((level, _cache_speed(size)) for level, size in _measurable(found))
    return Machine(_processor(), get_num_threads(), flops_per_second(), (*speeds, (MEMORY, bytes_per_second())), found)


def bytes_per_second() -> float:
    """Of a[i] = b[i] + 3*c[i] on arrays far beyond the caches, counted as STREAM does: two read, one written."""
    return _kept("triad", FAR, get_num_threads())


def flops_per_second() -> float:
    """Of f32 multiply-adds whose operands are in registers, each of them two."""
    return _kept("power", STEPS, get_num_threads())


def byte_ops_per_second() -> float:
    """Of products of u8 and i8 whose operands are in registers, added up in i32, each of them two."""
    return _kept("dots", STEPS, get_num_threads())


def _cache_speed(size: int) -> float:
    """The same out of a cache of `size` bytes, of which the arrays of a thread fill half."""
    return _kept("cached", size // 16, get_num_threads())


def _measurable(found: tuple[tuple[str, int], ...]) -> Iterator[tuple[str, int]]:
    """Of a cache that all share each thread has its part; a large one need not be filled for its speed."""
    private = max((size for level, size in found if level != "L3"), default=0)
    for level, size in found:
        yield level, min(size // get_num_threads(), 8 * private) if level == "L3" else size


# Measuring


@functools.cache
def _kept(what: str, size: int, threads: int) -> float:
    key = cache.digest(b"machine", _processor().encode(), json.dumps((what, size, threads)).encode())
    known = cache.get(key)
    if known is not None:
        return float(json.loads(known))
    found = _MEASURES[what](size)
    cache.put(key, json.dumps(found).encode())
    return found


def _best(f: Callable[[], object]) -> float:
    """The shortest time of f() in seconds, of as many calls as fit (at least 3)."""
    f()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return min(times)


def _triad(n: int) -> float:
    @halo.func
    def triad(i, *, b: halo.f32[::1], c: halo.f32[::1]):
        return b[i] + 3.0 * c[i]

    b, c, out = (np.ones(n, np.float32) for _ in range(3))
    kernel = triad.compile()
    return 12 * n / _best(lambda: kernel(b, c, out=out))


def _cached(n: int) -> float:
    """`n` f32 of each array of a thread, over and over: one is read, one read and written."""
    steps, threads = max(1 << 22, 4 * n) // n, get_num_threads()

    @halo.func
    def again(thread, i, *, c: halo.f32[:, ::1]):
        again[thread, i] = 0.0
        for _k in halo.rdom(steps):
            again[thread, i] = again[thread, i] * 0.5 + c[thread, i]

    again.update(0).reorder("thread", "_k", "i").parallel("thread").split("i", "io", "i", 8 * LANES)
    again.update(0).vectorize("i", LANES).unroll("i")
    c = np.ones((threads, n // (8 * LANES) * 8 * LANES), np.float32)
    kernel, out = again.compile(), np.ones_like(c)
    return 12 * c.size * steps / _best(lambda: kernel(c, out=out))


def _power(steps: int) -> float:
    @halo.func
    def power(row, way, lane, *, scale: halo.f32):
        power[row, way, lane] = halo.f32(way)
        for _k in halo.rdom(steps):
            power[row, way, lane] = power[row, way, lane] * scale + 1.0

    @halo.func
    def result(row, way, lane):
        return power[row, way, lane]

    result.bound("way", 0, WAYS).bound("lane", 0, LANES).parallel("row").unroll("way").vectorize("lane", LANES)
    power.compute_at(result, "row").unroll("way").vectorize("lane", LANES)
    power.update(0).reorder("row", "_k", "way", "lane").unroll("way").vectorize("lane", LANES)
    kernel, out = result.compile(), np.zeros((ROWS, WAYS, LANES), np.float32)
    return 2 * out.size * steps / _best(lambda: kernel(scale=0.5, out=out))


def _dots(steps: int) -> float:
    @halo.func
    def dot(row, way, lane, *, a: halo.u8[:, :], b: halo.i8[:, :]):
        dot[row, way, lane] = halo.i32(way)
        for _s, k in halo.rdom(steps, 4):
            dot[row, way, lane] += halo.i32(a[lane, k]) * halo.i32(b[lane, k])

    @halo.func
    def result(row, way, lane):
        return dot[row, way, lane]

    result.bound("way", 0, WAYS).bound("lane", 0, LANES).parallel("row").unroll("way").vectorize("lane", LANES)
    dot.compute_at(result, "row").unroll("way").vectorize("lane", LANES)
    dot.update(0).reorder("row", "_s", "way", "lane", "k").unroll("way")
    dot.update(0).split("lane", "lane_o", "lane", LANES).tensorize("lane", halo.intrinsics.dot_u8i8_i32)
    kernel, out = result.compile(), np.zeros((ROWS, WAYS, LANES), np.int32)
    a, b = np.full((LANES, 4), 3, np.uint8), np.full((LANES, 4), -3, np.int8)
    return 2 * 4 * steps * out.size / _best(lambda: kernel(a, b, out=out))


_MEASURES: dict[str, Callable[[int], float]] = {"triad": _triad, "cached": _cached, "power": _power, "dots": _dots}


# What the system says


@functools.cache
def _processor() -> str:
    """The name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(named, "") or _sysctl("machdep.cpu.brand_string") or platform.processor()
    return f"{name} ({Target.host().cpu})".strip()


@functools.cache
def caches() -> tuple[tuple[str, int], ...]:
    """The data caches and their bytes, as the system gives them (Linux and macOS; nothing elsewhere)."""
    found: dict[str, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / what).read_text().strip() for what in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = int(size.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(size[-1:], 0)
    for number, name in enumerate(("hw.l1dcachesize", "hw.l2cachesize", "hw.l3cachesize"), 1):
        said = _sysctl(name)
        if said.isdecimal() and int(said):
            found.setdefault(f"L{number}", int(said))
    return tuple(sorted(found.items()))


def _sysctl(name: str) -> str:
    """What macOS says of itself; nothing elsewhere."""
    if platform.system() != "Darwin":
        return ""
    said = subprocess.run(("sysctl", "-n", name), capture_output=True, text=True, check=False)
    return said.stdout.strip()
