"""Tensors, shaped inputs, layouts and tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import nn
from halo.nn.shapes import Window, broadcast
from halo.nn.tiles import Tile, register_tile, settled

AVX512 = halo.Target("x86_64-unknown-linux-gnu", "", "+avx512f,+avx512bw,+avx512vl")
AVX2 = halo.Target("x86_64-unknown-linux-gnu", "", "+avx2,+fma")


def test_symbolic_extents_come_from_the_inputs_of_a_call() -> None:
    x, y = halo.Input("x", halo.f32, shape=("n", 3)), halo.Input("y", halo.f32, shape=("n", 1))
    t = nn.add(x, y)
    assert t.shape == (halo.Dim("n"), 3)
    for n in (1, 4, 0):
        a, b = np.ones((n, 3), np.float32), np.ones((n, 1), np.float32)
        np.testing.assert_array_equal(t(x=a, y=b), a + b)


def test_a_func_is_lifted_and_extended() -> None:
    x = halo.Input("x", halo.f32, shape=(4, 6))

    @halo.func
    def doubled(i, j):
        return x[i, j] * 2

    t = nn.relu(nn.tensor(doubled, shape=(4, 6)))
    a = np.arange(24, dtype=np.float32).reshape(4, 6) - 12
    np.testing.assert_array_equal(t(x=a), np.maximum(a * 2, 0))
    t.func.vectorize("i1", 8).parallel("i0")
    np.testing.assert_array_equal(t(x=a), np.maximum(a * 2, 0))


def test_arrays_beside_tensors_are_constants() -> None:
    w = np.arange(3, dtype=np.float32)
    t = nn.multiply(halo.Input("x", halo.f32, shape=(2, 3)), w)
    assert list(t.func.inputs) == ["x"]
    np.testing.assert_array_equal(t(x=np.ones((2, 3), np.float32)), np.ones((2, 3), np.float32) * w)


@pytest.mark.parametrize("value", ["x", {1: 2}, halo.Input("x", halo.f32, ndim=2), halo.Func("f")])
def test_what_is_no_tensor(value: object) -> None:
    with pytest.raises(halo.ArgumentError, match=r"a tensor is an array|not known"):
        nn.tensor(value)


def test_lists_that_are_no_arrays_of_numbers() -> None:
    with pytest.raises(halo.ArgumentError, match=r"x is no array: .*inhomogeneous"):
        nn.relu([[1.0, 2.0], [3.0]])
    with pytest.raises(halo.ArgumentError, match="x is an array of numbers"):
        nn.relu([1.0, None])


def test_windows() -> None:
    w = Window.of((3, 3), 2, 1)
    assert w.extents((224, 7)) == (112, 4)
    assert Window.of((2,), 2, 0, ndim=1).extents((5,), ceil=True) == (3,)
    assert Window.of((2,), (2,), (0, 1), ndim=1).extents((5,), ceil=True) == (3,)
    assert broadcast((halo.Dim("n"), 1), (5,)) == (halo.Dim("n"), 5)


@pytest.mark.parametrize("text", ["NCHW0c", "NcHW", "NN", "NCHW16c4c", "n", "NC-W"])
def test_what_is_no_layout(text: str) -> None:
    with pytest.raises(halo.ArgumentError, match="no layout"):
        nn.Layout(text)


@pytest.mark.parametrize("target", [AVX512, AVX2])
@pytest.mark.parametrize("shape", [(56, 56, 4), (7, 7, 32), (1, 1, 63), (112, 112, 1), (5, 13, 3), (1, 300, 7)])
def test_tiles_fit_into_the_registers(target: halo.Target, shape: tuple[int, int, int]) -> None:
    tile = register_tile(target, *shape)
    sums = tile.rows * tile.columns * tile.vectors
    assert sums + tile.vectors + 1 <= (32 if target is AVX512 else 16)
    assert tile.columns <= shape[1] and tile.vectors <= shape[2]
    assert shape[2] % register_tile(target, *shape, whole=True).vectors == 0


def test_tiles_that_were_measured() -> None:
    assert str(register_tile(AVX512, 56, 56, 16)) == "Tile(rows=1, columns=14, vectors=2)"
    assert str(register_tile(AVX512, 7, 7, 32)) == "Tile(rows=2, columns=7, vectors=2)"
    assert str(register_tile(AVX512, 13, 13, 63)) == "Tile(rows=1, columns=13, vectors=2)"


def test_tiles_of_rows_that_share_a_set_of_the_cache() -> None:
    tile = Tile(1, 14, 2)
    for rows in (1024, 520, 300):
        assert settled(AVX512, tile, rows, 4096) == settled(AVX512, tile, rows, 12288) == Tile(1, 10, 2)
        assert settled(AVX512, tile, rows, 6144) == settled(AVX512, tile, rows, 4100) == tile
    assert settled(AVX512, tile, 196, 4096) == settled(AVX512, tile, 42, 1 << 16) == tile  # none is computed twice; few
    assert settled(AVX2, Tile(1, 6, 2), 1024, 4096) == Tile(1, 6, 2)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, 4, 6]), max_size=4), st.randoms(use_true_random=False))
def test_reshapes_go_axis_by_axis(old: list[int], random: Any) -> None:
    """Whatever axes of the one shape make those of the other."""
    primes = [p for n in old for p in {1: [1], 4: [2, 2], 6: [3, 2]}.get(n, [n])]
    new: list[int] = []
    for p in primes:
        if new and random.random() < 0.5:
            new[-1] *= p
        else:
            new += [1] * (random.random() < 0.2) + [p]
    a = np.arange(np.prod(old, dtype=int), dtype=np.float32).reshape(old)
    t = nn.reshape(halo.Input("x", halo.f32, shape=tuple(old)), shape=tuple(new))
    np.testing.assert_array_equal(t(x=a), a.reshape(new))
    t = nn.reshape(nn.reshape(halo.Input("x", halo.f32, shape=tuple(old)), shape=tuple(new)), shape=(1, *old, 1))
    np.testing.assert_array_equal(t(x=a), a[None, ..., None])
