"""A summed-area table: two scans. The mean over any box is then four reads."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo


@halo.func
def table(y, x, *, img: halo.u8[:, :]):
    """The sum of all pixels at or above and at or left of (y, x)."""
    table[y, x] = halo.u32(img[y, x])
    for t in halo.rdom(range(1, img.shape[1])):
        table[y, t] += table[y, t - 1]
    for t in halo.rdom(range(1, img.shape[0])):
        table[t, x] += table[t - 1, x]


@halo.func
def box(y, x, *, img: halo.u8[:, :], radius: halo.i32 = 8):
    """The mean over the box of the given radius, cut off at the picture's edges."""
    h, w = img.shape
    y0, y1 = (halo.clamp(y + d, 0, h - 1) for d in (-radius, radius))
    x0, x1 = (halo.clamp(x + d, 0, w - 1) for d in (-radius, radius))
    sums = halo.pad(table, "constant", bounds=[(0, h), (0, w)])  # nothing above, and nothing to the left
    total = sums[y1, x1] - sums[y0 - 1, x1] - sums[y1, x0 - 1] + sums[y0 - 1, x0 - 1]
    return halo.u8(total // halo.u32((y1 - y0 + 1) * (x1 - x0 + 1)))


box.vectorize("x", 16).parallel("y", 16)
table.compute_root().vectorize("x", 16).parallel("y", 16)
table.update(0).parallel("y", 16)
table.update(1).split("x", "xo", "x", 64).reorder("xo", "t", "x").vectorize("x", 16).parallel("xo")


def box_blur(img: np.ndarray, radius: int = 8) -> np.ndarray:
    return box(img=img, radius=radius, shape=img.shape)


def reference(img: np.ndarray, radius: int = 8) -> np.ndarray:
    h, w = img.shape
    sums = np.zeros((h + 1, w + 1), np.uint32)
    sums[1:, 1:] = img.cumsum(0, dtype=np.uint32).cumsum(1, dtype=np.uint32)
    y, x = np.ogrid[:h, :w]
    y0, y1 = np.maximum(y - radius, 0), np.minimum(y + radius, h - 1) + 1
    x0, x1 = np.maximum(x - radius, 0), np.minimum(x + radius, w - 1) + 1
    return ((sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]) // ((y1 - y0) * (x1 - x0))).astype(np.uint8)


def main() -> None:
    img = photo.grey()
    photo.report("summed-area table", box_blur(img), photo.best_ms(box_blur, img), photo.best_ms(reference, img))


if __name__ == "__main__":
    main()
