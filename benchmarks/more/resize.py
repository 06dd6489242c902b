"""An f32 picture at 0.7 of its size by Keys' cubic, along y and then along x: the taps of each place in a table."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560
OUT = 1075, 1792
SHARP = -0.75


def case() -> Case:
    img = np.random.default_rng(0).uniform(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    return Case("resize", {"img": img}, OUT, np.float32, func, schedule, numpy_resize, tolerance=5e-4,
                bytes=4 * (HEIGHT * WIDTH + OUT[0] * OUT[1]), flops=8 * OUT[0] * (WIDTH + OUT[1]),
                peers={"halide": halide_resize, "opencv": opencv_resize})  # fmt: skip


def cubic(t: Any, select: Any, minimum: Any) -> Any:
    t = minimum(abs(t), 2.0)
    near = ((SHARP + 2) * t - (SHARP + 3)) * t * t + 1
    return select(t < 1, near, ((SHARP * t - 5 * SHARP) * t + 8 * SHARP) * t - 4 * SHARP)


def func() -> halo.Func:
    y, x, k = halo.vars("y x k")
    img = halo.Input("img", halo.f32, ndim=2)
    bordered = halo.pad(img, "edge")

    def first(v: Any, n: int, m: int) -> tuple[Any, Any]:
        at = (v + 0.5) * (n / m) - 0.5
        whole = halo.floor(at)
        return halo.i32(whole), at - whole

    def table(name: str, n: int, m: int) -> tuple[halo.Func, halo.Func]:
        starts, taps = halo.Func(f"first_{name}"), halo.Func(f"taps_{name}")
        starts[x] = first(x, n, m)[0] - 1
        taps[k, x] = cubic(first(x, n, m)[1] - (k - 1), halo.select, halo.min)
        return starts, taps

    (start_y, taps_y), (start_x, taps_x) = table("y", HEIGHT, OUT[0]), table("x", WIDTH, OUT[1])
    rows, resize = halo.Func("rows"), halo.Func("resize")
    rows[y, x] = sum(
        (taps_y[j, y] * bordered[start_y[y] + j, x] for j in range(1, 4)), taps_y[0, y] * bordered[start_y[y], x]
    )
    start = halo.clamp(start_x[x], -2, WIDTH)
    resize[y, x] = sum((taps_x[j, x] * rows[y, start + j] for j in range(1, 4)), taps_x[0, x] * rows[y, start])
    return resize


def schedule(resize: halo.Func) -> None:
    for name in ("y", "x"):
        resize[f"first_{name}"].compute_root().vectorize("x", 16)
        resize[f"taps_{name}"].compute_root().bound("k", 0, 4).vectorize("x", 16).unroll("k")
    resize.parallel("y", 16).vectorize("x", 16)
    resize["rows"].compute_at(resize, "y_p").vectorize("x", 16)


def halide_resize() -> Any:
    import halide as hl

    x, y, k, yi = map(hl.Var, ("x", "y", "k", "yi"))
    img = hl.ImageParam(hl.Float(32), 2, "img")
    bordered = hl.BoundaryConditions.repeat_edge(img)

    def table(name: str, n: int, m: int) -> tuple[Any, Any]:
        starts, taps = hl.Func(f"first_{name}"), hl.Func(f"taps_{name}")
        at = (x + 0.5) * hl.f32(n / m) - 0.5
        whole = hl.floor(at)
        starts[x] = hl.i32(whole) - 1
        taps[x, k] = cubic_halide(at - whole - (k - 1))
        starts.compute_root().vectorize(x, 16)
        taps.compute_root().bound(k, 0, 4).vectorize(x, 16).unroll(k)
        return starts, taps

    def cubic_halide(t: Any) -> Any:
        t = hl.min(hl.abs(t), 2.0)
        near = ((SHARP + 2) * t - (SHARP + 3)) * t * t + 1
        return hl.select(t < 1, near, ((SHARP * t - 5 * SHARP) * t + 8 * SHARP) * t - 4 * SHARP)

    (start_y, taps_y), (start_x, taps_x) = table("y", HEIGHT, OUT[0]), table("x", WIDTH, OUT[1])
    rows, resize = hl.Func("rows"), hl.Func("resize")
    rows[x, y] = sum(taps_y[y, j] * bordered[x, start_y[y] + j] for j in range(4))
    start = hl.clamp(start_x[x], -2, WIDTH)
    resize[x, y] = sum(taps_x[x, j] * rows[start + j, y] for j in range(4))
    resize.split(y, y, yi, 16).parallel(y).vectorize(x, 16)
    rows.compute_at(resize, yi).vectorize(x, 16)
    return resize.compile_to_callable([img], hl.get_jit_target_from_environment())


def opencv_resize() -> Any:
    import cv2

    return lambda img, out: cv2.resize(img, OUT[::-1], dst=out, interpolation=cv2.INTER_CUBIC)


def numpy_resize(img: np.ndarray) -> np.ndarray:
    for n, m in ((HEIGHT, OUT[0]), (WIDTH, OUT[1])):
        at = (np.arange(m) + 0.5) * (n / m) - 0.5
        whole = np.floor(at).astype(int)
        weights = [cubic(at - whole - k, np.where, np.minimum).astype(img.dtype) for k in range(-1, 3)]
        taps = [img[np.clip(whole + k, 0, n - 1)] for k in range(-1, 3)]
        img = np.ascontiguousarray(sum(w[:, None] * tap for w, tap in zip(weights, taps, strict=True)).T)
    return img
