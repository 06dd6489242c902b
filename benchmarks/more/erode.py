"""The least of 7x7 of a u8 picture, along x and then along y: limited by the cache's bandwidth."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH, SIZE = 1536, 2560, 7


def case() -> Case:
    padded = np.random.default_rng(0).integers(0, 256, (HEIGHT + SIZE - 1, WIDTH + SIZE - 1), np.uint8)
    return Case("erode", {"img": padded}, (HEIGHT, WIDTH), np.uint8, func, schedule, numpy_erode,
                bytes=2 * HEIGHT * WIDTH, flops=12 * HEIGHT * WIDTH, computes="i8",
                peers={"halide": halide_erode, "opencv": opencv_erode})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def rows(y, x, *, img: halo.u8[:, ::1]):
        return min(*(img[y, x + k] for k in range(SIZE)))

    @halo.func
    def erode(y, x):
        return min(*(rows[y + k, x] for k in range(SIZE)))

    return erode


def schedule(erode: halo.Func) -> None:
    erode.split("y", "yo", "yi", 64).parallel("yo").vectorize("x", 64)
    erode["rows"].store_at(erode, "yo").compute_at(erode, "yi").vectorize("x", 64)


def halide_erode() -> Any:
    import halide as hl

    x, y, yo, yi = map(hl.Var, ("x", "y", "yo", "yi"))
    img, rows, erode = hl.ImageParam(hl.UInt(8), 2, "img"), hl.Func("rows"), hl.Func("erode")
    rows[x, y] = least([img[x + k, y] for k in range(SIZE)])
    erode[x, y] = least([rows[x, y + k] for k in range(SIZE)])
    erode.split(y, yo, yi, 64).parallel(yo).vectorize(x, 64)
    rows.store_at(erode, yo).compute_at(erode, yi).vectorize(x, 64)
    return erode.compile_to_callable([img], hl.get_jit_target_from_environment())


def least(values: list[Any]) -> Any:
    import functools

    import halide as hl

    return functools.reduce(hl.min, values)


def opencv_erode() -> Any:
    import cv2

    box = np.ones((SIZE, SIZE), np.uint8)
    inside = slice(SIZE // 2, -(SIZE // 2))
    return lambda p, out: np.copyto(out, cv2.erode(p, box)[inside, inside])


def numpy_erode(p: np.ndarray) -> np.ndarray:
    rows = np.min([p[:, k : k + WIDTH] for k in range(SIZE)], axis=0)
    return np.min([rows[k : k + HEIGHT] for k in range(SIZE)], axis=0)
