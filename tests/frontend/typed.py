"""Small definitions, typed and run: what the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import halo
from halo.frontend.typing import build_pipeline
from halo.ir.expr import Expr, children
from halo.ir.node import interning
from halo.ir.pipeline import Pipeline
from halo.types import (
    ALL,
    Type,
    f16,
    f32,
    f64,
)

RNG = np.random.default_rng(3)
INTS = [t for t in ALL if t.is_int]
FLOATS = [f16, f32, f64]
x = halo.Var("x")
y = halo.Var("y")


def values(t: Type, n: int = 24) -> np.ndarray:
    """Elements of every size, extremes among them."""
    raw = RNG.integers(0, 256, n * t.dtype.itemsize, np.uint8).view(t.dtype)
    if t.is_bool:
        return raw.view(np.uint8) > 127
    if t.is_float:
        return (RNG.standard_normal(n) * 10).astype(t.dtype)
    raw[:3] = t.min, t.max, 0
    return raw


def one(definition: Callable[..., object], *arrays: np.ndarray, shape: object = None) -> np.ndarray:
    """`definition(a[x], b[x], ...)` for every x, by the reference backend."""
    f = halo.Func("f")
    f[x] = definition(*(halo.Input(f"a{k}", a.dtype, ndim=1)[x] for k, a in enumerate(arrays)))
    with np.errstate(all="ignore"):
        kernel = f.compile(target="python")
        return kernel(*arrays, shape=shape if arrays else shape or (8,))


def typed(definition: object, **types: Type) -> Expr:
    """The typed value of a Func of x (and y) that is `definition`; inside `interning()`."""
    f = halo.Func("f")
    f[y, x] = definition
    return build_pipeline([f], types).functions[-1].definitions[0].values[0]


def kind(definition: object, **types: Type) -> Type:
    with interning():
        return typed(definition, **types).type


A, B = halo.Input("a", ndim=2)[y, x], halo.Input("b", ndim=2)[y, x]


def nodes(e: Expr) -> list[Expr]:
    return [e, *(n for c in children(e) for n in nodes(c))]


def pipeline(f: halo.Func, **types: Type) -> Pipeline:
    with interning():
        return build_pipeline([f], types)
