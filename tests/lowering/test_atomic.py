"""Atomic updates of tuples from many threads at once: nothing is lost, and elements that belong together stay together."""

from __future__ import annotations

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("schedule", [
    lambda u: u.parallel("r"), lambda u: u.parallel("r", 500), lambda u: u.parallel("r", 512).vectorize("r_p", 8),
    lambda u: u.vectorize("r", 8),
], ids=["parallel", "in_pieces", "in_vectors_too", "vectors"])  # fmt: skip
def test_atomic_updates_of_tuples(schedule) -> None:
    n = 200_000
    v, where = RNG.integers(-9, 9, n, np.int32), RNG.integers(0, 3, n, np.int32)

    @halo.func
    def moments(i, *, v: halo.i32[:], where: halo.i32[:]):
        moments[i] = halo.i32(0), halo.i64(0)
        for r in halo.rdom(v):
            count, squares = moments[halo.clamp(where[r], 0, 2)]
            moments[halo.clamp(where[r], 0, 2)] = count + v[r], squares + v[r] * v[r]

    @halo.func
    def product(i, *, v: halo.i32[:], where: halo.i32[:]):
        product[i] = halo.i32(1), halo.i32(0)
        for r in halo.rdom(v):
            re, im = product[halo.clamp(where[r], 0, 2)]
            c, d = v[r], v[r] | 1
            product[halo.clamp(where[r], 0, 2)] = re * c - im * d, re * d + im * c

    wanted = product(v=v, where=where, shape=(3,))
    schedule(moments.update(0).atomic())
    schedule(product.update(0).atomic())
    for _ in range(3):
        sums, squares = moments(v=v, where=where, shape=(3,))
        np.testing.assert_array_equal(sums, [v[where == k].sum() for k in range(3)])
        np.testing.assert_array_equal(squares, [(v[where == k].astype(int) ** 2).sum() for k in range(3)])
        for got, want in zip(product(v=v, where=where, shape=(3,)), wanted, strict=True):
            np.testing.assert_array_equal(got, want)
