"""The stages that some outputs need, before types are known: their order, their names, the inputs that they share."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

from ..errors import DefinitionError, Location
from ..ir.shapes import Extents, shown
from ..ir.surface import (
    Access,
    Call,
    Define,
    Expr,
    Extent,
    Function,
    Indexable,
    IndexVar,
    Input,
    Literal,
    Param,
    Table,
)
from ..ir.surface_walk import base, roots, walk
from ..types import Type
from .externs import Regions, Sorting, box_names, extern_regions
from .scans import Scan, members

__all__ = ["TABLE_BYTES", "Argument", "Graph", "input_along", "reads", "regions"]

TABLE_BYTES = 1 << 16  # the largest constant array that is embedded in the code


@dataclass(frozen=True)
class Argument:
    """An input as all the stages of a pipeline that name it agree on it. `ndim` None: a scalar."""

    name: str
    source: Input | Param
    type: Type | None
    ndim: int | None
    contiguous: bool = False
    default: Any = None
    loc: Location | None = None
    shape: Extents | None = None


@dataclass(frozen=True)
class Uses:
    """What one Func's definitions name, in order of first reading."""

    functions: tuple[Function, ...]
    inputs: tuple[Input | Param, ...]
    tables: tuple[Table, ...]
    ranks: tuple[tuple[Input, int, Location | None], ...]  # how often inputs are subscripted, and where


def stages(f: Function) -> tuple[Define, ...]:
    """The pure stage, if it is written, and the updates of `f`."""
    d = f.definitions
    return d.updates if d.pure is None else (d.pure, *d.updates)


def reads(f: Function) -> Iterable[Access]:
    """Every access in the definitions of `f`, in order of first reading."""
    return (e for e in walk(mentioned(f)) if isinstance(e, Access))


def mentioned(f: Function) -> Iterable[Expr]:
    """The expressions that the definitions of `f` are made of; of an extern stage, the bounds of what it reads too."""
    bounds = () if f.external is None else (e for box in regions(f) for pair in box for e in pair)
    return itertools.chain((e for s in stages(f) for e in roots(s)), bounds)


def regions(f: Function) -> Regions:
    """What the extern stage `f` reads of each input, in terms of the index variables lo0, n0, lo1, n1, ... of its box."""
    external = f.external
    if not isinstance(external, Sorting):
        return extern_regions(f)
    assert f.ndim is not None
    (target,), axis = external.inputs, external.function.axis
    box: list[tuple[Expr, Expr]] = [(IndexVar(lo), IndexVar(n)) for lo, n in box_names(f.ndim)]
    box[axis] = external.whole or (Literal(0), _extent(f, target, axis))
    return (tuple(box),)


def _extent(f: Function, target: Indexable, axis: int) -> Expr:
    """The extent of `axis` of an input; of a Func, that of the input that it has it from, as in a call."""
    if not isinstance(target, Function):
        return Extent(target, axis)
    found = inputs_along(target, target.definitions.vars[axis])
    if not found:
        raise DefinitionError(f"nothing says how long axis {axis} of {target.name} is", loc=f.loc,
                              hint="bounds=(lo, n)")  # fmt: skip
    order = {i.name: k for k, i in enumerate(target.definitions.inputs)}
    return Extent(*min(found, key=lambda place: order.get(place[0].name, len(order))))


def input_along(f: Function, variable: str, graph: Graph) -> tuple[str, int] | None:
    """The input axis (its name and number) whose extent the axis `variable` of `f` has: of the first input, in the order
    of the graph's, that is subscripted by the plain variable, also through producers that are read at it."""
    order = {name: k for k, name in enumerate(graph.arguments)}
    found = [(i.name, axis) for i, axis in inputs_along(f, variable)]
    return min(found, key=lambda place: order[place[0]], default=None)


def inputs_along(f: Function, variable: str, but: Container[Function] = ()) -> list[tuple[Input, int]]:
    """The input axes that are subscripted by the plain variable `variable` of `f`, also through producers `but` some."""
    found: list[tuple[Input, int]] = []
    seen = {(f, variable)}
    todo = [(f, variable)]
    while todo:
        f, v = todo.pop(0)
        if f.scan is not None and v == f.definitions.vars[0]:  # its steps are as many as it says
            n = f.scan.length
            found += [(n.target, n.axis)] if isinstance(n, Extent) and isinstance(n.target, Input) else []
        for access in walk(e for s in stages(f) for e in roots(s)):
            if not isinstance(access, Access):
                continue
            target = base(access.target)
            for axis, e in enumerate(access.indices):
                if _plain(e) != v or target is f or target in but or target.ndim is None:
                    continue
                if isinstance(target, Input):
                    found.append((target, axis))
                elif isinstance(target, Function):
                    inner = target, target.definitions.vars[axis]
                    if inner not in seen:
                        seen.add(inner)
                        todo.append(inner)
    return found


