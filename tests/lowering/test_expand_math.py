"""The transcendentals against float64 NumPy (f32), mpmath (f64) and C99's special values, through machine code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special

from halo import ref
from halo.ir.expr import Broadcast, Cast, Const, Expr, Load, Op, Var
from halo.ir.node import interning
from halo.ir.stmt import Block, Evaluate
from halo.lowering.expand_math import DEFINITIONS, definition, expand_math
from halo.types import bf16, f16, f32, f64, index, u32
from tests.jit.harness import assert_same, outputs_of, pairs

LANES = 16
TWO = ("pow", "atan2", "hypot")
ONE = tuple(n for n in DEFINITIONS if n not in TWO)
NUMPY: dict[str, Callable[..., Any]] = {
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "pow": np.power, "erf": scipy.special.erf, "rsqrt": lambda x: 1 / np.sqrt(x),
}  # fmt: skip
MPMATH: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: mp.mpf(2) ** x, "log2": lambda x: mp.log(x, 2), "log10": lambda x: mp.log(x, 10),
    "rsqrt": lambda x: 1 / mp.sqrt(x), "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)), "pow": mp.power,
}  # fmt: skip
# ULP, measured (f32 exhaustively over every 1021st float) and rounded up; the contract is 4
BOUND = {
    "exp": 1, "exp2": 1, "expm1": 1.5, "sinh": 2.5, "cosh": 1.5, "tanh": 2.5, "log": 1, "log2": 1, "log10": 1, "log1p": 1.5,
    "asinh": 2, "acosh": 2, "atanh": 2.5, "asin": 2, "acos": 1.5, "atan": 2, "atan2": 2, "sin": 2, "cos": 2, "tan": 3.5,
    "erf": 1.5, "rsqrt": 1.5, "cbrt": 1, "hypot": 1, "pow": 1,
}  # fmt: skip


def expanded(name: str, *args: Expr) -> Expr:
    done = expand_math(Evaluate(Op(name, args, args[0].type)))
    assert isinstance(done, Evaluate)
    return done.value


def computed(name: str, *arrays: np.ndarray, lanes: int = LANES) -> np.ndarray:
    n = len(arrays[0])
    padded = [np.concatenate([a, np.zeros(-n % lanes, a.dtype)]) for a in arrays]
    return outputs_of(lambda v: [expanded(name, *v)], padded, lanes)[0][:n]


def in_numpy(name: str, *arrays: np.ndarray) -> np.ndarray:
    f = NUMPY.get(name) or getattr(np, name)
    return np.asarray(f(*arrays))


def test_every_function_has_a_definition() -> None:
    assert set(DEFINITIONS) == set(ref.TRANSCENDENTALS) == set(BOUND)


# f32 ------------------------------------------------------------------------------------------------------------------


def floats32(step: int) -> np.ndarray:
    bits = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32)
    usual = np.random.default_rng(1).uniform(-20, 20, 20000)
    tight = np.random.default_rng(2).uniform(-2, 2, 20000)
    return np.concatenate([bits.view(np.float32), usual.astype(np.float32), tight.astype(np.float32)])


def ulps32(actual: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The error in units of the last place; infinity for a NaN, an infinity or a sign that is not there in `exact`."""
    with np.errstate(all="ignore"):
        nearest = exact.astype(np.float32)
        unit = np.spacing(np.minimum(np.abs(nearest), np.float32(3.4028235e38))).astype(np.float64)
        error = np.abs(actual.astype(np.float64) - exact) / unit
    error[(actual == nearest) & (np.signbit(actual) == np.signbit(nearest))] = 0
    error[np.isnan(exact) & np.isnan(actual)] = 0
    error[np.isnan(exact) != np.isnan(actual)] = np.inf
    error[~np.isnan(exact) & (np.signbit(exact) != np.signbit(actual))] = np.inf
    return error


def assert_within(bound: float, error: np.ndarray, *arrays: np.ndarray) -> None:
    k = int(np.argmax(error))
    assert error[k] <= bound, f"{error[k]} ulp at {[a[k] for a in arrays]}"


