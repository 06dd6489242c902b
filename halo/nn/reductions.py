"""Reductions over axes, and running ones along an axis."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.jit.target import Target
from halo.types import bool_, i64

from .elementwise import elementwise
from .lines import WIDE, accumulator, across, along, extent, few, schedule_along, schedule_blocks
from .op import Kind, Op, Types, op
from .schedule import bound, in_parallel
from .shape import reshape
from .shapes import axes_of, axis_of, indices, takes
from .tensor import Tensor, TensorType, type_of

__all__ = ["all", "any", "argmax", "argmin", "cumprod", "cumsum", "logsumexp", "max", "mean", "min", "prod", "reduced",
           "sum"]  # fmt: skip

End = Callable[[Tensor, Sequence[int], Any], Any]
BLOCK = 1 << 12  # bytes of neighbouring sums that a task has in cache: a row of what is added is read as it lies


def reduced(name: str, x: Tensor, axes: Sequence[int], fold: Callable[[Any, RDom], Any], value: Callable[[Any], Any],
            keepdims: bool, end: Callable[[Any], Any] | None = None, dtype: Any = None) -> Tensor:  # fmt: skip
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


# In lanes: along the last axis, or across it --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fold:
    """How values are one: `whole` of them in a loop, `two` of them, and what there is of none, of a type."""

    whole: Callable[[Any, RDom], Any]
    two: Callable[[Any, Any], Any]
    unit: Callable[[Any], Any]


def _are_lanes(x: TensorType, target: Target) -> bool:
    """Whether there are enough entries along the last axis."""
    n = x.shape[-1]
    return x.dtype is not bool_ and (not isinstance(n, int) or n >= target.natural_lanes(accumulator(x)) // 2)


def _are_rows(types: Types, attrs: Any, target: Target) -> bool:
    """Whether the last axis is one of those that go."""
    x = types[0]
    assert x is not None
    return x.ndim - 1 in axes_of("reduction", attrs["axes"], x.ndim) and _are_lanes(x, target)


def _are_columns(types: Types, attrs: Any, target: Target) -> bool:
    """Whether the last axis stays."""
    x = types[0]
    assert x is not None
    axes = axes_of("reduction", attrs["axes"], x.ndim)
    return bool(axes) and x.ndim - 1 not in axes and _are_lanes(x, target)


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


def _schedule_columns(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    x = types[0]
    assert x is not None
    ranges = [x.shape[d] for d in axes_of("reduction", attrs["axes"], x.ndim)]
    schedule_blocks(out, BLOCK // out.dtype.bytes, ranges)


def _in_lanes(name: str, x: Tensor, axes: Sequence[int], wide: Any, fold: _Fold, found: Any, keepdims: bool,
              end: End | None) -> Tensor:  # fmt: skip
    """`found`: `along`, where the last axis is one of `axes`, else `across`."""
    shape = _shape(x.shape, axes, keepdims)
    f, i = Func(name), indices(len(shape))
    rest = tuple(v for d, v in enumerate(i) if not (keepdims and d in axes))

    def value(*r: Any) -> Any:
        over, kept = dict(zip(axes, r, strict=True)), iter(rest)
        return x.func[tuple(over[d] if d in over else next(kept) for d in range(x.ndim))].astype(wide)

    total = found("line", rest, wide(fold.unit(wide)), fold.two, value, [extent(x, d) for d in axes], wide)
    f[i] = (total[rest] if end is None else end(x, axes, total[rest])).astype(x.dtype)
    return Tensor(f, shape, x.dtype)


def _shape(shape: tuple[Any, ...], axes: Sequence[int], keepdims: bool) -> tuple[Any, ...]:
    return tuple(1 if d in axes else n for d, n in enumerate(shape) if keepdims or d not in axes)


def _own(x: Tensor) -> Any:
    return x.dtype


def _declared(name: str, fusion: Kind, reference: Callable[..., Any], doc: str, kind: str) -> Op:
    def rule(x: TensorType, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> TensorType:
        takes(name, kind, x)
        return TensorType(_shape(x.shape, axes_of(name, axes, x.ndim), keepdims), x.dtype)

    def by_numpy(x: Any, *, axes: Any = None, keepdims: bool = False) -> Any:
        chosen = axes_of(name, axes, x.ndim)
        return np.asarray(reference(x, chosen, keepdims)).astype(x.dtype)

    rule.__name__ = name
    rule.__doc__ = f"{doc} `axes`: None for all of them; `keepdims`: they stay, of extent 1."
    return op(fusion, reference=by_numpy)(rule)


def _reduction(
    name: str,
    fold: _Fold,
    reference: Callable[..., Any],
    doc: str,
    kind: str = "number",
    wide: Callable[[Tensor], Any] = _own,
    end: End | None = None,
) -> Op:
    """`wide`: the type that is folded in; `end` of `x`, the axes and what is found is the result, cast."""
    made = _declared(name, Kind.REDUCTION, reference, doc, kind)

    def direct(x: Tensor, *, axes: Any, keepdims: bool) -> Tensor:
        chosen, own = axes_of(name, axes, x.ndim), wide(x)
        if own is x.dtype and end is None:  # what is found is the result
            return reduced(name, x, chosen, fold.whole, _same, keepdims)

        def ended(total: Any) -> Any:
            return (total if end is None else end(x, chosen, total)).astype(x.dtype)

        return reduced(name, x, chosen, fold.whole, lambda v: v.astype(own), keepdims, ended)

    def by_lanes(found: Any) -> Callable[..., Tensor]:
        def compute(x: Tensor, *, axes: Any, keepdims: bool) -> Tensor:
            chosen = axes_of(name, axes, x.ndim)
            return _in_lanes(name, x, chosen, wide(x), fold, found, keepdims, end)

        return compute

    def of_one_axis(x: Any, *, axes: Any, keepdims: bool) -> Any:
        shape = type_of(x).shape
        rest = shape[: len(shape) - len(axes_of(name, axes, len(shape)))]
        row = made(reshape(x, shape=(*rest, math.prod(shape[len(rest) :]))), axes=(len(rest),))
        return reshape(row, shape=(*rest, *(1,) * (len(shape) - len(rest)))) if keepdims else row

    made.strategy("short rows", when=_are_short_rows, composed=True)(of_one_axis)
    made.strategy("rows", when=_are_rows, schedule=_schedule_rows)(by_lanes(along))
    made.strategy("columns", when=_are_columns, schedule=_schedule_columns)(by_lanes(across))
    made.strategy("direct")(direct)
    return made


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


def _averaged(x: Tensor) -> Any:
    return accumulator(x) if x.dtype.is_float else halo.f64


def _mean(x: Tensor, axes: Any, total: Any) -> Any:
    """A total over `axes`, by how many they are."""
    count: Any = 1
    for d in axes:
        count = count * extent(x, d)
    return total / (float(count) if isinstance(count, int) else count.astype(_averaged(x)))


def _lowest(dtype: Any) -> Any:
    return -math.inf if dtype.is_float else int(dtype.min)


def _highest(dtype: Any) -> Any:
    return math.inf if dtype.is_float else int(dtype.max)


SUM = _Fold(halo.sum, operator.add, lambda dtype: 0)

sum = _reduction("sum", SUM, _sum_reference,
                 "The sum, in the type of x (f16 and bf16 are added up in f32): ONNX ReduceSum.",
                 wide=accumulator)  # fmt: skip
prod = _reduction("prod", _Fold(halo.prod, operator.mul, lambda dtype: 1),
                  lambda x, axes, keep: np.prod(x, axis=axes, keepdims=keep), "The product: ONNX ReduceProd.")  # fmt: skip
max = _reduction("max", _Fold(halo.max, halo.max, _lowest), _extreme_reference(np.max, _least),
                 "The largest value, NaN if one is, the least of the type if there is none: ONNX ReduceMax.")  # fmt: skip
min = _reduction("min", _Fold(halo.min, halo.min, _highest), _extreme_reference(np.min, _most),
                 "The least value, NaN if one is, the largest of the type if there is none: ONNX ReduceMin.")  # fmt: skip
mean = _reduction("mean", SUM, lambda x, axes, keep: np.mean(x, axis=axes, keepdims=keep, dtype=np.float64),
                  "The mean, of integers cut towards zero: ONNX ReduceMean.",
                  wide=_averaged, end=_mean)  # fmt: skip
any = _reduction("any", _Fold(halo.any, operator.or_, lambda dtype: False),
                 lambda x, axes, keep: np.any(x, axis=axes, keepdims=keep),
                 "Whether one holds: ONNX ReduceMax of bool.", "bool")  # fmt: skip
all = _reduction("all", _Fold(halo.all, operator.and_, lambda dtype: True),
                 lambda x, axes, keep: np.all(x, axis=axes, keepdims=keep),
                 "Whether all hold: ONNX ReduceMin of bool.", "bool")  # fmt: skip


def _logsumexp_reference(x: Any, axes: Any, keepdims: bool) -> Any:
    v = x.astype(np.float64)
    with np.errstate(divide="ignore"):
        top = np.max(v, axis=axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0)
        found = np.log(np.sum(np.exp(v - top), axis=axes, keepdims=True)) + top
    return found if keepdims else np.squeeze(found, axis=axes)


logsumexp = _declared("logsumexp", Kind.OPAQUE, _logsumexp_reference,
                      "log(sum(exp(x))), without overflow: ONNX ReduceLogSumExp.", "float")  # fmt: skip


@logsumexp.strategy("direct")
def _(x: Tensor, *, axes: Any, keepdims: bool) -> Tensor:
    axes, wide = axes_of("logsumexp", axes, x.ndim), accumulator(x)
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


def _schedule_running(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """The steps of a few lines at once, in cache: of neighbours in lanes, or of rows one beside the other, none of which
    waits for the others."""
    f, d, lanes = out.func, attrs["axis"] % out.ndim, target.natural_lanes(out.dtype)
    bound(f, out)
    steps, vars = f["steps"], list(f.definitions.vars)
    outer, axis, behind = (
        vars[:d],
        vars[d],
        [v for v, n in zip(vars[d + 1 :], out.shape[d + 1 :], strict=True) if n != 1],
    )
    rows = few(out.shape[d - 1]) if outer else 1
    if behind:
        *between, v = behind
        f.split(v, "blocks", v, WIDE * lanes, "guard").vectorize(v, lanes)
        outer += [*between, "blocks"]
        f.reorder(*outer, axis, v, f"{v}_v")
    else:
        if rows > 1:
            f.split(outer[-1], outer[-1], "row", rows)
        f.vectorize(axis, lanes)
    task = in_parallel(f, outer) if outer else None
    steps.compute_root() if task is None else steps.compute_at(f, task)
    own = steps.definitions.vars
    if behind:
        u = own[vars.index(behind[-1])]
        steps.vectorize(u, lanes).update(0).reorder("k", u).vectorize(u, lanes)
    else:
        steps.vectorize(own[d], lanes)
        if rows > 1:
            steps.update(0).reorder("k", own[d - 1]).unroll(own[d - 1])


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
    made.strategy("direct", schedule=_schedule_running)(compute)
    return made


cumsum = _running("cumsum", lambda a, b: a + b, 0, np.cumsum, "The sum of all up to each along an axis: ONNX CumSum.")
cumprod = _running(
    "cumprod", lambda a, b: a * b, 1, np.cumprod, "The product of all up to each along an axis: ONNX CumProd."
)
