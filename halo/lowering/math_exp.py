"""exp, exp2, expm1 and the hyperbolic functions.

x = n*ln 2 + r with |r| <= ln(2)/2, and a polynomial in r. Adding 1.5 * 2**(digits) rounds to the integer n and leaves it
in the low bits of the sum, from where a shift puts it into the exponent of 2**n.
"""

from __future__ import annotations

from ..types import f32, f64
from .math_core import Value, copysign, fma, horner, select

FUNCTIONS = ("exp", "exp2", "expm1", "sinh", "cosh", "tanh")
__all__ = ["EXP2_32", "FUNCTIONS", *FUNCTIONS, "exponential", "power_of_two"]

# e**r = 1 + r + r*r*Q(r): relative errors 2**-28.2 and 2**-57.9
_EXP_32 = (0.49999994, 0.16666515, 0.041668084, 0.008369349, 0.0013840391)
_EXP_64 = (
    0.5000000000000011, 0.16666666666666421, 0.04166666666652554, 0.00833333333348563, 0.0013888888944975978,
    0.00019841269532337797, 2.48014915857438e-05, 2.755755751056541e-06, 2.7630825565189677e-07, 2.5011025017331964e-08,
)  # fmt: skip
# the same for the relative error of e**r - 1: 2**-26.1 and 2**-60.1
_EXPM1_32 = (0.49999997, 0.16666538, 0.04166774, 0.008367319, 0.0013837873)
_EXPM1_64 = (
    0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321513, 0.0013888888888963493, 0.0001984126988647769,
    2.4801587171064786e-05, 2.7557243803755093e-06, 2.7557403274937644e-07, 2.5109195274323028e-08, 2.0875325625608544e-09,
)  # fmt: skip
# 2**r = 1 + r*Q(r), |r| <= 1/2: 2**-26.3 and 2**-57.8
EXP2_32 = (0.6931472, 0.24022594, 0.055503663, 0.00962542, 0.0013387976, 0.00013346976)
_EXP2_64 = (
    0.6931471805599453, 0.2402265069591, 0.05550410866482377, 0.009618129107669068, 0.0013333558145897078,
    0.00015403530318406283, 1.5252734322372192e-05, 1.321554712870731e-06, 1.0177860997955467e-07, 7.032893441628435e-09,
    4.484703764876999e-10, 5.555985484134353e-11,
)  # fmt: skip

_LOG2_E = 1.4426950408889634
_LN2_32 = (0.6931472, -1.9046542e-09)
_LN2_64 = (0.6931471805599453, 2.3190468138462996e-17)


def rounder(x: Value) -> float:
    """What to add to round to an integer, in x's type."""
    return 1.5 * 2.0**23 if x.single else 1.5 * 2.0**52


def bias(x: Value) -> int:
    return 127 if x.single else 1023


def power(bits: Value) -> Value:
    """The float whose biased exponent is in the low bits of `bits`; what lies above them is shifted out."""
    return (bits << 23).as_(f32) if bits.type.bits == 32 else (bits << 52).as_(f64)


def clamped(x: Value, lo: float, hi: float) -> Value:
    """x between lo and hi; a NaN stays."""
    return x.k(lo).fmax(x.k(hi).fmin(x))


def reduced(x: Value, offset: int) -> tuple[Value, Value]:
    """(sum, r) with x = n*ln 2 + r and n + offset in the low bits of `sum`."""
    magic = rounder(x) + offset
    sum = fma(x, _LOG2_E, magic)
    n = sum - magic
    hi, lo = _LN2_32 if x.single else _LN2_64
    return sum, fma(n, -lo, fma(n, -hi, x))


def raised(p: Value, sum: Value) -> Value:
    """p * 2**n, which may overflow or be subnormal, where p is near 1 and `sum` is n + rounder + 2*bias."""
    return p.op("raised", sum)


def exp(x: Value) -> Value:
    x = clamped(x, -104.0, 89.0) if x.single else clamped(x, -746.0, 710.0)
    sum, r = reduced(x, 2 * bias(x))
    return raised(horner(r, (1.0, 1.0, *(_EXP_32 if x.single else _EXP_64))), sum)


def exponential(x: Value) -> Value:
    """e**x, where that is a normal number."""
    sum, r = reduced(x, bias(x))
    return horner(r, (1.0, 1.0, *(_EXP_32 if x.single else _EXP_64))) * power(sum.bits)


def exp2(x: Value) -> Value:
    return power_of_two(x, None)


def power_of_two(x: Value, rest: Value | None) -> Value:
    """2**(x + rest)."""
    x = clamped(x, -151.0, 129.0) if x.single else clamped(x, -1076.0, 1025.0)
    magic = rounder(x) + 2 * bias(x)
    sum = x + magic
    r = x - (sum - magic)
    r = r if rest is None else r + rest
    return raised(horner(r, (1.0, *(EXP2_32 if x.single else _EXP2_64))), sum)


def _expm1_reduced(r: Value) -> Value:
    return fma(r * r, horner(r, _EXPM1_32 if r.single else _EXPM1_64), r)


def expm1(x: Value) -> Value:
    """2**n * (e**r - 1) + (2**n - 1), at half its size so that 2**n cannot overflow."""
    y = clamped(x, -18.0, 89.0) if x.single else clamped(x, -38.0, 710.0)
    sum, r = reduced(y, bias(x) - 1)
    scale = power(sum.bits)
    return _unless_tiny(x, fma(_expm1_reduced(r), scale, scale - 0.5) * 2.0)


def _unless_tiny(x: Value, y: Value) -> Value:
    """x itself where it is so small that f(x) = x: the digits of subnormals, and the sign of zero, stay."""
    return select(abs(x) < (2.0**-30 if x.single else 2.0**-60), x, y)


def sinh(x: Value) -> Value:
    """With q = (e**|x| - 1) / 4: 2 * (q + q / (4*q + 1))."""
    a = x.k(89.5 if x.single else 710.5).fmin(abs(x))
    sum, r = reduced(a, bias(x) - 2)
    scale = power(sum.bits)
    q = fma(_expm1_reduced(r), scale, scale - 0.25)
    return _unless_tiny(x, copysign((q + q / fma(q, 4.0, 1.0)) * 2.0, x))


def cosh(x: Value) -> Value:
    """With q = e**|x| / 4: 2*q + 1 / (8*q)."""
    a = x.k(89.5 if x.single else 710.5).fmin(abs(x))
    sum, r = reduced(a, bias(x) - 2)
    q = horner(r, (1.0, 1.0, *(_EXP_32 if x.single else _EXP_64))) * power(sum.bits)
    return fma(q, 2.0, 0.125 / q)


def tanh(x: Value) -> Value:
    """With t = e**(2|x|) - 1: t / (t + 2)."""
    a = x.k(10.0 if x.single else 20.0).fmin(abs(x))
    sum, r = reduced(a + a, bias(x))
    scale = power(sum.bits)
    t = fma(_expm1_reduced(r), scale, scale - 1.0)
    return copysign(t / (t + 2.0), x)
