"""Is an update associative, and what is its identity?

An update folds a sequence of terms into each site: `f[i] = f[i] (+) term`. Where `(+)` is associative the sequence may
be folded in pieces (`rfactor`), and where it also commutes, in any order (`reorder`, `atomic`). What is recognised:

    s + t, s - t, fma(a, b, s), s * t, min, max, and, or, xor      also behind conditions: select(c, s + t, s)
    min(wide(s) + t, 255), sat_add(s, t)                           unsigned saturating addition
    select(t < s, t, s), and other elements carried along          argmin, argmax: the first extremum stays
    s0*a - s1*b, s0*b + s1*a                                       complex multiplication
    tuples whose elements fall into such groups

Integers wrap, so all of it is exact on them; on floats sums and products are associative but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..ir import algebra as A
from ..ir.expr import Cast, Const, Expr, Op, Read, walk
from ..ir.facts import const_bounds
from ..ir.pipeline import Definition, Function
from ..types import Type, bool_, index
from .loops import own_slot

__all__ = ["RING", "Operator", "identity", "operation", "prove", "stores_constant"]

Values = Sequence[Expr]


@dataclass(frozen=True)
class Operator:
    """A proven operator on the tuple elements `items`: `combine(earlier, later)`, with `identity` an element each.

    `exact`: any grouping gives the same bits. `commutative`: the order does not matter either.
    """

    items: tuple[int, ...]
    identity: tuple[Expr, ...]
    combine: Callable[[Values, Values], list[Expr]]
    commutative: bool
    exact: bool


def prove(definition: Definition, function: Function) -> Operator | str:
    """The operator that `definition` folds with, or the reason why it is not seen to be associative."""
    own = {e for e in walk((*definition.indices, *definition.values, definition.pred))
           if isinstance(e, Read) and e.array is function.array}  # fmt: skip
    for e in walk((*definition.indices, definition.pred)):
        if e in own:
            return f"its indices or its condition read {function.name} itself"
    for read in own:
        if read.indices != definition.indices or read.pred is not None:
            return f"it reads {function.name} at another point than the one it stores"
    items = [k for k, v in enumerate(definition.values) if v is not None]
    states = {k: Read(function.array, definition.indices, k) for k in items}
    values = {k: v for k, v in enumerate(definition.values) if v is not None}
    if any(r.item not in states for r in own):
        return "it reads an element of the tuple that it does not update"
    groups = []
    for group in _groups(values, states):
        found = _recognise([values[k] for k in group], [states[k] for k in group], definition)
        if found is None:
            return f"{_described(group, len(function.types))} is not a known associative operation"
        groups.append((group, found))
    return _product(items, groups)


def _described(group: Sequence[int], size: int) -> str:
    if size == 1:
        return "its value"
    return (
        f"its element {group[0]}" if len(group) == 1 else f"what its elements {', '.join(map(str, group))} do together"
    )


def _groups(values: Mapping[int, Expr], states: Mapping[int, Expr]) -> list[list[int]]:
    """The elements, grouped so that no value reads an element of another group."""
    groups = [[k] for k in values]
    for k, v in values.items():
        seen = set(walk((v,)))
        for other, state in states.items():
            if state in seen:
                a = next(g for g in groups if k in g)
                b = next(g for g in groups if other in g)
                if a is not b:
                    groups.remove(b)
                    a.extend(b)
    return [sorted(g) for g in groups]


def _product(items: list[int], groups: list[tuple[list[int], Operator]]) -> Operator:
    """Independent operators side by side, as one on `items`."""
    where = {k: (g, group.index(k)) for g, (group, _) in enumerate(groups) for k in group}

    def combine(earlier: Values, later: Values) -> list[Expr]:
        parts = []
        for group, found in groups:
            at = [items.index(k) for k in group]
            parts.append(found.combine([earlier[i] for i in at], [later[i] for i in at]))
        return [parts[g][i] for g, i in (where[k] for k in items)]

    identity = tuple(groups[g][1].identity[i] for g, i in (where[k] for k in items))
    return Operator(
        tuple(items), identity, combine, all(o.commutative for _, o in groups), all(o.exact for _, o in groups)
    )


def _recognise(values: list[Expr], states: list[Expr], d: Definition) -> Operator | None:
    if len(values) == 1:
        name = operation(values[0], states[0])
        if name is not None:
            return _simple(name, values[0].type)
    return _extremum(values, states, d) or (_complex(values, states) if len(values) == 2 else None)


# One element: s (+) t ------------------------------------------------------------------------------------------------

_ANY = "self"  # the value so far, unchanged: folds with nothing
RING = ("add", "mul", "and", "or", "xor")  # commute with dropping high bits


def _simple(name: str, type: Type) -> Operator:
    op = "add" if name == _ANY else name
    return Operator((0,), (identity(op, type),), lambda x, y: [A.op(op, x[0], y[0])], True, not type.is_float)


def identity(name: str, type: Type) -> Const:
    """What the operation `name` leaves everything as it is with."""
    if name == "mul":
        return Const(1, type)
    if name == "and":
        return Const(1 if type.is_bool else type.wrap(-1), type)
    if name in ("min", "max"):
        return Const(type.max if name == "min" else type.min, type)
    return Const(-0.0 if type.is_float else 0, type)  # -0.0 + x is x, for -0.0 too


def operation(v: Expr, s: Expr) -> str | None:
    """The operation that makes `v` of the value so far, `s`, and of terms that do not contain it."""
    if v is s:
        return _ANY
    if isinstance(v, Cast):
        return _saturating(v, s) or _truncated(v, s)
    if not isinstance(v, Op):
        return None
    name, args = v.name, v.args
    inside = [s in set(walk((a,))) for a in args]
    if name in ("select", "rare"):
        if inside[0]:
            return None
        found = {operation(args[1], s), operation(args[2], s)} - {_ANY}
        return (found.pop() if found else _ANY) if len(found) <= 1 else None
    if sum(inside) != 1:
        return None
    at = inside.index(True)
    below = operation(args[at], s)
    if (name, at) in (("sub", 0), ("fma", 2)):
        name = "add"
    elif name == "sat_add" and v.type.kind != "uint":
        return None  # (100 +s 100) +s -100 is 27, 100 +s (100 +s -100) is 100
    elif name not in (*RING, "min", "max", "sat_add"):
        return None
    return name if below in (_ANY, name) else None


def _truncated(v: Cast, s: Expr) -> str | None:
    """Sums, products and bits computed wider than they are stored: only the low bits of every step matter."""
    if not (v.type.is_int and v.value.type.is_int and s.type.is_int) or v.value.type is index:
        return None
    if min(v.type.bits, v.value.type.bits) < s.type.bits:
        return None
    found = operation(v.value, s)
    return found if found in (*RING, _ANY) else None


def _saturating(v: Cast, s: Expr) -> str | None:
    """cast(u8, min(wide(s) + t, 255)) with t >= 0 and no overflow in the wide type."""
    low = v.value
    if v.type.kind != "uint" or v.type is not s.type or not (isinstance(low, Op) and low.name == "min"):
        return None
    total, limit = low.args if isinstance(low.args[1], Const) else low.args[::-1]
    if not (isinstance(limit, Const) and limit.value == v.type.max and isinstance(total, Op) and total.name == "add"):
        return None
    for wide, t in (total.args, total.args[::-1]):
        if isinstance(wide, Cast) and wide.value is s and s not in set(walk((t,))):
            lo, hi = const_bounds(t)
            if lo is not None and lo >= 0 and hi is not None and hi + v.type.max <= total.type.max:
                return "sat_add"
    return None


# Extrema, with what is carried along ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Comparison:
    """When a term replaces what was found so far: `key` compares less ("min") or greater ("max"), strictly.

    `nan`: the first NaN beats numbers. `empty`: (element, value) of "nothing found yet", which any term replaces.
    """

    name: str
    key: int
    nan: bool
    empty: tuple[int, Expr] | None

    def better(self, x: Values, y: Values) -> Expr:
        """Whether the later `y` replaces the earlier `x`."""
        a, b = x[self.key], y[self.key]
        found = A.lt(b, a) if self.name == "min" else A.lt(a, b)
        if self.nan:
            found = A.or_(found, A.and_(_isnan(b), A.not_(_isnan(a))))
        if self.empty is not None:
            k, nothing = self.empty
            found = A.and_(A.or_(found, A.op("eq", x[k], nothing)), A.op("ne", y[k], nothing))
        return found


def _extremum(values: list[Expr], states: list[Expr], d: Definition) -> Operator | None:
    """Every element is taken from the term where a strict comparison of one key element says so, else kept."""
    forms = [_choice(v, s) for v, s in zip(values, states, strict=True)]
    chosen = [f for f in forms if f is not None]
    conditions = {f[0] for f in chosen if f[0] is not None}
    if len(chosen) < len(forms) or len(conditions) != 1:
        return None
    terms = [f[1] for f in chosen]
    direct = [f[2] for f in chosen]
    if any(s in set(walk(terms)) for s in states):
        return None
    comparison = _comparison(conditions.pop(), states, terms, d)
    if comparison is None or any(name not in ("", comparison.name) for name in direct):
        return None

    def combine(x: Values, y: Values) -> list[Expr]:
        better = comparison.better(x, y)
        return [A.op(name, a, b) if name else A.select(better, b, a) for name, a, b in zip(direct, x, y, strict=True)]

    types = [v.type for v in values]
    start: list[Expr] = [Const(0, t) for t in types]
    start[comparison.key] = identity(comparison.name, types[comparison.key])
    if comparison.empty is not None:
        start[comparison.empty[0]] = comparison.empty[1]
    alone = len(values) == 1 and not types[0].is_float
    return Operator(tuple(range(len(values))), tuple(start), combine, alone, True)


def _choice(v: Expr, s: Expr) -> tuple[Expr | None, Expr, str] | None:
    """`v` as (condition, term, "") where it is select(condition, term, s), as (None, term, "min") for min(s, term)."""
    if not isinstance(v, Op):
        return None
    if v.name == "select" and v.args[2] is s:
        return v.args[0], v.args[1], ""
    if v.name == "select" and v.args[1] is s and isinstance(v.args[0], Op) and v.args[0].name == "le":
        a, b = v.args[0].args
        return (
            None if a.type.is_float else (Op("lt", (b, a), v.args[0].type), v.args[2], "")
        )  # of NaN, s would not stay
    if v.name in ("min", "max") and s in v.args:
        return None, v.args[1] if v.args[0] is s else v.args[0], v.name
    return None


def _comparison(cond: Expr, states: list[Expr], terms: list[Expr], d: Definition) -> _Comparison | None:
    """`cond` as a comparison of one element, perhaps "or the first NaN", perhaps "or nothing was found yet"."""
    parts = _disjuncts(cond)
    found = [(name, k) for k, (s, t) in enumerate(zip(states, terms, strict=True))
             for name, pair in (("min", (t, s)), ("max", (s, t)))
             for e in parts if isinstance(e, Op) and e.name == "lt" and e.args == pair]  # fmt: skip
    if len(found) != 1:
        return None
    (name, k), rest = found[0], [e for e in parts if not (isinstance(e, Op) and e.name == "lt")]
    first_nan = A.and_(_isnan(terms[k]), A.not_(_isnan(states[k]))) if terms[k].type.is_float else None
    nan = first_nan in rest
    rest = [e for e in rest if e is not first_nan]
    empty = [m for e in rest if (m := _nothing_yet(e, states, terms, d)) is not None]
    if len(empty) < len(rest) or len(empty) > 1 or len(parts) != 1 + nan + len(empty):
        return None
    return _Comparison(name, k, nan, empty[0] if empty else None)


def _nothing_yet(e: Expr, states: list[Expr], terms: list[Expr], d: Definition) -> tuple[int, Expr] | None:
    """The element and the constant of `state == constant`, where the element's terms are never that constant."""
    if isinstance(e, Op) and e.name == "eq":
        for s, c in (e.args, e.args[::-1]):
            if s in states and isinstance(c, Const):
                k = states.index(s)
                t = terms[k]
                variable = t.value if isinstance(t, Cast) else t
                lows = [r.lo for r in d.rvars if r.var is variable]
                if lows and isinstance(lows[0], Const) and c.value < lows[0].value:
                    return k, c
    return None


