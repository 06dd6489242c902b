"""Operations that do more than compute: requirements, printing, functions linked from elsewhere.

`require(cond, value, ...)` is `value`; where `cond` is false the kernel stops with the status `data`, and leaves the
values of that lane in the call's error memory, as a failed check does.
`print(value, ...)` is `value`; it calls `halo_print(message, types, values)` lane by lane: the text `data`, the names of
the types with commas between, and 8 bytes a value, integers as i64 and floats as doubles.
`call(...)` calls the C function that is linked under the name `data`, lane by lane.
"""

from __future__ import annotations

from ..errors import CompileError
from ..ir.expr import Expr, Op
from ..types import Type
from .emit_cast import pack, unpack
from .emit_function import MEMORY, REGISTER, Function, vec
from .emit_vector import any_lane, concat, permute

__all__ = ["OPS", "report"]


def report(f: Function, t: Type, value: str) -> str:
    """A scalar as the 8 bytes that Python is told: integers as they are, floats as a double's bits."""
    type = REGISTER[t.name]
    if t.is_float:
        wide = value if type == "double" else f.new(f"fpext float {value} to double")
        return f.new(f"bitcast double {wide} to i64")
    return value if type == "i64" else f.new(f"{'sext' if t.kind == 'int' else 'zext'} {type} {value} to i64")


def _require(f: Function, e: Op, a: list[str]) -> str:
    if not isinstance(e.data, int):
        raise CompileError("a requirement has no status")
    cond, lanes = a[0], e.args[0].lanes
    wrong = f.new(f"xor {vec('i1', lanes)} {cond}, {'true' if lanes == 1 else 'splat (i1 true)'}")
    bad, good = f.label(), f.label()
    f.do(f"br i1 {any_lane(f, wrong, lanes)}, label %{bad}, label %{good}, !prof !1")
    f.begin(bad)
    mark = f.mark()
    lane = _first(f, wrong, lanes)
    for k, (arg, value) in enumerate(zip(e.args[1:], a[1:], strict=True)):
        if lanes > 1:
            value = f.new(f"extractelement {vec(REGISTER[arg.type.name], lanes)} {value}, i64 {lane}")
        where = f.new(f"getelementptr i64, ptr {f.error()}, i64 {k}") if k else f.error()
        f.do(f"store i64 {report(f, arg.type, value)}, ptr {where}, align 8")
    f.restore(mark)
    f.fail(str(e.data))
    f.begin(good)
    return a[1]


def _first(f: Function, mask: str, lanes: int) -> str:
    """The number of the first true lane."""
    if lanes == 1:
        return "0"
    bits = f.new(f"bitcast <{lanes} x i1> {mask} to i{lanes}")
    lane = f.new(f"call i{lanes} @llvm.cttz.i{lanes}(i{lanes} {bits}, i1 true)")
    if lanes == 64:
        return lane
    return f.new(f"{'zext' if lanes < 64 else 'trunc'} i{lanes} {lane} to i64")


def _print(f: Function, e: Op, a: list[str]) -> str:
    f.module.declare("declare void @halo_print(ptr, ptr, ptr)")
    message, types = (f.module.text_of(t) for t in (str(e.data), ",".join(arg.type.name for arg in e.args)))
    values = f.at_entry(f"alloca [{len(a)} x i64], align 8")
    for lane in range(e.lanes):
        for k, (arg, value) in enumerate(zip(e.args, a, strict=True)):
            where = f.new(f"getelementptr i64, ptr {values}, i64 {k}")
            f.do(f"store i64 {report(f, arg.type, _lane(f, arg, value, lane))}, ptr {where}, align 8")
        f.do(f"call void @halo_print(ptr {message}, ptr {types}, ptr {values})")
    return a[0]


def _call(f: Function, e: Op, a: list[str]) -> str:
    if not isinstance(e.data, str):
        raise CompileError(f"{e.data!r} is not linked under a name")
    result, parameters = MEMORY[e.type.name], [MEMORY[arg.type.name] for arg in e.args]
    f.module.declare(f"declare {result} @{e.data}({', '.join(parameters)})")
    parts = []
    for lane in range(e.lanes):
        given = [pack(f, arg.type, 1, _lane(f, arg, value, lane)) for arg, value in zip(e.args, a, strict=True)]
        text = ", ".join(f"{t} {v}" for t, v in zip(parameters, given, strict=True))
        parts.append((unpack(f, e.type, 1, f.new(f"call {result} @{e.data}({text})")), 1))
    return concat(f, REGISTER[e.type.name], parts)[0]


def _lane(f: Function, e: Expr, value: str, lane: int) -> str:
    return permute(f, REGISTER[e.type.name], [(value, e.lanes)], [lane]) if e.lanes > 1 else value


OPS = {"require": _require, "print": _print, "call": _call}
