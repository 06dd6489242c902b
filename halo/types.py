"""Scalar types and the promotion table.

A type is one of the thirteen names of the language in which it computes, one of the ten that only store (`STORED`:
arrays hold them, a byte an element, and arithmetic is on what their values convert to), or `index`: the mathematical
integers that subscripts and loop bounds are made of (64-bit machine integers whose range is proven at entry).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import TypeMismatchError

__all__ = ["ALL", "ML_DTYPES", "STORED", "ArrayType", "Type", "as_type", "bf16", "bool_", "f4e2m1", "f8e4m3fn", "f8e4m3fnuz",
           "f8e5m2", "f8e5m2fnuz", "f8e8m0", "f16", "f32", "f64", "i2", "i4", "i8", "i16", "i32", "i64", "index", "promote",
           "u2", "u4", "u8", "u16", "u32", "u64"]  # fmt: skip


class Type:
    """A scalar type: `halo.u8`, `halo.f32`, ... Calling it converts (`halo.u8(e)`), subscripting it annotates.

    >>> import halo
    >>> halo.u8.bits, halo.u8.min, halo.u8.max
    (8, 0, 255)
    >>> halo.u16[:, :]
    halo.u16[:, :]
    """

    __slots__ = ("bits", "kind", "name")
    _convert: Callable[[Type, Any], Any]  # set by ir.surface: conversions make expressions

    def __init__(self, name: str, kind: str, bits: int) -> None:
        self.name, self.kind, self.bits = name, kind, bits

    @property
    def is_float(self) -> bool:
        """True of f16, bf16, f32 and f64, and of the floats of 4 and 8 bits."""
        return self.kind == "float"

    @property
    def is_stored(self) -> bool:
        """True of the types that only store: the integers of fewer than 8 bits and the floats of fewer than 16.

        >>> import halo
        >>> halo.i4.is_stored, halo.f8e5m2.is_stored, halo.f16.is_stored
        (True, True, False)
        """
        return self.bits < (16 if self.is_float else 8) and not self.is_bool

    @property
    def computed(self) -> Type:
        """The type that values of this one are computed in: f32, i8 or u8 for those that only store, else itself.

        >>> import halo
        >>> halo.f8e4m3fn.computed, halo.u4.computed, halo.f16.computed
        (halo.f32, halo.u8, halo.f16)
        """
        if not self.is_stored:
            return self
        return {"float": f32, "int": i8, "uint": u8}[self.kind]

    @property
    def is_int(self) -> bool:
        """True of the signed and unsigned integers (and `index`), not of `bool_`."""
        return self.kind in ("int", "uint")

    @property
    def is_signed(self) -> bool:
        """True of the signed integers and the floats."""
        return self.kind in ("int", "float")

    @property
    def is_bool(self) -> bool:
        """True of `bool_`."""
        return self.kind == "bool"

    @property
    def bytes(self) -> int:
        """How many bytes an element takes."""
        return max(self.bits // 8, 1)

    @property
    def min(self) -> int | float:
        """The least value: of floats minus infinity, of those that only store the least finite one."""
        if self.is_float:
            return _FINITE[self.name][0] if self.is_stored else float("-inf")
        return -(1 << (self.bits - 1)) if self.kind == "int" else 0

    @property
    def max(self) -> int | float:
        """The greatest value: of floats infinity, of those that only store the greatest finite one."""
        if self.is_float:
            return _FINITE[self.name][1] if self.is_stored else float("inf")
        return (1 << (self.bits - (self.kind == "int"))) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype that stores this type: of `bf16` and of the types that only store, ml_dtypes'."""
        if self.name in ML_DTYPES:
            import ml_dtypes

            found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, ML_DTYPES[self.name]))
            return found
        return np.dtype(_NUMPY[self.name])

    def wrap(self, value: int) -> int:
        """`value` modulo 2**bits, in this integer type's range."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if self.kind == "int" and value >> (self.bits - 1) else value

    def holds(self, value: float) -> bool:
        """Whether the Python number `value` is representable (integers exactly; floats always in floats)."""
        if self.is_float:
            return True
        return value == int(value) and self.min <= value <= self.max

    def __call__(self, value: Any) -> Any:
        return Type._convert(self, value)

    def __getitem__(self, axes: Any) -> ArrayType:
        axes = axes if isinstance(axes, tuple) else (axes,)
        if not all(isinstance(a, slice) and a.start is None and a.stop is None and a.step in (None, 1) for a in axes):
            raise TypeMismatchError(
                f"an array annotation is written {self!r}[:, :] or {self!r}[:, ::1], one colon an axis"
            )
        return ArrayType(self, len(axes), axes[-1].step == 1)

    def __repr__(self) -> str:
        return f"halo.{self.name}"

    def __reduce__(self) -> tuple[Callable[[str], Type], tuple[str]]:
        return as_type, (self.name,)


@dataclass(frozen=True)
class ArrayType:
    """`halo.u16[:, ::1]`: an array's element type, rank, and whether its last axis is promised contiguous."""

    type: Type
    ndim: int
    contiguous: bool = False

    def __repr__(self) -> str:
        axes = [":"] * self.ndim
        if self.contiguous:
            axes[-1] = "::1"
        return f"{self.type!r}[{', '.join(axes)}]"


