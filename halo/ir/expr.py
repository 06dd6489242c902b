"""Typed expressions: what lowering and the backends work on.

Semantics, the same in every backend and under every schedule:

* Integers wrap (two's complement). `floordiv` and `mod` floor; by zero they give 0; `MIN // -1` wraps.
* A shift by the width or more gives 0 (or the sign); by a negative amount it shifts the other way.
* Floats follow IEEE 754 and are never reordered or contracted: `fma` is an operation of its own, placed at capture.
  `min`/`max` propagate NaN. Float to integer truncates and saturates, NaN gives 0.
* `index` values are mathematical integers: they do not wrap, because their range is proven at entry. Sums of them are
  kept in one canonical form, `Lin`, so that equal ones are the same node and differences cancel.
* `select` may evaluate both sides; a `Read` that must not happen carries its own `pred`.

The operations of `Op`, by name (operands of one type `T` unless said; the result type is the node's `type`):

    add sub mul min max neg abs                                T, T -> T
    div                                                        float division
    floordiv mod                                               flooring; floats as numpy.floor_divide / numpy.mod
    and or xor not shl shr                                     integers; and, or, xor, not also on bool_
    eq ne lt le                                                -> bool_ (gt and ge are lt and le turned round)
    select(bool_, T, T)   rare(bool_, T, T): a select whose condition is almost never true
    fma(T, T, T)   fmin fmax copysign                          floats
    raised(T, T)                                               f32 and f64: of p near 1 and n + RAISED[T], p * 2**n
    floor ceil trunc round sqrt                                floats; round half to even
    exp exp2 expm1 log log2 log10 log1p pow sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh
    erf rsqrt cbrt hypot                                       f32 and f64; expanded by `lowering.expand_math`
    isnan isinf isfinite                                       float -> bool_
    popcount clz ctz reinterpret                               integers (reinterpret: same width)
    absd avg_up avg_down sat_add sat_sub mul_high              integers
    random(index...) -> u32; print, require, call              see `Op.data`
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any

from ..types import Type, bool_, f32, f64, index
from .node import Node, _local, expr_node

__all__ = ["CHILDREN", "RAISED", "Array", "Broadcast", "Buffer", "Cast", "Const", "Expr", "Instruction", "Lin", "Load", "Op",
           "Ramp", "Read", "Reduce", "Shuffle", "Var", "children", "is_false", "is_true", "reads", "walk"]  # fmt: skip

# What rounds to a whole number n, and leaves n + twice the bias of exponents in the low bits.
RAISED = {f32: 1.5 * 2.0**23 + 254, f64: 1.5 * 2.0**52 + 2046}


class Expr(Node):
    """A value of `type`, `lanes` wide. `uid` grows in order of creation and breaks ties."""

    __slots__ = ("cached_arrays", "cached_bounds", "cached_cases", "cached_free", "lanes", "type", "uid")
    type: Type
    lanes: int
    uid: int
    cached_bounds: Any
    cached_cases: int
    cached_arrays: frozenset[Array]
    cached_free: Any

    def __bool__(self) -> bool:
        raise TypeError("an IR expression has no truth value: compare with `is`, or build a `select`")


class Const(Expr):
    """A scalar constant: an `int` for integers and bool_ (0 or 1), a `float` for floats."""

    __slots__ = ("value",)
    fields = __match_args__ = ("value", "type")
    value: Any

    def __new__(cls, value: Any, type: Type) -> Const:
        key = (cls, type, struct.pack("<d", value) if type.is_float else value)
        self = _local.table.get(key)
        if self is None:
            self = object.__new__(cls)
            self.value, self.type, self.lanes = (float(value) if type.is_float else int(value)), type, 1
            _local.count = self.uid = _local.count + 1
            _local.table[key] = self
        return self


class Var(Expr):
    """A scalar variable: an object, told apart by identity. `lo` and `hi` are known constant bounds (inclusive)."""

    __slots__ = ("hi", "lo", "name")
    fields = __match_args__ = ("name", "type", "lo", "hi")
    name: str
    lo: int | None
    hi: int | None

    def __new__(cls, name: str, type: Type = index, lo: int | None = None, hi: int | None = None) -> Var:
        self = object.__new__(cls)
        self.name, self.type, self.lo, self.hi, self.lanes = name, type, lo, hi, 1
        _local.count = self.uid = _local.count + 1
        return self

    def bounded(self, lo: int, hi: int) -> None:
        """Note that it lies in lo..hi. Only before anything is said of expressions with it."""
        self.lo, self.hi, self.cached_bounds = lo, hi, (lo, hi)

    def __repr__(self) -> str:
        return self.name


@expr_node
class Lin(Expr):
    """`const + sum(coef * atom)` over `index` atoms, sorted by uid; never a bare constant or a bare atom."""

    terms: tuple[tuple[Expr, int], ...]
    const: int

    def __derive__(self) -> None:
        self.type, self.lanes = index, 1


@expr_node
class Op(Expr):
    """The operation `name` on `args`, lane by lane, giving `type`. `data` is what the operation needs beside them."""

    name: str
    args: tuple[Expr, ...]
    type: Type
    data: Any = None

    def __derive__(self) -> None:
        self.lanes = self.args[0].lanes if self.args else 1


@expr_node
class Cast(Expr):
    """`value` converted: integers wrap, float to integer truncates and saturates, anything to bool_ is `!= 0`."""

    value: Expr
    type: Type

    def __derive__(self) -> None:
        self.lanes = self.value.lanes


@expr_node
class Read(Expr):
    """Element `item` of `array` at `indices` (one `index` expression an axis). Where `pred` is false nothing is read."""

    array: Array
    indices: tuple[Expr, ...]
    item: int = 0
    pred: Expr | None = None

    def __derive__(self) -> None:
        self.type = self.array.types[self.item]
        self.lanes = max((e.lanes for e in self.indices), default=1)


@expr_node
class Load(Expr):
    """The element of `buffer` at the flat `index`; where `pred` is false, zero, and the memory is not touched."""

    buffer: Buffer
    index: Expr
    pred: Expr | None = None

    def __derive__(self) -> None:
        self.type, self.lanes = self.buffer.type, self.index.lanes


@expr_node
class Ramp(Expr):
    """`base + stride * (0, 1, ..., n-1)`. With a vector base: n copies of it in turn, each `stride` further."""

    base: Expr
    stride: Expr
    n: int

    def __derive__(self) -> None:
        self.type, self.lanes = self.base.type, self.base.lanes * self.n


@expr_node
class Broadcast(Expr):
    """`n` copies of `value`, one after the other (a vector is repeated as a whole)."""

    value: Expr
    n: int

    def __derive__(self) -> None:
        self.type, self.lanes = self.value.type, self.value.lanes * self.n


@expr_node
class Shuffle(Expr):
    """Lanes `picks` of the concatenation of `vectors`."""

    vectors: tuple[Expr, ...]
    picks: tuple[int, ...]

    def __derive__(self) -> None:
        self.type, self.lanes = self.vectors[0].type, len(self.picks)


@expr_node
class Reduce(Expr):
    """`value` folded with the Op `name` (add, mul, min, max, and, or) to `n` lanes, groups of neighbours together."""

    name: str
    value: Expr
    n: int = 1

    def __derive__(self) -> None:
        self.type, self.lanes = self.value.type, self.n


@expr_node
class Instruction(Expr):
    """What an instruction of the machine, called as `code` says, gives for `args`: whole vectors in, `n` lanes out."""

    code: Any
    args: tuple[Expr, ...]
    type: Type
    n: int

    def __derive__(self) -> None:
        self.lanes = self.n


class Array:
    """Something that is indexed with one index an axis: an input, a stage's values, or a constant table.

    `extents` and `strides` (in elements) are variables for inputs and outputs, which come from the call;
    `table` is the data of a constant table (a C-contiguous ndarray). `shape` is what every call gives of an input: None,
    or an entry an axis that is an extent, a name that equal extents share, or None.
    """

    __slots__ = ("contiguous", "extents", "kind", "mins", "name", "ndim", "shape", "strides", "table", "types")

    def __init__(self, name: str, types: tuple[Type, ...], ndim: int, kind: str = "func", table: Any = None,
                 contiguous: bool = False, shape: Any = None) -> None:  # fmt: skip
        self.shape = shape
        self.name, self.types, self.ndim, self.kind, self.table, self.contiguous = (
            name,
            types,
            ndim,
            kind,
            table,
            contiguous,
        )
        axes = range(ndim)
        # the region of a Function may come out empty in a negative way; the shape of an array may not
        known = (None, None) if kind == "func" else (0, 2**31 - 1)
        self.extents = tuple(Var(f"{name}.shape[{d}]", index, *known) for d in axes)
        self.strides = tuple(Var(f"{name}.strides[{d}]") for d in axes)
        self.mins = tuple(Var(f"{name}.min[{d}]") for d in axes)

    def __repr__(self) -> str:
        return self.name


ALIGNMENT = 64  # bytes, of memory of our own


class Buffer:
    """Flat memory of one element type, after storage is laid out. `kind`: input, output, heap, stack or table. Its address
    is a multiple of `align` bytes (of memory of our own, if nothing is said, of ALIGNMENT)."""

    __slots__ = ("align", "kind", "name", "table", "type")

    def __init__(self, name: str, type: Type, kind: str, table: Any = None, align: int | None = None) -> None:
        self.name, self.type, self.kind, self.table = name, type, kind, table
        if align is None:
            align = 1 if kind in ("input", "output") else ALIGNMENT
        self.align = max(type.bytes, align)

    def __repr__(self) -> str:
        return self.name


def children(e: Expr) -> tuple[Expr, ...]:
    """The expressions directly under `e`, left to right."""
    return CHILDREN[type(e)](e)


def _none(e: Any) -> tuple[Expr, ...]:
    return ()


def _value(e: Any) -> tuple[Expr, ...]:
    return (e.value,)


CHILDREN: dict[type, Callable[[Any], tuple[Expr, ...]]] = {
    Const: _none, Var: _none, Op: attrgetter("args"), Instruction: attrgetter("args"), Shuffle: attrgetter("vectors"),
    Cast: _value, Broadcast: _value, Reduce: _value, Lin: lambda e: tuple([a for a, _ in e.terms]),
    Read: lambda e: e.indices if e.pred is None else (*e.indices, e.pred),
    Load: lambda e: (e.index,) if e.pred is None else (e.index, e.pred), Ramp: lambda e: (e.base, e.stride),
}  # fmt: skip


def walk(roots: Iterable[Expr | None]) -> Iterator[Expr]:
    """Every node under `roots` once, shared ones too."""
    seen: set[Expr] = set()
    stack = [e for e in roots if e is not None]
    while stack:
        e = stack.pop()
        if e not in seen:
            seen.add(e)
            yield e
            stack.extend(children(e))


def reads(roots: Iterable[Expr | None]) -> Iterator[Read]:
    """Every Read under `roots` once."""
    return (e for e in walk(roots) if isinstance(e, Read))


def is_true(e: Expr) -> bool:
    return isinstance(e, Const) and e.type is bool_ and e.value == 1


def is_false(e: Expr) -> bool:
    return isinstance(e, Const) and e.type is bool_ and e.value == 0
