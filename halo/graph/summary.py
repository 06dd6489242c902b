"""Summaries: what a program is made of as a table, a line an operator, with its parameters and its arithmetic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .ir import Call, Constant, Expr, Function, If, Loop, Var, every
from .module import Module
from .profile import work_of
from .symbolic import fixed
from .text import type_text

__all__ = ["Row", "Summary", "summary"]


@dataclass(frozen=True)
class Row:
    """One operator, If or Loop: the number of its value in the text (none in the bodies of others), the node that it comes
    from, the type of its result, how many entries the constants have that it reads first, and the arithmetic operations with which
    it is computed alone, those on what fills up blocks of channels included (NaN where extents or data decide)."""

    value: str
    operator: str
    node: str
    type: Any
    parameters: int
    flops: float


class Summary(tuple[Row, ...]):
    """Rows, those first that others use; prints as a table. `inputs` and `outputs` are types by name, `bytes` those of the
    constants."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    bytes: int

    @property
    def parameters(self) -> int:
        """The entries of all constants."""
        return sum(r.parameters for r in self)

    @property
    def flops(self) -> float:
        """The arithmetic of all operators of which it is known: a call's, where there is neither an If nor a Loop."""
        return math.fsum(r.flops for r in self if not math.isnan(r.flops))

    def __str__(self) -> str:
        cells = [("value", "operator", "node", "result", "parameters", "flops")]
        cells += [(r.value, r.operator, r.node, type_text(r.type), f"{r.parameters:,}" if r.parameters else "", _count(r.flops))
                  for r in self]  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(text.rjust(w) if k > 3 else text.ljust(w) for k, (text, w) in enumerate(zip(row, widths, strict=True)))
                 for row in cells]  # fmt: skip
        kinds = Counter(r.operator for r in self).most_common()
        return "\n".join((
            *(line.rstrip() for line in lines), "",
            f"{len(self)} operators: {', '.join(f'{n} {name}' for name, n in kinds)}",
            f"from {_named(self.inputs)} to {_named(self.outputs)}",
            f"{self.parameters:,} parameters of {self.bytes / 1e6:.1f} MB; {_count(self.flops)}flop",
        ))  # fmt: skip


def summary(m: Module, shapes: Mapping[str, Any] | None = None) -> Summary:
    """What `m` is made of: a row an operator, with its parameters and, where extents are known, its arithmetic. `shapes`: those
    of inputs, by name, as `compile` takes them.

    >>> import numpy as np
    >>> from halo.graph import parse
    >>> m = parse("def main(%x: f32[2, 3]) -> f32[2] { %0 = multiply(%x, @w); %1 = sum(%0, axes=(1,)); %1 }",
    ...           {"w": np.ones(3, np.float32)})
    >>> print(m.summary())
    value  operator  node  result     parameters  flops
    %0     multiply        f32[2, 3]           3     6
    %1     sum             f32[2]                    6
    <BLANKLINE>
    2 operators: 1 multiply, 1 sum
    from x: f32[2, 3] to output0: f32[2]
    3 parameters of 0.0 MB; 12 flop
    """
    m = fixed(m, shapes) if shapes else m
    names = {id(e): name for name, e in m.values.items() if name.startswith("%") and name[1:].isdecimal()}
    work: dict[Any, float] = {}
    seen: set[int] = set()
    rows = []
    held = 0
    for e in every(m.main):
        if not isinstance(e, Call | If | Loop):
            continue
        new = {id(c): c.data for c in e.children if isinstance(c, Constant) and id(c) not in seen}
        seen |= new.keys()
        held += sum(a.nbytes for a in new.values())
        rows.append(
            Row(names.get(id(e), ""), _operator(e), e.name, e.type, sum(a.size for a in new.values()), _flops(e, work))
        )
    made = Summary(rows)
    made.inputs, made.bytes = dict(m.inputs), held
    numbered = (f"output{k}" for k in range(len(m.outputs), len(m.main.outputs)))
    made.outputs = dict(zip((*m.outputs, *numbered), (e.type for e in m.main.outputs), strict=False))
    return made


def _operator(e: Call | If | Loop) -> str:
    return e.op.name if isinstance(e, Call) else "if" if isinstance(e, If) else "loop"


def _flops(e: Call | If | Loop, known: dict[Any, float]) -> float:
    """The arithmetic of one operator, by itself; `known` is that of equal ones."""
    if not isinstance(e, Call) or not all(isinstance(n, int) for x in (*e.children, e) for n in _extents(x)):
        return math.nan
    key = (e.op, e.types, repr(e.attributes))
    if key not in known:
        params = tuple(None if a is None else Var(f"x{k}", a.type) for k, a in enumerate(e.args))
        own = Function(tuple(p for p in params if p is not None), Call(e.op, params, e.attributes), primitive=True)
        work = work_of(own, {})
        known[key] = math.nan if work is None else math.fsum(work.values())
    return known[key]


def _extents(e: Expr) -> Iterable[Any]:
    return e.type.shape if not isinstance(e.type, tuple) else (n for t in e.type for n in t.shape)


def _count(n: float) -> str:
    if math.isnan(n):
        return "-"
    for unit in ("", "k", "M", "G"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} T"


def _named(types: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {type_text(t)}" for name, t in types.items())
