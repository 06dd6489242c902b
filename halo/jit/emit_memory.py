"""Addresses, loads and stores.

A vector access becomes the cheapest thing that touches no element outside the first and the last one it names:
dense loads where indices are next to each other, a few dense loads and a shuffle for small strides, and gather or
scatter for the rest.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..ir import algebra as A
from ..ir.expr import Broadcast, Buffer, Const, Expr, Lin, Load, Op, Ramp
from ..ir.stmt import Store
from ..types import index as index_type
from .emit_cast import pack, unpack
from .emit_function import MEMORY, Function, vec
from .emit_vector import constant_of, linear, permute, pick, splat

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
        base = _pointer(f, buffer, outer)
        if outer:
            base = f.new(f"call ptr @llvm.strip.invariant.group.p0(ptr {base})")
        offset = linear(f, inner)
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


class _Level(NamedTuple):
    """`n` steps of `stride` elements: an int, or a scalar expression."""

    n: int
    stride: int | Expr


def _affine(index: Expr) -> tuple[Expr, list[_Level]] | None:
    """A vector index as a scalar start and levels, the fastest first; None if it is not of that form."""
    levels: list[_Level] = []
    while index.lanes > 1:
        if isinstance(index, Broadcast):
            levels.append(_Level(index.n, 0))
            index = index.value
        elif isinstance(index, Ramp) and (stride := _shared(index.stride)) is not None:
            levels.append(_Level(index.n, stride.value if isinstance(stride, Const) else stride))
            index = index.base
        else:
            return None
    merged: list[_Level] = []
    for level in reversed(levels):
        below = merged[-1] if merged else None
        if level.n == 1:
            continue
        if below and isinstance(below.stride, int) and level.stride == below.n * below.stride:
            merged[-1] = _Level(below.n * level.n, below.stride)
        else:
            merged.append(level)
    return index, merged


def _shared(e: Expr | None) -> Expr | None:
    """The scalar that `e` is in all its lanes."""
    while isinstance(e, Broadcast):
        e = e.value
    return e if e is not None and e.lanes == 1 else None


def _run(levels: list[_Level], limit: int) -> int | None:
    """Which level to access as vectors: the smallest constant stride up to `limit`; of equal ones the longest."""
    constant = [(abs(v.stride), -v.n, k) for k, v in enumerate(levels) if isinstance(v.stride, int)]
    stride, _, k = min(constant, default=(limit + 1, 0, 0))
    return k if stride <= limit else None


def _lanes(levels: list[_Level], run: int) -> list[list[int]]:
    """For every combination of steps of the other levels, the lanes of the vector along level `run`."""
    sizes = [math.prod(v.n for v in levels[:k]) for k in range(len(levels))]
    starts = [0]
    for k, v in enumerate(levels):
        if k != run:
            starts = [start + step * sizes[k] for step in range(v.n) for start in starts]
    return [[start + step * sizes[run] for step in range(levels[run].n)] for start in starts]


def _starts(f: Function, start: _Place, levels: list[_Level], run: int) -> list[_Place]:
    """The places where the vectors of `_lanes` start, in its order."""
    places = [start]
    for k, v in enumerate(levels):
        if k != run:
            places = [p for step in range(v.n) for p in (_stepped(f, q, v.stride, step) for q in places)]
    return places


def _stepped(f: Function, place: _Place, stride: int | Expr, step: int) -> _Place:
    if isinstance(stride, int):
        return place.moved(f, stride * step)
    if step == 0:
        return place
    distance = f.value(stride)
    if step > 1:
        distance = f.new(f"mul nsw i64 {distance}, {step}")
    return _Place(place.buffer, f.new(f"getelementptr {place.type}, ptr {place.pointer}, i64 {distance}"),
                  place.buffer.type.bytes)  # fmt: skip


def _reverse(f: Function, type: str, lanes: int, v: str) -> str:
    return pick(f, type, lanes, v, "poison", range(lanes - 1, -1, -1))


def _suffix(type: str, lanes: int) -> str:
    return f"v{lanes}" + {"float": "f32", "double": "f64"}.get(type, type)


# -- loads -----------------------------------------------------------------------------------------------------------


def load(f: Function, e: Load) -> str:
    """The value of a Load; lanes whose `pred` is false are zero and their memory is not touched."""
    cond = _shared(e.pred)
    if e.lanes == 1:
        raw = _dense(f, _guarded(f, _place(f, e.buffer, e.index), cond, 1), 1, None)
    else:
        raw = _load_lanes(f, e, cond, f.value(e.pred) if e.pred is not None and cond is None else None)
    return unpack(f, e.type, e.lanes, raw)


def _load_lanes(f: Function, e: Load, cond: Expr | None, mask: str | None) -> str:
    form, type = _affine(e.index), MEMORY[e.type.name]
    if form is not None:
        first, levels = form
        moving = [v for v in levels if v.stride != 0]
        run = _run(moving, _SHUFFLED_STRIDES)
        if not moving and mask is None:
            return splat(f, _dense(f, _guarded(f, _place(f, e.buffer, first), cond, 1), 1, None), type, e.lanes)
        if run is not None and (mask is None or len(moving) == len(levels)):
            return _load_runs(f, _place(f, e.buffer, first), levels, moving, run, cond, mask)
    within = _unclamped(e.index)
    if within is not None:
        return _load_unclamped(f, e, within, cond, mask)
    return _load_scattered(f, e, cond, mask)


def _load_scattered(f: Function, e: Load, cond: Expr | None, mask: str | None) -> str:
    if cond is not None:
        mask = splat(f, f.value(cond), "i1", e.lanes)
    return _gather(f, e.buffer, e.index, mask)


class _Unclamped(NamedTuple):
    """`index` is what a clamped index is where `fits` holds: no lane meets a bound."""

    index: Ramp
    fits: Expr


def _unclamped(index: Expr) -> _Unclamped | None:
    """Neighbours clamped to bounds that all lanes share, as at the edges of a padded picture."""
    if isinstance(index, Ramp):
        by = constant_of(index.stride)
        plain = index.base.lanes == 1 and by is not None and 1 <= abs(by) <= _SHUFFLED_STRIDES
        return _Unclamped(index, A.true()) if plain else None
    if not isinstance(index, Op) or index.name not in ("add", "min", "max"):
        return None
    x, y = index.args
    shared, other = (_shared(x), y) if _shared(x) is not None else (_shared(y), x)
    inner = _unclamped(other) if shared is not None else None
    if inner is None or shared is None:
        return None
    (base, stride, n), fits = (getattr(inner.index, name) for name in inner.index.fields), inner.fits
    if index.name == "add":
        return _Unclamped(Ramp(A.add(base, shared), stride, n), fits)
    last = A.add(base, A.const(int(constant_of(stride) or 0) * (n - 1)))
    low, high = (base, last) if (constant_of(stride) or 0) > 0 else (last, base)
    return _Unclamped(inner.index, A.and_(fits, A.le(high, shared) if index.name == "min" else A.le(shared, low)))


def _load_unclamped(f: Function, e: Load, within: _Unclamped, cond: Expr | None, mask: str | None) -> str:
    """A dense load but where a lane meets a bound: there alone, a gather."""
    near, far, done = f.label(), f.label(), f.label()
    f.do(f"br i1 {f.value(within.fits)}, label %{near}, label %{far}, !prof !2")
    ends = []
    for label, how in ((near, _load_lanes), (far, _load_scattered)):
        f.begin(label)
        mark = f.mark()
        value = how(f, Load(e.buffer, within.index, e.pred) if how is _load_lanes else e, cond, mask)
        f.restore(mark)
        ends.append(f"[ {value}, %{f.block} ]")
        f.do(f"br label %{done}")
    f.begin(done)
    return f.new(f"phi {vec(MEMORY[e.type.name], e.lanes)} {', '.join(ends)}")


def _load_runs(f: Function, start: _Place, levels: list[_Level], moving: list[_Level], run: int, cond: Expr | None,
               mask: str | None) -> str:  # fmt: skip
    """A vector for each run of neighbours, put together and brought in order."""
    n, stride = moving[run]
    assert isinstance(stride, int)
    if len(levels) == 1:
        return _run_of(f, start, n, stride, cond, mask)
    total = math.prod(v.n for v in moving)
    order = _lanes(moving, run)
    parts = []
    for lanes, place in zip(order, _starts(f, start, moving, run), strict=True):
        part = permute(f, "i1", [(mask, total)], lanes) if mask else None
        parts.append((_run_of(f, place, n, stride, cond, part), n))
    where = {lane: k for k, lane in enumerate(lane for lanes in order for lane in lanes)}
    return permute(f, start.type, parts, [where[lane] for lane in _moving_lanes(levels)])


def _run_of(f: Function, start: _Place, n: int, stride: int, cond: Expr | None, mask: str | None) -> str:
    low = start.moved(f, stride * (n - 1)) if stride < 0 else start
    return _strided(f, _guarded(f, low, cond, (n - 1) * abs(stride) + 1), stride, n, mask)


def _moving_lanes(levels: list[_Level]) -> list[int]:
    """For every lane, which it is among those that are left when levels that stand still are left out."""
    lanes, size = [0], 1
    for v in levels:
        step = 0 if v.stride == 0 else size
        lanes = [lane + k * step for k in range(v.n) for lane in lanes]
        size *= 1 if v.stride == 0 else v.n
    return lanes


def _guarded(f: Function, place: _Place, cond: Expr | None, elements: int) -> _Place:
    """`place`, or one full of zeros where the scalar `cond` is false."""
    if cond is None:
        return place
    zero = f.module.zero(elements * place.buffer.type.bytes)
    return place._replace(pointer=f.new(f"select i1 {f.value(cond)}, ptr {place.pointer}, ptr {zero}"))


def _dense(f: Function, place: _Place, lanes: int, mask: str | None) -> str:
    """`lanes` neighbours; where `mask` is false, zero."""
    type, access = vec(place.type, lanes), _metadata(f, place.buffer)
    if mask is not None:
        return f.new(f"call {type} @llvm.masked.load.{_suffix(place.type, lanes)}.p0(ptr {place.pointer}, "
                     f"i32 {place.align}, {vec('i1', lanes)} {mask}, {type} zeroinitializer){access}")  # fmt: skip
    still = ", !invariant.load !0" if place.buffer.kind in ("input", "table") else ""
    return f.new(f"load {type}, ptr {place.pointer}, align {place.align}{access}{still}")


def _strided(f: Function, low: _Place, stride: int, lanes: int, mask: str | None) -> str:
    """Every |stride|-th element from `low` up (for a negative stride, the last one is the first lane): dense loads, of
    which the last ends at the last element, and a shuffle. With a mask: one load over all, masked between as well."""
    if stride == 1:
        return _dense(f, low, lanes, mask)
    step = abs(stride)
    span, type = (lanes - 1) * step + 1, low.type
    picks = range(0, span, step)
    if mask is not None:
        if stride < 0:
            mask = _reverse(f, "i1", lanes, mask)
        if step > 1:
            spread = [k // step if k % step == 0 else lanes for k in range(span)]
            mask = pick(f, "i1", lanes, mask, "zeroinitializer", spread)
        parts, starts = [(_dense(f, low, span, mask), span)], [0]
    else:
        starts = [min(k * lanes, span - lanes) for k in range(-(-span // lanes))]
        parts = [(_dense(f, low.moved(f, start), lanes, None), lanes) for start in starts]
    width = parts[0][1]
    lane = [(part := min(p // width, len(starts) - 1)) * width + p - starts[part] for p in picks]
    return permute(f, type, parts, lane if stride > 0 else lane[::-1])


def _pointers(f: Function, buffer: Buffer, index: Expr) -> str:
    """A vector of addresses: one scalar base where the index has one."""
    type, lanes = MEMORY[buffer.type.name], index.lanes
    base, offsets = f.pointer(buffer), index
    if isinstance(index, Ramp) and index.base.lanes == 1:
        base, offsets = address(f, buffer, index.base), Ramp(Const(0, index_type), index.stride, index.n)
    return f.new(f"getelementptr {type}, ptr {base}, <{lanes} x i64> {f.value(offsets)}")


def _gather(f: Function, buffer: Buffer, index: Expr, mask: str | None) -> str:
    type, lanes = MEMORY[buffer.type.name], index.lanes
    pointers, wide, name = _pointers(f, buffer, index), vec(type, lanes), f"{_suffix(type, lanes)}.v{lanes}p0"
    return f.new(f"call {wide} @llvm.masked.gather.{name}(<{lanes} x ptr> {pointers}, i32 {buffer.type.bytes}, "
                 f"<{lanes} x i1> {mask or 'splat (i1 true)'}, {wide} zeroinitializer)"
                 f"{_metadata(f, buffer)}")  # fmt: skip


# -- stores ----------------------------------------------------------------------------------------------------------


def store(f: Function, s: Store) -> None:
    """Write the lanes of `s.value` whose `pred` (a vector, or None) is true."""
    type, lanes = MEMORY[s.buffer.type.name], s.index.lanes
    value = pack(f, s.buffer.type, s.value.lanes, f.value(s.value))
    if s.value.lanes < lanes:
        value = splat(f, value, type, lanes)
    mask = None if s.pred is None else f.value(s.pred)
    form = _affine(s.index)
    run = None if form is None or any(v.stride == 0 for v in form[1]) else _run(form[1], 1)
    if lanes == 1:
        _store_dense(f, _place(f, s.buffer, s.index), value, 1, None)
    elif form is not None and run is not None:
        _store_runs(f, _place(f, s.buffer, form[0]), form[1], run, value, mask)
    else:
        name, pointers = f"{_suffix(type, lanes)}.v{lanes}p0", _pointers(f, s.buffer, s.index)
        f.do(f"call void @llvm.masked.scatter.{name}({vec(type, lanes)} {value}, <{lanes} x ptr> {pointers}, "
             f"i32 {s.buffer.type.bytes}, <{lanes} x i1> {mask or 'splat (i1 true)'})"
             f"{_metadata(f, s.buffer)}")  # fmt: skip
    f.stored(s.buffer)


def _store_runs(f: Function, start: _Place, levels: list[_Level], run: int, value: str, mask: str | None) -> None:
    n, stride = levels[run]
    if len(levels) == 1 and stride == 1:
        return _store_dense(f, start, value, n, mask)
    total = math.prod(v.n for v in levels)
    for lanes, place in zip(_lanes(levels, run), _starts(f, start, levels, run), strict=True):
        if stride == -1:
            lanes, place = lanes[::-1], place.moved(f, 1 - n)
        part = permute(f, start.type, [(value, total)], lanes)
        _store_dense(f, place, part, n, permute(f, "i1", [(mask, total)], lanes) if mask else None)
    return None


def _store_dense(f: Function, place: _Place, value: str, lanes: int, mask: str | None) -> None:
    type, access = vec(place.type, lanes), _metadata(f, place.buffer)
    if mask is None:
        f.do(f"store {type} {value}, ptr {place.pointer}, align {place.align}{access}")
    else:
        f.do(f"call void @llvm.masked.store.{_suffix(place.type, lanes)}.p0({type} {value}, ptr {place.pointer}, "
             f"i32 {place.align}, {vec('i1', lanes)} {mask}){access}")  # fmt: skip
