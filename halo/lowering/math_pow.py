"""pow: the logarithm and its product with the exponent carry twice the digits, as sums of two floats.

The sums are error-free transformations with fma: T. J. Dekker, *A floating-point technique for extending the available
precision* (1971), and S. Boldo and J.-M. Muller, *Exact and approximated error of the FMA* (2011).
"""

from __future__ import annotations

import math

from .math_core import Value, fma, horner, rare, select, unusual
from .math_exp import power_of_two
from .math_log import split

FUNCTIONS = ("pow",)
__all__ = ["FUNCTIONS", *FUNCTIONS]

# log2((1 + s)/(1 - s)) = s * (C + t*(C/3 + t*P(t))), t = s*s: relative errors 2**-43.9 and 2**-76
_LOG_32 = (0.577078, 0.41220593, 0.3200118, 0.281712)
_LOG_64 = (
    0.5770780163555854, 0.41219858311108865, 0.3205988979879843, 0.2623081873442491, 0.22195325087941764,
    0.19235038026149112, 0.1700189001442275, 0.1464793272720798, 0.18629146451426662,
)  # fmt: skip
_C_32, _C_64 = (2.88539, 3.851926e-08), (2.8853900817779268, 4.0710547481862066e-17)  # 2/ln 2
_THIRD_32, _THIRD_64 = (0.9617967, -7.028462e-09), (0.9617966939259756, 5.0577616648125907e-17)

Pair = tuple[Value, Value]  # a sum: the nearest float and what is left


def _product(a: Value, b: Value) -> Pair:
    p = a * b
    return p, fma(a, b, -p)


def _sum(a: Value | float, b: Value) -> Pair:
    """Exact where |a| >= |b| or a is 0."""
    s = a + b
    return s, a - s + b


def _log2(a: Value, n: Value | None = None) -> Pair:
    """log2(a * 2**n) for a positive normal a."""
    e, m, _ = split(a.bits)
    f = m - 1.0
    # s = f/(2 + f)
    below = f + 2.0
    inverse = 1.0 / below
    s = f * inverse
    s_low = fma(-s, f - (below - 2.0), fma(-s, below, f)) * inverse
    t, t_low = _product(s, s)
    t_low = fma(s + s, s_low, t_low)
    third, third_low = _THIRD_32 if a.single else _THIRD_64
    rest = t * horner(t, _LOG_32 if a.single else _LOG_64)
    u, u_low = _sum(third, rest)
    product, product_low = _product(t, u)
    product_low = product_low + fma(t, u_low + third_low, t_low * u)
    c, c_low = _C_32 if a.single else _C_64
    v, v_low = _sum(c, product)
    log, log_low = _product(s, v)
    log_low = log_low + fma(s, v_low + (product_low + c_low), s_low * v)
    high, low = _sum(e if n is None else e + n, log)
    return _sum(high, low + log_low)


def _raise(log: Pair, y: Value) -> Value:
    """2**(y * log)."""
    high = y * log[0]
    low = fma(y, log[0], -high) + y * log[1]
    limit = 160.0 if y.single else 1200.0
    low = select(abs(high) < limit, low, 0.0)
    return power_of_two(high, low)


def pow(x: Value, y: Value) -> Value:
    odd = unusual(x) | ~(abs(y) < (2.0**100 if x.single else 2.0**900))
    return rare(odd, _any(x, y), _raise(_log2(x), y))


def _any(x: Value, y: Value) -> Value:
    """C99's pow for every x and y."""
    a, shift = abs(x), 24 if x.single else 54
    least = 2.0**-126 if x.single else 2.0**-1022
    small = a < least
    log = _log2(select(small, a * 2.0**shift, a), select(small, x.k(-shift), 0.0))
    flat = a.equals(0.0) | (a >= math.inf)
    high = select(flat, select(a.equals(0.0), x.k(-math.inf), math.inf), log[0])
    high = select(x.isnan(), x, high)
    # 1**inf is 1: the product of exponent and logarithm is 0 where the logarithm is
    y_used = select(high.equals(0.0) & ~y.isnan(), y.k(0.0), y)
    size = _raise((high, select(flat, y.k(0.0), log[1])), y_used)
    whole = y.floor().equals(y)
    odd = whole & ((y * 0.5).floor() * 2.0).differs(y)
    negative = x.signed_bits < 0
    signed = select(negative & odd, -size, size)
    signed = select((x < 0.0) & (a < math.inf) & ~whole, math.nan, signed)
    return select(y.equals(0.0) | x.equals(1.0), 1.0, signed)
