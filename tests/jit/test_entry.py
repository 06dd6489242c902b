"""The fast entry: what it serves itself, what it passes on, and that either way the answer is the same."""

import gc
import sys
import threading
import time

import ml_dtypes
import numpy as np
import pytest

import halo
from halo.jit import entry
from halo.jit.binding import Binder
from halo.jit.kernel import Kernel

SHAPE = tuple(range(2, 4))
A = np.arange(60, dtype=np.uint16).reshape(6, 10)
pytestmark = pytest.mark.skipif(entry.native() is None, reason="another Python")


@halo.func
def scaled(y, x, *, img, k=2, c=0.5):
    return img[y, x] * k + halo.u16(c)


@halo.func
def both(x, *, a: halo.i32[:]):
    return a[x] + 1, a[x] * 0.5


@halo.func
def cut(x, *, a: halo.i32[:]):
    return a[x] // 2


@pytest.fixture(scope="module")
def kernel():
    return scaled.compile(img=halo.u16, k=halo.u16, c=halo.f32)


class Passed(Exception):
    """The slow path was taken."""


@pytest.fixture
def fast(kernel, monkeypatch):
    """The kernel without its slow path."""
    return without_slow_path(kernel, monkeypatch)


def without_slow_path(kernel, monkeypatch):
    def slow(status, *args, **kwargs):
        raise Passed(status, args, kwargs)

    monkeypatch.setattr(kernel, "_slow", slow)
    return kernel


def test_served(fast):
    out = np.zeros((6, 10), np.uint16)
    for call in (
        lambda: fast(A),
        lambda: fast(A, 2),
        lambda: fast(A, 2, 0.5),
        lambda: fast(A, 2, 0.5, out),
        lambda: fast(A, out=out),
        lambda: fast(A, out=None, shape=None),
        lambda: fast(img=A),
        lambda: fast(img=A, k=2, c=0, out=out),
        lambda: fast(c=0.0, k=2, img=A),
        lambda: fast(A, k=2, out=out),
    ):
        out[...] = 0
        np.testing.assert_array_equal(call(), A * 2)
    assert fast(A, out=out) is out
    np.testing.assert_array_equal(fast(A, shape=(2, 3)), A[:2, :3] * 2)
    np.testing.assert_array_equal(fast(A, 3, 7.9), A * 3 + 7)
    np.testing.assert_array_equal(fast(A, 65535), A * np.uint16(65535))


def test_served_views(fast):
    for view in (A[::2], A[::-1], A[:, :4], A[:, 3:4], A[2:3], np.broadcast_to(A[0], (4, 10))):
        np.testing.assert_array_equal(fast(view), view * 2)
    frame = np.zeros((12, 20), np.uint16)
    for out in (frame[:6, :10], frame[::2, 10:], frame[3:9, 5:15]):
        assert fast(A, out=out) is out
        np.testing.assert_array_equal(out, A * 2)
    frozen = A.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(fast(frozen), A * 2)


PASSED_ON = {
    "a subclass": lambda f: f(A.view(np.matrix)),
    "another dtype": lambda f: f(A.astype(np.uint8)),
    "another rank": lambda f: f(A[0]),
    "another byte order": lambda f: f(A.astype(">u2")),
    "misaligned": lambda f: f(np.frombuffer(bytearray(121), np.uint16, 60, 1).reshape(6, 10)),
    "split elements": lambda f: f(np.zeros((3, 4), [("a", "<u2"), ("b", "u1")])["a"]),
    "an empty axis": lambda f: f(A[:0]),
    "no array": lambda f: f([[1]]),
    "None": lambda f: f(None),
    "nothing": lambda f: f(),
    "too much": lambda f: f(A, 1, 1.0, A, A),
    "twice": lambda f: f(A, img=A),
    "an unknown name": lambda f: f(A, q=1),
    "shape of another rank": lambda f: f(A, shape=(2,)),
    "a negative shape": lambda f: f(A, shape=(2, -2)),
    "a shape of floats": lambda f: f(A, shape=(2, 2.0)),
    "a list": lambda f: f(A, shape=[2, 2]),
    "an empty shape": lambda f: f(A, shape=(0, 2)),
    "shape and out": lambda f: f(A, shape=(6, 10), out=np.zeros((6, 10), np.uint16)),
    "a large int": lambda f: f(A, 65536),
    "a huge int": lambda f: f(A, 2**70),
    "a negative int": lambda f: f(A, -1),
    "a float for an int": lambda f: f(A, 2.0),
    "a bool for an int": lambda f: f(A, True),
    "a NumPy scalar": lambda f: f(A, np.uint16(2)),
    "a huge int for a float": lambda f: f(A, 1, 2**70),
    "a string for a float": lambda f: f(A, 1, "1"),
    "out is the input": lambda f: f(A, out=A),
    "out overlaps": lambda f: f(A[:, 1:], out=A[:, :-1]),
    "out is read-only": lambda f: f(A, out=np.broadcast_to(np.uint16(0), (6, 10))),
    "out runs backwards": lambda f: f(A, out=np.zeros((6, 10), np.uint16)[::-1]),
    "out is transposed": lambda f: f(A, out=np.zeros((10, 6), np.uint16).T),
    "out overlaps itself": lambda f: f(A, out=np.lib.stride_tricks.as_strided(A.copy(), (6, 10), (2, 2))),
    "out of another dtype": lambda f: f(A, out=np.zeros((6, 10), np.int16)),
    "out is no array": lambda f: f(A, out=3),
}


