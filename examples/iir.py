"""A recursive filter, down and up each column: a scan along y, which is vectorised and parallel along x."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo


@halo.func
def smooth(y, x, *, img, a: halo.f32 = 0.1):
    smooth[y, x] = halo.f32(img[y, x])
    for t in halo.rdom(range(1, img.shape[0])):
        smooth[t, x] = (1 - a) * smooth[t - 1, x] + a * img[t, x]
    for t in halo.rdom(range(1, img.shape[0])):
        back = img.shape[0] - 1 - t
        smooth[back, x] = (1 - a) * smooth[back + 1, x] + a * smooth[back, x]


smooth.vectorize("x", 16).parallel("y", 16)
for scan in (smooth.update(0), smooth.update(1)):
    scan.split("x", "xo", "x", 64).reorder("xo", "t", "x").vectorize("x", 16).parallel("xo")


def blur_columns(img: np.ndarray, a: float = 0.1) -> np.ndarray:
    return smooth(img=img, a=a)


def reference(img: np.ndarray, a: float = 0.1) -> np.ndarray:
    from scipy.signal import lfilter

    def scan(p: np.ndarray) -> np.ndarray:
        """out[0] = p[0], then out[t] = (1 - a) * out[t - 1] + a * p[t]."""
        return lfilter([a], [1, a - 1], p, axis=0, zi=(1 - a) * p[:1])[0]

    return scan(scan(img.astype(np.float64))[::-1])[::-1]


def main() -> None:
    img = photo.grey()
    out = blur_columns(img)
    photo.report("IIR filter", out / 255, photo.best_ms(blur_columns, img), photo.best_ms(reference, img))


if __name__ == "__main__":
    main()
