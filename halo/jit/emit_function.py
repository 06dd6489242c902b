"""One LLVM function while it is written: registers, blocks, scopes, and what the values of expressions are called.

Text is appended in program order. A value is its operand as text: a register (`%v7`), a constant (`3`,
`splat (i16 3)`) or a global. Every expression node is emitted once per scope; whoever stores to memory says so
(`stored`), and values that were read from there are forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import CompileError
from ..ir.expr import CHILDREN, Buffer, Const, Expr, Load, Op, Var
from ..ir.stmt import For, Semaphore
from ..types import STORED, Type, index

if TYPE_CHECKING:
    from .emit import Module

__all__ = [
    "EMIT",
    "ERROR",
    "LOCKS",
    "LOCK_COUNT",
    "MEMORY",
    "PARKED",
    "REGISTER",
    "Function",
    "memory_type",
    "register_type",
    "vec",
]

# bf16 and f16 live in f32 registers, always holding a value of their own type, and in memory as 16 bits. Of the types that
# only store, registers hold the bits.
REGISTER = {"bool_": "i1", "i8": "i8", "u8": "i8", "i16": "i16", "u16": "i16", "i32": "i32", "u32": "i32", "i64": "i64",
            "u64": "i64", "index": "i64", "f16": "float", "bf16": "float", "f32": "float", "f64": "double",
            **{t.name: "i8" for t in STORED}}  # fmt: skip
MEMORY = {**REGISTER, "bool_": "i8", "f16": "i16", "bf16": "i16"}

_SCOPES = re.compile(r"!alias\.scope <(\d+)>")
LOCKS = "locks"  # likewise, where the locks of a call are
LOCK_COUNT = 1024
PARKED = "parked"  # likewise, the lock that the thread of a half of a fork waits on
ERROR = "error"  # the key under which a function knows where a failed check leaves its values


def vec(scalar: str, lanes: int) -> str:
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def register_type(e: Expr) -> str:
    return vec(REGISTER[e.type.name], e.lanes)


def memory_type(t: Type, lanes: int) -> str:
    return vec(MEMORY[t.name], lanes)


class Function:
    """`define i32 @name(parameters)`. Inside a task, what its parent knows is captured at first use. `threaded`: several
    threads may run it at once. `loops_apart`: serial loops become tasks too."""

    def __init__(
        self,
        module: Module,
        name: str,
        parameters: str,
        parent: Function | None = None,
        *,
        threaded: bool = False,
        loops_apart: bool = False,
    ) -> None:
        self.module, self.name, self.parameters, self.parent = module, name, parameters, parent
        self.threaded, self.loops_apart = threaded, loops_apart
        self.head: list[str] = []  # allocas and captured values, before the first block
        self.lines: list[str] = []
        self.tail: list[str] = []  # error exits
        self.last: list[str] = []  # what is done before every return
        self.block = "start"
        self.count = 0
        self.values: dict[Any, str] = {}
        self.trail: list[Any] = []  # the keys of `values` in order, for leaving scopes
        self.reads = module.reads  # the writable buffers under an expression, as bits
        self.readers: dict[int, list[Any]] = {}  # bit -> values to forget when its buffer is stored to
        self.levels: dict[Expr, int] = {}  # the depth of the loop that a variable, or what is made of it, varies in
        self.depth = 0
        self.scopes: dict[Any, int] = {}  # alias scopes: buffers by their first access, and slots
        self.apart: dict[int, set[int]] = {}  # scopes with lower numbers that are accessed in the same loops
        self.nearby: set[int] = set()  # accessed in the present outermost loop
        self.captures: list[Any] = []
        self.owned: set[Buffer] = set()  # allocated here: no other thread sees them
        self.exits: list[tuple[str, str]] = []  # what to undo on leaving: (instruction, label of the exit that does it)
        self.used_exits: set[str] = set()
        self.stack_bytes = 0
        self.streamed_stores: frozenset[Any] = frozenset()  # the buffers that are stored past the caches now...
        self.streamed_loads: frozenset[Any] = frozenset()  # ... and those loaded so
        self.unfenced = False  # whether something was, since the present stage began
        self.freeing: dict[Buffer, Callable[[], None]] = {}  # how `Free` gives the memory of a buffer back
        self.free_slots: list[Any] = []  # of `emit_slot`, not taken now
        self.rooms: dict[str, list[str]] = {}
        self.borrowed: list[tuple[str, str]] = []

    def task(self, threaded: bool = True) -> Function:
        """A function that the kernel calls from here, `i32 task(i64 i, ptr closure)`; nothing is in it yet."""
        parameters = "i64 %i, ptr noalias readonly %closure"
        return Function(self.module, f"{self.module.name}.task", parameters, parent=self, threaded=threaded)

    # -- text --------------------------------------------------------------------------------------------------------

    def new(self, text: str) -> str:
        """A new register holding what the instruction `text` gives."""
        self.count = n = self.count + 1
        name = f"%v{n}"
        self.lines.append(f"{name} = {text}")
        return name

    def same(self, text: str) -> str:
        """As `new`, of an instruction without effects: one that was given before on every way here is not repeated."""
        found = self.values.get(text)
        if found is None:
            found = self.new(text)
            self.bind(text, found)
        return found

    def do(self, text: str) -> None:
        self.lines.append(text)

    def label(self) -> str:
        self.count += 1
        return f"b{self.count}"

    def loop(self, loop: For) -> tuple[str, str]:
        """Labels for the body of a loop and for what follows; they tell its number, where the module's loops have any."""
        number = self.module.loops.get(id(loop))
        body, after = self.label(), self.label()
        return (body, after) if number is None else (f"loop.{number}.{body}", f"after.{number}.{after}")

    def begin(self, label: str) -> None:
        """Start the block `label`."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """End the block by going to `label`, and start that."""
        self.lines.append(f"br label %{label}")
        self.begin(label)

    def at_entry(self, text: str) -> str:
        """A register computed once, on entry to the function."""
        self.count += 1
        name = f"%v{self.count}"
        self.head.append(f"{name} = {text}")
        return name

    @contextmanager
    def borrowing(self) -> Iterator[None]:
        """Rooms made inside are free for others afterwards."""
        outer, self.borrowed = self.borrowed, []
        yield
        for type, pointer in self.borrowed:
            self.rooms.setdefault(type, []).append(pointer)
        self.borrowed = outer

    def room(self, type: str) -> str:
        """Memory on the stack for one value of `type`, within `borrowing`."""
        free = self.rooms.get(type)
        pointer = free.pop() if free else self.at_entry(f"alloca {type}, align 64")
        self.borrowed.append((type, pointer))
        return pointer

    @contextmanager
    def entry(self) -> Iterator[None]:
        """Within this, instructions go to the entry of the function."""
        self.lines, self.head = self.head, self.lines
        yield
        self.lines, self.head = self.head, self.lines

    def body(self) -> str:
        """What the function does, as text: the same for functions that do the same."""
        self.separate()
        if self.used_exits:
            self.head.append("%status = alloca i32")
            self.tail += ["leave:", "%left = load i32, ptr %status", *self.last, "ret i32 %left"]
        text = "\n".join([*self.head, "br label %start", "start:", *self.lines, *self.last, "ret i32 0", *self.tail])
        return _SCOPES.sub(self._scopes_of, text)

    def defined(self, name: str, body: str) -> str:
        return f"define i32 @{name}({self.parameters}) #0 {{\n{body}\n}}"

    # -- alias scopes ------------------------------------------------------------------------------------------------

    def access(self, buffer: Buffer) -> str:
        """The metadata of a load or store: different buffers do not overlap. Its lists are known at the end."""
        scope = self.scopes.setdefault(buffer, len(self.scopes))
        self.nearby.add(scope)
        return f", !alias.scope <{scope}>"

    def separate(self) -> None:
        """The buffers nearby are accessed in one loop nest, where it matters that they do not overlap: the later of two
        names the earlier."""
        ordered = sorted(self.nearby)
        for k, scope in enumerate(ordered):
            self.apart.setdefault(scope, set()).update(ordered[:k])
        self.nearby = set()

    def _scopes_of(self, found: re.Match[str]) -> str:
        scope = int(found[1])
        own, others = self.module.scope_list((scope,)), self.module.scope_list(tuple(sorted(self.apart.get(scope, ()))))
        return f"!alias.scope !{own}, !noalias !{others}"

    # -- error exits -------------------------------------------------------------------------------------------------

    def fail(self, status: str) -> None:
        """End the block by leaving the function with `status`, undoing what must be undone."""
        target = self.exits[-1][1] if self.exits else "leave"
        self.used_exits.add(target)
        self.lines.append(f"store i32 {status}, ptr %status")
        self.lines.append(f"br label %{target}")

    def fail_if(self, cond: str, status: str) -> None:
        bad, good = self.label(), self.label()
        self.lines.append(f"br i1 {cond}, label %{bad}, label %{good}, !prof !1")
        self.begin(bad)
        self.fail(status)
        self.begin(good)

    def hold(self, undo: str) -> None:
        """From here on every error exit does `undo`: free memory, let go of a lock."""
        self.exits.append((undo, self.label()))

    def release(self) -> None:
        """Undo what was held last, on this path as on the error exits that passed it."""
        self.lines.append(self.exits[-1][0])
        self.drop()

    def drop(self) -> None:
        """What was held last, or what was only to be done on error exits, is no longer to be undone."""
        undo, label = self.exits.pop()
        if label in self.used_exits:
            self._leave(undo, label)

    def _leave(self, undo: str, label: str) -> None:
        """The error exit that does `undo`."""
        outer = self.exits[-1][1] if self.exits else "leave"
        self.used_exits.add(outer)
        self.tail += [f"{label}:", undo, f"br label %{outer}"]

    # -- scopes ------------------------------------------------------------------------------------------------------

    def bind(self, key: Any, value: str) -> None:
        """Within the present scope `key` is `value`."""
        self.values[key] = value
        self.trail.append(key)

    def mark(self) -> int:
        return len(self.trail)

    def restore(self, mark: int) -> None:
        """Forget all that was computed since `mark`: it does not dominate what follows."""
        values = self.values
        for key in self.trail[mark:]:
            values.pop(key, None)
        del self.trail[mark:]

    def stored(self, buffer: Buffer) -> None:
        """Memory of `buffer` changed: forget what was read from it."""
        for key in self.readers.pop(self.module.bit(buffer), ()):
            self.values.pop(key, None)

    def stored_all(self) -> None:
        """Any memory may have changed (a loop's back edge, a call)."""
        for keys in self.readers.values():
            for key in keys:
                self.values.pop(key, None)
        self.readers.clear()

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, e: Expr) -> str:
        """The operand that holds `e`. Iterative, because sums of a thousand terms are as deep."""
        values = self.values
        found = values.get(e)
        if found is not None:
            return found
        stack = [e]
        while stack:
            e = stack[-1]
            if e in values:
                stack.pop()
                continue
            kind = type(e)
            waiting = [k for k in BEFORE[kind](e) if k not in values]
            if waiting:
                waiting.reverse()
                stack += waiting
                continue
            stack.pop()
            result = EMIT[kind](self, e)
            values[e] = result
            if kind is Const or kind is Var:
                continue  # constants, and variables captured on entry: good everywhere
            self.trail.append(e)
            bits = self.reads_of(e)
            if bits:
                self.remember(e, bits)
        return result

    def remember(self, e: Expr, bits: int) -> None:
        while bits:
            low = bits & -bits
            self.readers.setdefault(low, []).append(e)
            bits ^= low

    def reads_of(self, e: Expr) -> int:
        """The set of writable buffers that `e` reads, as bits."""
        found = self.reads.get(e)
        if found is None:
            found = self.module.bit(e.buffer) if isinstance(e, Load) else 0
            for k in CHILDREN[type(e)](e):
                found |= self.reads_of(k)
            self.reads[e] = found
        return found

    def level(self, e: Expr) -> int:
        """The depth of the innermost loop that `e` varies in: terms are added up outermost first. Data counts as varying."""
        found = self.levels.get(e)
        if found is None:
            if e.type is not index or isinstance(e, Load):
                found = 0 if isinstance(e, Const) else self.depth
            else:
                found = max((self.level(k) for k in CHILDREN[type(e)](e)), default=0)
            self.levels[e] = found
        return found

    def constant(self, value: float, e: Expr) -> str:
        """The number `value` as an operand of `e`'s type and lanes."""
        scalar = self.module.literal(value, e.type)
        return scalar if e.lanes == 1 else f"splat ({REGISTER[e.type.name]} {scalar})"

    def capture(self, key: Any, type: str) -> str:
        """An argument of the function: of the kernel, or, in a task, a value of its parent's carried by the closure."""
        if self.parent is None:
            if key is ERROR:
                return "%error"
            if key is LOCKS:
                return self._locks()
            slot = self.module.slots.get(key)
            if slot is None:
                raise CompileError(f"{key!r} has no value where it is used")
            where = "%slots"
        else:
            slot = len(self.captures)
            self.captures.append((key, type))
            where = "%closure"
        address = self.at_entry(f"getelementptr i64, ptr {where}, i64 {slot}") if slot else where
        result = self.at_entry(f"load {type}, ptr {address}, align 8")
        self.values[key] = result
        return result

    def _locks(self) -> str:
        self.values[LOCKS] = pointer = self.at_entry(f"alloca [{LOCK_COUNT} x i8], align 64")
        self.head.append(f"call void @llvm.memset.p0.i64(ptr {pointer}, i8 0, i64 {LOCK_COUNT}, i1 false)")
        return pointer

    def locks(self) -> str:
        """The address of LOCK_COUNT bytes, all 0 at first, that the threads of one call share."""
        return self.values.get(LOCKS) or self.capture(LOCKS, "ptr")

    def error(self) -> str:
        return self.values.get(ERROR) or self.capture(ERROR, "ptr")

    def semaphore(self, semaphore: Semaphore) -> str:
        """The address of a semaphore of this fork, or of one around."""
        return self.values.get(semaphore) or self.capture(semaphore, "ptr")

    def pointer(self, buffer: Buffer) -> str:
        """The address of element 0 of `buffer`."""
        found = self.values.get(buffer)
        if found is None:
            found = self.module.table(buffer) if buffer.kind == "table" else self.capture(buffer, "ptr")
            self.values[buffer] = found
        return found


# What to emit before an expression: `rare` decides itself where its rare side goes, addresses are made by the load.
BEFORE: dict[type, Callable[[Any], tuple[Expr, ...]]] = {
    **CHILDREN, Load: lambda e: (), Op: lambda e: (e.args[0], e.args[2]) if e.name == "rare" else e.args,
}  # fmt: skip

# How each kind of expression is emitted; filled by emit_expr.
EMIT: dict[type, Callable[[Function, Any], str]] = {}
