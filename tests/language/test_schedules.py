"""Language, section 3: schedules. Every directive leaves the result as it is, or is refused before anything runs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(8)
IMG = RNG.integers(0, 20000, (37, 53), np.uint16)
TAILS = ["auto", "guard", "round_up", "shift_inwards", "predicate", "predicate_loads", "predicate_stores",
         "shift_inwards_and_blend", "round_up_and_blend"]  # fmt: skip

Make = Callable[[], tuple[halo.Func, halo.Func]]


def stencil() -> tuple[halo.Func, halo.Func]:
    @halo.func
    def producer(y, x, *, img):
        return (img[y, x - 1] + img[y, x] + img[y, x + 1]) // 3

    @halo.func
    def consumer(y, x):
        return (producer[y - 1, x] + producer[y, x] + producer[y + 1, x]) // 3

    return consumer, producer


def want(img: np.ndarray = IMG) -> np.ndarray:
    p = np.pad(img, 1, "edge")
    rows = (p[:, :-2] + p[:, 1:-1] + p[:, 2:]) // 3
    return (rows[:-2] + rows[1:-1] + rows[2:]) // 3


def check(f: halo.Func, img: np.ndarray = IMG) -> None:
    np.testing.assert_array_equal(f(img=halo.pad(img, "edge")), want(img))


LOOPS = {
    "split": lambda f, g: f.split("x", "xo", "xi", 8),
    "split_reuses_the_name": lambda f, g: f.split("x", "x", "xi", 8),
    "fuse": lambda f, g: f.fuse("y", "x", "t").parallel("t"),
    "reorder": lambda f, g: f.reorder("x", "y"),
    "tile": lambda f, g: f.tile("y", "x", "yo", "xo", "yi", "xi", 8, 16),
    "rename": lambda f, g: f.rename("x", "column").vectorize("column", 8),
    "unroll": lambda f, g: f.unroll("x", 4),
    "vectorize": lambda f, g: f.vectorize("x", 8),
    "vectorize_natural": lambda f, g: f.vectorize("x"),
    "vectorize_outer": lambda f, g: f.vectorize("y", 4),
    "parallel": lambda f, g: f.parallel("y"),
    "parallel_tasks": lambda f, g: f.parallel("y", 5),
    "serial": lambda f, g: f.parallel("y").serial("y"),
    "partition_never": lambda f, g: f.partition("x", "never"),
    "partition_always": lambda f, g: f.vectorize("x", 8).partition("x", "always"),
    "nested_vectors": lambda f, g: f.tile("y", "x", "yo", "xo", "yi", "xi", 2, 8).vectorize("xi").vectorize("yi"),
    "loops_by_var": lambda f, g: f.split(halo.Var("x"), halo.Var("xo"), halo.Var("xi"), 8).unroll(halo.Var("xi")),
}
PLACES = {
    "compute_root": lambda f, g: g.compute_root(),
    "compute_inline": lambda f, g: g.compute_inline(),
    "compute_at": lambda f, g: g.compute_at(f, "y"),
    "compute_at_before_the_split": lambda f, g: (g.compute_at(f, "xo"), f.split("x", "xo", "xi", 8)),
    "sliding_window": lambda f, g: (f.compute_root(), g.store_root().compute_at(f, "y")),
    "store_at": lambda f, g: (f.split("y", "yo", "yi", 8), g.store_at(f, "yo").compute_at(f, "yi")),
    "hoist_storage": lambda f, g: (f.split("y", "yo", "yi", 8), g.hoist_storage(f, "yo").compute_at(f, "yi")),
}
STORAGE = {
    "reorder_storage": lambda f, g: g.compute_root().reorder_storage("x", "y"),
    "align_storage": lambda f, g: g.compute_root().align_storage("x", 16),
    "fold_storage": lambda f, g: (f.compute_root(), g.store_root().compute_at(f, "y").fold_storage("y", 4)),
    "ring_buffer": lambda f, g: (
        f.split("y", "yo", "yi", 8),
        g.compute_at(f, "yi").hoist_storage_root().ring_buffer(2),
    ),
    "store_in_heap": lambda f, g: g.compute_at(f, "y").store_in("heap"),
    "store_in_stack": lambda f, g: (f.split("x", "xo", "xi", 16), g.compute_at(f, "xo").store_in("stack")),
    "store_in_stack_of_any_size": lambda f, g: g.compute_at(f, "y").store_in("stack"),
    "bound": lambda f, g: f.bound("y", 0, 37).bound("x", 0, 53),
    "bound_that_does_not_fit": lambda f, g: f.bound("x", 0, 16),
    "align_bounds": lambda f, g: g.compute_root().align_bounds("x", 8),
    "bound_storage": lambda f, g: g.compute_at(f, "y").bound_storage("x", 64),
    "align_extent": lambda f, g: g.compute_root().align_extent("x", 8),
}
COPIES = {
    "in_": lambda f, g: (g.compute_root(), g.in_(f).compute_at(f, "y").vectorize("x", 8)),
    "in_all": lambda f, g: (g.compute_root(), g.in_().compute_root()),
    "in_of_an_input": lambda f, g: f.inputs["img"].in_().compute_root().vectorize("i1", 8),
    "clone_in": lambda f, g: (g.compute_root(), g.clone_in(f).compute_at(f, "y")),
}
CONTROL = {
    "async_": lambda f, g: (f.serial("y"), g.store_root().compute_at(f, "y").fold_storage("y", 8).async_()),
    "specialize": lambda f, g: f.specialize(f.inputs["img"].shape[1] > 40).vectorize("x", 8),
    "memoize": lambda f, g: g.compute_root().memoize(),
    "memoize_in_tiles": lambda f, g: (f.split("y", "yo", "yi", 8).parallel("yo"), g.compute_at(f, "yo").memoize(7)),
}
HINTS = {
    "prefetch": lambda f, g: (g.compute_root(), f.prefetch(g, "y", 2)),
    "prefetch_of_an_input": lambda f, g: (g.compute_inline(), f.prefetch(f.inputs["img"], "x", 8, from_="y")),
    "prefetch_of_a_part": lambda f, g: (g.compute_root(), f.prefetch(g, "x", 2, strategy="clamp")),
    "stream_stores": lambda f, g: f.vectorize("x", 8).stream_stores(),
    "stream_loads": lambda f, g: (g.compute_root().stream_loads(), f.vectorize("x", 8).stream_loads(g)),
}
DIRECTIVES = LOOPS | PLACES | STORAGE | COPIES | CONTROL | HINTS


@pytest.mark.parametrize("name", DIRECTIVES)
def test_directives_leave_the_result(name: str) -> None:
    f, g = stencil()
    DIRECTIVES[name](f, g)
    check(f)
    check(f, IMG[:5, :3])


# Numba compiles the text that Python runs: of tails, that of lanes below is enough for it.
@pytest.mark.parametrize("target", ["host", "python"], indirect=True)
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("factor", [3, 8, 64])
def test_tails_leave_the_result(tail: str, factor: int) -> None:
    for schedule in (
        lambda f, g: f.split("x", "xo", "xi", factor, tail=tail),
        lambda f, g: g.compute_at(f, "y").split("x", "xo", "xi", factor, tail=tail),
    ):
        f, g = stencil()
        schedule(f, g)
        check(f)
        check(f, IMG[:2, :2])


@pytest.mark.parametrize("tail", TAILS)
def test_tails_of_lanes_leave_the_result(tail: str) -> None:
    for schedule in (
        lambda f, g: f.vectorize("x", 8, tail=tail),
        lambda f, g: g.compute_root().vectorize("x", 8, tail=tail),
    ):
        f, g = stencil()
        schedule(f, g)
        check(f)
        check(f, IMG[:2, :2])


@pytest.mark.parametrize("tail", ["auto", "guard", "predicate", "predicate_loads", "predicate_stores"])
def test_tails_of_updates(tail: str) -> None:
    @halo.func
    def f(y, x, *, img):
        f[y, x] = halo.i32(0)
        for r in halo.rdom(3):
            f[y, x] += img[y, x] * (r + 1)

    f.update(0).reorder("r", "y", "x").vectorize("x", 8, tail=tail)
    np.testing.assert_array_equal(f(img=IMG), IMG.astype(np.int32) * 6)


def test_round_up_in_an_update_is_refused_where_it_could_change_the_result() -> None:
    @halo.func
    def f(x):
        f[x] = 0
        for r in halo.rdom(5):
            f[r] += f[0] + 1

    with pytest.raises(halo.ScheduleError):
        f.update(0).split("r", "ro", "ri", 4, tail="round_up")
        f(shape=(5,))


def window() -> tuple[halo.Func, halo.Func]:
    """Each row is a sum over as many rows of the producer as `w` is long: only a call knows how many."""

    @halo.func
    def rows(y, x, *, img: halo.i32[:, :]):
        return img[y, x] * 3 + 1

    @halo.func
    def blend(y, x, *, w: halo.i32[:]):
        return sum(rows[y + k, x] * w[k] for k in halo.rdom(w))

    rows.store_root().compute_at(blend.compute_root(), "y")
    return blend, rows


def windows(img: np.ndarray, w: np.ndarray, height: int) -> np.ndarray:
    return sum(
        ((img[k : k + height] * 3 + 1) * w[k] for k in range(len(w))), np.zeros((height, img.shape[1]), np.int32)
    )


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_a_fold_that_a_call_does_not_fit_runs_a_copy_without_it(n: int) -> None:
    blend, rows = window()
    rows.fold_storage("y", n)
    for _ in range(12):
        height, width, taps = RNG.integers(1, 20), RNG.integers(1, 20), RNG.integers(0, 10)
        img = RNG.integers(-99, 99, (height + taps, width), np.int32)
        w = RNG.integers(-99, 99, taps, np.int32)
        np.testing.assert_array_equal(blend(img=img, w=w, shape=(height, width)), windows(img, w, height))


def test_a_fold_holds_no_more_than_it_was_given() -> None:
    blend, rows = window()
    rows.fold_storage("y", 3)
    assert "alloc rows[3 of " in blend.loops()
    img, w = np.ones((9, 4), np.int32), np.ones(4, np.int32)
    with pytest.raises(halo.BoundsError):  # legal or not, whatever is folded
        blend(img=img, w=w, shape=(9, 4))
    np.testing.assert_array_equal(blend(img=img, w=w, shape=(6, 4)), 16)


def test_nothing_is_folded_to_the_largest_extent_there_is() -> None:
    blend, _ = window()
    assert "2147483648" not in blend.loops()
    img, w = RNG.integers(-99, 99, (9, 4), np.int32), np.array([1, 2, 3], np.int32)
    np.testing.assert_array_equal(blend(img=img, w=w, shape=(7, 4)), windows(img, w, 7))


def test_marked_splits_name_their_inner_loop() -> None:
    f, _ = stencil()
    f.vectorize("x", 8).parallel("y", 4)
    text = f.loops()
    for name in ("x_v", "y_p"):
        assert f"for {name} in" in text


def test_a_consumed_loop_is_no_place_and_the_error_lists_its_descendants() -> None:
    f, g = stencil()
    f.split("x", "xo", "xi", 8)
    g.compute_at(f, "x")
    with pytest.raises(halo.ScheduleError) as error:
        f(img=halo.pad(IMG, "edge"))
    assert "xo" in str(error.value)
    assert "xi" in str(error.value)


def test_compute_with() -> None:
    @halo.func
    def a(y, x, *, img):
        return img[y, x] + 1

    @halo.func
    def b(y, x, *, img):
        return img[y, x] * 2

    a.compute_root()
    b.compute_root()
    b.compute_with(a, "y")
    one, two = halo.Pipeline([a, b])(img=IMG)
    np.testing.assert_array_equal(one, IMG + 1)
    np.testing.assert_array_equal(two, IMG * 2)


@pytest.mark.parametrize("align", ["none", "start", "end", {"y": "start"}, {"x": "end", "y": "none"}])
@pytest.mark.parametrize("loop", ["y", "x"])
def test_alignment_moves_iterations_and_no_values(align, loop: str) -> None:
    if loop == "y" and isinstance(align, dict):
        align = {"y": align["y"]}

    @halo.func
    def a(y, x, *, img):
        return img[y, x] + 1

    @halo.func
    def b(y, x, *, img):
        return img[y, x] * 2

    @halo.func
    def c(y, x):
        return a[y, x] + b[y + 3, x + 2]

    a.compute_root()
    b.compute_root().compute_with(a, loop, align=align)
    img = RNG.integers(0, 99, (24, 12), np.int32)
    np.testing.assert_array_equal(c(img=img, shape=(20, 9)), img[:20, :9] + 1 + img[3:23, 2:11] * 2)
    with pytest.raises(halo.BoundsError):
        c(img=img, shape=(22, 9))

    one, two = halo.Pipeline([a, b])(img=img, shape=[(20, 9), (4, 11)])
    np.testing.assert_array_equal(one, img[:20, :9] + 1)
    np.testing.assert_array_equal(two, img[:4, :11] * 2)


def test_rfactor() -> None:
    @halo.func
    def total(i, *, v: halo.i64[:]):
        return sum(v[k] for k in halo.rdom(v))

    partial = total.update(0).split("k", "ko", "ki", 8).rfactor({"ki": "u"})
    assert isinstance(partial, halo.Func)
    assert partial.name == "total_intm"
    partial.compute_root().update(0).vectorize("u", 8)
    v = RNG.integers(-99, 99, 1003)
    assert total(v=v, shape=(1,))[0] == v.sum()


def test_rfactor_of_argmin_and_of_complex_products() -> None:
    @halo.func
    def least(i, *, v: halo.i32[:]):
        return halo.argmin(v[k] for k in halo.rdom(v))

    least.update(0).split("k", "ko", "ki", 7).rfactor({"ko": "u"}).compute_root()
    v = RNG.integers(0, 50, 333).astype(np.int32)
    where, value = least(v=v, shape=(1,))
    assert (where[0], value[0]) == (v.argmin(), v.min())

    @halo.func
    def product(i, *, re: halo.i32[:], im: halo.i32[:]):
        product[i] = 1, 0
        for k in halo.rdom(re):
            a, b = product[i]
            product[i] = a * re[k] - b * im[k], a * im[k] + b * re[k]

    product.update(0).split("k", "ko", "ki", 4).rfactor({"ko": "u"}).compute_root()
    re, im = RNG.integers(-2, 3, 10).astype(np.int32), RNG.integers(-2, 3, 10).astype(np.int32)
    want = np.prod(re.astype(complex) + 1j * im)
    a, b = product(re=re, im=im, shape=(1,))
    assert (a[0], b[0]) == (want.real, want.imag)


def test_rfactor_of_what_is_not_associative_is_refused() -> None:
    @halo.func
    def f(i, *, v: halo.i32[:]):
        f[i] = 0
        for k in halo.rdom(v):
            f[i] = f[i] - v[k] * f[i] % 7

    with pytest.raises(halo.ScheduleError, match="associativ"):
        f.update(0).split("k", "ko", "ki", 4).rfactor({"ko": "u"})
        f(v=np.arange(9, dtype=np.int32), shape=(1,))


def inlined_with_updates() -> tuple[halo.Func, halo.Func]:
    @halo.func
    def rows(y, x, *, img: halo.i32[:, :]):
        rows[y, x] = halo.i32(1)
        for k in halo.rdom(3):
            rows[y, x] += img[y + k, x] * (k + 1)

    @halo.func
    def twice(y, x):
        return rows[y, x] * 2

    @halo.func
    def both(y, x):
        both[y, x] = twice[y, x] + rows[y, x + 1]
        for q in halo.rdom(2):
            both[y, x] += rows[y + q, x]

    return both, rows.compute_inline()


INLINED = {
    "plain": lambda f, g: None,
    "vectors": lambda f, g: f.vectorize("x", 8),
    "the_update_in_vectors": lambda f, g: f.update(0).vectorize("x", 8).parallel("y"),
    "tiles": lambda f, g: f.tile("y", "x", "yo", "xo", "yi", "xi", 4, 8).vectorize("xi").unroll("yi").parallel("yo"),
    "its_own_loops": lambda f, g: g.update(0).unroll("k"),
    "a_special_case": lambda f, g: f.specialize(f.inputs["img"].shape[1] > 8).vectorize("x", 4),
    "read_by_what_is_inlined_so_too": lambda f, g: f.in_().compute_root(),
}


@pytest.mark.parametrize("name", INLINED)
def test_compute_inline_of_a_func_with_updates(name: str) -> None:
    f, g = inlined_with_updates()
    INLINED[name](f, g)
    img = RNG.integers(-99, 99, (22, 21), np.int32)
    s = 1 + img[:-2] + 2 * img[1:-1] + 3 * img[2:]
    want = 2 * s[:19, :20] + s[:19, 1:] + s[:19, :20] + s[1:, :20]
    np.testing.assert_array_equal(f(img=img, shape=(19, 20)), want)
    np.testing.assert_array_equal(f(img=img, shape=(5, 3)), want[:5, :3])


def test_it_is_computed_at_the_innermost_loop_of_each_reader() -> None:
    f, _ = inlined_with_updates()
    lines = f.serial("y").loops().splitlines()
    places = [k for k, line in enumerate(lines) if "alloc rows[" in line]
    assert [lines[k].strip() for k in places] == ["alloc rows[1, 2]", "alloc rows[1, 1]"]
    assert [lines[k - 1].strip() for k in places] == ["for x:", "for q in 0..2:"]


def test_debug_to_file_writes_what_was_computed(tmp_path) -> None:
    f, g = stencil()
    g.compute_root().debug_to_file(tmp_path / "g.npy")
    f.serial("y").debug_to_file(str(tmp_path / "f"))
    check(f)
    rows = np.pad(IMG, 1, "edge")
    np.testing.assert_array_equal(np.load(tmp_path / "g.npy"), (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) // 3)
    np.testing.assert_array_equal(np.load(tmp_path / "f.npy"), want())

    @halo.func
    def pair(x, *, v: halo.i32[:]):
        return v[x] + 1, halo.bf16(v[x])

    pair.serial("x").debug_to_file(tmp_path / "pair")
    pair(v=np.arange(9, dtype=np.int32))
    assert np.load(tmp_path / "pair.0.npy").tolist() == list(range(1, 10))
    assert np.load(tmp_path / "pair.1.npy").tolist() == list(range(9))


def test_atomic_updates_may_be_parallel_or_vectorised() -> None:
    @halo.func
    def histogram(i, *, img: halo.u8[:, :]):
        for y, x in halo.rdom(img):
            histogram[img[y, x]] += halo.u32(1)

    img = RNG.integers(0, 256, (64, 64), np.uint8)
    histogram.update(0).atomic().parallel("y").vectorize("x", 8)
    np.testing.assert_array_equal(histogram(img=img, shape=(256,)), np.bincount(img.ravel(), minlength=256))


def test_atomic_products_are_numpy_s() -> None:
    v = RNG.integers(-2, 3, 30, np.int32)

    @halo.func
    def product(i, *, v: halo.i32[:]):
        product[i] = halo.i64(1), halo.i64(0)
        for r in halo.rdom(v):
            re, im = product[i]
            product[i] = re * 2 - im * v[r], re * v[r] + im * 2

    product.update(0).atomic().parallel("r", 4)
    want = np.prod(2 + 1j * v.astype(complex))
    re, im = product(v=v, shape=(1,))
    assert (re[0], im[0]) == (want.real, want.imag)


def test_a_race_is_refused() -> None:
    @halo.func
    def histogram(i, *, img: halo.u8[:, :]):
        for y, x in halo.rdom(img):
            histogram[img[y, x]] += halo.u32(1)

    with pytest.raises(halo.ScheduleError, match="atomic"):
        histogram.update(0).parallel("y")
        histogram(img=np.zeros((3, 3), np.uint8), shape=(256,))


def test_directives_return_the_receiver_or_what_they_make() -> None:
    f, g = stencil()
    assert f.vectorize("x", 8) is f
    assert isinstance(g.compute_root().in_(f), halo.Func)
    branch = f.specialize(f.inputs["img"].shape[1] > 40)
    assert branch is not f
    branch.parallel("y")
    check(f)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda f, g: f.split("z", "zo", "zi", 8),
        lambda f, g: f.split("x", "y", "xi", 8),
        lambda f, g: f.split("x", "xo", "xi", 0),
        lambda f, g: f.vectorize("x", 8, tail="sometimes"),
        lambda f, g: f.reorder("x", "x"),
        lambda f, g: g.compute_at(f, "z"),
        lambda f, g: f.vectorize("y").vectorize("y"),
        lambda f, g: g.reorder_storage("x"),
        lambda f, g: g.store_in("moon"),
        lambda f, g: f.compute_at(g, "x"),
    ],
)
def test_wrong_directives_are_schedule_errors(wrong) -> None:
    f, g = stencil()
    with pytest.raises(halo.ScheduleError) as error:
        wrong(f, g)
        f(img=halo.pad(IMG, "edge"))
    assert "test_schedules.py" in str(error.value)


def test_the_schedule_is_data() -> None:
    f, g = stencil()
    f.tile("y", "x", "yo", "xo", "yi", "xi", 8, 16).vectorize("xi", 8).parallel("yo")
    g.compute_at(f, "xo").vectorize("x", 8)
    s = f.schedule()
    assert pickle.loads(pickle.dumps(s)) == s
    assert type(s).from_json(json.loads(json.dumps(s.to_json()))) == s
    assert hash(s) == hash(f.schedule())

    text = f.loops()
    f.unschedule()
    assert f.schedule() != s
    assert f.loops() != text
    check(f)
    f.apply(s)
    assert f.schedule() == s
    assert f.loops() == text
    check(f)


def test_a_schedule_prints_as_the_calls_that_recreate_it() -> None:
    f, g = stencil()
    f.split("y", "yo", "yi", 8).vectorize("x", 8).parallel("yo")
    g.store_at(f, "yo").compute_at(f, "yi").align_storage("x", 16)
    text = f.loops()
    code = str(f.schedule())
    other, producer = stencil()
    exec(code, {"consumer": other, "producer": producer, "halo": halo})
    assert other.schedule() == f.schedule()
    assert other.loops() == text


def test_a_schedule_of_other_stages_is_refused() -> None:
    f, _ = stencil()

    @halo.func
    def unrelated(x):
        return x

    unrelated.vectorize("x", 8)
    with pytest.raises(halo.ScheduleError):
        f.apply(unrelated.schedule())


def test_a_later_change_makes_a_new_variant() -> None:
    f, g = stencil()
    check(f)
    g.compute_root().parallel("y")
    check(f)
    f.vectorize("x", 4)
    check(f)


def test_a_placement_target_of_the_same_name_will_do() -> None:
    f, g = stencil()
    g.compute_at(f, "y")

    @halo.func
    def consumer(y, x):
        return (g[y - 1, x] + g[y, x] + g[y + 1, x]) // 3

    check(consumer)
    assert consumer.loops().index("for y") < consumer.loops().index("produce producer")


def test_the_default_inlines_what_is_read_at_one_index() -> None:
    @halo.func
    def pointwise(y, x, *, img):
        return img[y, x] * 2

    @halo.func
    def f(y, x):
        return pointwise[y, x] + 1

    assert "pointwise" not in f.loops()
    f2, g2 = stencil()
    assert "produce producer:" in f2.loops()
    assert "vectorize" in f2.loops()
    check(f2)


def test_a_directive_turns_the_default_off_for_that_func() -> None:
    f, g = stencil()
    f.split("x", "xo", "xi", 8)
    text = f.loops()
    assert "parallel" not in text.split("produce consumer")[-1]


def test_the_default_for_colour_pictures() -> None:
    @halo.func
    def brighter(y, x, c, *, img):
        return halo.saturate(halo.u8, halo.u16(img[y, x, c]) + 40)

    for channels in (1, 2, 3, 4, 5):
        img = RNG.integers(0, 256, (9, 33, channels), np.uint8)
        np.testing.assert_array_equal(brighter(img=img), np.minimum(img.astype(int) + 40, 255))


@pytest.mark.parametrize("rank", range(9))
def test_any_rank(rank: int) -> None:
    shape = (2, 3, 1, 2, 1, 3, 2, 5)[:rank]
    a = RNG.integers(0, 99, shape, np.int32)

    @halo.func
    def f(*i, a):
        return a[i] * 2

    np.testing.assert_array_equal(f(a=a), a * 2)


def test_the_same_call_is_legal_or_refused_under_every_schedule() -> None:
    for schedule in DIRECTIVES.values():
        f, g = stencil()
        schedule(f, g)
        with pytest.raises(halo.BoundsError):
            f(img=IMG, shape=IMG.shape)
