"""36, 37 and 38: integers at their extremes, floats, and random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import halo

from .stages import X, Y, func

RNG = np.random.default_rng(36)
INTEGERS = [halo.u8, halo.i8, halo.u16, halo.i16, halo.u32, halo.i32, halo.u64, halo.i64]
LANES = [1, 3, 4, 8, 16, 32]


def extremes(type: halo.Type) -> list[int]:
    lo, hi = int(type.min), int(type.max)
    near = [lo, lo + 1, hi - 1, hi, 0, 1, 2, 3, 7, 10, hi // 2, hi // 2 + 1]
    return near + ([-1, -2, -3, -7, lo // 2] if lo < 0 else [])


def pairs(type: halo.Type) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of extremes, then random ones; not a whole number of vectors."""
    ends = np.array(extremes(type), type.dtype)
    a, b = np.meshgrid(ends, ends)
    some = RNG.integers(type.min, type.max, (2, 200), type.dtype, endpoint=True)
    small = RNG.integers(max(int(type.min), -9), 9, 100).astype(type.dtype)
    left = np.concatenate([a.ravel(), some[0], some[0, :100]])
    return left, np.concatenate([b.ravel(), some[1], small])


def of_two(type: halo.Type, lanes: int, value: Callable[..., object]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    a, b = halo.Input("a", type, ndim=1), halo.Input("b", type, ndim=1)
    f = func("f", X, value(a[X], b[X]))
    if lanes > 1:
        f.vectorize("x", lanes)
    return lambda p, q: f(a=p, b=q)


def wrapped(type: halo.Type, values: list[int]) -> np.ndarray:
    bits = type.bits
    unsigned = [v % 2**bits for v in values]
    return np.array([v - 2**bits if int(type.min) < 0 and v >= 2 ** (bits - 1) else v for v in unsigned], type.dtype)


# 36: integers ---------------------------------------------------------------------------------------------------------

OPERATORS: dict[str, tuple[Callable[..., object], Callable[[int, int], int]]] = {
    "mul": (lambda a, b: a * b, lambda a, b: a * b),
    "div": (lambda a, b: a // b, lambda a, b: a // b if b else 0),
    "mod": (lambda a, b: a % b, lambda a, b: a % b if b else 0),
    "add and sub": (lambda a, b: (a + b) - b * 3, lambda a, b: a - 2 * b),
}


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("type", INTEGERS)
def test_36_mul_div_mod(type: halo.Type, lanes: int) -> None:
    a, b = pairs(type)
    values = of_two(type, lanes, lambda p, q: tuple(value(p, q) for value, _ in OPERATORS.values()))(a, b)
    for got, (_, meaning) in zip(values, OPERATORS.values(), strict=True):
        want = wrapped(type, [meaning(p, q) for p, q in zip(a.tolist(), b.tolist(), strict=True)])
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("type", INTEGERS)
@pytest.mark.parametrize("by", [1, 2, 3, 5, 7, 10, 16, 100, 127])
def test_36_division_by_constants(type: halo.Type, by: int) -> None:
    a = pairs(type)[0]
    img = halo.Input("a", type, ndim=1)
    for c in (by, -by) if int(type.min) < 0 else (by,):
        quotient, rest = func("f", X, (img[X] // c, img[X] % c)).vectorize("x", 16)(a=a)
        np.testing.assert_array_equal(quotient, wrapped(type, [p // c for p in a.tolist()]))
        np.testing.assert_array_equal(rest, wrapped(type, [p % c for p in a.tolist()]))


@pytest.mark.parametrize("type", INTEGERS)
def test_36_division_by_zero_is_zero(type: halo.Type) -> None:
    a = np.array(extremes(type), type.dtype)
    zero = np.zeros_like(a)
    for lanes in (1, 8):
        for value in (lambda a, b: a // b, lambda a, b: a % b):
            np.testing.assert_array_equal(of_two(type, lanes, value)(a, zero), zero)


@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("type", INTEGERS)
def test_36_casts_wrap_and_saturating_casts_do_not(type: halo.Type, target: halo.Type) -> None:
    a = pairs(type)[0]
    img = halo.Input("a", type, ndim=1)
    got, near = func("f", X, (target(img[X]), halo.saturate(target, img[X]))).vectorize("x", 8)(a=a)
    np.testing.assert_array_equal(got, wrapped(target, a.tolist()))
    want = [min(max(v, int(target.min)), int(target.max)) for v in a.tolist()]
    np.testing.assert_array_equal(near, np.array(want, target.dtype))


INTRINSICS: dict[str, tuple[Callable[..., object], Callable[[int, int, int, int, int], int]]] = {
    "saturating add": (halo.sat_add, lambda a, b, lo, hi, n: min(max(a + b, lo), hi)),
    "saturating sub": (halo.sat_sub, lambda a, b, lo, hi, n: min(max(a - b, lo), hi)),
    "halving add": (halo.avg_down, lambda a, b, lo, hi, n: (a + b) >> 1),
    "rounding halving add": (halo.avg_up, lambda a, b, lo, hi, n: (a + b + 1) >> 1),
    "multiply high": (halo.mul_high, lambda a, b, lo, hi, n: a * b >> n),
}


@pytest.mark.parametrize("lanes", [1, 8, 32])
@pytest.mark.parametrize("type", INTEGERS)
def test_36_intrinsics(type: halo.Type, lanes: int) -> None:
    a, b = pairs(type)
    lo, hi, n = int(type.min), int(type.max), type.bits
    values = of_two(type, lanes, lambda p, q: tuple(value(p, q) for value, _ in INTRINSICS.values()))(a, b)
    for name, got in zip(INTRINSICS, values, strict=True):
        want = [INTRINSICS[name][1](p, q, lo, hi, n) for p, q in zip(a.tolist(), b.tolist(), strict=True)]
        np.testing.assert_array_equal(got, np.array(want, type.dtype), name)


@pytest.mark.parametrize("type", [t for t in INTEGERS if t.bits < 64])
def test_36_widening_intrinsics_and_absolute_differences(type: halo.Type) -> None:
    a, b = pairs(type)
    p, q = a.astype(object), b.astype(object)
    for value, want in ((halo.widening_mul, p * q), (halo.widening_add, p + q), (halo.absd, abs(p - q))):
        got = of_two(type, 16, value)(a, b)
        np.testing.assert_array_equal(got, want.astype(got.dtype))
        assert (got.astype(object) == want).all()


# 37: floats -----------------------------------------------------------------------------------------------------------


def test_37_every_f16_survives_f32_and_back() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    img = halo.Input("a", halo.f16, ndim=1)
    got = func("f", X, halo.f16(halo.f32(img[X]) * 1)).vectorize("x", 16)(a=every)
    fine = ~np.isnan(every)
    np.testing.assert_array_equal(got[fine].view(np.uint16), every[fine].view(np.uint16))
    assert np.isnan(got[~fine]).all()


def test_37_f16_arithmetic_rounds_once() -> None:
    a, b = RNG.integers(0, 2**16, (2, 5000), np.uint16).view(np.float16)
    for value, want in (
        (lambda p, q: p + q, np.add),
        (lambda p, q: p * q, np.multiply),
        (lambda p, q: p / q, np.divide),
    ):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(of_two(halo.f16, 16, value)(a, b), want(a, b))


@pytest.mark.parametrize("lanes", [1, 8])
def test_37_sums_are_not_reassociated(lanes: int) -> None:
    # (a + b) - a is b only in strict arithmetic where nothing is lost, else what is lost is lost
    a, b = np.full(40, 1e8, np.float32), RNG.random(40).astype(np.float32)
    np.testing.assert_array_equal(of_two(halo.f32, lanes, lambda p, q: (p + q) - p)(a, b), (a + b) - a)


def test_37_nans_and_infinities_are_seen() -> None:
    a = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5], np.float32)
    img = halo.Input("a", halo.f32, ndim=1)
    for value, want in ((halo.isnan, np.isnan), (halo.isinf, np.isinf), (halo.isfinite, np.isfinite)):
        np.testing.assert_array_equal(func("f", X, value(img[X])).vectorize("x", 8)(a=a), want(a))


@pytest.mark.parametrize("type", [halo.f32, halo.f64])
def test_37_rounding(type: halo.Type) -> None:
    a = np.concatenate([np.arange(-40, 41) / 4, RNG.normal(0, 1e6, 100), [2.0**23 + 1, -(2.0**23) - 1]]).astype(
        type.dtype
    )
    img = halo.Input("a", type, ndim=1)
    for value, want in ((halo.round, np.rint), (halo.floor, np.floor), (halo.ceil, np.ceil), (halo.trunc, np.trunc)):
        np.testing.assert_array_equal(func("f", X, value(img[X])).vectorize("x", 8)(a=a), want(a))


@pytest.mark.parametrize("name", ["sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "atan", "asin"])
def test_37_functions_are_accurate_in_vectors(name: str) -> None:
    # over the whole range, with special values: tests/lowering/test_expand_math.py
    a = (RNG.random(1001) * 0.98 + 0.01).astype(np.float32)
    img = halo.Input("a", halo.f32, ndim=1)
    reference = getattr(np, {"atan": "arctan", "asin": "arcsin"}.get(name, name))
    got = func("f", X, getattr(halo, name)(img[X])).vectorize("x", 8)(a=a)
    want = reference(a.astype(np.float64))
    assert (np.abs(got - want) <= 4 * np.spacing(np.abs(want).astype(np.float32))).all()


# 38: random numbers ---------------------------------------------------------------------------------------------------


def noise() -> halo.Func:
    return func("f", (Y, X), halo.random_f32()).vectorize("x", 8)


def test_38_mean_and_variance() -> None:
    image = noise()(shape=(1024, 1024))
    assert 0 <= image.min() < image.max() < 1
    assert abs(image.mean() - 0.5) < 0.01
    assert abs(image.var() - 1 / 12) < 0.01


def test_38_neighbours_are_independent() -> None:
    image = noise()(shape=(1024, 1024)).astype(np.float64)
    for axis in (0, 1):
        assert abs(np.diff(image, axis=axis).var() - 1 / 6) < 0.01


def test_38_the_same_image_each_time_and_under_every_schedule() -> None:
    f = noise()
    image = f(shape=(40, 60))
    np.testing.assert_array_equal(f(shape=(40, 60)), image)
    f.unschedule()
    np.testing.assert_array_equal(f.parallel("y").unroll("x", 4)(shape=(40, 60)), image)
    np.testing.assert_array_equal(f(shape=(50, 70))[:40, :60], image)


def test_38_seeds_make_other_images() -> None:
    seed = halo.Param("seed", halo.i32)
    f = func("f", (Y, X), halo.random_i32(seed))
    one, two, again = (f(seed=s, shape=(50, 50)) for s in (1, 2, 1))
    np.testing.assert_array_equal(one, again)
    assert (one == two).mean() < 0.01