def _plain(e: Expr) -> str | None:
    """The variable that `e` is; `y + 0`, which an unrolled loop may write, is `y`."""
    while isinstance(e, Call) and e.op in ("add", "sub") and isinstance(e.args[1], Literal) and e.args[1].value == 0:
        e = e.args[0]
    return e.name if isinstance(e, IndexVar) else None


def _uses(f: Function) -> Uses:
    named: dict[Indexable | Param, None] = dict.fromkeys(f.definitions.inputs)
    ranks: dict[tuple[Input, int], Location | None] = {}
    if f.external is not None:
        for target in map(base, f.external.inputs):
            named[target] = None
            if isinstance(target, Input) and target.ndim is not None:
                ranks[target, target.ndim] = target.loc
    for e in walk(mentioned(f)):
        if isinstance(e, Param):
            named[e] = None
        elif isinstance(e, (Access, Extent)):
            target = base(e.target)
            named[target] = None
            if isinstance(target, Input) and isinstance(e, Access) and (target, len(e.indices)) not in ranks:
                ranks[target, len(e.indices)] = e.loc
    return Uses(
        tuple(t for t in named if isinstance(t, Function) and t is not f),
        tuple(t for t in named if isinstance(t, (Input, Param))),
        tuple(t for t in named if isinstance(t, Table)),
        tuple((target, rank, loc) for (target, rank), loc in ranks.items()),
    )


class Graph:
    """The stages of the pipeline that ends in `outputs`: `functions`, producers first, each with its unique name."""

    def __init__(self, outputs: Sequence[Function]) -> None:
        self.outputs = tuple(outputs)
        self._uses: dict[Function, Uses] = {}
        self.steps = self._steps()
        self.functions = self._sorted()
        self._check_steps()
        self.arguments = self._merged()
        self.names = self._named()
        self.bound = self._bound()

    def uses(self, f: Function) -> Uses:
        found = self._uses.get(f)
        if found is None:
            found = self._uses[f] = _uses(f)
        return found

    def __getitem__(self, name: str) -> Function:
        return next(f for f, n in self.names.items() if n == name)

    def _steps(self) -> dict[Function, Scan]:
        """The functions of the steps of scans, and the Scan that each belongs to."""
        found: dict[Function, Scan] = {}
        seen: dict[Function, None] = {}
        todo = list(self.outputs)
        while todo:
            f = todo.pop()
            if f not in seen:
                seen[f] = None
                todo += [*self.uses(f).functions, *(() if f.scan is None else (*f.scan.states, *f.scan.steps))]
        for scan in dict.fromkeys(f.scan for f in seen if f.scan is not None):
            for f in members(scan, reads):
                if f in found or f.scan is not None:
                    raise DefinitionError(f"{f.name} is in the steps of two scans", loc=f.loc,
                                          hint="one scan with the states of both")  # fmt: skip
                found[f] = scan
        return found

    def _check_steps(self) -> None:
        """Nothing reads what is in the steps of a scan from outside of them."""
        for f in self.functions:
            for a in reads(f) if self.steps else ():
                scan = self.steps.get(cast(Function, base(a.target)))
                if scan is not None and scan not in (f.scan, self.steps.get(f)):
                    raise _in_step(a.target.name, scan, a.loc)
        for f in self.outputs:
            if f in self.steps:
                raise _in_step(f.name, self.steps[f], f.loc)

    def _needs(self, f: Function) -> list[Function]:
        """What comes before `f`. The states of a scan come after their steps, one after the other."""
        own = f.scan or self.steps.get(f)
        found: dict[Function, None] = {}
        for g in self.uses(f).functions:
            if g.scan is None:
                found[g] = None
            elif g.scan is not own:
                found.update(dict.fromkeys(g.scan.states))
        if f.scan is not None:
            found.update(dict.fromkeys((*f.scan.steps, *f.scan.states[: f.scan.states.index(f)])))
        return list(found)

    def _sorted(self) -> tuple[Function, ...]:
        """Depth first, so that of independent producers the one that is read first comes first."""
        done: dict[Function, None] = {}
        open_: dict[Function, None] = {}
        stack = [g for f in self.outputs[::-1] for g in (f.scan.states[::-1] if f.scan is not None else (f,))]
        while stack:
            f = stack[-1]
            missing = [g for g in self._needs(f) if g not in done] if f not in done else []
            if not missing:
                done[f] = None
                open_.pop(f, None)
                stack.pop()
            elif f in open_ and any(g in open_ for g in missing):
                names = " and ".join(g.name for g in (f, *(g for g in missing if g in open_)))
                raise DefinitionError(f"{names} read each other", loc=f.loc,
                                      hint="one Func with an update that reads itself")  # fmt: skip
            else:
                open_[f] = None
                stack.extend(reversed(missing))
        return tuple(done)

    def _merged(self) -> dict[str, Argument]:
        """Inputs by name: an output's own, then its producers', depth first."""
        merged: dict[str, Argument] = {}
        seen: set[Function] = set()
        stack = list(self.outputs[::-1])
        while stack:
            f = stack.pop()
            if f in seen:
                continue
            seen.add(f)
            uses = self.uses(f)
            ranks: dict[Input | Param, tuple[int | None, Location | None]] = {}
            for target, rank, loc in uses.ranks:
                known = ranks.setdefault(target, (rank, loc))
                if known[0] != rank:
                    raise _disagree(target.name, "subscripted by", known[0], rank, known[1], loc)
            for source in uses.inputs:
                rank, loc = ranks.get(source, (getattr(source, "ndim", None), source.loc))
                _merge(merged, _argument(source, rank, loc))
            stack.extend(reversed(uses.functions))
            stack.extend(() if f.scan is None else f.scan.states)
        return merged

    def _named(self) -> dict[Function, str]:
        taken = set(self.arguments)
        names: dict[Function, str] = {}
        for f in self.functions:
            name, k = f.name, 0
            while name in taken:
                k += 1
                name = f"{f.name}_{k}"
            taken.add(name)
            names[f] = name
        return names

    def _bound(self) -> dict[Table, str]:
        """The constant arrays that are too large to be part of the code: inputs that come with the pipeline."""
        taken = {*self.arguments, *self.names.values()}
        bound: dict[Table, str] = {}
        for t in (t for f in self.functions for t in self.uses(f).tables):
            if t.data.nbytes > TABLE_BYTES and t not in bound:
                bound[t] = next(n for k in count() if (n := f"{t.name}_{k}" if k else t.name) not in taken)
                taken.add(bound[t])
        return bound


