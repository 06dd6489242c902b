"""Walking and rebuilding surface expressions. Without recursion over expressions: unrolled loops build deep ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from .place import at
from .surface import (
    Access,
    Call,
    Define,
    Expr,
    Extent,
    Indexable,
    IndexVar,
    Item,
    Literal,
    Pad,
    Param,
    RDom,
    Reduction,
    RVarRef,
)

__all__ = ["Rewriter", "base", "domain", "operands", "roots", "same", "walk"]


def operands(e: Expr) -> tuple[Expr, ...]:
    """What `e` is made of, left to right; the domain of a Reduction and the bounds of a pad view included."""
    if isinstance(e, Call):
        return e.args
    if isinstance(e, Access):
        return e.indices if not isinstance(e.target, Pad) else (*e.indices, *_of_pad(e.target))
    if isinstance(e, Item):
        return (e.reduction,)
    if isinstance(e, Reduction):
        return (*domain(e.rdom), *(x for x in (e.start, *e.values, e.pred) if x is not None))
    if isinstance(e, Extent) and isinstance(e.target, Pad):
        return _of_pad(e.target)
    return ()


def _of_pad(pad: Pad) -> tuple[Expr, ...]:
    own = (pad.value, *(x for pair in pad.bounds or () if pair is not None for x in pair))
    return own if not isinstance(pad.target, Pad) else (*own, *_of_pad(pad.target))


def domain(rdom: RDom) -> tuple[Expr, ...]:
    """The bounds of a domain."""
    return tuple(x for axis in rdom.axes for x in axis)


def roots(d: Define) -> tuple[Expr, ...]:
    """All the expressions of one stage, in the order in which they are read."""
    bounds = () if d.rdom is None else domain(d.rdom)
    return (*bounds, *d.args, *(v for v in d.values if v is not None), *(() if d.pred is None else (d.pred,)))


def walk(exprs: Iterable[Expr]) -> Iterator[Expr]:
    """Every node under `exprs` once, those that are written first first."""
    seen: set[Expr] = set()
    stack = list(exprs)[::-1]
    while stack:
        e = stack.pop()
        if e not in seen:
            seen.add(e)
            yield e
            stack.extend(reversed(operands(e)))


def base(target: Indexable) -> Indexable:
    """What a pad view is of, in the end."""
    while isinstance(target, Pad):
        target = target.target
    return target


def same(a: Expr, b: Expr, first: RDom | None = None, second: RDom | None = None) -> bool:
    """Whether `a` says what `b` says, where the domain `first` in it stands for `second`."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    match a, b:
        case Literal(), Literal():
            return repr(a.value) == repr(b.value) and a.type is b.type
        case IndexVar(), IndexVar():
            return a.name == b.name
        case RVarRef(), RVarRef():
            return a.axis == b.axis and (a.rdom is b.rdom or (a.rdom is first and b.rdom is second))
        case Param(), Param():
            return a.name == b.name
        case Extent(), Extent():
            return a.target is b.target and a.axis == b.axis
        case Call(), Call():
            pairs = (a.args, b.args) if a.op == b.op and a.data == b.data else ((), (a,))
        case Access(), Access():
            pairs = (a.indices, b.indices) if a.target is b.target and a.item == b.item else ((), (a,))
        case _:
            return False
    return len(pairs[0]) == len(pairs[1]) and all(same(x, y, first, second) for x, y in zip(*pairs, strict=True))


class Rewriter:
    """Rebuilds definitions with some nodes and targets replaced; what does not change stays the same object.

    A subclass says what to replace in `leaf` (an expression; None keeps it) and `target` (what is subscripted).
    """

    def __init__(self) -> None:
        self._memo: dict[Expr, Expr] = {}
        self._rdoms: dict[RDom, RDom] = {}
        self._targets: dict[Indexable, Indexable] = {}

    def leaf(self, e: Expr) -> Expr | None:
        return None

    def target(self, t: Indexable) -> Indexable:
        return t

    def expr(self, e: Expr) -> Expr:
        stack = [e]
        while stack:
            top = stack[-1]
            if top in self._memo:
                stack.pop()
                continue
            new = self.leaf(top)
            if new is None:
                missing = [x for x in operands(top) if x not in self._memo]
                if missing:
                    stack += missing[::-1]
                    continue
                new = self._rebuilt(top)
            self._memo[top] = new
        return self._memo[e]

    def optional(self, e: Expr | None) -> Expr | None:
        return None if e is None else self.expr(e)

    def define(self, d: Define) -> Define:
        rdom = None if d.rdom is None else self.rdom(d.rdom)
        args, values = tuple(map(self.expr, d.args)), tuple(map(self.optional, d.values))
        return Define(args, values, rdom, self.optional(d.pred), d.op, d.loc)

    def rdom(self, r: RDom) -> RDom:
        if r not in self._rdoms:
            axes = tuple((self.expr(lo), self.expr(n)) for lo, n in r.axes)
            if all(a is b and c is d for (a, c), (b, d) in zip(axes, r.axes, strict=True)):
                self._rdoms[r] = r
            else:
                with at(r.loc):
                    self._rdoms[r] = RDom(axes, r.names)
        return self._rdoms[r]

    def view(self, t: Indexable) -> Indexable:
        if t not in self._targets:
            self._targets[t] = self._pad(t) if isinstance(t, Pad) else self.target(t)
        return self._targets[t]

    def _pad(self, p: Pad) -> Indexable:
        inner, value = self.view(p.target), self.expr(p.value)
        bounds = p.bounds and tuple(b and (self.expr(b[0]), self.expr(b[1])) for b in p.bounds)
        old = [x for b in p.bounds or () if b is not None for x in b]
        new = [x for b in bounds or () if b is not None for x in b]
        if inner is p.target and value is p.value and all(x is y for x, y in zip(old, new, strict=True)):
            return p
        with at(p.loc):
            return Pad(inner, p.mode, value, bounds)

    def _rebuilt(self, e: Expr) -> Expr:
        with at(e.loc):
            if isinstance(e, Call):
                args = tuple([self._memo[a] for a in e.args])
                return e if all(map(_is, args, e.args)) else type(e)(e.op, args, e.data)
            if isinstance(e, Access):
                indices, target = tuple([self._memo[i] for i in e.indices]), self.view(e.target)
                same = target is e.target and all(map(_is, indices, e.indices))
                return e if same else Access(target, indices, e.item)
            if isinstance(e, Extent):
                target = self.view(e.target)
                return e if target is e.target else Extent(target, e.axis)
            if isinstance(e, RVarRef):
                rdom = self.rdom(e.rdom)
                return e if rdom is e.rdom else rdom[e.axis]
            if isinstance(e, Item):
                reduction = cast(Reduction, self._memo[e.reduction])
                return e if reduction is e.reduction else Item(reduction, e.index)
            if isinstance(e, Reduction):
                return self._reduction(e)
        return e

    def _reduction(self, e: Reduction) -> Expr:
        rdom, values = self.rdom(e.rdom), tuple(map(self.expr, e.values))
        pred, start = self.optional(e.pred), self.optional(e.start)
        same = rdom is e.rdom and pred is e.pred and start is e.start and all(map(_is, values, e.values))
        return e if same else Reduction(e.op, values, rdom, pred, start)


def _is(a: Any, b: Any) -> bool:
    return a is b
