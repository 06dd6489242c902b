"""dense against NumPy: rows and columns off the tiles, rows that only a call knows, all floats, with what follows it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import halo
from halo import nn
from halo.graph import Function, Module, Var
from halo.types import as_type

RNG = np.random.default_rng(0)
NEAR = {"float32": 1e-4, "float64": 1e-12, "float16": 2e-2, "bfloat16": 1e-1}


def operands(rows: tuple[int, ...], depth: int, units: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shapes = (*rows, depth), (units, depth), (units,)
    x, w, b = (RNG.standard_normal(shape, np.float32).astype(dtype) for shape in shapes)
    return x, w, b


def agrees(got: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> None:
    wide = x.astype(np.float64) @ w.astype(np.float64).T + b.astype(np.float64)
    near = NEAR[got.dtype.name]
    assert got.dtype == x.dtype
    np.testing.assert_allclose(got.astype(np.float64), wide, rtol=near, atol=near * max(1.0, x.shape[-1] ** 0.5))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(1, 70), st.integers(1, 150),
       st.sampled_from([np.float32, np.float64, np.float16, ml_dtypes.bfloat16]))  # fmt: skip
def test_of_any_shape(rows: list[int], depth: int, units: int, dtype: type) -> None:
    x, w, b = operands(tuple(rows), depth, units, dtype)
    agrees(nn.dense(x, w, b), x, w, b)


@pytest.mark.parametrize(("rows", "depth", "units", "dtype"), [
    ((523,), 1024, 100, np.float32), ((2, 130), 512, 70, np.float64),  # a tile of them would share a set of the cache
    ((1030,), 517, 1030, np.float32),  # panels that stay in cache, for a band of rows after the other
    ((3, 700), 300, 97, np.float64),  # all panels do
    ((40, 7), 1000, 530, np.float32),  # bands are whole matrices
    ((90,), 9000, 70, np.float32),  # one panel is larger than the cache
    ((130,), 1029, 130, np.float64), ((600,), 600, 40, np.float16), ((2, 520), 600, 70, ml_dtypes.bfloat16),
])  # fmt: skip
def test_rows_that_do_not_stay_in_cache(rows: tuple[int, ...], depth: int, units: int, dtype: type) -> None:
    x, w, b = operands(rows, depth, units, dtype)
    agrees(nn.dense(x, w, b), x, w, b)
    v = Var("x", nn.TensorType(x.shape, as_type(x.dtype)))
    net = Module({"main": Function((v,), nn.negative(nn.dense(v, w, b)))}).compile()
    agrees(-net(x=x), x, w, b)


@pytest.mark.parametrize("rows", [1, 6, 13, 100, 700])
def test_rows_that_a_call_knows(rows: int) -> None:
    x, w, b = operands((2, rows), 300, 530, np.float32)
    given = halo.Input("x", halo.f32, shape=(2, "n", 300))
    agrees(nn.dense(given, w, b)(x=x), x, w, b)
