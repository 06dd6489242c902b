"""Masks of nested vectorised loops: each loop's condition holds for its own lanes."""

from __future__ import annotations

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("shape", [(3, 12), (5, 9), (1, 1), (4, 8), (7, 17)])
@pytest.mark.parametrize(("outer", "inner"), [(2, 8), (4, 4), (8, 2), (3, 5), (8, 8)])
@pytest.mark.parametrize("tail", ["guard", "predicate", "shift_inwards", "auto"])
def test_both_tails(shape: tuple[int, int], outer: int, inner: int, tail: str) -> None:
    img = RNG.integers(0, 999, (shape[0] + 1, shape[1] + 2), np.int32)
    column = RNG.integers(0, 999, shape[0], np.int32)
    row = RNG.integers(0, 999, shape[1], np.int32)

    @halo.func
    def f(y, x, *, img, column, row):
        return img[y, x] + img[y + 1, x + 2] * 3 + column[y] * row[x]

    f.tile("y", "x", "yo", "xo", "yi", "xi", outer, inner, tail=tail).vectorize("xi").vectorize("yi")
    room = np.full((shape[0] + 2, shape[1] + 2), -1, np.int32)
    f(img=img, column=column, row=row, out=room[1:-1, 1:-1])
    want = np.full_like(room, -1)
    want[1:-1, 1:-1] = img[:-1, :-2] + img[1:, 2:] * 3 + np.outer(column, row)
    np.testing.assert_array_equal(room, want)


def test_a_transposed_read() -> None:
    img = RNG.integers(0, 999, (11, 7), np.int32)

    @halo.func
    def f(y, x, *, img, by: halo.u8[:]):
        return img[x, y] + by[x]

    f.tile("y", "x", "yo", "xo", "yi", "xi", 4, 4).vectorize("xi").vectorize("yi")
    by = RNG.integers(0, 9, 11, np.uint8)
    np.testing.assert_array_equal(f(img=img, by=by, shape=(7, 11)), img.T + by)
