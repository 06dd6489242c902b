"""Shape rules that several operators share: broadcasting, and windows that slide over spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from halo.errors import ArgumentError, here
from halo.ir.shapes import Extents, shown

__all__ = ["Window", "broadcast", "same_type"]


def broadcast(*shapes: Extents) -> Extents:
    """The common shape, as NumPy finds it; symbolic extents are equal to themselves and to 1. Raises ArgumentError."""
    ndim = max(map(len, shapes), default=0)
    result: list[Any] = []
    for d in range(ndim):
        extents = {s[d - ndim] for s in shapes if len(s) >= ndim - d} - {1}
        if len(extents) > 1:
            raise ArgumentError(f"{' and '.join(map(shown, shapes))} do not broadcast along axis {d}", loc=here())
        result.append(extents.pop() if extents else 1)
    return tuple(result)


def same_type(name: str, *types: Any) -> Any:
    """The one element type of `types`. Raises ArgumentError where they differ."""
    found = {t.dtype for t in types if t is not None}
    if len(found) > 1:
        raise ArgumentError(
            f"{name} takes tensors of one type, not {' and '.join(sorted(t.name for t in found))}", loc=here()
        )
    return found.pop()


@dataclass(frozen=True)
class Window:
    """A window over spatial axes: `padding` has the entries before each axis, then those after."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @staticmethod
    def of(kernel: Any, strides: Any, padding: Any, dilation: Any = 1, ndim: int = 2) -> Window:
        """`kernel`, `strides`, `dilation`: one integer, or one an axis. `padding`: one integer, one an axis, or two an
        axis (all of those before, then all of those after)."""
        pads = _integers("padding", padding, (1, ndim, 2 * ndim), 0)
        pads = pads * (2 * ndim // len(pads))
        one = (
            _integers(n, v, (1, ndim), 1) for n, v in (("kernel", kernel), ("strides", strides), ("dilation", dilation))
        )
        k, s, d = (v * (ndim // len(v)) for v in one)
        return Window(k, s, pads, d)

    @property
    def before(self) -> tuple[int, ...]:
        return self.padding[: len(self.kernel)]

    @property
    def padded(self) -> bool:
        return any(self.padding)

    def reach(self, axis: int) -> int:
        """How many entries one window covers."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def extents(self, spatial: Sequence[Any], ceil: bool = False) -> tuple[int, ...]:
        """How many windows fit. `ceil`: also those that start inside but end behind the padding. Raises ArgumentError."""
        n = len(self.kernel)
        found = []
        for d, extent in enumerate(spatial):
            room = extent + self.padding[d] + self.padding[n + d] - self.reach(d)
            if room < 0:
                raise ArgumentError(
                    f"a window of {self.reach(d)} entries is larger than the axis of {extent}", loc=here()
                )
            count = room // self.strides[d] + 1
            if ceil and room % self.strides[d] and count * self.strides[d] < extent + self.padding[d]:
                count += 1
            found.append(count)
        return tuple(found)


def _integers(name: str, value: Any, lengths: tuple[int, ...], least: int) -> tuple[int, ...]:
    found = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(found) not in lengths or not all(isinstance(v, int) and v >= least for v in found):
        counts = ", ".join(map(str, lengths[:-1])) + f" or {lengths[-1]}"
        raise ArgumentError(f"{name} is {counts} integers from {least} on, not {value!r}", loc=here())
    return found
