"""Normalisation."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .elementwise import elementwise
from .lines import accumulator, along, extent, line_of, schedule_along
from .op import Kind, Types, op
from .shapes import axis_of, broadcasts_to, decided, indices, takes
from .tensor import Tensor, TensorType, type_of

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "lrn", "rms_norm"]


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
        decided("batch_norm", x.shape[d], *t.shape[:1] or (None,))
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


# Norms ----------------------------------------------------------------------------------------------------------------


def _by_count(total: Any, ranges: Any, wide: Any) -> Any:
    count: Any = 1
    for n in ranges:
        count = count * n
    return total / (float(count) if isinstance(count, int) else count.astype(wide))


def _normal(line: Any, rest: Any, ranges: Any, at: Any, wide: Any, epsilon: float) -> tuple[Func, Func]:
    """The mean of what `line` has at `at(*r)`, r over `ranges`, and one by the deviation, both over `rest`."""
    mean, scale = Func("line_mean"), Func("line_scale")
    total = along("line_sum", rest, wide(0), operator.add, lambda *r: line[at(*r)], ranges, wide)
    mean[rest] = _by_count(total[rest], ranges, wide)

    def squared(*r: Any) -> Any:
        v = line[at(*r)] - mean[rest]
        return v * v

    squares = along("line_square", rest, wide(0), operator.add, squared, ranges, wide)
    scale[rest] = 1 / halo.sqrt(_by_count(squares[rest], ranges, wide) + epsilon)
    return mean, scale


def _schedule_from(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    schedule_along(out, attrs["axis"] % out.ndim)


def _scaled(name: str, x: TensorType, axis: int, *vectors: TensorType | None) -> TensorType:
    takes(name, "float", x)
    d = axis_of(name, axis, x.ndim)
    for t in vectors:
        for n, k in zip(reversed(x.shape[d:]), reversed(t.shape if t is not None else ()), strict=False):
            if k != 1:
                decided(name, n, k)
        if t is not None and not broadcasts_to(t.shape, x.shape[d:]):
            raise ArgumentError(f"{name} of {x} from axis {axis} on is not scaled by {t}", loc=here())
    return x


def _layer_norm(x: Any, scale: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5) -> Any:
    v = x.astype(np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    v = v - v.mean(axis=axes, keepdims=True)
    v = v / np.sqrt((v * v).mean(axis=axes, keepdims=True) + epsilon) * scale
    return (v if bias is None else v + bias).astype(x.dtype)


@op(Kind.REDUCTION, reference=_layer_norm)
def layer_norm(x: TensorType, scale: TensorType, bias: TensorType | None = None, *, axis: int = -1,
               epsilon: float = 1e-5) -> TensorType:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, over the axes from `axis` on (Ba et al. 2016): ONNX
    LayerNormalization. `scale` and `bias` broadcast to these axes. Sums are f32 at least.

    >>> from halo import nn
    >>> nn.layer_norm(np.array([[1, 3]], np.float32), np.ones(2, np.float32), epsilon=0.0)
    array([[-1.,  1.]], dtype=float32)
    """
    return _scaled("layer_norm", x, axis, scale, bias)


@layer_norm.strategy("lines", schedule=_schedule_from)
def _(x: Tensor, scale: Tensor, bias: Tensor | None, *, axis: int, epsilon: float) -> Tensor:
    d, i, line = axis % x.ndim, indices(x.ndim), line_of(x)
    ranges, rest = [extent(x, k) for k in range(d, x.ndim)], i[:d]
    mean, deviation = _normal(line.func, rest, ranges, lambda *r: (*rest, *r), line.dtype, epsilon)
    centred = Func("centred")
    centred[i] = (line.func[i] - mean[rest]) * deviation[rest]
    return _affine("layer_norm", Tensor(centred, x.shape, line.dtype), scale, bias, x.dtype)


def _affine(name: str, v: Tensor, scale: Tensor, bias: Tensor | None, dtype: Any) -> Tensor:
    def value(a: Any, s: Any, b: Any = None) -> Any:
        scaled = a * s.astype(v.dtype)
        return (scaled if b is None else scaled + b.astype(v.dtype)).astype(dtype)

    return elementwise(name, value, v, scale, *(() if bias is None else (bias,)), dtype=dtype, shape=v.shape)


