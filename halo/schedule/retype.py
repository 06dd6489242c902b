"""The directive that accumulates in another type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Read
from ..ir.facts import const_bounds
from ..ir.pipeline import Definition, Function
from ..types import Type
from .associativity import RING, identity, operation, prove
from .copies import Structural
from .directive import TYPE, arg, directive
from .rewrite import fresh, mapped

__all__ = ["ChangeType", "retyped"]

Range = tuple[int, int]


@directive("change_type", on="func")
class ChangeType(Structural):
    """Accumulate in the integer type `t`: a new Func has the updates, and this one converts what it gives.

        f[x] = u32(0)                ->   f_u16[x] = u16(0)
        f[x] += u32(img[x + r])           f_u16[x] += u16(img[x + r])
                                          f[x] = u32(f_u16[x])

    Refused unless the result is proven the same, from the ranges of types and the lengths of reductions. Returns the
    new Func, `f_u16`, which has the directives given so far; this one is computed inline until it gets others.
    """

    t: Type = arg(TYPE)

    def made_name(self, owner: str) -> str:
        return f"{owner}_{self.t.name}"


@dataclass(frozen=True)
class _Step:
    """One update `f[indices] = f[indices] (op) term`."""

    definition: Definition
    op: str
    term: Expr


def retyped(f: Function, d: ChangeType, name: str) -> tuple[Function, Function]:
    """The Function `name` that accumulates in another type, and `f` as its conversion."""
    old = f.types[0]
    if len(f.types) > 1 or f.extern is not None:
        d.refuse(f.name, f"{f.name} has not one value a point that it accumulates")
    if not (old.is_int and d.t.is_int):
        d.refuse(f.name, f"from {old!r} to {d.t!r}: only integers are accumulated the same in another type")
    if len(f.definitions) < 2:
        d.refuse(f.name, f"{f.name} accumulates nothing: it has no update")
    steps = [_step(u, f, d) for u in f.definitions[1:]]
    start = f.definitions[0].values[0]
    if start is None:
        d.refuse(f.name, f"{f.name} starts with what its output holds")
    _check_range(f, d, start, steps)
    own: dict[Any, Any] = {v: fresh(v) for v in f.vars}
    array = Array(name, (d.t,), f.array.ndim)
    memo: dict[Expr, Expr] = {}

    def moved(e: Expr) -> Expr:
        return A.substitute(e, own, memo)

    definitions = [mapped(replace(f.definitions[0], values=(A.cast(start, d.t),)), moved)]
    for s in steps:
        new = mapped(replace(s.definition, values=(s.term,)), moved)
        term = new.values[0]
        assert term is not None
        value = A.op(s.op, Read(array, new.indices), A.cast(term, d.t))
        definitions.append(replace(new, values=(value,)))
    inner = replace(f, name=name, vars=tuple(own.values()), types=(d.t,), array=array, definitions=tuple(definitions))
    out = Definition(f.vars, (A.cast(Read(array, f.vars), old),), loc=d.loc)
    return inner, Function(f.name, f.vars, f.types, f.array, (out,), fastmath=f.fastmath, loc=f.loc)


def _step(u: Definition, f: Function, d: ChangeType) -> _Step:
    found = prove(u, f)
    value = u.values[0]
    state = Read(f.array, u.indices)
    op = None if isinstance(found, str) or value is None else operation(value, state)
    if op is None or value is None or op == "sat_add":
        reason = found if isinstance(found, str) else "its operator depends on the type"
        d.refuse(f.name, f"the update is not one that may change its type: {reason}")
    neutral = identity(op, value.type)
    return _Step(u, op, A.rewrite(value, lambda e: neutral if e is state else None, {}))


def _check_range(f: Function, d: ChangeType, start: Expr, steps: list[_Step]) -> None:
    """Refuse unless no value ever leaves the ranges of both types, or only low bits are asked for."""
    old = f.types[0]
    if d.t.bits >= old.bits and all(s.op in RING for s in steps):
        return
    reach = _bounds(start)
    for s in steps:
        reach = None if reach is None else _after(reach, s)
    if reach is None:
        d.refuse(f.name, f"how large {f.name} gets is not known", hint="halo.rdom with constant extents")
    lo, hi = reach
    for t in (old, d.t):
        if lo < t.min or hi > t.max:
            d.refuse(f.name, f"{f.name} may reach {lo if lo < t.min else hi}, and {t!r} holds {t.min} to {t.max}")


def _after(reach: Range, s: _Step) -> Range | None:
    """The range of a site after all terms of the step `s`."""
    bounds = _bounds(s.term)
    if bounds is None:
        return None
    (lo, hi), (least, most) = reach, bounds
    if s.op in ("min", "max"):
        return min(lo, least), max(hi, most)
    count = 1
    for r in s.definition.rvars:
        if not isinstance(r.extent, Const):
            return None
        count *= max(r.extent.value, 0)
    return (lo + count * min(least, 0), hi + count * max(most, 0)) if s.op == "add" else None


def _bounds(e: Expr) -> Range | None:
    lo, hi = const_bounds(e)
    return None if lo is None or hi is None else (lo, hi)
