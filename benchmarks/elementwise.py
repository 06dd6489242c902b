"""exp(-x*x)*tanh(x) + sqrt(abs(x)) of 16 million floats: transcendental functions, one pass over memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case, Run

N = 1 << 24


def case() -> Case:
    x = np.random.default_rng(0).normal(0, 2, N).astype(np.float32)

    def halo_chain(scheduled: bool) -> Run:
        f, result = func(), np.zeros_like(x)
        if scheduled:
            f.vectorize("i", 16).parallel("i", 2048)
        kernel = f.compile(x=x)
        return lambda: kernel(x, out=result)

    def filled(kernel: Any) -> Run:
        result = np.zeros_like(x)

        def run() -> np.ndarray:
            kernel(x, result)
            return result

        return run

    return Case("elementwise", lambda: numpy_chain(x.astype(np.float64)).astype(np.float32),
                {"halo": lambda: halo_chain(True), "default": lambda: halo_chain(False), "halide": lambda: filled(halide_chain()),
                 "numba": lambda: filled(numba_chain()), "numpy": lambda: lambda: numpy_chain(x)},
                bytes=8 * N, flops=60 * N, tolerance=1e-6)  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def chain(i, *, x):
        return halo.exp(-x[i] * x[i]) * halo.tanh(x[i]) + halo.sqrt(abs(x[i]))

    return chain


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
