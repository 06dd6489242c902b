"""Array protocols: what comes in shares its memory; what machine code can address; overlap."""

import array
import ctypes
import mmap

import ml_dtypes
import numpy as np
import pytest

from halo import types
from halo.errors import ArgumentError
from halo.jit import arrays

A = np.arange(24, dtype=np.int32).reshape(4, 6)


class Interface:
    def __init__(self, a):
        self.__array_interface__ = a.__array_interface__
        self.keep = a


class Dlpack:
    """A producer like other libraries' arrays. `old` ones know no version; `device` is where they say they are."""

    def __init__(self, a, old=False, device=(1, 0)):
        self.a, self.old, self.device = a, old, device

    def __dlpack__(self, **options):
        if self.old and options:
            raise TypeError("unexpected keyword")
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


class OnlyArray:
    def __array__(self, dtype=None, copy=None):
        return A


# Protocols


@pytest.mark.parametrize("view", [A, A[::-1], A[:, ::2], A.T, A[1:1], A[0, 0]], ids=str)
@pytest.mark.parametrize("wrap", [lambda a: a, Interface, Dlpack, lambda a: Dlpack(a, old=True), memoryview])
def test_views_share_memory(view, wrap):
    view = np.asarray(view)
    if wrap is memoryview and view.ndim and not view.size:
        view = A[1:1].copy()
    got = arrays.as_array(wrap(view), "img")
    assert type(got) is np.ndarray
    assert got.dtype == view.dtype
    np.testing.assert_array_equal(got, view)
    assert not view.size or got.ctypes.data == view.ctypes.data
    assert not view.size or got.strides == view.strides


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (b"abc", np.uint8),
        (bytearray(b"abc"), np.uint8),
        (array.array("f", [1, 2, 3]), np.float32),
        ((ctypes.c_int16 * 3)(1, 2, 3), np.int16),
        (memoryview(b"abcdef").cast("H"), np.uint16),
        (OnlyArray(), np.int32),
    ],
)
def test_other_holders(value, dtype):
    got = arrays.as_array(value, "img")
    assert got.dtype == dtype
    assert got.size >= 3


def test_mapped_memory():
    with mmap.mmap(-1, 4096) as m:
        got = arrays.as_array(m, "img")
        got[0] = 7
        assert m[0] == 7
        del got


def test_read_only_is_kept():
    frozen = A.copy()
    frozen.flags.writeable = False
    for value in (frozen, Interface(frozen), Dlpack(frozen), b"abc"):
        assert not arrays.as_array(value, "img").flags.writeable
    for value in (A, Interface(A), Dlpack(A), bytearray(3)):
        assert arrays.as_array(value, "img").flags.writeable


