"""Harris corners of an f32 RGB picture: eleven stages, most of them inlined into the last."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

HEIGHT, WIDTH = 1536, 2560
GREY = np.float32((0.299, 0.587, 0.114)).tolist()
K = float(np.float32(0.04))


def case() -> Case:
    # A picture that has its border already, so that all peers do the same.
    img = np.random.default_rng(0).uniform(0, 1, (HEIGHT + 4, WIDTH + 4, 3)).astype(np.float32)
    return Case("harris", {"img": img}, (HEIGHT, WIDTH), np.float32, func, schedule, numpy_harris, wide=True,
                tolerance=1e-5, bytes=16 * HEIGHT * WIDTH, flops=52 * HEIGHT * WIDTH,
                peers={"halide": halide_harris, "numba": numba_harris})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def grey(y, x, *, img: halo.f32[:, :, ::1]):
        return GREY[0] * img[y, x, 0] + GREY[1] * img[y, x, 1] + GREY[2] * img[y, x, 2]

    @halo.func
    def gradient_y(y, x):
        below = grey[y + 1, x - 1] + 2.0 * grey[y + 1, x] + grey[y + 1, x + 1]
        return (below - (grey[y - 1, x - 1] + 2.0 * grey[y - 1, x] + grey[y - 1, x + 1])) * (1 / 12)

    @halo.func
    def gradient_x(y, x):
        right = grey[y - 1, x + 1] + 2.0 * grey[y, x + 1] + grey[y + 1, x + 1]
        return (right - (grey[y - 1, x - 1] + 2.0 * grey[y, x - 1] + grey[y + 1, x - 1])) * (1 / 12)

    @halo.func
    def tensor(y, x):
        syy = sxx = sxy = 0.0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                gy, gx = gradient_y[y + dy, x + dx], gradient_x[y + dy, x + dx]
                syy, sxx, sxy = syy + gy * gy, sxx + gx * gx, sxy + gy * gx
        return syy, sxx, sxy

    @halo.func
    def harris(y, x):
        syy, sxx, sxy = tensor[y + 2, x + 2]
        return sxx * syy - sxy * sxy - K * (sxx + syy) * (sxx + syy)

    return harris


def schedule(harris: halo.Func) -> None:
    # Down a tile each row of the grey picture and of its gradient is computed once, and three are kept: near, in L1.
    harris.split("y", "y", "yi", 64).split("x", "x", "xi", 512).reorder("y", "x", "yi", "xi").parallel("y").vectorize(
        "xi", 16
    )
    for name in ("grey", "gradient_y", "gradient_x"):
        harris[name].store_at(harris, "x").compute_at(harris, "yi").vectorize("x", 16)
    harris["gradient_x"].compute_with(harris["gradient_y"], "x")
    harris["tensor"].compute_inline()
    harris.specialize(harris.inputs["img"].shape[2] == 3)  # then the stride of x is known


def halide_harris() -> Any:
    import halide as hl

    x, y, yi = map(hl.Var, ("x", "y", "yi"))
    img = hl.ImageParam(hl.Float(32), 3, "img")
    grey, gradient_y, gradient_x, harris = map(hl.Func, ("grey", "gradient_y", "gradient_x", "harris"))
    grey[x, y] = GREY[0] * img[0, x, y] + GREY[1] * img[1, x, y] + GREY[2] * img[2, x, y]
    below, above = (grey[x - 1, y + d] + 2.0 * grey[x, y + d] + grey[x + 1, y + d] for d in (1, -1))
    right, left = (grey[x + d, y - 1] + 2.0 * grey[x + d, y] + grey[x + d, y + 1] for d in (1, -1))
    gradient_y[x, y] = (below - above) * hl.f32(1 / 12)
    gradient_x[x, y] = (right - left) * hl.f32(1 / 12)
    near = [(x + 2 + dx, y + 2 + dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    syy = sum(gradient_y[at] * gradient_y[at] for at in near)
    sxx = sum(gradient_x[at] * gradient_x[at] for at in near)
    sxy = sum(gradient_y[at] * gradient_x[at] for at in near)
    harris[x, y] = sxx * syy - sxy * sxy - K * (sxx + syy) * (sxx + syy)
    img.dim(0).set_bounds(0, 3).set_stride(1)
    img.dim(1).set_stride(3)
    harris.split(y, y, yi, 64).parallel(y).vectorize(x, 16)
    for f in (grey, gradient_x, gradient_y):
        f.store_at(harris, y).compute_at(harris, yi).vectorize(x, 16)
    gradient_x.compute_with(gradient_y, x)
    return harris.compile_to_callable([img], hl.get_jit_target_from_environment())


def numba_harris() -> Any:
    import numba

    red, green, blue = map(np.float32, GREY)

    @numba.njit(parallel=True, fastmath=True)
    def harris(img, out):
        h, w = out.shape
        grey = np.empty((h + 4, w + 4), np.float32)
        gy, gx = np.empty((h + 2, w + 2), np.float32), np.empty((h + 2, w + 2), np.float32)
        for y in numba.prange(h + 4):
            for x in range(w + 4):
                grey[y, x] = red * img[y, x, 0] + green * img[y, x, 1] + blue * img[y, x, 2]
        two, twelfth = np.float32(2), np.float32(1 / 12)
        for y in numba.prange(h + 2):
            for x in range(w + 2):
                below = grey[y + 2, x] + two * grey[y + 2, x + 1] + grey[y + 2, x + 2]
                above = grey[y, x] + two * grey[y, x + 1] + grey[y, x + 2]
                right = grey[y, x + 2] + two * grey[y + 1, x + 2] + grey[y + 2, x + 2]
                left = grey[y, x] + two * grey[y + 1, x] + grey[y + 2, x]
                gy[y, x], gx[y, x] = (below - above) * twelfth, (right - left) * twelfth
        for y in numba.prange(h):
            for x in range(w):
                syy = sxx = sxy = np.float32(0)
                for dy in range(3):
                    for dx in range(3):
                        a, b = gy[y + dy, x + dx], gx[y + dy, x + dx]
                        syy, sxx, sxy = syy + a * a, sxx + b * b, sxy + a * b
                trace = sxx + syy
                out[y, x] = sxx * syy - sxy * sxy - np.float32(K) * trace * trace

    return harris


def numpy_harris(img: np.ndarray) -> np.ndarray:
    grey = img @ np.asarray(GREY, img.dtype)

    def weighted(a: np.ndarray) -> np.ndarray:
        return a[:-2] + 2 * a[1:-1] + a[2:]

    def box(a: np.ndarray) -> np.ndarray:
        rows = a[:-2] + a[1:-1] + a[2:]
        return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]

    along_x, along_y = weighted(grey.T).T, weighted(grey)
    gy, gx = (along_x[2:] - along_x[:-2]) / 12, (along_y[:, 2:] - along_y[:, :-2]) / 12
    syy, sxx, sxy = box(gy * gy), box(gx * gx), box(gy * gx)
    return sxx * syy - sxy * sxy - K * (sxx + syy) ** 2