def _in_step(name: str, scan: Scan, loc: Location | None) -> DefinitionError:
    states = ", ".join(s.name for s in scan.states)
    return DefinitionError(f"{name} is a part of the steps of {states}, and is not there outside of them", loc=loc,
                           hint=f"read {states}; or make {name} a state as well")  # fmt: skip


def _argument(source: Input | Param, rank: int | None, loc: Location | None) -> Argument:
    if isinstance(source, Param):
        return Argument(source.name, source, source.type, None, default=source.default, loc=source.loc)
    if rank is None:
        raise DefinitionError(f"the rank of {source.name} is not known: it is never subscripted", loc=source.loc,
                              hint=f"halo.Input({source.name!r}, ndim=2)")  # fmt: skip
    return Argument(source.name, source, source.type, rank, source.contiguous, loc=loc or source.loc,
                    shape=source.extents)  # fmt: skip


def _merge(merged: dict[str, Argument], new: Argument) -> None:
    old = merged.get(new.name)
    if old is None:
        merged[new.name] = new
        return
    if old.ndim != new.ndim:
        raise _disagree(new.name, "subscripted by", old.ndim, new.ndim, old.loc, new.loc)
    if old.type is not None and new.type is not None and old.type is not new.type:
        raise _disagree(new.name, "of type", old.type, new.type, old.source.loc, new.source.loc)
    if old.default is not None and new.default is not None and repr(old.default) != repr(new.default):
        raise _disagree(new.name, "by default", old.default, new.default, old.source.loc, new.source.loc)
    if old.shape is not None and new.shape is not None and old.shape != new.shape:
        raise _disagree(new.name, "of shape", old.shape, new.shape, old.source.loc, new.source.loc)
    default = old.default if old.default is not None else new.default
    merged[new.name] = Argument(old.name, old.source, old.type or new.type, old.ndim, old.contiguous or new.contiguous,
                                default, old.loc, new.shape if old.shape is None else old.shape)  # fmt: skip


def _disagree(name: str, what: str, a: Any, b: Any, first: Location | None, second: Location | None) -> DefinitionError:
    if what == "subscripted by":
        a, b = ("nothing (a scalar)" if v is None else f"{v} indices" for v in (a, b))
    else:
        a, b = (shown(v) if what == "of shape" else repr(v) for v in (a, b))
    related = () if first is None else ((first, f"here {what} {a}"),)
    message = f"the input {name} is {what} {a} in one place and {b} in another"
    return DefinitionError(message, loc=second, related=related, hint="give different inputs different names")
