"""Addresses, and what vector indices look like: a start and levels of steps."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..ir.expr import Broadcast, Buffer, Const, Expr, Lin, Ramp
from .emit_function import MEMORY, Function
from .emit_vector import linear, pick

__all__ = ["Level", "Place", "address", "affine", "best_run", "lanes_of", "place_of", "pointers_of", "reverse",
           "shared", "starts_of", "suffix"]  # fmt: skip


def address(f: Function, buffer: Buffer, index: Expr) -> str:
    """The address of element `index` (scalar). The constant part is added last: it becomes part of the instruction."""
    key = (buffer, index)
    found = f.values.get(key)
    if found is None:
        terms, const = _split(index)
        found = _pointer(f, buffer, terms)
        if const:
            found = f.same(f"getelementptr i8, ptr {found}, i64 {const * buffer.type.bytes}")
        if not f.reads_of(index):
            f.bind(key, found)
    return found


def _split(index: Expr) -> tuple[tuple[tuple[Expr, int], ...], int]:
    if isinstance(index, Lin):
        return index.terms, index.const
    return ((), index.value) if isinstance(index, Const) else (((index, 1),), 0)


def _pointer(f: Function, buffer: Buffer, terms: tuple[tuple[Expr, int], ...]) -> str:
    """The address of `buffer` plus `terms`: first what the innermost loop does not change, so that it leaves it."""
    if not terms:
        return f.pointer(buffer)
    key = (buffer, terms)
    found = f.values.get(key)
    if found is None:
        levels = [f.level(atom) for atom, _ in terms]
        last = max(levels)
        outer = tuple(t for t, level in zip(terms, levels, strict=True) if level < last)
        inner = tuple(t for t, level in zip(terms, levels, strict=True) if level == last)
        base = _pointer(f, buffer, outer)
        if outer:
            base = f.same(f"call ptr @llvm.strip.invariant.group.p0(ptr {base})")
        offset = linear(f, inner)
        found = f.same(f"getelementptr {MEMORY[buffer.type.name]}, ptr {base}, i64 {offset}")
        if not any(f.reads_of(atom) for atom, _ in terms):
            f.bind(key, found)
    return found


class Place(NamedTuple):
    """An address of an element of `buffer`, and what it is known to be a multiple of."""

    buffer: Buffer
    pointer: str
    align: int

    def moved(self, f: Function, elements: int) -> Place:
        if not elements:
            return self
        distance = elements * self.buffer.type.bytes
        pointer = f.new(f"getelementptr i8, ptr {self.pointer}, i64 {distance}")
        return Place(self.buffer, pointer, math.gcd(self.align, distance))

    @property
    def type(self) -> str:
        return MEMORY[self.buffer.type.name]


def place_of(f: Function, buffer: Buffer, index: Expr) -> Place:
    """Memory of our own is aligned to 64 bytes, a caller's to its elements, or to what is promised."""
    size, align = buffer.type.bytes, buffer.align
    if align > size:
        terms, const = _split(index)
        align = math.gcd(align, const * size, *(coef * size for _, coef in terms))
    return Place(buffer, address(f, buffer, index), align)


# -- what a vector index looks like ----------------------------------------------------------------------------------


class Level(NamedTuple):
    """`n` steps of `stride` elements: an int, or a scalar expression."""

    n: int
    stride: int | Expr


def affine(index: Expr) -> tuple[Expr, list[Level]] | None:
    """A vector index as a scalar start and levels, the fastest first; None if it is not of that form."""
    levels: list[Level] = []
    while index.lanes > 1:
        if isinstance(index, Broadcast):
            levels.append(Level(index.n, 0))
            index = index.value
        elif isinstance(index, Ramp) and (stride := shared(index.stride)) is not None:
            levels.append(Level(index.n, stride.value if isinstance(stride, Const) else stride))
            index = index.base
        else:
            return None
    merged: list[Level] = []
    for level in reversed(levels):
        below = merged[-1] if merged else None
        if level.n == 1:
            continue
        if below and isinstance(below.stride, int) and level.stride == below.n * below.stride:
            merged[-1] = Level(below.n * level.n, below.stride)
        else:
            merged.append(level)
    return index, merged


def shared(e: Expr | None) -> Expr | None:
    """The scalar that `e` is in all its lanes."""
    while isinstance(e, Broadcast):
        e = e.value
    return e if e is not None and e.lanes == 1 else None


def best_run(levels: list[Level], limit: int) -> int | None:
    """Which level to access as vectors: the smallest constant stride up to `limit`; of equal ones the longest."""
    constant = [(abs(v.stride), -v.n, k) for k, v in enumerate(levels) if isinstance(v.stride, int)]
    stride, _, k = min(constant, default=(limit + 1, 0, 0))
    return k if stride <= limit else None


def lanes_of(levels: list[Level], run: int) -> list[list[int]]:
    """For every combination of steps of the other levels, the lanes of the vector along level `run`."""
    sizes = [math.prod(v.n for v in levels[:k]) for k in range(len(levels))]
    starts = [0]
    for k, v in enumerate(levels):
        if k != run:
            starts = [start + step * sizes[k] for step in range(v.n) for start in starts]
    return [[start + step * sizes[run] for step in range(levels[run].n)] for start in starts]


def starts_of(f: Function, start: Place, levels: list[Level], run: int) -> list[Place]:
    """The places where the vectors of `_lanes` start, in its order."""
    places = [start]
    for k, v in enumerate(levels):
        if k != run:
            places = [p for step in range(v.n) for p in (_stepped(f, q, v.stride, step) for q in places)]
    return places


def _stepped(f: Function, place: Place, stride: int | Expr, step: int) -> Place:
    if isinstance(stride, int):
        return place.moved(f, stride * step)
    if step == 0:
        return place
    distance = f.value(stride)
    if step > 1:
        distance = f.new(f"mul nsw i64 {distance}, {step}")
    return Place(place.buffer, f.new(f"getelementptr {place.type}, ptr {place.pointer}, i64 {distance}"),
                  place.buffer.type.bytes)  # fmt: skip


def reverse(f: Function, type: str, lanes: int, v: str) -> str:
    return pick(f, type, lanes, v, "poison", range(lanes - 1, -1, -1))


def suffix(type: str, lanes: int) -> str:
    return f"v{lanes}" + {"float": "f32", "double": "f64"}.get(type, type)


def pointers_of(f: Function, buffer: Buffer, index: Expr) -> str:
    """A vector of addresses: one scalar base where the index has one."""
    type, lanes = MEMORY[buffer.type.name], index.lanes
    base, offsets = f.pointer(buffer), index
    if isinstance(index, Ramp) and index.base.lanes == 1:
        base, offsets = address(f, buffer, index.base), Ramp(Const(0, index.type), index.stride, index.n)
    return f.new(f"getelementptr {type}, ptr {base}, <{lanes} x i64> {f.value(offsets)}")
