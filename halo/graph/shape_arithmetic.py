"""Shape arithmetic: integer tensors that follow from shapes alone, as arrays of integers and extents.

`values(e)` computes what ONNX models write out with Shape, Gather, Concat, Slice, Cast, Mul, ... to say what another
operator's shape is, so that the shape is known when the program is made: an expression over symbolic axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from halo import nn
from halo.errors import ArgumentError
from halo.ir.shapes import DimExpr, dim_max, dim_min, never_negative

from .ir import Call, Constant, Expr, Global, walk

__all__ = ["entries", "shape_vector", "values"]

MOST = 4096  # entries: more are data
EXACT = 2**24  # an f32 has all integers up to it
Entries = Any  # an array of objects, integers or extents


class _Unknown(Exception):
    """Only a call can tell."""


def shape_vector(entries: tuple[Any, ...], shape: tuple[int, ...], name: str = "c") -> Expr:
    """The i64 tensor of these entries, integers and extents: a Constant where all are integers."""
    if not any(isinstance(v, DimExpr) for v in entries):
        return Constant(np.array(entries, np.int64).reshape(shape), name)
    attrs = {"values": entries, "shape": shape, "dtype": "i64"}
    return Call(nn.extents, (), tuple(attrs.items()), name)


def values(e: Expr, given: Mapping[int, Entries] | None = None) -> Entries | None:
    """The entries of `e`, None if they depend on more than shapes and constants, or are no integers, as floats may be, too.
    `given`: those of Vars, by their ids."""
    made: dict[int, Entries] = {}
    try:
        for x in walk(e):
            made[id(x)] = given[id(x)] if given is not None and id(x) in given else _entries(x, made)
    except (_Unknown, ArgumentError):  # the latter of a bound that only a call knows
        return None
    return made[id(e)]


def entries(e: Expr) -> Entries | None:
    """As `values`, with None for each entry that depends on more; None for what is no integer tensor of known extents."""
    if not _is_small(e) or e.type.dtype.is_float:
        return None
    made: dict[int, Entries] = {}
    stack = [e]
    while stack:
        x = stack[-1]
        below = x.children if isinstance(x, Call) else ()
        todo = [c for c in below if id(c) not in made and _is_small(c)]
        if todo:
            stack += todo
            continue
        stack.pop()
        try:
            made[id(x)] = _entries(x, made)
        except (_Unknown, ArgumentError, KeyError):  # the last of an argument that is not small
            made[id(x)] = np.full(x.type.shape, None, object)
    return made[id(e)]


def _is_small(e: Expr) -> bool:
    t = e.type
    if isinstance(t, tuple) or not _has_integers(t.dtype) or not all(isinstance(n, int) for n in t.shape):
        return False
    return bool(math.prod(t.shape) <= MOST)


def _has_integers(dtype: Any) -> bool:
    """Whether numbers of that type count what extents do."""
    return not dtype.is_float or dtype.name in ("f32", "f64")


def _entries(x: Expr, made: dict[int, Entries]) -> Entries:
    if isinstance(x, Constant) and x.data.size <= MOST:
        if x.data.dtype.kind in "iub":
            return x.data.astype(object)
        if x.data.dtype in (np.float32, np.float64) and np.all(np.abs(x.data) <= EXACT) and np.all(x.data % 1 == 0):
            return x.data.astype(np.int64).astype(object)
    if not isinstance(x, Call) or isinstance(x.op, Global) or isinstance(x.type, tuple):
        raise _Unknown
    if not _has_integers(x.type.dtype):
        raise _Unknown
    if x.op is nn.extents:
        return _objects(x.attrs["values"], x.attrs["shape"])
    compute = _COMPUTE.get(x.op.name)
    if compute is None or any(a is None for a in x.args):
        raise _Unknown
    found = compute(x, *(made[id(a)] for a in x.args))
    if found.size > MOST:
        raise _Unknown
    return found


def _objects(flat: Any, shape: Any) -> Entries:
    found = np.empty(len(flat), object)
    found[:] = flat
    return found.reshape(shape)


def _moved(x: Call, *args: Entries) -> Entries:
    """What moves entries does so with those of any kind."""
    assert isinstance(x.op, nn.Op) and x.op.reference is not None
    return np.asarray(x.op.reference(*args, **x.attrs), object)


def _taken(x: Call, data: Entries, at: Entries) -> Entries:
    if any(v is None or isinstance(v, DimExpr) for v in at.reshape(-1)):
        raise _Unknown
    return np.asarray(np.take(data, at.astype(np.int64), x.attrs["axis"]), object)


def _cast(x: Call, data: Entries) -> Entries:
    if x.type.dtype.name in ("i32", "i64", "f32", "f64"):
        return np.vectorize(lambda v: int(v) if isinstance(v, bool) else v, [object])(data) if data.size else data
    if x.type.dtype.is_bool and not any(v is None or isinstance(v, DimExpr) for v in data.reshape(-1)):
        return np.asarray(data != 0, object)
    raise _Unknown


def _each(f: Callable[..., Any]) -> Callable[..., Entries]:
    """`f` of the entries, broadcast together."""

    def compute(x: Call, *args: Entries) -> Entries:
        arrays = np.broadcast_arrays(*args)
        flat = [None if None in parts else f(*parts) for parts in zip(*(a.reshape(-1) for a in arrays), strict=True)]
        return _objects(flat, arrays[0].shape)

    return compute


def _folded(f: Callable[[Any, Any], Any], unit: Any) -> Callable[..., Entries]:
    """All entries folded by `f`, where all axes are. `unit`: what no entries make, None if nothing."""

    def compute(x: Call, data: Entries) -> Entries:
        axes = x.attrs.get("axis", x.attrs.get("axes"))
        if data.ndim > 1 and axes is not None:
            raise _Unknown
        total = unit
        for v in data.reshape(-1):
            if v is None:
                raise _Unknown
            total = v if total is None else f(total, v)
        if total is None:
            raise _Unknown
        return _objects([total], (1,) * data.ndim if x.attrs.get("keepdims") else ())

    return compute


def _divided(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        return 0 if b == 0 else -(-a // b) if (a < 0) != (b < 0) else a // b
    if not (never_negative(a) and isinstance(b, int) and b > 0):
        raise _Unknown
    return a // b


def _exact(a: Any, b: Any) -> Any:
    """`a/b` of floats, where it is an integer."""
    whole = a // b if b != 0 else 0
    if b == 0 or whole * b != a:
        raise _Unknown
    return whole


def _mod(x: Call, *args: Entries) -> Entries:
    def rest(a: Any, b: Any) -> Any:
        if isinstance(b, int) and b > 0 and (not x.attrs["fmod"] or never_negative(a)):
            return a % b
        raise _Unknown

    return _each(rest)(x, *args)


def _equal(a: Any, b: Any) -> bool:
    if a == b:
        return True
    difference = a - b
    if (
        isinstance(difference, int)
        or (isinstance(b, int) and b < 0 and never_negative(a))
        or (isinstance(a, int) and a < 0 and never_negative(b))
    ):
        return False
    raise _Unknown


def _less(a: Any, b: Any) -> bool:
    difference = b - a
    if isinstance(difference, int):
        return difference > 0
    if never_negative(-difference):
        return False
    if never_negative(difference - 1):
        return True
    raise _Unknown


def _picked(condition: Any, a: Any, b: Any) -> Any:
    return a if condition else b


_COMPUTE: dict[str, Callable[..., Entries]] = {
    **dict.fromkeys(
        ("reshape", "flatten", "transpose", "concatenate", "strided_slice", "broadcast_to", "tile"), _moved
    ),
    "take": _taken,
    **dict.fromkeys(("identity", "floor", "ceil", "rint"), _each(lambda v: v)),  # of integers
    "cast": _cast,
    "add": _each(lambda a, b: a + b),
    "subtract": _each(lambda a, b: a - b),
    "multiply": _each(lambda a, b: a * b),
    "negative": _each(lambda v: -v),
    "divide": lambda x, a, b: _each(_exact if x.type.dtype.is_float else _divided)(x, a, b),
    "mod": _mod,
    "maximum": _each(dim_max),
    "minimum": _each(dim_min),
    "equal": _each(_equal),
    "less": _each(_less),
    "greater": _each(lambda a, b: _less(b, a)),
    "less_equal": _each(lambda a, b: not _less(b, a)),
    "greater_equal": _each(lambda a, b: not _less(a, b)),
    "logical_not": _each(lambda v: not v),
    "logical_and": _each(lambda a, b: a and b),
    "logical_or": _each(lambda a, b: a or b),
    "where": _each(_picked),
    "prod": _folded(lambda a, b: a * b, 1),
    "sum": _folded(lambda a, b: a + b, 0),
    "min": _folded(dim_min, None),
    "max": _folded(dim_max, None),
}
