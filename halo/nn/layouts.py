"""Layouts: `NCHW` names axes from the outermost to the innermost, `NCHW16c` has the channels in blocks of 16 innermost.

A capital letter is an axis, or what is left of it outside its block; a number and a small letter is a block of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

import halo
from halo import Dim, Func, Input
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .op import Kind, Types, op
from .schedule import bound, points, tasks, tiled
from .tensor import Tensor, TensorType

__all__ = ["Layout", "layout_transform"]

STRIP = 16  # rows that go to panels together: of each panel some pages are written, and of each row one is read


class Layout:
    """The axes of a layout: (letter, block), block 0 for what is outside.

    >>> Layout("NCHW16c").physical((1, 20, 5, 5))
    (1, 2, 5, 5, 16)
    >>> Layout("NCHW16c").logical((1, 2, 5, 5, 16))
    (1, 32, 5, 5)
    """

    def __init__(self, text: str) -> None:
        parts = re.findall(r"([A-Z])|([1-9]\d*)([a-z])", text)
        self.axes = tuple((outer or inner.upper(), int(size or 0)) for outer, size, inner in parts)
        self.letters = "".join(a for a, block in self.axes if not block)
        blocks = [a for a, block in self.axes if block]
        written = "".join(o or size + inner for o, size, inner in parts)
        if (
            written != text
            or len({*self.letters}) < len(self.letters)
            or len({*blocks} & {*self.letters}) < len(blocks)
        ):
            raise ArgumentError(f"{text!r} is no layout", loc=here(), hint='"NCHW" or "NCHW16c"')
        self.text = text

    def block(self, letter: str) -> int:
        """The size of the block of an axis, 1 if it has none."""
        return next((n for a, n in self.axes if a == letter and n), 1)

    def physical(self, shape: Any) -> tuple[Any, ...]:
        """The extents in memory of a tensor with these, an entry a letter."""
        of = dict(zip(self.letters, shape, strict=True))
        return tuple(n or _blocks(of[a], self.block(a)) for a, n in self.axes)

    def logical(self, shape: Any) -> tuple[Any, ...]:
        """The extents of the axes with what fills up their last blocks."""
        of = {a: n for (a, block), n in zip(self.axes, shape, strict=True) if not block}
        return tuple(of[a] if self.block(a) == 1 else of[a] * self.block(a) for a in self.letters)

    def index(self, of: dict[str, Any]) -> tuple[Any, ...]:
        """Where the entry at these coordinates (by letter) is."""

        def at(a: str, n: int) -> Any:
            block = self.block(a)
            return of[a] % n if n else of[a] if block == 1 else of[a] // block

        return tuple(at(a, n) for a, n in self.axes)

    def coordinates(self, index: tuple[Any, ...]) -> dict[str, Any]:
        """The coordinates, by letter, of the entry that is there."""
        of: dict[str, Any] = {}
        for (a, n), i in zip(self.axes, index, strict=True):
            if not n:
                of[a] = i if self.block(a) == 1 else i * self.block(a)
        for (a, n), i in zip(self.axes, index, strict=True):
            if n:
                of[a] = of[a] + i
        return of


def _blocks(n: Any, block: int) -> Any:
    return n if block == 1 else -(-n // block)


def _general(types: Types, attrs: Mapping[str, Any], result: TensorType) -> tuple[Types, Mapping[str, Any]]:
    """From a plain layout, one kernel for all extents."""
    (x,) = types
    if x is None or len(attrs["src"]) > x.ndim:
        return types, attrs
    shape = tuple(map(Dim, attrs["src"]))
    return (TensorType(shape, x.dtype),), {**attrs, "shape": shape}


def _reference(x: Any, *, src: str, dst: str, shape: Any = None) -> Any:
    a, b = Layout(src), Layout(dst)
    logical = shape or a.logical(x.shape)
    out = np.zeros(_physical(a, b, logical), x.dtype)
    for at in np.ndindex(*logical):
        of = dict(zip(a.letters, at, strict=True))
        out[b.index(of)] = x[a.index(of)]
    return out


def _physical(a: Layout, b: Layout, logical: Any) -> tuple[Any, ...]:
    """The extents in layout `b` of what has these in the order of `a`."""
    of = dict(zip(a.letters, logical, strict=True))
    return b.physical([of[letter] for letter in b.letters])


@op(Kind.INJECTIVE, reference=_reference, general=_general)
def layout_transform(x: TensorType, *, src: str, dst: str, shape: tuple[int, ...] | None = None) -> TensorType:
    """`x` of layout `src` in layout `dst`, which may have the axes in another order: TOPI's layout_transform. What fills up a
    last block is zero.

    `shape`: the logical extents, in the order of `src`, where its blocks are not full. Raises ArgumentError for layouts of
    other axes.

    >>> from halo import nn
    >>> nn.layout_transform(np.ones((1, 3, 2, 2), np.float32), src="NCHW", dst="NCHW2c").shape
    (1, 2, 2, 2, 2)
    """
    a, b = Layout(src), Layout(dst)
    if {*a.letters} != {*b.letters} or len(a.axes) != x.ndim:
        raise ArgumentError(f"a tensor of {x.ndim} axes does not go from {src} to {dst}", loc=here())
    return TensorType(_physical(a, b, shape or a.logical(x.shape)), x.dtype)


def _schedule(out: Tensor, target: Target, types: Types, attrs: Mapping[str, Any]) -> None:
    """From blocks of channels to rows of points: all the channels of a block are read from the lines of the cache that the
    first of them brings. From rows to panels of their columns: some whole rows go to all panels, as those of one panel lie
    on a page each."""
    (x,) = types
    assert x is not None
    a, b = Layout(attrs["src"]), Layout(attrs["dst"])
    size, lanes = a.block("C") if "C" in a.letters else 1, target.natural_lanes(out.dtype)
    own = layout_transform.infer(types, attrs).shape
    whole = all(isinstance(n, int) for n in (*out.shape, *own)) and out.shape == own
    if whole and _is_in_panels(a, b) and out.shape[-1] % lanes == 0:
        f = out.func
        bound(f, out)
        panel, row, *columns = f.definitions.vars
        tiled(f, row, "rows", STRIP, out.shape[1])
        f.reorder("rows", panel, row, *columns).vectorize(columns[-1], lanes).parallel("rows")
        return
    unfolds = whole and size > 1 and b.text == b.letters and b.letters.startswith("NC") and len(b.letters) > 2
    if not unfolds or a.axes[-1] != ("C", size) or out.shape[-1] < lanes or out.shape[1] < size:
        points(out, target)
        return
    f = out.func
    bound(f, out)
    n, c, *rows, v = f.definitions.vars
    tiled(f, c, "co", size, out.shape[1])
    tiled(f, v, "vo", lanes, out.shape[-1])
    f.vectorize(v)
    axes = [("co", -(-out.shape[1] // size)), *zip(rows, out.shape[2:-1], strict=True)]
    tasks(f, n, axes, ("co", *rows, "vo", c, v))


def _is_in_panels(a: Layout, b: Layout) -> bool:
    """Whether `b` has pieces of the rows of `a`, those of all rows one after the other."""
    last = a.letters[-1]
    return (
        a.text == a.letters and len(b.letters) > 1 and b.text == f"{last}{a.letters[:-1]}{b.block(last)}{last.lower()}"
    )


@layout_transform.strategy("direct", schedule=_schedule)
def _(x: Tensor, *, src: str, dst: str, shape: tuple[int, ...] | None = None) -> Tensor:
    a, b = Layout(src), Layout(dst)
    logical = shape or a.logical(x.shape)
    f = Func("layout_transform")
    i = halo.vars(" ".join(f"{letter.lower()}{'i' if block else ''}" for letter, block in b.axes))
    of = b.coordinates(i)
    source = x.func
    if any(
        b.block(letter) > 1 and (not isinstance(n, int) or n % b.block(letter))
        for letter, n in zip(a.letters, logical, strict=True)
    ):
        ends = isinstance(source, Input)
        extents = (source.shape[d] if ends and not isinstance(n, int) else n for d, n in enumerate(x.shape))
        bounds = [None if block else (0, n) for n, (_, block) in zip(extents, a.axes, strict=True)]
        source = halo.pad(source, "constant", 0, bounds=bounds)
    f[i] = source[a.index(of)]
    return Tensor(f, _physical(a, b, logical), x.dtype)
