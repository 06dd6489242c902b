"""Locks round updates of dependent elements: taken where other threads see the memory, let go on every way out."""

from __future__ import annotations

import numpy as np

from halo.ir.expr import Buffer, Cast, Const, Expr, Load, Op, Var
from halo.ir.node import interning
from halo.ir.stmt import Allocate, Atomic, For, Let, Store, block
from halo.types import bool_, i32

from .harness import Kernel, k, op, port


def squares(a: Buffer, b: Buffer, at: Expr, x: Expr, allowed: Expr | None = None) -> Atomic:
    """a, b = a + x, b + 2*a*x + x*x: whatever the order of the terms, b stays a*a."""
    old = Load(a, at)
    left, right = Var("left", i32), Var("right", i32)
    product = op("add", op("mul", op("mul", old, x), Const(2, i32)), op("mul", x, x))
    value = op("add", Load(b, at), product)
    if allowed is not None:
        value = Op("require", (Op("lt", (old, allowed), bool_), value, old), i32, 7)
    stores = block(Store(a, at, left), Store(b, at, right))
    return Atomic(a, at, Let(left, op("add", old, x), Let(right, value, stores)))


def kernel_of(kind: str, limit: int | None = None) -> Kernel:
    with interning():
        x, a, b = port("x", i32), port("a", i32, "output"), port("b", i32, "output")
        v = Var("v")
        term = Load(x.buffer, v)
        body = squares(a.buffer, b.buffer, op("mod", v, k(3)), term, None if limit is None else Const(limit, i32))
        return Kernel(For(v, k(0), x.extents[0], kind, body), [x, a, b])


def test_every_way_to_run_it() -> None:
    x = np.arange(-20, 40, dtype=np.int32)
    sums = np.array([x[j::3].sum() for j in range(3)])
    for kind in ("serial", "parallel"):
        a, b = np.zeros(3, np.int32), np.zeros(3, np.int32)
        assert kernel_of(kind)(x, a, b) == 0
        assert a.tolist() == sums.tolist()
        assert b.tolist() == (sums**2).tolist()


def test_a_loop_of_one_thread_takes_no_lock() -> None:
    assert "atomicrmw xchg" in kernel_of("parallel").text
    assert "atomicrmw" not in kernel_of("serial").text


def test_what_does_not_read_the_memory_is_computed_before_the_lock() -> None:
    text = kernel_of("parallel").text
    lock = text.index("atomicrmw xchg")
    assert text.index("mul i32") < lock  # x*x
    assert text.rindex("mul i32") > lock


def test_private_memory_takes_no_lock() -> None:
    with interning():
        out, v, w = port("out", i32, "output"), Var("v"), Var("w")
        a, b = Buffer("a", i32, "heap"), Buffer("b", i32, "heap")
        zero = k(0)
        inner = For(w, k(0), k(5), "serial", squares(a, b, zero, Cast(w, i32)))
        body = block(Store(a, zero, k(0, i32)), Store(b, zero, k(0, i32)), inner, Store(out.buffer, v, Load(b, zero)))
        private = Allocate(a, k(1), Allocate(b, k(1), body))
        kernel = Kernel(For(v, k(0), k(4), "parallel", private), [out])
    got = np.zeros(4, np.int32)
    assert kernel(got) == 0
    assert got.tolist() == [100] * 4
    assert "atomicrmw" not in kernel.text


def test_a_requirement_that_fails_lets_go_of_the_lock() -> None:
    kernel = kernel_of("parallel", 10)
    assert kernel.text.count("store atomic i8 0") == 2  # on the way on, and on the way out
    a, b = np.zeros(3, np.int32), np.zeros(3, np.int32)
    assert kernel(np.ones(60, np.int32), a, b) == 7
    assert kernel.error[1] == 10
    assert a.max() == 10
