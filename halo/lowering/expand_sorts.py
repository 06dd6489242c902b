"""Expand sorts: the call that sorts one row becomes loops.

Values are ordered by keys: unsigned integers of their width, in the order of the values, all NaNs being the greatest and
the two zeros equal. Short rows are ranked, the place of each value being the number of those before it,

    for i: out[sum(key[j] < key[i] or (key[j] == key[i] and j < i) for j)] = value[i]

in vectors of j; long ones go by radix (LSD, Knuth 5.2.5): for each byte of the keys, from the lowest, a stable pass over
the row, in memory for two rows. A byte that is the same in all keys needs no pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..ir import algebra as A
from ..ir.expr import Buffer, Const, Expr, Load, Op, Ramp, Reduce, Var
from ..ir.facts import const_bounds
from ..ir.sorting import Sorter
from ..ir.stmt import Allocate, CallExtern, For, If, Let, Stmt, Store, View, block
from ..types import Type, as_type, i32, index, u8, u32
from .walk import map_stmt

SHORT = 96  # the longest row that is ranked
UNROLLED = 16  # the longest whose values are ranked without a loop
DIGITS = 256
ONE, ZERO = Const(1, index), Const(0, index)


def expand_sorts(s: Stmt, lanes: int) -> Stmt:
    if isinstance(s, CallExtern) and isinstance(s.function, Sorter):
        return _Row.of(s, lanes).stmt()
    return map_stmt(s, lambda t: expand_sorts(t, lanes))


@dataclass(frozen=True)
class _Row:
    """`n` values, of which the sorted ones from `first` on are wanted in `out`, `m` of them; the first stands at index `lo`."""

    how: Sorter
    source: View
    out: View
    first: Expr
    lo: Expr
    lanes: int

    @staticmethod
    def of(s: CallExtern, lanes: int) -> _Row:
        out, source = s.views
        first, lo = s.args
        key = _key_type(source.buffer.type)
        return _Row(s.function, source, out, first, lo, max(lanes * 32 // key.bits, 1))

    @property
    def n(self) -> Expr:
        return self.source.extents[self.how.axis]

    @property
    def m(self) -> Expr:
        return self.out.extents[self.how.axis]

    @property
    def whole(self) -> bool:
        """Whether all of the sorted row is wanted."""
        return isinstance(self.first, Const) and self.first.value == 0 and self.m is self.n

    @property
    def key(self) -> Type:
        return _key_type(self.source.buffer.type)

    def stmt(self) -> Stmt:
        least, most = const_bounds(self.n)
        if most is not None and most <= SHORT:
            return self.ranked(most)
        if least is not None and least > SHORT:
            return self.by_radix()
        return If(A.le(self.n, Const(SHORT, index)), self.ranked(SHORT), self.by_radix())

    # Values and keys -------------------------------------------------------------------------------------------------

    def value(self, i: Expr, pred: Expr | None = None) -> Expr:
        stride = self.source.strides[self.how.axis]
        if isinstance(i, Ramp):
            at: Expr = A.ramp(A.add(self.source.index, A.mul(i.base, stride)), stride, i.n)
        else:
            at = A.add(self.source.index, A.mul(i, stride))
        return Load(self.source.buffer, at, pred)

    def bits(self, value: Expr) -> Expr:
        if value.type.is_bool:
            return A.cast(value, u8)
        return value if value.type is self.key else Op("reinterpret", (value,), self.key)

    def value_of(self, bits: Expr) -> Expr:
        type = self.source.buffer.type
        if type.is_bool:
            return A.ne(bits, Const(0, u8))
        return bits if type is self.key else Op("reinterpret", (bits,), type)

    def key_of(self, bits: Expr) -> Expr:
        """The key of the value that has these bits."""
        type, u = self.source.buffer.type, self.key
        sign = 1 << (u.bits - 1)

        def constant(value: int) -> Expr:
            return A.broadcast(Const(value, u), bits.lanes)

        ones = constant(u.max)  # type: ignore[arg-type]  # an integer type has a largest value
        key = bits
        if type.is_float:
            negative = A.le(constant(sign), bits)
            key = A.op("xor", bits, A.select(negative, ones, constant(sign)))
            key = A.select(A.eq(bits, constant(sign)), constant(sign), key)  # -0.0 is 0.0
        elif type.is_signed:
            key = A.op("xor", bits, constant(sign))
        if self.how.descending:
            key = A.op("xor", key, ones if not type.is_bool else constant(1))
        if type.is_float:
            nan = A.lt(constant(_infinity(type)), A.op("and", bits, constant(sign - 1)))
            key = A.select(nan, ones, key)
        return key

    def put(self, place: Expr, value: Expr) -> Stmt:
        """The value whose place in the sorted row is `place`, where that is wanted."""
        at = A.sub(place, self.first)
        store = Store(self.out.buffer, A.add(self.out.index, A.mul(at, self.out.strides[self.how.axis])), value)
        if self.whole:
            return store
        return If(A.and_(A.le(ZERO, at), A.lt(at, self.m)), store)

    def result(self, value: Callable[[], Expr], i: Expr) -> Expr:
        return A.cast(A.add(i, self.lo), i32) if self.how.indices else value()

    # Short rows ------------------------------------------------------------------------------------------------------

    def ranked(self, most: int) -> Stmt:
        width = 1 << (max(most, 1) - 1).bit_length()
        lanes = min(self.lanes, width)
        count = -(-most // lanes)
        keys = Buffer("keys", self.key, "stack")
        blocks = A.floordiv(A.add(self.n, Const(lanes - 1, index)), Const(lanes, index))

        def lane(b: Expr) -> Expr:
            return A.ramp(A.mul(b, Const(lanes, index)), ONE, lanes)

        fill, b = Var("b", index, 0, count - 1), Var("b", index, 0, count - 1)
        there = A.lt(lane(fill), A.broadcast(self.n, lanes))
        key = self.key_of(self.bits(self.value(lane(fill), there)))
        ones = A.broadcast(Const(self.key.max, self.key), lanes)
        filled = For(fill, ZERO, blocks, "serial", Store(keys, lane(fill), A.select(there, key, ones)))

        rank = Buffer("rank", i32, "stack")
        small = Ramp(A.cast(A.mul(b, Const(lanes, index)), u8), Const(1, u8), lanes)

        def before(i: Expr) -> Stmt:
            own = A.broadcast(Load(keys, i), lanes)
            other = Load(keys, lane(b))
            earlier = A.lt(small, A.broadcast(A.cast(i, u8), lanes))
            less = A.or_(A.lt(other, own), A.and_(A.eq(other, own), earlier))
            total = A.add(Load(rank, ZERO), Reduce("add", A.cast(less, i32)))
            return For(b, ZERO, blocks, "serial", Store(rank, ZERO, total))

        def place(i: Expr) -> Stmt:
            value = self.result(lambda: self.value(i), i)
            put = self.put(A.cast(Load(rank, ZERO), index), value)
            return block(Store(rank, ZERO, Const(0, i32)), before(i), put)

        if isinstance(self.n, Const) and most <= UNROLLED:
            placed = block(*(place(Const(k, index)) for k in range(self.n.value)))
        else:
            i = Var("i", index, 0, most - 1)
            placed = For(i, ZERO, self.n, "serial", place(i))
        body = Allocate(rank, ONE, placed, 1)
        size = count * lanes
        return Allocate(keys, Const(size, index), block(filled, body), size)

    # Long rows -------------------------------------------------------------------------------------------------------

    def by_radix(self) -> Stmt:
        n, u = self.n, self.key
        rows, places = Buffer("rows", u, "heap"), Buffer("places", i32, "heap")
        counts, here = Buffer("counts", u32, "stack"), Buffer("here", index, "stack")
        total = Buffer("total", u32, "stack")
        passes = max(u.bits // 8, 1)
        kept = [rows, places] if self.how.indices else [rows]

        def digit(key: Expr, p: int) -> Expr:
            shifted = A.op("shr", key, Const(8 * p, u)) if p else key
            return A.add(A.cast(A.op("and", shifted, Const(255, u)) if u.bits > 8 else shifted, index),
                         Const(DIGITS * p, index))  # fmt: skip

        def counted(at: Expr) -> Stmt:
            return Store(counts, at, A.add(Load(counts, at), Const(1, u32)))

        z, i = Var("z", index, 0), Var("i", index, 0)
        cleared = For(z, ZERO, Const(DIGITS * passes // 16, index), "serial",
                      Store(counts, A.ramp(A.mul(z, Const(16, index)), ONE, 16), A.broadcast(Const(0, u32), 16)))  # fmt: skip
        bits = Var("bits", u)
        read: list[Stmt] = [Store(rows, i, bits)]
        if self.how.indices:
            read.append(Store(places, i, A.cast(i, i32)))
        key = Var("key", u)
        read.append(Let(key, self.key_of(bits), block(*(counted(digit(key, p)) for p in range(passes)))))
        taken = For(i, ZERO, n, "serial", Let(bits, self.bits(self.value(i)), block(*read)))

        def one(p: int) -> Stmt:
            j, i = Var("j", index, 0, DIGITS - 1), Var("i", index, 0)
            at = A.add(j, Const(DIGITS * p, index))
            count = Var("count", u32)
            summed = For(j, ZERO, Const(DIGITS, index), "serial",
                         Let(count, Load(counts, at), block(Store(counts, at, Load(total, ZERO)),
                             Store(total, ZERO, A.add(Load(total, ZERO), count)))))  # fmt: skip
            start, other = Var("start", index, 0), Var("other", index, 0)
            bits, to, d = Var("bits", u), Var("to", index, 0), Var("d", index, 0)
            moved: list[Stmt] = [counted(d), *(
                Store(b, A.add(other, to), bits if b is rows else Load(b, A.add(start, i))) for b in kept
            )]  # fmt: skip
            body = Let(d, digit(self.key_of(bits), p), Let(to, A.cast(Load(counts, d), index), block(*moved)))
            spread: Stmt = For(i, ZERO, n, "serial", Let(bits, Load(rows, A.add(start, i)), body))
            spread = Let(start, Load(here, ZERO), Let(other, A.sub(n, start), block(spread, Store(here, ZERO, other))))
            some = digit(self.key_of(Load(rows, Load(here, ZERO))), p)
            all_one = A.eq(A.cast(Load(counts, some), index), n)
            return If(A.not_(all_one), block(Store(total, ZERO, Const(0, u32)), summed, spread))

        k, start = Var("k", index, 0), Var("start", index, 0)
        at = A.add(A.add(start, self.first), k)
        value = self.result(lambda: self.value_of(Load(rows, at)), A.cast(Load(places, at), index))
        place = A.add(self.out.index, A.mul(k, self.out.strides[self.how.axis]))
        lo: Expr = ZERO
        end = self.m  # what is asked for outside of the row (to be aligned, say) is not there
        if not self.whole:
            lo, end = A.maximum(A.neg(self.first), ZERO), A.minimum(self.m, A.sub(n, self.first))
        given = Let(start, Load(here, ZERO), For(k, lo, A.sub(end, lo), "serial", Store(self.out.buffer, place, value)))
        body = block(cleared, taken, Store(here, ZERO, ZERO), *map(one, range(passes)), given)
        for b, size in ((here, 1), (total, 1), (counts, DIGITS * passes)):
            body = Allocate(b, Const(size, index), body, size)
        for b in kept:
            body = Allocate(b, A.mul(n, Const(2, index)), body)
        return body


def _key_type(t: Type) -> Type:
    return as_type(f"u{max(t.bits, 8)}")


def _infinity(t: Type) -> int:
    """The bits of infinity."""
    exponent = {"f16": 5, "bf16": 8, "f32": 8, "f64": 11}[t.name]
    return ((1 << exponent) - 1) << (t.bits - 1 - exponent)
