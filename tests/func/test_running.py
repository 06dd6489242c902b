"""Calls: names, types, regions, pipelines, constants."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from halo.errors import ArgumentError, BoundsError, DefinitionError

from .stages import IMG, RNG, image, stage, x, y


def test_positions_names_and_mistakes() -> None:
    add = stage("add", image("a")[y, x] - image("b")[y, x])
    np.testing.assert_array_equal(add(IMG, b=IMG), IMG * 0)
    for args, kwargs, match in (
        ((IMG, IMG, IMG), {}, "2 inputs"), ((IMG,), {"a": IMG}, "twice"), ((IMG,), {"c": IMG}, "no input 'c'"),
        ((IMG,), {}, "b"), ((IMG, 3), {}, "b"), ((IMG, IMG[0]), {}, "b"), ((IMG, halo.u8), {}, "no value"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=match):
            add(*args, **kwargs)


def test_each_combination_of_types_is_its_own_variant() -> None:
    f = stage("f", image()[y, x] + 1)
    for t in ("uint8", "int16", "float32", "bool"):
        out = f(img=IMG.astype(t))
        assert out.dtype == ("int32" if t == "bool" else t)


def test_annotations_fix_types() -> None:
    @halo.func
    def f(y, x, *, img: halo.u16[:, :], k: halo.f32 = 1):
        return img[y, x] * k

    assert f(img=IMG.astype(np.uint16), k=2).dtype == np.float32
    with pytest.raises(ArgumentError, match=r"u16.*i32"):
        f(img=IMG)
    with pytest.raises(ArgumentError, match="scalar"):
        f(img=IMG.astype(np.uint16), k=IMG)


def test_python_floats_take_the_type_of_what_they_meet() -> None:
    f = stage("f", image()[y, x] * halo.Param("k"))
    for t in (np.float16, np.float32, np.float64):
        out = f(img=np.ones((2, 2), t), k=0.1)
        assert out.dtype == t
        assert (out == t(0.1)).all()
    assert f(img=np.ones((2, 2), np.float32), k=np.float64(0.1)).dtype == np.float64
    assert f(img=IMG, k=3).dtype == np.int32
    assert f(img=IMG, k=2**40).dtype == np.int64


def test_out_of_range_scalars() -> None:
    f = stage("f", image()[y, x] + halo.Param("k", halo.u8))
    with pytest.raises(ArgumentError, match="k"):
        f(img=IMG, k=256)
    with pytest.raises(ArgumentError):
        stage("g", image()[y, x] * halo.Param("k"))(img=IMG, k=2**70)


def test_regions() -> None:
    def shape_of(f: halo.Func, **arrays: np.ndarray) -> tuple[int, ...]:
        return f(**arrays).shape

    a, b = np.zeros((5, 6), np.int32), np.zeros((9, 9), np.int32)
    first = stage("first", image("a")[y, x] + image("b")[y, x])
    assert shape_of(first, a=a, b=b) == (5, 6)
    low = stage("low", image("a")[x, y])
    assert shape_of(stage("top", low[y, x]), a=a) == (6, 5)
    assert shape_of(stage("top", low[x, y] + image("b")[y + 1, x + 1]), a=a, b=b) == (5, 6)
    assert shape_of(stage("top", low[x, y + 1] + image("b")[y, x + 1]), a=b, b=np.zeros((8, 12), np.int32)) == (8, 9)
    mixed = stage("mixed", image("a")[y + 1, x] + image("b")[y, x + 3])
    assert shape_of(mixed, a=np.zeros((8, 4), np.int32), b=b[:7]) == (7, 4)
    with pytest.raises(ArgumentError, match="shape="):
        stage("none", image("a")[y + 1, x])(a=a)
    with pytest.raises(BoundsError, match="b is too small"):
        first(a=b, b=a)


def test_padded_and_bound_inputs_have_their_arrays_extents() -> None:
    view = halo.pad(image(), "edge")
    f = stage("f", view[y, x] - view[y, x - 1])
    np.testing.assert_array_equal(f(img=IMG), np.diff(IMG, axis=1, prepend=IMG[:, :1]))


def test_origins() -> None:
    f = stage("f", halo.pad(image(), "wrap")[y, x])
    np.testing.assert_array_equal(f.realize((3, 4), origin=(-2, 5), img=IMG), np.take(np.take(IMG, range(-2, 1), 0, mode="wrap"),
                                                                                      range(5, 9), 1, mode="wrap"))  # fmt: skip


def test_pipelines() -> None:
    low = stage("low", image()[y, x] + 1)
    total = halo.Func("total")
    r = halo.rdom(7)
    total[x] = halo.sum(low[r, x], r)
    p = halo.Pipeline([low, total])
    a, b = p(img=IMG)
    np.testing.assert_array_equal(a, IMG + 1)
    np.testing.assert_array_equal(b, (IMG + 1).sum(axis=0))
    a, b = p(img=IMG, shape=((2, 3), (4,)))
    assert (a.shape, b.shape) == ((2, 3), (4,))
    outs = np.zeros((7, 9), np.int32), np.zeros(9, np.int32)
    assert p(img=IMG, out=outs)[1] is outs[1]
    assert p["low"] is low
    assert "low" in p.loops()
    assert list(p.inputs) == ["img"]
    assert repr(p) == "halo.Pipeline([low, total])"
    bound = p(img=stage("source", y + x))
    np.testing.assert_array_equal(bound(shape=((2, 2), (2,)))[0], [[1, 2], [2, 3]])
    for wrong in ([], [3], [low, low]):
        with pytest.raises(ArgumentError):
            halo.Pipeline(wrong)


def test_large_constants_are_bound_not_embedded() -> None:
    table = np.arange(30000, dtype=np.int32)

    @halo.func
    def f(x, *, a: halo.u8[:]):
        return table[halo.i32(a[x]) * 100]

    a = RNG.integers(0, 255, 20, np.uint8)
    np.testing.assert_array_equal(f(a), a.astype(int) * 100)
    assert list(f.inputs) == ["a"]
    assert len(f.inspect_llvm()) < 200_000


@pytest.mark.parametrize("origin", [0, 1, 3])
def test_what_an_extern_stage_reads_and_writes_is_in_one_piece(origin: int) -> None:
    """In memory that is folded a region may end at the first entry."""

    def double(out, a):
        out[...] = a * 2

    img, (y, x) = halo.Input("img", halo.i32, ndim=2), halo.vars("y x")
    p, f, g = halo.Func("p"), halo.Func("f"), halo.Func("g")
    e = halo.extern(double, [img], halo.i32, 2)
    f[y, x] = e[y, x] + e[y + 1, x] + e[y + 2, x]
    e.store_root().compute_at(f.compute_root(), "y")
    a = np.arange(40 * 7, dtype=np.int32).reshape(40, 7)
    want = 2 * (a[:-2] + a[1:-1] + a[2:])[origin : origin + 30]
    np.testing.assert_array_equal(f.realize((30, 7), (origin, 0), img=a), want)

    p[y, x] = img[y, x] + 1
    e = halo.extern(double, [p], halo.i32, 2)
    g[y, x] = e[y, x] + e[y + 1, x] + e[y + 2, x]
    e.compute_at(g.compute_root(), "y")
    p.store_root().compute_at(g, "y")
    np.testing.assert_array_equal(g.realize((30, 7), (origin, 0), img=a), want + 6)


def test_extern_stages_are_typed_and_placed() -> None:
    def smooth(out: np.ndarray, a: np.ndarray) -> None:
        out[...] = a

    img = image(dtype=halo.u8)
    e = halo.extern(smooth, [img], halo.f32, 2, bounds=lambda box: [[box[0], (0, img.shape[1])]])
    f = stage("f", e[y, x] * 2)
    assert list(f.inputs) == ["img"]
    assert "smooth" in f.loops()
    with pytest.raises(DefinitionError, match="function"):
        halo.extern(3, [img], halo.u8, 2)
    with pytest.raises(DefinitionError, match="Funcs and Inputs"):
        halo.extern(smooth, [IMG], halo.u8, 2)
    wrong = halo.extern(smooth, [img], halo.u8, 2, bounds=lambda box: 3)
    with pytest.raises(DefinitionError, match="bounds of the extern stage"):
        stage("g", wrong[y, x]).loops()
