"""compute_with: which Functions are computed together, in what order their stages run, and which of them share loops."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ScheduleError
from ..ir.expr import Array
from ..ir.pipeline import Function, Pipeline
from .outputs import reads_of

Step = tuple[Function, int]  # a definition of a Function


def fused_groups(p: Pipeline) -> list[list[Function]]:
    """The Functions in an order of computation, those joined by `compute_with` side by side (parents last)."""
    by_name = {f.name: f for f in p.functions}
    leader = {f.name: f.name for f in p.functions}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for f in p.functions:
        for _, other, _, _ in f.compute_with:
            if other in by_name:
                leader[find(f.name)] = find(other)
    if all(leader[n] == n for n in leader):
        return [[f] for f in p.functions]
    groups: dict[str, list[Function]] = {}
    for f in p.functions:
        groups.setdefault(find(f.name), []).append(f)
    for name, group in groups.items():
        group.sort(key=lambda f: f.name == name)
    return _sorted(groups, find, p)


def _sorted(groups: dict[str, list[Function]], find: Callable[[str], str], p: Pipeline) -> list[list[Function]]:
    """Groups in topological order; two Functions of one group may not depend on each other, even through others."""
    owner = {f.array: find(f.name) for f in p.functions}
    needs: dict[str, set[str]] = {}
    earlier: dict[str, set[Array]] = {}  # what is read of the step before
    for f in p.functions:
        states = f.states if f.within is None else p[f.within.func].states
        if states:
            earlier[f.name] = {f.array, *(p[s].array for s in states)}
    for name, group in groups.items():
        arrays = {
            r.array
            for f in group
            for d in f.definitions
            for r in reads_of(d)
            if r.array not in earlier.get(f.name, (f.array,))
        }
        arrays |= {a for f in group if f.extern is not None for a in f.extern.arrays}
        needs[name] = {owner[a] for a in arrays if a in owner}
    done: list[list[Function]] = []
    placed: set[str] = set()
    while len(done) < len(groups):
        ready = [n for n in groups if n not in placed and needs[n] <= placed]
        if not ready:
            stuck = next(g for n, g in groups.items() if n not in placed and len(g) > 1)
            raise ScheduleError(
                f"compute_with: {stuck[0].name} and {stuck[-1].name} depend on each other", loc=stuck[0].loc,
                hint=f"compute {stuck[0].name} at root",
            )  # fmt: skip
        for n in ready:
            placed.add(n)
            done.append(groups[n])
    return done


def stage_order(group: list[Function]) -> list[list[Step]]:
    """The stages of a group in order: those joined in one step (the parent's first), every other one in a step of its own."""
    if len(group) == 1:
        return [[(group[0], k)] for k in range(len(group[0].definitions))]
    joined: dict[tuple[str, int], list[Step]] = {}  # parent stage -> child stages
    children: set[tuple[str, int]] = set()
    present = {f.name for f in group}
    for f in group:
        for k, other, stage, _ in f.compute_with:
            if other in present:
                joined.setdefault((other, stage), []).append((f, k))
                children.add((f.name, k))
    emitted = {f.name: 0 for f in group}
    steps: list[list[Step]] = []

    def advance(f: Function, upto: int) -> None:
        """Emit the stages of f before `upto` that no parent carries."""
        while emitted[f.name] < upto:
            k = emitted[f.name]
            if (f.name, k) in children:
                return
            step: list[Step] = [(f, k)]
            for child, j in joined.get((f.name, k), ()):
                advance(child, j)
                step.append((child, j))
                emitted[child.name] = j + 1
            steps.append(step)
            emitted[f.name] += 1

    for f in reversed(group):  # parents carry their children along
        advance(f, len(f.definitions))
    for f in group:
        advance(f, len(f.definitions))
    return steps


def shared_depth(steps: list[Step]) -> int:
    """How many loops the stages of a step share: down to the one that `compute_with` names."""
    depths: list[int] = []
    parent, stage = steps[0]
    for f, k in steps[1:]:
        loop = next(
            loop for own, other, at, loop in f.compute_with if own == k and other == parent.name and at == stage
        )
        depths.append(parent.definitions[stage].loops.index(loop) + 1)
        own = f.definitions[k].loops
        if len(own.dims) < depths[-1]:
            raise ScheduleError(
                f"compute_with: {f.name} has {len(own.dims)} loops, {parent.name} shares {depths[-1]}", loc=f.loc,
                hint="give both the same outer loops",
            )  # fmt: skip
    return min(depths)


def alignment(f: Function, k: int, loop: str) -> str:
    """How iterations of stage `k` of `f` in the shared `loop` meet those of the stage that it is computed with."""
    how = dict(f.align_with).get(k, "none")
    return how if isinstance(how, str) else dict(how).get(loop, "none")
