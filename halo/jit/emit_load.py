"""Loads.

A vector load becomes the cheapest thing that touches no element outside the first and the last one it names: dense
loads where indices are next to each other, a few dense loads and a shuffle for small strides, and a gather for the rest.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..ir import algebra as A
from ..ir.expr import Expr, Load, Op, Ramp, Reduce, Var
from ..types import index as index_type
from .emit_address import (
    Level,
    Place,
    affine,
    best_run,
    lanes_of,
    place_of,
    pointers_of,
    reverse,
    shared,
    starts_of,
    suffix,
)
from .emit_cast import unpack
from .emit_function import MEMORY, Function, vec
from .emit_hint import ONE
from .emit_lane import each_flag, each_lane, each_of
from .emit_phases import phases
from .emit_vector import any_lane, constant_of, permute, pick, splat

__all__ = ["load"]

_SHUFFLED_STRIDES = 4  # wider apart, loading what lies between costs more than a gather


def load(f: Function, e: Load) -> str:
    """The value of a Load; lanes whose `pred` is false are zero and their memory is not touched."""
    uniform = shared(e.pred)
    cond = None if uniform is None else f.value(uniform)
    if e.lanes == 1:
        raw = _dense(f, _guarded(f, place_of(f, e.buffer, e.index), cond, 1), 1, None)
    else:
        raw = _load_lanes(f, e, cond, f.value(e.pred) if e.pred is not None and cond is None else None)
    return unpack(f, e.type, e.lanes, raw)


def _load_lanes(f: Function, e: Load, cond: str | None, mask: str | None) -> str:
    """Under a condition that all lanes share, or a mask of lanes."""
    form, type = affine(e.index), MEMORY[e.type.name]
    if form is not None:
        first, levels = form
        moving = [v for v in levels if v.stride != 0]
        run = best_run(moving, _SHUFFLED_STRIDES)
        if not moving:
            some = cond if mask is None else any_lane(f, mask, e.lanes)
            value = splat(f, _dense(f, _guarded(f, place_of(f, e.buffer, first), some, 1), 1, None), type, e.lanes)
            return value if mask is None else _where(f, mask, value, type, e.lanes)
        if run is not None and (mask is None or len(moving) == len(levels)):
            return _load_runs(f, place_of(f, e.buffer, first), levels, moving, run, cond, mask)
    apart = phases(e.index)
    if apart is not None:
        return _load_phases(f, e, apart, cond, mask)
    if cond is not None:
        mask = splat(f, cond, "i1", e.lanes)
    clamped = _clamped(e.index)
    return _gather(f, e, mask) if clamped is None else _load_clamped(f, e, clamped, mask)


def _where(f: Function, mask: str, value: str, type: str, lanes: int) -> str:
    """`value` where `mask` is true, else zero."""
    wide = vec(type, lanes)
    return f.new(f"select {vec('i1', lanes)} {mask}, {wide} {value}, {wide} zeroinitializer")


def _load_phases(f: Function, e: Load, apart: list[Expr], cond: str | None, mask: str | None) -> str:
    """Each phase loaded, and their lanes taken in turn."""
    count, lanes = len(apart), e.lanes // len(apart)
    parts = []
    for r, index in enumerate(apart):
        own = permute(f, "i1", [(mask, e.lanes)], range(r, e.lanes, count)) if mask else None
        parts.append((_load_lanes(f, Load(e.buffer, index), cond, own), lanes))
    return permute(f, MEMORY[e.type.name], parts, [k % count * lanes + k // count for k in range(e.lanes)])


# -- neighbours at the edges of a padded picture -----------------------------------------------------------------------


class _Clamped(NamedTuple):
    """An index that is `plain` where `fits` holds, that is where no lane meets a bound. Else lanes below `first` have
    the index `least`, lanes from `last` on have `most`; None where there is no such bound. If it is `folded`, lanes
    beyond the bounds are elsewhere."""

    plain: Ramp
    fits: Expr
    least: Expr | None = None
    first: Expr | None = None
    most: Expr | None = None
    last: Expr | None = None
    folded: bool = False


def _clamped(index: Expr) -> _Clamped | None:
    if isinstance(index, Ramp):
        by = constant_of(index.stride)
        plain = index.base.lanes == 1 and by is not None and 1 <= abs(by) <= _SHUFFLED_STRIDES
        return _Clamped(index, A.true()) if plain else None
    if not isinstance(index, Op) or index.name not in ("add", "min", "max", "rare"):
        return None
    if index.name == "rare":
        inner = _clamped(index.args[2])
        return inner and inner._replace(fits=A.and_(inner.fits, _nowhere(index.args[0])), folded=True)
    x, y = index.args
    uniform, other = (shared(x), y) if shared(x) is not None else (shared(y), x)
    inner = None if uniform is None else _clamped(other)
    if inner is None or uniform is None:
        return None
    if index.name == "add":
        base = A.add(inner.plain.base, uniform)
        least, most = (None if e is None else A.add(e, uniform) for e in (inner.least, inner.most))
        return inner._replace(plain=inner.plain.replace(base=base), least=least, most=most)
    low, high = _ends(inner.plain) or (uniform, uniform)
    lane = A.sub(uniform, inner.plain.base)
    if index.name == "max":
        most = None if inner.most is None else A.maximum(inner.most, uniform)
        least, first = (new if old is None else A.maximum(old, new)
                        for old, new in ((inner.least, uniform), (inner.first, lane)))  # fmt: skip
        return inner._replace(fits=A.and_(inner.fits, A.le(uniform, low)), least=least, first=first, most=most)
    least = None if inner.least is None else A.minimum(inner.least, uniform)
    most, last = (new if old is None else A.minimum(old, new)
                  for old, new in ((inner.most, uniform), (inner.last, A.add(lane, A.const(1)))))  # fmt: skip
    return inner._replace(fits=A.and_(inner.fits, A.le(high, uniform)), least=least, most=most, last=last)


def _ends(e: Expr) -> tuple[Expr, Expr] | None:
    """The least and the largest lane of a Ramp of constant stride, or of what all lanes share."""
    uniform = shared(e)
    if uniform is not None:
        return uniform, uniform
    stride = constant_of(e.stride) if isinstance(e, Ramp) and e.base.lanes == 1 else None
    if not isinstance(e, Ramp) or stride is None:
        return None
    last = int(stride) * (e.n - 1)
    return A.add(e.base, A.const(min(0, last))), A.add(e.base, A.const(max(0, last)))


def _nowhere(cond: Expr) -> Expr:
    """Whether no lane of `cond` is true; comparisons of a Ramp need no vector for that."""
    if isinstance(cond, Op) and cond.name == "or":
        return A.and_(*(_nowhere(c) for c in cond.args))
    if isinstance(cond, Op) and cond.name in ("lt", "le") and cond.args[0].type is index_type:
        a, b = (_ends(e) for e in cond.args)
        if a is not None and b is not None:  # never a < b: always b <= a
            return A.le(b[1], a[0]) if cond.name == "lt" else A.lt(b[1], a[0])
    return A.not_(Reduce("or", cond, 1))


def _load_clamped(f: Function, e: Load, c: _Clamped, mask: str | None) -> str:
    """A dense load where no lane meets a bound; and there, what lies between, filled up with the elements at the ends."""
    near, far, done = f.label(), f.label(), f.label()
    f.do(f"br i1 {f.value(c.fits)}, label %{near}, label %{far}, !prof !2")
    filled = not c.folded and constant_of(c.plain.stride) == 1 and f.module.target.masks(e.type.bytes)
    ends = []
    for label in (near, far):
        f.begin(label)
        mark = f.mark()
        if label is near:
            value = _load_lanes(f, Load(e.buffer, c.plain), None, mask)
        else:
            value = _load_filled(f, e, c, mask) if filled else _load_each(f, e, mask)
        f.restore(mark)
        ends.append(f"[ {value}, %{f.block} ]")
        f.do(f"br label %{done}")
    f.begin(done)
    return f.new(f"phi {vec(MEMORY[e.type.name], e.lanes)} {', '.join(ends)}")


def _load_filled(f: Function, e: Load, c: _Clamped, mask: str | None) -> str:
    type, lanes = MEMORY[e.type.name], e.lanes
    flags = vec("i1", lanes)
    inside, ends = mask, []
    for lane, at, condition in ((c.first, c.least, "ult"), (c.last, c.most, "uge")):
        if lane is not None and at is not None:
            out = f.new(f"icmp {condition} {_lane_numbers(f, lane, lanes)}")
            not_out = f.new(f"xor {flags} {out}, splat (i1 true)")
            inside = f.new(f"and {flags} {inside}, {not_out}") if inside else not_out
            ends.append((f.new(f"and {flags} {out}, {mask}") if mask else out, at))
    value = _dense(f, place_of(f, e.buffer, c.plain.base), lanes, inside)
    for out, at in ends:
        end = _dense(f, _guarded(f, place_of(f, e.buffer, at), any_lane(f, out, lanes), 1), 1, None)
        filling = splat(f, end, type, lanes)
        value = f.new(f"select {flags} {out}, {vec(type, lanes)} {filling}, {vec(type, lanes)} {value}")
    return value


def _lane_numbers(f: Function, limit: Expr, lanes: int) -> str:
    """The operands of a comparison of each lane's number with `limit`, in as few bits as they need."""
    type = "i8" if lanes < 128 else "i16"
    low = f.new(f"call i64 @llvm.smax(i64 {f.value(limit)}, i64 0)")
    short = f.new(f"trunc i64 {f.new(f'call i64 @llvm.smin(i64 {low}, i64 {lanes})')} to {type}")
    numbers = ", ".join(f"{type} {k}" for k in range(lanes))
    return f"{vec(type, lanes)} <{numbers}>, {splat(f, short, type, lanes)}"


