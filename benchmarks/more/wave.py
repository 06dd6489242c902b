"""A step of the wave equation on 256^3 f32, of eighth order in space: 25 points of a volume, limited by memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

N, RADIUS = 256, 4
WEIGHTS = np.float32((-205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560)).tolist()
COURANT = float(np.float32(0.1))


def case() -> Case:
    rng = np.random.default_rng(0)
    now = rng.standard_normal((N + 2 * RADIUS,) * 3, np.float32)
    before = rng.standard_normal((N,) * 3, np.float32)
    return Case("wave", {"now": now, "before": before}, (N,) * 3, np.float32, func, schedule, numpy_wave, wide=True,
                tolerance=1e-5, bytes=12 * N**3, flops=34 * N**3, peers={"halide": halide_wave})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def wave(z, y, x, *, now: halo.f32[:, :, ::1], before: halo.f32[:, :, ::1]):
        here = now[z + RADIUS, y + RADIUS, x + RADIUS]
        laplacian = 3 * WEIGHTS[0] * here
        for k in range(1, RADIUS + 1):
            near = 0.0
            for d in (-k, k):
                near += now[z + RADIUS + d, y + RADIUS, x + RADIUS] + now[z + RADIUS, y + RADIUS + d, x + RADIUS]
                near += now[z + RADIUS, y + RADIUS, x + RADIUS + d]
            laplacian += WEIGHTS[k] * near
        return 2 * here - before[z, y, x] + COURANT * laplacian

    return wave


def schedule(wave: halo.Func) -> None:
    wave.split("z", "zo", "z", 32).split("y", "yo", "y", 16).reorder("zo", "yo", "z", "y", "x")
    wave.fuse("zo", "yo", "block").parallel("block").vectorize("x", 16)


def halide_wave() -> Any:
    import halide as hl

    x, y, z, yo, zo, block = map(hl.Var, ("x", "y", "z", "yo", "zo", "block"))
    now, before = hl.ImageParam(hl.Float(32), 3, "now"), hl.ImageParam(hl.Float(32), 3, "before")
    wave, r = hl.Func("wave"), RADIUS
    here = now[x + r, y + r, z + r]
    laplacian = 3 * WEIGHTS[0] * here
    for k in range(1, r + 1):
        near = sum(
            now[x + r, y + r, z + r + d] + now[x + r, y + r + d, z + r] + now[x + r + d, y + r, z + r] for d in (-k, k)
        )
        laplacian += WEIGHTS[k] * near
    wave[x, y, z] = 2 * here - before[x, y, z] + COURANT * laplacian
    wave.split(z, zo, z, 32).split(y, yo, y, 16).reorder(x, y, z, yo, zo).fuse(yo, zo, block).parallel(block)
    wave.vectorize(x, 16)
    return wave.compile_to_callable([now, before], hl.get_jit_target_from_environment())


def numpy_wave(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    def at(dz: int, dy: int, dx: int) -> np.ndarray:
        return now[tuple(slice(RADIUS + d, RADIUS + d + N) for d in (dz, dy, dx))]

    laplacian = 3 * WEIGHTS[0] * at(0, 0, 0)
    for k in range(1, RADIUS + 1):
        for d in (-k, k):
            laplacian = laplacian + WEIGHTS[k] * (at(d, 0, 0) + at(0, d, 0) + at(0, 0, d))
    return 2 * at(0, 0, 0) - before + COURANT * laplacian
