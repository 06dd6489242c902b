"""Operations on integers against Python's own unbounded ones, on all types, extreme values and numbers of lanes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

from halo.ir.expr import Expr
from halo.types import Type, bool_, i8, i16, i32, i64, index, u8, u16, u32, u64

from .harness import HOST, LANES, SIZE, assert_same, k, op, outputs_of, pairs

INTEGERS = (i8, i16, i32, i64, u8, u16, u32, u64)


def shifted(a: int, n: int, t: Type) -> int:
    return a << min(n, t.bits) if n >= 0 else a >> min(-n, t.bits)


def unsigned(a: int, t: Type) -> int:
    return a & ((1 << t.bits) - 1)


BINARY: dict[str, Callable[[int, int, Type], int]] = {
    "add": lambda a, b, t: a + b,
    "sub": lambda a, b, t: a - b,
    "mul": lambda a, b, t: a * b,
    "min": lambda a, b, t: min(a, b),
    "max": lambda a, b, t: max(a, b),
    "floordiv": lambda a, b, t: a // b if b else 0,
    "mod": lambda a, b, t: a % b if b else 0,
    "and": lambda a, b, t: a & b,
    "or": lambda a, b, t: a | b,
    "xor": lambda a, b, t: a ^ b,
    "shl": lambda a, b, t: shifted(a, b, t),
    "shr": lambda a, b, t: shifted(a, -b, t),
    "absd": lambda a, b, t: abs(a - b),
    "avg_up": lambda a, b, t: (a + b + 1) >> 1,
    "avg_down": lambda a, b, t: (a + b) >> 1,
    "sat_add": lambda a, b, t: min(max(a + b, int(t.min)), int(t.max)),
    "sat_sub": lambda a, b, t: min(max(a - b, int(t.min)), int(t.max)),
    "mul_high": lambda a, b, t: (a * b) >> t.bits,
}
UNARY: dict[str, Callable[[int, Type], int]] = {
    "neg": lambda a, t: -a,
    "abs": lambda a, t: abs(a),
    "not": lambda a, t: ~a,
    "popcount": lambda a, t: bin(unsigned(a, t)).count("1"),
    "clz": lambda a, t: t.bits - unsigned(a, t).bit_length(),
    "ctz": lambda a, t: ((u := unsigned(a, t)) & -u).bit_length() - 1 if a else t.bits,
}
COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal}


def reference(t: Type, function: Callable[..., int], *arrays: np.ndarray) -> np.ndarray:
    return np.array([t.wrap(function(*map(int, row), t)) for row in zip(*arrays, strict=True)], t.dtype)


@functools.cache
def expected(t: Type) -> list[np.ndarray]:
    a, b, _ = pairs(t)
    values = [reference(t, f, a, b) for f in BINARY.values()] + [reference(t, f, a) for f in UNARY.values()]
    return values + [f(a, b) for f in COMPARE.values()]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("t", INTEGERS, ids=lambda t: t.name)
def test_operations(t: Type, lanes: int) -> None:
    a, b, _ = pairs(t)
    names = [*BINARY, *UNARY, *COMPARE]

    def make(x: list[Expr]) -> list[Expr]:
        return [*(op(n, *x) for n in BINARY), *(op(n, x[0]) for n in UNARY), *(op(n, *x, type=bool_) for n in COMPARE)]

    for name, got, want in zip(names, outputs_of(make, (a, b), lanes), expected(t), strict=True):
        assert_same(got, want, f"{name} of {t} in {lanes} lanes")


@pytest.mark.parametrize("lanes", [1, pytest.param(7, marks=pytest.mark.slow), 8])
@pytest.mark.parametrize("t", INTEGERS, ids=lambda t: t.name)
def test_constant_right_operand(t: Type, lanes: int) -> None:
    """Division and shifts by a constant take forms of their own."""
    divisors = sorted(
        {t.wrap(d) for d in (0, 1, 2, 3, 5, 7, 10, 16, 100, 127, 255, -1, -2, -3, -8, -100, t.min, t.max)}
    )
    shifts = sorted({t.wrap(n) for n in (0, 1, 3, t.bits - 1, t.bits, 100, -1, -3, -100)})
    names = [(n, c) for n in ("floordiv", "mod") for c in divisors] + [(n, c) for n in ("shl", "shr") for c in shifts]
    a = pairs(t)[0]

    def make(x: list[Expr]) -> list[Expr]:
        return [op(n, x[0], k(c, t, lanes)) for n, c in names]

    for (name, c), got in zip(names, outputs_of(make, (a,), lanes), strict=True):
        want = reference(t, BINARY[name], a, np.full(SIZE, c, t.dtype))
        assert_same(got, want, f"{name} of {t} by {c} in {lanes} lanes")


@pytest.mark.parametrize("lanes", LANES)
def test_booleans(lanes: int) -> None:
    a, b, _ = pairs(bool_)

    def make(x: list[Expr]) -> list[Expr]:
        values = [op("and", *x), op("or", *x), op("xor", *x), op("not", x[0])]
        return [
            *values,
            op("select", x[0], x[1], k(1, bool_, lanes)),
            op("eq", *x),
            op("ne", *x),
            op("lt", *x),
            op("le", *x),
        ]

    wanted = [a & b, a | b, a ^ b, ~a, np.where(a, b, True), a == b, a != b, a < b, a <= b]
    for got, want in zip(outputs_of(make, (a, b), lanes), wanted, strict=True):
        assert_same(got, want)


def test_index_arithmetic() -> None:
    a = pairs(i32)[0].astype(np.int64)
    b = np.where(pairs(i32)[1] == 0, 1, pairs(i32)[1]).astype(np.int64)

    def make(x: list[Expr]) -> list[Expr]:
        from halo.ir.expr import Cast

        p, q = (Cast(e, index) for e in x)
        return [Cast(op(n, p, q), i64) for n in ("add", "sub", "mul", "floordiv", "mod", "min", "max")]

    for lanes in (1, 4, 7):
        wanted = [a + b, a - b, a * b, a // b, a % b, np.minimum(a, b), np.maximum(a, b)]
        for got, want in zip(outputs_of(make, (a, b), lanes), wanted, strict=True):
            assert_same(got, want)


@pytest.mark.parametrize("t", (u8, i16, u16, i32, u32), ids=lambda t: t.name)
def test_vector_division_stays_in_vectors(t: Type) -> None:
    """No lane by lane division where floats of twice the digits do."""
    from halo.jit import llvm

    from .harness import Kernel, Load, Store, at, elements, port, ramp

    with elements(64, 16) as (v, loop):
        where = ramp(at((v, 16)), 16)
        a, b, c = port("a", t), port("b", t), port("c", t, "output")
        value = op("floordiv", Load(a.buffer, where), Load(b.buffer, where))
        kernel = Kernel(loop(Store(c.buffer, where, value)), [a, b, c])
    assert "div" in (text := llvm.asm(kernel.text, HOST))
    assert not any(line.split()[0].startswith(("div", "idiv")) for line in text.splitlines() if line.split())
