"""Arrays for a pipeline to run on where only the order of what it does is wanted: as small as the asked shape allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, here
from ..func.inspect import assumed, for_some_type, required
from ..func.program import Program
from ..func.runnable import Runnable
from ..func.signature import Signature
from ..ir import algebra as A
from ..ir.expr import Const, Expr, Var
from ..ir.node import interning
from ..ir.pipeline import Pipeline

__all__ = ["sample"]

ROUNDS = 8  # after which sizes that still grow are given up


def sample(r: Runnable, shape: tuple[int, ...]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Inputs that `r` can compute `shape` from, and the origin of the region for which no array is read before its
    start. ArgumentError where the sizes do not follow from the shape."""
    program = r.program()
    return for_some_type(lambda t: _sample(r.name, program, assumed(program, t), shape))


def _sample(
    name: str, program: Program, s: Signature, shape: tuple[int, ...]
) -> tuple[dict[str, Any], tuple[int, ...]]:
    with interning():
        p = program.typed(s)
        found = _sizes(p, required(program, p), _asked(program, shape), shape)
    if found is None:
        raise ArgumentError(f"how large the inputs of {name} are does not follow from the shape", loc=here(),
                            hint=", ".join(f"{n}=array" for n, _ in s.arrays))  # fmt: skip
    sizes, origin = found
    types = dict(s.arrays)
    arrays: dict[str, Any] = {n: _filled(sizes[n], types[n].dtype) for n in sizes if n in types}
    return arrays | {n: 1 for n, _ in s.scalars if program.arguments[n].default is None}, origin


def _asked(program: Program, shape: tuple[int, ...]) -> dict[tuple[str, int], int]:
    """The extents of input axes that the outputs' extents follow."""
    return {place: n for axes in program.regions for place, n in zip(axes, shape, strict=False) if place is not None}


def _sizes(
    p: Pipeline, boxes: Mapping[str, Any], asked: Mapping[tuple[str, int], int], shape: tuple[int, ...]
) -> tuple[dict[str, tuple[int, ...]], tuple[int, ...]] | None:
    sizes = {a.name: tuple(asked.get((a.name, d), 1) for d in range(a.ndim)) for a in p.inputs}
    shift = 0
    for _ in range(ROUNDS):
        known: dict[Var, Expr] = {}
        for name in p.outputs:
            array = p[name].array
            known |= {v: A.const(shift) for v in array.mins}
            known |= {v: A.const(n) for v, n in zip(array.extents, shape, strict=True)}
        for a in p.inputs:
            known |= {v: A.const(n) for v, n in zip(a.extents, sizes[a.name], strict=True)}
        ends = {name: [(_value(lo, known), _value(hi, known)) for lo, hi in box] for name, box in boxes.items()}
        if any(math.isinf(e) for box in ends.values() for axis in box for e in axis):
            return None
        before = -int(min((lo for box in ends.values() for lo, hi in box if lo <= hi), default=0))
        larger = {
            name: tuple(max(n, int(hi) + 1) for n, (_, hi) in zip(sizes[name], ends[name], strict=True)) if name in ends
            else sizes[name] for name in sizes
        }  # fmt: skip
        if before <= 0 and larger == sizes:
            return sizes, (shift,) * len(shape)
        shift, sizes = shift + max(before, 0), larger
    return None


def _value(e: Expr | None, known: dict[Var, Expr]) -> float:
    """The constant that `e` is; infinite if it is none."""
    done = None if e is None else A.substitute(e, known)
    return done.value if isinstance(done, Const) else math.inf


def _filled(size: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Values of which few are equal, so that what depends on them differs from point to point."""
    return (np.arange(int(np.prod(size, dtype=np.int64))) * 7 % 97).reshape(size).astype(dtype)
