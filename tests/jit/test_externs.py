"""Callbacks into Python: extern stages over whole regions, their exceptions, and printing."""

import threading

import numpy as np
import pytest

import halo
from halo import types
from halo.jit import externs

A = np.random.default_rng(3).integers(0, 200, (9, 12), np.uint8)


def sorted_rows(function, **directives):
    """`f[y, x] = rows[y, x] + 1`, rows being an extern stage of whole rows."""
    img = halo.Input("img", halo.u8, ndim=2)
    rows = halo.extern(function, [img], halo.u8, 2, bounds=lambda box: [[box[0], (0, img.shape[1])]])
    y, x = halo.vars("y x")
    f = halo.Func("f")
    f[y, x] = rows[y, x] + 1
    return f, rows


def sort(out, a):
    out[...] = np.sort(a, axis=1)[:, : out.shape[1]]


WANT = np.sort(A, axis=1) + 1


def test_regions_come_as_arrays():
    seen = []

    def look(out, a):
        seen.append((type(out), out.dtype, out.shape, a.shape, out.flags.writeable, a.flags.writeable))
        sort(out, a)

    f, _ = sorted_rows(look)
    np.testing.assert_array_equal(f(img=A, shape=A.shape), WANT)
    ((kind, dtype, shape, needed, writable, wrote),) = seen
    assert (kind, dtype, shape, needed) == (np.ndarray, np.uint8, (9, 12), (9, 12))
    assert writable
    assert not wrote


def test_strided_inputs_and_parts():
    f, _ = sorted_rows(sort)
    np.testing.assert_array_equal(f(img=A[::-1, ::2], shape=(9, 6)), np.sort(A[::-1, ::2], axis=1) + 1)
    np.testing.assert_array_equal(f.realize((3, 12), origin=(4, 0), img=A), WANT[4:7])


def test_inside_a_parallel_loop():
    """Callbacks from the threads of a parallel loop: Python's lock is free while the kernel runs."""
    calls = []

    def look(out, a):
        calls.append(threading.get_ident())
        sort(out, a)

    f, rows = sorted_rows(look)
    f.parallel("y")
    rows.compute_at(f, "y")
    for _ in range(5):
        np.testing.assert_array_equal(f(img=A, shape=A.shape), WANT)
    assert len(calls) == 5 * len(A)


def test_an_exception_goes_on_in_the_caller():
    class Mine(Exception):
        pass

    def fail(out, a):
        raise Mine(int(a[0, 0]))

    f, rows = sorted_rows(fail)
    for _ in range(2):
        with pytest.raises(Mine, match=str(A[0, 0])):
            f(img=A, shape=A.shape)
    f.parallel("y")
    rows.compute_at(f, "y")
    with pytest.raises(Mine):
        f(img=A, shape=A.shape)


def test_exceptions_of_concurrent_calls_are_their_own():
    def fail(out, a):
        if a[0, 0] % 2:
            raise ValueError(int(a[0, 0]))
        sort(out, a)

    f, _ = sorted_rows(fail)
    f(img=np.zeros_like(A), shape=A.shape)
    wrong = []

    def work(k):
        image = np.full((4, 4), k, np.uint8)
        for _ in range(20):
            try:
                f(img=image, shape=(4, 4))
                good = k % 2 == 0
            except ValueError as e:
                good = k % 2 == 1 and e.args == (k,)
            if not good:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_the_kernel_is_not_kept_on_disk(tmp_path, monkeypatch):
    from halo.jit import cache

    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_state", cache._State())
    f, _ = sorted_rows(sort)
    halo.jit.runtime.runtime()
    before = cache.info().entries
    f(img=A, shape=A.shape)
    assert cache.info().entries == before


@pytest.mark.parametrize("t", types.ALL, ids=str)
def test_every_type(t):
    a = np.array([0, 1, 1, 0]).astype(t.dtype)
    seen = []

    def copy(out, b):
        seen.append((out.dtype, b.dtype))
        out[...] = b

    given = halo.Input("a", t, ndim=1)
    stage = halo.extern(copy, [given], t, 1)
    f, x = halo.Func("f"), halo.Var("x")
    f[x] = stage[x]
    got = f(a=a, shape=4)
    assert seen == [(t.dtype, t.dtype)]
    np.testing.assert_array_equal(got.astype(float), a.astype(float))


def test_printing(capfd):
    @halo.func
    def f(x, *, a: halo.f32[:]):
        return halo.debug_print(a[x], "at", x)

    kernel = f.compile()
    assert kernel._entry is None, "Python's lock must be free"
    kernel(np.array([0.1, -0.0], np.float32))
    assert sorted(capfd.readouterr().out.splitlines()) == ["-0.0 at 1", "0.1 at 0"]


@pytest.mark.parametrize(
    ("t", "word", "want"),
    [
        (types.i8, -1, -1),
        (types.u64, -1, 2**64 - 1),
        (types.u16, 65535, 65535),
        (types.i64, -(2**63), -(2**63)),
        (types.f32, np.float64(np.float32(0.1)).view(np.int64), np.float32(0.1)),
        (types.bf16, np.float64(0.5).view(np.int64), 0.5),
        (types.bool_, 1, True),
    ],
)
def test_values_in_words(t, word, want):
    got = externs.value(t, int(word))
    assert got == want
    assert np.asarray(got).dtype == t.dtype


def test_printing_changes_no_result(monkeypatch, capsys):
    class Closed:
        def write(self, text):
            raise OSError("closed")

        def flush(self):
            raise OSError("closed")

    monkeypatch.setattr("sys.stdout", Closed())
    words = (externs.ctypes.c_int64 * 1)(3)
    externs.print_values(b"{}", b"i32", words)
    assert "closed" in capsys.readouterr().err
