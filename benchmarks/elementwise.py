"""exp(-x*x)*tanh(x) + sqrt(abs(x)) of 16 million floats: transcendental functions, one pass over memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

N = 1 << 24


def case() -> Case:
    x = np.random.default_rng(0).normal(0, 2, N).astype(np.float32)
    return Case("elementwise", {"x": x}, (N,), np.float32, func, schedule, numpy_chain, wide=True, tolerance=1e-6,
                bytes=8 * N, flops=60 * N, peers={"halide": halide_chain, "numba": numba_chain})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def chain(i, *, x):
        return halo.exp(-x[i] * x[i]) * halo.tanh(x[i]) + halo.sqrt(abs(x[i]))

    return chain


def schedule(chain: halo.Func) -> None:
    chain.vectorize("i", 16).parallel("i", 2048)


def halide_chain() -> Any:
    import halide as hl

    i, x, f = hl.Var("i"), hl.ImageParam(hl.Float(32), 1, "x"), hl.Func("f")
    f[i] = hl.exp(-x[i] * x[i]) * hl.tanh(x[i]) + hl.sqrt(hl.abs(x[i]))
    f.vectorize(i, 16).parallel(i, 2048)
    return f.compile_to_callable([x], hl.get_jit_target_from_environment())


def numba_chain() -> Any:
    import math

    import numba

    @numba.njit(parallel=True, fastmath=True)
    def chain(x, out):
        for i in numba.prange(len(x)):
            out[i] = math.exp(-x[i] * x[i]) * math.tanh(x[i]) + math.sqrt(abs(x[i]))

    return chain


def numpy_chain(x: np.ndarray) -> np.ndarray:
    return np.exp(-x * x) * np.tanh(x) + np.sqrt(np.abs(x))
