"""The Pipeline: an immutable, typed record of everything that lowering may know of the user's Funcs.

A `Function` is one stage of the pipeline: its pure definition, then its updates, each with the loops that its
directives gave it; and where it is computed and stored. Functions come in topological order, producers first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import Location
from ..types import Type
from .expr import Array, Buffer, Expr, Read, Var

__all__ = [
    "INLINE",
    "ROOT",
    "CheckInfo",
    "Definition",
    "Function",
    "Lowered",
    "Param",
    "Pipeline",
    "Place",
    "Port",
    "RVar",
    "replace",
]


@dataclass(frozen=True, eq=False)
class RVar:
    """One axis of a reduction domain: `var` runs over lo..lo+extent, in order."""

    var: Var
    lo: Expr
    extent: Expr


@dataclass(frozen=True, eq=False)
class Definition:
    """`what[indices] = values` for every point of the pure variables and the reduction domain where `pred` holds.

    In the pure definition `indices` are the Function's `vars` and `rvars` is empty. `loops` is the
    `schedule.loops.Loops` that the directives left; `specializations` are (condition, loops) pairs, first match wins.
    """

    indices: tuple[Expr, ...]
    values: tuple[Expr | None, ...]
    rvars: tuple[RVar, ...] = ()
    pred: Expr | None = None
    loops: Any = None
    specializations: tuple[tuple[Expr, Any], ...] = ()
    atomic: bool = False
    loc: Location | None = None


@dataclass(frozen=True)
class Place:
    """Where something is computed or stored: `kind` is inline, root or at; for `at`, the loop `loop` of Function `func`
    (of its definition `stage`, or of whichever definition reads the producer when `stage` is None)."""

    kind: str
    func: str = ""
    loop: str = ""
    stage: int | None = None
    loc: Location | None = field(default=None, compare=False)


INLINE, ROOT = Place("inline"), Place("root")


@dataclass(frozen=True, eq=False)
class Function:
    """A stage: `definitions[0]` is pure, the rest are updates. `vars` are its index variables, outermost first."""

    name: str
    vars: tuple[Var, ...]
    types: tuple[Type, ...]
    array: Array
    definitions: tuple[Definition, ...]
    compute: Place = INLINE
    store: Place | None = None  # None: where it is computed
    hoist: Place | None = None
    asynchronous: bool = False  # computed in a thread of its own, beside what reads it
    ring: int = 1  # how many iterations at a time have storage of their own in what is hoisted
    storage_order: tuple[int, ...] = ()  # axes outermost first; () is the natural order
    align_storage: tuple[tuple[int, int], ...] = ()  # (axis, multiple)
    fold: tuple[tuple[int, int, Location | None], ...] = ()  # (axis, extent, who says so)
    bound: tuple[tuple[int, Expr | None, Expr], ...] = ()  # (axis, lo or None for wherever it is needed, extent)
    align_bounds: tuple[tuple[int, int, int], ...] = ()  # (axis, modulus, remainder): lo and extent are aligned
    align_extent: tuple[tuple[int, int], ...] = ()  # (axis, modulus): the extent grows to a multiple, lo stays
    bound_storage: tuple[tuple[int, Expr], ...] = ()  # (axis, the extent that is allocated)
    promised: tuple[tuple[str, int, Expr, int], ...] = ()  # of an output: (what, axis, value, element)
    memory: str = "auto"
    memory_loc: Location | None = field(default=None, compare=False)  # where the schedule says so
    compute_with: tuple[tuple[int, str, int, str], ...] = ()  # (own stage, other Function, its stage, loop)
    align_with: tuple[
        tuple[int, Any], ...
    ] = ()  # (own stage, how compute_with aligns: for all loops, or (loop, how) pairs)
    extern: Any = None
    domain: tuple[tuple[int, Expr, Expr], ...] = ()  # (axis, lo, n): where there are values at all
    states: tuple[str, ...] = ()  # of a state of a scan: all of them; the last one's loop over the steps is that of all
    within: Place | None = None  # of what belongs to the steps of a scan: that loop
    copies: Array | None = None  # of an output that is a copy: what of, of the same region or a larger one
    innermost: bool = False  # the stage of an inline reduction: by default at the innermost loop of what reads it
    trace_realizations: bool = False
    trace_tags: tuple[str, ...] = ()
    debug_file: tuple[str, Location | None] | None = None  # where what is computed is written, and who says so
    memoized: tuple[Expr | None, Location | None] | None = None  # the eviction key, and who says so
    scheduled: bool = False  # some directive was given
    fastmath: bool = False
    loc: Location | None = None


@dataclass(frozen=True, eq=False)
class Param:
    """A scalar input: read through `var`."""

    name: str
    var: Var
    default: Any = None


@dataclass(frozen=True, eq=False)
class Pipeline:
    """`functions` in topological order, producers first; `outputs` among them; the array and scalar inputs."""

    functions: tuple[Function, ...]
    outputs: tuple[str, ...]
    inputs: tuple[Array, ...]
    params: tuple[Param, ...] = ()
    requirements: tuple[tuple[Expr, str], ...] = ()
    places: Mapping[Read, Any] = field(
        default_factory=dict, compare=False
    )  # for errors: what has the `loc` of each access
    assumed: bool = field(default=False, compare=False)  # nothing says the types of its inputs: it is only looked at

    def __getitem__(self, name: str) -> Function:
        return next(f for f in self.functions if f.name == name)


@dataclass(frozen=True, eq=False)
class Port:
    """One NumPy array of a call: an input, or element `item` of an output. The variables are the kernel's arguments:
    `buffer` its data, `extents`, `strides` (in elements) and, for outputs, `mins` (the coordinate of its first element).
    `address`: of the data, where something is promised of it."""

    name: str
    kind: str  # input, output
    type: Type
    ndim: int
    array: Array
    item: int
    buffer: Buffer
    extents: tuple[Var, ...]
    strides: tuple[Var, ...]
    mins: tuple[Var, ...] = ()
    address: Var | None = None


@dataclass(frozen=True, eq=False)
class CheckInfo:
    """What a `Check` of the kernel tests: `kind` is bounds (an input is too small: args are the needed lo and hi, and the
    extent), domain (a stage has values elsewhere only: args are the needed lo and hi, the first and the last), fallback
    (the fast variant does not fit this call: run the safe one), specialize (nor do its nests: run one with others) or
    require (a user's requirement: args are the required value and those for the {} of `message`, of these `types`)."""

    kind: str
    array: str = ""
    axis: int = 0
    message: str = ""
    loc: Location | None = None
    types: tuple[Type, ...] = ()


@dataclass(frozen=True, eq=False)
class Lowered:
    """A lowered pipeline: `nest` over multi-dimensional arrays, `body` over flat buffers, and the call's signature."""

    nest: Any
    body: Any
    ports: tuple[Port, ...]
    params: tuple[Param, ...]
    checks: tuple[CheckInfo, ...]
