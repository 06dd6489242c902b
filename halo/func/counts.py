"""How much work a loop nest is: computed from its loops and the sizes of a call, without running it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ir.expr import Array, Cast, Expr, Op, Read, Var, walk
from ..ir.pipeline import Lowered
from ..ir.stmt import Block, Extern, For, Fork, Hoist, If, Let, Memoize, Produce, Provide, Realize, Stmt, Stream
from ..jit.python_trace import definitions_of
from ..types import index
from .iterations import UnknownError, Way, of_data

__all__ = ["Counts", "call_of", "count", "kind_of"]

FOREIGN = "foreign"  # operations of functions that are called

NO_WORK = {"select", "rare", "eq", "ne", "lt", "le", "and", "or", "xor", "not", "shl", "shr", "reinterpret", "random",
           "print", "require", "call", "isnan", "isinf", "isfinite", "copysign"}  # fmt: skip


@dataclass
class Counts:
    """Of a whole call, by the name of the stage: `points` stored, `pure` of them by its pure definition; `work`, its
    arithmetic operations by what computes them (`kind_of`), a multiply-add as two and a transcendental as one (NaN where a
    foreign function computes); `loads` of values, by stage and array; `footprint`, the bytes of one allocation;
    `distinct`, how many different points are `pure`, where one place of the nest stores them all and it can be said. What
    depends on data is counted as if it were done."""

    points: Counter[str] = field(default_factory=Counter)
    pure: Counter[str] = field(default_factory=Counter)
    work: dict[str, dict[str, float]] = field(default_factory=dict)
    loads: dict[str, Counter[str]] = field(default_factory=dict)
    footprint: dict[str, int] = field(default_factory=dict)
    distinct: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)  # bytes of a point

    def flops(self, stage: str) -> float:
        """All of its operations."""
        return sum(self.work.get(stage, {}).values(), 0.0)

    def all_work(self) -> dict[str, float]:
        """The operations of all stages, by what computes them."""
        found: dict[str, float] = {}
        for work in self.work.values():
            for kind, n in work.items():
                found[kind] = found.get(kind, 0.0) + n
        return found

    @property
    def kinds(self) -> tuple[str, ...]:
        """What computes anything in the call."""
        return tuple(sorted(self.all_work().keys() - {FOREIGN}))


def count(nest: Stmt, known: Mapping[Var, Any]) -> Counts | None:
    """The work of `nest` where the variables of the call are `known`; None where loops depend on data, or it would take
    too long to say."""
    run = _Count(definitions_of(nest))
    try:
        run.stmt(nest, Way(dict(known)), "")
    except UnknownError:
        return None
    return run.counts


def call_of(low: Lowered, given: Mapping[str, Any], results: Sequence[Any]) -> tuple[dict[str, int], dict[Var, Any]]:
    """Bytes of the arrays of a call by name, and the values of the variables of its loops. `given`: the shapes of inputs and
    the values of parameters; `results`: arrays as those that it fills."""
    made = iter(results)
    known: dict[Var, Any] = {}
    sizes: dict[str, int] = {}
    for port in low.ports:
        shape = np.shape(next(made)) if port.kind == "output" else given[port.name]
        known |= dict(zip(port.extents, shape, strict=True)) | dict.fromkeys(port.mins, 0)
        sizes[port.array.name] = sizes.get(port.array.name, 0) + math.prod(shape) * port.type.bytes
    for p in low.params:
        known[p.var] = given.get(p.name, p.default)
    return sizes, {v: n for v, n in known.items() if n is not None}


class _Count:
    def __init__(self, definitions: Mapping[Any, int]) -> None:
        self.definitions = definitions
        self.counts = Counts()

    def stmt(self, s: Stmt, at: Way, stage: str) -> None:
        match s:
            case Block():
                for t in s.stmts:
                    self.stmt(t, at, stage)
            case For():
                self.stmt(s.body, at.inside(s), stage)
            case Let():
                self.work(stage, (s.value,), at)
                self.stmt(s.body, at.named_as(s.var, s.value), stage)
            case If():
                self.branch(s, at, stage)
            case Produce():
                self.stmt(s.body, at, s.what.name)
            case Realize():
                self.realize(s, at)
                self.stmt(s.body, at, stage)
            case Provide():
                self.provide(s, at)
            case Extern():
                self.stored(s.outputs, at.volume(tuple(n for _, n in s.box)), pure=True)
                self.counts.work[s.outputs.name] = {FOREIGN: math.nan}
            case Memoize():
                self.stmt(s.body, at.given(s.missed, 1), stage)
            case Fork():
                self.stmt(s.alone, at, stage)
            case Hoist() | Stream():
                self.stmt(s.body, at, stage)
            case _:  # checks, prefetches and what else computes nothing
                pass

    def branch(self, s: If, at: Way, stage: str) -> None:
        truth = True if of_data(s.cond) else at.truth(s.cond)
        if truth is not False:
            self.stmt(s.then, at.where(s.cond), stage)
        if truth is not True and s.orelse is not None:
            self.stmt(s.orelse, at.where(s.cond, False), stage)

    def provide(self, s: Provide, at: Way) -> None:
        done = at if s.pred is None else at.where(s.pred)
        pure, name = self.definitions.get((s.what, s.indices, s.values), 0) == 0, s.what.name
        points = done.iterations()
        if pure and points and not self.counts.pure[name]:
            with suppress(UnknownError):
                self.counts.distinct[name] = done.distinct(s.indices)
        elif pure and points:
            self.counts.distinct.pop(name, None)
        self.stored(s.what, points, pure)
        self.work(name, tuple(v for v in s.values if v is not None), done)

    def stored(self, what: Array, points: int, pure: bool) -> None:
        self.counts.points[what.name] += points
        self.counts.pure[what.name] += points if pure else 0
        self.counts.types[what.name] = sum(t.bytes for t in what.types)

    def work(self, stage: str, values: tuple[Expr, ...], at: Way) -> None:
        if not stage:
            return
        total, loads = at.iterations(), self.counts.loads.setdefault(stage, Counter())
        work = self.counts.work.setdefault(stage, {})
        for e in walk(values):
            if isinstance(e, Read) and e.array.table is None:
                loads[e.array.name] += total
                self.counts.types.setdefault(e.array.name, sum(t.bytes for t in e.array.types))
            elif isinstance(e, Op) and e.type is not index and e.name not in NO_WORK:
                kind = kind_of(e)
                work[kind] = work.get(kind, 0.0) + total * (2 if e.name == "fma" else 1)

    def realize(self, s: Realize, at: Way) -> None:
        """The largest of its allocations."""
        fold = dict(s.fold)
        size = at.largest(tuple(n for d, (_, n) in enumerate(s.bounds) if d not in fold))
        size *= math.prod(fold.values()) * sum(t.bytes for t in s.what.types)
        found = self.counts.footprint
        found[s.what.name] = max(found.get(s.what.name, 0), size)


def kind_of(e: Op) -> str:
    """What computes `e`, as `halo.show.peaks.KINDS` has it: its type, but for products of narrow numbers that are added up in wide
    ones, for which processors have instructions of their own."""
    factors = next((f for f in ((e,) if e.name == "fma" else (e, *e.args)) if _narrow(f)), None)
    if factors is not None and e.name in ("mul", "add", "fma"):
        return f"dot{_narrow(factors)}"
    if e.type.is_float:
        return "f64" if e.type.bytes == 8 else "f32"
    return f"i{8 * e.type.bytes}"


def _narrow(e: Expr) -> str:
    """Of a product of numbers that were at most half as wide: how wide they were; empty for anything else."""
    if not (isinstance(e, Op) and e.name in ("mul", "fma")):
        return ""
    a, b = e.args[:2]
    if not (isinstance(a, Cast) and isinstance(b, Cast) and a.type == b.type):
        return ""
    from_, wide = (a.value.type, b.value.type), a.type
    if wide.is_float:
        return "bf16" if all(t.name == "bf16" for t in from_) and wide.bytes == 4 else ""
    narrow = max(t.bytes for t in from_)
    if wide.bytes != 4 or narrow > 2 or any(t is index or t.is_float for t in from_):
        return ""
    return str(8 * narrow)
