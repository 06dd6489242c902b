"""Matching: whether loops are what an intrinsic means, up to names, the order of loops and operands, and affine indices.

A tile is the loops from the outermost tensorised one in, down to the one store that they run. Its loops are paired with
those of the meaning: stored indices tell which are its `vars`; then the stored value is compared with the meaning's node
by node. An operand of the meaning stands for any expression of its type that varies in its loops alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations, product

from ..ir import algebra as A
from ..ir.expr import Cast, Const, Expr, Load, Op, Read, Var, walk
from ..ir.facts import const_bounds, free_vars
from ..ir.intrinsic import Meaning, Operand
from ..ir.linear import parts
from ..ir.stmt import For, If, Let, Provide, Stmt, Store, Stream

__all__ = ["Difference", "Fit", "Tile", "fit", "is_injective", "tile_of"]

_COMMUTES = {"add", "mul", "min", "max", "and", "or", "xor"}


@dataclass(frozen=True)
class Tile:
    """The `loops` of a tile, outermost first, the conditions between them, and the store inside: `own` is the element
    that is stored to, as it is read, at `indices`, and `value` what is stored. `tail`: the conditions of split loops."""

    loops: tuple[For, ...]
    conditions: tuple[Expr, ...]
    tail: tuple[Expr, ...]
    store: Provide | Store
    own: Expr
    indices: tuple[Expr, ...]
    value: Expr


@dataclass(frozen=True)
class Difference:
    """Where a tile first differs: the nodes of the meaning and of the tile, and why they do not fit."""

    wanted: Expr | None
    found: Expr | None
    reason: str


@dataclass
class Fit:
    """A tile that fits: the loop of each of the meaning's, and what its operands stand for. `matched` counts nodes."""

    loops: Mapping[Var, For]
    operands: dict[Operand, Expr] = field(default_factory=dict)
    matched: int = 0


def tile_of(s: Stmt) -> Tile | Stmt:
    """The tile that `s` is, definitions inside put in their places; else the statement inside that makes it none."""
    loops: list[For] = []
    conditions: list[Expr] = []
    tail: list[Expr] = []
    values: dict[Var, Expr] = {}
    while not isinstance(s, (Provide, Store)):
        if isinstance(s, For) and s.kind == "tensorize":
            loops.append(s)
            s = s.body
        elif isinstance(s, Let):
            values[s.var] = A.substitute(s.value, values)
            s = s.body
        elif isinstance(s, Stream):
            s = s.body
        elif isinstance(s, If) and s.orelse is None:
            (tail if s.likely else conditions).append(A.substitute(s.cond, values))
            s = s.then
        else:
            return s
    stored = [k for k, v in enumerate(s.values) if v is not None] if isinstance(s, Provide) else [0]
    if len(stored) > 1 or s.pred is not None:
        return s
    own: Expr
    if isinstance(s, Provide):
        indices = tuple(A.substitute(i, values) for i in s.indices)
        own, value = Read(s.what, indices, stored[0]), s.values[stored[0]]
        assert value is not None
    else:
        indices = (A.substitute(s.index, values),)
        own, value = Load(s.buffer, indices[0]), s.value
    return Tile(tuple(loops), tuple(conditions), tuple(tail), s, own, indices, A.substitute(value, values))


def fit(tile: Tile, meaning: Meaning) -> Fit | Difference:
    """How `tile` is the `meaning`, or where it is not. Lengths that are no constants yet, of promised bounds, may fit."""
    best: tuple[int, Difference] | None = None
    for loops in _pairings(tile, meaning):
        found = Fit(loops)
        difference = _Matcher(tile, meaning, found).match(meaning.value, tile.value)
        if difference is None:
            return found
        if best is None or found.matched > best[0]:
            best = found.matched, difference
    if best is not None:
        return best[1]
    return Difference(None, None, "its loops do not pair with those of the meaning: of each there must be as many in the "
                      "stored indices, of the same lengths")  # fmt: skip


def _pairings(tile: Tile, m: Meaning) -> Iterator[dict[Var, For]]:
    """The loop of the tile for each of the meaning's, in every way that their lengths allow."""
    stored = frozenset[Expr]().union(*map(free_vars, tile.indices))
    pure = [s for s in tile.loops if s.var in stored]
    reduced = [s for s in tile.loops if s.var not in stored]
    if len(pure) != len(m.vars) or len(reduced) != len(m.rvars):
        return
    orders = permutations(reduced) if _adds_up(m) else [tuple(reduced)]
    for p, r in product(permutations(pure), orders):
        pairs = dict(zip((*m.vars, *m.rvars), (*p, *r), strict=True))
        if all(not isinstance(s.extent, Const) or s.extent.value == m.extents[v] for v, s in pairs.items()):
            yield pairs


def _adds_up(m: Meaning) -> bool:
    """Whether the terms may come in any order: they are folded by an operation that commutes, and does not round."""
    e = m.value
    folded = isinstance(e, Op) and e.name in _COMMUTES and not e.type.is_float
    own = [
        a
        for a in (e.args if isinstance(e, Op) else ())
        if any(isinstance(x, Read) and x.array is m.own for x in walk((a,)))
    ]
    return folded and len(own) == 1 and isinstance(own[0], Read)


