"""Inputs that are declared with a shape: what calls must give, and packed or not the same values."""

from __future__ import annotations

import numpy as np
import pytest

import halo


def blend() -> halo.Func:
    x, y = halo.Input("x", halo.f32, shape=("n", 3, 4)), halo.Input("y", halo.f32, shape=("n", 4))
    f = halo.Func("f")
    i, j, k = halo.vars("i j k")
    f[i, j, k] = x[i, j, k] * 2 + y[i, k]
    return f


X, Y = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.ones((2, 4), np.float32)


@pytest.mark.parametrize("x", [X, X.transpose(0, 2, 1).copy().transpose(0, 2, 1), X[:, ::-1], np.tile(X, 2)[..., 4:]])
def test_packed_or_not(x: np.ndarray) -> None:
    np.testing.assert_array_equal(blend()(x=x, y=Y), x * 2 + Y[:, None])


def test_other_extents_are_refused() -> None:
    with pytest.raises(halo.ArgumentError, match="x is declared with 3 entries along axis 1, and has 2"):
        blend()(x=X[:, :2], y=Y)
    with pytest.raises(halo.ArgumentError, match="both n: 1 and 2"):
        blend()(x=X, y=Y[:1])
    kernel = blend().compile()
    with pytest.raises(halo.ArgumentError, match="declared with 4 entries"):
        kernel(x=X[..., :3], y=Y)


def test_no_shape() -> None:
    for shape in ((-1,), (1.5,), (2**31,), ("a b",), (True,)):
        with pytest.raises(halo.ArgumentError):
            halo.Input("x", halo.f32, shape=shape)


def test_one_name_has_one_shape() -> None:
    f, i = halo.Func("f"), halo.Var("i")
    f[i] = halo.Input("x", halo.f32, shape=(3,))[i] + halo.Input("x", halo.f32, shape=(4,))[i]
    with pytest.raises(halo.DefinitionError, match=r"of shape \(3,\) in one place and \(4,\) in another"):
        f.compile()


def test_empty_and_one() -> None:
    f, i, j = halo.Func("f"), *halo.vars("i j")
    f[i, j] = halo.Input("x", halo.f32, shape=(1, 4))[i, j] + 1
    a = np.zeros((8, 4), np.float32)[::8]  # any stride will do where there is one row
    np.testing.assert_array_equal(f(x=a), a + 1)
    g = halo.Func("g")
    g[i, j] = halo.Input("x", halo.f32, shape=(0, 4))[i, j] + 1
    assert g(x=np.zeros((0, 4), np.float32)).shape == (0, 4)
