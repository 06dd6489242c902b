"""How many bytes are asked for, and what is told of regions of memory to functions outside of the kernel."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.expr import Const, Expr, Lin, Op, walk
from ..ir.stmt import View
from ..types import Type
from .emit_function import Function, memory_type

__all__ = ["MOST_BYTES", "told", "view_words", "wanted"]

MOST_BYTES = 1 << 47  # more than `halo_malloc` ever gives


def wanted(f: Function, size: Expr, type: Type) -> str:
    """How many bytes `size` elements take; where an i64 may not hold them, -1: more than there is."""
    if isinstance(size, Const):
        return str(min(max(size.value * type.bytes, 1), MOST_BYTES))
    exact = f.new(f"mul nsw i64 {f.value(size)}, {type.bytes}")
    exact = f.new(f"call i64 @llvm.smax(i64 {exact}, i64 1)")
    if not any(isinstance(e, Op) and e.name == "mul" for e in walk((size,))):
        return exact
    absurd = f.new(f"fcmp ogt double {_roughly(f, size)}, {float(MOST_BYTES)}")
    return f.new(f"select i1 {absurd}, i64 -1, i64 {exact}")


def _roughly(f: Function, e: Expr) -> str:
    """The index expression `e` as a double, which no product in it can overflow."""
    if isinstance(e, Op) and e.name in ("mul", "min", "max"):
        a, b = (_roughly(f, x) for x in e.args)
        if e.name == "mul":
            return f.new(f"fmul double {a}, {b}")
        return f.new(f"call double @llvm.{e.name}num.f64(double {a}, double {b})")
    if isinstance(e, Lin):
        total = f"{float(e.const)}"
        for atom, k in e.terms:
            term = f.new(f"fmul double {_roughly(f, atom)}, {float(k)}")
            total = f.new(f"fadd double {total}, {term}")
        return total
    return f.new(f"sitofp i64 {f.value(e)} to double")


def told(f: Function, words: Sequence[str]) -> str:
    """The address of `words` (i64 each) in memory."""
    pointer = f.at_entry(f"alloca [{max(len(words), 1)} x i64], align 8")
    for k, word in enumerate(words):
        where = f.new(f"getelementptr i64, ptr {pointer}, i64 {k}")
        f.do(f"store i64 {word}, ptr {where}, align 8")
    return pointer


def view_words(f: Function, v: View) -> tuple[str, ...]:
    """The address of a region, its extents and its strides in elements."""
    type = memory_type(v.buffer.type, 1)
    first = f.new(f"getelementptr {type}, ptr {f.pointer(v.buffer)}, i64 {f.value(v.index)}")
    return (f.new(f"ptrtoint ptr {first} to i64"), *map(f.value, (*v.extents, *v.strides)))
