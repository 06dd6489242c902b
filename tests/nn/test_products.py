"""Products by their other names, beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import nn

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
@pytest.mark.parametrize("added", [None, (), (5,), (3, 1)])
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_gemm(dtype: str, added: Any, turned: tuple[bool, bool]) -> None:
    a, b = RNG.integers(-3, 4, (3, 7)).astype(dtype), RNG.integers(-3, 4, (7, 5)).astype(dtype)
    c = None if added is None else RNG.integers(-3, 4, added).astype(dtype)
    left, right = (x.T.copy() if t else x for x, t in zip((a, b), turned, strict=True))
    found = nn.gemm(left, right, c, alpha=2.0, beta=3.0, trans_a=turned[0], trans_b=turned[1])
    np.testing.assert_array_equal(found, 2 * (a @ b) + (0 if c is None else 3 * c))


@pytest.mark.parametrize("shared", [False, True])
def test_batch_matmul(shared: bool) -> None:
    a, b = RNG.standard_normal((4, 3, 7)), RNG.standard_normal((1 if shared else 4, 7, 5))
    turned = b.transpose(0, 2, 1).copy()
    np.testing.assert_allclose(nn.batch_matmul(a, turned), a @ b, atol=1e-12)
    np.testing.assert_allclose(
        nn.batch_matmul(a.transpose(0, 2, 1), b, transpose_a=True, transpose_b=False), a @ b, atol=1e-12
    )


def test_what_are_no_matrices() -> None:
    with pytest.raises(halo.ArgumentError, match="gemm takes matrices"):
        nn.gemm(np.ones((1, 2, 3)), np.ones((3, 2)))
    with pytest.raises(halo.ArgumentError, match="one above the other"):
        nn.batch_matmul(np.ones((2, 3)), np.ones((2, 3)))
