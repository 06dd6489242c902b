"""The default schedule: what a Function without directives gets.

It is computed inline if it has no update and, with all other inlining done, is read at one index per point and outside
reductions, or if it is only a load or a constant. Else it is computed at the root: the innermost pure loop vectorised
(in updates inside the reduction loops), the outermost pure loop parallel, in tasks of enough work. One at whose loops
others are placed has the plain nest, which is what they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Read, walk
from ..ir.pipeline import INLINE, ROOT, Definition, Function, Pipeline
from ..ir.sorting import sorts_rows
from ..types import index
from .loops import Dim, Loops
from .nesting import split

__all__ = ["schedule_default", "unscheduled"]

FEW = 64  # terms that one accumulator in a register takes up one after the other

Sites = dict[Array, set[tuple[Expr, ...]]]  # at which indices each Array is read


def unscheduled(p: Pipeline) -> Pipeline:
    """The pipeline `p`, without directives, in plain nests: computed where the default schedule has it, for what that
    reads of the inputs."""
    inlined = _inlined(p, set())
    return replace(
        p,
        functions=tuple(
            replace(
                f,
                compute=INLINE if f.name in inlined or f.innermost else ROOT,
                definitions=tuple(replace(d, loops=Loops.of(d, f)) for d in f.definitions),
            )
            for f in p.functions
        ),
    )


def schedule_default(p: Pipeline) -> Pipeline:
    """`p` with loops and places for the Functions that were given no directive."""
    places = {q.func for f in p.functions for q in (f.compute, f.store, f.hoist) if q is not None}
    places |= {entry[1] for f in p.functions for entry in f.compute_with}
    inlined = _inlined(p, places)
    nested = {
        f.array
        for f in p.functions
        if len(f.definitions) > 1 and f.compute.kind == "inline" and f.name not in p.outputs
    }
    return replace(
        p, functions=tuple(_placed(f) if f.scheduled else _scheduled(f, inlined, places, nested) for f in p.functions)
    )


def _placed(f: Function) -> Function:
    """A state of a scan is never computed where it is read: its own steps read it."""
    return replace(f, compute=ROOT) if f.states and f.compute.kind == "inline" else f


def _scheduled(f: Function, inlined: set[str], places: set[str], nested: set[Array]) -> Function:
    if f.name in inlined or f.innermost:
        return replace(f, compute=INLINE)
    if sorts_rows(f) and f.within is None and f.name not in places and f.definitions[0].loops.dims:
        d = f.definitions[0]
        loops = d.loops.with_dim(d.loops.dims[0].name, kind="parallel")
        return replace(f, compute=ROOT, definitions=(replace(d, loops=loops),))
    place = f.compute if f.states and f.compute.kind == "at" else f.within or ROOT  # states go where the last one is
    if f.extern is not None or f.name in places:
        return replace(f, compute=place)
    if f.states or f.within:  # a step is too little to share out
        return replace(f, compute=place, definitions=tuple(_looped(d, f, nested, "serial") for d in f.definitions))
    return replace(f, compute=ROOT, definitions=tuple(_looped(d, f, nested) for d in f.definitions))


# Where: inline or root -----------------------------------------------------------------------------------------------


def _inlined(p: Pipeline, places: set[str]) -> set[str]:
    """The Functions without directives that are computed inline, decided from the outputs back."""
    own = {f.array: f for f in p.functions}
    given = {a for f in p.functions if f.extern is not None for a in f.extern.arrays}  # as arrays in memory
    found: set[str] = set()
    sites: dict[str, list[tuple[Sites, bool]]] = {}  # of every Function that is computed: its reads, and if they reduce
    for f in reversed(p.functions):
        alone = f.name not in places and f.array not in given and (_trivial(f) or _read_once(f, sites))
        if _may_inline(f, p) and (f.scheduled or alone):
            if not f.scheduled:
                found.add(f.name)
            _move_reads(f, sites)
        else:
            sites[f.name] = [(_reads(d, own, f.array), bool(d.rvars)) for d in f.definitions]
            if f.extern is not None:
                sites[f.name] = [({a: set() for a in f.extern.arrays}, True)]
    return found


def _may_inline(f: Function, p: Pipeline) -> bool:
    """Whether `f` has no loops of its own: not given any, or placed inline by a directive."""
    return len(f.definitions) == 1 and f.extern is None and f.name not in p.outputs and f.compute.kind == "inline"


def _trivial(f: Function) -> bool:
    return all(isinstance(v, (Const, Read)) for v in f.definitions[0].values)


def _read_once(f: Function, sites: dict[str, list[tuple[Sites, bool]]]) -> bool:
    return all(
        len(s[f.array]) == 1 and not reduces for stages in sites.values() for s, reduces in stages if f.array in s
    )


def _reads(d: Definition, own: dict[Array, Function], array: Array) -> Sites:
    found: Sites = {}
    for e in walk((*d.indices, *d.values, d.pred)):
        if isinstance(e, Read) and e.array in own and e.array is not array:
            found.setdefault(e.array, set()).add(e.indices)
    return found


def _move_reads(f: Function, sites: dict[str, list[tuple[Sites, bool]]]) -> None:
    """`f` is gone: what reads it reads, at the same points, what `f` reads."""
    inner = [e for e in walk(f.definitions[0].values) if isinstance(e, Read)]
    for stages in sites.values():
        for s, _ in stages:
            for indices in s.pop(f.array, ()):
                at = dict(zip(f.vars, indices, strict=True))
                for e in inner:
                    s.setdefault(e.array, set()).add(tuple(A.substitute(i, at) for i in e.indices))


# How: vectorised and parallel ----------------------------------------------------------------------------------------


def _looped(d: Definition, f: Function, nested: set[Array], outermost_kind: str = "parallel") -> Definition:
    loops = d.loops
    if loops.ops or any(dim.kind != "serial" for dim in loops.dims):  # the pieces of an rfactor keep what they had
        return d
    pure = [dim.name for dim in loops.dims if dim.axis == "pure"]
    if not pure:
        return d
    outermost, last = pure[0], f.vars[-1].name
    loops = loops.with_dim(outermost, kind=outermost_kind)
    if last not in pure:
        return replace(d, loops=loops)
    inside = any(isinstance(e, Read) and e.array in nested for e in walk(d.values))  # loops of its own at each point
    return replace(
        d,
        loops=_vectorised(loops, last),
        specializations=() if inside or outermost_kind == "serial" else tuple(_colours(d, f, loops, pure)),
    )


def _colours(d: Definition, f: Function, loops: Loops, pure: list[str]) -> Iterator[tuple[Expr, Loops]]:
    """Of images with few channels, these are unrolled, and neighbouring pixels make the vectors.

    The condition is that the arrays have just these channels; `flatten` then knows that pixels are packed."""
    if len(pure) < 3 or loops.facts.update:
        return
    *_, x, c = pure
    arrays = [f.array, *dict.fromkeys(
        r.array for r in walk(d.values) if isinstance(r, Read) and r.array.kind == "input" and r.array.ndim > 2
        and r.indices[-1] is f.vars[-1]
    )]  # fmt: skip
    unrolled = split(loops, x, x, f"{x}_v", loops.facts.natural, "guard").with_dim(f"{x}_v", kind="vectorize")
    unrolled = unrolled.with_dim(c, kind="unroll")
    unrolled = replace(unrolled, dims=tuple(unrolled.dim(n) for n in (*pure[:-2], x, c, f"{x}_v")))
    for n in (3, 4, 1, 2):
        yield A.all_of(A.eq(a.extents[-1], Const(n, index)) for a in arrays), unrolled


def _vectorised(loops: Loops, v: str) -> Loops:
    """`loops` with `v` split into vectors: all of it inside the reduction loops, or for few terms its vectors alone."""
    inner = f"{v}_v"
    terms = 1
    for dim in loops.dims:
        if dim.is_reduction:
            terms *= loops.extent(dim.name) or FEW + 1
    loops = split(loops, v, v, inner, loops.facts.natural, "guard").with_dim(inner, kind="vectorize")
    moved: tuple[str, ...] = (inner,) if terms <= FEW or loops.dim(v).kind == "parallel" else (v, inner)
    rest: list[Dim] = [dim for dim in loops.dims if dim.name not in moved]
    return replace(loops, dims=(*rest, *(loops.dim(n) for n in moved)))
