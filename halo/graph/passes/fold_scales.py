"""Fold scales: what multiplies each channel of a convolution's or a dense layer's result, and what is added to it, goes into
its weights, if nothing else reads it. A batch norm is both.

batch_norm(y, scale, bias, mean, variance)
->  y * s + (bias - mean * s)       where s = scale / sqrt(variance + epsilon), an entry a channel
conv2d(x, w, b) * s  ->  conv2d(x, w * s, b * s)        of any axes, transposed or not; dense as well, batch_norm as well
conv2d(x, w, b) + t  ->  conv2d(x, w, b + t)            where s and t are one number, or constants along the channels
"""

from __future__ import annotations

import numpy as np

import halo
from halo import nn

from ..ir import Call, Constant, Expr, rewrite_once_read, sources_of
from ..module import Module, in_bodies
from ..patterns import channels_of
from .fold_constants import folded


def fold_scales(m: Module) -> Module:
    return in_bodies(m, lambda f: rewrite_once_read(rewrite_once_read(f, _scaled), _normed))


def _scaled(e: Expr, once: set[int]) -> Expr:
    """`e`, if it is a scale or a shift, as that of what it is of."""
    e = folded(e)
    if not isinstance(e, Call) or e.op not in (nn.multiply, nn.divide, nn.add, nn.subtract):
        return e
    for k in (0, 1) if e.op in (nn.multiply, nn.add) else (0,):
        y, by = e.children[k], e.children[1 - k]
        if not isinstance(y, Call) or id(y) not in once or y.type != e.type or y.type.dtype not in (halo.f32, halo.f64):
            continue
        axis = y.attrs["axis"] % y.type.ndim if y.op is nn.batch_norm else channels_of(y)
        along = None if axis is None else _along(by, y, axis)
        if along is None:
            continue
        if e.op in (nn.add, nn.subtract):
            return _plus(y, along if e.op is nn.add else nn.negative(along), e)
        weight = y.children[1]
        if id(weight) in once or not isinstance(weight, Constant):  # what others read as well would be there twice
            return _times(y, along if e.op is nn.multiply else nn.reciprocal(along), e)
    return e


def _normed(e: Expr, once: set[int]) -> Expr:
    """`e`, if it is a batch norm of constants, in the weights of what it is of, or written out."""
    if not isinstance(e, Call) or e.op is not nn.batch_norm:
        return e
    y, scale, shift, mean, variance = e.children
    if not all(isinstance(c, Constant) for c in (scale, shift, mean, variance)):
        return e
    axis = e.attrs["axis"] % y.type.ndim
    s = nn.multiply(scale, nn.rsqrt(nn.add(variance, np.asarray(e.attrs["epsilon"], scale.type.dtype.dtype))))
    t = nn.subtract(shift, nn.multiply(mean, s))
    if isinstance(y, Call) and id(y) in once and axis == channels_of(y):
        return _plus(_times(y, s, e), t, e)
    shape = (-1, *(1,) * (y.type.ndim - 1 - axis))
    return nn.add(nn.multiply(y, nn.reshape(s, shape=shape)), nn.reshape(t, shape=shape))  # type: ignore[no-any-return]  # operators take and give tensors and expressions


def _along(e: Expr, y: Call, axis: int) -> Expr | None:
    """An entry of `e` a channel of `y`; None for what is not constant and finite, or not the same along the other axes."""
    channels, ndim = y.type.shape[axis], y.type.ndim
    shape = (1,) * (ndim - e.type.ndim) + e.type.shape
    if not isinstance(channels, int) or any(n != 1 for d, n in enumerate(shape) if d != axis):
        return None
    if not isinstance(e, Constant) or not np.isfinite(e.data).all():
        return None
    return Constant(np.ascontiguousarray(np.broadcast_to(e.data.reshape(-1), (channels,))), e.name)


def _times(y: Call, s: Expr, e: Call) -> Call:
    """`y`, whose channels are multiplied with `s`, as `e` says."""
    if y.op is nn.batch_norm:
        x, scale, shift, *rest = y.children
        return _like(y, (x, *(folded(nn.multiply(c, s)) for c in (scale, shift)), *rest), e)
    x, weight, *bias = y.children
    return _like(y, (x, _scaled_weight(y, weight, s), *(nn.multiply(b, s) for b in bias)), e)


def _plus(y: Call, t: Expr, e: Call) -> Call:
    """`y`, to whose channels `t` is added, as `e` says."""
    x, weight, *rest = y.children  # or the scale of a norm, before its shift
    return _like(y, (x, weight, folded(nn.add(rest[0], t)) if rest else t, *rest[1:]), e)


def _like(y: Call, args: tuple[Expr, ...], e: Call) -> Call:
    """`y` over other arguments, which does what `e` does too."""
    return Call(y.op, (*args, *(None,) * (len(y.args) - len(args))), y.attributes, y.name, sources_of(y, e))


def _scaled_weight(layer: Call, weight: Expr, s: Expr) -> Expr:
    """Its weights, times `s` an entry a channel of the result."""
    if layer.op is not nn.conv_transpose:
        axis = layer.attrs.get("kernel_layout", "O").index("O")
        return nn.multiply(weight, nn.reshape(s, shape=(-1, *(1,) * (weight.type.ndim - 1 - axis))))  # type: ignore[no-any-return]  # operators take and give tensors and expressions
    groups = layer.attrs["groups"]
    i, o, *taps = weight.type.static
    split = nn.reshape(weight, shape=(groups, i // groups, o, *taps))
    return nn.reshape(  # type: ignore[no-any-return]  # operators take and give tensors and expressions
        nn.multiply(split, nn.reshape(s, shape=(groups, 1, o, *(1,) * len(taps)))), shape=weight.type.shape
    )
