"""Interleaved u8 RGB to interleaved YUV, in 14 bits: shuffles on both sides, limited by memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560
WEIGHTS = (4899, 9617, 1868)  # of 2**14, and those of the colour differences
TO_U, TO_V = 8061, 14369


def case() -> Case:
    img = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Case("yuv", {"img": img}, img.shape, np.uint8, func, schedule, numpy_yuv, channels=3,
                bytes=6 * HEIGHT * WIDTH, flops=14 * HEIGHT * WIDTH, computes="i32",
                peers={"halide": halide_yuv, "opencv": opencv_yuv}, differs={"opencv": 2})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def luma(y, x, *, img: halo.u8[:, :, ::1]):
        r, g, b = (halo.i32(img[y, x, c]) for c in range(3))
        return (WEIGHTS[0] * r + WEIGHTS[1] * g + WEIGHTS[2] * b + 8192) >> 14

    @halo.func
    def yuv(y, x, c, *, img: halo.u8[:, :, ::1]):
        u = ((halo.i32(img[y, x, 2]) - luma[y, x]) * TO_U + (128 << 14) + 8192) >> 14
        v = ((halo.i32(img[y, x, 0]) - luma[y, x]) * TO_V + (128 << 14) + 8192) >> 14
        return halo.saturate(halo.u8, luma[y, x] if c == 0 else u if c == 1 else v)

    return yuv


def schedule(yuv: halo.Func) -> None:
    yuv.bound("c", 0, 3).parallel("y", 16).reorder("y", "x", "c").vectorize("x", 64).unroll("c")
    yuv["luma"].compute_at(yuv, "x").vectorize("x")
    yuv.specialize(yuv.inputs["img"].shape[2] == 3)


def halide_yuv() -> Any:
    import halide as hl

    x, y, c = map(hl.Var, ("x", "y", "c"))
    img, luma, yuv = hl.ImageParam(hl.UInt(8), 3, "img"), hl.Func("luma"), hl.Func("yuv")
    r, g, b = (hl.i32(img[k, x, y]) for k in range(3))
    luma[x, y] = (WEIGHTS[0] * r + WEIGHTS[1] * g + WEIGHTS[2] * b + 8192) >> 14
    u = ((hl.i32(img[2, x, y]) - luma[x, y]) * TO_U + (128 << 14) + 8192) >> 14
    v = ((hl.i32(img[0, x, y]) - luma[x, y]) * TO_V + (128 << 14) + 8192) >> 14
    yuv[c, x, y] = hl.u8_sat(hl.mux(c, [luma[x, y], u, v]))
    for buffer in (img, yuv.output_buffer()):
        buffer.dim(0).set_bounds(0, 3).set_stride(1)
        buffer.dim(1).set_stride(3)
    yuv.bound(c, 0, 3).parallel(y, 16).reorder(c, x, y).vectorize(x, 64).unroll(c)
    luma.compute_at(yuv, x).vectorize(x)
    return yuv.compile_to_callable([img], hl.get_jit_target_from_environment())


def opencv_yuv() -> Any:
    import cv2

    return lambda img, out: cv2.cvtColor(img, cv2.COLOR_RGB2YUV, dst=out)  # rounds a little differently


def numpy_yuv(img: np.ndarray) -> np.ndarray:
    rgb = img.astype(np.int32)
    luma = (rgb @ np.int32(WEIGHTS) + 8192) >> 14
    u, v = (((rgb[..., k] - luma) * to + (128 << 14) + 8192) >> 14 for k, to in ((2, TO_U), (0, TO_V)))
    return np.clip(np.stack([luma, u, v], -1), 0, 255).astype(np.uint8)
