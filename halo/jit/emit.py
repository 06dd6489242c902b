"""A lowered pipeline as LLVM IR text.

The kernel is `i32 name(ptr slots, ptr error)`: it returns 0, or the status of a failed check or allocation.
`emit_stmt` walks the statements, `emit_expr` (with `emit_int`, `emit_float`, `emit_cast`) the expressions, and
`emit_address`, `emit_load` and `emit_store` memory; all append to an `emit_function.Function`. Halo has vectorised and
unrolled already: the text says what the machine is to do, and LLVM selects instructions and registers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ir.expr import Buffer, Expr
from ..ir.pipeline import Lowered
from ..types import Type
from . import emit_expr  # noqa: F401  (fills the tables of expressions)
from .emit_function import Function
from .emit_stmt import count_loops, emit_body
from .target import Target

__all__ = ["Module", "emit", "emit_parts"]

FEW_LOOPS = 8  # that a kernel runs one after the other itself: LLVM is slow with large functions


def emit(lowered: Lowered, target: Target, name: str, loops: Mapping[int, int] | None = None) -> str:
    """The LLVM IR of `lowered` as text: one kernel `name`, and a function a parallel loop.

    `loops` numbers For statements by their `id`: labels, also those of the assembly, then tell which loop they are of.
    Raises CompileError for a body that is not flattened.
    """
    return _module(lowered, target, name, loops or {}).text()


def emit_parts(lowered: Lowered, target: Target, name: str, most: int) -> tuple[str, ...]:
    """The same as up to `most` modules of about the same size, which LLVM compiles side by side."""
    return _module(lowered, target, name, {}).parts(most)


def _module(lowered: Lowered, target: Target, name: str, loops: Mapping[int, int]) -> Module:
    module = Module(target, name, kernel_slots(lowered), loops)
    apart = count_loops(lowered.body) > FEW_LOOPS
    kernel = Function(module, name, "ptr noalias readonly %slots, ptr noalias %error", loops_apart=apart)
    emit_body(kernel, lowered.body)
    module.add(kernel)
    return module


def kernel_slots(lowered: Lowered) -> dict[Any, int]:
    """Where each buffer and variable of the call is among the kernel's 8-byte slots."""
    keys: list[Any] = []
    for port in lowered.ports:
        keys += (port.buffer, *port.extents, *port.strides, *port.mins)
    keys += (param.var for param in lowered.params)
    slots = {key: k for k, key in enumerate(keys)}  # the elements of a tuple have one region, whose slots come again
    slots.update((port.address, slots[port.buffer]) for port in lowered.ports if port.address is not None)
    return slots


