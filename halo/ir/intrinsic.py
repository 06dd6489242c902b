"""Intrinsics: what an instruction of the machine computes, said in the language, and how it is called in LLVM.

The *meaning* is one definition over constant extents, `acc[i] = acc[i] + i32(a[i, k])*i32(b[i, k])` for i in 0..16 and
k in 0..4. `tensorize` replaces loops that are equal to it by one `Instruction` on whole vectors: the accumulator's
lanes in the order of the stored indices, and each operand's in the order of the indices that it is declared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Location
from ..types import Type
from .expr import Array, Const, Expr, Read, Var
from .stmt import For, Provide, Stmt
from .text import to_text

__all__ = ["Code", "Intrinsic", "Meaning", "Operand", "Tensor", "declared"]


@dataclass(frozen=True, eq=False)
class Operand:
    """An input of the meaning: read at the loop variables `indices`, and nowhere else."""

    array: Array
    indices: tuple[Var, ...]

    @property
    def type(self) -> Type:
        return self.array.types[0]


@dataclass(frozen=True, eq=False)
class Meaning:
    """`own[vars] = value` for every value of the loops: `vars`, then `rvars`, running from 0 to their `extents`."""

    own: Array
    vars: tuple[Var, ...]
    rvars: tuple[Var, ...]
    extents: Mapping[Var, int]
    operands: tuple[Operand, ...]
    value: Expr
    accumulates: bool  # `value` reads what is there

    @property
    def read(self) -> Expr:
        return Read(self.own, self.vars)

    def loops(self) -> str:
        return ", ".join(f"{v.name} in 0..{self.extents[v]}" for v in (*self.vars, *self.rvars))

    def nest(self) -> Stmt:
        """The loops."""
        s: Stmt = Provide(self.own, self.vars, (self.value,))
        for v in reversed((*self.vars, *self.rvars)):
            s = For(v, Const(0, v.type), Const(self.extents[v], v.type), "serial", s)
        return s


@dataclass(frozen=True)
class Code:
    """One way to call an instruction: `text` is the name of an LLVM function, or lines of LLVM IR that end in `ret`.

    `names` are what the text calls its operands, the accumulator first where there is one. `loc` is where it was written.
    What is `built_in` is known to be right.
    """

    name: str
    text: str
    names: tuple[str, ...]
    built_in: bool = False
    loc: Location | None = field(default=None, compare=False)


class Intrinsic:
    """A declared intrinsic: `halo.intrinsic` makes them of a `definition`, a Python function. `llvm` maps features of the
    target, joined by `+`, to code.

    `rounds`: its floats are not those of the meaning to the bit, so that `tensorize` asks for `atomic()` or `fastmath`.
    """

    def __init__(self, name: str, definition: Any, capture: Callable[[], Meaning], llvm: Mapping[str, str],
                 rounds: bool | None = None, loc: Location | None = None) -> None:  # fmt: skip
        self.name, self.definition, self.llvm, self.loc = name, definition, dict(llvm), loc
        self._capture, self._rounds = capture, rounds
        self.__doc__ = definition.__doc__
        self._meaning: Meaning | None = None
        declared[name] = self

    @property
    def meaning(self) -> Meaning:
        """What it computes. DefinitionError for a definition that is no intrinsic's."""
        if self._meaning is None:
            self._meaning = self._capture()
        return self._meaning

    @property
    def built_in(self) -> bool:
        return bool(self.definition.__module__ == "halo.intrinsics")

    @property
    def rounds(self) -> bool:
        types = [t for a in (self.meaning.own, *(o.array for o in self.meaning.operands)) for t in a.types]
        return any(t.is_float for t in types) if self._rounds is None else self._rounds

    def code(self, has: Callable[[str], bool]) -> Code | None:
        """How to call it on the first target in `llvm` whose features `has` knows; None if there is none."""
        m = self.meaning
        names = (*(("acc",) if m.accumulates else ()), *(o.array.name for o in m.operands))
        return next((Code(self.name, text, names, self.built_in, self.loc) for features, text in self.llvm.items()
                     if all(map(has, filter(None, features.split("+"))))), None)  # fmt: skip

    def digest(self) -> str:
        """Equal for intrinsics that are declared alike."""
        text = f"{to_text(self.meaning.nest())} {sorted(self.llvm.items())} {self.rounds}"
        types = [a.types[0].name for a in (self.meaning.own, *(o.array for o in self.meaning.operands))]
        return hashlib.sha256(f"{text} {types}".encode()).hexdigest()[:16]

    def __reduce__(self) -> Any:
        return _named, (self.name,)

    def __repr__(self) -> str:
        return f"halo.intrinsics.{self.name}" if self.built_in else self.name


declared: dict[str, Intrinsic] = {}
"""Every intrinsic by its name; of two of one name the later one."""


def _named(name: str) -> Intrinsic:
    """What a pickle holds of an intrinsic: a process that loads it has declared it too."""
    return declared[name]


@dataclass(frozen=True)
class Tensor:
    """What `tensorize` asks of the loops from `v` in: to be `intrinsic`, which the target is told by `code` (None: it has
    no such instruction, and runs the loops)."""

    v: str
    intrinsic: Intrinsic
    code: Code | None = None
    loc: Location | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return self.intrinsic.name
