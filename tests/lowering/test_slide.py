"""A window that slides over a stage whose loops round up to whole tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo


def rows(forward: bool, offsets: list[int], updated: bool) -> tuple[halo.Func, halo.Func]:
    """g, and f that reads rows of it as its own rows go up, or down."""
    y, x = halo.vars("y x")
    g, f = halo.Func("g"), halo.Func("f")
    g[y, x] = 100 * y + x
    if updated:
        g[y, x] += 7
    f[y, x] = sum((g[(y if forward else 30 - y) + o, x] * (k + 1) for k, o in enumerate(offsets)), halo.i32(0))
    return g, f


def wanted(forward: bool, offsets: list[int], updated: bool, shape: tuple[int, int]) -> np.ndarray:
    y, x = np.indices(shape)
    at = y if forward else 30 - y
    return sum((100 * (at + o) + x + 7 * updated) * (k + 1) for k, o in enumerate(offsets)).astype(np.int32)


@pytest.mark.parametrize("updated", [False, True])
@pytest.mark.parametrize("forward", [False, True])
def test_what_a_tile_rounds_up_to_lies_in_the_window(forward: bool, updated: bool) -> None:
    """Tiles of four from the first new row wrote over three rows of the window that were still to be read."""
    g, f = rows(forward, [0, 3, 1], updated)
    g.store_root().compute_at(f, "y").split("y", "yo", "yi", 4, tail="round_up")
    np.testing.assert_array_equal(f(shape=(20, 5)), wanted(forward, [0, 3, 1], updated, (20, 5)))
    assert "alloc g[4 of" in f.loops()


TAILS = st.sampled_from(("round_up", "round_up", "guard", "shift_inwards", "auto"))


@st.composite
def schedules(draw: st.DrawFn) -> list[tuple[str, tuple, dict]]:
    """Directives for g: splits within splits, loops that are fused, threads."""
    made: list[tuple[str, tuple, dict]] = []
    if draw(st.booleans()):
        made.append(("fuse", ("y", "x", "p"), {}))
        made.append(("split", ("p", "po", "pi", draw(st.integers(2, 9))), {"tail": draw(TAILS)}))
    else:
        made.append(("split", ("y", "yo", "yi", draw(st.integers(2, 6))), {"tail": draw(TAILS)}))
        if draw(st.booleans()):
            part = draw(st.sampled_from(("yo", "yi")))
            made.append(("split", (part, "a", "b", draw(st.integers(2, 4))), {"tail": draw(TAILS)}))
        if draw(st.booleans()):
            made.append(("vectorize", ("x", 4), {"tail": draw(TAILS)}))
    if draw(st.booleans()):
        made.append(("async_", (), {}))
    return made


@settings(max_examples=50, deadline=None)
@given(
    st.booleans(),
    st.lists(st.integers(-4, 4), min_size=1, max_size=4),
    st.booleans(),
    schedules(),
    st.sampled_from(("y", "x")),
    st.tuples(st.integers(1, 19), st.integers(1, 7)),
)
def test_random_tiles_in_a_window(
    forward: bool, offsets: list[int], updated: bool, made: list, loop: str, shape: tuple[int, int]
) -> None:
    g, f = rows(forward, offsets, updated)
    g.store_root().compute_at(f, loop)
    try:
        for name, args, kwargs in made:
            getattr(g, name)(*args, **kwargs)
        got = f(shape=shape)
    except halo.ScheduleError:
        return
    want = wanted(forward, offsets, updated, shape)
    for _ in range(3):
        np.testing.assert_array_equal(got, want, str(f.schedule()))
        got = f(shape=shape)
