"""A driver: machine code that calls kernels one after the other, branches and loops, with no Python in between.

Each kernel has its slots (see `layout`) in one table, a frame, which belongs to a call while that lasts. What changes from
call to call, the addresses of inputs and outputs, is written into the frame by the driver itself; and what changes with
the extents of a call, when they do (see `extents`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .binding import Binder
from .entry import Ahead, FastEntry, fast_entry
from .extents import Extents
from .kernel import Kernel, MachineCode
from .ports import FRAMES, Shapes
from .runtime import compiled

__all__ = ["Branch", "Copy", "Driver", "Instruction", "Repeat", "Step", "machine_code"]

STEP_SHIFT = 32  # a status has the step that it comes from above these bits


@dataclass(frozen=True)
class Step:
    """A call of the kernel of that name, whose slots are in the frame from `first` on. Nothing is called where one of the
    slots `entries`, extents of the result, is 0."""

    kernel: str
    first: int
    entries: tuple[int, ...] = ()


@dataclass(frozen=True)
class Copy:
    """Bytes from one place to another: the slots of their addresses, and of how many there are. `row`: so many further for
    each iteration of the loop that this is in."""

    source: int
    target: int
    bytes: int
    row: bool = False


@dataclass(frozen=True)
class Branch:
    """`then` where the byte, whose address is in the slot `condition`, is not 0, else `otherwise`."""

    condition: int
    then: tuple[Instruction, ...]
    otherwise: tuple[Instruction, ...]


@dataclass(frozen=True)
class Repeat:
    """`body` again and again. The slots have the addresses of the trip count, an i64 that is read once, of the condition, a
    byte that is read before each iteration, and of where the number of the iteration is written to."""

    trip: int | None
    condition: int | None
    number: int
    body: tuple[Instruction, ...]


Instruction = Step | Copy | Branch | Repeat


def _steps_of(program: Sequence[Instruction]) -> Iterator[Step]:
    """The calls of kernels in `program`, as they are written down."""
    for one in program:
        match one:
            case Step():
                yield one
            case Branch():
                yield from _steps_of((*one.then, *one.otherwise))
            case Repeat():
                yield from _steps_of(one.body)


def _symbols(steps: Sequence[Step]) -> dict[str, str]:
    """What kernels are called in the code of a driver, by their names."""
    return {name: f"kernel_{k}" for k, name in enumerate(dict.fromkeys(s.kernel for s in steps))}


def machine_code(
    program: Sequence[Instruction],
    outside: Sequence[tuple[int, int, int | None]],
    extents: Extents | None,
    shapes: Shapes,
) -> bytes:
    """Object code that runs `program` in order. `outside`: the (slot, k, more) of a frame that hold the k-th outside address,
    given anew each call, and as many bytes further on as the slot `more` says. `extents`: what depends on the extents of a
    call, if anything does. `shapes`: those of what is outside."""
    from .target import Target

    steps = tuple(_steps_of(program))
    symbols = _symbols(steps)
    text = _Writer([symbols[s.kernel] for s in steps]).function(program, outside)
    text += shapes.text() + ("" if extents is None else extents.text())
    return compiled(text, Target.host())


class Driver:
    """The `machine_code` of `program`, with the kernels that it calls by name."""

    def __init__(
        self, code: bytes, program: Sequence[Instruction], kernels: Mapping[str, Kernel], extents: bool
    ) -> None:
        from . import llvm

        self.steps = tuple((kernels[s.kernel], s.first) for s in _steps_of(program))
        self._frames = (ctypes.c_void_p * FRAMES)()
        addresses = {"frames": ctypes.addressof(self._frames)}
        for name, symbol in _symbols(tuple(_steps_of(program))).items():
            kernel = kernels[name].code
            assert isinstance(kernel, MachineCode)
            addresses[symbol] = kernel.address
        names = ("main", "expect", "call", "take", "give", *(("place",) if extents else ()))
        self._library = llvm.load_object(code, addresses, names)
        if extents:
            types = ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
            self._place = ctypes.CFUNCTYPE(*types)(self._library.address("place"))
        main = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self._call = main(self._library.address("main"))
        self._take = ctypes.CFUNCTYPE(ctypes.c_void_p)(self._library.address("take"))
        self._give = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._library.address("give"))

    def take(self) -> int | None:
        """The address of a frame that was given back, if there is one."""
        return self._take()  # type: ignore[no-any-return]  # of any type

    def give(self, frame: int) -> None:
        """Let another call have the frame at that address. There are at most FRAMES."""
        self._give(frame)

    def entry(self, binder: Binder, shapes: Shapes, slow: Callable[..., Any]) -> FastEntry | None:
        """The fast way into the program, or None where only the slow path will do. See `ports`."""
        expect, call = (self._library.address(name) for name in ("expect", "call"))
        return fast_entry(binder, call, slow, Ahead(expect, shapes.extents, shapes.slots))

    def place(self, frame: int, dims: Sequence[int], base: int) -> int:
        """Write what depends on the extents `dims` into the frame; the bytes of the arena at `base`, or -1 - the number of
        the condition that does not hold."""
        return int(self._place(frame, (ctypes.c_int64 * len(dims))(*dims), base))

    def run(self, frame: int, outside: Any) -> None:
        """Compute. `frame`: the address of the slots; `outside`: a ctypes array of addresses. Raises what a kernel's check
        says."""
        error = (ctypes.c_int64 * 64)()
        status = self._call(frame, outside, error)  # ctypes lets go of Python's lock
        if status:
            kernel, _ = self.steps[status >> STEP_SHIFT]
            raise kernel._error(ctypes.c_int32(status & (2**STEP_SHIFT - 1)).value, list(error))


class _Writer:
    """The text of `main`. `names` are those of the kernels, step by step."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.lines = names, list[str]()
        self.count, self.step = 0, 0
        self.bad: list[tuple[str, str]] = []  # the status of each step, and the block that it comes from
        self.block = "entry"

    def function(self, program: Sequence[Instruction], outside: Sequence[tuple[int, int, int | None]]) -> str:
        for slot, k, more in outside:
            at = self.load("i64", self.new(f"getelementptr i64, ptr %outside, i64 {k}"))
            if more is not None:
                at = self.new(f"add i64 {at}, {self.load('i64', self.slot(more))}")
            self.lines.append(f"  store i64 {at}, ptr {self.slot(slot)}")
        self.write(program)
        self.lines.append("  ret i64 0")
        if self.bad:
            statuses = ", ".join(f"[{status}, %{block}]" for status, block in self.bad)
            steps = ", ".join(f"[{n}, %{block}]" for n, (_, block) in enumerate(self.bad))
            self.lines += [
                "bad:",
                f"  %status = phi i32 {statuses}",
                f"  %step = phi i64 {steps}",
                "  %low = zext i32 %status to i64",
                f"  %high = shl i64 %step, {STEP_SHIFT}",
                "  %both = or i64 %high, %low",
                "  ret i64 %both",
            ]
        declared = [f"declare i32 @{name}(ptr, ptr)" for name in dict.fromkeys(self.names)]
        declared.append("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        head = "define i64 @main(ptr %frame, ptr %outside, ptr %error) {"
        return "\n".join([*declared, head, "entry:", *self.lines, "}", ""])

    def write(self, program: Sequence[Instruction], number: str = "") -> None:
        """`program`, in a loop whose iteration is `number`."""
        for one in program:
            match one:
                case Step():
                    self.call(one)
                case Copy():
                    self.copy(one, number)
                case Branch():
                    self.branch(one, number)
                case Repeat():
                    self.repeat(one)

    def call(self, step: Step) -> None:
        following = self.label("step")
        for k in step.entries:
            some = self.new(f"icmp ne i64 {self.load('i64', self.slot(k))}, 0")
            more = self.label("some")
            self.lines.append(f"  br i1 {some}, label %{more}, label %{following}")
            self.begin(more)
        status = self.new(f"call i32 @{self.names[self.step]}(ptr {self.slot(step.first)}, ptr %error)")
        self.step += 1
        good = self.new(f"icmp eq i32 {status}, 0")
        self.bad.append((status, self.block))
        self.lines.append(f"  br i1 {good}, label %{following}, label %bad")
        self.begin(following)

    def copy(self, copy: Copy, number: str) -> None:
        count = self.load("i64", self.slot(copy.bytes))
        source, target = (self.load("ptr", self.slot(k)) for k in (copy.source, copy.target))
        if copy.row:
            target = self.new(f"getelementptr i8, ptr {target}, i64 {self.new(f'mul i64 {number}, {count}')}")
        self.lines.append(f"  call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {count}, i1 false)")

    def branch(self, branch: Branch, number: str) -> None:
        then, otherwise, after = (self.label(name) for name in ("then", "else", "after"))
        self.lines.append(f"  br i1 {self.holds(branch.condition)}, label %{then}, label %{otherwise}")
        for label, program in ((then, branch.then), (otherwise, branch.otherwise)):
            self.begin(label)
            self.write(program, number)
            self.lines.append(f"  br label %{after}")
        self.begin(after)

    def repeat(self, loop: Repeat) -> None:
        count = str(2**63 - 1) if loop.trip is None else self.load("i64", self.load("ptr", self.slot(loop.trip)))
        head, test, body, after = (self.label(name) for name in ("loop", "test", "body", "after"))
        before = self.block
        self.lines.append(f"  br label %{head}")
        self.begin(head)
        number = self.new("phi i64 PATHS")
        at = len(self.lines) - 1
        more = self.new(f"icmp slt i64 {number}, {count}")
        self.lines.append(f"  br i1 {more}, label %{test}, label %{after}")
        self.begin(test)
        holds = "true" if loop.condition is None else self.holds(loop.condition)
        self.lines.append(f"  br i1 {holds}, label %{body}, label %{after}")
        self.begin(body)
        self.lines.append(f"  store i64 {number}, ptr {self.load('ptr', self.slot(loop.number))}")
        self.write(loop.body, number)
        following = self.new(f"add i64 {number}, 1")
        self.lines[at] = self.lines[at].replace("PATHS", f"[0, %{before}], [{following}, %{self.block}]")
        self.lines.append(f"  br label %{head}")
        self.begin(after)

    def holds(self, slot: int) -> str:
        return self.new(f"icmp ne i8 {self.load('i8', self.load('ptr', self.slot(slot)))}, 0")

    def slot(self, k: int) -> str:
        return self.new(f"getelementptr i64, ptr %frame, i64 {k}")

    def load(self, what: str, at: str) -> str:
        return self.new(f"load {what}, ptr {at}")

    def new(self, instruction: str) -> str:
        self.count += 1
        self.lines.append(f"  %v{self.count} = {instruction}")
        return f"%v{self.count}"

    def label(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def begin(self, label: str) -> None:
        self.block = label
        self.lines.append(f"{label}:")
