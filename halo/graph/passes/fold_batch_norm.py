"""Fold batch norm: batch_norm(conv2d(x, w, b)) is a convolution with other weights, if nothing else reads it; of any axes,
transposed or not.

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
        if isinstance(conv, Call) and id(conv) in once and e.attrs["axis"] % conv.type.ndim == _channels(conv):
            return _folded(conv, e)
        return _written_out(e)

    return rewrite_once_read(f, change)


def _scales(norm: Call) -> tuple[Expr, Expr]:
    """What it multiplies with, and what it adds to that, an entry a channel."""
    _, scale, shift, mean, variance = norm.args
    assert scale is not None
    epsilon = np.asarray(norm.attrs["epsilon"], scale.type.dtype.dtype)
    s = nn.multiply(scale, nn.rsqrt(nn.add(variance, epsilon)))
    return s, nn.subtract(shift, nn.multiply(mean, s))


def _channels(e: Call) -> int | None:
    """The axis of the channels of what a convolution makes; None for other operators, and for blocks."""
    if e.op in (nn.conv, nn.conv_transpose):
        return 1
    if e.op is not nn.conv2d or len(e.attrs["layout"]) != 4 or e.attrs["out_layout"] not in ("", e.attrs["layout"]):
        return None
    return str(e.attrs["layout"]).index("C")


def _scaled(conv: Call, s: Expr) -> Expr:
    """Its weights, times `s` an entry a channel of the result."""
    weight, groups = conv.children[1], conv.attrs["groups"]
    if conv.op is not nn.conv_transpose:
        axis = conv.attrs.get("kernel_layout", "O").index("O")
        return nn.multiply(weight, nn.reshape(s, shape=(-1, *(1,) * (weight.type.ndim - 1 - axis))))  # type: ignore[no-any-return]  # operators take and give tensors and expressions
    i, o, *taps = weight.type.static
    split = nn.reshape(weight, shape=(groups, i // groups, o, *taps))
    return nn.reshape(  # type: ignore[no-any-return]  # operators take and give tensors and expressions
        nn.multiply(split, nn.reshape(s, shape=(groups, 1, o, *(1,) * len(taps)))), shape=weight.type.shape
    )


def _folded(conv: Call, norm: Call) -> Expr:
    x, _, bias = conv.args
    s, t = _scales(norm)
    shift = t if bias is None else nn.add(nn.multiply(bias, s), t)
    return Call(conv.op, (x, _scaled(conv, s), shift), conv.attributes, conv.name, (conv.name, norm.name))


def _written_out(norm: Call) -> Expr:
    x = norm.args[0]
    assert x is not None
    shape = (-1, *(1,) * (x.type.ndim - 1 - norm.attrs["axis"] % x.type.ndim))
    s, t = (nn.reshape(v, shape=shape) for v in _scales(norm))
    return nn.add(nn.multiply(x, s), t)  # type: ignore[no-any-return]  # operators take and give tensors and expressions
