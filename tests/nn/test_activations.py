"""How exact activations are, against NumPy in double precision, and their special values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from halo import nn


@pytest.mark.parametrize(("dtype", "least", "tolerance"), [("float32", -87, 4e-7), ("float64", -700, 1e-15)])
def test_a_sigmoid_keeps_its_digits_where_it_is_tiny(dtype: str, least: int, tolerance: float) -> None:
    """Entry by entry: a detector's scores are far below 1, where an error that is small beside 1 leaves none of them."""
    x = np.linspace(least, 30, 4097).astype(dtype)
    want = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    np.testing.assert_allclose(nn.sigmoid(x).astype(np.longdouble), want, rtol=tolerance, atol=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gelu_is_right_to_the_last_digits_of_what_it_adds_up(dtype: Any) -> None:
    x = np.linspace(-9, 9, 100_001).astype(dtype)
    half = np.vectorize(math.erfc, otypes=[np.float64])(-x.astype(np.float64) / math.sqrt(2)) / 2
    error = abs(nn.gelu(x) - x * half)
    assert (error <= 1.2 * np.finfo(dtype).eps * abs(x.astype(np.float64))).all()
    far = np.array([np.inf, -np.inf, 1e4, -1e4, 0, np.nan], dtype)
    np.testing.assert_array_equal(nn.gelu(far), np.array([np.inf, np.nan, 1e4, 0, 0, np.nan], dtype))


def test_gelu_has_the_first_digits_of_what_it_leaves_below_zero() -> None:
    x = np.linspace(-5.7, -1e-6, 100_001).astype(np.float32)
    share = np.vectorize(math.erfc, otypes=[np.float64])(-x.astype(np.float64) / math.sqrt(2)) / 2
    np.testing.assert_allclose(nn.gelu(x), x * share, rtol=1e-4)
    small = np.float32([-1e-30, 1e-30, -1e-42])
    np.testing.assert_array_equal(nn.gelu(small), small / 2)
