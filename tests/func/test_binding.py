"""Binding Funcs, Inputs, Params, expressions and constants to inputs."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from halo.errors import ArgumentError, DefinitionError, TypeMismatchError

from .stages import IMG, both, image, rows, stage, x, y


def test_binding_a_func() -> None:
    double = stage("double", image("a")[y, x] * 2)
    bound = rows(img=double)
    assert isinstance(bound, halo.Func)
    assert list(bound.inputs) == ["a"]
    assert list(rows.inputs) == ["img"]
    np.testing.assert_array_equal(bound(a=IMG, shape=(7, 8)), (IMG[:, :-1] + IMG[:, 1:]) * 2)


def test_binding_reaches_producers_and_shares_the_rest() -> None:
    shared = stage("shared", image("other")[y, x])
    top = stage("top", rows[y, x] + shared[y, x])
    bound = top(img=image("src"))
    assert list(bound.inputs) == ["src", "other"]
    assert bound["shared"] is shared
    assert bound["rows"] is not rows
    np.testing.assert_array_equal(bound(src=IMG, other=IMG, shape=(7, 8)), IMG[:, :-1] * 2 + IMG[:, 1:])


def test_what_is_bound_is_not_substituted_in() -> None:
    twice = rows(img=rows)
    assert list(twice.inputs) == ["img"]
    want = IMG[:, :-2] + 2 * IMG[:, 1:-1] + IMG[:, 2:]
    np.testing.assert_array_equal(twice(img=IMG, shape=(7, 7)), want)


def test_substitution_is_simultaneous() -> None:
    f = stage("f", image("a")[y, x] * 10 + image("b")[y, x])
    swapped = f(a=image("b"), b=image("a"))
    np.testing.assert_array_equal(swapped(a=IMG, b=IMG * 0), IMG)


def test_binding_copies_directives() -> None:
    low = stage("low", image()[y, x])
    top = stage("top", low[y, x] + low[y, x + 1])
    top.vectorize("x", 8)
    low.compute_at(top, "y").vectorize("x", 4)
    bound = top(img=image("src"))
    assert str(bound.schedule()) == str(top.schedule())
    bound["low"].compute_root()
    assert str(bound.schedule()) != str(top.schedule())
    np.testing.assert_array_equal(bound(src=IMG, shape=(7, 8)), IMG[:, :-1] + IMG[:, 1:])


def test_binding_copies_what_directives_made() -> None:
    f, img = halo.Func("f"), halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(64)
    f[x] = halo.sum(img[r] * x, r)
    f.update(0).split("r", "ro", "ri", 8).rfactor("ro", "u").compute_root().update(0).parallel("u")
    bound = f(img=halo.Input("src", ndim=1))
    assert str(bound.schedule()) == str(f.schedule())
    a = np.arange(64, dtype=np.int32)
    np.testing.assert_array_equal(bound(src=a, shape=(3,)), a.sum() * np.arange(3))


def test_binding_scalars_and_constants() -> None:
    k = halo.Param("k", halo.i32)
    scaled = stage("scaled", image()[y, x] * halo.Param("gain", halo.i32) + 1)
    np.testing.assert_array_equal(scaled(gain=k + 1)(img=IMG, k=2), IMG * 3 + 1)
    total = halo.Func("total")
    total[()] = 5
    np.testing.assert_array_equal(scaled(gain=total)(img=IMG), IMG * 5 + 1)
    f = stage("f", image("a")[y, x] + image("b")[y, x] * halo.Param("c", halo.i32))
    half = f(a=image("src"), b=IMG, c=2)
    np.testing.assert_array_equal(half(src=IMG), IMG * 3)


def test_binding_checks_ranks_and_kinds() -> None:
    with pytest.raises(ArgumentError, match="2 indices"):
        rows(img=halo.Input("line", ndim=1))
    with pytest.raises(ArgumentError, match="array"):
        rows(img=x + 1)
    with pytest.raises(ArgumentError, match="scalar"):
        both(gain=image())
    typed = stage("typed", image(dtype=halo.u8)[y, x])
    with pytest.raises(TypeMismatchError, match="annotated"):
        typed(img=stage("g", 1.5))(shape=(2, 2))
    with pytest.raises(ArgumentError, match="no input 'image'"):
        rows(image=rows)


def test_the_shape_of_a_bound_func_needs_bounds() -> None:
    f = stage("f", image()[y, image().shape[1] - 1 - x])
    source = stage("source", y * 100 + x)
    with pytest.raises(DefinitionError, match="no extents"):
        f(img=source)(shape=(2, 3))
    bound = f(img=halo.pad(source, "edge", bounds=[(0, 2), (0, 3)]))
    np.testing.assert_array_equal(bound(shape=(2, 3)), [[2, 1, 0], [102, 101, 100]])


def test_pads_as_arguments() -> None:
    want = np.pad(IMG, ((0, 0), (0, 1)), "reflect")
    np.testing.assert_array_equal(rows(img=halo.pad(IMG, "reflect")), want[:, :-1] + want[:, 1:])
    filled = np.pad(IMG, ((0, 0), (0, 1)), constant_values=9)
    np.testing.assert_array_equal(rows(halo.pad(IMG, "constant", 9)), filled[:, :-1] + filled[:, 1:])
    np.testing.assert_array_equal(rows(halo.pad(IMG[::-1], "constant", 9)), (filled[:, :-1] + filled[:, 1:])[::-1])


def test_extern_stages_are_copied() -> None:
    def mirror(out: np.ndarray, a: np.ndarray) -> None:
        out[...] = a[:, ::-1]

    img = image(dtype=halo.i32)
    rows = halo.extern(mirror, [img], halo.i32, 2, bounds=lambda box: [[box[0], (0, img.shape[1])]])
    f = stage("f", rows[y, x] + 1)
    bound = f(img=image("src"))
    assert list(bound.inputs) == ["src"]
    np.testing.assert_array_equal(bound(src=IMG, shape=IMG.shape), IMG[:, ::-1] + 1)
