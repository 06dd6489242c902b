"""What Funcs and Pipelines have in common: they are called, compiled, scheduled as a whole and looked into.

What a method does beyond its fast path stands in `running` and `inspect`, which load with the compiler at first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import HaloError, ScheduleError, here
from ..schedule.schedule import Schedule

if TYPE_CHECKING:
    from ..ir.surface import Input, Param
    from ..jit.kernel import Kernel
    from ..jit.target import Target
    from ..show.explore import Explorer
    from ..show.report import Report
    from .func import Func
    from .inspect import InputRegions
    from .passes import Passes
    from .profile import Profile
    from .program import Program
    from .signature import Signature
    from .trace import Trace

__all__ = ["Runnable", "changed", "changes"]

_changes = [0]  # how often any directive was given or taken: what is remembered of schedules is as old as this


def changed() -> None:
    """Note that some schedule is another now."""
    _changes[0] += 1


def changes() -> int:
    return _changes[0]


class Runnable:
    """A pipeline that ends in one or more Funcs."""

    name: str

    def __init__(self) -> None:
        self._kernels: dict[Any, Kernel] = {}  # by the types of a call, as long as no schedule changes
        self._version = -1
        self._padded: dict[Any, tuple[int, Any]] = {}
        self._numba: Any = None  # since which change, its type to Numba, and what keeps that alive
        self._last: tuple[Program, Signature] | None = None  # what was compiled last
        self._measured: tuple[Schedule, Profile] | None = None  # the last profile, and of which schedule

    def measured(self, found: Profile | None = None) -> Profile | None:
        """The last profile of the present schedule, if there is one; `found` is it from now on."""
        if found is not None:
            self._measured = self.schedule(), found
        return self._measured[1] if self._measured and self._measured[0] == self.schedule() else None

    def program(self, values: Mapping[str, Any] | None = None, shape: Any = None, out: Any = None) -> Program:
        """The pipeline; of a rank-generic Func, that of the ranks of `values`, `shape` or `out`."""
        raise NotImplementedError

    def own_inputs(self) -> tuple[str, ...]:
        """The names of inputs that are known without knowing the rank, in the order of positional arguments."""
        return ()

    def rebound(self, copies: Mapping[Any, Func]) -> Any:
        """This with `copies` in place of the Funcs that they are copies of."""
        raise NotImplementedError

    @property
    def inputs(self) -> Mapping[str, Input | Param]:
        """The inputs: its own in signature order, then its producers', depth first.

        >>> import halo
        >>> x = halo.Var("x")
        >>> f = halo.Func("f")
        >>> f[x] = halo.Input("a", ndim=1)[x] * halo.Param("k")
        >>> list(f.inputs)
        ['a', 'k']
        """
        return {name: a.source for name, a in self.program().arguments.items()}

    # Running ---------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, out: Any = None, shape: Any = None, **inputs: Any) -> Any:
        """Run the pipeline on arrays and numbers, by position in the order of `inputs` or by name.

        The result has the shape of `out`, which is then written and returned; or `shape`; or the extents of the inputs
        that are subscripted by plain index variables. Raises ArgumentError, BoundsError (an input is too small; before
        anything is written), and what compiling raises.

        With a Func, Input, Param or expression among the arguments nothing runs: the result is a new Func, in which
        these stand in the inputs' places.
        """
        return self._run(args, inputs, out, shape, None)

    def realize(self, shape: Any = None, origin: Any = None, **inputs: Any) -> Any:
        """The values in a box: `shape`, from the coordinates `origin` on (zeros, if it is left out).

        >>> import halo
        >>> f, x = halo.Func("f"), halo.Var("x")
        >>> f[x] = x * 10
        >>> f.realize((3,), origin=(-1,))
        array([-10,   0,  10], dtype=int32)
        """
        return self._run((), inputs, None, shape, origin)

    def _run(self, args: tuple[Any, ...], inputs: dict[str, Any], out: Any, shape: Any, origin: Any) -> Any:
        key = _fast_key(args, inputs)
        kernel = self._kernels.get(key) if key is not None and self._version == _changes[0] else None
        if kernel is None:
            from .running import run

            return run(self, key, args, inputs, out, shape, origin)
        if origin is not None:
            return kernel.realize(shape, origin, **inputs)
        return kernel(*args, out=out, shape=shape, **inputs)

    def _remember(self, key: Any, kernel: Kernel) -> None:
        """`kernel` is the one for calls with this fast key, until a schedule changes."""
        if self._version != _changes[0]:
            self._kernels, self._version = {}, _changes[0]
        self._kernels[key] = kernel

    def compile(self, *args: Any, target: Target | str | None = None, **types: Any) -> Kernel:
        """The pipeline compiled for the types of its inputs: halo types, dtypes, or arrays and numbers of them. With
        `a=halo.u8[:, ::1]` calls promise that the last axis of `a` is contiguous: ArgumentError for one that is not.

        `target`: "host", or "python" and "numba", the reference backends.

        >>> import halo
        >>> x = halo.Var("x")
        >>> f = halo.Func("f")
        >>> f[x] = halo.Input("a", ndim=1)[x] + 1
        >>> f.compile(a=halo.u8)
        <halo.Kernel f(a: u8[:]) -> u8[:]>
        """
        from .running import compiled

        return compiled(self, args, types, target)

    @property
    def _numba_type_(self) -> Any:
        """What `numba.typeof` asks for: to jitted code this is a function, compiled for the types of each call."""
        if self._numba is None or self._numba[0] != _changes[0]:
            from .running import numba_type

            self._numba = _changes[0], *numba_type(self)
        return self._numba[1]

    # Schedules -------------------------------------------------------------------------------------------------------

    def schedule(self) -> Schedule:
        """The directives of all the stages of this pipeline, as an immutable value that prints as the calls."""
        return self.program().schedule()

    def apply(self, schedule: Schedule) -> Any:
        """Give the directives of `schedule` to the stages of this pipeline, in place of those they have."""
        if not isinstance(schedule, Schedule):
            raise ScheduleError(f"{self.name}.apply takes a Schedule, not {type(schedule).__name__}", loc=here(),
                                hint=f"{self.name}.apply({self.name}.schedule())")  # fmt: skip
        stages = self.program().stages()
        kept = [(s, s.directives[:]) for s in stages.values()]
        self.unschedule()
        try:
            schedule.give(stages, here())
        except HaloError:
            for s, directives in kept:
                s.reschedule(directives)
            raise
        return self

    def unschedule(self) -> Any:
        """Take all directives from all the stages of this pipeline, shared ones included."""
        for s in self.program().stages().values():
            s.reschedule([])
        return self

    # Looking inside: these take what `compile` takes, and without arguments show what was compiled last ---------------

    def loops(self, *args: Any, **types: Any) -> str:
        """The loop nest as indented text, with every allocation and its size. Needs no types and compiles nothing.

        >>> import halo
        >>> f, x = halo.Func("f"), halo.Var("x")
        >>> f[x] = x + 1
        >>> print(f.serial("x").loops())
        produce f:
          for x:
            f[...] = ...
        """
        from .inspect import loops

        return loops(self, args, types)

    def lower(self, *args: Any, target: Target | None = None, **types: Any) -> Passes:
        """What each pass of the compiler makes of the loops, what it changed and how long it took.

        >>> import halo
        >>> f, x = halo.Func("f"), halo.Var("x")
        >>> f[x] = halo.Input("a", halo.u8, ndim=1)[halo.max(x - 1, 0)]
        >>> low = f.serial("x").lower()
        >>> print(low.after("build_nest"))
        produce f:
          for x in f.min[0]..f.shape[0] + f.min[0]:
            f[x] = a[max(x - 1, 0)]
        >>> "+  for x in " in low.diff("partition"), low.timings["partition"] > 0
        (True, True)
        """
        from .passes import passes

        return passes(self, args, types, target)

    def inspect_source(self, *args: Any, target: str = "python", **types: Any) -> str:
        """The loop nest as runnable Python: what `target="python"` and `target="numba"` execute."""
        from .inspect import source

        return source(self, args, types, target)

    def inspect_llvm(self, *args: Any, target: Target | None = None, **types: Any) -> str:
        """The LLVM IR as it is given to LLVM."""
        from .inspect import llvm

        return llvm(self, args, types, target)

    def inspect_asm(self, *args: Any, target: Target | None = None, **types: Any) -> str:
        """The machine code as assembly."""
        from .inspect import asm

        return asm(self, args, types, target)

    def dump_argument_list(self) -> str:
        """What a call takes, in the order of positional arguments, and what it returns, a line each. (Halide's
        `dump_argument_list`.) A type that nothing fixes comes from the argument: `?`.

        >>> import halo
        >>> f, y, x = halo.Func("f"), *halo.vars("y x")
        >>> f[y, x] = halo.Input("img", halo.u8, ndim=2)[y, x] * halo.Param("k", halo.f32, default=2.0)
        >>> print(f.dump_argument_list())
        img: u8[:, :]
        k: f32 = 2.0
        -> f[:, :]
        """
        from .inspect import argument_list

        return argument_list(self)

    def inspect_inputs(self, *args: Any, **types: Any) -> InputRegions:
        """What is needed of each input, axis by axis, for outputs of given regions.

        >>> import halo
        >>> f, x = halo.Func("f"), halo.Var("x")
        >>> f[x] = halo.Input("a", halo.u8, ndim=1)[x + 2]
        >>> f.inspect_inputs()
        a[f.min[0] + 2..f.shape[0] + f.min[0] + 1]
        """
        from .inspect import inputs

        return inputs(self, args, types)

    def profile(
        self, *args: Any, out: Any = None, shape: Any = None, runs: int | None = None, **inputs: Any
    ) -> Profile:
        """Run as a call does, with counters in the machine code: time, allocations and bytes of every stage.

        Without `runs`, as often as fit a fifth of a second. The times are those of all threads together.
        """
        from .profile import profile

        return profile(self, args, inputs, out, shape, runs)

    def trace(self, *args: Any, out: Any = None, shape: Any = None, origin: Any = None, **inputs: Any) -> Trace:
        """Run as a call does, as Python, and write down every load, store and allocation, in their order.

        What it returns has them as a NumPy record array, and prints a summary.

        >>> import halo
        >>> f, x = halo.Func("f"), halo.Var("x")
        >>> f[x] = x + 1
        >>> done = f.serial("x").trace(shape=2)
        >>> list(done)
        [('store', 'f', (0,)), ('store', 'f', (1,))]
        """
        from .trace import trace

        return trace(self, args, inputs, out, shape, origin)

    def report(self, *args: Any, out: Any = None, shape: Any = None, **inputs: Any) -> Report:
        """What the schedule costs on a call, stage by stage: time, redundant work, bytes and flops, footprints against the
        caches, the share of the machine's roof. Prints as a table, in a notebook with the roofline (Williams, Waterman and
        Patterson 2009); `to_dict()` and `to_frame()` give plain data. The machine is measured at first, in some seconds.

        >>> import halo
        >>> y, x = halo.vars("y x")
        >>> f = halo.Func("f")
        >>> f[y, x] = halo.f32(y) * x + 1
        >>> r = f.report(shape=(64, 64))
        >>> r["f"].outside, r["f"].flops, r["f"].intensity
        (16384.0, 2.0, 0.5)
        """
        from ..show.report import report

        return report(self, args, inputs, out, shape)

    def explore(self, *args: Any, out: Any = None, shape: Any = None, **inputs: Any) -> Explorer:
        """Try schedules on a call: what could come next, one step applied and timed, undone, compared.

        In a notebook it is a widget (with the extra `notebook`); everything that it shows is data too. Its state is
        `f.schedule()`: when you leave it, the Func is scheduled as you left it.

        >>> import halo
        >>> y, x = halo.vars("y x")
        >>> f = halo.Func("f")
        >>> f[y, x] = y * x
        >>> e = f.explore(shape=(64, 64))
        >>> e.steps[0].code
        'f.split("y", "yo", "yi", 8)'
        >>> _ = e.apply(e.steps[0])
        >>> e.code
        'f.split("y", "yo", "yi", 8)'
        """
        from ..show.explore import explore

        return explore(self, args, inputs, out, shape)


def _fast_key(args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Any:
    """The types of a call with NumPy arrays and Python floats alone, else None."""
    key: list[Any] = []
    for value in (*args, *inputs.values()):
        if type(value) is np.ndarray:
            key += (value.dtype, value.ndim)
        elif type(value) is float:
            key.append(float)
        else:
            return None
    return *key, *inputs