def _disjuncts(e: Expr) -> list[Expr]:
    return [p for a in e.args for p in _disjuncts(a)] if isinstance(e, Op) and e.name == "or" else [e]


def _isnan(e: Expr) -> Expr:
    return A.op("isnan", e, type=bool_)


# Complex multiplication ----------------------------------------------------------------------------------------------

_TERMS = 64
Polynomial = dict[tuple[Expr, ...], float]  # the product of these atoms (in order of creation) -> its coefficient


def _complex(values: list[Expr], states: list[Expr]) -> Operator | None:
    """(s0*a - s1*b, s0*b + s1*a), however it is written."""
    type = values[0].type
    if type is not values[1].type or type.is_bool:
        return None
    rows = []
    for v in values:
        p = _expand(v)
        row = None if p is None else _linear(p, states)
        if row is None:
            return None
        rows.append(row)
    (a, minus_b), (b, a_again) = rows
    if a != a_again or b != {m: -c for m, c in minus_b.items()}:
        return None

    def combine(x: Values, y: Values) -> list[Expr]:
        real = A.op("sub", A.op("mul", x[0], y[0]), A.op("mul", x[1], y[1]))
        return [real, A.op("add", A.op("mul", x[0], y[1]), A.op("mul", x[1], y[0]))]

    return Operator((0, 1), (Const(1, type), Const(0, type)), combine, True, not type.is_float)


