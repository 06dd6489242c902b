"""The bilateral grid of an f32 picture: a histogram of each 8x8 cell, three blurs of the histograms, and a trilinear
look-up for each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

HEIGHT, WIDTH = 1536, 2560
S = 8  # pixels to a cell, along y and x
LEVELS = 10  # cells from black to white


def case() -> Case:
    img = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.float32) / np.float32(255)
    return Case("bilateral_grid", {"img": img}, img.shape, np.float32, func, schedule, numpy_grid, tolerance=1e-5,
                bytes=12 * HEIGHT * WIDTH, flops=62 * HEIGHT * WIDTH,
                peers={"halide": halide_grid, "numba": numba_grid})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def grid(c, z, y, x, *, img: halo.f32[:, ::1]):
        bordered = halo.pad(img, "edge")
        grid[c, z, y, x] = 0.0
        for dy, dx in halo.rdom(S, S):
            value = halo.clamp(bordered[y * S + dy - S // 2, x * S + dx - S // 2], 0.0, 1.0)
            cell = halo.clamp(halo.i32(value * LEVELS + 0.5), 0, LEVELS)
            grid[c, cell, y, x] += value if c == 0 else 1.0

    def binomial(a, b, c, d, e):
        return a + b * 4 + c * 6 + d * 4 + e

    @halo.func
    def blur_z(c, z, y, x):
        return binomial(*(grid[c, z + k, y, x] for k in range(-2, 3)))

    @halo.func
    def blur_x(c, z, y, x):
        return binomial(*(blur_z[c, z, y, x + k] for k in range(-2, 3)))

    @halo.func
    def blur_y(c, z, y, x):
        return binomial(*(blur_x[c, z, y + k, x] for k in range(-2, 3)))

    @halo.func
    def rows(c, z, y, x):
        return halo.lerp(blur_y[c, z, y // S, x], blur_y[c, z, y // S + 1, x], (y % S) / S)

    @halo.func
    def between(c, y, x, *, img: halo.f32[:, ::1]):
        value = halo.clamp(img[y, x], 0.0, 1.0) * LEVELS
        cell = halo.clamp(halo.i32(value), 0, LEVELS)
        near = [
            halo.lerp(rows[c, cell + k, y, x // S], rows[c, cell + k, y, x // S + 1], (x % S) / S) for k in range(2)
        ]
        return halo.lerp(near[0], near[1], value - cell)

    @halo.func
    def smoothed(y, x):
        return between[0, y, x] / between[1, y, x]

    return smoothed


def schedule(smoothed: halo.Func) -> None:
    grid, blur_z, blur_x, blur_y, rows = (smoothed[name] for name in ("grid", "blur_z", "blur_x", "blur_y", "rows"))
    smoothed.parallel("y", 8).vectorize("x", 16)
    smoothed["between"].compute_inline()
    # A pixel looks up four pairs of a row that is interpolated along y, and they are near one another.
    rows.compute_at(smoothed, "y_p").reorder("y", "x", "z", "c").vectorize("z", 4).vectorize("c", 2)
    rows.reorder_storage("y", "x", "z", "c")
    blur_y.compute_at(smoothed, "y").reorder("y", "z", "x", "c").vectorize("x", 8).unroll("c")
    blur_y.reorder_storage("y", "x", "z", "c")
    blur_x.compute_root().reorder("y", "z", "x", "c").parallel("y").vectorize("x", 8).unroll("c")
    blur_z.compute_at(blur_x, "y").reorder("y", "x", "z", "c").vectorize("x", 8).unroll("c")
    grid.compute_at(blur_x, "y").vectorize("x", 16)
    grid.update(0).reorder("y", "x", "dy", "dx", "c").unroll("c")


def halide_grid() -> Any:
    import halide as hl

    x, y, z, c, yi = map(hl.Var, ("x", "y", "z", "c", "yi"))
    img = hl.ImageParam(hl.Float(32), 2, "img")
    bordered = hl.BoundaryConditions.repeat_edge(img)
    names = ("grid", "blur_z", "blur_x", "blur_y", "rows", "between", "smoothed")
    grid, blur_z, blur_x, blur_y, rows, between, smoothed = map(hl.Func, names)
    r = hl.RDom([(0, S), (0, S)], "r")
    value = hl.clamp(bordered[x * S + r.x - S // 2, y * S + r.y - S // 2], 0.0, 1.0)
    grid[x, y, z, c] = 0.0
    grid[x, y, hl.i32(value * LEVELS + 0.5), c] += hl.mux(c, [value, 1.0])

    def binomial(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        return a + b * 4 + c * 6 + d * 4 + e

    blur_z[x, y, z, c] = binomial(*(grid[x, y, z + k, c] for k in range(-2, 3)))
    blur_x[x, y, z, c] = binomial(*(blur_z[x + k, y, z, c] for k in range(-2, 3)))
    blur_y[x, y, z, c] = binomial(*(blur_x[x, y + k, z, c] for k in range(-2, 3)))
    value = hl.clamp(img[x, y], 0.0, 1.0) * LEVELS
    cell = hl.i32(value)
    fz, fy, fx = value - cell, hl.f32(y % S) / S, hl.f32(x % S) / S
    rows[x, y, z, c] = hl.lerp(blur_y[x, y // S, z, c], blur_y[x, y // S + 1, z, c], fy)
    near = [hl.lerp(rows[x // S, y, cell + k, c], rows[x // S + 1, y, cell + k, c], fx) for k in range(2)]
    between[x, y, c] = hl.lerp(near[0], near[1], fz)
    smoothed[x, y] = between[x, y, 0] / between[x, y, 1]
    smoothed.split(y, y, yi, S).parallel(y).vectorize(x, 16)
    rows.compute_at(smoothed, yi).store_in(hl.MemoryType.Stack).reorder(c, z, x, y).reorder_storage(c, z, x, y)
    rows.vectorize(z, 4).vectorize(c)
    blur_y.compute_at(smoothed, y).store_in(hl.MemoryType.Stack).reorder(c, x, y, z).reorder_storage(c, z, x, y)
    blur_y.vectorize(x, 8).unroll(c)
    blur_x.compute_root().reorder(c, x, z, y).parallel(y).vectorize(x, 8).unroll(c)
    blur_z.compute_at(blur_x, y).reorder(c, z, x, y).vectorize(x, 8).unroll(c)
    grid.compute_at(blur_x, y).vectorize(x, 16)
    grid.update().reorder(c, r.x, r.y, x, y).unroll(c)
    return smoothed.compile_to_callable([img], hl.get_jit_target_from_environment())


def numba_grid() -> Any:
    import numba

    h, w, d = HEIGHT // S + 5, WIDTH // S + 5, LEVELS + 6  # two cells more at each end, and one to interpolate with

    @numba.njit(inline="always")
    def binomial(a, b, c, d, e):
        return a + b * np.float32(4) + c * np.float32(6) + d * np.float32(4) + e

    @numba.njit(parallel=True, fastmath=True)
    def smooth(img, out):
        height, width = img.shape
        grid, blur_z = np.zeros((h, d, w, 2), np.float32), np.zeros((h, d, w, 2), np.float32)
        blur_x, blur_y = np.zeros((h, d, w, 2), np.float32), np.zeros((h, d, w, 2), np.float32)
        zero, one, levels, half, s = np.float32(0), np.float32(1), np.float32(LEVELS), np.float32(0.5), np.float32(S)
        for y in numba.prange(h):
            for x in range(w):
                for dy in range(S):
                    for dx in range(S):
                        py = min(max((y - 2) * S + dy - S // 2, 0), height - 1)
                        px = min(max((x - 2) * S + dx - S // 2, 0), width - 1)
                        value = min(max(img[py, px], zero), one)
                        cell = int(value * levels + half) + 2
                        grid[y, cell, x, 0] += value
                        grid[y, cell, x, 1] += one
            for z in range(2, d - 2):
                for x in range(w):
                    for c in range(2):
                        blur_z[y, z, x, c] = binomial(grid[y, z - 2, x, c], grid[y, z - 1, x, c], grid[y, z, x, c],
                                                      grid[y, z + 1, x, c], grid[y, z + 2, x, c])  # fmt: skip
            for z in range(2, d - 2):
                for x in range(2, w - 2):
                    for c in range(2):
                        blur_x[y, z, x, c] = binomial(blur_z[y, z, x - 2, c], blur_z[y, z, x - 1, c], blur_z[y, z, x, c],
                                                      blur_z[y, z, x + 1, c], blur_z[y, z, x + 2, c])  # fmt: skip
        for y in numba.prange(2, h - 2):
            for z in range(2, d - 2):
                for x in range(2, w - 2):
                    for c in range(2):
                        blur_y[y, z, x, c] = binomial(blur_x[y - 2, z, x, c], blur_x[y - 1, z, x, c], blur_x[y, z, x, c],
                                                      blur_x[y + 1, z, x, c], blur_x[y + 2, z, x, c])  # fmt: skip
        for y in numba.prange(height):
            for x in range(width):
                value = min(max(img[y, x], zero), one) * levels
                z = int(value)
                fz, fy, fx = value - np.float32(z), np.float32(y % S) / s, np.float32(x % S) / s
                total = count = zero
                for k in range(2):
                    wz = fz if k else one - fz
                    for j in range(2):
                        wy = wz * (fy if j else one - fy)
                        for i in range(2):
                            weight = wy * (fx if i else one - fx)
                            total += weight * blur_y[y // S + j + 2, z + k + 2, x // S + i + 2, 0]
                            count += weight * blur_y[y // S + j + 2, z + k + 2, x // S + i + 2, 1]
                out[y, x] = total / count

    return smooth


def numpy_grid(img: np.ndarray) -> np.ndarray:
    before, after = 2 * S + S // 2, 2 * S + S // 2  # what the blur of the grid sees beside the picture
    p = np.pad(img, (before, after), "edge")
    h, w = p.shape[0] // S, p.shape[1] // S
    y, x = (np.arange(n) // S for n in p.shape)
    at = ((p * np.float32(LEVELS) + np.float32(0.5)).astype(int) * h + y[:, None]) * w + x
    size = (LEVELS + 1) * h * w
    cells = np.stack([np.bincount(at.ravel(), p.ravel(), size), np.bincount(at.ravel(), None, size)])
    cells = np.pad(cells.reshape(2, LEVELS + 1, h, w), [(0, 0), (2, 3), (0, 0), (0, 0)])
    for axis in (1, 2, 3):
        n = cells.shape[axis] - 4
        taps = [np.take(cells, range(k, k + n), axis) for k in range(5)]
        cells = sum(weight * tap for weight, tap in zip((1, 4, 6, 4, 1), taps, strict=True))
    value = img * np.float32(LEVELS)
    z = value.astype(int)
    y, x = (np.arange(n) for n in img.shape)
    fz, fy, fx = value - z, ((y % S) / S)[:, None], (x % S) / S

    def at_corner(dz: int, dy: int, dx: int) -> np.ndarray:
        weight = (fz if dz else 1 - fz) * (fy if dy else 1 - fy) * (fx if dx else 1 - fx)
        return weight * cells[:, z + dz, (y // S + dy)[:, None], x // S + dx]

    total = sum(at_corner(dz, dy, dx) for dz in range(2) for dy in range(2) for dx in range(2))
    return (total[0] / total[1]).astype(np.float32)
