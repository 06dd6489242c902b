"""Inline lets: inside loops every definition of an index variable is replaced by its value.

Nothing is lost, because equal expressions are one node and are computed once per block; and every condition on a
loop variable can now be seen, which `partition` and `vectorize` need. Loops of one iteration and decided branches go.
"""

from __future__ import annotations

import math
from functools import reduce

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Lin, Op, Var, is_false, is_true
from ..ir.facts import LOOSE, const_bounds
from ..ir.linear import parts
from ..ir.stmt import (
    Acquire,
    Block,
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
    Release,
    Stmt,
    Stream,
    block,
)
from ..types import index
from .walk import map_stmt

CASES = 16  # arms that are looked at to tell whether a sum with minima and maxima is negative


def inline_lets(s: Stmt) -> Stmt:
    return substitute(s, {}, outside_loops=True)


class Values(dict[Var, Expr]):
    """Variables to replace, with the memo that one set of replacements shares."""

    def __init__(self, values: dict[Var, Expr], zeros: tuple[Expr, ...] = (), positive: tuple[Expr, ...] = ()) -> None:
        super().__init__(values)
        self.memo: dict[Expr, Expr] = {}
        self.zeros = zeros  # expressions that are known to be 0
        self.positive = positive  # and those that are known to be 0 or more
        self.settled: dict[Expr, Expr] = {}  # what is left of expressions when `positive` decides what it can

    def __call__(self, e: Expr) -> Expr:
        return A.substitute(e, self, self.memo) if self else e

    def without(self, v: Var) -> Values:
        return self._now({k: e for k, e in self.items() if k is not v}) if v in self else self

    def having(self, v: Var, e: Expr) -> Values:
        return self._now({**self, v: e})

    def knowing(self, c: Expr) -> Values:
        """These, and what the truth of `c` says of them: `width == 3` makes the width 3."""
        match c:
            case Op(name="eq", args=(Var() as v, Const() as value)):
                fact: dict[Var, Expr] = {v: value}
                return self._now({**{k: A.substitute(e, fact) for k, e in self.items()}, **fact})
            case Op(name="eq", args=(a, b)) if a.type is index:
                return self._now(self, zeros=(A.sub(a, b),))
            case Op(name="le", args=(a, b)) if a.type is index:
                return self._now(self, positive=(A.sub(b, a),))
            case Op(name="lt", args=(a, b)) if a.type is index:
                return self._now(self, positive=(A.sub(A.sub(b, a), Const(1, index)),))
        return self

    def _now(self, values: dict[Var, Expr], zeros: tuple[Expr, ...] = (), positive: tuple[Expr, ...] = ()) -> Values:
        return Values(values, (*self.zeros, *zeros), (*self.positive, *positive))

    def extent(self, e: Expr) -> Expr:
        """`e` with its variables replaced; a constant where what is known makes it one."""
        e = self(e)
        if self.positive and not isinstance(e, Const):
            e = A.rewrite(e, self._decided, self.settled)
        for z in self.zeros:
            for known in (A.sub(e, z), A.add(e, z)):
                if isinstance(known, Const):
                    return known
        return e

    def _decided(self, e: Expr) -> Expr | None:
        """The arm of a `min` or `max` of two that what is known decides for."""
        if not (isinstance(e, Op) and e.name in ("min", "max") and e.type is index and e.lanes == 1):
            return None
        a, b = (A.rewrite(x, self._decided, self.settled) for x in e.args)
        if self._never_more(a, b):
            return a if e.name == "min" else b
        if self._never_more(b, a):
            return b if e.name == "min" else a
        return None

    def condition(self, e: Expr) -> Expr:
        """`e` with its variables replaced, without what is known to hold."""
        e = self(e)
        if not self.positive:
            return e
        e = A.rewrite(e, self._decided, self.settled)
        return A.all_of(c for c in A.conjuncts(e) if not self._holds(c))

    def _holds(self, c: Expr) -> bool:
        return isinstance(c, Op) and c.name == "le" and c.args[0].type is index and self._never_more(*c.args)

    def _never_more(self, a: Expr, b: Expr) -> bool:
        return self._not_negative(A.sub(b, a))

    def _not_negative(self, e: Expr, cases: int = CASES) -> bool:
        """Whether `e` is known to be 0 or more: `k*min(a, b) + rest` is if both of `k*a + rest` and `k*b + rest` are."""
        if _least(e) >= 0 or any(_least(A.sub(e, p)) >= 0 for p in self.positive):
            return True
        split = [(atom, k) for atom, k in parts(e)[0] if isinstance(atom, Op) and atom.name in ("min", "max")
                 and abs(k) == 1]  # fmt: skip
        if split and cases > 1:  # first those of which every arm counts: nothing is lost with them
            atom, k = max(split, key=lambda t: _every(*t))
            rest = A.sub(e, A.mul(atom, Const(k, index)))
            arms = (self._not_negative(A.add(A.mul(a, Const(k, index)), rest), cases // 2) for a in atom.args)
            return all(arms) if _every(atom, k) else any(arms)
        return False


def _every(atom: Op, k: int) -> bool:
    """Whether a sum with `k*atom` in it, a min or max, is least where the least arm of it is."""
    return (atom.name == "min") == (k > 0)


def _least(e: Expr) -> float:
    low = const_bounds(e)[0]
    return -math.inf if low is None else low


def substitute(s: Stmt, values: dict[Var, Expr], outside_loops: bool = False) -> Stmt:
    """`s` with variables replaced, `Let`s inlined (those outside loops kept if so asked), and simplified."""
    return _visit(s, values if isinstance(values, Values) else Values(values), outside_loops)


def _visit(s: Stmt, values: Values, keep: bool) -> Stmt:
    match s:
        case For():
            extent = values.extent(s.extent)
            if const_bounds(extent)[1] is not None and const_bounds(extent)[1] <= 0:
                return Block(())
            if isinstance(extent, Const) and extent.value == 1 and s.kind != "tensorize":
                return _visit(s.body, values.having(s.var, values(s.lo)), keep)
            lo = values(s.lo)
            var = _variable(s.var, lo, extent)
            body = _visit(s.body, values.having(s.var, var), False)
            if isinstance(body, Block) and not body.stmts:
                return body
            return s.replace(var=var, lo=lo, extent=extent, body=body)
        case Let():
            value = values(s.value)
            if s.var.type is not index:  # a value, taken before something is stored
                return Let(s.var, value, _visit(s.body, values.without(s.var), keep))
            if keep and not is_plain(value):
                return Let(s.var, value, _visit(s.body, values.without(s.var), keep))
            return _visit(s.body, values.having(s.var, value), keep)
        case If():
            cond = values.condition(s.cond)
            if is_true(cond):
                return _visit(s.then, values, keep)
            orelse = None if s.orelse is None else _visit(s.orelse, values, keep)
            if is_false(cond):
                return orelse or Block(())
            then = _visit(s.then, reduce(Values.knowing, A.conjuncts(cond), values), keep)
            if orelse is None and isinstance(then, Block) and not then.stmts:
                return then
            return If(cond, then, orelse, s.likely)
        case Block():
            return block(*(_visit(t, values, keep) for t in s.stmts))
        case Produce():
            return Produce(s.what, _visit(s.body, values, keep))
        case Realize():
            bounds = tuple((values(lo), values.extent(n)) for lo, n in s.bounds)
            slot = None if s.slot is None else values(s.slot)
            return s.replace(bounds=bounds, body=_visit(s.body, values, keep), slot=slot)
        case Hoist():
            return s.replace(body=_visit(s.body, values, keep), extents=tuple(values(n) for n in s.extents))
        case Memoize():
            region, *boxes = (tuple((values(lo), values(n)) for lo, n in box) for box in (s.region, *s.boxes))
            return s.replace(region=region, values=tuple(map(values, s.values)), boxes=tuple(boxes),
                             body=_visit(s.body, values, keep),
                             key=None if s.key is None else values(s.key),
                             when=None if s.when is None else values(s.when))  # fmt: skip
        case Keep():
            return s
        case Provide():
            stored = tuple(None if v is None else values(v) for v in s.values)
            pred = None if s.pred is None else values(s.pred)
            return Provide(s.what, tuple(values(i) for i in s.indices), stored, pred, s.atomic)
        case Extern():
            return Extern(s.function, s.outputs, s.inputs, tuple((values(lo), values(n)) for lo, n in s.box))
        case Fork():
            return map_stmt(s, lambda t: _visit(t, values, keep))
        case Acquire() | Release():
            return s
        case Check():
            return Check(values(s.cond), s.code, tuple(values(a) for a in s.args))
        case Evaluate():
            return Evaluate(values(s.value))
        case Stream():
            return s.replace(body=_visit(s.body, values, keep))
        case Prefetch():
            return s.replace(box=tuple((values(lo), values(n)) for lo, n in s.box or ()))
    raise TypeError(type(s))


def _variable(v: Var, lo: Expr, extent: Expr) -> Var:
    """A variable for a loop in place of `v`, with the constant bounds that the loop gives it: every loop has one of its
    own, for what is proven of it must not be said of another one."""
    least, end = const_bounds(lo)[0], const_bounds(A.add(lo, extent))[1]
    least = v.lo if least is None else least if v.lo is None else max(v.lo, least)
    if end is None or end > LOOSE:
        return Var(v.name, v.type, least, v.hi)
    return Var(v.name, v.type, least, end - 1 if v.hi is None else min(v.hi, end - 1))


def is_plain(e: Expr) -> bool:
    """A constant, a variable, or a sum of at most two variables: cheaper written out than named."""
    return isinstance(e, Const | Var) or (
        isinstance(e, Lin) and len(e.terms) <= 2 and all(isinstance(a, Var) for a, _ in e.terms)
    )
