"""Normalisation, and softmax and its like."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .elementwise import elementwise
from .op import Kind, Types, op
from .reductions import accumulator, extent, in_lanes
from .schedule import bound, in_parallel
from .shapes import axis_of, broadcast, indices, takes
from .tensor import Tensor, TensorType

__all__ = ["batch_norm", "group_norm", "hardmax", "layer_norm", "log_softmax", "lrn", "rms_norm", "softmax"]


def _batch_norm(
    x: Any, scale: Any, bias: Any, mean: Any, variance: Any, *, epsilon: float = 1e-5, axis: int = 1
) -> Any:
    s = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    shape = (-1, *(1,) * (x.ndim - 1 - axis % x.ndim))
    return (x * s.reshape(shape) + (bias - mean * s).reshape(shape)).astype(x.dtype)


@op(Kind.BROADCAST, reference=_batch_norm)
def batch_norm(x: TensorType, scale: TensorType, bias: TensorType, mean: TensorType, variance: TensorType, *,
               epsilon: float = 1e-5, axis: int = 1) -> TensorType:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, an entry of each a channel, which are along `axis`: TOPI
    batch_norm, ONNX BatchNormalization at inference (Ioffe and Szegedy 2015).

    >>> from halo import nn
    >>> one = np.ones(2, np.float32)
    >>> nn.batch_norm(np.full((1, 2, 1), 3, np.float32), one, one, one, one, epsilon=0.0)[0, :, 0]
    array([3., 3.], dtype=float32)
    """
    d = axis_of("batch_norm", axis, x.ndim)
    for t in (scale, bias, mean, variance):
        if t.shape != x.shape[d : d + 1]:
            raise ArgumentError(f"batch_norm of {x} takes {x.shape[d]} entries of each, not {t}", loc=here())
    return x


@batch_norm.strategy("direct")
def _(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *, epsilon: float, axis: int) -> Tensor:
    ndim = x.ndim - axis % x.ndim
    channels = (
        Tensor(_along(t, ndim), (t.shape[0], *(1,) * (ndim - 1)), t.dtype) for t in (scale, bias, mean, variance)
    )

    def value(v: Any, s: Any, b: Any, m: Any, var: Any) -> Any:
        return (v - m) * (s / halo.sqrt(var + epsilon)) + b

    return elementwise("batch_norm", value, x, *channels)


def _along(t: Tensor, ndim: int) -> Func:
    """A vector along the first of so many axes."""
    f = Func("channels")
    i = tuple(halo.vars(" ".join(f"i{d}" for d in range(ndim))))
    f[i] = t.func[i[0]]
    return f


def _softmax(x: Any, *, axis: int = -1) -> Any:
    e = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
    return (e / e.sum(axis=axis, keepdims=True)).astype(x.dtype)


