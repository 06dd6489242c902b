"""Recognise: what models write out becomes the operator that it is.

matmul(x, w)            ->  dense(x, transpose(w))      where w is a constant matrix, whose panels are packed once
add(dense(x, w), b)     ->  dense(x, w, b)              where b is a constant, an entry a column
matmul(softmax(add(multiply(matmul(q, k), c), m)), v)  ->  attention(q, k, v, m, scale=c)
                                                    where c is a constant number; without it, or m, as well
divide(x, sqrt(add(mean(multiply(x, x), axis), e)))
                        ->  rms_norm(x, 1, axis, e)     over the last axes; where x is subtract(y, mean(y, axis))
                            layer_norm(y, 1, axis, e)
multiply(layer_norm(x, 1, axis, e), s)  ->  layer_norm(x, s, axis, e)       where s is a constant along these axes;
                                                                        rms_norm, and add of a bias, as well
mean(x, axes=(2, 3))    ->  global_average_pool(x)      of floats [N, C, H, W], which takes channels in blocks
power(x, 2)             ->  multiply(x, x)              of floats, as are powers of 3 and, with reciprocal, -1
"""

from __future__ import annotations

import math
from typing import TypeGuard

import numpy as np

import halo
from halo import nn
from halo.ir.shapes import Extents
from halo.nn.tiles import CACHED

from ..ir import Call, Constant, Expr, Function, Module, in_bodies, rewrite_once_read
from .simplify import reshaped


def recognise(m: Module) -> Module:
    return in_bodies(m, _recognised)


def _recognised(f: Function) -> Function:
    def change(e: Expr, once: set[int]) -> Expr:
        if isinstance(e, Call) and e.op is nn.matmul:
            attention = _attention(e, once)
            return _dense(e) if attention is None else attention
        if isinstance(e, Call) and e.op is nn.mean:
            return _pooled(e)
        if isinstance(e, Call) and e.op is nn.power:
            return _multiplied(e)
        if isinstance(e, Call) and e.op in (nn.divide, nn.multiply):
            norm = _normalised(e, once)
            return _scaled_norm(e, once) if norm is None else norm
        return _biased(e, once) if isinstance(e, Call) and e.op is nn.add else e

    return rewrite_once_read(f, change)


def _dense(e: Call) -> Expr:
    x, w = e.children
    if not isinstance(w, Constant) or w.type.ndim != 2 or x.type.ndim < 2 or not e.type.dtype.is_float:
        return e
    made = nn.dense(x, nn.transpose(w, axes=(1, 0)))
    return Call(made.op, made.args, made.attributes, e.name)


def _attention(e: Call, once: set[int]) -> Expr | None:
    """Attention that is written out as products and softmax, if `e` is the last of these."""
    weights, v = e.children
    if not _is(weights, nn.softmax, once) or weights.attrs["axis"] % weights.type.ndim != weights.type.ndim - 1:
        return None
    scores, mask, scale = weights.children[0], None, 1.0
    if _is(scores, nn.add, once):
        products = [c for c in scores.children if _is(c, nn.matmul, once) or _scaled(c, once) is not None]
        if len(products) != 1 or products[0].type.shape != scores.type.shape:
            return None
        mask = next(c for c in scores.children if c is not products[0])
        scores = products[0]
    scores, scale = _scaled(scores, once) or (scores, scale)
    if not _is(scores, nn.matmul, once):
        return None
    q, k = scores.children
    if any(t.type.ndim < 2 or t.type.dtype not in (halo.f32, halo.f64) or 0 in t.type.shape for t in (q, k, v)):
        return None
    made = nn.attention(q, k, v, mask, scale=scale, k_layout="DT")
    return Call(made.op, made.args, made.attributes, e.name)


def _is(e: Expr, op: nn.Op, once: set[int]) -> TypeGuard[Call]:
    return isinstance(e, Call) and e.op is op and id(e) in once


def _scaled(e: Expr, once: set[int]) -> tuple[Expr, float] | None:
    """The product of matrices that `e` multiplies with a constant number, or divides by it, and the factor."""
    for op, sides in ((nn.multiply, (0, 1)), (nn.divide, (0,))):
        for side in sides:
            if not _is(e, op, once):
                continue
            product, factor = e.children[side], e.children[1 - side]
            number = isinstance(factor, Constant) and math.prod(factor.type.static) == 1
            if number and _is(product, nn.matmul, once) and product.type.shape == e.type.shape:
                assert isinstance(factor, Constant)
                value = float(factor.data.reshape(()))
                return product, value if op is nn.multiply else 1 / value
    return None


