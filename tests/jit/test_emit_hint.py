"""Prefetches and streams in machine code: a prefetch a line, stores past the caches where they are aligned, fences."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halo
from halo.ir.node import interning
from halo.ir.stmt import Fetch, Store, block
from halo.jit.target import Target
from halo.types import ALL, u8

from .harness import Kernel, k, port

X86 = pytest.mark.skipif(not Target.host().is_x86, reason="sfence")


@pytest.mark.parametrize("type", ALL, ids=lambda t: t.name)
def test_streamed_stores_of_every_type_and_alignment(type: halo.Type) -> None:
    x = halo.Var("x")
    a, f = halo.Input("a", type, ndim=1), halo.Func("f")
    f[x] = a[x]
    f.vectorize("x", 64, tail="guard").stream_stores().stream_loads()
    kernel = f.compile(a=type)
    data = np.random.default_rng(0).integers(0, 2 if type.is_bool else 100, 300).astype(type.dtype)
    room = np.zeros(400, type.dtype)
    for offset in range(0, 70, 3):
        for n in (0, 1, 63, 64, 150, 256):
            room[:] = 0
            out = room[offset : offset + n]
            kernel(data[:n], out=out)
            np.testing.assert_array_equal(out, data[:n])
            assert not room[:offset].any()
            assert not room[offset + n :].any()


def streaming(schedule: Callable[[halo.Func], Any]) -> str:
    y, x = halo.vars("y x")
    a, f = halo.Input("a", halo.f32, ndim=2), halo.Func("f")
    f[y, x] = a[y, x] + 1
    schedule(f)
    data = np.random.default_rng(1).random((50, 77), np.float32)
    np.testing.assert_array_equal(f(a=data), data + 1)
    return f.inspect_llvm()


@X86
def test_each_thread_that_stores_past_the_caches_ends_with_a_fence() -> None:
    serial = streaming(lambda f: f.vectorize("x", 16).stream_stores())
    assert serial.count("sfence()") == 1
    parallel = streaming(lambda f: f.vectorize("x", 16).parallel("y").stream_stores())
    task, kernel = sorted(re.findall(r"^define .*?^}", parallel, re.S | re.M), key=lambda t: "%closure" not in t)[:2]
    assert "%closure" in task
    assert task.rstrip("}\n ").endswith("call void @llvm.x86.sse.sfence()\nret i32 0")
    assert "sfence" not in kernel


@X86
def test_a_fence_comes_before_tasks_that_may_read() -> None:
    y, x, r = halo.Var("y"), halo.Var("x"), halo.rdom(3)
    f, a = halo.Func("f"), halo.Input("a", halo.f32, ndim=2)
    f[y, x] = a[y, x]
    f[y, x] += r[0]
    f.vectorize("x", 16).stream_stores()
    f.update(0).parallel("y")
    data = np.random.default_rng(1).random((50, 77), np.float32)
    np.testing.assert_allclose(f(a=data), data + 3)
    text = f.inspect_llvm()
    assert 0 < text.index("sfence()") < text.index("call i32 @halo_par_for")


@X86
def test_what_is_masked_or_narrow_is_stored_as_ever() -> None:
    assert "sfence" not in streaming(lambda f: f.serial("x").stream_stores())
    assert "sfence" not in streaming(
        lambda f: f.vectorize("x", 16, tail="predicate").never_partition_all().stream_stores()
    )


def test_loads_past_the_caches() -> None:
    """Not on an x86, to which they are as all others, and for which LLVM aborts on one of a single byte."""
    x = halo.Var("x")
    a, f = halo.Input("a", halo.u8, ndim=1), halo.Func("f")
    f[x] = a[x] + a[x + 1]
    f.vectorize("x", 2).stream_loads()
    assert "nontemporal" in f.inspect_llvm(target=Target("aarch64-unknown-linux-gnu", "neoverse-n1"))
    assert "nontemporal" not in f.inspect_llvm(target=Target("x86_64-unknown-linux-gnu", "haswell"))
    data = np.arange(10, dtype=np.uint8)
    np.testing.assert_array_equal(f(a=data, shape=9), data[:-1] + data[1:])


def test_pixels_are_one_streamed_store() -> None:
    y, x, c = halo.vars("y x c")
    a, f = halo.Input("a", halo.u8, ndim=3), halo.Func("f")
    f[y, x, c] = 255 - a[y, x, c]
    f.bound("c", 0, 3).reorder("y", "x", "c").unroll("c").vectorize("x", 16).stream_stores()
    data = np.random.default_rng(2).integers(0, 256, (9, 35, 3), np.uint8)
    np.testing.assert_array_equal(f(a=data), 255 - data)
    assert "nontemporal" in f.inspect_llvm()


def test_tuples_and_scatters() -> None:
    x = halo.Var("x")
    t, f = halo.Func("t"), halo.Func("f")
    t[x] = (x * 2, halo.f32(x))
    t.compute_root().vectorize("x", 16).stream_stores()
    f[x] = t[x][0] + halo.i32(t[x][1])
    f.vectorize("x", 16).stream_loads(t)
    np.testing.assert_array_equal(f(shape=(101,)), 3 * np.arange(101))
    h, r = halo.Func("h"), halo.rdom(100)
    h[x] = 0
    h[halo.scatter(r[0], r[0] + 100)] = halo.gather(t[r[0]][0], t[r[0] + 1][0])
    h.update(0).stream_loads()
    np.testing.assert_array_equal(h(shape=(200,)), [*range(0, 200, 2), *range(2, 202, 2)])


@pytest.mark.parametrize(
    ("first", "n", "asked"), [(0, 1, 1), (0, 64, 2), (1, 64, 2), (63, 66, 3), (5, 1000, 1)]
)  # a few lines one by one, and the last element's; many in a loop
def test_a_fetch_asks_for_its_lines(first: int, n: int, asked: int) -> None:
    with interning():
        src, dst = port("a", u8), port("out", u8, "output")
        kernel = Kernel(
            block(Fetch(src.buffer, k(first), k(first + n - 1)), Store(dst.buffer, k(0), k(1, u8))), [src, dst]
        )
    assert kernel.text.count("@llvm.prefetch") == asked
    out = np.zeros(1, np.uint8)
    assert kernel(np.zeros(8, np.uint8), out) == 0  # beyond what is there: nothing faults
    assert out[0] == 1