def _linear(p: Polynomial, states: list[Expr]) -> tuple[Polynomial, Polynomial] | None:
    """The coefficients of the two states in `p`, if every term contains exactly one of them, once."""
    row: tuple[Polynomial, Polynomial] = ({}, {})
    for monomial, c in p.items():
        at = [k for k, e in enumerate(monomial) if e in states]
        rest = tuple(e for e in monomial if e not in states)
        if len(at) != 1 or any(s in set(walk(rest)) for s in states):
            return None
        row[states.index(monomial[at[0]])][rest] = c
    return row


def _expand(e: Expr) -> Polynomial | None:
    """`e` as a sum of products, or None if it has too many terms."""
    if isinstance(e, Const):
        return {(): e.value} if e.value else {}
    if isinstance(e, Op) and e.name in ("add", "sub", "mul", "neg", "fma"):
        parts = []
        for a in e.args:
            p = _expand(a)
            if p is None:
                return None
            parts.append(p)
        if e.name == "neg":
            return _scaled(parts[0], -1)
        if e.name == "mul":
            return _times(*parts)
        if e.name == "fma":
            product = _times(parts[0], parts[1])
            return None if product is None else _plus(product, parts[2])
        return _plus(parts[0], _scaled(parts[1], -1 if e.name == "sub" else 1))
    return {(e,): 1}


def _scaled(p: Polynomial, k: float) -> Polynomial:
    return {m: k * c for m, c in p.items()}


def _plus(p: Polynomial, q: Polynomial) -> Polynomial:
    total = dict(p)
    for m, c in q.items():
        total[m] = total.get(m, 0) + c
    return {m: c for m, c in total.items() if c}


def _times(p: Polynomial, q: Polynomial) -> Polynomial | None:
    total: Polynomial = {}
    for m, c in p.items():
        for n, d in q.items():
            key = tuple(sorted((*m, *n), key=lambda e: e.uid))
            total[key] = total.get(key, 0) + c * d
    return {m: c for m, c in total.items() if c} if len(total) <= _TERMS else None


# Stores that may come in any order ----------------------------------------------------------------------------------


def stores_constant(definition: Definition, function: Function) -> bool:
    """Whether each site gets the same value from every iteration that stores to it."""
    nodes = set(walk((*definition.indices, *definition.values, definition.pred)))
    if any(isinstance(e, Read) and e.array is function.array for e in nodes):
        return False
    varying = {r.var for r in definition.rvars} | {v for v in function.vars if not own_slot(v, definition, function)}
    return not varying & set(walk(definition.values))
