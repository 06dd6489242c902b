"""The local Laplacian filter (Paris, Hasinoff, Kautz 2011): more or less detail, without halos.

The picture is remapped around each of some intensities, and a Laplacian pyramid is made of each; the output's pyramid
takes from them by the intensity that the input's own pyramid has there. Written without the decorator, as a program
that writes programs.
"""

from __future__ import annotations

import numpy as np

import halo
from examples import photo

# The algorithm and its schedule ---------------------------------------------------------------------------------------

PYRAMID, LEVELS = 8, 8
y, x, c, k = halo.vars("y x c k")


def define(name, at, value):
    """The function `name[at] = value`."""
    f = halo.Func(name)
    f[at] = value
    return f


def down(name, f, *i):
    """`f` in half the size, by [1 3 3 1] / 8 along both axes; `i` are the axes before y and x."""
    rows = define(f"{name}_rows", (*i, y, x), (f[(*i, 2 * y - 1, x)] + f[(*i, 2 * y + 2, x)]
                  + 3 * (f[(*i, 2 * y, x)] + f[(*i, 2 * y + 1, x)])) / 8)  # fmt: skip
    rows.compute_inline()
    return define(name, (*i, y, x), (rows[(*i, y, 2 * x - 1)] + rows[(*i, y, 2 * x + 2)]
                  + 3 * (rows[(*i, y, 2 * x)] + rows[(*i, y, 2 * x + 1)])) / 8)  # fmt: skip


def up(f, *i):
    """Twice the size: each value from the four nearest, 9 3 3 1 parts of 16."""
    (y0, y1), (x0, x1) = ((v // 2, v // 2 - 1 + 2 * (v % 2)) for v in (y, x))
    return (9 * f[(*i, y0, x0)] + 3 * (f[(*i, y0, x1)] + f[(*i, y1, x0)]) + f[(*i, y1, x1)]) / 16


img = halo.Input("img", halo.u8, ndim=3)
alpha, beta = halo.Param("alpha", halo.f32, default=0.5), halo.Param("beta", halo.f32, default=1.0)
rgb = halo.pad(img, "edge")
grey = define("grey", (y, x), (0.299 * rgb[y, x, 0] + 0.587 * rgb[y, x, 1] + 0.114 * rgb[y, x, 2]) / 255)
offset = grey[y, x] * (LEVELS - 1) - k
curved = k + beta * offset + alpha * offset * halo.exp(-offset * offset / 2)
remapped = define("remapped", (k, y, x), curved / (LEVELS - 1))

inputs, remaps = [grey], [remapped]
for j in range(1, PYRAMID):
    inputs.append(down(f"grey_{j}", inputs[-1]))
    remaps.append(down(f"remapped_{j}", remaps[-1], k))

output = None
for j in reversed(range(PYRAMID)):
    finer = up(remaps[j + 1], k) if output else 0.0
    laplacian = define(f"laplacian_{j}", (k, y, x), remaps[j][k, y, x] - finer)
    level = inputs[j][y, x] * (LEVELS - 1)
    i = halo.clamp(halo.i32(level), 0, LEVELS - 2)
    detail = halo.lerp(laplacian[i, y, x], laplacian[i + 1, y, x], level - i)
    output = define(f"output_{j}", (y, x), up(output) + detail if output else detail)
    laplacian.compute_inline()
    output.compute_root().parallel("y", 8).vectorize("x", 16)

toned = output[y, x] * (rgb[y, x, c] + 0.01) / (grey[y, x] + 0.01 / 255)
local_laplacian = define("local_laplacian", (y, x, c), halo.saturate(halo.u8, halo.round(toned)))
local_laplacian.reorder("y", "x", "c").unroll("c", 3).vectorize("x", 16).parallel("y", 16)
remapped.compute_inline()
for f in (*inputs, *remaps[1:]):
    f.compute_root().reorder(*(["y", "k", "x"] if f in remaps else ["y", "x"])).parallel("y", 8).vectorize("x", 16)

# ----------------------------------------------------------------------------------------------------------------------


def enhance(picture: np.ndarray, alpha: float = 0.5, beta: float = 1.0) -> np.ndarray:
    return local_laplacian(img=picture, alpha=alpha, beta=beta)


def reference(picture: np.ndarray, alpha: float = 0.5, beta: float = 1.0) -> np.ndarray:
    """The same in NumPy. The picture is continued far enough that the pyramid's ends do not matter."""
    h, w, _ = picture.shape
    margin, coarsest = 6 * 2 ** (PYRAMID - 1), 2 ** (PYRAMID - 1)
    p = np.pad(picture, ((margin, margin + -h % coarsest), (margin, margin + -w % coarsest), (0, 0)), "edge")
    grey = (p @ np.float32([0.299, 0.587, 0.114])) / np.float32(255)
    centres = np.arange(LEVELS, dtype=np.float32)[:, None, None]
    offset = grey * (LEVELS - 1) - centres
    remapped = (centres + beta * offset + alpha * offset * np.exp(-offset * offset / 2)) / (LEVELS - 1)

    def shrink(a: np.ndarray, axis: int) -> np.ndarray:
        a = np.moveaxis(a, axis, -1)
        a = np.concatenate([a[..., :1], a, a[..., -1:]], axis=-1)
        return np.moveaxis((a[..., :-3:2] + 3 * (a[..., 1:-2:2] + a[..., 2:-1:2]) + a[..., 3::2]) / 8, -1, axis)

    def grow(a: np.ndarray, axis: int) -> np.ndarray:
        a = np.moveaxis(a, axis, -1)
        p = np.concatenate([a[..., :1], a, a[..., -1:]], axis=-1)
        both = np.stack([3 * a + p[..., :-2], 3 * a + p[..., 2:]], axis=-1) / 4
        return np.moveaxis(both.reshape(*a.shape[:-1], -1), -1, axis)

    def pyramid(a: np.ndarray) -> list[np.ndarray]:
        levels = [a]
        for _ in range(1, PYRAMID):
            levels.append(shrink(shrink(levels[-1], -2), -1))
        return levels

    inputs, remaps = pyramid(grey), pyramid(remapped.astype(np.float32))
    output = None
    for j in reversed(range(PYRAMID)):
        laplacian = remaps[j] if output is None else remaps[j] - grow(grow(remaps[j + 1], -1), -2)
        level = inputs[j] * (LEVELS - 1)
        i = np.clip(level.astype(int), 0, LEVELS - 2)
        low, high = (np.take_along_axis(laplacian, (i + d)[None], 0)[0] for d in range(2))
        detail = low + (level - i) * (high - low)
        output = detail if output is None else grow(grow(output, -1), -2) + detail
    toned = output[..., None] * (p + np.float32(0.01)) / (grey + np.float32(0.01 / 255))[..., None]
    return np.clip(np.round(toned), 0, 255).astype(np.uint8)[margin : margin + h, margin : margin + w]


def main() -> None:
    picture = photo.colour("chelsea")
    times = photo.best_ms(enhance, picture), photo.best_ms(reference, picture, repeat=1)
    photo.report("local Laplacian", enhance(picture, alpha=1.0), *times)


if __name__ == "__main__":
    main()
