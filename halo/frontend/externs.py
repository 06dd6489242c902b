"""Extern stages: a function over whole buffers, and the regions that it says it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import DefinitionError
from ..ir import algebra as A
from ..ir.expr import Array, Expr, Var
from ..ir.surface import Expr as Surface
from ..ir.surface import Extent, External, Function, IndexVar, Literal, as_expr
from ..types import index

__all__ = ["ExternCall", "Regions", "Sorting", "box_names", "extern_regions", "typed_call"]

Regions = tuple[tuple[tuple[Surface, Surface], ...], ...]  # (lo, n) an axis, for each input


@dataclass(frozen=True, eq=False)
class Sorting(External):
    """A sort stage: `function` is the Sorter. `whole`: (lo, n) of the sorted axis, or None for what the input says."""

    whole: tuple[Surface, Surface] | None = None


@dataclass(frozen=True, eq=False)
class ExternCall:
    """`function(out, *arrays)`. `box` are the variables of the region to compute, `reads` what it needs of each array."""

    function: Any
    arrays: tuple[Array, ...]
    box: tuple[tuple[Var, Var], ...]
    reads: tuple[tuple[tuple[Expr, Expr], ...], ...]
    symbol: ClassVar[str] = "extern"

    @property
    def __name__(self) -> str:
        return getattr(self.function, "__name__", "extern")

    def required(self, box: tuple[tuple[Expr, Expr], ...]) -> tuple[tuple[tuple[Expr, Expr], ...], ...]:
        """What is read of each array to compute `box`."""
        values: dict[Any, Expr] = {}
        for (lo, n), (start, extent) in zip(self.box, box, strict=True):
            values[lo], values[n] = start, extent
        memo: dict[Expr, Expr] = {}
        return tuple(
            tuple((A.substitute(lo, values, memo), A.substitute(n, values, memo)) for lo, n in of) for of in self.reads
        )


def box_names(ndim: int) -> list[tuple[str, str]]:
    return [(f"lo{k}", f"n{k}") for k in range(ndim)]


def extern_regions(f: Function) -> Regions:
    """What the extern stage `f` reads of each input, in terms of the index variables lo0, n0, lo1, n1, ... of its box."""
    external = f.external
    assert external is not None and f.ndim is not None
    box = [(IndexVar(lo), IndexVar(n)) for lo, n in box_names(f.ndim)]
    if external.bounds is None:
        return tuple(_default(t, box) for t in external.inputs)
    try:
        said = external.bounds(box)
        boxes = tuple(tuple((as_expr(lo), as_expr(n)) for lo, n in of) for of in said)
    except (TypeError, ValueError) as error:
        raise _wrong(f, str(error)) from error
    if len(boxes) != len(external.inputs):
        raise _wrong(f, f"it gives {len(boxes)} boxes for {len(external.inputs)} inputs")
    return boxes


def _wrong(f: Function, reason: str) -> DefinitionError:
    return DefinitionError(f"the bounds of the extern stage {f.name} give no list of (lo, n) pairs for each input: {reason}",
                           loc=f.loc, hint="bounds=lambda box: [[(lo, n), ...], ...]")  # fmt: skip


def _default(target: Any, box: list[tuple[IndexVar, IndexVar]]) -> tuple[tuple[Surface, Surface], ...]:
    if target.ndim == len(box):
        return tuple(box)
    return tuple((Literal(0), Extent(target, d)) for d in range(target.ndim))


def typed_call(f: Function, external: External, arrays: tuple[Array, ...], boxes: Regions,
               reading: Callable[[Surface, dict[str, Var]], Expr]) -> ExternCall:  # fmt: skip
    """The call for the typed pipeline; `reading(e, variables)` types a bound as a mathematical integer."""
    assert f.ndim is not None
    box = tuple((Var(lo, index), Var(n, index)) for lo, n in box_names(f.ndim))
    variables = {v.name: v for pair in box for v in pair}
    reads = tuple(tuple((reading(lo, variables), reading(n, variables)) for lo, n in of) for of in boxes)
    for a, of in zip(arrays, reads, strict=True):
        if len(of) != a.ndim:
            raise _wrong(f, f"{a.name} has {a.ndim} axes, and its box {len(of)}")
    return ExternCall(external.function, arrays, box, reads)
