"""What the fuzzer found, each as small as it was made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo


def test_a_scatter_at_a_remainder_stays_in_the_asked_region() -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = halo.i32(0)
    (r,) = halo.rdom((-1, 3))
    f[r % 4] += 1
    assert f(shape=(1,)).tolist() == [1]
    assert f(shape=(4,)).tolist() == [1, 1, 0, 1]


def test_an_extent_bound_of_an_output_keeps_its_first_point() -> None:
    y, x = halo.vars("y x")
    f = halo.Func("f")
    f[y, x] = 10 * y + x
    f.bound_extent("x", 4).vectorize("x")
    wanted = 10 * np.arange(2)[:, None] + np.arange(3, 7)
    np.testing.assert_array_equal(f.realize((2, 4), origin=(0, 3)), wanted)
    np.testing.assert_array_equal(f.realize((2, 3), origin=(0, 3)), wanted[:, :3])


def test_an_extent_bound_of_an_intermediate_starts_where_it_is_needed() -> None:
    y, x = halo.vars("y x")
    f, g = halo.Func("f"), halo.Func("g")
    f[y, x] = 10 * y + x
    g[y, x] = f[y, x] + f[y, x + 2]
    f.compute_root().bound_extent("x", 6)
    wanted = 20 * np.arange(2)[:, None] + 2 * np.arange(3, 8) + 2
    for n in (3, 4, 5):
        np.testing.assert_array_equal(g.realize((2, n), origin=(0, 3)), wanted[:, :n])


def test_an_update_of_a_point_outside_of_the_asked_region() -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = x
    f[5] += 100
    f[-1] += 100
    assert f(shape=(7,)).tolist() == [0, 1, 2, 3, 4, 105, 6]
    assert f(shape=(3,)).tolist() == [0, 1, 2]
    assert f.realize((3,), origin=(-2,)).tolist() == [-2, 99, 0]


def test_the_stack_is_not_asked_for_what_it_cannot_hold() -> None:
    x = halo.Var("x")
    f, g = halo.Func("f"), halo.Func("g")
    f[x] = x + 1
    g[x] = f[x] + f[x + 1]
    f.compute_root().store_in("stack")
    np.testing.assert_array_equal(g(shape=(100_000,)), 2 * np.arange(100_000) + 3)


def test_a_factored_reduction_of_wrapped_reads_needs_the_same() -> None:
    a, x = halo.Input("a", halo.i32, ndim=1), halo.Var("x")
    f = halo.Func("f")
    f[x] = halo.i32(0)
    r, s = halo.rdom((-1, 4), (-2, 2), names="r s")
    f[r % 4] += halo.pad(a, "wrap")[r - s]
    data = np.arange(28, dtype=np.int32)
    wanted = f(a=data, shape=(5,))
    f.update(0).rfactor({"s": "q"})
    np.testing.assert_array_equal(f(a=data, shape=(5,)), wanted)


def test_an_extent_bound_is_copied_with_its_function() -> None:
    x = halo.Var("x")
    f, g = halo.Func("f"), halo.Func("g")
    f[x] = x
    g[x] = f[x] + f[x + 2]
    f.bound_extent("x", 16)
    f.clone_in(g).compute_root()
    np.testing.assert_array_equal(g(shape=(9,)), 2 * np.arange(9) + 2)
    np.testing.assert_array_equal(g(shape=(30,)), 2 * np.arange(30) + 2)


def test_a_function_inline_in_a_stage_and_in_a_producer_inside_it() -> None:
    y, x = halo.vars("y x")
    f, g, h = halo.Func("f"), halo.Func("g"), halo.Func("h")
    f[y, x] = y + 10 * x
    f[y, x] += 1
    g[y, x] = f[y, x + 1] * 2
    g[y, x] += f[y + 1, x]
    h[y, x] = f[y, x % 3] * g[y, x] + f[y - 2, x]
    f.compute_inline()
    g.compute_inline()
    h.serial("x")
    i, j = np.mgrid[:4, :5]
    np.testing.assert_array_equal(
        h(shape=(4, 5)),
        (i + 10 * (j % 3) + 1) * (2 * (i + 10 * j + 11) + i + 10 * j + 2) + i + 10 * j - 1,
    )


def test_storage_of_many_stages_in_lanes_does_not_overflow_the_stack():
    """12 stages of 16 kB each inside of a vector of 64 lanes crashed the process."""

    def total():
        x, k = halo.vars("x k")
        a, f, terms, stages = halo.Input("a", halo.u8, ndim=1), halo.Func("f"), [], []
        for j in range(12):
            g, r = halo.Func(f"g{j}"), halo.rdom(16000, names=f"r{j}")
            g[x, k] = a[x] + halo.u8(k + j)
            terms.append(halo.sum(g[x, r[0]], r))
            stages.append(g)
        f[x] = sum(terms[1:], terms[0])
        return f, stages

    a = np.arange(130, dtype=np.uint8)
    plain, _ = total()
    scheduled, stages = total()
    scheduled.vectorize("x", 64)
    for g in stages:
        g.compute_at(scheduled, "x_v")
    np.testing.assert_array_equal(scheduled(a=a), plain(a=a))


def test_a_stage_is_computed_though_the_one_that_it_runs_with_is_not_needed():
    """`if k > 0: produce a` was round the loops of both: b was not computed where a was not needed."""
    y, x = halo.vars("y x")
    k = halo.Param("k", halo.i32)
    rows, columns = np.mgrid[:8, :9]
    values = {"a": 7 * rows + columns, "b": rows - columns + 100}
    for needed, maybe in (("a", "b"), ("b", "a")):
        f = {"a": halo.Func("a"), "b": halo.Func("b")}
        f["a"][y, x] = 7 * y + x
        f["b"][y, x] = y - x + 100
        out = halo.Func("out")
        out[y, x] = halo.select(k > 0, f[maybe][y, x], 0) + f[needed][y, x]
        f["a"].compute_root()
        f["b"].compute_root().compute_with(f["a"], "y")
        for given in (0, 1, 0):
            want = values[needed] + values[maybe] * given
            np.testing.assert_array_equal(out(shape=(8, 9), k=given), want)


@pytest.mark.parametrize(("stride", "dilation", "padding"), [(7, 2, 3), (3, 2, 2), (4, 6, 3), (2, 1, 1), (5, 5, 4)])
def test_a_guard_says_of_an_index_what_it_says_of_a_multiple(stride: int, dilation: int, padding: int) -> None:
    """`0 <= 7*x + 2*k - 3` was said of x and of k, rounded up: the index seemed to go down to -3."""
    x = halo.Var("x")
    a, f = halo.Input("a", halo.f32, ndim=1), halo.Func("f")
    r = halo.rdom(3, names="k")
    at = stride * x + dilation * r[0] - padding
    f[x] = 0.0
    f[x] += halo.select((at >= 0) & (at < a.shape[0]), a[at], 0.0)
    values = np.arange(1, 31, dtype=np.float32)
    n = (30 + 2 * padding - 2 * dilation - 1) // stride + 1
    padded = np.pad(values, padding)
    want = sum(padded[dilation * k :][: stride * n : stride][:n] for k in range(3))
    np.testing.assert_array_equal(f(a=values, shape=(n,)), want)


@pytest.mark.parametrize(
    "loops", [lambda s: s, lambda s: s.vectorize("j", 8), lambda s: s.split("j", "jo", "ji", 5, tail="guard")]
)
@pytest.mark.parametrize("n", [1, 7, 16, 50])
def test_conditions_that_bound_one_another_bound_what_is_read(n: int, loops: Any) -> None:
    k, source = halo.Var("k"), halo.Input("source", halo.f32, ndim=1)
    side, total = halo.Func("side"), halo.Func("total")
    side[k], total[k] = source[k] * 2, source[k]
    r = halo.rdom(40, source.shape[0], names="t j")
    r.where(r.t < r.j)  # and j < n: whatever the loops of j are, nothing behind n is asked for
    total[r.j] += side[r.t]
    side.compute_root()
    loops(total.update())
    lines = total.lower().after("checks").splitlines()
    assert not [line for line in lines if line.strip().startswith(("check", "side.", "alloc")) and "//" in line]
    data = np.arange(n, dtype=np.float32)
    wanted = [data[j] + 2 * data[: min(j, 40)].sum() for j in range(n)]
    np.testing.assert_array_equal(total(data, shape=(n,)), wanted)


@pytest.mark.parametrize("n", [3, 28])
def test_conditions_on_several_variables_of_one_index_hold_at_once(n: int) -> None:
    """Padding of rows and columns, seen through a reshape and where a value says which picture: 1 <= y alone left x down to 0,
    and (n*(y - 1) + x - 1)//n at -1."""
    a, picked, f = halo.Input("a", halo.f32, ndim=3), halo.Input("picked", halo.i32, ndim=1), halo.Func("f")
    k, y, x = halo.vars("k y x")
    flat = n * (y - 1) + (x - 1)
    inside = halo.all(y >= 1, y <= n, x >= 1, x <= n)
    which = halo.clamp(picked[k], 0, 4)
    f[k, y, x] = halo.select(inside, a[which, flat // n, flat % n], 0.0)
    values, rows = np.random.default_rng(0).random((5, n, n), np.float32), np.array([4, 0, 2], np.int32)
    want = np.pad(values[rows], ((0, 0), (1, 1), (1, 1)))
    for loops in (lambda f: f, lambda f: f.vectorize("x", 8), lambda f: f.split("y", "yo", "yi", 4, tail="guard")):
        g = halo.Func("g")
        g[k, y, x] = f[k, y, x]
        loops(g)
        np.testing.assert_array_equal(g(a=values, picked=rows, shape=want.shape), want)
