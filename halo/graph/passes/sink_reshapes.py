"""Sink reshapes: axes of one entry come and go after elementwise operators, not between them and what they fuse with.

relu(reshape(conv2d(x, w), [n, c, h, 1] -> [n, c, h]))  ->  reshape(relu(conv2d(x, w)), [n, c, h, 1] -> [n, c, h])
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from halo import nn
from halo.nn import Kind

from ..ir import Call, Expr, rewrite
from ..module import Module, in_bodies
from .simplify import reshaped


def sink_reshapes(m: Module) -> Module:
    return in_bodies(m, lambda f: replace(f, body=rewrite(f.body, lambda e, _: _sunk(e))))


def _sunk(e: Expr) -> Expr:
    if not (isinstance(e, Call) and isinstance(e.op, nn.Op) and e.op.kind <= Kind.BROADCAST and e.op.follows):
        return e
    for a in e.children:
        if a.type.shape == e.type.shape and isinstance(a, Call) and isinstance(a.op, nn.Op) and a.op.view:
            source = a.children[0]
            axes = _same_axes(source.type.shape, a.type.shape)
            if isinstance(source, Call) and axes is not None:
                args = tuple(None if x is None else _moved(x, axes, a.type.ndim) for x in e.args)
                return reshaped(Call(e.op, args, e.attributes, e.name), e.type.shape)
    return e


def _same_axes(old: tuple[Any, ...], new: tuple[Any, ...]) -> list[int | None] | None:
    """For each axis of `old` the one that it is in `new`, None for one of a single entry that is not there. None for shapes
    that differ in more than such axes."""
    rest = [d for d, n in enumerate(new) if n != 1]
    if [n for n in old if n != 1] != [new[d] for d in rest]:
        return None
    following = iter(rest)
    return [None if n == 1 else next(following) for n in old]


def _moved(x: Expr, axes: list[int | None], ndim: int) -> Expr:
    """An argument, broadcast to `ndim` axes, with `axes` of these."""
    shape = (1,) * (ndim - x.type.ndim) + x.type.shape
    return reshaped(x, tuple(1 if d is None else shape[d] for d in axes))
