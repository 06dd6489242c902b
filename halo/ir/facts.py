"""What is known of an expression without any context: its constant bounds and its free variables. Cached on the node."""

from __future__ import annotations

import math
from typing import Any

from ..types import Type, index
from .expr import Array, Broadcast, Cast, Const, Expr, Lin, Op, Ramp, Read, Var, children
from .linear import linear, parts

Bounds = tuple[Any, Any]  # (lo, hi): Python numbers, inclusive; None is unbounded
UNBOUNDED: Bounds = (None, None)
LOOSE = 2**20  # as good as no bound: it comes from the shape of some array
CASES = 64  # of a sum, told apart by the arms of what is in it; their number is exponential in its size


def free_vars(e: Expr) -> frozenset[Expr]:
    """The variables that `e` mentions."""
    if isinstance(e, Var):
        return frozenset((e,))  # not kept: it would be a cycle
    free: frozenset[Expr] | None = getattr(e, "cached_free", None)
    if free is None:
        sets = [s for c in children(e) if (s := free_vars(c))]
        free = e.cached_free = sets[0].union(*sets[1:]) if sets else frozenset()
    return free


def arrays_read(e: Expr) -> frozenset[Array]:
    """The arrays that `e` reads."""
    try:
        return e.cached_arrays
    except AttributeError:
        pass
    sets = [s for c in children(e) if (s := arrays_read(c))]
    if isinstance(e, Read):
        sets.append(frozenset((e.array,)))
    e.cached_arrays = frozenset() if not sets else sets[0].union(*sets[1:])
    return e.cached_arrays


def const_bounds(e: Expr) -> Bounds:
    """Constant (lo, hi) that `e` lies in, whatever its variables are; for vectors, of every lane."""
    try:
        return e.cached_bounds  # type: ignore[no-any-return]  # a cache on the node, of any type
    except AttributeError:
        pass
    e.cached_bounds = _within(e.type, *_bounds(e))
    return e.cached_bounds  # type: ignore[no-any-return]  # a cache on the node, of any type


def _within(type: Type, lo: Any, hi: Any) -> Bounds:
    """Intersect with the type's own range, when the bounds come from operations that cannot leave it."""
    if type is index or type.is_float:
        return lo, hi
    return (type.min if lo is None else max(lo, type.min)), (type.max if hi is None else min(hi, type.max))


def _bounds(e: Expr) -> Bounds:
    if isinstance(e, Const):
        return (e.value, e.value) if e.value == e.value else UNBOUNDED
    if isinstance(e, Var):
        return e.lo, e.hi
    if isinstance(e, Lin):
        return _lin(e)
    if isinstance(e, Op):
        rule = _RULES.get(e.name)
        if rule is None:
            return UNBOUNDED
        return _representable(e.type, *rule(*(const_bounds(a) for a in e.args)))
    if isinstance(e, Cast):
        return _cast(e)
    if isinstance(e, Broadcast):
        return const_bounds(e.value)
    if isinstance(e, Ramp):
        return _representable(e.type, *_add(const_bounds(e.base), _mul(const_bounds(e.stride), (0, e.n - 1))))
    if isinstance(e, Read) and e.array.table is not None and e.array.table.size and not e.type.is_float:
        return int(e.array.table.min()), int(e.array.table.max())
    return UNBOUNDED


def _representable(type: Type, lo: Any, hi: Any) -> Bounds:
    """A wrapping operation whose exact result may leave the type says nothing."""
    if type is index or type.is_float or type.is_bool:
        return lo, hi
    return (lo, hi) if lo is not None and hi is not None and type.min <= lo and hi <= type.max else UNBOUNDED


def _cast(e: Cast) -> Bounds:
    lo, hi = const_bounds(e.value)
    if e.type.is_bool:
        return 0, 1
    if e.value.type.is_float and not e.type.is_float:  # saturates; NaN gives 0
        lo = None if lo is None or lo == -math.inf else min(math.trunc(lo), 0)
        hi = None if hi is None or hi == math.inf else max(math.trunc(hi), 0)
        return (e.type.min if lo is None else max(lo, e.type.min)), (e.type.max if hi is None else min(hi, e.type.max))
    if e.type is index and e.value.type.bits >= 32 and not e.value.type.is_float:
        wide = e.value.type
        return (None if lo is None or lo <= wide.min else lo), (None if hi is None or hi >= wide.max else hi)
    return _representable(e.type, lo, hi)


