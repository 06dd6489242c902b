"""`Net`: a compiled program. Calls of it may come from any number of threads at once."""

from __future__ import annotations

import ctypes
import math
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.ir.shapes import DimExpr
from halo.jit.driver import Driver
from halo.jit.extents import Extents

from .interface import Interface
from .ir import Call, Function, Module, walk
from .kernels import scheduled
from .memory import ALIGNMENT

if TYPE_CHECKING:
    from halo import Func, nn
    from halo.jit.kernel import Kernel
    from halo.schedule.schedule import Schedule

    from .profile import Profile

__all__ = ["Group", "Memory", "Net"]


@dataclass(frozen=True)
class Group:
    """A kernel of the net as it is called: `name` is that of its function, which equal groups share, `source` that of the
    node that it comes from, `sources` those of all. `seconds` is the time that the last `profile` of the net found."""

    name: str
    source: str
    function: Function
    kernel: Kernel
    given: Any = None  # the schedule that `compile` was given for it
    sources: tuple[str, ...] = ()
    seconds: float | None = None

    @cached_property
    def out(self) -> nn.Tensor:
        """Its last stage, with the shape of the result."""
        return scheduled(self.function, self.given)

    @property
    def operators(self) -> tuple[str, ...]:
        """The names of the operators in it."""
        return tuple(e.op.name for e in walk(self.function.body) if isinstance(e, Call))

    @property
    def func(self) -> Func:
        """The Func that computes it."""
        return self.out.func  # type: ignore[no-any-return]  # of any type

    def schedule(self) -> Schedule:
        """How it is computed: what `compile(schedules={name: ...})` takes."""
        return self.func.schedule()

    def __repr__(self) -> str:
        return f"<group {self.name} -> {self.function.type}>"


@dataclass(frozen=True)
class Memory:
    """Bytes: of the intermediates of one call, and of the constants, which all calls share."""

    arena: int
    constants: int


class Frame:
    """What one call has for itself: the slots of all kernels, and an arena for the intermediates."""

    def __init__(self, slots: np.ndarray[Any, Any], inside: list[tuple[int, int]], arena: int) -> None:
        self.slots = slots.copy()
        self.address = self.slots.ctypes.data
        self.dims: tuple[int, ...] = ()  # the extents that it is made for
        self._allocate(arena)
        for slot, offset in inside:
            self.slots[slot] = self.base + offset

    def _allocate(self, arena: int) -> None:
        self.arena = arena
        try:
            self.memory = np.empty(arena + ALIGNMENT, np.uint8)
        except MemoryError as error:
            raise ArgumentError(f"a call needs {arena} bytes for itself, which there are not", loc=here()) from error
        self.base = self.memory.ctypes.data + -self.memory.ctypes.data % ALIGNMENT

    def fit(self, driver: Driver, extents: Extents, dims: tuple[int, ...]) -> None:
        """Make it one for the extents `dims`. Raises ArgumentError where the program does not take them."""
        if dims == self.dims:
            return
        self.dims = ()
        need = driver.place(self.address, dims, self.base)
        if need < 0:
            c = extents.conditions[-1 - need]
            of = dict(zip(extents.dims, dims, strict=True))
            a, b = (n.evaluate(of) if isinstance(n, DimExpr) else n for n in (c.a, c.b))
            given = ", ".join(f"{name} = {n}" for name, n in of.items())
            raise ArgumentError(
                f"{c.says} takes {c.a} {c.relation} {c.b}, and they are {a} and {b} ({given})", loc=here()
            )
        if need > self.arena:
            self._allocate(need)
            driver.place(self.address, dims, self.base)
        self.dims = dims