class Module:
    """What the functions of one kernel share: constants, tables, buffers' numbers, alias scopes."""

    def __init__(self, target: Target, name: str, slots: dict[Any, int], loops: Mapping[int, int]) -> None:
        self.target, self.name, self.slots, self.loops = target, name, slots, loops
        self.functions: dict[str, str] = {}  # by name
        self.globals: dict[str, str] = {}  # likewise
        self.declarations = list(_DECLARATIONS)
        self.tables: dict[Buffer, str] = {}
        self.zeros = 0  # bytes of zero that some load needs
        self.literals: dict[tuple[Any, str], str] = {}
        self.numbers: dict[Buffer, int] = {}
        self.reads: dict[Expr, int] = {}
        self.scopes: dict[tuple[int, ...], int] = {}  # lists of alias scopes, and their places among the metadata
        self.tasks: dict[str, str] = {}  # what is inside of the functions of parallel loops, and their names

    # -- constants ---------------------------------------------------------------------------------------------------

    def literal(self, value: Any, t: Type) -> str:
        """A scalar constant in a register of type `t`."""
        key = (struct.pack("<d", value) if t.is_float else value, t.name)
        found = self.literals.get(key)
        if found is None:
            found = self.literals[key] = _literal(value, t)
        return found

    def table(self, buffer: Buffer) -> str:
        """The global that holds a constant table."""
        found = self.tables.get(buffer)
        if found is None:
            found = self.tables[buffer] = f"@table{len(self.tables)}"
            data = np.ascontiguousarray(buffer.table).tobytes()
            text = "".join(f"\\{byte:02x}" for byte in data)
            self.globals[found] = (
                f'private unnamed_addr constant [{len(data)} x i8] c"{text}", align 64' if data
                else "private unnamed_addr constant [1 x i8] zeroinitializer, align 64")  # fmt: skip
        return found

    def text_of(self, text: str) -> str:
        """A constant C string."""
        data = text.encode() + b"\0"
        name = f"@text{len(self.globals)}"
        escaped = "".join(f"\\{byte:02x}" for byte in data)
        self.globals[name] = f'private unnamed_addr constant [{len(data)} x i8] c"{escaped}"'
        return name

    def declare(self, declaration: str) -> None:
        """A function from outside of the kernel."""
        if declaration not in self.declarations:
            self.declarations.append(declaration)

    def zero(self, bytes: int) -> str:
        """Memory full of zeros: what a load reads whose condition is false."""
        self.zeros = max(self.zeros, bytes)
        return "@zero"

    # -- buffers -----------------------------------------------------------------------------------------------------

    def bit(self, buffer: Buffer) -> int:
        """The bit that stands for `buffer`, or 0 if it is never written to."""
        return 0 if buffer.kind in ("input", "table") else 1 << self.number(buffer)

    def number(self, buffer: Buffer) -> int:
        found = self.numbers.get(buffer)
        if found is None:
            found = self.numbers[buffer] = len(self.numbers)
        return found

    def scope_list(self, scopes: tuple[int, ...]) -> int:
        """The metadata node that lists these scopes: numbers of the buffers of a function, of whichever function."""
        return _METADATA + self.scopes.setdefault(scopes, len(self.scopes))

    # -- text --------------------------------------------------------------------------------------------------------

    def add(self, function: Function) -> str:
        """The name under which `function` is called. Loops that do the same with other buffers, as the levels of a
        pyramid do, are one function."""
        body = function.body()
        name = function.name if function.parent is None else self.tasks.get(body)
        if name is None:
            name = self.tasks[body] = f"{self.name}.{len(self.tasks) + 1}"
        self.functions.setdefault(name, function.defined(name, body))
        return name

    def text(self) -> str:
        return self._text(self.functions)

    def parts(self, most: int) -> tuple[str, ...]:
        """The functions in up to `most` modules, the largest first to where there is least; in one if they share memory."""
        if any(value.startswith("internal global") for value in self.globals.values()):
            most = 1
        count = min(most, len(self.functions), 1 + sum(map(len, self.functions.values())) // _WORTHWHILE)
        parts: list[dict[str, str]] = [{} for _ in range(count)]
        for name, text in sorted(self.functions.items(), key=lambda item: -len(item[1])):
            min(parts, key=lambda part: sum(map(len, part.values())))[name] = text
        return tuple(map(self._text, parts))

    def _text(self, functions: dict[str, str]) -> str:
        body = "\n".join(functions.values())
        mentioned = set(_GLOBAL.findall(body))
        shared = [f"{name} = {value}" for name, value in self.globals.items() if name in mentioned]
        if self.zeros:
            shared.append(f"@zero = private unnamed_addr constant [{self.zeros} x i8] zeroinitializer, align 64")
        elsewhere = [f"declare i32 @{name}(i64, ptr)" for name in self.tasks.values() if name not in functions]
        return "\n".join([f'target triple = "{self.target.triple}"', *shared, body, *self.declarations, *elsewhere,
                          self._attributes(), *self._metadata(), ""])  # fmt: skip

    def _attributes(self) -> str:
        width = f' "prefer-vector-width"="{self.target.vector_bits}"' if self.target.is_x86 else ""
        features = f' "target-features"="{self.target.features}"' if self.target.features else ""
        cpu = f' "target-cpu"="{self.target.cpu}"' if self.target.cpu else ""
        return f"attributes #0 = {{ nounwind{cpu}{features}{width} }}"

    def _metadata(self) -> list[str]:
        """Lists of alias scopes, and the scopes."""
        lines = ["!0 = !{}", '!1 = !{!"branch_weights", i32 1, i32 2000}', '!2 = !{!"branch_weights", i32 2000, i32 1}',
                 "!3 = distinct !{!3}", "!4 = !{i32 1}"]  # fmt: skip
        first = _METADATA + len(self.scopes)
        for scopes, place in self.scopes.items():
            lines.append(f"!{_METADATA + place} = !{{{', '.join(f'!{first + n}' for n in scopes)}}}")
        count = 1 + max((n for scopes in self.scopes for n in scopes), default=-1)
        return [*lines, *(f"!{first + n} = distinct !{{!{first + n}, !3}}" for n in range(count))]


_GLOBAL = re.compile(r"@(?:(?:table|text)\d+|memo\.owner)")
_WORTHWHILE = 40_000  # characters of LLVM IR that are worth another thread
_METADATA = 5  # metadata nodes below are fixed: empty, unlikely, likely, the alias domain, the number 1
_DECLARATIONS = (
    "declare noalias align 64 ptr @halo_malloc(i64)",
    "declare void @halo_free(ptr)",
    "declare void @halo_release(ptr)",
    "declare i32 @halo_par_for(ptr, ptr, i64, i64)",
    "declare ptr @halo_fork(ptr, ptr, ptr)",
    "declare i32 @halo_join(ptr, i32)",
    "declare i32 @halo_acquire(ptr, ptr)",
    "declare void @halo_signal(ptr)",
    "declare void @halo_close(ptr)",
)


def _literal(value: Any, t: Type) -> str:
    if t.is_bool:
        return "true" if value else "false"
    if not t.is_float:
        return str(int(value) - (1 << t.bits) if int(value) >> (t.bits - 1) == 1 else int(value))
    return f"0x{struct.unpack('<Q', struct.pack('<d', rounded(value, t)))[0]:016X}"


def rounded(value: float, t: Type) -> float:
    """`value` as the float type `t` holds it."""
    if t.bits == 64:
        return value
    with np.errstate(all="ignore"):
        return float(np.array(value, np.float64).astype(t.dtype))
