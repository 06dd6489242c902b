"""Recognise activations: those that are written out as products, in any order of these, with any numbers between them.

multiply(multiply(x, 0.5), add(erf(multiply(x, 1 / sqrt(2))), 1))       ->  gelu(x)
multiply(multiply(x, 0.5), add(tanh(multiply(x + 0.044715 * x**3, sqrt(2 / pi))), 1))
                                                                        ->  gelu(x, approximate="tanh")
multiply(x, clip(add(x, 3), 0, 6)) / 6                                  ->  hard_swish(x)
multiply(divide(hard_swish(x), 2), 3)                                   ->  multiply(hard_swish(x), 1.5)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import halo
from halo import nn

from ..ir import Call, Constant, Expr, rewrite_once_read
from ..module import Module, in_bodies
from ..patterns import factors, inside, is_call, number

KNOWN = (nn.gelu, nn.hard_swish)
CLOSE = 1e-6  # numbers in files have the digits of f32, or those that a person typed
CUBE = 0.044715


def recognise_activations(m: Module) -> Module:
    return in_bodies(m, lambda f: rewrite_once_read(f, _recognised))


def _recognised(e: Expr, once: set[int]) -> Expr:
    if not isinstance(e, Call) or e.op not in (nn.multiply, nn.divide) or e.type.dtype not in (halo.f32, halo.f64):
        return e
    scale, values = factors(e, once)
    if len(values) == 1 and isinstance(values[0], Call) and values[0].op in KNOWN:
        return _times(values[0], scale, e)
    if len(values) != 2:
        return e
    for x, share in (values, values[::-1]):
        if x.type == share.type == e.type and (found := _of_share(x, share, once)) is not None:
            return _times(found[0], scale * found[1], e)
    return e


def _times(activation: Call, scale: float, e: Call) -> Call:
    """`activation` times a number, in place of `e`: itself, where the number is 1."""
    if _is_close(scale, 1):
        return activation
    return Call(nn.multiply, (activation, Constant(np.asarray(scale, e.type.dtype.dtype))), (), e.name)


def _of_share(x: Expr, share: Expr, once: set[int]) -> tuple[Call, float] | None:
    """The activation, and how many times it, `x * share` is."""
    y = inside(share, nn.add, 1.0, once)
    if y is not None and is_call(y, nn.erf, once):
        scale, values = factors(y.children[0], once)
        return (nn.gelu(x), 2.0) if _is_close(scale, math.sqrt(0.5)) and _are(values, x) else None
    if y is not None and is_call(y, nn.tanh, once):
        return (nn.gelu(x, approximate="tanh"), 2.0) if _is_cubic(y.children[0], x, once) else None
    scale, offset, high = _hard_share(x, share, once)
    return (nn.hard_swish(x), high) if _is_close(6 * scale, high) and offset == high / 2 > 0 else None


def _is_cubic(e: Expr, x: Expr, once: set[int]) -> bool:
    """Whether `e` is `(x + CUBE * x**3) * sqrt(2 / pi)`."""
    scale, values = factors(e, once)
    if not _is_close(scale, math.sqrt(2 / math.pi)):
        return False
    if len(values) == 1 and is_call(values[0], nn.add, once):
        cubes = [c for c in values[0].children if c is not x]
        return len(cubes) == 1 and _is_product(cubes[0], CUBE, (x, x, x), once)
    for a, b in (values, values[::-1]) if len(values) == 2 else ():
        square = inside(b, nn.add, 1.0, once)
        if a is x and square is not None and _is_product(square, CUBE, (x, x), once):
            return True
    return False


def _hard_share(x: Expr, e: Expr, once: set[int]) -> tuple[float, float, float]:
    """a, b and c where `e` is `clip(a * x + b, 0, c)`; zeros for what is none."""
    nothing = (0.0, 0.0, 0.0)
    if is_call(e, nn.hard_sigmoid, once):
        return (e.attrs["alpha"], e.attrs["beta"], 1.0) if e.children[0] is x else nothing
    if not is_call(e, nn.clip, once) or e.attrs["low"] != 0 or not is_call(line := e.children[0], nn.add, once):
        return nothing
    for y, offset in (line.children, line.children[::-1]):
        scale, values = factors(y, once) if id(y) in once else (1.0, [y])
        if (b := number(offset)) is not None and _are(values, x):
            return scale, b, e.attrs["high"]
    return nothing


def _is_product(e: Expr, scale: float, of: tuple[Expr, ...], once: set[int]) -> bool:
    found, values = factors(e, once)
    return id(e) in once and _is_close(found, scale) and _are(values, *of)


def _are(values: Sequence[Expr], *others: Expr) -> bool:
    return len(values) == len(others) and all(a is b for a, b in zip(values, others, strict=True))


def _is_close(a: float, b: float) -> bool:
    return abs(a - b) <= CLOSE * abs(b)
