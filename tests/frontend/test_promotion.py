"""What types meet to: NumPy's table among integers and among floats, and weak numbers."""

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
from halo.errors import TypeMismatchError
from halo.frontend.promotion import Value, Weak, float_kind, join, lossless, number, resolve
from halo.ir.node import interning
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
    i32,
    i64,
    index,
    promote,
    u8,
    u16,
    u64,
)

from .typed import FLOATS, INTS, A, B, kind, nodes, one, typed, values, x

INF = math.inf


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
        assert {n.type for n in nodes(e)} <= {f64, i32, index}


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
