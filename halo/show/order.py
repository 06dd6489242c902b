"""`halo.show.order`: in which order a loop nest computes the points of a stage.

The picture of Halide's talks: a grid with a cell for each point, numbered in the order of computation. It is made by
running the lowered nest and writing down what it stores, so it shows what the schedule does and not what it should do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, here
from ..func.trace import Trace, trace
from ..jit.python_trace import ALLOCATE, FREE, LOAD
from .sample import sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Grid", "Order", "grids", "lifetimes", "order", "plane"]

MOST = 2**16  # points of a grid that is still of use


@dataclass(frozen=True, eq=False)
class Grid:
    """One stage, or one update of it.

    - `first[i, j]` is the number of the step that computes the point `origin + (i, j)` first; 0 if none does;
    - `times[i, j]`: how often its pure definition is computed (of a grid of one update: how often it is updated);
    - `stores`: (i, j) and its number, each time that it is stored;
    - `live`: the stretches in which a value waits in memory for its readers: (i, j), the first step and the last one.
    """

    name: str
    is_update: bool
    origin: tuple[int, ...]
    first: np.ndarray[Any, Any]
    times: np.ndarray[Any, Any]
    stores: tuple[tuple[tuple[int, ...], int], ...]
    live: tuple[tuple[tuple[int, ...], int, int], ...]

    @property
    def recomputed(self) -> int:
        """How many computations are of points that were computed before; updating a point again is no repetition."""
        return 0 if self.is_update else int(self.times.sum() - np.count_nonzero(self.times))

    def __str__(self) -> str:
        rows = plane(self.first)
        width = len(str(self.first.max(initial=0)))
        lines = [" ".join(str(n or ".").rjust(width) for n in row) for row in rows]
        if self.recomputed:
            lines.append(f"computed more than once ({self.recomputed} computations too many):")
            lines += [" ".join(str(n).rjust(width) for n in row) for row in plane(self.times)]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Order:
    """The grids of one or more stages; the numbers of several are those of one clock. Prints as tables."""

    grids: tuple[Grid, ...]
    steps: int

    def __getitem__(self, name: str) -> Grid:
        found = next((g for g in self.grids if g.name == name), None)
        if found is None:
            raise ArgumentError(f"{name!r} is not shown", legal=tuple(g.name for g in self.grids), loc=here())
        return found

    def __repr__(self) -> str:
        if len(self.grids) == 1:
            return str(self.grids[0])
        return "\n\n".join(f"{g.name}:\n{g}" for g in self.grids)

    def _repr_html_(self) -> str:
        from .order_html import tables

        return tables(self)

    def animate(self) -> Any:
        """The same in motion, for a notebook (or any page: `str` of it is HTML): a slider and a button to play."""
        from .order_html import Animation

        return Animation(self)

    def plot(self) -> Figure:
        """The same as a figure of matplotlib's. ImportError without matplotlib (the extra `notebook`)."""
        from .order_plot import plot

        return plot(self)


def order(f: Any, shape: Sequence[int] | int = (16, 16), of: Any = None, **inputs: Any) -> Order:
    """In which order the stages of `f` compute their points, when `f` is asked for `shape`.

    `of` names the stages to show, or is a sequence of names, Funcs or stages (`g.update(0)`); it is `f` itself if left
    out. Several share one clock. Lanes of a vector have one number. Without `inputs`, small arrays are made up; a grid
    of more than two axes shows the plane at the start of the outer ones. ArgumentError where `f` has another rank.

    >>> import halo
    >>> y, x = halo.vars("y x")
    >>> f = halo.Func("f")
    >>> f[y, x] = y + x
    >>> _ = f.tile("y", "x", "yo", "xo", "yi", "xi", 2, 2)
    >>> halo.show.order(f, (4, 8))
     1  2  5  6  9 10 13 14
     3  4  7  8 11 12 15 16
    17 18 21 22 25 26 29 30
    19 20 23 24 27 28 31 32
    """
    func, stage = _site(f)
    size = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if func.ndim is not None and len(size) != func.ndim:
        raise ArgumentError(f"{func.name} has {func.ndim} axes, and the shape {size!r} has {len(size)}", loc=here())
    if np.prod(size, dtype=np.int64) > MOST:
        raise ArgumentError(f"a grid of {size!r} has too many cells to look at", loc=here(), hint="shape=(16, 16)")
    origin = None
    if not inputs and func.inputs:
        inputs, origin = sample(func, size)
    found = trace(func, (), inputs, None, size, origin)
    return grids(found, [(func.name, stage)] if of is None else [_named(s) for s in _several(of)])


