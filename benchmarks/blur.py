"""The 3x3 box blur of a u16 picture: two stages, limited by memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

HEIGHT, WIDTH = 1536, 2560


def case(height: int = HEIGHT, width: int = WIDTH, name: str = "blur") -> Case:
    # A picture that has its border already, so that all peers do the same.
    padded = np.random.default_rng(0).integers(0, 21845, (height + 2, width + 2), np.uint16)
    return Case(name, {"img": padded}, (height, width), np.uint16, func, schedule, numpy_blur,
                bytes=4 * height * width, flops=6 * height * width, computes="i16",
                peers={"halide": halide_blur, "numba": numba_blur, "opencv": opencv_blur},
                differs={"opencv": 2})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def blur_x(y, x, *, img):
        return (img[y + 1, x] + img[y + 1, x + 1] + img[y + 1, x + 2]) // 3

    @halo.func
    def blur_y(y, x):
        return (blur_x[y - 1, x] + blur_x[y, x] + blur_x[y + 1, x]) // 3

    return blur_y


def schedule(blur_y: halo.Func) -> None:
    # Four rows at once share the six of blur_x that they need, in registers: reading and writing never wait for each other.
    blur_y.split("y", "yo", "yi", 64).split("yi", "yi", "yy", 4).reorder("yo", "yi", "x", "yy")
    blur_y.vectorize("x", 32).unroll("yy").parallel("yo")
    blur_y["blur_x"].compute_inline()


def halide_blur() -> Any:
    import halide as hl

    x, y, yo, yi, yy, xi = map(hl.Var, ("x", "y", "yo", "yi", "yy", "xi"))
    img = hl.ImageParam(hl.UInt(16), 2, "img")
    blur_x, blur_y = hl.Func("blur_x"), hl.Func("blur_y")
    blur_x[x, y] = (img[x, y] + img[x + 1, y] + img[x + 2, y]) // hl.u16(3)
    blur_y[x, y] = (blur_x[x, y] + blur_x[x, y + 1] + blur_x[x, y + 2]) // hl.u16(3)
    blur_y.split(y, yo, yi, 64).split(yi, yi, yy, 4).split(x, x, xi, 32).reorder(xi, yy, x, yi, yo)
    blur_y.vectorize(xi).unroll(yy).parallel(yo)
    return blur_y.compile_to_callable([img], hl.get_jit_target_from_environment())


def numba_blur() -> Any:
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def blur(p, out):
        h, w = out.shape
        for y in numba.prange(h):
            for x in range(w):
                total = np.uint16(0)
                for dy in range(3):
                    total += np.uint16(p[y + dy, x] + p[y + dy, x + 1] + p[y + dy, x + 2]) // np.uint16(3)
                out[y, x] = total // np.uint16(3)

    return blur


def opencv_blur() -> Any:
    import cv2

    # A ninth of the sum, rounded, where the others divide twice and round down; and the border is computed too.
    return lambda p, out: np.copyto(out, cv2.blur(p, (3, 3))[1:-1, 1:-1])


def numpy_blur(p: np.ndarray) -> np.ndarray:
    rows = (p[:, :-2] + p[:, 1:-1] + p[:, 2:]) // 3
    return (rows[:-2] + rows[1:-1] + rows[2:]) // 3
