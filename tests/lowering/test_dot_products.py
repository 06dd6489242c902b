"""Vectors of products that are added up become dot products where the machine has them; lanes with places of their own
update them at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo

from .passes import after
from .products import RNG, product, values

HAS_VNNI = halo.Target.host().has("avx512vnni")


@pytest.mark.parametrize(("u", "v", "sums", "lanes", "depth", "name"), [
    (halo.u8, halo.i8, halo.i32, 16, 4, "dot_u8i8_i32("), (halo.i8, halo.u8, halo.i32, 16, 4, "dot_u8i8_i32("),
    (halo.i8, halo.i8, halo.i32, 16, 4, "dot_i8i8_i32("), (halo.i16, halo.i16, halo.i32, 16, 2, "dot_i16i16_i32("),
    (halo.u8, halo.i8, halo.i32, 8, 4, "dot_u8i8_i32x8("), (halo.u8, halo.u8, halo.i32, 16, 4, ""),
    (halo.u8, halo.i8, halo.i32, 12, 4, ""), (halo.u8, halo.i8, halo.i64, 16, 4, ""), (halo.f32, halo.f32, halo.f32, 16, 4, ""),
])  # fmt: skip
@pytest.mark.parametrize("parallel", [False, True])
def test_lanes_of_sums(u: Any, v: Any, sums: Any, lanes: int, depth: int, name: str, parallel: bool) -> None:
    f = product(u, v, sums)
    s = f.update(0).atomic().split("x", "xo", "xi", lanes).split("k", "ko", "ki", depth)
    s.reorder("y", "xo", "ko", "xi", "ki").vectorize("xi").vectorize("ki")
    if parallel:
        s.parallel("y")
    if HAS_VNNI:
        text = after(f, "dot_products")
        assert (name in text) if name else ("dot_" not in text)
    for m, n, k in ((3, 2 * lanes, 4 * depth), (2, 2 * lanes + 3, 3 * depth + 1), (1, 1, 1)):
        a, b = values(u, m, k), values(v, n, k)
        want = a.astype(np.float64 if u.is_float else np.int64) @ b.astype(np.float64 if u.is_float else np.int64).T
        np.testing.assert_array_equal(f(a=a, b=b), want.astype(sums.dtype))


def test_sums_in_registers() -> None:
    f, g, y, x = product(halo.u8, halo.i8, halo.i32), halo.Func("g"), *halo.vars("y x")
    g[y, x] = f[y, x] * 2
    g.tile("y", "x", "yo", "xo", "yi", "xi", 2, 32).vectorize("xi", 16).parallel("yo")
    f.compute_at(g, "xo").vectorize("x", 16)
    s = f.update(0).atomic().split("x", "x", "xi", 16).split("k", "k", "ki", 4).reorder("k", "y", "x", "xi", "ki")
    s.unroll("y", 2).vectorize("xi").vectorize("ki")
    a, b = values(halo.u8, 5, 21), values(halo.i8, 50, 21)
    np.testing.assert_array_equal(g(a=a, b=b), 2 * (a.astype(np.int32) @ b.astype(np.int32).T))
    assert "vpdpbusd" in g.inspect_asm() or not HAS_VNNI


def test_dot_products_from_many_threads() -> None:
    """Each sum goes to its place in one piece."""
    f = product()
    s = f.update(0).atomic().split("x", "xo", "xi", 16).split("k", "ko", "ki", 4).reorder("y", "xo", "ko", "xi", "ki")
    s.vectorize("xi").vectorize("ki").parallel("ko")
    a, b = values(halo.u8, 3, 6007), values(halo.i8, 33, 6007)
    for _ in range(3):
        np.testing.assert_array_equal(f(a=a, b=b), a.astype(np.int32) @ b.astype(np.int32).T)
    assert "cmpxchg" not in f.inspect_asm()


def test_lanes_that_meet_take_turns() -> None:
    @halo.func
    def histogram(i, *, v: halo.u8[:]):
        histogram[i] = halo.i32(0)
        for r in halo.rdom(v):
            histogram[halo.i32(v[r]) % 7] += 1

    v = RNG.integers(0, 256, 10_000, np.uint8)
    histogram.update(0).atomic().vectorize("r", 8).parallel("r")
    np.testing.assert_array_equal(histogram(v=v, shape=(7,)), np.bincount(v % 7, minlength=7))


@pytest.mark.parametrize("step", [1, 2, -1, 0])
def test_parallel_iterations_that_meet(step: int) -> None:
    """Lanes have places of their own, and other threads the same ones."""
    f, i = halo.Func("f"), halo.Var("i")
    v = halo.Input("v", halo.i32, 2)
    r = halo.rdom(16, v.shape[0], names="x t")
    f[i] = halo.i32(0)
    f[20 + step * r.x] += v[r.t, r.x]
    f.update(0).reorder("t", "x").atomic().vectorize("x").parallel("t")
    data = RNG.integers(-99, 99, (5000, 16), np.int32)
    want = np.zeros(60, np.int32)
    np.add.at(want, 20 + step * np.arange(16), data.sum(0))
    for _ in range(3):
        np.testing.assert_array_equal(f(v=data, shape=(60,)), want)
