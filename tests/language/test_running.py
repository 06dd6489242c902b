"""Language, section 2: running."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(6)
IMG = RNG.integers(0, 999, (11, 14), np.int32)
ROOT = Path(__file__).parent.parent.parent


def run_script(directory: Path, code: str, **environment: str) -> None:
    """Run `code` from a file, so that its source can be found, in a new process; its asserts must hold."""
    script = directory / "script.py"
    script.write_text(code)
    everything = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    subprocess.run([sys.executable, str(script)], env=everything, timeout=300, check=True)


@halo.func
def add(y, x, *, a, b):
    return a[y, x] + b[y, x]


@halo.func
def twice(y, x, *, img):
    return img[y, x] * 2


@halo.func
def shifted(y, x, *, img):
    return img[y, x + 2]


def test_positional_arguments_are_in_the_order_of_inputs() -> None:
    np.testing.assert_array_equal(add(IMG, IMG * 3), IMG * 4)
    np.testing.assert_array_equal(add(IMG, b=IMG), IMG * 2)


def test_out_is_written_and_returned() -> None:
    out = np.zeros_like(IMG)
    assert twice(img=IMG, out=out) is out
    np.testing.assert_array_equal(out, IMG * 2)


def test_tuples_come_and_go_as_tuples() -> None:
    @halo.func
    def both(y, x, *, img):
        return img[y, x] + 1, img[y, x] * 0.5

    outs = np.zeros(IMG.shape, np.int32), np.zeros(IMG.shape, np.float64)
    a, b = both(img=IMG, out=outs)
    assert a is outs[0]
    assert b is outs[1]
    np.testing.assert_array_equal(a, IMG + 1)


def test_a_pipeline_computes_outputs_of_any_shapes() -> None:
    @halo.func
    def total(y, *, img):
        return sum(img[y, r] for r in halo.rdom(img.shape[1]))

    p = halo.Pipeline([twice, total])
    a, b = p(img=IMG)
    np.testing.assert_array_equal(a, IMG * 2)
    np.testing.assert_array_equal(b, IMG.sum(axis=1))


def test_rank_0_gives_a_0d_array() -> None:
    @halo.func
    def total(*, img):
        return sum(img[r, s] for r, s in halo.rdom(img))

    out = total(img=IMG)
    assert isinstance(out, np.ndarray)
    assert out.shape == ()
    assert out == IMG.sum()


def test_the_region_is_out_s_shape_or_shape() -> None:
    np.testing.assert_array_equal(shifted(img=IMG, shape=(4, 5)), IMG[:4, 2:7])
    np.testing.assert_array_equal(shifted(img=IMG, out=np.zeros((3, 6), np.int32)), IMG[:3, 2:8])


def test_else_the_extents_of_inputs_at_plain_variables() -> None:
    @halo.func
    def product(y, x):
        return twice[y, x] + 1

    np.testing.assert_array_equal(product(img=IMG), IMG * 2 + 1)

    @halo.func
    def outer(y, x, *, col, row):
        return col[y] * row[x]

    np.testing.assert_array_equal(outer(col=np.arange(3), row=np.arange(4)), np.outer(np.arange(3), np.arange(4)))


def test_without_a_plain_subscript_shape_is_asked_for() -> None:
    with pytest.raises(halo.ArgumentError, match="shape="):
        shifted(img=IMG)


def test_a_pad_view_has_the_extents_of_what_it_pads() -> None:
    @halo.func
    def last(y, x, *, img):
        return img[y, x + 1] + img.shape[1]

    want = np.pad(IMG, ((0, 0), (0, 1)), "edge")[:, 1:] + 14
    np.testing.assert_array_equal(last(img=halo.pad(IMG, "edge"), shape=IMG.shape), want)


def test_realize_computes_any_box() -> None:
    np.testing.assert_array_equal(shifted.realize((3, 4), origin=(5, 6), img=IMG), IMG[5:8, 8:12])

    @halo.func
    def coordinates(y, x):
        return y * 10 + x

    np.testing.assert_array_equal(coordinates.realize((2, 2), origin=(-3, -1)), [[-31, -30], [-21, -20]])


def test_too_small_an_input_is_named_before_anything_is_written() -> None:
    out = np.full((11, 14), 7, np.int32)
    with pytest.raises(halo.BoundsError) as error:
        shifted(img=IMG, out=out)
    assert isinstance(error.value, IndexError)
    text = str(error.value)
    for part in ("img", "15", "13"):
        assert part in text
    assert (out == 7).all()


@pytest.mark.parametrize(
    "schedule", [lambda f: f.vectorize("x", 8), lambda f: f.split("x", "xo", "xi", 16, tail="round_up")]
)
def test_the_region_checked_is_the_unscheduled_one(schedule) -> None:
    @halo.func
    def f(y, x, *, img):
        return img[y, x + 1]

    schedule(f)
    np.testing.assert_array_equal(f(img=IMG, shape=(11, 13)), IMG[:, 1:])
    with pytest.raises(halo.BoundsError):
        f(img=IMG, shape=(11, 14))


def test_a_data_dependent_index_is_bounded_by_its_type_or_by_clamp() -> None:
    table = np.arange(256, dtype=np.int32)

    @halo.func
    def by_type(x, *, i: halo.u8[:], t: halo.i32[:]):
        return t[i[x]]

    @halo.func
    def unbounded(x, *, i: halo.i64[:], t: halo.i32[:]):
        return t[i[x]]

    @halo.func
    def clamped(x, *, i: halo.i64[:], t: halo.i32[:]):
        return t[halo.clamp(i[x], 0, t.shape[0] - 1)]

    i = RNG.integers(0, 256, 10)
    np.testing.assert_array_equal(by_type(i=i.astype(np.uint8), t=table), i)
    np.testing.assert_array_equal(clamped(i=i * 5, t=table), np.clip(i * 5, 0, 255))
    with pytest.raises(halo.BoundsError):
        by_type(i=i.astype(np.uint8), t=table[:255])
    with pytest.raises(halo.BoundsError, match=r"halo\.clamp"):
        unbounded(i=i, t=table)


@pytest.mark.parametrize(
    "view",
    [IMG[::-1], IMG[:, ::-1], IMG[::2, ::3], IMG.T, np.broadcast_to(IMG[0], (5, 14)), np.asfortranarray(IMG)],
    ids=["up", "left", "steps", "transposed", "broadcast", "fortran"],
)
def test_any_strided_array(view: np.ndarray) -> None:
    np.testing.assert_array_equal(twice(img=view), view * 2)


def test_read_only_inputs_and_writable_outputs() -> None:
    frozen = IMG.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(twice(img=frozen), IMG * 2)
    with pytest.raises(halo.ArgumentError, match="read-only"):
        twice(img=IMG, out=frozen)


def test_strided_out() -> None:
    out = np.zeros((22, 28), np.int32)
    twice(img=IMG, out=out[::2, ::-2])
    np.testing.assert_array_equal(out[::2, ::-2], IMG * 2)
    assert out[1::2].sum() == 0


def test_array_protocols() -> None:
    class ByInterface:
        __array_interface__ = IMG.__array_interface__

    class ByDlpack:
        def __dlpack__(self, **options):
            return IMG.__dlpack__(**options)

        def __dlpack_device__(self):
            return IMG.__dlpack_device__()

    for a in (ByInterface(), ByDlpack(), memoryview(IMG)):
        np.testing.assert_array_equal(twice(img=a), IMG * 2)


def test_overlap_of_out_and_input_goes_through_scratch() -> None:
    a = IMG.copy()
    shifted(img=a, out=a[:, :12])
    np.testing.assert_array_equal(a[:, :12], IMG[:, 2:])
    b = IMG.copy()

    @halo.func
    def mirrored(y, x, *, img):
        return img[y, img.shape[1] - 1 - x]

    mirrored(img=b, out=b)
    np.testing.assert_array_equal(b, IMG[:, ::-1])


def test_zero_sized_axes() -> None:
    assert twice(img=np.zeros((0, 5), np.int32)).shape == (0, 5)
    assert twice(img=np.zeros((5, 0), np.int32)).shape == (5, 0)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"img": np.zeros(3, np.uint8)}, ["img", "2", "1"]),
        ({"img": np.zeros((3, 3), np.complex64)}, ["img", "complex64"]),
        ({"image": IMG}, ["image", "img"]),
        ({}, ["img"]),
        ({"img": IMG, "out": np.zeros((11, 14), np.uint8)}, ["out", "u8", "i32"]),
        ({"img": "no array"}, ["img"]),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, parts: list[str]) -> None:
    with pytest.raises(halo.ArgumentError) as error:
        twice(**arguments)
    assert isinstance(error.value, TypeError)
    assert isinstance(error.value, ValueError)
    for part in parts:
        assert part in str(error.value)


def test_a_kernel_is_a_callable() -> None:
    for kernel in (twice.compile(img=IMG), twice.compile(img=halo.i32)):
        assert isinstance(kernel, halo.Kernel)
        np.testing.assert_array_equal(kernel(IMG), IMG * 2)
        out = np.zeros_like(IMG)
        kernel(img=IMG, out=out)
        np.testing.assert_array_equal(out, IMG * 2)


@pytest.mark.parametrize("target", ["host"], indirect=True)
def test_calls_from_many_threads() -> None:
    @halo.func
    def busy(y, x, *, img):
        return sum(img[y, x] % (k + 1) for k in halo.rdom(50))

    busy.parallel("y")
    big = RNG.integers(0, 999, (200, 100), np.int32)
    want = sum(big % (k + 1) for k in range(50))
    failures = []

    def work() -> None:
        for _ in range(5):
            if not np.array_equal(busy(img=big), want):
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_calls_survive_fork(tmp_path: Path) -> None:
    code = """
