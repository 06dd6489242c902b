"""Loops that run only where their body does anything, when what it does decides where that is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo


def scattered(steps: int, most: int, sign: int, add: int, start: int) -> np.ndarray:
    """What is below as f, of the points that anyone could ask for."""
    a = np.full(most + steps, start, np.int32)
    for r in range(steps):
        at = min(max(int(a[0]), 0), most) + sign * r
        if at >= 0:
            a[at] += add
    return a


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 8),
    st.integers(0, 5),
    st.sampled_from((-1, 1)),
    st.integers(-3, 5),
    st.integers(-2, 6),
    st.integers(1, 9),
    st.sampled_from(("root", "x", "store", "inline")),
)
def test_an_update_whose_points_depend_on_what_it_stored(
    steps: int, most: int, sign: int, add: int, start: int, n: int, placed: str
) -> None:
    """The loop over r ran while `f[0]`, as it was before the loop, said that there were points in the region."""
    x = halo.Var("x")
    f, g = halo.Func("f"), halo.Func("g")
    f[x] = halo.i32(start)
    r = halo.rdom((0, steps), names="r")
    f[halo.clamp(f[0], 0, most) + sign * r[0]] += add
    g[x] = f[x % (most + steps)] * 2
    if placed == "root":
        f.compute_root()
    elif placed == "x":
        f.compute_at(g, "x")
    elif placed == "store":
        f.store_root().compute_at(g, "x")
    want = scattered(steps, most, sign, add, start)
    np.testing.assert_array_equal(g(shape=(n,)), 2 * want[np.arange(n) % (most + steps)])
    np.testing.assert_array_equal(f(shape=(min(n, most + steps),)), want[: min(n, most + steps)])


def test_a_steady_state_that_a_value_computed_inside_of_the_loop_decides() -> None:
    """The loop over x was split at a value of f, whose storage is inside of the loop over x."""
    y, x = halo.vars("y x")
    f, g, h = halo.Func("f"), halo.Func("g"), halo.Func("h")
    f[y, x] = (3 * y + x) % 5
    g[y, x] = y + x
    r = halo.rdom((1, 1), names="r")
    g[y, halo.clamp(f[r[0], y], 0, 5)] += 100 * f[y, y + r[0]]
    h[y, x] = g[y, x] + 1
    f.compute_at(h, "x")
    g.compute_at(h, "x")
    at = np.indices((13, 9)).astype(np.int32)
    want = at.sum(0) + 1
    for row in range(13):
        want[row, (3 + row) % 5] += 100 * ((3 * row + row + 1) % 5)
    np.testing.assert_array_equal(h(shape=(13, 9)), want)


@pytest.mark.parametrize("lanes", [0, 4, 8])
def test_rows_of_an_elimination_are_vectors(lanes: int) -> None:
    """No j > t is the column t, which all of the row reads."""
    y, x = halo.vars("y x")
    a, f = halo.Input("a", halo.f64, ndim=2), halo.Func("f")
    f[y, x] = a[y, x]
    n = a.shape[0]
    s = halo.rdom(n, n, n, names="t i j")
    s.where((s.i > s.t) & (s.j > s.t) & (f[s.t, s.t] != 0))
    f[s.i, s.j] -= f[s.i, s.t] / f[s.t, s.t] * f[s.t, s.j]
    if lanes:
        f.update(0).vectorize("j", lanes)
    for size in (1, 5, 16, 23):
        m = np.random.default_rng(size).random((size, size)) + size * np.eye(size)
        found = np.triu(f(a=m, shape=m.shape))
        np.testing.assert_allclose(np.linalg.solve(found.T, m.T).T @ found, m)
        np.testing.assert_allclose(np.prod(np.diag(found)), np.linalg.det(m))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-2, 2),
    st.sampled_from(("t", "0", "t + 1", "n - 1")),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(-6, 6),
    st.sampled_from(("plain", "split", "vectorize")),
)
def test_a_condition_that_reads_what_the_loop_may_store(
    off: int, read: str, n: int, asked: int, least: int, how: str
) -> None:
    """`f[at] > least` is asked once for all j where no j stores to it, and else in each iteration."""
    x = halo.Var("x")
    a, f = halo.Input("a", halo.i32, ndim=1), halo.Func("f")
    f[x] = a[halo.clamp(x, 0, a.shape[0] - 1)]
    r = halo.rdom(n, n, names="t j")
    at = {"t": r.t, "0": 0, "t + 1": r.t + 1, "n - 1": n - 1}[read]
    r.where((r.j > r.t + off) & (f[at] > least))
    f[r.j] = f[r.j] * 3 - f[at] - r.j
    if how == "split":
        f.update(0).split("j", "jo", "ji", 4)
    values = np.random.default_rng(n).integers(-9, 9, n, dtype=np.int32)
    want = values[np.clip(np.arange(n + 1), 0, n - 1)].tolist()
    for t in range(n):
        place = {"t": t, "0": 0, "t + 1": t + 1, "n - 1": n - 1}[read]
        for j in range(n):
            if j > t + off and want[place] > least:
                want[j] = (want[j] * 3 - want[place] - j + 2**31) % 2**32 - 2**31
    size = min(asked, n)
    try:
        if how == "vectorize":
            f.update(0).vectorize("j", 4)
        found = f(a=values, shape=(size,))
    except halo.ScheduleError:
        assert how == "vectorize"  # a race
        assert off < {"t": 0, "t + 1": 1}.get(read, 3) or n <= off + 1  # where it never holds, it says nothing
    else:
        np.testing.assert_array_equal(found, want[:size])
