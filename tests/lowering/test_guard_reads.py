"""Reads that happen only where a condition bounds their indices: the input need not have more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo

RNG = np.random.default_rng(0)


def padded(x: np.ndarray, before: int, after: int) -> np.ndarray:
    return np.pad(x, ((0, 0), (before, after)))


def rows(before: int, after: int) -> halo.Func:
    """Rows of x with zeros before and after."""

    @halo.func
    def pad(n, w, *, x: halo.f32[:, :]):
        return x[n, w - before] if before <= w < x.shape[1] + before else halo.f32(0)

    return pad


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 4),
    width=st.integers(1, 20),
    before=st.integers(0, 9),
    after=st.integers(0, 9),
    how=st.sampled_from(["", "vectorize", "split", "root"]),
)
def test_a_guard_on_a_remainder_bounds_the_remainder(height, width, before, after, how):
    x = RNG.random((height, width), np.float32)
    pad, wide = rows(before, after), before + width + after

    @halo.func
    def flat(i):
        return pad[i // wide, i % wide]

    if how == "vectorize":
        flat.vectorize("i", 8)
    if how == "split":
        flat.split("i", "io", "ii", 5).unroll("ii")
    if how == "root":
        pad.compute_root().vectorize("w", 4)
    assert np.array_equal(flat(x, shape=(height * wide,)), padded(x, before, after).reshape(-1))


@pytest.mark.parametrize("k", [1, 5, 54])
def test_and_on_a_remainder_of_what_only_the_call_knows(k):
    x = RNG.random((3, 40), np.float32)
    pad = rows(7, 7)

    @halo.func
    def flat(i, *, k: halo.i32):
        return pad[halo.clamp(i // k, 0, 2), i % k]

    i = np.arange(100)
    assert np.array_equal(flat(x=x, k=k, shape=(100,)), padded(x, 7, 7)[np.clip(i // k, 0, 2), i % k])


def test_the_last_vector_of_a_fused_update_reads_no_further_than_its_region(monkeypatch):
    """The row of a fused loop is a quotient by what only the call knows; the guard of its tail is on the fused variable."""
    width = halo.Param("width", halo.i32)
    x = RNG.integers(0, 255, (5, 451, 3), np.uint8)

    @halo.func
    def rows(y, x, c, *, img: halo.u8[:, :, ::1]):
        return sum(halo.f32(img[y + k, x, c]) for k in halo.rdom(2))

    @halo.func
    def out(c, y, x):
        return rows[y, halo.clamp(2 * x, 0, width - 1), c]

    out.reorder("y", "c", "x")
    rows.compute_at(out, "y").fuse("x", "c", "entry").vectorize("entry", 16)
    rows.update(0).reorder("y", "k", "x", "c").fuse("x", "c", "entry").vectorize("entry", 16)
    kernel = out.compile(img=x, width=451)
    monkeypatch.setattr(type(kernel), "_slow", lambda *_, **__: pytest.fail("a more cautious nest had to take over"))
    want = (x[:-1].astype(np.float32) + x[1:])[:, 0:450:2].transpose(2, 0, 1)
    assert np.array_equal(kernel(img=x, width=451, shape=(3, 4, 225)), want)
