"""How many threads loops may use, and whose threads these are.

Loops run on threads of halo's own (`crew.ll`), or on a threading layer of Numba's where `NUMBA_THREADING_LAYER` names one: an
extension module that holds addresses of C functions, found by path and loaded in milliseconds, without Numba. The work queue
serves one caller at a time, so the runtime runs the others serially. Either way the number of threads is Numba's: kept
by the layer that Numba takes, so that `numba.set_num_threads` and ours are one setting (for the calling thread).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.machinery
import importlib.util
import operator
import os
import sys
import threading
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ArgumentError

__all__ = ["Layer", "chosen", "get_num_threads", "layer", "set_num_threads", "threading_layer"]

_MODULES = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}
_OWN = "halo"
_COUNTING = ("tbb", "workqueue")  # what Numba takes, of what counts without harm
_CHOICES: dict[str, tuple[str, ...]] = dict.fromkeys(("default", "safe", "threadsafe", "forksafe", "tbb"), _COUNTING)
_CHOICES |= {"omp": ("omp", *_COUNTING), "workqueue": ("workqueue",)}
_TBB = {"linux": "libtbb.so.12", "darwin": "libtbb.12.dylib", "win32": "tbb12.dll"}
_OLDEST_TBB = 12060  # the interface of 2021.6, the oldest that Numba takes


@dataclass(frozen=True)
class Layer:
    """What loops run on: addresses of functions, no `parallel_for` where that is the crew. `exclusive`: two callers that meet
    in it abort the process."""

    name: str
    parallel_for: int | None
    thread_count: int
    set_thread_count: int
    launched: int
    exclusive: bool
    module: Any  # its functions vanish with it


def chosen() -> str:
    """What `NUMBA_THREADING_LAYER` says. Raises ArgumentError for an unknown name."""
    named = os.environ.get("NUMBA_THREADING_LAYER", "").lower() or "default"
    if named not in _CHOICES:
        raise ArgumentError(f"NUMBA_THREADING_LAYER names no threading layer: {named!r}", legal=tuple(_CHOICES))
    return named


class _Process:
    """What this process has loaded."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.known = False
        self.layer: Layer | None = None


_process = _Process()


def layer() -> Layer | None:
    """What loops of this process run on; None where Numba has no layer, not even to count threads (they then run serially)."""
    named = chosen()
    with _process.lock:
        if not _process.known:
            _process.layer = _first_layer(named)
            _process.known = True
        return _process.layer


def _first_layer(named: str) -> Layer | None:
    found = next((_launch(name, module) for name in _CHOICES[named] if (module := _load(name))), None)
    if found is not None and found.name == named:
        return found
    if named in _MODULES:
        warnings.warn(f"the threading layer {named!r} cannot be loaded", RuntimeWarning, stacklevel=3)
    return None if found is None else _own(found)


def _own(counting: Layer) -> Layer:
    return replace(counting, name=_OWN, parallel_for=None, exclusive=False)


def _after_fork() -> None:
    """A child runs on the crew: GNU OpenMP would kill it, and TBB hangs in it now and then if several threads of the parent
    used it. The number of threads stays."""
    _process.lock = threading.RLock()
    if _process.layer is not None:
        _process.layer = _own(_process.layer)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threading_layer() -> str:
    """Whose threads parallel loops run on: halo, its own; tbb, workqueue or omp, Numba's, where `NUMBA_THREADING_LAYER` names
    one; serial where Numba's layers cannot be loaded.

    >>> threading_layer() in ("halo", "tbb", "workqueue", "omp", "serial")
    True
    """
    found = layer()
    return "serial" if found is None else found.name


def get_num_threads() -> int:
    """How many threads a parallel loop started from this thread may use.

    >>> import halo
    >>> halo.get_num_threads() >= 1
    True
    """
    found = layer()
    return 1 if found is None else int(ctypes.CFUNCTYPE(ctypes.c_int)(found.thread_count)())


def set_num_threads(n: int) -> None:
    """Let parallel loops started from this thread use at most `n` threads (Numba's setting, and its meaning).

    `n` is at least 1 and at most the number launched: `NUMBA_NUM_THREADS`, by default one a CPU. Raises ArgumentError.

    >>> import halo
    >>> halo.set_num_threads(halo.get_num_threads())
    """
    found = layer()
    most = 1 if found is None else found.launched
    try:
        count = operator.index(n)
    except TypeError:
        count = None
    if count is None or isinstance(n, bool):
        raise ArgumentError(f"the number of threads is an integer, not {n!r}")
    if not 1 <= count <= most:
        raise ArgumentError(f"the number of threads is between 1 and {most}, not {n}", hint=f"NUMBA_NUM_THREADS={n}")
    if found is not None:
        ctypes.CFUNCTYPE(None, ctypes.c_int)(found.set_thread_count)(count)


# Loading


def _load(name: str) -> Any:
    """The extension module of layer `name`, or None. It is the very one that Numba loads."""
    full = f"numba.np.ufunc.{_MODULES[name]}"
    loaded = sys.modules.get(full)
    if loaded is not None:
        return loaded
    path = _path(_MODULES[name])
    if path is None or (name == "tbb" and not _preload_tbb()):
        return None
    try:
        loader = importlib.machinery.ExtensionFileLoader(full, str(path))
        module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(full, loader, origin=str(path)))
        loader.exec_module(module)
    except ImportError:
        return None
    finally:
        sys.modules.pop(full, None)  # a module of a package that is not imported
    return module


def _path(module: str) -> Path | None:
    package = importlib.util.find_spec("numba")
    for directory in [] if package is None else package.submodule_search_locations or []:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(directory, "np", "ufunc", module + suffix)
            if path.exists():
                return path
    return None


def _preload_tbb() -> bool:
    """Load the TBB library, which pip installs where no loader looks; whether there is one, and new enough."""
    name = _TBB.get(sys.platform, "")
    package = importlib.util.find_spec("numba")
    origin = Path(package.origin) if package is not None and package.origin else Path(sys.prefix)
    roots = (Path(sys.prefix), *origin.parents, Path(sys.base_prefix))
    places = [root / sub / name for root in roots for sub in ("lib", "Library/bin")]
    for place in [name, *(str(p) for p in places if p.exists())]:
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(place, mode=ctypes.RTLD_GLOBAL)
            return bool(library.TBB_runtime_interface_version() >= _OLDEST_TBB)
    return False


def _launch(name: str, module: Any) -> Layer:
    count = _thread_count()
    ctypes.CFUNCTYPE(None, ctypes.c_int)(module.launch_threads)(count)
    counts = _shared_count(module)
    exclusive = name == "workqueue"
    return Layer(name, module.parallel_for, counts.get_num_threads, counts.set_num_threads, count, exclusive, module)


def _thread_count() -> int:
    """`NUMBA_NUM_THREADS`, else the CPUs that this process may use."""
    numba = sys.modules.get("numba.core.config")
    if numba is not None:
        return int(numba.NUMBA_NUM_THREADS)
    with contextlib.suppress(ValueError):
        return max(int(os.environ.get("NUMBA_NUM_THREADS", "")), 1)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shared_count(module: Any) -> Any:
    """The module that keeps the number of threads: Numba's, if it launched another layer before this one was found."""
    numba = sys.modules.get("numba.np.ufunc.parallel")
    if numba is None or not numba._is_initialized:
        return module
    return sys.modules.get(f"numba.np.ufunc.{_MODULES[numba._threading_layer]}", module)