import os, numpy as np, halo
@halo.func
def twice(y, x, *, img):
    return img[y, x] * 2
twice.parallel("y")
a = np.arange(200 * 200, dtype=np.int32).reshape(200, 200)
assert (twice(img=a) == a * 2).all()
pid = os.fork()
if pid == 0:
    os._exit(0 if (twice(img=a) == a * 2).all() else 1)
assert os.waitpid(pid, 0)[1] == 0
assert (twice(img=a) == a * 2).all()
"""
    run_script(tmp_path, code)


def test_thread_counts() -> None:
    before = halo.get_num_threads()
    halo.set_num_threads(1)
    try:
        assert halo.get_num_threads() == 1
        np.testing.assert_array_equal(twice(img=IMG), IMG * 2)
    finally:
        halo.set_num_threads(before)


def test_nested_parallel_loops() -> None:
    @halo.func
    def f(y, x, *, img):
        return img[y, x] + 1

    f.parallel("y").parallel("x")
    np.testing.assert_array_equal(f(img=IMG), IMG + 1)


def test_the_disk_cache_serves_a_new_process(tmp_path: Path) -> None:
    code = """
import numpy as np, halo
@halo.func
def thrice(x, *, a):
    return a[x] * 3
assert (thrice(a=np.arange(5)) == np.arange(5) * 3).all()
"""
    cache = tmp_path / "cache"
    for _ in range(2):
        run_script(tmp_path, code, HALO_CACHE_DIR=str(cache))
    files = [p for p in cache.rglob("*") if p.is_file()]
    assert files
    for p in files:  # what is corrupt is made anew
        p.write_bytes(p.read_bytes()[: p.stat().st_size // 2])
    run_script(tmp_path, code, HALO_CACHE_DIR=str(cache))


def test_a_call_inside_an_njit_function() -> None:
    import numba

    kernel = twice.compile(img=IMG)

    @numba.njit
    def run(img, out):
        kernel(img, out)
        return out.sum()

    out = np.zeros_like(IMG)
    assert run(IMG, out) == IMG.sum() * 2


@pytest.mark.slow
def test_recompiling_leaves_memory_flat(tmp_path: Path) -> None:
    code = """
import resource, numpy as np, halo
def make(k):
    @halo.func(cache=False)
    def f(x, *, a):
        return a[x] * k
    return f
a = np.arange(8)
def some(lo, hi):
    for k in range(lo, hi):
        assert (make(k)(a=a) == a * k).all()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = some(0, 100)
after = some(100, 600)
assert after - before < 20, (before, after)
"""
    run_script(tmp_path, code)
