"""Conversions between types, and between registers and memory for the types that are stored otherwise.

f16 and bf16 live in f32 registers. Wherever a value of theirs is made it is rounded (to nearest even), so that
storing is exact.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.expr import Cast, Op
from ..types import Type, f32, f64
from .emit_function import MEMORY, REGISTER, Function, vec
from .emit_vector import pick, widen

__all__ = ["cast", "pack", "reinterpret", "round_to", "unpack"]


def cast(f: Function, e: Cast, v: str) -> str:
    """`v` converted: integers wrap, floats to integers truncate and saturate, anything to bool_ is `!= 0`."""
    source, target, n = e.value.type, e.type, e.lanes
    if source is target:
        return v
    if target.is_bool:
        return _truth(f, source, n, v)
    if source.is_float:
        return _float_to_float(f, source, target, n, v) if target.is_float else _float_to_int(f, source, target, n, v)
    return _int_to_float(f, source, target, n, v) if target.is_float else _int_to_int(f, source, target, n, v)


def _convert(f: Function, instruction: str, source: str, target: str, n: int, v: str) -> str:
    return f.new(f"{instruction} {vec(source, n)} {v} to {vec(target, n)}")


def _truth(f: Function, t: Type, n: int, v: str) -> str:
    type = vec(REGISTER[t.name], n)
    return f.new(f"{'fcmp une' if t.is_float else 'icmp ne'} {type} {v}, {_zero(t, n)}")


def _zero(t: Type, n: int) -> str:
    return "zeroinitializer" if n > 1 else "0.0" if t.is_float else "0"


def _int_to_int(f: Function, source: Type, target: Type, n: int, v: str) -> str:
    a, b = REGISTER[source.name], REGISTER[target.name]
    if a == b:
        return v
    if source.bits > target.bits:
        if n == 3:  # LLVM 22 cannot make i8 of three i64 on AArch64
            four = _convert(f, "trunc", a, b, 4, widen(f, a, v, 3, 4))
            return pick(f, b, 4, four, "poison", range(3))
        return _convert(f, "trunc", a, b, n, v)
    return _convert(f, "sext" if source.kind == "int" else "zext", a, b, n, v)


def _int_to_float(f: Function, source: Type, target: Type, n: int, v: str) -> str:
    instruction = "sitofp" if source.kind == "int" else "uitofp"
    result = _convert(f, instruction, REGISTER[source.name], REGISTER[target.name], n, v)
    return result if source.bits <= 8 else round_to(f, target, n, result)


def _float_to_int(f: Function, source: Type, target: Type, n: int, v: str) -> str:
    """Clamped, then converted. (LLVM writes its saturating conversion of a vector out lane by lane.)"""
    a, b, signed = REGISTER[source.name], REGISTER[target.name], target.kind == "int"
    type, wide = f64 if a == "double" else f32, vec(a, n)

    def choose(condition: str, x: str, limit: float) -> str:
        k = _literal(f, limit, type, n)
        return f.new(f"select {vec('i1', n)} {f.new(f'fcmp {condition} {wide} {x}, {k}')}, {wide} {x}, {wide} {k}")

    digits, whole = (53 if type is f64 else 24), target.bits - signed
    x = choose("ord", v, 0.0) if signed else v
    x = choose("ogt", x, float(target.min))  # of an unsigned type this sees to NaN as well
    if whole <= digits:
        return _convert(f, f"fpto{'s' if signed else 'u'}i", a, b, n, choose("olt", x, float(target.max)))
    over = f.new(f"fcmp oge {wide} {v}, {_literal(f, 2.0**whole, type, n)}")
    largest = 2.0**whole - 2.0 ** (whole - digits)
    result = _convert(f, f"fpto{'s' if signed else 'u'}i", a, b, n, choose("olt", x, largest))
    most = _constants(b, n)(int(target.max) if signed else -1)
    return f.new(f"select {vec('i1', n)} {over}, {vec(b, n)} {most}, {vec(b, n)} {result}")


def _float_to_float(f: Function, source: Type, target: Type, n: int, v: str) -> str:
    if target.bits == 64:
        return _convert(f, "fpext", "float", "double", n, v)
    if source.bits == 64:
        if target.name == "f16":
            v = _to_odd(f, n, v)
        v = _convert(f, "fptrunc", "double", "float", n, v)
    return round_to(f, target, n, v)


def _to_odd(f: Function, n: int, v: str) -> str:
    """A double cut to f32's digits with the last one set if anything was lost: rounding it again is exact."""
    bits = _convert(f, "bitcast", "double", "i64", n, v)
    type, k = vec("i64", n), _constants("i64", n)
    lost = f.new(f"icmp ne {type} {f.new(f'and {type} {bits}, {k(2**29 - 1)}')}, {k(0)}")
    sticky = f.new(f"shl {type} {_convert(f, 'zext', 'i1', 'i64', n, lost)}, {k(29)}")
    kept = f.new(f"and {type} {bits}, {k(-(2**29))}")
    return _convert(f, "bitcast", "i64", "double", n, f.new(f"or {type} {kept}, {sticky}"))


