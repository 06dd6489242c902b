"""Histogram equalisation: a scatter (the histogram), a scan (its running sum), and a lookup."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo


@halo.func
def histogram(i, *, img: halo.u8[:, :]):
    histogram[i] = halo.u32(0)
    for y, x in halo.rdom(img):
        histogram[img[y, x]] += 1


@halo.func
def cumulative(i):
    cumulative[i] = histogram[i]
    for k in halo.rdom(range(1, 256)):
        cumulative[k] += cumulative[k - 1]


@halo.func
def equalised(y, x, *, img: halo.u8[:, :]):
    scale = 255 / halo.f32(cumulative[255])
    return halo.u8(round(cumulative[img[y, x]] * scale))


# One partial histogram for each strip of rows, so that the strips run in parallel; their sum is exact in integers.
histogram.compute_root()
strips = histogram.update(0).split("y", "yo", "yi", 64).rfactor({"yo": "strip"})
strips.compute_root().parallel("strip")
strips.update(0).parallel("strip")
cumulative.compute_root()
equalised.vectorize("x", 16).parallel("y", 16)


def equalise(img: np.ndarray) -> np.ndarray:
    return equalised(img=img)


def reference(img: np.ndarray) -> np.ndarray:
    running = np.cumsum(np.bincount(img.ravel(), minlength=256)).astype(np.float32)
    return np.round(running * (np.float32(255) / running[255])).astype(np.uint8)[img]


def main() -> None:
    img = photo.grey("moon")
    photo.report("equalise", equalise(img), photo.best_ms(equalise, img), photo.best_ms(reference, img))


if __name__ == "__main__":
    main()
