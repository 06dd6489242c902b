"""Kernels inside jitted functions: served by machine code, and everything else by the slow path or a typing error."""

import numba
import numpy as np
import pytest

import halo
from halo.jit.binding import Binder
from halo.jit.kernel import Kernel

A = np.arange(60, dtype=np.uint8).reshape(6, 10)


@halo.func
def shifted(y, x, *, img: halo.u8[:, :], k: halo.u8 = 1):
    return img[y, x + 2] + k


@halo.func
def twice(y, x, *, img: halo.u8[:, :]):
    return img[y, x] * 2


@pytest.fixture(scope="module")
def shift():
    return shifted.compile()


@pytest.fixture(scope="module")
def double():
    return twice.compile()


@pytest.fixture(scope="module")
def run(double):
    """The kernel inside a jitted function, compiled once for arrays of any strides."""
    readable = numba.types.Array(numba.uint8, 2, "A", readonly=True)

    @numba.njit((readable, numba.uint8[:, :]))
    def run(img, out):
        return double(img, out)

    return run


class Passed(Exception):
    """The slow path was taken."""


def refuse(*args, **kwargs):
    raise Passed(args, kwargs)


def test_every_way_to_call(shift):
    @numba.njit
    def run(img, out):
        shift(img, 1, out)
        first = out.copy()
        shift(img, out=out)
        second = out.copy()
        shift(img=img, k=3, out=out)
        return first, second, out

    first, second, third = run(A, np.zeros((6, 8), np.uint8))
    np.testing.assert_array_equal(first, A[:, 2:] + 1)
    np.testing.assert_array_equal(second, A[:, 2:] + 1)
    np.testing.assert_array_equal(third, A[:, 2:] + 3)


def test_results_are_allocated(double):
    @numba.njit
    def run(img):
        return double(img).sum() + double(double(img)).sum()

    assert run(A) == (A * 2).sum() + (A * 4).sum()


def test_views(double, run, monkeypatch):
    monkeypatch.setattr(double, "_slow", refuse)
    for view in (A, A[::2], A[::-1], A[:, 3:4]):
        np.testing.assert_array_equal(run(view, np.zeros(view.shape, np.uint8)), view * 2)
    frame = np.zeros((12, 20), np.uint8)
    run(A, frame[::2, :10])
    np.testing.assert_array_equal(frame[::2, :10], A * 2)
    frozen = A.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(run(frozen, frame[6:, 10:]), A * 2)


ODD = {
    "the input itself": lambda a: (a, a),
    "overlapping": lambda a: (a[:, 1:], a[:, :-1]),
    "backwards": lambda a: (a, np.zeros((6, 10), np.uint8)[::-1]),
    "transposed": lambda a: (a, np.zeros((10, 6), np.uint8).T),
    "empty": lambda a: (a[:0], np.zeros((0, 10), np.uint8)),
    "another stride": lambda a: (a[:, ::2], np.zeros((6, 5), np.uint8)),
}


@pytest.mark.parametrize("case", ODD.values(), ids=ODD)
def test_the_slow_path(double, run, monkeypatch, case):
    img, out = case(A.copy())
    want = np.asarray(img) * 2
    np.testing.assert_array_equal(run(img, out), want)
    np.testing.assert_array_equal(out, want)
    img, out = case(A.copy())
    monkeypatch.setattr(double, "_slow", refuse)
    with pytest.raises(Passed):
        run(img, out)


def test_errors_are_halos(shift):
    @numba.njit
    def run(img, k, out):
        shift(img, k, out)
        return out

    out = np.zeros((6, 9), np.uint8)
    with pytest.raises(halo.BoundsError, match=r"2..10 is needed, 0..9 exists"):
        run(A, 1, out)
    with pytest.raises(halo.ArgumentError, match="k takes a u8"):
        run(A, 256, out[:, :8])
    with pytest.raises(halo.ArgumentError, match="k takes a u8"):
        run(A, -1, out[:, :8])
    assert not out.any()
    np.testing.assert_array_equal(run(A, np.uint64(255), out[:, :8]), A[:, 2:] - 1)
    with pytest.raises(halo.ArgumentError, match="k takes a u8"):
        run(A, np.uint64(2**63), out[:, :8])


