"""Symbolic axes: one compiled program for all extents, which gives what the one for fixed extents gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import Dim, graph, nn
from halo.graph import Constant, Function, Module, Net, Var, constants, parse
from halo.graph.ir import constant
from halo.graph.memory import Lifetime, share
from halo.graph.symbolic import renamed
from halo.nn import TensorType
from halo.types import f32

from .helpers import by_reference, weights


def mobile() -> Module:
    """A strided and a depthwise convolution, a shortcut, and channels scaled by what the picture is on the whole."""

    def c(*shape: int) -> Constant:
        return Constant(weights(*shape, seed=len(shape)), "c")

    x = Var("x", TensorType((Dim("n"), 3, Dim("h"), Dim("w")), f32))
    a = nn.relu(nn.conv2d(x, c(20, 3, 3, 3), c(20), strides=2, padding=1))
    b = nn.clip(nn.conv2d(a, c(20, 1, 3, 3), c(20), padding=1, groups=20), low=0.0, high=6.0)
    joined = nn.add(nn.conv2d(b, c(20, 20, 1, 1)), a)
    scale = nn.hard_sigmoid(nn.conv2d(nn.global_average_pool(joined), c(20, 20, 1, 1), c(20)))
    return Module({"main": Function((x,), nn.multiply(joined, scale))}, ("y",))


@pytest.fixture(scope="module")
def net() -> Net:
    return mobile().compile()


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.integers(1, 3), st.just(3), st.integers(1, 70), st.integers(1, 70)))
def test_every_extent_gives_what_the_operators_give(net: Net, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    got = net(x)
    want = by_reference(mobile(), x=x)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, atol=1e-5 * max(1, np.abs(want).max()))
    np.testing.assert_array_equal(net(x), got)


def test_the_static_program_gives_the_same(net: Net) -> None:
    for shape in ((1, 3, 33, 41), (2, 3, 8, 5)):
        x = np.random.default_rng(1).standard_normal(shape, np.float32)
        static = mobile().compile(shapes={"x": shape})
        assert static.inputs["x"].shape == shape
        np.testing.assert_allclose(static(x), net(x), rtol=1e-5, atol=1e-6)


def test_a_new_extent_compiles_nothing(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halo.jit.runtime.compiled", None)
    monkeypatch.setattr("halo.lowering.lower", None)
    for n in (4, 9, 50):
        net(np.ones((1, 3, n, 2 * n), np.float32))


def test_text_and_artefact(net: Net, tmp_path: Any) -> None:
    m = mobile()
    for stage in (m, m.run_passes()):
        assert str(parse(str(stage), constants(stage), stage.outputs)) == str(stage)
    net.save(tmp_path / "net")
    x = np.ones((1, 3, 11, 7), np.float32)
    np.testing.assert_array_equal(graph.load(tmp_path / "net")(x), net(x))


def test_profile_and_memory(net: Net) -> None:
    rows = net.profile(np.ones((1, 3, 32, 32), np.float32), runs=2)
    assert rows[0].flops > 2 * 27 * 20 * 16 * 16 and rows[0].bytes > 4 * 3 * 32 * 32
    assert net.memory.arena > 0


def test_calls_that_do_not_fit(net: Net) -> None:
    with pytest.raises(halo.HaloError, match=r"x is an array of f32\[n, 3, h, w\] with"):
        net(np.ones((1, 4, 8, 8), np.float32))
    with pytest.raises(halo.HaloError, match=r"out for y is an array of f32\[1, 20, 4, 4\]"):
        net(np.ones((1, 3, 8, 8), np.float32), out=np.empty((1, 20, 4, 5), np.float32))
    with pytest.raises(halo.HaloError, match="the extent 3 of x is not 4"):
        mobile().compile(shapes={"x": ("n", 4, 5, 5)})
    with pytest.raises(halo.HaloError, match="z is no input"):
        mobile().compile(shapes={"z": (1,)})


def two(a: Any, b: Any) -> Module:
    x, y = Var("x", TensorType((a, 4), f32)), Var("y", TensorType((b, 4), f32))
    return Module({"main": Function((x, y), nn.relu(nn.add(x, y)))})


def test_extents_that_meet_are_checked() -> None:
    net = two(Dim("n"), Dim("m")).compile()
    one, other = np.ones((3, 4), np.float32), np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(net(one, one), 2 * one)
    with pytest.raises(halo.HaloError, match=r"are 3 and 5 \(n = 3, m = 5"):
        net(one, other)
    np.testing.assert_array_equal(net(other, other), 2 * other)
    same = two(Dim("n"), Dim("n") * 2).compile()
    with pytest.raises(halo.HaloError):
        same(one, other)


def test_windows_fit_or_the_call_is_refused() -> None:
    x = Var("x", TensorType((1, 16, Dim("h"), Dim("h")), f32))
    net = Module({"main": Function((x,), nn.max_pool(x, kernel=3))}).compile()
    assert net(np.ones((1, 16, 7, 7), np.float32)).shape == (1, 16, 2, 2)
    with pytest.raises(halo.HaloError, match="they are -1 and 0"):
        net(np.ones((1, 16, 2, 2), np.float32))


def test_an_extent_of_nothing_is_refused() -> None:
    x = Var("x", TensorType((2, 2), f32))
    lost = graph.Call(nn.extents, (), (("values", (Dim("k"),)), ("shape", (1,)), ("dtype", "i64")))
    made = nn.broadcast_to(x, shape=(Dim("k"), 2, 2)) if hasattr(nn, "broadcast_to") else None
    assert lost.type.shape == (1,)
    if made is not None:
        with pytest.raises(halo.HaloError, match="no input has an axis of the extent k"):
            Module({"main": Function((x,), made)}).compile()


def test_storages_are_shared_by_what_is_not_alive_at_once() -> None:
    lives = [Lifetime(1, k, k + 1) for k in range(6)]
    assert max(share(lives, [10, 99, 5, 70, 3, 50])) == 1
    both = [Lifetime(1, 0, 5), Lifetime(1, 1, 5), Lifetime(1, 2, 5)]
    assert share(both, [1, 1, 1]) == [0, 1, 2]


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40))
def test_rows_of_any_length(attention: Net, n: int, length: int) -> None:
    """Products, a softmax over a symbolic axis and a norm, as an encoder has them."""
    x = np.random.default_rng(length).standard_normal((n, length, 32), np.float32)
    scores = np.matmul(x.astype(np.float64), x.transpose(0, 2, 1))
    weights_ = np.exp(scores - scores.max(-1, keepdims=True))
    y = np.matmul(weights_ / weights_.sum(-1, keepdims=True), x) + x
    y -= y.mean(-1, keepdims=True)
    want = y / np.sqrt((y * y).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(attention(x), want, atol=2e-5)


@pytest.fixture(scope="module")
def attention() -> Net:
    x = Var("x", TensorType((Dim("n"), Dim("t"), 32), f32))
    context = nn.matmul(nn.softmax(nn.matmul(x, nn.transpose(x, axes=(0, 2, 1)))), x)
    normal = nn.layer_norm(nn.add(context, x), np.ones(32, np.float32), np.zeros(32, np.float32))
    return Module({"main": Function((x,), normal)}).compile()


@pytest.mark.parametrize(("depth", "units"), [(40, 96), (33, 130), (7, 10)])
def test_products_of_any_number_of_rows(depth: int, units: int) -> None:
    """Tiles of every height: what is left of the rows slides back over the tile before it, or is a lower tile."""
    w, b = Constant(weights(units, depth), "w"), Constant(weights(units), "b")
    x = Var("x", TensorType((Dim("n"), Dim("m"), depth), f32))
    net = Module({"main": Function((x,), nn.relu(nn.dense(x, w, b)))}).compile()
    for rows in (0, 1, 2, 3, 5, 7, 8, 9, 13, 14, 16, 27, 31, 49, 70):
        a = np.random.default_rng(rows).standard_normal((2, rows, depth), np.float32)
        want = np.maximum(a.astype(np.float64) @ w.data.T.astype(np.float64) + b.data, 0)
        np.testing.assert_allclose(net(a), want, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_what_moves_values_has_any_extents(data: st.DataObject) -> None:
    """Axes are split, ordered anew and joined, as heads of an attention are, and each value follows from one."""
    heads, width = data.draw(st.sampled_from([(3, 4), (2, 16), (1, 5), (4, 1), (2, 33)]))
    order = tuple(data.draw(st.permutations(range(4))))
    x = Var("x", TensorType((Dim("n"), Dim("t"), heads * width), f32))
    moved = nn.transpose(nn.reshape(nn.exp(x), shape=(Dim("n"), Dim("t"), heads, width)), axes=order)
    net = Module({"main": Function((x,), nn.add(moved, 1.0))}).compile()
    for n, t in ((1, 1), (2, 7), (3, 40), (0, 3)):
        a = np.random.default_rng(t).standard_normal((n, t, heads * width), np.float32)
        want = np.exp(a).reshape(n, t, heads, width).transpose(order) + 1
        np.testing.assert_allclose(net(a), want, rtol=1e-5)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([nn.sum, nn.mean, nn.max, nn.min]), st.sampled_from([(2,), (1, 2)]), st.booleans())
def test_rows_are_reduced_with_what_they_follow_from(op: Any, axes: tuple[int, ...], keepdims: bool) -> None:
    x = Var("x", TensorType((Dim("n"), Dim("t"), Dim("k")), f32))
    net = Module({"main": Function((x,), op(nn.multiply(x, nn.tanh(x)), axes=axes, keepdims=keepdims))}).compile()
    assert len(net.groups) == 1
    for n, t, k in ((2, 3, 5), (1, 4, 40), (3, 1, 16), (0, 2, 3)):
        a = np.random.default_rng(k).standard_normal((n, t, k), np.float32)
        want = op.reference((a * np.tanh(a)).astype(np.float32), axes=axes, keepdims=keepdims)
        np.testing.assert_allclose(net(a), want, rtol=1e-4, atol=1e-5)


def test_what_is_padded_and_reshaped_is_read_inside_only() -> None:
    text = """def main(%x: f32[b, n]) -> f32[b, 1, 1, n + 512] { %0 = pad(%x, before=(0, 256), after=(0, 256));
      %1 = reshape(%0, shape=(<b>, 1, 1, <n + 512>)); %1 }"""
    net = parse(text).compile()
    for b, n in ((1, 50), (3, 7), (2, 1000)):
        x = weights(b, n)
        np.testing.assert_array_equal(net(x)[:, 0, 0], np.pad(x, ((0, 0), (256, 256))))


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 3), st.integers(0, 9))
def test_what_is_repeated_along_an_axis_of_one_entry_more(n: int, w: int) -> None:
    x = Var("x", TensorType((Dim("n"), Dim("w")), f32))
    longer = nn.conv(nn.reshape(x, shape=(Dim("n"), 1, Dim("w"))), Constant(np.ones((1, 1, 2), np.float32)), padding=1)
    net = Module({"main": Function((x,), nn.tile(longer, reps=(1, 2, 2)))}).compile()
    a = np.random.default_rng(w).standard_normal((n, w), np.float32)
    sums = np.pad(a, ((0, 0), (0, 1))) + np.pad(a, ((0, 0), (1, 0)))
    np.testing.assert_allclose(net(a), np.tile(sums[:, None], (1, 2, 2)), atol=1e-6)


@pytest.mark.parametrize("matrices", [1, 3])
def test_dense_of_matrices_of_any_height(matrices: int) -> None:
    x = Var("x", TensorType((matrices, Dim("h"), 20), f32))
    w = Constant(np.random.default_rng(0).standard_normal((40, 20), np.float32))
    net = Module({"main": Function((x,), nn.dense(x, w))}).compile()
    for h in (1, 5, 33):
        a = np.random.default_rng(h).standard_normal((matrices, h, 20), np.float32)
        np.testing.assert_allclose(net(a), a @ w.data.T, rtol=1e-4, atol=1e-4)


def test_a_number_of_numpy_keeps_its_type_and_one_of_python_is_f32() -> None:
    assert constant(np.float64(0.5)).type == TensorType((), halo.f64)
    assert [constant(v).type.dtype for v in (0.5, [0.5], np.array(0.5), np.float16(1))] == [
        f32,
        f32,
        halo.f64,
        halo.f16,
    ]


# Bounds: extents that are arithmetic over others ---------------------------------------------------------------------


def test_multiples_and_least_extents_give_the_same(net: Net, tmp_path: Any) -> None:
    bounded = mobile().compile(shapes={"x": ("n", 3, "32*k", "9 + w")})
    assert str(bounded.inputs["x"]) == "f32[n, 3, 32*k, w + 9]"
    bounded.save(tmp_path / "net")
    loaded = graph.load(tmp_path / "net")
    for shape in ((1, 3, 32, 9), (2, 3, 64, 41), (1, 3, 96, 10)):
        x = np.random.default_rng(1).standard_normal(shape, np.float32)
        for one in (bounded, loaded):
            np.testing.assert_allclose(one(x), net(x), rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(one(x, out=np.empty_like(one(x))), one(x))
        assert by_reference(bounded.program, x=x).shape == net(x).shape


@pytest.mark.parametrize("shape", [(1, 3, 33, 41), (1, 3, 32, 8), (1, 3, 0, 5), (1, 3, 31, 9), (1, 4, 32, 9)])
def test_what_lies_outside_of_bounds_is_refused(shape: tuple[int, ...]) -> None:
    bounded = mobile().compile(shapes={"x": (1, 3, "32*k", "9 + w")})
    x = np.zeros((1, 3, 64, 10), np.float32)
    out = np.full_like(bounded(x), 7)
    with pytest.raises(halo.ArgumentError, match=r"x is an array of f32\[1, 3, 32\*k, w \+ 9\]"):
        bounded(np.zeros(shape, np.float32), out=out)
    assert (out == 7).all()


@pytest.mark.parametrize(
    "shape", [("n", 3, 33, "w"), ("n", 3, "k", 8), ("n", 3, 64, "64*w"), ("n", 3, 64, "w"), ("n", "c", 64, 16)]
)
def test_shapes_that_no_call_can_have_are_refused(shape: Any) -> None:
    m = mobile()
    bounded = m.with_main(renamed(m.main, {"h": 32 * Dim("h"), "w": Dim("w") + 9}))
    with pytest.raises(halo.ArgumentError, match=r"the extent .* of x is not "):
        bounded.compile(shapes={"x": shape})


def test_bounded_programs_are_fixed_and_called_in_others(net: Net) -> None:
    m = mobile()
    bounded = m.with_main(renamed(m.main, {"h": 32 * Dim("h"), "w": Dim("w") + 9}))
    x = np.random.default_rng(1).standard_normal((1, 3, 64, 10), np.float32)
    assert bounded.compile(shapes={"x": x.shape}).inputs["x"].shape == x.shape
    assert str(bounded.compile(shapes={"x": (1, 3, "64*h", "w + 10")}).inputs["x"]) == "f32[1, 3, 64*h, w + 10]"

    @graph.function
    def doubled(x: Any) -> Any:
        return bounded(2 * x)

    for t in (TensorType(x.shape, f32), TensorType((1, 3, 64 * Dim("a"), 10 + 2 * Dim("b")), f32)):
        np.testing.assert_allclose(doubled.module(t).compile()(x), net(2 * x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3, 33, 41), (1, 3, 32, 8), (1, 3, 32, Dim("a"))])
def test_programs_are_called_within_their_bounds(shape: Any) -> None:
    m = mobile()
    bounded = m.with_main(renamed(m.main, {"h": 32 * Dim("h"), "w": Dim("w") + 9}))
    with pytest.raises(halo.ArgumentError, match="x is a tensor of "):
        bounded(Var("x", TensorType(shape, f32)))


def test_programs_take_any_extent_that_others_have() -> None:
    """One of which it is not plain to see that it is none below 0."""
    n, w = Dim("n"), Dim("w")
    x = Var("x", TensorType((n, 3, w, (n + w - 1) // w), f32))
    assert mobile()(x).type.ndim == 4


def test_an_operator_of_arrays_reads_bounds() -> None:
    x = nn.tensor(halo.Input("x", f32, shape=("2*n", 3)))
    y = nn.relu(nn.reshape(x, shape=(Dim("n"), 6)))
    a = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(y(a), a.reshape(2, 6))


def test_a_profile_wants_arrays_of_open_extents(net: Net) -> None:
    with pytest.raises(halo.ArgumentError, match=r"x is of f32\[n, 3, h, w\], and a profile is of some extents"):
        net.profile()
