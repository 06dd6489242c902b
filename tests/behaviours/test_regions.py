"""4 to 8: which region is computed and needed, what is promised of it, and what happens where it does not fit."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from tests.counting import count

from .stages import X, Y, func

# 4: bounds inference --------------------------------------------------------------------------------------------------


def chained() -> tuple[halo.Func, halo.Func]:
    """tmp, and g = tmp(x - 1, y - 1) + tmp(x + 3, y + 1)."""
    img = halo.Input("img", halo.i32, ndim=2)
    tmp = func("tmp", (Y, X), img[Y, X])
    return tmp, func("g", (Y, X), tmp[Y - 1, X - 1] + tmp[Y + 1, X + 3])


def test_04_the_query_is_1028_by_1026() -> None:
    _, g = chained()
    fits, narrow, low = (np.zeros(shape, np.int32) for shape in ((1026, 1028), (1026, 1027), (1025, 1028)))
    assert g.realize((1024, 1024), origin=(1, 1), img=fits).shape == (1024, 1024)
    with pytest.raises(halo.BoundsError, match=r"axis 1: 0\.\.1027 is needed, 0\.\.1026 exists"):
        g.realize((1024, 1024), origin=(1, 1), img=narrow)
    with pytest.raises(halo.BoundsError, match=r"axis 0: 0\.\.1025 is needed, 0\.\.1024 exists"):
        g.realize((1024, 1024), origin=(1, 1), img=low)


def test_04_the_query_before_any_call() -> None:
    _, g = chained()
    rows, columns = g.inspect_inputs(img=halo.i32)["img"]
    assert rows == ("g.min[0] - 1", "g.shape[0] + g.min[0]")
    assert columns == ("g.min[1] - 1", "g.shape[1] + g.min[1] + 2")


def test_04_each_stage_computes_exactly_its_region() -> None:
    img = halo.Input("img", halo.i32, ndim=2)
    tmp = func("tmp", (Y, X), img[Y, X])
    g = func("g", (Y, X), tmp[Y + 1, X + 1] + tmp[Y + 5, X + 3])
    found = count(g, (20, 30), img=np.zeros((25, 33), np.int32))
    assert found.box("img") == [(1, 24), (1, 32)]
    assert found.stores["tmp"] == 24 * 32


def test_04_a_chunk_of_a_tile() -> None:
    img = halo.Input("img", halo.i32, ndim=2)
    tmp = func("tmp", (Y, X), img[Y, X])
    g = func("g", (Y, X), tmp[Y, X] + tmp[Y + 1, X + 2])
    g.tile("y", "x", "yo", "xo", "yi", "xi", 4, 8)
    tmp.compute_at(g, "xo")
    found = count(g, (16, 16), img=np.zeros((17, 18), np.int32))
    assert found.elements["tmp"] == 5 * 10
    assert found.stores["tmp"] == 8 * 5 * 10


# 5: partial realisations: halo's results are what was asked for, never a larger buffer or a cropped view of one ---------


def test_05_a_scatter_outside_of_the_asked_region_is_masked() -> None:
    img = halo.Input("img", halo.u8, ndim=1)
    r = halo.rdom(img, names="r")
    f = halo.Func("f")
    f[X] = 0
    f[halo.i32(img[r.r])] += 1
    data = np.arange(256, dtype=np.uint8)
    memory = np.full(30, -1, np.int32)
    f(img=data, out=memory[10:20])
    np.testing.assert_array_equal(memory, [-1] * 10 + [1] * 10 + [-1] * 10)


def test_05_whole_tiles_over_30_by_20_touch_30_by_20() -> None:
    f = func("f", (Y, X), Y * 100 + X)
    f.tile("y", "x", "yo", "xo", "yi", "xi", 8, 16, tail="round_up")
    memory = np.full((32, 40), -1, np.int32)
    f(out=memory[4:24, 5:35])
    want = np.full((32, 40), -1, np.int32)
    want[4:24, 5:35] = np.arange(20)[:, None] * 100 + np.arange(30)
    np.testing.assert_array_equal(memory, want)


def test_05_vectors_of_8_into_5() -> None:
    f = func("f", X, X * X).vectorize("x", 8)
    memory = np.full(11, -1, np.int32)
    f(out=memory[3:8])
    np.testing.assert_array_equal(memory, [-1] * 3 + [0, 1, 4, 9, 16] + [-1] * 3)


# 6: reads outside of inputs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "needed"), [(1, "1..10"), (-1, "-1..8"), (5, "5..14")])
def test_06_a_read_outside_is_named_before_anything_is_written(offset: int, needed: str) -> None:
    b = halo.Input("b", halo.i32, ndim=1)
    f = func("f", X, b[X + offset])
    out = np.full(10, 7, np.int32)
    with pytest.raises(halo.BoundsError) as info:
        f(b=np.zeros(10, np.int32), out=out)
    assert f"b is too small along axis 0: {needed} is needed, 0..9 exists" in str(info.value)
    np.testing.assert_array_equal(out, 7)


# 7: promises ----------------------------------------------------------------------------------------------------------


def test_07_a_contiguous_axis_is_promised_and_checked() -> None:
    @halo.func
    def f(y, x, *, img: halo.u8[:, ::1]):
        return img[y, x] + 1

    data = np.zeros((6, 8), np.uint8)
    np.testing.assert_array_equal(f(img=data), data + 1)
    with pytest.raises(halo.ArgumentError):
        f(img=data[:, ::2])


def test_07_a_promised_extent_is_used_where_it_holds_and_dropped_where_it_does_not() -> None:
    img = halo.Input("img", halo.i32, ndim=2)
    f = func("f", (Y, X), img[Y, X] * 2)
    f.bound("x", 0, 3).unroll("x")
    assert "for x in range(3):  # unroll" in f.inspect_source(img=halo.i32)
    for width in (3, 5):
        data = np.arange(4 * width, dtype=np.int32).reshape(4, width)
        np.testing.assert_array_equal(f(img=data), data * 2)


def test_07_requirements_of_parameters_are_checked() -> None:
    k = halo.Param("k", halo.i32)
    f = func("f", X, X * halo.require(k > 0, k, "k is", k))
    np.testing.assert_array_equal(f(k=2, shape=(3,)), [0, 2, 4])
    with pytest.raises(halo.HaloError, match="k is -1"):
        f(k=-1, shape=(3,))


def test_07_stages_round_a_promise_still_get_what_they_need() -> None:
    # multipass_constraints: the bound of one output decides what the input must have
    img = halo.Input("img", halo.i32, ndim=1)
    f = func("f", X, img[X] + img[X + 2])
    f.align_bounds("x", 4)
    data = np.arange(11, dtype=np.int32)
    np.testing.assert_array_equal(f(img=data, shape=(9,)), 2 * np.arange(9) + 2)
    with pytest.raises(halo.BoundsError, match=r"2\.\.10 is needed|0\.\.10 is needed"):
        f(img=data[:10], shape=(9,))


# 8: any origin and any size -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [
    lambda f: f,
    lambda f: f.vectorize("x", 8),
    lambda f: f.tile("y", "x", "yo", "xo", "yi", "xi", 4, 8).vectorize("xi").parallel("yo"),
])  # fmt: skip
def test_08_shifted_domains(schedule) -> None:
    f = schedule(func("f", (Y, X), Y * 1000 + X))
    for origin in ((100, 50), (-100, -50), (0, 3)):
        want = (np.arange(17) + origin[0])[:, None] * 1000 + np.arange(33) + origin[1]
        np.testing.assert_array_equal(f.realize((17, 33), origin=origin), want)


@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 63, 65, 87])
def test_08_odd_sizes(width: int) -> None:
    f = func("f", (Y, X), X - Y)
    g = func("g", (Y, X), f[Y, X] + f[Y, X + 1])
    f.compute_at(g, "y").vectorize("x", 8)
    g.vectorize("x", 8).unroll("y", 2)
    for height in (1, 2, 5):
        want = 2 * (np.arange(width) - np.arange(height)[:, None]) + 1
        np.testing.assert_array_equal(g(shape=(height, width)), want)
