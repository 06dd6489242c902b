"""The state of the tree: sizes of files, texts that must not be there, docstrings, a golden text for each error."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from pathlib import Path

import pytest

import halo
from halo import errors

ROOT = Path(__file__).parent.parent
SOURCES = sorted(p for top in ("halo", "tests", "examples", "benchmarks") for p in (ROOT / top).rglob("*.py"))
TEXTS = [*SOURCES, ROOT / "Makefile", ROOT / "README.md", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]
GOLDEN_ERRORS = ROOT / "tests" / "golden" / "errors"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_no_file_is_longer_than_600_lines() -> None:
    assert not [name(path) for path in SOURCES if len(read(path).splitlines()) > 600]


def test_nothing_of_one_machine() -> None:
    assert not [name(path) for path in TEXTS if re.search(r"/(root|home/\w+|work|tmp/\w+)/", read(path))]


def test_nothing_unfinished() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert [path for path in TEXTS if unfinished.search(read(path))] == [Path(__file__)]


def test_modules_say_what_they_are() -> None:
    modules = [path for path in SOURCES if path.is_relative_to(ROOT / "halo")]
    assert not [name(path) for path in modules if not ast.get_docstring(ast.parse(read(path)))]


OFF = re.compile(r"# (?:ruff: )?noqa(?:: [A-Z0-9, ]+)?|# type: ignore(?:\[[\w\-, ]+\])?|# fmt: \w+")


@pytest.mark.parametrize("path", [p for p in SOURCES if re.search(r"noqa|type: ignore", read(p))], ids=name)
def test_what_turns_a_check_off_says_why(path: Path) -> None:
    for token in tokenize.generate_tokens(io.StringIO(read(path)).readline):
        if token.type == tokenize.COMMENT and re.match(r"# (ruff: )?noqa|# type: ignore", token.string):
            assert len(OFF.sub("", token.string).strip("# ()")) > 3, f"line {token.start[0]}: {token.string}"


@pytest.mark.parametrize("path", [p for p in SOURCES if re.search(r"skip|xfail", read(p))], ids=name)
def test_what_is_not_run_says_why(path: Path) -> None:
    for call in ast.walk(ast.parse(read(path))):
        if isinstance(call, ast.Call) and (
            found := re.search(r"\.(skip|skipif|xfail|importorskip)$", ast.unparse(call.func))
        ):
            said = [k for k in call.keywords if k.arg == "reason"]
            assert said or (found[1] == "skip" and call.args), f"line {call.lineno}: {ast.unparse(call)}"


@pytest.mark.parametrize("public", sorted(getattr(halo, "__all__", ())))
def test_public_names_have_docstrings(public: str) -> None:
    thing = getattr(halo, public)
    if callable(thing) or inspect.isclass(thing):
        assert inspect.getdoc(thing), f"halo.{public} has no docstring"


def error_classes() -> list[type[errors.HaloError]]:
    found, todo = [], [errors.HaloError]
    while todo:
        below = todo.pop().__subclasses__()
        found += below
        todo += below
    return sorted((c for c in found if c.__module__ == "halo.errors"), key=lambda c: c.__name__)


@pytest.mark.parametrize("error", error_classes(), ids=lambda c: c.__name__)
def test_each_error_class_has_a_pinned_text(error: type[errors.HaloError]) -> None:
    """By convention the golden texts of errors are golden/errors/CLASS_what.txt."""
    assert list(GOLDEN_ERRORS.glob(f"{error.__name__}_*.txt")), f"no golden/errors/{error.__name__}_*.txt"


def test_error_codes_are_unique() -> None:
    codes = [c.code for c in error_classes()]
    assert len(set(codes)) == len(codes)