@pytest.mark.parametrize("dtype", [bool, "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_dlpack_of_every_type(dtype):
    a = np.arange(6).reshape(2, 3).astype(dtype)
    got = arrays.as_array(Dlpack(a), "img")
    assert got.dtype == a.dtype
    np.testing.assert_array_equal(got, a)


class _DlTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device", ctypes.c_int32 * 2), ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64), ("manager", ctypes.c_void_p), ("deleter", ctypes.c_void_p),
    )  # fmt: skip


class Handmade:
    """A DLPack capsule of any type code over the memory of `a`, as a library with bf16 exports one."""

    def __init__(self, a, code, bits, lanes=1, offset=0):
        self.a = a
        self.shape = (ctypes.c_int64 * a.ndim)(*a.shape)
        self.strides = (ctypes.c_int64 * a.ndim)(*(s // a.itemsize for s in a.strides))
        at = ctypes.addressof
        data = a.ctypes.data - offset
        self.tensor = _DlTensor(data, (1, 0), a.ndim, code, bits, lanes, at(self.shape), at(self.strides), offset)

    def __dlpack__(self):
        new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return new(("PyCapsule_New", ctypes.pythonapi))(ctypes.addressof(self.tensor), b"dltensor", None)


def test_dlpack_of_bf16():
    """NumPy itself refuses it."""
    a = np.arange(6, dtype=np.float32).reshape(2, 3).astype(ml_dtypes.bfloat16)
    got = arrays.as_array(Handmade(a[:, ::-1], 4, 16), "img")
    assert got.dtype == ml_dtypes.bfloat16
    assert arrays.element_type(got) is types.bf16
    np.testing.assert_array_equal(got.astype(np.float32), a[:, ::-1].astype(np.float32))
    got[0, 0] = 9
    assert a[0, 2] == 9
    assert arrays.as_array(Handmade(np.zeros((0, 3), ml_dtypes.bfloat16), 4, 16), "img").dtype == ml_dtypes.bfloat16


def test_dlpack_offset():
    np.testing.assert_array_equal(arrays.as_array(Handmade(A, 0, 32, offset=64), "img"), A)


@pytest.mark.parametrize(
    "value", [Handmade(A, 0, 32, lanes=4), Handmade(A, 17, 8), Handmade(A, 4, 32), Dlpack(A, device=(2, 0))]
)
def test_dlpack_that_is_refused(value):
    with pytest.raises(ArgumentError, match="img"):
        arrays.as_array(value, "img")


def test_dlpack_memory_lives_as_long_as_the_view():
    a = np.arange(1000)
    got = arrays.as_array(Dlpack(a.copy()), "img")
    junk = [np.zeros(1000, np.int64) for _ in range(10)]
    np.testing.assert_array_equal(got, a)
    del junk


@pytest.mark.parametrize("value", [None, 3, 2.5, "text", [1, 2], ((1,),), {}, object(), np.float32(1), print, type])
def test_what_is_no_array(value):
    with pytest.raises(ArgumentError, match="img"):
        arrays.as_array(value, "img")


def test_a_list_gets_the_cure():
    with pytest.raises(ArgumentError) as e:
        arrays.as_array([[1, 2], [3, 4]], "img")
    assert "numpy.asarray" in e.value.hint


def test_a_copy_is_no_output():
    with pytest.raises(ArgumentError, match="out"):
        arrays.as_array(OnlyArray(), "out", shared=True)


# Types


def test_every_type_of_the_language():
    for t in types.ALL:
        assert arrays.element_type(np.zeros(1, t.dtype)) is t
        assert arrays.element_type(np.zeros(1, t.dtype.newbyteorder())) is t or t is types.bf16


@pytest.mark.parametrize("dtype", ["c8", "S3", "U2", "O", "M8[s]", "V4", [("a", "i4")], np.longdouble])
def test_other_types(dtype):
    assert arrays.element_type(np.zeros(1, dtype)) is None


# Addressing


def test_addressable():
    raw = np.zeros(65, np.uint8)
    fields = np.zeros(3, [("a", "u1"), ("b", "<i2"), ("c", "u1")])
    for a in (A, A[::-1], A[:, ::2], A.T, np.broadcast_to(A[0], (3, 6)), fields["a"], np.float64(1) * np.ones(())):
        assert arrays.is_addressable(np.asarray(a))
    for a in (A.astype(">i4"), raw[1:65].view(np.int32), fields["b"], np.zeros(3, [("x", "u1"), ("y", "<i4")])["y"]):
        assert not arrays.is_addressable(a)
    one = np.lib.stride_tricks.as_strided(A, (1, 6), (3, 4))
    assert arrays.is_addressable(one), "the stride of one element does not count"


def test_element_strides():
    assert arrays.element_strides(A) == (6, 1)
    assert arrays.element_strides(A[::-1, ::2]) == (-6, 2)
    assert arrays.element_strides(A[:, :1]) == (6, 1)
    assert arrays.element_strides(A[:, 3:4].T) == (1, 6)
    assert arrays.element_strides(np.lib.stride_tricks.as_strided(A, (4, 1), (24, 48))) == (6, 1)
    assert arrays.element_strides(np.ones(())) == ()


def test_overlap():
    b = np.zeros(100, np.int16)
    assert arrays.overlap(b, b)
    assert arrays.overlap(b[:60], b[40:])
    assert arrays.overlap(b[::-1], b[:1])
    assert not arrays.overlap(b[:50], b[50:])
    assert not arrays.overlap(b[::2], b[1::2])
    assert not arrays.overlap(b, b.copy())
    assert not arrays.overlap(b[:0], b)
    assert arrays.overlap(b.view(np.uint8)[1:2], b[:1])


def test_overlap_that_is_too_hard_counts():
    """The exact test is a Diophantine equation: a bounded effort, then the careful answer."""
    raw = np.zeros(10**6, np.uint8)
    strides = [1009, 1013, 1019, 1021, 1031, 1033]
    x = np.lib.stride_tricks.as_strided(raw, (20,) * 6, strides)
    y = np.lib.stride_tricks.as_strided(raw[7:], (20,) * 6, [s + 30 for s in strides])
    assert arrays.overlap(x, y)


def test_overlaps_itself():
    stride = np.lib.stride_tricks.as_strided
    for a in (A, A[::-1], A.T, A[:, ::3], A[:0], np.ones(()), A[:1], stride(A, (1, 6), (0, 4))):
        assert not arrays.overlaps_itself(a)
    for a in (
        np.broadcast_to(A[0], (3, 6)),
        stride(A, (4, 6), (4, 4)),
        stride(A, (3,), (2,)),
        stride(A, (2, 4), (12, 4)),
    ):
        assert arrays.overlaps_itself(a)
