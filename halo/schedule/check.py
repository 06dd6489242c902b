"""What is checked when all directives are known: races, and places that exist and contain each other.

Whether a place encloses every use of what is computed there needs the nest, so `lowering.build_nest` tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..ir.expr import Array, Op, walk
from ..ir.pipeline import Function, Pipeline, Place
from ..ir.sorting import sorts_rows
from .control import Memoize
from .directive import Directive, label, listed, nearest, quoted
from .hints import is_inlined
from .loops import Loops
from .nesting import adjective
from .placement import (
    Async,
    ComputeAt,
    ComputeInline,
    ComputeRoot,
    ComputeWith,
    HoistStorage,
    HoistStorageRoot,
    RingBuffer,
    StoreAt,
    StoreRoot,
)
from .rewrite import read_by
from .traces import DebugToFile, TraceRealizations

__all__ = ["Marks", "check_function", "check_places"]

Marks = dict[str, Directive]  # the directive that last changed each loop
Given = Mapping[str, Sequence[Directive]]

_PLACES = ("compute_root()", "compute_at(f, v)")
_PLACING = (ComputeRoot, ComputeAt)
_STORING = (StoreAt, StoreRoot, HoistStorage, HoistStorageRoot, RingBuffer)


def check_function(label: str, loops: Loops, marks: Marks) -> None:
    """Refuse parallel and vectorised loops whose iterations may update the same site."""
    facts = loops.facts
    if facts.constant or facts.atomic:
        return
    for dim in loops.dims:
        if dim.axis == "impure_r" and dim.kind in ("parallel", "vectorize"):
            pure = [d.name for d in loops.dims if d.axis != "impure_r"]
            if facts.reason:
                why, hint = f", and the update is not proven associative: {facts.reason}", ""
            elif facts.order == "kept":
                why, hint = ", and the order in which they do matters", f'{label}.rfactor({{"{dim.name}": "u"}})'
            else:
                why, hint = "", f"{label}.atomic()"
            marks[dim.name].refuse(label, f'a race: iterations of "{dim.name}" may update the same site{why}',
                                   legal=quoted(pure), hint=hint)  # fmt: skip


def check_places(p: Pipeline, given: Given) -> None:
    """Refuse places that do not exist or do not contain each other, and directives on what is computed inline."""
    check = _Places(p, given)
    for f in p.functions:
        check.inlined(f)
        if f.within is not None and f.compute.kind == "root":
            check.last(f, ComputeRoot).refuse(
                f.name, f"{f.name} is computed in every step of {f.within.func}, from what the step before left",
                hint=f'{f.name}.compute_at({f.within.func}, "{f.within.loop}")',
            )  # fmt: skip
        for what, place in (("compute", f.compute), ("store", f.store), ("hoist", f.hoist)):
            own = place is not f.within and (not f.states or f.states[-1] == f.name)  # else it follows from the scan
            if place is not None and place.kind == "at" and own:
                check.exists(f, what, place)
        check.nested(f)
        check.beside(f)
        for entry in f.compute_with:
            check.together(f, *entry)
        if f.memoized is not None:
            check.memoized(f)


class _Places:
    def __init__(self, p: Pipeline, given: Given) -> None:
        self.p, self.given = p, given
        self.functions = {f.name: f for f in p.functions}
        self.order = {f.name: k for k, f in enumerate(p.functions)}
        self.reads = {f.name: read_by(f) for f in p.functions}

    def is_inlined(self, f: Function) -> bool:
        return is_inlined(f, self.p)

    def last(self, f: Function, *kinds: type[Directive]) -> Directive:
        """The last directive of one of these kinds that `f` was given."""
        return next(d for d in reversed(self.given[f.name]) if isinstance(d, kinds))

    def inlined(self, f: Function) -> None:
        directives = self.given.get(f.name, ())
        if f.compute.kind == "inline" and f.name not in self.p.outputs:
            for d in directives:
                if isinstance(d, _STORING):
                    d.refuse(f.name, "it says where values are kept, but not where they are computed",
                             legal=_PLACES, hint=f"{f.name}.compute_at(...)")  # fmt: skip
                if isinstance(d, (TraceRealizations, DebugToFile)) and len(f.definitions) == 1:
                    d.refuse(f.name, f"{f.name} is computed inline: its values are never in memory", legal=_PLACES,
                             hint=f"{f.name}.compute_root()")  # fmt: skip
        output = f.name in self.p.outputs
        nowhere = not any(isinstance(d, _PLACING) for d in directives) if output else f.compute.kind == "inline"
        if nowhere and any(isinstance(d, Async) for d in directives):
            where = "an output of this pipeline" if output else "computed inline"
            self.last(f, Async).refuse(f.name, f"{f.name} is {where}: there is nothing that its thread could run beside",
                                       legal=_PLACES, hint=f"{f.name}.compute_at(...)")  # fmt: skip
        if sorts_rows(f):
            self.sorted(f, directives)
        elif f.extern is not None:
            for d in directives:
                if d.on == "stage":
                    d.refuse(f.name, f"{f.name} is one call of a Python function and has no loops")
        if not self.is_inlined(f):
            return
        asked = any(isinstance(d, ComputeInline) for d in directives)
        for d in directives:
            if d.on == "stage":
                said = "compute_inline() was given" if asked else "neither compute_root() nor compute_at() was given"
                d.refuse(f.name, f"{f.name} is computed inline and has no loops: {said}", legal=_PLACES,
                         hint=f"{f.name}.compute_root()")  # fmt: skip

    def sorted(self, f: Function, directives: Sequence[Directive]) -> None:
        """Refuse lanes of rows: each is sorted by itself."""
        for loops in self.nests(f, None):
            for dim in loops.dims:
                if dim.kind == "vectorize":
                    d = next(d for d in reversed(directives) if d.name == "vectorize")
                    d.refuse(f.name, "a row is sorted by itself, not in a lane of others", legal=("parallel", "unroll"))

    def exists(self, f: Function, what: str, place: Place) -> None:
        """Refuse a place at a stage or loop that there is not."""
        d = self.last(f, *{"compute": (ComputeAt,), "store": (StoreAt,), "hoist": (HoistStorage,)}[what])
        readers = [g.name for g in self.p.functions if g is not f and f.array in self.reads[g.name]]
        if f.name in self.p.outputs:
            d.refuse(f.name, f"{f.name} is an output of this pipeline: it is computed at the root")
        if place.func not in self.functions:
            near = nearest(place.func, self.functions)
            d.refuse(f.name, f"{place.func} is not a stage of this pipeline", legal=readers,
                     hint=f"{f.name}.{d}".replace(place.func, near) if near else "")  # fmt: skip
        g = self.functions[place.func]
        if self.is_inlined(g):
            legal = (f"a loop of what reads {g.name}", "compute_root()")
            d.refuse(
                f.name, f"{g.name} is computed inline and has no loops", legal=legal, hint=f"{g.name}.compute_root()"
            )
        if g.extern is not None and not sorts_rows(g):
            d.refuse(f.name, f"{g.name} is one call of a Python function and has no loops",
                     legal=("compute_root()",), hint=f"{f.name}.compute_root()")  # fmt: skip
        nests = self.nests(g, place.stage)
        if nests and not any(place.loop in loops for loops in nests):
            self.no_loop(f.name, d, g, place, nests)

    def no_loop(self, name: str, d: Directive, g: Function, place: Place, nests: list[Loops]) -> None:
        names = tuple(dict.fromkeys(n for loops in nests for n in loops.names))
        below = tuple(dict.fromkeys(n for loops in nests for n in loops.descendants(place.loop)))
        reason = f'{g.name} has no loop "{place.loop}"'
        if below:
            reason += f": it became {listed(quoted(below))}"
        near = below[0] if below else nearest(place.loop, names)
        hint = f"{name}.{d}".replace(f'"{place.loop}"', f'"{near}"') if near else ""
        d.refuse(name, reason, legal=quoted(names), hint=hint)

    def nests(self, g: Function, stage: int | None) -> list[Loops]:
        """The loops of the stage (or of all stages) of `g`, specialised ones too."""
        definitions = g.definitions if stage is None else g.definitions[stage : stage + 1]
        return [loops for d in definitions for loops in (d.loops, *(ls for _, ls in d.specializations))]

    def nested(self, f: Function) -> None:
        """Refuse storage inside of where values are computed, or with a parallel loop between them."""
        if f.store is not None and f.name not in self.p.outputs:
            self.outside(f, f.store, f.compute, "computed", (StoreAt, StoreRoot))
        if f.hoist is not None and f.name not in self.p.outputs:
            self.outside(f, f.hoist, f.store or f.compute, "kept", (HoistStorage, HoistStorageRoot))
        if f.ring > 1 and f.name not in self.p.outputs and f.compute.kind != "inline":
            self.ring(f)

    def beside(self, f: Function) -> None:
        """Refuse a thread for some of the stages that run in one nest."""
        if not f.asynchronous:
            return
        joined, grown = {f.name}, True
        while grown:
            pairs = [{g.name, e[1]} for g in self.p.functions for e in g.compute_with]
            more = joined.union(*(pair for pair in pairs if pair & joined))
            joined, grown = more, more != joined
        for name in sorted(joined):
            if not self.functions[name].asynchronous or name in self.p.outputs:
                self.last(f, Async).refuse(f.name, f"{name} runs in the same loops (compute_with), and not in that thread",
                                           hint="" if name in self.p.outputs else f"{name}.async_()")  # fmt: skip

    def ring(self, f: Function) -> None:
        """Refuse a ring of storage without a loop whose iterations could take turns."""
        d, kept = self.last(f, RingBuffer), f.store or f.compute
        hoists = ("hoist_storage(f, v)", "hoist_storage_root()")
        legal = ("compute_at(f, v)",) if kept.kind == "root" else hoists
        if f.hoist is None:
            d.refuse(f.name, "nothing is allocated further out than the values are kept, so that no two iterations "
                     "share it", legal=legal, hint=f"{f.name}.hoist_storage_root()" if legal is hoists else "")  # fmt: skip
        if (f.hoist.kind, f.hoist.func, f.hoist.loop) == (kept.kind, kept.func, kept.loop):
            d.refuse(f.name, f"it is allocated where its values are kept, {_where(kept)}: there is no loop between them",
                     legal=legal, hint=f"{f.name}.hoist_storage_root()" if legal is hoists else "")  # fmt: skip

    def outside(self, f: Function, outer: Place, inner: Place, what: str, kinds: tuple[type[Directive], ...]) -> None:
        if inner.kind == "root" and outer.kind == "at":
            self.last(f, *kinds).refuse(f.name, f"it is {what} at the root, outside of that loop",
                                        hint=f'{f.name}.compute_at({outer.func}, "{outer.loop}")')  # fmt: skip
        if inner.kind != "at" or (outer.kind == "at" and outer.func != inner.func):
            return
        for loops in self.nests(self.functions[inner.func], inner.stage):
            if inner.loop not in loops or (outer.kind == "at" and outer.loop not in loops):
                continue
            first = -1 if outer.kind == "root" else loops.index(outer.loop)
            last = loops.index(inner.loop)
            d = self.last(f, *kinds)
            if first > last:
                reason = f'the loop "{outer.loop}" runs inside "{inner.loop}", where it is {what}'
                d.refuse(f.name, reason, legal=quoted(loops.names[: last + 1]))
            between = [dim for dim in loops.dims[first + 1 : last + 1] if dim.kind in ("parallel", "vectorize")]
            if between:
                name, kind = between[-1].name, adjective(between[-1].kind)
                reason = (
                    f'the {kind} loop "{name}" is between where values are kept and where they are computed: a race'
                )
                d.refuse(f.name, reason, legal=quoted(loops.names[loops.index(name) : last + 1]))

    def together(self, f: Function, k: int, other: str, stage: int, loop: str) -> None:
        """Refuse a `compute_with` of stages that depend on each other or do not run alike."""
        name = label(f.name, k)
        entry = Place("at", other, loop)
        d = next(
            d for d in reversed(self.given[f.name]) if isinstance(d, ComputeWith) and d.at.func == other and d.v == loop
        )
        g = self.functions.get(other)
        if g is None:
            near = nearest(other, self.functions)
            d.refuse(name, f"{other} is not a stage of this pipeline", legal=tuple(self.functions), hint=near)
        if self.is_inlined(g):
            d.refuse(name, f"{other} is computed inline and has no loops", hint=f"{other}.compute_root()")
        places = [self.place(h) for h in (f, g)]
        if places[0] != places[1]:
            d.refuse(name, f"{f.name} is computed {_where(places[0])} and {other} {_where(places[1])}")
        for a, b in ((f, g), (g, f)):
            if b.array in self.upstream(a):
                d.refuse(name, f"{a.name} needs {b.name}, all of it first")
        mine, theirs = f.definitions[k], g.definitions[stage]
        if mine.specializations:
            d.refuse(name, f"{f.name} is specialised")
        if loop not in theirs.loops:
            self.no_loop(name, d, g, entry, [theirs.loops])
        n = theirs.loops.index(loop) + 1
        pairs = list(zip(mine.loops.dims[:n], theirs.loops.dims[:n], strict=False))
        for a, b in pairs:
            # in order, iterations of a sum and of a pure axis may take turns; any other kind says something of the axis
            if (a.name, a.kind) != (b.name, b.kind) or (a.kind != "serial" and a.axis != b.axis):
                d.refuse(
                    f.name,
                    f'their loops differ: {f.name} has "{a.name}" ({a.kind}) where {other} has "{b.name}" ({b.kind})',
                )
        if len(pairs) < n:
            d.refuse(name, f'{f.name} has {len(pairs)} loops, {other} {n} down to "{loop}"')
        if theirs.loops.dim(loop).kind == "tensorize":
            d.refuse(name, f'"{loop}" is a loop that {theirs.loops.tensor.name} replaces')
        shared = [dim.name for dim in theirs.loops.dims[:n]]
        wrong = next((v for v, _ in d.align if v not in shared), None) if isinstance(d.align, tuple) else None
        if wrong is not None:
            d.refuse(name, f'"{wrong}" is not one of the loops that they share', legal=quoted(shared),
                     hint=nearest(wrong, shared))  # fmt: skip
        self.crossing(name, f, g, d)

    def memoized(self, f: Function) -> None:
        """Refuse to memoize what is not kept in memory of its own where it is computed, or does not follow from inputs."""
        d = self.last(f, Memoize)
        if f.name in self.p.outputs:
            d.refuse(f.name, "it is an output of this pipeline: its values are the caller's",
                     legal=tuple(g.name for g in self.p.functions if g.array in self.reads[f.name] and g is not f))  # fmt: skip
        if f.compute.kind == "inline":
            d.refuse(f.name, "it is computed inline: its values are never in memory", legal=_PLACES,
                     hint=f"{f.name}.compute_root().{d}")  # fmt: skip
        if f.store not in (None, f.compute):
            d.refuse(f.name, "it is stored further out than it is computed: only a part is computed at a time",
                     hint=f"store {f.name} where it is computed")  # fmt: skip
        if f.asynchronous:
            d.refuse(f.name, "async_ computes it beside what reads it, but what is looked up is there before")
        if f.hoist is not None:
            d.refuse(f.name, "its memory is the cache's, which hoist_storage cannot move")
        if f.memory in ("stack", "register"):
            d.refuse(f.name, f'its memory is the cache\'s, not store_in("{f.memory}")')
        for g in (f, *(g for g in self.p.functions if any(entry[1] == f.name for entry in g.compute_with))):
            if g.compute_with:
                d.refuse(f.name, "compute_with makes one computation of it and another stage")
        upstream = self.upstream(f) | {f.array}
        for g in self.p.functions:
            reason = _unrepeatable(g) if g.array in upstream else ""
            if reason:
                d.refuse(f.name, reason if g is f else f"it needs {g.name}: {reason}",
                         related=() if g.loc is None else ((g.loc, "defined here"),))  # fmt: skip

    def crossing(self, name: str, f: Function, g: Function, d: Directive) -> None:
        stages = [e[2] for e in sorted(f.compute_with) if e[1] == g.name]
        if stages != sorted(stages):
            d.refuse(name, f"the stages of {f.name} and {g.name} would run in an order that crosses")
        seen, todo = {f.name}, [g.name]
        while todo:
            at = todo.pop()
            if at == f.name:
                d.refuse(name, f"{f.name} and {g.name} would each run inside the other")
            if at not in seen:
                seen.add(at)
                todo += [e[1] for e in self.functions[at].compute_with if e[1] in self.functions]

    def place(self, f: Function) -> Any:
        return Place("root") if f.name in self.p.outputs else f.compute

    def upstream(self, f: Function) -> set[Array]:
        """The Arrays that `f` depends on, directly or not (its own left out)."""
        by_array = {g.array: g for g in self.p.functions}
        seen: set[Array] = set()
        todo = list(self.reads[f.name] - {f.array})
        while todo:
            a = todo.pop()
            if a not in seen:
                seen.add(a)
                if a in by_array:
                    todo += self.reads[by_array[a].name] - {a}
        return seen


def _unrepeatable(f: Function) -> str:
    """Why the values of `f` need not be the same for the same inputs, or more follows from computing them."""
    if f.extern is not None:
        return "it is an extern stage, of which nobody knows what else it depends on"
    if f.states or f.within is not None:
        return "it belongs to the steps of a scan, whose stages are computed together"
    values = [v for d in f.definitions for v in d.values]
    if f.definitions and None in f.definitions[0].values:
        return "it starts with undefined values"
    if any(isinstance(e, Op) and e.name == "print" for d in f.definitions for e in walk((*d.indices, *values, d.pred))):
        return "it prints (halo.debug_print) each time that it is computed"
    return ""


def _where(place: Place) -> str:
    return f'at {place.func}, "{place.loop}"' if place.kind == "at" else f"at the {place.kind}"
