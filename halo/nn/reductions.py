"""Reductions over axes, and running ones along an axis."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.jit.target import Target
from halo.types import f32, i64

from .elementwise import elementwise
from .lines import accumulator, along, extent, schedule_along
from .op import Kind, Op, Types, op
from .shape import reshape
from .shapes import axes_of, axis_of, indices, takes
from .tensor import Tensor, TensorType, type_of

__all__ = ["all", "any", "argmax", "argmin", "cumprod", "cumsum", "logsumexp", "max", "mean", "min", "prod", "reduced",
           "sum"]  # fmt: skip

Fold = Callable[[Any, RDom], Any]


def reduced(name: str, x: Tensor, axes: Sequence[int], fold: Fold, value: Callable[[Any], Any], keepdims: bool,
            end: Callable[[Any], Any] | None = None, dtype: Any = None) -> Tensor:  # fmt: skip
    """`fold` of `value` of `x` over `axes`, and `end` of that."""
    shape = _shape(x.shape, axes, keepdims)
    if not axes:
        return elementwise(name, lambda v: (end or _same)(value(v)), x, dtype=dtype or x.dtype)
    f, i = Func(name), indices(len(shape))
    r: RDom = halo.rdom(*(extent(x, d) for d in axes), names=[f"r{d}" for d in axes])
    over = dict(zip(axes, r, strict=True))
    rest = iter(v for d, v in enumerate(i) if not (keepdims and d in over))
    at = tuple(over[d] if d in over else next(rest) for d in range(x.ndim))
    total = fold(value(x.func[at]), r)
    f[i] = total if end is None else end(total)
    return Tensor(f, shape, dtype or x.dtype)


def _same(v: Any) -> Any:
    return v


# Rows: over the last axes -----------------------------------------------------------------------------------------------


def _are_rows(types: Types, attrs: Any, target: Target) -> bool:
    x = types[0]
    assert x is not None
    axes = axes_of("reduction", attrs["axes"], x.ndim)
    if not axes or len(axes) == x.ndim or axes != tuple(range(x.ndim - len(axes), x.ndim)):
        return False
    n = x.shape[-1]
    return x.dtype in (f32, halo.f64) and (not isinstance(n, int) or n >= target.natural_lanes(x.dtype) // 2)


def _are_short_rows(types: Types, attrs: Any, target: Target) -> bool:
    """Whether the last axes together are a row, and the last one alone is too short."""
    x = types[0]
    assert x is not None
    axes = axes_of("reduction", attrs["axes"], x.ndim)
    shape = x.shape[x.ndim - len(axes) :]
    if _are_rows(types, attrs, target) or len(axes) < 2 or not builtins.all(isinstance(n, int) and n for n in shape):
        return False
    row = TensorType((*x.shape[: x.ndim - len(axes)], math.prod(shape)), x.dtype)
    return axes == tuple(range(x.ndim - len(axes), x.ndim)) and _are_rows((row,), {"axes": (-1,)}, target)


def _schedule_rows(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    schedule_along(out, out.ndim)


def _in_rows(name: str, x: Tensor, axes: Sequence[int], unit: Any, fold: Callable[[Any, Any], Any], keepdims: bool,
             end: Callable[[Any], Any] | None) -> Tensor:  # fmt: skip
    shape, rows = _shape(x.shape, axes, keepdims), x.ndim - len(axes)
    f, i = Func(name), indices(len(shape))
    ranges = [extent(x, d) for d in axes]
    row = along("line", i[:rows], unit, fold, lambda *r: x.func[(*i[:rows], *r)], ranges, x.dtype)
    f[i] = row[i[:rows]] if end is None else end(row[i[:rows]])
    return Tensor(f, shape, x.dtype)


def _shape(shape: tuple[Any, ...], axes: Sequence[int], keepdims: bool) -> tuple[Any, ...]:
    return tuple(1 if d in axes else n for d, n in enumerate(shape) if keepdims or d not in axes)


def _reduction(
    name: str,
    compute: Callable[..., Tensor],
    reference: Callable[..., Any],
    doc: str,
    kind: str = "number",
    rows: tuple[float, Callable[[Any, Any], Any]] | None = None,
) -> Op:
    """`rows`: where rows are reduced in lanes, what an empty one gives, and how two values are one."""

    def rule(x: TensorType, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> TensorType:
        takes(name, kind, x)
        return TensorType(_shape(x.shape, axes_of(name, axes, x.ndim), keepdims), x.dtype)

    def direct(x: Tensor, *, axes: Any, keepdims: bool) -> Tensor:
        return compute(x, axes_of(name, axes, x.ndim), keepdims)

    def by_numpy(x: Any, *, axes: Any = None, keepdims: bool = False) -> Any:
        chosen = axes_of(name, axes, x.ndim)
        return np.asarray(reference(x, chosen, keepdims)).astype(x.dtype)

    rule.__name__ = name
    rule.__doc__ = f"{doc} `axes`: None for all of them; `keepdims`: they stay, of extent 1."
    made = op(Kind.REDUCTION, reference=by_numpy)(rule)
    if rows is not None:
        unit, fold = rows

        def in_rows(x: Tensor, *, axes: Any, keepdims: bool) -> Tensor:
            chosen = axes_of(name, axes, x.ndim)
            end = _divided(x, chosen, x.dtype) if name == "mean" else None
            return _in_rows(name, x, chosen, x.dtype(unit), fold, keepdims, end)

        def of_one_axis(x: Any, *, axes: Any, keepdims: bool) -> Any:
            shape = type_of(x).shape
            rest = shape[: len(shape) - len(axes_of(name, axes, len(shape)))]
            row = made(reshape(x, shape=(*rest, math.prod(shape[len(rest) :]))), axes=(len(rest),))
            return reshape(row, shape=(*rest, *(1,) * (len(shape) - len(rest)))) if keepdims else row

        made.strategy("short rows", when=_are_short_rows, composed=True)(of_one_axis)
        made.strategy("rows", when=_are_rows, schedule=_schedule_rows)(in_rows)
    made.strategy("direct")(direct)
    return made


def _sum(x: Tensor, axes: Any, keepdims: bool) -> Tensor:
    wide = accumulator(x)
    if wide is x.dtype:
        return reduced("sum", x, axes, halo.sum, _same, keepdims)
    return reduced("sum", x, axes, halo.sum, lambda v: v.astype(wide), keepdims, lambda t: t.astype(x.dtype))


def _mean(x: Tensor, axes: Any, keepdims: bool) -> Tensor:
    wide = accumulator(x) if x.dtype.is_float else halo.f64
    return reduced("mean", x, axes, halo.sum, lambda v: v.astype(wide), keepdims, _divided(x, axes, wide))


def _divided(x: Tensor, axes: Any, wide: Any) -> Callable[[Any], Any]:
    """A total over `axes`, by how many they are."""
    count: Any = 1
    for d in axes:
        count = count * extent(x, d)
    return lambda total: (total / (float(count) if isinstance(count, int) else count.astype(wide))).astype(x.dtype)


def _extreme(name: str, fold: Any) -> Callable[..., Tensor]:
    def compute(x: Tensor, axes: Any, keepdims: bool) -> Tensor:
        return reduced(name, x, axes, fold, _same, keepdims)

    return compute


def _extreme_reference(f: Any, initial: Callable[[Any], Any]) -> Callable[..., Any]:
    def reference(x: Any, axes: Any, keepdims: bool) -> Any:
        return f(x, axis=axes, keepdims=keepdims, initial=initial(x.dtype))

    return reference


def _sum_reference(x: Any, axes: Any, keepdims: bool) -> Any:
    wide: Any = np.float64 if x.dtype.kind == "f" else x.dtype
    return x.sum(axis=axes, keepdims=keepdims, dtype=wide)


def _least(dtype: Any) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _most(dtype: Any) -> Any:
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


sum = _reduction("sum", _sum, _sum_reference,
                 "The sum, in the type of x (f16 and bf16 are added up in f32): ONNX ReduceSum.",
                 rows=(0, operator.add))  # fmt: skip
prod = _reduction("prod", lambda x, axes, keep: reduced("prod", x, axes, halo.prod, _same, keep),
                  lambda x, axes, keep: np.prod(x, axis=axes, keepdims=keep), "The product: ONNX ReduceProd.")  # fmt: skip
max = _reduction("max", _extreme("max", halo.max), _extreme_reference(np.max, _least),
                 "The largest value, NaN if one is, the least of the type if there is none: ONNX ReduceMax.",
                 rows=(-math.inf, halo.max))  # fmt: skip
min = _reduction("min", _extreme("min", halo.min), _extreme_reference(np.min, _most),
                 "The least value, NaN if one is, the largest of the type if there is none: ONNX ReduceMin.",
                 rows=(math.inf, halo.min))  # fmt: skip
mean = _reduction("mean", _mean, lambda x, axes, keep: np.mean(x, axis=axes, keepdims=keep, dtype=np.float64),
                  "The mean, of integers cut towards zero: ONNX ReduceMean.", rows=(0, operator.add))  # fmt: skip
any = _reduction("any", lambda x, axes, keep: reduced("any", x, axes, halo.any, _same, keep),
                 lambda x, axes, keep: np.any(x, axis=axes, keepdims=keep),
                 "Whether one holds: ONNX ReduceMax of bool.", "bool")  # fmt: skip
all = _reduction("all", lambda x, axes, keep: reduced("all", x, axes, halo.all, _same, keep),
                 lambda x, axes, keep: np.all(x, axis=axes, keepdims=keep),
                 "Whether all hold: ONNX ReduceMin of bool.", "bool")  # fmt: skip


def _logsumexp(x: Tensor, axes: Any, keepdims: bool) -> Tensor:
    wide = accumulator(x)
    if not axes:
        return elementwise("logsumexp", _same, x)
    top = reduced("top", x, axes, halo.max, lambda v: v.astype(wide), True, dtype=wide)
    # of what is infinite the difference would be NaN
    top = elementwise("finite", lambda v: halo.select(halo.isfinite(v), v, 0), top, dtype=wide)
    powers = elementwise("powers", lambda v, m: halo.exp(v.astype(wide) - m), x, top, dtype=wide)
    total = reduced("total", powers, axes, halo.sum, _same, True, dtype=wide)
    kept = elementwise("logsumexp", lambda t, m: (halo.log(t) + m).astype(x.dtype), total, top, dtype=x.dtype)
    if keepdims:
        return kept
    f, shape = Func("logsumexp"), _shape(x.shape, axes, False)
    i = indices(len(shape))
    rest = iter(i)
    f[i] = kept.func[tuple(0 if d in axes else next(rest) for d in range(x.ndim))]
    return Tensor(f, shape, x.dtype)


def _logsumexp_reference(x: Any, axes: Any, keepdims: bool) -> Any:
    v = x.astype(np.float64)
    with np.errstate(divide="ignore"):
        top = np.max(v, axis=axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0)
        found = np.log(np.sum(np.exp(v - top), axis=axes, keepdims=True)) + top
    return found if keepdims else np.squeeze(found, axis=axes)


logsumexp = _reduction("logsumexp", _logsumexp, _logsumexp_reference,
                       "log(sum(exp(x))), without overflow: ONNX ReduceLogSumExp.", "float")  # fmt: skip
logsumexp.kind = Kind.OPAQUE  # it reads x twice


# Where an extreme is --------------------------------------------------------------------------------------------------


def _arg(name: str, fold: Any, reference: Any, doc: str) -> Op:
    def by_numpy(x: Any, *, axis: int = 0, keepdims: bool = False, last: bool = False) -> Any:
        if not last:
            return reference(x, axis=axis, keepdims=keepdims)
        return x.shape[axis] - 1 - reference(np.flip(x, axis), axis=axis, keepdims=keepdims)

    def rule(x: TensorType, *, axis: int = 0, keepdims: bool = False, last: bool = False) -> TensorType:
        takes(name, "number", x)
        d = axis_of(name, axis, x.ndim)
        return TensorType(_shape(x.shape, (d,), keepdims), i64)

    def compute(x: Tensor, *, axis: int, keepdims: bool, last: bool) -> Tensor:
        d = axis_of(name, axis, x.ndim)
        n = extent(x, d)
        shape = _shape(x.shape, (d,), keepdims)
        f, i = Func(name), indices(len(shape))
        rest = (*i[:d], *i[d + keepdims :])
        r: RDom = halo.rdom(n, names=f"r{d}")
        k = n - 1 - r[0] if last else r[0]
        where, _ = fold(x.func[(*rest[:d], k, *rest[d:])], r)
        f[i] = (n - 1 - where if last else where).astype(i64)
        return Tensor(f, shape, i64)

    rule.__name__ = name
    rule.__doc__ = f"{doc} `last`: of several, the last one, else the first."
    made = op(Kind.OPAQUE, reference=by_numpy)(rule)
    made.strategy("direct")(compute)
    return made


argmax = _arg("argmax", halo.argmax, np.argmax, "Where along an axis the largest value is, as i64: ONNX ArgMax.")
argmin = _arg("argmin", halo.argmin, np.argmin, "Where along an axis the least value is, as i64: ONNX ArgMin.")


# Running reductions ---------------------------------------------------------------------------------------------------


def _running(name: str, fold: Callable[[Any, Any], Any], unit: int, reference: Any, doc: str) -> Op:
    def by_numpy(x: Any, *, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
        v = np.moveaxis(np.flip(x, axis) if reverse else x, axis, 0)
        found = reference(v, axis=0, dtype=x.dtype)
        if exclusive and len(found):
            found = np.concatenate([np.full_like(found[:1], unit), found[:-1]])
        found = np.moveaxis(found, 0, axis)
        return np.ascontiguousarray(np.flip(found, axis) if reverse else found)

    def rule(x: TensorType, *, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> TensorType:
        takes(name, "number", x)
        axis_of(name, axis, x.ndim)
        return x

    def compute(x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
        d = axis_of(name, axis, x.ndim)
        n = extent(x, d)
        steps, f, i = Func("steps"), Func(name), indices(x.ndim)

        def at(k: Any) -> tuple[Any, ...]:
            return (*i[:d], k, *i[d + 1 :])

        def value(k: Any) -> Any:
            """What step `k` adds."""
            k = k - 1 if exclusive else k
            source = halo.clamp(n - 1 - k if reverse else k, 0, halo.max(n - 1, 0))
            found = x.func[at(source)]
            return halo.select(k < 0, x.dtype(unit), found) if exclusive else found

        r: RDom = halo.rdom((1, n - 1 if not isinstance(n, int) else builtins.max(n - 1, 0)), names="k")
        steps[at(i[d])] = value(i[d])
        steps[at(r.k)] = fold(steps[at(r.k - 1)], value(r.k))
        f[i] = steps[at(n - 1 - i[d] if reverse else i[d])]
        return Tensor(f, x.shape, x.dtype)

    rule.__name__ = name
    rule.__doc__ = f"{doc} `exclusive`: of those before it only; `reverse`: from the end."
    made = op(Kind.OPAQUE, reference=by_numpy)(rule)
    made.strategy("direct")(compute)
    return made


cumsum = _running("cumsum", lambda a, b: a + b, 0, np.cumsum, "The sum of all up to each along an axis: ONNX CumSum.")
cumprod = _running(
    "cumprod", lambda a, b: a * b, 1, np.cumprod, "The product of all up to each along an axis: ONNX CumProd."
)
