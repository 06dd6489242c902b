"""Operations on floats against NumPy, bit for bit, on all float types, special values and numbers of lanes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from halo.ir.expr import RAISED, Expr
from halo.jit.target import Target
from halo.types import Type, bf16, bool_, f16, f32, f64

from .harness import HOST, LANES, assert_same, op, outputs_of, pairs

FLOATS = (f16, bf16, f32, f64)
OLD = Target(HOST.triple, "nehalem", "+sse4.2,+ssse3,+sse4.1")  # neither fma nor f16 instructions
AVX2 = Target(HOST.triple, "haswell", "+avx2,+avx,+fma,+f16c,+bmi,+bmi2,+sse4.2")


def minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where((a < b) | np.isnan(a), a, b)


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where((a > b) | np.isnan(a), a, b)


BINARY: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "copysign": np.copysign,
    "min": minimum, "max": maximum, "fmin": lambda a, b: np.where(a < b, a, b),
    "fmax": lambda a, b: np.where(a > b, a, b), "floordiv": np.floor_divide, "mod": np.mod,
}  # fmt: skip
UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "neg": np.negative, "abs": np.abs, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint,
    "sqrt": np.sqrt,
}  # fmt: skip
TESTS: dict[str, Callable[..., np.ndarray]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "isnan": np.isnan, "isinf": np.isinf,
    "isfinite": np.isfinite,
}  # fmt: skip


def make(x: list[Expr]) -> list[Expr]:
    tests = [op(n, *(x if n in ("eq", "ne", "lt", "le") else x[:1]), type=bool_) for n in TESTS]
    return [*(op(n, *x) for n in BINARY), *(op(n, x[0]) for n in UNARY), *tests]


def wanted(t: Type, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """In NumPy; f16 and bf16 computed in f32 and rounded."""
    wide = np.dtype(np.float32) if t.bits == 16 else t.dtype
    x, y = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        values = [*(f(x, y).astype(t.dtype) for f in BINARY.values()), *(f(x).astype(t.dtype) for f in UNARY.values())]
        return values + [f(*((x, y) if n in ("eq", "ne", "lt", "le") else (x,))) for n, f in TESTS.items()]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("t", FLOATS, ids=lambda t: t.name)
def test_operations(t: Type, lanes: int) -> None:
    a, b, _ = pairs(t)
    for name, got, want in zip(
        [*BINARY, *UNARY, *TESTS], outputs_of(make, (a, b), lanes), wanted(t, a, b), strict=True
    ):
        assert_same(got, want, f"{name} of {t} in {lanes} lanes")


@pytest.mark.skipif(not HOST.is_x86, reason="names of x86 CPUs")
@pytest.mark.parametrize("target", (OLD, AVX2), ids=lambda t: t.cpu)
@pytest.mark.parametrize("t", FLOATS, ids=lambda t: t.name)
def test_operations_on_other_cpus(t: Type, target: Target) -> None:
    """Without fma and f16 instructions (where they come from the C library and from integers), and without AVX-512."""
    if any(f[0] == "+" and not HOST.has(f[1:]) for f in target.features.split(",")):
        pytest.skip("this machine cannot run it")
    a, b, _ = pairs(t, seed=1)
    for lanes in (1, 8):
        for name, got, want in zip([*BINARY, *UNARY, *TESTS], outputs_of(make, (a, b), lanes, target), wanted(t, a, b),
                                   strict=True):  # fmt: skip
            assert_same(got, want, f"{name} of {t} in {lanes} lanes")


def exact_fma(a: float, b: float, c: float, t: Type) -> float:
    """a * b + c rounded once to f32 or f64, by rational arithmetic."""
    if not np.isfinite(c) and np.isfinite(a) and np.isfinite(b):
        return c
    if not all(map(np.isfinite, (a, b, c))) or 0 in (a, b):
        with np.errstate(all="ignore"):
            return float(np.float64(a) * np.float64(b) + np.float64(c))
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    return float(a) * float(b) + float(c) if exact == 0 else rounded(exact, t)


def rounded(x: Fraction, t: Type) -> float:
    """To nearest even, by hand: `digits` of precision, exponents from `least`."""
    digits, least, limit = (24, -149, 2.0**128) if t is f32 else (53, -1074, None)
    sign, x = (-1, -x) if x < 0 else (1, x)
    e = max(x.numerator.bit_length() - x.denominator.bit_length() - digits, least)
    while x / Fraction(2) ** e >= 2**digits:
        e += 1
    while x / Fraction(2) ** e < 2 ** (digits - 1) and e > least:
        e -= 1
    units = x / Fraction(2) ** e
    whole = round(units)  # Python rounds fractions half to even
    value = Fraction(whole) * Fraction(2) ** e
    over = value >= (Fraction(2) ** 1024 if limit is None else Fraction(limit))
    return sign * (float("inf") if over else float(value))


@pytest.mark.parametrize("t", FLOATS, ids=lambda t: t.name)
def test_fma_rounds_once(t: Type) -> None:
    arrays = pairs(t)
    wide = f64 if t is f64 else f32
    with np.errstate(all="ignore"):
        rows = zip(*(x.astype(np.float64).tolist() for x in arrays), strict=True)
        want = np.array([exact_fma(*row, wide) for row in rows], np.float64).astype(wide.dtype).astype(t.dtype)
    for lanes in (1, 3, 16):
        (got,) = outputs_of(lambda x: [op("fma", *x)], arrays, lanes)
        assert_same(got, want, f"fma of {t} in {lanes} lanes")


@pytest.mark.parametrize("target", (HOST, AVX2), ids=lambda t: t.cpu)
@pytest.mark.parametrize("t", (f32, f64), ids=lambda t: t.name)
def test_powers_of_two_round_once(t: Type, target: Target) -> None:
    """Of subnormal results and of those that overflow too, in whole registers and in others."""
    if any(f[0] == "+" and not HOST.has(f[1:]) for f in target.features.split(",")):
        pytest.skip("this machine cannot run it")
    rng, most = np.random.default_rng(4), 254 if t is f32 else 2046
    p = rng.uniform(0.7, 1.42, 1344 * 8).astype(t.dtype)
    n = rng.integers(1 - most, most, p.size)
    sums = (n + RAISED[t]).astype(t.dtype)
    p[:6], sums[3:6] = np.nan, np.nan
    with np.errstate(all="ignore"):
        want = np.ldexp(p, np.where(np.isnan(sums), 0, n)).astype(t.dtype)
    assert np.isinf(want).any() and ((want > 0) & (want < np.finfo(t.dtype).tiny)).any()
    for lanes in (1, 3, 4, 8, 16, 24, 64):
        (got,) = outputs_of(lambda x: [op("raised", *x)], (p, sums), lanes, target)
        assert_same(got, want, f"{t} in {lanes} lanes")


@pytest.mark.parametrize("t", (f32, f64), ids=lambda t: t.name)
def test_mod_of_any_magnitudes(t: Type) -> None:
    """fmod is exact however far apart the operands are."""
    rng = np.random.default_rng(2)
    unsigned = f"u{t.bytes}"
    a, b = (rng.integers(0, 2 ** (t.bits - 1), 4096, unsigned).astype(unsigned).view(t.dtype) for _ in range(2))
    with np.errstate(all="ignore"):
        want = [np.mod(a, b), np.floor_divide(a, b)]
    for lanes in (1, 16):
        got = outputs_of(lambda x: [op("mod", *x), op("floordiv", *x)], (a, b), lanes)
        assert_same(got[0], want[0], "mod")
        assert_same(got[1], want[1], "floordiv")


def test_nothing_is_contracted() -> None:
    """a * b + c in two operations rounds twice, with any flags LLVM may have."""
    a, b, c = pairs(f32)
    (got,) = outputs_of(lambda x: [op("add", op("mul", x[0], x[1]), x[2])], (a, b, c), 16)
    with np.errstate(all="ignore"):
        assert_same(got, a * b + c)
