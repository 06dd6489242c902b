"""Types that only store, bit for bit against ml_dtypes: every value out of them, and into them all that lies near one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo.types import ALL, STORED, Type, bf16, f4e2m1, f8e8m0, f16, f32, f64, i32, i64, u8

FLOATS = tuple(t for t in STORED if t.is_float)
INTEGERS = tuple(t for t in STORED if t.is_int)
NAMES = {"ids": lambda t: t.name}


def every(t: Type) -> np.ndarray:
    return np.arange(1 << t.bits, dtype=np.uint8).view(t.dtype)


def near(t: Type) -> np.ndarray:
    """All values of `t`, what is half-way between two, the neighbours of both, and what is far away, as f32."""
    exact = np.unique(every(t).astype(np.float32))
    exact = exact[np.isfinite(exact)]
    middle = np.concatenate([exact, (exact[:-1] / 2 + exact[1:] / 2), exact[-1:] * 1.0625, exact[:1] / 2])
    low, high = (np.nextafter(middle, np.float32(s)) for s in (-np.inf, np.inf))
    far = np.array([0.0, -0.0, 1e-45, 1e-40, 3e38, np.inf, np.nan], np.float32)
    return np.concatenate([middle, low, high, far, -middle, -far])


def conversion(source: Type, target: Type, lanes: int = 1) -> halo.Func:
    a, f, i = halo.Input("a", source, ndim=1), halo.Func("f"), halo.Var("i")
    f[i] = target(a[i])
    return f.vectorize("i", lanes) if lanes > 1 else f


def assert_same(got: np.ndarray, want: np.ndarray) -> None:
    """Bit for bit; all NaNs are one."""
    assert got.dtype == want.dtype
    a, b = (v.view(f"u{v.dtype.itemsize}") for v in (got, want))
    nan = np.isnan(want.astype(np.float64)) & np.isnan(got.astype(np.float64))
    np.testing.assert_array_equal(np.where(nan, 0, a), np.where(nan, 0, b))


@pytest.mark.parametrize("lanes", (1, 16))
@pytest.mark.parametrize("t", STORED, **NAMES)
def test_every_value_converts_to_every_type(t: Type, lanes: int) -> None:
    a = every(t)
    for target in (f32, f64, f16, bf16, i32, u8):
        got = conversion(t, target, lanes)(a=a)
        wide = a.astype(t.computed.dtype)
        if target.is_int and t.is_float:
            whole = np.trunc(np.nan_to_num(wide.astype(np.float64), nan=0))
            want = np.clip(whole, target.min, target.max).astype(target.dtype)
        else:
            with np.errstate(all="ignore"):
                want = wide.astype(target.dtype)
        assert_same(got, want)
    np.testing.assert_array_equal(conversion(t, halo.bool_, lanes)(a=a), a.astype(np.float64) != 0)


@pytest.mark.parametrize("lanes", (1, 16))
@pytest.mark.parametrize("t", FLOATS, **NAMES)
def test_floats_round_as_in_ml_dtypes(t: Type, lanes: int) -> None:
    a = near(t)
    if t is f4e2m1:  # which has no NaN: ml_dtypes gives zeros of either sign for it
        a = a[~np.isnan(a)]
    with np.errstate(all="ignore"):
        assert_same(conversion(f32, t, lanes)(a=a), a.astype(t.dtype))
        wide = a.astype(np.float64) * (1 + 2.0**-30)
        assert_same(conversion(f64, t, lanes)(a=wide), wide.astype(np.float32).astype(t.dtype))
        for half in (f16, bf16):
            short = a.astype(half.dtype)
            assert_same(conversion(half, t, lanes)(a=short), short.astype(t.dtype))


@pytest.mark.parametrize("t", FLOATS, **NAMES)
def test_every_value_survives_the_way_through_f32(t: Type) -> None:
    a, f, i = halo.Input("a", t, ndim=1), halo.Func("f"), halo.Var("i")
    f[i] = t(f32(a[i]))
    assert_same(f(a=every(t)), every(t))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(width=32), min_size=1, max_size=40), st.sampled_from([t for t in FLOATS if t is not f4e2m1]))
def test_any_float_rounds_as_in_ml_dtypes(values: list[float], t: Type) -> None:
    a = np.array(values, np.float32)
    with np.errstate(all="ignore"):
        assert_same(conversion(f32, t)(a=a), a.astype(t.dtype))


@pytest.mark.parametrize("lanes", (1, 16))
@pytest.mark.parametrize("t", INTEGERS, **NAMES)
def test_integers_wrap_and_floats_saturate(t: Type, lanes: int) -> None:
    whole = np.arange(-300, 300, dtype=np.int32)
    for source in (i32, i64):
        assert_same(conversion(source, t, lanes)(a=whole.astype(source.dtype)), whole.astype(t.dtype))
    real = np.array([-1e9, -8.5, -1.5, -0.5, 0, 1.5, 2.9, 3.9, 7.9, 15.9, 16, 1e9, np.nan, np.inf, -np.inf], np.float32)
    want = np.clip(np.trunc(np.nan_to_num(real, nan=0)), t.min, t.max).astype(t.computed.dtype).astype(t.dtype)
    assert_same(conversion(f32, t, lanes)(a=real), want)


@pytest.mark.parametrize("target", ("python", "numba"))
@pytest.mark.parametrize("t", STORED, **NAMES)
def test_the_reference_backends_give_the_same(t: Type, target: str) -> None:
    """Through a stage of the type, a table of it, and a select."""
    table = every(t)[:3]
    a = near(t)[:20] if t.is_float else np.arange(-10, 10).astype(np.float32)
    x, i = halo.Input("x", f32, ndim=1), halo.Var("i")
    narrow, f = halo.Func("narrow"), halo.Func("f")
    narrow[i] = t(x[i])
    f[i] = halo.select(x[i] > 0, narrow[i], halo.pad(table, "wrap")[i]), narrow[i] + 1, t(1)
    narrow.compute_root()
    with np.errstate(all="ignore"):
        for got, want in zip(f.compile(target=target)(x=a), f(x=a), strict=True):
            assert_same(got, want)


def test_saturate_stays_finite() -> None:
    a, i = halo.Input("a", f32, ndim=1), halo.Var("i")
    values = np.array([np.inf, -np.inf, 1e30, -1e30, np.nan], np.float32)
    for t in FLOATS:
        if t is f8e8m0:
            continue
        f = halo.Func("f")
        f[i] = halo.saturate(t, a[i])
        got = f(a=values).astype(np.float32)
        np.testing.assert_array_equal(got[:4], [t.max, t.min, t.max, t.min])
        assert np.isnan(got[4]) or t is f4e2m1


def test_extremes_are_those_of_ml_dtypes() -> None:
    import ml_dtypes

    for t in STORED:
        info = (ml_dtypes.iinfo if t.is_int else ml_dtypes.finfo)(t.dtype)
        least = info.tiny if t is f8e8m0 else info.min
        assert (t.min, t.max) == (float(least), float(info.max))
        assert t.is_stored and t.bytes == 1 and not any(s.is_stored for s in ALL)
