"""Directives on places: at which loop of which stage a Func is computed and stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..ir.pipeline import INLINE, ROOT, Function, Place
from .directive import ALIGN, COUNT, LOOP, TARGET, Around, Directive, Stage, Target, arg, directive

__all__ = ["Async", "ComputeAt", "ComputeInline", "ComputeRoot", "ComputeWith", "HoistStorage", "HoistStorageRoot", "Placement",
           "RingBuffer", "StoreAt", "StoreRoot"]  # fmt: skip


class Placement(Directive):
    """A directive on a whole Func that says where it is."""

    def place(self, function: Function) -> Function:
        """`function` after this directive."""
        raise NotImplementedError


class _At(Directive):
    f: Target
    v: str

    def check(self, stage: Stage) -> None:
        if self.f.is_of(stage.label):
            self.refuse(stage, "a stage cannot be placed at a loop of its own")

    @property
    def at(self) -> Place:
        return Place("at", self.f.name, self.v, self.f.stage, self.loc)


def _places(around: Around) -> Iterator[tuple[Target, str]]:
    """The loops of the readers that something may be computed in."""
    for reader, loops in around.readers:
        yield from ((reader, d.name) for d in loops.dims if d.kind in ("serial", "parallel"))


@directive("compute_root", on="func")
class ComputeRoot(Placement):
    """Compute all that is needed before any stage that reads it.

    for y: for x: f[y, x] = g[y, x - 1] + g[y, x]   ->   for y: for x: g[y, x] = ...
                                                         for y: for x: f[y, x] = g[y, x - 1] + g[y, x]
    """

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        if around.readers:
            yield cls.of()

    def place(self, function: Function) -> Function:
        return replace(function, compute=replace(ROOT, loc=self.loc))


@directive("compute_at", on="func")
class ComputeAt(_At, Placement):
    """Compute, in each iteration of loop `v` of `f`, what that iteration needs. The loop may be made by a later split.

        for y:                                  ->   for y:
          for x: f[y, x] = g[y, x - 1] + ...           for x: g[y, x] = ...
                                                       for x: f[y, x] = g[y, x - 1] + ...

    `f` is a Func (every stage of it that reads this one) or one stage of it, `f.update(k)`.
    """

    f: Target = arg(TARGET)
    v: str = arg(LOOP)

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        yield from (cls.of(reader, v) for reader, v in _places(around))

    def place(self, function: Function) -> Function:
        return replace(function, compute=self.at)


@directive("compute_inline", on="func")
class ComputeInline(Placement):
    """Compute each value where it is read, again each time. With updates: inside the innermost loop of each reader."""

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        if around.readers and not stage.loops.ops and all(d.kind == "serial" for d in stage.loops.dims):
            yield cls.of()

    def place(self, function: Function) -> Function:
        return replace(function, compute=replace(INLINE, loc=self.loc))


@directive("store_root", on="func")
class StoreRoot(Placement):
    """Keep the values for the whole run. Computed inside a serial loop, only what earlier iterations left out is
    computed in each, and only as much is kept as later ones read."""

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        if around.readers:
            yield cls.of()

    def place(self, function: Function) -> Function:
        return replace(function, store=replace(ROOT, loc=self.loc))


@directive("store_at", on="func")
class StoreAt(_At, Placement):
    """Keep the values for one iteration of loop `v` of `f`, a loop around the one where they are computed.

    for yo:                                ->   for yo:
      for yi:                                     alloc g
        alloc g; for x: g[y, x] = ...             for yi:
        for x: f[y, x] = g[y - 1, x] + ...          for x: g[y, x] = ...  (only rows not there yet)
    """

    f: Target = arg(TARGET)
    v: str = arg(LOOP)

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        yield from (cls.of(reader, v) for reader, v in _places(around))

    def place(self, function: Function) -> Function:
        return replace(function, store=self.at)


@directive("hoist_storage", on="func")
class HoistStorage(_At, Placement):
    """Allocate once an iteration of loop `v` of `f`, further out than the values are kept: fewer allocations."""

    f: Target = arg(TARGET)
    v: str = arg(LOOP)

    def place(self, function: Function) -> Function:
        return replace(function, hoist=self.at)


@directive("hoist_storage_root", on="func")
class HoistStorageRoot(Placement):
    """Allocate once a run, further out than the values are kept."""

    def place(self, function: Function) -> Function:
        return replace(function, hoist=replace(ROOT, loc=self.loc))


@directive("ring_buffer", on="func")
class RingBuffer(Placement):
    """Keep the values of the last `n` iterations apart: `n` times the storage, taken in turns. (Halide's `ring_buffer`.)

        f.compute_at(g, "y").hoist_storage_root().ring_buffer(2)   ->   hoist f ring 2:
                                                                          for y:
                                                                            alloc f[...] slot y % 2
                                                                            ...

    The iterations are those of the loops between where `hoist_storage` allocates and where the values are kept, counted
    through all of them. With `async_` the producer fills one place while its readers are at another: double buffering.
    """

    n: int = arg(COUNT)

    def place(self, function: Function) -> Function:
        return replace(function, ring=self.n)


@directive("async_", on="func")
class Async(Placement):
    """Compute in a thread of its own, beside what reads the values, which waits for them. (Halide's `async`.)

        f.store_root().compute_at(g, "y").async_()   ->   fork f_ready = 0, f_room = 2:
                                                            for y: acquire f_room; produce f; release f_ready
                                                          beside:
                                                            for y: acquire f_ready; produce g; release f_room

    Stored outside of the loop that it is computed in (`store_at`, `store_root`), it runs ahead: as far as a window that
    slides leaves room for in what `fold_storage` keeps (two iterations, if that is not given), or as `ring_buffer` has
    places; without either it runs beside its readers within each iteration. Where there is one thread only, or no more
    can be had, the same is computed in the order that it has without this. Of an output it says nothing.
    """

    def place(self, function: Function) -> Function:
        return replace(function, asynchronous=True)


@directive("compute_with")
class ComputeWith(_At):
    """Run this stage's loops inside those of `f`, from the outermost to `v`; in each iteration `f` goes first.

    for y: for x: f[y, x] = ...   ->   for y:
    for y: for x: g[y, x] = ...          for x: f[y, x] = ...
                                         for x: g[y, x] = ...

    Where their ranges differ the shared loops cover both, and each stage does its part where an iteration is its own.
    `align` moves this stage's iterations along those of `f`: "start" so that the first ones meet, "end" the last ones;
    a dict says it loop by loop, {"y": "start"}.
    """

    f: Target = arg(TARGET)
    v: str = arg(LOOP)
    align: str | tuple[tuple[str, str], ...] = arg(ALIGN, default="none")
