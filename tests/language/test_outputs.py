"""Language, section 3: promises of the arrays that calls want the values in. What a call does not keep costs it speed alone."""

from __future__ import annotations

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(9)
PICTURE = RNG.integers(0, 255, (11, 13, 3), np.uint8)


def brighter() -> halo.Func:
    @halo.func
    def f(y, x, c, *, img):
        return img[y, x, c] + 1

    return f.reorder("c", "y", "x").vectorize("x", 8)


def empty(order: tuple[int, ...]) -> np.ndarray:
    """An array like PICTURE whose axes lie in memory in this order."""
    memory = np.zeros([PICTURE.shape[k] for k in order], np.uint8)
    return memory.transpose(np.argsort(order))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2), (2, 1, 0)])
def test_promises_of_outputs_change_no_result(order: tuple[int, ...]) -> None:
    f = brighter()
    planes = f.output_buffer()
    planes.dim(1).set_stride(1)
    planes.dim(2).set_stride(11 * 13).set_bounds(0, 3)
    out = empty(order)
    assert f(img=PICTURE, out=out) is out
    np.testing.assert_array_equal(out, PICTURE + 1)
    np.testing.assert_array_equal(f(img=PICTURE[::2]), PICTURE[::2] + 1)
    np.testing.assert_array_equal(f.realize((11, 13, 2), (0, 0, 1), img=PICTURE), PICTURE[:, :, 1:] + 1)
    with pytest.raises(halo.BoundsError):
        f(img=PICTURE, shape=(11, 13, 4))


def test_promises_of_an_output_that_is_staged_and_of_tuples() -> None:
    @halo.func
    def sums(y, x, *, img: halo.i32[:, :]):
        sums[y, x] = img[y, x], 0
        for t in halo.rdom((1, img.shape[1] - 1)):
            sums[y, t] = sums[y, t - 1][0] + img[y, t], sums[y, t - 1][1] + 1

    sums.update(0).serial("t")
    for k in (0, 1):
        sums.output_buffer(k).dim(0).set_stride(1)
        sums.output_buffer(k).dim(1).set_stride(6).set_extent(9)
    img = RNG.integers(0, 99, (6, 9), np.int32)
    for outs in (None, (np.zeros((9, 6), np.int32).T, np.zeros((9, 6), np.int32).T)):
        total, count = sums(img=img, out=outs)
        np.testing.assert_array_equal(total, img.cumsum(axis=1))
        np.testing.assert_array_equal(count, np.broadcast_to(np.arange(9), (6, 9)))


def test_wrong_promises_of_outputs_are_refused() -> None:
    f = brighter()
    with pytest.raises(halo.ArgumentError, match="no element 1"):
        f.output_buffer(1)
    with pytest.raises(halo.ScheduleError, match="no axis 3") as error:
        f.output_buffer().dim(3).set_min(0)
    assert "set_min" in str(error.value)  # the user's own line
    with pytest.raises(halo.ScheduleError, match="is not an integer"):
        f.output_buffer().dim(0).set_extent(2.5)


def test_a_promised_extent_is_a_constant() -> None:
    @halo.func
    def f(y, x, c, *, img):
        return img[y, x, c] + 1

    f.vectorize("c").output_buffer().dim(2).set_extent(3)
    assert "for c vectorize" in f.loops()
    np.testing.assert_array_equal(f(img=PICTURE), PICTURE + 1)
    np.testing.assert_array_equal(f(img=PICTURE[..., :2]), PICTURE[..., :2] + 1)


def test_a_kept_promise_runs_the_fast_copy() -> None:
    f = brighter()
    f.output_buffer().dim(1).set_stride(1)
    f.output_buffer().dim(2).set_stride(11 * 13).set_bounds(0, 3)
    kernel = f.compile(img=halo.u8)
    kernel(img=PICTURE, out=empty((2, 0, 1)))
    assert not kernel._instead
    kernel(img=PICTURE, out=empty((0, 1, 2)))
    assert list(kernel._instead) == ["fallback"]


def at(address: int, n: int) -> np.ndarray:
    """An array of n numbers whose address is this, modulo 128."""
    memory = np.zeros(8 * n + 256, np.uint8)
    first = (address - memory.ctypes.data) % 128
    return memory[first : first + 8 * n].view(np.float64)


@pytest.mark.parametrize("target", [None, "python", "numba"])
def test_a_promised_address_changes_no_result(target: str | None) -> None:
    @halo.func
    def f(x, *, a):
        return a[x] * 2

    f.vectorize("x", 8).output_buffer().set_host_alignment(64)
    a = np.arange(40.0)
    kernel = f.compile(a=halo.f64, target=target)
    kernel(a=a, out=at(64, 40))
    assert not kernel._instead
    for address in (0, 64, 32, 8):
        out = at(address, 40)
        assert kernel(a=a, out=out) is out
        np.testing.assert_array_equal(out, 2 * a)
    assert list(kernel._instead) == ["fallback"]
    if target is None:
        assert "align 64" in f.inspect_llvm(a=halo.f64[::1])


def test_wrong_alignments_are_refused() -> None:
    f = brighter()
    for n, reason in ((3, "not a power of two"), (0, "not positive"), (2.5, "not a constant integer")):
        with pytest.raises(halo.ScheduleError, match=reason):
            f.output_buffer().set_host_alignment(n)
