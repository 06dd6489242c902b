"""`f.trace(...)`: every load, store and allocation of a call, in the order in which the loop nest makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, here
from ..ir.pipeline import Lowered, Pipeline
from ..jit.kernel import Instead, Kernel, compile_kernel
from ..jit.python_trace import ALLOCATE, COORDINATES, FREE, LOAD, STORE, Traced
from .runnable import Runnable
from .running import resolved
from .signature import signature

if TYPE_CHECKING:
    from ..show.traces import TraceView

__all__ = ["Trace", "trace"]

EVENTS = {LOAD: "load", STORE: "store", ALLOCATE: "allocate", FREE: "free"}

RECORD = np.dtype(
    [("step", "i8"), ("event", "i8"), ("array", "i8"), ("stage", "i8"), ("at", "i8", (COORDINATES,))]
)  # as it is written down


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """What a call did. `events` is a record array, one record an event:

    - `step`: the events of one point, or of all lanes of one vector, share a number;
    - `event`: 0 load, 1 store, 2 allocate, 3 free (`halo.func.trace.EVENTS` has the names);
    - `array`: which of `arrays`, the names of stages and inputs;
    - `stage`: of a store, 0 for the pure definition, k + 1 for `update(k)`;
    - `at`: the coordinates, outermost axis first (of an allocation: its extents), as many as `ndim[array]`.
    """

    events: np.recarray[Any, Any]
    arrays: tuple[str, ...]
    ndim: tuple[int, ...]
    result: Any

    def of(self, name: str, event: str = "store", stage: int | None = None) -> np.recarray[Any, Any]:
        """The events of one kind of the stage or input `name`. ArgumentError if there is none of that name."""
        if name not in self.arrays:
            raise ArgumentError(f"nothing happens to {name!r}", legal=self.arrays, loc=here())
        kinds = {said: kind for kind, said in EVENTS.items()}
        if event not in kinds:
            raise ArgumentError(f"there is no event {event!r}", legal=tuple(kinds), loc=here())
        e = self.events
        chosen = (e.array == self.arrays.index(name)) & (e.event == kinds[event])
        chosen = chosen if stage is None else chosen & (e.stage == stage)
        chosen_events: np.recarray[Any, Any] = e[chosen]
        return chosen_events

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """(event, name, coordinates) of each event in turn."""
        for e in self.events:
            yield EVENTS[e.event], self.arrays[e.array], tuple(int(i) for i in e.at[: self.ndim[e.array]])

    def show(self, of: Sequence[str] | None = None, planes: Mapping[str, Sequence[int]] | None = None) -> TraceView:
        """The call in motion: a panel for each array, or for those named by `of`, whose cells light up as they are stored
        and loaded, while memory comes and goes. In a notebook it is an animation with a slider; `save("x.gif")` writes it.

        Of arrays of more than two axes the planes of the last two are tiled; `planes={"f": (0,)}` shows one, by its outer
        coordinates. What is long is sampled, and says so. ArgumentError for an array or a plane that is not there.

        >>> import halo
        >>> f, g, x = halo.Func("f"), halo.Func("g"), halo.Var("x")
        >>> g[x] = x
        >>> f[x] = g[x] + g[x + 1]
        >>> _ = g.compute_root(), f.serial("x")
        >>> print(f.trace(shape=3).show().text(5))
        g memory [4]
        lloo
        <BLANKLINE>
        f
        S..
        """
        from ..show.traces import TraceView

        return TraceView(self, of, planes)

    def _repr_html_(self) -> str:
        from ..show.traces import TraceView

        return TraceView(self)._repr_html_()

    def __repr__(self) -> str:
        lines = [f"{len(self)} events in {int(self.events.step[-1]) + 1 if len(self) else 0} steps"]
        for name in self.arrays:
            counts = ((len(self.of(name, event)), event) for event in ("load", "store", "allocate"))
            lines.append(f"  {name}: " + ", ".join(f"{n} {event}s" for n, event in counts if n))
        return "\n".join(lines)


def trace(
    r: Runnable,
    args: tuple[Any, ...],
    inputs: Mapping[str, Any],
    out: Any,
    shape: Any,
    origin: Any,
    most: int | None = None,
) -> Trace:
    """Run `r` as Python that writes down what it does. TooLongError after `most` events."""
    _, program, values = resolved(r, args, inputs, shape, out)
    code: Traced

    def make(p: Pipeline, lowered: Lowered, instead: Instead | None) -> Kernel:
        nonlocal code  # a call may fall back to more cautious loops, whose events alone count
        code = Traced(lowered, most)
        return Kernel(compile_kernel(p, "python", lambda: lowered, program.options(p)).binder, code, instead)

    kernel = program.chain(signature(program.arguments, values), "python", make)
    if origin is None:
        result = kernel(out=out, shape=shape, **values)
    else:
        result = kernel.realize(shape, origin, **values)
    written = np.frombuffer(code.events, RECORD).view(np.recarray) if code.events else np.recarray(0, RECORD)
    arrays = code.arrays
    return Trace(written, tuple(a.name for a in arrays), tuple(a.ndim for a in arrays), result)
