"""Normalisation, and softmax and its like."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn

from ..node import Node, adapter
from .reductions import norm

__all__: list[str] = []


@adapter("BatchNormalization")
def _(n: Node) -> Any:
    x, scale, shift, mean, variance = (n[k] for k in range(5))
    epsilon, momentum = float(n.attrs.get("epsilon", 1e-5)), n.attrs.get("momentum", 0.9)
    if not n.attrs.get("training_mode"):
        if n.outputs > 1:
            raise n.wrong("it computes for inference only")
        return nn.batch_norm(x, scale, shift, mean, variance, epsilon=epsilon)
    axes = (0, *range(2, x.type.ndim))
    own = nn.mean(x, axes=axes)
    away = nn.subtract(x, nn.reshape(own, shape=(-1, *(1,) * (x.type.ndim - 2))))
    spread = nn.mean(nn.multiply(away, away), axes=axes)

    def running(old: Any, new: Any) -> Any:
        return nn.cast(old, dtype=new.type.dtype) * momentum + new * (1 - momentum)

    y = nn.batch_norm(x, scale, shift, own, spread, epsilon=epsilon)
    return y, *(nn.cast(running(a, b), dtype=a.type.dtype) for a, b in ((mean, own), (variance, spread)))


for _op, _f in (("Softmax", nn.softmax), ("LogSoftmax", nn.log_softmax), ("Hardmax", nn.hardmax)):

    def _flat(n: Node, f: Any = _f) -> Any:
        x = n[0]
        rows = f(nn.flatten(x, axis=n.attrs.get("axis", 1)))  # the axes from `axis` on are one
        return nn.reshape(rows, shape=x.type.shape)

    def _along(n: Node, f: Any = _f) -> Any:
        return f(n[0], axis=n.attrs.get("axis", -1))

    adapter(_op, 1)(_flat)
    adapter(_op, 13)(_along)


@adapter("LayerNormalization")
def _(n: Node) -> Any:
    x, axis, epsilon = n[0], n.attrs.get("axis", -1), float(n.attrs.get("epsilon", 1e-5))
    y = nn.layer_norm(x, n[1], n.get(2), axis=axis, epsilon=epsilon)
    if n.outputs == 1:
        return y
    axes = tuple(range(axis % x.type.ndim, x.type.ndim))
    wide = nn.cast(x, dtype="f32") if x.type.dtype.bits < 32 else x
    mean = nn.mean(wide, axes=axes, keepdims=True)
    away = nn.subtract(wide, mean)
    variance = nn.mean(nn.multiply(away, away), axes=axes, keepdims=True)
    return y, mean, nn.reciprocal(nn.sqrt(nn.add(variance, np.asarray(epsilon, variance.type.dtype.dtype))))


@adapter("RMSNormalization")
def _(n: Node) -> Any:
    return nn.rms_norm(n[0], n[1], axis=n.attrs.get("axis", -1), epsilon=float(n.attrs.get("epsilon", 1e-5)))


@adapter("InstanceNormalization")
def _(n: Node) -> Any:
    return nn.instance_norm(n[0], n[1], n[2], epsilon=float(n.attrs.get("epsilon", 1e-5)))


@adapter("GroupNormalization", 21)
def _(n: Node) -> Any:
    return nn.group_norm(n[0], n[1], n[2], groups=n.attrs["num_groups"], epsilon=float(n.attrs.get("epsilon", 1e-5)))


@adapter("LRN")
def _(n: Node) -> Any:
    return nn.lrn(n[0], size=n.attrs["size"], alpha=float(n.attrs.get("alpha", 1e-4)), beta=float(n.attrs.get("beta", 0.75)),
                  bias=float(n.attrs.get("bias", 1)))  # fmt: skip


@adapter("LpNormalization")
def _(n: Node) -> Any:
    x = n[0]
    by = norm(x, n.attrs.get("p", 2), axes=(n.attrs.get("axis", -1),), keepdims=True)
    zero = np.zeros((), x.type.dtype.dtype)
    return nn.where(nn.equal(by, zero), zero, nn.divide(x, by))


@adapter("Dropout")
def _(n: Node) -> Any:
    mode = n.array(2)
    if mode is not None and mode.item() and (n.get(1) is None or n.array(1).item() > 0):  # type: ignore[union-attr]  # it is there
        raise n.wrong("it computes for inference only")
    x = n[0]
    if n.outputs == 1:
        return x
    return x, nn.broadcast_to(np.ones((), np.bool_ if n.opset >= 10 else x.type.dtype.dtype), shape=x.type.shape)
