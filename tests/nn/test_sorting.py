"""The few largest: in lanes as in sorted rows, with equal values, NaN, zeros of both signs and the ends of each type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import nn
from halo.graph import Function, Module, Var

RNG = np.random.default_rng(0)
FLOATS = np.array([0.0, -0.0, 1, -1, 2.5, np.inf, -np.inf, np.nan, 3, 4, 5])
TYPES = ("float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def among(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return RNG.choice(FLOATS, shape).astype(dtype)
    ends = np.iinfo(dtype)
    return RNG.choice(np.array([ends.min, ends.max, 1, 2, 3, ends.max // 2], dtype), shape)


# Types take turns: how they compare is one matter, along which axis another.
SHAPES = (((7,), 0), ((3, 4, 37), -1), ((9, 33), 0), ((2, 9, 20), 1))


@pytest.mark.parametrize(
    ("dtype", "shape", "axis"),
    [(t, *at) for k, t in enumerate(TYPES) for at in (((5, 100), -1), SHAPES[k % len(SHAPES)])],
)
@pytest.mark.parametrize("largest", [True, False])
def test_topk_is_the_start_of_the_stable_order(dtype: str, largest: bool, shape: tuple[int, ...], axis: int) -> None:
    x = among(dtype, shape)
    for k in (1, 2, 7):
        want = nn.topk.reference(x, k=k, axis=axis, largest=largest)
        for strategy in (None, "sorted"):
            np.testing.assert_array_equal(nn.topk(x, k=k, axis=axis, largest=largest, strategy=strategy), want)


@pytest.mark.parametrize("axis", [0, 1])
def test_topk_of_an_extent_that_a_call_knows(axis: int) -> None:
    x = halo.Input("x", halo.f32, shape=("m", "n"))
    for shape in ((30, 50), (4, 4)):
        a = among("float32", shape)
        np.testing.assert_array_equal(nn.topk(x, k=4, axis=axis)(x=a), nn.topk.reference(a, k=4, axis=axis))


def test_as_many_as_a_call_tells() -> None:
    x, k = halo.Input("x", halo.f32, shape=("m", "n")), halo.Dim("m")
    net = Module(
        {"main": Function((v := Var("x", nn.TensorType((k, halo.Dim("n")), halo.f32)),), nn.topk(v, k=k))}
    ).compile()
    for shape in ((3, 50), (40, 41), (4, 4), (0, 3)):
        a = among("float32", shape)
        for found in (nn.topk(x, k=k)(x=a), net(a)):
            np.testing.assert_array_equal(found, nn.topk.reference(a, k=shape[0]))
    with pytest.raises(halo.ArgumentError, match="n >= m"):
        net(np.zeros((5, 3), np.float32))


@pytest.mark.parametrize("op", [nn.sort, nn.argsort])
@pytest.mark.parametrize("descending", [False, True])
def test_order_along_an_extent_that_a_call_knows(op: Any, descending: bool) -> None:
    m, n = halo.Dim("m"), halo.Dim("n")
    x = Var("x", nn.TensorType((m, n), halo.f32))
    for axis in (0, 1):
        net = Module({"main": Function((x,), op(nn.relu(x), axis=axis, descending=descending))}).compile()
        for shape in ((3, 5), (1, 70), (0, 4), (4, 0)):
            a = among("float32", shape)
            want = op.reference(np.maximum(a, 0), axis=axis, descending=descending)
            np.testing.assert_array_equal(net(a), want)
