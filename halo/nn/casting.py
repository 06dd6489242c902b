"""Conversions between element types."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo
from halo.errors import ArgumentError, here
from halo.types import Type, as_type, f8e8m0, f32, u8, u32

from .elementwise import elementwise
from .op import Kind, any_extent, op
from .tensor import Tensor, TensorType

__all__ = ["cast", "reinterpret"]

ROUND_MODES = ("up", "down", "nearest")


def _reference(x: Any, *, dtype: Any, saturate: bool = True, round_mode: str = "up") -> Any:
    to = as_type(dtype)
    own = as_type(x.dtype)
    if own.is_stored:
        x, own = x.astype(own.computed.dtype), own.computed
    if to is f8e8m0:
        return _reference_e8m0(x.astype(np.float32), saturate, round_mode)
    if own.is_float and to.is_int:
        with np.errstate(invalid="ignore"):
            inside = np.nan_to_num(x.astype(np.float64), nan=0, posinf=np.inf, neginf=-np.inf)
            cut = np.trunc(np.clip(inside, float(to.min), float(to.max))).astype(to.computed.dtype)
            return np.where(inside >= to.max, to.max, np.where(inside <= to.min, to.min, cut)).astype(to.dtype)
    if to.is_stored and to.is_float and saturate:
        x = np.clip(x.astype(np.float32), to.min, to.max)
    with np.errstate(all="ignore"):
        return x.astype(np.float32).astype(to.dtype) if to.is_stored and to.is_float else x.astype(to.dtype)


def _reference_e8m0(x: Any, saturate: bool, round_mode: str) -> Any:
    """The greatest power of two that is no more, or twice it."""
    size = np.abs(x).astype(np.float64)
    within = np.clip(size, 2.0**-126, 2.0**128)
    below = np.where(size >= 2.0**-126, np.floor(np.log2(within)), -127)
    part = np.minimum(size, 2.0**128) / 2.0**below
    half = np.where(below > -127, part >= 1.5, part > 1)  # as ml_dtypes: above the least number all goes up
    power = below + {"up": part > 1, "down": False, "nearest": half}[round_mode]
    return (
        np.where(np.isnan(x), 255, np.minimum(power + 127, 254 if saturate else 255))
        .astype(np.uint8)
        .view(f8e8m0.dtype)
    )


@op(Kind.ELEMENTWISE, reference=_reference, general=any_extent)
def cast(x: TensorType, *, dtype: Any, saturate: bool = True, round_mode: str = "up") -> TensorType:
    """x as another element type: ONNX Cast. Floats go to integers towards zero, within the range of the type, and NaN to
    0; integers wrap; what is not zero is true; floats round to the nearest, halves to even.

    To a float of 8 bits: with `saturate` what is too large becomes the largest number, infinity too; without it what the
    type makes of it (`halo.f8e4m3fn(x)`), infinity where there is one and else NaN. To f8e8m0, which has powers of two
    alone, |x| goes to the next one up, down or to the nearest as `round_mode` says, and 0 to the least of them.

    >>> from halo import nn
    >>> nn.cast(np.array([-1.5, 300.0], np.float32), dtype="int8")
    array([ -1, 127], dtype=int8)
    >>> nn.cast(np.array([0.1, 1e9], np.float32), dtype=halo.f8e4m3fn)
    array([0.101562, 448], dtype=float8_e4m3fn)
    """
    if round_mode not in ROUND_MODES:
        raise ArgumentError(f"the round_mode of a cast is not {round_mode!r}", loc=here(), legal=ROUND_MODES)
    return TensorType(x.shape, as_type(dtype))


@cast.strategy("direct")
def _(x: Tensor, *, dtype: Any, saturate: bool, round_mode: str) -> Tensor:
    to = as_type(dtype)

    def value(v: Any) -> Any:
        if to.is_bool:
            return v != 0
        if to is f8e8m0:
            return _power_of_two(v, saturate, round_mode)
        return halo.saturate(to, v) if saturate and to.is_stored and to.is_float else v.astype(to)

    return elementwise("cast", value, x, dtype=to)


def _power_of_two(v: Any, saturate: bool, round_mode: str) -> Any:
    """The exponent of v as an f32, which is the bits of an f8e8m0."""
    bits = halo.reinterpret(u32, f32(v)) & 0x7FFFFFFF
    exponent = bits >> 23
    if round_mode != "down":  # of what is above the least number but below the next all goes up
        exact = halo.select(exponent == 0, u32(0x400000), u32(0x3FFFFF if round_mode == "nearest" else 0))
        exponent = exponent + u32(bits & 0x7FFFFF > exact)
    most = halo.min(exponent, 254) if saturate else halo.min(exponent, 255)
    return halo.reinterpret(f8e8m0, u8(halo.select(bits > 0x7F800000, 255, most)))


@op(Kind.ELEMENTWISE, reference=lambda x, *, dtype: x.view(as_type(dtype).dtype), general=any_extent)
def reinterpret(x: TensorType, *, dtype: Any) -> TensorType:
    """The bits of x as another element type of the same width: TOPI reinterpret, ONNX BitCast.

    >>> from halo import nn
    >>> nn.reinterpret(np.array([1.0], np.float32), dtype="i32")
    array([1065353216], dtype=int32)
    """
    to = as_type(dtype)
    if _width(to) != _width(x.dtype):
        raise ArgumentError(f"the bits of {x} are none of {to.name}", loc=here())
    return TensorType(x.shape, to)


def _width(t: Type) -> int:
    return 8 if t.is_bool else t.bits


@reinterpret.strategy("direct")
def _(x: Tensor, *, dtype: Any) -> Tensor:
    to = as_type(dtype)
    if x.dtype.is_bool or to.is_bool:
        return cast(x, dtype=to)  # type: ignore[no-any-return]  # operators take and give tensors and expressions
    return elementwise("reinterpret", lambda v: halo.reinterpret(to, v), x, dtype=to)
