"""`halo.ref` for Numba: one overload a function, on the types that Numba gives the operands.

This module imports numba, so nothing imports it but `ref.njit`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from .. import ref
from ..errors import ArgumentError
from ..ir.expr import RAISED
from ..jit.python import Stopped, compile_function, function_source
from ..lowering.expand_math import definition
from ..types import as_type


def njit(function: Callable[..., Any]) -> Any:
    """`function` compiled on its first call, with NumPy's meaning of division by zero."""
    return numba.njit(error_model="numpy")(function)


def _overload(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Registers what chooses the implementation of `function` by the types of the operands.

    Both lose their annotations: Numba wants the signatures to be equal.
    """

    def decorate(choose: Any) -> Any:
        @functools.wraps(choose)
        def bare(*types: Any) -> Any:
            implementation = choose(*types)
            implementation.__annotations__ = {}
            return implementation

        choose.__annotations__ = bare.__annotations__ = {}
        return overload(function, jit_options={"error_model": "numpy"})(bare)

    return decorate


def _scalar(t: Any) -> Any:
    """The NumPy type of a Numba number type."""
    return getattr(np, str(types.unliteral(t)))  # type: ignore[no-untyped-call]  # Numba is not typed


# Integers ---------------------------------------------------------------------------------------------------------------


@_overload(ref.add)
def _add(a: Any, b: Any) -> Any:
    t = _scalar(a)
    return lambda a, b: t(np.uint64(a) + np.uint64(b))


@_overload(ref.sub)
def _sub(a: Any, b: Any) -> Any:
    t = _scalar(a)
    return lambda a, b: t(np.uint64(a) - np.uint64(b))


@_overload(ref.mul)
def _mul(a: Any, b: Any) -> Any:
    t = _scalar(a)
    return lambda a, b: t(np.uint64(a) * np.uint64(b))


@_overload(ref.floordiv)
def _floordiv(a: Any, b: Any) -> Any:
    t = _scalar(a)
    if isinstance(a, types.Float):
        return _float_floordiv(t)
    if not a.signed:
        return lambda a, b: t(0) if b == 0 else t(a // b)
    return lambda a, b: t(0) if b == 0 else t(-a) if b == -1 else t(a // b)


@_overload(ref.mod)
def _mod(a: Any, b: Any) -> Any:
    t = _scalar(a)
    if isinstance(a, types.Float):
        return _float_mod
    if not a.signed:
        return lambda a, b: t(0) if b == 0 else t(a % b)
    return lambda a, b: t(0) if b == 0 or b == -1 else t(a % b)


def _float_mod(a: Any, b: Any) -> Any:
    """numpy.mod, operation by operation."""
    rest = np.fmod(a, b)
    if b == 0:
        return rest
    if rest != 0:
        return rest + b if (b < 0) != (rest < 0) else rest
    return np.copysign(rest, b)


def _float_floordiv(t: Any) -> Callable[[Any, Any], Any]:
    """numpy.floor_divide on `t`, operation by operation."""
    one, half = t(1), t(0.5)

    def floordiv(a: Any, b: Any) -> Any:
        if b == 0:
            return a / b
        rest = np.fmod(a, b)
        quotient = (a - rest) / b
        if rest != 0 and (b < 0) != (rest < 0):
            quotient = quotient - one
        if quotient == 0:
            return np.copysign(quotient, a / b)
        whole = np.floor(quotient)
        return whole + one if quotient - whole > half else whole

    return floordiv


@_overload(ref.shl)
def _shl(a: Any, n: Any) -> Any:
    left, right = _shifts(a)
    if not getattr(n, "signed", True):
        return lambda a, n: left(a, n)
    return lambda a, n: right(a, -np.int64(n)) if n < 0 else left(a, n)


@_overload(ref.shr)
def _shr(a: Any, n: Any) -> Any:
    left, right = _shifts(a)
    if not getattr(n, "signed", True):
        return lambda a, n: right(a, n)
    return lambda a, n: left(a, -np.int64(n)) if n < 0 else right(a, n)


def _shifts(a: Any) -> tuple[Any, Any]:
    """Shifts by a count that is not negative (a count of -2**63 stays negative when turned round, and is far)."""
    t, bits, signed = _scalar(a), a.bitwidth, a.signed

    @njit
    def left(a: Any, n: Any) -> Any:
        return t(a << n) if 0 <= n < bits else t(0)

    @njit
    def right(a: Any, n: Any) -> Any:
        far = n < 0 or n >= bits
        return t(a >> (bits - 1)) if far and signed else t(0) if far else t(a >> n)

    return left, right


@_overload(ref.absd)
def _absd(a: Any, b: Any) -> Any:
    if isinstance(a, types.Float):
        return lambda a, b: abs(a - b)
    return lambda a, b: ref.sub(a, b) if a > b else ref.sub(b, a)


@_overload(ref.avg_up)
def _avg_up(a: Any, b: Any) -> Any:
    t = _scalar(a)
    one = t(1)
    return lambda a, b: t(t(a | b) - t(t(a ^ b) >> one))


@_overload(ref.avg_down)
def _avg_down(a: Any, b: Any) -> Any:
    t = _scalar(a)
    one = t(1)
    return lambda a, b: t(t(a & b) + t(t(a ^ b) >> one))


@_overload(ref.sat_add)
def _sat_add(a: Any, b: Any) -> Any:
    t = _scalar(a)
    lo, hi, zero = t(np.iinfo(t).min), t(np.iinfo(t).max), t(0)
    return lambda a, b: (hi if b > t(hi - a) else t(a + b)) if a >= zero else (lo if b < t(lo - a) else t(a + b))


@_overload(ref.sat_sub)
def _sat_sub(a: Any, b: Any) -> Any:
    t = _scalar(a)
    lo, hi, zero = t(np.iinfo(t).min), t(np.iinfo(t).max), t(0)
    return lambda a, b: (lo if a < t(lo + b) else t(a - b)) if b >= zero else (hi if a > t(hi + b) else t(a - b))


@_overload(ref.mul_high)
def _mul_high(a: Any, b: Any) -> Any:
    t, bits = _scalar(a), a.bitwidth
    if bits < 64:
        wide = np.int64 if a.signed else np.uint64
        shift = wide(bits)
        return lambda a, b: t((wide(a) * wide(b)) >> shift)
    return _mul_high_64(t)


def _mul_high_64(t: Any) -> Callable[[Any, Any], Any]:
    half, low, one_bit = np.uint64(32), np.uint64(0xFFFFFFFF), t is np.int64

    def mul_high(a: Any, b: Any) -> Any:
        x, y = np.uint64(a), np.uint64(b)
        x0, x1, y0, y1 = x & low, x >> half, y & low, y >> half
        middle = x1 * y0 + ((x0 * y0) >> half)
        other = x0 * y1 + (middle & low)
        high = x1 * y1 + (middle >> half) + (other >> half)
        if one_bit:  # a negative operand was taken for 2**64 more
            high = high - (y if a < 0 else np.uint64(0)) - (x if b < 0 else np.uint64(0))
        return t(high)

    return mul_high


def _instruction(name: str) -> Any:
    @intrinsic
    def count(typing: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            zero_is_undefined = [] if name == "ctpop" else [context.get_constant(types.boolean, False)]
            return getattr(builder, name)(args[0], *zero_is_undefined)

        return a(a), generate

    return count


_ctpop, _ctlz, _cttz = (_instruction(name) for name in ("ctpop", "ctlz", "cttz"))


@_overload(ref.popcount)
def _popcount(a: Any) -> Any:
    return lambda a: _ctpop(a)


@_overload(ref.clz)
def _clz(a: Any) -> Any:
    return lambda a: _ctlz(a)


@_overload(ref.ctz)
def _ctz(a: Any) -> Any:
    return lambda a: _cttz(a)


# Floats -----------------------------------------------------------------------------------------------------------------


@_overload(ref.min)
def _min(a: Any, b: Any) -> Any:
    return lambda a, b: a if a < b or a != a else b


@_overload(ref.max)
def _max(a: Any, b: Any) -> Any:
    return lambda a, b: a if a > b or a != a else b


@_overload(ref.fmin)
def _fmin(a: Any, b: Any) -> Any:
    return lambda a, b: a if a < b else b


@_overload(ref.fmax)
def _fmax(a: Any, b: Any) -> Any:
    return lambda a, b: a if a > b else b


@intrinsic
def _fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return a(a, a, a), lambda context, builder, signature, args: builder.fma(*args)


@_overload(ref.fma)
def _fma(a: Any, b: Any, c: Any) -> Any:
    return lambda a, b, c: _fused(a, b, c)


@_overload(ref.raised)
def _raised(p: Any, sum: Any) -> Any:
    t = _scalar(p)
    one = t(RAISED[as_type(str(p))])
    return lambda p, sum: sum if sum != sum else t(math.ldexp(p, int(sum - one)))


def _transcendental(name: str) -> None:
    @functools.cache
    def implementation(type: str) -> Any:
        parameters, value = definition(name, as_type(type))
        return njit(compile_function(name, function_source(name, parameters, value, "numba")))

    def one(a: Any) -> Any:
        f = implementation(str(a))
        return lambda a: f(a)

    def two(a: Any, b: Any) -> Any:
        f = implementation(str(a))
        return lambda a, b: f(a, b)

    _overload(getattr(ref, name))(two if name in ("pow", "atan2", "hypot") else one)


for _name in ref.TRANSCENDENTALS:
    _transcendental(_name)


@_overload(ref.random)
def _random(stream: Any, *indices: Any) -> Any:
    step, first, second, a, b = (np.uint32(v) for v in (0x9E3779B9, 0x7FEB352D, 0x846CA68B, 16, 15))

    def drawn(stream: Any, *indices: Any) -> Any:
        x = np.uint32(stream)
        for i in indices:
            x = np.uint32((x ^ np.uint32(i)) + step)
            x = np.uint32((x ^ (x >> a)) * first)
            x = np.uint32((x ^ (x >> b)) * second)
            x = np.uint32(x ^ (x >> a))
        return x

    return drawn


# At run time ------------------------------------------------------------------------------------------------------------


@_overload(ref.debug_print)
def _debug_print(value: Any, *message: Any) -> Any:
    pieces = ", ".join(["value", *(f"message[{k}]" for k in range(len(message)))])
    scope: dict[str, Any] = {}
    exec(f"def shown(value, *message):\n    print({pieces})\n    return value", scope)
    return scope["shown"]


@_overload(ref.require)
def _require(condition: Any, what: Any, value: Any, *shown: Any) -> Any:
    pieces = ", ".join(["what", "value", *(f"shown[{k}]" for k in range(len(shown)))])
    stop = f"Stopped({pieces})" if isinstance(what, types.Integer) else "ArgumentError('a requirement does not hold')"
    scope: dict[str, Any] = {"Stopped": Stopped, "ArgumentError": ArgumentError}
    exec(
        f"""
def required(condition, what, value, *shown):
    if not condition:
        raise {stop}
    return value
""",
        scope,
    )
    return scope["required"]


# Conversions ------------------------------------------------------------------------------------------------------------


def _to_integer(name: str) -> None:
    own = as_type(name)
    t, lo, hi = own.dtype.type, own.dtype.type(own.min), own.dtype.type(own.max)
    below, above = float(own.min), float(int(own.max) + 1)  # powers of two, so exact in f32 too

    def convert(x: Any) -> Any:
        if not isinstance(x, types.Float):
            return lambda x: t(x)
        return lambda x: t(0) if x != x else lo if x <= below else hi if x >= above else t(x)

    _overload(getattr(ref, name))(convert)


for _name in ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"):
    _to_integer(_name)


@_overload(ref.bf16_value)
def _bf16_value(bits: Any) -> Any:
    return lambda bits: np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@_overload(ref.bf16)
def _bf16(x: Any) -> Any:
    return lambda x: ref.bf16_value(ref.bf16_bits(x))


@_overload(ref.bf16_bits)
def _bf16_bits(x: Any) -> Any:
    """Rounded to nearest even; every NaN is the quiet one."""

    def bits(x: Any) -> Any:
        u = np.int64(np.float32(x).view(np.uint32))
        return np.uint16(0x7FC0) if x != x else np.uint16((u + 0x7FFF + ((u >> 16) & 1)) >> 16)

    return bits


@_overload(ref.f16_value)
def _f16_value(bits: Any) -> Any:
    def value(bits: Any) -> Any:
        size = np.int64(bits & 0x7FFF)
        if size >= 0x7C00:
            found = np.uint32((size << 13) + 0x70000000).view(np.float32)
        elif size >= 0x400:
            found = np.uint32((size + 0x1C000) << 13).view(np.float32)
        else:
            found = np.float32(size) * np.float32(2.0**-24)
        return -found if bits & 0x8000 else found

    return value


@_overload(ref.f16)
def _f16(x: Any) -> Any:
    """Rounded once: the last digit that f16 keeps is at 2**-24 or 10 places after the first."""

    def rounded(x: Any) -> Any:
        x = np.float64(x)
        if not abs(x) >= 2.0**-14:
            return np.float32(np.copysign(np.rint(x * 2.0**24) * 2.0**-24, x))
        step = np.int64((np.int64(np.float64(x).view(np.int64)) >> 52 & 0x7FF) - 10) << 52
        unit = np.int64(step).view(np.float64)
        found = np.rint(x / unit) * unit if abs(x) < 65520.0 else np.copysign(np.inf, x) if x == x else x
        return np.float32(found)

    return rounded


@_overload(ref.f16_bits)
def _f16_bits(x: Any) -> Any:
    def bits(x: Any) -> Any:
        found = ref.f16(x)
        u = np.int64(np.float32(found).view(np.uint32))
        sign, size = (u >> 16) & 0x8000, abs(found)
        if size != size:
            return np.uint16(0x7E00)
        if size < np.float32(2.0**-14):
            return np.uint16(sign | np.int64(size * np.float32(2.0**24)))
        if size == np.inf:
            return np.uint16(sign | 0x7C00)
        return np.uint16(sign | (((u & 0x7FFFFFFF) >> 13) - 0x1C000))

    return bits
