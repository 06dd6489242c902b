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


@pytest.mark.parametrize("schedule", [lambda u: u.vectorize("r"), lambda u: u.vectorize("r", 4, tail="guard"),
                                      lambda u: u.vectorize("r", 4).unroll("r")],
                         ids=["whole", "tail", "unrolled"])  # fmt: skip
def test_each_lane_counts_though_all_add_the_same(schedule) -> None:
    """What does not depend on the loop is still added, multiplied or flipped once for each of its iterations."""

    @halo.func
    def total(*, c: halo.i32):
        total[()] = 1
        for r in halo.rdom(6):
            total[()] += c

    @halo.func
    def power(*, c: halo.i32):
        power[()] = 1
        for r in halo.rdom(6):
            power[()] *= c

    @halo.func
    def parity(*, c: halo.i32):
        parity[()] = True
        for r in halo.rdom(6):
            parity[()] ^= c > 0

    @halo.func
    def less(*, c: halo.i32):
        less[()] = 1
        for r in halo.rdom(6):
            less[()] -= c

    @halo.func
    def pair(*, c: halo.i32):
        pair[()] = 0, 1
        for r in halo.rdom(6):
            pair[()] = pair[()][0] + 1, pair[()][1] * c

    for f in (total, power, parity, less, pair):
        schedule(f.update(0).atomic())
    assert (total(c=3), power(c=3), parity(c=3), less(c=3)) == (19, 729, True, -17)
    assert tuple(map(int, pair(c=3))) == (6, 729)
