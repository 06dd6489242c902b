"""Fold batch norm: batch_norm(conv2d(x, w, b)) is a convolution with other weights, if nothing else reads it.

batch_norm(conv2d(x, w, b), scale, bias, mean, variance)
->  conv2d(x, w * s, (b - mean) * s + bias)     where s = scale / sqrt(variance + epsilon), an entry a channel
"""

from __future__ import annotations

import numpy as np

from halo import nn

from ..ir import Call, Constant, Expr, Function, Module, in_bodies, rewrite_once_read


def fold_batch_norm(m: Module) -> Module:
    return in_bodies(m, _folded_in)


def _folded_in(f: Function) -> Function:
    def change(e: Expr, once: set[int]) -> Expr:
        if (
            not isinstance(e, Call)
            or e.op is not nn.batch_norm
            or not all(isinstance(c, Constant) for c in e.children[1:])
        ):
            return e
        conv = e.args[0]
        behind = isinstance(conv, Call) and conv.op is nn.conv2d and id(conv) in once
        return _folded(conv, e) if behind and isinstance(conv, Call) else _written_out(e)

    return rewrite_once_read(f, change)


def _scales(norm: Call) -> tuple[Expr, Expr]:
    """What it multiplies with, and what it adds to that, an entry a channel."""
    _, scale, shift, mean, variance = norm.args
    assert scale is not None
    epsilon = np.asarray(norm.attrs["epsilon"], scale.type.dtype.dtype)
    s = nn.multiply(scale, nn.rsqrt(nn.add(variance, epsilon)))
    return s, nn.subtract(shift, nn.multiply(mean, s))


def _folded(conv: Call, norm: Call) -> Expr:
    x, weight, bias = conv.args
    s, t = _scales(norm)
    scaled = nn.multiply(weight, nn.reshape(s, shape=(-1, 1, 1, 1)))
    shift = t if bias is None else nn.add(nn.multiply(bias, s), t)
    return Call(conv.op, (x, scaled, shift), conv.attributes, conv.name, (conv.name, norm.name))


def _written_out(norm: Call) -> Expr:
    x = norm.args[0]
    assert x is not None
    shape = (1, -1, *(1,) * (x.type.ndim - 2))
    s, t = (nn.reshape(v, shape=shape) for v in _scales(norm))
    return nn.add(nn.multiply(x, s), t)  # type: ignore[no-any-return]  # operators take and give tensors and expressions