REFUSED = {
    "another dtype": lambda f: f(A.astype(np.int32), A),
    "another rank": lambda f: f(A[0], A),
    "no array": lambda f: f(3, A),
    "a string": lambda f: f("img", A),
    "out of another dtype": lambda f: f(A, A.astype(np.int8)),
    "out is read-only": lambda f: f(A, np.broadcast_to(np.uint8(0), (6, 10))),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_types_are_checked_when_compiled(double, call):
    @numba.njit
    def run(img, out):
        return double(img, out)

    with pytest.raises(numba.TypingError, match="twice: "):
        call(run)


@pytest.mark.slow
def test_a_missing_shape_and_a_missing_input(shift):
    @numba.njit
    def no_shape(img):
        return shift(img)

    @numba.njit
    def no_input(out):
        return shift(out=out)

    with pytest.raises(numba.TypingError, match="pass out"):
        no_shape(A)
    with pytest.raises(numba.TypingError):
        no_input(A)


def test_scalars():
    @halo.func
    def both(x, *, a: halo.f64[:], i: halo.i8, u: halo.u64, f: halo.f32, d: halo.f64, b: halo.bool_):
        return a[x] + halo.f64(i) * halo.f64(f) + halo.select(b, d, 0.0), u

    kernel = both.compile()

    @numba.njit
    def run(a, i, u, f, d, b):
        return kernel(a, i, u, f, d, b)

    a = np.array([0.0, 1.0])
    for i, u, f, d, b in ((-128, 2**64 - 1, 0.5, 0.1, True), (127, 0, -2.25, 1e300, False)):
        value, number = run(a, np.int64(i), np.uint64(u), np.float64(f), d, b)
        np.testing.assert_array_equal(value, a + i * f + (d if b else 0.0))
        np.testing.assert_array_equal(number, np.array([u, u], np.uint64))


def test_scalars_that_do_not_fit():
    @halo.func
    def half(x, *, a: halo.f32[:], k: halo.f16):
        return a[x] * k

    kernel = half.compile()

    @numba.njit
    def run(a, k):
        return kernel(a, k)

    with pytest.raises(numba.TypingError, match="f16"):
        run(np.zeros(3, np.float32), 0.5)


def test_tuples_and_pipelines():
    @halo.func
    def both(x, *, a: halo.i32[:]):
        return a[x] + 1, a[x] * 0.5

    kernel, a = both.compile(), np.arange(5, dtype=np.int32)

    @numba.njit
    def run(a, out):
        first, second = kernel(a)
        third, fourth = kernel(a, out)
        return first, second, third, fourth

    first, second, third, fourth = run(a, np.zeros(5, np.int32))
    np.testing.assert_array_equal(first, a + 1)
    np.testing.assert_array_equal(third, a + 1)
    np.testing.assert_array_equal(second, a * 0.5)
    np.testing.assert_array_equal(fourth, a * 0.5)

    several = halo.Pipeline([twice, shifted]).compile()

    @numba.njit
    def two(img, out):
        a, b = several(img, 1, out0=out, out1=np.zeros((6, 8), np.uint8))
        return a, b

    got = two(A, np.zeros((6, 10), np.uint8))
    np.testing.assert_array_equal(got[0], A * 2)
    np.testing.assert_array_equal(got[1], A[:, 2:] + 1)


def test_rank_0():
    @halo.func
    def total(*, a: halo.i32[:]):
        return sum(a[r] for r in halo.rdom(a))

    kernel = total.compile()

    @numba.njit
    def run(a):
        return kernel(a)[()]

    assert run(np.arange(10, dtype=np.int32)) == 45


def test_from_parallel_regions():
    """Nested in Numba's own threads, with parallel loops of its own."""

    @halo.func
    def rows(y, x, *, img: halo.u8[:, :]):
        return img[y, x] * 2

    rows.parallel("y")
    kernel = rows.compile()

    @numba.njit(parallel=True)
    def run(stack, out):
        for i in numba.prange(stack.shape[0]):
            kernel(stack[i], out[i])

    stack = np.arange(20 * 64, dtype=np.uint8).reshape(20, 8, 8)
    out = np.zeros_like(stack)
    for _ in range(5):
        run(stack, out)
        np.testing.assert_array_equal(out, stack * 2)


@pytest.mark.slow
def test_as_an_argument(double):
    @numba.njit
    def apply(f, img):
        return f(img)

    np.testing.assert_array_equal(apply(double, A), A * 2)


@pytest.mark.slow
def test_constants_and_reference_backends(double):
    b = double.binder

    @halo.func
    def f(x, *, a: halo.i32[:], c: halo.i32[:]):
        return a[x] * 10 + c[x]

    made = f.compile()
    fb = made.binder
    constant = np.arange(3, dtype=np.int32)
    bound = Kernel(Binder("f", fb.layout, ("a",), {}, {"c": constant}, fb.regions), made.code)
    python = twice.compile(target="python")
    assert python.binder.order == b.order

    @numba.njit
    def run(a, img):
        return bound(a), python(img)

    first, second = run(np.ones(3, np.int32), A)
    np.testing.assert_array_equal(first, 10 + constant)
    np.testing.assert_array_equal(second, A * 2)


def test_a_func_is_compiled_for_the_types_of_each_call():
    @halo.func
    def scaled(y, x, *, img, k: halo.f32 = 2.0):
        return img[y, x] * k

    @numba.njit
    def run(a, b):
        return scaled(a), scaled(b, 3), scaled(img=a, k=0.5)

    a, b = np.ones((2, 3), np.float32), np.ones((3, 2))
    first, second, third = run(a, b)
    assert (first.dtype, second.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(first, a * 2)
    np.testing.assert_array_equal(second, b * 3)
    np.testing.assert_array_equal(third, a * 0.5)
    with pytest.raises(numba.TypingError, match="scaled"):
        run(a[0], b)
