"""Whole kernels: the call's slots, what LLVM is told about memory, and what becomes of it."""

from __future__ import annotations

import re

import numpy as np
import pytest

import halo
from halo.func.signature import signature
from halo.ir.expr import Buffer, Expr, Load, Op, Var
from halo.ir.node import interning
from halo.ir.stmt import Allocate, For, Store, block
from halo.jit import llvm
from halo.jit.emit import emit, emit_parts, rounded
from halo.types import bf16, bool_, f16, f32, f64, index, u16

from .harness import HOST, Kernel, Target, at, k, op, port, ramp

LANES = 32


def blur(target: Target = HOST) -> Kernel:
    """(a[y, x] + a[y, x + 1] + a[y, x + 2]) // 3 in u16, by rows and 32 lanes."""
    with interning():
        a, out, y, x = port("a", u16, ndim=2), port("out", u16, "output", 2), Var("y"), Var("x")
        row = op("mul", y, a.strides[0])

        def tap(d: int) -> Expr:
            return Load(a.buffer, ramp(at(row, (x, LANES), const=d), LANES))

        total = op("add", op("add", tap(0), tap(1)), tap(2))
        where = ramp(at(op("mul", y, out.strides[0]), (x, LANES)), LANES)
        store = Store(out.buffer, where, op("floordiv", total, k(3, u16, LANES)))
        columns = op("floordiv", out.extents[1], k(LANES))
        row_loop = For(x, k(0), columns, "serial", store)
        return Kernel(For(y, k(0), out.extents[0], "parallel", row_loop), [a, out], (), target)


