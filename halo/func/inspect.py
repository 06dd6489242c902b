"""Looking inside: the loops, the source, the machine code, and what is needed of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import ArgumentError, BoundsError, HaloError, TypeMismatchError, here
from ..ir.expr import Expr
from ..ir.node import interning
from ..ir.pipeline import Pipeline
from ..ir.text import loops_text, to_text
from ..jit.target import REFERENCE, Target, as_target
from ..lowering import PASSES, State, lower
from ..lowering.checks import closed_boxes
from ..schedule.apply import apply
from ..schedule.directive import Directive
from ..schedule.nesting import Serial
from ..types import Type, f32, i32, u8
from .program import Program, machine
from .runnable import Runnable
from .signature import Signature, named, signature

__all__ = [
    "InputRegions",
    "argument_list",
    "asm",
    "assumed",
    "for_some_type",
    "inputs",
    "llvm",
    "loops",
    "required",
    "source",
    "typed_call",
]

Box = tuple[tuple[str, str], ...]
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class InputRegions(Mapping[str, Box]):
    """What is needed of each input: for every axis the first and the last index, in terms of the outputs' regions."""

    regions: dict[str, Box]

    def __getitem__(self, name: str) -> Box:
        return self.regions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __repr__(self) -> str:
        return "\n".join(f"{name}[{', '.join(f'{lo}..{hi}' for lo, hi in box)}]" for name, box in self.regions.items())


def typed_call(r: Runnable, args: tuple[Any, ...], types: Mapping[str, Any]) -> tuple[Program, Signature]:
    """The program and the types that an inspector is to show."""
    if not args and not types and r._last is not None:
        return r._last
    program = r.program(types)
    values = named(r.name, program.arguments, args, types)
    return program, signature(program.arguments, values, types=True)


def loops(r: Runnable, args: tuple[Any, ...], types: Mapping[str, Any]) -> str:
    if args or types or r._last is not None:
        return _loops(*typed_call(r, args, types))
    program = r.program()
    return for_some_type(lambda t: _loops(program, assumed(program, t)))


def _loops(program: Program, s: Signature) -> str:
    return str(program.with_lowered(s, lambda low: loops_text(low.nest)))


def assumed(program: Program, t: Type) -> Signature:
    """Types of inputs of which nothing is known."""
    known = signature(program.arguments, {}, complete=False)
    arrays = tuple((name, program.arguments[name].type or t) for name, _ in known.arrays)
    assumed = any(program.arguments[name].type is None for name, _ in arrays)
    return Signature(arrays, known.scalars, assumed=assumed)


def for_some_type(show: Callable[[Type], T]) -> T:
    """`show` for f32 inputs; where the definitions are of integers for i32; where these are subscripts for u8."""
    failed: HaloError | None = None
    for t in (f32, i32, u8):
        try:
            return show(t)
        except (TypeMismatchError, BoundsError) as error:
            failed = failed or error
    assert failed is not None
    raise failed


def source(r: Runnable, args: tuple[Any, ...], types: Mapping[str, Any], target: str) -> str:
    from ..jit.python import to_source

    if not (isinstance(target, str) and target in REFERENCE):
        raise ArgumentError(f"{target!r} runs no Python source", legal=REFERENCE, loc=here())
    program, s = typed_call(r, args, types)
    return str(program.with_lowered(s, lambda low: to_source(low, target), target))


def llvm(r: Runnable, args: tuple[Any, ...], types: Mapping[str, Any], target: Target | None) -> str:
    from ..jit.emit import emit

    program, s = typed_call(r, args, types)
    made = machine(as_target(target))
    return str(program.with_lowered(s, lambda low: emit(low, made, r.name), made))


def asm(r: Runnable, args: tuple[Any, ...], types: Mapping[str, Any], target: Target | None) -> str:
    from ..jit.llvm import asm

    return asm(llvm(r, args, types, target), machine(as_target(target)))


def argument_list(r: Runnable) -> str:
    program = r.program()
    lines = []
    for name, a in program.arguments.items():
        axes = "" if a.ndim is None else _axes(a.ndim, a.contiguous)
        default = "" if a.default is None else f" = {a.default!r}"
        lines.append(f"{name}: {'?' if a.type is None else a.type.name}{axes}{default}")
    for f in program.outputs:
        axes, size = "[...]" if f.ndim is None else _axes(f.ndim), f.size or 1
        lines += [f"-> {f.name}{'' if size == 1 else f'.{k}'}{axes}" for k in range(size)]
    return "\n".join(lines)


def _axes(ndim: int, contiguous: bool = False) -> str:
    return f"[{', '.join([*[':'] * (ndim - 1), '::1' if contiguous else ':'])}]" if ndim else "[()]"


def inputs(r: Runnable, args: tuple[Any, ...], types: Mapping[str, Any]) -> InputRegions:
    program, s = typed_call(r, args, types)
    with interning():
        boxes = required(program, program.typed(s))
        found = {n: tuple((_end(lo, "-inf"), _end(hi, "inf")) for lo, hi in box) for n, box in boxes.items()}
    return InputRegions({name: found[name] for name, _ in s.arrays if name in found})


def check_places(r: Runnable) -> None:
    """Raise what the schedule is refused for, as far as the nest of stages tells, which is made for no other reason."""
    program = r.program()
    for_some_type(lambda t: _nested(program, assumed(program, t)))


def _nested(program: Program, s: Signature) -> None:
    with interning():
        scheduled = apply(program.typed(s), program.schedule().by_name(), Target.host())
        state = State(scheduled, Target.host().vector_bits // 32, dense=True)
        for step in PASSES:
            state = step.run(state)
            if step.name == "build_nest":
                return


def required(program: Program, p: Pipeline) -> dict[str, tuple[tuple[Expr | None, Expr | None], ...]]:
    """What the typed pipeline `p` needs of each input, axis by axis: the first and the last index, None where nothing
    bounds them, in terms of the outputs' regions. Inside `interning()`."""
    found = {}

    def observe(step: Any, state: Any) -> None:
        if step.name == "infer_bounds":
            for (kind, array), box in closed_boxes(state.stmt, state.boxes).items():
                if kind == "read" and array.kind == "input":
                    found[array.name] = box

    lower(apply(p, _plain_loops(p)), observe=observe)
    return found


def _plain_loops(p: Pipeline) -> dict[str, list[tuple[int, Directive]]]:
    """A schedule under which the outputs have one loop an axis."""
    outputs = {name: p[name].vars for name in p.outputs}
    return {name: [(0, Serial.make({"v": vars[0].name}, name, None))] for name, vars in outputs.items() if vars}


def _end(e: Any, unbounded: str) -> str:
    return unbounded if e is None else to_text(e)
