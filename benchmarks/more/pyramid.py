"""The details of an f32 picture enlarged: a Laplacian pyramid of six levels, taken apart and put together again."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH, LEVELS = 1536, 2560, 6
GAIN = 1.5


def case() -> Case:
    img = np.random.default_rng(0).uniform(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    return Case("pyramid", {"img": img}, img.shape, np.float32, func, schedule, numpy_pyramid, tolerance=1e-5,
                bytes=8 * HEIGHT * WIDTH, flops=45 * HEIGHT * WIDTH, peers={"halide": halide_pyramid})  # fmt: skip


def func() -> halo.Func:
    y, x = halo.vars("y x")

    def define(name: str, value: Any) -> halo.Func:
        f = halo.Func(name)
        f[y, x] = value
        return f

    def down(j: int, f: Any) -> halo.Func:
        rows = define(f"rows_{j}", (f[y, 2 * x - 1] + 3.0 * (f[y, 2 * x] + f[y, 2 * x + 1]) + f[y, 2 * x + 2]) * 0.125)
        return define(
            f"down_{j}", (rows[2 * y - 1, x] + 3.0 * (rows[2 * y, x] + rows[2 * y + 1, x]) + rows[2 * y + 2, x]) * 0.125
        )

    def up(j: int, f: Any) -> halo.Func:
        wide = define(f"wide_{j}", 0.25 * f[y, x // 2 - 1 + 2 * (x % 2)] + 0.75 * f[y, x // 2])
        return define(f"up_{j}", 0.25 * wide[y // 2 - 1 + 2 * (y % 2), x] + 0.75 * wide[y // 2, x])

    levels: list[Any] = [halo.pad(halo.Input("img", halo.f32, ndim=2), "edge")]
    for j in range(1, LEVELS):
        levels.append(down(j, levels[-1]))
    out = levels[-1]
    for j in reversed(range(LEVELS - 1)):
        coarse, result = up(j, levels[j + 1]), up(j + LEVELS, out)
        out = define(f"out_{j}", result[y, x] + GAIN * (levels[j][y, x] - coarse[y, x]))
    return out


def schedule(out: halo.Func) -> None:
    for j in range(1, LEVELS):
        down = out[f"down_{j}"]
        down.compute_root().parallel("y", 16).vectorize("x", 16)
        out[f"rows_{j}"].store_at(down, "y").compute_at(down, "y_p").vectorize("x", 16)
    for j in range(LEVELS - 1):
        f = out[f"out_{j}"]
        f.compute_root().parallel("y", 16).vectorize("x", 16)
        for wide in (j, j + LEVELS):
            out[f"wide_{wide}"].store_at(f, "y").compute_at(f, "y_p").vectorize("x", 16)
            out[f"up_{wide}"].compute_inline()


def halide_pyramid() -> Any:
    import halide as hl

    x, y, yi = map(hl.Var, ("x", "y", "yi"))

    def define(name: str, value: Any) -> Any:
        f = hl.Func(name)
        f[x, y] = value
        return f

    def rooted(f: Any, *inner: Any) -> Any:
        f.compute_root().split(y, y, yi, 16).parallel(y).vectorize(x, 16)
        for g in inner:
            g.store_at(f, y).compute_at(f, yi).vectorize(x, 16)
        return f

    def down(j: int, f: Any) -> Any:
        rows = define(f"rows_{j}", (f[2 * x - 1, y] + 3.0 * (f[2 * x, y] + f[2 * x + 1, y]) + f[2 * x + 2, y]) * 0.125)
        coarse = (rows[x, 2 * y - 1] + 3.0 * (rows[x, 2 * y] + rows[x, 2 * y + 1]) + rows[x, 2 * y + 2]) * 0.125
        return rooted(define(f"down_{j}", coarse), rows)

    def up(j: int, f: Any) -> tuple[Any, Any]:
        wide = define(f"wide_{j}", 0.25 * f[x // 2 - 1 + 2 * (x % 2), y] + 0.75 * f[x // 2, y])
        return wide, 0.25 * wide[x, y // 2 - 1 + 2 * (y % 2)] + 0.75 * wide[x, y // 2]

    img = hl.ImageParam(hl.Float(32), 2, "img")
    levels = [hl.BoundaryConditions.repeat_edge(img)]
    for j in range(1, LEVELS):
        levels.append(down(j, levels[-1]))
    out = levels[-1]
    for j in reversed(range(LEVELS - 1)):
        (wide, coarse), (wider, result) = up(j, levels[j + 1]), up(j + LEVELS, out)
        out = rooted(define(f"out_{j}", result + GAIN * (levels[j][x, y] - coarse)), wide, wider)
    return out.compile_to_callable([img], hl.get_jit_target_from_environment())


def numpy_pyramid(img: np.ndarray) -> np.ndarray:
    margin = 8 << LEVELS  # more than the coarsest level sees
    levels = [np.pad(img, margin, "edge")]

    def shrink(a: np.ndarray) -> np.ndarray:
        a = np.pad(a, [(1, 2), (0, 0)], "edge")
        return ((a[:-3:2] + 3 * (a[1:-2:2] + a[2:-1:2]) + a[3::2]) / 8).T

    def grow(a: np.ndarray) -> np.ndarray:
        p = np.pad(a, [(1, 1), (0, 0)], "edge")
        both = np.stack([0.25 * p[:-2] + 0.75 * a, 0.25 * p[2:] + 0.75 * a], 1)
        return both.reshape(-1, a.shape[1]).T

    for _ in range(1, LEVELS):
        levels.append(shrink(shrink(levels[-1])))
    out = levels[-1]
    for j in reversed(range(LEVELS - 1)):
        out = grow(grow(out)) + GAIN * (levels[j] - grow(grow(levels[j + 1])))
    return out[margin:-margin, margin:-margin].astype(np.float32)
