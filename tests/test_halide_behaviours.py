"""What Halide's own tests assert of schedules, with their numbers: how often, how much, how many copies."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from tests.counting import conditions, count, loop_copies

Y, X = halo.vars("y x")


def func(name: str, at, value) -> halo.Func:
    """`name[at] = value`, serial: any directive turns the default schedule off."""
    f = halo.Func(name)
    f[at] = value
    return f.compute_root()


def two_taps(offset: int = -1) -> tuple[halo.Func, halo.Func]:
    """f, and g = f(x) + f(x + offset), as Halide's sliding_window test has them."""
    f = func("f", X, X * 3)
    return f, func("g", X, f[X] + f[X + offset])


# 1, 2: sliding windows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-1, 1])
def test_a_sliding_window_computes_each_value_once(offset: int) -> None:
    f, g = two_taps(offset)
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 101


def test_without_a_window_each_is_computed_twice() -> None:
    f, g = two_taps()
    f.compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 200


def test_two_producers_slide_both() -> None:
    f1, f2 = func("f1", X, X), func("f2", X, X + 1)
    g = func("g", X, f1[X] + f1[X - 1] + f2[X] + f2[X - 1])
    for f in (f1, f2):
        f.store_root().compute_at(g, "x")
    found = count(g, (100,)).stores
    assert found["f1"] + found["f2"] == 202


def test_a_chain_of_windows() -> None:
    f = func("f", X, X)
    g = func("g", X, f[X] + f[X - 1])
    h = func("h", X, g[X] + g[X - 1])
    f.store_root().compute_at(h, "x")
    g.store_root().compute_at(h, "x")
    found = count(h, (100,)).stores
    assert found["f"] == 102
    assert found["g"] == 101


def test_windows_with_an_inner_vector_axis() -> None:
    c = halo.Var("c")
    f = func("f", (X, c), X + c)
    g = func("g", (X, c), f[X + 1, c] - f[X, c])
    g.bound("c", 0, 4).vectorize("c")
    f.store_root().compute_at(g, "x").vectorize("c")
    assert count(g, (100, 4)).stores["f"] == 404


def test_a_window_over_a_reduction() -> None:
    r = halo.rdom(10, names="r")
    f = halo.Func("f")
    f[X] = 0
    f[X] += X + r.r
    g = func("g", X, f[X] + f[X - 1])
    f.store_root().compute_at(g, "x")
    # Halide: 100 * 11; a window saves all but the first of the overlap.
    assert count(g, (100,)).stores["f"] <= 100 * 11 + 11


def test_windows_in_two_dimensions() -> None:
    f = func("f", (Y, X), Y + X)
    g = func("g", (Y, X), f[Y - 1, X] + f[Y, X - 1] + f[Y, X])
    f.store_root().compute_at(g, "x")
    assert count(g, (10, 10)).stores["f"] == 11 * 11


def test_a_fixed_footprint_is_computed_once() -> None:
    f = func("f", X, X)
    g = func("g", X, f[0] + f[5])
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 6


