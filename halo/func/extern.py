"""`halo.extern`: a Python, NumPy or Numba function over whole buffers as a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import DefinitionError, here
from ..ir.surface import Define, Definitions, External, Function, Indexable, IndexVar, Undef
from ..types import Type, as_type
from .func import Func

__all__ = ["extern"]


def extern(function: Callable[..., Any], inputs: Sequence[Indexable], dtype: Any, ndim: int,
           bounds: Callable[..., Any] | None = None, name: str | None = None) -> Func:  # fmt: skip
    """A Func whose values `function(out, *arrays)` writes, region by region, from what it is given of `inputs`.

    `dtype` is the type of the values, or a tuple of types (then `function` takes as many outputs first). `bounds(box)`
    says what it reads to compute `box`, a list of (lo, n) pairs: one such list for each input. Without it, of an input
    of rank `ndim` the box itself is read, and other inputs as a whole.

    >>> import halo, numpy as np
    >>> def sort(out, a):
    ...     out[...] = np.sort(a)
    >>> a = halo.Input("a", halo.u8, ndim=1)
    >>> rows = halo.extern(sort, [a], halo.u8, 1, bounds=lambda box: [[(0, a.shape[0])]])
    """
    if not callable(function):
        raise DefinitionError(f"halo.extern takes a function, not a {type(function).__name__}", loc=here())
    for target in inputs:
        if not isinstance(target, Indexable):
            raise DefinitionError("the inputs of an extern stage are Funcs and Inputs", loc=here())
    types: tuple[Type, ...] = tuple(map(as_type, dtype)) if isinstance(dtype, (tuple, list)) else (as_type(dtype),)
    f = Func(name or _name(function))
    vars = tuple(f"i{k}" for k in range(ndim))
    f.external = External(function, tuple(_ranked(t, ndim) for t in inputs), types, bounds)
    f.settle(Definitions(vars, Define(tuple(map(IndexVar, vars)), tuple(map(Undef, types)), loc=f.loc)))
    return f


def _name(function: Any) -> str:
    name = getattr(function, "__name__", "extern")
    return name if name.isidentifier() else "extern"


def _ranked(target: Indexable, ndim: int) -> Indexable:
    at_rank = getattr(target, "at_rank", None)
    return target if at_rank is None or not isinstance(target, Function) else at_rank(target.ndim or ndim)
