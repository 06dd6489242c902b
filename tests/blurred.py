"""A blur in tiles, for tests of what is shown of Funcs."""

from __future__ import annotations

import halo


def blur() -> halo.Func:
    """The mean of 3x3 of a u16 picture: rows, and columns of these, 16 by 64 at a time."""
    y, x = halo.vars("y x")
    img, rows, out = halo.Input("img", halo.u16, ndim=2), halo.Func("rows"), halo.Func("out")
    rows[y, x] = (img[y, x] + img[y, x + 1] + img[y, x + 2]) // 3
    out[y, x] = (rows[y, x] + rows[y + 1, x] + rows[y + 2, x]) // 3
    out.tile("y", "x", "yo", "xo", "y", "x", 16, 64).vectorize("x", 32).parallel("yo")
    rows.compute_at(out, "xo").vectorize("x", 32)
    return out
