"""Expand: what a strategy makes of other operators becomes calls of these, which fuse, and whose constants are folded.

conv(x: f32[1, 8, 100], w)  ->  reshape(conv2d(reshape(x, [1, 8, 1, 100]), reshape(w, ...)), [1, 16, 98])

Blocks of channels are left to `choose_layouts`, which sees what is connected.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from halo import nn
from halo.jit.target import Target

from ..ir import Call, Expr, Function, rewrite, walk
from ..module import Module, in_bodies

LATER = ((nn.conv2d, "blocked"), (nn.conv2d, "blocked groups"))


def expand(m: Module) -> Module:
    return in_bodies(m, _expanded)


def _expanded(f: Function) -> Function:
    while True:
        body = rewrite(f.body, lambda e, _: _made(e))
        if all(a is b for a, b in zip(walk(body), walk(f.body), strict=False)):
            return f
        f = replace(f, body=body)


def _made(e: Expr) -> Expr:
    if not isinstance(e, Call) or not isinstance(e.op, nn.Op) or not any(s.composed for s in e.op.strategies):
        return e
    target = Target.host()
    chosen = next(s for s in e.op.strategies if s.when(e.types, e.attrs, target) and (e.op, s.name) not in LATER)
    if not chosen.composed:
        return e
    made: Any = chosen.compute(*e.args, **e.attrs)
    if made.type != e.type:  # extents that only a call knows, found in another way
        made = nn.reshape(made, shape=e.type.shape)
    return _traced(made, e, {id(a): a for a in e.children})


def _traced(made: Expr, e: Call, done: dict[int, Expr]) -> Expr:
    """`made` of `e`, whose arguments are `done`, with the sources that it has."""
    if e.sources and id(made) not in done and isinstance(made, Call):
        args = tuple(None if a is None else _traced(a, e, done) for a in made.args)
        done[id(made)] = replace(made, args=args, sources=e.sources)
    return done.get(id(made), made)
