"""The 3x3 blur of four megapixels of u16, against NumPy and against parallel Numba loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import halo

from .measure import Result, best


def scheduled_blur() -> halo.Func:
    @halo.func
    def blur_x(y, x, *, img):
        return (img[y, x - 1] + img[y, x] + img[y, x + 1]) // 3

    @halo.func
    def blur_y(y, x):
        return (blur_x[y - 1, x] + blur_x[y, x] + blur_x[y + 1, x]) // 3

    # Strips of rows; down a strip each row of blur_x is computed once, and three are kept.
    blur_y.split("y", "yo", "yi", 64).vectorize("x", 32).parallel("yo")
    blur_x.store_at(blur_y, "yo").compute_at(blur_y, "yi").vectorize("x", 32)
    return blur_y


def numpy_blur(p: np.ndarray) -> np.ndarray:
    rows = (p[:, :-2] + p[:, 1:-1] + p[:, 2:]) // 3
    return (rows[:-2] + rows[1:-1] + rows[2:]) // 3


def numba_blur() -> Any:
    import numba

    @numba.njit(parallel=True)
    def blur(p, out):
        h, w = out.shape
        for y in numba.prange(h):
            for x in range(w):
                total = np.uint16(0)
                for dy in range(3):
                    total += np.uint16(p[y + dy, x] + p[y + dy, x + 1] + p[y + dy, x + 2]) // np.uint16(3)
                out[y, x] = total // np.uint16(3)

    return blur


def run() -> Iterator[Result]:
    padded = np.random.default_rng(0).integers(0, 21845, (2050, 2050), np.uint16)
    want, out, other = numpy_blur(padded), np.zeros((2048, 2048), np.uint16), np.zeros((2048, 2048), np.uint16)
    blur, loops = scheduled_blur(), numba_blur()
    # Both read a picture that has its border already, as the Numba loops do.
    shifted = halo.Func("shifted")
    y, x = halo.vars("y x")
    img = halo.Input("padded", halo.u16, ndim=2)
    shifted[y, x] = img[y + 1, x + 1]
    kernel = blur(img=shifted).compile(padded=padded)
    kernel(padded, out=out)
    loops(padded, other)
    assert np.array_equal(out, want)
    assert np.array_equal(other, want)
    ours = best(lambda: kernel(padded, out=out))
    numpy_time, numba_time = best(lambda: numpy_blur(padded)), best(lambda: loops(padded, other))
    yield Result("3x3 blur, 2048 x 2048 u16", ours * 1000, "ms")
    yield Result("    NumPy", numpy_time * 1000, "ms")
    yield Result("    @njit(parallel=True)", numba_time * 1000, "ms")
    yield Result("    NumPy's time / ours", numpy_time / ours, "x", 10, at_least=True)
    yield Result("    Numba's time / ours", numba_time / ours, "x", 1, at_least=True)
    photo = padded[1:-1, 1:-1]
    yield Result(
        "    with halo.pad(img, 'edge')", best(lambda: blur(img=halo.pad(photo, "edge"), out=out)) * 1000, "ms"
    )
