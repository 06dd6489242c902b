"""Tiles become instructions of the machine, whatever stands around them, and the result is that of the loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import intrinsics

from .passes import after
from .products import RNG, product, values

DOTS = {intrinsics.dot_u8i8_i32: (halo.u8, halo.i8, 16, 4), intrinsics.dot_u8i8_i32x8: (halo.u8, halo.i8, 8, 4),
        intrinsics.dot_i8i8_i32: (halo.i8, halo.i8, 16, 4), intrinsics.dot_i8i8_i32x8: (halo.i8, halo.i8, 8, 4),
        intrinsics.dot_i16i16_i32: (halo.i16, halo.i16, 16, 2), intrinsics.dot_i16i16_i32x8: (halo.i16, halo.i16, 8, 2),
        intrinsics.dot_u8i8_i32x4: (halo.u8, halo.i8, 4, 4), intrinsics.dot_i8i8_i32x4: (halo.i8, halo.i8, 4, 4)}  # fmt: skip


def tiled(f: halo.Func, intrinsic: Any = intrinsics.dot_u8i8_i32, lanes: int = 16, depth: int = 4) -> halo.Stage:
    u = f.update(0).split("x", "xo", "xi", lanes).split("k", "ko", "ki", depth)
    return u.reorder("y", "xo", "ko", "xi", "ki").tensorize("xi", intrinsic)


def exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.int64) @ b.astype(np.int64).T).astype(np.int32)


def test_the_nest(golden: Callable[[str, str], None]) -> None:
    f = product()
    tiled(f)
    golden("lowering/tensorize", after(f, "tensorize"))


@pytest.mark.parametrize("intrinsic", DOTS, ids=lambda i: i.name)
def test_every_dot_product(intrinsic: Any) -> None:
    u, v, lanes, depth = DOTS[intrinsic]
    f = product(u, v)
    tiled(f, intrinsic, lanes, depth)
    for m, n, k in ((3, 2 * lanes, 4 * depth), (2, 2 * lanes + 3, 3 * depth + 1), (1, 1, 1), (2, 0, 5)):
        a, b = values(u, m, k), values(v, n, k)
        np.testing.assert_array_equal(f(a=a, b=b), exact(a, b))


def test_unsigned_products() -> None:
    f = product(halo.u8, halo.u8, halo.u32)
    tiled(f, intrinsics.dot_u8u8_u32x4, 4)
    a, b = values(halo.u8, 3, 19), values(halo.u8, 9, 19)
    np.testing.assert_array_equal(f(a=a, b=b), exact(a, b).astype(np.uint32))


@pytest.mark.parametrize("target", ["python", "numba"])
def test_the_reference_backends_run_the_loops(target: str) -> None:
    f = product()
    tiled(f)
    a, b = values(halo.u8, 2, 9), values(halo.i8, 17, 9)
    np.testing.assert_array_equal(f.compile(a=a, b=b, target=target)(a, b), exact(a, b))


@settings(max_examples=8)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 21), st.integers(1, 3), st.integers(1, 3), st.booleans(),
       st.booleans(), st.sampled_from(["serial", "parallel", "unroll"]))  # fmt: skip
def test_any_size_and_any_loops_around(
    m: int, n: int, k: int, rows: int, columns: int, inside: bool, transposed: bool, kind: str
) -> None:
    @halo.func
    def f(y, x, *, a: halo.u8[:, :], b: halo.i8[:, :]):
        f[y, x] = halo.i32(7)
        for k in halo.rdom(a.shape[1]):
            f[y, x] += halo.i32(b[x, k]) * a[y, k]

    @halo.func
    def g(y, x):
        return f[y, x] + 1

    g.tile("y", "x", "yo", "xo", "yi", "xi", rows, 16 * columns)
    getattr(g, kind)("yi" if kind == "unroll" else "yo")
    f.compute_at(g, "xo") if inside else f.compute_root()
    u = f.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 4)
    u.reorder("ko", "y", "xo", *(("ki", "xi") if transposed else ("xi", "ki")))
    if inside:
        u.unroll("y").unroll("xo")
    u.tensorize("ki" if transposed else "xi", intrinsics.dot_u8i8_i32)
    a, b = values(halo.u8, m, k), values(halo.i8, n, k)
    np.testing.assert_array_equal(g(a=a, b=b), exact(a, b) + 8)
    b = np.asfortranarray(b)
    np.testing.assert_array_equal(g(a=a[:, ::-1], b=b[::-1]), exact(a[:, ::-1], b[::-1]) + 8)


def test_operands_are_any_expressions() -> None:
    """A boundary, a stage computed inline, one in memory, a stage of a tuple, an operand that stands still."""

    @halo.func
    def shifted(y, k, *, a):
        return halo.u8(a[y, k] + 3), a[y, k]

    @halo.func
    def packed(ko, x, ki, *, b):
        return b[4 * ko + ki, x]

    @halo.func
    def f(y, x, *, a: halo.u8[:, :], b: halo.i8[:, :]):
        f[y, x] = halo.i32(0), halo.i32(1)
        for k in halo.rdom(2 * a.shape[1]):
            f[y, x] = f[y, x][0] + halo.i32(shifted[y, k][0]) * halo.i32(packed[k // 4, x, k % 4]), f[y, x][1]

    a, b = values(halo.u8, 3, 9), values(halo.i8, 18, 21)
    wide = np.pad(a, ((0, 0), (0, 9)), "edge") + np.uint8(3)
    for place in ("compute_inline", "compute_root"):
        f.unschedule()
        getattr(shifted, place)()
        packed.compute_root()
        u = f.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 4).reorder("y", "xo", "ko", "xi", "ki")
        with pytest.raises(halo.ScheduleError, match="several values"):
            u.tensorize("xi", intrinsics.dot_u8i8_i32)
            f(a=halo.pad(a, "edge"), b=halo.pad(b, "edge"), shape=(3, 21))

    @halo.func
    def g(y, x, *, a: halo.u8[:, :], b: halo.i8[:, :]):
        g[y, x] = halo.i32(0)
        for k in halo.rdom(2 * a.shape[1]):
            g[y, x] += halo.i32(shifted[y, k][0]) * halo.i32(packed[k // 4, x, k % 4])

    for place in ("compute_inline", "compute_root"):
        g.unschedule()
        getattr(shifted, place)()
        packed.compute_root()
        tiled(g)
        got = g(a=halo.pad(a, "edge"), b=halo.pad(b, "edge"), shape=(3, 21))
        np.testing.assert_array_equal(got, exact(wide, b.T))


def test_products_may_be_widened_twice() -> None:
    @halo.func
    def f(y, x, *, a: halo.u8[:, :], b: halo.i8[:, :]):
        return sum((halo.widening_mul(b[x, k], a[y, k]) for k in halo.rdom(a.shape[1])), halo.i32(3))

    tiled(f)
    a, b = values(halo.u8, 2, 12), values(halo.i8, 16, 12)
    np.testing.assert_array_equal(f(a=a, b=b), exact(a, b) + 3)
    assert "dot_u8i8_i32(" in after(f, "tensorize")


def test_an_element_of_a_tuple() -> None:
    y, x = halo.vars("y x")
    a, b = halo.Input("a", halo.u8, 2), halo.Input("b", halo.i8, 2)
    f, k = halo.Func("f"), halo.rdom(12, names="k")
    f[y, x] = halo.i32(0), halo.i32(x)
    f[y, x][0] += halo.i32(a[y, k.k]) * halo.i32(b[x, k.k])
    tiled(f)
    p, q = values(halo.u8, 2, 12), values(halo.i8, 16, 12)
    got, other = f(a=p, b=q)
    np.testing.assert_array_equal(got, exact(p, q))
    np.testing.assert_array_equal(other, np.tile(np.arange(16), (2, 1)))


def test_a_convolution_over_pixels() -> None:
    """Channels in the lanes, taps outside, a stride and a condition that the tile does not meet."""

    @halo.func
    def f(y, x, c, *, img: halo.u8[:, :, :], w: halo.i8[:, :, :, :]):
        f[y, x, c] = halo.i32(0)
        for ky, kx, k in halo.rdom(3, 3, 8):
            if ky + y > 0:
                f[y, x, c] += halo.i32(img[2 * y + ky, 2 * x + kx, k]) * halo.i32(w[ky, kx, c, k])

    u = f.update(0).split("k", "ko", "ki", 4).split("c", "co", "ci", 16)
    u.reorder("y", "co", "ky", "kx", "ko", "x", "ci", "ki").split("x", "xo", "x", 2).unroll("x")
    u.tensorize("ci", intrinsics.dot_u8i8_i32).parallel("y")
    img, w = values(halo.u8, 13, 15, 8), values(halo.i8, 3, 3, 32, 8)
    got = f(img=img, w=w, shape=(6, 7, 32))
    want = np.zeros((6, 7, 32), np.int32)
    for ky in range(3):
        for kx in range(3):
            taps = np.einsum("yxk,ck->yxc", img[ky:, kx:][:11:2, :13:2].astype(int), w[ky, kx].astype(int))
            want += np.where(np.arange(6)[:, None, None] + ky > 0, taps, 0).astype(np.int32)
    np.testing.assert_array_equal(got, want)
    assert "vpdpbusd" in f.inspect_asm() or not halo.Target.host().has("avx512vnni")


def test_a_few_whole_tiles_are_split_from_the_last() -> None:
    @halo.func
    def f(y, x, *, a: halo.u8[:, :], b: halo.i8[:, :]):
        return sum(halo.i32(a[y, k]) * halo.i32(b[x, k]) for k in halo.rdom(9))

    tiled(f)
    assert "for ko in 0..2:\n        f[ramp(" in after(f, "tensorize")
    a, b = values(halo.u8, 3, 9), values(halo.i8, 35, 9)
    np.testing.assert_array_equal(f(a=a, b=b), exact(a, b))


def test_rfactor_and_specialize() -> None:
    f = product()
    f.update(0).split("k", "ko", "ki", 4).split("ko", "kp", "ko", 2)
    intm = f.update(0).rfactor({"kp": "u"})
    intm.compute_root().update(0).split("x", "xo", "xi", 16).reorder("u", "y", "xo", "ko", "xi", "ki").parallel("u")
    intm.update(0).tensorize("xi", intrinsics.dot_u8i8_i32)
    a, b = values(halo.u8, 3, 29), values(halo.i8, 35, 29)
    np.testing.assert_array_equal(f(a=a, b=b), exact(a, b))

    g = product()
    tiled(g).specialize(g.inputs["a"].shape[0] > 2).unroll("ko", 2)
    np.testing.assert_array_equal(g(a=a, b=b), exact(a, b))
    np.testing.assert_array_equal(g(a=a[:1], b=b), exact(a[:1], b))

    h = product()
    branch = h.update(0).split("x", "xo", "xi", 16).specialize(h.inputs["a"].shape[0] > 2)
    branch.split("k", "ko", "ki", 4).reorder("y", "xo", "ko", "xi", "ki").tensorize("xi", "dot_u8i8_i32")
    np.testing.assert_array_equal(h(a=a, b=b), exact(a, b))
    np.testing.assert_array_equal(h(a=a[:1], b=b), exact(a[:1], b))

    p = product()  # what it was tensorised for is factored out of it
    u = tiled(p)
    intm = u.rfactor({"ko": "u"})
    intm.compute_root()
    np.testing.assert_array_equal(p(a=a, b=b), exact(a, b))


def test_promised_bounds_give_the_loops_their_lengths() -> None:
    f = product()
    f.bound("x", 0, 16)
    f.update(0).split("k", "ko", "ki", 4).reorder("y", "ko", "x", "ki").tensorize("x", intrinsics.dot_u8i8_i32)
    for n in (16, 9, 20):  # those that the promise does not hold for run without it
        a, b = values(halo.u8, 3, 10), values(halo.i8, n, 10)
        np.testing.assert_array_equal(f(a=a, b=b), exact(a, b))


def test_bf16_is_near_and_asked_for() -> None:
    def f32s(*shape: int) -> np.ndarray:
        return RNG.standard_normal(shape).astype(halo.bf16.dtype)

    a, b = f32s(5, 37), f32s(35, 37)
    want = a.astype(np.float64) @ b.astype(np.float64).T
    for fastmath in (False, True):

        @halo.func(fastmath=fastmath)
        def f(y, x, *, a: halo.bf16[:, :], b: halo.bf16[:, :]):
            f[y, x] = halo.f32(0)
            for k in halo.rdom(a.shape[1]):
                f[y, x] += halo.f32(a[y, k]) * halo.f32(b[x, k])

        u = f.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 2).reorder("y", "xo", "ko", "xi", "ki")
        u.tensorize("xi", intrinsics.dot_bf16_f32)
        if not fastmath:
            with pytest.raises(halo.ScheduleError, match="round differently"):
                f(a=a, b=b)
            u.atomic()
        np.testing.assert_allclose(f(a=a, b=b), want, rtol=1e-5, atol=1e-5)
        assert "vdpbf16ps" in f.inspect_asm() or not halo.Target.host().has("avx512bf16")


X86 = "x86_64-unknown-linux-gnu"
ARM = "aarch64-unknown-linux-gnu"


@pytest.mark.parametrize(("intrinsic", "target", "instruction"), [
    (intrinsics.dot_u8i8_i32, halo.Target(X86, "", "+avx512f,+avx512bw,+avx512vl,+avx512vnni"), "vpdpbusd"),
    (intrinsics.dot_u8i8_i32x8, halo.Target(X86, "", "+avx2,+avxvnni"), "vpdpbusd"),
    (intrinsics.dot_i8i8_i32x8, halo.Target(X86, "", "+avx2,+avxvnni"), "vpdpbusd"),
    (intrinsics.dot_i16i16_i32x8, halo.Target(X86, "", "+avx2,+avxvnni"), "vpdpwssd"),
    (intrinsics.dot_u8i8_i32x8, halo.Target(X86, "haswell", "+avx2"), ""),
    (intrinsics.dot_u8i8_i32x4, halo.Target(ARM, "", "+neon,+i8mm"), "usdot"),
    (intrinsics.dot_i8i8_i32x4, halo.Target(ARM, "", "+neon,+dotprod"), "sdot"),
])  # fmt: skip
def test_the_instructions_of_targets(intrinsic: Any, target: halo.Target, instruction: str) -> None:
    u, v, lanes, depth = DOTS[intrinsic]
    f = product(u, v)
    tiled(f, intrinsic, lanes, depth)
    text = f.inspect_asm(a=u, b=v, target=target)
    assert instruction in text if instruction else "vpdp" not in text
