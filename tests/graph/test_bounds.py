"""Bounds: programs for extents that are in a range, whose memory is planned before a call."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import graph
from halo.graph import Net, Var, parse
from halo.graph.module import Bound
from halo.ir.shapes import Dim, DimExpr, dim_join, dim_max, greatest_of, greatest_value
from halo.nn import TensorType
from halo.types import f32

from .test_symbolic import mobile


@pytest.fixture(scope="module")
def net() -> Net:
    return mobile().compile()


def spanned() -> Any:
    return mobile().compile(shapes={"x": (range(1, 3), 3, range(32, 97, 32), range(9, 42))})


def test_extents_of_ranges_give_the_same(net: Net, tmp_path: Any) -> None:
    bounded = spanned()
    assert str(bounded.inputs["x"]) == "f32[n, 3, 32*h + 32, w + 9]"
    bounded.save(tmp_path / "net")
    for one in (bounded, graph.load(tmp_path / "net")):
        for shape in itertools.product((1, 2), (3,), (32, 64, 96), (9, 10, 41)):
            x = np.random.default_rng(1).standard_normal(shape, np.float32)
            np.testing.assert_allclose(one(x), net(x), rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(one(x, out=np.empty_like(one(x))), one(x))


def test_memory_within_ranges_is_planned_before_a_call(net: Net) -> None:
    bounded = spanned()
    before = bounded.memory.arena
    x = np.zeros((2, 3, 96, 41), np.float32)
    bounded(x), net(x)
    assert before == bounded.memory.arena > 0
    static = mobile().compile(shapes={"x": x.shape})
    assert static.memory.arena <= before <= 1.1 * static.memory.arena  # it is planned as for the greatest extents


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((3, 3, 32, 9), r"axis 0 of x takes 2 >= n, and they are 2 and 3"),
        ((1, 3, 128, 9), r"axis 2 of x takes 96 >= 32\*h \+ 32, and they are 96 and 128"),
        ((1, 3, 32, 42), r"axis 3 of x takes 41 >= w \+ 9, and they are 41 and 42"),
        ((1, 3, 33, 9), "x is an array of "),
        ((0, 3, 32, 9), r"axis 0 of x takes n >= 1, and they are 0 and 1"),
        ((1, 3, 32, 8), "x is an array of "),
    ],
)
def test_what_lies_outside_of_ranges_is_refused(shape: tuple[int, ...], why: str, tmp_path: Any) -> None:
    bounded = spanned()
    bounded.save(tmp_path / "net")
    n, _, h, w = shape
    out = np.full((n, 20, (h + 1) // 2, (w + 1) // 2), 7, np.float32)
    for one in (bounded, graph.load(tmp_path / "net")):
        for more in ({}, {"out": out}):
            with pytest.raises(halo.ArgumentError, match=why) as error:
                one(np.zeros(shape, np.float32), **more)
            assert "repeated" not in str(error.value)
    assert (out == 7).all()


TEXT = """
where 1 <= n <= 64, 8 <= 8*w + 8 <= 512;
def main(%x: f32[n, 8*w + 8], %y: f32[n]) -> f32[n, 8*w + 8] {
  %0 = relu(%x);
  %0
}"""


def test_bounds_are_part_of_the_text() -> None:
    m = parse(TEXT)
    assert str(m) == TEXT.strip() == str(parse(str(m)))
    assert m.bounds == (Bound(Dim("n"), 1, 64), Bound(8 * Dim("w") + 8, 8, 512))
    net = m.compile()
    assert net(np.full((64, 512), -1, np.float32), np.ones(64, np.float32)).max() == 0
    with pytest.raises(halo.ArgumentError, match="axis 0 of x takes 64 >= n, and they are 64 and 65"):
        net(np.zeros((65, 8), np.float32), np.ones(65, np.float32))


@pytest.mark.parametrize(
    "line",
    [
        "where;",
        "where n;",
        "where n <= 3;",
        "where 1 <= n <= m;",
        "where 1 < n < 3;",
        "where 1 <= 3 <= 4;",
        "where 1 <= n <= True;",
    ],
)
def test_what_is_no_bound_is_said(line: str) -> None:
    with pytest.raises(halo.ArgumentError, match="line 2 of the program"):
        parse(TEXT.replace("where 1 <= n <= 64, 8 <= 8*w + 8 <= 512;", line))


def test_bounds_follow_what_is_fixed_later() -> None:
    m = parse(TEXT)
    one = m.compile(shapes={"x": (range(8, 65, 8), 16), "y": "n"})
    assert str(one.inputs["x"]) == "f32[8*n + 8, 16]"
    assert one(np.ones((64, 16), np.float32), np.ones(64, np.float32)).sum() == 1024
    with pytest.raises(halo.ArgumentError, match=r"the program takes 1 <= n <= 64, and n is 65"):
        m.compile(shapes={"x": (65, 16), "y": 65})
    less = m.compile(shapes={"x": (range(1, 100), 16), "y": "n"})  # the smaller one counts
    with pytest.raises(halo.ArgumentError, match=r"takes 64 >= n"):
        less(np.ones((65, 16), np.float32), np.ones(65, np.float32))


def test_a_program_is_called_in_another_within_its_bounds() -> None:
    m = parse(TEXT)
    for n in (64, Dim("k")):
        assert m(Var("x", TensorType((n, 16), f32)), Var("y", TensorType((n,), f32))).type.shape == (n, 16)
    with pytest.raises(halo.ArgumentError, match="the program takes 1 <= n <= 64, and n is 65"):
        m(Var("x", TensorType((65, 16), f32)), Var("y", TensorType((65,), f32)))


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((range(5, 5), 16), r"the extent n of x is of no range\(5, 5\)"),
        ((range(9, 1, -1), 16), r"is of no range\(9, 1, -1\)"),
        ((range(-1, 9), 16), r"is of no range\(-1, 9\)"),
        (("n", range(8, 80, 3)), r"the extent 8\*w \+ 8 of x is not 3\*w \+ 8"),
        (range(3), "is a tensor of f32.* not of 1 axes"),
    ],
)
def test_ranges_that_no_call_can_have_are_refused(shape: Any, why: str) -> None:
    with pytest.raises(halo.ArgumentError, match=why):
        parse(TEXT).compile(shapes={"x": shape})


def test_an_axis_that_is_fixed_is_in_its_range() -> None:
    m = parse("def main(%x: f32[4, n]) -> f32[4, n] { %0 = relu(%x); %0 }")
    assert m.compile(shapes={"x": (range(9), range(3, 4))}).inputs["x"].shape == (4, 3)
    with pytest.raises(halo.ArgumentError, match=r"the extent 4 of x is none of range\(5, 9\)"):
        m.compile(shapes={"x": (range(5, 9), "n")})


def test_axes_that_meet_are_bounded_both() -> None:
    m = parse("def main(%x: f32[a], %y: f32[b]) -> f32[join(a, b)] { %0 = add(%x, %y); %0 }")
    net = m.compile(shapes={"x": range(1, 9), "y": range(1, 5)})
    ones = np.ones(8, np.float32)
    assert net(ones[:4], ones[:4]).shape == (4,)
    assert net(ones[:1], ones[:4]).shape == (4,)
    assert net(ones, ones[:1]).shape == (8,)
    for a, b in ((5, 5), (9, 9), (9, 1), (0, 1)):
        with pytest.raises(halo.ArgumentError, match=r"axis 0 of . takes"):
            net(np.ones(a, np.float32), np.ones(b, np.float32))


extents = st.recursive(
    st.integers(-4, 9) | st.sampled_from("abc").map(Dim),
    lambda inner: st.builds(lambda f, x, y: f(x, y), st.sampled_from([
        lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, dim_max, dim_join,
        lambda x, y: x // (y if isinstance(y, int) and y > 0 else 3),
    ]), inner, inner),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(extents, st.fixed_dictionaries(dict.fromkeys("abc", st.integers(0, 5))), st.data())
def test_no_value_is_greater_than_the_greatest(n: Any, most: dict[str, int], data: st.DataObject) -> None:
    dims = {name: data.draw(st.integers(0, k)) for name, k in most.items()}
    top = greatest_value(n, most)
    value = n.evaluate(dims) if isinstance(n, DimExpr) else n
    assert top is not None
    assert value <= top


def test_the_greatest_values_of_what_is_told() -> None:
    a, b = Dim("a"), Dim("b")
    assert greatest_of([(a, 9), (4 * b + 3, 12), (a + 1, 9), (a * b, 3)]) == {"a": 8, "b": 2}
    assert greatest_value(a + 2 * b, {"a": 8, "b": 2}) == 12
    assert greatest_value(100 - a, {"a": 8}) == 100
    assert greatest_value(a + b, {"a": 8}) is None
