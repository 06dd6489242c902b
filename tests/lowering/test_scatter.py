"""Scatters: all values of an update are there before the first is stored."""

from __future__ import annotations

import numpy as np
import pytest

import halo

TARGETS = [None, "python"]


@pytest.mark.parametrize("target", TARGETS)
def test_two_elements_swap(target: str | None) -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = x * 10
    f[halo.scatter(3, 5)] = halo.gather(f[5], f[3])
    expected = np.arange(8) * 10
    expected[[3, 5]] = expected[[5, 3]]
    np.testing.assert_array_equal(f.compile(target=target)(shape=(8,)), expected)


@pytest.mark.parametrize("target", TARGETS)
def test_a_loop_of_swaps_reverses(target: str | None) -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = x
    r = halo.rdom(4)
    f[halo.scatter(r[0], 7 - r[0])] = halo.gather(f[7 - r[0]], f[r[0]])
    np.testing.assert_array_equal(f.compile(target=target)(shape=(8,)), np.arange(8)[::-1])


def test_what_is_asked_for_decides_what_is_stored() -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = x
    f[halo.scatter(0, 9)] = halo.gather(f[9], f[0])
    np.testing.assert_array_equal(f(shape=(4,)), [9, 1, 2, 3])


def test_the_last_store_to_a_place_wins() -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = 0
    f[halo.scatter(1, 1)] = halo.gather(5, 7)
    np.testing.assert_array_equal(f(shape=(3,)), [0, 7, 0])
