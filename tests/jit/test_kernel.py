"""Kernels: what a call accepts, what it refuses (with out untouched), and what it makes of a status."""

import gc
import os
import re
import threading
import time
import weakref

import ml_dtypes
import numpy as np
import pytest

import halo
from halo.errors import ArgumentError, BoundsError, CompileError, Location
from halo.ir.pipeline import CheckInfo
from halo.jit.binding import Binder
from halo.jit.kernel import Kernel
from halo.jit.layout import Layout, Port, Scalar
from halo.lowering import PASSES
from halo.types import f32, i32, u8

A = np.arange(60, dtype=np.uint8).reshape(6, 10)


@halo.func
def shifted(y, x, *, img: halo.u8[:, :], k: halo.u8 = 1):
    return img[y, x + 2] + k


@halo.func
def twice(y, x, *, img):
    return img[y, x] * 2


@halo.func
def both(x, *, a: halo.i32[:]):
    return a[x] + 1, a[x] * 0.5


@pytest.fixture(scope="module")
def shift():
    return shifted.compile()


@pytest.fixture(scope="module")
def double():
    return twice.compile(img=halo.u8)


# Results


def test_by_position_and_by_name(shift):
    want = A[:, 2:] + 1
    out = np.zeros((6, 8), np.uint8)
    for call in (
        lambda: shift(A, 1, shape=(6, 8)),
        lambda: shift(A, shape=(6, 8)),
        lambda: shift(img=A, k=1, shape=[6, 8]),
        lambda: shift(A, k=1, out=out),
        lambda: shift(A, 1, out),
        lambda: shift(img=A, out=out, shape=(6, 8)),
        lambda: shift(A, np.uint8(1), shape=(np.int64(6), 8)),
        lambda: shift(A, np.array(1), shape=(6, 8)),
    ):
        out[...] = 0
        np.testing.assert_array_equal(call(), want)
    assert shift(A, out=out) is out


def test_realize(shift):
    np.testing.assert_array_equal(shift.realize((2, 3), origin=(1, 4), img=A), A[1:3, 6:9] + 1)
    np.testing.assert_array_equal(shift.realize(shape=(2, 3), origin=(0, -2), img=A, k=0), A[:2, :3])


def test_tuples_of_outputs():
    kernel = both.compile()
    a = np.arange(5, dtype=np.int32)
    for first, second in (kernel(a), kernel(a=a), kernel(a, shape=5)):
        np.testing.assert_array_equal(first, a + 1)
        np.testing.assert_array_equal(second, a * 0.5)
        assert second.dtype == first.dtype or second.dtype.kind == "f"
    outs = np.zeros(5, np.int32), np.zeros(5, second.dtype)
    for got in (kernel(a, out=outs), kernel(a, *outs)):
        assert isinstance(got, tuple)
        assert got[0] is outs[0]
        assert got[1] is outs[1]
    got = kernel(a, outs[0])
    assert got[0] is outs[0]
    np.testing.assert_array_equal(got[1], a * 0.5)


@pytest.mark.parametrize("bad", [np.zeros(5, np.int32), (np.zeros(5, np.int32),), (np.zeros(5, np.int32),) * 3, 7])
def test_out_of_a_tuple_is_a_tuple(bad):
    with pytest.raises(ArgumentError, match="out"):
        both.compile()(np.arange(5, dtype=np.int32), out=bad)


def test_outputs_of_a_tuple_have_one_shape():
    kernel, a = both.compile(), np.arange(5, dtype=np.int32)
    second = kernel(a)[1]
    with pytest.raises(ArgumentError, match="shape"):
        kernel(a, out=(np.zeros(4, np.int32), second))


def test_pipelines_give_one_entry_an_output():
    @halo.func
    def total(y, *, img):
        return sum(halo.i32(img[y, r]) for r in halo.rdom(10))

    kernel = halo.Pipeline([twice, total]).compile(img=halo.u8)
    image, sums = kernel(A)
    np.testing.assert_array_equal(image, A * 2)
    np.testing.assert_array_equal(sums, A.sum(axis=1))
    out = np.zeros((2, 5), np.uint8), None
    image, sums = kernel(img=A, out=out)
    assert image is out[0]
    assert sums.shape == (6,)
    image, sums = kernel(img=A, shape=[(2, 3), 4])
    assert (image.shape, sums.shape) == ((2, 3), (4,))
    for bad in (np.zeros((6, 10), np.uint8), (None,), 3):
        with pytest.raises(ArgumentError):
            kernel(A, out=bad)


