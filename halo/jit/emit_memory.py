"""Addresses, loads and stores.

A vector access becomes the cheapest thing that touches no element outside the first and the last one it names:
dense loads where indices are next to each other, a few dense loads and a shuffle for small strides, and gather or
scatter for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from ..ir.expr import Broadcast, Buffer, Const, Expr, Lin, Load, Ramp
from ..ir.stmt import Store
from .emit_cast import pack, unpack
from .emit_function import MEMORY, Function, vec
from .emit_vector import concat, constant_of, linear, permute, pick, splat

__all__ = ["address", "load", "store"]

_SHUFFLED_STRIDES = 4  # wider apart, loading what lies between costs more than a gather
_ALIGNED = 64


# -- addresses -------------------------------------------------------------------------------------------------------


def address(f: Function, buffer: Buffer, index: Expr) -> str:
    """The address of element `index` (scalar). The constant part is added last: it becomes part of the instruction."""
    key = (buffer, index)
    found = f.values.get(key)
    if found is None:
        terms, const = _split(index)
        found = _pointer(f, buffer, terms)
        if const:
            found = f.new(f"getelementptr i8, ptr {found}, i64 {const * buffer.type.bytes}")
        _keep(f, key, index, found)
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
        base, offset = _pointer(f, buffer, outer), linear(f, inner)
        found = f.new(f"getelementptr {MEMORY[buffer.type.name]}, ptr {base}, i64 {offset}")
        for atom, _ in terms:
            _keep(f, key, atom, found)
    return found


def _keep(f: Function, key: tuple[Buffer, object], index: Expr, pointer: str) -> None:
    """Remember an address, unless `index` depends on memory that may change."""
    if f.reads_of(index):
        f.values.pop(key, None)
    else:
        f.bind(key, pointer)


class _Place(NamedTuple):
    """An address of an element of `buffer`, and what it is known to be a multiple of."""

    buffer: Buffer
    pointer: str
    align: int

    def moved(self, f: Function, elements: int) -> _Place:
        if not elements:
            return self
        distance = elements * self.buffer.type.bytes
        pointer = f.new(f"getelementptr i8, ptr {self.pointer}, i64 {distance}")
        return _Place(self.buffer, pointer, math.gcd(self.align, distance))

    @property
    def type(self) -> str:
        return MEMORY[self.buffer.type.name]


def _place(f: Function, buffer: Buffer, index: Expr) -> _Place:
    """Memory of our own is aligned to 64 bytes, a caller's to its elements."""
    size, align = buffer.type.bytes, buffer.type.bytes
    if buffer.kind not in ("input", "output"):
        terms, const = _split(index)
        align = math.gcd(_ALIGNED, const * size, *(coef * size for _, coef in terms))
    return _Place(buffer, address(f, buffer, index), align)


def _metadata(f: Function, buffer: Buffer) -> str:
    f.nearby.add(buffer)
    return f.module.access(buffer)


# -- what a vector index looks like ----------------------------------------------------------------------------------


def _stride(index: Expr) -> int | None:
    """The constant stride of a Ramp with a scalar base, or of what nested Ramps amount to."""
    if not isinstance(index, Ramp) or not isinstance(index.stride, Const):
        return None
    stride: int = index.stride.value
    if index.base.lanes == 1:
        return stride
    inner = _stride(index.base)
    return inner if inner is not None and stride == inner * index.base.lanes else None


def _first(index: Expr) -> Expr:
    while isinstance(index, Ramp):
        index = index.base
    return index


def _shared(pred: Expr | None) -> Expr | None:
    """The scalar condition that all lanes of `pred` share."""
    while isinstance(pred, Broadcast):
        pred = pred.value
    return pred if pred is not None and pred.lanes == 1 else None


def _steps(f: Function, start: _Place, index: Ramp) -> Iterator[_Place]:
    """`start`, and on by the outer stride of a Ramp of Ramps, once for each of its steps."""
    by = constant_of(index.stride)
    if by is not None:
        yield from (start.moved(f, k * int(by)) for k in range(index.n))
        return
    pointer, stride = start.pointer, f.value(index.stride)
    for k in range(index.n):
        pointer = f.new(f"getelementptr {start.type}, ptr {pointer}, i64 {stride}") if k else pointer
        yield _Place(start.buffer, pointer, start.buffer.type.bytes)


def _reverse(f: Function, type: str, lanes: int, v: str) -> str:
    return pick(f, type, lanes, v, "poison", range(lanes - 1, -1, -1)) if lanes > 1 else v


