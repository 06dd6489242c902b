"""Non-local means of an f32 picture: for 5x5 shifts the likeness of 5x5 patches, and a weight that is an exponential."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560
PATCH, SEARCH = 5, 5
INVERSE = -1 / (0.12**2 * PATCH**2)
REACH = SEARCH // 2 + PATCH // 2


def case() -> Case:
    img = np.random.default_rng(0).uniform(0, 1, (HEIGHT + 2 * REACH, WIDTH + 2 * REACH)).astype(np.float32)
    return Case("nl_means", {"img": img}, (HEIGHT, WIDTH), np.float32, func, schedule, numpy_means, tolerance=1e-4,
                bytes=8 * HEIGHT * WIDTH, flops=25 * 30 * HEIGHT * WIDTH, peers={"halide": halide_means})  # fmt: skip


def func() -> halo.Func:
    near = range(-(PATCH // 2), PATCH // 2 + 1)

    @halo.func
    def distance(y, x, dy, dx, *, img: halo.f32[:, ::1]):
        d = img[y + REACH, x + REACH] - img[y + dy + REACH, x + dx + REACH]
        return d * d

    @halo.func
    def along_y(y, x, dy, dx):
        return sum(distance[y + k, x, dy, dx] for k in near)

    @halo.func
    def patches(y, x, dy, dx):
        return sum(along_y[y, x + k, dy, dx] for k in near)

    @halo.func
    def sums(c, y, x, *, img: halo.f32[:, ::1]):
        sums[c, y, x] = 0.0
        for sy, sx in halo.rdom((-(SEARCH // 2), SEARCH), (-(SEARCH // 2), SEARCH)):
            weight = halo.exp(patches[y, x, sy, sx] * INVERSE)
            sums[c, y, x] += weight * (img[y + sy + REACH, x + sx + REACH] if c == 0 else 1.0)

    @halo.func
    def means(y, x):
        return sums[0, y, x] / sums[1, y, x]

    return means


def schedule(means: halo.Func) -> None:
    sums, along_y = means["sums"], means["along_y"]
    means.tile("y", "x", "y", "x", "yi", "xi", 8, 512).parallel("y").vectorize("xi", 16)
    sums.compute_at(means, "x").bound("c", 0, 2).reorder("y", "x", "c").vectorize("x", 16).unroll("c")
    sums.update(0).reorder("sy", "sx", "y", "x", "c").vectorize("x", 16).unroll("c")
    along_y.compute_at(sums.update(0), "y").vectorize("x", 16)
    means["distance"].compute_at(sums.update(0), "sx").vectorize("x", 16)
    means["patches"].compute_inline()


def halide_means() -> Any:
    import halide as hl

    x, y, xi, yi, dx, dy, c = map(hl.Var, ("x", "y", "xi", "yi", "dx", "dy", "c"))
    img = hl.ImageParam(hl.Float(32), 2, "img")
    distance, along_y, patches, sums, means = map(hl.Func, ("distance", "along_y", "patches", "sums", "means"))
    s = hl.RDom([(-(SEARCH // 2), SEARCH), (-(SEARCH // 2), SEARCH)], "s")
    near = range(-(PATCH // 2), PATCH // 2 + 1)
    d = img[x + REACH, y + REACH] - img[x + dx + REACH, y + dy + REACH]
    distance[x, y, dx, dy] = d * d
    along_y[x, y, dx, dy] = sum(distance[x, y + k, dx, dy] for k in near)
    patches[x, y, dx, dy] = sum(along_y[x + k, y, dx, dy] for k in near)
    sums[x, y, c] = 0.0
    weight = hl.exp(patches[x, y, s.x, s.y] * hl.f32(INVERSE))
    sums[x, y, c] += weight * hl.mux(c, [img[x + s.x + REACH, y + s.y + REACH], 1.0])
    means[x, y] = sums[x, y, 0] / sums[x, y, 1]
    means.tile(x, y, xi, yi, 512, 8).parallel(y).vectorize(xi, 16)
    sums.compute_at(means, x).bound(c, 0, 2).reorder(c, x, y).vectorize(x, 16).unroll(c)
    sums.update().reorder(c, x, y, s.x, s.y).vectorize(x, 16).unroll(c)
    along_y.compute_at(sums, y).vectorize(x, 16)
    distance.compute_at(sums, s.x).vectorize(x, 16)
    return means.compile_to_callable([img], hl.get_jit_target_from_environment())


def numpy_means(img: np.ndarray) -> np.ndarray:
    def at(dy: int, dx: int, margin: int) -> np.ndarray:
        return img[
            REACH + dy - margin : REACH + dy + HEIGHT + margin, REACH + dx - margin : REACH + dx + WIDTH + margin
        ]

    total, count, half = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH)), SEARCH // 2
    for dy in range(-half, half + 1):
        for dx in range(-half, half + 1):
            d = (at(0, 0, PATCH // 2) - at(dy, dx, PATCH // 2)) ** 2
            rows = sum(d[k : k + HEIGHT] for k in range(PATCH))
            weight = np.exp(INVERSE * sum(rows[:, k : k + WIDTH] for k in range(PATCH)).astype(np.float64))
            total, count = total + weight * at(dy, dx, 0), count + weight
    return (total / count).astype(np.float32)
