"""What this machine can do at most: operations of each type in registers, bytes a second out of each cache and of memory.

Each takes less than a second, in the first processes that want it, and the best is kept beside the compiled code, under
the processor's name and the number of threads.
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
from typing import Any

import numpy as np

import halo

from ..errors import ArgumentError, here
from ..jit import cache
from ..jit.target import Target
from ..jit.threads import get_num_threads

__all__ = ["KINDS", "Machine", "bytes_per_second", "caches", "machine", "multiply_adds", "ops_per_second", "triad"]

KINDS: dict[str, Any] = {
    "f32": halo.f32, "f64": halo.f64,  # multiply-adds, two each; f16 and bf16 are computed in f32
    "i8": halo.i8, "i16": halo.i16, "i32": halo.i32, "i64": halo.i64,  # additions and logic, signed or not
    "dot8": halo.intrinsics.dot_u8i8_i32, "dot16": halo.intrinsics.dot_i16i16_i32,  # products added up in i32, two each
    "dotbf16": halo.intrinsics.dot_bf16_f32,
}  # fmt: skip
ROWS, WAYS, LANES, STEPS = 64, 24, 16, 4096  # pieces of work, each of 24 accumulators of 16 lanes, 4096 times
MEMORY = "memory"
FAR = 1 << 24  # f32 of an array of the triad: far beyond the caches
SECONDS = 0.12  # of runs, for one measurement
TURNS = 3  # measurements


@dataclass(frozen=True)
class Machine:
    """A processor with `threads` of them at work: the operations of all of them a second, by what computes them (a key of
    KINDS), and the bytes a second out of each level: ("L1", ...), ..., ("memory", ...). `caches` are bytes, of one core,
    or what all share."""

    name: str
    threads: int
    ops_per_second: tuple[tuple[str, float], ...]
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

    def peak(self, kind: str) -> float:
        """Operations a second of a kind that was measured."""
        return dict(self.ops_per_second)[kind]

    def __str__(self) -> str:
        roofs = ", ".join(f"{kind} {speed / 1e9:.0f} Gop/s" for kind, speed in self.ops_per_second)
        speeds = ", ".join(f"{level} {speed / 1e9:.0f} GB/s" for level, speed in self.bytes_per_second)
        sizes = ", ".join(f"{level} {size >> 10} KiB" for level, size in self.caches)
        return f"{self.name}, {self.threads} threads: {roofs}; {speeds}; {sizes}"


def machine(*kinds: str) -> Machine:
    """This one, with as many threads as parallel loops have now, and its peaks of `kinds` (of f32 if none is named).

    >>> import halo
    >>> m = halo.show.machine("f32", "i16")
    >>> [kind for kind, _ in m.ops_per_second]
    ['f32', 'i16']
    """
    found = caches()
    speeds = tuple((level, _cache_speed(size)) for level, size in _measurable(found))
    peaks = tuple((kind, ops_per_second(kind)) for kind in kinds or ("f32",))
    return Machine(_processor(), get_num_threads(), peaks, (*speeds, (MEMORY, bytes_per_second())), found)


def bytes_per_second() -> float:
    """Of a[i] = b[i] + 3*c[i] on arrays of 64 MB, counted as STREAM does: two read, one written, past the caches."""
    return _kept("stream", FAR, get_num_threads())


def ops_per_second(kind: str = "f32") -> float:
    """Of what a key of KINDS stands for, with operands in registers. ArgumentError for anything else."""
    if kind not in KINDS:
        raise ArgumentError(f"no operations are of the kind {kind!r}", loc=here(), legal=tuple(KINDS))
    least = 0.0 if not kind.startswith("dotb") else ops_per_second("f32")  # without an instruction for it
    return max(_kept(kind, STEPS, get_num_threads()), least)


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
    """The best of TURNS processes: in some of them the machine may have had other things to do."""
    key = cache.digest(b"peak", _processor().encode(), json.dumps((what, size, threads)).encode())
    known = cache.get(key)
    best, turns = (0.0, 0) if known is None else json.loads(known)
    if turns < TURNS:
        best = max(best, _MEASURES[what](size))
        cache.put(key, json.dumps((best, turns + 1)).encode())
    return float(best)


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


def triad() -> tuple[int, Callable[[], object]]:
    """What `bytes_per_second` times, to be run beside something else, and the bytes that it moves."""
    return 12 * FAR, _triad_of(FAR)


def multiply_adds() -> tuple[int, Callable[[], object]]:
    """What `ops_per_second("f32")` times, to be run beside something else, and the operations of it."""
    return _power_of("f32", STEPS)


def _triad_of(n: int) -> Callable[[], object]:
    @halo.func
    def triad(i, *, b: halo.f32[::1], c: halo.f32[::1]):
        return b[i] + 3.0 * c[i]

    triad.vectorize("i", LANES).parallel("i").stream_stores()
    b, c, kernel = np.ones(n, np.float32), np.ones(n, np.float32), triad.compile()
    out = kernel(b, c)
    return lambda: kernel(b, c, out=out)


def _triad(n: int) -> float:
    return 12 * n / _best(_triad_of(n))


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


def _power(kind: str, steps: int) -> float:
    ops, run = _power_of(kind, steps)
    return ops / _best(run)


def _power_of(kind: str, steps: int) -> tuple[int, Callable[[], object]]:
    t, floats = KINDS[kind], kind.startswith("f")
    lanes = LANES * 32 // t.bits

    @halo.func
    def power(row, way, lane, *, a: t, b: t):
        power[row, way, lane] = t(way)
        for _k in halo.rdom(steps):
            if floats:
                power[row, way, lane] = power[row, way, lane] * a + b
            else:
                power[row, way, lane] = (power[row, way, lane] + a) ^ b

    @halo.func
    def result(row, way, lane):
        return power[row, way, lane]

    result.bound("way", 0, WAYS).bound("lane", 0, lanes).parallel("row").unroll("way").vectorize("lane", lanes)
    power.compute_at(result, "row").unroll("way").vectorize("lane", lanes)
    power.update(0).reorder("row", "_k", "way", "lane").unroll("way").vectorize("lane", lanes)
    kernel, out = result.compile(), np.zeros((ROWS, WAYS, lanes), t.dtype)
    a, b = (0.5, 1.0) if floats else (3, 5)
    return 2 * out.size * steps, lambda: kernel(a=a, b=b, out=out)


def _dots(kind: str, steps: int) -> float:
    instruction = KINDS[kind]
    wide = halo.f32 if kind == "dotbf16" else halo.i32
    ta, tb = {"dot8": (halo.u8, halo.i8), "dot16": (halo.i16, halo.i16), "dotbf16": (halo.bf16, halo.bf16)}[kind]
    products = 4 if kind == "dot8" else 2
    left, right = halo.Input("a", ta, ndim=2), halo.Input("b", tb, ndim=2)

    @halo.func
    def dot(row, way, lane):
        dot[row, way, lane] = wide(way)
        for _s, k in halo.rdom(steps, products):
            dot[row, way, lane] += wide(left[lane, k]) * wide(right[lane, k])

    @halo.func
    def result(row, way, lane):
        return dot[row, way, lane]

    result.bound("way", 0, WAYS).bound("lane", 0, LANES).parallel("row").unroll("way").vectorize("lane", LANES)
    dot.compute_at(result, "row").unroll("way").vectorize("lane", LANES)
    dot.update(0).atomic().reorder("row", "_s", "way", "lane", "k").unroll("way")
    dot.update(0).split("lane", "lane_o", "lane", LANES).tensorize("lane", instruction)
    kernel, out = result.compile(), np.zeros((ROWS, WAYS, LANES), wide.dtype)
    a, b = (np.full((LANES, products), 3, t.dtype) for t in (ta, tb))
    return 2 * products * steps * out.size / _best(lambda: kernel(a, b, out=out))


_MEASURES: dict[str, Callable[[int], float]] = {
    "stream": _triad,
    "cached": _cached,
    **{kind: functools.partial(_dots if kind.startswith("dot") else _power, kind) for kind in KINDS},
}


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
