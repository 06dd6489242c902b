"""`halo.intrinsic`: declare an instruction of the machine, by what it means and how LLVM calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ..errors import DefinitionError, here
from ..frontend.typing import build_pipeline
from ..ir.expr import Array, Const, Expr, Read, Var, children, walk
from ..ir.intrinsic import Intrinsic, Meaning, Operand
from ..ir.node import interning
from ..ir.pipeline import Definition
from .func import Func, func

__all__ = ["intrinsic"]


def intrinsic(*extents: int, llvm: Mapping[str, str], name: str | None = None,
              rounds: bool | None = None) -> Callable[[Any], Intrinsic]:  # fmt: skip
    """Declare the decorated definition to be what an instruction of the machine computes: an `Intrinsic`, which
    `tensorize` puts in the place of loops that compute the same.

    The definition is pure, or an update over an rdom of constant lengths, of one value; its index variables run over
    `extents`. Its inputs are annotated arrays, each read at loop variables alone: their order is the order of the lanes.

    `llvm` maps features of the target (LLVM's names, joined by `+`) to the name of the LLVM function that takes the
    accumulator, if it is an update, and the inputs in their order; or to lines of LLVM IR in which these are `%acc` and
    `%name`, the last one `ret`. The first whose features the target has is used; elsewhere the loops run as they are.

    Before first use, on a target that can run it, the code is tried on random values: DefinitionError where LLVM does not
    take it, or where it gives something else than the definition.

    `rounds`: floats are not those of the definition to the bit; then only stages with `atomic()` or `fastmath` may use
    it. Unless said otherwise, it is so where there are floats.

    >>> import halo
    >>> @halo.intrinsic(16, llvm={"avx512vnni": "llvm.x86.avx512.vpdpbusd.512"})
    ... def dot(i, *, a: halo.u8[:, :], b: halo.i8[:, :]):
    ...     return sum(halo.i32(a[i, k]) * halo.i32(b[i, k]) for k in halo.rdom(4))
    >>> dot.meaning.loops()
    'i in 0..16, k in 0..4'

    (TVM's `decl_tensor_intrin`.)
    """
    loc = here()
    for n in extents:
        if not isinstance(n, int) or n < 1:
            raise DefinitionError(f"the extents of an intrinsic are positive integers, not {n!r}", loc=loc)

    if not isinstance(llvm, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in llvm.items()):
        raise DefinitionError("llvm maps features of the target to the name of an LLVM function, or to lines of LLVM IR",
                              loc=loc, hint='llvm={"avx512vnni": "llvm.x86.avx512.vpdpbusd.512"}')  # fmt: skip

    def decorate(f: Any) -> Intrinsic:
        made = func(f, name=name)
        return Intrinsic(made.name, f, lambda: _meaning(made, extents), llvm, rounds, loc)

    return decorate


def _meaning(f: Func, extents: tuple[int, ...]) -> Meaning:
    def refuse(reason: str, hint: str = "") -> NoReturn:
        raise DefinitionError(f"{f.name} is no intrinsic: {reason}", loc=f.loc, hint=hint)

    if f.ndim != len(extents):
        refuse(f"of its index variables there are {f.ndim}, and of extents {len(extents)}")
    with interning():
        p = build_pipeline((f,), fma=False)
        if p.params or len(p.functions) > 1 or p.requirements:
            refuse("it reads more than arrays that are its inputs")
        stage = p.functions[0]
        untyped = next((n for n, i in f.inputs.items() if i.type is None), None)
        if untyped is not None:
            refuse(f"the type of {untyped} is not declared", f"{untyped}: halo.u8[:, :]")
        *first, d = stage.definitions
        if len(stage.types) > 1 or len(first) > 1 or (first and not _is_constant(first[0])) or d.pred is not None:
            refuse("it is one value, by one pure definition or one update without a condition")
        sizes = dict(zip(stage.vars, extents, strict=True))
        for r in d.rvars:
            if not (isinstance(r.extent, Const) and isinstance(r.lo, Const) and r.lo.value == 0):
                refuse(f'"{r.var.name}" does not run from 0 to a constant', "halo.rdom(4)")
            sizes[r.var] = r.extent.value
        rvars = tuple(r.var for r in d.rvars)
        if tuple(d.indices) != tuple(stage.vars):
            refuse("it does not store at its index variables")
        value = d.values[0]
        assert value is not None
        operands = tuple(Operand(a, _indices(a, value, sizes, refuse)) for a in p.inputs)
        if _outside_subscripts(value) & set(sizes):
            refuse("it computes with its index variables")
        own = [e for e in walk((value,)) if isinstance(e, Read) and e.array is stage.array]
        if any(tuple(e.indices) != tuple(stage.vars) for e in own) or (d.rvars and not own):
            refuse("of itself it reads only the value that it updates")
        return Meaning(stage.array, stage.vars, rvars, sizes, operands, value, bool(own))


def _outside_subscripts(value: Expr) -> set[Expr]:
    """What is in `value` but for the indices of what it reads."""
    found: set[Expr] = set()
    todo = [value]
    while todo:
        e = todo.pop()
        found.add(e)
        todo += () if isinstance(e, Read) else children(e)
    return found


def _is_constant(d: Definition) -> bool:
    return all(isinstance(v, Const) for v in d.values)


def _indices(a: Array, value: Expr, sizes: Mapping[Var, int], refuse: Callable[..., NoReturn]) -> tuple[Var, ...]:
    found = {e.indices for e in walk((value,)) if isinstance(e, Read) and e.array is a}
    if len(found) != 1:
        refuse(f"{a.name} is read at {len(found)} places")
    indices = tuple(i for i in next(iter(found)) if isinstance(i, Var) and i in sizes)
    if len(set(indices)) < a.ndim:
        refuse(f"{a.name} is not read at loop variables alone", f"{a.name}[i, k]")
    return indices
