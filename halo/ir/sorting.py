"""What a sort stage does to each row, and the same in NumPy: what the reference backends call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import algebra as A
from .expr import Expr

__all__ = ["Sorter", "numbers", "sorts_rows"]


@dataclass(frozen=True)
class Sorter:
    """Sorts along `axis`, stably and NaN last, in falling order if `descending`. `indices`: gives where each value was."""

    axis: int
    descending: bool
    indices: bool

    @property
    def __name__(self) -> str:
        return "argsort" if self.indices else "sort"

    def __call__(self, out: Any, keys: Any, first: int, lo: int) -> None:
        """Write the entries of the sorted `keys` from the `first` on to `out`; the keys begin at index `lo`."""
        ordered = keys.astype(np.float32) if keys.dtype.kind not in "biuf" else keys
        if self.descending:
            ordered = -ordered if ordered.dtype.kind == "f" else ~ordered
        order = np.argsort(ordered, axis=self.axis, kind="stable")
        if not keys.shape[self.axis]:
            return
        wanted = np.clip(np.arange(first, first + out.shape[self.axis]), 0, keys.shape[self.axis] - 1)
        order = order.take(wanted, axis=self.axis)
        out[...] = order + lo if self.indices else np.take_along_axis(keys, order, axis=self.axis)


def numbers(call: Any, box: tuple[tuple[Expr, Expr], ...]) -> tuple[Expr, ...]:
    """What the function of this extern call is called on beside the arrays, to compute `box`: a Sorter on where that begins
    in the sorted row, and where the row begins."""
    if not isinstance(call.function, Sorter):
        return ()
    axis = call.function.axis
    lo, _ = call.required(box)[0][axis]
    return A.sub(box[axis][0], lo), lo


def sorts_rows(function: Any) -> bool:
    """Whether this Function of a Pipeline is a sort stage: an extern one with loops over its rows."""
    return function.extern is not None and isinstance(function.extern.function, Sorter)