def _constants(scalar: str, n: int) -> Callable[[int], str]:
    """Integer constants of one type: `k(5)` is `5`, or a splat of it."""
    return str if n == 1 else lambda value: f"splat ({scalar} {value})"


# -- f16 and bf16 ----------------------------------------------------------------------------------------------------


def round_to(f: Function, t: Type, n: int, v: str) -> str:
    """The f32 value `v` rounded to what `t` can hold; for f32 and f64 it is `v`."""
    if t.name == "bf16":
        return _nearest(f, n, v, 16)
    if t.name != "f16":
        return v
    if f.module.target.has_f16:
        return _convert(f, "fpext", "half", "float", n, _convert(f, "fptrunc", "float", "half", n, v))
    return _round_half(f, n, v)


def _nearest(f: Function, n: int, v: str, drop: int) -> str:
    """`v` rounded to nearest even with `drop` digits fewer; every NaN becomes the quiet one."""
    type, k = vec("i32", n), _constants("i32", n)
    bits = _convert(f, "bitcast", "float", "i32", n, v)
    odd = f.new(f"and {type} {f.new(f'lshr {type} {bits}, {k(drop)}')}, {k(1)}")
    up = f.new(f"add {type} {f.new(f'add {type} {bits}, {k(2 ** (drop - 1) - 1)}')}, {odd}")
    kept = f.new(f"and {type} {up}, {k(-(2**drop))}")
    nan = f.new(f"fcmp uno {vec('float', n)} {v}, {v}")
    bits = f.new(f"select {vec('i1', n)} {nan}, {type} {k(0x7FC00000)}, {type} {kept}")
    return _convert(f, "bitcast", "i32", "float", n, bits)


def _round_half(f: Function, n: int, v: str) -> str:
    """Rounding to f16 where the machine has no instruction for it: below its normal range by adding and taking away
    1/2, whose last digit is the smallest f16; above its largest to infinity."""
    type = vec("float", n)
    normal, size = _nearest(f, n, v, 13), f.new(f"call {type} @llvm.fabs({type} {v})")
    tiny = f.new(f"fsub {type} {f.new(f'fadd {type} {size}, {_float(0.5, n, f)}')}, {_float(0.5, n, f)}")
    tiny = f.new(f"call {type} @llvm.copysign({type} {tiny}, {type} {v})")
    huge = f.new(f"call {type} @llvm.copysign({type} {_float(float('inf'), n, f)}, {type} {v})")
    small = f.new(f"fcmp olt {type} {size}, {_float(2.0**-14, n, f)}")
    large = f.new(f"fcmp oge {type} {size}, {_float(65520.0, n, f)}")
    result = f.new(f"select {vec('i1', n)} {small}, {type} {tiny}, {type} {normal}")
    return f.new(f"select {vec('i1', n)} {large}, {type} {huge}, {type} {result}")


def _float(value: float, n: int, f: Function) -> str:
    return _literal(f, value, f32, n)


def _literal(f: Function, value: float, t: Type, n: int) -> str:
    literal = f.module.literal(value, t)
    return literal if n == 1 else f"splat ({REGISTER[t.name]} {literal})"


