"""`Net`: a compiled program. Calls of it may come from any number of threads at once."""

from __future__ import annotations

import ctypes
import functools
import math
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.jit.driver import Driver
from halo.jit.entry import slow_path
from halo.jit.extents import Extents
from halo.jit.ports import FRAMES

from .arguments import names
from .interface import Interface, is_packed
from .ir import Call, Function, walk
from .kernels import scheduled
from .memory import ALIGNMENT
from .module import Module
from .plan import Plan
from .repeats import Repeats

if TYPE_CHECKING:
    from halo import Func, nn
    from halo.jit.kernel import Kernel
    from halo.schedule.schedule import Schedule

    from .profile import Profile

__all__ = ["Group", "Memory", "Net", "Source"]

Array = np.ndarray[Any, Any]


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
    extents: tuple[tuple[str, Any], ...] = ()  # that the program calls otherwise

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


class Source:
    """The program that a net is of, after all passes, and what `compile` was given for it; its text is read when somebody asks
    what is in it."""

    def __init__(self, read: Callable[[], Module], text: str | None = None,
                 schedules: Mapping[str, Any] | None = None) -> None:  # fmt: skip
        self._read, self._text, self.schedules = read, text, schedules or {}

    @cached_property
    def module(self) -> Module:
        return self._read()

    @property
    def text(self) -> str:
        return str(self.module) if self._text is None else self._text


class Frame:
    """What one call has for itself: the slots of all kernels, and an arena for the intermediates. `place` is the address of what
    machine code knows of it: where its slots are, and the extents that it is made for."""

    def __init__(self, plan: Plan, slots: Array) -> None:
        self.slots = slots.copy()
        self.address = self.slots.ctypes.data
        self._head = np.full(1 + (0 if plan.extents is None else len(plan.extents.dims)), -1, np.int64)
        self._head[0], self.place = self.address, self._head.ctypes.data
        self._allocate(plan.arena)
        for slot, offset in plan.inside:
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
        if dims == tuple(self._head[1:]):
            return
        self._head[1:] = -1
        need = driver.place(self.address, dims, self.base)
        if need < 0:
            error = extents.conditions[-1 - need].failed(dict(zip(extents.dims, dims, strict=True)).__getitem__)
            assert error is not None
            raise error
        if need > self.arena:
            self._allocate(need)
            driver.place(self.address, dims, self.base)
        self._head[1:] = dims


