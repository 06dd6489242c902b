"""Scans: Funcs that step together along an ordered axis, and what belongs to a step.

The functions of a step are those that the steps need and that read a state, directly or not. In step t each of them is
needed at t alone, and reads the states at the step before: that is checked here, access by access.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import DefinitionError
from ..ir.surface import Access, Call, Expr, Function, IndexVar, Literal
from ..ir.surface_walk import base

__all__ = ["Scan", "members"]

Reads = Callable[[Function], Iterable[Access]]


@dataclass(frozen=True, eq=False)
class Scan:
    """State k is `steps[k]` at every step of 0..length, in order; before the first it is what its first update says."""

    states: tuple[Function, ...]
    steps: tuple[Function, ...]
    length: Expr
    reverse: bool = False

    @property
    def leader(self) -> Function:
        """The state whose loop over the steps is that of all."""
        return self.states[-1]


def members(scan: Scan, reads: Reads) -> dict[Function, str]:
    """The functions of a step, each with its variable that is the step. DefinitionError where one needs another step."""
    found: dict[Function, str] = {}
    inside = _reaching(scan, reads)
    todo: list[tuple[Function, str]] = [(f, f.definitions.vars[0]) for f in scan.steps if f in inside]
    while todo:
        f, t = todo.pop()
        if found.setdefault(f, t) != t:
            raise DefinitionError(
                f"{f.name} is read with the step of the scan on two axes, {found[f]} and {t}", loc=f.loc
            )
        for a in reads(f):
            target = base(a.target)
            if target in scan.states:
                _check_state(a, t, scan)
            elif target in inside and target is not f:
                axes = [k for k, i in enumerate(a.indices) if _offset(i, t) == 0]
                if not axes:
                    raise DefinitionError(
                        f"{a.target.name} is a part of the step, and read at another step than {t}", loc=a.loc,
                        hint=f"make it a state of the scan as well, or read it at {t}")  # fmt: skip
                inner = target, target.definitions.vars[axes[0]]
                if found.get(inner[0]) != inner[1]:
                    todo.append(inner)
    return found


def _reaching(scan: Scan, reads: Reads) -> set[Function]:
    """What the steps need and reads a state."""
    readers: dict[Function, list[Function]] = {}
    seen: set[Function] = set()
    todo = list(scan.steps)
    while todo:
        f = todo.pop()
        if f in seen or f in scan.states:
            continue
        seen.add(f)
        for a in reads(f):
            target = base(a.target)
            if isinstance(target, Function):
                readers.setdefault(target, []).append(f)
                todo.append(target)
    inside: set[Function] = set()
    todo = [f for s in scan.states for f in readers.get(s, ())]
    while todo:
        f = todo.pop()
        if f not in inside:
            inside.add(f)
            todo += readers.get(f, ())
    return inside


def _check_state(a: Access, t: str, scan: Scan) -> None:
    want = 1 if scan.reverse else -1
    found = _offset(a.indices[0], t)
    if found == want:
        return
    right = f"{a.target.name}[{t} {'+' if want > 0 else '-'} 1, ...]"
    if found == 0:
        reason = f"{a.target.name}[{t}] is what this step computes"
        hint = f"{right}, or read the step itself: {scan.steps[scan.states.index(base(a.target))].name}[{t}, ...]"
    elif found is not None and found * want < 0:
        reason, hint = f"{a.target.name} is read at a step that comes later", right
    else:
        reason = f"a step reads the states at the one before it, and this is not {right}"
        hint = f"{right}; a state of its own keeps what is older"
    raise DefinitionError(reason, loc=a.loc, hint=hint)


def _offset(e: Expr, t: str) -> int | None:
    """k where `e` is `t + k`."""
    total = 0
    while isinstance(e, Call) and e.op in ("add", "sub"):
        a, b = e.args
        if e.op == "add" and isinstance(a, Literal):
            a, b = b, a
        if not isinstance(b, Literal) or b.value != int(b.value):
            return None
        total += int(b.value) if e.op == "add" else -int(b.value)
        e = a
    return total if isinstance(e, IndexVar) and e.name == t else None
