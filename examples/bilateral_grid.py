"""The bilateral grid (Chen, Paris, Durand 2007): smooth a picture, but not across its edges.

Splat every pixel into a coarse grid over (brightness, y, x), blur the grid, and read it back between its points.
"""

from __future__ import annotations

import numpy as np

import halo
from examples import photo

S = 8  # pixels to a cell, along y and x
LEVELS = 10  # cells from black to white


@halo.func
def grid(c, z, y, x, *, img):
    """c = 0: the sum of the values in a cell; c = 1: how many they are."""
    grid[c, z, y, x] = 0.0
    for dy, dx in halo.rdom(S, S):
        value = halo.clamp(img[y * S + dy - S // 2, x * S + dx - S // 2], 0.0, 1.0)
        cell = halo.clamp(halo.i32(value * LEVELS + 0.5), 0, LEVELS)
        grid[c, cell, y, x] += halo.select(c == 0, value, 1.0)


def binomial(a, b, c, d, e):
    return a + 4 * (b + d) + 6 * c + e


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
def between(c, y, x, *, img):
    """The blurred grid between its eight points around the pixel."""
    value = halo.clamp(img[y, x], 0.0, 1.0) * LEVELS
    cell = halo.clamp(halo.i32(value), 0, LEVELS - 1)
    fz, fy, fx = value - cell, (y % S) / S, (x % S) / S
    iy, ix = y // S, x // S
    along_z = [[halo.lerp(blur_y[c, cell, iy + j, ix + i], blur_y[c, cell + 1, iy + j, ix + i], fz) for i in range(2)]
               for j in range(2)]  # fmt: skip
    along_x = [halo.lerp(row[0], row[1], fx) for row in along_z]
    return halo.lerp(along_x[0], along_x[1], fy)


@halo.func
def smoothed(y, x):
    return between[0, y, x] / between[1, y, x]


smoothed.parallel("y", 16).vectorize("x", 16)
between.compute_inline()
blur_y.compute_root().parallel("z").vectorize("x", 16)
blur_x.compute_root().parallel("z").vectorize("x", 16)
blur_z.compute_root().parallel("z").vectorize("x", 16)
grid.compute_root().parallel("z")
grid.update(0).reorder("y", "dy", "dx", "x", "c").unroll("c", 2).parallel("y")


def smooth(img: np.ndarray) -> np.ndarray:
    return smoothed(img=halo.pad(img, "edge"))


def reference(img: np.ndarray) -> np.ndarray:
    from scipy.ndimage import correlate1d

    before, after = 3 * S + S // 2, 5 * S  # what the blur of the grid sees beside the picture
    h, w = img.shape
    p = np.clip(np.pad(img, ((before, after + -h % S), (before, after + -w % S)), "edge"), 0, 1)
    p = p[: p.shape[0] // S * S, : p.shape[1] // S * S]
    gy, gx = np.indices(p.shape) // S
    cell = (p * np.float32(LEVELS) + np.float32(0.5)).astype(int)
    cells = np.zeros((2, LEVELS + 1, p.shape[0] // S, p.shape[1] // S), np.float32)
    np.add.at(cells, (0, cell, gy, gx), p)
    np.add.at(cells, (1, cell, gy, gx), 1)
    for axis in (1, 2, 3):
        cells = correlate1d(cells, np.float32([1, 4, 6, 4, 1]), axis=axis, mode="constant")
    cells = cells[:, :, 3:, 3:]
    value = np.clip(img, 0, 1) * np.float32(LEVELS)
    z = np.clip(value.astype(int), 0, LEVELS - 1)
    y, x = np.indices(img.shape)
    fz, fy, fx = value - z, (y % S) / S, (x % S) / S

    def at(dz: int, dy: int, dx: int) -> np.ndarray:
        weight = (fz if dz else 1 - fz) * (fy if dy else 1 - fy) * (fx if dx else 1 - fx)
        return weight * cells[:, z + dz, y // S + dy, x // S + dx]

    total = sum(at(dz, dy, dx) for dz in range(2) for dy in range(2) for dx in range(2))
    return total[0] / total[1]


def main() -> None:
    img = photo.grey().astype(np.float32) / 255
    photo.report("bilateral grid", smooth(img), photo.best_ms(smooth, img), photo.best_ms(reference, img, repeat=1))


if __name__ == "__main__":
    main()
