"""30: memoized stages: hits and misses, what the key is made of, eviction, tuples, threads, forks, no memory, errors."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import halo
from halo.jit import runtime

from .stages import X, Y, func

I = halo.Input("img", halo.i32, ndim=2)


@pytest.fixture(autouse=True)
def cache() -> Iterator[None]:
    """An empty cache, of the size that it had before again afterwards."""
    size = halo.memoization_cache().limit
    halo.memoization_cache_evict()
    yield
    halo.memoization_cache_set_size(size)
    halo.memoization_cache_evict()


class Counted:
    """Calls of `f`, and how many lookups they hit and missed."""

    def __init__(self, f: Any) -> None:
        self.f = f

    def __call__(self, hits: int, misses: int, *args: Any, **kwargs: Any) -> Any:
        before = halo.memoization_cache()
        found = self.f(*args, **kwargs)
        after = halo.memoization_cache()
        assert (after.hits - before.hits, after.misses - before.misses) == (hits, misses)
        return found


def image(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(len(shape)).integers(0, 1000, shape, np.int32)


def two(k: Any = 1) -> tuple[halo.Func, halo.Func]:
    """A stage that reads two rows, and one that reads two of its columns."""
    f = func("f", (Y, X), I[Y, X] * k + I[Y + 1, X])
    return f, func("g", (Y, X), f[Y, X] - f[Y, X + 1])


def meant(a: np.ndarray[Any, Any], k: int = 1) -> np.ndarray[Any, Any]:
    f = a[:-1] * k + a[1:]
    return f[:, :-1] - f[:, 1:]


def test_30_the_second_call_finds_what_the_first_computed() -> None:
    k = halo.Param("k", halo.i32)
    f, g = two(k)
    f.compute_root().memoize()
    call, a = Counted(g), image(20, 30)
    for hits, misses, n in ((0, 1, 3), (1, 0, 3), (0, 1, 4), (1, 0, 3), (1, 0, 4)):
        np.testing.assert_array_equal(call(hits, misses, img=a, k=n, shape=(19, 29)), meant(a, n))
    assert halo.memoization_cache().entries == 2


def test_30_the_content_of_inputs_counts_not_where_they_are() -> None:
    f, g = two()
    f.compute_root().memoize()
    call, a = Counted(g), image(20, 30)
    call(0, 1, img=a, shape=(19, 29))
    np.testing.assert_array_equal(call(1, 0, img=a.copy(), shape=(19, 29)), meant(a))
    for i, j in ((0, 0), (19, 29), (7, 13)):
        a[i, j] ^= 1
        np.testing.assert_array_equal(call(0, 1, img=a, shape=(19, 29)), meant(a))


def test_30_only_what_is_read_counts() -> None:
    f, g = two()
    f.compute_root().memoize()
    call, a = Counted(g), image(20, 30)
    call(0, 1, img=a, shape=(9, 9))
    a[10:] = a[:, 10:] = 0
    call(1, 0, img=a, shape=(9, 9))
    call(0, 1, img=a, shape=(9, 8))
    call(1, 0, img=np.ascontiguousarray(a[:10, :10]), shape=(9, 9))


@pytest.mark.parametrize("layout", [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.T, lambda a: a[::2, ::3],
                                    lambda a: np.broadcast_to(a[:1], a.shape), np.asfortranarray,
                                    lambda a: np.pad(a, 5)[5:-5, 5:-5]])  # fmt: skip
def test_30_any_layout(layout: Any) -> None:
    f, g = two()
    f.compute_root().memoize()
    a = layout(image(70, 90))
    shape = (a.shape[0] - 1, a.shape[1] - 1)
    np.testing.assert_array_equal(g(img=a, shape=shape), meant(a))
    np.testing.assert_array_equal(Counted(g)(1, 0, img=a, shape=shape), meant(a))
    b = a.copy()
    b[3, 4] += 1
    np.testing.assert_array_equal(Counted(g)(0, 1, img=b, shape=shape), meant(b))


def test_30_what_only_a_memoized_stage_reads_is_not_computed_on_a_hit() -> None:
    f = func("f", X, halo.require(X >= 0, I[0, X]) * 2)
    g = func("g", X, f[X] + f[X + 1])
    h = func("h", X, g[X] + g[X + 1])
    f.compute_root()
    g.compute_root().memoize()
    profile = h.profile(img=image(1, 20), shape=(9,), runs=4)  # after one run that is not counted
    assert [profile[s].times for s in "fgh"] == [0, 0, 1]
    assert profile["g"].allocations == 0


def test_30_two_memoized_stages_in_a_row() -> None:
    f, g = two()
    h = func("h", (Y, X), g[Y, X] + g[Y + 1, X])
    f.compute_root().memoize()
    g.compute_root().memoize()
    call, a = Counted(h), image(20, 30)
    wanted = meant(a)[:-1] + meant(a)[1:]
    np.testing.assert_array_equal(call(0, 2, img=a, shape=(18, 29)), wanted)
    np.testing.assert_array_equal(call(1, 0, img=a, shape=(18, 29)), wanted)  # then nobody asks for f


def test_30_a_condition_decides_whether_anything_is_asked_for() -> None:
    flag = halo.Param("flag", halo.i32)
    f, _ = two()
    g = func("g", (Y, X), halo.select(flag > 0, f[Y, X], 7))
    f.compute_root().memoize()
    call, a = Counted(g), image(20, 30)
    np.testing.assert_array_equal(call(0, 0, img=a, flag=0, shape=(19, 30)), np.full((19, 30), 7))
    for hits, misses in ((0, 1), (1, 0)):
        np.testing.assert_array_equal(call(hits, misses, img=a, flag=1, shape=(19, 30)), a[:-1] + a[1:])


@pytest.mark.parametrize("parallel", [False, True])
def test_30_inside_of_loops_each_tile_is_an_entry(parallel: bool) -> None:
    f, g = two()
    g.split("y", "yo", "yi", 4)
    if parallel:
        g.parallel("yo")
    f.compute_at(g, "yo").memoize()
    call, a = Counted(g), image(41, 300)
    np.testing.assert_array_equal(call(0, 10, img=a, shape=(40, 299)), meant(a))
    np.testing.assert_array_equal(call(10, 0, img=a, shape=(40, 299)), meant(a))
    a[21, 3] += 1  # of rows 16..20 and 20..24
    np.testing.assert_array_equal(call(9, 1, img=a, shape=(40, 299)), meant(a))


def test_30_tuples_updates_specialisations_and_any_rank() -> None:
    z = halo.Var("z")
    n = halo.Param("n", halo.i32)
    data = halo.Input("data", halo.u8, ndim=3)
    f = halo.Func("f")
    f[z, Y, X] = (data[z, Y, X], halo.f64(data[z, Y, X]) / 3)
    f[z, Y, X] = (f[z, Y, X][0] + halo.u8(n), f[z, Y, X][1] * n)
    g = func("g", (z, Y, X), f[z, Y, X][1] + f[z, Y, X + 1][0])
    f.compute_root().memoize()
    f.specialize(n > 2).vectorize("x", 8)
    a = np.random.default_rng(0).integers(0, 256, (3, 5, 21), np.uint8)
    call = Counted(g)
    for hits, misses, k in ((0, 1, 2), (1, 0, 2), (0, 1, 3), (1, 0, 3)):
        first, second = a + np.uint8(k), a / 3 * k
        np.testing.assert_array_equal(
            call(hits, misses, data=a, n=k, shape=(3, 5, 20)), second[..., :-1] + first[..., 1:]
        )


def test_30_no_axes() -> None:
    total = halo.Func("total")
    r = halo.rdom(6, 5)
    total[()] = 0
    total[()] += I[r[0], r[1]]
    g = func("g", X, total[()] + X)
    total.compute_root().memoize()
    call, a = Counted(g), image(6, 5)
    for hits, misses in ((0, 1), (1, 0)):
        np.testing.assert_array_equal(call(hits, misses, img=a, shape=(4,)), a.sum() + np.arange(4))


def test_30_what_was_used_longest_ago_is_evicted() -> None:
    k = halo.Param("k", halo.i32)
    f = func("f", X, X + k)
    g = func("g", X, f[X] * 2)
    f.compute_root().memoize()
    call, n = Counted(g), 1000
    call(0, 1, k=0, shape=(n,))
    size = halo.memoization_cache().bytes
    assert 4 * n <= size <= 4 * n + 256
    halo.memoization_cache_set_size(3 * size)
    for j in (1, 2):
        call(0, 1, k=j, shape=(n,))
    call(1, 0, k=0, shape=(n,))
    call(0, 1, k=3, shape=(n,))  # 1 goes
    call(1, 0, k=0, shape=(n,))
    call(1, 0, k=2, shape=(n,))
    call(0, 1, k=1, shape=(n,))
    info = halo.memoization_cache()
    assert (info.entries, info.bytes, info.limit) == (3, 3 * size, 3 * size)
    halo.memoization_cache_set_size(size)
    assert halo.memoization_cache().entries == 1
    halo.memoization_cache_set_size(size - 1)  # nothing fits any more: it is computed each time
    for _ in range(2):
        np.testing.assert_array_equal(call(0, 1, k=5, shape=(n,)), 2 * (np.arange(n) + 5))
    assert halo.memoization_cache().bytes == 0


def test_30_eviction_by_key() -> None:
    k = halo.Param("k", halo.i32)
    f = func("f", X, X + k)
    h = func("h", X, X - k)
    g = func("g", X, f[X] * h[X])
    f.compute_root().memoize(k // 10)
    h.compute_root().memoize()
    call = Counted(g)
    for j in (1, 2, 11, -7):
        call(0, 2, k=j, shape=(8,))
    halo.memoization_cache_evict(0)
    call(1, 1, k=1, shape=(8,))
    call(2, 0, k=11, shape=(8,))
    halo.memoization_cache_evict(-1)
    call(1, 1, k=-7, shape=(8,))
    halo.memoization_cache_evict(12345)
    call(2, 0, k=-7, shape=(8,))
    halo.memoization_cache_evict()
    assert halo.memoization_cache().entries == 0


def test_30_what_is_evicted_while_it_is_used_stays_valid() -> None:
    f = func("f", X, X * 3)
    h = func("h", X, f[X] + 1)
    g = func("g", X, f[X] + h[X])
    f.compute_root().memoize()
    h.compute_root().memoize()
    halo.memoization_cache_set_size(5000)  # room for one of them
    live = runtime.memory().live - halo.memoization_cache().bytes
    for _ in range(3):
        np.testing.assert_array_equal(g(shape=(1000,)), 6 * np.arange(1000) + 1)
    halo.memoization_cache_evict()
    assert runtime.memory().live <= live


def test_30_many_threads() -> None:
    k = halo.Param("k", halo.i32)
    f, g = two(k)
    g.split("y", "yo", "yi", 8).parallel("yo")
    f.compute_at(g, "yo").memoize()
    halo.memoization_cache_set_size(100_000)  # evicted all the time
    a, failed = image(65, 129), []
    kernel = g.compile(img=halo.i32, k=halo.i32)

    def run(seed: int) -> None:
        for j in range(60):
            n = (seed + j) % 5
            if not np.array_equal(kernel(img=a, k=n, shape=(64, 128)), meant(a, n)):
                failed.append(n)
            if j % 20 == 7:
                halo.memoization_cache_evict()

    threads = [threading.Thread(target=run, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    info = halo.memoization_cache()
    assert info.bytes <= info.limit


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_30_a_child_has_the_entries_of_its_parent() -> None:
    f, g = two()
    f.compute_root().memoize()
    call, a = Counted(g), image(20, 30)
    call(0, 1, img=a, shape=(19, 29))
    child = os.fork()
    if child == 0:
        try:
            same = np.array_equal(call(1, 0, img=a, shape=(19, 29)), meant(a))
            halo.memoization_cache_evict()
            same = same and np.array_equal(call(0, 1, img=a, shape=(19, 29)), meant(a))
            os._exit(0 if same else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    call(1, 0, img=a, shape=(19, 29))


def test_30_the_cache_gives_memory_back_before_a_call_fails() -> None:
    k = halo.Param("k", halo.i32)
    f = func("f", X, X + k)
    g = func("g", X, f[X] * 2)
    f.compute_root().memoize()
    g(k=1, shape=(1000,))
    assert halo.memoization_cache().entries == 1
    s = halo.Var("s")
    huge = func("huge", s, s)
    h = func("h", X, huge[X * 2**20])
    huge.compute_root()
    with pytest.raises(MemoryError):
        h(shape=(2**20,))
    assert halo.memoization_cache().entries == 0


def test_30_no_memory_for_a_memoized_stage() -> None:
    s = halo.Var("s")
    huge = func("huge", s, s)
    h = func("h", X, huge[X * 2**20])
    huge.compute_root().memoize()
    live = runtime.memory().live
    with pytest.raises(MemoryError):
        h(shape=(2**20,))
    assert runtime.memory().live == live


def test_30_nothing_is_kept_of_a_stage_that_failed() -> None:
    f = func("f", X, halo.require(I[0, X] < 900, I[0, X], "too large"))
    g = func("g", X, f[X] * 2)
    f.compute_root().memoize()
    a = np.arange(1000, dtype=np.int32)[None]
    live = runtime.memory().live
    for _ in range(2):
        with pytest.raises(halo.ArgumentError, match="too large"):
            Counted(g)(0, 1, img=a, shape=(1000,))
    assert halo.memoization_cache().entries == 0
    assert runtime.memory().live == live
    call = Counted(g)
    call(0, 1, img=a, shape=(900,))
    call(1, 0, img=a, shape=(900,))


def test_30_another_kernel_has_entries_of_its_own() -> None:
    f, g = two()
    f.compute_root().memoize()
    call, a = Counted(g), image(20, 30)
    call(0, 1, img=a, shape=(19, 29))
    f.vectorize("x", 4)
    np.testing.assert_array_equal(call(0, 1, img=a, shape=(19, 29)), meant(a))
    g.unschedule()
    np.testing.assert_array_equal(call(0, 0, img=a, shape=(19, 29)), meant(a))


@pytest.mark.parametrize("target", ["python", "numba"])
def test_30_the_reference_computes_it_each_time(target: str) -> None:
    f, g = two()
    f.compute_root().memoize()
    a = image(6, 9)
    kernel = g.compile(img=halo.i32, target=target)
    for _ in range(2):
        np.testing.assert_array_equal(Counted(kernel)(0, 0, img=a, shape=(5, 8)), meant(a))


def test_30_wrong_numbers() -> None:
    for call in (lambda: halo.memoization_cache_set_size(-1), lambda: halo.memoization_cache_set_size("1"),
                 lambda: halo.memoization_cache_evict(1.5)):  # fmt: skip
        with pytest.raises(halo.ArgumentError):
            call()


def test_30_beside_stages_in_threads_of_their_own() -> None:
    f, g = two()
    h = func("h", (Y, X), g[Y, X] + g[Y + 1, X])
    f.compute_root().async_()
    g.compute_root().memoize()
    call, a = Counted(h), image(20, 30)
    wanted = meant(a)[:-1] + meant(a)[1:]
    for hits, misses in ((0, 1), (1, 0)):
        np.testing.assert_array_equal(call(hits, misses, img=a, shape=(18, 29)), wanted)
    f.compute_at(g, "y")  # inside of the production: two threads
    for hits, misses in ((0, 1), (1, 0)):
        np.testing.assert_array_equal(call(hits, misses, img=a, shape=(18, 29)), wanted)


def test_30_steps_of_a_scan_are_refused_what_comes_before_is_not() -> None:
    t = halo.Var("t")
    data = halo.Input("data", halo.i32, ndim=2)
    before = halo.Func("before")
    before[t, X] = data[t, X] * 2
    state, step, out = halo.Func("state"), halo.Func("step"), halo.Func("out")
    step[t, X] = before[t, X] + state[t - 1, X]
    halo.scan(state, init=0, step=step, length=data.shape[0])
    out[t, X] = state[t, X] + 1
    before.compute_root().memoize()
    a = image(6, 5)
    for hits, misses in ((0, 1), (1, 0)):
        np.testing.assert_array_equal(Counted(out)(hits, misses, data=a, shape=(6, 5)), np.cumsum(2 * a, axis=0) + 1)
    last = halo.Func("last")
    last[t, X] = out[t, X] * 2
    out.compute_root().memoize()
    with pytest.raises(halo.ScheduleError, match=r"it needs .*: it belongs to the steps of a scan"):
        last(data=a, shape=(6, 5))


def test_values_that_an_arm_of_a_select_does_not_need() -> None:
    """Where x is a multiple of three there was no memory at all behind g, and the arm that reads it was evaluated."""
    y, x = halo.vars("y x")
    a = halo.Input("a", halo.f32, ndim=0)
    g, f = halo.Func("g"), halo.Func("f")
    g[y, x] = a[()] * 2
    f[y, x] = halo.f32(1)
    (r,) = halo.rdom((2, 8), names="r")
    f[r, x] = f[r - 2, x] - halo.select(x % 3 != 0, g[2 * r, 2 * x - 1], 2.0)
    g.compute_at(f.update(0), "r").memoize()
    want = np.ones((10, 25), np.float32)
    for row in range(2, 10):
        want[row] = want[row - 2] - np.where(np.arange(25) % 3 != 0, np.float32(3), np.float32(2))
    np.testing.assert_array_equal(f(a=np.array(1.5, np.float32), shape=(10, 25)), want)
