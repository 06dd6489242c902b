"""The loops of one stage: what its directives have made of the plain nest, as a value.

A stage starts with one serial loop per pure variable, then one per reduction variable, outermost first. Directives
rewrite that list and record in `ops`, in order, how the variables of the plain nest are computed from the loops:
read from the last to the first, each op gives the value of what it consumed from the values of what it made.

    SplitOp("x", "xo", "xi", 8, "guard")    x = xo*8 + xi
    FuseOp("y", "x", "yx")                  y, x = yx // extent(x), yx % extent(x)
    RenameOp("x", "c")                      x = c

A name may be used again once it was consumed (`SplitOp("x", "x", "x_v", 8, ...)`): names are those of that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Read, Var, walk
from ..ir.facts import arrays_read, free_vars
from ..ir.interval import differ
from ..ir.intrinsic import Tensor
from ..ir.sorting import sorts_rows

if TYPE_CHECKING:
    from ..ir.pipeline import Definition, Function

__all__ = ["Dim", "Facts", "Fetching", "FuseOp", "Loops", "RenameOp", "SplitOp", "Streaming"]


@dataclass(frozen=True)
class Dim:
    """One loop. `kind`: serial, parallel, vectorize, unroll or tensorize. `partition`: auto, always or never.

    `axis` is what is proven of its iterations: `pure` (a pure variable: any order), `pure_r` (reduction values that
    never touch each other's sites: any order), `apart_r` (those of one iteration of the loops around do not: at once, but
    in its place among other loops) or `impure_r` (in order, unless the update is associative). No directive sets it.
    """

    name: str
    kind: str = "serial"
    partition: str = "auto"
    axis: str = "pure"

    @property
    def is_reduction(self) -> bool:
        return self.axis != "pure"


@dataclass(frozen=True)
class SplitOp:
    """`old = outer*factor + inner` (from the loop's own lower end). `tail` says what happens in the last tile."""

    old: str
    outer: str
    inner: str
    factor: int | Expr
    tail: str

    consumed = property(lambda self: (self.old,))
    made = property(lambda self: (self.outer, self.inner))


@dataclass(frozen=True)
class FuseOp:
    """`outer, inner = divmod(fused, extent(inner))` (from the loops' own lower ends)."""

    outer: str
    inner: str
    fused: str

    consumed = property(lambda self: (self.outer, self.inner))
    made = property(lambda self: (self.fused,))


@dataclass(frozen=True)
class RenameOp:
    """`old = new`."""

    old: str
    new: str

    consumed = property(lambda self: (self.old,))
    made = property(lambda self: (self.new,))


LoopOp = SplitOp | FuseOp | RenameOp


@dataclass(frozen=True)
class Fetching:
    """In each iteration of loop `at`, memory of `what` (a stage or an input) is asked for that will be read when loop
    `start` is `distance` iterations further. `by` is the directive that says so."""

    what: str
    at: str
    start: str
    distance: int | Any
    strategy: str
    by: Any = field(compare=False, repr=False)


@dataclass(frozen=True)
class Streaming:
    """The stage's stores, or its loads of what `loads` names (None: of everything else), are not kept in caches."""

    stores: bool
    loads: tuple[str, ...] | None
    by: Any = field(compare=False, repr=False)


@dataclass(frozen=True)
class Facts:
    """What directives may know of the stage beside its loops.

    `update`: not the pure definition. `extents`: the constant extents of plain loops. `natural`: lanes of a vector of
    the widest type stored. `atomic`: the directive was given. `order` is what is proven of the order of the update:

        unknown   not asked yet (types are not known)
        free      any order gives the same bits
        rounds    associative and commutative, but for the rounding of floats
        kept      associative, but not commutative
        fixed     nothing; `reason` says why

    `constant`: it stores what does not depend on the iteration, so that iterations may race.
    """

    update: bool = False
    extents: tuple[tuple[str, int], ...] = ()
    natural: int = 16
    atomic: bool = False
    order: str = "unknown"
    reason: str = ""
    constant: bool = False


@dataclass(frozen=True)
class Loops:
    """The loops of a stage, outermost first, and how they came about. The innermost ones may be a `tensor`.

    >>> loops = Loops.start(("y", "x"))
    >>> loops.names, loops.dim("x").kind
    (('y', 'x'), 'serial')
    """

    dims: tuple[Dim, ...]
    ops: tuple[LoopOp, ...] = ()
    facts: Facts = Facts()
    tensor: Tensor | None = None
    hints: tuple[Fetching | Streaming, ...] = ()

    @staticmethod
    def start(pure: Iterable[str], reduction: Iterable[str] = (), facts: Facts = Facts()) -> Loops:
        """The plain nest, by names alone: nothing is proven of the reduction variables."""
        return Loops((*(Dim(v) for v in pure), *(Dim(r, axis="impure_r") for r in reduction)), (), facts)

    @staticmethod
    def of(definition: Definition, function: Function, facts: Facts | None = None) -> Loops:
        """The plain nest of `definition`, with the axis of every loop proven from what it stores and reads."""
        update = definition is not function.definitions[0]
        used = variables((*definition.indices, *(v for v in definition.values if v is not None),
                          *(() if definition.pred is None else (definition.pred,))))  # fmt: skip
        pure = [v for v in function.vars if not update or v in used]
        if sorts_rows(function):
            pure.pop(function.extern.function.axis)
        dims = [
            Dim(v.name, axis="impure_r" if update and not own_slot(v, definition, function) else "pure") for v in pure
        ]
        dims += [Dim(r.var.name, axis=_axis(r.var, definition, function)) for r in definition.rvars]
        if function.states and definition.rvars:
            dims = [Dim(dims[-1].name, axis="impure_r"), *dims[:-1]]
        extents = tuple((r.var.name, r.extent.value) for r in definition.rvars if isinstance(r.extent, Const))
        return Loops(tuple(dims), (), replace(facts or Facts(), update=update, extents=extents))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(d.name for d in self.dims)

    def __contains__(self, name: str) -> bool:
        return any(d.name == name for d in self.dims)

    def index(self, name: str) -> int:
        """The position of loop `name` (KeyError if there is none)."""
        for k, d in enumerate(self.dims):
            if d.name == name:
                return k
        raise KeyError(name)

    def dim(self, name: str) -> Dim:
        """The loop `name` (KeyError if there is none)."""
        return self.dims[self.index(name)]

    @property
    def original(self) -> tuple[str, ...]:
        """The loops of the plain nest, in no particular order."""
        names = set(self.names)
        for op in reversed(self.ops):
            names = (names - set(op.made)) | set(op.consumed)
        return tuple(sorted(names))

    def descendants(self, name: str) -> tuple[str, ...]:
        """The loops there are now that carry a part of what was ever called `name`, outermost first."""
        live: set[str] = set()
        for op in self.ops:
            if name in op.consumed or live & set(op.consumed):
                live = (live - set(op.consumed)) | set(op.made)
            else:
                live -= set(op.made)
        return tuple(d.name for d in self.dims if d.name in live or d.name == name)

    def roots(self, name: str) -> frozenset[str]:
        """The loops of the plain nest that the loop `name` is part of."""
        carried = {n: frozenset((n,)) for n in self.original}
        for op, roots in self.ops_with_roots():
            for n in op.consumed:
                del carried[n]
            carried.update((n, roots) for n in op.made)
        return carried[name]

    def ops_with_roots(self) -> Iterator[tuple[LoopOp, frozenset[str]]]:
        """Each op, and the loops of the plain nest that it works on."""
        carried = {n: frozenset((n,)) for n in self.original}
        for op in self.ops:
            union = frozenset[str]().union(*(carried.pop(n) for n in op.consumed))
            carried.update((n, union) for n in op.made)
            yield op, union

    def inner_parts(self) -> frozenset[str]:
        """The loops that run inside one tile of some split: the inner loops of splits, and what was made of them."""
        inside: set[str] = set()
        for op in self.ops:
            below = bool(inside & set(op.consumed))
            inside -= set(op.consumed)
            if below:
                inside |= set(op.made)
            elif isinstance(op, SplitOp):
                inside.add(op.inner)
        return frozenset(inside)

    def extent(self, name: str) -> int | None:
        """The constant number of iterations of loop `name`, if one is known."""
        known: dict[str, int | None] = dict.fromkeys(self.original) | dict(self.facts.extents)
        for op in self.ops:
            if isinstance(op, SplitOp):
                total = known.pop(op.old)
                factor = op.factor if isinstance(op.factor, int) else None
                known[op.outer] = None if total is None or factor is None else -(-total // factor)
                known[op.inner] = factor
            elif isinstance(op, FuseOp):
                outer, inner = known.pop(op.outer), known.pop(op.inner)
                known[op.fused] = None if outer is None or inner is None else outer * inner
            else:
                known[op.new] = known.pop(op.old)
        return known[name]

    def replace_dim(self, name: str, *new: Dim) -> Loops:
        """These loops with `name` replaced in its place by `new` (none removes it)."""
        k = self.index(name)
        return replace(self, dims=(*self.dims[:k], *new, *self.dims[k + 1 :]))

    def with_dim(self, name: str, /, **changes: Any) -> Loops:
        """These loops with fields of loop `name` changed."""
        return self.replace_dim(name, replace(self.dim(name), **changes))

    def with_op(self, op: LoopOp) -> Loops:
        return replace(self, ops=(*self.ops, op))


def variables(roots: Iterable[Expr | None]) -> set[Var]:
    """The variables that occur under `roots`."""
    return {e for e in walk(roots) if isinstance(e, Var)}


def own_slot(var: Var, definition: Definition, function: Function) -> bool:
    """Whether `var` is a plain index of what is stored, and of the same axis in every read of the Function itself.

    Then two values of `var` never touch each other's sites, so they may run in any order and at once.
    """
    slots = [k for k, e in enumerate(definition.indices) if e is var]
    reads = [e for e in walk((*definition.indices, *definition.values, definition.pred))
             if isinstance(e, Read) and e.array is function.array]  # fmt: skip
    return any(all(r.indices[k] is var for r in reads) for k in slots)


def _axis(var: Var, definition: Definition, function: Function) -> str:
    if own_slot(var, definition, function):
        return "pure_r"
    return "apart_r" if var is definition.rvars[-1].var and _apart(var, definition, function) else "impure_r"


def _apart(var: Var, definition: Definition, function: Function) -> bool:
    """Whether `var` is a plain index of what is stored, which the condition of the update keeps from the sites that are
    read: `f[j] = f[j] - f[t]` where j > t.

    Then iterations of this loop alone never touch each other's sites, and may run at once, but not before or after those
    of other loops.
    """
    conditions = [] if definition.pred is None else A.conjuncts(definition.pred)
    reads = [e for e in walk((*definition.indices, *definition.values, definition.pred))
             if isinstance(e, Read) and e.array is function.array]  # fmt: skip

    def is_kept(e: Expr) -> bool:
        return e is var or (var not in free_vars(e) and not arrays_read(e) and differ(var, e, conditions))

    return any(e is var and all(is_kept(r.indices[k]) for r in reads) for k, e in enumerate(definition.indices))
