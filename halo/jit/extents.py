"""Extents as machine code: what the shapes of a call decide is computed before its kernels run, without recompiling.

    i64 place(frame, dims, base)

writes every slot of the frame that depends on the extents `dims`: extents, strides, scalars, and addresses in the arena at
`base`. It gives the bytes of that arena, or -1 - k where condition k does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, here
from ..ir.shapes import DimExpr, dims_of

__all__ = ["Condition", "Extents", "Writer"]

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True)
class Condition:
    """`a == b`, or `a >= b`, of extents, or `a ~ b`: they are equal, or a is 1. `says` is for people."""

    relation: str
    a: Any
    b: Any
    says: str

    def failed(self, of: Callable[[str], int]) -> ArgumentError | None:
        """What a call is told in which it does not hold, with the extents `of` these names."""
        a, b = (n.evaluate(of) if isinstance(n, DimExpr) else n for n in (self.a, self.b))
        if a >= b if self.relation == ">=" else a == b or (self.relation == "~" and a == 1):
            return None
        names = dict.fromkeys(name for n in (self.a, self.b) for name in dims_of(n))
        given = ", ".join(f"{name} = {of(name)}" for name in names)
        what, hint = f"takes {self.a} {self.relation} {self.b}", ""
        if self.relation == "~":
            what, hint = f"broadcasts {self.a} to {self.b}", "an extent that is equal, or 1"
        elif self.relation == "==" and 1 in (a, b):
            hint = "an axis that is repeated is 1 in the program: compile(shapes={...})"
        return ArgumentError(f"{self.says} {what}, and they are {a} and {b} ({given})", loc=here(), hint=hint)


@dataclass(frozen=True)
class Extents:
    """What changes with the extents of a call: `dims` are their names.

    `cells`: (slot, extent). `storages`: of each part of the arena the sizes in bytes, of which the largest counts.
    `inside`: (slot, number of the storage, bytes from its start), the slots of addresses in the arena.
    """

    dims: tuple[str, ...]
    cells: tuple[tuple[int, Any], ...]
    storages: tuple[tuple[Any, ...], ...]
    inside: tuple[tuple[int, int, Any], ...]
    conditions: tuple[Condition, ...]

    def text(self) -> str:
        """The function `place` in the language of LLVM."""
        return Writer(self.dims).function(self)


class Writer:
    """Instructions that compute extents of those that `dims` names, which `%dims` points to."""

    def __init__(self, dims: Sequence[str]) -> None:
        self.lines: list[str] = []
        self.known: dict[str, str] = {}
        self.count = 0
        for k, name in enumerate(dims):
            at = self.new(f"getelementptr i64, ptr %dims, i64 {k}")
            self.known[name] = self.new(f"load i64, ptr {at}")

    def new(self, instruction: str) -> str:
        self.count += 1
        self.lines.append(f"  %v{self.count} = {instruction}")
        return f"%v{self.count}"

    def value(self, n: Any) -> str:
        """The register that holds the extent `n`; each is computed once."""
        if isinstance(n, int):
            return str(n)
        text: str = n.text
        if text not in self.known:
            self.known[text] = self.fold(n) if not isinstance(n, DimExpr) else self.total(n)
        return self.known[text]

    def total(self, n: DimExpr) -> str:
        found = ""
        for atoms, c in n.terms:
            product = "" if c != 1 or not atoms else self.value(atoms[0])
            if not product:
                product, atoms = str(c), (None, *atoms)
            for a in atoms[1:]:
                product = self.new(f"mul i64 {product}, {self.value(a)}")
            found = self.new(f"add i64 {found}, {product}") if found else product
        return found

    def fold(self, n: Any) -> str:
        a, b = self.value(n.a), self.value(n.b)
        if n.op == "//":
            return self.new(f"call i64 @floordiv(i64 {a}, i64 {b})")
        return self.larger(a, b) if n.op == "max" else self.chosen(self.new(f"icmp eq i64 {a}, 1"), b, a)

    def larger(self, a: str, b: str) -> str:
        return self.chosen(self.new(f"icmp sgt i64 {a}, {b}"), a, b)

    def chosen(self, where: str, then: str, otherwise: str) -> str:
        return self.new(f"select i1 {where}, i64 {then}, i64 {otherwise}")

    def holds(self, relation: str, a: str, b: str) -> str:
        found = self.new(f"icmp {'sge' if relation == '>=' else 'eq'} i64 {a}, {b}")
        if relation == "~":
            found = self.new(f"or i1 {found}, {self.new(f'icmp eq i64 {a}, 1')}")
        return found

    def store(self, slot: int, value: str) -> None:
        at = self.new(f"getelementptr i64, ptr %frame, i64 {slot}")
        self.lines.append(f"  store i64 {value}, ptr {at}")

    def function(self, x: Extents) -> str:
        for k, c in enumerate(x.conditions):
            holds = self.holds(c.relation, self.value(c.a), self.value(c.b))
            self.lines += [
                f"  br i1 {holds}, label %good{k}, label %bad{k}",
                f"bad{k}:",
                f"  ret i64 {-1 - k}",
                f"good{k}:",
            ]
        starts, end = [], "0"
        for sizes in x.storages:
            starts.append(end)
            most = self.value(sizes[0])
            for n in sizes[1:]:
                most = self.larger(most, self.value(n))
            rounded = self.new(f"and i64 {self.new(f'add i64 {most}, {ALIGNMENT - 1}')}, {-ALIGNMENT}")
            end = self.new(f"add i64 {end}, {rounded}")
        for slot, n in x.cells:
            self.store(slot, self.value(n))
        for slot, storage, offset in x.inside:
            at = self.new(f"add i64 %base, {starts[storage]}")
            self.store(slot, at if offset == 0 else self.new(f"add i64 {at}, {self.value(offset)}"))
        body = "\n".join((*self.lines, f"  ret i64 {end}"))
        return f"define i64 @place(ptr %frame, ptr %dims, i64 %base) {{\nentry:\n{body}\n}}\n{_FLOORDIV}"


_FLOORDIV = """
define internal i64 @floordiv(i64 %a, i64 %b) alwaysinline {
  %none = icmp eq i64 %b, 0
  %d = select i1 %none, i64 1, i64 %b
  %q = sdiv i64 %a, %d
  %r = srem i64 %a, %d
  %signs = xor i64 %r, %d
  %differ = icmp slt i64 %signs, 0
  %left = icmp ne i64 %r, 0
  %down = and i1 %differ, %left
  %one = sext i1 %down to i64
  %found = add i64 %q, %one
  %or0 = select i1 %none, i64 0, i64 %found
  ret i64 %or0
}
"""