@op(Kind.OPAQUE, reference=_softmax)
def softmax(x: TensorType, *, axis: int = -1) -> TensorType:
    """exp(x - max) / sum(exp(x - max)) along an axis: ONNX Softmax since opset 13.

    >>> from halo import nn
    >>> nn.softmax(np.zeros((1, 4), np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    if not -x.ndim <= axis < x.ndim:
        raise ArgumentError(f"softmax of {x} has no axis {axis}", loc=here())
    return x


# Rows: sums and maxima along the last axis in a vector of lanes, each over every so many entries --------------------------


def _is_row(types: Types, attrs: Any, target: Target) -> bool:
    x = types[0]
    return x is not None and x.ndim > 1 and attrs["axis"] % x.ndim == x.ndim - 1 and x.dtype in (halo.f32, halo.f64)


def _schedule_rows(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """A row at a time, with all that is found of it."""
    f, lanes = out.func, target.natural_lanes(out.dtype)
    bound(f, out)
    *rows, k = f.definitions.vars
    f.vectorize(k, lanes)
    row = in_parallel(f, rows)
    for name in ("tops", "top", "powers", "sums", "sum", "squares", "square", "deviation"):
        g = next((g for g in f.program().graph.functions if g.name == name), None)
        if g is None:
            continue
        g.compute_at(f, row)
        if name in ("tops", "sums", "squares"):
            g.vectorize("l")
            g.update(0).vectorize("l")
        elif name == "powers":
            g.vectorize(g.definitions.vars[-1], lanes)


@softmax.strategy("rows", when=_is_row, schedule=_schedule_rows)
def _(x: Tensor, *, axis: int) -> Tensor:
    *rest, k = indices(x.ndim)
    n, lanes = extent(x, x.ndim - 1), Target.host().natural_lanes(x.dtype)
    none: list[Any] = [None] * (x.ndim - 1)
    view = halo.pad(x.func, "constant", -math.inf, bounds=[*none, (0, n)])
    _, top = in_lanes("top", tuple(rest), x.dtype(-math.inf), halo.max, lambda s: view[(*rest, s)], (n,), lanes)
    powers, f = Func("powers"), Func("softmax")
    powers[(*rest, k)] = halo.exp(view[(*rest, k)] - top[tuple(rest)])
    _, total = in_lanes("sum", tuple(rest), x.dtype(0), operator.add, lambda s: powers[(*rest, s)], (n,), lanes)
    f[(*rest, k)] = powers[(*rest, k)] / total[tuple(rest)]
    return Tensor(f, x.shape, x.dtype)


@softmax.strategy("direct")
def _(x: Tensor, *, axis: int) -> Tensor:
    d = axis % x.ndim
    i, rest, powers, total, _ = _powers(x, d)
    f = Func("softmax")
    f[i] = (powers[i] / total[rest]).astype(x.dtype)
    powers.compute_root()
    return Tensor(f, x.shape, x.dtype)


def _powers(x: Tensor, d: int) -> tuple[Any, Any, Func, Func, Func]:
    """The indices, those without axis `d`, exp(x - max) along the axis, its sum, and max."""
    i = indices(x.ndim)
    rest, wide = (*i[:d], *i[d + 1 :]), accumulator(x)

    def at(k: Any) -> tuple[Any, ...]:
        return (*i[:d], k, *i[d + 1 :])

    top, powers, total = Func("top"), Func("powers"), Func("total")
    r: RDom = halo.rdom(extent(x, d), names="k")
    top[rest] = halo.max(x.func[at(r.k)].astype(wide), r)
    powers[i] = halo.exp(x.func[i].astype(wide) - top[rest])
    r = halo.rdom(extent(x, d), names="k")
    total[rest] = halo.sum(powers[at(r.k)], r)
    return i, rest, powers, total, top


def _log_softmax(x: Any, *, axis: int = -1) -> Any:
    v = x.astype(np.float64) - x.max(axis=axis, keepdims=True)
    return (v - np.log(np.exp(v).sum(axis=axis, keepdims=True))).astype(x.dtype)


@op(Kind.OPAQUE, reference=_log_softmax)
def log_softmax(x: TensorType, *, axis: int = -1) -> TensorType:
    """The logarithm of `softmax`: x - max - log(sum(exp(x - max))) along an axis. ONNX LogSoftmax since opset 13.

    >>> from halo import nn
    >>> nn.log_softmax(np.array([[3]], np.float32))
    array([[0.]], dtype=float32)
    """
    takes("log_softmax", "float", x)
    axis_of("log_softmax", axis, x.ndim)
    return x


@log_softmax.strategy("direct")
def _(x: Tensor, *, axis: int) -> Tensor:
    i, rest, _, total, top = _powers(x, axis % x.ndim)
    f = Func("log_softmax")
    f[i] = (x.func[i].astype(accumulator(x)) - top[rest] - halo.log(total[rest])).astype(x.dtype)
    return Tensor(f, x.shape, x.dtype)


def _hardmax(x: Any, *, axis: int = -1) -> Any:
    n = np.arange(x.shape[axis]).reshape(tuple(-1 if d == axis % x.ndim else 1 for d in range(x.ndim)))
    return (n == x.argmax(axis=axis, keepdims=True)).astype(x.dtype)


@op(Kind.OPAQUE, reference=_hardmax)
def hardmax(x: TensorType, *, axis: int = -1) -> TensorType:
    """1 at the first largest value along an axis, 0 elsewhere: ONNX Hardmax since opset 13.

    >>> from halo import nn
    >>> nn.hardmax(np.array([[1, 3, 3]], np.float32))
    array([[0., 1., 0.]], dtype=float32)
    """
    takes("hardmax", "float", x)
    axis_of("hardmax", axis, x.ndim)
    return x


@hardmax.strategy("direct")
def _(x: Tensor, *, axis: int) -> Tensor:
    d = axis % x.ndim
    i = indices(x.ndim)
    rest = (*i[:d], *i[d + 1 :])
    place, f = Func("place"), Func("hardmax")
    r: RDom = halo.rdom(extent(x, d), names="k")
    place[rest] = halo.argmax(x.func[(*i[:d], r.k, *i[d + 1 :])], r)[0]
    f[i] = halo.select(place[rest] == i[d], x.dtype(1), x.dtype(0))
    return Tensor(f, x.shape, x.dtype)


# Norms ----------------------------------------------------------------------------------------------------------------


def _mean(name: str, value: Any, ranges: Any, rest: Any, wide: Any) -> Func:
    """The Func over `rest` of the mean of `value(*r)`, r over `ranges`."""
    total, f = Func(f"{name}_sum"), Func(name)
    r: RDom = halo.rdom(*ranges, names=[f"r{k}" for k in range(len(ranges))])
    count: Any = 1
    for n in ranges:
        count = count * n
    total[rest] = halo.sum(value(*r), r)
    f[rest] = total[rest] / (float(count) if isinstance(count, int) else count.astype(wide))
    return f


def _scaled(name: str, x: TensorType, axis: int, *vectors: TensorType | None) -> TensorType:
    takes(name, "float", x)
    d = axis_of(name, axis, x.ndim)
    for t in vectors:
        if t is not None and broadcast(x.shape[d:], t.shape) != x.shape[d:]:
            raise ArgumentError(f"{name} of {x} from axis {axis} on is not scaled by {t}", loc=here())
    return x


def _layer_norm(x: Any, scale: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5) -> Any:
    v = x.astype(np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    v = v - v.mean(axis=axes, keepdims=True)
    v = v / np.sqrt((v * v).mean(axis=axes, keepdims=True) + epsilon) * scale
    return (v if bias is None else v + bias).astype(x.dtype)


@op(Kind.OPAQUE, reference=_layer_norm)
def layer_norm(x: TensorType, scale: TensorType, bias: TensorType | None = None, *, axis: int = -1,
               epsilon: float = 1e-5) -> TensorType:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, over the axes from `axis` on (Ba et al. 2016): ONNX
    LayerNormalization. `scale` and `bias` broadcast to these axes. Sums are f32 at least.

    >>> from halo import nn
    >>> nn.layer_norm(np.array([[1, 3]], np.float32), np.ones(2, np.float32), epsilon=0.0)
    array([[-1.,  1.]], dtype=float32)
    """
    return _scaled("layer_norm", x, axis, scale, bias)


