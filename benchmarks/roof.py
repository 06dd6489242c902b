"""What this machine can do at most: bytes a second through memory (STREAM's triad), multiply-adds in registers."""

from __future__ import annotations

import functools

import numpy as np

import halo

from .measure import best

ROWS, WAYS, LANES, STEPS = 64, 24, 16, 4096  # pieces of work, each of 24 accumulators of 16 lanes, 4096 times


@functools.cache
def bytes_per_second() -> float:
    """Of a[i] = b[i] + 3*c[i] on arrays far beyond the caches, counted as STREAM does: two read, one written."""
    n = 1 << 24

    @halo.func
    def triad(i, *, b: halo.f32[::1], c: halo.f32[::1]):
        return b[i] + 3.0 * c[i]

    b, c, out = (np.ones(n, np.float32) for _ in range(3))
    kernel = triad.compile()
    return 12 * n / best(lambda: kernel(b, c, out=out))


@functools.cache
def flops_per_second() -> float:
    """Of f32 multiply-adds whose operands are in registers, each of them two."""

    @halo.func
    def power(row, way, lane, *, scale: halo.f32):
        power[row, way, lane] = halo.f32(way)
        for _k in halo.rdom(STEPS):
            power[row, way, lane] = power[row, way, lane] * scale + 1.0

    @halo.func
    def result(row, way, lane):
        return power[row, way, lane]

    result.bound("way", 0, WAYS).bound("lane", 0, LANES).parallel("row").unroll("way").vectorize("lane", LANES)
    power.compute_at(result, "row").unroll("way").vectorize("lane", LANES)
    power.update(0).reorder("row", "_k", "way", "lane").unroll("way").vectorize("lane", LANES)
    kernel, out = result.compile(), np.zeros((ROWS, WAYS, LANES), np.float32)
    return 2 * out.size * STEPS / best(lambda: kernel(scale=0.5, out=out))


@functools.cache
def byte_ops_per_second() -> float:
    """Of products of u8 and i8 whose operands are in registers, added up in i32, each of them two."""

    @halo.func
    def dot(row, way, lane, *, a: halo.u8[:, :], b: halo.i8[:, :]):
        dot[row, way, lane] = halo.i32(way)
        for _s, k in halo.rdom(STEPS, 4):
            dot[row, way, lane] += halo.i32(a[lane, k]) * halo.i32(b[lane, k])

    @halo.func
    def result(row, way, lane):
        return dot[row, way, lane]

    result.bound("way", 0, WAYS).bound("lane", 0, LANES).parallel("row").unroll("way").vectorize("lane", LANES)
    dot.compute_at(result, "row").unroll("way").vectorize("lane", LANES)
    dot.update(0).reorder("row", "_s", "way", "lane", "k").unroll("way")
    dot.update(0).split("lane", "lane_o", "lane", LANES).tensorize("lane", halo.intrinsics.dot_u8i8_i32)
    kernel, out = result.compile(), np.zeros((ROWS, WAYS, LANES), np.int32)
    a, b = np.full((LANES, 4), 3, np.uint8), np.full((LANES, 4), -3, np.int8)
    return 2 * 4 * STEPS * out.size / best(lambda: kernel(a, b, out=out))
