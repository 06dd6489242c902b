"""Boxes: what statements and expressions read and write of arrays, under the conditions that are about the same variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from functools import reduce
from itertools import repeat

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Op, Read, Var, reads
from ..ir.facts import const_bounds, free_vars
from ..ir.interval import Range, differences, lower, monotonic, narrow, slacks, solve, upper
from ..ir.linear import parts
from ..ir.stmt import Provide
from ..types import index

End = Expr | None
Box = tuple[tuple[End, End], ...]  # inclusive (lo, hi) an axis; None is unbounded
NOTHING = (Const(2**62, index), Const(-(2**62), index))  # joined with any ends, it is those


class Boxes(dict[tuple[str, Array], Box]):
    """What a statement touches: ("read", array) and ("write", array) -> box, in terms of the variables outside it."""

    def touch(self, kind: str, array: Array, box: Box) -> None:
        key = (kind, array)
        old = self.get(key)
        self[key] = box if old is None else join(old, box)

    def merge(self, other: Boxes) -> Boxes:
        for (kind, array), box in other.items():
            self.touch(kind, array, box)
        return self

    def over(self, r: Range) -> Boxes:
        """The boxes while `r.var` runs over its range."""
        result = Boxes()
        for key, box in self.items():
            result[key] = tuple(
                (None if lo is None else lower(lo, r), None if hi is None else upper(hi, r)) for lo, hi in box
            )
        return result

    def where(self, under: tuple[Expr, ...], value: Expr) -> Boxes:
        """The boxes, in whose ends is the `value` of a variable that was defined where these conditions hold already."""
        said = tuple(c for c in under if not free_vars(c).isdisjoint(free_vars(value)))
        if isinstance(value, Var) or not said:
            return self
        result = Boxes()
        for key, box in self.items():
            result[key] = tuple(
                (None if lo is None else clamped(lo, said)[0], None if hi is None else clamped(hi, said)[1])
                for lo, hi in box
            )
        return result

    def of_inputs(self, values: dict[Var, Expr]) -> Boxes:
        """Those of inputs with variables replaced: what many stages read of one is joined in the same terms."""
        inputs = Boxes({key: box for key, box in self.items() if key[1].kind == "input"})
        return Boxes({**self, **inputs.let(values)})

    def let(self, values: dict[Var, Expr]) -> Boxes:
        memo: dict[Expr, Expr] = {}
        result = Boxes()
        for key, box in self.items():
            result[key] = tuple(
                (
                    None if lo is None else A.substitute(lo, values, memo),
                    None if hi is None else A.substitute(hi, values, memo),
                )
                for lo, hi in box
            )
        return result


def join(a: Box, b: Box) -> Box:
    return tuple(
        (_all(A.minimum, (l1, l2)), _all(A.maximum, (h1, h2))) for (l1, h1), (l2, h2) in zip(a, b, strict=True)
    )


def last_of(lo: Expr, n: Expr) -> Expr:
    return A.sub(A.add(lo, n), Const(1, index))


def extent_of(lo: Expr, hi: Expr) -> Expr:
    """The number of points in lo..hi; zero or less of an empty range."""
    return A.add(A.sub(hi, lo), Const(1, index))


def touched(s: Provide, under: tuple[Expr, ...]) -> Boxes:
    roots = (*s.indices, *(v for v in s.values if v is not None))
    boxes = boxes_of_exprs(roots, under, at=(s.what, s.indices))
    if ("read", s.what) in boxes:
        boxes[("own", s.what)] = boxes.pop(("read", s.what))
        own = {*s.what.mins, *s.what.extents}
        free = tuple(c for c in under if own.isdisjoint(free_vars(c)))
        whole = boxes_of_exprs(roots, free, at=(s.what, s.indices))[("read", s.what)]
        others = [e.indices for e in reads(roots) if e.array is s.what]
        still = [all(i[d] is at for i in others) for d, at in enumerate(s.indices)]
        boxes[("self", s.what)] = tuple(NOTHING if same else ends for same, ends in zip(still, whole, strict=True))
    boxes.touch(
        "write", s.what, tuple(map(_masked, box_of(s.indices, under), s.indices, *_region_of(s.what), repeat(under)))
    )
    return boxes


def _region_of(a: Array) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    """The first and last point of the region, axis by axis."""
    return a.mins, tuple(map(last_of, a.mins, a.extents))


def _masked(ends: tuple[End, End], i: Expr, first: Expr, last: Expr, under: tuple[Expr, ...]) -> tuple[End, End]:
    """The ends of a constant index that is stored at only where it is in the region."""
    if not isinstance(i, Const):
        return ends
    return A.maximum(i, first) if A.le(first, i) in under else i, A.minimum(i, last) if A.le(i, last) in under else i


def boxes_of_exprs(
    roots: Iterable[Expr], under: tuple[Expr, ...], at: tuple[Array, tuple[Expr, ...]] | None = None
) -> Boxes:
    """The boxes of all reads under `roots`; a read at the very index that is being stored (`at`) needs nothing more."""
    boxes = Boxes()
    points: dict[tuple[Array, tuple[Expr, ...]], list[tuple[Expr, ...]]] = {}
    for e in reads(roots):
        if e.array.kind != "table" and at != (e.array, e.indices):
            conditions = under if e.pred is None else (*under, *A.conjuncts(e.pred))
            points.setdefault((e.array, conditions), []).append(e.indices)
    for (array, conditions), indices in points.items():
        boxes.touch("read", array, tuple(_hull(axis, conditions) for axis in zip(*indices, strict=True)))
    return boxes


def _hull(indices: Iterable[Expr], under: tuple[Expr, ...]) -> tuple[End, End]:
    """(lo, hi) of all of `indices`; of those that differ by constants, the first and the last have them."""
    first: dict[object, Expr] = {}
    last: dict[object, Expr] = {}
    for i in dict.fromkeys(indices):
        terms, _ = parts(i)
        first[terms] = min(first.get(terms, i), i, key=_constant)
        last[terms] = max(last.get(terms, i), i, key=_constant)
    lows = [clamped(i, under)[0] for i in _decided(A.minimum, first.values())]
    highs = [clamped(i, under)[1] for i in _decided(A.maximum, last.values())]
    return _all(A.minimum, lows), _all(A.maximum, highs)


def _all(extreme: Callable[[Expr, Expr], Expr], ends: Iterable[End]) -> End:
    return reduce(lambda a, b: None if a is None or b is None else extreme(a, b), ends)


def _decided(extreme: Callable[[Expr, Expr], Expr], indices: Iterable[Expr]) -> list[Expr]:
    """`indices`, with one expression for those whose extreme is known: conditions then say of it what they say of none."""
    kept: list[Expr] = []
    for i in indices:
        for k, other in enumerate(kept):
            both = extreme(i, other)
            if not any(isinstance(atom, Op) and atom.name in ("min", "max") for atom, _ in parts(both)[0]):
                kept[k] = both
                break
        else:
            kept.append(i)
    return kept


def _constant(e: Expr) -> int:
    return parts(e)[1]


def box_of(indices: tuple[Expr, ...], under: tuple[Expr, ...]) -> Box:
    return tuple(clamped(i, under) for i in indices)


def clamped(i: Expr, under: tuple[Expr, ...]) -> tuple[End, End]:
    """(lo, hi) of the single index `i` where the conditions hold: what they say of its variables, said of it."""
    if isinstance(i, Const):
        return i, i
    lo, hi = _data_bounds(i)
    said = [_jointly((lo, hi), free_vars(i), under)]
    for c in under:
        if not isinstance(c, Op) or c.name not in ("le", "eq") or c.args[0].type is not index:
            continue
        said += _said_of(i, c)
    for low, high in said:
        if low is not None:
            lo = low if lo is None else A.maximum(lo, low)
        if high is not None:
            hi = high if hi is None else A.minimum(hi, high)
    return lo, hi


def _jointly(ends: tuple[End, End], variables: Set[Expr], under: tuple[Expr, ...]) -> tuple[End, End]:
    """The ends of an index where conditions on several of its variables hold at once, as 1 <= y and 1 <= x of those of
    `(28*y + x - 29)//28`: padding seen through a reshape."""
    ranges: list[Range] = []
    for v in variables:
        assert isinstance(v, Var)
        r = reduce(lambda r, c: _narrowed(r, c, variables), under, Range(v, None, None))
        if (r.lo, r.hi) != (None, None):
            ranges.append(r)
    if len(ranges) < 2:  # what one of them says is said of the index anyway
        return None, None
    lo, hi = ends
    for r in ranges:
        low, high = (None if lo is None else lower(lo, r)), (None if hi is None else upper(hi, r))
        lo, hi = (lo if low is None else low), (hi if high is None else high)
    return lo, hi


def _narrowed(r: Range, c: Expr, variables: Set[Expr]) -> Range:
    """`r` where the comparison `c` holds, too, as far as that is said without `variables`."""
    if not isinstance(c, Op) or c.name not in ("le", "eq") or c.args[0].type is not index or r.var not in free_vars(c):
        return r
    said = narrow(c, Range(r.var, None, None))
    low, high = (None if e is None or not variables.isdisjoint(free_vars(e)) else e for e in (said.lo, said.hi))
    lo = r.lo if low is None else low if r.lo is None else A.maximum(r.lo, low)
    hi = r.hi if high is None else high if r.hi is None else A.minimum(r.hi, high)
    return Range(r.var, lo, hi)


def _said_of(i: Expr, c: Op) -> Iterator[tuple[End, End]]:
    """Ends of `i` where the comparison `c` holds, for each variable (or value of an array, or remainder) that both are about.

    Where one of them says it in terms of none of them (`64*a + b < n` of `64*a + b`), what the others say, rounded to
    multiples of 64, is left out: it would hide that once the variables are eliminated one by one."""
    shared = free_vars(c) & free_vars(i)
    said: list[tuple[End, End]] = []
    for v in shared:
        assert isinstance(v, Var)
        direction, r = monotonic(i, v), narrow(c, Range(v, None, None))
        if direction is None:  # of a row of a fused loop, say: e//n, where only a call knows n
            said.append((None if r.lo is None else lower(i, r), None if r.hi is None else upper(i, r)))
        if direction:
            ends = [None if end is None else A.substitute(i, {v: end}) for end in (r.lo, r.hi)]
            said.append((ends[0], ends[1]) if direction > 0 else (ends[1], ends[0]))
    said += [_of_multiple(i, slack) for slack in slacks(c)]

    def is_closed(ends: tuple[End, End]) -> bool:
        return ends != (None, None) and all(e is None or shared.isdisjoint(free_vars(e)) for e in ends)

    yield from list(filter(is_closed, said)) or said
    terms, _ = parts(i)
    opaque = [(atom, k) for atom, k in terms if not isinstance(atom, Var)]  # values of arrays, remainders, ...
    if len(opaque) == 1:
        atom, k = opaque[0]
        rest = A.sub(i, A.mul(atom, Const(k, index)))
        for slack in dict.fromkeys((*differences(c), *slacks(c))):
            first, last = (None if e is None else A.add(rest, A.mul(e, Const(k, index))) for e in solve(slack, atom))
            both = (first, last) if k > 0 else (last, first)
            if is_closed(both) or not is_closed(_of_multiple(i, slack)):
                yield both


def _of_multiple(i: Expr, slack: Expr) -> tuple[End, End]:
    """Ends of `i` where 0 <= slack, as far as that is about a multiple of it: 0 <= k*i + rest."""
    terms = dict(parts(slack)[0])
    atom, q = next(((atom, q) for atom, q in parts(i)[0] if atom in terms), (i, 0))
    if q == 0:
        return None, None
    k = terms[atom] * (1 if q > 0 else -1)
    rest = A.sub(A.mul(slack, Const(abs(q), index)), A.mul(i, Const(k, index)))
    if k > 0:
        return A.neg(A.floordiv(rest, Const(k, index))), None
    return None, A.floordiv(rest, Const(-k, index))


def implied(conditions: tuple[Expr, ...], made: Set[Expr], loops: Set[Expr]) -> Iterator[Expr]:
    """What `conditions` together say of variables of `loops`, without those of `made`, which are made of several: t < n - 1
    where t < x and x < n, for x = 8*xo + xi. One by one, these would be eliminated over all of their ranges."""
    comparisons = [c for c in conditions if isinstance(c, Op) and c.name in ("le", "eq") and c.args[0].type is index]
    for c in comparisons:
        for v in free_vars(c) & made:
            others = (free_vars(c) & loops) - {v}
            for o in comparisons if others else ():
                if o is c or v not in free_vars(o) or not others.isdisjoint(free_vars(o)):
                    continue
                assert isinstance(v, Var)
                r = narrow(o, Range(v, None, None))
                for slack in (s for s in slacks(c) if v in free_vars(s)):
                    end, rest = upper(slack, r), (free_vars(slack) | free_vars(o)) - {v}
                    if end is not None and rest <= free_vars(end):  # else it would not be seen what it depends on
                        yield A.le(Const(0, index), end)


def _data_bounds(i: Expr) -> tuple[End, End]:
    """The ends of `i` when what it reads from arrays may be any value of its type."""
    unknown: dict[Expr, Expr] = {}

    def hide(e: Expr) -> Expr | None:
        if not isinstance(e, Read):
            return None
        low, high = const_bounds(e)
        unknown[e] = Var("data", e.type, low, high)
        return unknown[e]

    hidden = A.rewrite(i, hide, {})
    lo: End = hidden
    hi: End = hidden
    for v in unknown.values():
        assert isinstance(v, Var)
        r = Range(v, None, None)
        lo, hi = (None if lo is None else lower(lo, r)), (None if hi is None else upper(hi, r))
    return lo, hi