@pytest.mark.parametrize("name", ONE)
def test_f32(name: str) -> None:
    x = floats32(30011)
    actual = computed(name, x)
    with np.errstate(all="ignore"):
        assert_within(BOUND[name], ulps32(actual, in_numpy(name, x.astype(np.float64))), x, actual)


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE)
def test_f32_densely(name: str) -> None:
    x = floats32(509)
    actual = computed(name, x)
    with np.errstate(all="ignore"):
        assert_within(BOUND[name], ulps32(actual, in_numpy(name, x.astype(np.float64))), x, actual)


def points(t: type[np.floating[Any]], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of any magnitudes, pairs of like magnitudes, usual pairs."""
    rng = np.random.default_rng(3)
    unsigned = np.uint32 if t is np.float32 else np.uint64
    a, b, c = (rng.integers(0, np.iinfo(unsigned).max, n, unsigned).view(t) for _ in range(3))
    with np.errstate(all="ignore"):
        like = (c * rng.uniform(0.3, 3, n) * rng.choice([-1, 1], n)).astype(t)
    usual = rng.uniform(-4, 4, (2, n)).astype(t)
    return np.concatenate([a, c, abs(usual[0])]), np.concatenate([b, like, usual[1] * 10])


@pytest.mark.parametrize("name", TWO)
def test_f32_of_two(name: str) -> None:
    x, y = points(np.float32, 30000)
    actual = computed(name, x, y)
    with np.errstate(all="ignore"):
        exact = in_numpy(name, x.astype(np.float64), y.astype(np.float64))
    assert_within(BOUND[name], ulps32(actual, exact), x, y, actual)


def test_pow_f32_over_its_whole_range() -> None:
    rng = np.random.default_rng(4)
    x = np.concatenate([np.exp2(rng.uniform(-149, 128, 30000)), 1 + rng.normal(0, 1e-3, 10000)]).astype(np.float32)
    y = (rng.uniform(-150, 129, 40000) / np.log2(x.astype(np.float64))).astype(np.float32)
    actual = computed("pow", x, y)
    with np.errstate(all="ignore"):
        assert_within(BOUND["pow"], ulps32(actual, np.power(x.astype(np.float64), y.astype(np.float64))), x, y, actual)


# f64 ------------------------------------------------------------------------------------------------------------------


def ulps64(actual: float, exact: Any) -> float:
    if isinstance(exact, mp.mpc) or mp.isnan(exact):
        return 0.0 if math.isnan(actual) else math.inf
    nearest = float(exact) if abs(exact) < mp.mpf(2) ** 1024 else math.copysign(math.inf, exact)
    if actual == nearest:
        return 0.0
    if math.isnan(actual) or mp.isinf(exact):
        return math.inf
    largest = 1.7976931348623157e308
    clipped = max(min(actual, largest), -largest)
    return float(abs(mp.mpf(clipped) - exact) / mp.mpf(math.ulp(max(min(nearest, largest), -largest))))


def exactly(name: str, *values: float) -> Any:
    f = MPMATH.get(name) or getattr(mp, name)
    try:
        return f(*(mp.mpf(v) for v in values))
    except (ValueError, ZeroDivisionError):
        return mp.nan


def assert_f64(name: str, *arrays: np.ndarray) -> None:
    actual = computed(name, *arrays)
    with mp.workprec(200):
        for *values, a in zip(*(x.tolist() for x in arrays), actual.tolist(), strict=True):
            if all(map(math.isfinite, values)):  # the others are special values
                error = ulps64(a, exactly(name, *values))
                assert error <= BOUND[name], f"{name}{tuple(values)} is {a}: {error} ulp"


@pytest.mark.parametrize("name", ONE)
def test_f64(name: str) -> None:
    rng = np.random.default_rng(5)
    any_size = np.ldexp(rng.uniform(1, 2, 400) * rng.choice([-1, 1], 400), rng.integers(-1074, 1024, 400))
    scales = rng.choice([0.1, 1, 3, 40, 750], 800)
    assert_f64(name, np.concatenate([any_size, rng.uniform(-1, 1, 800) * scales]))


@pytest.mark.parametrize("name", TWO)
def test_f64_of_two(name: str) -> None:
    x, y = points(np.float64, 100)
    assert_f64(name, x, y)


def test_pow_f64_over_its_whole_range() -> None:
    rng = np.random.default_rng(6)
    x = np.concatenate([np.exp2(rng.uniform(-1074, 1023, 400)), 1 + rng.normal(0, 1e-3, 200)])
    assert_f64("pow", x, rng.uniform(-1074, 1024, 600) / np.log2(x))


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_huge_arguments(name: str) -> None:
    """Multiples of pi/2 as near as doubles come to them, the first of them the nearest of all (W. Kahan)."""
    rng = np.random.default_rng(7)
    multiples = np.ldexp(np.pi / 2 * rng.integers(1, 2**40, 300), rng.integers(0, 900, 300))
    edges = [2.0**30, np.nextafter(2.0**30, 0), np.nextafter(2.0**30, 2e9), 2.0**1023, 1.7976931348623157e308]
    assert_f64(name, np.concatenate([[6381956970095103 * 2.0**797], multiples, edges, np.negative(edges)]))
    singles = np.float32(np.pi / 2 * rng.integers(1, 2**24, 3000))
    x = np.concatenate([singles, np.float32([65536, 65535.996, 65536.01, 3.4028235e38, 16367173 * 2.0**72])])
    assert_within(BOUND[name], ulps32(computed(name, x), in_numpy(name, x.astype(np.float64))), x)


# Special values ---------------------------------------------------------------------------------------------------------

SPECIAL = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, math.inf, math.nan]
SIGNED = [s * v for v in SPECIAL for s in (1, -1)]


def c99_pow(x: float, y: float) -> float:
    if x == 1 or y == 0:
        return 1.0
    try:
        return math.pow(x, y)
    except ValueError:  # Python's own rules: C99 gives infinity for a pole, NaN outside the domain
        if x == 0:
            odd = math.isfinite(y) and y == int(y) and int(y) % 2
            return math.copysign(math.inf, x) if odd else math.inf
        return math.nan


@pytest.mark.parametrize("t", [np.float32, np.float64])
@pytest.mark.parametrize("name", [n for n in DEFINITIONS if n != "pow"])
def test_special_values_are_those_of_c99(name: str, t: type[np.floating[Any]]) -> None:
    tiny = np.finfo(t).smallest_subnormal
    values = np.array([*SIGNED, tiny, -tiny, np.finfo(t).max, np.finfo(t).min], t)
    arrays = [m.ravel() for m in np.meshgrid(values, values)] if name in TWO else [values]
    with np.errstate(all="ignore"):
        expected = in_numpy(name, *(a.astype(np.float64) for a in arrays)).astype(t)
    actual = computed(name, *arrays)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual[number]), np.signbit(expected[number]))
    exact = np.isinf(expected) | (expected == 0) | (abs(expected) == 1)
    np.testing.assert_array_equal(actual[exact], expected[exact])
    np.testing.assert_allclose(actual[number & ~exact], expected[number & ~exact], rtol=4 * np.finfo(t).eps)


@pytest.mark.parametrize("t", [np.float32, np.float64])
def test_special_values_of_pow(t: type[np.floating[Any]]) -> None:
    x, y = (m.ravel() for m in np.meshgrid(np.array(SIGNED, t), np.array(SIGNED, t)))
    expected = np.array([c99_pow(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)])
    actual = computed("pow", x, y)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual[number]), np.signbit(expected[number]))
    np.testing.assert_allclose(actual[number], expected[number], rtol=4 * np.finfo(t).eps)


def test_exact_results() -> None:
    """Powers of two, of ten, and cubes come out exactly."""
    n = np.arange(-1074, 1024, dtype=np.float64)
    np.testing.assert_array_equal(computed("exp2", n), np.ldexp(1.0, n.astype(int)))
    np.testing.assert_array_equal(computed("log2", np.ldexp(1.0, n.astype(int))), n)
    k = np.arange(1.0, 200.0)
    np.testing.assert_array_equal(computed("cbrt", k**3), k)
    np.testing.assert_array_equal(computed("pow", k, np.full_like(k, 2.0)), k * k)
    np.testing.assert_array_equal(computed("hypot", 3 * k, 4 * k), 5 * k)


# One definition ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [f16, bf16, f32, f64], ids=lambda t: t.name)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_scalar_and_vector_code_and_python_agree_bit_for_bit(name: str, t: Any) -> None:
    arrays = pairs(t)[: 2 if name in TWO else 1]
    scalar = computed(name, *arrays, lanes=1)
    assert_same(computed(name, *arrays, lanes=16), scalar)
    some = slice(0, None, 7)
    function = getattr(ref, name)
    python = np.array([function(*v) for v in zip(*(a[some] for a in arrays), strict=True)], t.dtype)
    assert_same(python, scalar[some])


@pytest.mark.parametrize("t", [f16, bf16], ids=lambda t: t.name)
def test_halves_are_computed_in_f32(t: Any) -> None:
    x = np.linspace(-3, 3, 96).astype(t.dtype)
    assert_same(computed("tanh", x), computed("tanh", x.astype(np.float32)).astype(t.dtype))


def test_a_uniform_operand_is_computed_once() -> None:
    with interning():
        x = Var("x", f32)
        assert expanded("exp", Broadcast(x, 8)) is Broadcast(expanded("exp", x), 8)


def test_nothing_is_left_to_expand() -> None:
    primitive = {"add", "sub", "mul", "div", "neg", "abs", "and", "or", "xor", "not", "shl", "shr", "lt", "le", "eq", "ne",
                 "select", "rare", "fma", "fmin", "fmax", "min", "max", "copysign", "floor", "sqrt", "isnan", "mul_high",
                 "reinterpret", "raised"}  # fmt: skip

    def names(e: Expr, seen: set[Expr]) -> set[str]:
        if e in seen:
            return set()
        seen.add(e)
        own = {e.name} if isinstance(e, Op) else set()
        below = e.args if isinstance(e, Op) else [e.index] if isinstance(e, Load) else [getattr(e, "value", None)]
        return own.union(*(names(c, seen) for c in below if isinstance(c, Expr)))

    with interning():
        for name in DEFINITIONS:
            for t in (f32, f64):
                assert names(definition(name, t)[1], set()) <= primitive


def test_functions_inside_of_functions_and_statements() -> None:
    with interning():
        x = Var("x", f32)
        nested = Op("exp", (Op("log", (x,), f32),), f32)
        done = expand_math(Block((Evaluate(nested), Evaluate(nested))))
        assert isinstance(done, Block)
        first, second = done.stmts
        assert isinstance(first, Evaluate) and isinstance(second, Evaluate)
        assert first.value is second.value is expanded("exp", expanded("log", x))


def test_random_is_a_hash_of_the_point() -> None:
    y, x = (m.ravel() for m in np.meshgrid(np.arange(-20, 20, dtype=np.int64), np.arange(100), indexing="ij"))

    def draw(v: list[Expr]) -> list[Expr]:
        point = tuple(Cast(e, index) for e in v)
        done = expand_math(Evaluate(Op("random", point, u32, 77)))
        assert isinstance(done, Evaluate)
        return [done.value]

    drawn = outputs_of(draw, (y, x), LANES)[0]
    assert_same(outputs_of(draw, (y, x), 1)[0], drawn)
    assert_same(np.array([ref.random(77, a, b) for a, b in zip(y, x, strict=True)]), drawn)
    assert len(set(drawn.tolist())) == len(drawn)
    ones = (drawn[:, None] >> np.arange(32, dtype=np.uint32) & 1).mean(axis=0)
    assert abs(ones - 0.5).max() < 5 * 0.5 / math.sqrt(len(drawn))
    neighbours = np.bitwise_count(drawn[1:] ^ drawn[:-1])
    assert abs(neighbours.mean() - 16) < 5 * math.sqrt(8 / len(drawn))


def test_constants_are_expanded_too() -> None:
    with interning():
        one = Const(1.0, f32)
        assert isinstance(expanded("exp", one), Expr)