bool_ = Type("bool_", "bool", 1)
i8, i16, i32, i64 = (Type(f"i{n}", "int", n) for n in (8, 16, 32, 64))
u8, u16, u32, u64 = (Type(f"u{n}", "uint", n) for n in (8, 16, 32, 64))
f16, f32, f64 = (Type(f"f{n}", "float", n) for n in (16, 32, 64))
bf16 = Type("bf16", "float", 16)
i2, i4 = Type("i2", "int", 2), Type("i4", "int", 4)
u2, u4 = Type("u2", "uint", 2), Type("u4", "uint", 4)
f4e2m1 = Type("f4e2m1", "float", 4)
f8e4m3fn, f8e4m3fnuz = Type("f8e4m3fn", "float", 8), Type("f8e4m3fnuz", "float", 8)
f8e5m2, f8e5m2fnuz = Type("f8e5m2", "float", 8), Type("f8e5m2fnuz", "float", 8)
f8e8m0 = Type("f8e8m0", "float", 8)
index = Type("index", "int", 64)

ALL = (bool_, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64)
STORED = (f8e4m3fn, f8e4m3fnuz, f8e5m2, f8e5m2fnuz, f8e8m0, i4, u4, i2, u2, f4e2m1)
_FINITE = {"f4e2m1": (-6.0, 6.0), "f8e4m3fn": (-448.0, 448.0), "f8e4m3fnuz": (-240.0, 240.0),
           "f8e5m2": (-57344.0, 57344.0), "f8e5m2fnuz": (-57344.0, 57344.0), "f8e8m0": (2.0**-127, 2.0**127)}  # fmt: skip
_NUMPY = {"bool_": "bool", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "u8": "uint8", "u16": "uint16",
          "u32": "uint32", "u64": "uint64", "f16": "float16", "f32": "float32", "f64": "float64", "index": "int64"}  # fmt: skip
ML_DTYPES = {"bf16": "bfloat16", "f4e2m1": "float4_e2m1fn", "f8e4m3fn": "float8_e4m3fn", "f8e4m3fnuz": "float8_e4m3fnuz",
             "f8e5m2": "float8_e5m2", "f8e5m2fnuz": "float8_e5m2fnuz", "f8e8m0": "float8_e8m0fnu", "i2": "int2",
             "i4": "int4", "u2": "uint2", "u4": "uint4"}  # fmt: skip
_BY_NAME = {t.name: t for t in (*ALL, *STORED, index)}
_BY_NAME |= {n: _BY_NAME[own] for own, n in (*_NUMPY.items(), *ML_DTYPES.items()) if own != "index"}


def as_type(t: Any) -> Type:
    """The halo type that `t` (a halo type, a NumPy or ml_dtypes dtype, or a name of either) stands for.

    >>> import numpy as np
    >>> as_type("u8"), as_type(np.float32), as_type(np.dtype(bool))
    (halo.u8, halo.f32, halo.bool_)
    """
    if isinstance(t, Type):
        return t
    name = t if isinstance(t, str) else _dtype_name(t)
    found = _BY_NAME.get(name)
    if found is None or found is index:
        raise TypeMismatchError(
            f"{t!r} is not a type of the language", hint=f"one of: {', '.join(k.name for k in (*ALL, *STORED))}"
        )
    return found


def _dtype_name(t: Any) -> str:
    try:
        return str(np.dtype(t).name)
    except TypeError:
        return repr(t)


def promote(a: Type, b: Type) -> Type:
    """The type of `a op b` for two typed operands: NumPy 2's table, but a float beats any integer as it is.

    What only stores takes part as what it is computed in.

    >>> promote(u16, i16), promote(u8, f32), promote(u64, i8), promote(f16, bf16), promote(f8e5m2, f8e5m2)
    (halo.i32, halo.f32, halo.i64, halo.f32, halo.f32)
    """
    a, b = a.computed, b.computed
    if a is b:
        return a
    if a.is_float or b.is_float:
        if not (a.is_float and b.is_float):
            return a if a.is_float else b
        return f32 if a.bits == b.bits else max(a, b, key=lambda t: t.bits)
    if a.is_bool or b.is_bool:
        return b if a.is_bool else a
    if a.kind == b.kind:
        return max(a, b, key=lambda t: t.bits)
    signed, unsigned = (a, b) if a.kind == "int" else (b, a)
    if signed.bits > unsigned.bits:
        return signed
    return {8: i16, 16: i32, 32: i64, 64: i64}[unsigned.bits]
