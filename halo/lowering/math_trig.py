"""sin, cos and tan.

Arguments are reduced to x - n*pi (tan: n*pi/2) with pi in three parts, whose first product is exact. Huge arguments
take Payne and Hanek's way, behind a branch: x/pi modulo 2 from the few words of 1/pi that matter, in integers.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from ..ir.expr import Buffer, Cast, Load
from ..types import f32, f64, i64, index, u32, u64
from .math_core import Value, fma, horner, rare, select
from .math_exp import rounder

FUNCTIONS = ("sin", "cos", "tan")
__all__ = ["FUNCTIONS", *FUNCTIONS]

# sin(r) = r + r**3 * P(r*r): relative errors 2**-27.2 and 2**-61.5 up to pi/2
_SIN_32 = (-0.1666666, 0.008333068, -0.00019809665, 2.605777e-06)
_SIN_64 = (
    -0.16666666666666666, 0.008333333333333207, -0.0001984126984121245, 2.7557319211558865e-06, -2.5052106902984217e-08,
    1.605894090876753e-10, -7.643016435334931e-13, 2.721383773826108e-15,
)  # fmt: skip
# the same up to pi/4: 2**-27.9 and 2**-57.9; and cos(r) = 1 - r*r/2 + r**4 * C(r*r): 2**-33 and 2**-63.9
_SIN4_32 = (-0.16666655, 0.008332187, -0.0001951788)
_SIN4_64 = (
    -0.1666666666666663, 0.00833333333332184, -0.00019841269829358528, 2.7557313538513527e-06, -2.5050734389048898e-08,
    1.589543327006435e-10,
)  # fmt: skip
_COS4_32 = (0.041666646, -0.001388731, 2.4432324e-05)
_COS4_64 = (
    0.041666666666666595, -0.001388888888887329, 2.4801587288946944e-05, -2.755731419618038e-07, 2.087570202675406e-09,
    -1.1358551864325716e-11,
)  # fmt: skip

# cut off, not rounded: with every part positive, the sign of -0 survives the reduction
_PI_32 = (3.1415925, 1.5099579e-07, 1.0780606e-14)
_PI_64 = (3.141592653589793, 1.224646799147353e-16, 2.165713347843828e-32)
_HALF_PI_32 = (1.5707963, 7.5497894e-08, 5.390303e-15)
_HALF_PI_64 = (1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32)


def sin(x: Value) -> Value:
    magic = rounder(x)
    sum = fma(x, 1 / np.pi, magic)
    r = _less(x, sum - magic, _PI_32 if x.single else _PI_64)
    high, low = _turns(abs(x))
    fraction = high << 1 | low >> 63
    far = _finished(_angle(x, fraction, low << 1), _flip(x, high ^ fraction) ^ _sign_bit(x))
    return rare(_is_far(x), far, _finished(r, sum.bits << (x.type.bits - 1)))


def cos(x: Value) -> Value:
    """sin(x + pi/2): n is half an odd number."""
    magic = rounder(x)
    sum = fma(x, 1 / np.pi, -0.5) + magic
    r = _less(x, sum - magic + 0.5, _PI_32 if x.single else _PI_64)
    high, low = _turns(abs(x))
    high = high + (1 << 62)
    fraction = high << 1 | low >> 63
    far = _finished(_angle(x, fraction, low << 1), _flip(x, high ^ fraction))
    return rare(_is_far(x), far, _finished(r, ~sum.bits << (x.type.bits - 1)))


def tan(x: Value) -> Value:
    magic = rounder(x)
    sum = fma(x, 2 / np.pi, magic)
    n, (first, second, third) = sum - magic, _HALF_PI_32 if x.single else _HALF_PI_64
    exact, product = fma(n, -first, x), n * second
    r = exact - product
    back = r - exact
    lost = exact - (r - back) - (product + back)  # by the rounding of r (Knuth's two-sum), and of the product:
    rest = fma(n, -third, lost - fma(n, second, -product))
    high, low = _turns(abs(x))
    high, low = high << 1 | low >> 63, low << 1
    fraction = high << 1 | low >> 63
    far = _quotient(*_angle_parts(x, fraction, low << 1, 0.5), (high ^ fraction) >> 63)
    far = (far.bits ^ _sign_bit(x)).as_(x.type)
    near = select(abs(x) < (2.0**-30 if x.single else 2.0**-60), x, _quotient(r, rest, sum.bits & 1))
    return rare(_is_far(x), far, near)


def _is_far(x: Value) -> Value:
    """Where n loses digits. Infinity too: its NaN comes from `_angle`."""
    return abs(x) > (2.0**16 if x.single else 2.0**30)


def _less(x: Value, n: Value, parts: tuple[float, float, float]) -> Value:
    for part in parts:
        x = fma(n, -part, x)
    return x


def _sign_bit(x: Value) -> Value:
    return x.bits & (1 << (x.type.bits - 1))


def _finished(r: Value, flip: Value) -> Value:
    """sin(r), negated where the highest bit of `flip` is set (its other bits are clear); the sign of zero stays."""
    z = r * r
    s = fma(r * z, horner(z, _SIN_32 if r.single else _SIN_64), r)
    return ((s.bits | _sign_bit(r)) ^ flip).as_(r.type)


def _quotient(r: Value, rest: Value, odd: Value) -> Value:
    """tan(r + rest), or -1 / tan(r + rest) where `odd` is 1; `rest` is what r was rounded by."""
    z = r * r
    sine = r + fma(r * z, horner(z, _SIN4_32 if r.single else _SIN4_64), rest)
    cosine = fma(z, -0.5, 1.0) + fma(z * z, horner(z, _COS4_32 if r.single else _COS4_64), -(r * rest))
    swap = odd.differs(0)
    return select(swap, -cosine, sine) / select(swap, sine, cosine)


# Payne and Hanek ----------------------------------------------------------------------------------------------------------


@functools.cache
def _inverse_pi() -> Buffer:
    """64 zero bits but one, then the binary digits of 1/pi: bit j of the table (first word, highest bit: 0) is worth
    2**(63 - j)."""
    one = 1 << 1400

    def arctan_of_inverse(n: int) -> int:
        total, term, k = 0, one // n, 0
        while term:
            total += -(term // (2 * k + 1)) if k % 2 else term // (2 * k + 1)
            term, k = term // (n * n), k + 1
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))  # Machin's formula
    digits = (one << 1216) // pi
    words = np.array([digits >> (64 * (19 - k)) & (2**64 - 1) for k in range(20)], np.uint64)
    return Buffer("inverse_pi", u64, "table", words)


def _turns(a: Value) -> tuple[Value, Value]:
    """a/pi modulo 2, times 2**63, as (whole, fraction times 2**64). `a` is the magnitude of a large number."""
    if a.single:
        mantissa, exponent, least = (a.bits & 0x007FFFFF | 0x00800000).to(u64), (a.bits >> 23).to(u64), 87
    else:
        mantissa, exponent, least = a.bits & 0x000FFFFFFFFFFFFF | 0x0010000000000000, a.bits >> 52, 1012
    first = exponent.op("max", least) - least  # lanes that are not large must load something too
    word, shift = first >> 6, first & 63
    words = [Value(Load(_inverse_pi(), Cast((word + k).e, index))) for k in range(3 if a.single else 4)]
    windows = [w << shift | after >> (64 - shift) for w, after in itertools.pairwise(words)]
    high, low = mantissa * windows[0] + _mul_high(mantissa, windows[1]), mantissa * windows[1]
    if a.single:
        return high, low
    sum = low + _mul_high(mantissa, windows[2])
    return high + select(sum < low, sum.k(1), 0), sum


def _mul_high(a: Value, b: Value) -> Value:
    return a.op("mul_high", b)


def _flip(x: Value, word: Value) -> Value:
    """The highest bit of a 64-bit word as the sign bit of x's type."""
    return ((word >> 32).to(u32) if x.single else word) & (1 << (x.type.bits - 1))


def _angle(x: Value, high: Value, low: Value) -> Value:
    angle, rest = _angle_parts(x, high, low, 1.0)
    return angle + rest


def _angle_parts(x: Value, high: Value, low: Value, scale: float) -> tuple[Value, Value]:
    """The signed 128-bit fraction (high, low) of one, times pi*scale, as a sum; NaN for an infinite x."""
    if x.single:
        first = (high.as_(i64) >> 40).to(f32) * 2.0**-24
        second = (high >> 8 & 0xFFFFFFFF).to(f32) * 2.0**-56
        third = second.k(0.0)
        hi, lo = 3.1415927 * scale, -8.742278e-08 * scale
    else:
        first = (high.as_(i64) >> 32).to(f64) * 2.0**-32
        second = (high & 0xFFFFFFFF).to(f64) * 2.0**-64
        third = (low >> 11).to(f64) * 2.0**-117
        hi, lo = 3.141592653589793 * scale, 1.2246467991473532e-16 * scale
    sum = first + second
    rest = first - sum + second + third
    angle = sum * hi
    return angle + (x - x), fma(sum, hi, -angle) + fma(sum, lo, rest * hi)
