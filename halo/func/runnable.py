"""What Funcs and Pipelines have in common: they are called, compiled, scheduled as a whole and looked into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import HaloError, here
from ..ir.surface import Input, Pad, Param
from ..schedule.schedule import Schedule
from .binding import bind, is_symbolic, padded
from .inspect import Inspectors
from .program import Program
from .signature import Signature, named, signature

if TYPE_CHECKING:
    from ..jit.kernel import Kernel
    from .func import Func

__all__ = ["Runnable", "changed"]


_changes = [0]  # how often any directive was given or taken: what is remembered of schedules is as old as this


def changed() -> None:
    """Note that some schedule is another now."""
    _changes[0] += 1


class Runnable(Inspectors):
    """A pipeline that ends in one or more Funcs."""

    name: str

    def __init__(self) -> None:
        self._kernels: dict[Any, Kernel] = {}  # by the types of a call, as long as no schedule changes
        self._version = -1
        self._padded: dict[Any, tuple[int, Any]] = {}
        self._last = None

    def program(self, values: Mapping[str, Any] | None = None, shape: Any = None, out: Any = None) -> Program:
        """The pipeline; of a rank-generic Func, that of the ranks of `values`, `shape` or `out`."""
        raise NotImplementedError

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
            if any(map(is_symbolic, args)) or any(map(is_symbolic, inputs.values())):
                return self._bound(args, inputs)
            values = self._named(args, inputs, shape, out)
            if any(isinstance(v, Pad) for v in values.values()):
                return self._run_padded(values, out, shape, origin)
            program = self.program(values, shape, out)
            kernel = self._kernel(program, signature(program.arguments, values))
            if key is not None:
                self._remember(key, kernel)
        if origin is not None:
            return kernel.realize(shape, origin, **inputs)
        return kernel(*args, out=out, shape=shape, **inputs)

    def _named(
        self, args: tuple[Any, ...], inputs: Mapping[str, Any], shape: Any = None, out: Any = None
    ) -> dict[str, Any]:
        program = self.program(inputs, shape, out)
        return named(self.name, program.arguments, args, inputs)

    def _kernel(self, program: Program, s: Signature, target: Any = None) -> Kernel:
        self._last = program, s
        return program.kernel(s, target)

    def _remember(self, key: Any, kernel: Kernel) -> None:
        if self._version != _changes[0]:
            self._kernels, self._version = {}, _changes[0]
        self._kernels[key] = kernel

    def _bound(self, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Any:
        """A copy in which the arguments stand in the inputs' places."""
        program = self.program(inputs)
        return self.rebound(bind(program, named(self.name, program.arguments, args, inputs)))

    def _run_padded(self, values: dict[str, Any], out: Any, shape: Any, origin: Any) -> Any:
        arrays, views = padded(self.program(values, shape, out), values)
        key = tuple((name, repr(v), repr(v.value), repr(v.bounds)) for name, v in views.items())
        if key not in self._padded or self._padded[key][0] != _changes[0]:
            self._padded[key] = _changes[0], self.rebound(bind(self.program(values, shape, out), views))
        return self._padded[key][1]._run((), arrays, out, shape, origin)

    def compile(self, *args: Any, target: Any = None, **types: Any) -> Kernel:
        """The pipeline compiled for the types of its inputs: halo types, dtypes, or arrays and numbers of them.

        `target`: "host", or "python" and "numba", the reference backends.
        """
        values = self._named(args, types)
        program = self.program(values)
        return self._kernel(program, signature(program.arguments, values, types=True), target)

    # Schedules -------------------------------------------------------------------------------------------------------

    def schedule(self) -> Schedule:
        """The directives of all the stages of this pipeline, as an immutable value."""
        return self.program().schedule()

    def apply(self, schedule: Schedule) -> Any:
        """Give the directives of `schedule` to the stages of this pipeline, in place of those they have."""
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
