"""`halo.ref` against exact arithmetic and NumPy, in Python and under Numba."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo import ref
from halo.errors import ArgumentError
from halo.ir.expr import RAISED
from halo.types import Type, as_type
from tests.jit.harness import assert_same

pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")

INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def wrap(t: Any, value: int) -> int:
    bits = np.iinfo(t).bits
    value &= (1 << bits) - 1
    return value - (1 << bits) if np.iinfo(t).min < 0 and value >> (bits - 1) else value


def clamp(t: Any, value: int) -> int:
    return max(int(np.iinfo(t).min), min(int(np.iinfo(t).max), value))


def shift(t: Any, a: int, n: int) -> int:
    bits = np.iinfo(t).bits
    return wrap(t, a << min(n, bits) if n >= 0 else a >> min(-n, bits))


EXACT: dict[str, Callable[[Any, int, int], int]] = {
    "floordiv": lambda t, a, b: wrap(t, a // b if b else 0),
    "mod": lambda t, a, b: wrap(t, a % b if b else 0),
    "shl": shift,
    "shr": lambda t, a, n: shift(t, a, -n),
    "absd": lambda t, a, b: wrap(t, abs(a - b)),
    "avg_up": lambda t, a, b: (a + b + 1) >> 1,
    "avg_down": lambda t, a, b: (a + b) >> 1,
    "sat_add": lambda t, a, b: clamp(t, a + b),
    "sat_sub": lambda t, a, b: clamp(t, a - b),
    "mul_high": lambda t, a, b: (a * b) >> np.iinfo(t).bits,
}
COUNTS: dict[str, Callable[[int, int], int]] = {
    "popcount": lambda bits, a: bin(a).count("1"),
    "clz": lambda bits, a: bits - a.bit_length(),
    "ctz": lambda bits, a: (a & -a).bit_length() - 1 if a else bits,
}


def values(t: Any) -> st.SearchStrategy[int]:
    info = np.iinfo(t)
    lo, hi = int(info.min), int(info.max)
    return st.one_of(st.integers(lo, hi), st.integers(max(lo, -70), 70), st.sampled_from([lo, lo + 1, hi - 1, hi]))


@pytest.mark.parametrize("t", INTEGERS)
@given(data=st.data())
def test_integers(t: Any, data: st.DataObject) -> None:
    a, b = data.draw(values(t)), data.draw(values(t))
    for name, exact in EXACT.items():
        found = getattr(ref, name)(t(a), t(b))
        assert type(found) is t and int(found) == exact(t, a, b), f"{name}({a}, {b})"
    bits = np.iinfo(t).bits
    for name, count in COUNTS.items():
        found = getattr(ref, name)(t(a))
        assert type(found) is t and int(found) == count(bits, a & ((1 << bits) - 1)), f"{name}({a})"


def test_index_values_are_python_integers() -> None:
    assert ref.floordiv(-7, 2) == -4 and ref.floordiv(7, 0) == 0 and ref.mod(-7, 4) == 1 and ref.mod(7, 0) == 0
    assert type(ref.mod(2**70, 3)) is int


def test_numbers_take_the_type_of_the_other_operand() -> None:
    assert type(ref.sat_add(np.uint8(250), 10)) is np.uint8 and ref.sat_add(250, np.uint8(10)) == 255
    assert type(ref.fma(2.0, np.float16(3), 1.0)) is np.float16


FLOATS = st.floats(width=64) | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, 3.0, 0.5])


@given(FLOATS, FLOATS)
def test_floor_division_of_floats_is_numpys(a: float, b: float) -> None:
    with np.errstate(all="ignore"):
        for t in (np.float32, np.float64):
            x, y = np.array([a], t), np.array([b], t)
            assert_same(np.array([ref.floordiv(x[0], y[0])]), np.floor_divide(x, y))
            assert_same(np.array([ref.mod(x[0], y[0])]), np.mod(x, y))
        for half in (np.float16, ml_dtypes.bfloat16):
            x, y = np.array([a]).astype(half), np.array([b]).astype(half)
            wide = np.mod(x.astype(np.float32), y.astype(np.float32))
            assert_same(np.array([ref.mod(x[0], y[0])]), wide.astype(half))


@given(FLOATS, FLOATS)
def test_extremes(a: float, b: float) -> None:
    x, y = np.float64(a), np.float64(b)
    if math.isnan(a) or math.isnan(b):
        assert math.isnan(ref.min(x, y)) and math.isnan(ref.max(x, y))
        assert_same(np.array([ref.fmin(x, y), ref.fmax(x, y)]), np.array([y, y]))
    elif a != b:
        assert ref.min(x, y) == ref.fmin(x, y) == min(a, b) and ref.max(x, y) == ref.fmax(x, y) == max(a, b)
    else:  # of two zeros the second
        found = [f(x, y) for f in (ref.min, ref.max, ref.fmin, ref.fmax)]
        assert all(math.copysign(1, f) == math.copysign(1, b) for f in found)


def nearest(value: Fraction, t: Any) -> float:
    """To the nearest, ties to even: among the neighbours of what floating-point division gives."""
    with np.errstate(over="ignore", under="ignore"):
        near = t(value.numerator / value.denominator)
        around = [np.nextafter(near, t(-math.inf)), near, np.nextafter(near, t(math.inf))]
    return float(
        min(around, key=lambda f: (abs(Fraction(float(f)) - value), int(np.array(f).view(f"u{f.nbytes}")) & 1))
    )


@given(*[st.floats(-(2.0**60), 2.0**60, width=32)] * 3)
def test_fma_rounds_once(a: float, b: float, c: float) -> None:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    for t in (np.float32, np.float64):
        found = ref.fma(t(a), t(b), t(c))
        assert type(found) is t
        assert float(found) == nearest(exact, t)


def test_fma_at_the_edges() -> None:
    one, tiny = np.float32(1), np.float32(2.0**-24)
    assert ref.fma(one + 2 * tiny, one - 2 * tiny, -one) == -4 * tiny * tiny
    assert ref.fma(np.float64(1e308), np.float64(10), np.float64(-math.inf)) == -math.inf
    assert math.isnan(ref.fma(np.float64(0), np.float64(math.inf), np.float64(1)))
    a, b, c = np.float16(1.001), np.float16(1.001), np.float16(-1)
    assert ref.fma(a, b, c) == np.float16(np.float32(a) * np.float32(b) - np.float32(1))


@given(FLOATS | st.integers(-(2**70), 2**70))
def test_conversions_to_integers(x: float) -> None:
    for t in INTEGERS:
        name = as_type(t).name
        found = getattr(ref, name)(np.float64(x) if isinstance(x, float) else x)
        if isinstance(x, int):
            expected = wrap(t, x)
        else:
            expected = 0 if math.isnan(x) else clamp(t, math.trunc(max(min(x, 2.0**70), -(2.0**70))))
        assert type(found) is t and int(found) == expected


def test_conversions_of_halves_and_booleans() -> None:
    assert ref.i8(ml_dtypes.bfloat16(-300)) == -128 and ref.u8(np.float16(2.75)) == 2 and ref.i32(np.bool_(True)) == 1
    assert ref.u8(np.int32(-1)) == 255


def test_halves_and_their_bits() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    for t, value, back in (
        (np.float16, ref.f16_value, ref.f16_bits),
        (ml_dtypes.bfloat16, ref.bf16_value, ref.bf16_bits),
    ):
        numbers = bits.view(t)
        some = np.nonzero(~np.isnan(numbers))[0][::7]
        for k in some:
            assert value(bits[k]) == numbers[k] and back(numbers[k]) == bits[k]
    x = np.float64(1 + 2**-9 + 2**-30)
    assert ref.bf16(x) == ml_dtypes.bfloat16(1) and ref.f16(np.float64(1 + 2**-11 + 2**-30)) == np.float16(1 + 2**-10)


def test_what_happens_at_run_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert ref.debug_print(3, "of", 4) == 3
    assert capsys.readouterr().out == "3 of 4\n"
    assert ref.require(True, "never", 5) == 5
    with pytest.raises(ArgumentError, match="7 is too large"):
        ref.require(False, "{} is too large", 5, 7)


def test_transcendentals_have_names_and_docstrings() -> None:
    for name in ref.TRANSCENDENTALS:
        f = getattr(ref, name)
        assert f.__name__ == name and name in (f.__doc__ or "")
    assert type(ref.exp(np.float16(1))) is np.float16 and type(ref.atan2(1.0, np.float32(2))) is np.float32


# Under Numba ------------------------------------------------------------------------------------------------------------


def on_arrays(name: str, *arrays: np.ndarray) -> np.ndarray:
    """The function `name` under Numba, element by element."""
    function = getattr(ref, name)
    if len(arrays) == 1:

        @ref.njit
        def each(x: Any, out: Any) -> None:
            for k in range(len(x)):
                out[k] = function(x[k])
    else:

        @ref.njit
        def each(x: Any, y: Any, out: Any) -> None:
            for k in range(len(x)):
                out[k] = function(x[k], y[k])

    out = np.zeros_like(arrays[0])
    each(*arrays, out)
    return out


NUMBA_QUICK = {("floordiv", np.int64), ("mod", np.int8), ("shr", np.int16), ("mul_high", np.int64), ("mul_high", np.uint64),
               ("sat_sub", np.int64), ("avg_up", np.uint64), ("clz", np.uint32), ("absd", np.int32)}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "t"),
    [
        pytest.param(n, t, marks=() if (n, t) in NUMBA_QUICK else pytest.mark.slow)
        for n in (*EXACT, *COUNTS)
        for t in INTEGERS
    ],
)
def test_integers_under_numba(name: str, t: Any) -> None:
    rng = np.random.default_rng(1)
    info = np.iinfo(t)
    extremes = np.array([info.min, info.min + 1, 0, 1, 2, 7, info.bits - 1, info.bits, info.max - 1, info.max], t)
    wide = np.concatenate([extremes, rng.integers(info.min, info.max, 20, t, endpoint=True)])
    if info.min < 0:
        wide = np.concatenate([wide, np.array([-1, -3, -info.bits], t)])
    a, b = (m.ravel() for m in np.meshgrid(wide, wide))
    if name in COUNTS:
        expected = [COUNTS[name](info.bits, v & ((1 << info.bits) - 1)) for v in a.tolist()]
        assert on_arrays(name, a).tolist() == expected
    else:
        expected = [EXACT[name](t, x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        assert on_arrays(name, a, b).tolist() == expected


@pytest.mark.parametrize("type", [as_type("f16"), as_type("bf16")])
def test_halves_under_numba(type: Type) -> None:
    value, bits, rounded = (getattr(ref, f"{type.name}{suffix}") for suffix in ("_value", "_bits", ""))

    @ref.njit
    def values_of(words: Any, out: Any) -> None:
        for k in range(len(words)):
            out[k] = value(words[k])

    @ref.njit
    def bits_of(numbers: Any, out: Any) -> None:
        for k in range(len(numbers)):
            out[k] = bits(rounded(numbers[k]))

    words = np.arange(2**16, dtype=np.uint16)
    numbers = np.zeros(2**16, np.float32)
    values_of(words, numbers)
    with np.errstate(invalid="ignore"):
        assert_same(numbers, words.view(type.dtype).astype(np.float32))
    rng = np.random.default_rng(2)
    finite = numbers[np.isfinite(numbers)]
    between = finite + rng.choice([-0.5, 0, 0.5], len(finite)) * np.spacing(finite.astype(type.dtype)).astype(
        np.float64
    )
    x = np.concatenate([numbers, between, between * (1 + 2.0**-40), rng.normal(size=2000) * 1e5])
    if type.name == "bf16":
        x = x.astype(np.float32).astype(np.float64)
    found = np.zeros(len(x), np.uint16)
    with np.errstate(all="ignore"):
        bits_of(x, found)
        assert_same(found.view(type.dtype), x.astype(type.dtype))


def test_conversions_under_numba() -> None:
    x = np.array(
        [0.0, -0.5, 1.9, -1.9, 1e30, -1e30, math.nan, math.inf, -math.inf, 2.0**31, 2.0**63, -(2.0**63), 127.9]
    )

    @ref.njit
    def all_of(x: Any, out: Any) -> None:
        for k in range(len(x)):
            out[0, k] = ref.i8(x[k])
            out[1, k] = ref.i32(np.float32(x[k]))
            out[2, k] = ref.i64(x[k])
            out[3, k] = ref.u16(x[k])

    out = np.zeros((4, len(x)), np.int64)
    all_of(x, out)
    for row, t in zip(out, (np.int8, np.int32, np.int64, np.uint16), strict=True):
        expected = [0 if math.isnan(v) else clamp(t, math.trunc(max(min(v, 1e20), -1e20))) for v in x.tolist()]
        assert row.tolist() == expected


def test_floats_under_numba() -> None:
    rng = np.random.default_rng(3)
    special = [0.0, -0.0, 1.0, -2.5, math.inf, -math.inf, math.nan, 5e-324, 1e308, 3.0]
    wide = np.array([*special, *rng.normal(0, 100, 10)])
    a, b = (m.ravel() for m in np.meshgrid(wide, wide))
    with np.errstate(all="ignore"):
        assert_same(on_arrays("floordiv", a, b), np.floor_divide(a, b))
        assert_same(on_arrays("mod", a, b), np.mod(a, b))
        assert_same(on_arrays("max", a, b), np.where((a > b) | np.isnan(a), a, b))
        assert_same(on_arrays("fmin", a, b), np.where(a < b, a, b))


@pytest.mark.parametrize("t", [np.float32, np.float64])
def test_raised(t: Any) -> None:
    rng, name, most = np.random.default_rng(5), as_type(t), 254 if t is np.float32 else 2046
    p, n = rng.uniform(0.7, 1.42, 500).astype(t), rng.integers(1 - most, most, 500)
    sums = (n + RAISED[name]).astype(t)
    p[0] = sums[0] = np.nan
    with np.errstate(all="ignore"):
        want = np.ldexp(p, n)
    assert_same(np.array([ref.raised(a, b) for a, b in zip(p, sums, strict=True)]), want)
    assert_same(on_arrays("raised", p, sums), want)


@pytest.mark.parametrize("t", [np.float32, np.float64])
def test_transcendentals_under_numba(t: Any) -> None:
    x = np.concatenate([np.linspace(-40, 40, 300), np.geomspace(1e-300, 1e300, 300)]).astype(t)
    for name in ("tanh", "log"):
        with np.errstate(all="ignore"):
            assert_same(on_arrays(name, x), np.array([getattr(ref, name)(v) for v in x]))
