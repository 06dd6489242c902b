"""Subscripts as mathematical integers; tables; pads, against numpy.pad."""

from __future__ import annotations

import math

import numpy as np
import pytest

import halo
from halo.errors import DefinitionError, TypeMismatchError
from halo.ir.expr import Cast, Expr, Lin, Op, Read, Var
from halo.ir.node import interning
from halo.types import (
    Type,
    bool_,
    f32,
    i32,
    index,
    u8,
)

from .typed import RNG, nodes, one, pipeline, typed, x, y

INF = math.inf


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
            assert all(c.type is index or c.type is bool_ or isinstance(c, Var) for c in nodes(e)), s
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


MODES = ["edge", "constant", "reflect", "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_pads_are_numpy_s(mode: str, n: int) -> None:
    a = RNG.integers(0, 99, (n, 4), np.int32)
    f = halo.Func("f")
    f[y, x] = halo.pad(halo.Input("a", i32, ndim=2), mode)[y - 9, x - 5]
    out = f.compile(target="python")(a, shape=(n + 18, 14))
    np.testing.assert_array_equal(out, np.pad(a, ((9, 9), (5, 5)), mode))


def test_a_pad_of_nothing_is_read_where_scalars_say() -> None:
    k = halo.Param("k", i32)
    f = halo.Func("f")
    f[x] = halo.pad(halo.Input("a", i32, ndim=1), "constant", 7)[x - halo.min(k, 3) + 1]
    for target in (None, "python"):
        kernel = f.compile(target=target)
        for k_, want in ((0, [2, 7, 7]), (5, [7, 7, 1])):
            np.testing.assert_array_equal(kernel(np.array([1, 2], np.int32), k=k_, shape=(3,)), want)
            np.testing.assert_array_equal(kernel(np.zeros(0, np.int32), k=k_, shape=(3,)), [7, 7, 7])


def test_a_pad_is_read_behind_what_scalars_count() -> None:
    n = halo.Param("n", i32)
    (a, b, c), f = (halo.Input(name, i32, ndim=1) for name in "abc"), halo.Func("f")
    f[x] = halo.select(x < 4 * n, a[x], x < 6 * n, halo.pad(b, "constant", 0)[x - 4 * n], c[x - 6 * n])
    parts = [np.arange(k, dtype=np.int32) + 10 * k for k in (12, 6, 3)]
    for target in (None, "python"):
        got = f.compile(target=target)(**dict(zip("abc", parts, strict=True)), n=3, shape=(21,))
        np.testing.assert_array_equal(got, np.concatenate(parts))


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
