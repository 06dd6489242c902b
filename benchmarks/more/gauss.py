"""A separable Gaussian of 9 taps on a u8 picture, in 16 bits: widening multiplies."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560
WEIGHTS = (1, 8, 28, 56, 70, 56, 28, 8, 1)  # of 256: the binomial


def case() -> Case:
    n = len(WEIGHTS) - 1
    padded = np.random.default_rng(0).integers(0, 256, (HEIGHT + n, WIDTH + n), np.uint8)
    return Case("gauss", {"img": padded}, (HEIGHT, WIDTH), np.uint8, func, schedule, numpy_gauss,
                bytes=2 * HEIGHT * WIDTH, flops=34 * HEIGHT * WIDTH, computes="i16", peers={"halide": halide_gauss})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def columns(y, x, *, img: halo.u8[:, ::1]):
        return halo.u8((sum(halo.u16(w) * img[y + k, x] for k, w in enumerate(WEIGHTS)) + 128) >> 8)

    @halo.func
    def gauss(y, x):
        return halo.u8((sum(halo.u16(w) * columns[y, x + k] for k, w in enumerate(WEIGHTS)) + 128) >> 8)

    return gauss


def schedule(gauss: halo.Func) -> None:
    gauss.parallel("y", 16).vectorize("x", 64)
    gauss["columns"].compute_at(gauss, "y_p").vectorize("x", 64)


def halide_gauss() -> Any:
    import halide as hl

    x, y, yi = map(hl.Var, ("x", "y", "yi"))
    img, columns, gauss = hl.ImageParam(hl.UInt(8), 2, "img"), hl.Func("columns"), hl.Func("gauss")

    def weighted(taps: list[Any]) -> Any:
        return hl.u8((sum((hl.u16(w) * hl.u16(tap) for w, tap in zip(WEIGHTS, taps, strict=True)), hl.u16(128))) >> 8)

    columns[x, y] = weighted([img[x, y + k] for k in range(9)])
    gauss[x, y] = weighted([columns[x + k, y] for k in range(9)])
    gauss.split(y, y, yi, 16).parallel(y).vectorize(x, 64)
    columns.compute_at(gauss, yi).vectorize(x, 64)
    return gauss.compile_to_callable([img], hl.get_jit_target_from_environment())


def numpy_gauss(p: np.ndarray) -> np.ndarray:
    for n in (HEIGHT, WIDTH):
        taps = (np.uint16(w) * p[k : k + n] for k, w in enumerate(WEIGHTS))
        p = ((sum(taps) + 128) >> 8).astype(np.uint8).T
    return p
