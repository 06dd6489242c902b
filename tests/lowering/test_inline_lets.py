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


def test_the_last_tile_slides_back_whole_where_one_fits() -> None:
    i, j = halo.vars("i j")
    x, f, g = halo.Input("x", halo.f32, shape=("n", 32)), halo.Func("f"), halo.Func("g")
    f[i, j] = x[i, j] * 2
    g[i, j] = f[i, j] + 1
    g.bound("j", 0, 32).split("i", "io", "i", 5, "shift_inwards").vectorize("j", 16).unroll("i").partition(
        "io", "never"
    )
    g.specialize(halo.Input("g").shape[0] >= 5)
    f.compute_at(g, "io").vectorize("j", 16).unroll("i")
    nest = str(g.lower().after("inline_lets")).split("else:\n")[0]
    assert "alloc f[5, 32]" in nest
    assert "likely" not in nest
    for n in range(18):
        a = np.arange(32 * n, dtype=np.float32).reshape(n, 32)
        np.testing.assert_array_equal(g(x=a), a * 2 + 1)
