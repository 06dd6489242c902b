"""`f.output_buffer()`: what calls promise of the array that they want the values in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, here

if TYPE_CHECKING:
    from .func import Func

__all__ = ["Dimension", "OutputBuffer"]


class OutputBuffer:
    """The array of element `k` of a Func's values. `f.output_buffer().dim(1).set_stride(3)`."""

    def __init__(self, func: Func, k: int) -> None:
        self.func, self.k = func, k

    def dim(self, i: int) -> Dimension:
        """Axis `i`, counted from the outermost."""
        return Dimension(self, i)

    def set_host_alignment(self, n: int) -> OutputBuffer:
        """The address of the array is a multiple of `n` bytes, a power of two (`Func.promise_alignment`)."""
        self.func.promise_alignment(n, self.k)
        return self

    def __repr__(self) -> str:
        return f"{self.func.name}.output_buffer({self.k})"


class Dimension:
    """One axis of an output. Code is specialised on what is promised of it; a call that does not keep that runs a copy
    compiled without (`Func.promise_output`, which each method gives)."""

    def __init__(self, buffer: OutputBuffer, axis: int) -> None:
        self.buffer, self.axis = buffer, axis

    def set_stride(self, n: Any) -> Dimension:
        """Neighbours along this axis lie `n` elements apart: 1 of a contiguous axis, 3 between the pixels of an image."""
        return self._promise("stride", n)

    def set_min(self, lo: Any) -> Dimension:
        """The first coordinate is `lo`: 0 unless a call is `realize` with an origin."""
        return self._promise("min", lo)

    def set_extent(self, n: Any) -> Dimension:
        """There are `n` entries."""
        return self._promise("extent", n)

    def set_bounds(self, lo: Any, n: Any) -> Dimension:
        """There are `n` entries from `lo` on."""
        return self.set_min(lo).set_extent(n)

    def _promise(self, what: str, n: Any) -> Dimension:
        self.buffer.func.promise_output(what, self.axis, n, self.buffer.k)
        return self

    def __repr__(self) -> str:
        return f"{self.buffer!r}.dim({self.axis})"


def output_buffer(func: Func, k: int) -> OutputBuffer:
    """ArgumentError if `func` has no element `k`."""
    size = func.size
    if not isinstance(k, int) or k < 0 or (size is not None and k >= size):
        legal = () if size is None else tuple(f"output_buffer({j})" for j in range(size))
        raise ArgumentError(f"{func.name} has no element {k!r}", loc=here(), legal=legal)
    return OutputBuffer(func, k)
