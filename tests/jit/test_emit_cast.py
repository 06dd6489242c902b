"""Conversions between all types, against NumPy and ml_dtypes."""

from __future__ import annotations

import numpy as np
import pytest

from halo.ir.expr import Cast, Expr, Load
from halo.ir.node import interning
from halo.ir.stmt import Store
from halo.jit import llvm
from halo.jit.target import Target
from halo.types import ALL, Type, bf16, bool_, f16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64

from .harness import HOST, LANES, Kernel, assert_same, k, op, outputs_of, pairs, port, ramp
from .test_emit_float import OLD


def converted(a: np.ndarray, source: Type, target: Type) -> np.ndarray:
    """By Python's integers where NumPy leaves it to the machine."""
    if target is bool_:
        return a.astype(np.float64) != 0 if source.is_float else a != 0
    if source.is_float and target.is_int:
        values = [0 if x != x else min(max(x, -1e40), 1e40) for x in a.astype(np.float64).tolist()]
        return np.array([min(max(int(x), int(target.min)), int(target.max)) for x in values], target.dtype)
    if source.is_int and target.is_int:
        return np.array([target.wrap(int(x)) for x in a], target.dtype)
    with np.errstate(all="ignore"):
        if target is bf16:
            a = a.astype(np.float32)
        return a.astype(target.dtype)


@pytest.mark.filterwarnings("ignore:invalid value")  # signalling NaNs
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("source", ALL, ids=lambda t: t.name)
def test_all_types(source: Type, lanes: int) -> None:
    a = pairs(source)[0]
    expected = [converted(a, source, t) for t in ALL]
    outputs = outputs_of(lambda x: [Cast(x[0], t) for t in ALL], (a,), lanes)
    for t, got, want in zip(ALL, outputs, expected, strict=True):
        assert_same(got, want, f"{source} to {t} in {lanes} lanes")


@pytest.mark.skipif(not HOST.is_x86, reason="the name of an x86 CPU")
@pytest.mark.parametrize("target", (HOST, OLD), ids=lambda t: t.cpu)
@pytest.mark.parametrize("t", (f16, bf16), ids=lambda t: t.name)
def test_every_16_bit_float_and_its_neighbours(t: Type, target: Target) -> None:
    """Every value is kept, and f32 and f64 values next to and half-way between them round to nearest even."""
    every = np.arange(65536, dtype=np.uint16).view(t.dtype)
    with np.errstate(all="ignore"):
        exact = every.astype(np.float64)
        middle = (exact + np.roll(exact, 1)) / 2
        wide = np.concatenate([np.nextafter(middle, s) for s in (-np.inf, np.inf)] + [middle, exact])
        single = wide.astype(np.float32)
        wanted = [single.astype(t.dtype), (wide.astype(np.float32) if t is bf16 else wide).astype(t.dtype)]
    for lanes in (1, 16):
        (got,) = outputs_of(lambda x: [Cast(Cast(x[0], f64), t)], (every,), lanes, target)
        assert_same(got, every)
        assert_same(outputs_of(lambda x: [Cast(x[0], t)], (single,), lanes, target)[0], wanted[0], "from f32")
        assert_same(outputs_of(lambda x: [Cast(x[0], t)], (wide,), lanes, target)[0], wanted[1], "from f64")


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("a", "b"), [(f32, i32), (f64, u64), (f16, i16), (bf16, u16), (i8, u8), (u32, f32), (i64, f64),
                                      (u16, bf16), (i16, f16), (f16, bf16)], ids=lambda t: t.name)  # fmt: skip
def test_reinterpret(a: Type, b: Type) -> None:
    x = pairs(a)[0]
    for lanes in (1, 3, 16):
        (got,) = outputs_of(lambda e: [op("reinterpret", e[0], type=b)], (x,), lanes)
        want = x.view(b.dtype)
        keep = ~np.isnan(want.astype(np.float64)) & ~np.isnan(x.astype(np.float64))
        assert_same(got[keep], want[keep])


def test_booleans_are_bytes_that_are_not_zero() -> None:
    a = np.arange(256, dtype=np.uint8).view(np.bool_)
    for lanes in (1, 16):
        got: list[np.ndarray] = outputs_of(lambda x: [x[0], Cast(x[0], u8), _twice(x[0])], (a,), lanes)
        assert got[0].view(np.uint8).tolist() == [0] + [1] * 255
        assert got[1].tolist() == [0] + [1] * 255
        assert got[2].tolist() == [0] + [2] * 255


def _twice(e: Expr) -> Expr:
    return op("add", Cast(e, i32), Cast(e, i32))


@pytest.mark.parametrize("source", [f32, f64], ids=lambda t: t.name)
def test_floats_next_to_the_ends_of_integers(source: Type) -> None:
    integers = [t for t in ALL if t.is_int]
    ends = [float(x) + d for t in integers for x in (t.min, t.max) for d in (-1, -0.5, 0, 0.5, 1)]
    a = np.array([*ends, *(2.0**k for k in (7, 8, 15, 16, 31, 32, 63, 64)), 0.0, -0.0, 1.0, -1.0], np.float64)
    a = np.concatenate([a, -a]).astype(source.dtype)
    a = np.concatenate([a, np.nextafter(a, source.dtype.type(np.inf)), np.nextafter(a, -source.dtype.type(np.inf))])
    a = a[: len(a) // 16 * 16]
    for lanes in (1, 16):
        outputs = outputs_of(lambda x: [Cast(x[0], t) for t in integers], (a,), lanes)
        for t, got in zip(integers, outputs, strict=True):
            assert_same(got, converted(a, source, t), f"{source} to {t} in {lanes} lanes")


@pytest.mark.skipif(HOST.vector_bits < 256, reason="reads assembly")
def test_floats_to_bytes_stay_in_vectors() -> None:
    with interning():
        a, out = port("a", f32), port("out", u8, "output")
        kernel = Kernel(Store(out.buffer, ramp(k(0), 16), Cast(Load(a.buffer, ramp(k(0), 16)), u8)), [a, out])
    assert llvm.asm(kernel.text, HOST).count("cvtt") <= 2
