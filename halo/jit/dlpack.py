"""DLPack: arrays of other libraries without a copy, those of bf16 included (which `numpy.from_dlpack` refuses)."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..types import bf16

__all__ = ["as_array"]

_CPU = (1, 3, 11)  # kDLCPU, kDLCUDAHost, kDLROCMHost: all addressable from here
_KINDS = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}
_BF16 = (4, 16)
_READ_ONLY = 1
_PYTHON = ctypes.pythonapi


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned, from version 1.0 on. Before it, the tensor came first."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


class _Holder:
    """Shows the tensor to NumPy, and keeps the capsule, which owns it. The capsule is not consumed: it frees the tensor."""

    def __init__(self, capsule: Any, interface: dict[str, Any]) -> None:
        self.capsule, self.__array_interface__ = capsule, interface


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """The array that `value.__dlpack__()` exports. Raises BufferError for another device or layout."""
    device = value.__dlpack_device__() if hasattr(value, "__dlpack_device__") else (1, 0)
    if int(device[0]) not in _CPU:
        raise BufferError(f"it lies on DLPack device {tuple(int(d) for d in device)}, not in the CPU's memory")
    try:
        capsule = value.__dlpack__(max_version=(1, 0))
    except TypeError:  # a producer from before version 1.0
        capsule = value.__dlpack__()
    tensor, read_only = _tensor(capsule)
    size = tensor.bits // 8
    kind = "V" if (tensor.code, tensor.bits) == _BF16 else _KINDS.get(tensor.code)
    if kind is None or tensor.lanes != 1 or tensor.bits % 8:
        what = f"type code {tensor.code} of {tensor.bits} bits and {tensor.lanes} lanes"
        raise BufferError(f"NumPy has nothing for DLPack's {what}")
    typestr = f"{'|' if kind == 'V' or size == 1 else '='}{kind}{size}"
    shape = tuple(tensor.shape[d] for d in range(tensor.ndim))
    if not all(shape):
        return np.zeros(shape, bf16.dtype if kind == "V" else typestr)
    strides = tuple(tensor.strides[d] * size for d in range(tensor.ndim)) if tensor.strides else None
    data = ((tensor.data or 0) + tensor.byte_offset, read_only)
    interface = {"version": 3, "typestr": typestr, "shape": shape, "strides": strides, "data": data}
    a = np.asarray(_Holder(capsule, interface))
    return a.view(bf16.dtype) if kind == "V" else a


def _tensor(capsule: Any) -> tuple[_Tensor, bool]:
    """What the capsule holds, and whether it must not be written."""
    valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", _PYTHON))
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _PYTHON))
    if valid(capsule, b"dltensor_versioned"):
        managed = _Versioned.from_address(pointer(capsule, b"dltensor_versioned"))
        if managed.major != 1:
            raise BufferError(f"DLPack version {managed.major}.{managed.minor} is not known")
        return managed.tensor, bool(managed.flags & _READ_ONLY)
    if valid(capsule, b"dltensor"):
        return _Tensor.from_address(pointer(capsule, b"dltensor")), False
    raise BufferError("its __dlpack__ gives no DLPack capsule")