def _load_each(f: Function, e: Load, mask: str | None) -> str:
    """Lane by lane, in a loop."""
    with f.borrowing():
        return _each(f, e, mask)


def _each(f: Function, e: Load, mask: str | None) -> str:
    type, lanes = MEMORY[e.type.name], e.lanes
    values, at, cond = f.room(vec(type, lanes)), each_of(f, e.index), None
    if mask is not None:
        cond = each_of(f, e.pred) if e.pred is not None else each_flag(f, mask, lanes)

    def one(lane: Var) -> None:
        on = None if cond is None else f.value(cond(lane))
        value = _dense(f, _guarded(f, place_of(f, e.buffer, at(lane)), on, 1), 1, None)
        f.do(f"store {type} {value}, ptr {f.new(f'getelementptr {type}, ptr {values}, i64 {f.value(lane)}')}")

    each_lane(f, lanes, one)
    return f.new(f"load {vec(type, lanes)}, ptr {values}, align 64")


def _gather(f: Function, e: Load, mask: str | None) -> str:
    type, lanes = MEMORY[e.type.name], e.lanes
    if mask is not None and not f.module.target.gathers(e.type.bytes):
        return _load_each(f, e, mask)
    pointers, wide, name = pointers_of(f, e.buffer, e.index), vec(type, lanes), f"{suffix(type, lanes)}.v{lanes}p0"
    return f.new(f"call {wide} @llvm.masked.gather.{name}(<{lanes} x ptr> {pointers}, i32 {e.type.bytes}, "
                 f"<{lanes} x i1> {mask or 'splat (i1 true)'}, {wide} zeroinitializer)"
                 f"{f.access(e.buffer)}")  # fmt: skip


