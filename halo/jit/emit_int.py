"""Operations on integers and booleans. None of them traps or is undefined on any input.

Each emitter gets the function, the node and its operands, and gives the operand that holds the result.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.expr import Op
from .emit_function import Function, register_type, vec
from .emit_vector import constant_of

__all__ = ["OPS"]

Emitter = Callable[[Function, Op, list[str]], str]


def _signed(e: Op) -> bool:
    return e.args[0].type.kind == "int"


def _binary(name: str, wraps: bool = False) -> Emitter:
    """The instruction `name`; where it `wraps`, `index` values are promised not to."""

    def emitter(f: Function, e: Op, a: list[str]) -> str:
        flag = " nsw" if wraps and e.type.name == "index" else ""
        return f.new(f"{name}{flag} {register_type(e)} {a[0]}, {a[1]}")

    return emitter


def _intrinsic(signed: str, unsigned: str, extra: str = "") -> Emitter:
    """A call of `llvm.<signed>` or `llvm.<unsigned>` on all operands."""

    def emitter(f: Function, e: Op, a: list[str]) -> str:
        type, name = register_type(e), signed if _signed(e) else unsigned
        return f.new(f"call {type} @llvm.{name}({', '.join(f'{type} {x}' for x in a)}{extra})")

    return emitter


def _compare(signed: str, unsigned: str) -> Emitter:
    def emitter(f: Function, e: Op, a: list[str]) -> str:
        return f.new(f"icmp {signed if _signed(e) else unsigned} {register_type(e.args[0])} {a[0]}, {a[1]}")

    return emitter


def _neg(f: Function, e: Op, a: list[str]) -> str:
    flag = " nsw" if e.type.name == "index" else ""
    return f.new(f"sub{flag} {register_type(e)} {f.constant(0, e)}, {a[0]}")


def _not(f: Function, e: Op, a: list[str]) -> str:
    return f.new(f"xor {register_type(e)} {a[0]}, {f.constant(1 if e.type.is_bool else -1, e)}")


def _abs(f: Function, e: Op, a: list[str]) -> str:
    return f.new(f"call {(t := register_type(e))} @llvm.abs({t} {a[0]}, i1 false)") if _signed(e) else a[0]


# -- division --------------------------------------------------------------------------------------------------------


def _floordiv(f: Function, e: Op, a: list[str]) -> str:
    by = constant_of(e.args[1])
    if by is not None:
        return _divide_by(f, e, a[0], int(by))
    zero = f.new(f"icmp eq {register_type(e)} {a[1]}, {f.constant(0, e)}")
    quotient, _ = _divmod(f, e, a[0], a[1], zero)
    return _choose(f, e, zero, f.constant(0, e), quotient)


def _mod(f: Function, e: Op, a: list[str]) -> str:
    by = constant_of(e.args[1])
    if by is not None:
        return _modulo(f, e, a[0], int(by))
    zero = f.new(f"icmp eq {register_type(e)} {a[1]}, {f.constant(0, e)}")
    return _divmod(f, e, a[0], a[1], zero)[1]


def _divide_by(f: Function, e: Op, a: str, by: int) -> str:
    """Forms that LLVM turns into multiplications: floor(a / by) is ~(~a / by) where a is negative."""
    type = register_type(e)
    if by == 0:
        return f.constant(0, e)
    if not _signed(e):
        return f.new(f"udiv {type} {a}, {f.constant(by, e)}")
    if by < 0:
        return _divmod(f, e, a, f.constant(by, e), None)[0]
    if by & (by - 1) == 0:
        return f.new(f"ashr {type} {a}, {f.constant(by.bit_length() - 1, e)}")
    sign = f.new(f"ashr {type} {a}, {f.constant(e.type.bits - 1, e)}")
    positive = f.new(f"xor {type} {a}, {sign}")
    quotient = f.new(f"udiv {type} {positive}, {f.constant(by, e)}")
    return f.new(f"xor {type} {quotient}, {sign}")


def _modulo(f: Function, e: Op, a: str, by: int) -> str:
    type = register_type(e)
    if by == 0:
        return f.constant(0, e)
    if by > 0 and by & (by - 1) == 0:
        return f.new(f"and {type} {a}, {f.constant(by - 1, e)}")
    if not _signed(e):
        return f.new(f"urem {type} {a}, {f.constant(by, e)}")
    whole = f.new(f"mul {type} {_divide_by(f, e, a, by)}, {f.constant(by, e)}")
    return f.new(f"sub {type} {a}, {whole}")


def _divmod(f: Function, e: Op, a: str, b: str, zero: str | None) -> tuple[str, str]:
    """Flooring quotient and remainder; the quotient is `a` where `zero` says that `b` is 0, the remainder 0."""
    type, none = register_type(e), f.constant(0, e)
    bad = zero
    if _signed(e):
        least = f.new(f"icmp eq {type} {a}, {f.constant(e.type.min, e)}")
        minus = f.new(f"icmp eq {type} {b}, {f.constant(-1, e)}")
        bad = f.new(f"and {vec('i1', e.lanes)} {least}, {minus}")  # MIN // 1 is what MIN // -1 wraps to
        bad = f.new(f"or {vec('i1', e.lanes)} {zero}, {bad}") if zero else bad
    by = _choose(f, e, bad, f.constant(1, e), b) if bad else b
    quotient = _quotient(f, e, a, by)
    rest = f.new(f"sub {type} {a}, {f.new(f'mul {type} {quotient}, {by}')}")
    if not _signed(e):
        return quotient, rest
    differ = f.new(f"icmp slt {type} {f.new(f'xor {type} {rest}, {by}')}, {none}")
    inexact = f.new(f"icmp ne {type} {rest}, {none}")
    low = f.new(f"and {vec('i1', e.lanes)} {differ}, {inexact}")
    one = f.new(f"zext {vec('i1', e.lanes)} {low} to {type}")
    floor = f.new(f"sub {type} {quotient}, {one}")
    return floor, f.new(f"add {type} {rest}, {_choose(f, e, low, by, none)}")


def _quotient(f: Function, e: Op, a: str, b: str) -> str:
    """a / b truncated, b not 0. There is no vector division of integers: floats of twice the digits do it exactly."""
    type, sign = register_type(e), "s" if _signed(e) else "u"
    if e.lanes == 1 or e.type.bits > 32:
        return f.new(f"{sign}div {type} {a}, {b}")
    wide = vec("float" if e.type.bits <= 16 else "double", e.lanes)
    x, y = (f.new(f"{sign}itofp {type} {v} to {wide}") for v in (a, b))
    return f.new(f"fpto{sign}i {wide} {f.new(f'fdiv {wide} {x}, {y}')} to {type}")


def _choose(f: Function, e: Op, cond: str, then: str, other: str) -> str:
    type = register_type(e)
    return f.new(f"select {vec('i1', e.lanes)} {cond}, {type} {then}, {type} {other}")


# -- shifts ----------------------------------------------------------------------------------------------------------


def _shl(f: Function, e: Op, a: list[str]) -> str:
    return _shift(f, e, a, left=True)


def _shr(f: Function, e: Op, a: list[str]) -> str:
    return _shift(f, e, a, left=False)


def _shift(f: Function, e: Op, a: list[str], left: bool) -> str:
    by = constant_of(e.args[1])
    if by is not None:
        return _shift_by(f, e, a[0], int(by) if left else -int(by))
    if not _signed(e):
        return _up(f, e, a[0], a[1]) if left else _down(f, e, a[0], a[1])
    type = register_type(e)
    back = f.new(f"icmp slt {type} {a[1]}, {f.constant(0, e)}")
    opposite = f.new(f"sub {type} {f.constant(0, e)}, {a[1]}")
    up = _up(f, e, a[0], a[1] if left else opposite)
    down = _down(f, e, a[0], opposite if left else a[1])
    return _choose(f, e, back, down, up) if left else _choose(f, e, back, up, down)


def _shift_by(f: Function, e: Op, a: str, n: int) -> str:
    """`a` shifted left by the constant `n`, right where it is negative."""
    type, bits = register_type(e), e.type.bits
    if n >= 0:
        return f.new(f"shl {type} {a}, {f.constant(n, e)}") if n < bits else f.constant(0, e)
    if _signed(e):
        return f.new(f"ashr {type} {a}, {f.constant(min(-n, bits - 1), e)}")
    return f.new(f"lshr {type} {a}, {f.constant(-n, e)}") if -n < bits else f.constant(0, e)


def _up(f: Function, e: Op, a: str, n: str) -> str:
    type = register_type(e)
    fits = f.new(f"icmp ult {type} {n}, {f.constant(e.type.bits, e)}")
    return _choose(f, e, fits, f.new(f"shl {type} {a}, {n}"), f.constant(0, e))


def _down(f: Function, e: Op, a: str, n: str) -> str:
    type = register_type(e)
    if _signed(e):
        most = f.new(f"call {type} @llvm.umin({type} {n}, {type} {f.constant(e.type.bits - 1, e)})")
        return f.new(f"ashr {type} {a}, {most}")
    fits = f.new(f"icmp ult {type} {n}, {f.constant(e.type.bits, e)}")
    return _choose(f, e, fits, f.new(f"lshr {type} {a}, {n}"), f.constant(0, e))


# -- the rest --------------------------------------------------------------------------------------------------------


def _absd(f: Function, e: Op, a: list[str]) -> str:
    """The distance; between far signed numbers it wraps, so that read as unsigned it is exact."""
    type, s = register_type(e), "s" if _signed(e) else "u"
    high, low = (f.new(f"call {type} @llvm.{s}{m}({type} {a[0]}, {type} {a[1]})") for m in ("max", "min"))
    return f.new(f"sub {type} {high}, {low}")


def _average(f: Function, e: Op, a: list[str], up: bool) -> str:
    type, shift = register_type(e), "ashr" if _signed(e) else "lshr"
    common = f.new(f"{'or' if up else 'and'} {type} {a[0]}, {a[1]}")
    half = f.new(f"{shift} {type} {f.new(f'xor {type} {a[0]}, {a[1]}')}, {f.constant(1, e)}")
    return f.new(f"{'sub' if up else 'add'} {type} {common}, {half}")


def _avg_up(f: Function, e: Op, a: list[str]) -> str:
    return _average(f, e, a, up=True)


def _avg_down(f: Function, e: Op, a: list[str]) -> str:
    return _average(f, e, a, up=False)


def _mul_high(f: Function, e: Op, a: list[str]) -> str:
    type, bits = register_type(e), e.type.bits
    wide, extend = vec(f"i{2 * bits}", e.lanes), "sext" if _signed(e) else "zext"
    x, y = (f.new(f"{extend} {type} {v} to {wide}") for v in a)
    shift = str(bits) if e.lanes == 1 else f"splat (i{2 * bits} {bits})"
    product = f.new(f"mul {wide} {x}, {y}")
    return f.new(f"trunc {wide} {f.new(f'lshr {wide} {product}, {shift}')} to {type}")


OPS: dict[str, Emitter] = {
    "add": _binary("add", wraps=True), "sub": _binary("sub", wraps=True), "mul": _binary("mul", wraps=True),
    "and": _binary("and"), "or": _binary("or"), "xor": _binary("xor"), "not": _not, "neg": _neg, "abs": _abs,
    "min": _intrinsic("smin", "umin"), "max": _intrinsic("smax", "umax"),
    "eq": _compare("eq", "eq"), "ne": _compare("ne", "ne"), "lt": _compare("slt", "ult"), "le": _compare("sle", "ule"),
    "floordiv": _floordiv, "mod": _mod, "shl": _shl, "shr": _shr,
    "popcount": _intrinsic("ctpop", "ctpop"), "clz": _intrinsic("ctlz", "ctlz", ", i1 false"),
    "ctz": _intrinsic("cttz", "cttz", ", i1 false"),
    "absd": _absd, "avg_up": _avg_up, "avg_down": _avg_down, "mul_high": _mul_high,
    "sat_add": _intrinsic("sadd.sat", "uadd.sat"), "sat_sub": _intrinsic("ssub.sat", "usub.sat"),
}  # fmt: skip