# -- loads -----------------------------------------------------------------------------------------------------------


def load(f: Function, e: Load) -> str:
    """The value of a Load; lanes whose `pred` is false are zero and their memory is not touched."""
    return unpack(f, e.type, e.lanes, _load(f, e.buffer, e.index, e.pred))


def _load(f: Function, buffer: Buffer, index: Expr, pred: Expr | None) -> str:
    type, lanes, shared = MEMORY[buffer.type.name], index.lanes, _shared(pred)
    if pred is not None and shared is None:
        return _load_masked(f, buffer, index, f.value(pred))
    if lanes == 1:
        return _dense(f, _guarded(f, _place(f, buffer, index), shared, 1), 1)
    if isinstance(index, Broadcast):
        inner = index.value
        value = _load(f, buffer, inner, shared and (Broadcast(shared, inner.lanes) if inner.lanes > 1 else shared))
        return permute(f, type, [(value, inner.lanes)], [*range(inner.lanes)] * index.n)
    stride = _stride(index)
    if stride == 0:
        return splat(f, _load(f, buffer, _first(index), shared), type, lanes)
    if stride is not None and abs(stride) <= _SHUFFLED_STRIDES:
        low = _place(f, buffer, _first(index)).moved(f, min(stride, 0) * (lanes - 1))
        return _strided(f, _guarded(f, low, shared, (lanes - 1) * abs(stride) + 1), stride, lanes)
    if isinstance(index, Ramp) and (inner := index.base).lanes > 1 and shared is None:
        stride = _stride(inner)
        if stride and abs(stride) <= _SHUFFLED_STRIDES:
            low = _place(f, buffer, _first(inner)).moved(f, min(stride, 0) * (inner.lanes - 1))
            parts = [(_strided(f, place, stride, inner.lanes), inner.lanes) for place in _steps(f, low, index)]
            return concat(f, type, parts)[0]
    mask = f"splat (i1 {f.value(shared) if shared else 'true'})"
    if shared:
        mask = splat(f, f.value(shared), "i1", lanes)
    return _gather(f, buffer, index, mask)


