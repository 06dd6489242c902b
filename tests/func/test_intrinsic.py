"""Intrinsics that a user declares: they are used, tried before, and refused where they are none."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

import halo
from halo.errors import HaloError

from ..schedule.helpers import define

RNG = np.random.default_rng(4)

AVERAGE = """
%wa = zext <16 x i8> %a to <16 x i16>
%wb = zext <16 x i8> %b to <16 x i16>
%sum = add <16 x i16> %wa, %wb
%more = add <16 x i16> %sum, splat (i16 1)
%half = lshr <16 x i16> %more, splat (i16 1)
%short = trunc <16 x i16> %half to <16 x i8>
ret <16 x i8> %short
"""


@halo.intrinsic(16, llvm={"sse2": "llvm.x86.sse2.pavg.b", "": AVERAGE})
def average(i, *, a: halo.u8[:], b: halo.u8[:]):
    """Means of bytes, rounded up."""
    return halo.avg_up(a[i], b[i])


@halo.intrinsic(8, rounds=False, llvm={"": """
%r = call <8 x float> @llvm.fma.v8f32(<8 x float> %a, <8 x float> %b, <8 x float> %acc)
ret <8 x float> %r
"""})  # fmt: skip
def multiply_add(i, *, a: halo.f32[:], b: halo.f32[:]):
    multiply_add[i] += a[i] * b[i]


@halo.intrinsic(2, 4, llvm={"": """
%rows = shufflevector <2 x i32> %a, <2 x i32> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 1, i32 1, i32 1, i32 1>
%columns = shufflevector <4 x i32> %b, <4 x i32> poison, <8 x i32> <i32 0, i32 1, i32 2, i32 3, i32 0, i32 1, i32 2, i32 3>
%products = mul <8 x i32> %rows, %columns
%sums = add <8 x i32> %acc, %products
ret <8 x i32> %sums
"""})  # fmt: skip
def outer(i, j, *, a: halo.i32[:], b: halo.i32[:]):
    outer[i, j] += a[i] * b[j]


def test_of_a_pure_definition() -> None:
    @halo.func
    def f(y, x, *, p, q):
        return halo.avg_up(p[y, x], q[x, y])

    f.split("x", "xo", "xi", 16).tensorize("xi", average)
    p, q = RNG.integers(0, 256, (5, 37), np.uint8), RNG.integers(0, 256, (37, 5), np.uint8)
    np.testing.assert_array_equal(f(p=p, q=q), (p.astype(int) + q.T + 1) // 2)
    assert average.__doc__ == "Means of bytes, rounded up."
    assert average.meaning.loops() == "i in 0..16" and not average.rounds
    portable = halo.Target("aarch64-unknown-linux-gnu", "", "+neon")
    assert "rhadd" in f.inspect_asm(p=halo.u8, q=halo.u8, target=portable)  # LLVM knows what the lines are


def test_floats_that_are_exact_need_no_permission() -> None:
    def product() -> halo.Func:
        @halo.func
        def g(y, x, *, p: halo.f32[:, :], q: halo.f32[:, :]):
            g[y, x] = halo.f32(0)
            for k in halo.rdom(p.shape[1]):
                g[y, x] += p[y, k] * q[k, x]

        return g

    p, q = RNG.standard_normal((5, 19), np.float32), RNG.standard_normal((19, 21), np.float32)
    plain, g = product(), product()
    g.update(0).split("x", "xo", "xi", 8).reorder("y", "xo", "k", "xi").tensorize("xi", multiply_add)
    if halo.Target.host().has_fma:
        np.testing.assert_array_equal(g(p=p, q=q), plain(p=p, q=q))


def test_of_two_axes_and_broadcast_operands() -> None:
    @halo.func
    def g(y, x, *, p: halo.i32[:, :], q: halo.i32[:, :]):
        g[y, x] = halo.i32(1)
        for k in halo.rdom(p.shape[1]):
            g[y, x] += p[y, k] * q[k, x]

    u = g.update(0).tile("y", "x", "yo", "xo", "yi", "xi", 2, 4).reorder("yo", "xo", "k", "yi", "xi")
    u.tensorize("yi", outer)
    p, q = RNG.integers(-9, 9, (5, 7), np.int32), RNG.integers(-9, 9, (7, 10), np.int32)
    np.testing.assert_array_equal(g(p=p, q=q), p @ q + 1)
    np.testing.assert_array_equal(g(p=p, q=np.asfortranarray(q), out=np.zeros((10, 5), np.int32).T), p @ q + 1)


HEAD = "import halo\n"
USE = """
y = halo.Var("y")
f, p = Func("f"), halo.Input("p", halo.i32, ndim=1)
f[y] = p[y] + 1
f.split("y", "yo", "yi", 4).tensorize("yi", more)
"""
PURE = """@halo.intrinsic(4, llvm={{"": '''{}'''}})
def more(i, *, a: halo.i32[:]):
    return a[i] + 1
