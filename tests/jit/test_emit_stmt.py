"""Loops, tasks, memory and checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from halo.errors import CompileError
from halo.ir.expr import Array, Buffer, Cast, Const, Expr, Load, Var
from halo.ir.node import interning
from halo.ir.pipeline import Param, Port
from halo.ir.stmt import Allocate, Block, Check, Evaluate, For, Free, If, Let, Produce, Provide, Stmt, Store, block
from halo.types import as_type, bool_, f16, f32, f64, i8, i16, i32, i64, index, u8, u64

from .harness import Kernel, at, k, op, port, ramp


def run(make, *arrays: np.ndarray, status: int = 0, kinds: str = "") -> Kernel:
    """The kernel of the statement that `make` gives for one port an array (the last is the output), run."""
    with interning():
        ports = [port(f"a{j}", as_type(a.dtype), "output" if j == len(arrays) - 1 else "input", a.ndim)
                 for j, a in enumerate(arrays)]  # fmt: skip
        kernel = Kernel(make(*ports), ports)
    assert kernel(*arrays) == status
    assert not kernel.runtime.live
    return kernel


def test_loops_run_from_lo_for_extent() -> None:
    a = np.arange(20, dtype=np.int64)
    out = np.zeros(20, np.int64)

    def make(src, dst):
        v, w = Var("v"), Var("w")
        n = Load(src.buffer, k(3))
        copy = Store(dst.buffer, v, Load(src.buffer, v))
        empty = For(w, k(0), at(n, const=-4), "serial", Store(dst.buffer, k(0), k(99)))
        never = For(w, k(0), k(0), "serial", Store(dst.buffer, k(0), k(99)))
        once = For(w, k(19), k(1), "serial", Store(dst.buffer, w, w))
        return block(For(v, n, at(n, n), "serial", copy), empty, never, once)

    run(make, a, out)
    assert out.tolist() == [0, 0, 0, *range(3, 9), *[0] * 10, 19]


def test_conditions() -> None:
    out = np.zeros((4, 10), np.int64)

    def make(dst):
        v = Var("v")
        row = [at((v, 1), const=10 * j) for j in range(4)]
        even = op("eq", op("mod", v, k(2)), k(0), type=bool_)
        return For(v, k(0), k(10), "serial", block(
            If(even, Store(dst.buffer, row[0], k(1)), Store(dst.buffer, row[0], k(2))),
            If(op("lt", v, k(5), type=bool_), block(If(even, Store(dst.buffer, row[1], v))), likely=True),
            Store(dst.buffer, row[2], k(7), even),
            If(even, block(), Store(dst.buffer, row[3], k(3))),
        ))  # fmt: skip

    run(make, out)
    assert out[0].tolist() == [1, 2] * 5
    assert out[1].tolist() == [0, 0, 2, 0, 4, 0, 0, 0, 0, 0]
    assert out[2].tolist() == [7, 0] * 5
    assert out[3].tolist() == [0, 3] * 5


def test_a_load_sees_the_last_store() -> None:
    """Loads are shared only as long as nothing was stored to their buffer; loops and branches count."""
    out = np.array([1, 0, 0, 0, 0, 0], np.int64)

    def make(dst):
        b, v, held = dst.buffer, Var("v"), Var("held")
        first = Load(b, k(0))
        double = Store(b, k(0), op("add", first, first))
        body = block(
            double,
            Store(b, k(1), first),  # 2
            For(v, k(0), k(5), "serial", double),
            Store(b, k(2), first),  # 64
            Let(held, first, block(double, Store(b, k(3), held), Store(b, k(4), first))),  # 64, 128
            If(op("lt", k(0), first, type=bool_), double),
            Store(b, k(5), first),
        )
        return body

    run(make, out)
    assert out.tolist() == [256, 2, 64, 64, 128, 256]


def test_parallel_loops_capture_what_they_use() -> None:
    """Variables of every type, buffers, and loops inside of loops."""
    out = np.zeros((6, 8), np.float64)

    def values(p: dict[str, Var]) -> Expr:
        total: Expr = Cast(p["a"], f64)
        for name in "bcdef":
            total = op("add", total, Cast(p[name], f64))
        return total

    with interning():
        types = {"a": u8, "b": i16, "c": f32, "d": u64, "e": f16, "f": bool_}
        params = {n: Param(n, Var(n, t)) for n, t in types.items()}
        dst = port("out", f64, "output", 2)
        y, x, scale = Var("y"), Var("x"), Var("scale", f64)
        where = at(op("mul", y, dst.strides[0]), x)
        value = op("mul", op("add", values({n: p.var for n, p in params.items()}), Cast(where, f64)), scale)
        inner = For(x, k(0), dst.extents[1], "parallel", Store(dst.buffer, where, value))
        body = Let(scale, k(2.0, f64), For(y, k(0), dst.extents[0], "parallel", inner))
        kernel = Kernel(body, [dst], list(params.values()))
    assert kernel(out, a=200, b=-7, c=0.25, d=1 << 40, e=0.5, f=True) == 0
    np.testing.assert_array_equal(out.ravel(), 2.0 * (200 - 7 + 0.25 + 2.0**40 + 0.5 + 1 + np.arange(48)))
    assert kernel.runtime.loops == [6] + [8] * 6


def squares(kind: str, size: int) -> Callable[[Any], Stmt]:
    """Squares in memory of its own, of which the output takes a few."""

    def make(dst: Any) -> Stmt:
        tmp, v = Buffer("tmp", index, kind), Var("v")
        fill = For(v, k(0), k(size), "serial", Store(tmp, v, op("mul", v, v)))
        use = For(v, k(0), k(4), "serial", Store(dst.buffer, v, Load(tmp, at((v, 2), const=1))))
        return Allocate(tmp, k(size), Produce(Array("tmp", (index,), 1), block(fill, use)))

    return make


@pytest.mark.parametrize(
    ("kind", "size", "calls"), [("stack", 10, 0), ("stack", 100_000, 1), ("heap", 10, 1), ("heap", 100_000, 1)]
)
def test_allocations(kind: str, size: int, calls: int) -> None:
    """What is on the heap comes from the pool, and so does what is too large for the stack; it is given back."""
    out = np.zeros(4, np.int64)
    kernel = run(squares(kind, size), out)
    assert out.tolist() == [1, 9, 25, 49]
    assert kernel.runtime.count == calls
    assert not kernel.runtime.live


def nested(depth: int, parallel: bool) -> tuple[Kernel, np.ndarray]:
    with interning():
        n, dst = port("n", u8), port("out", i32, "output")
        buffers = [Buffer(f"t{j}", i32, "heap") for j in range(depth)]
        body: Stmt = Store(dst.buffer, k(0), k(1, i32))
        for b in reversed(buffers):
            body = block(Store(b, k(0), k(5, i32)), body)
            body = Allocate(b, op("mul", n.extents[0], k(1000)), body)
            if parallel:
                body = For(Var("p"), k(0), k(2), "parallel", body)
        return Kernel(body, [n, dst]), np.zeros(1, np.int32)


@pytest.mark.parametrize("parallel", [False, True])
def test_out_of_memory_gives_everything_back(parallel: bool) -> None:
    kernel, out = nested(4, parallel)
    n = np.zeros(7, np.uint8)
    assert kernel(n, out) == 0
    for fail_at in range(kernel.runtime.count):
        kernel.runtime.count, kernel.runtime.fail_at = 0, fail_at
        assert kernel(n, out) == -1
        assert not kernel.runtime.live


def test_empty_allocations_succeed() -> None:
    kernel, out = nested(2, False)
    assert kernel(np.zeros(0, np.uint8), out) == 0
    assert kernel.runtime.count == 2


def test_sizes_with_a_known_bound_live_on_the_stack() -> None:
    with interning():
        n, dst = port("n", u8), port("out", u8, "output")
        small, large = Buffer("t", u8, "stack"), Buffer("s", u8, "stack")
        inner = Allocate(large, k(100_000), Store(dst.buffer, k(0), k(3, u8)))
        kernel = Kernel(Allocate(small, n.extents[0], inner, bound=100), [n, dst])
    out = np.zeros(1, np.uint8)
    assert kernel(np.zeros(7, np.uint8), out) == 0
    assert out[0] == 3
    assert kernel.runtime.count == 0


def on_the_stack(sizes: Callable[[Var], list[Any]], serial: bool = True) -> tuple[Port, Stmt]:
    """A loop that fills arrays of these sizes one after the other, and adds up their last elements."""
    i, total = Var("i"), port("out", i64, "output")
    steps = []
    for j, size in enumerate(sizes(i)):
        b, v = Buffer(f"b{j}", i64, "stack"), Var("v")
        fill = For(v, k(0), size, "serial", Store(b, v, Cast(at(v, i, const=j), i64)))
        last = Load(b, at(size, const=-1))
        steps.append(Allocate(b, size, block(fill, Store(total.buffer, i, op("add", Load(total.buffer, i), last)))))
    return total, For(i, k(0), total.extents[0], "serial" if serial else "parallel", block(*steps))


@pytest.mark.parametrize(("grows", "calls"), [(0, 1), (1, 6)])
def test_storage_in_slots_asks_for_memory_only_to_grow(grows: int, calls: int) -> None:
    """Two arrays that are not there at the same time share a slot, which 6 iterations keep."""
    with interning():
        n = port("n", u8)
        total, body = on_the_stack(lambda i: [at(n.extents[0], (i, grows)), n.extents[0]])
        kernel = Kernel(body, [n, total])
    out = np.zeros(6, np.int64)
    assert kernel(np.zeros(5, np.uint8), out) == 0
    i = np.arange(6)
    np.testing.assert_array_equal(out, (4 + i * grows + i) + (4 + i + 1))
    assert kernel.runtime.count == calls
    assert not kernel.runtime.live


@pytest.mark.parametrize("serial", [True, False])
def test_slots_give_everything_back_where_there_is_no_more(serial: bool) -> None:
    with interning():
        n = port("n", u8)
        total, body = on_the_stack(lambda i: [at(n.extents[0], i), at(n.extents[0], (i, 2))], serial)
        kernel = Kernel(body, [n, total])
    out = np.zeros(6, np.int64)
    assert kernel(np.zeros(5, np.uint8), out) == 0
    for fail_at in range(kernel.runtime.count):
        kernel.runtime.count, kernel.runtime.fail_at = 0, fail_at
        assert kernel(np.zeros(5, np.uint8), out) == -1
        assert not kernel.runtime.live


def test_a_freed_slot_serves_what_follows() -> None:
    """a; b from a; a goes; c from b: c lies where a was, in two slots for any number of stages."""
    with interning():
        n, dst = port("n", u8), port("out", u8, "output")
        buffers = [Buffer(f"b{j}", u8, "stack") for j in range(9)]
        v, size = Var("v"), n.extents[0]

        def copied(to: Buffer, value: Expr) -> Stmt:
            return For(v, k(0), size, "serial", Store(to, v, op("add", value, k(1, u8))))

        body: Stmt = copied(dst.buffer, Load(buffers[-1], v))
        for a, b in zip(reversed(buffers[:-1]), reversed(buffers[1:]), strict=True):
            body = Allocate(b, size, block(copied(b, Load(a, v)), Free(a), body))
        body = Allocate(buffers[0], size, block(copied(buffers[0], Load(n.buffer, v)), body))
        kernel = Kernel(body, [n, dst])
    data, out = np.arange(200, dtype=np.uint8), np.zeros(200, np.uint8)
    assert kernel(data, out) == 0
    np.testing.assert_array_equal(out, data + 10)
    assert kernel.runtime.count == 2


def test_checks_report_and_stop() -> None:
    with interning():
        a, dst = port("a", u8), port("out", u8, "output")
        true = op("lt", a.extents[0], k(5), type=bool_)
        body = block(
            Check(true, 3, (a.extents[0], k(-4), k(200, u8), k(-3, i8), k(0.5, f32))),
            Store(dst.buffer, k(0), k(1, u8)),
        )
        kernel = Kernel(body, [a, dst])
    out = np.zeros(1, np.uint8)
    assert kernel(np.zeros(7, np.uint8), out) == 3
    assert out[0] == 0
    assert list(kernel.error[:4]) == [7, -4, 200, -3]
    assert np.int64(kernel.error[4]).view(np.float64) == 0.5
    assert kernel(np.zeros(4, np.uint8), out) == 0
    assert out[0] == 1


def test_checks_inside_of_tasks() -> None:
    with interning():
        dst, v = port("out", u8, "output"), Var("v")
        fine = op("lt", v, k(7), type=bool_)
        kernel = Kernel(For(v, k(0), dst.extents[0], "parallel", Check(fine, 9, (v,))), [dst])
    assert kernel(np.zeros(7, np.uint8)) == 0
    assert kernel(np.zeros(9, np.uint8)) == 9
    assert kernel.error[0] == 8


def test_nests_of_any_depth() -> None:
    """Neither allocations, lets, blocks nor loops recurse."""
    with interning():
        dst = port("out", i32, "output")
        body: Stmt = Store(dst.buffer, k(0), op("add", Load(dst.buffer, k(0)), k(1, i32)))
        for j in range(400):
            v, b = Var(f"v{j}", index), Buffer(f"b{j}", u8, "stack")
            body = Allocate(b, k(1), Produce(Array("a", (u8,), 1), Block((Evaluate(k(1)), Let(v, k(j), body)))))
            if j % 8 == 0:
                body = For(Var("w"), k(0), k(1 + (j == 0)), "serial", body)
        kernel = Kernel(body, [dst])
    out = np.zeros(1, np.int32)
    assert kernel(out) == 0
    assert out[0] == 2


def test_unflattened_statements_are_refused() -> None:
    with interning(), pytest.raises(CompileError, match="a Provide statement has no machine code"):
        Kernel(Provide(Array("a", (u8,), 1), (k(0),), (k(1, u8),)), [])
    with interning(), pytest.raises(CompileError, match="x has no value where it is used"):
        Kernel(Evaluate(op("add", Var("x"), Const(1, index))), [])


def test_vectors_bound_by_lets() -> None:
    out = np.zeros(8, np.int32)

    def make(dst):
        v = Var("v", i32)
        v.lanes = 8
        value = Cast(ramp(k(1), 8), i32)
        return Let(v, value, Store(dst.buffer, ramp(k(0), 8), op("mul", v, v)))

    run(make, out)
    assert out.tolist() == [1, 4, 9, 16, 25, 36, 49, 64]


def test_what_the_stack_has_no_room_for_comes_from_the_pool() -> None:
    with interning():
        dst = port("out", u8, "output")
        body: Stmt = Store(dst.buffer, k(0), k(3, u8))
        for j in range(50):
            b = Buffer(f"b{j}", u8, "stack")
            body = Allocate(b, k(200_000), block(Store(b, k(199_999), k(1, u8)), body))
        kernel = Kernel(body, [dst])
    out = np.zeros(1, np.uint8)
    assert kernel(out) == 0
    assert out[0] == 3
    assert kernel.runtime.count == 50 - (1 << 20) // 200_000
