"""Where each row of an f32 matrix of 4096 x 4096 is largest: sixteen lanes a row, each with an index and a value."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

N, LANES = 4096, 64


def case() -> Case:
    a = np.random.default_rng(0).standard_normal((N, N), np.float32)
    return Case("argmax", {"a": a}, (N,), np.int32, func, schedule, numpy_argmax, bytes=4 * N * N, flops=N * N,
                peers={"halide": halide_argmax})  # fmt: skip


def func() -> halo.Func:
    # Of each residue of the column the first largest; then the first of those.
    @halo.func
    def lanes(i, lane, *, a: halo.f32[:, ::1]):
        lanes[i, lane] = 0, a[i, lane]
        for k in halo.rdom(range(1, a.shape[1] // LANES)):
            better = a[i, LANES * k + lane] > lanes[i, lane][1]
            lanes[i, lane] = (halo.select(better, k, lanes[i, lane][0]),
                              halo.select(better, a[i, LANES * k + lane], lanes[i, lane][1]))  # fmt: skip

    @halo.func
    def best(i):
        best[i] = LANES * lanes[i, 0][0], lanes[i, 0][1]
        for k in halo.rdom(range(1, LANES)):
            at, value = LANES * lanes[i, k][0] + k, lanes[i, k][1]
            better = (value > best[i][1]) | ((value == best[i][1]) & (at < best[i][0]))
            best[i] = halo.select(better, at, best[i][0]), halo.select(better, value, best[i][1])

    @halo.func
    def argmax(i):
        return best[i][0]

    return argmax


def schedule(argmax: halo.Func) -> None:
    lanes = argmax["lanes"]
    argmax.parallel("i", 16)
    argmax["best"].compute_at(argmax, "i_p")
    lanes.compute_at(argmax, "i_p").bound("lane", 0, LANES).vectorize("lane", 16).unroll("lane")
    lanes.update(0).reorder("k", "i", "lane").vectorize("lane", 16).unroll("lane")


def halide_argmax() -> Any:
    import halide as hl

    i, ip, lane = map(hl.Var, ("i", "ip", "lane"))
    a = hl.ImageParam(hl.Float(32), 2, "a")
    lanes, best, argmax = map(hl.Func, ("lanes", "best", "argmax"))
    k, m = hl.RDom([(1, N // LANES - 1)], "k"), hl.RDom([(1, LANES - 1)], "m")
    lanes[lane, i] = hl.Tuple([hl.i32(0), a[lane, i]])
    value = a[LANES * k + lane, i]
    better = value > lanes[lane, i][1]
    lanes[lane, i] = hl.Tuple(
        [hl.select(better, hl.i32(k), lanes[lane, i][0]), hl.select(better, value, lanes[lane, i][1])]
    )
    best[i] = hl.Tuple([LANES * lanes[0, i][0], lanes[0, i][1]])
    at, value = LANES * lanes[m, i][0] + m, lanes[m, i][1]
    better = (value > best[i][1]) | ((value == best[i][1]) & (at < best[i][0]))
    best[i] = hl.Tuple([hl.select(better, at, best[i][0]), hl.select(better, value, best[i][1])])
    argmax[i] = best[i][0]
    argmax.split(i, i, ip, 16).parallel(i)
    best.compute_at(argmax, ip)
    lanes.compute_at(argmax, ip).bound(lane, 0, LANES).vectorize(lane, 16).unroll(lane)
    lanes.update().reorder(lane, i, k).vectorize(lane, 16).unroll(lane)
    return argmax.compile_to_callable([a], hl.get_jit_target_from_environment())


def numpy_argmax(a: np.ndarray) -> np.ndarray:
    return a.argmax(1).astype(np.int32)
