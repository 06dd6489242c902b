"""A nest that tells what it does: the source of the reference backend, which calls a tracer at every load, store and
allocation, with the coordinates that the algorithm speaks of, wherever the values lie in memory."""

from __future__ import annotations

import ast
import math
from array import array
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..ir.expr import Array, Const, Read
from ..ir.node import deep_recursion, interning
from ..ir.pipeline import Lowered
from ..ir.stmt import Block, For, Produce, Provide, Realize, Stmt
from .binding import Bound
from .layout import Layout
from .python import Nest, call_kernel, inside
from .python_code import Code, call, literal
from .python_dialects import NumPyCode

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ALLOCATE", "COORDINATES", "FREE", "LOAD", "STORE", "TooLongError", "Traced", "definitions_of"]

LOAD, STORE, ALLOCATE, FREE = range(4)
COORDINATES = 8  # an event has room for
WORDS = 4 + COORDINATES


class TooLongError(Exception):
    """More events than were wanted."""


class Traced:
    """Code that runs `lowered` as Python and writes down its events: eleven numbers each, (kind, array, stage, eight
    coordinates or extents), and the number of the vector or point that it belongs to: lanes share one."""

    def __init__(self, lowered: Lowered, most: int | None = None) -> None:
        self.lowered, self.most = lowered, most
        self.events = array("q")
        self.arrays: list[Array] = []

    def run(self, bound: Bound, layout: Layout) -> tuple[int, list[int]]:
        origins = [bound.origins[k] for k, p in enumerate(layout.ports) if p.is_output]
        with interning(), deep_recursion():
            nest = _Nest(self.lowered, any(map(any, origins)), _Recorder(self.events, self.most))
            function = nest.function()
        self.arrays = nest.numbered
        return call_kernel(function, self.lowered, "python", bound.arrays, bound.params, origins)


class _Recorder:
    """What the source calls."""

    def __init__(self, events: array[int], most: int | None) -> None:
        self.events, self.most = events, math.inf if most is None else most * WORDS
        self.step = self.vectors = 0

    def load(self, array: int, value: Any, *at: int) -> Any:
        self._event(LOAD, array, 0, at)
        return value

    def store(self, array: int, stage: int, *at: int) -> None:
        self._event(STORE, array, stage, at)
        if not self.vectors:
            self.step += 1

    def allocate(self, array: int, *extents: int) -> None:
        self._event(ALLOCATE, array, 0, extents)

    def free(self, array: int) -> None:
        self._event(FREE, array, 0, ())

    def lanes(self, begin: bool) -> None:
        self.vectors += 1 if begin else -1
        if not begin and not self.vectors:
            self.step += 1

    def _event(self, kind: int, array: int, stage: int, at: Sequence[int]) -> None:
        if len(self.events) >= self.most:
            raise TooLongError
        self.events.extend((self.step, kind, array, stage, *map(int, at), *(0,) * (COORDINATES - len(at))))


class _Expressions(NumPyCode):
    """Every load goes through the tracer, but those for the tracer's own sake."""

    def __init__(self, nest: _Nest) -> None:
        super().__init__()
        self.nest, self.quiet = nest, False

    def _read(self, e: Read) -> Code:
        if self.quiet or e.array.table is not None:
            return super()._read(e)
        with self.quietly():
            at = [self.value(i) for i in e.indices]
        own = super()._read(Read(e.array, e.indices, e.item))
        loaded = Code(self.nest.hook("load", e.array, own.tree, *at), own.form, own.unsigned, own.most)
        if e.pred is None:
            return loaded
        return self._conditional(self.value(e.pred), (loaded, self.const(Const(0, e.type))), e.type)

    @contextmanager
    def quietly(self) -> Iterator[None]:
        before, self.quiet = self.quiet, True
        yield
        self.quiet = before


class _Nest(Nest):
    def __init__(self, lowered: Lowered, origin: bool, recorder: _Recorder) -> None:
        self.recorder, self.tracing = recorder, _Expressions(self)
        super().__init__(lowered, "python", origin, self.tracing)
        self.numbered: list[Array] = []
        self.hooks: dict[str, str] = {}
        self.stages = definitions_of(lowered.nest)

    def free_names(self) -> dict[str, Any]:
        return super().free_names() | {own: getattr(self.recorder, what) for what, own in self.hooks.items()}

    def hook(self, what: str, array: Array, *args: ast.expr) -> ast.expr:
        if array not in self.numbered:
            self.numbered.append(array)
        return call(self._hook(what), literal(self.numbered.index(array)), *args)

    def _hook(self, what: str) -> str:
        if what not in self.hooks:
            self.hooks[what] = self.names.take(f"on_{what}", what)
        return self.hooks[what]

    def _provide(self, s: Provide) -> list[ast.stmt]:
        if s.pred is not None:
            return super()._provide(s)  # which comes back without the predicate
        with self.shared(*s.indices) as (before, indices), self.tracing.quietly():
            at = [self.code.value(i) for i in indices]
        told = ast.Expr(self.hook("store", s.what, literal(self.stages.get((s.what, s.indices, s.values), 0)), *at))
        return [*super()._provide(s), *before, told]

    def _realize(self, s: Realize) -> list[ast.stmt]:
        fold = dict(s.fold)
        with self.shared(*(n for _, n in s.bounds)) as (before, extents), self.tracing.quietly():
            sizes = [literal(fold[d]) if d in fold else self._size(n) for d, n in enumerate(extents)]
        begin, end = self.hook("allocate", s.what, *sizes), self.hook("free", s.what)
        return [*before, ast.Expr(begin), *super()._realize(s), ast.Expr(end)]

    def _for(self, s: For) -> list[ast.stmt]:
        inside = super()._for(s)
        if s.kind != "vectorize":
            return inside
        begin, end = (ast.Expr(call(self._hook("lanes"), literal(on))) for on in (True, False))
        return [begin, *inside, end]


def definitions_of(nest: Stmt) -> dict[tuple[Array, Any, Any], int]:
    """Which definition of its Function each Provide is of: the pure one is 0, the updates follow."""
    found: dict[tuple[Array, Any, Any], int] = {}

    def visit(s: Stmt, of: Array | None, stage: int) -> None:
        if isinstance(s, Provide):
            found.setdefault((s.what, s.indices, s.values), stage)
        elif isinstance(s, Produce):
            visit(s.body, s.what, 0)
        elif isinstance(s, Block):
            own = [t for t in s.stmts if of is not None and _provides(t, of)]
            for t in s.stmts:
                visit(t, of, stage + own.index(t) if t in own else stage)
        else:
            for t in inside(s):
                visit(t, of, stage)

    visit(nest, None, 0)
    return found


def _provides(s: Stmt, what: Array) -> bool:
    if isinstance(s, Provide | Produce) and s.what is what:
        return isinstance(s, Provide)
    return any(_provides(t, what) for t in inside(s))
