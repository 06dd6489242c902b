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
