"""Axes and parts, as other operators say them: each works on arrays, on Tensors and in graphs, as these do."""

from __future__ import annotations

from typing import Any

from halo.errors import ArgumentError, here

from .shape import reshape, strided_slice, transpose
from .shapes import axis_of
from .tensor import type_of

__all__ = ["expand_dims", "flip", "space_to_depth", "split", "squeeze", "stack"]


def split(x: Any, indices_or_sections: int | tuple[Any, ...], *, axis: int = 0) -> tuple[Any, ...]:
    """x in parts along an axis: that many equal ones, or those that begin at 0 and at each of the indices: TOPI split, ONNX
    Split. Raises ArgumentError where parts of an axis are not equal.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.split(np.arange(5), (2, 3))
    (array([0, 1]), array([2]), array([3, 4]))
    """
    d = axis_of("split", axis, type_of(x).ndim)
    n = type_of(x).shape[d]
    if isinstance(indices_or_sections, int):
        parts = indices_or_sections
        if parts < 1 or (isinstance(n, int) and n % parts):
            raise ArgumentError(f"{n} entries are not {parts} equal parts", loc=here())
        ends = tuple((k + 1) * (n // parts) for k in range(parts - 1))
    else:
        ends = tuple(indices_or_sections)
    return tuple(strided_slice(x, begin=(a,), end=(b,), axes=(d,)) for a, b in zip((0, *ends), (*ends, n), strict=True))


def expand_dims(x: Any, axes: int | tuple[int, ...]) -> Any:
    """x with axes of one entry, at these places of the result: NumPy and TOPI expand_dims, ONNX Unsqueeze.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.expand_dims(np.ones((2, 3)), (0, -1)).shape
    (1, 2, 3, 1)
    """
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    rank = type_of(x).ndim + len(axes)
    new = {axis_of("expand_dims", a, rank) for a in axes}
    if len(new) < len(axes):
        raise ArgumentError(f"the axes {axes} are not different ones of {rank}", loc=here())
    rest = iter(type_of(x).shape)
    return reshape(x, shape=tuple(1 if d in new else next(rest) for d in range(rank)))


def squeeze(x: Any, axes: int | tuple[int, ...] | None = None) -> Any:
    """x without these axes, which have one entry each, or without all that have: NumPy, TOPI and ONNX Squeeze.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.squeeze(np.ones((1, 2, 1))).shape
    (2,)
    """
    shape = type_of(x).shape
    given = (
        tuple(d for d, n in enumerate(shape) if n == 1) if axes is None else (axes,) if isinstance(axes, int) else axes
    )
    gone = {axis_of("squeeze", a, len(shape)) for a in given}
    if any(isinstance(shape[d], int) and shape[d] != 1 for d in gone):
        raise ArgumentError(f"not all of the axes {tuple(given)} of {type_of(x)} have one entry", loc=here())
    return reshape(x, shape=tuple(n for d, n in enumerate(shape) if d not in gone))


def stack(*xs: Any, axis: int = 0) -> Any:
    """Tensors of one shape along a new axis: NumPy and TOPI stack.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.stack(np.zeros(2), np.ones(2), axis=1)
    array([[0., 1.],
           [0., 1.]])
    """
    from .shape import concatenate

    if not xs:
        raise ArgumentError("stack takes one tensor at least", loc=here())
    d = axis_of("stack", axis, type_of(xs[0]).ndim + 1)
    return concatenate(*(expand_dims(x, d) for x in xs), axis=d)


def flip(x: Any, axes: int | tuple[int, ...] | None = None) -> Any:
    """x backwards along these axes, or all: NumPy and TOPI flip.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.flip(np.array([1, 2, 3]))
    array([3, 2, 1])
    """
    t = type_of(x)
    given = range(t.ndim) if axes is None else (axes,) if isinstance(axes, int) else axes
    each = tuple(sorted({axis_of("flip", a, t.ndim) for a in given}))
    if not each:
        return x
    return strided_slice(x, begin=(-1,) * len(each), end=(-(2**31),) * len(each), strides=(-1,) * len(each), axes=each)


def space_to_depth(x: Any, *, block: tuple[int, int], mode: str = "DCR") -> Any:
    """The entries of each block of a picture [N, C, H, W] as channels: ONNX SpaceToDepth, TOPI space_to_depth. The inverse of
    `depth_to_space`.

    >>> import numpy as np
    >>> from halo import nn
    >>> nn.space_to_depth(np.arange(4.0).reshape(1, 1, 2, 2), block=(2, 2)).reshape(-1)
    array([0., 1., 2., 3.])
    """
    t = type_of(x)
    if (
        t.ndim != 4
        or mode not in ("DCR", "CRD")
        or any(isinstance(n, int) and n % b for n, b in zip(t.shape[2:], block, strict=True))
    ):
        raise ArgumentError(
            f"{t} is no picture of blocks of {block} in the mode {mode}", loc=here(), legal=("DCR", "CRD")
        )
    n, c, h, w = t.shape
    by, bx = block
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    moved = transpose(reshape(x, shape=(n, c, h // by, by, w // bx, bx)), axes=order)
    return reshape(moved, shape=(n, c * by * bx, h // by, w // bx))
