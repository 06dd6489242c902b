"""What the functions of the language mean: the rules of `operators`, continued."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import TypeMismatchError
from ..ir import algebra as A
from ..ir.expr import Const, Expr, Op, is_true
from ..ir.surface import Call
from ..types import Type, as_type, bool_, f32, f64, i32, u32
from .operators import (
    RULES,
    Stage,
    add,
    arithmetic,
    as_bits,
    data_op,
    float_join,
    integers,
    lift,
    multiply,
    operation,
    quiet,
    rule,
    settled,
    subtract,
    unsigned,
)
from .promotion import Value, Weak, as_bool, as_index, convert, counted, data, join, number, resolve, weak

__all__ = ["RULES"]


# Fixed point ---------------------------------------------------------------------------------------------------------


@rule("avg_up", "avg_down", "sat_add", "sat_sub", "mul_high")
def _fixed_point(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return data_op(call, args, integers(args, call, arithmetic(args)))


@rule("absd")
def _absd(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    type = settled(arithmetic(args))
    if type.is_float:
        return data(A.op("abs", A.op("sub", convert(args[0], type), convert(args[1], type))))
    return data_op(call, args, type, unsigned(type))


@rule("widening_add", "widening_mul", "widening_sub")
def _widening(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    types = [resolve(a) if not _is_weak_number(a) else resolve(b) for a, b in (args, args[::-1])]
    if any(t.bits == 64 or t.is_bool for t in types):
        raise TypeMismatchError(f"there is no type twice as wide as {max(types, key=lambda t: t.bits)!r}")
    bits = 2 * max(t.bits for t in types)
    if any(t.is_float for t in types):
        wide = as_type(f"f{max(2 * t.bits for t in types if t.is_float)}")
    else:
        signed = call.op == "widening_sub" or any(t.kind == "int" for t in types)
        wide = as_type(f"{'i' if signed else 'u'}{bits}")
    a, b = (convert(x, wide) for x in args)
    return data(A.op(call.op.removeprefix("widening_"), a, b))


def _is_weak_number(value: Value) -> bool:
    return isinstance(value.kind, Weak) and value.kind is not Weak.INDEX


@rule("lerp")
def _lerp(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    a, b, w = args
    kind = join(counted(a.kind), counted(b.kind))
    weight = resolve(w)
    if weight.kind == "int":
        raise TypeMismatchError("lerp's weight is a float or an unsigned integer", hint="halo.f32(w) or halo.u8(w)")
    if isinstance(kind, Type) and kind.is_int:
        return data(_lerp_integers(kind, a, b, w))
    if weight.is_int:
        w = data(A.op("div", A.cast(convert(w, weight), f32 if weight.bits <= 16 else f64),
                      number(weight.max, f32 if weight.bits <= 16 else f64)))  # fmt: skip
    rest = subtract(stage, call, (weak(1.0), w))
    return add(stage, call, (multiply(stage, call, (a, rest)), multiply(stage, call, (b, w))))


def _lerp_integers(type: Type, a: Value, b: Value, w: Value) -> Expr:
    """Rounded to the nearest; by an unsigned weight exactly, in integers that hold the products."""
    x, y, weight = convert(a, type), convert(b, type), resolve(w)
    if weight.is_float:
        real = f32 if type.bits <= 16 else f64
        t = convert(w, real)
        rest = A.op("sub", number(1, real), t)
        blend = A.op("add", A.op("mul", A.cast(x, real), rest), A.op("mul", A.cast(y, real), t))
        return A.cast(A.op("round", blend), type)
    if type.bits + weight.bits > 64:
        raise TypeMismatchError(f"lerp of {type!r} by a {weight!r} weight has no integers wide enough for it")
    bits = next(n for n in (16, 32, 64) if n >= type.bits + weight.bits)
    wide, plain = as_type(f"u{bits}"), unsigned(type)
    flip = number(1 << (type.bits - 1), plain) if type.kind == "int" else number(0, plain)
    lifted = [A.cast(A.op("xor", as_bits(e, plain), flip), wide) for e in (x, y)]
    t = A.cast(convert(w, weight), wide)
    top = number(weight.max, wide)
    total = A.op("add", A.mul(lifted[0], A.op("sub", top, t)), A.mul(lifted[1], t))
    mean = A.op("floordiv", A.op("add", total, number(int(weight.max) // 2, wide)), top)
    return as_bits(A.op("xor", A.cast(mean, plain), flip), type)


# Floats --------------------------------------------------------------------------------------------------------------


@rule("fma", "fmin", "fmax", "copysign")
def _float_op(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, float_join(args), operation(call.op))


@rule("floor", "ceil", "trunc", "round")
def _whole(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    kind = args[0].kind
    if kind is not Weak.FLOAT and not (isinstance(kind, Type) and kind.is_float):
        return args[0]
    fold = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint}[call.op]
    return lift(args, kind, operation(call.op), fold=lambda a: quiet(fold, a))


_NUMPY: dict[str, Any] = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh",
}  # fmt: skip


@rule("sqrt", "rsqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "hypot", "sin", "cos", "tan",
      "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf")  # fmt: skip
def _float_function(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, float_join(args), operation(call.op), fold=lambda *numbers: _number_function(call.op, *numbers))


def _number_function(name: str, *numbers: Any) -> float:
    if name == "erf":
        return math.erf(numbers[0])
    if name == "rsqrt":
        return quiet(lambda x: 1 / np.sqrt(x), *numbers)
    return quiet(getattr(np, _NUMPY.get(name, name)), *numbers)


@rule("isnan", "isinf", "isfinite")
def _classify(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    type = resolve(args[0])
    if args[0].is_constant:
        return weak(bool(getattr(np, call.op)(float(args[0].number))))
    if not type.is_float:
        return data(Const(int(call.op == "isfinite"), bool_))
    return data_op(call, args, type, bool_)


# At run time ---------------------------------------------------------------------------------------------------------


@rule("random_u32", "random_i32", "random_f32")
def _random(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    seeds = tuple(as_index(a) for a in args)
    drawn: Expr = Op("random", (*stage.coordinates, *seeds), u32, stage.stream(bool(seeds)))
    if call.op == "random_i32":
        return data(as_bits(drawn, i32))
    if call.op == "random_u32":
        return data(drawn)
    # 23 random bits of mantissa under the exponent of 1: uniform in [1, 2)
    mantissa = A.op("or", A.op("shr", drawn, number(9, u32)), number(0x3F800000, u32))
    return data(A.op("sub", as_bits(mantissa, f32), number(1.0, f32)))


def _message(pieces: tuple[str | None, ...]) -> str:
    """The text of a message, {} for each value in it."""
    return " ".join("{}" if p is None else p.replace("{", "{{").replace("}", "}}") for p in pieces)


@rule("print")
def _print(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    shown = tuple(convert(a, resolve(a)) for a in args)
    return data(Op("print", shown, shown[0].type, _message((None, *call.data))))


@rule("require")
def _require(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    condition, message = as_bool(args[0]), _message(call.data)
    if is_true(condition) or (len(args) == 2 and stage.require(condition, message)):
        return args[1]
    shown = tuple(convert(a, resolve(a)) for a in args[1:])
    return data(Op("require", (condition, *shown), shown[0].type, (message, call.loc)))


@rule("expect")
def _expect(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    """What is bound to an input has the type that the input is annotated with."""
    type, name = call.data
    if args[0].kind is not type:
        raise TypeMismatchError(f"{name} is annotated {type!r}, and what is bound to it is {args[0].kind!r}")
    return args[0]
