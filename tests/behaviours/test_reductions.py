"""9 to 18: tuples, extrema, orders, predicates, parts, races, scatters and memory that is kept."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from tests.counting import conditions, count

from .stages import X, Y, func

RNG = np.random.default_rng(9)
BYTES = RNG.integers(0, 256, (37, 53), np.uint8)
ROW = RNG.integers(-1000, 1000, 997, np.int32)

# 9: tuples ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [None, lambda f: f.vectorize("x", 4), lambda f: f.parallel("x")])
def test_09_all_elements_are_updated_at_once(schedule) -> None:
    r = halo.rdom(3, names="r")
    f = halo.Func("f")
    f[X] = (X, X + 100)
    f[X] = (f[X][1] + 0 * r.r, f[X][0])  # three swaps
    if schedule is not None:
        schedule(f.update(0))
    a, b = f(shape=(11,))
    np.testing.assert_array_equal(a, np.arange(11) + 100)
    np.testing.assert_array_equal(b, np.arange(11))


def test_09_one_element_is_updated_and_the_other_stays() -> None:
    f = halo.Func("f")
    f[X] = (X, X * 2)
    f[X] = (f[X][0] + 5, halo.undef(halo.i32))
    a, b = f(shape=(9,))
    np.testing.assert_array_equal(a, np.arange(9) + 5)
    np.testing.assert_array_equal(b, np.arange(9) * 2)


# 10: extrema and inline reductions --------------------------------------------------------------------------------------


def test_10_the_first_extremum_of_several() -> None:
    data = np.zeros((7, 9), np.int32)
    data[2, 5] = data[2, 6] = data[4, 1] = 40
    img = halo.Input("img", halo.i32, ndim=2)
    r = halo.rdom(img, names="ry rx")
    top, low = halo.Func("top"), halo.Func("low")
    top[()] = halo.argmax(img[r.ry, r.rx], r)
    low[()] = halo.argmin(-img[r.ry, r.rx], r)
    assert tuple(map(int, top(img=data))) == (2, 5, 40)
    assert tuple(map(int, low(img=data))) == (2, 5, -40)


def test_10_nested_domains() -> None:
    img = halo.Input("img", halo.i32, ndim=2)
    rows, columns = halo.rdom(5, names="ry"), halo.rdom(6, names="rx")
    f = halo.Func("f")
    f[X] = halo.max(halo.sum(img[rows.ry, columns.rx] * X, columns), rows)
    data = RNG.integers(0, 99, (5, 6), np.int32)
    want = [max((data[y] * x).sum() for y in range(5)) for x in range(4)]
    np.testing.assert_array_equal(f(img=data, shape=(4,)), want)


@pytest.mark.parametrize(("name", "want"), [("sum", np.sum), ("prod", np.prod), ("min", np.min), ("max", np.max)])
def test_10_inline_reductions(name: str, want) -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(10, names="r")
    f = func("f", X, getattr(halo, name)(img[X + r.r], r) + 1)
    data = RNG.integers(-4, 5, 20, np.int32)
    np.testing.assert_array_equal(f(img=data, shape=(11,)), [want(data[x : x + 10]) + 1 for x in range(11)])


# 11: the order of a domain is meaning -----------------------------------------------------------------------------------


def seams(energy: np.ndarray) -> np.ndarray:
    want = energy.astype(np.int32)
    for y in range(1, len(energy)):
        p = np.pad(want[y - 1], 1, "edge")
        want[y] += np.minimum(np.minimum(p[:-2], p[1:-1]), p[2:])
    return want


def seam_carving() -> halo.Func:
    energy = halo.Input("energy", halo.i32, ndim=2)
    f = halo.Func("f")
    f[Y, X] = energy[Y, X]
    r = halo.rdom((1, 19), 30, names="ry rx")
    left, right = halo.clamp(r.rx - 1, 0, 29), halo.clamp(r.rx + 1, 0, 29)
    f[r.ry, r.rx] += halo.min(f[r.ry - 1, left], halo.min(f[r.ry - 1, r.rx], f[r.ry - 1, right]))
    f.compute_root()
    return f


@pytest.mark.parametrize(
    "schedule",
    [lambda u: u, lambda u: u.unroll("rx", 4), lambda u: u.split("ry", "yo", "yi", 2, tail="guard")],
)
def test_11_seam_carving_goes_down_row_by_row(schedule) -> None:
    energy = RNG.integers(0, 100, (20, 30), np.int32)
    f = seam_carving()
    schedule(f.update(0))
    np.testing.assert_array_equal(f(energy=energy), seams(energy))


def test_11_seam_carving_by_columns_is_refused() -> None:
    f = seam_carving()
    with pytest.raises(halo.ScheduleError, match="another order"):
        f.update(0).reorder("rx", "ry")
        f(energy=RNG.integers(0, 100, (20, 30), np.int32))


def test_11_reordering_that_changes_the_result_is_refused() -> None:
    r = halo.rdom(5, 6, names="ry rx")
    f = halo.Func("f")
    f[X] = X
    f[X] = f[X] * 3 + r.ry - r.rx
    f.update(0).reorder("rx", "ry")
    with pytest.raises(halo.ScheduleError):
        f(shape=(4,))


def test_11_reordering_a_sum_of_integers_changes_nothing() -> None:
    r = halo.rdom(5, 6, names="ry rx")
    f = halo.Func("f")
    f[X] = X
    f[X] += r.ry * r.rx
    f.update(0).reorder("rx", "ry", "x").vectorize("x", 4)
    np.testing.assert_array_equal(f(shape=(7,)), np.arange(7) + 10 * 15)


# 12: predicates ---------------------------------------------------------------------------------------------------------


def test_12_a_predicate_limits_what_is_visited() -> None:
    f = halo.Func("f")
    f[X] = 0
    s = halo.rdom(20, names="s").where(X >= 10)
    f[X] += s.s
    f.compute_root()
    assert count(f, (20,)).stores["f"] == 20 + 10 * 20


@pytest.mark.parametrize(("name", "where", "points"), [
    ("triangle", lambda y, x: x <= y, 55), ("band", lambda y, x: (x >= y - 1) & (x <= y + 1), 28),
    ("rows", lambda y, x: y > 6, 30),
])  # fmt: skip
def test_12_domains_of_other_shapes_are_trimmed(name: str, where, points: int) -> None:
    r = halo.rdom(10, 10, names="ry rx")
    r.where(where(r.ry, r.rx))
    f = halo.Func("f")
    f[X] = 0
    f[X] += 1 + 0 * r.rx
    f.compute_root()
    assert count(f, (3,)).stores["f"] == 3 + 3 * points
    assert conditions(f) == 0  # trimmed loops test nothing
    np.testing.assert_array_equal(f(shape=(3,)), points)


def test_12_a_disc_is_tested_point_by_point() -> None:
    r = halo.rdom((-10, 21), (-10, 21), names="ry rx")
    r.where(r.ry * r.ry + r.rx * r.rx <= 100)
    f = halo.Func("f")
    f[()] = 0
    f[()] += 1 + 0 * r.rx
    y, x = np.mgrid[-10:11, -10:11]
    assert f(shape=()) == (y * y + x * x <= 100).sum()


def test_12_a_predicate_on_what_is_being_updated_may_not_race() -> None:
    r = halo.rdom(10, names="r")
    f = halo.Func("f")
    f[X] = X
    r.where(f[r.r] > 3)
    f[X] += f[r.r]
    with pytest.raises(halo.ScheduleError):
        f.update(0).parallel("x")
        f(shape=(10,))


def test_12_an_inner_loop_of_no_iterations() -> None:
    n = halo.Param("n", halo.i32)
    r = halo.rdom(10, n, names="ry rx")
    f = halo.Func("f")
    f[X] = X
    f[X] += r.ry + r.rx
    f.update(0).fuse("ry", "rx", "t")
    for k in (0, 1, 3):
        np.testing.assert_array_equal(f(n=k, shape=(4,)), np.arange(4) + 45 * k + 10 * (k * (k - 1) // 2))


# 13: parts of reductions ------------------------------------------------------------------------------------------------


def histogram() -> halo.Func:
    img = halo.Input("img", halo.u8, ndim=2)
    r = halo.rdom(img, names="ry rx")
    f = halo.Func("f")
    f[X] = halo.u32(0)
    f[halo.i32(img[r.ry, r.rx])] += 1
    return f


def test_13_a_histogram_in_parallel_parts() -> None:
    f = histogram()
    part = f.update(0).rfactor({"ry": "u"})
    part.compute_root()
    part.update(0).parallel("u")
    np.testing.assert_array_equal(f(img=BYTES, shape=(256,)), np.bincount(BYTES.ravel(), minlength=256))


def test_13_several_levels() -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(img, names="r")
    f = halo.Func("f")
    f[()] = 0
    f[()] += img[r.r]
    f.update(0).split("r", "ro", "ri", 64).split("ri", "rm", "ri", 8)
    rows = f.update(0).rfactor({"ro": "u"})
    rows.compute_root()
    lanes = rows.update(0).rfactor({"ri": "v"})
    lanes.compute_at(rows, "u")
    lanes.update(0).vectorize("v", 8)
    rows.update(0).parallel("u")
    assert f(img=ROW) == ROW.sum()


def first_of_four() -> tuple[halo.Func, np.ndarray]:
    data = np.zeros(100, np.int32)
    data[[17, 18, 60, 99]] = -5
    img = halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(100, names="r")
    f = halo.Func("f")
    f[()] = halo.argmin(img[r.r], r)
    f.update(0).split("r", "ro", "ri", 7)
    return f, data


def test_13_argmin_keeps_the_first() -> None:
    f, data = first_of_four()
    part = f.update(0).rfactor({"ro": "u"})
    part.compute_root()
    part.update(0).parallel("u")
    assert tuple(map(int, f(img=data))) == (17, -5)


def test_13_what_does_not_commute_is_not_factored_out_of_order() -> None:
    f, data = first_of_four()
    with pytest.raises(halo.ScheduleError, match="the order of the terms matters"):
        f.update(0).rfactor({"ri": "u"})
        f(img=data)


def test_13_a_tuple_of_a_sum_and_a_maximum() -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(img, names="r")
    f = halo.Func("f")
    f[()] = (0, halo.i32(-(2**31)))
    f[()] = (f[()][0] + img[r.r], halo.max(f[()][1], img[r.r]))
    f.update(0).split("r", "ro", "ri", 16)
    part = f.update(0).rfactor({"ri": "u"})
    part.compute_root()
    part.update(0).vectorize("u", 16)
    assert tuple(map(int, f(img=ROW))) == (ROW.sum(), ROW.max())


def test_13_a_product_of_complex_numbers() -> None:
    re, im = halo.Input("re", halo.i32, ndim=1), halo.Input("im", halo.i32, ndim=1)
    r = halo.rdom(re, names="r")
    f = halo.Func("f")
    f[()] = (halo.i32(1), halo.i32(0))
    a, b = f[()][0], f[()][1]
    f[()] = (a * re[r.r] - b * im[r.r], a * im[r.r] + b * re[r.r])
    f.update(0).split("r", "ro", "ri", 4)
    f.update(0).rfactor({"ro": "u"}).compute_root()
    x, y = RNG.integers(-3, 4, (2, 21), np.int32)
    z = (1, 0)
    for p, q in zip(x.tolist(), y.tolist(), strict=True):
        z = z[0] * p - z[1] * q, z[0] * q + z[1] * p
    want = np.array(z, object) % 2**32
    assert [int(v) % 2**32 for v in f(re=x, im=y)] == want.tolist()


def test_13_what_is_not_associative_is_refused() -> None:
    # f = 3*f + v is no associative operator
    img = halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(img, names="r")
    f = halo.Func("f")
    f[()] = 0
    f[()] = f[()] * 3 + img[r.r]
    with pytest.raises(halo.ScheduleError):
        f.update(0).rfactor({"r": "u"})
        f(img=ROW)


# 14: associativity ------------------------------------------------------------------------------------------------------

OPERATORS = {
    "sum": (lambda a, b: a + b, halo.i32), "product": (lambda a, b: a * b, halo.i32),
    "min": (halo.min, halo.i32), "max": (halo.max, halo.u8), "and": (lambda a, b: a & b, halo.u16),
    "or": (lambda a, b: a | b, halo.u16), "xor": (lambda a, b: a ^ b, halo.i64), "wrapped sum": (lambda a, b: a + b, halo.u8),
    "saturating sum": (halo.sat_add, halo.u8),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_14_associative_operators(name: str) -> None:
    fold, type = OPERATORS[name]
    results = []
    for factored in (False, True):
        img = halo.Input("img", type, ndim=1)
        r = halo.rdom(img, names="r")
        f = halo.Func("f")
        f[()] = img[0]
        f[()] = fold(f[()], img[r.r])
        if factored:
            f.update(0).split("r", "ro", "ri", 8)
            part = f.update(0).rfactor({"ri": "u"})
            part.compute_root()
            part.update(0).vectorize("u", 8)
        results.append(f(img=RNG.__class__(np.random.PCG64(3)).integers(0, 50, 99).astype(type.dtype)))
    assert results[0] == results[1]


@pytest.mark.parametrize("fold", [lambda a, b: a - b, lambda a, b: a // 2 + b, lambda a, b: b - a])
def test_14_others_are_refused(fold) -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(img, names="r")
    f = halo.Func("f")
    f[X] = img[0] + X * 0
    f[X] = fold(fold(f[X], img[r.r]), f[X])
    with pytest.raises(halo.ScheduleError):
        f.update(0).rfactor({"r": "u"})
        f(img=ROW, shape=(2,))


# 15: atomic updates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type", [halo.u8, halo.i16, halo.u32, halo.i64, halo.f32, halo.f64])
@pytest.mark.parametrize("loops", ["parallel", "vectorize", "both"])
def test_15_atomic_updates_equal_serial_ones(type: halo.Type, loops: str) -> None:
    img = halo.Input("img", halo.u8, ndim=2)
    r = halo.rdom(img, names="ry rx")
    f = halo.Func("f")
    f[X] = 0 * type(X)
    f[halo.i32(img[r.ry, r.rx])] += type(1)
    stage = f.update(0).atomic()
    if loops != "vectorize":
        stage.parallel("ry")
    if loops != "parallel":
        stage.vectorize("rx", 8)
    want = np.bincount(BYTES.ravel() % 7, minlength=7).astype(type.dtype)
    np.testing.assert_array_equal(f(img=BYTES % 7, shape=(7,)), want)


def test_15_atomic_updates_of_tuples() -> None:
    img = halo.Input("img", halo.u8, ndim=2)
    r = halo.rdom(img, names="ry rx")
    f = halo.Func("f")
    f[X] = (halo.u32(0), halo.u8(0))
    at = halo.i32(img[r.ry, r.rx] % 5)
    f[at] = (f[at][0] + 1, halo.max(f[at][1], img[r.ry, r.rx]))
    f.update(0).atomic().parallel("ry")
    counts, most = f(img=BYTES, shape=(5,))
    np.testing.assert_array_equal(counts, np.bincount(BYTES.ravel() % 5, minlength=5))
    np.testing.assert_array_equal(most, [BYTES[BYTES % 5 == k].max() for k in range(5)])


# 16: which reductions may run in any order ------------------------------------------------------------------------------


def test_16_a_loop_whose_iterations_never_meet_is_parallel_without_atomic() -> None:
    img = halo.Input("img", halo.i32, ndim=2)
    r = halo.rdom(20, 30, names="ry rx")
    f = halo.Func("f")
    f[Y, X] = 0
    f[r.ry, r.rx] = img[r.ry, r.rx] * 2
    f.update(0).parallel("ry").vectorize("rx", 8)
    data = RNG.integers(0, 99, (20, 30), np.int32)
    np.testing.assert_array_equal(f(img=data, shape=(20, 30)), data * 2)


def test_16_a_race_is_refused_and_there_is_no_promise_that_allows_it() -> None:
    f = histogram()
    f.update(0).parallel("ry")
    with pytest.raises(halo.ScheduleError):
        f(img=BYTES, shape=(256,))
    assert not hasattr(f.update(0), "allow_race_conditions")


# 17: several stores at once ---------------------------------------------------------------------------------------------


def test_17_a_sort_network_in_place() -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    f = halo.Func("f")
    f[X] = img[X]
    for p in range(8):  # odd-even transposition
        pairs = halo.rdom(4 - p % 2, names="k")
        a, b = 2 * pairs.k + p % 2, 2 * pairs.k + p % 2 + 1
        f[halo.scatter(a, b)] = halo.gather(halo.min(f[a], f[b]), halo.max(f[a], f[b]))
    data = RNG.integers(0, 100, 8, np.int32)
    np.testing.assert_array_equal(f(img=data), np.sort(data))


def test_17_a_rotation_of_three_axes() -> None:
    f = halo.Func("f")
    f[Y, X] = Y * 10 + X
    r = halo.rdom(4, names="r")
    f[r.r, halo.scatter(0, 1, 2)] = halo.gather(f[r.r, 1], f[r.r, 2], f[r.r, 0])
    want = np.arange(4)[:, None] * 10 + np.arange(5)
    want[:, [0, 1, 2]] = want[:, [1, 2, 0]]
    np.testing.assert_array_equal(f(shape=(4, 5)), want)


# 18: memory that is kept ------------------------------------------------------------------------------------------------


def test_18_undefined_values_keep_what_out_holds() -> None:
    f = halo.Func("f")
    f[X] = halo.undef(halo.i32)
    r = halo.rdom(3, names="r")
    f[2 * r.r] = r.r + 100
    out = np.arange(6, dtype=np.int32)
    f(out=out)
    np.testing.assert_array_equal(out, [100, 1, 101, 3, 102, 5])


def test_18_undefined_elements_of_a_tuple() -> None:
    f = halo.Func("f")
    f[X] = (X * 3, halo.undef(halo.i32))
    a, b = np.zeros(5, np.int32), np.arange(5, dtype=np.int32)
    f(out=(a, b))
    np.testing.assert_array_equal(a, np.arange(5) * 3)
    np.testing.assert_array_equal(b, np.arange(5))


def test_18_in_place() -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    f = func("f", X, img[X] + img[halo.clamp(X + 1, 0, 9)])
    data = np.arange(10, dtype=np.int32)
    want = data + np.minimum(np.arange(10) + 1, 9)
    f(img=data, out=data)  # as if all were read before anything is written
    np.testing.assert_array_equal(data, want)
