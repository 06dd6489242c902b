"""Recognise: what models write out becomes the operator that it is.

matmul(x, w)            ->  dense(x, transpose(w))      where w is a constant matrix, whose panels are packed once
add(dense(x, w), b)     ->  dense(x, w, b)              where b is a constant, an entry a column
mean(x, axes=(2, 3))    ->  global_average_pool(x)      of floats [N, C, H, W], which takes channels in blocks
"""

from __future__ import annotations

from halo import nn

from ..ir import Call, Constant, Expr, Function, Module, in_bodies, rewrite_once_read
from .simplify import reshaped


def recognise(m: Module) -> Module:
    return in_bodies(m, _recognised)


def _recognised(f: Function) -> Function:
    def change(e: Expr, once: set[int]) -> Expr:
        if isinstance(e, Call) and e.op is nn.matmul:
            return _dense(e)
        if isinstance(e, Call) and e.op is nn.mean:
            return _pooled(e)
        return _biased(e, once) if isinstance(e, Call) and e.op is nn.add else e

    return rewrite_once_read(f, change)


def _dense(e: Call) -> Expr:
    x, w = e.children
    if not isinstance(w, Constant) or w.type.ndim != 2 or x.type.ndim < 2 or not e.type.dtype.is_float:
        return e
    made = nn.dense(x, nn.transpose(w, axes=(1, 0)))
    return Call(made.op, made.args, made.attributes, e.name)


def _pooled(e: Call) -> Expr:
    (x,) = e.children
    axes = e.attrs["axes"]
    if x.type.ndim != 4 or not x.type.dtype.is_float or axes is None or {d % 4 for d in axes} != {2, 3}:
        return e
    made = nn.global_average_pool(x)
    return reshaped(Call(made.op, made.args, made.attributes, e.name), e.type.shape)


def _biased(e: Call, once: set[int]) -> Expr:
    for product, bias in (e.children, e.children[::-1]):
        plain = isinstance(product, Call) and product.op is nn.dense and product.args[2] is None and id(product) in once
        if plain and isinstance(bias, Constant) and bias.type.shape == product.type.shape[-1:]:
            assert isinstance(product, Call)
            return Call(product.op, (*product.args[:2], bias), product.attributes, product.name)
    return e
