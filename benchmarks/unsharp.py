"""Sharpen an f32 RGB picture: six stages, of which three slide down strips of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import halo

from .case import Case

HEIGHT, WIDTH = 1536, 2560
SIGMA, RADIUS = 1.5, 3
KERNEL = np.float32(np.exp(-0.5 * (np.arange(RADIUS + 1) / SIGMA) ** 2) / (np.sqrt(2 * np.pi) * SIGMA)).tolist()
GREY = np.float32((0.299, 0.587, 0.114)).tolist()


def case() -> Case:
    img = np.random.default_rng(0).uniform(0.1, 1, (HEIGHT, WIDTH, 3)).astype(np.float32)
    return Case("unsharp", {"img": img}, img.shape, np.float32, func, schedule, numpy_unsharp, tolerance=1e-5,
                bytes=24 * HEIGHT * WIDTH, channels=3, flops=29 * HEIGHT * WIDTH,
                peers={"halide": halide_unsharp, "numba": numba_unsharp})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def grey(y, x, *, img: halo.f32[:, :, ::1]):
        bordered = halo.pad(img, "edge")
        return GREY[0] * bordered[y, x, 0] + GREY[1] * bordered[y, x, 1] + GREY[2] * bordered[y, x, 2]

    @halo.func
    def blur_y(y, x):
        total = KERNEL[0] * grey[y, x]
        for k in range(1, RADIUS + 1):
            total += KERNEL[k] * (grey[y - k, x] + grey[y + k, x])
        return total

    @halo.func
    def blur_x(y, x):
        total = KERNEL[0] * blur_y[y, x]
        for k in range(1, RADIUS + 1):
            total += KERNEL[k] * (blur_y[y, x - k] + blur_y[y, x + k])
        return total

    @halo.func
    def ratio(y, x):
        return (2 * grey[y, x] - blur_x[y, x]) / grey[y, x]

    @halo.func
    def unsharp(y, x, c, *, img: halo.f32[:, :, ::1]):
        return ratio[y, x] * img[y, x, c]

    return unsharp


def schedule(unsharp: halo.Func) -> None:
    # Down a strip each row of the grey picture and of the two blurs is computed once; seven of the first are kept.
    unsharp.bound("c", 0, 3).split("y", "yo", "yi", 32).parallel("yo").vectorize("x", 16).vectorize("c")
    for name in ("grey", "blur_y", "ratio"):
        unsharp[name].store_at(unsharp, "yo").compute_at(unsharp, "yi").vectorize("x", 16)
    unsharp["blur_x"].compute_inline()
    unsharp.specialize(unsharp.inputs["img"].shape[2] == 3)  # then the stride of x is known


def halide_unsharp() -> Any:
    import halide as hl

    x, y, c, yo, yi = map(hl.Var, ("x", "y", "c", "yo", "yi"))
    img = hl.ImageParam(hl.Float(32), 3, "img")
    bordered = hl.BoundaryConditions.repeat_edge(img)
    grey, blur_y, blur_x, ratio, unsharp = map(hl.Func, ("grey", "blur_y", "blur_x", "ratio", "unsharp"))
    grey[x, y] = GREY[0] * bordered[0, x, y] + GREY[1] * bordered[1, x, y] + GREY[2] * bordered[2, x, y]
    blur_y[x, y] = symmetric(lambda k: grey[x, y + k])
    blur_x[x, y] = symmetric(lambda k: blur_y[x + k, y])
    ratio[x, y] = (2 * grey[x, y] - blur_x[x, y]) / grey[x, y]
    unsharp[c, x, y] = ratio[x, y] * img[c, x, y]
    img.dim(0).set_bounds(0, 3).set_stride(1)
    img.dim(1).set_stride(3)
    unsharp.output_buffer().dim(0).set_bounds(0, 3).set_stride(1)
    unsharp.output_buffer().dim(1).set_stride(3)
    unsharp.split(y, yo, yi, 32).parallel(yo).reorder(c, x, yi, yo).vectorize(x, 16).vectorize(c)
    for f in (grey, blur_y, ratio):
        f.store_at(unsharp, yo).compute_at(unsharp, yi).vectorize(x, 16)
    return unsharp.compile_to_callable([img], hl.get_jit_target_from_environment())


def symmetric(at: Callable[[int], Any]) -> Any:
    return KERNEL[0] * at(0) + sum(KERNEL[k] * (at(-k) + at(k)) for k in range(1, RADIUS + 1))


def numba_unsharp() -> Any:
    import numba

    weights, red, green, blue = np.float32(KERNEL), *map(np.float32, GREY)

    @numba.njit(parallel=True, fastmath=True)
    def unsharp(img, out):
        h, w, _ = img.shape
        grey, rows = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
        for y in numba.prange(h):
            for x in range(w):
                grey[y, x] = red * img[y, x, 0] + green * img[y, x, 1] + blue * img[y, x, 2]
        for y in numba.prange(h):
            for x in range(w):
                total = weights[0] * grey[y, x]
                for k in range(1, 4):
                    total += weights[k] * (grey[max(y - k, 0), x] + grey[min(y + k, h - 1), x])
                rows[y, x] = total
        for y in numba.prange(h):
            for x in range(w):
                total = weights[0] * rows[y, x]
                for k in range(1, 4):
                    total += weights[k] * (rows[y, max(x - k, 0)] + rows[y, min(x + k, w - 1)])
                ratio = (np.float32(2) * grey[y, x] - total) / grey[y, x]
                for c in range(3):
                    out[y, x, c] = ratio * img[y, x, c]

    return unsharp


def numpy_unsharp(img: np.ndarray) -> np.ndarray:
    grey = img @ np.float32(GREY)
    blur = grey
    for axis in (0, 1):
        n = grey.shape[axis]
        p = np.pad(blur, [(RADIUS * (a == axis),) * 2 for a in (0, 1)], "edge")
        taps = [np.take(p, range(k, k + n), axis) for k in range(2 * RADIUS + 1)]
        blur = sum(np.float32(KERNEL[abs(k - RADIUS)]) * tap for k, tap in enumerate(taps))
    return ((2 * grey - blur) / grey)[..., None] * img