# -- runs of neighbours ----------------------------------------------------------------------------------------------


def _load_runs(f: Function, start: Place, levels: list[Level], moving: list[Level], run: int, cond: str | None,
               mask: str | None) -> str:  # fmt: skip
    """A vector for each run of neighbours, put together and brought in order."""
    n, stride = moving[run]
    assert isinstance(stride, int)
    if len(levels) == 1:
        return _run_of(f, start, n, stride, cond, mask)
    total = math.prod(v.n for v in moving)
    order = lanes_of(moving, run)
    parts = []
    for lanes, place in zip(order, starts_of(f, start, moving, run), strict=True):
        part = permute(f, "i1", [(mask, total)], lanes) if mask else None
        parts.append((_run_of(f, place, n, stride, cond, part), n))
    where = {lane: k for k, lane in enumerate(lane for lanes in order for lane in lanes)}
    return permute(f, start.type, parts, [where[lane] for lane in _moving_lanes(levels)])


def _run_of(f: Function, start: Place, n: int, stride: int, cond: str | None, mask: str | None) -> str:
    low = start.moved(f, stride * (n - 1)) if stride < 0 else start
    return _strided(f, _guarded(f, low, cond, (n - 1) * abs(stride) + 1), stride, n, mask)


def _moving_lanes(levels: list[Level]) -> list[int]:
    """For every lane, which it is among those that are left when levels that stand still are left out."""
    lanes, size = [0], 1
    for v in levels:
        step = 0 if v.stride == 0 else size
        lanes = [lane + k * step for k in range(v.n) for lane in lanes]
        size *= 1 if v.stride == 0 else v.n
    return lanes


