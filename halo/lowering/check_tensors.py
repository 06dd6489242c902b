"""Check tensors: the loops that an intrinsic is to replace compute what it means, or ScheduleError shows both."""

from __future__ import annotations

from typing import NoReturn

from ..errors import ScheduleError
from ..ir.expr import Expr, reads
from ..ir.facts import free_vars
from ..ir.stmt import Block, For, Produce, Provide, Realize, Stmt, substmts
from ..ir.text import to_text
from .match import Difference, Tile, fit, is_injective, tile_of

__all__ = ["check_tensors"]


def check_tensors(s: Stmt) -> Stmt:
    """`s`, unchanged: what replaces the loops is machine code's business, and any backend may run them as they are."""
    todo = [s]
    while todo:
        t = todo.pop()
        todo += substmts(t)
        if isinstance(t, For) and t.intrinsic is not None:
            _check(t)
    return s


def _check(s: For) -> None:
    tile = tile_of(s)
    if not isinstance(tile, Tile):
        _refuse(s, _reason(tile))
    inside = {loop.var for loop in tile.loops}
    for c in tile.conditions:  # one on indices is that of a tail: loops are cut where it starts to hold
        varies = sorted(v.name for v in inside if v in free_vars(c))
        if varies and any(True for _ in reads((c,))):
            _refuse(s, f'the condition {to_text(c)} varies with "{varies[0]}", and a tile is whole or not there')
    if not is_injective(tile):
        _refuse(s, "its iterations do not store to places of their own, nor add up in one")
    found = fit(tile, s.intrinsic.intrinsic.meaning)
    if isinstance(found, Difference):
        _refuse(s, found.reason, _both(s, tile, found))


def _refuse(s: For, reason: str, nest: str = "") -> NoReturn:
    stage, _, loop = s.label.rpartition(".")
    raise ScheduleError(f'{stage}: the loops from "{loop}" in are not {s.intrinsic.name}: {reason}',
                        loc=s.intrinsic.loc, nest=nest)  # fmt: skip


def _reason(s: Stmt) -> str:
    made = _made(s)
    if made is not None:
        return f"{made} is computed inside of them"
    return "they store several values" if isinstance(s, Provide) else "they do more than store one value"


def _made(s: Stmt) -> str | None:
    """What is computed or kept in `s`."""
    if isinstance(s, (Produce, Realize)):
        return s.what.name
    return next((name for t in substmts(s) if (name := _made(t))), None) if isinstance(s, Block) else None


def _both(s: For, tile: Tile, d: Difference) -> str:
    """The meaning and the store of the tile, one under the other, with the first difference marked in each."""
    m = s.intrinsic.intrinsic.meaning
    here = ", ".join(f"{t.var.name} in {to_text(t.lo)}..{to_text(t.extent)}" for t in tile.loops)
    lines = [f"  {s.intrinsic.name}, {m.loops()}:", *_marked(m.read, m.value, d.wanted),
             f"  here, {here}:", *_marked(tile.own, tile.value, d.found)]  # fmt: skip
    return "\n".join(lines)


def _marked(own: Expr, value: Expr, part: Expr | None) -> list[str]:
    """`own = value`, and under it a line that points at `part`."""
    text = f"    {to_text(own)} = {to_text(value)}"
    at = -1 if part is None else text.find(to_text(part), text.index(" = ") + 3)
    return [text] if at < 0 or part is None else [text, " " * at + "^" * len(to_text(part))]
