"""Recurrent layers: a call of the operator a direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn

from ...ir import Constant
from ...shape_arithmetic import values
from ..node import Node, adapter

__all__: list[str] = []


def _at(v: Any, k: int) -> Any:
    """Entry `k` of the first axis."""
    return None if v is None else nn.reshape(nn.strided_slice(v, begin=(k,), end=(k + 1,)), shape=v.type.shape[1:])


def _joined(parts: list[Any], axis: int) -> Any:
    """`parts` along a new axis."""
    grown = [nn.reshape(p, shape=(*p.type.shape[:axis], 1, *p.type.shape[axis:])) for p in parts]
    return grown[0] if len(grown) == 1 else nn.concatenate(*grown, axis=axis)


def _layer(n: Node, op: Any, functions: int, attrs: Any) -> Any:
    """The inputs and attributes of each direction; the results of `op` for them, and whether each runs in reverse."""
    if n.attrs.get("clip") or n.attrs.get("activation_alpha") or n.attrs.get("activation_beta"):
        raise n.wrong("activations have no parameters, and no limits")
    first = bool(n.attrs.get("layout"))  # the batch is the first axis
    x = nn.transpose(n[0], axes=(1, 0, 2)) if first else n[0]
    named = [f.decode().lower() if isinstance(f, bytes) else str(f).lower() for f in n.attrs.get("activations", ())]
    direction = n.text("direction", "forward")
    runs = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    states = [nn.transpose(s, axes=(1, 0, 2)) if first and s is not None else s for s in (n.get(k) for k in (5, 6))]
    found = []
    for k, reverse in enumerate(runs):
        own = tuple(named[k * functions : (k + 1) * functions])
        more = [_at(s, k) for s in states] + [_at(n.get(7), k), _lengths(n)]
        w, r = (nn.transpose(_at(n[i], k), axes=(1, 0)) for i in (1, 2))  # weights are constants: once and for all
        found.append(op(x, w, r, _at(n.get(3), k), *more, reverse=reverse, kernel_layout="IO", **attrs(own)))
    return found, runs


def _lengths(n: Node) -> Any:
    """How many steps each sequence has, None where it is all of them."""
    e, steps = n.get(4), n[0].type.shape[1 if n.attrs.get("layout") else 0]
    known = None if e is None else values(e)
    return None if known is not None and all(v == steps for v in known) else e


def _results(n: Node, layers: list[Any], runs: Any) -> tuple[Any, Any]:
    """All the steps, [T, D, B, H], and the last ones, [D, B, H]; with the batch first where the layout says so. Steps that a
    sequence does not have are zeros."""
    ends = [nn.take(y, Constant(np.array(0 if r else -1))) for y, r in zip(layers, runs, strict=True)]
    lengths, steps = _lengths(n), layers[0].type.shape[0]
    if lengths is not None:
        step = nn.reshape(nn.arange(Constant(np.array(0, np.int64)), np.int64(1), length=steps), shape=(steps, 1, 1))
        there = nn.less(step, nn.reshape(nn.cast(lengths, dtype="i64"), shape=(1, -1, 1)))
        layers = [nn.where(there, y, np.zeros((), y.type.dtype.dtype)) for y in layers]
    all_steps, last = _joined(layers, 1), _joined(ends, 0)
    if n.attrs.get("layout"):
        return nn.transpose(all_steps, axes=(2, 0, 1, 3)), nn.transpose(last, axes=(1, 0, 2))
    return all_steps, last


@adapter("RNN")
def _(n: Node) -> Any:
    layers, runs = _layer(n, lambda x, w, r, b, h, _c, _p, n, **attrs: nn.rnn(x, w, r, b, h, n, **attrs), 1,
                          lambda own: {"activation": own[0]} if own else {})  # fmt: skip
    return _results(n, layers, runs)


@adapter("GRU")
def _(n: Node) -> Any:
    reset_after = bool(n.attrs.get("linear_before_reset"))
    layers, runs = _layer(n, lambda x, w, r, b, h, _c, _p, n, **attrs: nn.gru(x, w, r, b, h, n, **attrs), 2,
                          lambda own: {"reset_after": reset_after, **({"functions": own} if own else {})})  # fmt: skip
    return _results(n, layers, runs)


@adapter("LSTM")
def _(n: Node) -> Any:
    if n.attrs.get("input_forget"):
        raise n.wrong("coupled input and forget gates are not there")
    layers: Any
    layers, runs = _layer(n, nn.lstm, 3, lambda own: {"functions": own} if own else {})
    steps, _, batch, hidden = layers[0].type.shape
    both = [
        [
            nn.reshape(nn.strided_slice(y, begin=(k,), end=(k + 1,), axes=(1,)), shape=(steps, batch, hidden))
            for y in layers
        ]
        for k in (0, 1)
    ]
    (states, last), (_, cells) = (_results(n, part, runs) for part in both)
    return states, last, cells
