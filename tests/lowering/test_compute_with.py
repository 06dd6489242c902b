"""compute_with of loops that are summed over in one stage and pure in the other."""

from __future__ import annotations

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(8)


@pytest.mark.parametrize("first", ["pure", "sum"])
@pytest.mark.parametrize(
    ("more", "align"), [("", "start"), ("vectors", "none"), ("split", "end"), ("at", "end"), ("at", "none")]
)
def test_compute_with_of_a_sum_and_a_pure_axis(first: str, align: str, more: str) -> None:
    """What is added up is not what is kept, so that neither may have the other's place, nor come once more or less."""

    @halo.func
    def a(y, x, *, img):
        return img[y, x] + 1

    @halo.func
    def total(x, *, img, n: halo.i32):
        return sum(img[r, x] * (r + 1) for r in halo.rdom(n))

    @halo.func
    def c(y, x):
        return a[y + 3, x] * 1000 - total[x + 1]

    place = c.split("x", "xo", "x", 16).reorder("xo", "y", "x") if more == "at" else None
    for stage in (a, total):
        stage.compute_root() if place is None else stage.compute_at(c, "xo")
    sums = total.update(0).rename("r", "y").reorder("y", "x")
    if more == "vectors":
        a.vectorize("x", 8)
        sums.vectorize("x", 4)
    loop = "y"
    if more == "split":
        a.split("y", "y", "yi", 4, "shift_inwards")
        sums.split("y", "y", "yi", 4)
        loop = "yi"
    if first == "pure":
        sums.compute_with(a, loop, align=align)
    else:
        a.compute_with(sums, loop, align=align)
    img = RNG.integers(0, 99, (40, 40), np.int32)
    for h, w, n in ((20, 33, 31), (7, 16, 40), (33, 1, 5), (9, 20, 0)):
        sums_ = (img[:n, 1 : w + 1] * np.arange(1, n + 1)[:, None]).sum(axis=0)
        np.testing.assert_array_equal(c(img=img, n=n, shape=(h, w)), (img[3 : h + 3, :w] + 1) * 1000 - sums_)
