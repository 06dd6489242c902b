"""Axes and parts beside NumPy: on arrays, on Tensors and in programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import graph, nn

X = np.arange(48, dtype=np.float32).reshape(4, 6, 2)


@pytest.mark.parametrize(("parts", "axis"), [(2, 0), (3, 1), (1, 2), ((1,), 0), ((0, 2, 5), 1), ((), -1)])
def test_split(parts: Any, axis: int) -> None:
    found, expected = nn.split(X, parts, axis=axis), np.split(X, parts, axis)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_axes_come_and_go() -> None:
    np.testing.assert_array_equal(nn.expand_dims(X, (0, -1)), np.expand_dims(X, (0, -1)))
    one = X.reshape(1, 4, 1, 12)
    np.testing.assert_array_equal(nn.squeeze(one), np.squeeze(one))
    np.testing.assert_array_equal(nn.squeeze(one, -2), np.squeeze(one, -2))
    np.testing.assert_array_equal(nn.stack(X, X + 1, axis=-1), np.stack((X, X + 1), -1))


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 2), ()])
def test_flip(axes: Any) -> None:
    np.testing.assert_array_equal(nn.flip(X, axes), np.flip(X, axes))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_blocks_become_channels_and_pictures_again(mode: str) -> None:
    x = np.arange(96).reshape(1, 2, 6, 8)
    deep = nn.space_to_depth(x, block=(3, 2), mode=mode)
    assert deep.shape == (1, 12, 2, 4)
    np.testing.assert_array_equal(nn.depth_to_space(deep, block=(3, 2), mode=mode), x)


def test_tensors_and_programs() -> None:
    @graph.function
    def turned(x: Any) -> Any:
        a, b = nn.split(x, 2, axis=1)
        return nn.stack(nn.flip(b, 0), nn.squeeze(nn.expand_dims(a, 0), 0))

    np.testing.assert_array_equal(turned(X), np.stack((X[::-1, 3:], X[:, :3])))
    x = halo.Input("x", halo.f32, shape=("n", 6, 1))
    assert [str(n) for n in nn.squeeze(x, -1).shape] == ["n", "6"]
    np.testing.assert_array_equal(nn.split(x, (2,), axis=1)[1](x=X[..., :1]), X[:, 2:, :1])


@pytest.mark.parametrize(("call", "words"), [
    (lambda: nn.split(X, 4, axis=1), "6 entries are not 4 equal parts"),
    (lambda: nn.split(X, 0), "not 0 equal parts"),
    (lambda: nn.squeeze(X, 0), "have one entry"),
    (lambda: nn.expand_dims(X, (0, 0)), "not different"),
    (lambda: nn.stack(), "one tensor at least"),
    (lambda: nn.flip(X, 3), "no axis 3"),
    (lambda: nn.space_to_depth(X, block=(2, 2)), "no picture"),
])  # fmt: skip
def test_what_does_not_fit(call: Any, words: str) -> None:
    with pytest.raises(halo.ArgumentError, match=words):
        call()
