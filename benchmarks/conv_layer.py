"""A convolution layer: 3x3, 128 to 128 channels, bias and ReLU, on five f32 pictures of 100 x 80."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

N, HEIGHT, WIDTH, CHANNELS = 5, 80, 100, 128


def case() -> Case:
    rng = np.random.default_rng(0)
    img = rng.standard_normal((N, HEIGHT + 2, WIDTH + 2, CHANNELS), np.float32)
    weights = rng.standard_normal((3, 3, CHANNELS, CHANNELS), np.float32)
    bias = rng.standard_normal(CHANNELS, np.float32)
    size = N * HEIGHT * WIDTH * CHANNELS
    return Case("conv_layer", {"img": img, "weights": weights, "bias": bias}, (N, HEIGHT, WIDTH, CHANNELS), np.float32,
                func, schedule, numpy_layer, wide=True, tolerance=1e-5,
                bytes=4 * (img.size + weights.size + size), flops=2 * 9 * CHANNELS * size,
                peers={"halide": halide_layer, "numba": numba_layer})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def conv(n, y, x, c, *, bias: halo.f32[::1], weights: halo.f32[:, :, :, ::1], img: halo.f32[:, :, :, ::1]):
        conv[n, y, x, c] = bias[c]
        for ky, kx, k in halo.rdom(3, 3, img.shape[3]):
            conv[n, y, x, c] += weights[ky, kx, k, c] * img[n, y + ky, x + kx, k]

    @halo.func
    def relu(n, y, x, c):
        return max(conv[n, y, x, c], 0)

    return relu


def schedule(relu: halo.Func) -> None:
    conv = relu["conv"]
    relu.split("c", "co", "c", 32).split("x", "xo", "x", 10).reorder("n", "y", "co", "xo", "x", "c")
    relu.vectorize("c", 16).unroll("c").unroll("x").fuse("n", "y", "ny").parallel("ny")
    relu.bound("n", 0, N).bound("y", 0, HEIGHT).bound("x", 0, WIDTH).bound("c", 0, CHANNELS)
    conv.compute_at(relu, "xo").vectorize("c", 16).unroll("c").unroll("x")  # 20 registers of sums
    conv.update(0).reorder("ky", "kx", "k", "n", "y", "x", "c").vectorize("c", 16).unroll("c").unroll("x").unroll(
        "k", 2
    )


def halide_layer() -> Any:
    import halide as hl

    n, y, x, c, co, xo, ny = map(hl.Var, ("n", "y", "x", "c", "co", "xo", "ny"))
    img, weights, bias = (hl.ImageParam(hl.Float(32), d, name) for d, name in ((4, "img"), (4, "weights"), (1, "bias")))
    conv, relu = hl.Func("conv"), hl.Func("relu")
    r = hl.RDom([(0, CHANNELS), (0, 3), (0, 3)], "r")
    conv[c, x, y, n] = bias[c]
    conv[c, x, y, n] += weights[c, r.x, r.y, r.z] * img[r.x, x + r.y, y + r.z, n]
    relu[c, x, y, n] = hl.max(conv[c, x, y, n], 0.0)
    sizes = (CHANNELS, WIDTH, HEIGHT, N)
    for v, size in zip((c, x, y, n), sizes, strict=True):
        relu.bound(v, 0, size)
    for buffer, shape in (
        (img, (CHANNELS, WIDTH + 2, HEIGHT + 2, N)),
        (weights, (CHANNELS, CHANNELS, 3, 3)),
        (bias, (CHANNELS,)),
    ):
        stride = 1
        for d, size in enumerate(shape):
            buffer.dim(d).set_bounds(0, size).set_stride(stride)
            stride *= size
    relu.split(c, co, c, 32).split(x, xo, x, 10).reorder(c, x, xo, co, y, n)
    relu.vectorize(c, 16).unroll(c).unroll(x).fuse(y, n, ny).parallel(ny)
    conv.compute_at(relu, xo).vectorize(c, 16).unroll(c).unroll(x)
    conv.update().reorder(c, x, y, n, r.x, r.y, r.z).vectorize(c, 16).unroll(c).unroll(x).unroll(r.x, 2)
    return relu.compile_to_callable([img, weights, bias], hl.get_jit_target_from_environment())


def numba_layer() -> Any:
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def layer(img, weights, bias, out):
        for n in range(img.shape[0]):
            for y in numba.prange(out.shape[1]):
                for x in range(out.shape[2]):
                    total = out[n, y, x]
                    total[:] = bias
                    for ky in range(3):
                        for kx in range(3):
                            for k in range(img.shape[3]):
                                for c in range(total.size):
                                    total[c] += weights[ky, kx, k, c] * img[n, y + ky, x + kx, k]
                    for c in range(total.size):
                        total[c] = max(total[c], np.float32(0))

    return layer


def numpy_layer(img: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    taps = (
        img[:, ky : ky + HEIGHT, kx : kx + WIDTH].reshape(-1, CHANNELS) @ weights[ky, kx]
        for ky in range(3)
        for kx in range(3)
    )
    return np.maximum(sum(taps) + bias, 0).reshape(N, HEIGHT, WIDTH, CHANNELS)
