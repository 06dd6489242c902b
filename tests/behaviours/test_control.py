"""19 to 23: specialised branches, partitioned and trimmed loops, stages that are skipped, unrolled loops."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from tests.counting import conditions, count, loop_copies, plain_loads

from .stages import X, Y, func

# 19: specialize -------------------------------------------------------------------------------------------------------


def test_19_vectors_only_where_there_is_room_for_one() -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    f = func("f", X, img[X] * 2)
    f.specialize(img.shape[0] >= 8).vectorize("x", 8, tail="shift_inwards")
    text = f.inspect_source(img=halo.i32)
    assert text.count("# vectorize") == 1
    for n in (1, 7, 8, 9, 100):
        np.testing.assert_array_equal(f(img=np.arange(n, dtype=np.int32)), 2 * np.arange(n))


def test_19_branches_need_different_bounds() -> None:
    k = halo.Param("k", halo.i32)
    img = halo.Input("img", halo.i32, ndim=1)
    g = func("g", X, img[X] * 3)
    f = func("f", X, halo.select(k > 0, g[X], g[X] + g[X + 1]))
    g.compute_root()
    f.specialize(k > 0)
    found = [count(f, (10,), img=np.arange(11, dtype=np.int32), k=v) for v in (1, 0)]
    assert [c.stores["g"] for c in found] == [
        11,
        11,
    ]  # a call's legality may not depend on the schedule: neither may g's box
    for v, want in ((1, 3 * np.arange(10)), (0, 6 * np.arange(10) + 3)):
        np.testing.assert_array_equal(f(img=np.arange(11, dtype=np.int32), k=v, shape=(10,)), want)


def test_19_specialisations_nest() -> None:
    a, b = halo.Param("a", halo.i32), halo.Param("b", halo.i32)
    f = func("f", X, X * a + b)
    branch = f.specialize(a == 1)
    branch.vectorize("x", 4)
    branch.specialize(b == 0).unroll("x", 2)
    for va in (1, 2):
        for vb in (0, 3):
            np.testing.assert_array_equal(f(a=va, b=vb, shape=(11,)), np.arange(11) * va + vb)
    text = f.inspect_source()
    assert text.count("# vectorize") == 2  # the inner branch starts with what the outer one had
    assert text.count("# unroll") == 1


def test_19_a_branch_that_cannot_be_taken_is_pruned() -> None:
    a = halo.Param("a", halo.i32)
    f = func("f", X, X * a)
    f.specialize(a > 10)
    f.specialize(a > 20).vectorize("x", 4)  # where it holds the first one held
    np.testing.assert_array_equal(f(a=30, shape=(9,)), np.arange(9) * 30)
    simplified = func("g", X, halo.select(a > 10, X, X + a))
    simplified.specialize(a > 10)
    for v in (5, 30):
        np.testing.assert_array_equal(simplified(a=v, shape=(9,)), np.arange(9) + (0 if v > 10 else v))


def test_19_specialize_fail_is_not_there() -> None:
    # it would change which calls are legal
    assert not hasattr(func("f", X, X), "specialize_fail")


# 20: loop partitioning ------------------------------------------------------------------------------------------------

ROW, PICTURE = np.zeros(640, np.int32), np.zeros((640, 640), np.int32)


def padded_row(mode: str, *taps: int) -> halo.Func:
    img = halo.Input("img", halo.i32, ndim=1)
    p = halo.pad(img, mode)
    return func("f", X, sum((p[X + t] for t in taps[1:]), p[X + taps[0]]))


def padded_picture(mode: str) -> halo.Func:
    img = halo.Input("img", halo.i32, ndim=2)
    p = halo.pad(img, mode)
    return func("f", (Y, X), p[Y - 1, X - 1] + p[Y + 1, X + 1])


@pytest.mark.parametrize("mode", ["edge", "constant", "reflect", "symmetric", "wrap"])
def test_20_edges_give_three_copies(mode: str) -> None:
    assert loop_copies(padded_row(mode, -1, 1), "x", img=ROW) == 3


def test_20_a_vectorised_loop_gives_two_copies() -> None:
    f = padded_row("edge", -1, 1).bound("x", 0, 640).vectorize("x", 8)
    assert loop_copies(f, "x", img=ROW) == 2  # and the first vector, which is no loop


@pytest.mark.parametrize("mode", ["edge", "constant", "reflect", "symmetric", "wrap"])
def test_20_a_vectorised_loop_from_any_origin_gives_three_copies(mode: str) -> None:
    assert loop_copies(padded_row(mode, -1, 1).vectorize("x", 8), "x", img=ROW) == 3


@pytest.mark.parametrize("mode", ["edge", "constant", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("vectors", [False, True])
def test_20_no_boundary_costs_anything_in_the_steady_state(mode: str, vectors: bool) -> None:
    f = padded_row(mode, -1, 1)
    if vectors:
        f.vectorize("x", 8)
    assert plain_loads(f, img=ROW) == 2  # of the steady state: all others are clamped or masked


def test_20_a_tail_alone_gives_two_copies() -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    f = func("f", X, img[X] * 2).vectorize("x", 8, tail="guard")
    assert loop_copies(f, "x", img=ROW) == 2


@pytest.mark.parametrize("mode", ["edge", "constant", "reflect", "symmetric", "wrap"])
def test_20_two_dimensions_give_five_copies(mode: str) -> None:
    assert loop_copies(padded_picture(mode), "x", img=PICTURE) == 5


@pytest.mark.parametrize("mode", ["edge", "constant", "reflect", "symmetric", "wrap"])
def test_20_always_gives_nine_and_never_one(mode: str) -> None:
    for policy, copies in (("always", 9), ("never", 1)):
        f = padded_picture(mode)
        f.partition("y", policy).partition("x", policy)
        assert loop_copies(f, "x", img=PICTURE) == copies


@pytest.mark.parametrize("mode", ["edge", "constant", "reflect", "symmetric", "wrap"])
def test_20_every_copy_computes_the_same(mode: str) -> None:
    img = np.random.default_rng(20).integers(0, 1000, (19, 37), np.int32)
    p = np.pad(img, 1, mode)
    want = p[:-2, :-2] + p[2:, 2:]
    for policy in ("auto", "always", "never"):
        for vectors in (False, True):
            f = padded_picture(mode)
            f.partition("y", policy).partition("x", policy)
            if vectors:
                f.vectorize("x", 8)
            np.testing.assert_array_equal(f(img=img, shape=img.shape), want)


# 21: no-ops -----------------------------------------------------------------------------------------------------------


def test_21_an_update_of_some_points_leaves_no_condition() -> None:
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


def test_21_a_select_that_keeps_the_old_value_leaves_no_condition() -> None:
    r = halo.rdom(100, names="r")
    f = halo.Func("f")
    f[X] = X
    f[X] = halo.select((r.r > 10) & (r.r < 20), f[X] + r.r, f[X])
    f.compute_root()
    assert conditions(f) == 0
    np.testing.assert_array_equal(f(shape=(7,)), np.arange(7) + sum(range(11, 20)))


def test_21_a_triangle_leaves_no_condition() -> None:
    r = halo.rdom(30, 30, names="ry rx")
    r.where(r.rx < r.ry)
    f = halo.Func("f")
    f[X] = 0
    f[X] += r.rx * X
    f.compute_root()
    assert conditions(f) == 0
    np.testing.assert_array_equal(f(shape=(3,)), np.arange(3) * sum(x for y in range(30) for x in range(y)))


# 22: stages that are not needed ---------------------------------------------------------------------------------------


def test_22_an_unused_stage_is_not_computed() -> None:
    wanted = halo.Param("wanted", halo.i32)
    f = func("f", X, X)
    g = func("g", X, halo.select(wanted > 0, f[X], 7))
    f.compute_root()
    assert count(g, (10,), wanted=1).stores["f"] == 10
    assert count(g, (10,), wanted=0).stores["f"] == 0


def test_22_the_unused_side_of_a_diamond_is_not_computed() -> None:
    left = halo.Param("left", halo.i32)
    top = func("top", X, X)
    a, b = func("a", X, top[X] + 1), func("b", X, top[X] + 2)
    out = func("out", X, halo.select(left > 0, a[X], b[X]))
    for side, calls in ((1, (10, 0)), (0, (0, 10))):
        stores = count(out, (10,), left=side).stores
        assert (stores["a"], stores["b"]) == calls
        assert stores["top"] == 10


def test_22_a_chain_of_unused_stages_is_not_computed() -> None:
    wanted = halo.Param("wanted", halo.i32)
    a = func("a", X, X)
    b = func("b", X, a[X] + a[X + 1])
    out = func("out", X, halo.select(wanted > 0, b[X], 7))
    assert count(out, (10,), wanted=0).stores == {"out": 10}
    assert count(out, (10,), wanted=1).stores == {"a": 11, "b": 10, "out": 10}


def active_tiles() -> tuple[halo.Func, halo.Func]:
    """active: whether a tile of 16 by 16 has any point; out: `expensive` where it has, else 0."""
    img = halo.Input("img", halo.u8, ndim=2)
    r = halo.rdom(16, 16, names="ry rx")
    active = halo.Func("active")
    active[Y, X] = halo.any(img[16 * Y + r.ry, 16 * X + r.rx] > 0, r)
    expensive = func("expensive", (Y, X), img[Y, X] * 3 + 1)
    out = func("out", (Y, X), halo.select(active[Y // 16, X // 16], expensive[Y, X], halo.u8(0)))
    active.compute_root()
    out.bound("y", 0, 64).bound("x", 0, 64).tile("y", "x", "yo", "xo", "yi", "xi", 16, 16)
    expensive.compute_at(out, "xo")
    return expensive, out


def test_22_one_active_tile_costs_one_tile() -> None:
    img = np.zeros((64, 64), np.uint8)
    img[20, 40] = 5
    _, out = active_tiles()
    assert count(out, (64, 64), img=img).stores["expensive"] == 16 * 16
    want = np.zeros_like(img)
    want[16:32, 32:48] = img[16:32, 32:48] * 3 + 1
    np.testing.assert_array_equal(out(img=img), want)


def test_22_an_expensive_stage_by_tiles_as_axes() -> None:
    ty, tx = halo.vars("ty tx")
    img = halo.Input("img", halo.u8, ndim=2)
    active = halo.Input("active", halo.bool_, ndim=2)
    expensive = func("expensive", (Y, X), img[Y, X] * 3)
    out = func("out", (ty, tx, Y, X), halo.select(active[ty, tx], expensive[16 * ty + Y, 16 * tx + X], halo.u8(0)))
    expensive.compute_at(out, "tx")
    flags = np.zeros((4, 4), np.bool_)
    flags[1, 2] = True
    found = count(out, (4, 4, 16, 16), img=np.zeros((64, 64), np.uint8), active=flags)
    assert found.stores["expensive"] == 16 * 16


def test_22_an_or_that_stops_looking() -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(100, names="r")
    found = halo.Func("found")
    found[()] = halo.bool_(False)
    r.where(~found[()])
    found[()] = found[()] | (img[r.r] == 30)
    found.compute_root()
    out = func("out", X, halo.select(found[()], 1, 0))
    data = np.arange(100, dtype=np.int32)
    assert count(out, (1,), img=data).stores["found"] == 1 + 31
    np.testing.assert_array_equal(out(img=data, shape=(1,)), [1])
    np.testing.assert_array_equal(out(img=data + 100, shape=(1,)), [0])


# 23: unrolled loops ---------------------------------------------------------------------------------------------------


def test_23_a_loop_whose_extent_is_implied_unrolls() -> None:
    f = func("f", (Y, X), X * Y)
    g = func("g", (Y, X), f[Y, X] + f[Y, X + 1])
    g.split("x", "xo", "xi", 4)
    f.compute_at(g, "xo").unroll("x")  # 5 points, whatever the size
    assert loop_copies(g, "x") == 0
    y, x = np.mgrid[:3, :10]
    np.testing.assert_array_equal(g(shape=(3, 10)), 2 * x * y + y)


def test_23_a_loop_of_dynamic_extent_is_refused() -> None:
    f = func("f", X, X).unroll("x")
    with pytest.raises(halo.ScheduleError, match="x"):
        f(shape=(10,))


def test_23_a_loop_of_dynamic_extent_unrolls_by_a_factor() -> None:
    f = func("f", X, X * 7).unroll("x", 3)
    for n in (1, 2, 3, 10):
        np.testing.assert_array_equal(f(shape=(n,)), np.arange(n) * 7)
