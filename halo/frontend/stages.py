"""The stages of one definition as its statements write them: the pure one, then the updates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import DefinitionError, Location
from ..ir.place import at
from ..ir.surface import Access, Call, Define, Expr, Function, Literal, RDom, RVarRef
from ..ir.surface_walk import Rewriter, walk
from .dependence import Element, Loop, conflict, same_element
from .values import and_, merge

__all__ = ["Renamed", "Stage", "Stages", "conjunction", "is_integer", "join"]


@dataclass(eq=False)
class Stage:
    """One update: `f[args] op= values` where all of `conditions` hold, inside the rdom loops `loops`.

    `exact` says that the values are integers, whose sums may be reordered.
    """

    args: tuple[Expr, ...]
    values: tuple[Expr | None, ...]
    op: str | None
    loops: tuple[RDom, ...]
    conditions: tuple[Expr, ...]
    loc: Location
    item: int | None = None
    exact: bool = False

    @property
    def element(self) -> Element:
        return Element(self.args, self.item)

    @property
    def condition(self) -> Expr | None:
        return conjunction(self.conditions)

    def roots(self) -> Iterator[Expr]:
        yield from self.args
        yield from (v for v in self.values if v is not None)
        yield from self.conditions


class Stages:
    """The updates of `target` so far, and when each read of it was made: after how many updates."""

    def __init__(self, target: Function) -> None:
        self.target = target
        self.updates: list[Stage] = []
        self._time: dict[Access, int] = {}

    def read(self, access: Access) -> Access:
        """Note that `access`, of the target itself, was written here."""
        self._time[access] = len(self.updates)
        return access

    def reads(self, roots: Iterable[Expr]) -> Iterator[tuple[Access, int]]:
        """Each read of the target in `roots`, and after how many updates it was made."""
        for e in walk(roots):
            if isinstance(e, Access) and e.target is self.target:
                yield e, self._time.get(e, 0)

    def choose(self, start: int, condition: Expr) -> None:
        """The updates from `start` on are those of an `if` and its `else`. If they are one each, of the same element,
        and cannot run one after the other, make them one that selects its value."""
        if len(self.updates) != start + 2:
            return
        a, b = self.updates[start:]
        alone = a.conditions[-1] is condition and len(a.conditions) == len(b.conditions) and a.loops == b.loops
        if not alone or not same_element(a.element, b.element) or self._clash(b, a, start) is None:
            return
        values = tuple(None if x is None or y is None else merge(condition, x, y)
                       for x, y in zip(self._spelt_out(a), self._spelt_out(b), strict=True))  # fmt: skip
        for access, _ in self.reads(v for v in values if v is not None):
            self._time[access] = min(self._time.get(access, start), start)
        self.updates[start:] = [Stage(a.args, values, None, a.loops, a.conditions[:-1], a.loc, a.item, a.exact)]

    def _spelt_out(self, s: Stage) -> tuple[Expr | None, ...]:
        """What the stage stores: `f[i] + e` for `f[i] += e`."""
        if s.op is None:
            return s.values
        items = (None,) if len(s.values) == 1 else range(len(s.values))
        with at(s.loc):
            return tuple(None if v is None else Call(s.op, (Access(self.target, s.args, k), v))
                         for k, v in zip(items, s.values, strict=True))  # fmt: skip

    def _clash(self, late: Stage, early: Stage, k: int) -> DefinitionError | None:
        """Why running `late` after all of `early` (update k) is not what the loop body that has both says."""
        common = _common(late, early)
        reads = [(Element(a.indices, a.item), time, a.loc) for a, time in self.reads(late.roots())]
        for element, time, loc in reads:
            if time <= k and conflict(early.element, element, common, stale=True):
                return DefinitionError(f"this reads {self.target.name} before the update below it and is used after it",
                                       loc=loc, related=((early.loc, "the update"), (late.loc, "used here")),
                                       hint="one assignment, `f[i] = a if cond else b`; or read it later")  # fmt: skip
        before = [Element(a.indices, a.item) for a, _ in self.reads(early.roots())]
        if not common or (late.exact and not reads and not before and _commute(late, early)):
            return None
        pairs = [(early.element, late.element), *((e, late.element) for e in before)]
        pairs += [(early.element, element) for element, time, _ in reads if time > k]
        if not any(conflict(a, b, common, stale=False) for a, b in pairs):
            return None
        return DefinitionError("two updates of one loop body become two loops, and these cannot: one may touch what "
                               "the other writes at another iteration", loc=late.loc,
                               related=((early.loc, "the other update"),),
                               hint="write two loops, or one update with halo.scatter")  # fmt: skip

    def defines(self) -> tuple[Define, ...]:
        """The updates as the surface has them, nested loops joined to one domain, once they are proven to be that."""
        for n, late in enumerate(self.updates):
            for k, early in enumerate(self.updates[:n]):
                clash = self._clash(late, early, k)
                if clash is not None:
                    raise clash
        return tuple(_define(s) for s in self.updates)


def _common(a: Stage, b: Stage) -> tuple[Loop, ...]:
    """The loops that both stand in, outermost first."""
    shared = [x for x, y in zip(a.loops, b.loops, strict=False) if x is y]
    return tuple((rdom, axis) for rdom in shared for axis in range(len(rdom)))


def _commute(a: Stage, b: Stage) -> bool:
    """Whether both only accumulate, by operators of which any order gives the same integers."""
    sums = {"add", "sub"}
    return (a.op in sums and b.op in sums) or (a.op == b.op and a.op in ("mul", "and", "or", "xor"))


def is_integer(e: Expr) -> bool:
    """Whether `e` is evidently an integer."""
    match e:
        case Literal(value=value, type=type):
            return type.is_int if type is not None else isinstance(value, int) and not isinstance(value, bool)
        case Call(op="cast", data=type):
            return bool(type.is_int)
        case Call(op="select", args=(_, a, b)):
            return is_integer(a) and is_integer(b)
    return False


def _define(stage: Stage) -> Define:
    rdom, renamed = join(stage.loops)
    return renamed.define(Define(stage.args, stage.values, rdom, stage.condition, stage.op, stage.loc))


class Renamed(Rewriter):
    """Puts variables of other domains in place of some."""

    def __init__(self, new: dict[Loop, RVarRef]) -> None:
        super().__init__()
        self._new = new

    def leaf(self, e: Expr) -> Expr | None:
        return self._new.get((e.rdom, e.axis)) if isinstance(e, RVarRef) else None


def join(loops: tuple[RDom, ...]) -> tuple[RDom | None, Renamed]:
    """One domain of all the axes of nested loops, and what puts its variables in place of the loops' own."""
    if len(loops) < 2:
        return (loops[0] if loops else None), Renamed({})
    with at(loops[0].loc):
        whole = RDom(tuple(a for r in loops for a in r.axes), tuple(n for r in loops for n in r.names))
    axes = [(r, axis) for r in loops for axis in range(len(r))]
    return whole, Renamed(dict(zip(axes, whole.vars, strict=True)))


def conjunction(conditions: Iterable[Expr]) -> Expr | None:
    """All of them, the first guarding the next; None if there is none."""
    whole: Expr | None = None
    for c in conditions:
        whole = c if whole is None else and_(whole, c)
    return whole
