"""halo.sort and halo.argsort: against NumPy, of every type and rank, and under every schedule the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import types

LENGTHS = (0, 1, 2, 7, 16, 17, 33, 95, 96, 97, 300)  # around a vector, and where ranks give way to radix


def values(t, shape, seed=0):
    """Values with ties, both zeros, infinities and NaNs."""
    rng = np.random.default_rng(seed)
    if t.is_bool:
        return rng.integers(0, 2, shape).astype(bool)
    if t.is_int:
        some = rng.integers(t.min, t.max, shape, dtype=t.dtype, endpoint=True)
        return np.where(rng.random(shape) < 0.5, some, rng.integers(0, 4, shape).astype(t.dtype)).astype(t.dtype)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0])
    return np.where(rng.random(shape) < 0.5, rng.standard_normal(shape), rng.choice(special, shape)).astype(t.dtype)


def order(a, axis, descending):
    """The indices that sort `a`, by NumPy: NaN last, equal values by first index."""
    key = a.astype(np.float64) if a.dtype.kind not in "biu" else a
    if descending:
        key = -key if key.dtype.kind == "f" else ~key
    return np.argsort(key, axis=axis, kind="stable")


def same_bits(a, b):
    np.testing.assert_array_equal(np.ascontiguousarray(a).view(np.uint8), np.ascontiguousarray(b).view(np.uint8))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("t", types.ALL, ids=lambda t: t.name)
def test_every_type(t, descending):
    img = halo.Input("img", t, ndim=2)
    down, where = halo.sort(img, descending=descending), halo.argsort(img, descending=descending)
    for n in LENGTHS:
        a = values(t, (3, n), n)
        want = order(a, -1, descending)
        got = where(img=a)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, want)
        ordered = np.take_along_axis(a, want, -1)
        both_nan = (ordered != ordered) & (down(img=a) != down(img=a))
        same_bits(np.where(both_nan, 0, down(img=a)), np.where(both_nan, 0, ordered))


def test_every_axis_of_every_rank():
    for shape in ((5,), (4, 5), (3, 4, 5), (2, 3, 2, 3, 2, 3, 2, 120)):
        a = values(types.f32, shape)
        img = halo.Input("img", halo.f32, ndim=len(shape))
        for axis in range(-len(shape), len(shape)):
            np.testing.assert_array_equal(halo.sort(img, axis)(img=a), np.sort(a, axis, kind="stable"))
            np.testing.assert_array_equal(halo.argsort(img, axis)(img=a), np.argsort(a, axis, kind="stable"))


def test_strided_inputs_and_parts():
    a = values(types.i16, (40, 260))
    rows = halo.sort(halo.Input("img", halo.i16, ndim=2))
    np.testing.assert_array_equal(rows(img=a[::-2, ::2]), np.sort(a[::-2, ::2]))
    np.testing.assert_array_equal(rows.realize((3, 5), origin=(4, 100), img=a), np.sort(a)[4:7, 100:105])
    with pytest.raises(halo.BoundsError, match=r"img_sort is needed at 0..260 along axis 1, .* at 0..259 only"):
        rows(img=a, shape=(40, 261))
    with pytest.raises(halo.BoundsError):
        rows.realize((1, 1), origin=(0, -1), img=a)


def test_bounds():
    a = values(types.i32, 50)
    x, v = halo.Input("x", halo.i32, ndim=1), halo.Param("v", halo.i32)
    part = halo.sort(x, bounds=(10, v))
    np.testing.assert_array_equal(part.realize((20,), origin=(10,), x=a, v=20), np.sort(a[10:30]))
    where = halo.argsort(x, bounds=(10, v)).realize((20,), origin=(10,), x=a, v=20)
    np.testing.assert_array_equal(where, 10 + np.argsort(a[10:30], kind="stable"))


@halo.func
def twice(y, x, *, img):
    return img[y, x] * 2 + 1


def test_of_a_func_in_a_definition():
    @halo.func
    def top(y, k, *, img):
        return halo.sort(twice, descending=True)[y, k], halo.argsort(img, descending=True)[y, k]

    a = values(types.u8, (6, 130))
    best, where = top(img=a, shape=(6, 3))
    want = order(a, 1, True)[:, :3]
    np.testing.assert_array_equal(where, order(a, 1, True)[:, :3])
    np.testing.assert_array_equal(best, -np.sort(-(a * 2 + 1).astype(np.int64))[:, :3])
    assert want.shape == (6, 3)


def test_the_rank_of_an_input_is_that_of_the_sort():
    @halo.func
    def median(y, *, img):
        return halo.sort(img)[y, 3]

    a = values(types.f64, (5, 7))
    np.testing.assert_array_equal(median(a), np.sort(a)[:, 3])


def test_pads_tables_and_binding():
    a = values(types.f32, (4, 20))
    img = halo.Input("img", halo.f32, ndim=2)
    np.testing.assert_array_equal(halo.sort(halo.pad(img, "edge"))(img=a), np.sort(a))
    np.testing.assert_array_equal(halo.sort(a)(shape=a.shape), np.sort(a))
    np.testing.assert_array_equal(halo.argsort(a, 0)(shape=a.shape), np.argsort(a, 0, kind="stable"))
    np.testing.assert_array_equal(halo.sort(img)(img=twice)(img=a), np.sort(twice(img=a)))
    bound = halo.sort(img)(img=halo.pad(twice, "edge", bounds=[(0, 4), (0, 20)]))
    np.testing.assert_array_equal(bound(img=a), np.sort(twice(img=a)))


def test_rows_are_shared_out_by_their_length():
    a = values(types.f32, (64, 5000))
    rows = halo.sort(halo.Input("img", halo.f32, ndim=2))
    (task,) = [line for line in rows.lower(img=a).after("tasks").splitlines() if "for i0_task" in line]
    assert "16384//(16*max(1, min(img.shape[1], 1048576)))" in task  # rows a task
    np.testing.assert_array_equal(rows(img=a), np.sort(a))


def test_a_sort_of_a_sort_and_outputs_that_are_read():
    a = values(types.i32, (20, 30))
    img = halo.Input("img", halo.i32, ndim=2)
    rows = halo.sort(img)
    both = halo.sort(rows, axis=0)
    np.testing.assert_array_equal(both(img=a), np.sort(np.sort(a), 0))
    one, two = halo.Pipeline([rows, both])(img=a)
    np.testing.assert_array_equal(one, np.sort(a))
    np.testing.assert_array_equal(two, np.sort(one, 0))


@pytest.mark.parametrize("target", ["python", "numba"])
@pytest.mark.parametrize("t", [types.f32, types.bf16, types.i8, types.bool_], ids=lambda t: t.name)
def test_the_reference_backends_agree(target, t):
    a = values(t, (3, 40))
    img = halo.Input("img", t, ndim=2)
    for f in (halo.sort(img, descending=True), halo.argsort(img, 0)):
        got = f.compile(img=a, target=target)(a)
        np.testing.assert_array_equal(got.astype(np.float64), f(img=a).astype(np.float64))


def test_the_loops():
    rows = halo.sort(twice)
    rows.split("y", "yo", "yi", 4).parallel("yo")
    twice_ = rows["twice"]
    twice_.compute_at(rows, "yi")
    try:
        assert rows.loops().splitlines() == [
            "produce twice_sort:",
            "  for yo in 0..(twice_sort.shape[0] + 3)//4 parallel:",
            "    for yi in 0..4:",
            "      alloc twice[1, img.shape[1]]",
            "      produce twice:",
            "        for y:",
            "          for x:",
            "            twice[...] = ...",
            "      extern twice_sort[y..y + 1, twice_sort.min[1]..twice_sort.shape[1] + twice_sort.min[1]] = sort(twice)",
        ]
        assert repr(rows).splitlines()[0] == "twice_sort = halo.sort(twice, axis=1)"
    finally:
        twice_.unschedule()


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_schedule_changes_the_result(data):
    """A producer, a sort and a consumer that reads two places of it, anywhere."""

    @halo.func
    def made(y, x, *, img):
        return img[y, x] * 3 - 1

    axis = data.draw(st.sampled_from([0, 1]))
    n = data.draw(st.sampled_from([5, 40, 110]))
    descending = data.draw(st.booleans())
    s = data.draw(st.sampled_from([halo.sort, halo.argsort]))(made, axis, descending, name="s")
    y, x = halo.vars("y x")
    f = halo.Func("f")
    f[y, x] = s[y, x] + s[(n - 1 - y, x) if axis == 0 else (y, n - 1 - x)]
    a = values(types.f32, (n, 9) if axis == 0 else (9, n), 5)
    want = f(img=a)
    loop = "x" if axis == 0 else "y"
    if data.draw(st.booleans()):
        tail = data.draw(st.sampled_from(["auto", "guard", "shift_inwards"]))
        f.split(loop, "o", "i", data.draw(st.integers(1, 6)), tail=tail)
        site = data.draw(st.sampled_from(["o", "i"]))
        f.reorder("o", "i", "y" if axis == 0 else "x")
        f.parallel("o")
        s.compute_at(f, site)
    else:
        s.compute_root()
    if data.draw(st.booleans()):
        getattr(s, data.draw(st.sampled_from(["parallel", "unroll"])))(loop, data.draw(st.integers(1, 4)))
    place = data.draw(st.sampled_from(["root", "row", "inline", "none"]))
    if place == "root":
        made.compute_root().vectorize("x", 4)
    elif place == "row":
        made.compute_at(s, loop)
    elif place == "inline":
        made.compute_inline()
    if data.draw(st.booleans()):
        s.reorder_storage("x", "y")
    np.testing.assert_array_equal(f(img=a), want)


def refused(call):
    with pytest.raises(halo.HaloError) as caught:
        call()
    return str(caught.value)


def test_refusals():
    y, x = halo.vars("y x")
    img = halo.Input("img", halo.f32, ndim=2)
    pair = halo.Func("pair")
    pair[y, x] = img[y, x], img[y, x] + 1
    free = halo.Func("free")
    free[y, x] = y * x
    a = np.zeros((4, 4), np.float32)
    assert "img has 2 axes, and no axis 2" in refused(lambda: halo.sort(img, 2))
    assert "not a value at one point" in refused(lambda: halo.sort(img[y, x]))
    assert "the axis of a sort is a number, not 'y'" in refused(lambda: halo.sort(img, "y"))
    assert "descending is True or False" in refused(lambda: halo.sort(img, 0, "yes"))
    assert "a pair (lo, n), not 5" in refused(lambda: halo.sort(img, bounds=5))
    assert "pair has 2 values a point: a sort takes one" in refused(lambda: halo.sort(pair))
    assert "nothing says how long axis 1 of free is" in refused(lambda: halo.sort(free)(shape=(2, 2)))
    assert "not in a lane of others" in refused(lambda: halo.sort(img).vectorize("i0", 4)(img=a))
    assert 'there is no loop "i1"' in refused(lambda: halo.sort(img).parallel("i1"))


def test_the_code_is_kept_on_disk(tmp_path, monkeypatch):
    from halo.jit import cache

    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_state", cache._State())
    before = cache.info().entries
    halo.sort(halo.Input("img", halo.f32, ndim=1), name="kept")(img=np.zeros(3, np.float32))
    assert cache.info().entries == before + 1
