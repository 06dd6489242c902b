"""Funcs as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..frontend.externs import Sorting
from ..ir.surface import Define, Expr
from ..ir.surface_text import text as expression

if TYPE_CHECKING:
    from .func import Func

__all__ = ["text"]


def text(f: Func) -> str:
    """The definition and the directives of `f`, as Python would write them."""
    if not f._is_defined:
        return f"<halo.Func {f.name}, not defined>"
    if f.ndim is None:
        return f"<halo.Func {f.name} of any rank>"
    d = f.written
    lines = [_stage(f.name, s) for s in (d.pure, *d.updates) if s is not None]
    if isinstance(f.external, Sorting):
        lines = [_sort(f, f.external)]
    for stage, directive in f.directives:
        lines.append(f"{f.name if stage == 0 else f'{f.name}.update({stage - 1})'}.{directive}")
    return "\n".join(lines)


def _sort(f: Func, s: Sorting) -> str:
    how = s.function
    descending = ", descending=True" if how.descending else ""
    return f"{f.name} = halo.{how.__name__}({s.inputs[0].name}, axis={how.axis}{descending})"


def _stage(name: str, d: Define) -> str:
    place = f"{name}[{', '.join(map(expression, d.args)) or '()'}]"
    sign = {"add": "+=", "sub": "-=", "mul": "*=", "div": "/="}.get(d.op or "", "=")
    line = f"{place} {sign} {_values(d.values)}"
    if d.pred is not None:
        line = f"if {expression(d.pred)}: {line}"
    return line if d.rdom is None else f"for {', '.join(d.rdom.names)} in {d.rdom!r}: {line}"


def _values(values: tuple[Expr | None, ...]) -> str:
    return ", ".join("undef" if v is None else expression(v) for v in values)
