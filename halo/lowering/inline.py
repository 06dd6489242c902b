"""Inline: a Function computed inline is replaced, where it is read, by its definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..ir import algebra as A
from ..ir.expr import Expr, Read
from ..ir.pipeline import Definition, Function, Pipeline


def inline(p: Pipeline) -> Pipeline:
    """Substitute every Function without updates whose place is `inline`; those with updates stay, and are computed at
    the innermost loop of each of their readers, as is what a sort reads. Outputs are always computed."""
    bodies: dict[object, tuple[Function, tuple[Expr, ...]]] = {}
    kept: list[Function] = []
    memo: dict[Expr, Expr] = {}

    def visit(e: Expr) -> Expr | None:
        if not (isinstance(e, Read) and e.array in bodies):
            return None
        f, values = bodies[e.array]
        indices = [A.rewrite(i, visit, memo) for i in e.indices]
        value = A.substitute(values[e.item], dict(zip(f.vars, indices, strict=True)))
        return value if e.pred is None else A.select(A.rewrite(e.pred, visit, memo), value, A.const(0, e.type))

    given = {a for f in p.functions if f.extern is not None for a in f.extern.arrays}  # as arrays in memory
    for f in p.functions:
        done = tuple(_map_definition(d, lambda e: A.rewrite(e, visit, memo)) for d in f.definitions)
        f = replace(f, definitions=done)
        replaced = f.compute.kind == "inline" and len(done) == 1 and f.name not in p.outputs and f.extern is None
        if replaced and f.array not in given:
            bodies[f.array] = (f, done[0].values)  # type: ignore[assignment]  # what is inlined has all its values
        else:
            kept.append(f)
    return replace(p, functions=tuple(kept))


def _map_definition(d: Definition, go: Callable[[Expr], Expr]) -> Definition:
    return replace(
        d,
        indices=tuple(go(i) for i in d.indices),
        values=tuple(None if v is None else go(v) for v in d.values),
        pred=None if d.pred is None else go(d.pred),
        rvars=tuple(replace(r, lo=go(r.lo), extent=go(r.extent)) for r in d.rvars),
        specializations=tuple((go(c), loops) for c, loops in d.specializations),
    )
