"""What every operator and function of the language means: one rule a name, from typed operands to a typed value.

A rule is `rule(stage, call, args) -> Value`; `stage` is the `Stage` being typed, `call` the surface node.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..errors import TypeMismatchError
from ..ir import algebra as A
from ..ir.expr import Const, Expr, Op, Read, Var, children
from ..ir.surface import Call
from ..types import Type, as_type, bool_, f32, f64, i32, i64, index
from .promotion import (
    Kind,
    Value,
    Weak,
    as_bool,
    as_index,
    convert,
    counted,
    data,
    float_kind,
    join,
    number,
    resolve,
    weak,
)

__all__ = ["MOVES", "RULES", "Stage"]


class Stage(Protocol):
    """What rules may know of the definition they are in."""

    fma: bool
    fast: bool  # floats may round otherwise

    @property
    def coordinates(self) -> tuple[Var, ...]: ...

    def stream(self, seeded: bool) -> int: ...

    def require(self, condition: Expr, message: str) -> bool: ...


Rule = Callable[[Stage, Call, tuple[Value, ...]], Value]
Build = Callable[..., Expr]
RULES: dict[str, Rule] = {}
MOVES = frozenset({"select", "cast", "reinterpret", "expect"})  # take values of types that only store as they are


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(f: Rule) -> Rule:
        RULES.update((n, f) for n in names)
        return f

    return register


def lift(args: tuple[Value, ...], kind: Kind, build: Build, reading: Build | None = None,
         fold: Callable[..., Any] | None = None) -> Value:  # fmt: skip
    """`build` on `args` converted to `kind`; `reading` is the same on mathematical integers, `fold` on numbers."""
    if fold is not None and all(a.is_constant for a in args):
        return weak(fold(*(a.number for a in args)))
    if isinstance(kind, Type):
        return data(build(*(convert(a, kind) for a in args)), _reading(args, kind, reading))
    if kind is Weak.FLOAT:
        return Value(kind, make=lambda t: build(*(convert(a, t) for a in args)))
    expr = build(*(convert(a, i32) for a in args))
    as_integer = A.cast(expr, index) if reading is None else reading(*map(as_index, args))
    if kind is Weak.INDEX:
        return Value(kind, expr, as_integer)
    return Value(kind, index=as_integer, make=lambda t: build(*(convert(a, t) for a in args)))


def _reading(args: tuple[Value, ...], kind: Type, reading: Build | None) -> Expr | None:
    """Of data as a mathematical integer: what is made of parameters, and sums of index variables with data."""
    if reading is None or not kind.is_int:
        return None
    moving = [a for a in args if not isinstance(a.index, Const)]
    known = [a for a in moving if a.index is not None]
    if len(known) < len(moving) and not (known and kind in (i32, i64)):
        return None
    return reading(*map(as_index, args))


def operation(name: str) -> Build:
    return lambda *args: A.op(name, *args)


# Arithmetic ----------------------------------------------------------------------------------------------------------


def contracted(stage: Stage, name: str) -> Build:
    """`+` or `-`; of f32 and f64 with a product beside it, one fma: `a*b + c*d` is fma(a, b, c*d)."""

    def build(a: Expr, b: Expr) -> Expr:
        if stage.fma and a.type in (f32, f64):
            if _is_product(a):
                return Op("fma", (*a.args, b if name == "add" else A.neg(b)), a.type)  # type: ignore[attr-defined]  # a product is an Op
            if _is_product(b):
                x, y = b.args  # type: ignore[attr-defined]  # a product is an Op
                return Op("fma", (x if name == "add" else A.neg(x), y, a), a.type)
        return A.op(name, a, b)

    return build


def _is_product(e: Expr) -> bool:
    return isinstance(e, Op) and e.name == "mul"


def arithmetic(args: tuple[Value, ...]) -> Kind:
    kind = counted(args[0].kind)
    for a in args[1:]:
        kind = join(kind, counted(a.kind))
    return counted(kind)


@rule("add")
def add(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, arithmetic(args), contracted(stage, "add"), A.add, operator.add)


@rule("sub")
def subtract(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, arithmetic(args), contracted(stage, "sub"), A.sub, operator.sub)


@rule("mul")
def multiply(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, arithmetic(args), A.mul, A.mul, operator.mul)


@rule("floordiv")
def _floordiv(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, arithmetic(args), operation("floordiv"), A.floordiv, _number_floordiv)


@rule("mod")
def _mod(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, arithmetic(args), operation("mod"), A.mod, _number_mod)


def _number_floordiv(a: Any, b: Any) -> Any:
    if isinstance(a, float) or isinstance(b, float):
        return quiet(np.floor_divide, a, b)
    return a // b if b else 0


def _number_mod(a: Any, b: Any) -> Any:
    if isinstance(a, float) or isinstance(b, float):
        return quiet(np.mod, a, b)
    return a % b if b else 0


def quiet(f: Callable[..., Any], *numbers: Any) -> float:
    with np.errstate(all="ignore"):
        return float(f(*(np.float64(x) for x in numbers)))


@rule("neg")
def _neg(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, arithmetic(args), A.neg, A.neg, operator.neg)


@rule("abs")
def _abs(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    def magnitude(e: Expr) -> Expr:
        return e if e.type.kind == "uint" else A.op("abs", e)

    return lift(args, arithmetic(args), magnitude, lambda e: A.maximum(e, A.neg(e)), abs)


@rule("square")
def _square(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return multiply(stage, call, (*args, *args))


def float_join(args: tuple[Value, ...]) -> Kind:
    """The float that the operands of `/` or of a float function meet in: theirs, or each integer's own."""
    kinds = [counted(a.kind) for a in args]
    if not any(isinstance(k, Type) and k.is_float for k in kinds):
        kinds = [float_kind(k) for k in kinds]
    kind = kinds[0]
    for k in kinds[1:]:
        kind = join(kind, k)
    return kind


