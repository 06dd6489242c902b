"""What values select, beside NumPy, of arrays; what ONNX models do with it is tested beside ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from halo import nn

RNG = np.random.default_rng(3)
X = RNG.integers(0, 3, (7, 2)).astype(np.float32)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("x", [X, X.astype(np.int64), X[:0], X[:1]], ids=["floats", "integers", "empty", "one"])
def test_unique(x: Any, axis: Any) -> None:
    if not x.size and axis in (1, -1):
        x = x.reshape(2, 0)  # NumPy: of as many slices as there are
    found = nn.unique(x, axis=axis)
    values, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    for a, b in zip(found, (values, first, inverse.reshape(-1), counts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_unique_as_they_appear() -> None:
    values, first, inverse, counts = nn.unique(np.array([3, 1, 3, 2]), ordered=False)
    assert [v.tolist() for v in (values, first, inverse, counts)] == [[3, 1, 2], [0, 1, 3], [0, 1, 0, 2], [2, 1, 1]]


def test_compress() -> None:
    keep = X[:, 0] > 0
    np.testing.assert_array_equal(nn.compress(X, keep, axis=0), np.compress(keep, X, axis=0))
    np.testing.assert_array_equal(nn.compress(X, X.reshape(-1) > 0), X[X > 0])
    assert nn.compress(X, np.zeros(7, np.bool_), axis=0).shape == (0, 2)


def test_boxes_that_do_not_overlap() -> None:
    boxes = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 5, 1, 6], [9, 9, 10, 10]]], np.float32)
    scores = np.array([[[0.7, 0.9, 0.8, 0.1], [0.1, 0.2, 0.3, 0.9]]], np.float32)
    found = nn.non_max_suppression(boxes, scores, most=2, threshold=0.5, least=0.15)
    assert found.tolist() == [[0, 0, 1], [0, 0, 2], [0, 1, 3], [0, 1, 2]]
