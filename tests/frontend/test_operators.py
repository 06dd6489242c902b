"""What operators and functions mean, against NumPy and plain Python; products that become fma."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import numpy as np
import pytest

import halo
from halo.errors import TypeMismatchError
from halo.frontend.typing import build_pipeline
from halo.ir.node import interning
from halo.types import (
    ALL,
    Type,
    bool_,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    u8,
    u16,
    u32,
    u64,
)

from .typed import INTS, A, B, kind, one, typed, values, x, y

INF = math.inf


@pytest.mark.parametrize("t", INTS, ids=str)
def test_floor_division_and_modulo(t: Type) -> None:
    a, b = values(t), np.roll(values(t), 5)
    b[::4] = 0
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(one(operator.floordiv, a, b), np.where(b == 0, 0, a // b))
        np.testing.assert_array_equal(one(operator.mod, a, b), np.where(b == 0, 0, a % b))
    if t.kind == "int":
        least = np.array([t.min], t.dtype)
        assert one(lambda e: e // -1, least)[0] == t.min
        assert one(operator.neg, least)[0] == t.min
        assert one(abs, least)[0] == t.min


@pytest.mark.parametrize("t", [f32, f64], ids=str)
def test_float_division_and_modulo_follow_numpy(t: Type) -> None:
    a, b = values(t), np.roll(values(t), 5)
    b[0], a[1], b[2] = 0, INF, -INF
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(one(operator.truediv, a, b), a / b)
        np.testing.assert_array_equal(one(operator.floordiv, a, b), a // b)
        np.testing.assert_array_equal(one(operator.mod, a, b), a % b)


def test_shifts_by_the_width_and_by_negative_amounts() -> None:
    a = np.array([-128, -1, 1, 127], np.int8)
    for n in (0, 3, 7, 8, 100):
        np.testing.assert_array_equal(one(lambda e, n=n: e << n, a), (a.astype(object) << n).astype(np.int64).astype(np.int8)
                                      if n < 8 else np.zeros(4, np.int8))  # fmt: skip
        np.testing.assert_array_equal(one(lambda e, n=n: e >> n, a), a >> min(n, 7))
    np.testing.assert_array_equal(one(lambda e: e << -1, a), a >> 1)
    np.testing.assert_array_equal(one(lambda e: e >> -1, a), (a.astype(int) * 2).astype(np.int8))


@pytest.mark.parametrize("t", [i8, i32, u8, u64], ids=str)
def test_integer_powers(t: Type) -> None:
    a = values(t)
    with np.errstate(all="ignore"):
        for n in (0, 1, 2, 3, 10):
            np.testing.assert_array_equal(one(lambda e, n=n: e**n, a), a**n)
        b = np.arange(24).astype(t.dtype)
        np.testing.assert_array_equal(one(operator.pow, a, b), a**b)
    if t.kind == "int":
        base = np.array([1, -1, -1, 2, 0], t.dtype)
        np.testing.assert_array_equal(
            one(operator.pow, base, np.array([-3, -3, -2, -1, -1], t.dtype)), [1, -1, 1, 0, 0]
        )
    with pytest.raises(TypeMismatchError, match="negative power"):
        kind(A**-1, a=t)


def test_float_powers() -> None:
    a = np.abs(values(f64)) + 0.1
    for n in (-1, 0, 1, 2, 3, 8):
        np.testing.assert_allclose(one(lambda e, n=n: e**n, a), a**n, rtol=1e-15)
    np.testing.assert_allclose(one(lambda e: e**0.37, a), a**0.37, rtol=1e-14)
    np.testing.assert_allclose(one(lambda e: e**-7, a), a**-7.0, rtol=1e-14)
    assert kind(A**2, a=u8) is u8
    assert kind(A**0.5, a=u8) is f32
    with interning():
        assert typed(A**2, a=f32).name == "mul"


@pytest.mark.parametrize("op", [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne])
@pytest.mark.parametrize("t", ALL, ids=str)
def test_comparisons(op: Callable, t: Type) -> None:
    a, b = values(t), np.roll(values(t), 3)
    b[::2] = a[::2]
    out = one(op, a, b)
    assert out.dtype == np.bool_
    np.testing.assert_array_equal(out, op(a, b))


def test_and_or_not_are_python_s() -> None:
    a, b = np.array([0, 0, 3, 3]), np.array([0, 5, 0, 5])
    np.testing.assert_array_equal(one(np.logical_and, a, b), [p and q for p, q in zip(a, b, strict=True)])
    np.testing.assert_array_equal(one(np.logical_or, a, b), [p or q for p, q in zip(a, b, strict=True)])
    np.testing.assert_array_equal(one(np.logical_not, a), a == 0)
    with interning():
        guarded = typed(np.logical_and(x > 0, halo.Input("a", ndim=2)[y, x - 1] > 2))
        assert guarded.name == "select"


def test_conversions() -> None:
    floats = np.array([-INF, -300.7, -1.5, 0.0, 1.5, 200.9, 300, INF, np.nan])
    np.testing.assert_array_equal(one(halo.u8, floats), [0, 0, 0, 0, 1, 200, 255, 255, 0])
    np.testing.assert_array_equal(one(halo.i8, floats), [-128, -128, -1, 0, 1, 127, 127, 127, 0])
    np.testing.assert_array_equal(one(halo.bool_, floats), floats != 0)
    wide = np.array([-1, 0, 255, 256, 300])
    np.testing.assert_array_equal(one(halo.u8, wide), wide.astype(np.uint8))
    np.testing.assert_array_equal(one(lambda e: halo.saturate(u8, e), wide), np.clip(wide, 0, 255))
    np.testing.assert_array_equal(
        one(lambda e: halo.saturate(i16, e), wide.astype(np.uint64)), [32767, 0, 255, 256, 300]
    )
    np.testing.assert_array_equal(one(lambda e: halo.saturate(u8, e), floats), [0, 0, 0, 0, 1, 200, 255, 255, 0])
    assert kind(halo.saturate(u8, 300)) is u8


@pytest.mark.parametrize("t", [i8, i16, u8, u16], ids=str)
def test_fixed_point(t: Type) -> None:
    a, b = values(t), np.roll(values(t), 7)
    p, q = a.astype(object), b.astype(object)

    def check(f: Callable, want: object) -> None:
        np.testing.assert_array_equal(one(f, a, b).astype(object), want)

    check(halo.absd, abs(p - q))
    check(halo.avg_down, (p + q) // 2)
    check(halo.avg_up, (p + q + 1) // 2)
    check(halo.sat_add, np.clip(p + q, t.min, t.max))
    check(halo.sat_sub, np.clip(p - q, t.min, t.max))
    check(halo.mul_high, (p * q) // 2**t.bits)
    check(halo.widening_mul, p * q)
    check(halo.widening_add, p + q)
    check(halo.widening_sub, p - q)
    assert kind(halo.absd(A, B), a=t, b=t).kind == "uint"
    assert kind(halo.widening_mul(A, B), a=u8, b=i8) is i16
    assert kind(halo.widening_mul(A, B), a=f16, b=f16) is f32
    with pytest.raises(TypeMismatchError, match="twice as wide"):
        kind(halo.widening_mul(A, B), a=i64, b=i64)


@pytest.mark.parametrize("t", INTS, ids=str)
def test_bits(t: Type) -> None:
    a = values(t)
    plain = [int(v) & (2**t.bits - 1) for v in a]
    np.testing.assert_array_equal(one(halo.popcount, a), [v.bit_count() for v in plain])
    np.testing.assert_array_equal(one(halo.clz, a), [t.bits - v.bit_length() for v in plain])
    np.testing.assert_array_equal(one(halo.ctz, a), [((v & -v).bit_length() - 1) if v else t.bits for v in plain])
    np.testing.assert_array_equal(one(operator.invert, a), ~a)


def test_reinterpreting_and_cutting_bits() -> None:
    a = values(u32)
    np.testing.assert_array_equal(one(lambda e: halo.reinterpret(i32, e), a), a.view(np.int32))
    np.testing.assert_array_equal(one(lambda e: halo.extract_bits(u8, e, 8), a), (a >> 8).astype(np.uint8))
    low, high = a.astype(np.uint16), (a >> 16).astype(np.uint16)
    np.testing.assert_array_equal(one(lambda p, q: halo.concat_bits(p, q), low, high), a)
    with pytest.raises(TypeMismatchError, match="width"):
        kind(halo.reinterpret(f32, A), a=u16)


def test_lerp() -> None:
    a, b, w = (values(u8) for _ in range(3))
    exact = [
        math.floor((int(p) * (255 - int(t)) + int(q) * int(t)) / 255 + 0.5) for p, q, t in zip(a, b, w, strict=True)
    ]
    np.testing.assert_array_equal(one(halo.lerp, a, b, w), exact)
    np.testing.assert_array_equal(one(lambda p, q: halo.lerp(p, q, 0.25), a, b),
                                  np.rint(a * np.float32(0.75) + b * np.float32(0.25)))  # fmt: skip
    f, g = values(f32), values(f32)
    np.testing.assert_array_equal(one(lambda p, q: halo.lerp(p, q, 1.0), f, g), g)
    np.testing.assert_allclose(one(lambda p, q: halo.lerp(p, q, 0.3), f, g), f * 0.7 + g * 0.3, rtol=1e-5)
    signed = np.array([-100, 100], np.int8)
    np.testing.assert_array_equal(
        one(lambda p, t: halo.lerp(p, -p, t), signed, np.array([255, 0], np.uint8)), [100, 100]
    )
    with pytest.raises(TypeMismatchError, match="weight"):
        kind(halo.lerp(A, A, B), a=u8, b=i8)


def test_rounding_functions_keep_integers() -> None:
    a = values(i32)
    for f in (halo.floor, halo.ceil, halo.trunc, halo.round):
        np.testing.assert_array_equal(one(f, a), a)
    v = np.array([-2.5, -0.5, 0.5, 1.5, 2.4], np.float32)
    np.testing.assert_array_equal(one(halo.round, v), np.rint(v))
    np.testing.assert_array_equal(one(halo.trunc, v), np.trunc(v))
    assert kind(halo.isnan(A), a=i32) is bool_


def test_python_numbers_are_computed_by_python() -> None:
    with interning():
        assert typed(A * (halo.sqrt(2.0) * 3 - 1 // 2), a=f64).args[1].value == math.sqrt(2.0) * 3
        assert typed(halo.i32(7) + 0).value == 7


def test_products_beside_sums_become_fma() -> None:
    with interning():
        a, b, c = (halo.Input(n, f32, ndim=2)[y, x] for n in "abc")
        cases = {
            "a*b + c": a * b + c, "c + a*b": c + a * b, "a*b - c": a * b - c, "c - a*b": c - a * b,
        }  # fmt: skip
        for text, e in cases.items():
            assert typed(e).name == "fma", text
        both = typed(a * b + b * c)
        assert (both.name, both.args[2].name) == ("fma", "mul")
        assert both.args[0].array.name == "a"
        assert typed(halo.Input("n", i32, ndim=2)[y, x] * 3 + 1).name == "add"
        assert typed(a * b + c, c=f16).name == "fma"
    product = halo.Func("product")
    product[y, x] = a * b
    with interning():
        f = halo.Func("f")
        f[y, x] = product[y, x] + c
        assert build_pipeline([f]).functions[-1].definitions[0].values[0].name == "add"
        f = halo.Func("f")
        f[y, x] = a * b + c
        assert build_pipeline([f], fma=False).functions[-1].definitions[0].values[0].name == "add"


def test_fma_rounds_once() -> None:
    a, b, c = np.float64(1 + 2**-30), np.float64(1 - 2**-30), np.float64(-1.0)
    out = one(lambda p, q, r: p * q + r, *(np.array([v]) for v in (a, b, c)))
    assert out[0] == -(2.0**-60)
