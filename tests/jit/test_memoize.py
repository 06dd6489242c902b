"""Digests of inputs, and the size of the cache."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halo
from halo.jit.runtime import runtime

Array = np.ndarray[Any, Any]
BLOCK = 8192


@pytest.fixture(scope="module")
def digest() -> Callable[[Array], tuple[int, ...]]:
    """The state after an array was absorbed."""
    symbols, key, owner = runtime().symbols, (ctypes.c_int64 * 5)(), ctypes.c_int64(0)
    begin = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)(symbols["halo_memo_key"])
    read = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2)(symbols["halo_memo_read"])

    def of(a: Array) -> tuple[int, ...]:
        begin(ctypes.addressof(key), ctypes.addressof(owner), None, 0)
        words = (a.ctypes.data, *a.shape, *(s // a.itemsize for s in a.strides))
        view = (ctypes.c_int64 * len(words))(*words)
        read(ctypes.addressof(key), ctypes.addressof(view), a.ndim, a.itemsize)
        return tuple(key[:4])

    return of


RNG = np.random.default_rng(0)
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "dense": lambda a: a, "crop": lambda a: a[1:-1, 3:-5], "columns": lambda a: a.T, "steps": lambda a: a[::2, ::3],
    "backwards": lambda a: a[::-1, ::-1], "one row": lambda a: a[:1], "one column": lambda a: a[:, 4:5],
    "repeated": lambda a: np.broadcast_to(a[0], (50, a.shape[1])), "triples": lambda a: a[:, :396].reshape(-1, 99, 4)[..., :3],
    "runs": lambda a: a[:, :400].reshape(-1, 4, 100)[:, :, :70], "point": lambda a: a[3:4, 4:5].reshape(()),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_element_counts(digest: Callable[[Array], tuple[int, ...]], layout: str, dtype: type) -> None:
    base = RNG.integers(0, 256, (60, 401 * np.dtype(dtype).itemsize), np.uint8).view(dtype)
    a = LAYOUTS[layout](base)
    seen = {digest(a)}
    assert digest(a) in seen
    places = np.ndindex(a.shape) if a.size < 300 else zip(*(RNG.integers(0, n, 200) for n in a.shape), strict=True)
    address = base.ctypes.data
    where = {a.ctypes.data + sum(k * s for k, s in zip(i, a.strides, strict=True)): i for i in map(tuple, places)}
    for first, i in where.items():  # elements that lie apart
        byte = base.reshape(-1).view(np.uint8)[first - address :][: a.itemsize]
        bit = np.uint8(1 << int(RNG.integers(8)))
        byte[-1] ^= bit
        found = digest(a)
        byte[-1] ^= bit
        assert found not in seen, i
        seen.add(found)
    assert digest(a) in seen


def test_nothing_beside_the_box_counts(digest: Callable[[Array], tuple[int, ...]]) -> None:
    around = RNG.random((9, 30, 11))
    box = around[2:7, 3:20, 1:9]
    before = digest(box)
    around[:2] = around[7:] = around[:, :3] = around[:, 20:] = around[..., 0] = around[..., 9:] = 0
    assert digest(box) == before == digest(box.copy())


def test_lengths_and_shapes_count(digest: Callable[[Array], tuple[int, ...]]) -> None:
    zeros = np.zeros(3 * BLOCK, np.uint8)
    lengths = [*range(200), *(k * BLOCK + d for k in (1, 2) for d in (-65, -64, -1, 0, 1, 64))]
    assert len({digest(zeros[:n]) for n in lengths}) == len(lengths)
    shapes = [(24,), (4, 6), (6, 4), (24, 1), (2, 3, 4), (0, 3), (3, 0)]
    assert len({digest(zeros[: int(np.prod(s))].reshape(s)) for s in shapes}) == len(shapes)


def test_the_largest_rank(digest: Callable[[Array], tuple[int, ...]]) -> None:
    a = np.zeros((2, 1) * 8)
    first = digest(a)
    a[(1, 0) * 8] = 1
    assert digest(a) != first


def test_the_option_is_the_size_to_begin_with() -> None:
    assert halo.memoization_cache().limit == halo.options().memoize_bytes == 1 << 28
