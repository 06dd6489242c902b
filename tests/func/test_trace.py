"""What a call loads, stores and allocates, one event after the other."""

from __future__ import annotations

import numpy as np
import pytest

import halo


@pytest.fixture
def pair() -> tuple[halo.Func, halo.Func]:
    y, x = halo.vars("y x")
    img, g, f = halo.Input("img", halo.i32, ndim=2), halo.Func("g"), halo.Func("f")
    g[y, x] = img[y, x] * 2
    f[y, x] = g[y, x] + g[y + 1, x]
    g.compute_root()
    f.serial("y")
    return g, f


IMG = np.arange(12, dtype=np.int32).reshape(4, 3)


def test_the_result_is_that_of_the_call(pair: tuple[halo.Func, halo.Func]) -> None:
    np.testing.assert_array_equal(pair[1].trace(img=IMG, shape=(3, 3)).result, pair[1](img=IMG, shape=(3, 3)))


def test_events_in_their_order(pair: tuple[halo.Func, halo.Func]) -> None:
    t = pair[1].trace(img=IMG[:2, :1], shape=(1, 1))
    assert list(t) == [
        ("allocate", "g", (2, 1)),
        ("load", "img", (0, 0)),
        ("store", "g", (0, 0)),
        ("load", "img", (1, 0)),
        ("store", "g", (1, 0)),
        ("load", "g", (0, 0)),
        ("load", "g", (1, 0)),
        ("store", "f", (0, 0)),
        ("free", "g", (0, 0)),
    ]
    assert t.events.step.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3]


def test_counts(pair: tuple[halo.Func, halo.Func]) -> None:
    t = pair[1].trace(img=IMG, shape=(3, 3))
    assert (len(t.of("g")), len(t.of("g", "load")), len(t.of("img", "load")), len(t.of("f"))) == (12, 18, 12, 9)
    assert repr(t).splitlines() == [
        "53 events in 22 steps",
        "  g: 18 loads, 12 stores, 1 allocates",
        "  img: 12 loads",
        "  f: 9 stores",
    ]


def test_coordinates_are_those_of_the_algorithm_whatever_the_memory(pair: tuple[halo.Func, halo.Func]) -> None:
    g, f = pair
    g.unschedule()
    g.store_root().compute_at(f, "y").fold_storage("y", 2)
    t = f.trace(img=np.zeros((9, 9), np.int32), shape=(3, 2), origin=(4, 5))
    assert [at[:2].tolist() for at in t.of("g").at] == [[y, x] for y in range(4, 8) for x in (5, 6)]
    assert t.of("g", "allocate").at[0][:2].tolist() == [2, 2]


def test_lanes_of_a_vector_share_a_step() -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = x
    assert f.vectorize("x", 4).trace(shape=8).of("f").step.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_updates_have_numbers() -> None:
    x = halo.Var("x")
    f, r = halo.Func("f"), halo.rdom(2, names="r")
    f[x] = 0
    f[x] += r.r
    f[x] *= 2
    t = f.trace(shape=1)
    assert t.of("f").stage.tolist() == [0, 1, 1, 2]
    assert len(t.of("f", "store", stage=1)) == 2
    assert t.result.tolist() == [2]


def test_an_arm_that_is_not_taken_loads_nothing() -> None:
    x = halo.Var("x")
    a, f = halo.Input("a", halo.i32, ndim=1), halo.Func("f")
    f[x] = halo.select(x > 0, a[x - 1], 7)
    t = f.serial("x").trace(a=np.arange(3, dtype=np.int32), shape=3)
    assert t.of("a", "load").at[:, 0].tolist() == [0, 1]
    assert t.result.tolist() == [7, 0, 1]


def test_tuples_and_scatters() -> None:
    x = halo.Var("x")
    a, f = halo.Input("a", halo.u8, ndim=1), halo.Func("f")
    f[x] = (0, 1)
    r = halo.rdom(3, names="r")
    f[a[r.r]] = (f[a[r.r]][1], f[a[r.r]][0] + 1)
    a_ = np.array([2, 0, 2], np.uint8)
    t = f.trace(a=a_, shape=4)
    for got, want in zip(t.result, f(a=a_, shape=4), strict=True):
        np.testing.assert_array_equal(got, want)
    assert t.of("f", "store", stage=1).at[:, 0].tolist() == [2, 0, 2]


def test_what_is_asked_for_must_be_there(pair: tuple[halo.Func, halo.Func]) -> None:
    t = pair[1].trace(img=IMG, shape=(3, 3))
    with pytest.raises(halo.ArgumentError, match="nothing happens to 'h'"):
        t.of("h")
    with pytest.raises(halo.ArgumentError, match="no event 'read'"):
        t.of("f", "read")
    with pytest.raises(halo.BoundsError):
        pair[1].trace(img=IMG, shape=(4, 3))
