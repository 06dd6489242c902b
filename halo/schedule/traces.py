"""Directives that print what happens. They change no value."""

from __future__ import annotations

from dataclasses import replace

from ..ir import algebra as A
from ..ir.expr import Array, Expr, Op, Read
from ..ir.pipeline import Function
from ..types import i64
from .directive import TEXT, Directive, arg, directive
from .rewrite import mapped

__all__ = ["AddTraceTag", "DebugToFile", "Trace", "TraceLoads", "TraceRealizations", "TraceStores", "traced_loads",
           "traced_stores"]  # fmt: skip


class Trace(Directive):
    """A directive on a whole Func that says what happens."""

    def mark(self, function: Function) -> Function:
        """`function` after this directive, as far as lowering must know of it."""
        return function


@directive("trace_loads", on="func")
class TraceLoads(Trace):
    """Print each value of this Func when it is read: `7 loaded from f[2, 5]`."""


@directive("trace_stores", on="func")
class TraceStores(Trace):
    """Print each value of this Func when it is computed: `7 stored to f[2, 5]`."""


@directive("trace_realizations", on="func")
class TraceRealizations(Trace):
    """Print when memory for this Func comes and goes, and when its values are computed, with their ranges:
    `begin realization of f[0..9]`, `begin production of f[0..9]`, and the same with `end`."""

    def mark(self, function: Function) -> Function:
        return replace(function, trace_realizations=True)


@directive("add_trace_tag", on="func")
class AddTraceTag(Trace):
    """Print a text for whoever reads the trace, as each run begins: `tag of f: TEXT`."""

    tag: str = arg(TEXT)

    def mark(self, function: Function) -> Function:
        return replace(function, trace_tags=(*function.trace_tags, self.tag))


@directive("debug_to_file", on="func")
class DebugToFile(Trace):
    """Write what is computed to a file in NumPy's format (Halide has its own), each time that all of it is there.

    f.compute_root().debug_to_file("f.npy")     after a run np.load("f.npy") is the region of f that was computed

    Of a Func that is computed in a loop the file has the last region. Each element of a tuple has a file: f.0.npy, ...
    """

    file: str = arg(TEXT)

    def mark(self, function: Function) -> Function:
        return replace(function, debug_file=(self.file, self.loc))


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