def _normalised(e: Call, once: set[int]) -> Expr | None:
    """The norm of lines that is written out as `x` over the root of the mean of its squares, and of what is added to that."""
    x, under = _over_root(e, once) or (e, e)
    if under is e or not _is(under, nn.add, once) or e.type != x.type or e.type.dtype not in (halo.f32, halo.f64):
        return None
    for mean, epsilon in (under.children, under.children[::-1]):
        first, number = _first_axis(mean, once), _number(epsilon)
        if first is None or number is None or not _is(squares := mean.children[0], nn.multiply, once):
            continue
        if any(c is not x for c in squares.children) or not _is_line(x.type.shape[first:], x.type.dtype.bytes):
            continue
        one = Constant(np.ones(1, x.type.dtype.dtype), "one")
        mean_of = x.children[1].children[:1] if _is_centred(x, first, once) else ()
        if mean_of and mean_of[0] is x.children[0]:
            made = nn.layer_norm(mean_of[0], one, axis=first, epsilon=number)
        else:
            made = nn.rms_norm(x, one, axis=first, epsilon=number)
        return Call(made.op, made.args, made.attributes, e.name)
    return None


def _scaled_norm(e: Call, once: set[int]) -> Expr:
    for norm, scale in (e.children, e.children[::-1]):
        if e.op is not nn.multiply or e.type != norm.type:
            continue
        if _is(norm, nn.layer_norm, once) or _is(norm, nn.rms_norm, once):
            x, old, *bias = norm.children
            if _is_along(scale, norm) and _number(old) == 1 and not bias:
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
        return (x, root.children[0]) if _is(root, nn.sqrt, once) else None
    for x, r in (e.children, e.children[::-1]):
        if _is(r, nn.rsqrt, once):
            return x, r.children[0]
        inverse = _is(r, nn.reciprocal, once) or (_is(r, nn.divide, once) and _number(r.children[0]) == 1)
        if inverse and _is(root := r.children[-1], nn.sqrt, once):
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
    if not _is(e, nn.mean, once) or not e.attrs["keepdims"]:
        return None
    ndim = e.type.ndim
    axes = {*range(ndim)} if e.attrs["axes"] is None else {d % ndim for d in e.attrs["axes"]}
    return ndim - len(axes) if axes and axes == {*range(ndim - len(axes), ndim)} else None


def _number(e: Expr) -> float | None:
    """The one entry of a constant."""
    return float(e.data.item()) if isinstance(e, Constant) and e.data.size == 1 else None


def _pooled(e: Call) -> Expr:
    (x,) = e.children
    axes = e.attrs["axes"]
    if x.type.ndim != 4 or not x.type.dtype.is_float or axes is None or {d % 4 for d in axes} != {2, 3}:
        return e
    made = nn.global_average_pool(x)
    return reshaped(Call(made.op, made.args, made.attributes, e.name), e.type.shape)


def _multiplied(e: Call) -> Expr:
    x, n = e.children
    if not isinstance(n, Constant) or n.data.size != 1 or not x.type.dtype.is_float or e.type != x.type:
        return e
    factors = float(n.data.item())
    if factors == 3 and x.type.dtype in (halo.f32, halo.f64):  # of others the square is rounded too soon
        made = nn.multiply(nn.multiply(x, x), x)
    elif factors in (2, -1):
        made = nn.multiply(x, x) if factors == 2 else nn.reciprocal(x)
    else:
        return e
    return Call(made.op, made.args, made.attributes, e.name)


def _biased(e: Call, once: set[int]) -> Expr:
    for product, bias in (e.children, e.children[::-1]):
        if not isinstance(product, Call) or id(product) not in once or product.args[2:] != (None,):
            continue
        fits = product.op is nn.dense and isinstance(bias, Constant) and bias.type.shape == product.type.shape[-1:]
        if fits or (product.op is nn.layer_norm and _is_along(bias, product) and e.type == product.type):
            return Call(product.op, (*product.args[:2], bias), product.attributes, product.name)
    return e