def test_rank_0():
    @halo.func
    def total(*, a: halo.i32[:]):
        return sum(a[r] for r in halo.rdom(a))

    kernel = total.compile()
    a = np.arange(10, dtype=np.int32)
    assert kernel(a).shape == ()
    assert kernel(a) == 45
    out = np.zeros((), np.int32)
    assert kernel(a, out=out) is out
    assert out == 45
    assert kernel(a, shape=()) == 45


# Inputs


def odd_views():
    raw = np.zeros(61, np.uint8)
    raw[1:] = A.ravel()
    yield "reversed", A[::-1, ::-1]
    yield "steps", A[::2, ::3]
    yield "transposed", A.T
    yield "broadcast", np.broadcast_to(A[0], (4, 10))
    yield "one column", A[:, 3:4]
    yield "one row", A[2:3]
    yield "field", np.zeros((3, 4), [("a", "u1"), ("b", "u1")])["b"]
    yield "subclass", A.view(np.matrix)
    yield "interface", type("I", (), {"__array_interface__": A.__array_interface__})()
    yield "buffer", memoryview(A)


@pytest.mark.parametrize("view", [v for _, v in odd_views()], ids=[n for n, _ in odd_views()])
def test_any_strides_and_protocol(double, view):
    np.testing.assert_array_equal(double(view), np.asarray(view) * 2)


def test_what_machine_code_cannot_address_is_copied():
    kernel = twice.compile(img=halo.i32)
    a = np.arange(12, dtype=np.int32).reshape(3, 4)
    raw = bytearray(b"x" + a.tobytes())
    misaligned = np.frombuffer(raw, np.int32, 12, 1).reshape(3, 4)
    packed = np.zeros((3, 4), [("a", "u1"), ("b", "<i4")])
    packed["b"] = a
    for view in (a.astype(">i4"), misaligned, packed["b"]):
        np.testing.assert_array_equal(kernel(view), a * 2)
        out = view.copy() if view.dtype.byteorder == ">" else view
        got = kernel(a, out=out)
        assert got is out
        np.testing.assert_array_equal(got, a * 2)
        out[...] = a


@pytest.mark.parametrize("t", [t for t in halo.types.ALL if t is not halo.bool_], ids=str)
def test_every_type_comes_and_goes(t):
    a = np.array([[0, 1, 2], [3, 4, 5]]).astype(t.dtype)
    got = twice.compile(img=t)(a)
    assert got.dtype == t.dtype
    np.testing.assert_array_equal(got.astype(np.float64), a.astype(np.float64) * 2)


def test_bool():
    @halo.func
    def flip(x, *, a: halo.bool_[:], b: halo.bool_):
        return a[x] ^ b

    a = np.array([True, False, True])
    for b in (True, False, np.True_):
        np.testing.assert_array_equal(flip.compile()(a, b), a ^ b)


def test_bf16_of_another_library():
    a = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)
    kernel = twice.compile(img=halo.bf16)
    out = np.zeros((2, 3), ml_dtypes.bfloat16)
    kernel(img=a[:, ::-1], out=out)
    np.testing.assert_array_equal(out.astype(float), a[:, ::-1].astype(float) * 2)


def test_constants_are_no_arguments():
    table = np.arange(10, dtype=np.uint8)
    layout = Layout((Port("t", "input", u8, 1, False, 0), Port("f", "output", u8, 1, False, 0)), (), ())
    seen = []

    class Copy:
        def run(self, bound, layout):
            seen.append(bound.arrays[0])
            bound.arrays[1][...] = bound.arrays[0]
            return 0, []

    kernel = Kernel(Binder("f", layout, (), {}, {"t": table}, ((("t", 0),),)), Copy())
    np.testing.assert_array_equal(kernel(), table)
    with pytest.raises(ArgumentError, match="no input 't'"):
        kernel(t=table)


# Refusals