def _lin(e: Lin) -> Bounds:
    lo: Any = e.const
    hi: Any = e.const
    for atom, k in e.terms:
        a, b = const_bounds(atom)
        if k < 0:
            a, b = b, a
        lo = None if lo is None or a is None else lo + k * a
        hi = None if hi is None or b is None else hi + k * b
    if (
        len(e.terms) > 1
        and (lo is None or hi is None or lo <= -LOOSE or hi >= LOOSE)
        and _cases(e) <= CASES
        and not _is_anything(e)
    ):
        lo, hi = _tighter((lo, hi), _lin_by_cases(e))
    return lo, hi


def _is_anything(e: Lin) -> bool:
    """Whether some unbounded variable stands alone in the sum: no case cancels it."""
    loose = [atom for atom, _ in e.terms if isinstance(atom, Var) and atom.lo is None and atom.hi is None]
    return bool(loose) and not all(
        any(v in free_vars(atom) for atom, _ in e.terms if not isinstance(atom, Var)) for v in loose
    )


def _lin_by_cases(e: Lin) -> Bounds:
    """Sums with a min, max, select or division in them, whose terms cancel once it is taken apart:
    `min(a, b) + r` lies in the min of the bounds of `a + r` and `b + r`; `c*(x//c)` in `x - (c-1) .. x`."""
    for k, (atom, coef) in enumerate(e.terms):
        if not isinstance(atom, Op):
            continue
        rest = e.terms[:k] + e.terms[k + 1 :]
        if atom.name in ("min", "max", "select"):
            cases = []
            for arm in atom.args[-2:]:
                terms, c = parts(arm)
                cases.append(const_bounds(linear((*rest, *((x, q * coef) for x, q in terms)), e.const + c * coef)))
            (l1, h1), (l2, h2) = cases
            pick = atom.name if coef > 0 else {"min": "max", "max": "min"}.get(atom.name, "select")
            if pick == "min":
                return _low(l1, l2), _least(h1, h2)
            if pick == "max":
                return _most(l1, l2), _high(h1, h2)
            return _low(l1, l2), _high(h1, h2)
        if atom.name == "floordiv" and isinstance(atom.args[1], Const):
            c = atom.args[1].value
            # x//c - y//c lies between the floor and the ceiling of (x - y)/c
            for j, (other, back) in enumerate(rest):
                if (
                    back == -coef
                    and coef > 0
                    and isinstance(other, Op)
                    and other.name == "floordiv"
                    and other.args[1] is atom.args[1]
                ):
                    ends = const_bounds(_minus(atom.args[0], other.args[0]))
                    apart = (None if ends[0] is None else ends[0] // c), (None if ends[1] is None else -(-ends[1] // c))
                    return _add(_mul((coef, coef), apart), const_bounds(linear(rest[:j] + rest[j + 1 :], e.const)))
            if c > 0:  # c*(coef*(x//c) + rest) is coef*x + c*rest, less up to coef*(c - 1)
                terms, k0 = parts(atom.args[0])
                scaled = ((x, p * c) for x, p in rest)
                lo, hi = const_bounds(linear((*scaled, *((x, p * coef) for x, p in terms)), e.const * c + k0 * coef))
                slack = coef * (c - 1)
                lowest, highest = (
                    (None if lo is None else lo - max(slack, 0)),
                    (None if hi is None else hi - min(slack, 0)),
                )
                return (None if lowest is None else -(-lowest // c)), (None if highest is None else highest // c)
    return UNBOUNDED


def _cases(e: Expr) -> int:
    """How many sums `_lin_by_cases` comes to look at for the bounds of `e`, no more than just over `CASES`."""
    try:
        return e.cached_cases
    except AttributeError:
        pass
    n = 1
    if isinstance(e, Lin):
        n = min(math.prod(_cases(atom) for atom, _ in e.terms), CASES + 1)
    elif isinstance(e, Op) and e.name in ("min", "max", "select"):
        n = min(sum(_cases(arm) for arm in e.args[-2:]), CASES + 1)
    elif isinstance(e, Op) and e.name == "floordiv":
        n = _cases(e.args[0])
    e.cached_cases = n
    return n


def _minus(a: Expr, b: Expr) -> Expr:
    (ta, ca), (tb, cb) = parts(a), parts(b)
    return linear((*ta, *((x, -k) for x, k in tb)), ca - cb)


def _tighter(a: Bounds, b: Bounds) -> Bounds:
    return _most(a[0], b[0]), _least(a[1], b[1])


def _low(a: Any, b: Any) -> Any:  # both must hold it
    return None if a is None or b is None else min(a, b)


def _high(a: Any, b: Any) -> Any:
    return None if a is None or b is None else max(a, b)


def _least(a: Any, b: Any) -> Any:  # either one suffices
    return b if a is None else a if b is None else min(a, b)


def _most(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else max(a, b)


# One rule an operation: bounds of the operands -> bounds of the exact (unwrapped) result ------------------------------


def _add(a: Bounds, b: Bounds) -> Bounds:
    return (
        None if a[0] is None or b[0] is None else a[0] + b[0],
        None if a[1] is None or b[1] is None else a[1] + b[1],
    )


def _sub(a: Bounds, b: Bounds) -> Bounds:
    return _add(a, _neg(b))


def _neg(a: Bounds) -> Bounds:
    return (None if a[1] is None else -a[1]), (None if a[0] is None else -a[0])


def _mul(a: Bounds, b: Bounds) -> Bounds:
    if None in a or None in b:
        if a[0] is not None and b[0] is not None and a[0] >= 0 and b[0] >= 0:
            return a[0] * b[0], None
        return UNBOUNDED
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def _floordiv(a: Bounds, b: Bounds) -> Bounds:
    if None in b or b[0] <= 0 or any(isinstance(x, float) for x in (*a, *b)):
        return UNBOUNDED
    lo = None if a[0] is None else min(a[0] // b[0], a[0] // b[1])
    hi = None if a[1] is None else max(a[1] // b[0], a[1] // b[1])
    return lo, hi


def _mod(a: Bounds, b: Bounds) -> Bounds:
    if any(isinstance(x, float) for x in (*a, *b)):
        return UNBOUNDED
    lo = 0 if b[0] is not None and b[0] >= 0 else None if b[0] is None else b[0] + 1
    hi = None if b[1] is None else max(b[1] - 1, 0)
    if a[0] is not None and a[0] >= 0 and a[1] is not None and lo == 0:
        hi = _least(hi, a[1])
    return lo, hi


def _min(a: Bounds, b: Bounds) -> Bounds:
    return _low(a[0], b[0]), _least(a[1], b[1])


def _max(a: Bounds, b: Bounds) -> Bounds:
    return _most(a[0], b[0]), _high(a[1], b[1])


def _select(c: Bounds, a: Bounds, b: Bounds) -> Bounds:
    return _low(a[0], b[0]), _high(a[1], b[1])


def _abs(a: Bounds) -> Bounds:
    if None in a:
        return UNBOUNDED
    return (0 if a[0] <= 0 <= a[1] else min(abs(a[0]), abs(a[1]))), max(abs(a[0]), abs(a[1]))


def _and(a: Bounds, b: Bounds) -> Bounds:
    tops = [hi for lo, hi in (a, b) if lo is not None and lo >= 0 and hi is not None]
    return (0, min(tops)) if tops else UNBOUNDED


def _shr(a: Bounds, b: Bounds) -> Bounds:
    if None in a or None in b or b[0] < 0:
        return UNBOUNDED
    corners = [x >> min(s, 64) for x in a for s in b]
    return min(corners), max(corners)


def _shl(a: Bounds, b: Bounds) -> Bounds:
    if None in a or None in b or b[0] < 0 or b[1] > 64:
        return UNBOUNDED
    corners = [x << s for x in a for s in b]
    return min(corners), max(corners)


def _rounding(f: Any) -> Any:
    def rule(a: Bounds) -> Bounds:
        return tuple(None if x is None or math.isinf(x) else float(f(x)) for x in a)  # type: ignore[return-value]  # two ends in, two ends out

    return rule


def _truth(*_: Bounds) -> Bounds:
    return 0, 1


_RULES: dict[str, Any] = {
    "add": _add, "sub": _sub, "neg": _neg, "mul": _mul, "floordiv": _floordiv, "mod": _mod, "min": _min, "max": _max,
    "select": _select, "rare": _select, "abs": _abs, "and": _and, "shr": _shr, "shl": _shl,
    "eq": _truth, "ne": _truth, "lt": _truth, "le": _truth,
    "floor": _rounding(math.floor), "ceil": _rounding(math.ceil), "trunc": _rounding(math.trunc), "round": _rounding(round),
    "popcount": lambda a: (0, 64), "clz": lambda a: (0, 64), "ctz": lambda a: (0, 64),
}  # fmt: skip