"""
MADE = """@halo.intrinsic({}, llvm={{}})
def more({}):
    {}
"""
WRONG = {
    "not what it means": PURE.format("%r = add <4 x i32> %a, splat (i32 2)\nret <4 x i32> %r"),
    "another type": PURE.format("%r = add <4 x i32> %a, splat (i32 1)\nret <4 x i32> %b"),
    "no straight lines": PURE.format("br label %x\nx:\nret <4 x i32> %a"),
    "no result": PURE.format("%r = add <4 x i32> %a, splat (i32 1)"),
    "no such function": PURE.format("llvm.more"),
    "extents": MADE.format("4, 2", "i, *, a: halo.i32[:]", "return a[i] + 1"),
    "no code": MADE.format("4", "i, *, a: halo.i32[:]", "return a[i] + 1").replace("{}", "3"),
    "an extent": MADE.format("0", "i, *, a: halo.i32[:]", "return a[i] + 1"),
    "no types": MADE.format("4", "i, *, a", "return a[i] + 1"),
    "a scalar": MADE.format("4", "i, *, a: halo.i32[:], k: halo.i32", "return a[i] + k"),
    "two values": MADE.format("4", "i, *, a: halo.i32[:]", "return a[i], a[i]"),
    "computes with indices": MADE.format("4", "i, *, a: halo.i32[:]", "return a[i] + i"),
    "other subscripts": MADE.format("4", "i, *, a: halo.i32[:]", "return a[i + 1]"),
    "two places": MADE.format("4", "i, *, a: halo.i32[:, :]", "return sum(a[i, k] * a[i, 0] for k in halo.rdom(4))"),
    "a length": MADE.format("4", "i, *, a: halo.i32[:, :]", "return sum(a[i, k] for k in halo.rdom(a.shape[1]))"),
}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 has a decorator at the line of what it decorates")
def test_what_is_no_intrinsic(golden: Callable[[str, str], None]) -> None:
    texts = []
    for title, code in WRONG.items():
        try:
            define(HEAD, code + USE)["f"](p=np.arange(9, dtype=np.int32))
        except HaloError as e:
            texts.append(f"## {title}\n\n{e}")
    assert len(texts) == len(WRONG)
    golden("func/intrinsics", "\n\n\n".join(texts))


def test_what_llvm_cannot_select_ends_no_process() -> None:
    code = PURE.replace("(4", "(16").format(
        "%r = call <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32> %a, <64 x i8> zeroinitializer, "
        "<64 x i8> zeroinitializer)\nret <16 x i32> %r"
    )
    f = define(HEAD, code + USE.replace("4", "16"))["f"]
    with pytest.raises(halo.DefinitionError, match=r"the LLVM IR of more(.|\n)*LLVM ERROR"):
        f.inspect_asm(target=halo.Target("x86_64-unknown-linux-gnu", "", "+sse2"))