def _is_whole_row(types: Types, attrs: Any, target: Target) -> bool:
    x = types[0]
    if x is None or not _is_row(types, attrs, target) or not isinstance(x.shape[-1], int):
        return False
    return bool(x.shape[-1] % target.natural_lanes(x.dtype) == 0)


@layer_norm.strategy("rows", when=_is_whole_row, schedule=_schedule_rows)
def _(x: Tensor, scale: Tensor, bias: Tensor | None, *, axis: int, epsilon: float) -> Tensor:
    *rest, k = indices(x.ndim)
    n, lanes, row = x.shape[-1], Target.host().natural_lanes(x.dtype), tuple(rest)
    _, total = in_lanes("sum", row, x.dtype(0), operator.add, lambda s: x.func[(*row, s)], (n,), lanes)

    def squared(s: Any) -> Any:
        v = x.func[(*row, s)] - total[row] / float(n)
        return v * v

    _, square = in_lanes("square", row, x.dtype(0), operator.add, squared, (n,), lanes)
    deviation, centred = Func("deviation"), Func("centred")
    deviation[row] = 1 / halo.sqrt(square[row] / float(n) + epsilon)
    centred[(*row, k)] = (x.func[(*row, k)] - total[row] / float(n)) * deviation[row]
    return _affine("layer_norm", Tensor(centred, x.shape, x.dtype), scale, bias, x.dtype)


