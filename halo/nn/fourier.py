"""Signals: frames that overlap, and their frequencies."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.ir.surface import as_expr
from halo.types import bf16, f16, f32, f64, i64

from .casting import cast
from .lines import extent
from .matrix import dense
from .op import Kind, Types, op
from .shape import pad, reshape, strided_slice, transpose
from .shapes import assume, axis_of, indices, takes
from .tensor import Tensor, TensorType, type_of

__all__ = ["dft", "frame"]


def _frame(x: Any, *, size: int, step: int, axis: int = -1) -> Any:
    d = axis % x.ndim
    frames = np.lib.stride_tricks.sliding_window_view(x, size, axis=d).take(
        range(0, x.shape[d] - size + 1, step), axis=d
    )
    return np.ascontiguousarray(np.moveaxis(frames, -1, d + 1))


@op(Kind.INJECTIVE, reference=_frame)
def frame(x: TensorType, *, size: int, step: int, axis: int = -1) -> TensorType:
    """Windows of `size` entries along an axis, one each `step` entries: [..., N, ...] to [..., (N - size)//step + 1, size, ...].
    As tf.signal.frame without padding, torch.Tensor.unfold.

    >>> from halo import nn
    >>> nn.frame(np.arange(6), size=4, step=2)
    array([[0, 1, 2, 3],
           [2, 3, 4, 5]])
    """
    d = axis_of("frame", axis, x.ndim)
    if size < 1 or step < 1:
        raise ArgumentError(
            f"frames are of 1 entry or more, each 1 or more behind the last, not {size} each {step}", loc=here()
        )
    room = x.shape[d] - size
    if not isinstance(room, int):
        assume(">=", room, 0)
    elif room < 0:
        raise ArgumentError(f"a frame of {size} entries is larger than axis {axis} of {x}", loc=here())
    return TensorType((*x.shape[:d], room // step + 1, size, *x.shape[d + 1 :]), x.dtype)


@frame.strategy("direct")
def _(x: Tensor, *, size: int, step: int, axis: int) -> Tensor:
    d = axis_of("frame", axis, x.ndim)
    f, i = Func("frame"), indices(x.ndim + 1)
    f[i] = x.func[(*i[:d], i[d] * step + i[d + 1], *i[d + 2 :])]
    return Tensor(f, frame.infer((x.type,), {"size": size, "step": step, "axis": axis}).shape, x.dtype)


def _dft(x: Any, *, length: int, axis: int = -2, inverse: bool = False, onesided: bool = False) -> Any:
    v = x[..., 0] + (1j * x[..., 1] if x.shape[-1] == 2 else 0)
    d = axis % x.ndim
    if inverse and onesided:
        return np.fft.irfft(v, length, axis=d)[..., None].astype(x.dtype)
    found = np.fft.ifft(v, length, axis=d) if inverse else np.fft.fft(v, length, axis=d)
    if onesided:
        found = np.take(found, range(length // 2 + 1), d)
    return np.stack([found.real, found.imag], axis=-1).astype(x.dtype)


@op(Kind.OPAQUE, reference=_dft)
def dft(x: TensorType, *, length: int, axis: int = -2, inverse: bool = False, onesided: bool = False) -> TensorType:
    """The discrete Fourier transform along an axis, as its sum says: ONNX DFT. `x`: [..., 1] of real or [..., 2] of complex
    numbers; of the axis `length` entries are taken, or zeros behind its end. `inverse`: the inverse, divided by `length`.
    `onesided`: only the first half and one of the frequencies; inverse, it is a real signal from those.

    >>> from halo import nn
    >>> nn.dft(np.array([[1], [-1]], np.float32), length=2)
    array([[0., 0.],
           [2., 0.]], dtype=float32)
    """
    takes("dft", "float", x)
    d = axis % max(x.ndim, 1)
    if x.ndim < 2 or x.shape[-1] not in (1, 2) or d == x.ndim - 1 or not -x.ndim <= axis < x.ndim:
        raise ArgumentError(f"dft takes [..., 1] or [..., 2] along another axis than the last, not {x}", loc=here())
    if isinstance(length, int) and length < 1:
        raise ArgumentError(f"there are no {length} frequencies", loc=here())
    both = 1 if inverse and onesided else 2
    many = length // 2 + 1 if onesided and not inverse else length
    return TensorType((*x.shape[:d], many, *x.shape[d + 1 : -1], both), x.dtype)


MOST = 2**22  # entries of a matrix that is a constant of the program


def _is_product(types: Types, attrs: Any, target: Any) -> bool:
    (x,) = types
    assert x is not None
    if not isinstance(attrs["length"], int):
        return False
    held, made = x.shape[attrs["axis"] % x.ndim], dft.infer(types, attrs)
    rows = (min(held, attrs["length"]) if isinstance(held, int) else attrs["length"]) * x.shape[-1]
    return 0 not in (*x.shape, *made.shape) and rows * made.shape[attrs["axis"] % x.ndim] * made.shape[-1] <= MOST


@functools.lru_cache(maxsize=16)
def _basis(held: int, parts: int, length: int, inverse: bool, onesided: bool) -> Any:
    """The matrix of a transform, a row a result: what it makes of each unit vector."""
    units = np.eye(held * parts).reshape(-1, held, parts)
    return _dft(units, length=length, inverse=inverse, onesided=onesided).reshape(held * parts, -1).T


@dft.strategy("product", when=_is_product, composed=True)
def _(x: Any, *, length: int, axis: int, inverse: bool, onesided: bool) -> Any:
    """The transform is linear: the product with a matrix, of each line along the axis."""
    t = type_of(x)
    d, wide = axis % t.ndim, f32 if t.dtype in (f16, bf16) else t.dtype
    held, parts = t.shape[d], t.shape[-1]
    if not isinstance(held, int):  # as many as are there, the others are zeros
        x = pad(x, before=(0,) * t.ndim, after=tuple(length - held if k == d else 0 for k in range(t.ndim)))
        held = length
    elif held > length:
        x, held = strided_slice(x, begin=(0,), end=(length,), axes=(d,)), length
    order = (*(k for k in range(t.ndim - 1) if k != d), d, t.ndim - 1)
    rest = tuple(t.shape[k] for k in order[:-2])
    if wide is not t.dtype:
        x = cast(x, dtype=wide.name)
    lines = reshape(transpose(x, axes=order), shape=(*(rest or (1,)), held * parts))
    basis = _basis(held, parts, length, inverse, onesided).astype(wide.dtype)
    made = dft.infer((t,), {"length": length, "axis": axis, "inverse": inverse, "onesided": onesided})
    found = reshape(dense(lines, basis), shape=(*rest, made.shape[d], made.shape[-1]))
    found = transpose(found, axes=tuple(np.argsort(order).tolist()))
    return found if wide is t.dtype else cast(found, dtype=t.dtype.name)


@dft.strategy("direct")
def _(x: Tensor, *, length: int, axis: int, inverse: bool, onesided: bool) -> Tensor:
    d = axis % x.ndim
    held = extent(x, d)
    f, i = Func("dft"), indices(x.ndim)
    *point, part = i
    count = as_expr(length)
    r: RDom = halo.rdom(count, names="k")
    turn = (i[d].astype(i64) * r.k % count).astype(f64) * (2 * math.pi * (1 if inverse else -1) / count.astype(f64))
    # of a real signal's frequencies, the upper half mirrors the lower one
    mirrored = inverse and onesided
    at = halo.select(r.k <= count // 2, r.k, count - r.k) if mirrored else r.k
    place = (*point[:d], halo.clamp(at, 0, held - 1), *point[d + 1 :])
    real = x.func[(*place, 0)].astype(f64)
    imaginary = x.func[(*place, 1)].astype(f64) if x.shape[-1] == 2 else f64(0) * real
    if mirrored:
        imaginary = halo.select(r.k <= count // 2, imaginary, -imaginary)
    cosine, sine = halo.cos(turn), halo.sin(turn)
    value = halo.select(part == 0, real * cosine - imaginary * sine, real * sine + imaginary * cosine)
    total = halo.sum(halo.select(at < held, value, f64(0)), r)
    f[i] = (total / count.astype(f64) if inverse else total).astype(x.dtype)
    attrs = {"length": length, "axis": axis, "inverse": inverse, "onesided": onesided}
    return Tensor(f, dft.infer((x.type,), attrs).shape, x.dtype)
