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


def test_conditions_on_extents_make_tiles_whole_along_each_axis() -> None:
    y, x = halo.vars("y x")
    img, f, g = halo.Input("img", halo.f32, ndim=2), halo.Func("f"), halo.Func("g")
    f[y, x] = img[y, x] * 2
    g[y, x] = f[y, x] + 1
    shape = halo.Input("g").shape
    tiled = g.specialize((shape[0] >= 3) & (shape[1] >= 32))
    for nest, (rows, columns) in ((tiled, (3, 32)), (g, (1, 1))):
        nest.split("x", "xo", "x", columns, "shift_inwards").split("y", "yo", "y", rows, "shift_inwards")
        nest.reorder("yo", "xo", "y", "x").never_partition("yo", "xo")
    tiled.vectorize("x", 16).unroll("x").unroll("y")
    f.compute_at(g, "xo").vectorize("x", 16).unroll("x").unroll("y")
    nest = g.lower().after("inline_lets").split("else:\n")[0]
    assert "alloc f[3, 32]" in nest and "likely" not in nest
    assert "f[x_v + 80]" in g.lower().after("flatten")  # how far into the tile it is, is known
    for n, m in ((1, 1), (2, 40), (3, 32), (7, 45), (8, 31)):
        picture = np.arange(n * m, dtype=np.float32).reshape(n, m)
        np.testing.assert_array_equal(g(img=picture), picture * 2 + 1)
