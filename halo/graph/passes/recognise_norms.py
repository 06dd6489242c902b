"""Recognise norms: those that are written out over the lines along the last axes.

divide(x, sqrt(add(mean(multiply(x, x), axis), e)))
                        ->  rms_norm(x, 1, axis, e)     where x is subtract(y, mean(y, axis)): layer_norm(y, 1, axis, e)
multiply(layer_norm(x, 1, axis, e), s)  ->  layer_norm(x, s, axis, e)       where s is a constant along these axes; of
                                                                        rms_norm as well
add(layer_norm(x, s, axis, e), b)       ->  layer_norm(x, s, b, axis, e)    where b is one
"""

from __future__ import annotations

import math

import numpy as np

import halo
from halo import nn
from halo.ir.shapes import Extents
from halo.nn.tiles import CACHED

from ..ir import Call, Constant, Expr, rewrite_once_read
from ..module import Module, in_bodies
from ..patterns import is_call, number


def recognise_norms(m: Module) -> Module:
    return in_bodies(m, lambda f: rewrite_once_read(f, _recognised))


def _recognised(e: Expr, once: set[int]) -> Expr:
    if isinstance(e, Call) and e.op in (nn.divide, nn.multiply):
        norm = _normalised(e, once)
        return _scaled(e, once) if norm is None else norm
    return _biased(e, once) if isinstance(e, Call) and e.op is nn.add else e


def _normalised(e: Call, once: set[int]) -> Expr | None:
    """The norm of lines that is written out as `x` over the root of the mean of its squares, and of what is added to that."""
    x, under = _over_root(e, once) or (e, e)
    if under is e or not is_call(under, nn.add, once) or e.type != x.type or e.type.dtype not in (halo.f32, halo.f64):
        return None
    for mean, epsilon in (under.children, under.children[::-1]):
        first, e0 = _first_axis(mean, once), number(epsilon)
        if first is None or e0 is None or not is_call(squares := mean.children[0], nn.multiply, once):
            continue
        if any(c is not x for c in squares.children) or not _is_line(x.type.shape[first:], x.type.dtype.bytes):
            continue
        one = Constant(np.ones(1, x.type.dtype.dtype), "one")
        mean_of = x.children[1].children[:1] if _is_centred(x, first, once) else ()
        if mean_of and mean_of[0] is x.children[0]:
            made = nn.layer_norm(mean_of[0], one, axis=first, epsilon=e0)
        else:
            made = nn.rms_norm(x, one, axis=first, epsilon=e0)
        return Call(made.op, made.args, made.attributes, e.name)
    return None


def _scaled(e: Call, once: set[int]) -> Expr:
    for norm, scale in (e.children, e.children[::-1]):
        if e.op is not nn.multiply or e.type != norm.type:
            continue
        if is_call(norm, nn.layer_norm, once) or is_call(norm, nn.rms_norm, once):
            x, old, *bias = norm.children
            if _is_along(scale, norm) and number(old) == 1 and not bias:
                return Call(norm.op, (x, scale, *norm.args[2:]), norm.attributes, norm.name)
    return e


def _is_along(e: Expr, norm: Call) -> bool:
    """Whether `e` is a constant along the axes of which `norm` is."""
    ndim = norm.type.ndim
    lines = ndim - norm.attrs["axis"] % ndim
    return isinstance(e, Constant) and e.type.ndim <= lines and e.type.dtype == norm.type.dtype


def _over_root(e: Call, once: set[int]) -> tuple[Expr, Expr] | None:
    """The two of which `e` is the first over the root of the second."""
    if e.op is nn.divide:
        x, root = e.children
        return (x, root.children[0]) if is_call(root, nn.sqrt, once) else None
    for x, r in (e.children, e.children[::-1]):
        if is_call(r, nn.rsqrt, once):
            return x, r.children[0]
        inverse = is_call(r, nn.reciprocal, once) or (is_call(r, nn.divide, once) and number(r.children[0]) == 1)
        if inverse and is_call(root := r.children[-1], nn.sqrt, once):
            return x, root.children[0]
    return None


def _is_centred(e: Expr, axis: int, once: set[int]) -> bool:
    """Whether a mean over the axes from `axis` on is subtracted in `e`."""
    return isinstance(e, Call) and e.op is nn.subtract and _first_axis(e.children[1], once) == axis


def _is_line(shape: Extents, size: int) -> bool:
    """Whether so many entries stay in cache while they are read again, as far as is known; one axis does."""
    known = [n for n in shape if isinstance(n, int)]
    return len(shape) == 1 if len(known) < len(shape) else math.prod(known) * size <= CACHED


def _first_axis(e: Expr, once: set[int]) -> int | None:
    """The axis from which on `e`, a mean that keeps its axes, takes all; None for what is none."""
    if not is_call(e, nn.mean, once) or not e.attrs["keepdims"]:
        return None
    ndim = e.type.ndim
    axes = {*range(ndim)} if e.attrs["axes"] is None else {d % ndim for d in e.attrs["axes"]}
    return ndim - len(axes) if axes and axes == {*range(ndim - len(axes), ndim)} else None


def _biased(e: Call, once: set[int]) -> Expr:
    for norm, bias in (e.children, e.children[::-1]):
        if (
            is_call(norm, nn.layer_norm, once)
            and norm.args[2] is None
            and _is_along(bias, norm)
            and e.type == norm.type
        ):
            return Call(norm.op, (*norm.args[:2], bias), norm.attributes, norm.name)
    return e
