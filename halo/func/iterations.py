"""How often a place in a loop nest is reached, and with what: said from the loops, without running them.

On the way to a place lie loops, names and conditions. Those that have no variable in common, directly or by what their
bounds are made of, are independent: the iterations are the product of what each such group has, which is found by going
through the values of its own loops alone, all at once as vectors, and the innermost of them by a formula where it can be.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..ir.algebra import substitute
from ..ir.expr import Cast, Const, Expr, Lin, Op, Read, Var, walk
from ..ir.stmt import Block, For
from ..types import index

__all__ = ["UnknownError", "Way", "of_data"]

MOST = 1 << 22  # values of loop variables at a time; what needs more of them is not counted


class UnknownError(Exception):
    """What only data, or a very long search, tell."""


@dataclass(frozen=True)
class Guard:
    """A condition on the way, and whether it held."""

    cond: Expr
    holds: bool = True


_Step = For | Guard


@dataclass
class _Group:
    """Steps, and what is asked of them, that depend on the variables `names` and no other group does."""

    own: tuple[Expr, ...]
    names: frozenset[Var]
    steps: list[_Step] = field(default_factory=list)


@dataclass(frozen=True)
class Way:
    """What leads to a place: `steps` from the outside in, where the variables of the call are `known`, and `named` is what
    a Let gave a name to. Conditions on data count as if they held. Each method raises UnknownError where it cannot tell."""

    known: Mapping[Var, Any]
    steps: tuple[_Step, ...] = ()
    named: dict[Any, Expr] = field(default_factory=dict)
    cache: dict[Any, int] = field(default_factory=dict)  # of all ways of a call: what was found of a group

    def inside(self, s: For) -> Way:
        """In the body of a loop."""
        lo, extent = self._spelt(s.lo), self._spelt(s.extent)
        return replace(self, steps=(*self.steps, For(s.var, lo, extent, s.kind, Block(()))))

    def where(self, cond: Expr, holds: bool = True) -> Way:
        """Where a condition holds, or does not."""
        cond = self._spelt(cond)
        return self if of_data(cond) else replace(self, steps=(*self.steps, Guard(cond, holds)))

    def named_as(self, v: Var, value: Expr) -> Way:
        """Where `v` is `value`."""
        return replace(self, named={**self.named, v: self._spelt(value)})

    def truth(self, cond: Expr) -> bool | None:
        """Whether a condition holds, if that is the same on every way."""
        found = known_value(self._spelt(cond), self.known)
        return None if found is None else bool(found)

    def _spelt(self, e: Expr) -> Expr:
        return substitute(e, self.named) if self.named else e

    def given(self, v: Var, value: Any) -> Way:
        """The same where `v` is known too."""
        return replace(self, known={**self.known, v: value}, cache={})

    def iterations(self) -> int:
        """How often the place is reached."""
        return self._product(_sum, ())

    def distinct(self, exprs: Sequence[Expr]) -> int:
        """How many different values `exprs` take together."""
        return self._product(_different, tuple(map(self._spelt, exprs)))

    def volume(self, extents: Sequence[Expr]) -> int:
        """The sum, over the iterations, of the product of `extents`, none of which counts as negative."""
        return self._product(_volume, tuple(map(self._spelt, extents)))

    def largest(self, exprs: Sequence[Expr]) -> int:
        """The largest product of the values of `exprs`, none of which counts as negative; 0 if the place is not reached."""
        return self._product(_largest, tuple(map(self._spelt, exprs)))

    def _product(self, of: Callable[[Sequence[Any], _Frame], int], exprs: tuple[Expr, ...]) -> int:
        total = 1
        for g in self._groups(exprs):
            key = of, g.own, g.names, tuple(g.steps)
            if key not in self.cache:
                at = self._reached(g, of is _sum)
                self.cache[key] = of([value_of(e, at.env) for e in g.own], at)
            total *= self.cache[key]
        return total

    def _groups(self, exprs: tuple[Expr, ...]) -> list[_Group]:
        """Each has a part of `exprs` and the steps that it depends on; the last is of what depends on no loop."""
        needs: list[tuple[tuple[Expr, ...], set[Var]]] = [((e,), set(self._free(e))) for e in exprs]
        needs += [((), set(self._free(_measure(s)))) for s in self.steps]
        for s in reversed(self.steps):  # what a variable is made of belongs to whatever has it
            for _, names in needs:
                if isinstance(s, For) and s.var in names:
                    names |= self._free(s.lo) | self._free(s.extent)
        groups = [_Group(tuple(e for e in exprs if not self._free(e)), frozenset())]
        for own, names in needs:
            if names:
                meet = [g for g in groups if g.names & names]
                for g in meet:
                    own, names = g.own + own, names | g.names
                groups = [_Group(own, frozenset(names)), *(g for g in groups if g not in meet)]
        for s in self.steps:
            valued = isinstance(s, For) and any(s.var in g.names for g in groups)
            of = {s.var} if valued else self._free(_measure(s))  # type: ignore[union-attr]  # a For has a variable
            next((g for g in groups if g.names & of), groups[-1]).steps.append(s)
        return groups

    def _free(self, e: Expr) -> frozenset[Var]:
        return frozenset(v for v in walk((e,)) if isinstance(v, Var)) - self.known.keys()

    def _reached(self, group: _Group, summed: bool) -> _Frame:
        """The values of the variables of a group at the place; where they are only `summed` up, of as few as will do."""
        at, steps = _Frame(dict(self.known), np.int64(1)), group.steps
        valued = [k for k, s in enumerate(steps) if isinstance(s, For) and s.var in group.names]
        for k, s in enumerate(steps):
            if not (isinstance(s, For) and s.var in group.names):
                at = self._after(s, at)
                continue
            lo, extent = value_of(s.lo, at.env), value_of(s.extent, at.env)
            using = [t for t in steps[k + 1 :] if s.var in self._free(_measure(t))]
            bounds = _bounds(using, s.var) if summed and k == valued[-1] else None
            if bounds is not None:
                rest = (t for t in steps[k + 1 :] if t not in using)
                held = at.scaled(_held(bounds, s.var, lo, extent, at.env))
                return functools.reduce(lambda at, t: self._after(t, at), rest, held)
            at = at.looped(s.var, lo, extent)
        return at

    def _after(self, s: _Step, at: _Frame) -> _Frame:
        if isinstance(s, For):
            return at.scaled(np.maximum(value_of(s.extent, at.env), 0))
        return at.chosen((np.asarray(value_of(s.cond, at.env)) != 0) == s.holds)


def _measure(s: For | Guard) -> Expr:
    return s.extent if isinstance(s, For) else s.cond


@dataclass
class _Frame:
    """The values that variables have had: each a number, or a vector as long as `weight`, which says how often each
    comes."""

    env: dict[Var, Any]
    weight: Any

    def scaled(self, times: Any) -> _Frame:
        """Each of them so often."""
        return _Frame(self.env, self.weight * times)

    def chosen(self, where: Any) -> _Frame:
        """Those for which `where`, a truth or a vector of them, is true."""
        if np.ndim(where) == 0:
            return self if where else _Frame(self.env, 0 * self.weight)
        weight = np.broadcast_to(self.weight, where.shape)[where]
        return _Frame({v: a[where] if np.ndim(a) else a for v, a in self.env.items()}, weight)

    def looped(self, var: Var, lo: Any, extent: Any) -> _Frame:
        """Each of them once for each value of `var`."""
        n = np.maximum(extent, 0)
        shape = np.broadcast_shapes(np.shape(n), np.shape(self.weight), np.shape(lo))
        n = np.broadcast_to(n, shape)
        size, rows = int(np.sum(n)), np.ravel(n)
        if size > MOST:
            raise UnknownError

        def again(a: Any) -> Any:
            return np.repeat(np.broadcast_to(a, shape).ravel(), rows)

        env = {v: again(a) if np.ndim(a) else a for v, a in self.env.items()}
        env[var] = again(lo) + np.arange(size) - np.repeat(np.cumsum(rows) - rows, rows)
        return _Frame(env, again(self.weight))


# What is asked of the values at a place


def _sum(_: Sequence[Any], at: _Frame) -> int:
    return int(np.sum(at.weight))


def _volume(values: Sequence[Any], at: _Frame) -> int:
    product = at.weight
    for v in values:
        product = product * np.maximum(v, 0)
    return int(np.sum(product))


def _different(values: Sequence[Any], at: _Frame) -> int:
    if not values or not np.any(at.weight):
        return int(np.any(at.weight))
    packed = np.zeros(np.shape(at.weight), np.int64)
    for v in values:
        low, high = int(np.min(v)), int(np.max(v))
        packed = packed * (high - low + 1) + (v - low)
    return len(np.unique(packed[at.weight > 0] if np.ndim(packed) else packed))


def _largest(values: Sequence[Any], at: _Frame) -> int:
    if not np.any(at.weight):
        return 0
    product = np.int64(1)
    for v in values:
        product = product * np.maximum(v, 0)
    return int(np.max(product))


# A loop whose conditions are bounds of its variable

_Bound = tuple[Expr, Expr, int, int]  # a < b + 1 - strict, in which the variable has such a factor in a - b


def _bounds(guards: Sequence[_Step], v: Var) -> list[_Bound] | None:
    """Conditions as bounds of `v`; None where one is no such thing."""
    found: list[_Bound] = []
    for g in guards:
        if isinstance(g, For):
            return None
        parts = list(_conjuncts(g.cond))
        if not g.holds and len(parts) > 1:
            return None
        for part in parts:
            if not (isinstance(part, Op) and part.name in ("lt", "le")):
                return None
            a, b, strict = *part.args, int(part.name == "lt")
            if not g.holds:
                a, b, strict = b, a, 1 - strict
            factors = _factor(a, v), _factor(b, v)
            if None in factors or factors[0] == factors[1]:
                return None
            found.append((a, b, strict, factors[0] - factors[1]))  # type: ignore[operator]  # neither is None here
    return found


def _conjuncts(e: Expr) -> Iterator[Expr]:
    if isinstance(e, Op) and e.name == "and":
        for a in e.args:
            yield from _conjuncts(a)
    else:
        yield e


def _factor(e: Expr, v: Var) -> int | None:
    """By how much `e` grows with `v`; None where that is not the same everywhere."""
    if e is v:
        return 1
    if isinstance(e, Cast) and (e.type is index or e.value.type is index):
        return _factor(e.value, v)
    if isinstance(e, Lin):
        factors = [(_factor(a, v), k) for a, k in e.terms]
        return None if any(f is None for f, _ in factors) else sum(f * k for f, k in factors if f)
    return None if any(w is v for w in walk((e,))) else 0


def _held(bounds: Sequence[_Bound], v: Var, lo: Any, extent: Any, env: Mapping[Var, Any]) -> Any:
    """For how many values of `v` in lo..lo+extent all bounds hold."""
    first, end, start = 0, np.maximum(extent, 0), {**env, v: lo}
    for a, b, strict, factor in bounds:
        room = value_of(b, start) - value_of(a, start) - strict  # what is left: factor * (v - lo) must be at most that
        if factor > 0:
            end = np.minimum(end, room // factor + 1)
        else:
            first = np.maximum(first, -(room // -factor))
    return np.maximum(end - first, 0)


# Values


def of_data(cond: Expr) -> bool:
    """Whether a condition reads an array."""
    return any(isinstance(e, Read) for e in walk((cond,)))


def known_value(e: Expr, env: Mapping[Var, Any]) -> Any:
    """The value of `e`, or None where only data tell."""
    try:
        return value_of(e, env)
    except UnknownError:
        return None


def value_of(e: Expr, env: Mapping[Var, Any]) -> Any:
    match e:
        case Const():
            return e.value
        case Var():
            value = env.get(e)
            if value is None:
                raise UnknownError
            return value
        case Lin():
            return e.const + sum(k * value_of(a, env) for a, k in e.terms)
        case Cast(value, type) if type is index or value.type is index or type.bytes >= value.type.bytes:
            return value_of(value, env)
        case Op(name, args) if name in _OPERATIONS and (name not in LOGIC or e.type.is_bool):
            return _OPERATIONS[name](*(value_of(a, env) for a in args))
    raise UnknownError


def _zero_where(divisor: Any, quotient: Callable[[Any], Any]) -> Any:
    return np.where(np.equal(divisor, 0), 0, quotient(np.where(np.equal(divisor, 0), 1, divisor)))


LOGIC = ("and", "or", "not")
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "min": np.minimum, "max": np.maximum, "neg": np.negative,
    "abs": np.abs, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "select": np.where, "rare": np.where,
    "floordiv": lambda a, b: _zero_where(b, lambda d: np.floor_divide(a, d)),
    "mod": lambda a, b: _zero_where(b, lambda d: np.mod(a, d)),
}  # fmt: skip
