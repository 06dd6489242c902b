"""Directives that print what happens. They change no value."""

from __future__ import annotations

from dataclasses import replace

from ..ir import algebra as A
from ..ir.expr import Array, Expr, Op, Read
from ..ir.pipeline import Function
from ..types import i64
from .directive import Directive, directive
from .rewrite import mapped

__all__ = ["Trace", "TraceLoads", "TraceStores", "traced_loads", "traced_stores"]


class Trace(Directive):
    """A directive on a whole Func that prints."""


@directive("trace_loads", on="func")
class TraceLoads(Trace):
    """Print each value of this Func when it is read: `7 loaded from f[2, 5]`."""


@directive("trace_stores", on="func")
class TraceStores(Trace):
    """Print each value of this Func when it is computed: `7 stored to f[2, 5]`."""


def traced_loads(function: Function, array: Array) -> Function:
    """`function` printing what it reads of `array`."""
    memo: dict[Expr, Expr] = {}

    def through(e: Expr) -> Expr | None:
        if isinstance(e, Read) and e.array is array:
            read = Read(array, tuple(visit(i) for i in e.indices), e.item, e.pred)
            return _printed(read, "loaded from", array, read.indices, e.item)
        return None

    def visit(e: Expr) -> Expr:
        return A.rewrite(e, through, memo)

    return replace(function, definitions=tuple(mapped(d, visit) for d in function.definitions))


def traced_stores(function: Function) -> Function:
    """`function` printing what it computes."""
    definitions = []
    for d in function.definitions:
        values = (None if v is None else _printed(v, "stored to", function.array, d.indices, k)
                  for k, v in enumerate(d.values))  # fmt: skip
        definitions.append(replace(d, values=tuple(values)))
    return replace(function, definitions=tuple(definitions))


def _printed(value: Expr, what: str, array: Array, indices: tuple[Expr, ...], item: int) -> Expr:
    place = f"{array.name}[{', '.join('{}' for _ in indices)}]" + (f"[{item}]" if len(array.types) > 1 else "")
    shown = (value, *(A.cast(i, i64) for i in indices))
    return Op("print", shown, value.type, f"{{}} {what} {place}")
