"""What a call costs beside the work: a kernel of one input and one output, on arrays of one element."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import halo

from .measure import Result, per_call


def run() -> Iterator[Result]:
    @halo.func
    def twice(x, *, a):
        return a[x] * 2

    a, out = np.ones(1, np.float32), np.zeros(1, np.float32)
    kernel = twice.compile(a=a)
    yield Result("a compiled kernel's call, two arrays", per_call(lambda: kernel(a, out=out)) * 1e6, "us", 5)
    yield Result("    the same through the Func", per_call(lambda: twice(a, out=out)) * 1e6, "us")
    yield Result("    numpy.multiply", per_call(lambda: np.multiply(a, 2, out=out)) * 1e6, "us")
