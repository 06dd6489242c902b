"""33, 34 and 35: stack and heap, what happens when there is no more, parallel loops and errors inside of them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import halo
from halo.jit import runtime

from .stages import X, Y, func

# 33: memory that stages share -----------------------------------------------------------------------------------------


def heap_allocations(f: halo.Func, shape: tuple[int, ...]) -> dict[str, float]:
    return {s.name: s.allocations for s in f.profile(shape=shape, runs=1)}


def test_33_small_arrays_of_constant_size_lie_on_the_stack() -> None:
    f = func("f", X, X * 3)
    g = func("g", X, f[X] + f[X + 3])
    g.split("x", "xo", "xi", 64, tail="guard")
    f.compute_at(g, "xo")
    assert heap_allocations(g, (1000,))["f"] == 0


@pytest.mark.parametrize(("points", "calls"), [(4096, 0), (4097, 3)])
def test_33_more_than_16_kib_lie_on_the_heap(points: int, calls: int) -> None:
    f = func("f", X, X * 3)
    g = func("g", X, f[X])
    g.split("x", "xo", "xi", points, tail="guard")
    f.compute_at(g, "xo")
    assert heap_allocations(g, (10000,))["f"] == calls


def test_33_a_bound_puts_a_dynamic_size_on_the_stack() -> None:
    n = halo.Param("n", halo.i32)
    f = func("f", X, X * 3)
    g = func("g", X, f[X] + f[X + n])
    g.split("x", "xo", "xi", 8, tail="guard")
    f.compute_at(g, "xo").bound_storage("x", 32).store_in("stack")
    for k in (0, 5, 24, 1000):  # the last does not fit: a copy without the promise runs
        np.testing.assert_array_equal(g(n=k, shape=(50,)), 6 * np.arange(50) + 3 * k)


@pytest.mark.parametrize("parallel", [False, True])
def test_33_an_array_of_any_size_on_the_stack_asks_for_memory_once(parallel: bool) -> None:
    n = halo.Param("n", halo.i32)
    f = func("f", (Y, X), Y * 3 + X)
    g = func("g", (Y, X), f[Y, X] + f[Y, X + n])
    f.compute_at(g, "y").store_in("stack")
    if parallel:
        g.parallel("y")
    y, x = np.mgrid[:50, :700]
    for k in (0, 5, 1000):
        before = runtime.memory()
        np.testing.assert_array_equal(g(n=k, shape=(50, 700)), 6 * y + 2 * x + k)
        after = runtime.memory()
        assert after.calls - before.calls <= (10 if parallel else 1)  # a task each for some rows
        assert after.live == before.live


def test_33_arrays_on_the_stack_that_follow_each_other_share_memory() -> None:
    stages = [func("s0", (Y, X), Y + X)]
    for k in range(1, 20):
        stages.append(func(f"s{k}", (Y, X), stages[-1][Y, X] + k))
    out = func("out", (Y, X), stages[-1][Y, X])
    for s in stages:
        s.compute_at(out, "y").store_in("stack")
    before = runtime.memory().calls
    result = out(shape=(30, 10000))
    assert runtime.memory().calls - before == 2
    np.testing.assert_array_equal(result, np.add.outer(np.arange(30), np.arange(10000)) + sum(range(20)))


def test_33_what_is_on_the_heap_is_there_whatever_its_size() -> None:
    f = func("f", X, X * 3)
    g = func("g", X, f[X] + f[X + 3])
    g.split("x", "xo", "xi", 64, tail="guard")
    f.compute_at(g, "xo").store_in("heap")
    assert heap_allocations(g, (1000,))["f"] == 16


def test_33_registers_have_a_constant_size() -> None:
    f = func("f", X, X * 3)
    g = func("g", X, f[X] + f[X + 3])
    f.compute_root().store_in("register")
    with pytest.raises(halo.ScheduleError, match=r'f\.store_in\("register"\)') as error:
        g(shape=(100,))
    assert error.value.hint == 'f.store_in("stack")'
    assert "test_memory.py" in str(error.value)
    f.bound_storage("x", 32)
    for n in (20, 100):  # the last does not fit: a copy without the promise runs
        np.testing.assert_array_equal(g(shape=(n,)), 6 * np.arange(n) + 9)


def test_33_a_chain_of_twenty_stages_lives_in_two_blocks() -> None:
    stages = [func("s0", X, X)]
    for k in range(1, 20):
        stages.append(func(f"s{k}", X, stages[-1][X] + k))
    out = func("out", X, stages[-1][X])
    shape = (1 << 20,)
    out(shape=shape)
    runtime.trim()
    before = runtime.memory()
    result = out(shape=shape)
    after = runtime.memory()
    assert after.calls - before.calls == 20
    assert after.kept == 2 * 4 * shape[0]  # what 20 requests were served with
    np.testing.assert_array_equal(result, np.arange(shape[0]) + sum(range(20)))


# 34: errors -----------------------------------------------------------------------------------------------------------


def deep(k: halo.Param, kind: str) -> halo.Func:
    """Three arrays on the heap, and a requirement inside of the loops of the last."""
    a = func("a", (Y, X), Y + X)
    b = func("b", (Y, X), a[Y, X] * 2)
    c = func("c", (Y, X), b[Y, X] + halo.require(Y * 100 + X != k, b[Y, X], "bad", k))
    out = func("out", (Y, X), c[Y, X] + a[Y, X])
    for s in (a, b, c):
        s.store_in("heap")
    if kind == "parallel":
        c.parallel("y")
    if kind == "inside":
        out.parallel("y")
        for s in (a, b, c):
            s.compute_at(out, "y")
    return out


@pytest.mark.parametrize("kind", ["serial", "parallel", "inside"])
def test_34_every_block_is_freed_after_an_error(kind: str) -> None:
    k = halo.Param("k", halo.i32)
    out = deep(k, kind)
    want = 5 * (np.arange(40)[:, None] + np.arange(90))
    np.testing.assert_array_equal(out(k=-1, shape=(40, 90)), want)
    live = runtime.memory().live
    for bad in (0, 89, 2045, 3989):
        with pytest.raises(halo.HaloError, match="bad"):
            out(k=bad, shape=(40, 90))
        assert runtime.memory().live == live
    np.testing.assert_array_equal(out(k=-1, shape=(40, 90)), want)


@pytest.mark.parametrize("step", [10**7, 10**9])
def test_34_no_memory_is_an_error(step: int) -> None:
    # 800 TB; and more bytes than 64 bits count
    k = halo.Param("k", halo.i32)
    small = func("small", X, X).store_in("heap")
    huge = func("huge", (Y, X), Y + X)
    out = func("out", X, huge[X * k, X * k] + small[X])
    live = runtime.memory().live
    with pytest.raises(MemoryError, match="out could not get memory"):
        out(k=step, shape=(3,))
    assert runtime.memory().live == live
    np.testing.assert_array_equal(out(k=2, shape=(3,)), [0, 5, 10])


@pytest.mark.parametrize("parallel", [False, True])
def test_34_no_memory_inside_of_a_loop_is_an_error(parallel: bool) -> None:
    k = halo.Param("k", halo.i32)
    f = func("f", (Y, X), Y + X)
    out = func("out", (Y, X), f[Y, X] + f[Y + k, X + k])
    f.compute_at(out, "y")
    if parallel:
        out.parallel("y")
    live = runtime.memory().live
    with pytest.raises(MemoryError):
        out(k=10**9, shape=(8, 8))
    assert runtime.memory().live == live


# 35: parallel loops ---------------------------------------------------------------------------------------------------


def test_35_nested_parallel_loops() -> None:
    z = halo.Var("z")
    f = func("f", (z, Y, X), z * 10000 + Y * 100 + X)
    f.parallel("z").parallel("y").parallel("x")
    z, y, x = np.ogrid[:7, :9, :11]
    np.testing.assert_array_equal(f(shape=(7, 9, 11)), z * 10000 + y * 100 + x)


def test_35_stages_that_fork_inside_of_parallel_loops() -> None:
    f = func("f", (Y, X), Y * X).parallel("x")
    g = func("g", (Y, X), f[Y, X] + f[Y, X + 1]).parallel("x")
    h = func("h", (Y, X), g[Y, X] + g[Y, X + 1]).parallel("y")
    f.compute_at(h, "y")
    g.compute_at(h, "y")
    y, x = np.ogrid[:30, :40]
    np.testing.assert_array_equal(h(shape=(30, 40)), y * (4 * x + 4))


def test_35_an_error_in_a_parallel_loop_comes_out_of_it() -> None:
    k = halo.Param("k", halo.i32)
    f = func("f", (Y, X), halo.require(Y != k, X, "row", k)).parallel("y").parallel("x")
    np.testing.assert_array_equal(f(k=-1, shape=(200, 3)), np.tile(np.arange(3), (200, 1)))
    for bad in (0, 17, 199):
        with pytest.raises(halo.HaloError, match=f"row {bad}"):
            f(k=bad, shape=(200, 3))


def test_35_calls_from_eight_threads() -> None:
    img = halo.Input("img", halo.i32, ndim=2)
    f = func("f", (Y, X), img[Y, X] * 3)
    g = func("g", (Y, X), f[Y, X] + f[Y + 1, X]).parallel("y")
    f.compute_at(g, "y")
    wrong: list[object] = []

    def call(seed: int) -> None:
        data = np.random.default_rng(seed).integers(0, 99, (50, 60), np.int32)
        for _ in range(20):
            if not np.array_equal(g(img=data, shape=(49, 60)), 3 * (data[:-1] + data[1:])):
                wrong.append(seed)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# What is copied to an output ------------------------------------------------------------------------------------------


def running_sums() -> tuple[halo.Func, halo.Func]:
    """Of the rows, two elements: sums of what is above, and of its negative, with a product of the row."""
    y, x = halo.vars("y x")
    img, f = halo.Input("img", halo.i32, ndim=2), halo.Func("f")
    f[y, x] = img[y, x], halo.f64(y)
    r = halo.rdom((1, img.shape[0] - 1), names="k")
    f[r[0], x] = f[r[0], x][0] + f[r[0] - 1, x][0], f[r[0], x][1] - f[r[0] - 1, x][1]
    return f, img


def wanted_sums(img: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    second = np.empty(img.shape, np.float64)
    for y in range(img.shape[0]):
        second[y] = y - (second[y - 1] if y else 0)
    return np.cumsum(img, 0, img.dtype), second


@pytest.mark.parametrize("kind", ["whole", "part", "strided", "reversed", "one of them strided"])
@pytest.mark.parametrize("parallel", [False, True])
def test_what_an_output_is_copied_from_lies_in_it_if_it_can(kind: str, parallel: bool) -> None:
    f, _ = running_sums()
    if parallel:
        f.update(0).reorder("x", "k").parallel("x")
    img = np.random.default_rng(0).integers(-99, 99, (40, 33), np.int32)
    want = wanted_sums(img)
    if kind == "part":
        got = f.realize((30, 20), origin=(7, 5), img=img)
        want = tuple(a[7:37, 5:25] for a in want)
    else:
        own = tuple(np.full((40, 66), -1, t) for t in (np.int32, np.float64))
        out = {"whole": tuple(np.empty((40, 33), a.dtype) for a in own),
               "strided": tuple(a[:, :33] for a in own),
               "reversed": tuple(a[::-1, ::2] for a in own),
               "one of them strided": (np.empty((40, 33), np.int32), own[1][:, ::-2])}[kind]  # fmt: skip
        got = f(img=img, out=out)
        if kind == "strided":
            assert all((a[:, 33:] == -1).all() for a in own)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)
    taken = {s.name: s.allocations for s in f.profile(img=img, runs=1)}
    assert taken["f"] == 0  # where the whole is asked for


def test_an_output_that_overlaps_an_input_is_copied_as_ever() -> None:
    f, _ = running_sums()
    img = np.random.default_rng(0).integers(-99, 99, (40, 33), np.int32)
    want, at = wanted_sums(img), img.copy()
    f(img=at, out=(at, np.empty(at.shape)))
    np.testing.assert_array_equal(at, want[0])
