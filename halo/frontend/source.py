"""Function -> syntax tree with exact positions: from a file, a notebook cell, linecache, or `source=`."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from tokenize import TokenError
from types import CodeType, FunctionType

from ..errors import DefinitionError, Location

__all__ = ["Source", "load"]

_INSTEAD = "@halo.func(source=TEXT), with TEXT the function's source"


@dataclass(frozen=True, eq=False)
class Source:
    """The tree of one function. A node on line n stands on line n + `shift` of `lines`, the text of `file`."""

    node: ast.FunctionDef | ast.Lambda
    file: str
    lines: list[str]
    shift: int = 0
    _known: dict[ast.AST, Location] = field(default_factory=dict)

    def loc(self, node: ast.AST) -> Location:
        """The span of `node`; of a whole function, its `def` line."""
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = self._located(node)
        return found

    def _located(self, node: ast.AST) -> Location:
        line, column = node.lineno + self.shift, node.col_offset  # type: ignore[attr-defined]  # statements and expressions have places
        end_line, end = node.end_lineno + self.shift, node.end_col_offset  # type: ignore[attr-defined]  # statements and expressions have places
        text = self.lines[line - 1]
        if isinstance(node, ast.FunctionDef):
            end_line, end = line, len(text.rstrip().encode())
        return Location(self.file, line, _characters(text, column), end_line,
                        _characters(self.lines[end_line - 1], end), text)  # fmt: skip

    @property
    def body(self) -> list[ast.stmt]:
        """The statements; those of a lambda are one `return`."""
        if isinstance(self.node, ast.FunctionDef):
            return self.node.body
        return [ast.copy_location(ast.Return(self.node.body), self.node.body)]


def load(function: FunctionType, text: str | None = None) -> Source:
    """The Source of `function`, from `text` if that is given. DefinitionError where there is none."""
    source = _from_text(function, text) if text is not None else _from_lines(function)
    if not _same(function, source):
        raise _changed(function) if text is None else DefinitionError(
            f"the text of source= is not that of {function.__name__}", loc=source.loc(source.node))  # fmt: skip
    return source


def _from_text(function: FunctionType, text: str) -> Source:
    name, file = function.__name__, f"<source of {function.__name__}>"
    text = textwrap.dedent(text)
    lines = text.splitlines(keepends=True)
    try:
        tree = ast.parse(text)
    except SyntaxError as e:
        place = Location(file, e.lineno or 1, text=lines[(e.lineno or 1) - 1] if lines else "")
        raise DefinitionError(f"source= of {name} does not parse: {e.msg}", loc=place) from None
    found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name]
    if not found:
        raise DefinitionError(f"source= has no function {name}", loc=Location(file, 1, text=lines[0] if lines else ""))
    return Source(found[-1], file, lines)


def _from_lines(function: FunctionType) -> Source:
    code = function.__code__
    lines = _lines(function)
    if len(lines) < code.co_firstlineno:
        raise _no_source(function)
    if function.__name__ == "<lambda>":
        return Source(_find_lambda(code, lines), code.co_filename, lines)
    start = code.co_firstlineno - 1
    for block in _blocks(lines, start):
        indented = block[0][:1].isspace()  # kept as it is, under an `if`, so that columns are the file's
        try:
            tree = ast.parse("".join(["if 1:\n", *block] if indented else block))
        except SyntaxError:
            continue
        first = tree.body[0]
        node = first.body[0] if indented and isinstance(first, ast.If) else first
        if isinstance(node, ast.FunctionDef) and _first_line(node) == 1 + indented:
            return Source(node, code.co_filename, lines, start - indented)
    raise _changed(function)


def _lines(function: FunctionType) -> list[str]:
    file = function.__code__.co_filename
    linecache.checkcache(file)
    return linecache.getlines(file, function.__globals__)


def _blocks(lines: list[str], start: int) -> Iterator[list[str]]:
    """The lines of the definition that starts at `start`: by indentation, which is fast; if that does not parse
    (a text or a bracket went on at a lower indentation), by tokens."""
    yield lines[start : _end_by_indentation(lines, start)]
    try:
        yield inspect.getblock(lines[start:])
    except (TokenError, SyntaxError):
        return


def _end_by_indentation(lines: list[str], start: int) -> int:
    indent, in_header = _indent(lines[start]), True
    for k in range(start, len(lines)):
        stripped = lines[k].lstrip()
        if in_header:
            in_header = not stripped.startswith(("def ", "async "))
        elif stripped and stripped[0] not in "#)]}" and _indent(lines[k]) <= indent:
            return k
    return len(lines)


def _first_line(node: ast.FunctionDef) -> int:
    """That of the decorators, if there are any."""
    return node.decorator_list[0].lineno if node.decorator_list else node.lineno


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _find_lambda(code: CodeType, lines: list[str]) -> ast.Lambda:
    place = Location(code.co_filename, code.co_firstlineno, text=lines[code.co_firstlineno - 1])
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        raise DefinitionError("the source of the lambda does not parse: has the file changed?", loc=place) from None
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and n.lineno == code.co_firstlineno
             and tuple(_parameters(n)) == parameters]  # fmt: skip
    if len({ast.dump(n) for n in found}) != 1:
        raise DefinitionError("which lambda of this line is meant cannot be told", loc=place, hint="a def with a name")
    return found[0]


def _parameters(node: ast.FunctionDef | ast.Lambda) -> list[str]:
    a = node.args
    return [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]


def _same(function: FunctionType, source: Source) -> bool:
    """Whether the text may be the function's: it is not where the file was edited after it was imported."""
    code, node = function.__code__, source.node
    name = node.name if isinstance(node, ast.FunctionDef) else "<lambda>"
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return name == code.co_name and tuple(_parameters(node)) == parameters


def _no_source(function: FunctionType) -> DefinitionError:
    code = function.__code__
    return DefinitionError(f"the source of {function.__name__} cannot be found: it was made by exec or at a prompt "
                           f"that keeps no text ({code.co_filename!r})",
                           loc=Location(code.co_filename, code.co_firstlineno), hint=_INSTEAD)  # fmt: skip


def _changed(function: FunctionType) -> DefinitionError:
    code = function.__code__
    if code.co_filename.startswith("<"):  # one of many texts of that name, as `python -c` and exec give them
        return _no_source(function)
    return DefinitionError(f"the source at this line is not that of {function.__name__}: the file has changed since it "
                           "was imported", loc=Location(code.co_filename, code.co_firstlineno),
                           hint="import it again")  # fmt: skip


def _characters(line: str, column: int) -> int:
    """The 0-based character of a column that `ast` counts in bytes of UTF-8."""
    return column if line.isascii() else len(line.encode()[:column].decode(errors="ignore"))
