"""A 3x3 box blur: two pure functions, and a schedule that tiles, vectorises and runs rows of tiles in parallel."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo


@halo.func
def blur_x(y, x, *, img):
    return (img[y, x - 1] + img[y, x] + img[y, x + 1]) // 3


@halo.func
def blur_y(y, x):
    return (blur_x[y - 1, x] + blur_x[y, x] + blur_x[y + 1, x]) // 3


# Each tile computes the rows of blur_x that it needs while they are in the cache.
blur_y.tile("y", "x", "yo", "xo", "yi", "xi", 32, 256).vectorize("xi", 32).parallel("yo")
blur_x.compute_at(blur_y, "xo").vectorize("x", 32)


def blur(img: np.ndarray) -> np.ndarray:
    return blur_y(img=halo.pad(img, "edge"))


def reference(img: np.ndarray) -> np.ndarray:
    p = np.pad(img, 1, "edge")
    rows = (p[:, :-2] + p[:, 1:-1] + p[:, 2:]) // 3
    return (rows[:-2] + rows[1:-1] + rows[2:]) // 3


def main() -> None:
    img = photo.grey().astype(np.uint16) * 85
    picture = (blur(img) // 85).astype(np.uint8)
    photo.report("blur", picture, photo.best_ms(blur, img), photo.best_ms(reference, img))


if __name__ == "__main__":
    main()
