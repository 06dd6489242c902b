"""What a notebook shows of a Func, a schedule, a kernel or an expression: HTML of a few kilobytes, light and dark.

All of it can be had as text too: `repr(f)`, `f.loops()`, `print(f.schedule())`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from ..errors import HaloError
from .assets import asset

if TYPE_CHECKING:
    from ..func.profile import Profile

__all__ = ["expression", "func", "kernel", "module", "nest", "schedule", "snapshot"]

LETTERS = 100_000  # of a program that a notebook shows

_MARK = r"parallel|vectorize|unroll|tensorize(?: (?!partition )\w+)?|partition \w+"
_LOOP = re.compile(rf"^( *)for (\w+)(?: in (.*?))?((?: (?:{_MARK}))*):$")
_ALLOCATION = re.compile(r"^( *)alloc ([\w.]+)\[(.*)\](.*)$")
_STAGE = re.compile(r"^( *)produce ([\w.]+):$")


def func(f: Any, text: str) -> str:
    """The definition of a Func (`text`: as its repr gives it), and the loop nest of the pipeline that ends in it, with
    times where it was measured under this schedule."""
    definition: list[str] = []
    directives: list[str] = []
    for line in text.split("\n"):
        (directives if line.startswith(f"{f.name}.") else definition).append(line)
    parts = [f"<b>{escape(f.name)}</b>", _code(definition)]
    if directives:
        parts.append(_code(directives, "halo-schedule"))
    try:
        loops = f.loops()
    except HaloError:  # it is not defined yet, or its nest depends on types that nobody has named
        loops = ""
    if loops:
        parts.append(nest(loops, f.measured()))
    return _page(parts)


def nest(loops: str, times: Profile | None = None) -> str:
    """The text of `f.loops()` as a tree: loops with badges, stages (with their `times`) and allocations set off."""
    whole = sum(s.seconds for s in times) if times else 0.0
    spent = {s.name: f"{s.seconds * 1e3:.3f} ms, {s.seconds / whole:.0%}" for s in times} if times and whole else {}
    lines = (_line(line, spent) for line in loops.splitlines())
    return f'<pre class="halo-nest">{chr(10).join(lines)}</pre>'


def _line(line: str, spent: Mapping[str, str]) -> str:
    if found := _LOOP.match(line):
        indent, var, span, marks = found.groups()
        badges = "".join(f' <i class="halo-{m.split()[0]}">{m}</i>' for m in re.findall(_MARK, marks))
        extent = f" <small>in {escape(span)}</small>" if span else ""
        return f"{indent}for <b>{escape(var)}</b>{extent}{badges}"
    if found := _ALLOCATION.match(line):
        indent, name, size, rest = found.groups()
        return f'{indent}<i class="halo-alloc">memory</i> {escape(name)} <small>[{escape(size)}]{escape(rest)}</small>'
    if found := _STAGE.match(line):
        time = f' <i class="halo-time">{spent[found[2]]}</i>' if found[2] in spent else ""
        return f"{found[1]}<u>{escape(found[2])}</u>{time}"
    return f"<small>{escape(line)}</small>"


def schedule(text: str) -> str:
    """A Schedule: the Python calls that give it again."""
    return _page([_code(text.split("\n") if text else ["# without directives"], "halo-schedule")])


def kernel(name: str, inputs: Iterable[tuple[str, str]], results: Iterable[str]) -> str:
    """A Kernel: its signature as a table."""
    rows = "".join(f"<tr><td>{escape(n)}</td><td>{escape(t)}</td></tr>" for n, t in inputs)
    rows += "".join(f"<tr><td><small>result</small></td><td>{escape(t)}</td></tr>" for t in results)
    return _page([f"<b>{escape(name)}</b> <small>compiled kernel</small>", f"<table>{rows}</table>"])


def snapshot(loops: str, times: Profile | None, history: str, code: str) -> str:
    """What a saved notebook keeps of an explorer."""
    return _page([nest(loops, times), _code(history.split("\n")), _code(code.split("\n"), "halo-schedule")])


def module(title: str, functions: Iterable[tuple[str, str]]) -> str:
    """A program of a graph, each function folded but `main`. What is too long is cut, and says so."""
    parts, room = [f"<b>{escape(title)}</b>"], LETTERS
    for name, text in sorted(functions, key=lambda f: f[0] != "main"):
        shown = text if len(text) <= room else f"{text[:room]}\n... {len(text) - room} letters more: print(module)"
        room -= min(len(text), room)
        opened = " open" if name == "main" else ""
        parts.append(f"<details{opened}><summary>{escape(name)}</summary>{_code(shown.splitlines())}</details>")
        if not room:
            break
    return _page(parts)


def expression(text: str) -> str:
    return _page([_code([text])])


def _code(lines: Iterable[str], kind: str = "") -> str:
    return f"<pre{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(chr(10).join(lines))}</pre>"


def _page(parts: Iterable[str]) -> str:
    style, shown = asset("reprs.css"), "".join(parts)
    return f'<div class="halo"><style>{style}</style>{shown}</div>'
