"""Directives on storage: how a Func's values lie in memory, and over which box they are computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..ir.expr import Const, Expr
from ..ir.pipeline import Function, Pipeline
from ..types import index
from .directive import (
    BOXES,
    COUNT,
    INT,
    INTEGER,
    LOOP,
    LOOPS,
    MEMORY,
    Directive,
    Stage,
    arg,
    choice,
    directive,
    nearest,
    quoted,
)
from .nesting import check_distinct, permuted
from .scalar import Scalar

__all__ = ["AlignBounds", "AlignExtent", "AlignStorage", "Bound", "BoundExtent", "BoundStorage", "FoldStorage",
           "PromiseAlignment", "PromiseOutput", "ReorderStorage", "SetEstimate", "SetEstimates", "Storage",
           "StoreIn", "typed"]  # fmt: skip


class Storage(Directive):
    """A directive on a whole Func that says how its values are stored."""

    def store(self, function: Function, p: Pipeline) -> Function:
        """`function` after this directive, in pipeline `p`."""
        raise NotImplementedError


class _OfAxis(Storage):
    v: str

    def check(self, stage: Stage) -> None:
        need_axis(self, stage, self.v)


@directive("reorder_storage", on="func")
class ReorderStorage(Storage):
    """Lay the axes out in memory in this order, outermost first, among the places that they have now.

    f.reorder_storage("x", "y")     f[y, x] at address x*h + y instead of y*w + x
    """

    axes: tuple[str, ...] = arg(LOOPS, star=True)

    def check(self, stage: Stage) -> None:
        for v in self.axes:
            need_axis(self, stage, v)
        check_distinct(self, stage, self.axes)
        if len(self.axes) < 2:
            self.refuse(stage, "an order needs at least two axes", legal=quoted(stage.vars))

    def store(self, function: Function, p: Pipeline) -> Function:
        names = tuple(v.name for v in function.vars)
        now = tuple(names[k] for k in function.storage_order or range(len(names)))
        return replace(function, storage_order=tuple(names.index(n) for n in permuted(now, self.axes)))


@directive("align_storage", on="func")
class AlignStorage(_OfAxis):
    """Pad the stored extent of axis `v` to a multiple of `n`."""

    v: str = arg(LOOP)
    n: int = arg(COUNT)

    def store(self, function: Function, p: Pipeline) -> Function:
        return replace(function, align_storage=_put(function.align_storage, function, self.v, self.n))


@directive("fold_storage", on="func")
class FoldStorage(_OfAxis):
    """Keep `n` entries of an axis in a circular buffer: entry `v` lies at `v % n`.

    A call that needs more of them at a time runs a copy that was lowered without this.
    """

    v: str = arg(LOOP)
    n: int = arg(COUNT)

    def store(self, function: Function, p: Pipeline) -> Function:
        return replace(function, fold=_put(function.fold, function, self.v, self.n, self.loc))


@directive("store_in", on="func")
class StoreIn(Storage):
    """Put the values on the "heap", the "stack" or in "register"s; "auto" is the stack for small constant sizes.

    The heap is a pool: each allocation asks it. On the "stack" an array of any size asks for memory only where it has
    to be larger than any before: in a loop, in its first iterations. Arrays that are not there at the same time share
    it. "register"s are for constant sizes. (Halide's MemoryType; "stack" of other sizes is its pseudostack.)
    """

    memory: str = arg(choice(*MEMORY))

    def store(self, function: Function, p: Pipeline) -> Function:
        return replace(function, memory=self.memory, memory_loc=self.loc)


@directive("bound", on="func")
class Bound(_OfAxis):
    """Compute exactly `n` entries of axis `v` from `lo` on, so that loops over it may have a constant extent.

    A call that needs others runs a copy that was lowered without this.
    """

    v: str = arg(LOOP)
    lo: int | Scalar = arg(INTEGER)
    n: int | Scalar = arg(INTEGER)

    def check(self, stage: Stage) -> None:
        super().check(stage)
        if isinstance(self.n, int) and self.n <= 0:
            self.refuse(stage, f"{self.n} is not a positive number of entries")

    def store(self, function: Function, p: Pipeline) -> Function:
        return replace(
            function,
            bound=_put(
                function.bound, function, self.v, typed(self, self.lo, function, p), typed(self, self.n, function, p)
            ),
        )


@directive("bound_extent", on="func")
class BoundExtent(_OfAxis):
    """Compute exactly `n` entries of axis `v`, from wherever the first one that is needed lies."""

    v: str = arg(LOOP)
    n: int | Scalar = arg(INTEGER)

    def store(self, function: Function, p: Pipeline) -> Function:
        return replace(function, bound=_put(function.bound, function, self.v, None, typed(self, self.n, function, p)))


@directive("bound_storage", on="func")
class BoundStorage(_OfAxis):
    """Allocate `n` entries of axis `v`, whatever the analysis finds.

    A call that needs more runs a copy that was lowered without this.
    """

    v: str = arg(LOOP)
    n: int | Scalar = arg(INTEGER)

    def store(self, function: Function, p: Pipeline) -> Function:
        return replace(
            function, bound_storage=_put(function.bound_storage, function, self.v, typed(self, self.n, function, p))
        )


@directive("promise_output", on="func")
class PromiseOutput(Storage):
    """Specialise the code on what is known of the arrays that calls want element `k` of the values in: that the "stride"
    (in elements), the "min" or the "extent" of an axis is `n`. `f.output_buffer(k).dim(axis)` says it as Halide does.

    A call that does not keep it runs a copy that was lowered without this. It says nothing of a Func that is no output.
    """

    what: str = arg(choice("stride", "min", "extent"))
    axis: int = arg(INT)
    n: int | Scalar = arg(INTEGER)
    k: int = arg(INT, default=0)

    def check(self, stage: Stage) -> None:
        if not 0 <= self.axis < len(stage.vars):
            self.refuse(stage, f"there is no axis {self.axis}", legal=tuple(map(str, range(len(stage.vars)))))

    def store(self, function: Function, p: Pipeline) -> Function:
        _need_element(self, function, self.k)
        kept = (e for e in function.promised if (e[0], e[1], e[3]) != (self.what, self.axis, self.k))
        return replace(function, promised=(*kept, (self.what, self.axis, typed(self, self.n, function, p), self.k)))


@directive("promise_alignment", on="func")
class PromiseAlignment(Storage):
    """Specialise the code on the arrays that calls want element `k` of the values in: their addresses are multiples of
    `n` bytes, a power of two. `f.output_buffer(k).set_host_alignment(n)` says it as Halide does.

    A call that does not keep it runs a copy that was lowered without this. It says nothing of a Func that is no output.
    """

    n: int = arg(COUNT)
    k: int = arg(INT, default=0)

    def check(self, stage: Stage) -> None:
        if self.n & (self.n - 1):
            self.refuse(stage, f"{self.n} is not a power of two", hint=f"promise_alignment({1 << self.n.bit_length()})")

    def store(self, function: Function, p: Pipeline) -> Function:
        _need_element(self, function, self.k)
        kept = (e for e in function.promised if (e[0], e[3]) != ("alignment", self.k))
        return replace(function, promised=(*kept, ("alignment", 0, Const(self.n, index), self.k)))


@directive("align_bounds", on="func")
class AlignBounds(_OfAxis):
    """Compute more of axis `v` than is needed: from a multiple of `n` (plus `remainder`) on, a multiple of `n` entries."""

    v: str = arg(LOOP)
    n: int = arg(COUNT)
    remainder: int = arg(INT, default=0)

    def store(self, function: Function, p: Pipeline) -> Function:
        return replace(
            function, align_bounds=_put(function.align_bounds, function, self.v, self.n, self.remainder % self.n)
        )


@directive("align_extent", on="func")
class AlignExtent(_OfAxis):
    """Compute more of axis `v` than is needed: a multiple of `n` entries, from the first one that is needed on."""

    v: str = arg(LOOP)
    n: int = arg(COUNT)

    def store(self, function: Function, p: Pipeline) -> Function:
        return replace(function, align_extent=_put(function.align_extent, function, self.v, self.n))


@directive("set_estimate", on="func")
class SetEstimate(_OfAxis):
    """Say that a call usually asks for `n` entries of axis `v` from `lo` on. Nothing depends on it but search."""

    v: str = arg(LOOP)
    lo: int | Scalar = arg(INTEGER)
    n: int | Scalar = arg(INTEGER)

    def store(self, function: Function, p: Pipeline) -> Function:
        return function


PROMISES = (
    Bound,
    BoundExtent,
    BoundStorage,
    FoldStorage,
    PromiseAlignment,
    PromiseOutput,
)  # what some calls may not fit


@directive("set_estimates", on="func")
class SetEstimates(Storage):
    """`set_estimate` for all axes, outermost first: `boxes` has a pair `(lo, n)` for each."""

    boxes: tuple[tuple[int | Scalar, int | Scalar], ...] = arg(BOXES)

    def check(self, stage: Stage) -> None:
        if len(self.boxes) != len(stage.vars):
            self.refuse(stage, f"there are {len(stage.vars)} axes", legal=quoted(stage.vars))

    def store(self, function: Function, p: Pipeline) -> Function:
        return function


def need_axis(d: Directive, stage: Stage, name: str) -> None:
    """Refuse unless `name` is an index variable of the Func."""
    if name not in stage.vars:
        near = nearest(name, stage.vars)
        d.refuse(
            stage,
            f'"{name}" is not an axis',
            legal=quoted(stage.vars),
            hint=d.instead(stage, name, near) if near else "",
        )


def _need_element(d: Directive, function: Function, k: int) -> None:
    if not 0 <= k < len(function.types):
        d.refuse(function.name, f"there is no element {k}", legal=tuple(map(str, range(len(function.types)))))


def _axis(function: Function, name: str) -> int:
    return next(k for k, v in enumerate(function.vars) if v.name == name)


def _put(entries: tuple[Any, ...], function: Function, name: str, *values: Any) -> tuple[Any, ...]:
    """`entries` with that of axis `name` set to `values`, in the order of the axes."""
    k = _axis(function, name)
    return tuple(sorted((*(e for e in entries if e[0] != k), (k, *values)), key=lambda e: e[0]))


def typed(d: Directive, value: int | Scalar, f: Function, p: Pipeline) -> Expr:
    """`value` as an index expression of pipeline `p`."""
    if isinstance(value, int):
        return Const(value, index)
    with d.blamed(f.name):
        return value.typed(p)
