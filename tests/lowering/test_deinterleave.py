"""Strided loads that share dense loads: the same values, and no element beyond those that are named."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

import halo

from .passes import after


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int64])
@pytest.mark.parametrize("stride", [2, 3, 4, 5])
@pytest.mark.parametrize("lanes", [4, 8, 16, 24])
def test_values_are_those_of_numpy(dtype: type, stride: int, lanes: int) -> None:
    n, offsets = 61, (0, 1, 2, stride - 1, stride, 2 * stride + 1)
    x, img, f = halo.Var("x"), halo.Input("img", dtype, ndim=1), halo.Func("f")
    f[x] = sum(((k + 1) * img[stride * x + at] for k, at in enumerate(offsets[1:], 1)), img[stride * x + offsets[0]])
    f.vectorize("x", lanes)
    data = np.arange((n - 1) * stride + max(offsets) + 1).astype(dtype)
    ends = [data[at : at + (n - 1) * stride + 1 : stride] for at in offsets]
    wanted = sum((dtype(k + 1) * end for k, end in enumerate(ends)), np.zeros(n, dtype))
    assert np.array_equal(f(img=data, shape=(n,)), wanted)


def test_channels_of_a_picture_share_their_loads() -> None:
    y, x = halo.vars("y x")
    img, f = halo.Input("img", halo.u8, ndim=3), halo.Func("f")
    f[y, x] = img[y, x, 0] // 4 + img[y, x, 1] // 2 + img[y, x, 2] // 4
    f.vectorize("x", 16).specialize(img.shape[2] == 3)
    data = np.random.default_rng(0).integers(0, 256, (5, 37, 3), np.uint8)
    assert np.array_equal(f(img=data), data[..., 0] // 4 + data[..., 1] // 2 + data[..., 2] // 4)
    data = data[..., [0, 1, 2, 0]]
    assert np.array_equal(f(img=data), data[..., 0] // 4 + data[..., 1] // 2 + data[..., 2] // 4)


def test_nothing_beyond_the_named_elements_is_read() -> None:
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    data = np.frombuffer(pages, np.uint8)
    data[:] = np.arange(len(data)) % 251
    x, img, f = halo.Var("x"), halo.Input("img", halo.u8, ndim=1), halo.Func("f")
    f[x] = img[3 * x] ^ img[3 * x + 1]
    f.vectorize("x", 16)
    for count in (len(data) // 3, 160, 33, 16):
        last = data[len(data) - 3 * count + 1 :]  # ends where the last pixel's second element is
        assert np.array_equal(f(img=last, shape=(count,)), last[::3] ^ last[1::3])


def test_a_lone_strided_load_is_left_alone() -> None:
    x, img, f = halo.Var("x"), halo.Input("img", halo.u8, ndim=1), halo.Func("f")
    f[x] = img[2 * x]
    f.vectorize("x", 8)
    assert after(f, "deinterleave") == after(f, "interleave")


def test_far_apart_loads_are_left_alone() -> None:
    x, img, f = halo.Var("x"), halo.Input("img", halo.u8, ndim=1), halo.Func("f")
    f[x] = img[2 * x] + img[2 * x + 2]
    f.vectorize("x", 8)
    assert after(f, "deinterleave") == after(f, "interleave")
