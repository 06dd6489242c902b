"""Functions that another compiler made and that definitions call, lane by lane: machine code links them by name.

`Op("call", args, type, name)` calls the C function of that name. The reference backends call its Python counterpart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Linked", "addresses", "functions", "link"]


class Linked(NamedTuple):
    """The address of the C function, the Python callable that computes the same, and what keeps both alive."""

    address: int
    function: Callable[..., Any]
    owner: Any


_table: dict[str, Linked] = {}


def link(name: str, linked: Linked) -> str:
    """Make `linked` known; the name under which it is, `name` with a number if that means another function already."""
    unique, k = name, 0
    while unique in _table and _table[unique].function is not linked.function:
        k += 1
        unique = f"{name}_{k}"
    _table.setdefault(unique, linked)
    return unique


def addresses() -> dict[str, int]:
    """What machine code may link against."""
    return {name: f.address for name, f in _table.items()}


def functions() -> dict[str, Callable[..., Any]]:
    """What Python code may call."""
    return {name: f.function for name, f in _table.items()}
