"""Instructions of today's machines, for `tensorize`.

Each says what it computes in the language. Sums have 16 lanes, those of a vector of 512 bits, unless the name says how
many. Integers are exact: they wrap, and nothing saturates. Loops that have the meaning may run on any target; those
without the instruction run them as they are.

>>> import halo, numpy as np
>>> @halo.func
... def product(y, x, *, a: halo.u8[:, :], b: halo.i8[:, :]):
...     return sum(halo.i32(a[y, k]) * halo.i32(b[x, k]) for k in halo.rdom(a.shape[1]))
>>> sums = product.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 4)
>>> _ = sums.reorder("y", "xo", "ko", "xi", "ki").tensorize("xi", halo.intrinsics.dot_u8i8_i32)
>>> product(a=np.full((1, 9), 200, np.uint8), b=np.full((2, 9), -3, np.int8))
array([[-5400, -5400]], dtype=int32)
"""

# mypy: ignore-errors
# (the bodies are in the language of halo, whose types are no types of Python's)

from __future__ import annotations

from .func.intrinsic import intrinsic
from .ir.functions import rdom
from .types import bf16, f32, i8, i16, i32, u8, u32

__all__ = ["dot_bf16_f32", "dot_bf16_f32x8", "dot_i8i8_i32", "dot_i8i8_i32x4", "dot_i8i8_i32x8", "dot_i16i16_i32",
           "dot_i16i16_i32x8", "dot_u8i8_i32", "dot_u8i8_i32x4", "dot_u8i8_i32x8", "dot_u8u8_u32x4"]  # fmt: skip


@intrinsic(16, llvm={"avx512vnni": "llvm.x86.avx512.vpdpbusd.512"})
def dot_u8i8_i32(i, *, a: u8[:, :], b: i8[:, :]):
    """Four products of u8 and i8 added to each of 16 sums of i32: AVX-512 VNNI's `vpdpbusd`."""
    return sum(i32(a[i, k]) * i32(b[i, k]) for k in rdom(4))


@intrinsic(8, llvm={"avxvnni": "llvm.x86.avx512.vpdpbusd.256", "avx512vnni+avx512vl": "llvm.x86.avx512.vpdpbusd.256"})
def dot_u8i8_i32x8(i, *, a: u8[:, :], b: i8[:, :]):
    """Four products of u8 and i8 added to each of 8 sums of i32: AVX-VNNI's `vpdpbusd`."""
    return sum(i32(a[i, k]) * i32(b[i, k]) for k in rdom(4))


@intrinsic(4, llvm={"i8mm": "llvm.aarch64.neon.usdot.v4i32.v16i8"})
def dot_u8i8_i32x4(i, *, a: u8[:, :], b: i8[:, :]):
    """Four products of u8 and i8 added to each of 4 sums of i32: ARM's `usdot`."""
    return sum(i32(a[i, k]) * i32(b[i, k]) for k in rdom(4))


@intrinsic(4, llvm={"dotprod": "llvm.aarch64.neon.udot.v4i32.v16i8"})
def dot_u8u8_u32x4(i, *, a: u8[:, :], b: u8[:, :]):
    """Four products of u8 added to each of 4 sums of u32: ARM's `udot`."""
    return sum(u32(a[i, k]) * u32(b[i, k]) for k in rdom(4))


@intrinsic(4, llvm={"dotprod": "llvm.aarch64.neon.sdot.v4i32.v16i8"})
def dot_i8i8_i32x4(i, *, a: i8[:, :], b: i8[:, :]):
    """Four products of i8 added to each of 4 sums of i32: ARM's `sdot`."""
    return sum(i32(a[i, k]) * i32(b[i, k]) for k in rdom(4))


@intrinsic(16, llvm={"avx512vnni": """
    %flipped = xor <64 x i8> %a, splat (i8 -128)
    %more = call <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32> %acc, <64 x i8> %flipped, <64 x i8> %b)
    %bias = call <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32> zeroinitializer, <64 x i8> splat (i8 -128), <64 x i8> %b)
    %sum = sub <16 x i32> %more, %bias
    ret <16 x i32> %sum
"""})  # fmt: skip
def dot_i8i8_i32(i, *, a: i8[:, :], b: i8[:, :]):
    """Four products of i8 added to each of 16 sums of i32: as (a + 128)*b - 128*b, by `vpdpbusd`. What is taken off
    depends on `b` alone: rows that share it compute it once."""
    return sum(i32(a[i, k]) * i32(b[i, k]) for k in rdom(4))


_DOT_I8_X8 = """
    %flipped = xor <32 x i8> %a, splat (i8 -128)
    %more = call <8 x i32> @llvm.x86.avx512.vpdpbusd.256(<8 x i32> %acc, <32 x i8> %flipped, <32 x i8> %b)
    %bias = call <8 x i32> @llvm.x86.avx512.vpdpbusd.256(<8 x i32> zeroinitializer, <32 x i8> splat (i8 -128), <32 x i8> %b)
    %sum = sub <8 x i32> %more, %bias
    ret <8 x i32> %sum
"""


@intrinsic(8, llvm={"avxvnni": _DOT_I8_X8, "avx512vnni+avx512vl": _DOT_I8_X8})
def dot_i8i8_i32x8(i, *, a: i8[:, :], b: i8[:, :]):
    """Four products of i8 added to each of 8 sums of i32: as (a + 128)*b - 128*b, by `vpdpbusd`."""
    return sum(i32(a[i, k]) * i32(b[i, k]) for k in rdom(4))


@intrinsic(16, llvm={"avx512vnni": "llvm.x86.avx512.vpdpwssd.512"})
def dot_i16i16_i32(i, *, a: i16[:, :], b: i16[:, :]):
    """Two products of i16 added to each of 16 sums of i32: AVX-512 VNNI's `vpdpwssd`."""
    return sum(i32(a[i, k]) * i32(b[i, k]) for k in rdom(2))


@intrinsic(8, llvm={"avxvnni": "llvm.x86.avx512.vpdpwssd.256", "avx512vnni+avx512vl": "llvm.x86.avx512.vpdpwssd.256"})
def dot_i16i16_i32x8(i, *, a: i16[:, :], b: i16[:, :]):
    """Two products of i16 added to each of 8 sums of i32: AVX-VNNI's `vpdpwssd`."""
    return sum(i32(a[i, k]) * i32(b[i, k]) for k in rdom(2))


@intrinsic(16, llvm={"avx512bf16": "llvm.x86.avx512bf16.dpbf16ps.512"})
def dot_bf16_f32(i, *, a: bf16[:, :], b: bf16[:, :]):
    """Two products of bf16 added to each of 16 sums of f32: `vdpbf16ps`. It takes them in an order of its own and
    subnormals as zero, so that it is for stages under `atomic()` or `fastmath`."""
    return sum(f32(a[i, k]) * f32(b[i, k]) for k in rdom(2))


@intrinsic(8, llvm={"avx512bf16+avx512vl": "llvm.x86.avx512bf16.dpbf16ps.256"})
def dot_bf16_f32x8(i, *, a: bf16[:, :], b: bf16[:, :]):
    """Two products of bf16 added to each of 8 sums of f32: `vdpbf16ps`, as `dot_bf16_f32`."""
    return sum(f32(a[i, k]) * f32(b[i, k]) for k in rdom(2))
