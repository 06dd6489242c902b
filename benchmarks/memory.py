"""How much memory a call takes beyond what the process has: what Linux says of the process's resident pages."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(run: Callable[[], object]) -> int | None:
    """The most that run() has at any time beyond what was there before it; None where the system does not say."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what the compiler has freed is not there to be used again
        RESET.write_text("5")  # the high-water mark begins anew
        before = _kilobytes("VmRSS")
        run()
        return max(0, _kilobytes("VmHWM") - before) << 10
    except (OSError, AttributeError):
        return None


def start_threads(peer: str) -> None:
    """Have the threads of `peer` and its libraries in memory: run something parallel."""
    if peer == "halide":
        import halide as hl

        i, f = hl.Var("i"), hl.Func("f")
        f[i] = i
        f.parallel(i).realize([64])
    else:
        import halo

        v, g = halo.Var("i"), halo.Func("f")
        g[v] = v
        g.parallel("i")(shape=1 << 18)


def _kilobytes(name: str) -> int:
    found = re.search(rf"{name}:\s*(\d+)", STATUS.read_text())
    return int(found[1]) if found else 0
