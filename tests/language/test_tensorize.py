"""Section 3 of the contract, hardware: loops that an instruction of the machine replaces."""

from __future__ import annotations

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(3)


def dot_products(a, b, sums) -> halo.Func:
    f, y, x = halo.Func("f"), *halo.vars("y x")
    a, b = halo.Input("a", a, ndim=2), halo.Input("b", b, ndim=2)
    r = halo.rdom(a.shape[1], names="k")
    f[y, x] = sums(0)
    f[y, x] += sums(a[y, r.k]) * sums(b[x, r.k])
    return f


def test_tensorize_replaces_loops_by_an_intrinsic() -> None:
    a, b = RNG.integers(0, 256, (5, 27), np.uint8), RNG.integers(-128, 128, (37, 27), np.int8)
    want = a.astype(np.int32) @ b.astype(np.int32).T
    f = dot_products(halo.u8, halo.i8, halo.i32)
    u = f.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 4).reorder("y", "xo", "ko", "xi", "ki")
    u.tensorize("xi", halo.intrinsics.dot_u8i8_i32).parallel("y")
    np.testing.assert_array_equal(f(a=a, b=b), want)
    np.testing.assert_array_equal(f.compile(target="python")(a, b), want)


def test_users_declare_intrinsics() -> None:
    lines = "%p = mul <8 x i32> %a, %b\n%sum = add <8 x i32> %acc, %p\nret <8 x i32> %sum"

    @halo.intrinsic(8, llvm={"": lines})
    def multiply_add(i, *, a: halo.i32[:], b: halo.i32[:]):
        multiply_add[i] += a[i] * b[i]

    f = dot_products(halo.i32, halo.i32, halo.i32)
    f.update(0).split("x", "xo", "xi", 8).reorder("y", "xo", "k", "xi").tensorize("xi", multiply_add)
    a, b = RNG.integers(-99, 99, (5, 9), np.int32), RNG.integers(-99, 99, (13, 9), np.int32)
    np.testing.assert_array_equal(f(a=a, b=b), a @ b.T)


def test_tensorize_of_what_does_not_match_shows_both() -> None:
    f = dot_products(halo.i8, halo.i8, halo.i32)
    u = f.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 4).reorder("y", "xo", "ko", "xi", "ki")
    u.tensorize("xi", halo.intrinsics.dot_u8i8_i32)
    with pytest.raises(halo.ScheduleError) as error:
        f.compile()
    text = str(error.value)
    assert "i32(a[i, k])*i32(b[i, k])" in text and "i32(a[y, ki + 4*ko])" in text and "halo.i8, not halo.u8" in text
    assert "test_tensorize.py" in text


def test_floats_that_an_intrinsic_rounds_are_asked_for() -> None:
    f = dot_products(halo.bf16, halo.bf16, halo.f32)
    u = f.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 2).reorder("y", "xo", "ko", "xi", "ki")
    u.tensorize("xi", halo.intrinsics.dot_bf16_f32)
    with pytest.raises(halo.ScheduleError, match="round differently"):
        f.compile()
    a, b = (RNG.standard_normal((n, 9)).astype(halo.bf16.dtype) for n in (3, 17))
    want = a.astype(np.float64) @ b.astype(np.float64).T
    np.testing.assert_allclose((u.atomic(), f)[1](a=a, b=b), want, rtol=1e-5, atol=1e-5)
