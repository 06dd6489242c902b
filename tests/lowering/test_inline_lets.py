"""Loops with constant bounds: what they settle costs nothing inside."""

from __future__ import annotations

import numpy as np

import halo


def test_whole_tiles_of_a_bounded_output_have_no_masks() -> None:
    y, x = halo.vars("y x")
    img, f, g = halo.Input("img", halo.f32, ndim=2), halo.Func("f"), halo.Func("g")
    f[y, x] = img[y, x] * 2
    g[y, x] = f[y, x] + 1
    g.bound("y", 0, 8).bound("x", 0, 128).tile("y", "x", "yo", "xo", "y", "x", 4, 64).vectorize("x", 16).unroll("x")
    f.compute_at(g, "xo").vectorize("x", 16).unroll("x").unroll("y")
    picture = np.arange(8 * 128, dtype=np.float32).reshape(8, 128)
    assert "masked" not in g.inspect_llvm(img=picture)
    np.testing.assert_array_equal(g(img=picture), picture * 2 + 1)
