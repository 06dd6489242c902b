"""Shapes: one entry an axis, an integer or a `Dim`, an extent that only a call knows."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, here

__all__ = ["Dim", "Extents", "as_extents", "shown"]


class Dim:
    """A symbolic extent: the same name is the same extent, whatever a call makes of it.

    >>> import halo
    >>> halo.Dim("n") == halo.Dim("n"), halo.Dim("n")
    (True, n)
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ArgumentError(f"the name of a Dim is an identifier, not {name!r}", loc=here(), hint='halo.Dim("n")')
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Dim, self.name))

    def __repr__(self) -> str:
        return self.name


Extents = tuple[int | Dim, ...]


def as_extents(shape: Any) -> Extents | None:
    """`shape` with names made Dims; None where it is None. Raises ArgumentError for what is no shape."""
    if shape is None:
        return None
    entries = shape if isinstance(shape, (tuple, list)) else (shape,)
    found: list[int | Dim] = []
    for n in entries:
        if isinstance(n, (str, Dim)):
            found.append(Dim(n) if isinstance(n, str) else n)
        elif not isinstance(n, bool) and hasattr(n, "__index__") and 0 <= n.__index__() < 2**31:
            found.append(n.__index__())
        else:
            raise ArgumentError(
                f"a shape has integers from 0 to 2**31 - 1 and names, not {n!r}", loc=here(), hint='shape=("n", 3)'
            )
    return tuple(found)


def shown(shape: Extents) -> str:
    """`(n, 3)`, as errors and listings write it."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
