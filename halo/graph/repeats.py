"""Axes that meet where arrays broadcast, when only a call tells whether one of them is 1 and repeated.

A net is compiled for calls in which they are equal: both have one name, and all code is dense. Calls in which some are 1 have
a net of their own, in which that is known. It is compiled for the first of them, and takes all other extents.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from halo import nn
from halo.errors import ArgumentError
from halo.ir.shapes import Dim, dims_of, met, told
from halo.jit.extents import Condition

from .interface import Interface
from .ir import Call, every
from .module import Module
from .symbolic import evaluated, substituted, with_extents

if TYPE_CHECKING:
    from .net import Net

__all__ = ["Repeats"]


class Repeats:
    """The nets of the program `m` for calls in which axes are repeated, which `make` compiles; `dense` is the program for the
    others: `m` itself, where no axes meet or where they cannot all be equal."""

    def __init__(self, m: Module, make: Callable[[Module], Net]) -> None:
        self._m, self._make, self._conditions = m, make, _conditions(m)
        self._pairs = tuple(dict.fromkeys((c.a, n) for c in self._conditions for n in met(c.b) if n != c.a))
        self.dense = _equated(m, self._pairs)
        self._interface = Interface(m.inputs, {})
        self._nets: dict[tuple[tuple[str, int], ...], Net] = {}
        self._lock = threading.Lock()

    def net(self, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Net | None:
        """The net for these arrays; None where what meets is equal. Raises ArgumentError where it does not broadcast."""
        dims = self._interface.arrays(args, dict(inputs))[1]
        fixed: dict[str, int] = {}
        for c in self._conditions:
            if (error := c.failed(dims.__getitem__)) is not None:
                raise error
        for pair in self._pairs:
            sizes = evaluated(pair, dims)
            if sizes[0] != sizes[1]:
                fixed |= {name: dims[name] for name in dims_of(pair[sizes.index(1)])}
        if not fixed:
            return None
        key = tuple(sorted(fixed.items()))
        with self._lock:
            if key not in self._nets:
                self._nets[key] = self._make(with_extents(self._m, fixed))
            return self._nets[key]


def _equated(m: Module, pairs: Iterable[tuple[Any, Any]]) -> Module:
    """`m` where the extents that meet in `pairs` are equal; `m` itself, where they cannot all be."""
    of: dict[str, Any] = {}
    for pair in pairs:
        a, b = substituted(pair, of)
        for dim, n in ((a, b), (b, a)):
            if isinstance(dim, Dim) and dim.name not in dims_of(n):
                one = {dim.name: n}
                of = {name: substituted(v, one) for name, v in of.items()} | one
                break
    try:
        return with_extents(m, of) if of else m
    except ArgumentError:  # 3 and 4 meet the same axis, say, which is 1 then
        return m


def _conditions(m: Module) -> tuple[Condition, ...]:
    """What makes extents fit that meet, as far as inputs tell them."""
    given, made = {*told(p.type.shape for p in m.main.params)}, dict[Condition, None]()
    for e in every(m.main) if given else ():
        if isinstance(e, Call) and isinstance(e.op, nn.Op):
            for c in e.op.assumed(e.types, e.attrs, e.name or e.op.name):
                if c.relation == "~" and {*dims_of(c.a), *dims_of(c.b)} <= given:
                    made[c] = None
    return tuple(made)
