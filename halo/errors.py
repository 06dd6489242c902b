"""Every error of the package: one class a kind of mistake, a place in the user's code, a reason and a cure."""

from __future__ import annotations

import functools
import linecache
import os
import sys
import threading
from dataclasses import dataclass
from itertools import islice
from types import CodeType, FrameType

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LIBRARY = os.path.dirname(functools.__file__)
_ITS_TOOLS = (functools.__file__, os.path.join(_LIBRARY, "concurrent", "futures", ""), threading.__file__)


@dataclass(frozen=True)
class Location:
    """A span of the user's code: 1-based lines, 0-based columns (`None` where the interpreter gives none)."""

    file: str
    line: int
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    text: str | None = None  # the source line, when linecache cannot find it again

    def render(self, note: str = "", mark: str = "^") -> str:
        """The source line with the span underlined, as errors and tools show it."""
        text = (self.text if self.text is not None else linecache.getline(self.file, self.line)).rstrip("\n")
        where = f"{os.path.basename(self.file)}:{self.line}"
        stripped = text.lstrip()
        if not stripped:
            return f"  {where}" + (f"  {note}" if note else "")
        indent = len(text) - len(stripped)
        start = indent if self.column is None else max(self.column, indent)
        end = len(text) if self.end_column is None or (self.end_line or self.line) != self.line else self.end_column
        under = " " * (start - indent) + mark * max(end - start, 1)
        return f"  {where}  | {stripped}\n  {' ' * len(where)}  | {under}" + (f" {note}" if note else "")


def _is_inside(frame: FrameType) -> bool:
    """Whether code of the package runs there, or what `dataclass`, `cached_property` and thread pools make of it."""
    file = frame.f_code.co_filename
    made = file == "<string>" and str(frame.f_globals.get("__name__")).startswith("halo.")
    return made or file.startswith((_PACKAGE, *_ITS_TOOLS))


def call_site(skip: int = 1) -> tuple[CodeType, int, int] | None:
    """The nearest caller outside the package, as cheap as can be: its code, instruction offset and line."""
    frame: FrameType | None = sys._getframe(skip)
    while frame is not None and _is_inside(frame):
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti, frame.f_lineno)


def locate(code: CodeType, lasti: int, lineno: int) -> Location:
    """The span of source that the instruction at `lasti` came from."""
    if sys.version_info >= (3, 11):
        position = next(islice(code.co_positions(), lasti // 2, None), None)
        if position is not None:
            line, end_line, column, end_column = position
            return Location(code.co_filename, lineno if line is None else line, column, end_line, end_column)
    return Location(code.co_filename, lineno)


def here(skip: int = 1) -> Location | None:
    """The nearest caller outside the package: where the user wrote the call that is being carried out."""
    site = call_site(skip + 1)
    return None if site is None else locate(*site)


class HaloError(Exception):
    """The base of all errors. Carries the place, what else is involved, and what to write instead.

    `loc` is where the mistake stands, `related` further places with a note each, `nest` the loop nest with the
    offending line marked, `legal` the alternatives that would be accepted, `hint` one suggested edit.
    """

    code = "H000"

    def __init__(self, message: str, *, loc: Location | None = None, related: tuple[tuple[Location, str], ...] = (),
                 nest: str = "", legal: tuple[str, ...] = (), hint: str = "") -> None:  # fmt: skip
        self.message, self.loc, self.related = message, loc, related
        self.nest, self.legal, self.hint = nest, legal, hint
        super().__init__(message)

    def __str__(self) -> str:
        parts = [self.message]
        if self.loc is not None:
            parts += ["", self.loc.render()]
        parts += [place.render(note) for place, note in self.related]
        if self.nest:
            parts += ["", self.nest.rstrip("\n")]
        if self.legal:
            parts += ["", f"  legal: {', '.join(self.legal)}"]
        if self.hint:
            parts += ["", f"  try: {self.hint}"]
        return "\n".join(parts)


class DefinitionError(HaloError):
    """The algorithm says something that the language has no meaning for."""

    code = "H100"


class TypeMismatchError(HaloError, TypeError):
    """Two types meet that do not convert into each other without loss."""

    code = "H150"


class ScheduleError(HaloError):
    """A directive that is unknown, does not fit the loops, or could change the result."""

    code = "H200"


class BoundsError(HaloError, IndexError):
    """An access outside what an array has, or one whose range cannot be bounded."""

    code = "H300"


class ArgumentError(HaloError, TypeError, ValueError):
    """A call with the wrong arguments."""

    code = "H400"


class UnknownValueError(ArgumentError):
    """A value or an extent that only running tells is wanted before: one that is given decides it. `extent`: the name of one
    that something in the program decides, and the integer that it is."""

    code = "H410"
    extent: tuple[str, int] | None = None


class CompileError(HaloError):
    """A fault of halo's own: please report it with what the message shows."""

    code = "H900"
