"""The operations that Python and NumPy have no operator for, exactly as the language defines them.

Source printed by `inspect_source()` calls these functions. They work on NumPy scalars (a Python number takes the type of
the other operands) and, in source for Numba, inside `@ref.njit` functions. There, f16 and bf16 values are carried as
f32. The transcendentals are evaluated from the same definitions that machine code is made of, so they give the same bits.

>>> import numpy as np
>>> floordiv(np.int8(-7), np.int8(0)), shl(np.uint8(1), np.uint8(9)), u8(np.float32(300.0)), i32(2**31)
(np.int8(0), np.uint8(0), np.uint8(255), np.int32(-2147483648))
"""

from __future__ import annotations

import builtins
import ctypes
import ctypes.util
import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..ir.expr import RAISED
from ..jit.python import Stopped, compile_function, function_source
from ..types import Type, as_type

__all__ = [
    "absd",
    "add",
    "avg_down",
    "avg_up",
    "bf16",
    "clz",
    "ctz",
    "debug_print",
    "f16",
    "floordiv",
    "fma",
    "fmax",
    "fmin",
    "i8",
    "i16",
    "i32",
    "i64",
    "max",
    "min",
    "mod",
    "mul",
    "mul_high",
    "njit",
    "popcount",
    "raised",
    "random",
    "require",
    "sat_add",
    "sat_sub",
    "shl",
    "shr",
    "sub",
    "u8",
    "u16",
    "u32",
    "u64",
]


def njit(function: Callable[..., Any]) -> Any:
    """`numba.njit` for source that uses this module: division by zero gives what NumPy gives, and nothing is fused."""
    from .overloads import njit as compile_

    return compile_(function)


# Integers: `t` is the NumPy type of the operands, or int for index values -----------------------------------------------


def _type(*args: Any) -> Any:
    for a in args:
        if isinstance(a, np.generic):
            return type(a)
    return int


def _halo(t: Any) -> Type:
    found = _TYPES.get(t)
    if found is None:
        found = _TYPES[t] = as_type("i64" if t is int else t)
    return found


_TYPES: dict[Any, Type] = {}


def _wrapped(t: Any, value: int) -> Any:
    return value if t is int else t(_halo(t).wrap(value))


def _clamped(t: Any, value: int) -> Any:
    own = _halo(t)
    return t(builtins.min(builtins.max(value, own.min), own.max))


def add(a: Any, b: Any) -> Any:
    """`a + b`, wrapping: in signed 64 bits Numba's own operator would not."""
    return _wrapped(_type(a, b), int(a) + int(b))


def sub(a: Any, b: Any) -> Any:
    """`a - b`, wrapping."""
    return _wrapped(_type(a, b), int(a) - int(b))


def mul(a: Any, b: Any) -> Any:
    """`a * b`, wrapping."""
    return _wrapped(_type(a, b), int(a) * int(b))


