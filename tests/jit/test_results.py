"""Memory of large results: lines, pages that are there, and nothing that two arrays share."""

import gc
import weakref

import numpy as np
import pytest

import halo
from halo import nn
from halo.jit import results
from halo.jit.target import Target
from halo.nn.schedule import points

LARGE = (2048, 4096)  # f32 of twice results.LARGE


@halo.func
def more(i, j, *, x: halo.f32):
    return x[i, j] + 1


@pytest.fixture(autouse=True)
def nothing_left():
    results._left.clear()
    yield
    results._left.clear()


def address(a):
    return a.__array_interface__["data"][0]


def test_small_results_are_numpys_own():
    assert results.empty((3, 4), np.dtype(np.uint8)).base is None


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.complex128, halo.bf16.dtype])
def test_large_results_begin_at_a_line(dtype):
    a = results.empty((results.LARGE + 1,), np.dtype(dtype))
    assert address(a) % results.LINE == 0
    assert a.dtype == dtype
    assert a.flags.c_contiguous
    assert a.flags.writeable
    assert a.shape == (results.LARGE + 1,)


def test_memory_is_used_again_once_nothing_sees_it():
    a = results.empty(LARGE, np.dtype(np.float32))
    at, view = address(a), a[1:].T
    del a
    gc.collect()
    other = results.empty(LARGE, np.dtype(np.float32))
    assert not np.may_share_memory(other, view)
    del view
    gc.collect()
    assert address(results.empty(LARGE, np.dtype(np.float32))) == at


def test_little_is_kept():
    for n in (1, 2, 3, 4):
        results.empty((n * results.LARGE,), np.dtype(np.uint8))
    results.empty((results.MOST + 1,), np.dtype(np.uint8))
    gc.collect()
    assert len(results._left) <= 2
    assert all(m.nbytes <= results.MOST for m in results._left)
    assert (
        results.empty((results.LARGE,), np.dtype(np.uint8)).base.base.memory.nbytes
        < 2 * results.LARGE + 2 * results.LINE
    )


@pytest.mark.parametrize("shape", [None, (2048, 4095), (2048, 4096), (7, 4)])
def test_calls_give_large_and_small_results(shape):
    x = np.arange(2048 * 4096, dtype=np.float32).reshape(LARGE) % 1000
    for _ in range(3):
        found = more(x) if shape is None else more(x, shape=shape)
        rows, columns = shape or LARGE
        np.testing.assert_array_equal(found, x[:rows, :columns] + 1)
        assert found.nbytes < results.LARGE or address(found) % results.LINE == 0


def test_the_shape_of_a_call_is_checked_before_its_size_is():
    with pytest.raises(halo.HaloError):
        more(np.zeros(LARGE, np.float32), shape=(1 << 25,))


@pytest.mark.parametrize("offset", [0, 16, 4])
def test_operators_store_large_results_past_the_caches_wherever_they_begin(offset):
    x = np.random.default_rng(0).standard_normal(LARGE, np.float32)
    t = nn.relu(halo.Input("x", halo.f32, shape=LARGE))
    points(t, Target.host())
    assert "stream_stores" in str(t.func.schedule())
    memory = np.zeros(x.nbytes + 128, np.uint8)
    start = -address(memory) % 64 + offset
    out = memory[start : start + x.nbytes].view(np.float32).reshape(LARGE)
    t.func(x, out=out)
    np.testing.assert_array_equal(out, np.maximum(x, 0))


def test_a_result_is_no_earlier_one():
    x = np.ones(LARGE, np.float32)
    first = nn.relu(x)
    again = weakref.ref(first)
    second = nn.relu(-x)
    assert not np.may_share_memory(first, second)
    assert first.min() == 1
    assert again() is first
