"""Whole pipelines: order, names, inputs, tuples, sizes."""

from __future__ import annotations

import math

import pytest

import halo
from halo.errors import DefinitionError
from halo.frontend.promotion import Weak
from halo.frontend.typing import build_pipeline
from halo.ir.expr import Const, Op, Read
from halo.ir.node import interning
from halo.types import (
    f16,
    f32,
    f64,
    u8,
    u16,
    u32,
)

from .typed import pipeline, x

INF = math.inf


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
