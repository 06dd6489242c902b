"""27, 28 and 31: stages computed together, wrappers and clones, extern stages."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from tests.counting import count

from .stages import X, Y, func

RNG = np.random.default_rng(27)
IMG = RNG.integers(-99, 99, (19, 33), np.int32)


def image() -> halo.Input:
    return halo.Input("img", halo.i32, ndim=2)


# 27: compute_with -----------------------------------------------------------------------------------------------------


def test_27_independent_stages_share_a_loop() -> None:
    img = image()
    a, b = func("a", (Y, X), img[Y, X] + 1), func("b", (Y, X), img[Y, X] * 2)
    out = func("out", (Y, X), a[Y, X] - b[Y, X])
    b.compute_with(a, "y")
    np.testing.assert_array_equal(out(img=IMG, shape=IMG.shape), IMG + 1 - 2 * IMG)
    assert out.loops().count("for y") == 2  # one for both, one for out


@pytest.mark.parametrize("align", ["none", "start", "end"])
def test_27_stages_of_different_sizes(align: str) -> None:
    img = image()
    a, b = func("a", (Y, X), img[Y, X] + 1), func("b", (Y, X), img[Y, X] * 2)
    out = func("out", (Y, X), a[Y, X] + b[Y, X] + b[Y + 3, X + 2])
    b.compute_with(a, "x", align=align)
    data = IMG
    h, w = data.shape[0] - 3, data.shape[1] - 2
    want = data[:h, :w] + 1 + data[:h, :w] * 2 + data[3:, 2:] * 2
    np.testing.assert_array_equal(out(img=data, shape=(h, w)), want)
    found = count(out, (h, w), img=data).stores
    assert (found["a"], found["b"]) == (h * w, (h + 3) * (w + 2))  # nothing twice


def test_27_vectors_and_tiles_that_match() -> None:
    img = image()
    a, b = func("a", (Y, X), img[Y, X] + 1), func("b", (Y, X), img[Y, X] * 2)
    out = func("out", (Y, X), a[Y, X] * b[Y, X])
    for f in (a, b):
        f.split("y", "yo", "yi", 4).vectorize("x", 8).parallel("yo")
    b.compute_with(a, "yi")
    np.testing.assert_array_equal(out(img=IMG, shape=IMG.shape), (IMG + 1) * (IMG * 2))


def test_27_updates_together() -> None:
    img = image()
    r = halo.rdom(5, names="r")
    a, b = halo.Func("a"), halo.Func("b")
    for f, k in ((a, 1), (b, 3)):
        f[Y, X] = img[Y, X] * k
        f[Y, X] += r.r * k
        f.compute_root()
    out = func("out", (Y, X), a[Y, X] + b[Y, X])
    b.compute_with(a, "y")
    b.update(0).compute_with(a.update(0), "y")
    np.testing.assert_array_equal(out(img=IMG, shape=IMG.shape), IMG * 4 + 40)


def test_27_the_planes_of_yuv_as_outputs_of_different_sizes() -> None:
    img = image()
    luma = func("luma", (Y, X), img[Y, X] * 3)
    u, v = (func(name, (Y, X), img[2 * Y, 2 * X] + k) for name, k in (("u", 1), ("v", 2)))
    v.compute_with(u, "x")
    data = IMG[:18, :32]
    one, two, three = halo.Pipeline([luma, u, v])(img=data, shape=[(18, 32), (9, 16), (9, 16)])
    np.testing.assert_array_equal(one, data * 3)
    np.testing.assert_array_equal(two, data[::2, ::2] + 1)
    np.testing.assert_array_equal(three, data[::2, ::2] + 2)


def test_27_a_stage_that_reads_the_other_is_refused() -> None:
    img = image()
    a = func("a", (Y, X), img[Y, X] + 1)
    b = func("b", (Y, X), a[Y, X + 1] * 2)
    out = func("out", (Y, X), a[Y, X] + b[Y, X])
    b.compute_with(a, "y")
    with pytest.raises(halo.ScheduleError):
        out(img=IMG, shape=(5, 5))


# 28: wrappers and clones ----------------------------------------------------------------------------------------------


def fan() -> tuple[halo.Func, halo.Func, halo.Func, halo.Func]:
    """f, read by g and h, which out reads."""
    img = image()
    f = func("f", (Y, X), img[Y, X] * 3)
    g, h = func("g", (Y, X), f[Y, X] + 1), func("h", (Y, X), f[Y, X + 1] + 2)
    return f, g, h, func("out", (Y, X), g[Y, X] * h[Y, X])


def fanned(data: np.ndarray) -> np.ndarray:
    return (data[:, :-1] * 3 + 1) * (data[:, 1:] * 3 + 2)


def test_28_a_wrapper_for_one_reader() -> None:
    f, g, _, out = fan()
    f.in_(g).compute_root()
    found = count(out, (4, 6), img=IMG).stores
    assert found["f_in_g"] == 4 * 6
    assert found["f"] == 4 * 7
    np.testing.assert_array_equal(out(img=IMG, shape=(19, 32)), fanned(IMG))


def test_28_a_wrapper_for_all_readers_by_tile() -> None:
    f, g, h, out = fan()
    out.tile("y", "x", "yo", "xo", "yi", "xi", 4, 8, tail="guard")
    g.compute_at(out, "xo")
    h.compute_at(out, "xo")
    f.in_().compute_at(out, "xo").vectorize("x", 8)
    np.testing.assert_array_equal(out(img=IMG, shape=(19, 32)), fanned(IMG))


def test_28_a_wrapper_of_an_image_loads_each_point_once() -> None:
    img = image()
    f = func("f", (Y, X), img[Y, X] + img[Y, X + 1] + img[Y + 1, X] + img[Y + 1, X + 1])
    f.inputs["img"].in_().compute_root()
    found = count(f, (5, 6), img=IMG)
    assert found.stores["img_in"] == 6 * 7
    np.testing.assert_array_equal(
        f(img=IMG, shape=(18, 32)), sum(IMG[y : y + 18, x : x + 32] for y in (0, 1) for x in (0, 1))
    )


def test_28_a_wrapper_of_a_wrapper() -> None:
    f, g, _, out = fan()
    first = f.in_()
    first.compute_root()
    second = first.in_(g)
    second.compute_at(g, "y")
    found = count(out, (4, 6), img=IMG).stores
    assert found["f_in_in_g"] == 4 * 6
    np.testing.assert_array_equal(out(img=IMG, shape=(19, 32)), fanned(IMG))


def test_28_a_clone_is_computed_apart() -> None:
    f, g, _, out = fan()
    clone = f.clone_in(g)
    clone.compute_at(g, "y")
    found = count(out, (4, 6), img=IMG).stores
    assert found["f_clone_g"] == 4 * 6
    assert found["f"] == 4 * 6
    np.testing.assert_array_equal(out(img=IMG, shape=(19, 32)), fanned(IMG))


# 31: extern stages ----------------------------------------------------------------------------------------------------


def doubling(source: halo.Func, **kwargs: object) -> halo.Func:
    def double(out: np.ndarray, a: np.ndarray) -> None:
        out[...] = 2 * a

    return halo.extern(double, [source], halo.i32, 2, **kwargs)


def test_31_an_extern_stage_in_the_middle() -> None:
    img = image()
    f = func("f", (Y, X), img[Y, X] + 1)
    e = doubling(f)
    g = func("g", (Y, X), e[Y, X] + e[Y, X + 1])
    want = 2 * (IMG[:, :-1] + 1) + 2 * (IMG[:, 1:] + 1)
    np.testing.assert_array_equal(g(img=IMG, shape=(19, 32)), want)


def test_31_an_extern_output() -> None:
    img = image()
    f = func("f", (Y, X), img[Y, X] + 1)
    np.testing.assert_array_equal(doubling(f)(img=IMG, shape=IMG.shape), 2 * (IMG + 1))


def test_31_what_it_needs_is_asked_of_it() -> None:
    img = image()
    f = func("f", (Y, X), img[Y, X] + 1)

    def right(out: np.ndarray, a: np.ndarray) -> None:
        assert a.shape == (out.shape[0], out.shape[1] + 1)
        out[...] = a[:, 1:]

    e = halo.extern(right, [f], halo.i32, 2, bounds=lambda box: [[box[0], (box[1][0], box[1][1] + 1)]])
    np.testing.assert_array_equal(e(img=IMG, shape=(19, 32)), IMG[:, 1:] + 1)
    with pytest.raises(halo.BoundsError, match=r"0\.\.33 is needed"):
        e(img=IMG, shape=(19, 33))


def test_31_it_is_called_for_each_tile() -> None:
    img = image()
    calls = []

    def note(out: np.ndarray, a: np.ndarray) -> None:
        calls.append(out.shape)
        out[...] = a * 5

    e = halo.extern(note, [img], halo.i32, 2)
    g = func("g", (Y, X), e[Y, X] + 1)
    g.tile("y", "x", "yo", "xo", "yi", "xi", 8, 16, tail="guard")
    e.compute_at(g, "xo")
    np.testing.assert_array_equal(g(img=IMG[:16, :32], shape=(16, 32)), IMG[:16, :32] * 5 + 1)
    assert calls == [(8, 16)] * 4


def test_31_several_outputs_and_inputs() -> None:
    img = image()
    f, g = func("f", (Y, X), img[Y, X] + 1), func("g", (Y, X), img[Y, X] * 2)

    def both(a: np.ndarray, b: np.ndarray, p: np.ndarray, q: np.ndarray) -> None:
        a[...] = p + q
        b[...] = (p - q).astype(np.float32)

    e = halo.extern(both, [f, g], (halo.i32, halo.f32), 2)
    out = func("out", (Y, X), e[Y, X][0] + e[Y, X][1])
    np.testing.assert_array_equal(out(img=IMG, shape=IMG.shape), (3 * IMG + 1 + (1 - IMG)).astype(np.float32))


def test_31_an_extern_stage_reads_what_another_extern_stage_wrote() -> None:
    img = image()
    f = func("f", (Y, X), img[Y, X])
    np.testing.assert_array_equal(doubling(doubling(f))(img=IMG, shape=IMG.shape), 4 * IMG)


def test_31_an_error_inside_is_the_caller_s() -> None:
    def broken(out: np.ndarray, a: np.ndarray) -> None:
        raise ZeroDivisionError("not today")

    e = halo.extern(broken, [image()], halo.i32, 2)
    with pytest.raises(ZeroDivisionError, match="not today"):
        e(img=IMG, shape=IMG.shape)
