"""erf, rsqrt, cbrt and hypot."""

from __future__ import annotations

import math

from ..types import f32, f64
from .math_core import Value, copysign, fma, horner, rare, select, unusual
from .math_exp import exponential

FUNCTIONS = ("erf", "rsqrt", "cbrt", "hypot")
__all__ = ["FUNCTIONS", *FUNCTIONS]

# erf(a) = a + a*P(a*a) up to 1: relative errors 2**-29 and 2**-56
_ERF_32 = (0.12837917, -0.37612626, 0.11283579, -0.026853347, 0.0051871645, -0.00079978834, 7.80704e-05)
_ERF_64 = (
    0.1283791670955126, -0.3761263890318375, 0.11283791670954862, -0.026866170645073545, 0.005223977624785883,
    -0.0008548326978981572, 0.00012055331044364227, -1.4925593663383698e-05, 1.646097503915663e-06,
    -1.6350046301246834e-07, 1.4658007743010573e-08, -1.1366114791379008e-09, 5.945954464046256e-11,
)  # fmt: skip
# log(erfc(a)) as a polynomial in a - 2 from 1 to 4, and in a - 1 from 1 to 6: 2**-29 and 2**-57.3 of erf
_ERFC_32 = (-5.364941, -4.4181595, -0.9237535, -0.016487904, 0.0035442326, -0.000711108, 0.00018637921)
_ERFC_64 = (
    -1.8496055099332482, -2.6389675142347895, -0.8431072563586206, -0.041561098043526215, 0.010033825403650245,
    -0.0019779028461194953, 0.00023732409429322616, 2.6271737568172685e-05, -2.714293758536303e-05, 9.578254961385397e-06,
    -2.016935972715232e-06, 9.792871185834104e-08, 1.3333141322900712e-07, -7.376831676267573e-08, 2.4981078861657916e-08,
    -6.410079435726124e-09, 1.309390660369532e-09, -2.1487739582178588e-10, 2.8083492224157404e-11, -2.86040207613238e-12,
    2.1883418874481257e-13, -1.1822072883257285e-14, 4.017583861328937e-16, -6.453879496133031e-18,
)  # fmt: skip


def erf(x: Value) -> Value:
    """Up to 1 a polynomial, from there 1 - erfc."""
    a = abs(x)
    z = a * a
    small = fma(a, horner(z, _ERF_32 if x.single else _ERF_64), a)
    large = x.k(4.0 if x.single else 6.0).fmin(a)
    log = horner(large - (2.0 if x.single else 1.0), _ERFC_32 if x.single else _ERFC_64)
    return copysign(select(a < 1.0, small, 1.0 - exponential(log)), x)


def rsqrt(x: Value) -> Value:
    """Of a normal x without its square root: a first guess by halving the exponent, and Halley's iteration."""
    bits, magic, t = (x.bits, 0x5F375A86, f32) if x.single else (x.bits, 0x5FE6EB50C7B537A9, f64)
    r = (bits.k(magic) - (bits >> 1)).as_(t)
    for _ in range(2 if x.single else 3):
        e = fma(-(x * r), r, 1.0)
        r = fma(r * e, fma(e, 3 / 8, 1 / 2), r)
    return rare(unusual(x), 1.0 / x.sqrt(), r)


def cbrt(x: Value) -> Value:
    grow, shrink = (2.0**24, 2.0**-8) if x.single else (2.0**54, 2.0**-18)
    a = abs(x)
    itself = a.equals(0.0) | ~(a < math.inf)
    root = rare(unusual(a), select(itself, a, _cube_root(a * grow) * shrink), _cube_root(a))
    return copysign(root, x)


def _cube_root(a: Value) -> Value:
    """Of a positive normal a: a first guess of 1/cbrt(a) by dividing the exponent by -3, Halley's iteration for it, and
    one correction of the root with an exact residual."""
    bits, magic, t = (a.bits, 0x54A2FA8C, f32) if a.single else (a.bits, 0x553EF0FF289DD796, f64)
    third = (bits >> 2) + (bits >> 4)
    third = third + (third >> 4)
    third = third + (third >> 8)
    third = third + (third >> 16)
    r = (third.k(magic) - third).as_(t)
    for _ in range(2 if a.single else 3):
        e = fma(-(a * r), r * r, 1.0)
        r = fma(r * e, fma(e, 2 / 9, 1 / 3), r)
    root = a * r * r
    square = root * root
    residual = fma(-square, root, a) - fma(root, root, -square) * root
    return fma(residual * r * r, 1 / 3, root)


def hypot(x: Value, y: Value) -> Value:
    """sqrt(x*x + y*y), scaled where the squares would leave the range."""
    a, b = abs(x), abs(y)
    large, small = a.op("max", b), a.op("min", b)
    edge, by = (2.0**60, 2.0**80) if x.single else (2.0**500, 2.0**700)
    high, low = large > edge, large < 1.0 / (edge / 2.0**20)
    down = select(high, x.k(1 / by), select(low, x.k(by), 1.0))
    up = select(high, x.k(by), select(low, x.k(1 / by), 1.0))
    large, small = large * down, small * down
    size = fma(large, large, small * small).sqrt() * up
    return select(a.equals(math.inf) | b.equals(math.inf), math.inf, size)
