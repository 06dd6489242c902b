"""Comparisons, truth values and bits."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo
from halo.types import bool_

from .elementwise import binary, elementwise, unary
from .op import Kind, any_extent, op
from .shapes import takes
from .tensor import Tensor, TensorType

__all__ = ["bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "equal", "greater", "greater_equal", "isinf", "isnan",
           "left_shift", "less", "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "not_equal",
           "right_shift"]  # fmt: skip

equal = binary("equal", lambda a, b: a == b, np.equal, "Whether a is b, broadcast. ONNX Equal.", "any", bool_)
not_equal = binary(
    "not_equal", lambda a, b: a != b, np.not_equal, "Whether a is not b, broadcast. TOPI not_equal.", "any", bool_
)
less = binary("less", lambda a, b: a < b, np.less, "Whether a < b, broadcast. ONNX Less.", dtype=bool_)
less_equal = binary("less_equal", lambda a, b: a <= b, np.less_equal, "Whether a <= b, broadcast. ONNX LessOrEqual.",
                    dtype=bool_)  # fmt: skip
greater = binary("greater", lambda a, b: a > b, np.greater, "Whether a > b, broadcast. ONNX Greater.", dtype=bool_)
greater_equal = binary("greater_equal", lambda a, b: a >= b, np.greater_equal,
                       "Whether a >= b, broadcast. ONNX GreaterOrEqual.", dtype=bool_)  # fmt: skip

logical_and = binary("logical_and", lambda a, b: a & b, np.logical_and, "Whether both hold. ONNX And.", "bool")
logical_or = binary("logical_or", lambda a, b: a | b, np.logical_or, "Whether one holds. ONNX Or.", "bool")
logical_xor = binary("logical_xor", lambda a, b: a != b, np.logical_xor, "Whether just one holds. ONNX Xor.", "bool")
logical_not = unary("logical_not", lambda a: ~a, np.logical_not, "Whether it does not hold. ONNX Not.", "bool")

bitwise_and = binary("bitwise_and", lambda a, b: a & b, np.bitwise_and, "a & b of the bits. ONNX BitwiseAnd.", "bits")
bitwise_or = binary("bitwise_or", lambda a, b: a | b, np.bitwise_or, "a | b of the bits. ONNX BitwiseOr.", "bits")
bitwise_xor = binary("bitwise_xor", lambda a, b: a ^ b, np.bitwise_xor, "a ^ b of the bits. ONNX BitwiseXor.", "bits")
bitwise_not = unary("bitwise_not", lambda a: ~a, np.bitwise_not, "All bits turned. ONNX BitwiseNot.", "bits")


def _shifted(by_numpy: Any) -> Any:
    """NumPy's shifts, of which those by a negative count are by more than the width."""
    return lambda a, b: by_numpy(a, np.where(b < 0, a.dtype.itemsize * 8, b).astype(b.dtype))


def _count(b: Any) -> Any:
    return halo.select(b < 0, 64, b)


left_shift = binary("left_shift", lambda a, b: a << _count(b), _shifted(np.left_shift),
                    "a * 2**b: the bits moved up; all of them where b is negative, or the width or more. ONNX BitShift.",
                    "int")  # fmt: skip
right_shift = binary("right_shift", lambda a, b: a >> _count(b), _shifted(np.right_shift),
                     "a / 2**b rounded down: the bits moved down; all of them where b is negative, or the width or more.",
                     "int")  # fmt: skip

isnan = unary("isnan", halo.isnan, np.isnan, "Whether x is not a number. ONNX IsNaN.", dtype=bool_)


def _isinf(x: Any, *, negative: bool = True, positive: bool = True) -> Any:
    return (np.isneginf(x) & negative) | (np.isposinf(x) & positive)


@op(Kind.ELEMENTWISE, reference=_isinf, follows=True, general=any_extent)
def isinf(x: TensorType, *, negative: bool = True, positive: bool = True) -> TensorType:
    """Whether x is infinite, of the signs asked for. ONNX IsInf.

    >>> from halo import nn
    >>> nn.isinf(np.array([-np.inf, 1, np.inf], np.float32), negative=False)
    array([False, False,  True])
    """
    takes("isinf", "float", x)
    return TensorType(x.shape, bool_)


@isinf.strategy("direct")
def _(x: Tensor, *, negative: bool, positive: bool) -> Tensor:
    def value(v: Any) -> Any:
        return halo.isinf(v) & halo.select(v > 0, positive, negative)

    return elementwise("isinf", value, x, dtype=bool_)
