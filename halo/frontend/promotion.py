"""The value of a surface expression once types are known, and what types meet to.

A `Value` is *data* of a scalar Type, or *weak*: it takes the type of what it meets.

    Weak.BOOL, Weak.INT     Python numbers, and selections of them
    Weak.INDEX              index and reduction variables, shapes, and what is made of them: i32 among integers, weak
                            with floats
    Weak.FLOAT              Python floats, and what `/` and the float functions make of weak values

Beside its value, an integer expression of index variables, extents, parameters and constants has a reading as a
mathematical integer, `index`: what subscripts, bounds and predicates use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np

from ..errors import TypeMismatchError
from ..ir import algebra as A
from ..ir.expr import Const, Expr
from ..types import ALL, Type, bf16, bool_, f16, f32, f64, i32, index, promote

__all__ = ["Kind", "Value", "Weak", "as_bool", "as_index", "computed", "convert", "counted", "data", "float_kind", "join",
           "lossless", "number", "resolve", "weak"]  # fmt: skip


class Weak(IntEnum):
    """The kinds of weak values, in the order in which they win."""

    BOOL = 0
    INT = 1
    INDEX = 2
    FLOAT = 3

    def __repr__(self) -> str:
        return {0: "a Python bool", 1: "a Python int", 2: "an index", 3: "a Python float"}[int(self)]


Kind = Type | Weak


class Value:
    """What a surface expression stands for: see the module's text.

    `expr` is the value of data, and the i32 of an INDEX; `number` that of a constant weak value; `make(type)` builds
    any other weak value in a type; `index` is its reading as a mathematical integer, if it has one.
    """

    __slots__ = ("_made", "expr", "index", "kind", "make", "number")

    def __init__(self, kind: Kind, expr: Expr | None = None, index: Expr | None = None, number: Any = None,
                 make: Callable[[Type], Expr] | None = None) -> None:  # fmt: skip
        self.kind, self.expr, self.index, self.number, self.make = kind, expr, index, number, make
        self._made: dict[Type, Expr] = {}

    @property
    def is_constant(self) -> bool:
        return self.number is not None

    def made(self, type: Type) -> Expr:
        found = self._made.get(type)
        if found is None:
            assert self.make is not None
            found = self._made[type] = self.make(type)
        return found


def data(expr: Expr, index: Expr | None = None) -> Value:
    return Value(expr.type, expr, index)


def weak(value: Any) -> Value:
    """A Python number."""
    if isinstance(value, bool):
        return Value(Weak.BOOL, number=value, index=Const(int(value), index))
    if isinstance(value, int):
        return Value(Weak.INT, number=value, index=Const(value, index))
    return Value(Weak.FLOAT, number=value)


def number(value: Any, type: Type) -> Const:
    """The Python number `value`, which must fit, as a constant of `type`."""
    if type.is_bool:
        return Const(int(bool(value)), type)
    if type.is_float:
        return Const(_rounded(value, type), type)
    if not type.holds(value):
        raise TypeMismatchError(f"{value!r} does not fit {type!r} ({type.min} to {type.max})", hint=_wider(value))
    return Const(int(value), type)


def _rounded(value: float, type: Type) -> float:
    try:
        value = float(value)
    except OverflowError:
        value = math.inf if value > 0 else -math.inf
    with np.errstate(all="ignore"):
        if type is f16:
            return float(np.float16(value))
        if type is bf16 or type.is_stored:
            return float(np.float32(value).astype(type.dtype) if type.is_stored else np.asarray(value, bf16.dtype))
        return float(np.float32(value)) if type is f32 else value


def _wider(value: int) -> str:
    fits = sorted((t for t in ALL if t.is_int and t.holds(value)), key=lambda t: t.bits)
    return f"convert the other operand: {fits[0]!r}(...)" if fits else ""


def join(a: Kind, b: Kind) -> Kind:
    """The kind that operands of kinds `a` and `b` are converted to."""
    if isinstance(a, Weak):
        if isinstance(b, Weak):
            return max(a, b)
        a, b = b, a
    if isinstance(b, Type):
        return promote(a, b)
    if b is Weak.BOOL:
        return a
    if b is Weak.FLOAT:
        return float_kind(a)
    if a.is_bool:
        return i32
    return promote(a, i32) if b is Weak.INDEX and not a.is_float else a


def float_kind(kind: Kind) -> Kind:
    """The float type that `kind` is computed in by `/` and the float functions."""
    if isinstance(kind, Weak):
        return Weak.FLOAT
    if kind.is_float:
        return kind
    return f32 if kind.is_int and kind.bits <= 16 else f64


def computed(value: Value) -> Value:
    """`value` as operators take it: of a type that only stores, converted to the one it is computed in."""
    if isinstance(value.kind, Type) and value.kind.is_stored:
        return data(convert(value, value.kind.computed), value.index)
    return value


def counted(kind: Kind) -> Kind:
    """`kind` in arithmetic, where bool_ counts as i32."""
    if kind is bool_:
        return i32
    return Weak.INT if kind is Weak.BOOL else kind


def convert(value: Value, type: Type) -> Expr:
    """`value` in `type`: wrapping, truncating or rounding as a cast does; Python ints must fit."""
    if value.number is not None:
        return number(value.number, type)
    if value.expr is not None:
        return A.cast(value.expr, type)
    return value.made(type)


def resolve(value: Value) -> Type:
    """The type of a definition whose value this is."""
    if isinstance(value.kind, Type):
        return value.kind
    return {Weak.BOOL: bool_, Weak.INT: i32, Weak.INDEX: i32, Weak.FLOAT: f32}[value.kind]


def as_bool(value: Value) -> Expr:
    """The truth of `value`."""
    if value.number is not None:
        return Const(int(bool(value.number)), bool_)
    value = computed(value)
    expr = convert(value, resolve(value))
    if expr.type is bool_:
        return expr
    if value.index is not None and value.kind is Weak.INDEX:
        return A.ne(value.index, Const(0, index))
    return A.op("ne", expr, number(0, expr.type), type=bool_)


def as_index(value: Value) -> Expr:
    """`value` as a subscript: a mathematical integer, or the integer that the data hold."""
    if value.index is not None:
        return value.index
    kind = value.kind
    if kind is Weak.FLOAT or (isinstance(kind, Type) and kind.is_float):
        raise TypeMismatchError(
            f"a subscript or bound is an integer, not {kind!r}", hint="halo.i32(...), or // in place of /"
        )
    return A.cast(convert(value, resolve(value)), index)


def lossless(source: Type, target: Type) -> bool:
    """Whether every value of `source` is one of `target`."""
    if source is target or source.is_bool:
        return True
    if target.is_bool or (target.is_stored and target.is_float):
        return False
    source = source.computed if source.is_float else source
    if source.is_float:
        return (
            target.is_float
            and _DIGITS[target] >= _DIGITS[source]
            and (source, target) not in ((f16, bf16), (bf16, f16))
        )
    if target.is_float:
        return _DIGITS[target] >= source.bits - (source.kind == "int")
    return target.min <= source.min and source.max <= target.max


_DIGITS = {bf16: 8, f16: 11, f32: 24, f64: 53}
