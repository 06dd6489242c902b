"""A raw Bayer mosaic to u8 RGB planes: dead pixels, demosaicing by parity, a colour matrix, a curve in a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH, MARGIN = 1536, 2560, 4
MATRIX = ((358, -77, -25), (-51, 358, -51), (0, -102, 358))  # of 256
CURVE = np.round(255 * np.linspace(0, 1, 1024) ** (1 / 2.2)).astype(np.uint8)


def case() -> Case:
    raw = np.random.default_rng(0).integers(0, 1024, (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)).astype(np.int16)
    return Case("camera_pipe", {"raw": raw}, (3, HEIGHT, WIDTH), np.uint8, func, schedule, numpy_camera, channels=3,
                bytes=5 * HEIGHT * WIDTH, flops=60 * HEIGHT * WIDTH, computes="i16", peers={"halide": halide_camera})  # fmt: skip


def colours(
    f: Callable[[int, int], Any], even_row: Any, even_column: Any, select: Any, mean: Any
) -> tuple[Any, Any, Any]:
    """Red, green and blue of the pattern GR/BG, from the pixels f(dy, dx) round each."""
    here, across, along = f(0, 0), mean(f(0, -1), f(0, 1)), mean(f(-1, 0), f(1, 0))
    diagonal = mean(mean(f(-1, -1), f(-1, 1)), mean(f(1, -1), f(1, 1)))
    red = select(even_row, select(even_column, across, here), select(even_column, diagonal, along))
    blue = select(even_row, select(even_column, along, diagonal), select(even_column, here, across))
    green = select(
        even_row, select(even_column, here, mean(across, along)), select(even_column, mean(across, along), here)
    )
    return red, green, blue


def func() -> halo.Func:
    @halo.func
    def cleaned(y, x, *, raw: halo.i16[:, ::1]):
        near = raw[y - 2, x], raw[y + 2, x], raw[y, x - 2], raw[y, x + 2]
        return halo.clamp(raw[y, x], min(*near), max(*near))

    def mean(a, b):
        return halo.avg_up(a, b)

    @halo.func
    def demosaiced(y, x):
        return colours(lambda dy, dx: cleaned[y + dy, x + dx], y % 2 == 0, x % 2 == 0, halo.select, mean)

    @halo.func
    def camera(c, y, x):
        r, g, b = (halo.i32(v) for v in demosaiced[y + MARGIN, x + MARGIN])
        m = [halo.select(c == 0, MATRIX[0][k], halo.select(c == 1, MATRIX[1][k], MATRIX[2][k])) for k in range(3)]
        return CURVE[halo.clamp((m[0] * r + m[1] * g + m[2] * b) >> 8, 0, 1023)]

    return camera


def schedule(camera: halo.Func) -> None:
    camera.bound("c", 0, 3).reorder("y", "c", "x").unroll("c").vectorize("x", 32).parallel("y", 16)
    camera["demosaiced"].compute_at(camera, "y_p").vectorize("x", 32)
    camera["cleaned"].store_at(camera, "y").compute_at(camera, "y_p").vectorize("x", 32)


def halide_camera() -> Any:
    import halide as hl

    x, y, c, yi = map(hl.Var, ("x", "y", "c", "yi"))
    raw, table = hl.ImageParam(hl.Int(16), 2, "raw"), hl.Buffer(CURVE)
    cleaned, demosaiced, camera = hl.Func("cleaned"), hl.Func("demosaiced"), hl.Func("camera")
    near = raw[x, y - 2], raw[x, y + 2], raw[x - 2, y], raw[x + 2, y]
    low, high = (f(f(near[0], near[1]), f(near[2], near[3])) for f in (hl.min, hl.max))
    cleaned[x, y] = hl.clamp(raw[x, y], low, high)
    rgb = colours(lambda dy, dx: cleaned[x + dx, y + dy], y % 2 == 0, x % 2 == 0, hl.select, hl.rounding_halving_add)
    demosaiced[x, y] = hl.Tuple(list(rgb))
    r, g, b = (hl.i32(demosaiced[x + MARGIN, y + MARGIN][k]) for k in range(3))
    m = [hl.mux(c, [MATRIX[n][k] for n in range(3)]) for k in range(3)]
    camera[x, y, c] = table[hl.clamp((m[0] * r + m[1] * g + m[2] * b) >> 8, 0, 1023)]
    camera.bound(c, 0, 3).split(y, y, yi, 16).reorder(x, c, yi, y).unroll(c).vectorize(x, 32).parallel(y)
    demosaiced.compute_at(camera, yi).vectorize(x, 32)
    cleaned.store_at(camera, y).compute_at(camera, yi).vectorize(x, 32)
    return camera.compile_to_callable([raw], hl.get_jit_target_from_environment())


def numpy_camera(raw: np.ndarray) -> np.ndarray:
    p = raw.astype(np.int32)

    def at(a: np.ndarray, dy: int, dx: int) -> np.ndarray:
        return np.roll(a, (-dy, -dx), (0, 1))  # what comes round the edge stays in the margin

    near = [at(p, -2, 0), at(p, 2, 0), at(p, 0, -2), at(p, 0, 2)]
    f = np.clip(p, np.min(near, axis=0), np.max(near, axis=0))
    y, x = np.indices(p.shape)
    rgb = np.stack(
        colours(lambda dy, dx: at(f, dy, dx), y % 2 == 0, x % 2 == 0, np.where, lambda a, b: (a + b + 1) >> 1)
    )
    linear = np.einsum("ck,kyx->cyx", np.int32(MATRIX), rgb[:, MARGIN:-MARGIN, MARGIN:-MARGIN]) >> 8
    return CURVE[np.clip(linear, 0, 1023)]
