"""asin, acos, atan and atan2: odd polynomials near 0, and the identities that lead there."""

from __future__ import annotations

import math

from .math_core import Value, copysign, fma, horner, rare, select

FUNCTIONS = ("asin", "acos", "atan", "atan2")
__all__ = ["FUNCTIONS", *FUNCTIONS]

# asin(s) = s + s**3 * P(s*s) up to 1/2: relative errors 2**-27.6 and 2**-55.8
_ASIN_32 = (0.16666752, 0.074953064, 0.045469776, 0.02418073, 0.042166535)
_ASIN_64 = (
    0.16666666666666144, 0.07500000000209624, 0.04464285691217252, 0.030381956242676398, 0.022371817999948786,
    0.017358906475569487, 0.013892311665630598, 0.01212699372578473, 0.006695540818804293, 0.019104022860931585,
    -0.015604239396694865, 0.03151423611042186,
)  # fmt: skip
# atan(t) = t + t**3 * P(t*t) up to tan(pi/8): 2**-30.4 and 2**-59.4
_ATAN_32 = (-0.33333316, 0.19998527, -0.14244345, 0.10598729, -0.06088738)
_ATAN_64 = (
    -0.3333333333333319, 0.19999999999952184, -0.142857142800541, 0.11111110776299797, -0.0909089755095104,
    0.07692056522035715, -0.06663061899457533, 0.05847581273153527, -0.0503791041555541, 0.03802897023450525,
    -0.017868049724027554,
)  # fmt: skip

_HALF_PI_32 = (1.5707964, -4.371139e-08)
_HALF_PI_64 = (1.5707963267948966, 6.123233995736766e-17)
_TAN_PI_8 = 0.41421356237309503


def _half_pi(x: Value) -> tuple[float, float]:
    return _HALF_PI_32 if x.single else _HALF_PI_64


def _arc_sine(a: Value) -> tuple[Value, Value, Value]:
    """(a > 1/2, s, t): asin(s) = s + t, where s is a itself, or sqrt((1 - a)/2) for a large a."""
    large = a > 0.5
    z = select(large, fma(a, -0.5, 0.5), a * a)
    s = select(large, z.sqrt(), a)
    return large, s, s * z * horner(z, _ASIN_32 if a.single else _ASIN_64)


def asin(x: Value) -> Value:
    """For a large |x|: pi/2 - 2*asin(sqrt((1 - |x|)/2))."""
    large, s, t = _arc_sine(abs(x))
    hi, lo = _half_pi(x)
    return copysign(select(large, hi - (s + s - (fma(t, -2.0, lo))), s + t), x)


def acos(x: Value) -> Value:
    large, s, t = _arc_sine(abs(x))
    negative = x < 0.0
    hi, lo = _half_pi(x)
    s, t = select(negative, -s, s), select(negative, -t, t)
    beyond = select(negative, x.k(2 * lo), 0.0)
    turned = fma(s, 2.0, select(negative, x.k(2 * hi), 0.0) + fma(t, 2.0, beyond))
    return select(large, turned, hi - (s + (t - lo)))


def _arc_tangent(t: Value, base: tuple[Value, Value]) -> Value:
    z = t * t
    hi, lo = base
    return hi + (t + fma(t * z, horner(z, _ATAN_32 if t.single else _ATAN_64), lo))


def atan(x: Value) -> Value:
    """atan(a) = pi/4 + atan((a - 1)/(a + 1)) = pi/2 + atan(-1/a): with either, |t| <= tan(pi/8)."""
    a = abs(x)
    middle, large = a > _TAN_PI_8, a > 1 / _TAN_PI_8
    t = select(large, x.k(-1.0), select(middle, a - 1.0, a)) / select(large, a, select(middle, a + 1.0, 1.0))
    hi, lo = _half_pi(x)
    multiples = [select(large, x.k(p), select(middle, x.k(p / 2), 0.0)) for p in (hi, lo)]
    return copysign(_arc_tangent(t, (multiples[0], multiples[1])), x)


def atan2(y: Value, x: Value) -> Value:
    """The angle of the smaller to the larger of |y|, |x|, turned and mirrored into place."""
    a, b = abs(y), abs(x)
    infinite = x.k(math.inf)
    far = a.op("max", b)
    odd = ~((far < 2.0 ** (x.type.bits * 2)) & (far > 2.0 ** (-x.type.bits * 2 + 40)))
    # infinities count as 1 beside 0; what could overflow or has lost digits is scaled
    big = far.equals(infinite)
    scale = select(far > 1.0, x.k(2.0**-20), 2.0**60)
    a = rare(odd, select(big, select(a.equals(infinite), x.k(1.0), 0.0), a * scale), a)
    b = rare(odd, select(big, select(b.equals(infinite), x.k(1.0), 0.0), b * scale), b)
    steep = b < a
    small, large = select(steep, b, a), select(steep, a, b)
    middle = small > large * _TAN_PI_8
    t = select(middle, small - large, small) / select(middle, small + large, select(large.equals(0.0), x.k(1.0), large))
    left = x.signed_bits < 0
    hi, lo = _half_pi(x)
    # quarters: the base is 0, 1/2 (middle) or, mirrored, 1 or 2 quarter turns less that
    turn = select(left, x.k(2.0), 0.0)
    flip = steep.op("xor", left, type=left.type)
    t = select(flip, -t, t)
    half = select(middle, select(flip, x.k(-0.5), 0.5), x.k(0.0))
    quarters = half + select(steep, x.k(1.0), turn)
    return copysign(_arc_tangent(t, (quarters * hi, quarters * lo)), y)
