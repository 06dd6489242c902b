"""A reduction computed inside of a vectorised loop runs in lanes, with one accumulator a lane."""

from __future__ import annotations

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(4)


@pytest.fixture
def norms() -> halo.Func:
    @halo.func
    def norms(i, j, *, p: halo.f32[:, :], q: halo.f32[:, :]):
        return halo.sqrt(sum((p[i, k] - q[k, j]) ** 2 for k in halo.rdom(p.shape[1])))

    return norms


def test_accumulators_are_whole_vectors(norms: halo.Func) -> None:
    """Also in the last, masked vector, where the loop over the accumulator's one element has one iteration."""
    text = norms.lower(p=halo.f32[:, :], q=halo.f32[:, :]).after("vectorize")
    own = [line for line in text.splitlines() if line.lstrip().startswith("norms_sum[")]
    assert own
    assert all(line.lstrip().startswith("norms_sum[ramp(0, 1, ") for line in own)
    assert "norms_sum.min" not in text
    assert text.count("produce norms_sum") == 2


@pytest.mark.parametrize("n", [1, 5, 16, 33])
def test_any_width(norms: halo.Func, n: int) -> None:
    p, q = RNG.random((7, 19), np.float32), RNG.random((19, n), np.float32)
    want = np.sqrt(((p[:, :, None].astype(np.float64) - q) ** 2).sum(1))
    np.testing.assert_allclose(norms(p=p, q=q), want, rtol=1e-5)


@pytest.mark.parametrize("width", [3, 8])
def test_loops_that_start_and_end_with_the_lane(width: int) -> None:
    """Each lane sums a triangle's row of its own, from its own start on."""
    y, x = halo.vars("y x")
    img, f, g = halo.Input("img", halo.i32, ndim=2), halo.Func("f"), halo.Func("g")
    g[y, x] = img[y, x]
    r = halo.rdom(30, names="r")
    f[y, x] = 0
    f[y, x] += halo.select((r.r >= x) & (r.r < 2 * x + y), g[y, r.r], 0)
    f.update(0).vectorize("x", width)
    g.compute_root()
    img_ = RNG.integers(-99, 99, (4, 30), np.int32)
    want = [[img_[j, i : 2 * i + j].sum() for i in range(30)] for j in range(4)]
    np.testing.assert_array_equal(f(img=img_, shape=(4, 30)), want)