REFUSED = [
    ({}, "without img"),
    ({"img": A, "image": A}, "no input 'image'"),
    ({"img": A[0]}, "2 axes.*1 axis"),
    ({"img": A.astype(np.int8)}, "u8.*i8"),
    ({"img": A.astype(complex)}, "u8.*complex128"),
    ({"img": A.astype("S2")}, "u8"),
    ({"img": None}, "img"),
    ({"img": A.tolist()}, "img"),
    ({"img": A, "k": 256}, "k takes a u8"),
    ({"img": A, "k": -1}, "k takes a u8"),
    ({"img": A, "k": 1.0}, "k takes a u8"),
    ({"img": A, "k": "1"}, "k takes a u8"),
    ({"img": A, "k": A}, "k takes a u8"),
    ({"img": A, "k": None}, "k takes a u8"),
    ({"img": A, "shape": (6,)}, "shape"),
    ({"img": A, "shape": (6, -1)}, "shape"),
    ({"img": A, "shape": (6, 2**31)}, "shape"),
    ({"img": A, "shape": (6, 1.5)}, "shape"),
    ({"img": A, "shape": 6}, "shape"),
    ({"img": A, "shape": "68"}, "shape"),
    ({"img": A, "shape": (5, 8)}, "out is of shape"),
    ({"img": A, "out": np.zeros((6, 8), np.uint16)}, "out.*u8.*u16"),
    ({"img": A, "out": np.zeros(6, np.uint8)}, "out.*2 axes"),
    ({"img": A, "out": bytes(48)}, "out"),
    ({"img": A, "out": [[0]]}, "out"),
    ({"img": A}, "how long axis 1 of shifted"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_refused_and_out_untouched(shift, arguments, message):
    out = np.full((6, 8), 9, np.uint8)
    if arguments.get("out") is None and "how long" not in message:
        arguments = {**arguments, "out": out}
    with pytest.raises(ArgumentError, match=f"(?s){message}"):
        shift(**arguments)
    assert (out == 9).all()


def test_positions(shift):
    out = np.zeros((6, 8), np.uint8)
    with pytest.raises(ArgumentError, match="at most 2 arguments and 1 output"):
        shift(A, 1, out, out)
    with pytest.raises(ArgumentError, match="twice"):
        shift(A, img=A)
    with pytest.raises(ArgumentError, match="by position and as out="):
        shift(A, 1, out, out=out)


def test_read_only_out(shift):
    frozen = np.zeros((6, 8), np.uint8)
    frozen.flags.writeable = False
    for out in (frozen, np.frombuffer(bytes(48), np.uint8).reshape(6, 8), memoryview(bytes(48)).cast("B", (6, 8))):
        with pytest.raises(ArgumentError, match="read-only"):
            shift(A, out=out)


def test_a_promise_is_checked():
    @halo.func
    def dense(y, x, *, img: halo.u8[:, ::1]):
        return img[y, x] + 1

    kernel = dense.compile()
    np.testing.assert_array_equal(kernel(A), A + 1)
    np.testing.assert_array_equal(kernel(A[::2]), A[::2] + 1)
    np.testing.assert_array_equal(kernel(A[:, :1]), A[:, :1] + 1)
    for view in (A[:, ::2], A.T, A[:, ::-1]):
        with pytest.raises(ArgumentError, match="contiguous"):
            kernel(view)


def test_too_small_an_input(shift):
    out = np.full((6, 9), 9, np.uint8)
    with pytest.raises(BoundsError, match=r"img.*axis 1: 2..10 is needed, 0..9 exists") as e:
        shift(A, out=out)
    assert (out == 9).all()
    assert isinstance(e.value, IndexError)
    assert "img[y, x + 2] + k" in str(e.value)
    with pytest.raises(BoundsError, match="it is empty"):
        shift(A[:, :0], shape=(6, 1))


# Outputs


def test_overlap_is_computed_in_scratch(shift):
    for view in (lambda a: a[:, :8], lambda a: a[:, 1:9], lambda a: a[::-1, :8], lambda a: a[:, 7::-1]):
        a = A.copy()
        got = shift(a, out=view(a))
        np.testing.assert_array_equal(got, A[:, 2:] + 1)


def test_interleaved_arrays_do_not_overlap(double):
    pair = np.zeros((6, 20), np.uint8)
    pair[:, ::2] = A
    double(pair[:, ::2], out=pair[:, 1::2])
    np.testing.assert_array_equal(pair[:, 1::2], A * 2)
    np.testing.assert_array_equal(pair[:, ::2], A)


def test_strided_out(double):
    for view in (lambda a: a[::2, ::3], lambda a: a[::-2, ::-3], lambda a: a[::2, ::3][:, ::-1]):
        frame = np.full((12, 30), 9, np.uint8)
        got = double(A, out=view(frame))
        np.testing.assert_array_equal(got, A * 2)
        assert (frame == 9).sum() >= frame.size - A.size
    across = np.zeros((10, 6), np.uint8)
    double(A, out=across.T)
    np.testing.assert_array_equal(across.T, A * 2)


def test_outputs_that_overlap_each_other():
    kernel = halo.Pipeline([twice, shifted]).compile(img=halo.u8)
    a = np.zeros((6, 10), np.uint8)
    with pytest.raises(ArgumentError, match="share memory"):
        kernel(A, out=(a, a[:, :8]))
    assert not a.any()


def test_out_that_overlaps_itself(double):
    out = np.lib.stride_tricks.as_strided(np.zeros(60, np.uint8), (6, 10), (0, 1))
    double(A, out=out)
    np.testing.assert_array_equal(out[0], A[5] * 2)


def test_out_of_other_holders(double):
    raw = bytearray(60)
    view = memoryview(raw).cast("B", (6, 10))
    assert double(A, out=view) is view
    np.testing.assert_array_equal(np.frombuffer(raw, np.uint8).reshape(6, 10), A * 2)


@pytest.mark.parametrize("shape", [(0, 10), (6, 0), (0, 0)])
def test_empty_axes(double, shape):
    got = double(np.zeros(shape, np.uint8))
    assert got.shape == shape
    out = np.zeros(shape, np.uint8)
    assert double(np.zeros(shape, np.uint8), out=out) is out


def test_an_empty_region_needs_nothing(shift):
    assert shift(A[:, :1], shape=(6, 0)).shape == (6, 0)
    assert shift(A[:0, :0], shape=(0, 5)).shape == (0, 5)


def test_outputs_that_are_read_must_be_given():
    layout = Layout((Port("f", "output", u8, 1, False, 0),), (), ())

    class Increment:
        def run(self, bound, layout):
            bound.arrays[0] += 1
            return 0, []

    kernel = Kernel(Binder("f", layout, (), {}, {}, ((None,),), reads_out=frozenset({0})), Increment())
    with pytest.raises(ArgumentError, match="out="):
        kernel(shape=3)
    odd = np.zeros(7, np.uint8)[::3]
    kernel(out=odd)
    np.testing.assert_array_equal(odd, 1)
    swapped = np.zeros(3, [("a", "u1"), ("b", "u1")])["b"]
    kernel(out=swapped)
    np.testing.assert_array_equal(swapped, 1)


# Statuses


class Scripted:
    """Code that ends with the given status."""

    def __init__(self, status, values=()):
        self.status, self.values, self.calls = status, list(values), 0

    def run(self, bound, layout):
        self.calls += 1
        return self.status, self.values


PLACE = Location("f.py", 7, text="f[x] = a[x + 1]")
CHECKS = (
    CheckInfo("bounds", "a", 0, loc=PLACE),
    CheckInfo("fallback", "a", 0),
    CheckInfo("require", message="k is even", loc=PLACE),
    CheckInfo("specialize"),
)
LAYOUT = Layout(
    (Port("a", "input", i32, 1, False, 0), Port("f", "output", i32, 1, False, 0)), (Scalar("k", f32),), CHECKS
)
BINDER = Binder("f", LAYOUT, ("a", "k"), {"k": 1.0}, {}, ((("a", 0),),))
ONE = np.ones(3, np.int32)


def test_status_of_bounds():
    with pytest.raises(BoundsError) as e:
        Kernel(BINDER, Scripted(1, [1, 3, 3]))(ONE)
    assert "a is too small along axis 0: 1..3 is needed, 0..2 exists" in str(e.value)
    assert "f.py:7" in str(e.value)
    assert "pad" in e.value.hint


def test_status_of_a_requirement():
    with pytest.raises(ArgumentError, match="k is even") as e:
        Kernel(BINDER, Scripted(3))(ONE)
    assert e.value.loc is PLACE


def test_status_of_memory_and_of_nonsense():
    with pytest.raises(MemoryError):
        Kernel(BINDER, Scripted(-1))(ONE)
    for status in (5, -2):
        with pytest.raises(CompileError):
            Kernel(BINDER, Scripted(status))(ONE)


def test_fallback_is_compiled_once_when_needed():
    cautious = Scripted(0)
    made = []

    def make(kind, call):
        made.append((kind, call))
        return Kernel(BINDER, cautious)

    fine = Kernel(BINDER, Scripted(0), make)
    fine(ONE)
    assert not made
    picky = Kernel(BINDER, Scripted(2), make)
    for _ in range(3):
        picky(ONE)
        picky.realize((2,), (1,), a=ONE)
    assert made == [("fallback", {"a": (3,), "f": (3,), "k": 1.0})]
    assert cautious.calls == 6
    branching = Kernel(BINDER, Scripted(4), make)
    for shape in (2, 3):
        branching(ONE, 2.0, shape=shape)
    assert made[1:] == [("specialize", {"a": (3,), "f": (2,), "k": 2.0})]
    with pytest.raises(CompileError):
        Kernel(BINDER, Scripted(2))(ONE)


def test_fallback_is_compiled_once_by_many_threads():
    made = []

    def make(kind, call):
        time.sleep(0.02)
        made.append(1)
        return Kernel(BINDER, Scripted(0))

    picky = Kernel(BINDER, Scripted(2), make)
    threads = [threading.Thread(target=picky, args=(ONE,)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(made) == 1


# The object


def test_repr(shift):
    assert repr(shift) == "<halo.Kernel shifted(img: u8[:, :], k: u8) -> u8[:, :]>"
    assert repr(both.compile()).startswith("<halo.Kernel both(a: i32[:]) -> i32[:], f")


def test_a_dropped_kernel_is_freed_at_once(double):
    kernel = Kernel(double.binder, double.code)
    kernel(A)
    kernel(A, shape=(2, 3))
    seen = weakref.ref(kernel)
    gc.disable()
    try:
        del kernel
        assert seen() is None
    finally:
        gc.enable()


def test_many_threads_share_a_kernel(shift):
    wrong = []

    def work(seed):
        image = np.roll(A, seed)
        for _ in range(200):
            if not np.array_equal(shift(image, seed, shape=(6, 8)), image[:, 2:] + np.uint8(seed)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_the_disk_cache_serves_the_second_kernel(tmp_path, monkeypatch):
    from halo.jit import cache, llvm

    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_state", cache._State())

    def make():
        @halo.func
        def f(x, *, a: halo.i32[:]):
            return a[x + 1] * 3

        return f.compile()

    first = make()
    compiled = []
    compile_parts = llvm.compile_parts
    monkeypatch.setattr(llvm, "compile_parts", lambda *a: compiled.append(1) or compile_parts(*a))
    second = make()
    assert not compiled
    np.testing.assert_array_equal(second(ONE, shape=2), first(ONE, shape=2))
    with pytest.raises(BoundsError) as e:
        second(ONE, shape=3)
    assert "a[x + 1] * 3" in str(e.value), "the place is that of the definition at hand"
    with halo.options(cache=False):
        make()
    assert compiled


def test_time_is_printed(capfd):
    @halo.func(cache=False)
    def thrice(x, *, a: halo.i32[:]):
        return a[x] * 3

    with halo.options(time=True):
        thrice.compile()
    first, *steps = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"halo: thrice compiled in [\d.]+ ms", first)
    names = [re.fullmatch(r"  (\w+) +[\d.]+ ms", line)[1] for line in steps]
    assert names == ["typing", "cache", *(p.name for p in PASSES), "emit", "llvm", "load"]


def test_500_recompiles_leave_memory_flat():
    """Kernels come and go; what they took is given back."""
    code = twice.compile(img=halo.u8)
    from halo.jit import llvm
    from halo.jit.kernel import MachineCode
    from halo.jit.target import Target

    text = "define i32 @f(ptr %slots, ptr %error) { ret i32 0 }"

    def churn(n):
        for _ in range(n):
            k = Kernel(code.binder, MachineCode(llvm.compile_ir(text, Target.host()), "f"))
            k(A)

    churn(100)
    before = resident()
    churn(500)
    assert resident() - before < 8 << 20


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
