"""Aliases: values that are memory of other values, so that no kernel computes them.

A reshape is the memory of its argument, or where it is a result that is computed in its memory. A concatenation whose parts
follow each other in memory is where its parts, or what these are reshapes of, are computed: they are memory of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from halo import nn

from .ir import Call, Expr, Function, Var, walk

__all__ = ["Aliases"]


class Aliases:
    """Of the function `f`, which calls primitive ones: which values lie in others, and which calls need no kernel."""

    def __init__(self, f: Function, primitive: Mapping[str, Function]) -> None:
        self.primitive = primitive
        self.fixed = {id(e) for e in f.outputs}  # the memory of these is the caller's
        self.inside: dict[int, tuple[Expr, Any]] = {}  # in what, and how many bytes from its start
        self.free: set[int] = set()
        for e in walk(f.body):
            if isinstance(e, Call):
                self._view(e)
                self._concatenation(e)

    def owner(self, e: Expr) -> tuple[Expr, Any]:
        """The value whose memory `e` is in, and how many bytes from its start."""
        offset: Any = 0
        while id(e) in self.inside:
            e, more = self.inside[id(e)]
            offset += more
        return e, offset

    def _view(self, e: Call) -> None:
        calls = _calls(self.primitive[e.op.name])
        source = e.args[0] if e.args else None
        if not all(isinstance(c.op, nn.Op) and c.op.view for c in calls) or not isinstance(source, (Call, Var)):
            return
        if id(e) in self.fixed:  # a result: what it is a view of is computed there
            if isinstance(source, Call) and id(source) not in self.fixed | self.inside.keys():
                self.inside[id(source)] = e, 0
                self.free.add(id(e))
        elif id(self.owner(source)[0]) not in self.fixed:
            self.inside[id(e)] = source, 0
            self.free.add(id(e))

    def _concatenation(self, e: Call) -> None:
        calls = _calls(self.primitive[e.op.name])
        if len(calls) != 1 or calls[0].op is not nn.concatenate:
            return
        axis = calls[0].attrs["axis"] % e.type.ndim
        parts = [(a, *self.owner(a)) for a in e.children]
        own = {id(part) for _, part, _ in parts} - self.fixed
        movable = len(own) == len(calls[0].args) == len(e.args) and all(
            isinstance(part, Call) and before == 0 and part.type.bytes == a.type.bytes for a, part, before in parts
        )
        if not movable or math.prod(e.type.shape[:axis]) != 1:
            return
        offset: Any = 0
        for _, part, _ in parts:
            self.inside[id(part)] = e, offset
            offset += part.type.bytes
        self.free.add(id(e))


def _calls(f: Function) -> list[Call]:
    return [e for e in walk(f.body) if isinstance(e, Call)]
