"""Declared instructions, tried: nobody has to promise that LLVM IR computes what a definition means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import DefinitionError
from ..ir.intrinsic import Intrinsic
from ..ir.surface import Define, Definitions, Undef
from ..jit.target import Target
from ..types import Type
from .func import Func, func

__all__ = ["prove"]

TRIES = 32
_proven: set[tuple[Intrinsic, Target]] = set()


def prove(intrinsics: Iterable[Intrinsic], target: Target | str) -> None:
    """DefinitionError if one of these is not what it means in code for `target`. Each is tried once."""
    for i in intrinsics:
        if isinstance(target, Target) and (i, target) not in _proven:
            _proven.add((i, target))  # what is tried is compiled as anything else is
            try:
                _try(i, target)
            except BaseException:
                _proven.discard((i, target))
                raise


def _try(i: Intrinsic, target: Target) -> None:
    if i.code(target.has) is None:
        return
    m, rng = i.meaning, np.random.default_rng(0)
    plain, tensorized = (_kernel(i, target, wanted) for wanted in (False, True))
    shape = tuple(m.extents[v] for v in m.vars)
    for _ in range(TRIES):
        operands = {
            o.array.name: _values(rng, o.type, tuple(m.extents[v] for v in o.indices), i.rounds) for o in m.operands
        }
        start = _values(rng, m.own.types[0], shape, i.rounds)
        want, got = start.copy(), start.copy()
        plain(**operands, out=want)
        tensorized(**operands, out=got)
        same = _same(got, want, i.rounds)
        if not same.all():
            at = tuple(int(k[0]) for k in np.nonzero(~same))
            raise DefinitionError(f"the LLVM IR of {i.name} is not what it means: at {list(at)} it gives {got[at]}, and the "
                                  f"definition {want[at]}", loc=i.loc)  # fmt: skip


def _kernel(i: Intrinsic, target: Target, tensorized: bool) -> Any:
    """The meaning over what `out` holds before."""
    f: Func = func(i.definition)
    d = f.definitions
    if d.updates and d.pure is not None:
        f.settle(Definitions(d.vars, Define(d.pure.args, (Undef(i.meaning.own.types[0]),), loc=f.loc), d.updates))
    stage = f.update(0) if d.updates else f
    stage.unscheduled()
    if tensorized:
        stage.tensorize((*i.meaning.vars, *i.meaning.rvars)[0].name, i)
        if i.rounds and d.updates:
            stage.atomic()
    for v in i.meaning.vars:
        f.bound(v.name, 0, i.meaning.extents[v])
    return f.compile(target=target)


def _values(rng: np.random.Generator, t: Type, shape: tuple[int, ...], tame: bool) -> Any:
    """Random values and extreme ones; of floats that may round, none that a rounding makes a different number of."""
    if t.is_bool:
        return rng.random(shape) < 0.5
    if not t.is_float:
        ends = np.array([t.min, t.max, 0, 1], t.dtype)
        drawn = rng.integers(int(t.min), int(t.max), shape, t.dtype, endpoint=True)
        return np.where(rng.random(shape) < 0.3, rng.choice(ends, shape), drawn)
    drawn = rng.standard_normal(shape)
    if not tame:
        drawn = drawn * 2.0 ** rng.integers(-12, 12, shape)
        drawn = np.where(
            rng.random(shape) < 0.1, rng.choice(np.array([0.0, -0.0, np.inf, -np.inf, np.nan]), shape), drawn
        )
    return drawn.astype(t.dtype)


def _same(got: Any, want: Any, rounds: bool) -> Any:
    if got.dtype.kind in "biu":
        return got == want
    a, b = got.astype(np.float64), want.astype(np.float64)
    if rounds:
        return np.abs(a - b) <= 0.02 * (np.abs(b) + 1)
    return ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))
