"""Combine parallel branches: layers that read one value and leave vectors of channels unfilled become one layer.

    conv2d(x, w1, b1) of 3 channels and conv2d(x, w2, b2) of 12
    ->  %0 = conv2d(x, concatenate(w1, w2), concatenate(b1, b2)), and its channels from 0 to 3, and from 3 to 15

A layer computes whole vectors of channels, so that the two take the time of 16 channels each, and together of 16. The parts
are copied out of the result, which costs something: layers whose vectors are full stay what they are. Of TVM these are
CombineParallelConv2D and CombineParallelDense, which combine all that can be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from halo import nn
from halo.jit.target import Target

from ..ir import Call, Constant, Expr, Function, rewrite, sources_of, walk
from ..module import Module, in_bodies
from ..patterns import channels_of, of_constants
from ..symbolic import USUAL

COPIED = 32  # multiplications in the time of which an entry of a part is copied
CALLED = 4000  # those in the time of which a kernel is called


def combine_parallel_branches(m: Module) -> Module:
    return in_bodies(m, _combined)


def _combined(f: Function) -> Function:
    known, lanes = of_constants(f.body), Target.host().natural_lanes
    alike: dict[object, list[Call]] = {}
    for e in walk(f.body):
        if isinstance(e, Call) and _is_layer(e) and all(id(c) in known for c in e.children[1:]):
            x, weight = e.children[:2]
            if _channels(e) % lanes(e.type.dtype):
                alike.setdefault((id(x), e.op, e.attributes, weight.type.shape[1:]), []).append(e)
    branches = {id(e): k for k in alike for e in alike[k] if _pays(alike[k], lanes(e.type.dtype))}
    parts: dict[object, tuple[Expr, ...]] = {}

    def change(e: Expr, old: Expr) -> Expr:
        if (key := branches.get(id(old))) is None:
            return e
        if key not in parts:
            parts[key] = _parts(e.children[0], alike[key])
        return parts[key][next(k for k, b in enumerate(alike[key]) if b is old)]

    return replace(f, body=rewrite(f.body, change)) if branches else f


def _is_layer(e: Call) -> bool:
    if e.op is nn.dense:
        return channels_of(e) is not None
    plain = ("NCHW", "OIHW", "", 1)
    return e.op is nn.conv2d and tuple(e.attrs[k] for k in ("layout", "kernel_layout", "out_layout", "groups")) == plain


def _channels(e: Call) -> int:
    """How many channels it makes, each by a row of its weights."""
    count: int = e.children[1].type.static[0]
    return count


def _pays(layers: Sequence[Call], lanes: int) -> bool:
    """Whether fewer products with what fills up vectors outweigh the copies."""
    channels = [_channels(e) for e in layers]
    first, together = layers[0], sum(channels)
    extents = (n if isinstance(n, int) else USUAL for n in first.type.shape)
    points = math.prod(extents) // channels[0]
    filled = sum(-n % lanes for n in channels) - -together % lanes
    saved = filled * math.prod(first.children[1].type.static[1:]) - COPIED * together
    return bool(points * saved > CALLED * len(layers))


def _parts(x: Expr, layers: Sequence[Call]) -> tuple[Expr, ...]:
    """What `layers` make of `x`, by one."""
    first = layers[0]
    weight = nn.concatenate(*(e.children[1] for e in layers), axis=0)
    bias = None
    if any(e.args[2] is not None for e in layers):
        bias = nn.concatenate(*(_bias(e) for e in layers), axis=0)
    one = Call(first.op, (x, weight, bias), first.attributes, "", sources_of(*layers))
    axis, ends = channels_of(first), tuple(itertools.accumulate(map(_channels, layers[:-1])))
    assert axis is not None
    made = nn.split(one, ends, axis=axis)
    return tuple(replace(part, name=e.name) for part, e in zip(made, layers, strict=True))


def _bias(e: Call) -> Expr:
    found = e.args[2]
    return Constant(np.zeros(_channels(e), e.type.dtype.dtype)) if found is None else found
