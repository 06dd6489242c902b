"""Memory that results are in. What is larger than the caches begins where a line does, so that it can be stored past them
in whole lines, and is in memory that earlier results left: pages that are new cost as much as the result itself, as the
system clears each when it is first touched.

>>> a = empty((1 << 22,), np.dtype(np.float32))
>>> a.ctypes.data % LINE
0
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

__all__ = ["LARGE", "LINE", "empty"]

LARGE = 1 << 24  # bytes from which on a result is larger than the caches
LINE = 64
PAGE = 1 << 12
MOST = 1 << 28  # bytes of memory that is kept
_left: deque[np.ndarray[Any, Any]] = deque(maxlen=2)  # one for the result that the next one takes the place of


class _Lease:
    """`memory` for one array and its views; once they are gone it is there for others."""

    def __init__(self, memory: np.ndarray[Any, Any], bytes: int) -> None:
        self.memory = memory
        at = memory.ctypes.data
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (bytes,), "data": (at + -at % LINE, False)}

    def __del__(self, left: deque[np.ndarray[Any, Any]] = _left) -> None:
        if self.memory.nbytes <= MOST:
            left.append(self.memory)


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array of any content. Raises as numpy.empty does."""
    bytes = math.prod(shape) * dtype.itemsize
    if bytes < LARGE:
        return np.empty(shape, dtype)
    found: np.ndarray[Any, Any] = np.asarray(_Lease(_memory(bytes + LINE), bytes)).view(dtype).reshape(shape)
    return found


def _memory(bytes: int) -> np.ndarray[Any, Any]:
    """At least so many bytes, all of whose pages are there: to store past the caches what the system has just cleared in
    them would take twice as long."""
    for _ in range(len(_left)):
        try:
            memory = _left.popleft()
        except IndexError:  # another thread was faster
            break
        if bytes <= memory.nbytes <= 2 * bytes:
            return memory
        _left.append(memory)
    memory = np.empty(bytes, np.uint8)
    memory[::PAGE] = 0
    return memory
