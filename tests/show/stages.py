"""A blur in two stages and a product of matrices, which tests of schedules look at."""

from __future__ import annotations

import numpy as np

import halo

IMG = np.random.default_rng(0).integers(0, 20000, (66, 130), np.uint16)
SHAPE = (64, 128)


def blur() -> halo.Func:
    y, x = halo.vars("y x")
    img, rows, out = halo.Input("img", halo.u16, ndim=2), halo.Func("rows"), halo.Func("out")
    rows[y, x] = (img[y, x] + img[y, x + 1] + img[y, x + 2]) // 3
    out[y, x] = (rows[y, x] + rows[y + 1, x] + rows[y + 2, x]) // 3
    return out


def product(n: int) -> halo.Func:
    """The product of `a` and `b`, n by n."""
    i, j = halo.vars("i j")
    a, b = halo.Input("a", halo.f32, ndim=2), halo.Input("b", halo.f32, ndim=2)
    f, r = halo.Func("f"), halo.rdom(n, names="k")
    f[i, j] = 0.0
    f[i, j] += a[i, r.k] * b[r.k, j]
    return f
