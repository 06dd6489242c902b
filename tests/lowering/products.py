"""Products of matrices of any types, for the tests of what machines do them with."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

RNG = np.random.default_rng(5)


def product(u: Any = halo.u8, v: Any = halo.i8, sums: Any = halo.i32) -> halo.Func:
    """f[y, x], the sum over k of a[y, k] * b[x, k]."""
    f, y, x = halo.Func("f"), *halo.vars("y x")
    a, b = halo.Input("a", u, 2), halo.Input("b", v, 2)
    r = halo.rdom(a.shape[1], names="k")
    f[y, x] = sums(0)
    f[y, x] += sums(a[y, r.k]) * sums(b[x, r.k])
    return f


def values(type: Any, *shape: int) -> np.ndarray:
    """Random ones, of integers the extremes often."""
    if type.is_float:
        return RNG.integers(-9, 9, shape).astype(type.dtype)
    drawn = RNG.integers(type.min, type.max, shape, type.dtype, endpoint=True)
    return np.where(RNG.random(shape) < 0.3, RNG.choice(np.array([type.min, type.max], type.dtype), shape), drawn)
