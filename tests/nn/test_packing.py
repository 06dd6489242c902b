"""Weights that are packed by hand: the results are those of the weights as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import graph, nn

RNG = np.random.default_rng(11)


ATTRS: tuple[dict[str, Any], ...] = ({}, {"padding": (1, 0, 2, 1), "strides": 2}, {"dilation": 2, "padding": 2})


@pytest.mark.parametrize(("o", "i"), [(8, 3), (20, 40), (16, 16)])
@pytest.mark.parametrize(("dtype", "attrs"), [*(("float32", attrs) for attrs in ATTRS),
                                              *zip(("float64", "float16", "int32"), ATTRS, strict=True)], ids=str)  # fmt: skip
def test_convolutions(dtype: str, o: int, i: int, attrs: Any) -> None:
    x, w, b = (RNG.integers(-3, 4, shape).astype(dtype) for shape in ((2, i, 9, 7), (o, i, 3, 3), (o,)))
    packed, expected = nn.pack(nn.conv2d, w), nn.conv2d(x, w, b, **attrs)
    np.testing.assert_array_equal(nn.conv2d(x, packed, b, **attrs), expected)
    last = nn.conv2d(x.transpose(0, 2, 3, 1), packed, b, layout="NHWC", **attrs)
    np.testing.assert_array_equal(last, expected.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("rows", [1, 7, 128])
@pytest.mark.parametrize(("o", "i"), [(5, 3), (130, 65)])
def test_products(dtype: str, rows: int, o: int, i: int) -> None:
    x, w, b = (RNG.integers(-3, 4, shape).astype(dtype) for shape in ((rows, i), (o, i), (o,)))
    np.testing.assert_array_equal(nn.dense(x, nn.pack(nn.dense, w, rows=rows), b), x @ w.T + b)
    np.testing.assert_array_equal(nn.matmul(x, nn.pack(nn.matmul, w.T.copy())), x @ w.T)


def test_a_tensor_takes_packed_weights() -> None:
    packed = nn.pack(nn.dense, np.ones((3, 6), np.float32))
    out = nn.dense(halo.Input("x", halo.f32, shape=("n", 6)), packed)
    np.testing.assert_array_equal(out(x=np.ones((2, 6), np.float32)), np.full((2, 3), 6))
    assert repr(packed).startswith("<weights of nn.dense, f32[3, 6] as OI")


def test_what_does_not_pack() -> None:
    weights = np.ones((4, 2, 1, 1), np.float32)
    packed = nn.pack(nn.conv2d, weights)
    for call, words in (
        (lambda: nn.pack(nn.relu, weights), "relu has no weights"),
        (lambda: nn.pack(nn.dense, weights), "dense has no weights of"),
        (lambda: nn.dense(np.ones((1, 2), np.float32), packed), "weights of conv2d"),
        (lambda: nn.conv2d(np.ones((1, 4, 1, 1), np.float32), packed, groups=2), "one group"),
        (lambda: graph.function(lambda x: nn.conv2d(x, packed))(np.ones((1, 2, 1, 1), np.float32)), "a tensor is"),
    ):
        with pytest.raises(halo.ArgumentError, match=words):
            call()
