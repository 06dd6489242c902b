"""What all tests of behaviours define their stages with."""

from __future__ import annotations

from typing import Any

import halo

Y, X = halo.vars("y x")


def func(name: str, at: Any, value: Any) -> halo.Func:
    """`name[at] = value`, serial: any directive turns the default schedule off."""
    f = halo.Func(name)
    f[at] = value
    return f.compute_root()


def two_taps(offset: int = -1) -> tuple[halo.Func, halo.Func]:
    """f, and g = f(x) + f(x + offset), as Halide's sliding_window test has them."""
    f = func("f", X, X * 3)
    return f, func("g", X, f[X] + f[X + offset])
