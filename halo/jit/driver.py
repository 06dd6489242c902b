"""A driver: machine code that calls kernels one after the other, with no Python in between.

Each kernel has its slots (see `layout`) in one table, a frame, which belongs to a call while that lasts. What changes from
call to call, the addresses of inputs and outputs, is written into the frame by the driver itself; and what changes with
the extents of a call, when they do (see `extents`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .extents import Extents
from .kernel import Kernel, MachineCode
from .runtime import compiled

__all__ = ["Driver", "Step"]

STEP_SHIFT = 32  # a status has the step that it comes from above these bits


@dataclass(frozen=True)
class Step:
    """A call of `kernel`. `slots`: its slots, addresses of ports left 0; `first`: where they are in the frame."""

    kernel: Kernel
    first: int
    slots: tuple[int, ...]


class Driver:
    """`steps` in order. `outside`: the (slot, k) of a frame that hold the k-th outside address, given anew each call.
    `extents`: what depends on the extents of a call, if anything does."""

    def __init__(
        self, steps: Sequence[Step], outside: Sequence[tuple[int, int]], extents: Extents | None = None
    ) -> None:
        from . import llvm
        from .target import Target

        self.steps = tuple(steps)
        codes = [s.kernel.code for s in steps]
        addresses: dict[int, str] = {}
        names = []
        for code in codes:
            assert isinstance(code, MachineCode)
            names.append(addresses.setdefault(code.address, f"kernel_{len(addresses)}"))
        text = _text([(name, s.first) for name, s in zip(names, steps, strict=True)], outside)
        entries: tuple[str, ...] = ("main",)
        if extents is not None:
            text, entries = text + extents.text(), ("main", "place")
        symbols = {name: address for address, name in addresses.items()}
        self._library = llvm.load_object(compiled(text, Target.host()), symbols, entries)
        self.address = self._library.address("main")
        if extents is not None:
            types = ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
            self._place = ctypes.CFUNCTYPE(*types)(self._library.address("place"))
        self._call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(self.address)

    def place(self, frame: int, dims: Sequence[int], base: int) -> int:
        """Write what depends on the extents `dims` into the frame; the bytes of the arena at `base`, or -1 - the number of
        the condition that does not hold."""
        return int(self._place(frame, (ctypes.c_int64 * len(dims))(*dims), base))

    def run(self, frame: int, outside: Any) -> None:
        """Compute. `frame`: the address of the slots; `outside`: a ctypes array of addresses. Raises what a kernel's check
        says."""
        error = (ctypes.c_int64 * 64)()
        status = self._call(frame, outside, error)  # ctypes lets go of Python's lock
        if status:
            kernel = self.steps[status >> STEP_SHIFT].kernel
            raise kernel._error(ctypes.c_int32(status & (2**STEP_SHIFT - 1)).value, list(error))


def _text(calls: Sequence[tuple[str, int]], outside: Sequence[tuple[int, int]]) -> str:
    lines = ["define i64 @main(ptr %frame, ptr %outside, ptr %error) {", "entry:"]
    for n, (slot, k) in enumerate(outside):
        lines += [
            f"  %from{n} = getelementptr i64, ptr %outside, i64 {k}",
            f"  %address{n} = load i64, ptr %from{n}",
            f"  %slot{n} = getelementptr i64, ptr %frame, i64 {slot}",
            f"  store i64 %address{n}, ptr %slot{n}",
        ]
    lines.append("  br label %step0")
    for n, (name, first) in enumerate(calls):
        lines += [
            f"step{n}:",
            f"  %slots{n} = getelementptr i64, ptr %frame, i64 {first}",
            f"  %status{n} = call i32 @{name}(ptr %slots{n}, ptr %error)",
            f"  %good{n} = icmp eq i32 %status{n}, 0",
            f"  br i1 %good{n}, label %step{n + 1}, label %bad",
        ]
    lines += [f"step{len(calls)}:", "  ret i64 0"]
    if calls:
        statuses = ", ".join(f"[%status{n}, %step{n}]" for n in range(len(calls)))
        steps = ", ".join(f"[{n}, %step{n}]" for n in range(len(calls)))
        lines += [
            "bad:",
            f"  %status = phi i32 {statuses}",
            f"  %step = phi i64 {steps}",
            "  %low = zext i32 %status to i64",
            f"  %high = shl i64 %step, {STEP_SHIFT}",
            "  %both = or i64 %high, %low",
            "  ret i64 %both",
        ]
    declared = [f"declare i32 @{name}(ptr, ptr)" for name in dict.fromkeys(name for name, _ in calls)]
    return "\n".join([*declared, *lines, "}", ""])
