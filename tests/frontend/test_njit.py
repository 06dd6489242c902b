"""`numba.njit` scalar functions in definitions: the same values as Numba's own, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest

import halo

RNG = np.random.default_rng(3)
REALS = (RNG.normal(size=64) * 3).astype(np.float64)
INTS = RNG.integers(-100, 100, 64).astype(np.int32)
BYTES = RNG.integers(0, 256, 64).astype(np.uint8)


@numba.njit
def curve(v):
    if v < 0.5:
        return v * v
    return v + math.sqrt(v)


@numba.njit
def diamond(v, w):
    t = v
    if v > w:
        t = w - v
        u = 1
    elif v == 0:
        t = w * 2
        u = 2
    else:
        u = 3
    if (u > 1 and t != 7) or w < 0:
        t += u
    return t, u


@numba.njit
def first_of(v, w):
    t, u = diamond(v, w)
    return t * 10 + u


@numba.njit
def arithmetic(v, w):
    return (v + w) * 3 - (v % 7) + (w // 5) + v**2 + (v & 12) - (w | 3) + (v ^ w) + (v << 2) + (w >> 1) + ~v - -w


@numba.njit
def comparisons(v, w):
    return (v < w) + (v <= w) * 2 + (v > w) * 4 + (v >= w) * 8 + (v == w) * 16 + (v != w) * 32 + (not v) * 64


@numba.njit
def conversions(v):
    return int(v) + float(round(v)) + np.float32(v) * numba.float64(2) + bool(v) + math.floor(v) + math.ceil(v)


@numba.njit
def functions(v):
    a = abs(v) + 1.0
    return math.exp(-a) + np.log(a) + math.pow(a, 1.5) + np.sin(v) + math.atan2(v, a) + max(v, 0.0, a - 3) + np.sqrt(a)


@numba.njit(error_model="numpy")
def quotient(v, w):
    return v / w + v // 2.0


@numba.njit
def half(v):
    return v / 2 + v // 3


@numba.njit
def loop(v):
    total = v
    for k in range(3):
        total += k * v
    return total


@numba.njit
def steps(x, y):
    """Iterations until z*z + c leaves the disc."""
    re = im = 0.0
    n = 0
    while n < 50 and re * re + im * im < 4:
        re, im = re * re - im * im + x, 2 * re * im + y
        n += 1
    return n


@numba.njit
def unsafe(v):
    while v > 1:
        v = v / (v - 3)
    return v


@numba.njit
def pair(v):
    return v, v + 1


@numba.njit
def strict(v):
    if v < 0:
        raise ValueError("negative")
    return v


@numba.njit
def divides(v, w):
    return v / w


@numba.njit
def text(v):
    return "a" if v > 0 else "b"


@numba.njit
def asserts(v):
    assert v > 0
    return v


@numba.njit
def defaults(v, w=None, k=3):
    if w is None:
        return v * k
    return v * w * k


@numba.njit
def tuples(v):
    pair = (v, v * 2)
    low, high = pair if v < 0 else (v + 1, v - 1)
    return low * 10 + high + pair[1]


@numba.njit
def recursive(v):
    if v < 1:
        return 1
    return recursive(v - 1)


def applied(fn: Any, *arrays: Any) -> Any:
    """What Numba gives, element by element."""
    return np.array([fn(*values) for values in zip(*arrays, strict=True)])


def run(fn: Any, *arrays: Any, target: str = "host") -> Any:
    if len(arrays) == 1:

        @halo.func
        def f(i, *, a):
            return fn(a[i])

        return f.compile(target=target, a=arrays[0])(a=arrays[0])

    @halo.func
    def g(i, *, a, b):
        return fn(a[i], b[i])

    a, b = arrays
    return g.compile(target=target, a=a, b=b)(a=a, b=b)


@pytest.mark.parametrize("target", ["host", "python"])
@pytest.mark.parametrize(
    ("fn", "arrays"),
    [
        (curve, (np.abs(REALS),)),
        (curve, (np.abs(REALS).astype(np.float32),)),
        (curve, (BYTES,)),
        (first_of, (INTS, INTS[::-1].copy())),
        (first_of, (REALS, REALS[::-1].copy())),
        (first_of, (BYTES, INTS)),
        (arithmetic, (INTS, INTS[::-1].copy())),
        (arithmetic, (BYTES, BYTES[::-1].copy())),
        (comparisons, (INTS // 20, INTS[::-1] // 20)),
        (conversions, (REALS,)),
        (conversions, (REALS.astype(np.float32),)),
        (quotient, (REALS, REALS[::-1].copy())),
        (half, (INTS,)),
        (tuples, (INTS,)),
    ],
)
def test_as_numba_computes_it(fn, arrays, target):
    expected = applied(fn, *arrays)
    signature = fn.overloads[tuple(numba.from_dtype(a.dtype) for a in arrays)].signature
    got = run(fn, *arrays, target=target)
    assert numba.from_dtype(got.dtype) == signature.return_type
    np.testing.assert_array_equal(got, expected)


def test_transcendentals_within_their_error():
    np.testing.assert_allclose(run(functions, REALS), applied(functions, REALS), rtol=1e-14)


def test_division_by_zero_with_numpy_s_error_model():
    a, b = np.array([1.0, -1.0, 0.0]), np.zeros(3)
    np.testing.assert_array_equal(run(quotient, a, b), applied(quotient, a, b))


def test_types_are_numba_s():
    assert run(curve, BYTES).dtype == np.float64
    assert run(first_of, BYTES, BYTES).dtype == np.float64  # Numba's u8 - u8 is a u64, and u64 + i64 a float

    @halo.func
    def f(i, *, a: halo.u8[:]):
        return first_of(a[i], i)  # an index is an int64

    np.testing.assert_array_equal(f(a=BYTES), applied(first_of, BYTES, np.arange(64)))


@pytest.mark.parametrize("target", ["host", "python", "numba"])
def test_loops_are_called_lane_by_lane(target):
    a = REALS.astype(np.float32)
    np.testing.assert_array_equal(run(loop, a, target=target), applied(loop, a))
    x, y = REALS / 2, REALS[::-1] / 2
    np.testing.assert_array_equal(run(steps, x, y, target=target), applied(steps, x, y))


def test_linked_functions_in_vectorised_loops():
    @halo.func
    def f(j, i, *, a: halo.f64[:]):
        return steps(a[i], 0.25) + steps(a[j], a[i]) + steps(0.5, a[i])

    f.vectorize("i", 4).parallel("j")
    expected = [[steps(x, 0.25) + steps(y, x) + steps(0.5, x) for x in REALS[:19]] for y in REALS[:5]]
    np.testing.assert_array_equal(f(a=REALS, shape=(5, 19)), expected)
    assert "njit_steps_f64_f64(" in f.loops(a=halo.f64) + f.inspect_source()


def test_loops_say_what_is_called_lane_by_lane():
    @halo.func
    def f(i, *, a: halo.f64[:]):
        return steps(a[i], 0.25) + steps(a[i], a[i]) + curve(a[i])

    @halo.func
    def g(i):
        return f[i] + f[i + 1]

    f.compute_root().vectorize("i", 4)
    lines = [line.strip() for line in g.serial("i").loops().splitlines()]
    assert "f[...] = ...  # calls steps lane by lane" in lines  # curve is translated
    assert "g[...] = ..." in lines


def test_two_functions_of_one_name():
    def scaled(k):
        @numba.njit
        def inner(v):
            for _ in range(k):
                v += v
            return v

        @halo.func
        def f(i, *, a: halo.i64[:]):
            return inner(a[i])

        return f

    a = np.arange(5)
    np.testing.assert_array_equal(scaled(1)(a=a), 2 * a)
    np.testing.assert_array_equal(scaled(3)(a=a), 8 * a)


def test_default_arguments():
    @halo.func
    def f(i, *, a: halo.f64[:]):
        return defaults(a[i], 2.0) + defaults(a[i], w=3, k=4)

    np.testing.assert_allclose(f(a=REALS), REALS * 2.0 * 3 + REALS * 3 * 4, rtol=1e-15)  # the sum becomes an fma


def test_it_vectorises():
    @halo.func
    def f(i, *, a: halo.f32[:]):
        return curve(a[i])

    f.vectorize("i", 8)
    assert "<8 x float>" in f.inspect_llvm()


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (strict, "strict can raise, and a definition cannot: it has a raise or an assert"),
        (asserts, "asserts can raise, and a definition cannot: it has a raise or an assert"),
        (divides, "divides can raise, and a definition cannot: it divides by what may be zero"),
        (unsafe, "unsafe can raise, and a definition cannot: its machine code has a path that does"),
        (text, "text cannot be part of a definition: it returns unicode_type"),
        (recursive, "recursive can raise"),  # as far as its machine code tells
        (pair, "pair cannot be part of a definition: it returns a tuple"),
    ],
)
def test_what_is_refused(fn, message):
    arrays = (REALS, REALS) if fn is divides else (REALS,)
    with pytest.raises(halo.DefinitionError) as e:
        run(fn, *arrays)
    assert message in e.value.message
    assert e.value.loc is not None and e.value.loc.text.strip().startswith("return fn(")
    assert e.value.hint


def test_constants_are_numba_s_to_compute():
    @halo.func
    def f(i, *, a: halo.f32[:]):
        return a[i] * curve(4.0)

    np.testing.assert_array_equal(f(a=np.ones(3, np.float32)), np.full(3, 6, np.float32))