def is_injective(tile: Tile) -> bool:
    """Whether different iterations of the loops that stored indices depend on store to different places: the indices are
    affine, and their steps do not overlap."""
    stored = frozenset[Expr]().union(*map(free_vars, tile.indices))
    left: dict[Expr, For] = {s.var: s for s in tile.loops if s.var in stored}
    for i in tile.indices:
        steps = []
        for atom, k in parts(i)[0]:
            if atom in left:
                extent = left.pop(atom).extent
                steps.append((abs(k), extent.value if isinstance(extent, Const) else 0))
            elif any(s.var in free_vars(atom) for s in tile.loops):
                return False
        reach = 0
        for step, n in sorted(steps):
            if step <= reach or (not n and len(steps) > 1):
                return False
            reach += step * (n - 1)
    return not left


class _Matcher:
    def __init__(self, tile: Tile, meaning: Meaning, found: Fit) -> None:
        self.tile, self.meaning, self.found = tile, meaning, found
        self.arrays = {o.array: o for o in meaning.operands}
        self.inside = {s.var: v for v, s in found.loops.items()}

    def match(self, p: Expr, e: Expr) -> Difference | None:
        """Compare node `p` of the meaning with `e`; note what operands stand for."""
        if isinstance(p, Read):
            difference = self._own(p, e) if p.array is self.meaning.own else self._operand(p, e)
        elif isinstance(p, Const):
            same = isinstance(e, Const) and e.type is p.type and e.value == p.value
            difference = None if same else Difference(p, e, "another constant")
        elif isinstance(p, Cast):
            if not (isinstance(e, Cast) and e.type is p.type):
                return self._other(p, e, f"not converted to {p.type!r}")
            difference = self.match(p.value, e.value)
        elif isinstance(p, Op):
            return self._op(p, e)
        else:
            difference = Difference(p, e, "another expression")
        self.found.matched += difference is None
        return difference

    def _other(self, p: Expr, e: Expr, reason: str) -> Difference:
        return Difference(p, e, reason if e.type is p.type else f"{e.type!r}, not {p.type!r}")

    def _op(self, p: Op, e: Expr) -> Difference | None:
        e = _widened(e)
        if isinstance(e, Op) and e.name == "fma" and p.name == "add":  # a product and a sum, contracted at capture
            product = Op("mul", e.args[:2], e.type)
            return self._either(p.args, (product, e.args[2]))
        if not (isinstance(e, Op) and e.name == p.name and e.data == p.data and len(e.args) == len(p.args)):
            return self._other(p, e, "another operation")
        self.found.matched += 1
        if e.type is not p.type:
            return self._other(p, e, "")
        return self._either(p.args, e.args) if p.name in _COMMUTES else self._all(p.args, e.args)

    def _all(self, ps: tuple[Expr, ...], es: tuple[Expr, ...]) -> Difference | None:
        for p, e in zip(ps, es, strict=True):
            difference = self.match(p, e)
            if difference is not None:
                return difference
        return None

    def _either(self, ps: tuple[Expr, ...], es: tuple[Expr, ...]) -> Difference | None:
        """As they stand, or turned round; the way that goes further tells the difference."""
        kept, before = dict(self.found.operands), self.found.matched
        best: tuple[int, Difference] | None = None
        for order in (es, es[::-1]):
            self.found.operands, self.found.matched = dict(kept), before
            difference = self._all(ps, order)
            if difference is None:
                return None
            if best is None or self.found.matched > best[0]:
                best = self.found.matched, difference
        assert best is not None
        self.found.matched = best[0]
        return best[1]

    def _own(self, p: Read, e: Expr) -> Difference | None:
        return None if e is self.tile.own else self._other(p, e, "not the place that is stored to")

    def _operand(self, p: Read, e: Expr) -> Difference | None:
        o = self.arrays[p.array]
        if e.type is not o.type:
            return Difference(p, e, f"{e.type!r}, not {o.type!r}")
        varies = {
            self.inside[v].name: v.name for v in free_vars(e) if v in self.inside and self.inside[v] not in o.indices
        }
        if varies:
            name = next(iter(varies.values()))
            return Difference(p, e, f'it varies with "{name}"')
        if any(_reads_same(x, self.tile.own) for x in walk((e,))):
            return Difference(p, e, "it reads what is being stored to")
        if any(isinstance(x, Op) and x.name in ("require", "print", "call") for x in walk((e,))):
            return Difference(p, e, "it does more than compute")
        if self.found.operands.setdefault(o, e) is not e:
            return Difference(p, e, f"{p.array.name} is something else elsewhere")
        return None


def _widened(e: Expr) -> Expr:
    """Of integers, a sum or product that is converted, where converting the operands first gives the same."""
    if not (isinstance(e, Cast) and isinstance(e.value, Op) and e.value.name in ("add", "sub", "mul")):
        return e
    narrow = e.value.type
    if narrow.is_float or e.type.is_float or narrow.is_bool or e.type.bits < narrow.bits:
        return e
    wide = Op(e.value.name, tuple(A.cast(a, e.type) for a in e.value.args), e.type)
    lo, hi = const_bounds(wide)
    return wide if lo is not None and hi is not None and narrow.min <= lo and hi <= narrow.max else e


def _reads_same(e: Expr, own: Expr) -> bool:
    if isinstance(own, Read):
        return isinstance(e, Read) and e.array is own.array
    return isinstance(e, Load) and isinstance(own, Load) and e.buffer is own.buffer
