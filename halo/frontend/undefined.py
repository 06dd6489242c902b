"""`undef` under conditions: what is stored where the conditions hold, and is kept elsewhere.

f[x] = select(c, e, undef)     ->   where c: f[x] = e
"""

from __future__ import annotations

from ..errors import DefinitionError
from ..ir.place import at
from ..ir.surface import Call, Define, Definitions, Expr, Undef
from ..ir.surface_walk import same, walk

__all__ = ["without_undef"]

Condition = Expr | bool


def without_undef(d: Definitions) -> Definitions:
    """`d` with the conditions under which a value is undef as predicates; in the pure stage, as those of an update."""
    pure, updates = d.pure, tuple(map(_guarded, d.updates))
    if pure is not None and (guarded := _guarded(pure)) is not pure:
        with at(pure.loc):
            updates = (Define(guarded.args, guarded.values, None, guarded.pred, None, pure.loc), *updates)
            pure = Define(pure.args, tuple(Undef() for _ in pure.values), loc=pure.loc)
    return Definitions(d.vars, pure, updates, d.inputs)


def _guarded(s: Define) -> Define:
    if not any(isinstance(e, Undef) for v in s.values if isinstance(v, Call) for e in walk((v,))):
        return s
    with at(s.loc):
        stripped = [(v, True) if v is None else _stripped(v) for v in s.values]
    conditions = [c for v, c in stripped if v is not None]
    first = conditions[0] if conditions else True
    if not all(_agree(c, first) for c in conditions):
        raise DefinitionError("the values of a tuple are undef under different conditions", loc=s.loc)
    if not isinstance(first, Expr):
        return s
    pred = first if s.pred is None else Call("land", (s.pred, first))
    return Define(s.args, tuple(v for v, _ in stripped), s.rdom, pred, s.op, s.loc)


def _stripped(e: Expr) -> tuple[Expr | None, Condition]:
    """The value where it is defined (None if it never is), and where that is."""
    if isinstance(e, Undef):
        return None, False
    if not (isinstance(e, Call) and e.op == "select"):
        return e, True
    condition, then, other = e.args
    (a, when_a), (b, when_b) = _stripped(then), _stripped(other)
    if when_a is True and when_b is True:
        return e, True
    value = b if a is None else a if b is None else Call("select", (condition, a, b))
    return value, _either(_both(condition, when_a), _both(Call("lnot", (condition,)), when_b))


def _agree(a: Condition, b: Condition) -> bool:
    return same(a, b) if isinstance(a, Expr) and isinstance(b, Expr) else a is b


def _both(a: Expr, b: Condition) -> Condition:
    return Call("land", (a, b)) if isinstance(b, Expr) else a if b else False


def _either(a: Condition, b: Condition) -> Condition:
    if not isinstance(a, Expr):
        return True if a else b
    return Call("lor", (a, b)) if isinstance(b, Expr) else True if b else a
