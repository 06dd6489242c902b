"""Harris corners: where det(M) - k trace(M)^2 of the structure tensor M is large, the picture changes both ways."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo

K = 0.04


@halo.func
def gradient_y(y, x, *, img):
    above = img[y - 1, x - 1] + 2.0 * img[y - 1, x] + img[y - 1, x + 1]
    below = img[y + 1, x - 1] + 2.0 * img[y + 1, x] + img[y + 1, x + 1]
    return (below - above) / 12


@halo.func
def gradient_x(y, x, *, img):
    left = img[y - 1, x - 1] + 2.0 * img[y, x - 1] + img[y + 1, x - 1]
    right = img[y - 1, x + 1] + 2.0 * img[y, x + 1] + img[y + 1, x + 1]
    return (right - left) / 12


@halo.func
def tensor(y, x):
    """The 3x3 sums of the products of the gradient."""
    syy = sxx = sxy = 0.0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            gy, gx = gradient_y[y + dy, x + dx], gradient_x[y + dy, x + dx]
            syy, sxx, sxy = syy + gy * gy, sxx + gx * gx, sxy + gy * gx
    return syy, sxx, sxy


@halo.func
def harris(y, x):
    syy, sxx, sxy = tensor[y, x]
    return sxx * syy - sxy * sxy - K * (sxx + syy) * (sxx + syy)


harris.tile("y", "x", "y", "x", "yi", "xi", 64, 256).vectorize("xi", 16).parallel("y")
tensor.compute_inline()
gradient_y.compute_at(harris, "x").vectorize("x", 16)
gradient_x.compute_at(harris, "x").vectorize("x", 16)


def corners(img: np.ndarray) -> np.ndarray:
    return harris(img=halo.pad(img, "edge"))


def reference(img: np.ndarray) -> np.ndarray:
    from scipy.ndimage import correlate

    def gradient(axis: int) -> np.ndarray:
        weights = np.outer([-1, 0, 1], [1, 2, 1]) / np.float32(12)
        p = np.pad(img.astype(np.float32), 2, "edge")
        return correlate(p, weights if axis == 0 else weights.T)[1:-1, 1:-1]

    def box(a: np.ndarray) -> np.ndarray:
        return correlate(a, np.ones((3, 3), np.float32))[1:-1, 1:-1]

    gy, gx = gradient(0), gradient(1)
    syy, sxx, sxy = box(gy * gy), box(gx * gx), box(gy * gx)
    return sxx * syy - sxy**2 - K * (sxx + syy) ** 2


def main() -> None:
    img = photo.grey()
    response = corners(img)
    marked = np.repeat(img[..., None], 3, axis=2)
    marked[response > 0.02 * response.max()] = (255, 0, 0)
    photo.report("harris", marked, photo.best_ms(corners, img), photo.best_ms(reference, img))


if __name__ == "__main__":
    main()
