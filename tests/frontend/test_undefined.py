"""`undef` under conditions."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from halo.errors import DefinitionError

x = halo.Var("x")
A = halo.Input("a", halo.i32, ndim=1)


def run(f: halo.Func, **inputs: np.ndarray) -> np.ndarray:
    out = np.full(8, -1, np.int32)
    f(out=out, **inputs)
    return out


def test_what_is_undef_is_kept() -> None:
    f = halo.Func("f")
    f[x] = halo.select(x > 4, x * 2, halo.undef)
    np.testing.assert_array_equal(run(f), [-1, -1, -1, -1, -1, 10, 12, 14])
    assert f.update(0).name == "f.update(0)"


def test_in_an_update_over_data() -> None:
    a = np.array([3, -1, 4, -1, 5, -9, 2, 6], np.int32)
    f = halo.Func("f")
    f[x] = 0
    f[x] = halo.select(A[x] > 0, A[x], x == 3, 33, halo.undef)
    np.testing.assert_array_equal(f(a=a), [3, 0, 4, 33, 5, 0, 2, 6])


def test_on_either_side_and_nested() -> None:
    f = halo.Func("f")
    f[x] = 0
    f[x] = halo.select(x < 2, halo.undef, halo.select(x < 4, x, x < 6, halo.undef, 100))
    np.testing.assert_array_equal(f(shape=(8,)), [0, 0, 2, 3, 0, 0, 100, 100])


def test_over_a_domain_with_a_condition() -> None:
    f, r = halo.Func("f"), halo.rdom(8)
    r.where(r.r % 2 == 0)
    f[x] = 0
    f[r] = halo.select(r.r > 3, r.r, halo.undef)
    np.testing.assert_array_equal(f(shape=(8,)), [0, 0, 0, 0, 4, 0, 6, 0])


def test_tuples_share_their_condition() -> None:
    f = halo.Func("f")
    f[x] = (0, 0)
    f[x] = (halo.select(x > 2, 1, halo.undef), halo.select(x > 2, 2, halo.undef))
    a, b = f(shape=(5,))
    np.testing.assert_array_equal(a, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(b, [0, 0, 0, 2, 2])
    g = halo.Func("g")
    g[x] = (0, 0)
    g[x] = (halo.select(x > 2, 1, halo.undef), halo.select(x > 3, 2, halo.undef))
    with pytest.raises(DefinitionError, match="different conditions"):
        g(shape=(5,))


def test_elsewhere_undef_is_no_value() -> None:
    f = halo.Func("f")
    f[x] = 0
    f[x] = A[x] + halo.undef
    with pytest.raises(DefinitionError, match="whole value"):
        f(a=np.zeros(3, np.int32))