@pytest.mark.parametrize("call", PASSED_ON.values(), ids=PASSED_ON)
def test_passed_on(fast, call):
    with pytest.raises(Passed) as e:
        call(fast)
    assert e.value.args[0] == 0


def test_arguments_are_passed_on_as_they_are(fast):
    out = np.zeros(3)
    with pytest.raises(Passed) as e:
        fast(A, 1.5, c=2, out=out, shape=(1,))
    status, args, kwargs = e.value.args
    assert status == 0
    assert args[0] is A
    assert args[1] == 1.5
    assert kwargs == {"c": 2, "out": out, "shape": (1,)}


def test_a_status_is_passed_on(monkeypatch):
    @halo.func
    def shifted(x, *, a: halo.i32[:]):
        return a[x + 1]

    kernel = without_slow_path(shifted.compile(), monkeypatch)
    a = np.arange(5, dtype=np.int32)
    with pytest.raises(Passed) as e:
        kernel(a, out=np.zeros(5, np.int32))
    status = e.value.args[0]
    assert kernel.binder.layout.checks[status - 1].kind == "bounds"
    with pytest.raises(Passed) as e:
        kernel(a[::2], out=np.zeros(2, np.int32))
    assert kernel.binder.layout.checks[e.value.args[0] - 1].kind == "fallback"
    np.testing.assert_array_equal(kernel(a, out=np.zeros(4, np.int32)), a[1:])


def test_the_slow_path_may_raise_and_return(kernel):
    assert kernel(A[:0]).shape == (0, 10)
    with pytest.raises(halo.ArgumentError):
        kernel(A, 2.5)
    np.testing.assert_array_equal(kernel(A, np.uint16(3)), A * 3)


def test_tuples(monkeypatch):
    kernel = without_slow_path(both.compile(), monkeypatch)
    a = np.arange(5, dtype=np.int32)
    first, second = kernel(a)
    np.testing.assert_array_equal(first, a + 1)
    np.testing.assert_array_equal(second, a * 0.5)
    outs = np.zeros(5, np.int32), np.zeros_like(second)
    got = kernel(a, *outs)
    assert type(got) is tuple
    assert got[0] is outs[0]
    assert got[1] is outs[1]
    got = kernel(a, outs[0])
    assert got[0] is outs[0]
    got = kernel(a, out=outs)
    assert type(got) is tuple
    assert got[0] is outs[0]
    assert got[1] is outs[1]
    for odd in ([*outs], outs[:1], (*outs, outs[0]), (outs[0], None), (outs[0], outs[0]), (*outs[:1], a), outs[0]):
        with pytest.raises(Passed):
            kernel(a, out=odd)
    for short, long in ((4, 5), (5, 4)):  # the arrays of a tuple have one shape
        parts = outs[0][:short], outs[1][:long]
        with pytest.raises(Passed):
            kernel(a, out=parts)
        with pytest.raises(Passed):
            kernel(a, *parts)
        with pytest.raises(Passed):
            kernel(a, parts[0] if short < 5 else np.zeros(6, np.int32))
    with pytest.raises(Passed):
        kernel(a, outs[0], out=outs)
    with pytest.raises(Passed):
        kernel(a, a)


