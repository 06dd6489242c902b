"""Multiply two f32 matrices of 1024 x 1024."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

N = 1024


def case() -> Case:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((N, N), np.float32) for _ in range(2))
    return Case("matmul", {"a": a, "b": b}, (N, N), np.float32, func, schedule, np.matmul, wide=True, tolerance=1e-5,
                bytes=12 * N * N, flops=2 * N**3,
                peers={"halide": halide_product, "numba": numba_product, "opencv": opencv_product,
                       "numpy": lambda: np.matmul})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def product(i, j, *, a: halo.f32[:, ::1], b: halo.f32[:, ::1]):
        return sum(a[i, k] * b[k, j] for k in halo.rdom(a.shape[1]))

    @halo.func
    def matmul(i, j):
        return product[i, j]

    return matmul


def schedule(matmul: halo.Func) -> None:
    product = matmul["product"]
    matmul.tile("i", "j", "i", "j", "ii", "jj", 6, 64).vectorize("jj", 16).unroll("jj").unroll("ii")
    matmul.reorder("j", "i", "ii", "jj").parallel("j")
    product.compute_at(matmul, "i").vectorize("j", 16).unroll("j").unroll("i")  # 24 registers of sums
    product.update(0).reorder("k", "i", "j").vectorize("j", 16).unroll("j").unroll("i")
    columns = matmul.inputs["b"].in_(product)  # 64 of them, packed: what the inner loop reads is one stream
    columns.compute_at(matmul, "j").vectorize("i1", 16).unroll("i1")


def halide_product() -> Any:
    import halide as hl

    x, y, xi, yi = map(hl.Var, ("x", "y", "xi", "yi"))
    a, b = hl.ImageParam(hl.Float(32), 2, "a"), hl.ImageParam(hl.Float(32), 2, "b")
    k = hl.RDom([(0, N)], "k")
    prod, out = hl.Func("prod"), hl.Func("out")
    prod[x, y] = 0.0
    prod[x, y] += a[k, y] * b[x, k]
    out[x, y] = prod[x, y]
    out.bound(x, 0, N).bound(y, 0, N)
    out.tile(x, y, xi, yi, 64, 6).reorder(xi, yi, y, x).vectorize(xi, 16).unroll(xi).unroll(yi).parallel(x)
    prod.compute_at(out, y).vectorize(x, 16).unroll(x).unroll(y)
    prod.update().reorder(x, y, k).vectorize(x, 16).unroll(x).unroll(y)
    columns = b.in_(prod)
    columns.compute_at(out, x).vectorize(columns.args()[0], 16).unroll(columns.args()[0])
    return out.compile_to_callable([a, b], hl.get_jit_target_from_environment())


def numba_product() -> Any:
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def product(a, b, out):
        for i in numba.prange(out.shape[0]):
            out[i, :] = 0
            for k in range(a.shape[1]):
                for j in range(out.shape[1]):
                    out[i, j] += a[i, k] * b[k, j]

    return product


def opencv_product() -> Any:
    import cv2

    return lambda a, b, out: cv2.gemm(a, b, 1, None, 0, out)
