"""Intervals: the range of an index expression while some variables run over ranges of their own.

`lower(e, v, lo, hi)` is an expression without `v` that is <= e for every v in lo..hi; `upper` likewise. Where e is
monotonic in v the bound is exact and keeps its correlation with everything else: v is replaced by an end of its range.
None means unbounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from ..types import index
from . import algebra as A
from .expr import Cast, Const, Expr, Lin, Op, Var, walk
from .facts import const_bounds, free_vars
from .linear import linear, parts


@dataclass(frozen=True)
class Range:
    """`var` runs over lo..hi, inclusive; a None end is unbounded."""

    var: Var
    lo: Expr | None
    hi: Expr | None


def lower(e: Expr, r: Range) -> Expr | None:
    return _Elimination(r).bound(e, -1)


def upper(e: Expr, r: Range) -> Expr | None:
    return _Elimination(r).bound(e, +1)


def monotonic(e: Expr, v: Var) -> int | None:
    """0 if e does not depend on v, +1 (-1) if it never falls (rises) as v grows, None if that is not known."""
    if v not in free_vars(e):
        return 0
    if e is v:
        return 1
    if isinstance(e, Lin):
        return _agree(m if k > 0 or m is None else -m for a, k in e.terms for m in (monotonic(a, v),))
    if isinstance(e, Op):
        if e.name in ("min", "max"):
            return _agree(monotonic(a, v) for a in e.args)
        if e.name == "floordiv" and isinstance(e.args[1], Const):
            m = monotonic(e.args[0], v)
            return m if m is None or e.args[1].value > 0 else -m
        if e.name == "mul" and e.type is index:
            a, b = e.args
            if v in free_vars(b):
                a, b = b, a
            if v not in free_vars(b):
                m, (lo, hi) = monotonic(a, v), const_bounds(b)
                if m is not None and lo is not None and lo >= 0:
                    return m
                if m is not None and hi is not None and hi <= 0:
                    return -m
        if e.name == "select" and v not in free_vars(e.args[0]):
            return _agree(monotonic(a, v) for a in e.args[1:])
    return None


def _agree(directions: Iterable[int | None]) -> int | None:
    seen = set(directions)
    if None in seen or {1, -1} <= seen:
        return None
    return 1 if 1 in seen else -1 if -1 in seen else 0


class _Elimination:
    """Bounds of expressions with one variable taken out. `sign` is -1 for the lower and +1 for the upper bound."""

    def __init__(self, r: Range) -> None:
        self.r = r
        self.memo: dict[tuple[Expr, int], Expr | None] = {}

    def bound(self, e: Expr, sign: int) -> Expr | None:
        if self.r.var not in free_vars(e):
            return e
        key = (e, sign)
        if key not in self.memo:
            self.memo[key] = self._bound(e, sign)
        return self.memo[key]

    def _bound(self, e: Expr, sign: int) -> Expr | None:
        direction = monotonic(e, self.r.var)
        if direction is not None:
            end = self.r.hi if direction * sign > 0 else self.r.lo
            return None if end is None else A.substitute(e, {self.r.var: end})
        structural = self._structural(e, sign)
        if structural is not None:
            return structural
        known = const_bounds(e)[0 if sign < 0 else 1]
        return None if known is None else Const(known, index)

    def _structural(self, e: Expr, sign: int) -> Expr | None:
        if isinstance(e, Lin):
            return self._lin(e, sign)
        if isinstance(e, Cast) and e.type is index:
            return self._value(e.value, sign)
        if not isinstance(e, Op):
            return None
        rule = getattr(self, f"_{e.name}", None)
        return None if rule is None else rule(e, sign)

    def _lin(self, e: Lin, sign: int) -> Expr | None:
        var = self.r.var
        moving = [t for t in e.terms if var in free_vars(t[0])]
        if len(moving) > 1:  # min(a, b) + r = min(a + r, b + r): so that what moves together cancels
            for atom, k in moving:
                if isinstance(atom, Op) and atom.name in ("min", "max") and abs(k) < 2**31:
                    rest = linear([t for t in e.terms if t[0] is not atom], e.const)
                    arms = [self.bound(A.add(A.mul(a, Const(k, index)), rest), sign) for a in atom.args]
                    pick = atom.name if k > 0 else ("max" if atom.name == "min" else "min")
                    return _join(pick, arms[0], arms[1], sign)
        fixed = linear([t for t in e.terms if var not in free_vars(t[0])], e.const)
        plain, rest_terms = [t for t in moving if t[0] is var], [t for t in moving if t[0] is not var]
        total: Expr = fixed
        if plain:
            part = self.bound(linear(plain, 0), sign)
            if part is None:
                return None
            total = A.add(total, part)
        for atom, k in rest_terms:
            part = self.bound(atom, sign if k > 0 else -sign)
            if part is None:
                return None
            total = A.add(total, A.mul(part, Const(k, index)))
        return total

    def _min(self, e: Op, sign: int) -> Expr | None:
        return _join(e.name, self.bound(e.args[0], sign), self.bound(e.args[1], sign), sign)

    _max = _min

    def _select(self, e: Op, sign: int) -> Expr | None:
        cond, then, other = e.args
        arms = []
        for condition, arm in ((cond, then), (A.not_(cond), other)):
            narrowed = narrow(condition, self.r)
            inner = _Elimination(narrowed) if narrowed is not self.r else self
            arms.append(inner.bound(arm, sign))
        return _join("min" if sign < 0 else "max", arms[0], arms[1], sign, strict=True)

    _rare = _select

    def _floordiv(self, e: Op, sign: int) -> Expr | None:
        a, b = e.args
        lo, hi = const_bounds(b)
        if lo is None or lo <= 0:
            return None
        num = self.bound(a, sign)
        if num is None:
            return None
        if self.r.var not in free_vars(b):
            rows = _rows(num, b)
            return A.floordiv(num, b) if rows is None else rows
        ends = [A.floordiv(num, Const(c, index)) for c in (lo, hi) if c is not None]
        if len(ends) < 2:
            ends.append(Const(0, index))
        return (A.minimum if sign < 0 else A.maximum)(*ends)

    def _mod(self, e: Op, sign: int) -> Expr | None:
        a, b = e.args
        lo, _ = const_bounds(b)
        if self.r.var in free_vars(b) or lo is None or lo < 0:
            return None
        if isinstance(b, Const):
            low, high = self.bound(a, -1), self.bound(a, +1)
            if low is not None and high is not None and A.floordiv(low, b) is A.floordiv(high, b):
                return A.mod(low if sign < 0 else high, b)
        return Const(0, index) if sign < 0 else A.maximum(A.sub(b, Const(1, index)), Const(0, index))

    def _mul(self, e: Op, sign: int) -> Expr | None:
        ends = [(self.bound(a, -1), self.bound(a, +1)) for a in e.args]
        if any(x is None for pair in ends for x in pair):
            return None
        corners = [A.mul(x, y) for x in ends[0] for y in ends[1]]  # type: ignore[arg-type]  # no end is None here
        result = corners[0]
        for c in corners[1:]:
            result = A.minimum(result, c) if sign < 0 else A.maximum(result, c)
        return result

    def _value(self, e: Expr, sign: int) -> Expr | None:
        """Bounds, as an index, of a value of a machine type: through clamps of converted indices, else constant."""
        if isinstance(e, Cast) and e.value.type is index:
            lo, hi = const_bounds(e.value)
            if lo is not None and hi is not None and e.type.min <= lo and hi <= e.type.max:
                return self.bound(e.value, sign)
        if isinstance(e, Op) and e.name in ("min", "max") and not e.type.is_float:
            a, b = (self._value(x, sign) for x in e.args)
            return _join(e.name, a, b, sign)
        known = const_bounds(A.cast(e, index))[0 if sign < 0 else 1]
        if known is not None:
            return Const(known, index)
        return A.cast(e, index) if self.r.var not in free_vars(e) else None


def _rows(num: Expr, b: Expr) -> Expr | None:
    """(p*q + c) // b as p + c // b, for b = q, or max(q, 1) when q = max(q, 0): the last row of a fused loop. What p is a sum
    of may have been multiplied out."""
    terms, c = parts(num)
    for q in _factors(terms[0][0]) if terms else ():
        if q is b or A.maximum(q, Const(1, index)) is b:
            left = [(_without(atom, q), k) for atom, k in terms]
            if all(p is not None for p, _ in left):
                rows = [A.mul(p, Const(k, index)) for p, k in left if p is not None]
                return reduce(A.add, rows, A.floordiv(Const(c, index), b))
    return None


def _factors(e: Expr) -> tuple[Expr, ...]:
    return e.args if isinstance(e, Op) and e.name == "mul" else (e,)


def _without(product: Expr, q: Expr) -> Expr | None:
    """`product` without its factor `q`, None if it has none."""
    if product is q:
        return Const(1, index)
    both = _factors(product)
    return both[1 - both.index(q)] if len(both) == 2 and q in both else None


def _join(name: str, a: Expr | None, b: Expr | None, sign: int, strict: bool = False) -> Expr | None:
    """min or max of two bounds; with one unbounded, min(a, b) is still bounded above by the other."""
    if a is not None and b is not None:
        return A.minimum(a, b) if name == "min" else A.maximum(a, b)
    if strict or (name == "min") == (sign < 0):
        return None
    return a if b is None else b


def narrow(cond: Expr, r: Range) -> Range:
    """The part of the range of `r.var` in which `cond` can hold, as far as it bounds the variable affinely."""
    lo, hi = r.lo, r.hi
    for c in A.conjuncts(cond):
        if not (isinstance(c, Op) and c.name in ("le", "eq") and c.args[0].type is index and c.lanes == 1):
            continue
        for slack in slacks(c):  # 0 <= slack
            low, high = solve(slack, r.var)
            if low is not None:
                lo = low if lo is None else A.maximum(lo, low)
            if high is not None:
                hi = high if hi is None else A.minimum(hi, high)
    return r if lo is r.lo and hi is r.hi else Range(r.var, lo, hi)


def slacks(c: Op) -> list[Expr]:
    """Expressions that are all >= 0 exactly where the comparison `c` (le or eq) of index expressions holds."""
    return [part for s in differences(c) for part in _take_apart(s)]


def differences(c: Op) -> list[Expr]:
    """The same, with minima and maxima whole."""
    d = A.sub(c.args[1], c.args[0])
    return [d] if c.name == "le" else [d, A.neg(d)]


def _take_apart(slack: Expr) -> list[Expr]:
    """0 <= min(a, b) + r is 0 <= a + r and 0 <= b + r (and so for -max)."""
    terms, _ = parts(slack)
    for atom, k in terms:
        if isinstance(atom, Op) and ((atom.name == "min" and k > 0) or (atom.name == "max" and k < 0)):
            rest = A.sub(slack, A.mul(atom, Const(k, index)))
            arms = [A.add(rest, A.mul(a, Const(k, index))) for a in atom.args]
            return [s for a in arms for s in _take_apart(a)]
    return [slack]


def solve(slack: Expr, v: Expr) -> tuple[Expr | None, Expr | None]:
    """(lo, hi) such that 0 <= slack is the same as lo <= v <= hi, one of them None; both where it is not affine in v."""
    terms, _ = parts(slack)
    k = next((q for a, q in terms if a is v), 0)
    rest = A.sub(slack, A.mul(v, Const(k, index)))
    if k == 0 or v in (free_vars(rest) if isinstance(v, Var) else walk((rest,))):
        return None, None
    if k > 0:  # v >= -rest/k, rounded up
        return A.neg(A.floordiv(rest, Const(k, index))), None
    return None, A.floordiv(rest, Const(-k, index))


def differ(a: Expr, b: Expr, conditions: Iterable[Expr]) -> bool:
    """Whether one of the `conditions` says that the indices `a` and `b` are not the same."""
    conditions, apart, unequal = list(conditions), A.sub(a, b), A.ne(a, b)
    if any(c is unequal for c in conditions):
        return True
    comparisons = (c for c in conditions if isinstance(c, Op) and c.name == "le" and c.args[0].type is index)
    for slack in (s for c in comparisons for s in slacks(c)):
        more, less = A.sub(apart, slack), A.add(apart, slack)
        if (isinstance(more, Const) and more.value > 0) or (isinstance(less, Const) and less.value < 0):
            return True
    return False