def test_a_blur() -> None:
    a = np.random.default_rng(9).integers(0, 65536, (13, 5 * LANES + 2), np.uint16)
    out = np.zeros((13, 5 * LANES), np.uint16)
    assert blur()(a, out) == 0
    np.testing.assert_array_equal(out, (a[:, :-2] + a[:, 1:-1] + a[:, 2:]) // 3)


@pytest.mark.skipif(HOST.vector_bits != 512, reason="reads AVX-512 assembly")
def test_the_inner_loop_of_a_blur_holds_nothing_but_the_blur() -> None:
    text = llvm.asm(blur().text, HOST)
    loop = re.search(r"\n(\.LBB\d+_\d+):\n((?:\t.*\n)+?)\tj\w+\t\1\n", text)
    assert loop is not None
    names = [line.split()[0] for line in loop[2].splitlines()]
    assert names == ["vmovdqu64", "vpaddw", "vpaddw", "vpmulhuw", "vpsrlw", "vmovdqu64", "incq", "addq", "cmpq"]


def test_strides_and_origins_come_from_the_call() -> None:
    with interning():
        a, out, y, x = port("a", f64, ndim=2), port("out", f64, "output", 2), Var("y"), Var("x")
        where = at(op("mul", y, a.strides[0]), op("mul", x, a.strides[1]))
        to = at(op("mul", y, out.strides[0]), op("mul", x, out.strides[1]))
        offset = Op("select", (op("lt", out.mins[0], k(1), type=bool_), k(0.0, f64), k(1e3, f64)), f64)
        value = op("add", Load(a.buffer, where), offset)
        kernel = Kernel(For(y, k(0), out.extents[0], "serial", For(x, k(0), out.extents[1], "serial",
                                                                   Store(out.buffer, to, value))), [a, out])  # fmt: skip
    whole = np.arange(120, dtype=np.float64).reshape(10, 12)
    for view in (whole[::2, ::3], whole[::-1, ::-1], whole.T, np.broadcast_to(whole[0], (4, 12)), whole[:0]):
        out_array = np.zeros(view.shape[::-1]).T
        assert kernel(view, out_array) == 0
        np.testing.assert_array_equal(out_array, view)


def test_buffers_are_known_to_be_apart() -> None:
    """Of two buffers of one loop, a scope of the one is on the noalias list of the other; inputs are invariant."""
    with interning():
        a, out, v = port("a", u16), port("out", u16, "output"), Var("v")
        tmp = Buffer("tmp", u16, "heap")
        body = block(Store(tmp, v, Load(a.buffer, v)), Store(out.buffer, v, Load(tmp, v)))
        kernel = Kernel(Allocate(tmp, k(100_000), For(v, k(0), k(8), "serial", body)), [a, out])
    nodes = dict(re.findall(r"^!(\d+) = (?:distinct )?!\{(.*)\}$", kernel.text, re.M))

    def scopes(instruction: str) -> tuple[set[str], set[str]]:
        found = re.search(instruction + r".*!alias.scope !(\d+), !noalias !(\d+)", kernel.text)
        assert found is not None
        return tuple(set(re.findall(r"!(\d+)", nodes[n])) for n in found.groups())

    accesses = [scopes(rf"{i} i16.*") for i in ("= load", "store")]
    assert accesses[0][0] & accesses[1][1] or accesses[1][0] & accesses[0][1]
    assert len(re.findall(r"load i16.*!invariant\.load", kernel.text)) == 1
    # so the value goes from the load to both stores without being read again
    assert len(re.findall(r"load i16", llvm.optimized(kernel.text, HOST))) == 1


def test_the_text_is_the_same_every_time() -> None:
    assert blur().text == blur().text


def test_constants_are_rounded_to_their_type() -> None:
    assert rounded(1 + 2.0**-11, f16) == 1.0
    assert rounded(1 + 2.0**-9, bf16) == 1.0
    assert rounded(0.1, f32) == float(np.float32(0.1))
    assert rounded(0.1, f64) == 0.1
    assert rounded(1e39, f32) == float("inf")
    assert np.isnan(rounded(float("nan"), f16))


def test_index_reductions_of_large_arrays() -> None:
    """Addresses are 64 bits wide."""
    with interning():
        a, out = port("a", index), port("out", index, "output")
        far = op("mul", op("mul", a.extents[0], k(1 << 31)), k(2))
        kernel = Kernel(Store(out.buffer, op("mod", far, k(4)), far), [a, out])
    got = np.zeros(4, np.int64)
    assert kernel(np.zeros(3, np.int64), got) == 0
    assert got[0] == 3 << 32


def test_loops_that_do_the_same_with_other_buffers_are_one_function() -> None:
    y, x = halo.vars("y x")
    roots = []
    for n in range(4):
        f, img = halo.Func(f"f{n}"), halo.Input(f"img{n}", halo.f32, ndim=2)
        f[y, x] = halo.sqrt(img[y, x])
        roots.append(f.compute_root().parallel("y").vectorize("x", 8))
    product = halo.Func("product")
    product[y, x] = roots[0][y, x] * roots[1][y, x] * roots[2][y, x] * roots[3][y, x]
    text = product.serial("y").inspect_llvm()
    assert text.count("call i32 @halo_par_for(") == 4
    assert text.count("\ndefine ") == 2
    arrays = np.random.default_rng(0).random((4, 5, 37), np.float32)
    np.testing.assert_allclose(product(*arrays), np.prod(np.sqrt(arrays), axis=0), rtol=1e-6)


def test_many_serial_loops_are_functions_of_their_own() -> None:
    """Those that do the same are one; memory, checks and threads are as in one function."""
    y, x = halo.vars("y x")
    stages: list[halo.Func] = []
    f = halo.Input("img", halo.i32, ndim=2)
    for n in range(12):
        g = halo.Func(f"f{n}")
        g[y, x] = f[y, x] + f[y, x + 1]
        f = g.compute_root()
        stages.append(g)
    stages[5].parallel("y")
    text = f.inspect_llvm()
    assert text.count("call i32 @halo_par_for(") == 1
    assert 12 <= text.count("\ndefine i32 @f11") <= 14
    img = np.random.default_rng(0).integers(-9, 9, (7, 40), np.int32)
    want = img
    for _ in stages:
        want = want[:, :-1] + want[:, 1:]
    np.testing.assert_array_equal(f(img=img, shape=(7, 28)), want)


def test_parts_of_a_kernel_have_what_they_mention() -> None:
    """Constant tables, and functions of other modules."""
    table = np.arange(64, dtype=np.int32)

    def stage(f: halo.Func, n: int) -> halo.Func:
        @halo.func
        def times(x):
            return f[x] * table[halo.clamp(x + n, 0, 63)]

        return times.compute_root()

    f = halo.Input("a", halo.i32, ndim=1)
    for n in range(60):
        f = stage(f, n)
    program = f.program()
    with interning():
        low = program.lowered(signature(program.arguments, {}, complete=False))
        whole = emit(low, HOST, "f")
        parts = emit_parts(low, HOST, "f", 3)
    assert len(parts) == 3
    assert sum(part.count("\ndefine ") for part in parts) == whole.count("\ndefine ")
    assert any("@table0 = " not in part for part in parts)
    assert all(llvm.compile_parts(parts, HOST))
    a = np.arange(70, dtype=np.int32)
    want = a.copy()
    for n in range(60):
        want *= table[np.clip(np.arange(70) + n, 0, 63)]
    np.testing.assert_array_equal(f(a=a), want)
