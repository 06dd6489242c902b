"""Flatten: multi-dimensional storage becomes flat buffers, `f[y, x]` becomes `f[(y - min)*stride + x - min]`.

A Realize becomes one allocation per element of the tuple; what an output is a copy of as a whole lies there from the start.
Inputs and outputs take their strides from the call; in the fast variant the last one is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir.expr import Array, Buffer, Const, Expr, Load, Op, Read, Var, walk
from ..ir.facts import LOOSE, const_bounds
from ..ir.pipeline import Function, Pipeline, Port
from ..ir.sorting import numbers
from ..ir.stmt import (
    Acquire,
    Allocate,
    Atomic,
    Block,
    CallExtern,
    Check,
    Evaluate,
    Extern,
    For,
    Fork,
    Hoist,
    If,
    Keep,
    Let,
    Memoize,
    Prefetch,
    Produce,
    Provide,
    Realize,
    Recall,
    Release,
    Stmt,
    Store,
    Stream,
    View,
    block,
)
from ..types import Type, index
from .fetches import fetches
from .inline_lets import is_plain
from .layout import Layout
from .walk import map_exprs, map_stmt

LINE = 64  # elements: at least a line of the cache
STACK_BYTES = 16 * 1024


def flatten(s: Stmt, p: Pipeline, ports: tuple[Port, ...], dense: bool) -> Stmt:
    layouts: dict[Array, Layout] = {}
    by_array: dict[Array, list[Port]] = {}
    for port in ports:
        by_array.setdefault(port.array, []).append(port)
    for array, group in by_array.items():
        mins = group[0].mins or (Const(0, index),) * array.ndim
        strides = tuple(_strides(q, dense, p) for q in group)
        layouts[array] = Layout(tuple(q.buffer for q in group), mins, group[0].extents, strides, {})
    packed = {q.extents[-1]: q.strides[-2] for q in ports if dense and is_pixels(q, p)}
    return _Flatten(layouts, {f.array: f for f in p.functions}, packed, dense).stmt(s)


def _strides(port: Port, dense: bool, p: Pipeline) -> tuple[Expr, ...]:
    """The strides of a port, as far as they are known."""
    promised = promised_strides(port, p)
    strides: tuple[Expr, ...] = port.strides
    if port.ndim and dense_axis(port, dense):
        strides = (*strides[:-1], Const(1, index))
    bound = {d: n for f in p.functions if f.array is port.array for d, _, n in f.bound}.get(port.ndim - 1)
    if dense and port.array.shape is not None:
        return tuple(
            s if n is None else Const(n, index) for s, n in zip(strides, packed_strides(port.array), strict=True)
        )
    if dense and is_pixels(port, p) and isinstance(bound, Const) and bound.value <= PIXEL:
        strides = (*strides[:-2], bound, strides[-1])
    return tuple(promised.get(d, s) for d, s in enumerate(strides))


def promised_strides(port: Port, p: Pipeline) -> dict[int, Expr]:
    """What the schedule promises of the strides of an output, axis by axis."""
    promises = (e for f in p.functions if f.array is port.array for e in f.promised)
    return {axis: n for what, axis, n, item in promises if what == "stride" and item == port.item}


def packed_strides(a: Array) -> tuple[int | None, ...]:
    """The strides of an input of a known shape if it is packed, as far as they are constants."""
    strides: list[int | None] = [1]
    for n in reversed(a.shape[1:]):
        strides.append(strides[-1] * n if strides[-1] is not None and isinstance(n, int) else None)
    return tuple(strides[: -a.ndim - 1 : -1])


def dense_axis(port: Port, dense: bool) -> bool:
    """Whether the last axis of this port is known to be contiguous: by promise, or in the variant that checks it."""
    return dense or port.array.contiguous


PIXEL = 4  # channels, at most


def is_pixels(port: Port, p: Pipeline) -> bool:
    """Whether the last axis may be that of the channels of a pixel; the fast variant then checks that pixels are packed."""
    return (
        port.ndim > 2
        and port.array.shape is None
        and promised_strides(port, p).keys().isdisjoint((port.ndim - 2, port.ndim - 1))
    )


class _Hoisted(NamedTuple):
    """Memory that is allocated further out, in places of `size` elements each."""

    buffers: tuple[Buffer, ...]
    size: Expr


class _Flatten:
    def __init__(
        self, layouts: dict[Array, Layout], functions: dict[Array, Function], packed: dict[Var, Var], promises: bool
    ) -> None:
        self.layouts, self.functions, self.packed, self.promises = layouts, functions, packed, promises
        self.copied = {f.copies: f.array for f in functions.values() if f.copies is not None}
        self.same: dict[Array, Expr] = {}  # of an output that is a copy: whether it is the original
        self.hoisted: dict[Array, _Hoisted] = {}
        self.sizes: dict[Array, Expr] = {}  # of what is memoized
        self.memo: dict[Expr, Expr] = {}

    def expr(self, e: Expr) -> Expr:
        return A.rewrite(e, self._read, self.memo)

    def _read(self, e: Expr) -> Expr | None:
        if not isinstance(e, Read):
            return None
        if e.array not in self.layouts and e.array.table is not None:
            self.layouts[e.array] = _table(e.array)
        indices = tuple(self.expr(i) for i in e.indices)
        layout = self.layouts[e.array]
        return Load(layout.buffers[e.item], layout.at(indices, e.item), None if e.pred is None else self.expr(e.pred))

    def stmt(self, s: Stmt) -> Stmt:
        match s:
            case For():
                return s.replace(lo=self.expr(s.lo), extent=self.expr(s.extent), body=self.stmt(s.body))
            case Let():
                return Let(s.var, self.expr(s.value), self.stmt(s.body))
            case If():
                then = self.knowing(s.cond, self.stmt(s.then))
                return If(self.expr(s.cond), then, None if s.orelse is None else self.stmt(s.orelse), s.likely)
            case Block():
                return block(*(self.stmt(t) for t in s.stmts))
            case Produce():
                return self.produce(s)
            case Fork():
                return map_stmt(s, self.stmt)
            case Acquire() | Release():
                return s
            case Check():
                return Check(self.expr(s.cond), s.code, tuple(self.expr(a) for a in s.args))
            case Evaluate():
                return Evaluate(self.expr(s.value))
            case Provide():
                return self.provide(s)
            case Realize():
                return self.realize(s)
            case Hoist():
                return self.hoist(s)
            case Extern():
                return self.extern(s)
            case Memoize():
                return self.recall(s)
            case Keep():
                return s
            case Stream():
                return Stream(self.buffers(s.stores), self.buffers(s.loads), self.stmt(s.body))
            case Prefetch():
                box = tuple((self.expr(lo), self.expr(n)) for lo, n in s.box or ())
                return block(*(fetches(self.layouts[s.what], k, box, s.strategy) for k in s.items))
        raise TypeError(type(s))

    def buffers(self, arrays: tuple[Array | Buffer, ...]) -> tuple[Buffer, ...]:
        return tuple(b for a in arrays if isinstance(a, Array) for b in self.layouts[a].buffers)

    def extern(self, s: Extern) -> Stmt:
        items = len(s.outputs.types)
        views = [self.view(s.outputs, k, s.box) for k in range(items)]
        views += [self.view(a, 0, box) for a, box in zip(s.inputs, s.function.required(s.box), strict=True)]
        args = tuple(map(self.expr, numbers(s.function, s.box)))
        return CallExtern(f"{s.function.symbol}_{s.outputs.name}", s.function.function, items, tuple(views), args)

    def recall(self, s: Memoize) -> Stmt:
        layout, size = self.layouts[s.what], self.sizes[s.what]
        region = (e for pair in s.region for e in pair)
        values = (*map(self.expr, (*region, *s.values)), *layout.mins, *layout.strides[0], size)
        views = tuple(self.view(a, 0, box) for a, box in zip(s.inputs, s.boxes, strict=True))
        key, when = (None if e is None else self.expr(e) for e in (s.key, s.when))
        return Recall(layout.buffers, size, s.missed, s.stage, values, views, self.stmt(s.body), key, when)

    def view(self, array: Array, item: int, box: tuple[tuple[Expr, Expr], ...]) -> View:
        layout = self.layouts[array]
        first = layout.at(tuple(self.expr(lo) for lo, _ in box), item)
        return View(layout.buffers[item], first, tuple(self.expr(n) for _, n in box), layout.strides[item])

    def knowing(self, cond: Expr, s: Stmt) -> Stmt:
        """`s` where `cond` holds: of an array with three channels the pixels are three elements apart."""
        known: dict[Var, Expr] = {}
        for c in A.conjuncts(cond):
            if isinstance(c, Op) and c.name == "eq" and isinstance(c.args[0], Var) and isinstance(c.args[1], Const):
                known[c.args[0]] = c.args[1]
                if c.args[0] in self.packed and c.args[1].value <= PIXEL:
                    known[self.packed[c.args[0]]] = c.args[1]
        memo: dict[Expr, Expr] = {}
        return map_exprs(s, lambda e: A.substitute(e, known, memo)) if known else s

    def produce(self, s: Produce) -> Stmt:
        if self.functions[s.what].memoized is not None and isinstance(s.body, If):  # on a hit nothing is produced
            return If(s.body.cond, Produce(s.what, self.stmt(s.body.then)))
        if s.what in self.same:
            return If(A.not_(self.same[s.what]), Produce(s.what, self.stmt(s.body)))
        return Produce(s.what, self.stmt(s.body))

    def provide(self, s: Provide) -> Stmt:
        layout = self.layouts[s.what]
        indices = tuple(self.expr(i) for i in s.indices)
        pred = None if s.pred is None else self.expr(s.pred)
        stores = [
            (layout.buffers[k], layout.at(indices, k), self.expr(v)) for k, v in enumerate(s.values) if v is not None
        ]
        if len(stores) == 1 or (s.atomic and _separate(stores)):
            return block(*(Store(*store, pred, s.atomic) for store in stores))
        # a tuple is stored at once: every value is computed before the first store
        held = [Var(f"{b.name}.value", v.type) for b, _, v in stores]
        body = block(*(Store(b, i, h, pred) for (b, i, _), h in zip(stores, held, strict=True)))
        for h, (_, _, v) in zip(reversed(held), reversed(stores), strict=True):
            body = Let(h, v, body)
        return Atomic(*stores[0][:2], body) if s.atomic else body

    def realize(self, s: Realize) -> Stmt:
        f = self.functions[s.what]
        lets: list[tuple[Var, Expr]] = []

        def named(name: str, e: Expr) -> Expr:
            if is_plain(e):
                return e
            lets.append((Var(name, index, *const_bounds(e)), e))
            return lets[-1][0]

        fold = dict(s.fold)
        align = dict(f.align_storage)
        room = dict(f.bound_storage)
        extents = [named(f"{f.name}.extent{d}", self.expr(room.get(d, n))) for d, (_, n) in enumerate(s.bounds)]
        corner = tuple(self.expr(lo) for lo, _ in s.bounds)
        mins = tuple(named(f"{f.name}.min{d}", lo) for d, lo in enumerate(corner))
        if any(isinstance(e, Load) for e in walk(corner)):  # which may give something else later
            corner = mins
        strides: list[Expr] = [Const(1, index)] * len(extents)
        size: Expr = Const(1, index)
        for d in reversed(f.storage_order or range(len(extents))):
            strides[d] = named(f"{f.name}.stride{d}", size)
            n: Expr = Const(fold[d], index) if d in fold else extents[d]
            size = A.mul(strides[d], _padded(n, align.get(d, 1)))
        hoisted = self.hoisted.get(s.what)
        same = self._same(f, (mins, tuple(extents), tuple(strides)), fold)
        if same is not None:
            lets.append((Var(f"{f.name}.shared", same.type), same))
            same = lets[-1][0]
            self.same[self.copied[s.what]] = same
        buffers = _buffers(f, size, self.promises, same is not None) if hoisted is None else hoisted.buffers
        first: Expr = Const(0, index)
        if hoisted is not None and s.slot is not None:
            first = named(f"{f.name}.first", A.mul(self.expr(s.slot), hoisted.size))
        outer = self.layouts.get(s.what)  # of a Function that is inline in two stages, one inside the other
        self.layouts[s.what] = Layout(
            buffers, mins, tuple(extents), (tuple(strides),) * len(buffers), fold, first, corner
        )
        self.sizes[s.what] = _sized(size)
        self.memo = {}
        body = self.stmt(s.body)
        if outer is not None:
            self.layouts[s.what] = outer
            self.memo = {}
        if hoisted is None and f.memoized is None:
            shared = [] if same is None else [(b, same) for b in self.layouts[self.copied[s.what]].buffers]
            body = _allocate(buffers, size, body, shared)
        for var, value in reversed(lets):
            body = Let(var, value, body)
        return body

    def _same(self, f: Function, box: tuple[tuple[Expr, ...], ...], fold: dict[int, int]) -> Expr | None:
        """Where what is stored of `f`, in `box` (its corner, extents and strides), is what an output is a copy of; None if
        there is no such output."""
        copy = self.copied.get(f.array)
        if copy is None or fold or f.hoist is not None or f.memoized is not None or f.memory != "auto" or not f.vars:
            return None
        layout = self.layouts[copy]
        return A.all_of(
            A.eq(mine, theirs)
            for strides in layout.strides
            for own, other in zip(box, (layout.mins, layout.extents, strides), strict=True)
            for mine, theirs in zip(own, other, strict=True)
        )

    def hoist(self, s: Hoist) -> Stmt:
        f = self.functions[s.what]
        size: Expr = Const(1, index)
        for d, n in enumerate(s.extents):
            size = A.mul(size, _padded(self.expr(n), dict(f.align_storage).get(d, 1)))
        if s.ring == 1:
            return self.hoist_once(s, f, size, size)
        size = _padded(A.maximum(size, Const(0, index)), LINE)  # each place begins a line of the cache
        if is_plain(size):
            return self.hoist_once(s, f, size, A.mul(size, Const(s.ring, index)))
        place = Var(f"{f.name}.place", index, *const_bounds(size))
        return Let(place, size, self.hoist_once(s, f, place, A.mul(place, Const(s.ring, index))))

    def hoist_once(self, s: Hoist, f: Function, place: Expr, size: Expr) -> Stmt:
        buffers = _buffers(f, size, self.promises)
        self.hoisted[s.what] = _Hoisted(buffers, place)
        body = self.stmt(s.body)
        del self.hoisted[s.what]
        return _allocate(buffers, size, body)


def _separate(stores: list[tuple[Buffer, Expr, Expr]]) -> bool:
    """Whether no value reads what another store writes."""
    buffers = {b for b, _, _ in stores}
    return all(
        not isinstance(e, Load) or e.buffer is b or e.buffer not in buffers for b, _, v in stores for e in walk((v,))
    )


def _padded(n: Expr, multiple: int) -> Expr:
    m = Const(multiple, index)
    return A.mul(A.floordiv(A.add(n, Const(multiple - 1, index)), m), m)


def _buffers(f: Function, size: Expr, promises: bool, shared: bool = False) -> tuple[Buffer, ...]:
    """Memory for each element of the tuple: where the schedule asks for it, or on the stack where a small constant is
    enough. In the copy for the calls that promises do not hold for, registers may have to be memory."""
    bound = const_bounds(size)[1]
    dynamic = not isinstance(size, Const) and (bound is None or bound > LOOSE)
    if f.memory == "register" and dynamic and promises and f.memoized is None:
        raise ScheduleError(f"{f.name}.store_in(\"register\"): how large {f.name} is there only a call tells",
                            loc=f.memory_loc, legal=('"auto"', '"heap"', '"stack"'),
                            hint=f'{f.name}.store_in("stack")')  # fmt: skip

    def kind(t: Type) -> str:
        if f.memory != "auto" or f.memoized is not None:
            return "heap" if f.memory == "heap" or f.memoized is not None else "stack"
        return "stack" if bound is not None and bound * t.bytes <= STACK_BYTES else "heap"

    names = [f.name] if len(f.types) == 1 else [f"{f.name}.{k}" for k in range(len(f.types))]
    if shared:
        return tuple(Buffer(name, t, "heap", align=t.bytes) for name, t in zip(names, f.types, strict=True))
    return tuple(Buffer(name, t, kind(t)) for name, t in zip(names, f.types, strict=True))


def _sized(size: Expr) -> Expr:
    low, _ = const_bounds(size)
    return A.maximum(size, Const(0, index)) if low is None or low < 0 else size  # of an empty region


def _allocate(buffers: tuple[Buffer, ...], size: Expr, body: Stmt, shared: Sequence[tuple[Buffer, Expr]] = ()) -> Stmt:
    _, bound = const_bounds(size)
    size = _sized(size)
    for b, where in reversed(list(zip_longest(buffers, shared))):
        body = Allocate(b, size, body, bound, where)
    return body


def _table(a: Array) -> Layout:
    strides, size = [], 1
    for n in reversed(a.table.shape):
        strides.append(Const(size, index))
        size *= n
    extents = tuple(Const(n, index) for n in a.table.shape)
    zeros = (Const(0, index),) * a.ndim
    return Layout((Buffer(a.name, a.types[0], "table", a.table),), zeros, extents, (tuple(reversed(strides)),), {})