def test_a_slowly_moving_footprint() -> None:
    f = func("f", X, X)
    g = func("g", X, f[X // 3])
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).stores["f"] == 34


def test_a_vectorised_window() -> None:
    f, g = two_taps()
    f.store_root().compute_at(g, "x").vectorize("x", 4)
    g.vectorize("x", 4)
    assert 101 <= count(g, (100,)).stores["f"] <= 104


def test_a_diagonal_access_does_not_slide() -> None:
    f = func("f", (Y, X), Y + X)
    g = func("g", (Y, X), f[Y, X] + f[Y + 1, X + 1] + f[Y + 2, X + 2])
    f.store_root().compute_at(g, "x")
    found = count(g, (10, 10)).stores["f"]
    assert found >= 12 * 12


def test_a_window_over_a_guarded_tail() -> None:
    f, g = two_taps()
    g.split("x", "xo", "xi", 8, tail="guard")
    f.store_root().compute_at(g, "xi")
    assert count(g, (100,)).stores["f"] == 100 + 13  # it slides along xi, and starts anew 13 times


# 3: storage folding ---------------------------------------------------------------------------------------------------


def crossed() -> tuple[halo.Func, halo.Func]:
    f = func("f", (Y, X), Y * 1000 + X)
    return f, func("g", (Y, X), f[Y + 1, X - 1] + f[Y - 1, X])


def test_folding_keeps_the_rows_that_are_read() -> None:
    f, g = crossed()
    f.store_root().compute_at(g, "y")
    assert count(g, (100, 100)).elements["f"] == 101 * 4


def test_an_explicit_fold() -> None:
    f, g = crossed()
    f.store_root().compute_at(g, "y").fold_storage("y", 3)
    found = count(g, (100, 100))
    assert found.elements["f"] == 101 * 3


def test_no_overlap_needs_one_element() -> None:
    f = func("f", X, X)
    g = func("g", X, f[X])
    f.store_root().compute_at(g, "x")
    assert count(g, (100,)).elements["f"] == 1


# 4: bounds ------------------------------------------------------------------------------------------------------------


def test_chained_stages_need_exactly_their_region() -> None:
    img = halo.Input("img", halo.i32, ndim=2)
    tmp = func("tmp", (Y, X), img[Y, X])
    g = func("g", (Y, X), tmp[Y + 1, X + 1] + tmp[Y + 5, X + 3])
    tmp.compute_root()
    found = count(g, (20, 30), img=np.zeros((25, 33), np.int32))
    assert found.box("img") == [(1, 24), (1, 32)]
    assert found.stores["tmp"] == 24 * 32


# 20: loop partitioning ------------------------------------------------------------------------------------------------


def padded(mode: str) -> halo.Func:
    img = halo.Input("img", halo.i32, ndim=1)
    f = func("f", X, halo.pad(img, mode)[X - 1] + halo.pad(img, mode)[X + 1])
    return f


IMG = np.zeros(64, np.int32)


def test_repeated_edges_give_three_copies_of_the_loop() -> None:
    assert loop_copies(padded("edge"), "x", img=IMG) == 3


def test_never_partition_gives_one() -> None:
    assert loop_copies(padded("edge").partition("x", "never"), "x", img=IMG) == 1


def test_the_steady_state_of_a_padded_vector_loop_has_no_gather() -> None:
    f = padded("edge").vectorize("x", 8)
    assert loop_copies(f, "x", img=IMG) in (2, 3)


# 21: no-ops -----------------------------------------------------------------------------------------------------------


def test_a_condition_on_a_loop_variable_trims_the_loop() -> None:
    f = halo.Func("f")
    f[X] = 0
    r = halo.rdom(10, names="r")
    f[X] += halo.select(r.r < 5, r.r, 0) * X
    g = halo.Func("g")
    g[X] = 0
    s = halo.rdom(10, names="s").where(X < 5)
    g[X] += s.s * 2
    for h in (f, g):
        h.compute_root()
        assert conditions(h) == 0


# 22: stages that are not needed ---------------------------------------------------------------------------------------


def test_an_unused_stage_is_not_computed() -> None:
    wanted = halo.Param("wanted", halo.i32)
    f = func("f", X, X)
    g = func("g", X, halo.select(wanted > 0, f[X], 7))
    f.compute_root()
    assert count(g, (10,), wanted=1).stores["f"] == 10
    assert count(g, (10,), wanted=0).stores["f"] == 0


# 12: predicates -------------------------------------------------------------------------------------------------------


def test_a_predicate_limits_what_is_visited() -> None:
    f = halo.Func("f")
    f[X] = 0
    s = halo.rdom(20, names="s").where(X >= 10)
    f[X] += s.s
    f.compute_root()
    found = count(f, (20,))
    assert found.stores["f"] == 20 + 10 * 20
