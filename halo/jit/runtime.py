"""The native runtime: what kernels link against, compiled once a process (and kept on disk).

`runtime.ll` holds it: `halo_par_for` runs the iterations of a parallel loop on the threads of `crew.ll` (or a threading
layer of Numba's, see `threads`), and `halo_malloc`/`halo_free` serve intermediates from a pool that keeps freed blocks, so
that a big intermediate costs its page faults once and not at every call. `fork.ll` has threads for what `async_` computes,
and what they wait with. `memoize.ll` keeps what memoized stages computed, by the digests of `digest.ll`.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import config
from . import cache, threads
from .externs import print_values
from .target import Target

__all__ = ["MemoState", "MemoryInfo", "Runtime", "compiled", "is_loaded", "memory", "runtime", "trim"]

_SOURCES = tuple(Path(__file__).with_name(f"{name}.ll") for name in ("runtime", "fork", "crew", "digest", "memoize"))
_EXPORTS = ("halo_par_for", "halo_malloc", "halo_free", "halo_release", "halo_fork", "halo_join", "halo_acquire",
            "halo_signal", "halo_close", "halo_memo_key", "halo_memo_read", "halo_memo_find", "halo_memo_keep",
            "halo_memo_release")  # fmt: skip
_INTERNALS = (
    "halo_state",
    "halo_threads",
    "halo_crew",
    "halo_idle_for",
    "halo_trim",
    "halo_one_thread",
    "halo_after_fork",
    "halo_after_fork_of_crew",
    "halo_after_fork_of_threads",
    "halo_memo_state",
    "halo_memo_secret",
    "halo_memo_shrink",
    "halo_memo_evict",
    "halo_memo_after_fork",
)
_PAUSE = "define internal void @pause() nounwind alwaysinline {{\n{}\nret void\n}}\n"
_THREADS = ("PyThread_start_new_thread", "PyThread_allocate_lock", "PyThread_free_lock", "PyThread_acquire_lock",
            "PyThread_release_lock")  # fmt: skip
_SECRET = 132 * 64  # bytes of random numbers that digests are made with
_AWAKE = 50e-6  # seconds that a member of the crew waits for the next loop before it goes to sleep
_VOID = ctypes.CFUNCTYPE(None)
_FOR = ctypes.CFUNCTYPE(None, ctypes.c_int64)
_TRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64)


class State(ctypes.Structure):
    """The head of `@halo_state`."""

    _fields_ = (
        ("thread_count", ctypes.c_void_p),
        ("parallel_for", ctypes.c_void_p),
        ("load", ctypes.c_void_p),
        ("exclusive", ctypes.c_int64),
        ("busy", ctypes.c_int64),
        ("limit", ctypes.c_int64),
        ("kept", ctypes.c_int64),
        ("live", ctypes.c_int64),
        ("peak", ctypes.c_int64),
        ("calls", ctypes.c_int64),
    )


class Threads(ctypes.Structure):
    """`@halo_threads`."""

    _fields_ = (
        ("lock", ctypes.c_int64),
        ("idle", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("limit", ctypes.c_int64),
        ("set_thread_count", ctypes.c_void_p),
    )


class Crew(ctypes.Structure):
    """`@halo_crew`."""

    _fields_ = (("lock", ctypes.c_int64), ("count", ctypes.c_int64), ("patience", ctypes.c_int64))


class MemoState(ctypes.Structure):
    """The head of `@halo_memo_state`."""

    _fields_ = (
        ("lock", ctypes.c_int64),
        ("limit", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
        ("hits", ctypes.c_int64),
        ("misses", ctypes.c_int64),
        ("entries", ctypes.c_int64),
    )


@dataclass(frozen=True)
class MemoryInfo:
    """Bytes that kernels use now, the most they ever did, those kept for the next call; and blocks asked for."""

    live: int
    peak: int
    kept: int
    calls: int


class Runtime:
    """The runtime, loaded. `symbols` are the addresses that kernels link against."""

    def __init__(self) -> None:
        from . import llvm

        target = Target.host()
        source = "\n".join(path.read_text() for path in _SOURCES)
        source += _PAUSE.format("call void @llvm.x86.sse2.pause()" if target.is_x86 else "")
        self._library = llvm.load_object(compiled(source, target), _system(), (*_EXPORTS, *_INTERNALS))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._library))  # threads may be in it until the process ends
        self.symbols = {name: self._library.address(name) for name in _EXPORTS}
        self.symbols["halo_print"] = ctypes.cast(print_values, ctypes.c_void_p).value or 0
        self.state = State.from_address(self._library.address("halo_state"))
        self.state.limit = config.current().memory_pool
        self.threads = Threads.from_address(self._library.address("halo_threads"))
        self.crew = Crew.from_address(self._library.address("halo_crew"))
        self._load = _VOID(self.load_layer)  # runs when the first parallel loop does
        self.state.load = ctypes.cast(self._load, ctypes.c_void_p).value
        self.trim = _VOID(self._library.address("halo_trim"))
        self.memo = MemoState.from_address(self._library.address("halo_memo_state"))
        self.memo.limit = config.current().memoize_bytes
        self.shrink = _TRY(self._library.address("halo_memo_shrink"))
        self.evict = _TRY(self._library.address("halo_memo_evict"))
        ctypes.memmove(self._library.address("halo_memo_secret"), os.urandom(_SECRET), _SECRET)
        self._after_fork = [_VOID(self._library.address(name)) for name in _INTERNALS if "after_fork" in name]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_child)

    def load_layer(self) -> None:
        """Find out what loops run on, unless that has been done."""
        found = threads.layer()
        if found is None:
            self.state.thread_count = self._library.address("halo_one_thread")
        else:
            self.crew.patience = self._pauses(_AWAKE)
            self.state.exclusive = found.exclusive
            self.state.parallel_for = found.parallel_for
            self.threads.set_thread_count = found.set_thread_count
            self.state.thread_count = found.thread_count  # last: it says that the rest is there

    def _pauses(self, seconds: float) -> int:
        """How often an idle member of the crew looks for loops in that time."""
        idle, took = _FOR(self._library.address("halo_idle_for")), list[float]()
        for _ in range(3):
            start = time.perf_counter()
            idle(1000)
            took.append(time.perf_counter() - start)
        return max(int(1000 * seconds / min(took)), 1)

    def _in_child(self) -> None:
        for forget in self._after_fork:
            forget()
        self.state.parallel_for = None  # see threads


_loaded: Runtime | None = None
_lock = threading.Lock()


def runtime() -> Runtime:
    """The runtime of this process. Raises ArgumentError if `NUMBA_THREADING_LAYER` names none."""
    global _loaded
    if _loaded is None:
        threads.chosen()
        with _lock:
            _loaded = _loaded or Runtime()
    return _loaded


def is_loaded() -> bool:
    """Whether this process has its runtime."""
    return _loaded is not None


def memory() -> MemoryInfo:
    """What the pool holds.

    >>> memory().live >= 0
    True
    """
    state = runtime().state
    return MemoryInfo(state.live, state.peak, state.kept, state.calls)


def trim() -> None:
    """Give all kept memory back to the system."""
    runtime().trim()


def compiled(source: str, target: Target) -> bytes:
    """Object code for the LLVM IR `source`, kept on disk."""
    from . import llvm

    key = cache.digest(b"runtime", source.encode(), repr(target).encode())
    code = cache.get(key)
    if code is None:
        code = llvm.compile_ir(source, target)
        cache.put(key, code)
    return code


def _system() -> dict[str, int]:
    """The C library's allocator, and Python's threads and locks, which work on every system and without its own lock."""
    library: Any = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("msvcrt")
    found = {name: getattr(library, name) for name in ("malloc", "free")}
    found |= {name: getattr(ctypes.pythonapi, name) for name in _THREADS}
    return {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in found.items()}
