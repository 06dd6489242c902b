"""Directives on loops: how the iterations of one stage are cut, ordered and run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..errors import Location, ScheduleError
from .directive import (
    FACTOR,
    FACTORS,
    LOOP,
    LOOPS,
    MAYBE_COUNT,
    TAIL,
    TAILS,
    Around,
    Directive,
    Stage,
    arg,
    choice,
    directive,
    quoted,
)
from .loops import FuseOp, Loops, RenameOp, SplitOp
from .scalar import Scalar

__all__ = ["AlwaysPartition", "AlwaysPartitionAll", "Fuse", "NeverPartition", "NeverPartitionAll", "Parallel",
           "Partition", "Rename", "Reorder", "Serial", "Split", "Tile", "Unroll", "Unscheduled", "Vectorize",
           "auto_tail"]  # fmt: skip

FEW = 4  # iterations, that are always worth writing out
MAX_LANES = 65536
TAILS_OF_ANY_CALL = ("guard", "predicate")  # those that touch nothing but the points of the loop
_HALF_MASKED = ("predicate_loads", "predicate_stores")
_BLEND = ("shift_inwards_and_blend", "round_up_and_blend")


@directive("split")
class Split(Directive):
    """Split loop `old` into `outer` and `inner`, `inner` running `factor` times.

        for x in 0..n: s[x]   ->   for xo in 0..ceil(n/8):
                                     for xi in 0..8: s[8*xo + xi]

    `tail` says what happens where 8 does not divide n: "guard" tests each point, "round_up" computes further, and
    "shift_inwards" slides the last tile back; "auto" is the fastest legal one. A new loop may reuse the old name.
    """

    old: str = arg(LOOP)
    outer: str = arg(LOOP)
    inner: str = arg(LOOP)
    factor: int | Scalar = arg(FACTOR)
    tail: str = arg(TAIL, default="auto")

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        if stage.loops.ops or not stage.loops.dims or stage.loops.dims[0].kind != "serial":
            return
        v = stage.loops.dims[0].name
        yield from (cls.of(v, f"{v}o", f"{v}i", n) for n in (8, 32, 64))

    def check(self, stage: Stage) -> None:
        check_split(self, stage, self.old, self.outer, self.inner, self.tail)

    def apply(self, loops: Loops) -> Loops:
        return split(loops, self.old, self.outer, self.inner, self.factor, self.tail)


@directive("fuse")
class Fuse(Directive):
    """Make one loop `fused` of the loops `outer` and `inner`, in the place of `inner`.

    for y in 0..h:             ->   for yx in 0..h*w:
      for x in 0..w: s[y, x]          s[yx // w, yx % w]
    """

    outer: str = arg(LOOP)
    inner: str = arg(LOOP)
    fused: str = arg(LOOP)

    def check(self, stage: Stage) -> None:
        self.need_loop(stage, self.outer)
        self.need_loop(stage, self.inner)
        if self.outer == self.inner:
            self.refuse(stage, f'"{self.outer}" cannot be fused with itself')
        self.need_new(stage, self.fused, (self.outer, self.inner))
        kinds = [stage.loops.dim(v).kind for v in (self.outer, self.inner)]
        if kinds[0] != kinds[1]:
            self.refuse(stage, f'"{self.outer}" is {adjective(kinds[0])} and "{self.inner}" is {adjective(kinds[1])}',
                        legal=("mark the fused loop instead",))  # fmt: skip
        check_order(self, stage, self._adjacent(stage.loops))

    def apply(self, loops: Loops) -> Loops:
        outer, inner = loops.dim(self.outer), loops.dim(self.inner)
        axis = max(outer.axis, inner.axis, key=("pure", "pure_r", "apart_r", "impure_r").index)
        partition = outer.partition if outer.partition != "auto" else inner.partition
        fused = replace(inner, name=self.fused, axis=axis, partition=partition)
        return (
            loops.replace_dim(self.outer)
            .replace_dim(self.inner, fused)
            .with_op(FuseOp(self.outer, self.inner, self.fused))
        )

    def _adjacent(self, loops: Loops) -> list[str]:
        """The order of the loops with `outer` brought right outside `inner`."""
        order = [n for n in loops.names if n != self.outer]
        order.insert(order.index(self.inner), self.outer)
        return order


@directive("reorder")
class Reorder(Directive):
    """Permute loops, given outermost first, among the places that they have now; the others stay.

    f.reorder("x", "y")        for y: for c: for x: s   ->   for x: for c: for y: s
    """

    loops: tuple[str, ...] = arg(LOOPS, star=True)

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        loops = stage.loops.dims
        for a, b in itertools.pairwise(loops):
            if a.kind == b.kind == "serial":
                yield cls.of((b.name, a.name))

    def check(self, stage: Stage) -> None:
        for v in self.loops:
            self.need_loop(stage, v)
        check_distinct(self, stage, self.loops)
        check_order(self, stage, permuted(stage.loops.names, self.loops))

    def apply(self, loops: Loops) -> Loops:
        return replace(loops, dims=tuple(loops.dim(n) for n in permuted(loops.names, self.loops)))


@directive("tile")
class Tile(Directive):
    """Split loops and reorder the parts, so that tiles run one after the other.

        for y: for x: s[y, x]   ->   for yo: for xo:
                                       for yi in 0..8: for xi in 0..32: s[8*yo + yi, 32*xo + xi]

    `tile(y, x, yo, xo, yi, xi, fy, fx)`; `tile(y, x, yi, xi, fy, fx)` keeps the old names for the outer loops; for any
    number of loops, lists `old`, `outer`, `inner`, `factors`: `tile([z, y, x], [zo, yo, xo], [zi, yi, xi], [fz, fy, fx])`.
    `tail`: what is done where a factor does not divide an extent, as in `split`.
    """

    old: tuple[str, ...] = arg(LOOPS)
    outer: tuple[str, ...] = arg(LOOPS)
    inner: tuple[str, ...] = arg(LOOPS)
    factors: tuple[int | Scalar, ...] = arg(FACTORS)
    tail: str = arg(TAIL, default="auto")

    parameters = "y, x, yo, xo, yi, xi, fy, fx, tail='auto'"

    @classmethod
    def bind(cls, receiver: str, loc: Location | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if (args and isinstance(args[0], (list, tuple))) or "old" in kwargs:
            args = (args[0], *args) if len(args) == 3 else args
            values = super().bind(receiver, loc, args, kwargs)
        else:
            names = ("y", "x", "yo", "xo", "yi", "xi", "fy", "fx")
            given = dict(zip(names if len(args) != 6 else (*names[:2], *names[4:]), args, strict=False)) | kwargs
            values = {"old": [given.pop("y", None), given.pop("x", None)], "tail": given.pop("tail", "auto")}
            values["outer"] = [given.pop("yo", values["old"][0]), given.pop("xo", values["old"][1])]
            values["inner"] = [given.pop("yi", None), given.pop("xi", None)]
            values["factors"] = [given.pop("fy", None), given.pop("fx", None)]
            if given or len(args) > 8 or any(v is None for k in ("old", "inner", "factors") for v in values[k]):
                raise ScheduleError(f"{receiver}.tile takes ({cls.parameters})", loc=loc,
                                    hint=f'{receiver}.tile("y", "x", "yo", "xo", "yi", "xi", 8, 32)')  # fmt: skip
        lengths = [len(values[k]) for k in ("old", "outer", "inner", "factors")]
        if len(set(lengths)) > 1:
            raise ScheduleError(f"{receiver}.tile: the lists have {', '.join(map(str, lengths))} entries", loc=loc)
        return values

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        pure = [d for d in stage.loops.dims if not d.is_reduction]
        if len(pure) < 2 or stage.loops.ops or any(d.kind != "serial" for d in pure):
            return
        y, x = (d.name for d in pure[-2:])
        for height, width in ((32, 256), (64, 64), (8, 128)):
            yield cls.of((y, x), (f"{y}o", f"{x}o"), (f"{y}i", f"{x}i"), (height, width))

    def check(self, stage: Stage) -> None:
        for v in self.old:
            self.need_loop(stage, v)
        check_distinct(self, stage, self.old)
        for old, outer, inner, factor in zip(self.old, self.outer, self.inner, self.factors, strict=True):
            check_split(self, stage, old, outer, inner, self.tail)
            stage = replace(stage, loops=split(stage.loops, old, outer, inner, factor, self.tail))
        order = permuted(stage.loops.names, (*self.outer, *self.inner))
        check_order(self, stage, order)

    def apply(self, loops: Loops) -> Loops:
        for old, outer, inner, factor in zip(self.old, self.outer, self.inner, self.factors, strict=True):
            loops = split(loops, old, outer, inner, factor, self.tail)
        return self._reordered(loops)

    def _reordered(self, loops: Loops) -> Loops:
        order = permuted(loops.names, (*self.outer, *self.inner))
        return replace(loops, dims=tuple(loops.dim(n) for n in order))

    def __str__(self) -> str:
        if len(self.old) != 2:
            return super().__str__()
        names = ", ".join(quoted((*self.old, *self.outer, *self.inner)))
        tail = "" if self.tail == "auto" else f', tail="{self.tail}"'
        return f"tile({names}, {', '.join(map(str, self.factors))}{tail})"


@directive("rename")
class Rename(Directive):
    """Give loop `old` the name `new`."""

    old: str = arg(LOOP)
    new: str = arg(LOOP)

    def check(self, stage: Stage) -> None:
        self.need_loop(stage, self.old)
        self.need_new(stage, self.new, (self.old,))

    def apply(self, loops: Loops) -> Loops:
        return loops.with_dim(self.old, name=self.new).with_op(RenameOp(self.old, self.new))


@directive("serial")
class Serial(Directive):
    """Run the iterations of loop `v` one after the other: what a loop does unless it is told otherwise."""

    v: str = arg(LOOP)

    def check(self, stage: Stage) -> None:
        self.need_loop(stage, self.v)

    def apply(self, loops: Loops) -> Loops:
        return loops.with_dim(self.v, kind="serial")


@directive("parallel")
class Parallel(Directive):
    """Run the iterations of loop `v` on all threads. With `n`, split first: tasks of `n` iterations.
    `tail`: what is done where `n` does not divide the extent, as in `split`.

    f.parallel("y", 8)      for y: s   ->   parallel for y: for y_p in 0..8: s
    """

    v: str = arg(LOOP)
    n: int | None = arg(MAYBE_COUNT, default=None)
    tail: str = arg(TAIL, default="auto")

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        loops = stage.loops
        if any(d.kind == "parallel" for d in loops.dims) or not loops.dims or loops.dims[0].is_reduction:
            return
        outermost = loops.dims[0].name
        yield cls.of(outermost)
        if not loops.ops:
            yield from (cls.of(outermost, n) for n in (8, 32))

    def check(self, stage: Stage) -> None:
        self.need_loop(stage, self.v)
        if self.n is not None:
            check_split(self, stage, self.v, self.v, f"{self.v}_p", self.tail)
        clash = blended(self.apply(stage.loops))
        if clash is not None:
            _refuse_blend(self, stage, *clash)

    def apply(self, loops: Loops) -> Loops:
        if self.n is not None:
            loops = split(loops, self.v, self.v, f"{self.v}_p", self.n, self.tail)
        return loops.with_dim(self.v, kind="parallel")


@directive("vectorize")
class Vectorize(Directive):
    """Run loop `v` as the lanes of vectors. With `n`, split first: `v` goes on outside of `v_v`, which has `n` lanes.

        f.vectorize("x", 8)     for x: s   ->   for x: vector x_v in 0..8: s

    Without `n`: the whole loop if its extent is a constant of at most the natural width, else the natural width.
    `tail`: what is done where the lanes do not divide the extent, as in `split`.
    """

    v: str = arg(LOOP)
    n: int | None = arg(MAYBE_COUNT, default=None)
    tail: str = arg(TAIL, default="auto")

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        pure = [d for d in stage.loops.dims if not d.is_reduction]
        if pure and pure[-1].kind == "serial" and not any(d.kind == "vectorize" for d in pure):
            yield from (cls.of(pure[-1].name, n * around.lanes) for n in (1, 2))

    def check(self, stage: Stage) -> None:
        self.need_loop(stage, self.v)
        if self._lanes(stage.loops) is not None:
            check_split(self, stage, self.v, self.v, f"{self.v}_v", self.tail)
        loops = self.apply(stage.loops)
        lanes = math.prod(loops.extent(d.name) or 1 for d in loops.dims if d.kind == "vectorize")
        if lanes > MAX_LANES:
            self.refuse(stage, f"{lanes} lanes in one vector are more than {MAX_LANES}")

    def apply(self, loops: Loops) -> Loops:
        lanes = self._lanes(loops)
        if lanes is None:
            return loops.with_dim(self.v, kind="vectorize")
        inner = f"{self.v}_v"
        return split(loops, self.v, self.v, inner, lanes, self.tail).with_dim(inner, kind="vectorize")

    def _lanes(self, loops: Loops) -> int | None:
        """How many iterations to split off, or None for the whole loop."""
        if self.n is not None:
            return self.n
        extent = loops.extent(self.v)
        return loops.facts.natural if extent is None or extent > loops.facts.natural else None


@directive("unroll")
class Unroll(Directive):
    """Write the body of loop `v` out once an iteration. With `n`, split first: `v` goes on outside of `v_u`.
    `tail`: what is done where `n` does not divide the extent, as in `split`.

    f.unroll("x", 2)        for x: s[x]   ->   for x: s[2*x]; s[2*x + 1]
    """

    v: str = arg(LOOP)
    n: int | None = arg(MAYBE_COUNT, default=None)
    tail: str = arg(TAIL, default="auto")

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        loops = stage.loops
        for d in loops.dims:
            extent = loops.extent(d.name)
            if d.kind == "serial" and extent is not None and extent <= FEW:
                yield cls.of(d.name)
        serial = [d.name for d in loops.dims if d.kind == "serial" and not d.is_reduction]
        if any(d.kind == "vectorize" for d in loops.dims):
            yield from (cls.of(v, n) for v in serial[-1:] for n in (2, 4))

    def check(self, stage: Stage) -> None:
        self.need_loop(stage, self.v)
        if self.n is not None:
            check_split(self, stage, self.v, self.v, f"{self.v}_u", self.tail)

    def apply(self, loops: Loops) -> Loops:
        if self.n is None:
            return loops.with_dim(self.v, kind="unroll")
        inner = f"{self.v}_u"
        return split(loops, self.v, self.v, inner, self.n, self.tail).with_dim(inner, kind="unroll")


@directive("unscheduled")
class Unscheduled(Directive):
    """Keep the loops as they are: with this directive, as with any, a Func does not get the default schedule."""


@directive("partition")
class Partition(Directive):
    """Say whether loop `v` is cut into a first part, a steady part free of boundary conditions, and a last part.

        for x in 0..n: if 0 < x: a else: b   ->   for x in 0..1: b;  for x in 1..n: a

    `mode`: "auto" does where it pays, "always" also inside the first and last parts of other loops, "never" keeps one copy.
    """

    v: str = arg(LOOP)
    mode: str = arg(choice("auto", "always", "never"))

    def check(self, stage: Stage) -> None:
        self.need_loop(stage, self.v)

    def apply(self, loops: Loops) -> Loops:
        return loops.with_dim(self.v, partition=self.mode)


class _PartitionMany(Directive):
    mode = "auto"
    loops: tuple[str, ...] = ()

    def check(self, stage: Stage) -> None:
        for v in self.loops:
            self.need_loop(stage, v)

    def apply(self, loops: Loops) -> Loops:
        for v in self.loops or loops.names:
            loops = loops.with_dim(v, partition=self.mode)
        return loops


@directive("never_partition")
class NeverPartition(_PartitionMany):
    """`partition(v, "never")` for each of the loops."""

    mode = "never"
    loops: tuple[str, ...] = arg(LOOPS, star=True)


@directive("always_partition")
class AlwaysPartition(_PartitionMany):
    """`partition(v, "always")` for each of the loops."""

    mode = "always"
    loops: tuple[str, ...] = arg(LOOPS, star=True)


@directive("never_partition_all")
class NeverPartitionAll(_PartitionMany):
    """`partition(v, "never")` for all loops that there are now."""

    mode = "never"


@directive("always_partition_all")
class AlwaysPartitionAll(_PartitionMany):
    """`partition(v, "always")` for all loops that there are now."""

    mode = "always"


# What they share -----------------------------------------------------------------------------------------------------


def auto_tail(loops: Loops, old: str) -> str:
    """What `tail="auto"` means: "guard". Loop partitioning takes the test out of all tiles but the last, and a vector's
    last tile is masked, so it is the fastest as well as always legal."""
    return "guard"


def split(loops: Loops, old: str, outer: str, inner: str, factor: Any, tail: str) -> Loops:
    """`loops` with `old` replaced by `outer` and `inner`, which run as `old` did."""
    dim = loops.dim(old)
    op = SplitOp(old, outer, inner, factor, auto_tail(loops, old) if tail == "auto" else tail)
    return loops.replace_dim(old, replace(dim, name=outer), replace(dim, name=inner)).with_op(op)


def permuted(names: tuple[str, ...], chosen: tuple[str, ...]) -> list[str]:
    """`names` with those `chosen` put, in that order, into the slots that they have among them."""
    order = iter(chosen)
    return [next(order) if n in chosen else n for n in names]


def check_distinct(d: Directive, stage: Stage, names: tuple[str, ...]) -> None:
    for k, v in enumerate(names):
        if v in names[:k]:
            d.refuse(stage, f'"{v}" is there twice')


def check_split(d: Directive, stage: Stage, old: str, outer: str, inner: str, tail: str) -> None:
    """Refuse a split that does not fit: in its names, or with a tail that computes what may not be computed twice."""
    d.need_loop(stage, old)
    if outer == inner:
        hint = f"{stage.label}.{d}".replace(f'"{outer}", "{inner}"', f'"{outer}", "{inner}i"')
        d.refuse(stage, f'both new loops are called "{outer}"', hint=hint)
    d.need_new(stage, outer, (old,))
    d.need_new(stage, inner, (old,))
    _check_tail(d, stage, old, tail)
    clash = blended(split(stage.loops, old, outer, inner, 1, tail))
    if clash is not None:
        _refuse_blend(d, stage, *clash)


def _check_tail(d: Directive, stage: Stage, old: str, tail: str) -> None:
    loops = stage.loops
    dim, update, inside = loops.dim(old), loops.facts.update, old in loops.inner_parts()
    half_masked = [op for op in loops.ops if isinstance(op, SplitOp) and op.tail in _HALF_MASKED and old in op.made]
    if half_masked:
        reason = f'"{old}" comes from a split with tail="{half_masked[-1].tail}", which must be the last of its loop'
        d.refuse(stage, reason, hint=f'tail="predicate" on the split of "{half_masked[-1].old}"')
    reason, legal = "", list(TAILS_OF_ANY_CALL)
    if tail in (*TAILS_OF_ANY_CALL, "auto"):
        return
    if dim.is_reduction:
        reason = f'"{old}" is a reduction loop: each of its points must run exactly once'
    elif tail in _HALF_MASKED and inside:
        reason = f'"{old}" is the inner part of an earlier split'
    elif update and tail == "shift_inwards":
        reason = "an update would be applied twice to the points that the last tile goes over again"
        legal = [t for t in TAILS if t not in ("auto", "shift_inwards")]
    elif update and tail == "round_up" and inside:
        reason = f'"{old}" is the inner part of an earlier split: the update would be applied twice to some points'
    if reason:
        d.refuse(stage, reason, legal=(f'tail="{t}"' for t in legal), hint=_guarded(d, stage))


def check_order(d: Directive, stage: Stage, order: Iterable[str]) -> None:
    """Refuse an `order` that swaps two reduction loops whose iterations may not be swapped."""
    loops = stage.loops
    if loops.facts.order in ("unknown", "free"):
        return
    position = {n: k for k, n in enumerate(order)}
    impure = [dim.name for dim in loops.dims if dim.axis in ("apart_r", "impure_r")]
    for k, a in enumerate(impure):
        for b in impure[k + 1 :]:
            if position[a] > position[b]:
                why = (
                    "floats round differently"
                    if loops.facts.order == "rounds"
                    else "the update may give something else"
                )
                reason = f'"{a}" must stay outside "{b}": {why} in another order'
                hint = "@halo.func(fastmath=True)" if loops.facts.order == "rounds" else ""
                d.refuse(stage, reason, legal=("reorder pure loops only",), hint=hint)


def blended(loops: Loops) -> tuple[str, str] | None:
    """A parallel loop, and the tail of a split of the same variable that reads back what it stores."""
    tails = {
        v: op.tail
        for op, roots in loops.ops_with_roots()
        if isinstance(op, SplitOp) and op.tail in _BLEND
        for v in roots
    }
    for dim in loops.dims:
        if dim.kind == "parallel":
            for root in sorted(loops.roots(dim.name)):
                if root in tails:
                    return dim.name, tails[root]
    return None


def _refuse_blend(d: Directive, stage: Stage, name: str, tail: str) -> None:
    reason = f'a race: tail="{tail}" reads back points that other iterations of the parallel loop "{name}" store'
    d.refuse(stage, reason, legal=('tail="guard"', 'tail="predicate"'), hint=_guarded(d, stage))


def _guarded(d: Any, stage: Stage) -> str:
    """The call of a directive with `tail="guard"`, where it has a tail to be changed."""
    return f"{stage.label}.{replace(d, tail='guard')}" if d.tail != "auto" else 'tail="guard"'


def adjective(kind: str) -> str:
    return {"vectorize": "vectorised", "unroll": "unrolled"}.get(kind, kind)