@rule("div")
def _div(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    build = _scaled if stage.fast else operation("div")
    return lift(args, float_join(args), build, fold=lambda a, b: quiet(np.divide, a, b))


def _scaled(a: Expr, b: Expr) -> Expr:
    """`a / c` as a product with the constant 1/c, which rounds once more."""
    if (
        isinstance(b, Const)
        and b.value
        and abs(b.value) < 2.0**100
        and abs(b.value) > 2.0**-100
        and b.type in (f32, f64)
    ):
        return A.op("mul", a, Const(1.0 / b.value if b.type is f64 else float(np.float32(1.0 / b.value)), b.type))
    return A.op("div", a, b)


@rule("pow")
def _pow(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    base, exponent = args
    kind, n = arithmetic(args), exponent.number
    whole = isinstance(n, int)
    if base.is_constant and exponent.is_constant:
        return weak(_number_pow(base.number, n))
    if kind is Weak.FLOAT or (isinstance(kind, Type) and kind.is_float):
        if whole and -1 <= n <= 8:
            one = counted(base.kind)
            power = lift((base,), float_kind(one) if n == -1 else one, lambda e: _power(e, abs(n), number(1, e.type)))
            return power if n >= 0 else _div(stage, call, (weak(1.0), power))
        return lift(args, float_join(args), operation("pow"))
    if whole and n < 0:
        raise TypeMismatchError("an integer to a negative power", hint="convert it to a float: halo.f32(...) ** n")
    if whole:
        return lift((base,), counted(base.kind), lambda e: _power(e, n, number(1, e.type)),
                    lambda e: _power(e, n, Const(1, index)))  # fmt: skip
    return lift(args, kind, _integer_power)


def _number_pow(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and b >= 0:
        return a**b
    return quiet(np.power, a, b)


def _power(e: Expr, n: int, one: Expr) -> Expr:
    """`e**n` by repeated squaring."""
    result = one
    while n:
        if n & 1:
            result = e if result is one else A.mul(result, e)
        n >>= 1
        if n:
            e = A.mul(e, e)
    return result


def _integer_power(base: Expr, exponent: Expr) -> Expr:
    """Wrapping; a negative exponent gives the truncated quotient: 0, but for bases 1 and -1."""
    type = base.type
    one, zero = number(1, type), number(0, type)
    result: Expr = one
    square = base
    for bit in range(type.bits):
        odd = A.op("ne", A.op("and", A.op("shr", exponent, number(bit, type)), one), zero, type=bool_)
        result = A.select(odd, A.mul(result, square), result)
        square = A.mul(square, square)
    if type.kind == "uint":
        return result
    parity = A.op("ne", A.op("and", exponent, one), zero, type=bool_)
    of_minus_one = A.select(parity, number(-1, type), one)
    is_one, is_minus = A.op("eq", base, one, type=bool_), A.op("eq", base, number(-1, type), type=bool_)
    negative = A.select(is_one, one, A.select(is_minus, of_minus_one, zero))
    return A.select(A.op("lt", exponent, zero, type=bool_), negative, result)


# Bits ----------------------------------------------------------------------------------------------------------------


def integers(args: tuple[Value, ...], call: Call, kind: Kind) -> Kind:
    if kind is Weak.FLOAT or (isinstance(kind, Type) and kind.is_float):
        raise TypeMismatchError(f"{call.op} is of integers, not of {kind!r}", hint="halo.i32(...) converts")
    return kind


def _bitwise(name: str, fold: Callable[[Any, Any], Any]) -> Rule:
    def apply(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
        kind = integers(args, call, join(args[0].kind, args[1].kind))
        reading = _masked if name == "and" and any(_mask(a) is not None for a in args) else None
        return lift(args, kind, operation(name), reading, fold)

    return apply


def _mask(value: Value) -> int | None:
    """n where `value` is the constant n - 1, n a power of two."""
    n = value.number
    return n + 1 if isinstance(n, int) and not isinstance(n, bool) and n >= 0 and n & (n + 1) == 0 else None


def _masked(a: Expr, b: Expr) -> Expr:
    if isinstance(a, Const):
        a, b = b, a
    return A.mod(a, A.add(b, Const(1, index)))


RULES["and"] = _bitwise("and", operator.and_)
RULES["or"] = _bitwise("or", operator.or_)
RULES["xor"] = _bitwise("xor", operator.xor)


@rule("not")
def _not(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return lift(args, integers(args, call, args[0].kind), lambda e: A.op("not", e), None,
                lambda n: not n if isinstance(n, bool) else ~n)  # fmt: skip


@rule("shl", "shr")
def _shift(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    kind, n = integers(args, call, arithmetic(args)), args[1].number
    reading = None
    if isinstance(n, int) and 0 <= n < 31:
        scale = Const(1 << n, index)
        reading = lambda e, _: A.mul(e, scale) if call.op == "shl" else A.floordiv(e, scale)  # noqa: E731  (beside another one)
    return lift(args, kind, operation(call.op), reading, _number_shift[call.op])


def _left(a: int, n: int) -> int:
    return a << n if n >= 0 else a >> -n


_number_shift = {"shl": _left, "shr": lambda a, n: _left(a, -n)}


@rule("popcount", "clz", "ctz")
def _count_bits(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return data_op(call, args, integers(args, call, arithmetic(args)))


def settled(kind: Kind) -> Type:
    """`kind`, where nothing else decides what is weak."""
    return kind if isinstance(kind, Type) else resolve(Value(kind))


def data_op(call: Call, args: tuple[Value, ...], kind: Kind, result: Type | None = None) -> Value:
    type = settled(kind)
    return data(A.op(call.op, *(convert(a, type) for a in args), type=result or type))


@rule("reinterpret")
def _reinterpret(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    type, source = call.data, resolve(args[0])
    if type.is_bool or source.is_bool or type.bits != source.bits:
        raise TypeMismatchError(f"{source!r} and {type!r} differ in width", hint="halo.extract_bits, halo.concat_bits")
    return data(as_bits(convert(args[0], source), type))


def as_bits(e: Expr, type: Type) -> Expr:
    return e if e.type is type else A.op("reinterpret", e, type=type)


def unsigned(type: Type) -> Type:
    return as_type(f"u{type.bits}")


@rule("extract_bits")
def _extract_bits(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    source, type = resolve(args[0]), call.data
    if type.is_bool or source.is_bool or type.bits > source.bits:
        raise TypeMismatchError(f"{type!r} has more bits than {source!r}")
    whole = as_bits(convert(args[0], source), unsigned(source))
    part = A.op("shr", whole, convert(args[1], whole.type))
    return data(as_bits(A.cast(part, unsigned(type)), type))


@rule("concat_bits")
def _concat_bits(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    type = resolve(args[0])
    if len(args) not in (1, 2, 4, 8) or type.is_bool or type.bits * len(args) > 64:
        raise TypeMismatchError(f"concat_bits makes at most 64 bits of 1, 2, 4 or 8 parts, not {len(args)} of {type!r}")
    wide = as_type(f"u{type.bits * len(args)}")
    total: Expr = number(0, wide)
    for k, a in enumerate(args):
        if resolve(a) is not type:
            raise TypeMismatchError(f"concat_bits takes parts of one type, not {type!r} and {resolve(a)!r}")
        part = A.cast(as_bits(convert(a, type), unsigned(type)), wide)
        total = A.op("or", total, A.op("shl", part, number(k * type.bits, wide)))
    return data(total)


# Comparison and choice -----------------------------------------------------------------------------------------------

_ON_BOOL: dict[str, Build] = {
    "eq": lambda a, b: A.not_(A.op("xor", a, b)),
    "ne": lambda a, b: A.op("xor", a, b),
    "lt": lambda a, b: A.and_(A.not_(a), b),
    "le": lambda a, b: A.or_(A.not_(a), b),
}
_ON_INDEX: dict[str, Build] = {"eq": A.eq, "ne": A.ne, "lt": A.lt, "le": A.le}


@rule("eq", "ne", "lt", "le", "gt", "ge")
def _compare(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    a, b = args
    if a.is_constant and b.is_constant:
        return weak(bool(getattr(operator, call.op)(a.number, b.number)))
    name = {"gt": "lt", "ge": "le"}.get(call.op, call.op)
    if name != call.op:
        a, b = b, a
    kind = join(a.kind, b.kind)
    whole = kind is not Weak.FLOAT and not (isinstance(kind, Type) and not kind.is_int)
    if whole and a.index is not None and b.index is not None:
        return data(_ON_INDEX[name](a.index, b.index))
    type = settled(kind)
    left, right = convert(a, type), convert(b, type)
    return data(_ON_BOOL[name](left, right) if type is bool_ else A.op(name, left, right, type=bool_))


@rule("min", "max")
def _extremum(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    reading = A.minimum if call.op == "min" else A.maximum
    return lift(args, join(args[0].kind, args[1].kind), operation(call.op), reading, min if call.op == "min" else max)


@rule("clamp")
def _clamp(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    kind = join(join(args[0].kind, args[1].kind), args[2].kind)
    return lift(args, kind, lambda e, lo, hi: A.op("min", A.op("max", e, lo), hi),
                lambda e, lo, hi: A.minimum(A.maximum(e, lo), hi), lambda e, lo, hi: min(max(e, lo), hi))  # fmt: skip


@rule("select")
def _select(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    given, then, other = args
    condition = as_bool(given)
    hint = call.args[0]
    kind = then.kind if then.kind is other.kind else join(then.kind, other.kind)
    if isinstance(hint, Call) and hint.op == "likely":
        return lift((other, then), kind, lambda b, a: A.rare(A.not_(condition), b, a),
                    lambda b, a: A.rare(A.not_(condition), b, a))  # fmt: skip
    choose = lambda a, b: A.select(condition, a, b)  # noqa: E731  (beside another one)
    return lift((then, other), kind, choose, choose)


@rule("likely")
def _likely(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return data(as_bool(args[0]))


@rule("land", "lor")
def _logical(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    """Python's `and`, `or`: the right operand is needed only where the left one does not decide."""
    a, b = args
    if not (_is_bool(a) and _is_bool(b)):
        then, other = (b, a) if call.op == "land" else (a, b)
        choose = lambda x, y: A.select(as_bool(a), x, y)  # noqa: E731  (beside another one)
        return lift((then, other), join(a.kind, b.kind), choose, choose)
    x, y = as_bool(a), as_bool(b)
    if _reads(y):
        return data(A.select(x, y, A.false()) if call.op == "land" else A.select(x, A.true(), y))
    return data(A.and_(x, y) if call.op == "land" else A.or_(x, y))


def _is_bool(value: Value) -> bool:
    return value.kind is bool_ or value.kind is Weak.BOOL


def _reads(e: Expr) -> bool:
    seen, stack = {e}, [e]
    while stack:
        e = stack.pop()
        if isinstance(e, Read):
            return True
        new = [c for c in children(e) if c not in seen]
        seen.update(new)
        stack.extend(new)
    return False


@rule("lnot")
def _lnot(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    return weak(not args[0].number) if args[0].is_constant else data(A.not_(as_bool(args[0])))


# Conversion ----------------------------------------------------------------------------------------------------------


@rule("cast")
def _cast(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    (value,), type = args, call.data
    if type.is_bool:
        return data(as_bool(value))
    if value.kind is Weak.FLOAT and not type.is_float:
        return data(A.cast(convert(value, f64 if value.is_constant else f32), type))
    integral = type.is_int and value.index is not None
    exact = integral and (value.is_constant or lossless_integer(value.kind, type))
    return data(convert(value, type), value.index if exact else None)


def lossless_integer(kind: Kind, type: Type) -> bool:
    source = settled(kind)
    return source.is_bool or (source.is_int and type.min <= source.min and source.max <= type.max)


@rule("saturate")
def _saturate(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    (value,), type = args, call.data
    if value.is_constant and type.is_int and isinstance(value.number, int):
        return data(number(min(max(value.number, type.min), type.max), type))
    source = resolve(value)
    expr = convert(value, source)
    if source.is_int and type.is_int:
        lo, hi = max(source.min, type.min), min(source.max, type.max)
        if lo > source.min:
            expr = A.op("max", expr, number(lo, source))
        if hi < source.max:
            expr = A.op("min", expr, number(hi, source))
    elif type.is_stored and type.is_float:
        expr = A.cast(expr, f32)
        expr = A.op("min", A.op("max", expr, number(type.min, f32)), number(type.max, f32))
    return data(as_bool(value) if type.is_bool else A.cast(expr, type))
