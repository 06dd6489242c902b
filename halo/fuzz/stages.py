"""Stages with a meaning in NumPy: arrays behind a boundary, Funcs with updates, Func views with bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import halo

from .numeric import Array, convert, padded
from .terms import EXACT, Domain, Env, Index, Term

MOST = 20_000  # values of one stage


class TooLarge(Exception):
    """A stage is needed over more values than a case should have."""


@dataclass
class View:
    """An array behind a boundary: `mode` of `halo.pad`, or "" for a bare array (read where it exists)."""

    name: str
    data: Array
    type: halo.Type
    mode: str
    written: bool  # the pad stands in the definition, not in the call
    value: Any = 0
    trust: int = EXACT

    @property
    def ndim(self) -> int:
        return self.data.ndim  # type: ignore[no-any-return]  # arrays are of any type here

    @property
    def padding(self) -> str:
        return f'"{self.mode}"' + (f", {self.value}" if self.mode == "constant" else "")

    def text(self, indices: str) -> str:
        name = f"halo.pad({self.name}, {self.padding})" if self.mode and self.written else self.name
        return f"{name}[{indices}]"

    def at(self, *coords: Array) -> Array:
        inside = [padded(c, 0, n, self.mode) for c, n in zip(coords, self.data.shape, strict=True)]
        if self.mode == "constant":
            return _behind(self.data, inside, self.data.dtype.type(self.value))
        return self.data[tuple(i for i, _ in inside)]


def _behind(values: Array, inside: list[tuple[Array, Array]], value: Any) -> Array:
    ok = np.logical_and.reduce([k for _, k in inside]) if inside else np.True_
    if values.size == 0:
        return np.full(np.shape(ok), value, values.dtype)
    return np.where(ok, values[tuple(i for i, _ in inside)], value)


@dataclass
class Update:
    """`f[args] op= values` for the points of `domain` where `condition` holds."""

    args: tuple[Index | None, ...]  # None: the plain index variable
    values: tuple[Term | None, ...]
    domain: Domain | None = None
    condition: Term | None = None
    span: dict[int, tuple[int, int]] = field(default_factory=dict)  # the coordinates touched along an axis


class Stage:
    """A Func: its values in a box are computed as it is written, in order, when they are asked for."""

    def __init__(self, name: str, vars: tuple[str, ...], types: Sequence[halo.Type]) -> None:
        self.name, self.vars, self.types = name, vars, tuple(types)
        self.pure: tuple[Term, ...] = ()
        self.updates: list[Update] = []
        self.trust = EXACT
        self.real = False  # it folds floats
        self._box: tuple[tuple[int, int], ...] | None = None  # (first, last) of each axis
        self._values: list[Array] = []

    def at(self, item: int, *coords: Array) -> Array:
        if any(c.size == 0 for c in coords):
            return np.zeros(np.broadcast_shapes(*(c.shape for c in coords)), self.types[item].dtype)
        self._cover([(int(c.min()), int(c.max())) for c in coords])
        assert self._box is not None
        return self._values[item][tuple(c - lo for c, (lo, _) in zip(coords, self._box, strict=True))]

    def _cover(self, spans: list[tuple[int, int]]) -> None:
        for u in self.updates:
            for axis, (lo, hi) in u.span.items():
                spans[axis] = min(spans[axis][0], lo), max(spans[axis][1], hi)
        box = self._box
        if box is not None:
            if all(a <= lo and hi <= b for (a, b), (lo, hi) in zip(box, spans, strict=True)):
                return
            spans = [(min(a, lo), max(b, hi)) for (a, b), (lo, hi) in zip(box, spans, strict=True)]
        if np.prod([hi - lo + 1 for lo, hi in spans], dtype=float) > MOST:
            raise TooLarge
        self._box = tuple(spans)
        self._compute()

    def _compute(self) -> None:
        assert self._box is not None
        shape = tuple(hi - lo + 1 for lo, hi in self._box)
        env = self._grid(range(len(self.vars)))
        self._values = [np.array(np.broadcast_to(convert(e.value(env), e.type, t), shape))
                        for e, t in zip(self.pure, self.types, strict=True)]  # fmt: skip
        for u in self.updates:
            env = self._grid([k for k, a in enumerate(u.args) if a is None])
            for point in u.domain.points() if u.domain is not None else ({},):
                self._step(u, env | point)

    def _grid(self, axes: Sequence[int]) -> Env:
        assert self._box is not None
        ranges = [np.arange(self._box[k][0], self._box[k][1] + 1) for k in axes]
        return dict(zip((self.vars[k] for k in axes), np.meshgrid(*ranges, indexing="ij"), strict=True))

    def _step(self, u: Update, env: Env) -> None:
        """One point of an update: all right sides are read, then all are stored."""
        assert self._box is not None
        places = [env[v] if a is None else a.value(env) for v, a in zip(self.vars, u.args, strict=True)]
        values = [
            None if e is None else convert(e.value(env), e.type, t) for e, t in zip(u.values, self.types, strict=True)
        ]
        where = np.True_ if u.condition is None else u.condition.value(env)
        *places, where = np.broadcast_arrays(*places, where, *(v for v in env.values() if np.ndim(v)))[
            : len(places) + 1
        ]
        for p, (lo, hi) in zip(places, self._box, strict=True):
            where = where & (p >= lo) & (p <= hi)
        at = tuple((p - lo)[where] for p, (lo, _) in zip(places, self._box, strict=True))
        for array, v in zip(self._values, values, strict=True):
            if v is not None and at:
                array[at] = np.broadcast_to(v, where.shape)[where]
            elif v is not None and where:
                array[()] = v

    def now(self, item: int, *coords: Array) -> Array:
        """What an update reads of the Func itself; outside of the box nothing that matters."""
        assert self._box is not None
        return self._values[item][tuple(np.clip(c, lo, hi) - lo for c, (lo, hi) in zip(coords, self._box, strict=True))]


@dataclass
class Element:
    """Element `item` of a stage, to be subscripted."""

    stage: Stage
    item: int

    @property
    def ndim(self) -> int:
        return len(self.stage.vars)

    @property
    def type(self) -> halo.Type:
        return self.stage.types[self.item]

    @property
    def trust(self) -> int:
        return self.stage.trust

    def text(self, indices: str) -> str:
        return f"{self.stage.name}[{indices}]" + (f"[{self.item}]" if len(self.stage.types) > 1 else "")

    def at(self, *coords: Array) -> Array:
        return self.stage.at(self.item, *coords)


@dataclass
class Bounded:
    """A `halo.pad` of a Func: `spans` are the (lo, n) of its axes, None leaves one as it is."""

    source: Element
    mode: str
    spans: tuple[tuple[int, int] | None, ...]

    @property
    def ndim(self) -> int:
        return self.source.ndim

    @property
    def type(self) -> halo.Type:
        return self.source.type

    @property
    def trust(self) -> int:
        return self.source.trust

    def text(self, indices: str) -> str:
        return f'halo.pad({self.source.stage.name}, "{self.mode}", bounds={list(self.spans)})[{indices}]'

    def at(self, *coords: Array) -> Array:
        inside = [(c, np.ones_like(c, bool)) if s is None else padded(c, *s, self.mode)
                  for c, s in zip(coords, self.spans, strict=True)]  # fmt: skip
        values = self.source.at(*(i for i, _ in inside))
        if self.mode == "constant":
            values = np.where(np.logical_and.reduce([k for _, k in inside]), values, np.zeros_like(values))
        return values
