"""Placement: every Function is produced before, and outside of, everything that reads it."""

from __future__ import annotations

from ..errors import ScheduleError
from ..ir.expr import Array, reads
from ..ir.pipeline import Function, Pipeline
from ..ir.stmt import Block, Extern, For, Hoist, Produce, Realize, Stmt, substmts
from .outputs import reads_of
from .walk import exprs


def check_placed(p: Pipeline, nest: Stmt) -> None:
    """Raise ScheduleError, with the places that would be legal, if a Function is read where it is not yet there."""
    functions = {f.array: f for f in p.functions}
    outputs = frozenset(f.array for f in p.functions if f.name in p.outputs)
    stack: list[tuple[Stmt, frozenset[Array], frozenset[Array]]] = [(nest, frozenset(), outputs)]
    while stack:
        s, made, stored = stack.pop()
        for a in _read(s):
            if a in functions and not (a in made and a in stored):
                raise _misplaced(functions[a], p, nest)
        if isinstance(s, Block):
            for t in s.stmts:
                stack.append((t, made, stored))
                made |= _made(t)
            continue
        if isinstance(s, Realize):
            stored |= {s.what}
            if functions[s.what].store is not None:
                _check_not_shared(functions[s.what], s.body)
        if isinstance(s, Hoist):
            _check_not_shared(functions[s.what], s.body, Realize)
        if isinstance(s, Produce):
            made |= {s.what}
        stack.extend((t, made, stored) for t in substmts(s))


def _check_not_shared(f: Function, s: Stmt, user: type[Produce | Realize] = Produce) -> None:
    """Storage outside of a parallel or vectorised loop that its values are computed in would be written by all at once;
    so would memory outside of one that they are kept in."""
    stack: list[tuple[Stmt, For | None]] = [(s, None)]
    while stack:
        s, loop = stack.pop()
        if isinstance(s, user) and s.what is f.array:
            if loop is not None:
                outer, what = (f.store, "computed") if user is Produce else (f.hoist, "kept")
                raise ScheduleError(
                    f"{f.name} is stored outside of the {_KINDS[loop.kind]} loop {loop.label} that it is {what} in: "
                    "a race", loc=(outer or f.compute).loc or f.loc,
                    hint=f"store it inside that loop, or make {loop.label} serial",
                )  # fmt: skip
            continue
        if isinstance(s, For) and s.kind in _KINDS:
            loop = s
        stack.extend((t, loop) for t in substmts(s))


_KINDS = {"parallel": "parallel", "vectorize": "vectorised"}


def _made(s: Stmt) -> frozenset[Array]:
    return frozenset((s.what,)) if isinstance(s, Produce) else frozenset()


def _read(s: Stmt) -> set[Array]:
    """The Arrays that `s` itself reads."""
    return {r.array for r in reads(exprs(s))} | (set(s.inputs) if isinstance(s, Extern) else set())


def _misplaced(f: Function, p: Pipeline, nest: Stmt) -> ScheduleError:
    """Legal is the root, and every loop that all readers of `f` are inside."""
    paths: list[list[str]] = []
    stack: list[tuple[Stmt, list[str]]] = [(nest, [])]
    while stack:
        s, path = stack.pop()
        if isinstance(s, Produce) and s.what is f.array:
            continue
        if f.array in _read(s):
            paths.append(path)
        if isinstance(s, For):
            path = [*path, s.label]
        stack.extend((t, path) for t in substmts(s))
    shared = [] if not paths else [x for k, x in enumerate(paths[0]) if all(q[k : k + 1] == [x] for q in paths)]
    inner_first = []
    for label in reversed(shared):
        func, _, loop = label.rpartition(".")
        inner_first.append(f'compute_at({func}, "{loop}")')
    legal = ("compute_root()", *inner_first)
    best = inner_first[0] if inner_first else "compute_root()"
    related = tuple((g.loc, "reads it here") for g in p.functions if g.loc and g is not f and
                    any(r.array is f.array for d in g.definitions for r in reads_of(d)))  # fmt: skip
    return ScheduleError(
        f"{f.name} is needed outside the loop it is computed in",
        loc=f.compute.loc or f.loc,
        related=related[:3],
        legal=legal,
        hint=f"{f.name}.{best}",
    )
