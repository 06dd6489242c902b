"""Stores: dense where indices are next to each other, else a scatter."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir.expr import Buffer, Var
from ..ir.stmt import Store
from .emit_address import (
    Level,
    Place,
    address,
    affine,
    best_run,
    lanes_of,
    place_of,
    pointers_of,
    starts_of,
    suffix,
)
from .emit_cast import pack
from .emit_function import MEMORY, Function, vec
from .emit_hint import is_streamed, store_streamed
from .emit_lane import each_flag, each_lane, each_of
from .emit_vector import permute, splat

__all__ = ["store"]


def store(f: Function, s: Store) -> None:
    """Write the lanes of `s.value` whose `pred` (a vector, or None) is true."""
    type, lanes = MEMORY[s.buffer.type.name], s.index.lanes
    value = pack(f, s.buffer.type, s.value.lanes, f.value(s.value))
    if s.value.lanes < lanes:
        value = splat(f, value, type, lanes)
    mask = None if s.pred is None else f.value(s.pred)
    form = affine(s.index)
    run = None if form is None or any(v.stride == 0 for v in form[1]) else best_run(form[1], 1)
    if lanes == 1:
        _store_dense(f, place_of(f, s.buffer, s.index), value, 1, None)
    elif form is not None and run is not None:
        _store_runs(f, place_of(f, s.buffer, form[0]), form[1], run, value, mask)
    elif mask is not None and not f.module.target.scatters(s.buffer.type.bytes):
        _store_each(f, s, value, mask)
    else:
        name, pointers = f"{suffix(type, lanes)}.v{lanes}p0", pointers_of(f, s.buffer, s.index)
        f.do(f"call void @llvm.masked.scatter.{name}({vec(type, lanes)} {value}, <{lanes} x ptr> {pointers}, "
             f"i32 {s.buffer.type.bytes}, <{lanes} x i1> {mask or 'splat (i1 true)'})"
             f"{f.access(s.buffer)}")  # fmt: skip
    f.stored(s.buffer)


def _store_runs(f: Function, start: Place, levels: list[Level], run: int, value: str, mask: str | None) -> None:
    n, stride = levels[run]
    if len(levels) == 1 and stride == 1:
        return _store_dense(f, start, value, n, mask)
    total = math.prod(v.n for v in levels)
    for lanes, place in zip(lanes_of(levels, run), starts_of(f, start, levels, run), strict=True):
        if stride == -1:
            lanes, place = lanes[::-1], place.moved(f, 1 - n)
        part = permute(f, start.type, [(value, total)], lanes)
        _store_dense(f, place, part, n, permute(f, "i1", [(mask, total)], lanes) if mask else None)
    return None


def _store_dense(f: Function, place: Place, value: str, lanes: int, mask: str | None) -> None:
    type, access = vec(place.type, lanes), f.access(place.buffer)
    if mask is None and is_streamed(f, place, lanes):
        store_streamed(f, place, value, lanes, lambda: _store_plainly(f, place, value, lanes))
    elif mask is None:
        _store_plainly(f, place, value, lanes)
    elif not f.module.target.masks(place.buffer.type.bytes):
        with f.borrowing():
            _each(f, place.buffer, value, mask, lanes,
                  lambda lane: f.new(f"getelementptr {place.type}, ptr {place.pointer}, i64 {f.value(lane)}"))  # fmt: skip
    else:
        f.do(f"call void @llvm.masked.store.{suffix(place.type, lanes)}.p0({type} {value}, ptr {place.pointer}, "
             f"i32 {place.align}, {vec('i1', lanes)} {mask}){access}")  # fmt: skip


def _store_plainly(f: Function, place: Place, value: str, lanes: int) -> None:
    access = f.access(place.buffer)
    natural = f.module.target.natural_lanes(place.buffer.type)
    for first in range(0, lanes, natural):  # upwards, which LLVM would not: caches and prefetchers like it better
        n = min(natural, lanes - first)
        part = permute(f, place.type, [(value, lanes)], range(first, first + n))
        to = place.moved(f, first)
        f.do(f"store {vec(place.type, n)} {part}, ptr {to.pointer}, align {to.align}{access}")


def _store_each(f: Function, s: Store, value: str, mask: str) -> None:
    with f.borrowing():
        at = each_of(f, s.index)
        _each(f, s.buffer, value, mask, s.index.lanes, lambda lane: address(f, s.buffer, at(lane)))


def _each(f: Function, buffer: Buffer, value: str, mask: str, lanes: int, pointer: Callable[[Var], str]) -> None:
    """Where no instruction stores under a mask: lane by lane, in a loop. `pointer` gives the address of a lane."""
    type, access = MEMORY[buffer.type.name], f.access(buffer)
    values, cond = f.room(vec(type, lanes)), each_flag(f, mask, lanes)
    f.do(f"store {vec(type, lanes)} {value}, ptr {values}, align 64")

    def one(lane: Var) -> None:
        act, skip = f.label(), f.label()
        f.do(f"br i1 {f.value(cond(lane))}, label %{act}, label %{skip}")
        f.begin(act)
        own = f.new(f"load {type}, ptr {f.new(f'getelementptr {type}, ptr {values}, i64 {f.value(lane)}')}")
        f.do(f"store {type} {own}, ptr {pointer(lane)}, align {buffer.type.bytes}{access}")
        f.jump(skip)

    each_lane(f, lanes, one)
