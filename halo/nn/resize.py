"""Resizing: each axis on its own, as a weighted sum of neighbours."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, UnknownValueError, here
from halo.ir.surface import as_expr
from halo.types import f64

from .elementwise import elementwise
from .lines import extent
from .op import Kind, op
from .shapes import indices, takes
from .tensor import Tensor, TensorType

__all__ = ["resize"]

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _taps(mode: str, antialias: bool, scale: Any) -> int:
    """How many neighbours are summed up; half of them, rounded up, lie below."""
    if mode == "nearest":
        return 2
    reach = 1 if mode == "linear" else 2
    return 2 * -math.floor(-reach / (min(scale, 1.0) if antialias else 1.0))


def _coordinate(o: Any, n: Any, size: Any, scale: Any, coordinates: str, span: Any) -> Any:
    """Where entry `o` of the result lies on an axis of `n`. What is no number is an expression."""
    width = size if scale is None else scale * n
    if coordinates == "align_corners":
        return _if_one(width, 0.0 * o, lambda: o * ((n - 1) / (width - 1)))
    if coordinates == "tf_crop_and_resize":
        start, end = span
        inner = (end - start) * (n - 1)
        return start * (n - 1) + _if_one(width, 0.0 * o + inner / 2, lambda: o * (inner / (width - 1)))
    by = size / n if scale is None else scale
    if coordinates == "asymmetric":
        return o / by
    offset = n / 2 * (1 - size / width) if coordinates == "half_pixel_symmetric" else 0.0
    at = offset + (o + 0.5) / by - 0.5
    return _if_one(width, 0.0 * o - 0.5, lambda: at) if coordinates == "pytorch_half_pixel" else at


def _if_one(width: Any, then: Any, otherwise: Callable[[], Any]) -> Any:
    if isinstance(width, (int, float)):
        return then if width == 1 else otherwise()
    return halo.select(width == 1, then, otherwise())


def _weight(away: Any, mode: str, a: float, select: Any, absolute: Any) -> Any:
    """What a neighbour counts that is `away`."""
    v = absolute(away)
    if mode == "linear":
        return select(v < 1, 1 - v, 0.0)
    near = ((a + 2) * v - (a + 3)) * v * v + 1
    far = ((v - 5) * v + 8) * v * a - 4 * a
    return select(v <= 1, near, select(v < 2, far, 0.0))


def _factors(shape: Any, size: Any, scales: Any) -> tuple[Any, ...]:
    """The scale of each axis, None where only a call knows what it comes to."""
    given = (None,) * len(shape) if scales is None else scales
    known = [isinstance(n, int) and isinstance(m, int) for n, m in zip(shape, size, strict=True)]
    return tuple(
        m / max(n, 1) if s is None and k else 1.0 if s is None and m == n else s
        for n, m, s, k in zip(shape, size, given, known, strict=True)
    )


def _reference(x: Any, *, size: Any, scales: Any = None, mode: str = "linear", coordinates: str = "half_pixel",
               nearest: str = "round_prefer_floor", cubic: float = -0.75, exclude_outside: bool = False, antialias: bool = False,
               roi: Any = None, extrapolation: float = 0.0) -> Any:  # fmt: skip
    scales = _factors(x.shape, size, scales)
    out, beyond = x.astype(np.float64), np.zeros(size, np.bool_)
    for d, (n, m, s) in enumerate(zip(x.shape, size, scales, strict=True)):
        taps, span = _taps(mode, antialias, s), (0.0, 1.0) if roi is None else roi[d]
        if n == m and s == 1 and span == (0.0, 1.0):
            continue
        rows = []
        for o in range(m):
            at = float(_coordinate(o, n, m, s, coordinates, span))
            base = math.ceil(at) - 1
            ratio = at - base
            places = [base + k - (taps // 2 - 1) for k in range(taps)]
            if mode == "nearest":
                rounds = {"round_prefer_floor": ratio > 0.5, "round_prefer_ceil": ratio >= 0.5, "floor": ratio == 1}
                upper = rounds.get(nearest, True)
                weights = [0.0, 1.0] if upper else [1.0, 0.0]
            else:
                low = min(s, 1.0) if antialias else 1.0
                weights = [
                    _weight((p - base - ratio) * low, mode, cubic, lambda c, t, e: t if c else e, abs) for p in places
                ]
                if exclude_outside:
                    weights = [w if 0 <= p < n else 0.0 for w, p in zip(weights, places, strict=True)]
            total = sum(weights)
            rows.append(
                sum(w / total * np.take(out, min(max(p, 0), n - 1), d) for w, p in zip(weights, places, strict=True))
            )
            if coordinates == "tf_crop_and_resize" and not 0 <= at <= n - 1:
                beyond[(slice(None),) * d + (o,)] = True
        out = np.stack(rows, d)
    return np.where(beyond, extrapolation, out).astype(x.dtype)


@op(Kind.OPAQUE, reference=_reference)
def resize(x: TensorType, *, size: tuple[int, ...], scales: tuple[float | None, ...] | None = None, mode: str = "linear",
           coordinates: str = "half_pixel", nearest: str = "round_prefer_floor", cubic: float = -0.75,
           exclude_outside: bool = False, antialias: bool = False, roi: tuple[tuple[float, float], ...] | None = None,
           extrapolation: float = 0.0) -> TensorType:  # fmt: skip
    """x in another size: ONNX Resize, TOPI resize2d. `size`: the extents; `scales`: what they are of the ones of x (their
    quotients, if left out or None), an entry an axis.

    `mode`: "nearest" (`nearest`: how it rounds), "linear" or "cubic" (with the coefficient `cubic`). `coordinates`: where an
    entry of the result lies in x, in ONNX's words; "tf_crop_and_resize" takes the part of each axis that `roi` says, and
    `extrapolation` outside of x. `antialias`: where it becomes smaller, all that an entry stands for is averaged.
    `exclude_outside`: neighbours outside do not count, else they are the nearest inside.

    >>> from halo import nn
    >>> nn.resize(np.array([0, 4], np.float32), size=(4,))
    array([0., 1., 3., 4.], dtype=float32)
    """
    takes("resize", "number", x)
    for what, value, legal in (
        ("mode", mode, MODES),
        ("coordinates", coordinates, COORDINATES),
        ("nearest", nearest, NEAREST),
    ):
        if value not in legal:
            raise ArgumentError(f"resize has no {what} {value!r}", loc=here(), legal=legal)
    given = [v for v in (size, scales, roi) if v is not None]
    if any(len(v) != x.ndim for v in given):
        raise ArgumentError(f"resize of {x} takes a size, a scale and a part of each axis", loc=here())
    if antialias and mode != "nearest" and None in _factors(x.shape, size, scales):
        raise UnknownValueError(f"how many entries of {x} are averaged is known when the program runs, and is wanted before",
                                loc=here(), hint="antialias=False, or integers: compile(shapes={...})")  # fmt: skip
    if 0 in x.shape and 0 not in size:
        raise ArgumentError(f"there is nothing in {x} to resize", loc=here())
    return TensorType(tuple(size), x.dtype)


@resize.strategy("direct")
def _(x: Tensor, *, size: Any, scales: Any, mode: str, coordinates: str, nearest: str, cubic: float, exclude_outside: bool,
      antialias: bool, roi: Any, extrapolation: float) -> Tensor:  # fmt: skip
    shape = x.shape
    wide = x.dtype if mode == "nearest" else halo.f32 if x.dtype.is_float and x.dtype is not f64 else f64
    out, inside = x, []
    for d, (n, m, s) in enumerate(zip(shape, size, _factors(shape, size, scales), strict=True)):
        span = (0.0, 1.0) if roi is None else roi[d]
        if n == m and s == 1 and tuple(span) == (0.0, 1.0):
            continue
        (o,) = indices(1, "o")
        at = Func("at")
        at[o] = _coordinate(o.astype(f64), _number(n), _number(m), s, coordinates, span) + f64(0)
        if coordinates == "tf_crop_and_resize":
            inside.append((d, extent(x, d), at))
        if mode == "nearest":
            out = _picked(out, d, m, at, nearest)
        else:
            low = min(s, 1.0) if antialias else 1.0
            out = _weighted(out, d, m, at, _taps(mode, antialias, s), low, mode, cubic, exclude_outside, wide)
    if not inside:
        return elementwise("resize", lambda v: v.astype(x.dtype), out, dtype=x.dtype)
    f, i = Func("resize"), indices(x.ndim)
    held = halo.all(*((at[i[d]] >= 0) & (at[i[d]] <= n - 1) for d, n, at in inside))
    f[i] = halo.select(held, out.func[i].astype(x.dtype), x.dtype(extrapolation))
    return Tensor(f, tuple(size), x.dtype)


def _number(n: Any) -> Any:
    return n if isinstance(n, int) else as_expr(n).astype(f64)


def _picked(x: Tensor, d: int, m: int, at: Func, nearest: str) -> Tensor:
    """x along axis `d` at the nearest of each place."""
    n, f, i, place, (o,) = extent(x, d), Func("nearest"), indices(x.ndim), Func("place"), indices(1, "o")
    v = at[o]
    below = halo.ceil(v) - 1
    ratio = v - below
    upper = {
        "round_prefer_floor": ratio > 0.5,
        "round_prefer_ceil": ratio >= 0.5,
        "floor": ratio == 1,
        "ceil": ratio > 0,
    }[nearest]
    place[o] = halo.i32(below) + halo.select(upper, 1, 0)
    place.compute_root()
    f[i] = x.func[(*i[:d], halo.clamp(place[i[d]], 0, n - 1), *i[d + 1 :])]
    return Tensor(f, (*x.shape[:d], m, *x.shape[d + 1 :]), x.dtype)


def _weighted(x: Tensor, d: int, m: int, at: Func, taps: int, low: float, mode: str, cubic: float, exclude: bool,
              wide: Any) -> Tensor:  # fmt: skip
    """x along axis `d` as the weighted sum of `taps` neighbours of each place."""
    n, f, i = extent(x, d), Func("weighted"), indices(x.ndim)
    (o, t) = halo.vars("o t")
    first, raw, weights = Func("first"), Func("raw"), Func("weights")
    first[o] = halo.i32(halo.ceil(at[o])) - taps // 2
    place = first[o] + t
    weight = _weight((place.astype(f64) - at[o]) * low, mode, cubic, halo.select, halo.abs)
    raw[o, t] = halo.select((place >= 0) & (place < n), weight, f64(0)) if exclude else weight + f64(0)
    r: RDom = halo.rdom(taps, names="k")
    total = Func("total")
    total[o] = halo.sum(raw[o, r.k], r)
    weights[o, t] = (raw[o, t] / total[o]).astype(wide)
    for g in (first, weights):
        g.compute_root()

    def tap(k: Any) -> Any:
        near = x.func[(*i[:d], halo.clamp(first[i[d]] + k, 0, n - 1), *i[d + 1 :])]
        return near.astype(wide) * weights[i[d], k]

    if taps <= 4:
        f[i] = functools.reduce(lambda a, b: a + b, map(tap, range(taps)))
    else:
        r = halo.rdom(taps, names="k")
        f[i] = halo.sum(tap(r.k), r)
    return Tensor(f, (*x.shape[:d], m, *x.shape[d + 1 :]), wide)
