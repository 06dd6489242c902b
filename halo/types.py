"""Scalar types and the promotion table.

A type is one of the thirteen names of the language, plus `index`: the mathematical integers that
subscripts and loop bounds are made of (64-bit machine integers whose range is proven at entry).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import TypeMismatchError

__all__ = ["ArrayType", "Type", "as_type", "bf16", "bool_", "f16", "f32", "f64", "i8", "i16", "i32", "i64", "index",
           "promote", "u8", "u16", "u32", "u64"]  # fmt: skip


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
        """True of f16, bf16, f32 and f64."""
        return self.kind == "float"

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
        """The least value: of floats minus infinity."""
        if self.is_float:
            return float("-inf")
        return -(1 << (self.bits - 1)) if self.kind == "int" else 0

    @property
    def max(self) -> int | float:
        """The greatest value: of floats infinity."""
        if self.is_float:
            return float("inf")
        return (1 << (self.bits - (self.kind == "int"))) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype that stores this type (`bf16` is ml_dtypes')."""
        if self.name == "bf16":
            import ml_dtypes

            bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return bfloat16
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
index = Type("index", "int", 64)

ALL = (bool_, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64)
_NUMPY = {"bool_": "bool", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "u8": "uint8", "u16": "uint16",
          "u32": "uint32", "u64": "uint64", "f16": "float16", "f32": "float32", "f64": "float64", "index": "int64"}  # fmt: skip
_BY_NAME = {t.name: t for t in (*ALL, index)} | {n: t for t in ALL if (n := _NUMPY.get(t.name))} | {"bfloat16": bf16}


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
            f"{t!r} is not a type of the language", hint=f"one of: {', '.join(k.name for k in ALL)}"
        )
    return found


def _dtype_name(t: Any) -> str:
    try:
        return str(np.dtype(t).name)
    except TypeError:
        return repr(t)


def promote(a: Type, b: Type) -> Type:
    """The type of `a op b` for two typed operands: NumPy 2's table, but a float beats any integer as it is.

    >>> promote(u16, i16), promote(u8, f32), promote(u64, i8), promote(f16, bf16)
    (halo.i32, halo.f32, halo.i64, halo.f32)
    """
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
