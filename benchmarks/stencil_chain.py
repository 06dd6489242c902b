"""Thirty-two stages of 5x5 stencils on a u16 picture, in wrapping arithmetic: limited by multiplies and loads.

Stage by stage is the best schedule known, for Halide too: overlapped tiles of 4 to 16 stages take 1.5 times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

HEIGHT, WIDTH, STAGES = 1536, 2560, 32
ROWS = 32  # a task; four of them at once share the rows that they load
WEIGHTS = [(dy, dx, (dy + 3) * (dx + 3)) for dy in range(-2, 3) for dx in range(-2, 3)]


def case() -> Case:
    # A picture that has the border of all stages, so that all peers do the same.
    padded = np.random.default_rng(0).integers(0, 65536, (HEIGHT + 4 * STAGES, WIDTH + 4 * STAGES), np.uint16)
    pixels = sum((HEIGHT + 4 * k) * (WIDTH + 4 * k) for k in range(STAGES))
    return Case("stencil_chain", {"img": padded}, (HEIGHT, WIDTH), np.uint16, func, schedule, numpy_chain,
                bytes=4 * HEIGHT * WIDTH, flops=(2 * len(WEIGHTS) - 1) * pixels, computes="i16",
                peers={"halide": halide_chain, "numba": numba_chain})  # fmt: skip


def func() -> halo.Func:
    def after(source: Any) -> halo.Func:
        @halo.func
        def stage(y, x):
            return sum(w * source[y + 2 + dy, x + 2 + dx] for dy, dx, w in WEIGHTS)

        return stage

    last = after(halo.Input("img", halo.u16, ndim=2))
    for _ in range(STAGES - 1):
        last = after(last)
    return last


def schedule(last: halo.Func) -> None:
    # The sizes are known, so that the last vector of a row may start further in: one copy of each loop, without masks.
    for k, width in enumerate(widths()):
        stage = last[f"stage_{k}" if k else "stage"]
        stage.compute_root().bound("x", 0, width).parallel("y", ROWS)
        stage.split("y_p", "y_p", "row", 4).reorder("y", "y_p", "x", "row").unroll("row")
        stage.vectorize("x", 32, tail="shift_inwards").partition("x", "never")


def widths() -> list[int]:
    return [WIDTH + 4 * k for k in reversed(range(STAGES))]


def halide_chain() -> Any:
    import halide as hl

    x, y, xi, rows, row = map(hl.Var, ("x", "y", "xi", "rows", "row"))
    img = hl.ImageParam(hl.UInt(16), 2, "img")
    stages = [img]
    for k in range(STAGES):
        stage = hl.Func(f"stage_{k}")
        stage[x, y] = sum((hl.u16(w) * stages[-1][x + 2 + dx, y + 2 + dy] for dy, dx, w in WEIGHTS), hl.u16(0))
        stages.append(stage)
    del stages[0]
    for stage, width in zip(stages, widths(), strict=True):
        stage.compute_root().bound(x, 0, width).split(y, y, rows, ROWS).split(rows, rows, row, 4)
        stage.split(x, x, xi, 32, hl.TailStrategy.ShiftInwards).reorder(xi, row, x, rows, y)
        stage.vectorize(xi).unroll(row).parallel(y)
    return stages[-1].compile_to_callable([img], hl.get_jit_target_from_environment())


def numba_chain() -> Any:
    import numba

    between = [np.zeros((HEIGHT + 4 * k, WIDTH + 4 * k), np.uint16) for k in range(STAGES - 1, 0, -1)]

    @numba.njit(parallel=True, fastmath=True)
    def stage(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                total = np.uint16(0)
                for dy in range(5):
                    for dx in range(5):
                        total += np.uint16((dy + 1) * (dx + 1)) * p[y + dy, x + dx]
                out[y, x] = total

    def chain(p, out):
        for source, target in zip([p, *between], [*between, out], strict=True):
            stage(source, target)

    return chain


def numpy_chain(p: np.ndarray) -> np.ndarray:
    for _ in range(STAGES):
        height, width = p.shape[0] - 4, p.shape[1] - 4
        p = sum(np.uint16(w) * p[dy + 2 : dy + 2 + height, dx + 2 : dx + 2 + width] for dy, dx, w in WEIGHTS)
    return p
