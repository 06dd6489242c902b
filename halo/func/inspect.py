"""Looking inside: the loops, the source, the machine code, and what is needed of the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, HaloError, TypeMismatchError, here
from ..ir.node import interning
from ..ir.text import loops_text, to_text
from ..jit.target import REFERENCE, Target, as_target
from ..types import Type, f32, i32
from .program import Program, machine
from .signature import Signature, named, signature

__all__ = ["InputRegions", "Inspectors"]


@dataclass(frozen=True)
class InputRegions(Mapping[str, tuple[tuple[str, str], ...]]):
    """What is needed of each input: for every axis the first and the last index, in terms of the outputs' regions."""

    regions: dict[str, tuple[tuple[str, str], ...]]

    def __getitem__(self, name: str) -> tuple[tuple[str, str], ...]:
        return self.regions[name]

    def __iter__(self) -> Any:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __str__(self) -> str:
        return "\n".join(f"{name}[{', '.join(f'{lo}..{hi}' for lo, hi in box)}]" for name, box in self.regions.items())

    __repr__ = __str__


class Inspectors:
    """The inspectors of a pipeline. They take what `compile` takes; without arguments they show what was compiled last."""

    name: str
    _last: tuple[Program, Signature] | None = None  # what was compiled last

    def program(self, values: Mapping[str, Any] | None = None, shape: Any = None, out: Any = None) -> Program:
        raise NotImplementedError

    def _shown(self, args: tuple[Any, ...], types: dict[str, Any]) -> tuple[Program, Signature]:
        if not args and not types and self._last is not None:
            return self._last
        program = self.program(types)
        values = named(self.name, program.arguments, args, types)
        return program, signature(program.arguments, values, types=True)

    def loops(self, *args: Any, **types: Any) -> str:
        """The loop nest as indented text, with every allocation and its size. Needs no types and compiles nothing.

        >>> import halo
        >>> f, x = halo.Func("f"), halo.Var("x")
        >>> f[x] = x + 1
        >>> print(f.vectorize("x", 8).loops())
        ...
        """
        if args or types or self._last is not None:
            return _loops(*self._shown(args, types))
        program = self.program()
        return _first(lambda t: _loops(program, _assumed(program, t)))

    def inspect_source(self, *args: Any, target: str = "python", **types: Any) -> str:
        """The loop nest as runnable Python: what `target="python"` and `target="numba"` execute."""
        from ..jit.python import to_source

        if target not in REFERENCE:
            raise ArgumentError(f"{target!r} runs no Python source", legal=REFERENCE, loc=here())
        program, s = self._shown(args, types)
        return str(program.with_lowered(s, lambda low: to_source(low, target), target))

    def inspect_llvm(self, *args: Any, target: Target | None = None, **types: Any) -> str:
        """The LLVM IR as it is given to LLVM."""
        from ..jit.emit import emit

        program, s = self._shown(args, types)
        made = machine(as_target(target))
        return str(program.with_lowered(s, lambda low: emit(low, made, self.name), made))

    def inspect_asm(self, *args: Any, target: Target | None = None, **types: Any) -> str:
        """The machine code as assembly."""
        from ..jit.llvm import asm

        return asm(self.inspect_llvm(*args, target=target, **types), machine(as_target(target)))

    def inspect_inputs(self, *args: Any, **types: Any) -> InputRegions:
        """What is needed of each input, axis by axis, for outputs of given regions.

        >>> import halo
        >>> f, x = halo.Func("f"), halo.Var("x")
        >>> f[x] = halo.Input("a", halo.u8, ndim=1)[x + 2]
        >>> f.inspect_inputs()
        a[f.min[0] + 2..f.min[0] + f.shape[0] + 1]
        """
        program, s = self._shown(args, types)
        found: dict[str, tuple[tuple[str, str], ...]] = {}

        def observe(step: Any, state: Any) -> None:
            if step.name == "infer_bounds":
                for (kind, array), box in state.boxes.items():
                    if kind == "read" and array.kind == "input":
                        ends = tuple((_end(lo, "-inf"), _end(hi, "inf")) for lo, hi in box)
                        found[array.name] = ends

        with interning():
            program.lowered(s, observe=observe)
        return InputRegions({name: found[name] for name, _ in s.arrays if name in found})


def _end(e: Any, unbounded: str) -> str:
    return unbounded if e is None else to_text(e)


def _loops(program: Program, s: Signature) -> str:
    return str(program.with_lowered(s, lambda low: loops_text(low.nest)))


def _assumed(program: Program, t: Type) -> Signature:
    """Types for inputs of which nothing is known."""
    known = signature(program.arguments, {}, complete=False)
    arrays = tuple((name, program.arguments[name].type or t) for name, _ in known.arrays)
    return Signature(arrays, known.scalars)


def _first(show: Any) -> str:
    """`show` for f32 inputs, or, where the definitions are of integers, for i32."""
    try:
        return str(show(f32))
    except TypeMismatchError as mismatch:
        try:
            return str(show(i32))
        except HaloError:
            raise mismatch from None