def floordiv(a: Any, b: Any) -> Any:
    """`a // b`, flooring; 0 where an integer `b` is 0. Floats: `numpy.floor_divide`."""
    t = _type(a, b)
    if t is not int and _halo(t).is_float:
        return t(np.floor_divide(*_computed(t, a, b)))
    return _wrapped(t, int(a) // int(b) if b else 0)


def mod(a: Any, b: Any) -> Any:
    """`a % b` with the sign of `b`; 0 where an integer `b` is 0. Floats: `numpy.mod`."""
    t = _type(a, b)
    if t is not int and _halo(t).is_float:
        return t(np.mod(*_computed(t, a, b)))
    return _wrapped(t, int(a) % int(b) if b else 0)


def _computed(t: Any, *args: Any) -> tuple[Any, ...]:
    """The operands in the type that arithmetic on `t` is done in: f16 and bf16 are computed in f32."""
    wide = np.float32 if _halo(t).bits == 16 else t
    return tuple(wide(t(a)) for a in args)


def shl(a: Any, n: Any) -> Any:
    """`a << n`: 0 (or, to the right, the sign) once `n` reaches the width; a negative `n` shifts right."""
    t = _type(a)
    return _wrapped(t, _shifted(int(a), int(n), _halo(t).bits))


def shr(a: Any, n: Any) -> Any:
    """`a >> n`, arithmetic for signed `a`; a negative `n` shifts left."""
    t = _type(a)
    return _wrapped(t, _shifted(int(a), -int(n), _halo(t).bits))


def _shifted(a: int, n: int, bits: int) -> int:
    return a << builtins.min(n, bits) if n >= 0 else a >> builtins.min(-n, bits)


def absd(a: Any, b: Any) -> Any:
    """`|a - b|`, modulo 2**bits in the operands' type."""
    t = _type(a, b)
    if _halo(t).is_float:
        return abs(t(a) - t(b))
    return _wrapped(t, abs(int(a) - int(b)))


def avg_up(a: Any, b: Any) -> Any:
    """`(a + b + 1) >> 1` without overflow."""
    return _wrapped(_type(a, b), (int(a) + int(b) + 1) >> 1)


def avg_down(a: Any, b: Any) -> Any:
    """`(a + b) >> 1` without overflow."""
    return _wrapped(_type(a, b), (int(a) + int(b)) >> 1)


def sat_add(a: Any, b: Any) -> Any:
    """`a + b`, clamped to the type's range."""
    return _clamped(_type(a, b), int(a) + int(b))


def sat_sub(a: Any, b: Any) -> Any:
    """`a - b`, clamped to the type's range."""
    return _clamped(_type(a, b), int(a) - int(b))


def mul_high(a: Any, b: Any) -> Any:
    """The high half of the double-width product."""
    t = _type(a, b)
    return _wrapped(t, (int(a) * int(b)) >> _halo(t).bits)


def popcount(a: Any) -> Any:
    """How many bits are set."""
    return type(a)(_bits(a).bit_count())


def clz(a: Any) -> Any:
    """How many leading bits are clear: the width for 0."""
    return type(a)(_halo(type(a)).bits - _bits(a).bit_length())


def ctz(a: Any) -> Any:
    """How many trailing bits are clear: the width for 0."""
    v = _bits(a)
    return type(a)((v & -v).bit_length() - 1 if v else _halo(type(a)).bits)


def _bits(a: Any) -> int:
    return int(a) & ((1 << _halo(type(a)).bits) - 1)


# Floats -----------------------------------------------------------------------------------------------------------------


def min(a: Any, b: Any) -> Any:
    """The smaller one; NaN if either is; `b` where they are equal."""
    t = _type(a, b)
    a, b = t(a), t(b)
    return a if a < b or a != a else b


def max(a: Any, b: Any) -> Any:
    """The larger one; NaN if either is; `b` where they are equal."""
    t = _type(a, b)
    a, b = t(a), t(b)
    return a if a > b or a != a else b


def fmin(a: Any, b: Any) -> Any:
    """`a if a < b else b`: one instruction on most machines."""
    t = _type(a, b)
    a, b = t(a), t(b)
    return a if a < b else b


def fmax(a: Any, b: Any) -> Any:
    """`a if a > b else b`: one instruction on most machines."""
    t = _type(a, b)
    a, b = t(a), t(b)
    return a if a > b else b


def fma(a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once. In f16 and bf16: computed in f32 and rounded."""
    t = _type(a, b, c)
    if t is np.float64:
        return t(_libm("fma")(a, b, c))
    if t is np.float32:
        return t(_libm("fmaf")(a, b, c))
    return t(np.float32(_libm("fmaf")(t(a), t(b), t(c))))


def raised(p: Any, sum: Any) -> Any:
    """`p * 2**n`, rounded once, where `sum` is n + RAISED of the type."""
    t = _type(p, sum)
    if sum != sum:
        return t(sum)
    with np.errstate(all="ignore"):
        return np.ldexp(t(p), int(sum - RAISED[_halo(t)]))


@functools.cache
def _libm(name: str) -> Any:
    f = getattr(ctypes.CDLL("ucrtbase" if sys.platform == "win32" else ctypes.util.find_library("m")), name)
    t = ctypes.c_double if name == "fma" else ctypes.c_float
    f.argtypes, f.restype = (t, t, t), t
    return f


def _transcendental(name: str) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        t = _type(*args)
        with np.errstate(all="ignore"):
            return t(_definition(name, "f64" if t is np.float64 else "f32")(*_computed(t, *args)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"`{name}` in the operand's type, with the bits that machine code gives (f16, bf16: through f32)."
    )
    return function


@functools.cache
def _definition(name: str, type: str) -> Callable[..., Any]:
    """The scalar Python function of the typed definition in `lowering`."""
    from ..lowering.expand_math import definition

    parameters, value = definition(name, as_type(type))
    return compile_function(name, function_source(name, parameters, value, "python"))  # type: ignore[no-any-return]  # what exec makes


TRANSCENDENTALS = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow", "sin", "cos", "tan", "asin", "acos",
                   "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "rsqrt", "cbrt",
                   "hypot")  # fmt: skip
(exp, exp2, expm1, log, log2, log10, log1p, pow, sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, tanh, asinh, acosh,
 atanh, erf, rsqrt, cbrt, hypot) = (_transcendental(n) for n in TRANSCENDENTALS)  # fmt: skip


def random(stream: int, *indices: Any) -> Any:
    """The random u32 of `stream` at a point."""
    x = int(stream)
    for i in indices:
        x = ((x ^ int(i) & 0xFFFFFFFF) + 0x9E3779B9) & 0xFFFFFFFF
        x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
        x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
        x ^= x >> 16
    return np.uint32(x)


# At run time ------------------------------------------------------------------------------------------------------------


def debug_print(value: Any, *message: Any) -> Any:
    """`value`, which is printed with the message."""
    print(value, *message)
    return value


def require(condition: Any, what: Any, value: Any, *shown: Any) -> Any:
    """`value`, where `condition` holds; else Stopped with the status `what`, or ArgumentError with the text `what`."""
    if condition:
        return value
    if isinstance(what, int):
        raise Stopped(what, value, *shown)
    raise ArgumentError(what.format(*shown))


# Conversions ------------------------------------------------------------------------------------------------------------


def _to_integer(name: str) -> Callable[[Any], Any]:
    own = as_type(name)
    t = own.dtype.type
    lo, hi = int(own.min), int(own.max)

    def convert(x: Any) -> Any:
        if not isinstance(x, (float, np.floating)) and getattr(x, "dtype", None) != _bfloat16():
            return t(own.wrap(int(x)))
        x = float(x)
        return t(0 if math.isnan(x) else lo if x <= lo else hi if x >= hi else int(x))

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"`x` as {name}: integers wrap; floats truncate and saturate, NaN gives 0."
    return convert


i8, i16, i32, i64, u8, u16, u32, u64 = (_to_integer(n) for n in ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"))


@functools.cache
def _bfloat16() -> Any:
    return as_type("bf16").dtype


def f16(x: Any) -> Any:
    """`x` rounded to f16."""
    return np.float16(x)


def bf16(x: Any) -> Any:
    """`x` rounded to f32, then to bf16."""
    return _bfloat16().type(np.float32(x))


def f16_value(bits: Any) -> Any:
    """The f16 with these bits."""
    return np.uint16(bits).view(np.float16)


def f16_bits(x: Any) -> Any:
    """The bits of an f16."""
    return np.float16(x).view(np.uint16)


def bf16_value(bits: Any) -> Any:
    """The bf16 with these bits."""
    return np.uint16(bits).view(_bfloat16())


def bf16_bits(x: Any) -> Any:
    """The bits of a bf16."""
    return _bfloat16().type(x).view(np.uint16)
