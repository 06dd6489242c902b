"""The 3x3 median of a u8 picture by a network of minima and maxima: all in registers."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560


def case() -> Case:
    padded = np.random.default_rng(0).integers(0, 256, (HEIGHT + 2, WIDTH + 2), np.uint8)
    return Case("median", {"img": padded}, (HEIGHT, WIDTH), np.uint8, func, schedule, numpy_median,
                bytes=2 * HEIGHT * WIDTH, flops=22 * HEIGHT * WIDTH, computes="i8",
                peers={"halide": halide_median, "opencv": opencv_median})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def columns(y, x, *, img: halo.u8[:, ::1]):
        a, b, c = img[y, x], img[y + 1, x], img[y + 2, x]
        low, high = min(a, b), max(a, b)
        return min(low, c), max(low, min(high, c)), max(high, c)

    @halo.func
    def median(y, x):
        lows, middles, highs = ([columns[y, x + k][n] for k in range(3)] for n in range(3))
        low, high = max(*lows), min(*highs)
        middle = max(min(middles[0], middles[1]), min(max(middles[0], middles[1]), middles[2]))
        return max(min(low, middle), min(max(low, middle), high))

    return median


def schedule(median: halo.Func) -> None:
    median.parallel("y", 16).vectorize("x", 64)
    median["columns"].compute_at(median, "y_p").vectorize("x", 64)


def halide_median() -> Any:
    import halide as hl

    x, y = hl.Var("x"), hl.Var("y")
    img = hl.ImageParam(hl.UInt(8), 2, "img")
    columns, median = hl.Func("columns"), hl.Func("median")
    a, b, c = (img[x, y + k] for k in range(3))
    low, high = hl.min(a, b), hl.max(a, b)
    columns[x, y] = hl.Tuple([hl.min(low, c), hl.max(low, hl.min(high, c)), hl.max(high, c)])
    lows, middles, highs = ([columns[x + k, y][n] for k in range(3)] for n in range(3))
    low, high = hl.max(hl.max(lows[0], lows[1]), lows[2]), hl.min(hl.min(highs[0], highs[1]), highs[2])
    middle = hl.max(hl.min(middles[0], middles[1]), hl.min(hl.max(middles[0], middles[1]), middles[2]))
    median[x, y] = hl.max(hl.min(low, middle), hl.min(hl.max(low, middle), high))
    yi = hl.Var("yi")
    median.split(y, y, yi, 16).parallel(y).vectorize(x, 64)
    columns.compute_at(median, yi).vectorize(x, 64)
    return median.compile_to_callable([img], hl.get_jit_target_from_environment())


def opencv_median() -> Any:
    import cv2

    return lambda p, out: np.copyto(out, cv2.medianBlur(p, 3)[1:-1, 1:-1])


def numpy_median(p: np.ndarray) -> np.ndarray:
    near = [p[dy : dy + HEIGHT, dx : dx + WIDTH] for dy in range(3) for dx in range(3)]
    return np.median(np.stack(near), axis=0).astype(np.uint8)
