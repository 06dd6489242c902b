"""Surface to typed pipelines: promotion, weak numbers, subscripts, updates, boundaries; values against NumPy."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import halo
from halo.errors import DefinitionError, TypeMismatchError
from halo.frontend.promotion import Value, Weak, float_kind, join, lossless, number, resolve
from halo.frontend.typing import build_pipeline
from halo.ir.expr import Cast, Const, Expr, Lin, Op, Read, Var
from halo.ir.node import interning
from halo.ir.pipeline import Pipeline
from halo.types import (
    ALL,
    Type,
    as_type,
    bf16,
    bool_,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    index,
    promote,
    u8,
    u16,
    u32,
    u64,
)

RNG = np.random.default_rng(3)
INTS = [t for t in ALL if t.is_int]
FLOATS = [f16, f32, f64]
x = halo.Var("x")
y = halo.Var("y")
INF = math.inf


def values(t: Type, n: int = 24) -> np.ndarray:
    """Elements of every size, extremes among them."""
    raw = RNG.integers(0, 256, n * t.dtype.itemsize, np.uint8).view(t.dtype)
    if t.is_bool:
        return raw.view(np.uint8) > 127
    if t.is_float:
        return (RNG.standard_normal(n) * 10).astype(t.dtype)
    raw[:3] = t.min, t.max, 0
    return raw


def one(definition: Callable[..., object], *arrays: np.ndarray, shape: object = None) -> np.ndarray:
    """`definition(a[x], b[x], ...)` for every x, by the reference backend."""
    f = halo.Func("f")
    f[x] = definition(*(halo.Input(f"a{k}", a.dtype, ndim=1)[x] for k, a in enumerate(arrays)))
    with np.errstate(all="ignore"):
        kernel = f.compile(target="python")
        return kernel(*arrays, shape=shape if arrays else shape or (8,))


def typed(definition: object, **types: Type) -> Expr:
    """The typed value of a Func of x (and y) that is `definition`; inside `interning()`."""
    f = halo.Func("f")
    f[y, x] = definition
    return build_pipeline([f], types).functions[-1].definitions[0].values[0]


def kind(definition: object, **types: Type) -> Type:
    with interning():
        return typed(definition, **types).type


A, B = halo.Input("a", ndim=2)[y, x], halo.Input("b", ndim=2)[y, x]


# Promotion -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("s", "t"), list(itertools.product(INTS, INTS)), ids=str)
def test_integers_promote_as_numpy_s(s: Type, t: Type) -> None:
    want = i64 if (u64 in (s, t) and s.kind != t.kind) else as_type(np.result_type(s.dtype, t.dtype))
    for op in (operator.add, operator.mul, operator.floordiv, operator.and_, operator.lshift, halo.min):
        assert kind(op(A, B), a=s, b=t) is want


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.and_, operator.or_, operator.xor,
                                halo.min, halo.max], ids=lambda o: o.__name__)  # fmt: skip
@pytest.mark.parametrize("t", INTS, ids=str)
def test_wrapping_arithmetic_is_numpy_s(op: Callable, t: Type) -> None:
    a, b = values(t), values(t)[::-1].copy()
    numpy_s = {halo.min: np.minimum, halo.max: np.maximum}.get(op, op)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(one(op, a, b), numpy_s(a, b))


@pytest.mark.parametrize("t", INTS, ids=str)
def test_a_float_beats_any_integer(t: Type) -> None:
    for f in (f16, bf16, f32, f64):
        assert kind(A + B, a=t, b=f) is f
        assert kind(A / B, a=t, b=f) is f
        assert kind(halo.atan2(A, B), a=f, b=t) is f


def test_floats_promote_as_numpy_s() -> None:
    for s, t in itertools.product(FLOATS, FLOATS):
        assert kind(A * B, a=s, b=t).dtype == np.result_type(s.dtype, t.dtype)
    assert kind(A * B, a=bf16, b=f16) is f32
    assert kind(A * B, a=bf16, b=f64) is f64


@pytest.mark.parametrize("t", ALL, ids=str)
def test_python_numbers_are_weak(t: Type) -> None:
    whole = i32 if t is bool_ else t
    half = t if t.is_float else f32 if t.is_int and t.bits <= 16 else f64
    assert kind(A + 1, a=t) is whole
    assert kind(1 + A, a=t) is whole
    assert kind(A * 0.5, a=t) is half
    assert kind(A / 2, a=t) is half
    assert kind(halo.sqrt(A), a=t) is half


def test_index_variables_are_i32_among_integers() -> None:
    for t in INTS:
        assert kind(A + x, a=t) is promote(t, i32)
    assert kind(x + 1) is i32
    assert kind(x + halo.Input("a", ndim=2).shape[0]) is i32


def test_index_variables_are_weak_with_floats() -> None:
    for t in (f16, bf16, f32, f64):
        assert kind(A * x, a=t) is t
        assert kind(A * (x + 0.5), a=t) is t
        assert kind(A + x / 2, a=t) is t
        assert kind(A + halo.sqrt(x), a=t) is t
    for e in (x * 0.5, x / 2, halo.sqrt(x), halo.exp(x) + 1, halo.select(x > 3, x, 0.5)):
        assert kind(e) is f32
    assert kind((x & 1) * 0.5) is f32
    assert kind(A / x, a=u8) is f32


def test_weak_floats_are_computed_in_the_type_they_meet() -> None:
    with interning():
        e = typed(A + x / 3, a=f64)
        assert {n.type for n in _nodes(e)} <= {f64, i32, index}


def test_bool_counts_as_i32_in_arithmetic() -> None:
    for e in (A + A, A * 2, -A, A << 1, abs(A), A + True):
        assert kind(e, a=bool_) is i32
    assert kind(A + B, a=bool_, b=u8) is i32
    for e in (A & A, A | True, ~A, A ^ (x > 2)):
        assert kind(e, a=bool_) is bool_
    assert kind(halo.select(A, A, True), a=bool_) is bool_


def test_definitions_of_python_numbers_alone() -> None:
    assert [kind(e) for e in (1, 1.5, True, -1, 2**31 - 1)] == [i32, f32, bool_, i32, i32]
    assert kind(halo.select(x > 2, 1, 0)) is i32
    assert kind(A + halo.select(x > 2, 1, 0), a=u8) is u8
    with pytest.raises(TypeMismatchError, match="does not fit"):
        kind(2**31)


@pytest.mark.parametrize("e", [A + 256, A - (-1), A < 300, halo.min(A, -1), A & 1000, halo.select(A > 1, A, 999)])
def test_a_python_int_that_does_not_fit_its_operand(e: object) -> None:
    with pytest.raises(TypeMismatchError, match="does not fit") as error:
        kind(e, a=u8)
    assert error.value.loc.file == __file__
    assert "halo." in error.value.hint


@given(st.sampled_from(INTS), st.data())
def test_numbers_are_what_numpy_makes_of_them(t: Type, data: st.DataObject) -> None:
    n = data.draw(st.integers(t.min, t.max))
    with interning():
        assert number(n, t).value == n == int(t.dtype.type(n))
        for f in FLOATS:
            v = data.draw(st.floats(width=64, allow_nan=False))
            with np.errstate(all="ignore"):
                assert number(v, f).value == float(f.dtype.type(v))


@pytest.mark.parametrize(("s", "t"), list(itertools.product(ALL, ALL)), ids=str)
def test_lossless_conversions_are_those_that_keep_every_value(s: Type, t: Type) -> None:
    if s.is_bool or t.is_bool:
        assert lossless(s, t) is s.is_bool
    elif bf16 in (s, t):
        assert lossless(s, t) is (s is t or (s is bf16 and t in (f32, f64)) or (t is bf16 and s in (i8, u8)))
    else:
        assert lossless(s, t) is bool(np.can_cast(s.dtype, t.dtype)) or (s, t) == (i64, f64) or (s, t) == (u64, f64)
        if s.is_int and t.is_float:
            with np.errstate(over="ignore"):
                assert lossless(s, t) is all(float(t.dtype.type(v)) == v for v in (s.max, s.max - 1, s.min, s.min + 1))


def test_the_tables_of_kinds() -> None:
    assert join(Weak.INT, Weak.INDEX) is Weak.INDEX
    assert join(Weak.FLOAT, u16) is f32
    assert float_kind(Weak.INDEX) is Weak.FLOAT
    assert [resolve(Value(k)) for k in Weak] == [bool_, i32, i32, f32]


# Operators -----------------------------------------------------------------------------------------------------------


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


# fma -----------------------------------------------------------------------------------------------------------------


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


# Subscripts ----------------------------------------------------------------------------------------------------------


def _nodes(e: Expr) -> list[Expr]:
    from halo.ir.expr import children

    return [e, *(n for c in children(e) for n in _nodes(c))]


def subscript(e: object, **types: Type) -> Expr:
    """The typed subscript of a read at `e`; inside `interning()`."""
    value = typed(halo.Input("t", u8, ndim=1)[e], **types)
    assert isinstance(value, Read)
    return value.indices[0]


def test_subscripts_are_mathematical_integers() -> None:
    with interning():
        n, shape = halo.Param("n", i32), halo.Input("t", u8, ndim=1).shape
        e = subscript(2 * x + n - shape[0] + 1)
        assert isinstance(e, Lin)
        assert e.type is index
        for s in ((x + y) // 2, x % 8, halo.min(x, 5), halo.clamp(x, 0, n), halo.select(x > 2, x, 0), x << 2, x & 7, x**2,
                  -x, abs(x), (x + n) // 3):  # fmt: skip
            e = subscript(s)
            assert e.type is index
            assert all(c.type is index or c.type is bool_ or isinstance(c, Var) for c in _nodes(e)), s
        assert subscript(x & 7).name == "mod"
        small = halo.Param("small", u8)
        assert isinstance(subscript(x + (small + 200)), Lin)


def test_data_dependent_subscripts_are_converted() -> None:
    with interning():
        a = halo.Input("a", u8, ndim=2)[y, x]
        e = subscript(a)
        assert isinstance(e, Cast)
        assert isinstance(e.value, Read)
        wrapped = subscript(a + 1)
        assert isinstance(wrapped.value, Op)
        assert wrapped.value.type is u8
        mixed = subscript(x + a)
        assert isinstance(mixed, Lin)
        assert any(isinstance(t, Cast) for t, _ in mixed.terms)
        with pytest.raises(TypeMismatchError, match="integer"):
            subscript(x / 2)
        with pytest.raises(TypeMismatchError, match="integer"):
            subscript(halo.Input("b", f32, ndim=2)[y, x])


def test_index_values_wrap_as_i32() -> None:
    f = halo.Func("f")
    f[x] = x * x
    big = 70000
    assert f.realize((1,), origin=(big,))[0] == np.int32(np.int64(big * big).astype(np.int32))


def test_predicates_of_index_variables_do_not_wrap() -> None:
    f = halo.Func("f")
    f[x] = x * 70000 > 0
    assert f.realize((1,), origin=(70000,))[0]


def test_tables() -> None:
    from halo.ir.surface import Table

    data = np.array([3, 1, 4, 1, 5, 9, 2, 6], np.int16)
    table = Table(data)
    out = one(lambda e: table[e & 7], np.arange(20, dtype=np.uint8))
    np.testing.assert_array_equal(out, data[np.arange(20) & 7])
    big = Table(np.arange(40000, dtype=np.int32), "big")
    np.testing.assert_array_equal(
        one(lambda e: big[halo.i32(e) * 100], np.arange(9, dtype=np.uint8)), np.arange(9) * 100
    )


# Updates and reductions ----------------------------------------------------------------------------------------------


def pipeline(f: halo.Func, **types: Type) -> Pipeline:
    with interning():
        return build_pipeline([f], types)


def accumulated(start: object, step: object, **types: Type) -> Type:
    f, r = halo.Func("f"), halo.rdom(3)
    f[x] = start
    f[x] += step(r) if callable(step) else step
    return pipeline(f, **types)["f"].types[0]


def test_an_update_takes_what_is_lossless_or_weak() -> None:
    a = halo.Input("a", ndim=1)
    assert accumulated(u32(0), 1) is u32
    assert accumulated(i32(0), a[x], a=u16) is i32
    assert accumulated(f32(0), a[x], a=i64) is f32  # f32 + i64 is f32
    assert accumulated(f32(0), x) is f32
    assert accumulated(i64(0), x) is i64
    for start, t in ((u8(0), u16), (i32(0), u32), (i32(0), f32), (f32(0), f64)):
        with pytest.raises(TypeMismatchError, match="stores") as error:
            accumulated(start, a[x], a=t)
        assert repr(start.type) in str(error.value)
        assert error.value.related
    with pytest.raises(TypeMismatchError, match="stores"):
        accumulated(i32(0), 0.5)


def test_the_pure_stage_that_is_left_out() -> None:
    a = halo.Input("a", ndim=1)
    for op, start in ((operator.iadd, 0), (operator.isub, 0), (operator.imul, 1), (operator.itruediv, 1)):
        f, r = halo.Func("f"), halo.rdom(4)
        f[x] = op(f[x], a[r])
        p = pipeline(f, a=u16)
        want = f32 if op is operator.itruediv else u16
        assert p["f"].types == (want,)
        assert p["f"].definitions[0].values[0].value == start
    f = halo.Func("f")
    with pytest.raises(DefinitionError, match="before its pure definition"):
        f[x] |= a[halo.rdom(3)]
        pipeline(f)


def fold(e: Callable[[halo.Expr], object], **types: Type) -> Pipeline:
    f = halo.Func("f")
    r = halo.rdom(5)
    f[x] = e(r[0])
    return pipeline(f, **types)


def test_reductions_fold_with_the_operator_s_own_promotion() -> None:
    a = halo.Input("a", ndim=1)
    cases = [
        (lambda r: halo.sum(a[r], r.rdom), u8, u8, 0), (lambda r: halo.sum(a[r], r.rdom, u32(7)), u8, u32, 7),
        (lambda r: halo.prod(a[r], r.rdom), i16, i16, 1), (lambda r: halo.min(a[r], r.rdom), u8, u8, 255),
        (lambda r: halo.max(a[r], r.rdom), f32, f32, -INF), (lambda r: halo.any(a[r], r.rdom), u8, bool_, 0),
        (lambda r: halo.all(a[r], r.rdom), bool_, bool_, 1), (lambda r: halo.sum(a[r], r.rdom), bool_, i32, 0),
        (lambda r: halo.sum(1, r.rdom), u8, i32, 0), (lambda r: halo.mean(a[r], r.rdom), u8, f32, 0),
        (lambda r: halo.mean(a[r], r.rdom), f16, f32, 0), (lambda r: halo.mean(a[r], r.rdom), i32, f64, 0),
    ]  # fmt: skip
    for e, t, want, start in cases:
        f = fold(e, a=t).functions[-1]
        assert f.types == (want,)
        assert f.definitions[0].values[0].value == start


def test_a_definition_that_is_a_reduction_is_an_update() -> None:
    a = halo.Input("a", ndim=1)
    p = fold(lambda r: halo.sum(a[x + r], r.rdom))
    assert [f.name for f in p.functions] == ["f"]
    assert [r.var.name for r in p["f"].definitions[1].rvars] == ["r"]
    p = fold(lambda r: 1 + halo.sum(a[x + r], r.rdom) * halo.max(a[r], r.rdom))
    assert [f.name for f in p.functions] == ["f_sum", "f_max", "f"]
    assert p["f_sum"].innermost
    assert len(p["f_sum"].vars) == 1
    assert len(p["f_max"].vars) == 0


def test_reductions_over_one_domain_share_an_update() -> None:
    a = halo.Input("a", ndim=1)
    f = halo.Func("f")
    f[x] = halo.sum(a[(r := halo.rdom(5))[0] + x], r), halo.max(a[(s := halo.rdom(5))[0]], s)
    p = pipeline(f, a=u8)
    assert len(p.functions) == 1
    assert len(p["f"].definitions) == 2
    f = halo.Func("f")
    f[x] = halo.sum(a[(r := halo.rdom(5))[0] + x], r), halo.max(a[(s := halo.rdom(6))[0]], s)
    assert [g.name for g in pipeline(f, a=u8).functions] == ["f_sum", "f_max", "f"]


def test_nested_reductions() -> None:
    a = RNG.integers(0, 9, (6, 4), np.int64)
    rows, cols = halo.rdom(6, names="k"), halo.rdom(4, names="k")
    inp = halo.Input("a", i64, ndim=2)
    f = halo.Func("f")
    f[x] = halo.max(halo.sum(inp[rows, cols] * x, cols), rows)
    out = f.compile(target="python")(a, shape=(3,))
    np.testing.assert_array_equal(out, [(a * k).sum(axis=1).max() for k in range(3)])
    assert [g.name for g in pipeline(f).functions] == ["f_sum", "f"]


def test_reductions_with_conditions() -> None:
    a = values(i64, 50) % 100
    inp = halo.Input("a", i64, ndim=1)
    f = halo.Func("f")
    s = halo.rdom(50)
    s.where(inp[s] > 40)
    f[x] = halo.mean(inp[s], s) + 0 * x
    np.testing.assert_allclose(f.compile(target="python")(a, shape=(1,)), a[a > 40].mean())
    where = halo.rdom(50)
    where.where(inp[where] % 2 == 1)
    g = halo.Func("g")
    g[()] = halo.argmin(inp[where], where)
    at, least = g.compile(target="python")(a, shape=())
    odd = np.where(a % 2 == 1, a, 10**9)
    assert (int(at), int(least)) == (odd.argmin(), odd.min())


def test_argmin_finds_the_first_extremum_and_nan() -> None:
    inp, s = halo.Input("a", f64, ndim=1), halo.rdom(7)
    f = halo.Func("f")
    f[()] = halo.argmin(inp[s], s)
    kernel = f.compile(target="python")
    for a in ([3.0, 1, 2, 1, 5, 6, 7], [INF] * 7, [3, np.nan, 1, np.nan, 2, 0, 0], [-INF] * 7):
        at, value = kernel(np.array(a, float), shape=())
        assert at == np.argmin(a)
        np.testing.assert_equal(float(value), np.min(a))


def test_wrong_updates() -> None:
    a = halo.Input("a", ndim=1)

    def error(define: Callable[[halo.Func], None], match: str) -> None:
        f = halo.Func("f")
        with pytest.raises(DefinitionError, match=match) as caught:
            define(f)
            pipeline(f)
        assert caught.value.loc is not None
        assert caught.value.loc.file == __file__

    def free_variable(f: halo.Func) -> None:
        f[y, x] = 0
        f[0, x] = y

    def swapped(f: halo.Func) -> None:
        f[y, x] = 0
        f[x, y] = 1

    def two_domains(f: halo.Func) -> None:
        f[x] = 0
        f[halo.rdom(3)] = a[halo.rdom(4)]

    def moving_bounds(f: halo.Func) -> None:
        f[x] = 0
        f[halo.rdom(a[0])] += 1

    def domain_in_pure(f: halo.Func) -> None:
        f[x] = a[x + halo.rdom(3)[0]]

    def self_read_untyped(f: halo.Func) -> None:
        f[x] += f[x - 1]

    def unknown(f: halo.Func) -> None:
        f[x] = a[y]

    error(free_variable, "own place")
    error(swapped, "own place")
    error(two_domains, "one reduction domain")
    error(moving_bounds, "bounds of a domain")
    error(domain_in_pure, "reduction domain")
    error(self_read_untyped, "type of f")
    error(unknown, "not an index variable")


def test_funcs_that_read_each_other() -> None:
    f, g = halo.Func("f"), halo.Func("g")
    f[x] = halo.Input("a", ndim=1)[x]
    g[x] = f[x]
    with pytest.raises(DefinitionError, match="in use"):
        f[x] += g[x]


# Boundaries ----------------------------------------------------------------------------------------------------------

MODES = ["edge", "constant", "reflect", "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_pads_are_numpy_s(mode: str, n: int) -> None:
    a = RNG.integers(0, 99, (n, 4), np.int32)
    f = halo.Func("f")
    f[y, x] = halo.pad(halo.Input("a", i32, ndim=2), mode)[y - 9, x - 5]
    out = f.compile(target="python")(a, shape=(n + 18, 14))
    np.testing.assert_array_equal(out, np.pad(a, ((9, 9), (5, 5)), mode))


def test_pads_with_bounds_and_values() -> None:
    a = np.arange(10, dtype=np.float32)
    inp = halo.Input("a", f32, ndim=1)
    f = halo.Func("f")
    f[x] = halo.pad(inp, "constant", math.nan, bounds=[(2, 3)])[x]
    np.testing.assert_array_equal(f.compile(target="python")(a), [np.nan] * 2 + [2, 3, 4] + [np.nan] * 5)
    rows = halo.Func("rows")
    rows[y, x] = y * 10 + x
    g = halo.Func("g")
    g[y, x] = halo.pad(rows, "wrap", bounds=[None, (0, 3)])[y, x]
    np.testing.assert_array_equal(g.compile(target="python")(shape=(2, 5)), [[0, 1, 2, 0, 1], [10, 11, 12, 10, 11]])
    with pytest.raises(TypeMismatchError, match="does not fit"):
        h = halo.Func("h")
        h[x] = halo.pad(halo.Input("b", u8, ndim=1), "constant", 300)[x]
        pipeline(h)
    with pytest.raises(DefinitionError, match="no extents"):
        h = halo.Func("h")
        h[y, x] = halo.pad(rows, "edge")[y, x]
        pipeline(h)


# Pipelines -----------------------------------------------------------------------------------------------------------


def chain(n: int) -> halo.Func:
    f = halo.Func("stage")
    f[x] = halo.Input("a", ndim=1)[x]
    for _ in range(n):
        g = halo.Func("stage")
        g[x] = f[x - 1] + f[x + 1]
        f = g
    return f


def test_many_stages_and_deep_expressions_do_not_recurse() -> None:
    p = pipeline(chain(1500))
    assert len(p.functions) == 1501
    assert p.functions[1].name == "stage_1"
    f = halo.Func("f")
    e = halo.Input("a", ndim=1)[x]
    for _ in range(3000):
        e = e + 1
    f[x] = e
    with interning():
        assert build_pipeline([f]).functions[0].types == (f32,)


def test_names_are_unique_in_topological_order_inputs_first() -> None:
    f, g, h = halo.Func("a"), halo.Func("a"), halo.Func("f")
    a = halo.Input("a", ndim=1)
    f[x] = a[x]
    g[x] = a[x] * 2
    h[x] = g[x] + f[x]
    p = pipeline(h)
    assert [q.name for q in p.functions] == ["a_1", "a_2", "f"]
    assert isinstance(p["a_1"].definitions[0].values[0], Op)  # g is read first
    assert isinstance(p["a_2"].definitions[0].values[0], Read)


def test_inputs_merge_by_name() -> None:
    f, g = halo.Func("f"), halo.Func("g")
    f[x] = halo.Input("a", ndim=1)[x] * halo.Param("k", default=2.0)
    g[x] = f[x] + halo.Input("a", u8)[x] * halo.Param("k", f32)
    p = pipeline(g)
    assert [a.name for a in p.inputs] == ["a"]
    assert p.inputs[0].types == (u8,)
    assert [(q.name, q.var.type, q.default) for q in p.params] == [("k", f32, 2.0)]

    def conflict(other: halo.Expr, match: str) -> None:
        h = halo.Func("h")
        h[x] = g[x] + other
        with pytest.raises(DefinitionError, match=match) as error:
            pipeline(h)
        assert error.value.related

    conflict(halo.Input("a", u16)[x], "type")
    conflict(halo.Input("a")[x, x], "indices")
    conflict(halo.Param("a"), "scalar")
    conflict(halo.Param("k", default=3.0), "default")


def test_python_floats_as_arguments_are_weak() -> None:
    a, k = halo.Input("a", ndim=1), halo.Param("k")
    for t in (f16, f32, f64):
        f = halo.Func("f")
        f[x] = a[x] * k
        with interning():
            p = build_pipeline([f], {"a": t}, {"k": Weak.FLOAT})
            assert p["f"].types == (t,)
            assert p.params[0].var.type is f64
    with interning():
        assert build_pipeline([f], {"a": u8}, {"k": f64})["f"].types == (f64,)


def test_constants_and_undef() -> None:
    f, r = halo.Func("f"), halo.rdom(3)
    f[x] = halo.undef
    f[r] = halo.Input("a", u16, ndim=1)[r]
    p = pipeline(f)
    assert p["f"].types == (u16,)
    assert p["f"].definitions[0].values == (None,)
    g = halo.Func("g")
    g[x] = halo.undef(halo.f32)
    assert pipeline(g)["g"].types == (f32,)
    h = halo.Func("h")
    h[x] = halo.undef
    with pytest.raises(DefinitionError, match="what type"):
        pipeline(h)


def test_tuples() -> None:
    f = halo.Func("f")
    f[x] = (halo.Input("a", u8, ndim=1)[x], 0.5)
    f[x][1] += 2
    g = halo.Func("g")
    lo, hi = f[x]
    g[x] = lo + hi
    p = pipeline(g)
    assert p["f"].types == (u8, f32)
    assert p["f"].definitions[1].values[0] is None
    assert p["g"].types == (f32,)
    h = halo.Func("h")
    h[x] = f[x] * 2
    with pytest.raises(DefinitionError, match="pick one"):
        pipeline(h)


def test_random_numbers_have_streams() -> None:
    f = halo.Func("f")
    f[x] = halo.random_u32() + halo.random_u32()
    with interning():
        e = build_pipeline([f])["f"].definitions[0].values[0]
        assert e.args[0] is not e.args[1]
        again = build_pipeline([f])["f"].definitions[0].values[0]
        assert [n.data for n in again.args] == [n.data for n in e.args]
    g = halo.Func("g")
    g[x] = halo.random_u32(5) - halo.random_u32(5)
    with interning():
        assert build_pipeline([g])["g"].definitions[0].values[0] is Const(0, u32)