def test_several_outputs(monkeypatch):
    @halo.func
    def plus(y, x, *, img):
        return img[y, x] + 1

    @halo.func
    def minus(y, x, *, img):
        return img[y, x] - 1

    kernel = without_slow_path(halo.Pipeline([plus, minus]).compile(img=halo.u16), monkeypatch)
    up, down = kernel(A)
    np.testing.assert_array_equal(up, A + 1)
    np.testing.assert_array_equal(down, A - 1)
    outs = np.zeros_like(A), np.zeros_like(A)
    got = kernel(A, out=outs)
    assert got[0] is outs[0]
    np.testing.assert_array_equal(outs[0], A + 1)
    np.testing.assert_array_equal(outs[1], A - 1)
    frame = np.zeros((7, 10), np.uint16)
    with pytest.raises(Passed):
        kernel(A, frame[1:], frame[:-1])
    with pytest.raises(Passed):
        kernel(A, out=(frame[1:], frame[:-1]))
    one = without_slow_path(halo.Pipeline([plus]).compile(img=halo.u16), monkeypatch)
    (up,) = one(A)
    np.testing.assert_array_equal(up, A + 1)
    assert one(A, out=outs[:1])[0] is outs[0]
    nested = without_slow_path(halo.Pipeline([both, cut]).compile(), monkeypatch)
    a = np.arange(5, dtype=np.int32)
    first, second = np.zeros(5, np.int32), np.zeros_like(a * 0.5)
    for out in (((first, second), a.copy()), (first, second, a.copy())):
        with pytest.raises(Passed):
            nested(a, out=out)


@pytest.mark.parametrize("t", halo.types.ALL, ids=str)
def test_every_type_of_array(t, monkeypatch):
    @halo.func
    def same(x, *, a):
        return a[x]

    kernel = without_slow_path(same.compile(a=t), monkeypatch)
    a = np.array([0, 1, 1, 0]).astype(t.dtype)
    got = kernel(a)
    assert got.dtype == t.dtype
    np.testing.assert_array_equal(got.astype(float), a.astype(float))


SCALARS = {
    halo.i8: [-128, 127], halo.i32: [-(2**31), 2**31 - 1], halo.i64: [-(2**63), 2**63 - 1], halo.u8: [0, 255],
    halo.u64: [0, 2**63 - 1], halo.f32: [0.1, -1.5, 3, 2**60, float("inf"), 1e300], halo.f64: [0.1, 3, 2**60, 1e300],
    halo.bool_: [True, False],
}  # fmt: skip


@pytest.mark.parametrize("t", SCALARS, ids=str)
def test_every_type_of_scalar(t, monkeypatch):
    @halo.func
    def constant(x, *, a: halo.u8[:], k):
        return halo.select(a[x] == 0, k, k)

    kernel = constant.compile(k=t)
    a = np.zeros(3, np.uint8)
    wanted = [kernel(a, k=value, shape=3) for value in SCALARS[t]]
    without_slow_path(kernel, monkeypatch)
    for value, want in zip(SCALARS[t], wanted, strict=True):
        np.testing.assert_array_equal(kernel(a, value), want)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(want, np.array([value] * 3).astype(t.dtype))


def test_other_scalars_take_the_slow_path():
    @halo.func
    def times(x, *, a: halo.f32[:], k: halo.f16):
        return a[x] * k

    kernel = times.compile()
    a = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(kernel(a, 0.5), a * np.float32(0.5))
    np.testing.assert_array_equal(kernel(a, ml_dtypes.bfloat16(0.5)), a * np.float32(0.5))


def test_rank_0(monkeypatch):
    @halo.func
    def total(*, a: halo.i32[:]):
        return sum(a[r] for r in halo.rdom(a))

    kernel = without_slow_path(total.compile(), monkeypatch)
    a = np.arange(10, dtype=np.int32)
    got = kernel(a)
    assert isinstance(got, np.ndarray)
    assert got.shape == ()
    assert got == 45
    out = np.zeros((), np.int32)
    assert kernel(a, out) is out
    assert out == 45


