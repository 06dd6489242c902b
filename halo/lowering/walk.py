"""Walking statements: the expressions of a statement, and the statement with those, or the statements inside it, mapped."""

from __future__ import annotations

from collections.abc import Callable

from ..ir.expr import Array, Expr
from ..ir.facts import arrays_read
from ..ir.stmt import (
    Allocate,
    Atomic,
    Block,
    CallExtern,
    Check,
    Evaluate,
    Extern,
    Fetch,
    For,
    Fork,
    Hoist,
    If,
    Let,
    Memoize,
    Prefetch,
    Produce,
    Provide,
    Realize,
    Recall,
    Stmt,
    Store,
    Stream,
    View,
    block,
    substmts,
)


def map_stmt(s: Stmt, f: Callable[[Stmt], Stmt]) -> Stmt:
    """`s` with f applied to each statement directly inside it."""
    match s:
        case For() | Let() | Produce() | Realize() | Hoist() | Memoize() | Allocate() | Recall() | Atomic() | Stream():
            body = f(s.body)
            return s if body is s.body else s.replace(body=body)
        case If():
            return If(s.cond, f(s.then), None if s.orelse is None else f(s.orelse), s.likely)
        case Block():
            return block(*(f(t) for t in s.stmts))
        case Fork():
            return Fork(s.semaphores, f(s.producer), f(s.consumer), f(s.alone))
    return s


def is_made_in(s: Stmt, e: Expr) -> bool:
    """Whether `e` reads what `s` stores to or has the storage of: before `s`, and in it, that has other values."""
    read = arrays_read(e)
    return bool(read) and not read.isdisjoint(_made(s))


def _made(s: Stmt) -> frozenset[Array]:
    match s:
        case Provide() | Realize() | Memoize():
            own: set[Array] = {s.what}
        case Extern():
            own = {s.outputs}
        case _:
            own = set()
    return frozenset(own).union(*map(_made, substmts(s)))


def exprs(s: Stmt) -> tuple[Expr, ...]:
    """The expressions of `s` itself, not of the statements inside it."""
    match s:
        case For():
            return (s.lo, s.extent)
        case Let() | Evaluate():
            return (s.value,)
        case If():
            return (s.cond,)
        case Realize():
            return tuple(e for e in (*(e for pair in s.bounds for e in pair), s.slot) if e is not None)
        case Hoist():
            return s.extents
        case Memoize():
            ends = (e for box in (s.region, *s.boxes) for pair in box for e in pair)
            return (*s.values, *ends, *(e for e in (s.key, s.when) if e is not None))
        case Recall():
            memory = (e for v in s.views for e in _view(v))
            return (s.size, *s.values, *memory, *(e for e in (s.key, s.when) if e is not None))
        case Provide():
            return (*s.indices, *(v for v in (*s.values, s.pred) if v is not None))
        case Atomic():
            return (s.index,)
        case Store():
            return (s.index, s.value) if s.pred is None else (s.index, s.value, s.pred)
        case Allocate():
            return (s.size,) if s.shared is None else (s.size, s.shared[1])
        case Check():
            return (s.cond, *s.args)
        case Extern():
            return tuple(e for pair in s.box for e in pair)
        case Prefetch():
            return tuple(e for pair in s.box or () for e in pair)
        case Fetch():
            return (s.first, s.last)
        case CallExtern():
            return (*(e for v in s.views for e in _view(v)), *s.args)
    return ()


def _view(v: View) -> tuple[Expr, ...]:
    return (v.index, *v.extents, *v.strides)


def map_exprs(s: Stmt, f: Callable[[Expr], Expr]) -> Stmt:
    """`s` with f applied to every expression in it, those of the statements inside it too."""

    def optional(e: Expr | None) -> Expr | None:
        return None if e is None else f(e)

    def pairs(box: tuple[tuple[Expr, Expr], ...]) -> tuple[tuple[Expr, Expr], ...]:
        return tuple((f(lo), f(n)) for lo, n in box)

    def views(of: tuple[View, ...]) -> tuple[View, ...]:
        return tuple(View(v.buffer, f(v.index), tuple(map(f, v.extents)), tuple(map(f, v.strides))) for v in of)

    match s:
        case For():
            return s.replace(lo=f(s.lo), extent=f(s.extent), body=map_exprs(s.body, f))
        case Let():
            return Let(s.var, f(s.value), map_exprs(s.body, f))
        case Evaluate():
            return Evaluate(f(s.value))
        case If():
            return If(f(s.cond), map_exprs(s.then, f), None if s.orelse is None else map_exprs(s.orelse, f), s.likely)
        case Realize():
            return s.replace(bounds=pairs(s.bounds), body=map_exprs(s.body, f), slot=optional(s.slot))
        case Hoist():
            return s.replace(body=map_exprs(s.body, f), extents=tuple(f(n) for n in s.extents))
        case Provide():
            values = tuple(optional(v) for v in s.values)
            return Provide(s.what, tuple(f(i) for i in s.indices), values, optional(s.pred), s.atomic)
        case Store():
            return Store(s.buffer, f(s.index), f(s.value), optional(s.pred), s.atomic)
        case Atomic():
            return Atomic(s.buffer, f(s.index), map_exprs(s.body, f))
        case Allocate():
            shared = None if s.shared is None else (s.shared[0], f(s.shared[1]))
            return Allocate(s.buffer, f(s.size), map_exprs(s.body, f), s.bound, shared)
        case Check():
            return Check(f(s.cond), s.code, tuple(f(a) for a in s.args))
        case Extern():
            return Extern(s.function, s.outputs, s.inputs, pairs(s.box))
        case Prefetch():
            return s if s.box is None else s.replace(box=pairs(s.box))
        case Fetch():
            return Fetch(s.buffer, f(s.first), f(s.last))
        case CallExtern():
            return CallExtern(s.symbol, s.function, s.outputs, views(s.views), tuple(map(f, s.args)))
        case Memoize():
            return s.replace(region=pairs(s.region), values=tuple(map(f, s.values)), boxes=tuple(map(pairs, s.boxes)),
                             body=map_exprs(s.body, f), key=optional(s.key), when=optional(s.when))  # fmt: skip
        case Recall():
            return s.replace(size=f(s.size), values=tuple(map(f, s.values)), views=views(s.views),
                             body=map_exprs(s.body, f), key=optional(s.key), when=optional(s.when))  # fmt: skip
    return map_stmt(s, lambda t: map_exprs(t, f))
