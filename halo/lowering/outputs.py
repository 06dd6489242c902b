"""Outputs: an output that is also read, or that updates need outside what was asked for, is computed in scratch first.

Then the result is a copy of the asked part: it is always the restriction of the infinite Func. (Where that is all of it,
`flatten` lets the scratch lie in the output, and nothing is copied.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..ir.expr import Array, Read, Var, reads
from ..ir.pipeline import ROOT, Definition, Function, Pipeline
from ..schedule.loops import Loops, SplitOp


def stage_outputs(p: Pipeline, lanes: int) -> Pipeline:
    """Give each such output a copying stage of its own, which becomes the output."""
    functions = list(p.functions)
    outputs = list(p.outputs)
    for f in p.functions:
        if f.name in outputs and (f.states or _read_elsewhere(f, p) or _reads_itself(f)):
            functions[functions.index(f)] = replace(f, compute=ROOT)
            copy = _copy(f, lanes)
            functions.append(copy)
            outputs[outputs.index(f.name)] = copy.name
    return replace(p, functions=tuple(functions), outputs=tuple(outputs))


def _copy(f: Function, lanes: int) -> Function:
    variables = tuple(Var(v.name) for v in f.vars)
    array = Array(f"{f.name}_out", f.types, len(variables), "func")
    values = tuple(Read(f.array, variables, k) for k in range(len(f.types)))
    copy = Function(array.name, variables, f.types, array, (Definition(variables, values, loc=f.loc),), ROOT,
                    promised=f.promised, copies=f.array, loc=f.loc)  # fmt: skip
    loops = Loops.of(copy.definitions[0], copy)
    if variables:
        last = variables[-1].name
        dim = loops.dim(last)
        loops = loops.replace_dim(last, dim, replace(dim, name=f"{last}_v", kind="vectorize"))
        loops = loops.with_op(SplitOp(last, last, f"{last}_v", lanes, "guard"))
        if any(dim.kind == "parallel" for d in f.definitions for dim in d.loops.dims):
            loops = loops.with_dim(variables[0].name, kind="parallel")
    return replace(copy, definitions=(replace(copy.definitions[0], loops=loops),))


def _read_elsewhere(f: Function, p: Pipeline) -> bool:
    return any(
        r.array is f.array for g in p.functions if g is not f for d in g.definitions for r in reads_of(d)
    ) or any(g.extern is not None and f.array in g.extern.arrays for g in p.functions)


def _reads_itself(f: Function) -> bool:
    """Whether an update reads `f` anywhere but at the very index that it stores."""
    return any(r.array is f.array and r.indices != d.indices for d in f.definitions[1:] for r in reads_of(d))


def reads_of(d: Definition) -> Iterator[Read]:
    """Every Read in a definition, each once."""
    return reads((*d.indices, *d.values, d.pred, *(e for r in d.rvars for e in (r.lo, r.extent))))
