"""Operators that move values: other shapes, other orders, parts, repetitions, borders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here
from halo.ir.shapes import dim_max, dim_min, shown
from halo.jit.target import Target

from .lines import extent
from .op import Kind, Types, op
from .schedule import bound, in_parallel, points, tiled
from .shapes import axis_of, broadcasts_to, equal, indices, places, same_type, unravelled
from .tensor import Tensor, TensorType

__all__ = [
    "broadcast_to",
    "concatenate",
    "depth_to_space",
    "flatten",
    "pad",
    "repeat",
    "reshape",
    "strided_slice",
    "tile",
    "transpose",
    "trilu",
]


@op(Kind.INJECTIVE, reference=lambda x, *, shape: np.reshape(x, shape), view=True)
def reshape(x: TensorType, *, shape: tuple[int, ...]) -> TensorType:
    """The values of `x` in the same order, in another shape. One extent may be -1: what is left. NumPy reshape.

    >>> from halo import nn
    >>> nn.reshape(np.arange(6, dtype=np.float32), shape=(2, -1)).shape
    (2, 3)
    """
    size, known = math.prod(x.shape), math.prod(n for n in shape if n != -1)
    rest = 1
    if shape.count(-1) == 1 and known != 0:
        rest = size // known
    if shape.count(-1) > 1 or not equal(known * rest, size) or (-1 in shape and known == 0):
        raise ArgumentError(f"{shown(x.shape)} does not reshape to {shown(shape)}", loc=here())
    return TensorType(tuple(rest if n == -1 else n for n in shape), x.dtype)


@reshape.strategy("direct")
def _(x: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    extents = reshape.infer((x.type,), {"shape": shape}).shape
    f = Func("reshape")
    i = indices(len(extents))
    if 0 in extents:
        f[i] = x.dtype(0)
        return Tensor(f, extents, x.dtype)
    at: list[Any] = []
    k = d = 0
    for k_end, d_end in _boundaries(x.shape, extents):
        if (k_end - k, d_end - d) == (1, 1):
            at.append(0 if x.shape[k] == 1 else i[d])
        else:
            flat: Any = 0
            for v, n in zip(i[d:d_end], extents[d:d_end], strict=True):
                flat = flat * n + v
            at += unravelled(flat, x.shape[k:k_end])
        k, d = k_end, d_end
    f[i] = x.func[tuple(at)]
    return Tensor(f, extents, x.dtype)


def _boundaries(old: tuple[Any, ...], new: tuple[Any, ...]) -> list[tuple[int, int]]:
    """Where so many axes of `old` hold as much as so many of `new`: between these, axes are reshaped on their own."""
    found, last = [], (0, 0)
    for k in range(1, len(old) + 1):
        for d in range(last[1] + 1, len(new) + 1):
            if math.prod(old[:k]) == math.prod(new[:d]) or math.prod(old[k:]) == math.prod(new[d:]):
                found.append(last := (k, d))
                break
    return [*found[:-1], (len(old), len(new))] if found else [(len(old), len(new))]


@op(Kind.INJECTIVE, reference=lambda x, *, axis=1: x.reshape(math.prod(x.shape[:axis]), -1), view=True)
def flatten(x: TensorType, *, axis: int = 1) -> TensorType:
    """A matrix: the axes before `axis` are its rows, the rest its columns. ONNX Flatten.

    >>> from halo import nn
    >>> nn.flatten(np.zeros((2, 3, 4), np.float32)).shape
    (2, 12)
    """
    if not -x.ndim <= axis <= x.ndim:
        raise ArgumentError(f"flatten of {x} has no axis {axis}", loc=here())
    k = axis if axis >= 0 else axis + x.ndim
    return TensorType((math.prod(x.shape[:k]), math.prod(x.shape[k:])), x.dtype)


@flatten.strategy("direct")
def _(x: Tensor, *, axis: int) -> Tensor:
    return reshape(x, shape=flatten.infer((x.type,), {"axis": axis}).shape)  # type: ignore[no-any-return]  # operators take and give tensors and expressions


def _order(ndim: int, axes: Any) -> tuple[int, ...]:
    order = tuple(range(ndim))[::-1] if axes is None else tuple(a % ndim for a in axes)
    if sorted(order) != list(range(ndim)):
        raise ArgumentError(f"axes={axes} is no order of {ndim} axes", loc=here())
    return order


@op(Kind.INJECTIVE, reference=lambda x, *, axes=None: np.transpose(x, axes).copy())
def transpose(x: TensorType, *, axes: tuple[int, ...] | None = None) -> TensorType:
    """The axes in another order (the reverse one, if left out): NumPy transpose, ONNX Transpose.

    >>> from halo import nn
    >>> nn.transpose(np.zeros((2, 3, 4), np.float32), axes=(0, 2, 1)).shape
    (2, 4, 3)
    """
    return TensorType(tuple(x.shape[a] for a in _order(x.ndim, axes)), x.dtype)


ACROSS, ALONG = (
    16,
    64,
)  # entries of a tile along the last axis of what is read, and of the result: lines of the cache of each


def _schedule_transposed(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """In tiles, whose lines of the argument stay in cache until all that they hold is stored."""
    (x,) = types
    assert x is not None
    order, f = _order(x.ndim, attrs["axes"]), out.func
    whole = out.shape == tuple(x.shape[a] for a in order) and all(isinstance(n, int) for n in out.shape)
    last = order.index(x.ndim - 1) if whole and x.ndim else -1
    if last in (-1, x.ndim - 1) or min(out.shape[last], out.shape[-1]) < ACROSS:
        points(out, target)
        return
    bound(f, out)
    *outer, v = f.definitions.vars
    u, lanes = outer.pop(last), min(target.natural_lanes(out.dtype), ACROSS)
    tiled(f, v, "vo", min(ALONG, out.shape[-1] // lanes * lanes), out.shape[-1])
    tiled(f, u, "uo", ACROSS, out.shape[last])
    outer.append("vo")
    f.reorder(*outer, "uo", u, v).vectorize(v, lanes)
    in_parallel(f, outer)


@transpose.strategy("direct", schedule=_schedule_transposed)
def _(x: Tensor, *, axes: tuple[int, ...] | None) -> Tensor:
    order = _order(x.ndim, axes)
    f = Func("transpose")
    i = indices(x.ndim)
    f[i] = x.func[tuple(i[order.index(d)] for d in range(x.ndim))]
    return Tensor(f, tuple(x.shape[a] for a in order), x.dtype)


@op(Kind.OPAQUE, reference=lambda *xs, axis=0: np.concatenate(xs, axis), follows=True)
def concatenate(*xs: TensorType, axis: int = 0) -> TensorType:
    """One after the other along an axis: NumPy concatenate, ONNX Concat.

    In a graph it costs nothing where its parts can be computed in their places of the result.

    >>> from halo import nn
    >>> nn.concatenate(np.zeros((1, 2), np.float32), np.ones((1, 1), np.float32), axis=1)
    array([[0., 0., 1.]], dtype=float32)
    """
    if not xs or not -xs[0].ndim <= axis < xs[0].ndim:
        raise ArgumentError(f"nothing to concatenate along axis {axis}", loc=here())
    d = axis % xs[0].ndim
    if not all(
        t.ndim == xs[0].ndim and all(equal(t.shape[k], xs[0].shape[k]) for k in range(t.ndim) if k != d) for t in xs
    ):
        raise ArgumentError(f"{' and '.join(map(str, xs))} differ in more than axis {axis}", loc=here())
    total = sum(t.shape[d] for t in xs)
    return TensorType((*xs[0].shape[:d], total, *xs[0].shape[d + 1 :]), same_type("concatenate", *xs))


def _part(x: Tensor, d: int, i: tuple[Any, ...]) -> Any:
    """`x` at `i`, which may be anything where that is outside of axis `d`."""
    n = x.shape[d]
    if isinstance(n, int):
        return x.func[(*i[:d], halo.clamp(i[d], 0, n - 1), *i[d + 1 :])]
    held = [(0, extent(x, k)) if k == d else None for k in range(x.ndim)]
    return halo.pad(x.func, "constant", 0, bounds=held)[i]  # there may be none to read


@concatenate.strategy("direct", schedule=lambda out, target, types, attrs: points(out, target))
def _(*xs: Tensor, axis: int) -> Tensor:
    d = axis % xs[0].ndim
    i = indices(xs[0].ndim)
    f = Func("concatenate")
    end, value = 0, None
    for x in reversed(xs):
        end += x.shape[d]
    for x in reversed(xs):
        start = end - x.shape[d]
        if x.shape[d] != 0:
            part = _part(x, d, (*i[:d], i[d] - start, *i[d + 1 :]))
            value = part if value is None else halo.select(i[d] < end, part, value)
        end = start
    f[i] = xs[0].func[i] if value is None else value
    shape = concatenate.infer(tuple(x.type for x in xs), {"axis": axis}).shape
    return Tensor(f, shape, xs[0].dtype)


@op(Kind.INJECTIVE, reference=lambda x, *, shape: np.broadcast_to(x, shape).copy())
def broadcast_to(x: TensorType, *, shape: tuple[int, ...]) -> TensorType:
    """x repeated along axes of extent 1, and new ones in front: NumPy broadcast_to, TOPI broadcast_to.

    >>> from halo import nn
    >>> nn.broadcast_to(np.array([[1], [2]]), shape=(2, 3))
    array([[1, 1, 1],
           [2, 2, 2]])
    """
    if not broadcasts_to(x.shape, tuple(shape)):
        raise ArgumentError(f"{x} does not broadcast to {shown(tuple(shape))}", loc=here())
    return TensorType(tuple(shape), x.dtype)


@broadcast_to.strategy("direct")
def _(x: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    f, i = Func("broadcast_to"), indices(len(shape))
    f[i] = x.func[places(i, shape, x.shape)]
    return Tensor(f, tuple(shape), x.dtype)


@op(Kind.INJECTIVE, reference=lambda x, *, reps: np.tile(x, reps))
def tile(x: TensorType, *, reps: tuple[int, ...]) -> TensorType:
    """x so many times along each axis, one after the other: NumPy tile with an entry an axis, ONNX Tile.

    >>> from halo import nn
    >>> nn.tile(np.array([1, 2]), reps=(3,))
    array([1, 2, 1, 2, 1, 2])
    """
    if len(reps) != x.ndim or any(isinstance(n, int) and n < 0 for n in reps):
        raise ArgumentError(
            f"{x} is repeated {x.ndim} counts of times, an entry an axis, not {tuple(reps)}", loc=here()
        )
    return TensorType(tuple(n * k for n, k in zip(x.shape, reps, strict=True)), x.dtype)


@tile.strategy("direct")
def _(x: Tensor, *, reps: tuple[int, ...]) -> Tensor:
    f, i = Func("tile"), indices(x.ndim)
    # a remainder is bounded where its divisor is seen to be positive: in the loops themselves nobody knows that of w + 1
    least = [max(n, 1) if isinstance(n, int) else halo.max(n, 1) for n in x.shape]
    f[i] = x.func[tuple(v if k == 1 else v % n for v, n, k in zip(i, least, reps, strict=True))]
    return Tensor(f, tile.infer((x.type,), {"reps": reps}).shape, x.dtype)


@op(Kind.INJECTIVE, reference=lambda x, *, repeats, axis: np.repeat(x, repeats, axis), follows=True)
def repeat(x: TensorType, *, repeats: int, axis: int) -> TensorType:
    """Each entry along an axis so many times: NumPy repeat. Two of them are a picture in a larger size, its nearest values.

    >>> from halo import nn
    >>> nn.repeat(np.array([1, 2]), repeats=2, axis=0)
    array([1, 1, 2, 2])
    """
    d = axis_of("repeat", axis, x.ndim)
    if not isinstance(repeats, int) or repeats < 1:
        raise ArgumentError(f"an entry is there 1 time or more, not {repeats} times", loc=here())
    return TensorType((*x.shape[:d], x.shape[d] * repeats, *x.shape[d + 1 :]), x.dtype)


@repeat.strategy("direct")
def _(x: Tensor, *, repeats: int, axis: int) -> Tensor:
    d, f, i = axis_of("repeat", axis, x.ndim), Func("repeat"), indices(x.ndim)
    f[i] = x.func[(*i[:d], i[d] // repeats, *i[d + 1 :])]
    return Tensor(f, repeat.infer((x.type,), {"repeats": repeats, "axis": axis}).shape, x.dtype)


def _depth_to_space(x: Any, *, block: Any, mode: str = "DCR", layout: str = "NCHW") -> Any:
    b, c, *spatial = x.shape
    n, points = len(block), math.prod(block)
    split = (b, c // points, *block, *spatial) if mode == "CRD" else (b, *block, c // points, *spatial)
    axes = [0, 1 if mode == "CRD" else n + 1]
    for d in range(n):
        axes += [n + 2 + d, d + (2 if mode == "CRD" else 1)]
    moved = x.reshape(split).transpose(axes)
    return np.ascontiguousarray(moved).reshape(b, c // points, *(m * k for m, k in zip(spatial, block, strict=True)))


@op(Kind.INJECTIVE, reference=_depth_to_space, follows=True)
def depth_to_space(x: TensorType, *, block: tuple[int, ...], mode: str = "DCR", layout: str = "NCHW") -> TensorType:
    """Channels become the points of a `block`, an extent for each spatial axis: TOPI depth_to_space, ONNX DepthToSpace. `x`:
    [N, C, spatial...], or with a `layout` in blocks of channels ("NCHW16c").

    `mode`: the channels of a point lie together ("DCR"), or the points of a channel ("CRD").

    >>> from halo import nn
    >>> nn.depth_to_space(np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1), block=(2, 2))[0, 0]
    array([[0., 1.],
           [2., 3.]], dtype=float32)
    """
    blocked = layout[-1].islower()
    if x.ndim != len(block) + 2 + blocked or not block or mode not in ("DCR", "CRD")[: 2 - blocked] \
            or min(block) < 1 or x.shape[1] % math.prod(block):  # fmt: skip
        raise ArgumentError(
            f"{x} has no channels for blocks of {' x '.join(map(str, block))} in mode {mode!r}", loc=here(),
            legal=("DCR", "CRD")[: 2 - blocked])  # fmt: skip
    b, c, *rest = x.shape
    spatial = (n * k for n, k in zip(rest, block, strict=False))
    return TensorType((b, c // math.prod(block), *spatial, *rest[len(block) :]), x.dtype)


@depth_to_space.strategy("direct")
def _(x: Tensor, *, block: tuple[int, ...], mode: str, layout: str) -> Tensor:
    shape = depth_to_space.infer((x.type,), {"block": block, "mode": mode, "layout": layout}).shape
    f, (n, c, *i) = Func("depth_to_space"), indices(x.ndim)
    point: Any = 0
    for v, k in zip(i, block, strict=False):
        point = point * k + v % k
    channel = c * math.prod(block) + point if mode == "CRD" else point * shape[1] + c
    places = (v // k for v, k in zip(i, block, strict=False))
    f[(n, c, *i)] = x.func[(n, channel, *places, *i[len(block) :])]
    return Tensor(f, shape, x.dtype)


MEMORY = 1 << 47  # bytes that a process can address


def _slices(x: TensorType, begin: Any, end: Any, strides: Any, axes: Any) -> list[tuple[Any, Any, int]]:
    """Of the indices that are taken along each axis the first, how many, and the step."""
    found: list[tuple[Any, Any, int]] = [(0, n, 1) for n in x.shape]
    on = range(len(begin)) if axes is None else axes
    steps = (1,) * len(begin) if strides is None else strides
    if not len(begin) == len(end) == len(steps) == len(on):
        raise ArgumentError("a slice has as many begins as ends, strides and axes", loc=here())
    for b, e, s, axis in zip(begin, end, steps, on, strict=True):
        if not s:
            raise ArgumentError("a slice has no stride 0", loc=here())
        d = axis_of("strided_slice", axis, x.ndim)
        n = x.shape[d]
        if all(isinstance(v, int) for v in (b, e, n)):
            taken = range(*slice(b, e, s).indices(n))
            found[d] = taken.start, len(taken), s
            continue
        low, high = (0, n) if s > 0 else (-1, n - 1)
        entry = math.prod(m if isinstance(m, int) else 0 for k, m in enumerate(x.shape) if k != d) * x.dtype.bytes
        if isinstance(e, int) and e * entry >= MEMORY:
            e = 2**31 - 1  # there are not so many
        first, stop = (_within(v, n, low, high) for v in (b, e))
        ahead = stop - first if s > 0 else first - stop
        found[d] = first, dim_max((ahead + (abs(s) - 1)) // abs(s), 0), s
    return found


def _within(v: Any, n: Any, low: Any, high: Any) -> Any:
    """A bound of a slice of `n` entries, as Python has it: counted from the end if it is negative, and not beyond."""
    if isinstance(v, int):
        if v >= 2**31 - 1:
            return high
        if v <= -(2**31):
            return low
        v = v + n if v < 0 else v
    if v == 0 and low == 0:
        return 0
    return dim_max(dim_min(v, high), low)


def _strided_slice(x: Any, *, begin: Any, end: Any, strides: Any = None, axes: Any = None) -> Any:
    at: list[Any] = [slice(None)] * x.ndim
    on = range(len(begin)) if axes is None else axes
    for b, e, s, d in zip(begin, end, strides or (1,) * len(begin), on, strict=True):
        at[d] = slice(b, e, s)
    return x[tuple(at)].copy()


@op(Kind.INJECTIVE, reference=_strided_slice)
def strided_slice(x: TensorType, *, begin: tuple[int, ...], end: tuple[int, ...], strides: tuple[int, ...] | None = None,
                  axes: tuple[int, ...] | None = None) -> TensorType:  # fmt: skip
    """x[begin:end:strides] along `axes` (the first ones, if left out), as Python cuts: TOPI strided_slice, ONNX Slice.

    >>> from halo import nn
    >>> nn.strided_slice(np.arange(10), begin=(-1,), end=(0,), strides=(-3,))
    array([9, 6, 3])
    """
    return TensorType(tuple(n for _, n, _ in _slices(x, begin, end, strides, axes)), x.dtype)


@strided_slice.strategy("direct")
def _(x: Tensor, *, begin: Any, end: Any, strides: Any, axes: Any) -> Tensor:
    taken = _slices(x.type, begin, end, strides, axes)
    f, i = Func("strided_slice"), indices(x.ndim)
    f[i] = x.func[tuple(first + v * step for v, (first, _, step) in zip(i, taken, strict=True))]
    return Tensor(f, tuple(n for _, n, _ in taken), x.dtype)


MODES = ("constant", "reflect", "edge", "wrap")


def _pad(x: Any, *, before: Any, after: Any, mode: str = "constant", value: Any = 0) -> Any:
    widths = [(max(b, 0), max(a, 0)) for b, a in zip(before, after, strict=True)]
    out = np.pad(x, widths, mode, **({"constant_values": value} if mode == "constant" else {}))  # type: ignore[call-overload]  # of any mode
    ends = [n + a if a < 0 else n for n, a in zip(out.shape, after, strict=True)]
    return out[tuple(slice(max(-b, 0), e) for b, e in zip(before, ends, strict=True))].copy()


@op(Kind.INJECTIVE, reference=_pad, follows=True)
def pad(x: TensorType, *, before: tuple[int, ...], after: tuple[int, ...], mode: str = "constant",
        value: float = 0) -> TensorType:  # fmt: skip
    """x with so many entries more before and after along each axis, or fewer where it is negative. `mode`: "constant" (of
    `value`), "reflect", "edge" or "wrap", as NumPy's. ONNX Pad.

    >>> from halo import nn
    >>> nn.pad(np.array([1, 2, 3]), before=(2,), after=(-1,), mode="reflect")
    array([3, 2, 1, 2])
    """
    if mode not in MODES:
        raise ArgumentError(f"pad has no mode {mode!r}", loc=here(), legal=MODES)
    if not len(before) == len(after) == x.ndim:
        raise ArgumentError(f"pad of {x} takes {x.ndim} entries before and after, an entry an axis", loc=here())
    found = tuple(b + n + a for b, n, a in zip(before, x.shape, after, strict=True))
    known = [(n, m) for n, m in zip(x.shape, found, strict=True) if isinstance(m, int)]
    if any(m < 0 for _, m in known) or (mode != "constant" and any(not n and m for n, m in known)):
        raise ArgumentError(f"pad of {x} by {tuple(before)} before and {tuple(after)} after leaves nothing", loc=here())
    return TensorType(found, x.dtype)


@pad.strategy("direct")
def _(x: Tensor, *, before: Any, after: Any, mode: str, value: float) -> Tensor:
    moved = [d for d in range(x.ndim) if before[d] != 0 or after[d] != 0]
    if not moved:
        return broadcast_to(x, shape=x.shape)  # type: ignore[no-any-return]  # operators take and give tensors and expressions
    bounds = [(0, x.shape[d]) if d in moved else None for d in range(x.ndim)]
    view = halo.pad(x.func, mode, x.dtype(value) if mode == "constant" else 0, bounds=bounds)
    f, i = Func("pad"), indices(x.ndim)
    f[i] = view[tuple(v - b for v, b in zip(i, before, strict=True))]
    return Tensor(f, pad.infer((x.type,), {"before": before, "after": after, "mode": mode}).shape, x.dtype)


@op(Kind.INJECTIVE, reference=lambda x, *, k=0, upper=True: (np.triu if upper else np.tril)(x, k))
def trilu(x: TensorType, *, k: int = 0, upper: bool = True) -> TensorType:
    """The upper or lower triangle of the matrices in the last two axes, from diagonal `k` on, zero elsewhere: ONNX Trilu.

    >>> from halo import nn
    >>> nn.trilu(np.ones((2, 3), np.int32), k=1)
    array([[0, 1, 1],
           [0, 0, 1]], dtype=int32)
    """
    if x.ndim < 2:
        raise ArgumentError(f"trilu takes matrices, not {x}", loc=here())
    return x


@trilu.strategy("direct")
def _(x: Tensor, *, k: int, upper: bool) -> Tensor:
    f, i = Func("trilu"), indices(x.ndim)
    *_, row, column = i
    kept = column - row >= k if upper else column - row <= k
    f[i] = halo.select(kept, x.func[i], x.dtype(0))
    return Tensor(f, x.shape, x.dtype)
