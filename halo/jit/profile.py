"""The counters of a profiled kernel: a few functions in machine code that it calls, and the table they fill."""

from __future__ import annotations

import ctypes
import functools
import threading
import time
from typing import Any

import numpy as np

from ..ir.linked import Linked, link
from .target import Target

__all__ = ["STAGES", "counters", "lock", "names", "ticks_per_second"]

STAGES = 1 << 12
lock = threading.Lock()  # one profile at a time: the table is one

_SOURCE = """
%Counter = type { i64, i64, i64, i64 } ; ticks, times computed, allocations, bytes

@halo_counters = global [4096 x %Counter] zeroinitializer

declare i64 @llvm.CLOCK()

define i64 @halo_profile_now(i64 %unique) nounwind {
  %now = call i64 @llvm.CLOCK()
  ret i64 %now
}

define i64 @halo_profile_charge(i64 %to, i64 %from, i64 %since) nounwind {
entry:
  %now = call i64 @llvm.CLOCK()
  %passed = sub i64 %now, %since
  %credit = icmp sge i64 %to, 0
  br i1 %credit, label %add, label %other
add:
  %ticks = getelementptr [4096 x %Counter], ptr @halo_counters, i64 0, i64 %to, i32 0
  %times = getelementptr [4096 x %Counter], ptr @halo_counters, i64 0, i64 %to, i32 1
  %t = atomicrmw add ptr %ticks, i64 %passed monotonic
  %whole = icmp sge i64 %from, 0 ; not one iteration of a parallel loop
  %one = zext i1 %whole to i64
  %n = atomicrmw add ptr %times, i64 %one monotonic
  br label %other
other:
  %debit = icmp sge i64 %from, 0
  br i1 %debit, label %take, label %done
take:
  %outer = getelementptr [4096 x %Counter], ptr @halo_counters, i64 0, i64 %from, i32 0
  %o = atomicrmw sub ptr %outer, i64 %passed monotonic
  br label %done
done:
  ret i64 0
}

define i64 @halo_profile_allocated(i64 %stage, i64 %size) nounwind {
  %count = getelementptr [4096 x %Counter], ptr @halo_counters, i64 0, i64 %stage, i32 2
  %bytes = getelementptr [4096 x %Counter], ptr @halo_counters, i64 0, i64 %stage, i32 3
  %c = atomicrmw add ptr %count, i64 1 monotonic
  %b = atomicrmw add ptr %bytes, i64 %size monotonic
  ret i64 0
}
"""
_FUNCTIONS = ("halo_profile_now", "halo_profile_charge", "halo_profile_allocated")


@functools.cache
def _library() -> Any:
    from . import llvm

    target = Target.host()
    clock = "readcyclecounter" if target.is_x86 else "readsteadycounter"
    return llvm.load_object(
        llvm.compile_ir(_SOURCE.replace("CLOCK", clock), target), {}, (*_FUNCTIONS, "halo_counters")
    )


@functools.cache
def names() -> tuple[str, ...]:
    """The functions `now`, `charge` and `allocated`, linked so that kernels find them."""
    library = _library()
    made = []
    for name in _FUNCTIONS:
        call = ctypes.CFUNCTYPE(
            ctypes.c_int64, *[ctypes.c_int64] * {"now": 1, "charge": 3}.get(name.rsplit("_", 1)[1], 2)
        )
        made.append(link(name, Linked(library.address(name), call(library.address(name)), library)))
    return tuple(made)


def counters() -> np.ndarray[Any, Any]:
    """The table: a row a stage of ticks, times computed, allocations and bytes."""
    names()
    memory = (ctypes.c_int64 * (4 * STAGES)).from_address(_library().address("halo_counters"))
    return np.asarray(np.ctypeslib.as_array(memory)).reshape(STAGES, 4)


@functools.cache
def ticks_per_second() -> float:
    """The rate of the clock, against Python's."""
    now = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(_library().address(_FUNCTIONS[0]))
    start, ticks = time.perf_counter(), now(0)
    time.sleep(0.02)
    return float((now(0) - ticks) / (time.perf_counter() - start))
