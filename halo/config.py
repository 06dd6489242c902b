"""Settings: one frozen record; the environment variables, `halo.options(...)` and the printed table derive from it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, fields, replace
from types import TracebackType
from typing import Any

from .errors import ArgumentError

__all__ = ["LOADED", "Options", "current", "options"]

LOADED = time.time()  # when this process imported halo: what is newer on disk is not what runs


def _option(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class Options:
    """What can be set, and its default. Option `cache_dir` is the environment variable `HALO_CACHE_DIR`, and so on."""

    cache: bool = _option(True, "keep compiled code on disk")
    cache_dir: str = _option("", "where (by default `halo` under XDG_CACHE_HOME or ~/.cache)")
    cache_limit: int = _option(512 << 20, "bytes on disk before the least recently used code is deleted")
    memory_pool: int = _option(
        1 << 30, "bytes of freed intermediates kept for the next call (read when the first kernel is loaded)"
    )
    memoize_bytes: int = _option(1 << 28, "bytes that memoized stages may keep (read when the first kernel is loaded)")
    progress: bool = _option(True, "show how far what takes seconds has come, on stderr or in the notebook")
    time: bool = _option(False, "print how long each compilation took, on stderr")


_defaults = Options()
_overrides: ContextVar[Mapping[str, Any]] = ContextVar("halo.options")


def current() -> Options:
    """The settings in force here: `halo.options(...)` over the environment over the defaults."""
    return replace(_defaults, **{**_environment(), **_overrides.get({})})


class options:
    """Settings for a `with` block, in this thread or task. Without arguments it prints what is in force, and why.

    >>> import halo
    >>> with halo.options(cache=False):
    ...     halo.options().cache
    False
    """

    def __init__(self, **changes: Any) -> None:
        self._changes = {name: _checked(name, value, "halo.options") for name, value in changes.items()}
        self._token: Token[Mapping[str, Any]] | None = None

    def __enter__(self) -> options:
        self._token = _overrides.set({**_overrides.get({}), **self._changes})
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._token is not None:
            _overrides.reset(self._token)
            self._token = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return {**_as_dict(current()), **self._changes}[_known(name)]

    def __repr__(self) -> str:
        environment, overrides, values = _environment(), {**_overrides.get({}), **self._changes}, _as_dict(current())
        rows = []
        for f in fields(Options):
            where = "halo.options" if f.name in overrides else _variable(f.name) if f.name in environment else "default"
            rows.append((f.name, repr({**values, **self._changes}[f.name]), where, f.metadata["doc"]))
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        return "\n".join("  ".join((*(t.ljust(w) for t, w in zip(row, widths, strict=False)), row[3])) for row in rows)


def _as_dict(o: Options) -> dict[str, Any]:
    return {f.name: getattr(o, f.name) for f in fields(o)}


def _variable(name: str) -> str:
    return f"HALO_{name.upper()}"


def _environment() -> dict[str, Any]:
    found = ((f.name, os.environ.get(_variable(f.name))) for f in fields(Options))
    return {name: _parse(name, text) for name, text in found if text}


def _known(name: str) -> str:
    names = tuple(f.name for f in fields(Options))
    if name not in names:
        raise ArgumentError(f"there is no option {name!r}", legal=names)
    return name


def _checked(name: str, value: Any, where: str) -> Any:
    """`value` if it is of the option's type."""
    wanted = type(getattr(_defaults, _known(name)))
    if wanted is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if type(value) is not wanted or (wanted is int and value < 0):
        raise ArgumentError(f"{where}: {name} takes {_WORDS[wanted]}, not {value!r}")
    return value


_WORDS = {bool: "True or False", int: "a number of bytes", str: "a path"}
_BOOLS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_UNITS = {"K": 10, "M": 20, "G": 30}


def _parse(name: str, text: str) -> Any:
    """An environment variable's text as the option's type; sizes may end in K, M or G."""
    wanted = type(getattr(_defaults, name))
    value: Any = text
    if wanted is bool:
        value = _BOOLS.get(text.lower(), text)
    elif wanted is int:
        digits, shift = (text[:-1], _UNITS[text[-1].upper()]) if text[-1].upper() in _UNITS else (text, 0)
        value = int(digits) << shift if digits.isdecimal() else text
    return _checked(name, value, f"the environment variable {_variable(name)}")
