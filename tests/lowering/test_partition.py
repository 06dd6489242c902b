"""What is written more than once, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

import halo


@pytest.fixture
def blur() -> halo.Func:
    """Two stages of three taps, in fused tiles, whose rows slide: no range of the fused loop tells which tiles are whole."""
    y, x = halo.vars("y x")
    img, rows, out = halo.Input("img", halo.u16, ndim=2), halo.Func("rows"), halo.Func("out")
    rows[y, x] = img[y, x] + img[y, x + 1] + img[y, x + 2]
    out[y, x] = rows[y, x] + rows[y + 1, x] + rows[y + 2, x]
    out.tile("y", "x", "yo", "xo", "y", "x", 16, 256).fuse("yo", "xo", "t").parallel("t").vectorize("x", 32)
    rows.store_at(out, "t").compute_at(out, "y").vectorize("x", 32)
    return out


def test_no_steady_state_that_is_never_reached(blur: halo.Func) -> None:
    text = blur.lower(img=np.zeros((40, 200), np.uint16)).after("partition")
    assert "if likely(False)" not in text


def test_the_rows_before_the_first_are_no_reason_for_a_copy_of_all_loops(blur: halo.Func) -> None:
    text = blur.lower(img=np.zeros((40, 200), np.uint16)).after("partition")
    assert text.count("produce rows") == 1


def test_tiles_at_the_edge(blur: halo.Func) -> None:
    img = np.random.default_rng(0).integers(0, 1000, (43, 605), np.uint16)
    rows = img[:, :-2] + img[:, 1:-1] + img[:, 2:]
    np.testing.assert_array_equal(blur(img=img, shape=(41, 603)), rows[:-2] + rows[1:-1] + rows[2:])


def test_what_makes_a_picture_smaller_reads_inside_nearly_everywhere() -> None:
    """As long as the extents of input and output were guessed alike, the steady state was beyond the input."""

    @halo.func
    def smaller(x, *, img: halo.f32[::1]):
        p = halo.pad(img, "edge")
        return p[2 * x - 1] + p[2 * x] + p[2 * x + 2]

    smaller.vectorize("x", 8)
    img = np.random.default_rng(0).random(203, np.float32)
    steady = smaller.lower(img=img).after("partition").split("for x in")[2]
    assert "max(" not in steady.split("vectorize:")[1]
    p = np.pad(img, (1, 3), "edge")
    np.testing.assert_array_equal(smaller(img=img, shape=101), p[:202:2] + p[1:203:2] + p[3:205:2])
