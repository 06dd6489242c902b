"""Updates, and inline reductions made stages."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import numpy as np
import pytest

import halo
from halo.errors import DefinitionError, TypeMismatchError
from halo.ir.pipeline import Pipeline
from halo.types import (
    Type,
    bool_,
    f16,
    f32,
    f64,
    i16,
    i32,
    i64,
    u8,
    u16,
    u32,
)

from .typed import RNG, pipeline, values, x, y

INF = math.inf


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