class Net(Interface):
    """A program as machine code: `net(x)`, `net(data=x)`. Made by `Module.compile`.

    >>> import halo, numpy as np
    >>> from halo.graph import parse
    >>> net = parse("def main(%x: f32[2]) -> f32[2] { %0 = relu(%x); %0 }").compile()
    >>> net(np.array([-1, 2], np.float32))
    array([0., 2.], dtype=float32)
    """

    _repeats: Repeats | None = None

    def __init__(
        self, plan: Plan, kernels: Mapping[str, Kernel], constants: Mapping[str, Array], source: Source
    ) -> None:
        super().__init__(plan.inputs, plan.outputs)
        self.plan, self._source, self._constants = plan, source, constants
        self._kernels = {p.name: kernels[p.name] for p in plan.places}
        self.driver = Driver(plan.code, plan.program, self._kernels, plan.extents is not None)
        self._slots = plan.slots.copy()
        for slot, name in plan.constants:
            self._slots[slot] = constants[name].ctypes.data
        self._groups: tuple[Group, ...] | None = None
        self._frames: dict[int, Frame] = {}
        self._lock = threading.Lock()
        slow, binder = slow_path(self), self.binder
        self._entry = None if binder is None else self.driver.entry(binder, plan.shapes, slow)
        self._call = functools.partial(slow, 0) if self._entry is None else self._entry.function

    def repeat(self, repeats: Repeats, m: Module) -> None:
        """Take calls that repeat axes, too, as the program `m` does of which this net is the dense one."""
        self._repeats = repeats
        self.inputs, self.outputs = m.inputs, dict(zip(self.outputs, (e.type for e in m.main.outputs), strict=True))

    def taking(self, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Net:
        """The net that computes a call with these arrays: this one, or one in which axes are repeated."""
        other = None if self._repeats is None else self._repeats.net(args, inputs)
        return self if other is None else other.taking(args, inputs)

    @property
    def nets(self) -> Mapping[str, Net]:
        """The functions of the program that are machine code in one piece, by name: `main` is, if nothing cuts it up."""
        return {"main": self}

    def __call__(self, /, *args: Any, out: Any = None, taps: Sequence[str] | None = None, **inputs: Any) -> Any:
        """Compute. Arrays by position in the order of `inputs` or by name; the result is an array, or a tuple of them.

        An array is one of NumPy, or any that shares its memory: a tensor of PyTorch or JAX (DLPack, on the CPU). `out`: the
        array (or a tuple of them) to write to, which is the result then; new ones are of NumPy, and `torch.from_dlpack` takes
        them without a copy. `taps`: names of values inside of the program (see `Module.values`):
        the result is then what it is without them, and the taps as arrays by name. The first call with these taps compiles.
        Raises ArgumentError for arrays that do not fit, and for a tap that there is not.
        """
        if taps is not None:
            return self.tapped(args, out, names("taps", taps), inputs)
        return self._call(*args, **inputs) if out is None else self._call(*args, out=out, **inputs)

    def _slow(self, _: int, /, *args: Any, out: Any = None, **inputs: Any) -> Any:
        """The call in full, for what machine code does not serve."""
        net = self.taking(args, inputs)
        outs = net._results(*net.arrays(args, inputs), out)
        return tuple(outs) if self.several else outs[0]

    def _results(self, arrays: list[Array], dims: Mapping[str, int], out: Any = None) -> list[Any]:
        outs = self.outs(out, dims)
        if out is None:
            self.run(arrays, outs, dims)
            return outs
        others = [*arrays, *outs]
        if all(map(is_packed, outs)) and not any(
            np.may_share_memory(a, b) for k, b in enumerate(outs) for a in others[: len(arrays) + k]
        ):
            self.run(arrays, outs, dims)
        else:
            fresh = self.outs(None, dims)  # what is read may not be written over
            self.run(arrays, fresh, dims)
            for a, made in zip(outs, fresh, strict=True):
                a[...] = made
        return self.given(out)

    def run(self, arrays: list[Array], outs: list[Array], dims: Mapping[str, int],
            then: Callable[[Frame], None] | None = None) -> None:  # fmt: skip
        """Compute `outs`, packed arrays as all are, and do `then` with the frame of this call, as long as it lasts."""
        outside = (ctypes.c_int64 * (len(arrays) + len(outs)))(*(a.ctypes.data for a in (*arrays, *outs)))
        frame, extents = self._take(), self.plan.extents
        try:
            if extents is not None:
                frame.fit(self.driver, extents, tuple(dims[name] for name in extents.dims))
            self.driver.run(frame.address, outside)
            if then is not None:
                then(frame)
        finally:
            if frame.place in self._frames:
                self.driver.give(frame.place)

    def _take(self) -> Frame:
        """A frame that no other call has; it is kept, if there is room, for as long as the net lives."""
        there = self.driver.take()
        if there is not None:
            return self._frames[there]
        frame = Frame(self.plan, self._slots)
        with self._lock:
            if len(self._frames) < FRAMES:
                self._frames[frame.place] = frame
        return frame

    def calls(self, arrays: list[Array], dims: Mapping[str, int]) -> dict[str, tuple[list[Array], list[Array]]]:
        """The arrays that the functions of `nets` are given and give in a call, by name: those of the last time."""
        return {"main": (arrays, self.outs(None, dims))}

    def save(self, path: str | Path) -> None:
        """Write the net into a file: its kernels, its program and its constants. See `halo.graph.load`."""
        from .artefact import save

        kernels = {name: k for net in self.nets.values() for name, k in net._kernels.items()}
        plans = {name: net.plan for name, net in self.nets.items()}
        save(path, self._source.text, tuple(self.outputs), plans, kernels, self._constants)

    # Looking inside --------------------------------------------------------------------------------------------------

    @property
    def program(self) -> Module:
        """The program after all passes: what its groups are, and how they call each other."""
        return self._source.module

    @property
    def groups(self) -> tuple[Group, ...]:
        """The kernels as they are called, in the order that the program has them in."""
        return tuple(g for net in self.nets.values() for g in net._own_groups())

    def _own_groups(self) -> tuple[Group, ...]:
        if self._groups is None:
            functions, given = self.program.functions, self._source.schedules
            self._groups = tuple(
                Group(
                    p.name,
                    p.source,
                    functions[p.name],
                    self._kernels[p.name],
                    given.get(p.name),
                    p.sources,
                    None,
                    p.extents,
                )
                for p in self.plan.places
            )
        return self._groups

    @property
    def memory(self) -> Memory:
        """How much memory a call needs (the last one, where extents decide), and the constants."""
        arena = sum(net._arena() for net in self.nets.values())
        return Memory(arena, sum(a.nbytes for a in self._constants.values()))

    def _arena(self) -> int:
        with self._lock:
            return max((f.arena for f in self._frames.values()), default=self.plan.arena)

    def benchmark(self, *args: Any, seconds: float = 1.0, **inputs: Any) -> float:
        """The median time of a call, in seconds, of as many as fit."""
        net = self.taking(args, inputs)
        arrays, _ = net.arrays(args, inputs)
        out = net(*arrays)
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < 5 or time.perf_counter() < end:
            start = time.perf_counter()
            net(*arrays, out=out)
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    def profile(self, *args: Any, runs: int = 20, **inputs: Any) -> Profile:
        """The time of each group, with its arithmetic, the bytes that it moves, and its share of what the machine can do, which
        is measured once. Random input where none is given, which needs inputs of known extents."""
        from .profile import profile

        rng = np.random.default_rng(0)
        if not args and not inputs:
            for name, t in self._taken.items():
                if not all(isinstance(n, int) for n in t.shape):
                    raise ArgumentError(f"{name} is of {t}, and a profile is of some extents", loc=here(),
                                        hint=f"profile({name}=...)")  # fmt: skip
            inputs = {n: rng.random(t.static, np.float32).astype(t.dtype.dtype) for n, t in self._taken.items()}
        if (net := self.taking(args, inputs)) is not self:
            return net.profile(*args, runs=runs, **inputs)
        arrays, dims = self.arrays(args, inputs)
        found = iter(rows := profile(self, self.calls(arrays, dims), runs))
        for net in self.nets.values():
            net._groups = tuple(replace(g, seconds=next(found).seconds) for g in net._own_groups())
        return rows

    def __repr__(self) -> str:
        names = [p.name for net in self.nets.values() for p in net.plan.places]
        size = math.ceil((self.memory.arena + self.memory.constants) / 2**20)
        inputs = ", ".join(f"{name}: {t}" for name, t in self.inputs.items())
        outputs = ", ".join(map(repr, self.outputs.values()))
        kind = type(self).__name__
        return (
            f"<halo.graph.{kind} ({inputs}) -> {outputs}: {len(names)} groups of {len(set(names))} kernels, {size} MiB>"
        )
