"""The fast way into a kernel: a Python function in machine code, for the calls that need no thought.

`entry.ll` is that function (with `entry_arrays.ll`). It reads arrays where NumPy keeps their fields and speaks CPython's
C interface; what it does not serve (see there) goes on to the slow path in Python. `fast_entry` fills in what it must
know of one kernel.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..types import Type, bool_, f32, f64
from .binding import Binder
from .layout import Layout
from .results import LARGE
from .runtime import compiled
from .target import Target

__all__ = ["Ahead", "FastEntry", "fast_entry", "native", "slow_path"]

_SOURCES = tuple(Path(__file__).with_name(name) for name in ("entry.ll", "entry_arrays.ll"))
_RELEASE = 1 << 15  # bytes of arrays from which on a call is long enough to let other threads run
_FASTCALL_KEYWORDS = 0x0080 | 0x0002
_MOST_OBJECTS, _MOST_SLOTS = 32, 256
_ARRAY, _INTEGER, _F32, _F64, _BOOL, _OTHER, _IGNORED = range(7)
_FUNCTIONS = (
    "PyCapsule_GetPointer", "PyErr_Clear", "PyEval_RestoreThread", "PyEval_SaveThread", "PyFloat_AsDouble",
    "PyLong_AsLongLongAndOverflow", "PyLong_FromLongLong", "PyObject_VectorcallDict", "PyObject_VectorcallMethod",
    "PyTuple_GetItem", "PyTuple_New", "PyTuple_SetItem", "PyTuple_Size", "Py_DecRef", "Py_IncRef",
)  # fmt: skip
_CALL = sys.intern("__call__")


class _Argument(ctypes.Structure):
    """%Argument."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("kind", ctypes.c_int64),
        ("slot", ctypes.c_int64),
        ("default", ctypes.c_void_p),
        ("dtype", ctypes.c_void_p),
        ("ndim", ctypes.c_int64),
        ("shift", ctypes.c_int64),
        ("least", ctypes.c_int64),
        ("most", ctypes.c_int64),
    )


class _Output(ctypes.Structure):
    """%Output."""

    _fields_ = (
        ("slot", ctypes.c_int64),
        ("dtype", ctypes.c_void_p),
        ("ndim", ctypes.c_int64),
        ("shift", ctypes.c_int64),
        ("extents", ctypes.c_void_p),
        ("large", ctypes.c_int64),
        ("like", ctypes.c_int64),
    )


