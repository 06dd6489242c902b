"""A depthwise 3x3 layer and a pointwise one after it, with ReLU, as in MobileNet: 64 to 128 channels, f32, 112 x 112."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

SIZE, INNER, OUTER = 112, 64, 128


def case() -> Case:
    rng = np.random.default_rng(0)
    img = rng.standard_normal((SIZE + 2, SIZE + 2, INNER), np.float32)
    depth, point = rng.standard_normal((3, 3, INNER), np.float32), rng.standard_normal((INNER, OUTER), np.float32)
    return Case("depthwise", {"img": img, "depth": depth, "point": point}, (SIZE, SIZE, OUTER), np.float32, func, schedule,
                numpy_layers, wide=True, tolerance=1e-5, bytes=4 * SIZE * SIZE * (INNER + OUTER),
                flops=2 * SIZE * SIZE * INNER * (9 + OUTER), peers={"halide": halide_layers})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def depthwise(y, x, c, *, img: halo.f32[:, :, ::1], depth: halo.f32[:, :, ::1]):
        return sum(img[y + ky, x + kx, c] * depth[ky, kx, c] for ky in range(3) for kx in range(3))

    @halo.func
    def pointwise(y, x, c, *, point: halo.f32[:, ::1]):
        return sum(max(depthwise[y, x, k], 0) * point[k, c] for k in halo.rdom(INNER))

    @halo.func
    def layers(y, x, c):
        return max(pointwise[y, x, c], 0)

    return layers


def schedule(layers: halo.Func) -> None:
    depthwise, pointwise = layers["depthwise"], layers["pointwise"]
    layers.bound("x", 0, SIZE).bound("c", 0, OUTER).split("x", "xo", "x", 8).split("c", "co", "c", 32)
    layers.reorder("y", "xo", "co", "x", "c").vectorize("c", 16).unroll("c").unroll("x").parallel("y", 4)
    pointwise.compute_at(layers, "co").vectorize("c", 16).unroll("c").unroll("x")
    pointwise.update(0).reorder("k", "y", "x", "c").vectorize("c", 16).unroll("c").unroll("x")
    depthwise.compute_at(layers, "xo").reorder("y", "c", "x").vectorize("c", 16).unroll("x")


def halide_layers() -> Any:
    import halide as hl

    x, y, c, xo, co, yi = map(hl.Var, ("x", "y", "c", "xo", "co", "yi"))
    img, depth, point = (hl.ImageParam(hl.Float(32), d, name) for d, name in ((3, "img"), (3, "depth"), (2, "point")))
    depthwise, pointwise, layers = map(hl.Func, ("depthwise", "pointwise", "layers"))
    k = hl.RDom([(0, INNER)], "k")
    depthwise[c, x, y] = sum(img[c, x + kx, y + ky] * depth[c, kx, ky] for ky in range(3) for kx in range(3))
    pointwise[c, x, y] = 0.0
    pointwise[c, x, y] += hl.max(depthwise[k, x, y], 0.0) * point[c, k]
    layers[c, x, y] = hl.max(pointwise[c, x, y], 0.0)
    layers.bound(x, 0, SIZE).bound(c, 0, OUTER).split(x, xo, x, 8).split(c, co, c, 32).split(y, y, yi, 4)
    layers.reorder(c, x, co, xo, yi, y).vectorize(c, 16).unroll(c).unroll(x).parallel(y)
    pointwise.compute_at(layers, co).vectorize(c, 16).unroll(c).unroll(x)
    pointwise.update().reorder(c, x, y, k).vectorize(c, 16).unroll(c).unroll(x)
    depthwise.compute_at(layers, xo).reorder(x, c, y).vectorize(c, 16).unroll(x)
    return layers.compile_to_callable([img, depth, point], hl.get_jit_target_from_environment())


def numpy_layers(img: np.ndarray, depth: np.ndarray, point: np.ndarray) -> np.ndarray:
    near = (img[ky : ky + SIZE, kx : kx + SIZE] * depth[ky, kx] for ky in range(3) for kx in range(3))
    return np.maximum(np.maximum(sum(near), 0) @ point, 0)
