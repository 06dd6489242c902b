"""Instrument: a lowered body that counts, stage by stage, the time it takes, how often it is computed, its allocations.

Not one of the PASSES: `f.profile()` applies it to their result. A region is a stretch of one thread's time that belongs
to one stage; what is nested in it is charged to itself and taken off again:

    produce g: s         ->   t = now; s; charge g what passed since t, and take that off the stage around it
    for i (parallel): s  ->   t = now; for i (parallel): u = now; s; charge the stage since u
                              take what passed since t off the stage, whose thread only waited
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir import algebra as A
from ..ir.expr import Buffer, Const, Expr, Op, Var
from ..ir.stmt import Allocate, Evaluate, For, Fork, If, Let, Produce, Recall, Stmt, block
from ..types import i64
from .walk import map_stmt

__all__ = ["Calls", "instrument"]


class Calls(NamedTuple):
    """The names of the functions that count: `now(unique)`, `charge(to, from, since)` and `allocated(stage, bytes)`.
    A stage is a number, or -1 for none."""

    now: str
    charge: str
    allocated: str


def instrument(body: Stmt, calls: Calls) -> tuple[Stmt, tuple[str, ...]]:
    """`body` with counters, and the names of the stages by number."""
    run = _Instrumentation(calls)
    return run.region(body, run.number("(other)"), -1), tuple(run.names)


class _Instrumentation:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.names: dict[str, int] = {}
        self.times = 0

    def number(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def region(self, s: Stmt, stage: int, around: int) -> Stmt:
        """`s` as a region of `stage`, inside one of the stage `around`."""
        since, now = self._now()
        return Let(since, now, block(self.stmt(s, stage), self._charge(stage, around, since)))

    def stmt(self, s: Stmt, stage: int) -> Stmt:
        if isinstance(s, Produce):
            return s.replace(body=self.region(s.body, self.number(s.what.name), stage))
        if isinstance(s, For) and s.kind == "parallel":
            since, now = self._now()
            loop = s.replace(body=self.region(s.body, stage, -1))
            return Let(since, now, block(loop, self._charge(-1, stage, since)))
        if isinstance(s, Fork):
            beside = self.region(s.producer, stage, -1)  # in a thread that no stage's time goes by in
            return s.replace(producer=beside, consumer=self.stmt(s.consumer, stage), alone=self.stmt(s.alone, stage))
        inner = map_stmt(s, lambda t: self.stmt(t, stage))
        if isinstance(inner, Allocate) and inner.buffer.kind == "heap":
            told = self._allocated(inner.buffer, inner.size)
            if inner.shared is not None:
                told = If(A.not_(inner.shared[1]), told)
            return inner.replace(body=block(told, inner.body))
        if isinstance(inner, Recall):
            counted = block(*(self._allocated(b, inner.size) for b in inner.buffers))
            return inner.replace(body=block(If(inner.missed, counted), inner.body))
        return inner

    def _allocated(self, b: Buffer, size: Expr) -> Stmt:
        bytes = A.cast(A.mul(size, Const(b.type.bytes, size.type)), i64)
        return Evaluate(self._call(self.calls.allocated, _number(self.number(b.name.partition(".")[0])), bytes))

    def _now(self) -> tuple[Var, Expr]:
        self.times += 1  # each reading of the clock is an expression of its own
        return Var(f"t{self.times}", i64), self._call(self.calls.now, _number(self.times))

    def _charge(self, stage: int, around: int, since: Var) -> Stmt:
        return Evaluate(self._call(self.calls.charge, _number(stage), _number(around), since))

    def _call(self, name: str, *args: Expr) -> Expr:
        return Op("call", args, i64, name)


def _number(value: int) -> Const:
    return Const(value, i64)
