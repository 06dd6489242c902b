"""The Schedule value: all directives of a pipeline, by name. Immutable; it compares, hashes, pickles and goes to JSON.

A Func keeps its own directives, as a list `directives` of (stage, Directive), stage 0 being the pure one, with other
Funcs by object. A Schedule names them as the pipeline does and lists readers before what they read, which is the order
that `apply` works in; Funcs that a directive makes follow the one they were made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import Location, ScheduleError
from .control import Specialize, Within
from .copies import Structural
from .directive import Directive, Target, label, nearest

__all__ = ["Entry", "Schedule", "made_funcs"]

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """`directive` on stage number `stage` (0: pure, k: update k - 1) of the Func `func`."""

    func: str
    stage: int
    directive: Directive


@dataclass(frozen=True, repr=False)
class Schedule:
    """What was said about where and when the stages of a pipeline are computed: `f.schedule()`.

    Prints as the Python calls that give it again. `f.apply(s)` gives it to another pipeline of the same stages.
    """

    entries: tuple[Entry, ...] = ()

    @staticmethod
    def of(stages: Mapping[str, Any]) -> Schedule:
        """The directives of `stages`, {name in the pipeline: Func or Input}, in any order that puts readers first."""
        names = {id(f): name for name, f in stages.items()}
        found: list[Entry] = []

        def resolve(t: Target) -> Target:
            return t if isinstance(t.func, str) else replace(t, func=names.get(id(t.func), t.func.name))

        for name, f in _with_made(stages, names, resolve):
            for stage, d in f.directives:
                named = d.redirected(resolve)
                if isinstance(named, Structural):
                    named = replace(named, made=names[id(d.made)])
                found.append(Entry(name, stage, named))
        return Schedule(tuple(found))

    def by_name(self) -> dict[str, list[tuple[int, Directive]]]:
        """What `halo.schedule.apply` takes: {name: [(stage, directive), ...]}."""
        found: dict[str, list[tuple[int, Directive]]] = {}
        for e in self.entries:
            found.setdefault(e.func, []).append((e.stage, e.directive))
        return found

    def give(self, stages: Mapping[str, Any], loc: Location | None = None) -> None:
        """Give the directives to `stages`, {name: Func or Input}. ScheduleError if they are of other stages."""
        known = dict(stages)
        made = {e.directive.made for e in self.entries if isinstance(e.directive, Structural)}
        for e in self.entries:
            if e.func not in known and e.func not in made:
                raise ScheduleError(f"this is a schedule of other stages: {e.func} is not one of them", loc=loc,
                                    legal=tuple(known), hint=nearest(e.func, known))  # fmt: skip
        for e in self.entries:
            d = e.directive.redirected(lambda t: replace(t, func=known.get(t.name, t.func)))
            given = known[e.func].give(e.stage, replace(d, made=None) if isinstance(d, Structural) else d)
            if isinstance(d, Structural):
                known[d.made] = given

    # Text ------------------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return str(self) or "<halo schedule without directives>"

    def _repr_html_(self) -> str:
        from ..show.reprs import schedule

        return schedule(str(self))

    def _lines(self) -> Iterator[str]:
        """One statement for each run of directives on one receiver."""
        line, at = "", ("", 0, ())
        for e in self.entries:
            path: tuple[Any, ...] = ()
            d = e.directive
            if isinstance(d, Within):
                path, d = d.path, d.directive
            here = (e.func, e.stage, path)
            if line and (here != at or isinstance(d, Structural)):
                yield line
                line = ""
            if not line:
                line = "".join((label(e.func, e.stage), *(f".specialize({c})" for c in path)))
            line += f".{d}"
            if isinstance(d, Structural):
                yield f"{d.made} = {line}"
                line = ""
            at = (e.func, e.stage, (*path, d.condition) if isinstance(d, Specialize) else path)
        if line:
            yield line

    # JSON ------------------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """This as JSON text, which `from_json` reads."""
        entries = [{"func": e.func, "stage": e.stage} | e.directive.dump() for e in self.entries]
        return json.dumps({"halo": FORMAT, "directives": entries})

    @staticmethod
    def from_json(text: str, loc: Location | None = None) -> Schedule:
        """The Schedule that `to_json` wrote. ScheduleError if it is none."""
        try:
            data = json.loads(text)
            entries = data["directives"] if data["halo"] == FORMAT else None
        except (ValueError, KeyError, TypeError):
            entries = None
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise ScheduleError("this is not a schedule in JSON", loc=loc, hint="halo.Schedule.from_json(s.to_json())")
        return Schedule(tuple(_entry(e, loc) for e in entries))


def _entry(data: dict[str, Any], loc: Location | None) -> Entry:
    func, stage = data.get("func"), data.get("stage")
    if not isinstance(func, str) or not isinstance(stage, int) or stage < 0:
        raise ScheduleError(f"this is not a stored directive: {data!r}", loc=loc)
    return Entry(func, stage, Directive.load(data, loc))


def made_funcs(f: Any) -> Iterator[Any]:
    """The Funcs that the directives of `f` make, and those that theirs make."""
    for _, d in f.directives:
        if isinstance(d, Structural):
            yield d.made
            yield from made_funcs(d.made)


def _with_made(stages: Mapping[str, Any], names: dict[int, str], resolve: Any) -> list[tuple[str, Any]]:
    """(name, Func) of `stages` and of all Funcs made of them, which are named here."""
    found: list[tuple[str, Any]] = []

    def visit(name: str, f: Any) -> None:
        found.append((name, f))
        for _, d in f.directives:
            if isinstance(d, Structural):
                names[id(d.made)] = unused(d.redirected(resolve).made_name(name))
        for _, d in f.directives:
            if isinstance(d, Structural):
                visit(names[id(d.made)], d.made)

    def unused(name: str) -> str:
        taken = {*stages, *names.values()}
        k = 0
        while (name if k == 0 else f"{name}_{k}") in taken:
            k += 1
        return name if k == 0 else f"{name}_{k}"

    for name, f in stages.items():
        visit(name, f)
    return found
