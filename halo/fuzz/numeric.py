"""What operators mean, in NumPy and Python's integers: nothing here is shared with the compiler."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

import halo

Array = Any  # numpy arrays, of ml_dtypes' types too

TYPES = (halo.bool_, halo.i8, halo.i16, halo.i32, halo.i64, halo.u8, halo.u16, halo.u32, halo.u64,
         halo.f16, halo.bf16, halo.f32, halo.f64)  # fmt: skip
STORED = (halo.f8e4m3fn, halo.f8e4m3fnuz, halo.f8e5m2, halo.f8e5m2fnuz, halo.f8e8m0, halo.i4, halo.u4, halo.i2, halo.u2,
          halo.f4e2m1)  # fmt: skip
INTEGERS = tuple(t for t in TYPES if t.is_int)
FLOATS = tuple(t for t in TYPES if t.is_float)


def promoted(a: halo.Type, b: halo.Type) -> halo.Type:
    """The type in which two operands meet."""
    if a is b:
        return a
    if a.is_bool or b.is_bool:
        return b if a.is_bool else a
    if a.is_float != b.is_float:
        return a if a.is_float else b
    if {a, b} == {halo.f16, halo.bf16}:
        return halo.f32
    if a.bits == b.bits == 64 or ({a.bits, b.bits} == {16, 64} and halo.bf16 in (a, b)):
        return halo.f64 if a.is_float else halo.i64
    if halo.bf16 in (a, b):
        return halo.f32
    if halo.u64 in (a, b) and a.kind != b.kind:
        return halo.i64
    met = np.promote_types(a.dtype, b.dtype)
    return next(t for t in TYPES if t.dtype == met)


def counted(t: halo.Type) -> halo.Type:
    """Booleans count as i32 in arithmetic."""
    return halo.i32 if t.is_bool else t


def wide(a: Array, t: halo.Type) -> Array:
    """f16 and bf16 as f32, in which their sums, products and quotients round to the same."""
    return a.astype(np.float32) if t.is_float and t.bits == 16 else a


def wrapped(values: Array, t: halo.Type) -> Array:
    """Python integers (an object array) modulo 2**bits, as `t`."""
    low = values & ((1 << t.bits) - 1)
    return np.asarray(low, object).astype(f"u{t.bits // 8}").view(t.dtype)


def convert(values: Array, source: halo.Type, target: halo.Type) -> Array:
    """The language's conversion: integers wrap, floats truncate and saturate, NaN is 0."""
    values = np.asarray(values)
    if target.is_bool:
        return values != 0
    if source.is_float and not target.is_float:
        whole = np.nan_to_num(np.trunc(values.astype(np.float64)), nan=0.0, posinf=np.inf, neginf=-np.inf)
        low, high = whole <= target.min, whole >= target.max
        middle = np.where(low | high, 0, whole).astype(np.int64 if target is not halo.u64 else np.uint64)
        limited = np.where(low, target.dtype.type(target.min), np.where(high, target.dtype.type(target.max), middle))
        return limited.astype(target.dtype)
    return values.astype(target.dtype)


def saturate(values: Array, source: halo.Type, target: halo.Type) -> Array:
    if source.is_float or target.is_float or source.is_bool:
        return convert(values, source, target)
    return exactly(lambda a: np.clip(a, target.min, target.max), target)(values)


def exactly(f: Callable[..., Any], t: halo.Type) -> Callable[..., Array]:
    """`f` on Python's integers, wrapped to `t`."""

    def apply(*args: Array) -> Array:
        wholes = np.broadcast_arrays(*(np.asarray(a).astype(object) for a in args))
        many = np.frompyfunc(lambda *k: int(f(*map(int, k))) & ((1 << t.bits) - 1), len(args), 1)
        return np.asarray(many(*wholes), object).astype(f"u{t.bits // 8}").view(t.dtype)

    return apply


def floats(f: Callable[..., Any], t: halo.Type) -> Callable[..., Array]:
    """`f` on floats, rounded to `t` once."""
    return lambda *args: np.asarray(f(*(wide(np.asarray(a), t) for a in args))).astype(t.dtype)


def _shift(a: int, n: int) -> int:
    return a << min(n, 64) if n >= 0 else a >> min(-n, 64)


def _limit(f: Callable[[int, int], int], t: halo.Type) -> Callable[[int, int], int]:
    return lambda a, b: min(max(f(a, b), int(t.min)), int(t.max))


def _clz(a: int, bits: int) -> int:
    return bits - (a & ((1 << bits) - 1)).bit_length()


