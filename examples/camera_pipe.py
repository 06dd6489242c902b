"""From a camera's raw Bayer mosaic to a picture: dead pixels, demosaicing, colours, a tone curve, sharpening."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo

BLACK, WHITE = 64, 1023
TO_RGB = np.array([[1.4, -0.3, -0.1], [-0.2, 1.4, -0.2], [0.0, -0.4, 1.4]], np.float32)
CURVE = np.round(255 * np.linspace(0, 1, 1024) ** (1 / 2.2)).astype(np.uint8)


@halo.func
def cleaned(y, x, *, raw: halo.u16[:, :]):
    """A dead or a hot pixel is held to what its neighbours of the same colour have."""
    near = raw[y - 2, x], raw[y + 2, x], raw[y, x - 2], raw[y, x + 2]
    return halo.clamp(raw[y, x], min(*near), max(*near))


@halo.func
def demosaiced(y, x):
    """Red, green and blue from the pattern GR/BG: what a pixel lacks is the mean of its nearest that have it."""
    f = cleaned
    here = f[y, x]
    across = halo.avg_up(f[y, x - 1], f[y, x + 1])
    along = halo.avg_up(f[y - 1, x], f[y + 1, x])
    diagonal = halo.avg_up(halo.avg_up(f[y - 1, x - 1], f[y - 1, x + 1]), halo.avg_up(f[y + 1, x - 1], f[y + 1, x + 1]))
    red_row, red_column = y % 2 == 0, x % 2 == 1
    red = halo.select(red_row, halo.select(red_column, here, across), halo.select(red_column, along, diagonal))
    blue = halo.select(red_row, halo.select(red_column, diagonal, along), halo.select(red_column, across, here))
    green = halo.select(red_row == red_column, halo.avg_up(across, along), here)
    return red, green, blue


@halo.func
def developed(y, x, c):
    """Colours of the sensor to colours of the screen, then the tone curve."""
    r, g, b = (halo.f32(v) - BLACK for v in demosaiced[y, x])
    linear = (TO_RGB[c, 0] * r + TO_RGB[c, 1] * g + TO_RGB[c, 2] * b) * (1023 / (WHITE - BLACK))
    return CURVE[halo.clamp(halo.i32(linear + 0.5), 0, 1023)]


@halo.func
def sharpened(y, x, c):
    f = developed
    here, around = halo.i16(f[y, x, c]), halo.i16(f[y - 1, x, c]) + f[y + 1, x, c] + f[y, x - 1, c] + f[y, x + 1, c]
    return halo.saturate(halo.u8, here + (4 * here - around) // 8)


sharpened.reorder("y", "x", "c").unroll("c", 3).vectorize("x", 16).parallel("y", 16)
developed.compute_at(sharpened, "y").reorder("y", "x", "c").unroll("c", 3).vectorize("x", 16)
demosaiced.compute_at(sharpened, "y").vectorize("x", 16)
cleaned.compute_at(sharpened, "y").vectorize("x", 16)


def develop(raw: np.ndarray) -> np.ndarray:
    # "reflect" keeps rows and columns in step with the pattern.
    return sharpened(raw=halo.pad(raw, "reflect"), shape=(*raw.shape, 3))


def reference(raw: np.ndarray) -> np.ndarray:
    margin = 4
    p = np.pad(raw, margin, "reflect").astype(int)

    def at(a: np.ndarray, dy: int, dx: int) -> np.ndarray:
        return np.roll(a, (-dy, -dx), (0, 1))

    def mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a + b + 1) // 2

    near = [at(p, -2, 0), at(p, 2, 0), at(p, 0, -2), at(p, 0, 2)]
    f = np.clip(p, np.min(near, axis=0), np.max(near, axis=0))
    across, along = mean(at(f, 0, -1), at(f, 0, 1)), mean(at(f, -1, 0), at(f, 1, 0))
    diagonal = mean(mean(at(f, -1, -1), at(f, -1, 1)), mean(at(f, 1, -1), at(f, 1, 1)))
    y, x = np.indices(f.shape) - margin
    red_row, red_column = y % 2 == 0, x % 2 == 1
    red = np.where(red_row, np.where(red_column, f, across), np.where(red_column, along, diagonal))
    blue = np.where(red_row, np.where(red_column, diagonal, along), np.where(red_column, across, f))
    green = np.where(red_row == red_column, mean(across, along), f)
    rgb = np.stack([red, green, blue], axis=-1).astype(np.float32) - BLACK
    linear = (rgb[..., None, :] * TO_RGB).sum(axis=-1) * np.float32(1023 / (WHITE - BLACK))
    d = CURVE[np.clip((linear + np.float32(0.5)).astype(int), 0, 1023)].astype(int)
    out = d + (4 * d - at(d, -1, 0) - at(d, 1, 0) - at(d, 0, -1) - at(d, 0, 1)) // 8
    return np.clip(out, 0, 255).astype(np.uint8)[margin:-margin, margin:-margin]


def mosaic(picture: np.ndarray) -> np.ndarray:
    """What a sensor with the pattern GR/BG would have seen, a few dead pixels included."""
    linear = (picture / 255) ** 2.2 @ np.linalg.inv(TO_RGB).T
    light = np.clip(linear * (WHITE - BLACK) + BLACK, 0, WHITE).astype(np.uint16)
    raw = light[..., 1].copy()
    raw[::2, 1::2], raw[1::2, ::2] = light[::2, 1::2, 0], light[1::2, ::2, 2]
    dead = np.random.default_rng(1).integers(0, raw.size, raw.size // 2000)
    raw.flat[dead] = WHITE
    return raw


def main() -> None:
    raw = mosaic(photo.colour("coffee"))
    photo.report("camera pipe", develop(raw), photo.best_ms(develop, raw), photo.best_ms(reference, raw, repeat=2))


if __name__ == "__main__":
    main()
