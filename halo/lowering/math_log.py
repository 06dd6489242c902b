"""log, log2, log10, log1p and the inverse hyperbolic functions.

x = 2**e * (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), and log(1 + f) = f + t with a small t: a polynomial in f32, a
polynomial in f / (2 + f) in f64 (Tang's and FreeBSD's form, which keeps t's error small).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..types import f32, f64, i32
from .math_core import Value, copysign, fma, horner, rare, select, unusual

FUNCTIONS = ("log", "log2", "log10", "log1p", "asinh", "acosh", "atanh")
__all__ = ["FUNCTIONS", *FUNCTIONS]

# log(1 + f) = f - f*f/2 + f**3 * P(f): relative error 2**-27.3
_LOG_32 = (0.3333333, -0.25000826, 0.20001265, -0.16623218, 0.14200729, -0.13160545, 0.12769529, -0.07643848)
# 2 * atanh(s) = 2*s + s**3 * R(s*s): 2**-58.5
_LOG_64 = (
    0.6666666666666735, 0.3999999999940935, 0.28571428743686583, 0.22222198428974727, 0.18183572353962763,
    0.1531383223795074, 0.14798257378791152,
)  # fmt: skip

_LN2_32 = (0.6931472, -1.9046542e-09)
_LN2_64 = (0.6931471805599453, 2.3190468138462996e-17)
_LOG2_E_32 = (1.442695, 1.925963e-08)
_LOG2_E_64 = (1.4426950408889634, 2.0355273740931033e-17)
_LOG10_E_32 = (0.4342945, -1.010305e-08)
_LOG10_E_64 = (0.4342944819032518, 1.098319650216765e-17)
_LOG10_2_32 = (0.30103, -1.4320989e-08)
_LOG10_2_64 = (0.3010299956639812, -2.8037281277851704e-18)


def split(bits: Value) -> tuple[Value, Value, Value]:
    """(e, 1 + f, e in the place of the exponent) of a positive normal float's bits."""
    if bits.type.bits == 32:
        root = 0x3F3504F3  # sqrt(1/2)
        offset = bits - root
        e = (offset.as_(i32) >> 23).to(f32)
        return e, ((offset & 0x007FFFFF) + root).as_(f32), offset & 0xFF800000
    root = 0x3FE6A09E667F3BCD
    offset = bits - root
    # e + 1023 as the low bits of a float near 2**52: not all vector units convert 64-bit integers
    e = ((offset + (1023 << 52)) >> 52 | 0x4330000000000000).as_(f64) - (2.0**52 + 1023)
    return e, ((offset & 0x000FFFFFFFFFFFFF) + root).as_(f64), offset & 0xFFF0000000000000


def tail(f: Value) -> Value:
    """log(1 + f) - f."""
    half = f * f * 0.5
    if f.single:
        return fma(f * f * f, horner(f, _LOG_32), -half)
    s = f / (f + 2.0)
    z = s * s
    return fma(s, fma(z, horner(z, _LOG_64), half), -half)


def _guarded(x: Value, core: Callable[[Value, int], Value]) -> Value:
    """core(x, 0), the logarithm of a positive normal x, on all x; core(x, n) adds the logarithm of 2**n."""
    shift = 24 if x.single else 54
    subnormal = core(x * 2.0**shift, -shift)
    positive = select(x.equals(math.inf), math.inf, subnormal)
    odd = select(x > 0.0, positive, select(x.equals(0.0), x.k(-math.inf), math.nan))
    return rare(unusual(x), odd, core(x, 0))


def log(x: Value) -> Value:
    def core(x: Value, n: int) -> Value:
        e, m, _ = split(x.bits)
        return _scaled(e + float(n) if n else e, m - 1.0)

    return _guarded(x, core)


def _scaled(e: Value, f: Value) -> Value:
    """log(2**e * (1 + f))."""
    hi, lo = _LN2_32 if f.single else _LN2_64
    return fma(e, hi, f + fma(e, lo, tail(f)))


def log2(x: Value) -> Value:
    def core(x: Value, n: int) -> Value:
        e, m, _ = split(x.bits)
        hi, lo = _LOG2_E_32 if x.single else _LOG2_E_64
        f = m - 1.0
        return fma(f, hi, fma(f, lo, tail(f) * hi)) + (e + float(n) if n else e)

    return _guarded(x, core)


def log10(x: Value) -> Value:
    def core(x: Value, n: int) -> Value:
        e, m, _ = split(x.bits)
        e = e + float(n) if n else e
        hi, lo = _LOG10_E_32 if x.single else _LOG10_E_64
        two_hi, two_lo = _LOG10_2_32 if x.single else _LOG10_2_64
        f = m - 1.0
        return fma(e, two_hi, fma(f, hi, fma(e, two_lo, fma(f, lo, tail(f) * hi))))

    return _guarded(x, core)


def log1p(x: Value) -> Value:
    """2**e is taken from 1 + x, but f = x/2**e - (1 - 1/2**e) from x itself."""
    sum = x + 1.0
    e, _, exponent = split(sum.bits)
    one, most = (0x3F800000, 0x7E800000) if x.single else (0x3FF0000000000000, 0x7FD0000000000000)
    shrink = (sum.bits.k(one) - exponent).as_(x.type)
    usual = copysign(_scaled(e, fma(x, shrink, shrink - 1.0)), x)
    return rare(sum.bits - 1 >= most - 1, log(sum), usual)


def asinh(x: Value) -> Value:
    a = abs(x)
    usual = log1p(a + a * a / (fma(a, a, 1.0).sqrt() + 1.0))
    return copysign(rare(a > _HUGE[x.single], log(a) + math.log(2.0), usual), x)


def acosh(x: Value) -> Value:
    t = x - 1.0
    usual = select(x < 1.0, math.nan, log1p(t + fma(t, t, t + t).sqrt()))
    return rare(x > _HUGE[x.single], log(x) + math.log(2.0), usual)


def atanh(x: Value) -> Value:
    a = abs(x)
    return copysign(log1p((a + a) / (1.0 - a)) * 0.5, x)


_HUGE = {True: 2.0**30, False: 2.0**60}  # where 1 is nothing beside x*x
