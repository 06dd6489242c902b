"""Indexing by tensors: what is read, or written, where the values of another tensor say.

Indices are i32 or i64, and count from the end where they are negative. One outside of the axis is taken as the nearest
inside: no tensor makes a kernel leave its arrays.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.ir.shapes import dim_max
from halo.types import i64

from .lines import extent
from .op import Kind, op
from .shapes import assume, axis_of, equal, indices, same_type, takes
from .tensor import Tensor, TensorType

__all__ = ["arange", "gather_elements", "gather_nd", "nonzero", "one_hot", "reverse_sequence", "scatter_elements", "scatter_nd",
           "take"]  # fmt: skip


def _place(v: Any, n: Any) -> Any:
    """The index `v` on an axis of `n`."""
    return halo.clamp(halo.select(v < 0, v + n, v), 0, n - 1)


def _wrapped(i: Any, n: int) -> Any:
    return np.clip(np.where(i < 0, i + n, i), 0, n - 1)


@op(Kind.INJECTIVE, reference=lambda x, i, *, axis=0: np.take(x, _wrapped(i, x.shape[axis]), axis))
def take(x: TensorType, indices: TensorType, *, axis: int = 0) -> TensorType:
    """The slices of x at `indices` along an axis, which their axes take the place of: NumPy take, TOPI take, ONNX Gather.

    >>> from halo import nn
    >>> nn.take(np.array([[1, 2], [3, 4]]), np.array([1, -1, 0]), axis=1)
    array([[2, 2, 1],
           [4, 4, 3]])
    """
    takes("the indices of take", "int", indices)
    d = axis_of("take", axis, x.ndim)
    if x.shape[d] == 0 and all(isinstance(n, int) and n for n in indices.shape):
        raise ArgumentError(f"there is nothing to take along axis {axis} of {x}", loc=here())
    return TensorType((*x.shape[:d], *indices.shape, *x.shape[d + 1 :]), x.dtype)


@take.strategy("direct")
def _(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    d = axis_of("take", axis, x.ndim)
    shape = take.infer((x.type, indices.type), {"axis": axis}).shape
    f, i = Func("take"), _variables(len(shape))
    at = _place(indices.func[i[d : d + indices.ndim]], extent(x, d))
    f[i] = x.func[(*i[:d], at, *i[d + indices.ndim :])]
    return Tensor(f, shape, x.dtype)


_variables = indices


def _gather_elements(x: Any, i: Any, *, axis: int = 0) -> Any:
    within = x[tuple(slice(n) if d != axis % x.ndim else slice(None) for d, n in enumerate(i.shape))]
    return np.take_along_axis(within, _wrapped(i, x.shape[axis]), axis)


@op(Kind.INJECTIVE, reference=_gather_elements)
def gather_elements(x: TensorType, indices: TensorType, *, axis: int = 0) -> TensorType:
    """At each index i of the result, x at i with `indices[i]` along an axis: ONNX GatherElements, NumPy take_along_axis.

    >>> from halo import nn
    >>> nn.gather_elements(np.array([[1, 2], [3, 4]]), np.array([[0, 0], [1, 0]]), axis=1)
    array([[1, 1],
           [4, 3]])
    """
    takes("the indices of gather_elements", "int", indices)
    d = axis_of("gather_elements", axis, x.ndim)
    if indices.ndim != x.ndim or any(
        isinstance(n, int) and isinstance(m, int) and n > m
        for k, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True)) if k != d
    ):  # fmt: skip
        raise ArgumentError(f"indices {indices} do not lie within {x} but along axis {axis}", loc=here())
    return TensorType(indices.shape, x.dtype)


@gather_elements.strategy("direct")
def _(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    d = axis_of("gather_elements", axis, x.ndim)
    f, i = Func("gather_elements"), _variables(x.ndim)
    f[i] = x.func[(*i[:d], _place(indices.func[i], extent(x, d)), *i[d + 1 :])]
    return Tensor(f, indices.shape, x.dtype)


def _gather_nd(x: Any, i: Any, *, batch_dims: int = 0) -> Any:
    deep = i.shape[-1]
    out = np.empty((*i.shape[:-1], *x.shape[batch_dims + deep :]), x.dtype)
    for at in np.ndindex(*i.shape[:-1]):
        where = tuple(_wrapped(v, x.shape[batch_dims + k]) for k, v in enumerate(i[at]))
        out[at] = x[(*at[:batch_dims], *where)]
    return out


@op(Kind.INJECTIVE, reference=_gather_nd)
def gather_nd(x: TensorType, indices: TensorType, *, batch_dims: int = 0) -> TensorType:
    """The slices of x at the points that the last axis of `indices` holds: ONNX GatherND. The first `batch_dims` axes are
    those of both.

    >>> from halo import nn
    >>> nn.gather_nd(np.array([[1, 2], [3, 4]]), np.array([[0, 1], [1, -1]]))
    array([2, 4])
    """
    takes("the indices of gather_nd", "int", indices)
    deep = indices.shape[-1] if indices.ndim else 0
    if not isinstance(deep, int) or not 0 <= batch_dims < indices.ndim or batch_dims + deep > x.ndim \
            or not all(map(equal, indices.shape[:batch_dims], x.shape)):  # fmt: skip
        raise ArgumentError(f"points {indices} with {batch_dims} batch axes are none of {x}", loc=here())
    return TensorType((*indices.shape[:-1], *x.shape[batch_dims + deep :]), x.dtype)


@gather_nd.strategy("direct")
def _(x: Tensor, indices: Tensor, *, batch_dims: int) -> Tensor:
    shape = gather_nd.infer((x.type, indices.type), {"batch_dims": batch_dims}).shape
    f, i = Func("gather_nd"), _variables(len(shape))
    head, tail = i[: indices.ndim - 1], i[indices.ndim - 1 :]
    point = (_place(indices.func[(*head, k)], extent(x, batch_dims + k)) for k in range(indices.shape[-1]))
    f[i] = x.func[(*i[:batch_dims], *point, *tail)]
    return Tensor(f, shape, x.dtype)


# Scatter --------------------------------------------------------------------------------------------------------------

FOLDS: dict[str, Any] = {
    "none": lambda a, b: b,
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "max": halo.max,
    "min": halo.min,
}
_UFUNCS: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _folded(out: Any, at: Any, value: Any, reduction: str) -> None:
    out[at] = value if reduction == "none" else _UFUNCS[reduction](out[at], value)


def _check_fold(name: str, x: TensorType, updates: TensorType, reduction: str) -> None:
    if reduction not in FOLDS:
        raise ArgumentError(f"{name} has no reduction {reduction!r}", loc=here(), legal=tuple(FOLDS))
    if reduction != "none":
        takes(f"{name} with a reduction", "number", x)
    same_type(name, x, updates)


def _scatter_elements(x: Any, i: Any, u: Any, *, axis: int = 0, reduction: str = "none") -> Any:
    out = x.copy()
    for at in np.ndindex(*i.shape):
        where = list(at)
        where[axis] = int(_wrapped(i[at], x.shape[axis]))
        _folded(out, tuple(where), u[at], reduction)
    return out


@op(Kind.OPAQUE, reference=_scatter_elements)
def scatter_elements(x: TensorType, indices: TensorType, updates: TensorType, *, axis: int = 0,
                     reduction: str = "none") -> TensorType:  # fmt: skip
    """x with `updates[i]` at i with `indices[i]` along an axis, for each i in order; or folded into what is there, by
    "add", "mul", "max" or "min". ONNX ScatterElements.

    >>> from halo import nn
    >>> nn.scatter_elements(np.zeros(3, np.int32), np.array([2, 0, 2]), np.array([1, 2, 3], np.int32), reduction="add")
    array([2, 0, 4], dtype=int32)
    """
    takes("the indices of scatter_elements", "int", indices)
    d = axis_of("scatter_elements", axis, x.ndim)
    _check_fold("scatter_elements", x, updates, reduction)
    if indices.ndim != x.ndim or updates.ndim != x.ndim or not all(map(equal, indices.shape, updates.shape)):
        raise ArgumentError(f"scatter_elements takes an index for each of {updates}, not {indices}", loc=here())
    for k, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True)):
        if k != d and not (isinstance(n, int) and isinstance(m, int)):
            assume(">=", m, n)
        elif k != d and n > m:
            raise ArgumentError(f"indices {indices} do not lie within {x} but along axis {axis}", loc=here())
    return x


@scatter_elements.strategy("direct")
def _(x: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str) -> Tensor:
    d = axis_of("scatter_elements", axis, x.ndim)
    f, i = Func("scatter_elements"), _variables(x.ndim)
    f[i] = x.func[i]
    r: RDom = halo.rdom(*(extent(indices, k) for k in range(x.ndim)), names=[f"r{k}" for k in range(x.ndim)])
    at = tuple(r)
    place = (*at[:d], _place(indices.func[at], extent(x, d)), *at[d + 1 :])
    f[place] = FOLDS[reduction](f[place], updates.func[at])
    return Tensor(f, x.shape, x.dtype)


def _scatter_nd(x: Any, i: Any, u: Any, *, reduction: str = "none") -> Any:
    out = x.copy()
    for at in np.ndindex(*i.shape[:-1]):
        _folded(out, tuple(int(_wrapped(v, x.shape[k])) for k, v in enumerate(i[at])), u[at], reduction)
    return out


@op(Kind.OPAQUE, reference=_scatter_nd)
def scatter_nd(x: TensorType, indices: TensorType, updates: TensorType, *, reduction: str = "none") -> TensorType:
    """x with the slices `updates` at the points that the last axis of `indices` holds, in order; or folded into what is
    there, by "add", "mul", "max" or "min". ONNX ScatterND.

    >>> from halo import nn
    >>> nn.scatter_nd(np.zeros(3, np.int32), np.array([[2], [0]]), np.array([1, 2], np.int32))
    array([2, 0, 1], dtype=int32)
    """
    takes("the indices of scatter_nd", "int", indices)
    _check_fold("scatter_nd", x, updates, reduction)
    deep = indices.shape[-1] if indices.ndim else 0
    wanted = (*indices.shape[:-1], *x.shape[deep:]) if isinstance(deep, int) and deep <= x.ndim else None
    if wanted is None or len(wanted) != updates.ndim or not all(map(equal, updates.shape, wanted)):
        raise ArgumentError(f"updates {updates} at points {indices} are none of {x}", loc=here())
    return x


@scatter_nd.strategy("direct")
def _(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str) -> Tensor:
    f, i = Func("scatter_nd"), _variables(x.ndim)
    f[i] = x.func[i]
    many, deep = indices.ndim - 1, indices.shape[-1]
    names = [f"r{k}" for k in range(updates.ndim)]
    if not updates.ndim:
        place: tuple[Any, ...] = tuple(_place(indices.func[(k,)], extent(x, k)) for k in range(deep))
        f[place] = FOLDS[reduction](f[place], updates.func[()])
        return Tensor(f, x.shape, x.dtype)
    r: RDom = halo.rdom(*(extent(updates, k) for k in range(updates.ndim)), names=names)
    at = tuple(r)
    place = (*(_place(indices.func[(*at[:many], k)], extent(x, k)) for k in range(deep)), *at[many:])
    f[place] = FOLDS[reduction](f[place], updates.func[at])
    return Tensor(f, x.shape, x.dtype)


# What is made of indices ----------------------------------------------------------------------------------------------


def _one_hot(i: Any, off: Any, on: Any, *, depth: int, axis: int = -1) -> Any:
    i = np.expand_dims(np.where(i < 0, i + depth, i), axis)
    shape = [1] * i.ndim
    shape[axis] = depth
    return np.where(i == np.arange(depth).reshape(shape), on, off)


@op(Kind.INJECTIVE, reference=_one_hot)
def one_hot(indices: TensorType, off: TensorType, on: TensorType, *, depth: int, axis: int = -1) -> TensorType:
    """A new axis of `depth` entries, `on` at the index and `off` elsewhere (everywhere, for one outside): ONNX OneHot.

    >>> from halo import nn
    >>> nn.one_hot(np.array([1, -1]), np.int32(0), np.int32(5), depth=3)
    array([[0, 5, 0],
           [0, 0, 5]], dtype=int32)
    """
    takes("the indices of one_hot", "number", indices)
    if off.shape or on.shape or depth < 0:
        raise ArgumentError(f"one_hot takes one value on and one off, not {on} and {off}", loc=here())
    d = axis_of("one_hot", axis, indices.ndim + 1)
    return TensorType((*indices.shape[:d], depth, *indices.shape[d:]), same_type("one_hot", off, on))


@one_hot.strategy("direct")
def _(indices: Tensor, off: Tensor, on: Tensor, *, depth: int, axis: int) -> Tensor:
    d = axis_of("one_hot", axis, indices.ndim + 1)
    f, i = Func("one_hot"), _variables(indices.ndim + 1)
    v = indices.func[(*i[:d], *i[d + 1 :])].astype(i64)
    hot = halo.select(v < 0, v + depth, v) == i[d]
    f[i] = halo.select(hot, on.func[()], off.func[()])
    return Tensor(f, (*indices.shape[:d], depth, *indices.shape[d:]), on.dtype)


def _reverse_sequence(x: Any, lengths: Any, *, batch_axis: int = 1, time_axis: int = 0) -> Any:
    out = x.copy()
    for b, n in enumerate(lengths):
        rows, source = (
            np.moveaxis(out, (batch_axis, time_axis), (0, 1)),
            np.moveaxis(x, (batch_axis, time_axis), (0, 1)),
        )
        rows[b, :n] = source[b, :n][::-1]
    return out


@op(Kind.INJECTIVE, reference=_reverse_sequence)
def reverse_sequence(x: TensorType, lengths: TensorType, *, batch_axis: int = 1, time_axis: int = 0) -> TensorType:
    """x with the first `lengths[b]` entries along `time_axis` in reverse order, for each b of `batch_axis`: ONNX
    ReverseSequence.

    >>> from halo import nn
    >>> nn.reverse_sequence(np.array([[1, 2, 3], [4, 5, 6]]), np.array([2, 3]), batch_axis=0, time_axis=1)
    array([[2, 1, 3],
           [6, 5, 4]])
    """
    takes("the lengths of reverse_sequence", "int", lengths)
    b, t = (axis_of("reverse_sequence", a, x.ndim) for a in (batch_axis, time_axis))
    if b == t or lengths.shape != (x.shape[b],):
        raise ArgumentError(f"reverse_sequence of {x} takes {x.shape[b]} lengths, not {lengths}", loc=here())
    return x


@reverse_sequence.strategy("direct")
def _(x: Tensor, lengths: Tensor, *, batch_axis: int, time_axis: int) -> Tensor:
    b, t = (axis_of("reverse_sequence", a, x.ndim) for a in (batch_axis, time_axis))
    f, i = Func("reverse_sequence"), _variables(x.ndim)
    n = halo.i32(halo.clamp(lengths.func[i[b]], 0, extent(x, t)))
    source = halo.clamp(halo.select(i[t] < n, n - 1 - i[t], i[t]), 0, extent(x, t) - 1)
    f[i] = x.func[(*i[:t], source, *i[t + 1 :])]
    return Tensor(f, x.shape, x.dtype)


@op(Kind.INJECTIVE, reference=lambda start, step, *, length: (start + step * np.arange(length)).astype(start.dtype))
def arange(start: TensorType, step: TensorType, *, length: int) -> TensorType:
    """start, start + step, ...: so many. ONNX Range, TOPI arange.

    >>> from halo import nn
    >>> nn.arange(np.int32(1), np.int32(3), length=4)
    array([ 1,  4,  7, 10], dtype=int32)
    """
    takes("arange", "number", start, step)
    if start.shape or step.shape or (isinstance(length, int) and length < 0):
        raise ArgumentError(f"arange goes from one value by one step, not from {start} by {step}", loc=here())
    return TensorType((length,), same_type("arange", start, step))


@arange.strategy("direct")
def _(start: Tensor, step: Tensor, *, length: int) -> Tensor:
    f, (i,) = Func("arange"), _variables(1)
    f[i] = start.func[()] + step.func[()] * i.astype(start.dtype)
    return Tensor(f, (length,), start.dtype)


@op(Kind.OPAQUE, reference=lambda x, *, count: np.array(np.nonzero(x), np.int64).reshape(x.ndim, -1)[:, :count])
def nonzero(x: TensorType, *, count: int) -> TensorType:
    """The indices of what is not zero, in order, an axis a row: ONNX NonZero. `count`: how many there are.

    >>> from halo import nn
    >>> nn.nonzero(np.array([[0, 5], [7, 0]]), count=2)
    array([[0, 1],
           [1, 0]])
    """
    if isinstance(count, int) and count < 0:
        raise ArgumentError(f"there are not {count} values", loc=here())
    return TensorType((x.ndim, count), i64)


@nonzero.strategy("direct")
def _(x: Tensor, *, count: int) -> Tensor:
    before, f = Func("before"), Func("nonzero")  # how many there are before each entry, of all one after the other
    (k,), (row, column) = _variables(1, "k"), _variables(2)
    extents = [extent(x, d) for d in range(x.ndim)] or [1]
    q, r = (halo.rdom(*extents, names=[f"r{d}" for d in range(len(extents))]) for _ in range(2))

    def place(s: RDom) -> Any:
        return functools.reduce(lambda at, axis: at * axis[1] + axis[0], zip(s, extents, strict=True), 0)

    before[k] = halo.i32(0)
    before[place(q) + 1] = before[place(q)] + halo.select(x.func[tuple(q)[: x.ndim]] != 0, 1, 0)
    # no branch that nobody foresees: what is zero is stored too, and what is not, behind it, in its place
    r.where(before[place(r)] < halo.i32(count))
    value: Any = i64(0)
    for axis, v in enumerate(tuple(r)[: x.ndim]):
        value = halo.select(row == axis, i64(v), value)
    f[row, column] = i64(0)
    f[row, halo.clamp(before[place(r)], 0, dim_max(count - 1, 0))] = value
    before.compute_root()
    if x.ndim:
        f.bound(row, 0, x.ndim).update(0).reorder(*(v.name for v in r), row).unroll(row)
    return Tensor(f, (x.ndim, count), i64)
