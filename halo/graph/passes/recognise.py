"""Recognise: what models write out becomes the operator that it is.

matmul(x, w)            ->  dense(x, transpose(w))      where w is a constant matrix, whose panels are packed once
add(dense(x, w), b)     ->  dense(x, w, b)              where b is a constant, an entry a column
matmul(softmax(add(multiply(matmul(q, k), c), m)), v)  ->  attention(q, k, v, m, scale=c)
                                                    where c is a constant number; without it, or m, as well
mean(x, axes=(2, 3))    ->  global_average_pool(x)      of floats [N, C, H, W], which takes channels in blocks
power(x, 2)             ->  multiply(x, x)              of floats, as are powers of 3 and, with reciprocal, -1
"""

from __future__ import annotations

import halo
from halo import nn

from ..ir import Call, Constant, Expr, Function, rewrite_once_read
from ..module import Module, in_bodies
from ..patterns import is_call, number
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
        return _biased(e, once) if isinstance(e, Call) and e.op is nn.add else e

    return rewrite_once_read(f, change)


def _dense(e: Call) -> Expr:
    x, w = e.children
    if not isinstance(w, Constant) or w.type.ndim != 2 or x.type.ndim < 2 or not e.type.dtype.is_float:
        return e
    if x.type.shape[-1] != w.type.shape[0]:  # open, and a call is to check it
        return e
    made = nn.dense(x, nn.transpose(w, axes=(1, 0)))
    return Call(made.op, made.args, made.attributes, e.name)


def _attention(e: Call, once: set[int]) -> Expr | None:
    """Attention that is written out as products and softmax, if `e` is the last of these."""
    weights, v = e.children
    if not is_call(weights, nn.softmax, once) or weights.attrs["axis"] % weights.type.ndim != weights.type.ndim - 1:
        return None
    scores, mask, scale = weights.children[0], None, 1.0
    if is_call(scores, nn.add, once):
        products = [c for c in scores.children if is_call(c, nn.matmul, once) or _scaled(c, once) is not None]
        if len(products) != 1 or products[0].type.shape != scores.type.shape:
            return None
        mask = next(c for c in scores.children if c is not products[0])
        scores = products[0]
    scores, scale = _scaled(scores, once) or (scores, scale)
    if not is_call(scores, nn.matmul, once):
        return None
    q, k = scores.children
    if any(t.type.ndim < 2 or t.type.dtype not in (halo.f32, halo.f64) or 0 in t.type.shape for t in (q, k, v)):
        return None
    made = nn.attention(q, k, v, mask, scale=scale, k_layout="DT")
    return Call(made.op, made.args, made.attributes, e.name)


def _scaled(e: Expr, once: set[int]) -> tuple[Expr, float] | None:
    """The product of matrices that `e` multiplies with a constant number, or divides by it, and the factor."""
    for op, sides in ((nn.multiply, (0, 1)), (nn.divide, (0,))):
        for side in sides:
            if not is_call(e, op, once):
                continue
            product, factor = e.children[side], e.children[1 - side]
            value = number(factor)
            if value is not None and is_call(product, nn.matmul, once) and product.type.shape == e.type.shape:
                return product, value if op is nn.multiply else 1 / value
    return None


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
        if product.op is nn.dense and isinstance(bias, Constant) and bias.type.shape == product.type.shape[-1:]:
            return Call(product.op, (*product.args[:2], bias), product.attributes, product.name)
    return e
