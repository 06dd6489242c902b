"""Expand conversions of the types that only store: their values are bytes, and a conversion is arithmetic on the bits.

From then on a value of such a type is only moved: loaded, stored, chosen, read as the u8 of its bits (`reinterpret`).
What is narrower than a byte has its bits below, and zeros (in memory of others: anything) above. Conversions round to
nearest even by way of f32, and what is too large becomes what ml_dtypes makes of it: infinity where there is one, else
NaN, else the largest. All NaNs become one.

Sources: Micikevicius et al., *FP8 Formats for Deep Learning* (2022), f8e4m3fn and f8e5m2; Noune et al., *8-bit Numerical
Formats for Deep Neural Networks* (2022), the fnuz ones; Open Compute Project, *Microscaling Formats* (2023), f8e8m0 and
f4e2m1.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.algebra import rewrite
from ..ir.expr import Broadcast, Cast, Const, Expr
from ..ir.stmt import Stmt
from ..types import Type, f4e2m1, f8e4m3fn, f8e4m3fnuz, f8e5m2, f8e5m2fnuz, f8e8m0, f16, f32, i8, u8, u16, u32
from .math_core import Value, select
from .walk import map_exprs

__all__ = ["expand_stored", "from_bits", "to_bits"]


def expand_stored(s: Stmt) -> Stmt:
    """`s` without conversions from or to types that only store, and without constants of them."""
    memo: dict[Expr, Expr] = {}

    def expand(e: Expr) -> Expr | None:
        if isinstance(e, Const) and e.type.is_stored:
            return to_bits(Value(Const(e.value, e.type.computed)), e.type).as_(e.type).e
        if not isinstance(e, Cast) or not (e.type.is_stored or e.value.type.is_stored):
            return None
        if isinstance(e.value, Broadcast):
            return Broadcast(rewrite(Cast(e.value.value, e.type), expand, memo), e.value.n)
        value = Value(rewrite(e.value, expand, memo))
        if value.type.is_stored:
            value = from_bits(value.as_(u8), value.type)
        if e.type.is_stored:
            return to_bits(value, e.type).as_(e.type).e
        return value.e if value.type is e.type else value.to(e.type).e

    return map_exprs(s, lambda e: rewrite(e, expand, memo))


@dataclass(frozen=True)
class _Format:
    """A float of `mantissa` stored digits and an exponent that is `bias` for 1.0; the sign is bit `sign`. `most` is the code of
    its largest finite value; `above` that of what is larger; `nan` of NaN. `negative_zero`: whether it has two zeros."""

    mantissa: int
    bias: int
    most: int
    above: int
    nan: int
    sign: int = 7
    negative_zero: bool = True


_FORMATS = {
    f8e4m3fn: _Format(3, 7, 0x7E, 0x7F, 0x7F),
    f8e4m3fnuz: _Format(3, 8, 0x7F, 0x80, 0x80, negative_zero=False),
    f8e5m2: _Format(2, 15, 0x7B, 0x7C, 0x7E),
    f8e5m2fnuz: _Format(2, 16, 0x7F, 0x80, 0x80, negative_zero=False),
    f4e2m1: _Format(1, 1, 0x7, 0x7, 0x8, sign=3),
}


def from_bits(b: Value, t: Type) -> Value:
    """The value of type `t` whose bits are the u8 `b`, in the type that `t` is computed in."""
    if t.is_int:
        low = b & ((1 << t.bits) - 1) if t.bits < 8 else b
        sign = 1 << (t.bits - 1)
        return ((low ^ sign) - sign).as_(i8) if t.is_signed else low
    if t is f8e5m2:  # the upper half of an f16
        return (b.to(u16) << 8).as_(f16).to(f32)
    wide = b.to(u32)
    if t is f8e8m0:
        size = select(wide.equals(0), 1 << 22, wide << 23)
        return select(wide.equals(255), 0x7FC00000, size).as_(f32)
    f = _FORMATS[t]
    size = (wide & ((1 << f.sign) - 1)) << (23 - f.mantissa)
    # as the bits of an f32, subnormals too: right but for the exponent's bias
    number = size.as_(f32) * 2.0 ** (127 - f.bias)
    signed = (number.bits | ((wide & (1 << f.sign)) << (31 - f.sign))).as_(f32)
    if t is f4e2m1:
        return signed
    nan = (wide & 0x7F).equals(f.nan) if t is f8e4m3fn else wide.equals(f.nan)
    return select(nan, float("nan"), signed)


def to_bits(v: Value, t: Type) -> Value:
    """`v` converted to `t`, as the u8 of the bits."""
    if t.is_int:
        if v.type.is_float:  # truncates and saturates
            v = v.to(t.computed).op("max", t.min).op("min", t.max)
        return v.to(u8) & ((1 << t.bits) - 1)
    x = v if v.type is f32 else v.to(f32)
    return (_to_e8m0(x) if t is f8e8m0 else _to_float(x, _FORMATS[t])).to(u8)


def _to_float(x: Value, f: _Format) -> Value:
    """The bits of f32 `x`, in the exponent and digits of `f`."""
    dropped = 23 - f.mantissa
    size, sign = x.bits & 0x7FFFFFFF, (x.bits >> (31 - f.sign)) & (1 << f.sign)
    rounded = size + ((1 << (dropped - 1)) - 1) + ((size >> dropped) & 1)
    normal = (rounded >> dropped) - ((127 - f.bias) << f.mantissa)
    # adding a power of two whose last digit is the least number rounds what is below the normal range
    magic = 128 - f.bias - f.mantissa + 23 << 23
    small = (size.as_(f32) + size.k(magic).as_(f32)).bits - magic
    code = select(size < ((128 - f.bias) << 23), small, normal)
    code = select(code > f.most, f.above, code)
    signed = code | sign
    if not f.negative_zero:
        signed = select(code.equals(0) | code.equals(f.nan), code, signed)
    elif f.above == f.nan:  # no infinity: all that is too large is one NaN
        signed = select(code.equals(f.nan), code, signed)
    return select(size > 0x7F800000, f.nan, signed)


def _to_e8m0(x: Value) -> Value:
    """The exponent of f32 `x` alone. Halves go up, and, as in ml_dtypes, all that is between the two least numbers. What has
    none (0, what is negative, infinity) is NaN."""
    bits = x.bits
    normal = (bits + (1 << 22)) >> 23
    code = select(bits < 1 << 23, select(bits <= 0x400000, bits.k(0), 1), normal)
    return select((bits - 1) >= 0x7F400000 - 1, 255, code)