def _ctz(a: int, bits: int) -> int:
    a &= (1 << bits) - 1
    return (a & -a).bit_length() - 1 if a else bits


ARITHMETIC: dict[str, tuple[Callable[[Any, Any], Any], Callable[..., Any]]] = {
    "+": (operator.add, np.add),
    "-": (operator.sub, np.subtract),
    "*": (operator.mul, np.multiply),
}
ON_INTEGERS: dict[str, Callable[[int, int], int]] = {
    "//": lambda a, b: a // b if b else 0,
    "%": lambda a, b: a % b if b else 0,
    "<<": _shift,
    ">>": lambda a, n: _shift(a, -n),
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "halo.avg_down": lambda a, b: (a + b) // 2,
    "halo.avg_up": lambda a, b: (a + b + 1) // 2,
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
MATH: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "sqrt": np.sqrt, "atan": np.arctan,
    "log1p": np.log1p, "expm1": np.expm1, "cbrt": np.cbrt, "asinh": np.arcsinh, "exp2": np.exp2, "log2": np.log2,
    "sinh": np.sinh, "rsqrt": lambda a: 1 / np.sqrt(a), "acos": np.arccos, "tan": np.tan,
}  # fmt: skip
ROUNDINGS: dict[str, Callable[..., Any]] = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint}


def arithmetic(op: str, t: halo.Type) -> Callable[..., Array]:
    """`a op b` of two operands of type `t`."""
    if op in ARITHMETIC:
        whole, real = ARITHMETIC[op]
        return floats(real, t) if t.is_float else exactly(whole, t)
    if op in ("halo.min", "halo.max"):
        return floats(np.minimum if op == "halo.min" else np.maximum, t)
    if op in ("halo.sat_add", "halo.sat_sub"):
        return exactly(_limit(operator.add if op == "halo.sat_add" else operator.sub, t), t)
    if op == "halo.mul_high":
        return exactly(lambda a, b: (a * b) >> t.bits, t)
    if t.is_float:
        return floats(np.floor_divide if op == "//" else np.mod, t)
    return exactly(ON_INTEGERS[op], t)


def widened(t: halo.Type, signed: bool) -> halo.Type:
    """The type of twice the width."""
    return getattr(halo, f"{'i' if signed else 'u'}{2 * t.bits}")  # type: ignore[no-any-return]  # found by name


BITS: dict[str, Callable[[halo.Type], Callable[..., Array]]] = {
    "popcount": lambda t: exactly(lambda a: bin(a & ((1 << t.bits) - 1)).count("1"), t),
    "clz": lambda t: exactly(lambda a: _clz(a, t.bits), t),
    "ctz": lambda t: exactly(lambda a: _ctz(a, t.bits), t),
}


def padded(c: Array, lo: int, n: int, mode: str) -> tuple[Array, Array]:
    """Coordinates brought inside lo..lo + n - 1 as `numpy.pad` does, and where they were inside."""
    c = c - lo
    if n == 0:
        return np.zeros_like(c) + lo, np.zeros_like(c, bool)
    if mode == "wrap":
        return lo + c % n, np.ones_like(c, bool)
    if mode == "symmetric":
        m = c % (2 * n)
        return lo + np.where(m < n, m, 2 * n - 1 - m), np.ones_like(c, bool)
    if mode == "reflect":
        period = max(2 * n - 2, 1)
        m = c % period
        return lo + np.where(m < n, m, period - m), np.ones_like(c, bool)
    return lo + np.clip(c, 0, n - 1), (c >= 0) & (c < n)


def random_data(rng: np.random.Generator, t: halo.Type, shape: tuple[int, ...]) -> Array:
    """Values of type `t`, small ones and extreme ones."""
    if t.is_bool:
        return rng.random(shape) < 0.5
    if t.is_stored:
        return rng.integers(0, 1 << t.bits, size=shape).astype(np.uint8).view(t.dtype)
    if t.is_float:
        reals = rng.normal(size=shape) * 8
        if rng.random() < 0.3:
            special = rng.choice([0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan], size=shape)
            reals = np.where(rng.random(shape) < 0.1, special, reals)
        return reals.astype(t.dtype)
    values: Array = rng.integers(int(t.min), int(t.max), size=shape, endpoint=True, dtype=t.dtype)
    if rng.random() < 0.5:
        return (values % 13).astype(t.dtype)
    extreme = rng.choice(np.array([t.min, t.max, 0, 1], t.dtype), size=shape)
    return np.where(rng.random(shape) < 0.1, extreme, values)
