"""Atomic updates from many threads: nothing is lost, whatever the type and the operation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from halo.ir.expr import Broadcast, Buffer, Cast, Const, Expr, Load, Var
from halo.ir.node import interning
from halo.ir.stmt import Allocate, For, Store, block
from halo.types import ALL, Type, bf16, bool_, f16, f32, f64, i32, index, u8

from .harness import Kernel, k, op, port, ramp


def kernel_of(t: Type, name: str, n: int, lanes: int, masked: bool = False) -> Kernel:
    """`out[where[i]] = out[where[i]] name a[i]` in a parallel loop over i."""
    with interning():
        a, where, out, keep = port("a", t), port("where", u8), port("out", t, "output"), port("keep", bool_)
        v = Var("v")
        i = ramp(op("mul", v, k(lanes)), lanes)
        to = Cast(Load(where.buffer, i), index)
        value = op(name, Load(out.buffer, to), Load(a.buffer, i))
        store = Store(out.buffer, to, value, Load(keep.buffer, i) if masked else None, atomic=True)
        return Kernel(For(v, k(0), k(n // lanes), "parallel", store), [a, where, keep, out])


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("t", ALL, ids=lambda t: t.name)
def test_every_type(t: Type, lanes: int) -> None:
    rng, n = np.random.default_rng(8), 96
    names = {"bool_": ("or", "and", "xor")}.get(t.name, ("add", "min", "max", "mul"))
    functions = {"add": np.add, "min": np.minimum, "max": np.maximum, "mul": np.multiply, "or": np.logical_or,
                 "and": np.logical_and, "xor": np.logical_xor}  # fmt: skip
    where, keep = rng.integers(0, 3, n).astype(np.uint8), rng.random(n) < 0.7
    for name in names:
        a = (rng.random(n) < 0.5) if t is bool_ else rng.integers(1, 2 if name == "mul" else 3, n).astype(t.dtype)
        for masked in (False, True):
            kernel = kernel_of(t, name, n, lanes, masked)
            out = np.ones(3, t.dtype)
            assert kernel(a, where, keep, out) == 0
            want = np.ones(3, t.dtype)
            for i in range(n):
                if keep[i] or not masked:
                    want[where[i]] = functions[name](want[where[i]], a[i])
            np.testing.assert_array_equal(out, want, f"{name} of {t}")


def test_one_instruction_where_there_is_one() -> None:
    assert "atomicrmw add" in kernel_of(i32, "add", 8, 1).text
    assert "atomicrmw umax" in kernel_of(u8, "max", 8, 8).text
    assert "cmpxchg" in kernel_of(f32, "add", 8, 1).text
    assert "cmpxchg" in kernel_of(i32, "mul", 8, 1).text


@pytest.mark.parametrize("t", [i32, u8, f64, bf16, f16], ids=lambda t: t.name)
def test_many_threads(t: Type) -> None:
    n = 30_000 if t.bits > 16 else 200
    kernel = kernel_of(t, "add", n, 1)
    a, where, keep, out = np.ones(n, t.dtype), np.zeros(n, np.uint8), np.ones(n, bool), np.zeros(1, t.dtype)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: kernel(a, where, keep, out), range(4))) == [0] * 4
    assert int(out[0]) == (4 * n if t is not u8 else 4 * n % 256) or (t is bf16 and out[0] == 256)


def test_private_memory_and_serial_loops_need_no_atomics() -> None:
    with interning():
        out, v, w = port("out", i32, "output"), Var("v"), Var("w")
        mine = Buffer("mine", i32, "heap")

        def add(b: Buffer, i: Expr) -> Store:
            return Store(b, i, op("add", Load(b, i), Const(1, i32)), None, atomic=True)

        private = Allocate(mine, k(1), block(Store(mine, k(0), k(0, i32)), For(w, k(0), k(5), "serial", add(mine, k(0))),
                                             Store(out.buffer, v, Load(mine, k(0)))))  # fmt: skip
        kernel = Kernel(
            block(For(v, k(0), k(4), "parallel", private), For(v, k(0), k(4), "serial", add(out.buffer, v))), [out]
        )
    got = np.zeros(4, np.int32)
    assert kernel(got) == 0
    assert got.tolist() == [6] * 4
    assert "atomicrmw" not in kernel.text
    assert "cmpxchg" not in kernel.text


@pytest.mark.parametrize("parallel", [False, True])
def test_a_general_expression_of_the_old_value(parallel: bool) -> None:
    with interning():
        out, v = port("out", i32, "output"), Var("v")
        i = Broadcast(k(0), 4)
        old = Load(out.buffer, i)
        value = op("add", op("mul", old, k(3, i32, 4)), Cast(ramp(v, 4), i32))
        body = For(v, k(0), k(3), "parallel" if parallel else "serial", Store(out.buffer, i, value, None, atomic=True))
        kernel = Kernel(body, [out])
    got = np.ones(1, np.int32)
    assert kernel(got) == 0
    want = 1
    for j in reversed(range(3)) if parallel else range(3):
        for lane in range(4):
            want = 3 * want + j + lane
    assert got[0] == np.int64(want).astype(np.int32)


def test_an_atomic_store_that_reads_nothing() -> None:
    with interning():
        out, v = port("out", f32, "output"), Var("v")
        kernel = Kernel(For(v, k(0), k(9), "parallel", Store(out.buffer, v, Cast(v, f32), None, atomic=True)), [out])
    got = np.zeros(9, np.float32)
    assert kernel(got) == 0
    assert got.tolist() == list(range(9))
