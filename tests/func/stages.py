"""A few Funcs that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import halo

RNG = np.random.default_rng(8)
IMG = RNG.integers(0, 200, (7, 9), np.int32)
y, x = halo.vars("y x")
Definer = Callable[[halo.Func], None]


def stage(name: str, value: object) -> halo.Func:
    f = halo.Func(name)
    f[y, x] = value
    return f


def image(name: str = "img", dtype: object = None) -> halo.Input:
    return halo.Input(name, dtype, ndim=2)


@halo.func
def rows(y, x, *, img):
    return img[y, x] + img[y, x + 1]


@halo.func
def both(y, x, *, gain=2.0):
    return rows[y, x] * gain


@halo.func
def scaled(*i, img, k=3):
    return img[i] * k