@layer_norm.strategy("direct")
def _(x: Tensor, scale: Tensor, bias: Tensor | None, *, axis: int, epsilon: float) -> Tensor:
    d, i, wide = axis % x.ndim, indices(x.ndim), accumulator(x)
    ranges, rest = [extent(x, k) for k in range(d, x.ndim)], i[:d]
    mean = _mean("mean", lambda *r: x.func[(*rest, *r)].astype(wide), ranges, rest, wide)

    def squared(*r: Any) -> Any:
        v = x.func[(*rest, *r)].astype(wide) - mean[rest]
        return v * v

    variance = _mean("variance", squared, ranges, rest, wide)
    centred = Func("centred")
    centred[i] = (x.func[i].astype(wide) - mean[rest]) * (1 / halo.sqrt(variance[rest] + epsilon))
    return _affine("layer_norm", Tensor(centred, x.shape, wide), scale, bias, x.dtype)


def _affine(name: str, v: Tensor, scale: Tensor, bias: Tensor | None, dtype: Any) -> Tensor:
    def value(a: Any, s: Any, b: Any = None) -> Any:
        scaled = a * s.astype(v.dtype)
        return (scaled if b is None else scaled + b.astype(v.dtype)).astype(dtype)

    return elementwise(name, value, v, scale, *(() if bias is None else (bias,)), dtype=dtype)


