"""Scans: what belongs to the steps is computed in them, and all states step in one loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..ir.pipeline import Function, Pipeline, Place
from .directive import Directive, label
from .placement import ComputeWith
from .rewrite import read_by

__all__ = ["STEPS", "in_steps", "together"]

STEPS = 2  # the stage of a state that steps; 1 stores its start


def in_steps(p: Pipeline, given: Mapping[str, Sequence[Directive]]) -> Pipeline:
    """`p` with the loop that each Function of a step belongs in: those that read a state and that a state needs.

    The states of one scan are placed as the last of them. Refuses directives that would take the steps out of order."""
    if not any(f.states for f in p.functions):
        return p
    by_name = {f.name: f for f in p.functions}
    for leader in (f for f in p.functions if f.states and f.states[-1] == f.name):
        states = [by_name[s] for s in leader.states]
        loop = Place("at", leader.name, leader.definitions[STEPS].rvars[0].var.name, STEPS)
        for name in _members(p, states):
            by_name[name] = replace(by_name[name], within=loop)
            _check_order(name, given.get(name, ()))
        for s in states:
            _check(s, leader, given.get(s.name, ()))
            by_name[s.name] = replace(by_name[s.name], compute=leader.compute, store=leader.store, hoist=leader.hoist)
    return replace(p, functions=tuple(by_name[f.name] for f in p.functions))


def _members(p: Pipeline, states: list[Function]) -> list[str]:
    """The Functions between the states of one step and those of the next."""
    arrays = {s.array for s in states}
    reads = {f.name: read_by(f) for f in p.functions}
    after: set[str] = set()  # reads a state, directly or not
    made = set(arrays)
    changed = True
    while changed:
        changed = False
        for f in p.functions:
            if f.name not in after and f.array not in arrays and reads[f.name] & made:
                after.add(f.name)
                made.add(f.array)
                changed = True
    needed = set().union(*(reads[s.name] for s in states)) - arrays
    found: list[str] = []
    for f in reversed(p.functions):
        if f.array in needed and f.name in after:
            found.append(f.name)
            needed |= reads[f.name]
    return found


def _check_order(name: str, given: Sequence[Directive]) -> None:
    """Refuse what would compute a step's values beside, or in place of, those of another."""
    for d in given:
        if d.name in ("async_", "memoize", "ring_buffer"):
            d.refuse(name, "the steps of a scan come one after another: each needs what the one before left")


def _check(s: Function, leader: Function, given: Sequence[Directive]) -> None:
    name = label(s.name, STEPS)
    _check_order(s.name, given)
    for d in given:
        if d.name in ("clone_in", "change_type"):
            d.refuse(s.name, "a state of a scan is computed with the others, once", hint=f"{s.name}.in_(...)")
    loops = s.definitions[STEPS].loops
    t = s.definitions[STEPS].rvars[0].var.name
    for d in given:
        if isinstance(d, ComputeWith):
            d.refuse(s.name, "the states of a scan run as one already", legal=("compute_at", "compute_root"))
        if s is not leader and d.on == "func" and d.name.startswith(("compute", "store_at", "store_root", "hoist")):
            d.refuse(s.name, f"the states of a scan are computed where the last of them is: {leader.name}",
                     hint=f"{leader.name}.{d}")  # fmt: skip
    first = loops.dims[0] if loops.dims else None
    cut = any(t in (*op.consumed, *op.made) for op in loops.ops)
    if cut or first is None or (first.name, first.kind) != (t, "serial"):
        named = [d for d in given if f'"{t}"' in str(d) or f"'{t}'" in str(d)] or list(given)
        named[-1].refuse(name, f'the steps come one after another: the loop "{t}" stays outermost and serial, as it is')
    if len(s.states) > 1 and s.definitions[STEPS].specializations:
        given[-1].refuse(name, "the states of a scan share the loop over the steps: a branch cannot have one alone")


def together(p: Pipeline) -> Pipeline:
    """`p` with the states of each scan joined in the loop over its steps."""
    functions = list(p.functions)
    for k, f in enumerate(functions):
        if f.states and f.states[-1] != f.name:
            leader = p[f.states[-1]]
            t = leader.definitions[STEPS].rvars[0].var.name
            functions[k] = replace(f, compute_with=((STEPS, leader.name, STEPS, t),))
    return replace(p, functions=tuple(functions))
