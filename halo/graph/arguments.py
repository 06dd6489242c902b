"""What the doors of graphs are given: a value of another kind is refused there, not inside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from halo.errors import ArgumentError, here

__all__ = ["by_name", "file_name", "names"]


def by_name(what: str, value: Any) -> Mapping[str, Any]:
    """A dict with names as keys; an empty one for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ArgumentError(
            f"{what} is a dict with names as keys, not {value!r}", loc=here(), hint=f"{what}={{'x': ...}}"
        )
    return value


def names(what: str, value: Any) -> tuple[str, ...]:
    """Some names; one alone is none of them, but text."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ArgumentError(f"{what} is a list of names, not {value!r}", loc=here(), hint=f"{what}=['y']")
    return tuple(value)


def file_name(value: Any) -> str:
    """A path."""
    if not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(f"a file has a path, not {value!r}", loc=here())
    return str(os.fspath(value))
