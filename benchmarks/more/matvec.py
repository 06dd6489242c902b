"""An f32 matrix of 4096 x 4096 times a vector: one pass over the matrix, limited by memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

N = 4096


def case() -> Case:
    rng = np.random.default_rng(0)
    a, v = rng.standard_normal((N, N), np.float32), rng.standard_normal(N, np.float32)
    return Case("matvec", {"a": a, "v": v}, (N,), np.float32, func, schedule, np.matmul, wide=True, tolerance=1e-5,
                bytes=4 * N * N, flops=2 * N * N,
                peers={"halide": halide_matvec, "numpy": lambda: np.matmul})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def product(i, *, a: halo.f32[:, ::1], v: halo.f32[::1]):
        return sum(a[i, k] * v[k] for k in halo.rdom(a.shape[1]))

    @halo.func
    def matvec(i):
        return product[i]

    return matvec


def schedule(matvec: halo.Func) -> None:
    # Four rows at once, each in a vector of partial sums.
    product = matvec["product"]
    matvec.split("i", "i", "ii", 4).parallel("i", 16).unroll("ii")
    lanes = product.update(0).split("k", "k", "ki", 16).rfactor({"ki": "lane"})
    product.compute_at(matvec, "i").unroll("i")
    product.update(0).reorder("i", "ki").unroll("i").unroll("ki")
    lanes.compute_at(matvec, "i").vectorize("lane").unroll("i")
    lanes.update(0).reorder("k", "i", "lane").vectorize("lane").unroll("i").unroll("k", 2)


def halide_matvec() -> Any:
    import halide as hl

    i, ii, lane = map(hl.Var, ("i", "ii", "lane"))
    a, v = hl.ImageParam(hl.Float(32), 2, "a"), hl.ImageParam(hl.Float(32), 1, "v")
    k, ko, ki = hl.RDom([(0, N)], "k"), hl.RVar("ko"), hl.RVar("ki")
    product, matvec = hl.Func("product"), hl.Func("matvec")
    product[i] = 0.0
    product[i] += a[k, i] * v[k]
    matvec[i] = product[i]
    matvec.split(i, i, ii, 4).parallel(i, 16).unroll(ii)
    lanes = product.update().split(k.x, ko, ki, 16).rfactor(ki, lane)
    product.compute_at(matvec, i).unroll(i)
    product.update().reorder(ki, i).unroll(i).unroll(ki)
    lanes.compute_at(matvec, i).vectorize(lane).unroll(i)
    lanes.update().reorder(lane, i, ko).vectorize(lane).unroll(i).unroll(ko, 2)
    return matvec.compile_to_callable([a, v], hl.get_jit_target_from_environment())