def grids(found: Trace, shown: Sequence[tuple[str, int | None]]) -> Order:
    """The grids of the stages `shown`: a name, and which definition of it (None: all)."""
    stores = [(name, stage, found.of(name, "store", stage)) for name, stage in shown]
    steps = np.unique(np.concatenate([e.step for _, _, e in stores])) if stores else np.zeros(0, np.int64)
    return Order(tuple(_grid(found, name, stage, e, steps) for name, stage, e in stores), len(steps))


def _grid(found: Trace, name: str, stage: int | None, stores: Any, steps: np.ndarray[Any, Any]) -> Grid:
    ndim = found.ndim[found.arrays.index(name)]
    at = np.asarray(stores.at)[:, :ndim]
    low = at.min(0) if len(at) else np.zeros(ndim, np.int64)
    extents = tuple((at.max(0) - low + 1).tolist()) if len(at) else (0,) * ndim
    first, times = np.zeros(extents, np.int64), np.zeros(extents, np.int64)
    numbers = np.searchsorted(steps, stores.step) + 1
    cells = [tuple(c) for c in (at - low).tolist()]
    for cell, n, of in zip(cells, numbers.tolist(), stores.stage.tolist(), strict=True):
        first[cell] = first[cell] or n
        times[cell] += stage is not None or of == 0
    title = name if not stage else f"{name}.update({stage - 1})"
    live = tuple(_live(found, name, tuple(low.tolist()), steps))
    return Grid(
        title, bool(stage), tuple(low.tolist()), first, times, tuple(zip(cells, numbers.tolist(), strict=True)), live
    )


def _live(found: Trace, name: str, low: tuple[int, ...], steps: np.ndarray[Any, Any]) -> Any:
    """The stretches of the values that an allocation holds, in numbers of `steps`."""

    def number(step: int) -> int:
        return int(np.searchsorted(steps, step)) + 1

    for at, start, end in lifetimes(found, name):
        if end is not None:
            yield tuple(i - lo for i, lo in zip(at, low, strict=True)), number(start), number(end)


def lifetimes(found: Trace, name: str) -> Iterator[tuple[tuple[int, ...], int, int | None]]:
    """Each value of a stage: its point, the step of its first store, and the step that ends it: the end of its memory, or
    the store of another point in the same place, where memory is folded; None for what is still there after the call.
    Two points lie in one place if their coordinates are equal modulo the extents of the memory."""
    array = found.arrays.index(name)
    own, ndim = found.events[found.events.array == array], found.ndim[array]
    kept: dict[tuple[int, ...], int] = {}  # outside of any allocation: an output
    waiting: list[dict[tuple[int, ...], tuple[tuple[int, ...], int]]] = []  # by place, of each allocation
    extents: list[tuple[int, ...]] = []
    for e in own[own.event != LOAD]:
        at = tuple(e.at[:ndim].tolist())
        if e.event == ALLOCATE:
            waiting.append({})
            extents.append(at)
        elif e.event == FREE:
            extents.pop()
            yield from ((point, start, int(e.step)) for point, start in waiting.pop().values())
        elif waiting:
            place = tuple(i % max(n, 1) for i, n in zip(at, extents[-1], strict=True))
            before = waiting[-1].get(place)
            if before is not None and before[0] != at:
                yield *before, int(e.step)
            if before is None or before[0] != at:
                waiting[-1][place] = at, int(e.step)
        else:
            kept.setdefault(at, int(e.step))
    yield from ((at, start, None) for at, start in kept.items())


def plane(a: np.ndarray[Any, Any]) -> list[list[int]]:
    """The last two axes, at the start of the others, as rows."""
    while a.ndim > 2:
        a = a[0]
    return np.atleast_2d(a).tolist()  # type: ignore[no-any-return]  # NumPy says Any


def _several(of: Any) -> list[Any]:
    return list(of) if isinstance(of, (list, tuple)) else [of]


def _named(s: Any) -> tuple[str, int | None]:
    if isinstance(s, str):
        return s, None
    func, stage = _site(s)
    return func.name, stage


def _site(f: Any) -> tuple[Any, int | None]:
    """The Func, and which of its stages was meant."""
    site = getattr(f, "site", None)
    if site is None:
        if hasattr(f, "outputs"):  # a Pipeline has several
            raise ArgumentError("the order of a Func is shown, not of a Pipeline", loc=here(), hint="order(f)")
        raise ArgumentError(f"{f!r} is neither a Func nor a stage of one", loc=here())
    func, stage = site
    return func, None if f is func else stage
