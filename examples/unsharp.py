"""Unsharp mask: the picture less a Gaussian blur of its luminance shows the edges; add them back, colour by colour."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo

SIGMA, RADIUS = 1.5, 3
KERNEL = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
KERNEL = (KERNEL / KERNEL.sum()).astype(np.float32)


@halo.func
def luminance(y, x, *, img):
    return 0.299 * img[y, x, 0] + 0.587 * img[y, x, 1] + 0.114 * img[y, x, 2]


@halo.func
def blur_rows(y, x):
    return sum(KERNEL[k] * luminance[y + k - RADIUS, x] for k in range(2 * RADIUS + 1))


@halo.func
def blurred(y, x):
    return sum(KERNEL[k] * blur_rows[y, x + k - RADIUS] for k in range(2 * RADIUS + 1))


@halo.func
def sharpened(y, x, c, *, img, strength: halo.f32 = 1.0):
    gain = 1 + strength * (luminance[y, x] - blurred[y, x]) / max(luminance[y, x], 1.0)
    return halo.saturate(halo.u8, round(img[y, x, c] * gain))


sharpened.reorder("y", "x", "c").unroll("c", 3).vectorize("x", 16).parallel("y", 16)
blur_rows.compute_at(sharpened, "y").vectorize("x", 16)
luminance.compute_at(sharpened, "y").vectorize("x", 16)
blurred.compute_inline()


def unsharp(img: np.ndarray, strength: float = 1.0) -> np.ndarray:
    return sharpened(img=halo.pad(img, "edge"), strength=strength)


def reference(img: np.ndarray, strength: float = 1.0) -> np.ndarray:
    from scipy.ndimage import correlate1d

    grey = (img * np.array([0.299, 0.587, 0.114], np.float32)).sum(axis=-1)
    blur = correlate1d(correlate1d(grey, KERNEL, axis=0, mode="nearest"), KERNEL, axis=1, mode="nearest")
    gain = 1 + strength * (grey - blur) / np.maximum(grey, 1)
    return np.clip(np.round(img * gain[..., None]), 0, 255).astype(np.uint8)


def main() -> None:
    img = photo.colour()
    photo.report("unsharp", unsharp(img), photo.best_ms(unsharp, img), photo.best_ms(reference, img))


if __name__ == "__main__":
    main()
