"""1, 2, 3 and 29: sliding windows, folded and hoisted storage."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from tests.counting import count

from .stages import X, Y, func, two_taps


def heap_allocations(f: halo.Func, shape: tuple[int, ...]) -> dict[str, float]:
    """How often each stage asks for memory in one call."""
    return {s.name: s.allocations for s in f.profile(shape=shape, runs=1)}


# 1: sliding windows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["auto", "heap", "stack", "register"])
@pytest.mark.parametrize("offset", [-1, 1])
def test_01_a_window_computes_each_value_once(offset: int, memory: str) -> None:
    f, g = two_taps(offset)
    f.store_root().compute_at(g, "x").store_in(memory)
    assert count(g, (100,)).stores["f"] == 101
    x = np.arange(100)
    np.testing.assert_array_equal(g(shape=(100,)), 6 * x + 3 * offset)


@pytest.mark.parametrize("ahead", [-3, -1, 0, 1, 2])
@pytest.mark.parametrize("origin", [-5, 0, 4])
def test_01_a_window_that_moves_every_other_iteration(ahead: int, origin: int) -> None:
    """Linear interpolation: the two that each is read from move on by one every other time."""
    near = (X + ahead) // 2
    f = func("f", X, X * X)
    g = func("g", X, f[near - 1 + 2 * ((X + ahead) % 2)] + 3 * f[near])
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 51 + (ahead % 2 == 0)
    x = np.arange(origin, origin + 100)
    at = (x + ahead) // 2
    want = (at - 1 + 2 * ((x + ahead) % 2)) ** 2 + 3 * at**2
    np.testing.assert_array_equal(g.realize((100,), origin=(origin,)), want)


def test_01_without_a_window_each_is_computed_twice() -> None:
    f, g = two_taps()
    f.compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 200


def test_01_a_window_in_a_specialisation() -> None:
    k = halo.Param("k", halo.i32)
    f = func("f", X, X * k)
    g = func("g", X, f[X] + f[X - 1])
    f.store_root().compute_at(g, "x")
    g.specialize(k == 0)
    assert [count(g, (100,), k=v).stores["f"] for v in (0, 1)] == [101, 101]


def test_01_two_producers() -> None:
    f1, f2 = func("f1", X, X), func("f2", X, X + 1)
    g = func("g", X, f1[X] + f1[X - 1] + f2[X] + f2[X - 1])
    for f in (f1, f2):
        f.store_root().compute_at(g, "x")
    found = count(g, (100,)).stores
    assert found["f1"] + found["f2"] == 202


@pytest.mark.parametrize("memory", ["auto", "register"])
def test_01_a_chain_of_two(memory: str) -> None:
    # Halide's registers cost one more (103): it starts loops earlier to fill them, halo peels nothing and starts on time.
    f = func("f", X, X)
    g = func("g", X, f[X] + f[X - 1])
    h = func("h", X, g[X] + g[X - 1])
    for s in (f, g):
        s.store_root().compute_at(h, "x").store_in(memory)
    found = count(h, (100,)).stores
    assert found["f"] == 102
    assert found["g"] == 101


def test_01_a_window_inside_of_a_stage_of_one_point() -> None:
    f, g = two_taps()
    h = func("h", X, g[X])
    f.store_root().compute_at(g, "x")
    g.compute_at(h, "x")
    assert count(h, (100,)).stores == {"f": 101, "g": 100, "h": 100}
    np.testing.assert_array_equal(h(shape=(100,)), 6 * np.arange(100) - 3)


def test_01_an_inner_vector_axis() -> None:
    c = halo.Var("c")
    f = func("f", (X, c), X + c)
    g = func("g", (X, c), f[X + 1, c] - f[X, c])
    g.bound("c", 0, 4).vectorize("c")
    f.store_root().compute_at(g, "x").vectorize("c")
    assert count(g, (100, 4)).stores["f"] == 404


def test_01_a_reduction_producer() -> None:
    r = halo.rdom(100, names="r")
    f = halo.Func("f")
    f[Y, X] = 0
    f[Y, r.r] = Y + r.r
    g = func("g", (Y, X), f[Y, X] + f[Y - 1, X])
    f.store_root().compute_at(g, "y")
    initial = update = 100 * 11
    assert count(g, (10, 100)).stores["f"] == initial + update


def test_01_two_dimensions() -> None:
    f = func("f", (Y, X), Y + X)
    g = func("g", (Y, X), f[Y - 1, X] + f[Y, X - 1] + f[Y, X])
    f.store_root().compute_at(g, "x")
    assert count(g, (10, 10)).stores["f"] == 11 * 11


def test_01_a_fixed_footprint() -> None:
    f = func("f", X, X)
    g = func("g", X, f[0] + f[5])
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 6


def test_01_a_slowly_moving_footprint() -> None:
    f = func("f", X, X)
    g = func("g", X, f[X // 3])
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 34


@pytest.mark.parametrize(
    ("tail", "stores"), [("auto", 101), ("guard", 101), ("predicate", 101), ("round_up", 104), ("shift_inwards", 104)]
)
def test_01_vectorised_by_4(tail: str, stores: int) -> None:
    # Whole vectors only, as Halide has it, are 26 of 4. Guards, which halo prefers inside, store what is needed.
    f, g = two_taps()
    f.store_root().compute_at(g, "x").vectorize("x", 4, tail=tail)
    g.vectorize("x", 4)
    assert count(g, (100,)).stores["f"] == stores
    np.testing.assert_array_equal(g(shape=(100,)), 6 * np.arange(100) - 3)


def test_01_unrolled_in_registers() -> None:
    # Halide's 102 include one value of the warm-up that halo does not have.
    f, g = two_taps()
    f.store_root().compute_at(g, "x").store_in("register").unroll("x", 2)
    g.unroll("x", 2)
    assert count(g, (100,)).stores["f"] == 101


def test_01_a_diagonal_access_does_not_slide() -> None:
    f = func("f", (Y, X), Y + X)
    g = func("g", (Y, X), f[X - Y, X + Y] + f[(X - 2) - Y, (X - 2) + Y] + f[X - (Y - 2), X + (Y - 2)])
    f.store_root().compute_at(g, "x")
    assert count(g, (10, 10)).stores["f"] == 1500  # a box of 3 by 5 for each of 10 by 10


# 2: windows that go down, end early, or feed each other ---------------------------------------------------------------


def test_02_a_window_that_goes_down() -> None:
    f = func("f", X, X * 3)
    g = func("g", X, f[100 - X] + f[101 - X])
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 101
    np.testing.assert_array_equal(g(shape=(100,)), 3 * (201 - 2 * np.arange(100)))


@pytest.mark.parametrize("tail", ["guard", "predicate"])
def test_02_over_a_guarded_tail(tail: str) -> None:
    f, g = two_taps()
    g.split("x", "xo", "xi", 8, tail=tail)
    f.store_root().compute_at(g, "xo")
    assert count(g, (100,)).stores["f"] == 101


def test_02_inside_of_a_guarded_tail_it_starts_anew() -> None:
    f, g = two_taps()
    g.split("x", "xo", "xi", 8, tail="guard")
    f.store_root().compute_at(g, "xi")
    assert count(g, (100,)).stores["f"] == 100 + 13


def test_02_a_consumer_that_reduces() -> None:
    f = func("f", X, X * 3)
    r = halo.rdom(10, names="r")
    g = halo.Func("g")
    g[X] = 0
    g[X] += f[X + r.r]
    g.compute_root()
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 109


def test_02_along_a_reduction_loop() -> None:
    f = func("f", X, X * 3)
    r = halo.rdom(100, names="r")
    g = halo.Func("g")
    g[X] = 0
    g[X] += X * (f[r.r] + f[r.r + 1])
    g.compute_root()
    g.update(0).reorder("r", "x")
    f.store_root().compute_at(g, "r")
    assert count(g, (3,)).stores["f"] == 101


def test_02_a_cascade() -> None:
    chain = [func("s0", (Y, X), Y * 3 + X)]
    for k in range(1, 4):
        chain.append(func(f"s{k}", (Y, X), chain[-1][Y - 1, X] + chain[-1][Y + 1, X]))
    *inner, out = chain
    for s in inner:
        s.store_root().compute_at(out, "y")
    found = count(out, (20, 10))
    assert found.stores == {"s0": 26 * 10, "s1": 24 * 10, "s2": 22 * 10, "s3": 20 * 10}
    assert found.elements["s2"] == 4 * 10  # three rows, rounded up to a power of two


# 3: storage folding ---------------------------------------------------------------------------------------------------


def crossed() -> tuple[halo.Func, halo.Func]:
    f = func("f", (Y, X), Y * 1000 + X)
    return f, func("g", (Y, X), f[Y + 1, X - 1] + f[Y - 1, X])


def test_03_a_fold_keeps_the_rows_that_are_read() -> None:
    f, g = crossed()
    f.store_root().compute_at(g, "y")
    assert count(g, (100, 100)).elements["f"] == 101 * 4


def test_03_two_places_of_production_are_not_folded() -> None:
    k = halo.Param("k", halo.i32)
    f = func("f", (Y, X), Y * 1000 + X * k)
    g = func("g", (Y, X), f[Y + 1, X - 1] + f[Y - 1, X])
    f.store_root().compute_at(g, "y")
    g.specialize(k > 3)
    assert count(g, (100, 100), k=1).elements["f"] == 101 * 102


def test_03_an_explicit_fold() -> None:
    f, g = crossed()
    f.store_root().compute_at(g, "y").fold_storage("y", 3)
    assert count(g, (100, 100)).elements["f"] == 101 * 3


def test_03_too_small_a_fold_is_refused() -> None:
    f, g = crossed()
    f.store_root().compute_at(g, "y").fold_storage("y", 2)
    with pytest.raises(halo.ScheduleError, match="f needs 3 points of axis y, not 2"):
        g(shape=(100, 100))


def test_03_no_overlap_lies_on_the_stack() -> None:
    f = func("f", (Y, X), X * Y)
    g = func("g", (Y, X), f[2 * Y, 2 * X] + f[2 * Y + 1, 2 * X + 1])
    f.store_root().compute_at(g, "x")
    assert count(g, (100, 100)).elements["f"] == 2 * 2
    assert heap_allocations(g, (1000, 1000))["f"] == 0
    y, x = np.mgrid[:100, :100]
    np.testing.assert_array_equal(g(shape=(100, 100)), 4 * y * x + (2 * y + 1) * (2 * x + 1))


def test_03_a_window_of_func_h_lies_on_the_stack() -> None:
    f = func("f", (Y, X), Y + X)
    g = func("g", (Y, X), f[Y, X] + f[Y, X + 1] + f[Y + 1, X] + f[Y + 1, X + 1])
    f.store_at(g, "y").compute_at(g, "x")
    found = count(g, (10, 10))
    assert found.elements["f"] == 2 * 2
    assert found.stores["f"] == 10 * (2 + 2 * 10)
    assert heap_allocations(g, (1000, 1000))["f"] == 0


def test_03_a_fold_under_an_extern_stage_is_refused() -> None:
    f = func("f", (Y, X), Y * 1000 + X)
    rows = halo.extern(lambda out, a: np.add(a[:-1], a[1:], out=out), inputs=[f], dtype=halo.i32, ndim=2,
                       bounds=lambda box: [[(box[0][0], box[0][1] + 1), box[1]]])  # fmt: skip
    g = func("g", (Y, X), rows[Y, X])
    rows.compute_at(g, "y")
    f.store_root().compute_at(g, "y").fold_storage("y", 2)  # it is given arrays, which cannot wrap round
    with pytest.raises(halo.ScheduleError, match="fold_storage"):
        g(shape=(10, 10))


# 29: hoisted storage and ring buffers (test_async.py has the rest) ----------------------------------------------------


def test_29_hoisted_storage_is_one_allocation_and_no_window() -> None:
    f, g = crossed()
    f.compute_at(g, "y")
    before = count(g, (50, 40))
    assert heap_allocations(g, (50, 40000))["f"] == 50
    f.hoist_storage_root()
    assert heap_allocations(g, (50, 40000))["f"] == 1
    after = count(g, (50, 40))
    assert after.stores["f"] == before.stores["f"] == 50 * 3 * 41
    assert after.elements["f"] == before.elements["f"] == 3 * 41


def test_29_hoisted_storage_keeps_its_window() -> None:
    f, g = crossed()
    f.compute_at(g, "x").store_at(g, "y")
    before = count(g, (5, 40)).stores
    f.hoist_storage_root()
    assert count(g, (5, 40)).stores == before
    y, x = np.mgrid[:5, :40]
    np.testing.assert_array_equal(g(shape=(5, 40)), (y + 1) * 1000 + x - 1 + (y - 1) * 1000 + x)


@pytest.mark.parametrize("places", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("tail", ["guard", "shift_inwards", "round_up"])
def test_29_a_ring_buffer_keeps_iterations_apart(places: int, tail: str) -> None:
    f, g = crossed()
    g.split("y", "yo", "yi", 4, tail=tail)
    f.compute_at(g, "yi").hoist_storage_root().ring_buffer(places).vectorize("x", 8)
    assert heap_allocations(g, (50, 40000))["f"] == 1
    y, x = np.mgrid[:50, :37]
    np.testing.assert_array_equal(g(shape=(50, 37)), (y + 1) * 1000 + x - 1 + (y - 1) * 1000 + x)


def test_29_a_ring_buffer_of_windows() -> None:
    f, g = crossed()
    g.split("y", "yo", "yi", 8)
    f.store_at(g, "yo").compute_at(g, "yi").hoist_storage_root().ring_buffer(2)
    assert count(g, (64, 40)).stores["f"] == 8 * 10 * 41
    y, x = np.mgrid[:64, :40]
    np.testing.assert_array_equal(g(shape=(64, 40)), (y + 1) * 1000 + x - 1 + (y - 1) * 1000 + x)


def test_29_a_ring_buffer_takes_as_many_times_the_memory() -> None:
    bytes = []
    for places in (1, 2, 3):
        f, g = crossed()
        f.compute_at(g, "y").hoist_storage_root().ring_buffer(places)
        bytes.append(next(s.bytes for s in g.profile(shape=(16, 64 * 1000 - 1), runs=1) if s.name == "f"))
    assert bytes == [bytes[0], 2 * bytes[0], 3 * bytes[0]]


def test_29_memory_is_not_shared_by_the_iterations_of_a_parallel_loop() -> None:
    f, g = crossed()
    h = func("h", (Y, X), g[Y, X] + g[Y + 1, X])
    g.compute_at(h, "y")
    f.compute_at(g, "y").hoist_storage_root()
    h.parallel("y")
    with pytest.raises(halo.ScheduleError, match=r"stored outside of the parallel loop h\.y that it is kept in"):
        h(shape=(8, 8))
