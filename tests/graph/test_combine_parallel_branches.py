"""Layers that read one value become one where that leaves fewer vectors of channels unfilled, and give what they gave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo import Dim, nn
from halo.graph import Call, Constant, Function, Module, Tuple, Var, constants, if_, parse
from halo.graph.ir import every
from halo.graph.passes.combine_parallel_branches import combine_parallel_branches
from halo.nn import TensorType
from halo.types import bool_, f32, f64

from .helpers import weights
from .programs import by_numpy


def heads(*channels: int, shape: Any = (1, 64, 9, 11), kernel: int = 1, dtype: Any = f32, **attrs: Any) -> Module:
    """Convolutions of one picture with so many channels each, as the last layers of a detector are; every other has no bias."""
    x = Var("x", TensorType(shape, dtype))
    made = [
        nn.conv2d(x, _c(dtype, o, shape[1], kernel, kernel, seed=k), None if k % 2 else _c(dtype, o, seed=k), **attrs)
        for k, o in enumerate(channels)
    ]
    return Module({"main": Function((x,), Tuple(tuple(nn.relu(y) for y in made)))})


def layers(*units: int, shape: Any = (3, 7, 64)) -> Module:
    x = Var("x", TensorType(shape, f32))
    made = [nn.dense(x, _c(f32, o, shape[-1], seed=k), _c(f32, o, seed=k)) for k, o in enumerate(units)]
    return Module({"main": Function((x,), Tuple(tuple(nn.sigmoid(y) for y in made)))})


def _c(dtype: Any, *shape: int, seed: int) -> Constant:
    return Constant(weights(*shape, seed=seed).astype(dtype.dtype), f"c{seed}")


def count(m: Module) -> int:
    return sum(isinstance(e, Call) and e.op in (nn.conv2d, nn.dense) for e in every(m.main))


def check(m: Module, before: int, after: int, **dims: int) -> None:
    """So many layers become so many, and the results are the same: of the pass, and of the net."""
    assert count(m) == before
    made = combine_parallel_branches(m)
    assert count(made) == after
    assert [e.type for e in made.main.outputs] == [e.type for e in m.main.outputs]
    t = m.inputs["x"]
    shape = tuple(n if isinstance(n, int) else dims[str(n)] for n in t.shape)
    x = np.random.default_rng(0).standard_normal(shape).astype(t.dtype.dtype)
    for given_, want in zip(made.compile()(x), by_numpy(m, {"x": x}), strict=True):
        np.testing.assert_allclose(given_, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "m",
    [
        heads(3, 4, shape=(1, 128, 9, 11), dtype=f64),
        heads(1, 2, 33, shape=(2, 64, 8, 8)),
        heads(5, 9, kernel=3, strides=2, dilation=2, padding=(1, 0, 2, 1)),
        layers(2, 7),
        layers(1, 1, 1, shape=(40, 128)),
    ],
    ids=str,
)
def test_branches_are_combined(m: Module) -> None:
    check(m, len(m.main.outputs), 1)


def test_so_are_those_of_open_extents() -> None:
    check(heads(3, 12, shape=(Dim("n"), 64, Dim("h"), Dim("w"))), 2, 1, n=2, h=9, w=5)
    check(layers(2, 7, shape=(Dim("n"), 64)), 2, 1, n=5)


def _other(what: str) -> Module:
    x, y = (Var(name, TensorType((1, 32, 9, 9), f32)) for name in "xy")
    a, b = _c(f32, 3, 32, 1, 1, seed=0), _c(f32, 12, 32, 1, 1, seed=1)
    match what:
        case "another input":
            made = nn.conv2d(x, a), nn.conv2d(y, b)
        case "other strides":
            made = nn.conv2d(x, a), nn.conv2d(x, b, strides=2)
        case "other windows":
            made = nn.conv2d(x, a), nn.conv2d(x, _c(f32, 12, 32, 3, 3, seed=1), padding=1)
        case "weights that are given":
            w = Var("w", b.type)
            return Module({"main": Function((x, y, w), Tuple((nn.conv2d(x, a), nn.conv2d(x, w))))})
        case "groups":
            made = tuple(nn.conv2d(x, _c(f32, o, 16, 1, 1, seed=o), groups=2) for o in (6, 10))
        case "full vectors":
            made = tuple(nn.conv2d(x, _c(f32, o, 32, 1, 1, seed=o)) for o in (64, 128))
        case "little to gain":
            made = tuple(nn.conv2d(x, _c(f32, o, 32, 1, 1, seed=o)) for o in (15, 239))
        case _:
            made = nn.conv2d(x, a), nn.conv2d(nn.relu(x), b)
    return Module({"main": Function((x, y), Tuple(made))})


@pytest.mark.parametrize(
    "what",
    ["another input", "other strides", "other windows", "weights that are given", "groups", "full vectors",
     "little to gain", "what comes of it"],
)  # fmt: skip
def test_others_stay_what_they_are(what: str) -> None:
    m = _other(what)
    assert str(combine_parallel_branches(m)) == str(m)


def test_the_text_of_what_is_combined() -> None:
    text = """def main(%x: f32[1, 64, 32, 32]) -> (f32[1, 3, 32, 32], f32[1, 12, 32, 32],) {
  %0 = conv2d(%x, @a, @c);
  %1 = conv2d(%x, @b);
  %2 = (%0, %1,);
  %2
}"""
    arrays = {"a": weights(3, 64, 1, 1), "b": weights(12, 64, 1, 1), "c": weights(3)}
    made = combine_parallel_branches(parse(text, arrays))
    assert (
        str(made)
        == """def main(%x: f32[1, 64, 32, 32]) -> (f32[1, 3, 32, 32], f32[1, 12, 32, 32],) {
  %0 = concatenate(@a, @b);
  %1 = concatenate(@c, @c.1);
  %2 = conv2d(%x, %0, %1);
  %3 = strided_slice(%2, begin=(0,), end=(3,), axes=(1,));
  %4 = strided_slice(%2, begin=(3,), end=(15,), axes=(1,));
  %5 = (%3, %4,);
  %5
}"""
    )
    assert str(parse(str(made), constants(made))) == str(made)


def test_branches_in_a_branch_are_combined() -> None:
    m = heads(3, 12)
    c = Var("c", TensorType((), bool_))
    x = m.main.params[0]
    one = if_(c, [x], lambda x: map(nn.relu, m(x)), lambda x: map(nn.sigmoid, m(x)))
    whole = Module({"main": Function((c, x), Tuple(one))})
    assert (count(whole), count(combine_parallel_branches(whole))) == (4, 2)
    net, picture = whole.compile(), np.random.default_rng(0).standard_normal(x.type.static).astype(np.float32)
    for choice in (np.array(True), np.array(False)):
        for got, want in zip(net(choice, picture), by_numpy(whole, {"c": choice, "x": picture}), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_values_keep_their_names() -> None:
    m = heads(3, 12)
    x = np.random.default_rng(0).standard_normal((1, 64, 9, 11)).astype(np.float32)
    result, taps = m.compile()(x, taps=["%0", "%2"])
    want = by_numpy(m, {"x": x})
    for name, y, relu in zip(("%0", "%2"), want, result, strict=True):
        np.testing.assert_allclose(np.maximum(taps[name], 0), y, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(relu, y, rtol=1e-4, atol=1e-5)


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), st.sampled_from([1, 3]), st.booleans())
def test_any_branches_give_what_they_gave(channels: list[int], kernel: int, opened: bool) -> None:
    m = heads(*channels, kernel=kernel, padding=kernel // 2, shape=(1, 48, Dim("h") if opened else 13, 7))
    x = np.random.default_rng(0).standard_normal((1, 48, 13, 7)).astype(np.float32)
    for got, want in zip(m.compile()(x), by_numpy(m, {"x": x}), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
