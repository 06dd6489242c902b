"""Shared by the tests of translation: functions -> the text of what they define."""

from __future__ import annotations

from typing import Any

from halo.frontend.capture import capture
from halo.ir.surface import Define, Definitions

__all__ = ["definitions", "pure", "updates", "values"]


def definitions(function: Any, rank: int | None = None) -> Definitions:
    return capture(function).definitions(rank)


def values(function: Any, rank: int | None = None) -> list[str]:
    """The values of the pure stage."""
    stage = definitions(function, rank).pure
    assert stage is not None
    return [repr(v) for v in stage.values]


def pure(function: Any, rank: int | None = None) -> str:
    """The one value of the pure stage."""
    (value,) = values(function, rank)
    return value


def updates(function: Any) -> list[str]:
    """Each update in one line: `f[i] += e for k, j if c`."""
    return [line(function.__name__, u) for u in definitions(function).updates]


def line(name: str, u: Define) -> str:
    signs = {None: "=", "add": "+=", "sub": "-=", "mul": "*=", "div": "/=", "and": "&=", "shl": "<<=", "pow": "**="}
    text = f"{name}[{', '.join(map(repr, u.args))}] {signs[u.op]} {', '.join('_' if v is None else repr(v) for v in u.values)}"
    if u.rdom is not None:
        axes = [repr(n) if repr(lo) == "0" else f"({lo!r}, {n!r})" for lo, n in u.rdom.axes]
        text += f" for {', '.join(u.rdom.names)} in {', '.join(axes)}"
    return text + (f" if {u.pred!r}" if u.pred is not None else "")