def _rms_norm(x: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5) -> Any:
    v = x.astype(np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    return (v / np.sqrt((v * v).mean(axis=axes, keepdims=True) + epsilon) * scale).astype(x.dtype)


@op(Kind.OPAQUE, reference=_rms_norm)
def rms_norm(x: TensorType, scale: TensorType, *, axis: int = -1, epsilon: float = 1e-5) -> TensorType:
    """x / sqrt(mean(x * x) + epsilon) * scale, over the axes from `axis` on (Zhang and Sennrich 2019): ONNX
    RMSNormalization. Sums are f32 at least.

    >>> from halo import nn
    >>> nn.rms_norm(np.array([[3, 3]], np.float32), np.ones(2, np.float32), epsilon=0.0)
    array([[1., 1.]], dtype=float32)
    """
    return _scaled("rms_norm", x, axis, scale)


@rms_norm.strategy("direct")
def _(x: Tensor, scale: Tensor, *, axis: int, epsilon: float) -> Tensor:
    d, i, wide = axis % x.ndim, indices(x.ndim), accumulator(x)
    ranges, rest = [extent(x, k) for k in range(d, x.ndim)], i[:d]

    def squared(*r: Any) -> Any:
        v = x.func[(*rest, *r)].astype(wide)
        return v * v

    squares = _mean("squares", squared, ranges, rest, wide)
    normal = Func("normal")
    normal[i] = x.func[i].astype(wide) * (1 / halo.sqrt(squares[rest] + epsilon))
    return _affine("rms_norm", Tensor(normal, x.shape, wide), scale, None, x.dtype)


def _group_norm(x: Any, scale: Any, bias: Any, *, groups: int, epsilon: float = 1e-5) -> Any:
    v = x.astype(np.float64).reshape(x.shape[0], groups, -1)
    v = v - v.mean(axis=2, keepdims=True)
    v = (v / np.sqrt((v * v).mean(axis=2, keepdims=True) + epsilon)).reshape(x.shape)
    shape = (-1, *(1,) * (x.ndim - 2))
    return (v * scale.reshape(shape) + bias.reshape(shape)).astype(x.dtype)


@op(Kind.OPAQUE, reference=_group_norm)
def group_norm(x: TensorType, scale: TensorType, bias: TensorType, *, groups: int, epsilon: float = 1e-5) -> TensorType:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, each group of channels (axis 1) on its own (Wu and He 2018):
    ONNX GroupNormalization; with a group a channel, InstanceNormalization. `scale` and `bias` have an entry a channel.

    >>> from halo import nn
    >>> one = np.ones(2, np.float32)
    >>> nn.group_norm(np.array([[[1, 3], [5, 5]]], np.float32), one, one, groups=2, epsilon=1e-9)
    array([[[0., 2.],
            [1., 1.]]], dtype=float32)
    """
    takes("group_norm", "float", x)
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ArgumentError(f"the channels of {x} are not {groups} groups", loc=here())
    for t in (scale, bias):
        if t.shape != x.shape[1:2]:
            raise ArgumentError(f"group_norm of {x} takes {x.shape[1]} entries, not {t}", loc=here())
    return x


@group_norm.strategy("direct")
def _(x: Tensor, scale: Tensor, bias: Tensor, *, groups: int, epsilon: float) -> Tensor:
    i, wide, size = indices(x.ndim), accumulator(x), x.shape[1] // groups
    n, g = indices(2, "g")
    ranges = [size, *(extent(x, k) for k in range(2, x.ndim))]
    mean = _mean("mean", lambda c, *r: x.func[(n, g * size + c, *r)].astype(wide), ranges, (n, g), wide)

    def squared(c: Any, *r: Any) -> Any:
        v = x.func[(n, g * size + c, *r)].astype(wide) - mean[n, g]
        return v * v

    variance = _mean("variance", squared, ranges, (n, g), wide)
    f, group = Func("group_norm"), (i[0], i[1] // size)
    normal = (x.func[i].astype(wide) - mean[group]) * (1 / halo.sqrt(variance[group] + epsilon))
    f[i] = (normal * scale.func[i[1]].astype(wide) + bias.func[i[1]].astype(wide)).astype(x.dtype)
    return Tensor(f, x.shape, x.dtype)


def _lrn(x: Any, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Any:
    squares = np.zeros(x.shape, np.float64)
    for c in range(x.shape[1]):
        low, high = max(0, c - (size - 1) // 2), min(x.shape[1], c + size // 2 + 1)
        squares[:, c] = (x[:, low:high].astype(np.float64) ** 2).sum(axis=1)
    return (x / (bias + alpha / size * squares) ** beta).astype(x.dtype)


@op(Kind.OPAQUE, reference=_lrn)
def lrn(x: TensorType, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> TensorType:
    """x / (bias + alpha / size * s)**beta, s the sum of squares over `size` channels (axis 1) round each (Krizhevsky et
    al. 2012): ONNX LRN.

    >>> from halo import nn
    >>> nn.lrn(np.ones((1, 1, 2), np.float32), size=1, alpha=3.0, beta=0.5)
    array([[[0.5, 0.5]]], dtype=float32)
    """
    takes("lrn", "float", x)
    if x.ndim < 2 or size < 1:
        raise ArgumentError(f"{x} is not normalised over {size} channels", loc=here())
    return x


@lrn.strategy("direct")
def _(x: Tensor, *, size: int, alpha: float, beta: float, bias: float) -> Tensor:
    i, wide = indices(x.ndim), accumulator(x)
    view = halo.pad(x.func, "constant", 0, bounds=[(0, extent(x, d)) if d == 1 else None for d in range(x.ndim)])
    squares, f = Func("squares"), Func("lrn")
    r: RDom = halo.rdom(size, names="k")
    tap = view[(i[0], i[1] + r.k - (size - 1) // 2, *i[2:])].astype(wide)
    squares[i] = halo.sum(tap * tap, r)
    f[i] = (x.func[i].astype(wide) / halo.pow(bias + alpha / size * squares[i], beta)).astype(x.dtype)
    return Tensor(f, x.shape, x.dtype)
