"""How much work a loop nest is: computed from its loops and the sizes of a call, without running it.

A loop whose variable no bound and no condition inside it depends on counts its body once, times its extent; the values
of the others are vectors, and the extents and conditions inside are computed for all of them at once.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ir.expr import Array, Cast, Const, Expr, Lin, Op, Read, Var, walk
from ..ir.stmt import Block, Extern, For, Fork, Hoist, If, Let, Memoize, Produce, Provide, Realize, Stmt, Stream
from ..jit.python_trace import definitions_of
from ..types import index

__all__ = ["Counts", "count"]

MOST = 1 << 22  # values of loop variables at a time; a nest that needs more of them is not counted

NO_WORK = {"select", "rare", "eq", "ne", "lt", "le", "and", "or", "xor", "not", "shl", "shr", "reinterpret", "random",
           "print", "require", "call", "isnan", "isinf", "isfinite", "copysign"}  # fmt: skip


@dataclass
class Counts:
    """Of a whole call, by the name of the stage: `points` stored, `pure` of them by its pure definition; `flops`, of any
    type, a multiply-add as two and a transcendental as one (NaN where a foreign function computes); `loads` of values, by
    stage and array; `footprint`, the bytes of one allocation. What depends on data is counted as if it were done."""

    points: Counter[str] = field(default_factory=Counter)
    pure: Counter[str] = field(default_factory=Counter)
    flops: dict[str, float] = field(default_factory=dict)
    loads: dict[str, Counter[str]] = field(default_factory=dict)
    footprint: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)  # bytes of a point


class UnknownError(Exception):
    """What only data tell."""


def count(nest: Stmt, known: Mapping[Var, Any]) -> Counts | None:
    """The work of `nest` where the variables of the call are `known`; None where loops depend on data, or it would take
    too long to say."""
    run = _Count(definitions_of(nest))
    try:
        run.stmt(nest, _Frame(dict(known), 1), "")
    except UnknownError:
        return None
    return run.counts


@dataclass
class _Frame:
    """The values that loop variables have had: each a number, or a vector as long as `weight`, which says how often each
    comes."""

    env: dict[Var, Any]
    weight: Any

    @property
    def total(self) -> int:
        return int(np.sum(self.weight))

    def chosen(self, where: Any) -> _Frame:
        """Those for which `where`, a number or a vector, is true."""
        if np.ndim(where) == 0:
            return self if where else _Frame(self.env, 0)
        weight = np.broadcast_to(self.weight, where.shape)[where]
        return _Frame({v: a[where] if np.ndim(a) else a for v, a in self.env.items()}, weight)

    def looped(self, var: Var, lo: Any, extent: Any) -> _Frame:
        """Each of them once for each value of `var`."""
        n = np.maximum(extent, 0)
        shape = np.broadcast_shapes(np.shape(n), np.shape(self.weight), np.shape(lo))
        n, size = np.broadcast_to(n, shape), int(np.sum(np.broadcast_to(n, shape)))
        if size > MOST:
            raise UnknownError
        rows = np.ravel(n)

        def again(a: Any) -> Any:
            return np.repeat(np.broadcast_to(a, shape).ravel(), rows) if np.ndim(a) else a

        env = {v: again(a) for v, a in self.env.items()}
        first = np.repeat(np.cumsum(rows) - rows, rows)
        env[var] = np.repeat(np.broadcast_to(lo, shape).ravel(), rows) + np.arange(size) - first
        return _Frame(env, np.repeat(np.broadcast_to(self.weight, shape).ravel(), rows))


class _Count:
    def __init__(self, definitions: Mapping[Any, int]) -> None:
        self.definitions = definitions
        self.counts = Counts()
        self.controls: dict[Stmt, frozenset[Var]] = {}

    def stmt(self, s: Stmt, at: _Frame, stage: str) -> None:
        match s:
            case Block():
                for t in s.stmts:
                    self.stmt(t, at, stage)
            case For():
                lo, extent = _value(s.lo, at.env), _value(s.extent, at.env)
                if s.var in self.control(s.body):
                    self.stmt(s.body, at.looped(s.var, lo, extent), stage)
                else:
                    self.stmt(s.body, _Frame({**at.env, s.var: lo}, at.weight * np.maximum(extent, 0)), stage)
            case Let():
                self.work(stage, (s.value,), at)
                self.stmt(s.body, _Frame({**at.env, s.var: _known(s.value, at.env)}, at.weight), stage)
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
                points = functools.reduce(lambda a, b: a * b, (np.maximum(_value(n, at.env), 0) for _, n in s.box), 1)
                self.stored(s.outputs, int(np.sum(points * at.weight)), pure=True)
                self.counts.flops[s.outputs.name] = math.nan
            case Memoize():
                self.stmt(s.body, _Frame({**at.env, s.missed: 1}, at.weight), stage)
            case Fork():
                self.stmt(s.alone, at, stage)
            case Hoist() | Stream():
                self.stmt(s.body, at, stage)
            case _:  # checks, prefetches and what else computes nothing
                pass

    def branch(self, s: If, at: _Frame, stage: str) -> None:
        cond = _known(s.cond, at.env)
        if cond is None:
            self.stmt(s.then, at, stage)
            return
        true = np.asarray(cond) != 0
        self.stmt(s.then, at.chosen(true), stage)
        if s.orelse is not None:
            self.stmt(s.orelse, at.chosen(~true), stage)

    def provide(self, s: Provide, at: _Frame) -> None:
        cond = None if s.pred is None else _known(s.pred, at.env)
        done = at if cond is None else at.chosen(np.asarray(cond) != 0)
        self.stored(s.what, done.total, self.definitions.get((s.what, s.indices, s.values), 0) == 0)
        self.work(s.what.name, tuple(v for v in s.values if v is not None), done)

    def stored(self, what: Array, points: int, pure: bool) -> None:
        self.counts.points[what.name] += points
        self.counts.pure[what.name] += points if pure else 0
        self.counts.types[what.name] = sum(t.bytes for t in what.types)

    def work(self, stage: str, values: tuple[Expr, ...], at: _Frame) -> None:
        if not stage:
            return
        flops, total = 0, at.total
        loads = self.counts.loads.setdefault(stage, Counter())
        for e in walk(values):
            if isinstance(e, Read) and e.array.table is None:
                loads[e.array.name] += total
                self.counts.types.setdefault(e.array.name, sum(t.bytes for t in e.array.types))
            elif isinstance(e, Op) and e.type is not index and e.name not in NO_WORK:
                flops += 2 if e.name == "fma" else 1
        self.counts.flops[stage] = self.counts.flops.get(stage, 0.0) + flops * total

    def realize(self, s: Realize, at: _Frame) -> None:
        """The largest of its allocations, as far as the iterations that are looked at have one."""
        fold, size = dict(s.fold), np.int64(sum(t.bytes for t in s.what.types))
        for d, (_, n) in enumerate(s.bounds):
            size = size * np.int64(fold[d]) if d in fold else size * np.maximum(_value(n, at.env), 0)
        found = self.counts.footprint
        found[s.what.name] = max(found.get(s.what.name, 0), int(np.max(size, initial=0)))

    def control(self, s: Stmt) -> frozenset[Var]:
        """The variables that bounds and conditions in `s` depend on."""
        if s not in self.controls:
            self.controls[s] = self._control(s)
        return self.controls[s]

    def _control(self, s: Stmt) -> frozenset[Var]:
        match s:
            case For():
                inner = self.control(s.body)
                return inner - {s.var} | _vars(s.extent) | (_vars(s.lo) if s.var in inner else frozenset())
            case Let():
                inner = self.control(s.body)
                return inner - {s.var} | (_vars(s.value) if s.var in inner else frozenset())
            case If():
                return _vars(s.cond) | self.control(s.then) | (self.control(s.orelse) if s.orelse else frozenset())
            case Provide():
                return frozenset() if s.pred is None else _vars(s.pred)
            case Extern():
                return frozenset().union(*(_vars(n) for _, n in s.box))
            case Block():
                return frozenset().union(*map(self.control, s.stmts))
            case Fork():
                return self.control(s.alone)
            case Produce() | Realize() | Hoist() | Stream() | Memoize():
                return self.control(s.body)
        return frozenset()


def _vars(e: Expr) -> frozenset[Var]:
    return frozenset(v for v in walk((e,)) if isinstance(v, Var))


def _known(e: Expr, env: Mapping[Var, Any]) -> Any:
    """The value of `e`, or None where only data tell."""
    try:
        return _value(e, env)
    except UnknownError:
        return None


def _value(e: Expr, env: Mapping[Var, Any]) -> Any:
    match e:
        case Const():
            return e.value
        case Var():
            value = env.get(e)
            if value is None:
                raise UnknownError
            return value
        case Lin():
            return e.const + sum(k * _value(a, env) for a, k in e.terms)
        case Cast(value, type) if type is index or value.type is index or type.bytes >= value.type.bytes:
            return _value(value, env)
        case Op(name, args) if name in _OPERATIONS and (name not in LOGIC or e.type.is_bool):
            return _OPERATIONS[name](*(_value(a, env) for a in args))
    raise UnknownError


def _zero_where(divisor: Any, quotient: Callable[[Any], Any]) -> Any:
    return np.where(np.equal(divisor, 0), 0, quotient(np.where(np.equal(divisor, 0), 1, divisor)))


LOGIC = ("and", "or", "not")
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "min": np.minimum, "max": np.maximum, "neg": np.negative,
    "abs": np.abs, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "select": np.where, "rare": np.where,
    "floordiv": lambda a, b: _zero_where(b, lambda d: np.floor_divide(a, d)),
    "mod": lambda a, b: _zero_where(b, lambda d: np.mod(a, d)),
}  # fmt: skip
