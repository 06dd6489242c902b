"""Python's operators on expressions of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn
from halo.errors import ArgumentError, here
from halo.ir.shapes import DimExpr
from halo.nn.tensor import type_of

__all__ = ["Arithmetic", "applied"]


class Arithmetic:
    """What `+ - * / // % ** @ & | ^ ~`, comparisons and subscripts of graph expressions, arrays and numbers make: calls of
    operators. A number is of the type of the tensor beside it."""

    __array_ufunc__ = None  # an array on the left leaves the operator to the expression
    __iter__ = None  # that there are subscripts does not make it a sequence

    @property
    def type(self) -> Any:
        """Element type and extents of the value, or the types of a tuple's fields."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[Any, ...]:
        """The extents of a tensor: integers, and Dims or arithmetic over them where a call decides."""
        return tuple(self.type.shape)

    @property
    def dtype(self) -> Any:
        """The element type of a tensor."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """How many axes a tensor has."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Any:
        from .subscripts import subscripted

        return subscripted(self, key)

    def __add__(self, other: Any) -> Any:
        return applied(nn.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return applied(nn.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return applied(nn.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return applied(nn.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return applied(nn.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return applied(nn.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return applied(_quotient, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return applied(_quotient, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return applied(_floored, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return applied(_floored, other, self)

    def __mod__(self, other: Any) -> Any:
        return applied(nn.mod, self, other)

    def __rmod__(self, other: Any) -> Any:
        return applied(nn.mod, other, self)

    def __pow__(self, other: Any) -> Any:
        return applied(nn.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return applied(nn.power, other, self)

    def __matmul__(self, other: Any) -> Any:
        return applied(nn.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return applied(nn.matmul, other, self)

    def __neg__(self) -> Any:
        return applied(nn.negative, self)

    def __abs__(self) -> Any:
        return applied(nn.absolute, self)

    def __and__(self, other: Any) -> Any:
        return applied(nn.logical_and if self.dtype.is_bool else nn.bitwise_and, self, other)

    def __or__(self, other: Any) -> Any:
        return applied(nn.logical_or if self.dtype.is_bool else nn.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Any:
        return applied(nn.logical_xor if self.dtype.is_bool else nn.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Any:
        return applied(nn.logical_not if self.dtype.is_bool else nn.bitwise_not, self)

    def __lt__(self, other: Any) -> Any:
        return applied(nn.less, self, other)

    def __le__(self, other: Any) -> Any:
        return applied(nn.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return applied(nn.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return applied(nn.greater_equal, self, other)

    def __bool__(self) -> bool:
        raise ArgumentError("whether this holds is known only when the program runs", loc=here(),
                            hint="nn.where(condition, a, b), or if and while in a @halo.graph.function")  # fmt: skip


def applied(op: Any, *args: Any) -> Any:
    """`op` of expressions, extents and Python's numbers, which are of the type of the expressions."""
    t = next(a.dtype for a in args if isinstance(a, Arithmetic))
    return op(*(_of_type(a, t) for a in args))


def _of_type(a: Any, t: Any) -> Any:
    """The number or extent `a` as a tensor of the type `t`; anything else as it is."""
    if isinstance(a, DimExpr):
        from .shape_arithmetic import shape_vector

        return nn.cast(shape_vector((a,), ()), dtype=t.name)
    if not isinstance(a, (bool, int, float)):
        return a
    try:
        if isinstance(a, float) and not t.is_float:
            raise OverflowError
        return np.asarray(a, t.dtype)
    except OverflowError as error:
        raise ArgumentError(f"{a!r} is no {t.name}", loc=here(), hint="nn.cast(x, dtype=...)") from error


def _quotient(a: Any, b: Any) -> Any:
    if not type_of(a).dtype.is_float:
        raise ArgumentError(f"/ is of floats, not of {type_of(a)}", loc=here(), hint="nn.cast(x, dtype=...), or x // y")
    return nn.divide(a, b)


def _floored(a: Any, b: Any) -> Any:
    """Python's quotient, rounded down."""
    if type_of(a).dtype.is_float:
        return nn.floor(nn.divide(a, b))
    quotient = nn.divide(a, b)  # towards zero; nothing here leaves the type's range
    below = nn.not_equal(nn.subtract(a, nn.multiply(quotient, b)), nn.mod(a, b))
    return nn.subtract(quotient, nn.cast(below, dtype=type_of(a).dtype.name))