def pack(f: Function, t: Type, n: int, v: str) -> str:
    """A register's value as it is stored."""
    if t.is_bool:
        return _convert(f, "zext", "i1", "i8", n, v)
    if t.name == "bf16":
        bits = _convert(f, "bitcast", "float", "i32", n, v)
        return _convert(f, "trunc", "i32", "i16", n, f.new(f"lshr {vec('i32', n)} {bits}, {_constants('i32', n)(16)}"))
    if t.name == "f16":
        if f.module.target.has_f16:
            return _convert(f, "bitcast", "half", "i16", n, _convert(f, "fptrunc", "float", "half", n, v))
        return _half_bits(f, n, v)
    return v


def unpack(f: Function, t: Type, n: int, v: str) -> str:
    """What is stored as a register's value."""
    if t.is_bool:
        return f.new(f"icmp ne {vec('i8', n)} {v}, {_zero(t, n)}")
    if t.name == "bf16":
        bits = f.new(f"shl {vec('i32', n)} {_convert(f, 'zext', 'i16', 'i32', n, v)}, {_constants('i32', n)(16)}")
        return _convert(f, "bitcast", "i32", "float", n, bits)
    if t.name == "f16":
        if f.module.target.has_f16:
            return _convert(f, "fpext", "half", "float", n, _convert(f, "bitcast", "i16", "half", n, v))
        return _half_value(f, n, v)
    return v


def _half_bits(f: Function, n: int, v: str) -> str:
    """An f32 that f16 can hold, as f16's bits: scaled so that the exponents agree, subnormals included."""
    type, k = vec("i32", n), _constants("i32", n)
    bits = _convert(f, "bitcast", "float", "i32", n, v)
    sign = f.new(f"and {type} {f.new(f'lshr {type} {bits}, {k(16)}')}, {k(0x8000)}")
    size = f.new(f"call {vec('float', n)} @llvm.fabs({vec('float', n)} {v})")
    scaled = f.new(f"fmul {vec('float', n)} {size}, {_float(2.0**-112, n, f)}")
    finite = f.new(f"lshr {type} {_convert(f, 'bitcast', 'float', 'i32', n, scaled)}, {k(13)}")
    nan = f.new(f"fcmp uno {vec('float', n)} {v}, {v}")
    infinite = f.new(f"fcmp oeq {vec('float', n)} {size}, {_float(float('inf'), n, f)}")
    some = f.new(f"select {vec('i1', n)} {infinite}, {type} {k(0x7C00)}, {type} {finite}")
    some = f.new(f"select {vec('i1', n)} {nan}, {type} {k(0x7E00)}, {type} {some}")
    return _convert(f, "trunc", "i32", "i16", n, f.new(f"or {type} {some}, {sign}"))


def _half_value(f: Function, n: int, v: str) -> str:
    type, k = vec("i32", n), _constants("i32", n)
    wide = _convert(f, "zext", "i16", "i32", n, v)
    sign = f.new(f"shl {type} {f.new(f'and {type} {wide}, {k(0x8000)}')}, {k(16)}")
    digits = f.new(f"shl {type} {f.new(f'and {type} {wide}, {k(0x7FFF)}')}, {k(13)}")
    small = _convert(f, "bitcast", "i32", "float", n, digits)
    scaled = f.new(f"fmul {vec('float', n)} {small}, {_float(2.0**112, n, f)}")
    special = f.new(f"icmp uge {type} {digits}, {k(0x7C00 << 13)}")
    above = f.new(f"or {type} {digits}, {k(0x7F800000)}")
    finite = _convert(f, "bitcast", "float", "i32", n, scaled)
    size = f.new(f"select {vec('i1', n)} {special}, {type} {above}, {type} {finite}")
    return _convert(f, "bitcast", "i32", "float", n, f.new(f"or {type} {size}, {sign}"))


def reinterpret(f: Function, e: Op, a: list[str]) -> str:
    """The same bits as another type of the same width."""
    source, target, n = e.args[0].type, e.type, e.lanes
    bits = pack(f, source, n, a[0])
    if MEMORY[source.name] != MEMORY[target.name]:
        bits = _convert(f, "bitcast", MEMORY[source.name], MEMORY[target.name], n, bits)
    return unpack(f, target, n, bits)
