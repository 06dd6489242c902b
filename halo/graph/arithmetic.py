"""Python's operators on expressions of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn
from halo.errors import ArgumentError, here

__all__ = ["Arithmetic"]


class Arithmetic:
    """What `+ - * / ** @` and comparisons of graph expressions, arrays and numbers make: calls of operators."""

    @property
    def type(self) -> Any:
        """Element type and extents of the value, or the types of a tuple's fields."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return _applied(nn.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _applied(nn.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _applied(nn.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _applied(nn.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return _applied(nn.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _applied(nn.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _applied(nn.divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _applied(nn.divide, other, self)

    def __pow__(self, other: Any) -> Any:
        return _applied(nn.power, self, other)

    def __matmul__(self, other: Any) -> Any:
        return _applied(nn.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _applied(nn.matmul, other, self)

    def __neg__(self) -> Any:
        return _applied(nn.negative, self)

    def __lt__(self, other: Any) -> Any:
        return _applied(nn.less, self, other)

    def __le__(self, other: Any) -> Any:
        return _applied(nn.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return _applied(nn.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return _applied(nn.greater_equal, self, other)

    def __bool__(self) -> bool:
        raise ArgumentError("whether this holds is known only when the program runs", loc=here(),
                            hint="nn.where(condition, a, b), or if and while in a @halo.graph.function")  # fmt: skip


def _applied(op: Any, *args: Any) -> Any:
    """`op` of expressions and Python's numbers, which are of the type of the expressions."""
    dtype = next(a.type.dtype.dtype for a in args if isinstance(a, Arithmetic))
    return op(*(np.asarray(a, dtype) if isinstance(a, (bool, int, float)) else a for a in args))