def _guarded(f: Function, place: Place, cond: str | None, elements: int) -> Place:
    """`place`, or one full of zeros where the scalar `cond` is false."""
    if cond is None:
        return place
    zero = f.module.zero(elements * place.buffer.type.bytes)
    return place._replace(pointer=f.new(f"select i1 {cond}, ptr {place.pointer}, ptr {zero}"))


def _dense(f: Function, place: Place, lanes: int, mask: str | None) -> str:
    """`lanes` neighbours; where `mask` is false, zero."""
    if mask is not None and not f.module.target.masks(place.buffer.type.bytes):
        with f.borrowing():
            return _dense_each(f, place, lanes, mask)
    type, access = vec(place.type, lanes), f.access(place.buffer)
    if mask is not None:
        return f.new(f"call {type} @llvm.masked.load.{suffix(place.type, lanes)}.p0(ptr {place.pointer}, "
                     f"i32 {place.align}, {vec('i1', lanes)} {mask}, {type} zeroinitializer){access}")  # fmt: skip
    still = ", !invariant.load !0" if place.buffer.kind in ("input", "table") else ""
    # To an x86 such a load of memory of the usual kind is any other, and LLVM aborts where it narrows one to a byte.
    streams = place.buffer in f.streamed_loads and lanes > 1 and not f.module.target.is_x86
    past = f", !nontemporal !{ONE}" if streams else ""
    return f.new(f"load {type}, ptr {place.pointer}, align {place.align}{access}{still}{past}")


def _dense_each(f: Function, place: Place, lanes: int, mask: str) -> str:
    """Where no instruction loads under a mask: lane by lane, in a loop."""
    values, cond, size = f.room(vec(place.type, lanes)), each_flag(f, mask, lanes), place.buffer.type.bytes

    def one(lane: Var) -> None:
        number, on = f.value(lane), f.value(cond(lane))
        pointer = f.new(f"getelementptr {place.type}, ptr {place.pointer}, i64 {number}")
        value = _dense(f, _guarded(f, Place(place.buffer, pointer, size), on, 1), 1, None)
        f.do(f"store {place.type} {value}, ptr {f.new(f'getelementptr {place.type}, ptr {values}, i64 {number}')}")

    each_lane(f, lanes, one)
    return f.new(f"load {vec(place.type, lanes)}, ptr {values}, align 64")


def _strided(f: Function, low: Place, stride: int, lanes: int, mask: str | None) -> str:
    """Every |stride|-th element from `low` up (for a negative stride, the last one is the first lane): dense loads, of
    which the last ends at the last element, and a shuffle. With a mask: one load over all, masked between as well."""
    if stride == 1:
        return _dense(f, low, lanes, mask)
    step = abs(stride)
    span, type = (lanes - 1) * step + 1, low.type
    picks = range(0, span, step)
    if mask is not None:
        if stride < 0:
            mask = reverse(f, "i1", lanes, mask)
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
