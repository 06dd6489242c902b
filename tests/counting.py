"""Runs a lowered nest point by point and counts: how often each stage stores, and how much memory it has at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import halo
from halo.func.program import Program
from halo.func.signature import Signature
from halo.ir.expr import Cast, Const, Expr, Lin, Load, Op, Ramp, Read, Var, walk
from halo.ir.fold import fold
from halo.ir.node import interning
from halo.ir.pipeline import Lowered
from halo.ir.stmt import Allocate, Block, Check, For, Fork, Hoist, If, Let, Produce, Provide, Realize, Stmt, Store
from halo.types import as_type


@dataclass
class Counts:
    """`stores` and `elements` (the largest allocation) by stage, and the region of each input that is read."""

    stores: Counter[str] = field(default_factory=Counter)
    elements: dict[str, int] = field(default_factory=dict)
    reads: dict[str, set[tuple[int, ...]]] = field(default_factory=dict)

    def box(self, name: str) -> list[tuple[int, int]]:
        """The (lo, extent) of what was read of `name`, an axis."""
        points = np.array(sorted(self.reads[name]))
        return [(int(lo), int(hi - lo + 1)) for lo, hi in zip(points.min(axis=0), points.max(axis=0), strict=True)]


def lowered(
    f: halo.Func, arrays: dict[str, np.ndarray] | None = None, scalars: dict[str, Any] | None = None
) -> Lowered:
    """`f` lowered for the given inputs. Inside `interning()`."""
    types = tuple((n, as_type(a.dtype)) for n, a in (arrays or {}).items())
    numbers = tuple((n, halo.i32) for n in (scalars or {}))
    return Program([f], f.name).lowered(Signature(types, numbers))


def count(f: halo.Func, shape: tuple[int, ...], /, **inputs: Any) -> Counts:
    """Compute `f` over 0..shape on `inputs` (arrays, or numbers for scalars), and count."""
    arrays = {n: a for n, a in inputs.items() if isinstance(a, np.ndarray)}
    scalars = {n: v for n, v in inputs.items() if n not in arrays}
    with interning():
        low = lowered(f, arrays, scalars)
        run = _Run(arrays)
        for port in low.ports:
            extents = arrays[port.name].shape if port.kind == "input" else shape
            run.env.update(zip(port.extents, extents, strict=True))
            run.env.update(dict.fromkeys(port.mins, 0))
            steps = np.cumprod((1, *extents[:0:-1]))[::-1] if extents else ()
            run.env.update(zip(port.strides, map(int, steps), strict=True))
        run.env.update({p.var: scalars.get(p.name, p.default) for p in low.params})
        run.stmt(low.nest)
    return run.counts


def loop_copies(f: halo.Func, name: str, **inputs: np.ndarray) -> int:
    """How many loops called `name` the machine code has, after partitioning."""
    with interning():
        return sum(isinstance(s, For) and s.var.name == name for s in statements(lowered(f, inputs).body))


def conditions(f: halo.Func, **inputs: np.ndarray) -> int:
    """How many `if`s and masked stores the machine code has."""
    with interning():
        body = lowered(f, inputs).body
        return sum(isinstance(s, If) or (isinstance(s, Store) and s.pred is not None) for s in statements(body))


def plain_loads(f: halo.Func, **inputs: np.ndarray) -> int:
    """How many loads of the machine code are dense and neither clamped nor masked."""
    with interning():
        stores = [s for s in statements(lowered(f, inputs).body) if isinstance(s, Store)]
        loads = [e for s in stores for e in walk((s.value,)) if isinstance(e, Load)]
        return sum(e.pred is None and isinstance(e.index, Lin | Ramp | Var) for e in loads)


def statements(s: Stmt) -> Iterator[Stmt]:
    todo = [s]
    while todo:
        s = todo.pop()
        yield s
        todo += children(s)


def children(s: Stmt) -> list[Stmt]:
    if isinstance(s, Block):
        return list(s.stmts)
    if isinstance(s, If):
        return [s.then] if s.orelse is None else [s.then, s.orelse]
    if isinstance(s, Fork):
        return [s.alone]
    return [s.body] if isinstance(s, For | Let | Hoist | Realize | Produce | Allocate) else []


class _Run:
    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.env: dict[Var, Any] = {}
        self.inputs = arrays
        self.memory: dict[Any, dict[Any, Any]] = {}
        self.folds: dict[Any, dict[int, int]] = {}
        self.counts = Counts()

    def stmt(self, s: Stmt) -> None:
        match s:
            case Block():
                for child in s.stmts:
                    self.stmt(child)
            case Let():
                self.env[s.var] = self.expr(s.value)
                self.stmt(s.body)
            case For():
                lo, n = self.expr(s.lo), self.expr(s.extent)
                for k in range(lo, lo + n):
                    self.env[s.var] = k
                    self.stmt(s.body)
            case If():
                if self.expr(s.cond):
                    self.stmt(s.then)
                elif s.orelse is not None:
                    self.stmt(s.orelse)
            case Produce() | Hoist():
                self.stmt(s.body)
            case Fork():
                self.stmt(s.alone)
            case Realize():
                self.realize(s)
            case Provide():
                self.provide(s)
            case Check():
                assert self.expr(s.cond), "a check of the call fails"
            case _:
                raise AssertionError(f"not counted: {s!r}")

    def realize(self, s: Realize) -> None:
        fold_of = dict(s.fold)
        size = 1
        for d, (_, n) in enumerate(s.bounds):
            size *= fold_of.get(d, max(self.expr(n), 0))
        name = s.what.name
        self.counts.elements[name] = max(self.counts.elements.get(name, 0), size)
        self.memory[s.what], self.folds[s.what] = {}, fold_of
        self.stmt(s.body)

    def provide(self, s: Provide) -> None:
        at = self.at(s.what, s.indices)
        if s.pred is not None and not self.expr(s.pred):
            return
        values = [None if v is None else self.expr(v) for v in s.values]
        self.counts.stores[s.what.name] += 1
        for k, v in enumerate(values):
            if v is not None:
                self.memory.setdefault(s.what, {})[(k, *at)] = v

    def at(self, what: Any, indices: tuple[Expr, ...]) -> tuple[int, ...]:
        folds = self.folds.get(what, {})
        return tuple(i % folds[d] if d in folds else i for d, i in enumerate(map(self.expr, indices)))

    def expr(self, e: Expr) -> Any:
        match e:
            case Const():
                return e.value
            case Var():
                return self.env[e]
            case Lin():
                return e.const + sum(k * self.expr(a) for a, k in e.terms)
            case Cast():
                return fold("cast", (self.expr(e.value),), e.value.type, e.type)
            case Read():
                return self.read(e)
            case Op(name="select" | "rare"):
                return self.expr(e.args[1] if self.expr(e.args[0]) else e.args[2])
            case Op(name="not"):
                return int(not self.expr(e.args[0]))
            case Op():
                value = fold(e.name, tuple(map(self.expr, e.args)), e.args[0].type, e.type)
                assert value is not None, f"not counted: {e!r}"
                return value
        raise AssertionError(f"not counted: {e!r}")

    def read(self, e: Read) -> Any:
        if e.pred is not None and not self.expr(e.pred):
            return 0
        at = self.at(e.array, e.indices)
        if e.array.kind == "input":
            self.counts.reads.setdefault(e.array.name, set()).add(at)
            return self.inputs[e.array.name][at].item()
        if e.array.table is not None:
            return e.array.table[at].item()
        return self.memory[e.array][(e.item, *at)]