def _load_masked(f: Function, buffer: Buffer, index: Expr, mask: str) -> str:
    """For strides as well: one masked dense load over the whole span, its mask false between the elements."""
    lanes, stride = index.lanes, _stride(index)
    if not stride or abs(stride) > _SHUFFLED_STRIDES:
        return _gather(f, buffer, index, mask)
    step, span = abs(stride), (lanes - 1) * abs(stride) + 1
    place = _place(f, buffer, _first(index)).moved(f, min(stride, 0) * (lanes - 1))
    type, wide = place.type, vec(place.type, span)
    if stride < 0:
        mask = _reverse(f, "i1", lanes, mask)
    if step > 1:
        picks = [k // step if k % step == 0 else lanes for k in range(span)]
        mask = pick(f, "i1", lanes, mask, "zeroinitializer", picks)
    value = f.new(f"call {wide} @llvm.masked.load.v{span}{_suffix(type)}.p0(ptr {place.pointer}, i32 {place.align}, "
                  f"{vec('i1', span)} {mask}, {wide} zeroinitializer){_metadata(f, buffer)}")  # fmt: skip
    if step > 1:
        value = pick(f, type, span, value, "poison", range(0, span, step))
    return _reverse(f, type, lanes, value) if stride < 0 else value


def _suffix(type: str) -> str:
    return {"float": "f32", "double": "f64"}.get(type, type)


def _guarded(f: Function, place: _Place, cond: Expr | None, elements: int) -> _Place:
    """`place`, or one full of zeros where the scalar `cond` is false."""
    if cond is None:
        return place
    zero = f.module.zero(elements * place.buffer.type.bytes)
    return place._replace(pointer=f.new(f"select i1 {f.value(cond)}, ptr {place.pointer}, ptr {zero}"))


def _dense(f: Function, place: _Place, lanes: int) -> str:
    """`lanes` neighbours."""
    still = ", !invariant.load !0" if place.buffer.kind in ("input", "table") else ""
    access = _metadata(f, place.buffer)
    return f.new(f"load {vec(place.type, lanes)}, ptr {place.pointer}, align {place.align}{access}{still}")


def _strided(f: Function, low: _Place, stride: int, lanes: int) -> str:
    """Every |stride|-th element from `low` up (for a negative stride, the last one is the first lane): dense loads, of
    which the last ends at the last element, and a shuffle."""
    step = abs(stride)
    span = (lanes - 1) * step + 1
    starts = [min(k * lanes, span - lanes) for k in range(-(-span // lanes))]
    parts = [(_dense(f, low.moved(f, start), lanes), lanes) for start in starts]
    picks = []
    for k in range(lanes) if stride > 0 else reversed(range(lanes)):
        part = min(k * step // lanes, len(starts) - 1)
        picks.append(part * lanes + k * step - starts[part])
    return permute(f, low.type, parts, picks)


def _pointers(f: Function, buffer: Buffer, index: Expr) -> str:
    """A vector of addresses: one scalar base where the index has one."""
    type, lanes = MEMORY[buffer.type.name], index.lanes
    base, offsets = f.pointer(buffer), index
    if isinstance(index, Ramp) and index.base.lanes == 1:
        base, offsets = address(f, buffer, index.base), Ramp(Const(0, index.type), index.stride, index.n)
    return f.new(f"getelementptr {type}, ptr {base}, <{lanes} x i64> {f.value(offsets)}")


def _gather(f: Function, buffer: Buffer, index: Expr, mask: str) -> str:
    type, lanes = MEMORY[buffer.type.name], index.lanes
    pointers, wide = _pointers(f, buffer, index), vec(type, lanes)
    name = f"llvm.masked.gather.v{lanes}{_suffix(type)}.v{lanes}p0"
    return f.new(f"call {wide} @{name}(<{lanes} x ptr> {pointers}, i32 {buffer.type.bytes}, <{lanes} x i1> {mask}, "
                 f"{wide} zeroinitializer){_metadata(f, buffer)}")  # fmt: skip


# -- stores ----------------------------------------------------------------------------------------------------------


def store(f: Function, s: Store) -> None:
    """Write the lanes of `s.value` whose `pred` (a vector, or None) is true."""
    value = pack(f, s.buffer.type, s.value.lanes, f.value(s.value))
    if s.value.lanes < s.index.lanes:
        value = splat(f, value, MEMORY[s.buffer.type.name], s.index.lanes)
    mask = None if s.pred is None else f.value(s.pred)
    _store(f, s.buffer, s.index, value, mask)
    f.stored(s.buffer)


def _store(f: Function, buffer: Buffer, index: Expr, value: str, mask: str | None) -> None:
    lanes, stride = index.lanes, _stride(index)
    if lanes == 1 or (stride is not None and abs(stride) == 1):
        low = _place(f, buffer, _first(index)).moved(f, min(stride or 0, 0) * (lanes - 1))
        if stride == -1:
            value = _reverse(f, low.type, lanes, value)
            mask = mask and _reverse(f, "i1", lanes, mask)
        return _store_dense(f, low, value, lanes, mask)
    if isinstance(index, Ramp) and (inner := index.base).lanes > 1 and abs(_stride(inner) or 0) == 1:
        low = _place(f, buffer, _first(inner)).moved(f, min(_stride(inner) or 0, 0) * (inner.lanes - 1))
        for k, place in enumerate(_steps(f, low, index)):
            order = range(k * inner.lanes, (k + 1) * inner.lanes)
            picks = order if _stride(inner) == 1 else order[::-1]
            part = permute(f, low.type, [(value, lanes)], picks)
            _store_dense(f, place, part, inner.lanes, mask and permute(f, "i1", [(mask, lanes)], picks))
        return None
    pointers, type = _pointers(f, buffer, index), MEMORY[buffer.type.name]
    f.do(f"call void @llvm.masked.scatter.v{lanes}{_suffix(type)}.v{lanes}p0({vec(type, lanes)} {value}, "
         f"<{lanes} x ptr> {pointers}, i32 {buffer.type.bytes}, <{lanes} x i1> {mask or 'splat (i1 true)'})"
         f"{_metadata(f, buffer)}")  # fmt: skip
    return None


def _store_dense(f: Function, place: _Place, value: str, lanes: int, mask: str | None) -> None:
    type, access = vec(place.type, lanes), _metadata(f, place.buffer)
    if mask is None:
        f.do(f"store {type} {value}, ptr {place.pointer}, align {place.align}{access}")
    else:
        f.do(f"call void @llvm.masked.store.v{lanes}{_suffix(place.type)}.p0({type} {value}, ptr {place.pointer}, "
             f"i32 {place.align}, {vec('i1', lanes)} {mask}){access}")  # fmt: skip