def _rms_norm(x: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5) -> Any:
    v = x.astype(np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    return (v / np.sqrt((v * v).mean(axis=axes, keepdims=True) + epsilon) * scale).astype(x.dtype)


@op(Kind.REDUCTION, reference=_rms_norm)
def rms_norm(x: TensorType, scale: TensorType, *, axis: int = -1, epsilon: float = 1e-5) -> TensorType:
    """x / sqrt(mean(x * x) + epsilon) * scale, over the axes from `axis` on (Zhang and Sennrich 2019): ONNX
    RMSNormalization. Sums are f32 at least.

    >>> from halo import nn
    >>> nn.rms_norm(np.array([[3, 3]], np.float32), np.ones(2, np.float32), epsilon=0.0)
    array([[1., 1.]], dtype=float32)
    """
    return _scaled("rms_norm", x, axis, scale)


@rms_norm.strategy("lines", schedule=_schedule_from)
def _(x: Tensor, scale: Tensor, *, axis: int, epsilon: float) -> Tensor:
    d, i, line = axis % x.ndim, indices(x.ndim), line_of(x)
    ranges, rest, wide = [extent(x, k) for k in range(d, x.ndim)], i[:d], line.dtype

    def squared(*r: Any) -> Any:
        v = line.func[(*rest, *r)]
        return v * v

    squares = along("line_square", rest, wide(0), operator.add, squared, ranges, wide)
    size, normal = Func("line_scale"), Func("normal")
    size[rest] = 1 / halo.sqrt(_by_count(squares[rest], ranges, wide) + epsilon)
    normal[i] = line.func[i] * size[rest]
    return _affine("rms_norm", Tensor(normal, x.shape, wide), scale, None, x.dtype)


def _group_norm(x: Any, scale: Any, bias: Any, *, groups: int, epsilon: float = 1e-5) -> Any:
    v = x.astype(np.float64).reshape(x.shape[0], groups, -1)
    v = v - v.mean(axis=2, keepdims=True)
    v = (v / np.sqrt((v * v).mean(axis=2, keepdims=True) + epsilon)).reshape(x.shape)
    shape = (-1, *(1,) * (x.ndim - 2))
    return (v * scale.reshape(shape) + bias.reshape(shape)).astype(x.dtype)


@op(Kind.REDUCTION, reference=_group_norm)
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
    _channels_decided("group_norm", x, scale)
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ArgumentError(f"the channels of {x} are not {groups} groups", loc=here())
    for t in (scale, bias):
        if t.shape != x.shape[1:2]:
            raise ArgumentError(f"group_norm of {x} takes {x.shape[1]} entries, not {t}", loc=here())
    return x


def _schedule_groups(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    if isinstance(out.shape[1], int):
        schedule_along(out, 2, groups=(1, out.shape[1] // attrs["groups"]))


@group_norm.strategy("lines", schedule=_schedule_groups)
def _(x: Tensor, scale: Tensor, bias: Tensor, *, groups: int, epsilon: float) -> Tensor:
    i, line, size = indices(x.ndim), line_of(x), x.shape[1] // groups
    n, g = rest = indices(2, "g")
    ranges, wide = [size, *(extent(x, k) for k in range(2, x.ndim))], line.dtype
    mean, deviation = _normal(line.func, rest, ranges, lambda c, *r: (n, g * size + c, *r), wide, epsilon)
    f, group = Func("group_norm"), (i[0], i[1] // size)
    normal = (line.func[i] - mean[group]) * deviation[group]
    f[i] = (normal * scale.func[i[1]].astype(wide) + bias.func[i[1]].astype(wide)).astype(x.dtype)
    return Tensor(f, x.shape, x.dtype)


def instance_norm(x: Any, scale: Any, bias: Any, *, epsilon: float = 1e-5) -> Any:
    """`group_norm` with a group a channel (Ulyanov et al. 2016): ONNX InstanceNormalization.

    >>> from halo import nn
    >>> one = np.ones(1, np.float32)
    >>> nn.instance_norm(np.array([[[1, 3]]], np.float32), one, one, epsilon=1e-9)
    array([[[0., 2.]]], dtype=float32)
    """
    t = type_of(x)
    _channels_decided("instance_norm", t, type_of(scale))
    return group_norm(x, scale, bias, groups=t.shape[1], epsilon=epsilon)


def _channels_decided(name: str, x: TensorType, scale: TensorType) -> None:
    if x.ndim > 1 and scale.ndim == 1:
        decided(name, x.shape[1], scale.shape[0])


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