class Net(Interface):
    """A program as machine code: `net(x)`, `net(data=x)`. Made by `Module.compile`.

    >>> import halo, numpy as np
    >>> from halo.graph import parse
    >>> net = parse("def main(%x: f32[2]) -> f32[2] { %0 = relu(%x); %0 }").compile()
    >>> net(np.array([-1, 2], np.float32))
    array([0., 2.], dtype=float32)
    """

    def __init__(self, module: Module, driver: Driver, groups: tuple[Group, ...], slots: np.ndarray[Any, Any],
                 inside: list[tuple[int, int]], arena: int, constants: dict[str, np.ndarray[Any, Any]],
                 extents: Extents | None = None) -> None:  # fmt: skip
        self.groups, self._driver, self._inside, self._arena, self._constants = groups, driver, inside, arena, constants
        super().__init__(module)
        self._extents = extents
        self._text, self._names = str(module), module.outputs
        self._slots = slots
        self._free: list[Frame] = []
        self._lock = threading.Lock()

    def __call__(self, *args: Any, out: Any = None, taps: Sequence[str] | None = None, **inputs: Any) -> Any:
        """Compute. Arrays by position in the order of `inputs` or by name; the result is an array, or a tuple of them.

        `out`: the array (or a tuple of them) to write to. `taps`: names of values inside of the program (see `Module.values`):
        the result is then what it is without them, and the taps as arrays by name. The first call with these taps compiles.
        Raises ArgumentError for arrays that do not fit, and for a tap that there is not.
        """
        if taps is not None:
            return self.tapped(args, out, tuple(taps), inputs)
        arrays, dims = self.arrays(args, inputs)
        outs = self.outs(out, dims)
        self._run(arrays, outs, dims)
        return tuple(outs) if self.several else outs[0]

    def _run(
        self, arrays: list[np.ndarray[Any, Any]], outs: list[np.ndarray[Any, Any]], dims: Mapping[str, int]
    ) -> None:
        outside = (ctypes.c_int64 * (len(arrays) + len(outs)))(*(a.ctypes.data for a in (*arrays, *outs)))
        frame = self._take()
        try:
            if self._extents is not None:
                frame.fit(self._driver, self._extents, tuple(dims[name] for name in self._extents.dims))
            self._driver.run(frame.address, outside)
        finally:
            with self._lock:
                self._free.append(frame)

    def _take(self) -> Frame:
        with self._lock:
            if self._free:
                return self._free.pop()
        return Frame(self._slots, self._inside, self._arena)

    def save(self, path: str | Path) -> None:
        """Write the net into a file: its kernels, its program and its constants. See `halo.graph.load`."""
        from .artefact import save

        save(path, self._text, self._names, self._constants, {g.name: g.kernel for g in self.groups})

    # Looking inside --------------------------------------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        """How much memory a call needs (the last one, where extents decide), and the constants."""
        with self._lock:
            arena = max((f.arena for f in self._free), default=self._arena)
        return Memory(arena, sum(a.nbytes for a in self._constants.values()))

    def benchmark(self, *args: Any, seconds: float = 1.0, **inputs: Any) -> float:
        """The median time of a call, in seconds, of as many as fit."""
        arrays, dims = self.arrays(args, inputs)
        outs = self.outs(None, dims)
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < 5 or time.perf_counter() < end:
            start = time.perf_counter()
            self._run(arrays, outs, dims)
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    def profile(self, *args: Any, runs: int = 20, **inputs: Any) -> Profile:
        """The time of each group, with the arithmetic and the bytes that it moves. Random input where none is given."""
        from .profile import profile

        rng = np.random.default_rng(0)
        if not args and not inputs:
            inputs = {n: rng.random(t.static, np.float32).astype(t.dtype.dtype) for n, t in self.inputs.items()}
        arrays, dims = self.arrays(args, inputs)
        found = profile(self, arrays, self.outs(None, dims), dims, runs)
        self.groups = tuple(replace(g, seconds=row.seconds) for g, row in zip(self.groups, found, strict=True))
        return found

    def __repr__(self) -> str:
        kernels = len({g.name for g in self.groups})
        size = math.ceil((self.memory.arena + self.memory.constants) / 2**20)
        inputs = ", ".join(f"{name}: {t}" for name, t in self.inputs.items())
        outputs = ", ".join(map(repr, self.outputs.values()))
        return f"<halo.graph.Net ({inputs}) -> {outputs}: {len(self.groups)} groups of {kernels} kernels, {size} MiB>"