class _Call(ctypes.Structure):
    """%Call."""

    _fields_ = (
        ("kernel", ctypes.c_void_p),
        ("slow", ctypes.c_void_p),
        ("inputs", ctypes.c_int64),
        ("arguments", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("outputs", ctypes.c_void_p),
        ("named", ctypes.c_int64),
        ("packed", ctypes.c_int64),
        ("release", ctypes.c_int64),
        ("positional", ctypes.c_int64),
        ("ahead", ctypes.c_void_p),
    )


class _MethodDef(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _ArrayHead(ctypes.Structure):
    """PyArrayObject_fields."""

    _fields_ = (
        ("refcount", ctypes.c_int64),
        ("type", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("nd", ctypes.c_int),
        ("dimensions", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("base", ctypes.c_void_p),
        ("descr", ctypes.c_void_p),
        ("flags", ctypes.c_int),
    )


class _Native:
    """The loaded code, and the one method definition that all entries share."""

    def __init__(self) -> None:
        from . import llvm

        code = compiled("\n".join(path.read_text() for path in _SOURCES), Target.host())
        self.library = llvm.load_object(code, _symbols(), ("halo_entry",))
        self.method = _MethodDef(b"kernel", self.library.address("halo_entry"), _FASTCALL_KEYWORDS, None)

        new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
        capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        self._function: Any = new(("PyCFunction_NewEx", ctypes.pythonapi))
        self._capsule: Any = capsule(("PyCapsule_New", ctypes.pythonapi))

    def function(self, call: _Call) -> Callable[..., Any]:
        """`halo_entry` with `call` as its self."""
        made: Callable[..., Any] = self._function(
            ctypes.addressof(self.method), self._capsule(ctypes.addressof(call), None, None), None
        )
        return made


@functools.cache
def native() -> _Native | None:
    """The code, where objects and arrays lie in memory as it believes; else None, and all calls take the slow path."""
    return _Native() if _is_known_layout() else None


def _is_known_layout() -> bool:
    if sys.implementation.name != "cpython" or object.__basicsize__ != 16 or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False  # free-threaded builds have larger heads
    a = np.zeros((3, 4), np.uint16)[:, ::2]
    head = _ArrayHead.from_address(id(a))
    return (
        (head.type, head.data, head.nd) == (id(np.ndarray), a.ctypes.data, 2)
        and (head.dimensions[0], head.dimensions[1], head.strides[0], head.strides[1]) == (*a.shape, *a.strides)
        and head.descr == id(a.dtype) == id(np.dtype(np.uint16))
        and bool(head.flags & 1024) is a.flags.writeable
    )


def _symbols() -> dict[str, int]:
    objects = {"numpy_ndarray": np.ndarray, "numpy_empty": np.empty, "name_of_call": _CALL, "PyFloat_Type": float,
               "PyLong_Type": int, "PyTuple_Type": tuple, "_Py_NoneStruct": None,
               "_Py_TrueStruct": True, "_Py_FalseStruct": False}  # fmt: skip
    addresses = {name: id(value) for name, value in objects.items()}
    for name in _FUNCTIONS:
        addresses[name] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    return addresses


@dataclass(frozen=True)
class Ahead:
    """What runs between the arguments and the outputs: the address of `i32 (slots)`, which gives 0 if the call is served here;
    the slots of the extents that it writes, of each output; how many slots there are in all."""

    address: int
    extents: tuple[tuple[int, ...], ...]
    slots: int


class FastEntry:
    """`function` calls the kernel at `address`, and `slow(status, *args, **kwargs)` for what it does not serve itself.

    Calls with large arrays let go of Python's lock, and all that have something `ahead`: a whole program may take long over
    few bytes. The function is good for as long as this object, the kernel's code and `slow` live.
    """

    def __init__(
        self, native: _Native, binder: Binder, address: int, slow: Callable[..., Any], ahead: Ahead | None
    ) -> None:
        layout, constants = binder.layout, tuple(binder.constants)
        ports = [k for group in layout.outputs for k in group]
        self._keep: list[Any] = [slow, native]  # threads that come first at the same time each load one
        names = (*binder.order, *constants)
        rows = [self._argument(binder, name) for name in names]
        rows += [_Argument(name=self._address(sys.intern("out"))), _Argument()]
        if ahead is None:
            rows[-1].name = self._address(sys.intern("shape"))
        self._arguments = (_Argument * len(rows))(*rows)
        for row in self._arguments[len(binder.order) : len(names)]:
            row.name = None  # not to be had by name
        places = [self._places(binder, k) for k in ports] if ahead is None else ahead.extents
        outputs = [self._output(binder.layout, k, slots) for k, slots in zip(ports, places, strict=True)]
        self._outputs = (_Output * len(ports))(*outputs)
        self._call = _Call(
            kernel=address,
            slow=id(slow),
            inputs=len(names),
            arguments=ctypes.addressof(self._arguments),
            count=len(ports),
            outputs=ctypes.addressof(self._outputs),
            named=_named(binder),
            packed=len(ports) > 1 or binder.several,
            release=_RELEASE if ahead is None else 0,
            positional=len(binder.order) + (0 if constants or ahead else len(ports)),
            ahead=None if ahead is None else ahead.address,
        )
        self.function = native.function(self._call)

    def _address(self, value: Any) -> int:
        """The address of a Python object, which is kept."""
        self._keep.append(value)
        return id(value)

    def _argument(self, binder: Binder, name: str) -> _Argument:
        layout, known = binder.layout, {**binder.defaults, **binder.constants}
        row = _Argument(name=self._address(sys.intern(name)), kind=_IGNORED)
        if name in known:
            row.default = self._address(known[name])
        if name in layout.inputs:
            port, row.slot = layout.ports[layout.inputs[name]], layout.offsets[layout.inputs[name]]
            row.kind, row.dtype, row.ndim = _ARRAY, self._address(port.type.dtype), port.ndim
            row.shift, row.least = _shift(port.type), port.contiguous
        for k, p in enumerate(layout.params, layout.offsets[-1]):
            if p.name == name:
                row.slot, row.kind = k, _kind(p.type)
                if row.kind == _INTEGER:
                    row.least, row.most = int(p.type.min), min(int(p.type.max), 2**63 - 1)
        return row

    def _places(self, binder: Binder, k: int) -> tuple[int, ...] | None:
        """The slots of the extents of output `k`, where inputs give them all."""
        layout = binder.layout
        region = next(r for r, group in zip(binder.regions, layout.outputs, strict=True) if k in group)
        if None in region:
            return None
        return tuple(layout.offsets[layout.inputs[name]] + 1 + axis for name, axis in filter(None, region))

    def _output(self, layout: Layout, k: int, places: tuple[int, ...] | None) -> _Output:
        port = layout.ports[k]
        dtype, shift = self._address(port.type.dtype), _shift(port.type)
        first = next(group[0] for group in layout.outputs if k in group)
        row = _Output(
            slot=layout.offsets[k], dtype=dtype, ndim=port.ndim, shift=shift, large=LARGE, like=layout.offsets[first]
        )
        if places is not None:
            extents = (ctypes.c_int64 * max(len(places), 1))(*places)
            self._keep.append(extents)
            row.extents = ctypes.addressof(extents)
        return row


def _named(binder: Binder) -> int:
    """What `out` is in a call: 1 for one array, 2 for a tuple of all of them, 0 for what only the slow path takes apart."""
    groups = binder.layout.outputs
    if len(groups) == 1 and not binder.several:
        return 1 if len(groups[0]) == 1 else 2
    return 2 if all(len(group) == 1 for group in groups) else 0


def fast_entry(binder: Binder, address: int, slow: Callable[..., Any], ahead: Ahead | None = None) -> FastEntry | None:
    """The fast way into the kernel at `address`, or None where only the slow path will do."""
    code, layout = native(), binder.layout
    count = sum(map(len, layout.outputs))
    nested = binder.several and count > len(layout.outputs)
    objects = len(binder.order) + len(binder.constants) + count
    slots = layout.slots if ahead is None else ahead.slots
    if code is None or nested or binder.reads_out or objects >= _MOST_OBJECTS or slots > _MOST_SLOTS:
        return None
    return FastEntry(code, binder, address, slow, ahead)


def slow_path(owner: Any) -> Callable[..., Any]:
    """`owner._slow`, which does not keep `owner` alive: no cycle, what is dropped frees its code at once."""
    reference = weakref.ref(owner)

    def slow(status: int, /, *args: Any, **kwargs: Any) -> Any:
        alive = reference()
        assert alive is not None  # it is being called
        return alive._slow(status, *args, **kwargs)

    return slow


def _shift(type: Type) -> int:
    return type.bytes.bit_length() - 1


def _kind(type: Type) -> int:
    if type.is_int:
        return _INTEGER
    return {f32: _F32, f64: _F64, bool_: _BOOL}.get(type, _OTHER)
