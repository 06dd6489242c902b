"""Smart constructors: the only way that passes build expressions. What they return is simplified.

`index` expressions are kept canonical: sums as `Lin`, comparisons with positive terms on each side, `min`/`max` flat
and in order of creation. So `a - b` of equal expressions is 0, whatever way they were built, and proofs are `is`.
Integer rules hold for wrapping arithmetic, float rules are exact (no reassociation, no `x*0`, no `x + 0.0`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ..types import Type, bool_, index
from .expr import (
    Broadcast,
    Cast,
    Const,
    Expr,
    Instruction,
    Lin,
    Load,
    Op,
    Ramp,
    Read,
    Reduce,
    Shuffle,
    Var,
    is_false,
    is_true,
)
from .facts import const_bounds, free_vars
from .fold import fold
from .linear import common_part, linear, parity, parts, shifted
from .node import remembered


def const(value: float, type: Type = index) -> Const:
    return Const(value, type)


def true() -> Const:
    return Const(1, bool_)


def false() -> Const:
    return Const(0, bool_)


def as_index(e: Expr | int) -> Expr:
    return Const(e, index) if isinstance(e, int) else e


# Sums of index expressions -------------------------------------------------------------------------------------------


def _scaled(e: Expr, k: int) -> Expr:
    terms, c = parts(e)
    return linear([(a, q * k) for a, q in terms], c * k)


def add(a: Expr, b: Expr) -> Expr:
    if a.lanes > 1:
        return _ring("add", a, b, add)
    if a.type is index:
        if isinstance(b, Const):
            return shifted(a, b.value)
        if isinstance(a, Const):
            return shifted(b, a.value)
        (ta, ca), (tb, cb) = parts(a), parts(b)
        return linear((*ta, *tb), ca + cb)
    if a.type.is_int:
        if _is(a, 0):
            return b
        if _is(b, 0):
            return a
    return _op("add", a, b)


@remembered
def sub(a: Expr, b: Expr) -> Expr:
    if a.lanes > 1:
        return _ring("sub", a, b, sub)
    if a.type is index:
        if isinstance(b, Const):
            return shifted(a, -b.value)
        (ta, ca), (tb, cb) = parts(a), parts(b)
        return linear((*ta, *[(e, -k) for e, k in tb]), ca - cb)
    if a.type.is_int:
        if _is(b, 0):
            return a
        if a is b:
            return Const(0, a.type)
    return _op("sub", a, b)


def neg(a: Expr) -> Expr:
    return _scaled(a, -1) if a.type is index and a.lanes == 1 else _op("neg", a)


def mul(a: Expr, b: Expr) -> Expr:
    if a.lanes > 1:
        return _ring("mul", a, b, mul)
    if isinstance(a, Const) and not isinstance(b, Const):
        a, b = b, a
    if a.type is index:
        if isinstance(b, Const):
            return _scaled(a, b.value)
        if isinstance(a, Lin) or isinstance(b, Lin):  # distribute, so that products of sums cancel too
            (ta, ca), (tb, cb) = parts(a), parts(b)
            if len(ta) * len(tb) <= 4:
                cross = [(_product(x, y), p * q) for x, p in ta for y, q in tb]
                return linear((*cross, *((x, p * cb) for x, p in ta), *((y, q * ca) for y, q in tb)), ca * cb)
        return _product(a, b)
    if a.type.is_int:
        if _is(b, 0):
            return b
        if _is(b, 1):
            return a
    if a.type.is_float and _is(b, 1):
        return a
    return _op("mul", a, b)


def _product(a: Expr, b: Expr) -> Expr:
    return Op("mul", (a, b) if a.uid <= b.uid else (b, a), a.type)


# Division ------------------------------------------------------------------------------------------------------------


def floordiv(a: Expr, b: Expr) -> Expr:
    if a.lanes > 1 or not a.type.is_int:
        return _broadcasting("floordiv", a, b, floordiv)
    if _is(b, 1):
        return a
    if a.type is index and isinstance(b, Const) and b.value > 0:
        return _index_floordiv(a, b.value)
    if a.type is index and isinstance(a, Const) and a.value in (0, -1):
        lo, _ = const_bounds(b)
        if lo is not None and lo >= 1:
            return a
    return _op("floordiv", a, b)


@remembered
def _index_floordiv(a: Expr, c: int) -> Expr:
    # (c*q + r) // c = q + r // c
    quotient, rest = _split_multiples(a, c)
    lo, hi = const_bounds(rest)
    if lo is not None and hi is not None and lo // c == hi // c:
        return add(quotient, Const(lo // c, index))
    # (x // d) // c = x // (d*c)
    if isinstance(rest, Op) and rest.name == "floordiv" and isinstance(rest.args[1], Const) and rest.args[1].value > 0:
        return add(quotient, _index_floordiv(rest.args[0], rest.args[1].value * c))
    # a common factor of the terms and of c: (g*x + k) // (g*m) = (x + k//g) // m
    terms, k = parts(rest)
    g = math.gcd(c, *(q for _, q in terms))
    if g > 1:
        return add(quotient, _index_floordiv(linear([(x, q // g) for x, q in terms], k // g), c // g))
    return add(quotient, Op("floordiv", (rest, Const(c, index)), index))


def _split_multiples(a: Expr, c: int) -> tuple[Expr, Expr]:
    """(q, r) with a = c*q + r, r keeping what c does not divide and a constant in 0..c-1."""
    terms, k = parts(a)
    return (
        linear([(x, q // c) for x, q in terms if q % c == 0], k // c),
        linear([(x, q) for x, q in terms if q % c], k % c),
    )


def mod(a: Expr, b: Expr) -> Expr:
    if a.lanes > 1 or not a.type.is_int:
        return _broadcasting("mod", a, b, mod)
    if _is(b, 1):
        return Const(0, a.type)
    if a.type is index and isinstance(b, Const) and b.value > 0:
        c = b.value
        terms, k = parts(a)
        rest = linear([(x, q % c) for x, q in terms], k % c)
        lo, hi = const_bounds(rest)
        if lo is not None and hi is not None and lo // c == hi // c:
            return sub(rest, Const(lo // c * c, index))
        return Op("mod", (rest, b), index)
    return _op("mod", a, b)


# Order ---------------------------------------------------------------------------------------------------------------


def minimum(a: Expr, b: Expr) -> Expr:
    return _extreme("min", a, b)


def maximum(a: Expr, b: Expr) -> Expr:
    return _extreme("max", a, b)


@remembered
def _extreme(name: str, a: Expr, b: Expr) -> Expr:
    if a is b:
        return a
    if isinstance(b, Const) and a.type.is_float and b.value == b.value:
        a, b = b, a  # a NaN is then the second operand, which is what the machine's own min and max give
    if a.lanes > 1 or a.type is not index:
        return _broadcasting(name, a, b, lambda x, y: _extreme(name, x, y))
    other = "max" if name == "min" else "min"
    kept = _flatten(name, a)
    for e in _flatten(name, b):
        kept = _with(name, kept, e)
    if any(isinstance(k, Op) and k.name == other for k in kept):  # max(min(x, y), y) = y
        kept = [k for k in kept if not any(o is not k and o in _flatten(other, k) for o in kept)] or kept
    if len(kept) == 1:
        return kept[0]
    common = common_part(kept)  # min(x + a, x + b) = x + min(a, b)
    kept = sorted((sub(k, common) for k in kept), key=lambda e: e.uid)
    if len(kept) == 2 and (bit := parity(kept)) is not None:
        return _of_parity(name, kept, bit, common)
    result = kept[0]
    for e in kept[1:]:
        result = Op(name, (result, e), index)
    return add(common, result)


def _of_parity(name: str, sums: list[Expr], bit: Op, rest: Expr) -> Expr:
    """rest + min(p + q*(x % 2), ...) is as its values at 0 and 1 say; and k*(x // 2) + k*(x % 2) = k*((x + 1) // 2)."""
    pick = min if name == "min" else max
    at = [pick(c + value * sum(k for _, k in terms) for terms, c in map(parts, sums)) for value in (0, 1)]
    k, rest = at[1] - at[0], add(rest, Const(at[0], index))
    x, two = bit.args
    half = floordiv(x, two)
    if k and any(atom is half and q == k for atom, q in parts(rest)[0]):
        up = floordiv(add(x, Const(1, index)), two)
        return add(sub(rest, _scaled(half, k)), _scaled(up, k))
    return add(rest, _scaled(bit, k))


def _flatten(name: str, e: Expr) -> list[Expr]:
    if isinstance(e, Op) and e.name == name and e.type is index:
        return [*_flatten(name, e.args[0]), e.args[1]]
    return [e]


def _with(name: str, kept: list[Expr], e: Expr) -> list[Expr]:
    """`kept` and `e`, without what one of the others always beats (is at most, for min; at least, for max)."""
    left: list[Expr] = []
    for k in kept:
        lo, hi = (0, 0) if k is e else const_bounds(sub(e, k))
        if name == "max":
            lo, hi = (None if hi is None else -hi), (None if lo is None else -lo)
        if lo is not None and lo >= 0:
            return kept
        if hi is None or hi > 0:
            left.append(k)
    return [*left, e]


def clamp(e: Expr, lo: Expr, hi: Expr) -> Expr:
    return maximum(minimum(e, hi), lo)


def lt(a: Expr, b: Expr) -> Expr:
    if a.type is index and a.lanes == 1:
        return le(add(a, Const(1, index)), b)
    return _compare("lt", a, b)


def le(a: Expr, b: Expr) -> Expr:
    if a.type is not index or a.lanes > 1:
        return _compare("le", a, b)
    d = sub(b, a)
    lo, hi = const_bounds(d)
    if lo is not None and lo >= 0:
        return true()
    if hi is not None and hi < 0:
        return false()
    return _index_compare("le", d)


def eq(a: Expr, b: Expr) -> Expr:
    if a.type is not index or a.lanes > 1:
        return _compare("eq", a, b)
    d = sub(b, a)
    lo, hi = const_bounds(d)
    if lo is not None and hi is not None and lo == hi == 0:
        return true()
    if (lo is not None and lo > 0) or (hi is not None and hi < 0):
        return false()
    return _index_compare("eq", d)


def ne(a: Expr, b: Expr) -> Expr:
    return not_(eq(a, b)) if a.type is index and a.lanes == 1 else _compare("ne", a, b)


def gt(a: Expr, b: Expr) -> Expr:
    return lt(b, a)


def ge(a: Expr, b: Expr) -> Expr:
    return le(b, a)


def _index_compare(name: str, d: Expr) -> Expr:
    """0 <= d (or 0 == d), with the terms of each sign on their own side, divided by their common factor."""
    terms, k = parts(d)
    g = math.gcd(*(q for _, q in terms))
    if name == "le" or k % g == 0:
        terms, k = tuple((x, q // g) for x, q in terms), k // g
    elif name == "eq":
        return false()
    if name == "eq" and terms[0][1] < 0:
        terms, k = tuple((x, -q) for x, q in terms), -k
    left = linear([(x, -q) for x, q in terms if q < 0], -k if k < 0 else 0)
    right = linear([(x, q) for x, q in terms if q > 0], k if k > 0 else 0)
    if name == "eq":
        return Op("eq", (right, left), bool_)
    return Op("le", (left, right), bool_)


def _compare(name: str, a: Expr, b: Expr) -> Expr:
    if a is b and not a.type.is_float:
        return broadcast(Const(int(name in ("eq", "le")), bool_), a.lanes)
    return _broadcasting(name, a, b, _BINARY[name], bool_)


# Booleans ------------------------------------------------------------------------------------------------------------


def and_(a: Expr, b: Expr) -> Expr:
    if a.type is not bool_:
        return _broadcasting("and", a, b, and_)
    if a is b or _uniform(b, 1) or _uniform(a, 0):
        return a
    if _uniform(a, 1) or _uniform(b, 0):
        return b
    return _broadcasting("and", a, b, and_)


def or_(a: Expr, b: Expr) -> Expr:
    if a.type is not bool_:
        return _broadcasting("or", a, b, or_)
    if a is b or _uniform(b, 0) or _uniform(a, 1):
        return a
    if _uniform(a, 0) or _uniform(b, 1):
        return b
    return _broadcasting("or", a, b, or_)


def not_(a: Expr) -> Expr:
    if isinstance(a, Broadcast):
        return Broadcast(not_(a.value), a.n)
    if isinstance(a, Const):
        return Const(1 - a.value, bool_)
    if isinstance(a, Op):
        if a.name == "not":
            return a.args[0]
        if a.name == "le" and a.args[0].type is index and a.lanes == 1:
            return lt(a.args[1], a.args[0])
        if a.name in ("eq", "ne") and a.lanes == 1:
            return Op("ne" if a.name == "eq" else "eq", a.args, bool_)
    return Op("not", (a,), bool_)


def all_of(conditions: Iterable[Expr]) -> Expr:
    result: Expr = true()
    for c in conditions:
        result = and_(result, c)
    return result


def conjuncts(c: Expr) -> list[Expr]:
    """The terms of a conjunction of bool_ values."""
    if isinstance(c, Op) and c.name == "and" and c.type is bool_:
        return [*conjuncts(c.args[0]), *conjuncts(c.args[1])]
    return [] if is_true(c) else [c]


def select(c: Expr, a: Expr, b: Expr) -> Expr:
    if is_true(c) or a is b:
        return a
    if is_false(c):
        return b
    if isinstance(c, Broadcast) and (is_true(c.value) or is_false(c.value)):
        return a if is_true(c.value) else b
    if a.type is bool_ and c.type is bool_ and c.lanes == a.lanes:
        if _uniform(a, 1) and _uniform(b, 0):
            return c
        if _uniform(a, 0) and _uniform(b, 1):
            return not_(c)
    return Op("select", (c, a, b), a.type)


def rare(c: Expr, a: Expr, b: Expr) -> Expr:
    """`a` where `c` holds, else `b`, as nearly always."""
    if a is b or _uniform(c, 0):
        return b
    return a if _uniform(c, 1) else Op("rare", (c, a, b), a.type)


def _uniform(e: Expr, value: int) -> bool:
    return (isinstance(e, Const) and e.value == value and not e.type.is_float) or (
        isinstance(e, Broadcast) and _uniform(e.value, value)
    )


# Conversions and the rest --------------------------------------------------------------------------------------------


def cast(e: Expr, type: Type) -> Expr:
    if e.type is type:
        return e
    if isinstance(e, Const):
        folded = fold("cast", (e.value,), e.type, type)
        if folded is not None:
            return Const(folded, type)
    if isinstance(e, Broadcast):
        return Broadcast(cast(e.value, type), e.n)
    if isinstance(e, Ramp) and e.type is index and type.is_int:
        return Ramp(cast(e.base, type), cast(e.stride, type), e.n)
    if isinstance(e, Cast) and e.type.is_int:
        inner = e.value
        # widening and coming back, or widening twice, is one conversion
        if (
            inner.type.is_int
            and inner.type is not index
            and type.is_int
            and (
                type.bits <= min(e.type.bits, inner.type.bits)
                or (e.type.bits > inner.type.bits and (e.type.kind == "int" or inner.type.kind == "uint"))
            )
        ):
            return cast(inner, type)
    if type is index and isinstance(e, Cast) and e.value.type is index and _fits(e.value, e.type):
        return e.value
    return Cast(e, type)


def _fits(e: Expr, type: Type) -> bool:
    lo, hi = const_bounds(e)
    return lo is not None and hi is not None and type.min <= lo and hi <= type.max


def op(name: str, *args: Expr, type: Type | None = None, data: Any = None) -> Expr:
    """The operation `name`, simplified if there is a rule; `type` is needed where it is not that of the operands."""
    build = _BINARY.get(name)
    if build is not None and len(args) == 2 and data is None:
        return build(*args)
    if name == "select":
        return select(*args)
    if name == "rare":
        return rare(*args)
    if name == "neg":
        return neg(*args)
    if name == "not" and args[0].type is bool_:
        return not_(*args)
    return _op(name, *args, type=type, data=data)


def _op(name: str, *args: Expr, type: Type | None = None, data: Any = None) -> Expr:
    type = type or args[0].type
    if data is None and args and all(isinstance(a, Const) for a in args):
        value = fold(name, tuple(a.value for a in args), args[0].type, type)  # type: ignore[attr-defined]  # all are Consts here
        if value is not None:
            return Const(value, type)
    return Op(name, args, type, data)


def _is(e: Expr, value: int) -> bool:
    return isinstance(e, Const) and e.value == value


# Vectors -------------------------------------------------------------------------------------------------------------


def broadcast(e: Expr, lanes: int) -> Expr:
    """`e` repeated to `lanes` lanes."""
    return e if e.lanes == lanes else Broadcast(e, lanes // e.lanes)


def ramp(base: Expr, stride: Expr, n: int) -> Expr:
    return broadcast(base, base.lanes * n) if _uniform(stride, 0) else Ramp(base, stride, n)


def _ring(name: str, a: Expr, b: Expr, build: Callable[[Expr, Expr], Expr]) -> Expr:
    """`+`, `-`, `*` of vectors: ramps and broadcasts of integers stay what they are."""
    if a.type.is_int:
        if _uniform(b, 1 if name == "mul" else 0):
            return a
        if name == "mul" and isinstance(b, Ramp) and isinstance(a, Broadcast):
            a, b = b, a
        if isinstance(a, Ramp):
            if isinstance(b, Broadcast) and b.value.lanes == 1:
                other = broadcast(b.value, a.base.lanes)
                if name == "mul":
                    return ramp(build(a.base, other), build(a.stride, b.value if a.stride.lanes == 1 else other), a.n)
                return Ramp(build(a.base, other), a.stride, a.n)
            if isinstance(b, Ramp) and b.n == a.n and name != "mul":
                return ramp(build(a.base, b.base), build(a.stride, b.stride), a.n)
        elif isinstance(b, Ramp) and isinstance(a, Broadcast) and a.value.lanes == 1 and name != "mul":
            other = broadcast(a.value, b.base.lanes)
            stride = b.stride if name == "add" else build(Const(0, a.type) if b.stride.lanes == 1 else broadcast(
                Const(0, a.type), b.stride.lanes), b.stride)  # fmt: skip
            return Ramp(build(other, b.base), stride, b.n)
    return _broadcasting(name, a, b, build)


def _broadcasting(name: str, a: Expr, b: Expr, build: Callable[[Expr, Expr], Expr], type: Type | None = None) -> Expr:
    if isinstance(a, Broadcast) and isinstance(b, Broadcast) and a.n == b.n and a.value.lanes == b.value.lanes:
        return Broadcast(build(a.value, b.value), a.n)
    return _op(name, a, b, type=type)


_BINARY: dict[str, Callable[[Expr, Expr], Expr]] = {
    "add": add, "sub": sub, "mul": mul, "floordiv": floordiv, "mod": mod, "min": minimum, "max": maximum,
    "lt": lt, "le": le, "eq": eq, "ne": ne, "and": and_, "or": or_,
}  # fmt: skip


# Rebuilding ----------------------------------------------------------------------------------------------------------


def map_children(e: Expr, f: Callable[[Expr], Expr]) -> Expr:
    """`e` with each child replaced by f(child), simplified again; `e` itself if nothing changed."""
    if type(e) in (Const, Var):
        return e
    if isinstance(e, Lin):
        new = [(f(a), k) for a, k in e.terms]
        if all(x is a for (x, _), (a, _) in zip(new, e.terms, strict=True)):
            return e
        terms: list[tuple[Expr, int]] = []
        constant = e.const
        for x, k in new:
            if x.lanes == 1:
                below, c = parts(x)
                terms += [(atom, q * k) for atom, q in below]
                constant += c * k
        total = linear(terms, constant)
        for x, k in new:
            if x.lanes > 1:
                x = mul(x, broadcast(Const(k, index), x.lanes))
                total = add(x, broadcast(total, x.lanes))
        return total
    if isinstance(e, Op):
        args = tuple([f(a) for a in e.args])
        return e if args == e.args else op(e.name, *args, type=e.type, data=e.data)
    if isinstance(e, Cast):
        value = f(e.value)
        return e if value is e.value else cast(value, e.type)
    if isinstance(e, Read):
        indices, pred = tuple([f(i) for i in e.indices]), e.pred if e.pred is None else f(e.pred)
        return Read(e.array, indices, e.item, None if pred is None or is_true(pred) else pred)
    if isinstance(e, Load):
        return Load(e.buffer, f(e.index), e.pred if e.pred is None else f(e.pred))
    if isinstance(e, Ramp):
        return ramp(f(e.base), f(e.stride), e.n)
    if isinstance(e, Broadcast):
        return Broadcast(f(e.value), e.n)
    if isinstance(e, Shuffle):
        return Shuffle(tuple(f(v) for v in e.vectors), e.picks)
    if isinstance(e, Reduce):
        return Reduce(e.name, f(e.value), e.n)
    return e.replace(args=tuple(f(a) for a in e.args)) if isinstance(e, Instruction) else e


def rewrite(e: Expr, f: Callable[[Expr], Expr | None], memo: dict[Expr, Expr]) -> Expr:
    """Bottom-up is not needed: where `f(e)` is an expression it replaces `e`; where it is None its children are mapped."""
    found = memo.get(e)
    if found is None:
        found = f(e)
        if found is None:
            found = map_children(e, lambda c: rewrite(c, f, memo))
        memo[e] = found
    return found


def substitute(e: Expr, values: dict[Any, Expr], memo: dict[Expr, Expr] | None = None) -> Expr:
    """`e` with variables replaced. Pass one `memo` to share work between expressions of one substitution."""
    return _Substitution(values, {} if memo is None else memo).visit(e)


class _Substitution:  # no function in a function, which would keep all of it for the garbage collector to find
    __slots__ = ("memo", "values")

    def __init__(self, values: dict[Any, Expr], memo: dict[Expr, Expr]) -> None:
        self.values, self.memo = values, memo

    def visit(self, e: Expr) -> Expr:
        found = self.memo.get(e)
        if found is None:
            if e in self.values:
                found = self.values[e]
            elif free_vars(e).isdisjoint(self.values):
                found = e
            else:
                found = map_children(e, self.visit)
            self.memo[e] = found
        return found
