"""The integral image of a u8 picture in u32: sums along y, then along x, which is a chain of additions."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560


def case() -> Case:
    img = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    return Case("integral", {"img": img}, img.shape, np.uint32, func, schedule, numpy_integral,
                bytes=5 * HEIGHT * WIDTH, flops=2 * HEIGHT * WIDTH, computes="i32",
                peers={"halide": halide_integral, "opencv": opencv_integral})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def rows(y, x, *, img: halo.u8[:, ::1]):
        rows[y, x] = halo.u32(img[y, x])
        for k in halo.rdom(range(1, img.shape[1])):
            rows[y, k] += rows[y, k - 1]

    @halo.func
    def integral(y, x, *, img: halo.u8[:, ::1]):
        integral[y, x] = rows[y, x]
        for k in halo.rdom(range(1, img.shape[0])):
            integral[k, x] += integral[k - 1, x]

    return integral


def schedule(integral: halo.Func) -> None:
    rows = integral["rows"]
    integral.parallel("y", 16).vectorize("x", 16)
    integral.update(0).split("x", "xo", "x", 256).reorder("xo", "k", "x").parallel("xo").vectorize("x", 16)
    rows.compute_at(integral, "y_p").vectorize("x", 16)
    rows.update(0).unroll("k", 4)


def halide_integral() -> Any:
    import halide as hl

    x, y, xo, yo = map(hl.Var, ("x", "y", "xo", "yo"))
    img, rows, integral = hl.ImageParam(hl.UInt(8), 2, "img"), hl.Func("rows"), hl.Func("integral")
    along_x, along_y = hl.RDom([(1, WIDTH - 1)], "kx"), hl.RDom([(1, HEIGHT - 1)], "ky")
    rows[x, y] = hl.u32(img[x, y])
    rows[along_x, y] += rows[along_x - 1, y]
    integral[x, y] = rows[x, y]
    integral[x, along_y] += integral[x, along_y - 1]
    yi = hl.Var("yi")
    integral.split(y, yo, yi, 16).parallel(yo).vectorize(x, 16)
    integral.update().split(x, xo, x, 256).reorder(x, along_y, xo).parallel(xo).vectorize(x, 16)
    rows.compute_at(integral, yi).vectorize(x, 16)
    rows.update().unroll(along_x, 4)
    return integral.compile_to_callable([img], hl.get_jit_target_from_environment())


def opencv_integral() -> Any:
    import cv2

    return lambda img, out: np.copyto(out, cv2.integral(img)[1:, 1:], casting="unsafe")


def numpy_integral(img: np.ndarray) -> np.ndarray:
    return img.astype(np.uint32).cumsum(1, np.uint32).cumsum(0, np.uint32)