def test_references_are_balanced(kernel, monkeypatch):
    out = np.zeros((6, 10), np.uint16)
    for call in (lambda: kernel(A, out=out), lambda: kernel(A), lambda: kernel(A, 3, out=out), lambda: kernel(A[:0]),
                 lambda: refused(lambda: kernel(A, q=1)), lambda: kernel(A, out=A), lambda: kernel(A, shape=SHAPE),
                 lambda: refused(lambda: kernel(A, shape=(7, 1))), lambda: kernel(A, 300)):  # fmt: skip
        call()
        gc.collect()
        counted = (A, out, SHAPE, None, 300, np.dtype(np.uint16), kernel._call, np.empty)
        before = [sys.getrefcount(o) for o in counted]
        for _ in range(200):
            call()
        gc.collect()
        after = [sys.getrefcount(o) for o in counted]
        assert all(abs(b - a) < 20 for a, b in zip(before, after, strict=True)), (before, after)


def refused(call):
    with pytest.raises(halo.HaloError):
        call()


def test_results_are_not_leaked(kernel):
    import resource

    big = np.zeros((1000, 1000), np.uint16)
    kernel(big)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        kernel(big)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_large_calls_release_the_gil():
    """Another thread runs Python while a kernel runs."""

    @halo.func
    def busy(y, x, *, img: halo.u16[:, :]):
        return sum(img[y, x] % halo.u16(k + 1) for k in halo.rdom(200))

    busy.compute_root()
    kernel = busy.compile()
    image = np.ones((400, 400), np.uint16)
    kernel(image)
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    kernel(image)
    end = time.perf_counter()
    stop.set()
    thread.join()
    assert end - start < 0.02 or sum(start + 0.3 * (end - start) < t < end - 0.3 * (end - start) for t in ticks) > 0


def test_an_entry_keeps_its_code():
    entry.native.cache_clear()
    first = halo.Func("first")
    x, a = halo.Var("x"), halo.Input("a", halo.i32, ndim=1)
    first[x] = a[x] + 1
    kernel = first.compile()
    entry.native.cache_clear()  # as if another thread had been first to load the code
    gc.collect()
    np.testing.assert_array_equal(kernel(np.arange(3, dtype=np.int32)), [1, 2, 3])


def test_kernels_too_large_for_it_take_the_slow_path():
    n = 40
    names = [f"a{k}" for k in range(n)]
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = sum((halo.Input(name, halo.i32, ndim=1)[x] for name in names), 0 * x)
    kernel = f.compile()
    assert kernel._entry is None
    values = {name: np.full(3, k, np.int32) for k, name in enumerate(names)}
    np.testing.assert_array_equal(kernel(**values), sum(range(n)))


def test_another_python_takes_the_slow_path(kernel, monkeypatch):
    monkeypatch.setattr(entry, "native", lambda: None)
    plain = Kernel(kernel.binder, kernel.code)
    assert plain._entry is None
    np.testing.assert_array_equal(plain(A), A * 2)


def test_the_layout_of_arrays_is_tested_first(monkeypatch):
    assert entry._is_known_layout()
    monkeypatch.setattr(entry.sys.implementation, "name", "other")
    assert not entry._is_known_layout()


def test_constants():
    @halo.func
    def f(x, *, a: halo.i32[:], b: halo.i32[:]):
        return a[x] * 10 + b[x]

    made = f.compile()
    b = made.binder
    constant = np.arange(3, dtype=np.int32)
    bound = Kernel(Binder("f", b.layout, ("a",), {}, {"b": constant}, b.regions), made.code)
    a = np.ones(3, np.int32)
    np.testing.assert_array_equal(bound(a), 10 + constant)
    out = np.zeros(3, np.int32)
    assert bound(a, out) is out
    assert bound(a=a, out=out) is out
    np.testing.assert_array_equal(out, 10 + constant)
    with pytest.raises(halo.ArgumentError):
        bound(a, b=a)
    bound(a, out=constant)
    np.testing.assert_array_equal(constant, [10, 11, 12])


def test_overhead(kernel):
    """Far above the microsecond that it takes, far below what the slow path takes."""
    small, out = np.zeros((4, 4), np.uint16), np.zeros((4, 4), np.uint16)
    best = 1.0
    for _ in range(50):
        start = time.perf_counter()
        for _ in range(20):
            kernel(small, out=out)
        best = min(best, (time.perf_counter() - start) / 20)
    assert best < 5e-6
