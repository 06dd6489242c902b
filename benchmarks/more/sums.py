"""The sum of each row of an f32 matrix of 4096 x 4096: sixteen lanes a row, limited by memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

N = 4096


def case() -> Case:
    a = np.random.default_rng(0).uniform(0, 1, (N, N)).astype(np.float32)
    return Case("sums", {"a": a}, (N,), np.float32, func, schedule, numpy_sums, wide=True, tolerance=1e-5,
                bytes=4 * N * N, flops=N * N, peers={"halide": halide_sums})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def sums(i, *, a: halo.f32[:, ::1]):
        return sum(a[i, k] for k in halo.rdom(a.shape[1]))

    return sums


def schedule(sums: halo.Func) -> None:
    sums.parallel("i", 16)
    sums.update(0).split("k", "k", "ki", 64).parallel("i", 16)
    lanes = sums.update(0).rfactor({"ki": "lane"})
    lanes.compute_at(sums.update(0), "i_p").vectorize("lane", 16).unroll("lane")
    lanes.update(0).reorder("i", "k", "lane").vectorize("lane", 16).unroll("lane")
    sums.update(0).atomic().vectorize("ki", 16)


def halide_sums() -> Any:
    import halide as hl

    i, ip, lane = map(hl.Var, ("i", "ip", "lane"))
    a, sums = hl.ImageParam(hl.Float(32), 2, "a"), hl.Func("sums")
    k, ko, ki = hl.RDom([(0, N)], "k"), hl.RVar("ko"), hl.RVar("ki")
    sums[i] = 0.0
    sums[i] += a[k, i]
    sums.parallel(i, 16)
    lanes = sums.update().split(k.x, ko, ki, 64).rfactor(ki, lane)
    sums.update().split(i, i, ip, 16).parallel(i).atomic().vectorize(ki, 16)
    lanes.compute_at(sums, ip).vectorize(lane, 16).unroll(lane)
    lanes.update().reorder(lane, ko, i).vectorize(lane, 16).unroll(lane)
    return sums.compile_to_callable([a], hl.get_jit_target_from_environment())


def numpy_sums(a: np.ndarray) -> np.ndarray:
    return a.sum(1)
