"""`halo.show.lowering`: one page that shows what the compiler made of a pipeline, from the nest to the assembly."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ..func.inspect import typed_call
from ..func.passes import Passes, observed
from ..func.runnable import Runnable
from ..ir.node import interning
from ..ir.stmt import For, Stmt, substmts
from ..jit.emit import emit
from ..jit.llvm import asm
from ..jit.target import Target
from ..lowering import PASSES
from .lowering_html import page

__all__ = ["Lowering", "Step", "lowering"]


@dataclass(frozen=True)
class Step:
    """One pass: what it is for, how long it took, the nest that it leaves, and how that differs from the one before.

    `changes` are (kind, i1, i2, j1, j2): lines i1..i2 of the nest before became lines j1..j2, as in `difflib`; what is not
    named is the same.
    """

    name: str
    says: str
    seconds: float
    lines: tuple[str, ...]
    changes: tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True, eq=False, repr=False)
class Lowering:
    """The passes, the IR as it is given to LLVM, and the assembly. `loops[k]` is the line of the last nest where loop k
    starts; labels `loop.k` of IR and assembly are its body. In a notebook it shows the page; `save` writes it."""

    name: str
    schedule: str
    steps: tuple[Step, ...]
    loops: tuple[int, ...]
    llvm: str
    asm: str

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page: one file of HTML that needs nothing else."""
        file = Path(path)
        file.write_text(self.html(), encoding="utf-8")
        return file

    def html(self) -> str:
        """The page: one file of HTML that needs nothing else."""
        return page(self)

    def _repr_html_(self) -> str:
        frame = "width:100%;height:640px;border:1px solid #8884;border-radius:4px"
        return f'<iframe style="{frame}" srcdoc="{escape(self.html())}"></iframe>'

    def __repr__(self) -> str:
        rows = (f"{s.name:<14} {s.seconds * 1e3:8.1f} ms  {len(s.lines):5} lines  {s.says}" for s in self.steps)
        return "\n".join((*rows, f"LLVM IR {self.llvm.count(chr(10))} lines, assembly {self.asm.count(chr(10))} lines"))


def lowering(f: Runnable, *args: Any, target: Target | None = None, **types: Any) -> Lowering:
    """What each pass of the compiler makes of `f`, with what it changed, and the nest beside LLVM IR and assembly.

    It takes what `compile` takes; without arguments it shows the variant compiled last.

    >>> import halo
    >>> f, x = halo.Func("f"), halo.Var("x")
    >>> f[x] = halo.Input("a", halo.u8, ndim=1)[x] + 1
    >>> made = halo.show.lowering(f)
    >>> [s.name for s in made.steps][:1], "loop." in made.llvm
    (['build_nest'], True)
    """
    program, s = typed_call(f, args, types)
    machine = target or Target.host()
    with interning():
        passes, low = observed(program, s, machine)
        loops = list(_loops(low.body))
        llvm = emit(low, machine, f.name, {id(loop): k for k, loop in reversed(list(enumerate(loops)))})
    steps = tuple(_steps(passes))
    starts = tuple(k for k, line in enumerate(steps[-1].lines) if line.lstrip().startswith("for "))
    return Lowering(f.name, str(program.schedule()), steps, starts, llvm, asm(llvm, machine, verbose=True))


def _steps(passes: Passes) -> Iterator[Step]:
    says = {p.name: p.says for p in PASSES}
    before: tuple[str, ...] = ()
    for name, text in passes.texts.items():
        lines = tuple(text.splitlines())
        changes = () if lines == before else difflib.SequenceMatcher(None, before, lines).get_opcodes()
        yield Step(name, says[name], passes.timings[name], lines, tuple(c for c in changes if c[0] != "equal"))
        before = lines


def _loops(s: Stmt) -> Iterator[For]:
    """The loops in the order in which they are written."""
    if isinstance(s, For):
        yield s
    for t in substmts(s):
        yield from _loops(t)
