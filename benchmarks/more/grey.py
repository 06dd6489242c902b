"""Interleaved u8 RGB to grey, with OpenCV's weights in 14 bits: strided loads, limited by memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560
WEIGHTS = (4899, 9617, 1868)  # of 2**14


def case() -> Case:
    img = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Case("grey", {"img": img}, (HEIGHT, WIDTH), np.uint8, func, schedule, numpy_grey,
                bytes=4 * HEIGHT * WIDTH, flops=6 * HEIGHT * WIDTH, computes="i32",
                peers={"halide": halide_grey, "opencv": opencv_grey}, differs={"opencv": 1})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def grey(y, x, *, img: halo.u8[:, :, ::1]):
        r, g, b = (halo.u32(img[y, x, c]) for c in range(3))
        return halo.u8((WEIGHTS[0] * r + WEIGHTS[1] * g + WEIGHTS[2] * b + 8192) >> 14)

    return grey


def schedule(grey: halo.Func) -> None:
    grey.parallel("y", 16).vectorize("x", 64).specialize(grey.inputs["img"].shape[2] == 3)


def halide_grey() -> Any:
    import halide as hl

    x, y = hl.Var("x"), hl.Var("y")
    img, grey = hl.ImageParam(hl.UInt(8), 3, "img"), hl.Func("grey")
    r, g, b = (hl.u32(img[c, x, y]) for c in range(3))
    grey[x, y] = hl.u8((WEIGHTS[0] * r + WEIGHTS[1] * g + WEIGHTS[2] * b + 8192) >> 14)
    img.dim(0).set_bounds(0, 3).set_stride(1)
    img.dim(1).set_stride(3)
    grey.parallel(y, 16).vectorize(x, 64)
    return grey.compile_to_callable([img], hl.get_jit_target_from_environment())


def opencv_grey() -> Any:
    import cv2

    return lambda img, out: cv2.cvtColor(img, cv2.COLOR_RGB2GRAY, dst=out)  # rounds a little differently


def numpy_grey(img: np.ndarray) -> np.ndarray:
    return ((img.astype(np.uint32) @ np.uint32(WEIGHTS) + 8192) >> 14).astype(np.uint8)
