"""Language, section 1: the types that only store."""

from __future__ import annotations

import re

import numpy as np
import pytest

import halo
from halo.types import STORED

RNG = np.random.default_rng(8)
y, x = halo.vars("y x")


def data(t: halo.Type, *shape: int) -> np.ndarray:
    return RNG.integers(0, 1 << t.bits, shape).astype(np.uint8).view(t.dtype)


def same(a: np.ndarray, b: np.ndarray) -> None:
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))


@pytest.mark.parametrize("t", STORED, ids=str)
def test_what_is_only_moved_keeps_its_bits(t: halo.Type) -> None:
    @halo.func
    def moved(y, x, *, a, b):
        return halo.select(y < x, a[x, y], halo.pad(b, "edge")[y - 1, x])

    a, b = data(t, 9, 9), data(t, 9, 9)
    i, j = np.mgrid[:9, :9]
    want = np.where(i < j, a.view(np.uint8).T, b.view(np.uint8)[np.maximum(i - 1, 0), j]).view(t.dtype)
    same(moved(a=a, b=b), want)
    moved.vectorize("x", 8, tail="predicate").parallel("y")
    same(moved(a=a, b=b), want)


@pytest.mark.parametrize("t", STORED, ids=str)
def test_arithmetic_is_on_what_it_converts_to(t: halo.Type) -> None:
    a, b = data(t, 5, 6), data(t, 5, 6)
    f = halo.Func("f")
    p, q = halo.Input("a", t, ndim=2)[y, x], halo.Input("b", t, ndim=2)[y, x]
    f[y, x] = p + q, p * q, -p, halo.max(p, q), p < q, halo.abs(p)
    wide = t.computed.dtype
    u, v = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        wanted = u + v, u * v, -u, np.maximum(u, v), u < v, abs(u)
    for got, want in zip(f(a=a, b=b), wanted, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_sums_are_of_what_it_converts_to() -> None:
    @halo.func
    def dot(y, *, w: halo.i4[:, :], a: halo.f8e5m2[:]):
        return sum(w[y, k] * a[k] for k in halo.rdom(a))

    w, a = data(halo.i4, 4, 33), RNG.standard_normal(33).astype(halo.f8e5m2.dtype)
    got = dot(w=w, a=a)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, w.astype(np.float32) @ a.astype(np.float32), rtol=1e-5)


def test_stages_and_updates_store_it() -> None:
    f, g = halo.Func("f"), halo.Func("g")
    f[x] = halo.f8e4m3fn(halo.Input("a", halo.f32, ndim=1)[x])
    r = halo.rdom(3)
    f[x] = halo.f8e4m3fn(f[x] + 0.5 * r.r)
    g[x] = f[x] * 2
    f.compute_root().vectorize("x", 8)
    a = RNG.standard_normal(20).astype(np.float32)
    want = a.astype(halo.f8e4m3fn.dtype)
    for k in range(3):
        want = (want.astype(np.float32) + np.float32(0.5 * k)).astype(want.dtype)
    np.testing.assert_array_equal(g(a=a), want.astype(np.float32) * 2)


def test_an_update_that_rounds_says_so() -> None:
    f = halo.Func("f")
    f[x] = halo.f8e4m3fn(0)
    f[x] += halo.Input("a", halo.f32, ndim=1)[x]
    with pytest.raises(halo.TypeMismatchError, match="f8e4m3fn") as error:
        f(a=np.ones(3, np.float32))
    assert "halo.f8e4m3fn(...) converts" in str(error.value)


def test_data_dependent_subscripts_know_its_range() -> None:
    @halo.func
    def looked_up(x, *, table: halo.f32[:], k: halo.u4[:]):
        return table[k[x]]

    table, k = np.arange(16, dtype=np.float32), data(halo.u4, 40)
    np.testing.assert_array_equal(looked_up(table=table, k=k), table[k.astype(int)])
    with pytest.raises(halo.BoundsError):
        looked_up(table=table[:15], k=k)


def test_bits_beside_those_of_a_narrow_type_mean_nothing() -> None:
    f = halo.Func("f")
    f[x] = halo.i32(halo.Input("a", halo.i4, ndim=1)[x])
    np.testing.assert_array_equal(f(a=np.array([0xF7, 0x0F, 0x38], np.uint8).view(halo.i4.dtype)), [7, -1, -8])


def test_bits_are_read_as_those_of_its_width() -> None:
    a = np.arange(256, dtype=np.uint8)
    f = halo.Func("f")
    value = halo.Input("a", halo.u8, ndim=1)[x]
    f[x] = halo.f32(halo.reinterpret(halo.f8e5m2, value))
    np.testing.assert_array_equal(f(a=a), a.view(halo.f8e5m2.dtype).astype(np.float32))
    g = halo.Func("g")
    g[x] = halo.reinterpret(halo.i4, value)
    with pytest.raises(halo.TypeMismatchError, match="differ in width"):
        g(a=a)


def said(error: halo.HaloError) -> str:
    """The text of an error without the number of the line."""
    return re.sub(r"\.py:\d+", ".py", str(error))


def test_a_scalar_is_none_of_it(golden) -> None:
    @halo.func
    def f(x, *, a: halo.f32[:], k: halo.f8e5m2 = 1.0):
        return a[x] * k

    with pytest.raises(halo.TypeMismatchError) as error:
        f(a=np.ones(3, np.float32))
    golden("errors/TypeMismatchError_a_scalar_that_only_stores", said(error.value))


def test_a_sort_refuses_it(golden) -> None:
    with pytest.raises(halo.TypeMismatchError) as error:
        halo.sort(halo.Input("a", halo.i4, ndim=1))(a=data(halo.i4, 5))
    golden("errors/TypeMismatchError_a_sort_of_what_only_stores", said(error.value))


def test_extern_stages_and_files_see_it(tmp_path) -> None:
    seen = []

    def look(out, a):
        seen.append(a.dtype)
        out[...] = a

    a = halo.Input("a", halo.f8e4m3fn, ndim=1)
    f = halo.extern(look, [a], halo.f8e4m3fn, 1)
    g = halo.Func("g")
    g[x] = halo.f32(f[x])
    f.compute_root().debug_to_file(str(tmp_path / "f.npy"))
    given = data(halo.f8e4m3fn, 7)
    got = g(a=given, shape=(7,))
    np.testing.assert_array_equal(got, given.astype(np.float32))
    assert seen == [given.dtype]
    np.testing.assert_array_equal(np.load(tmp_path / "f.npy"), given.astype(np.float32))


def test_scatter_in_parallel_is_atomic() -> None:
    f = halo.Func("f")
    r = halo.rdom(1000)
    f[x] = halo.i4(0)
    f[r.r % 7] = halo.i4(f[r.r % 7] + 1)
    f.update(0).atomic().parallel("r")
    want = np.array([143] * 6 + [142]).astype(halo.i4.dtype)
    np.testing.assert_array_equal(f(shape=(7,)).astype(int), want.astype(int))
