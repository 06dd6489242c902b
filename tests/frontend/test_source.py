"""Source retrieval: files, cells, prompts, `source=`; positions; stale files."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import linecache
import sys
import textwrap
from pathlib import Path
from types import FunctionType

import pytest

from halo.errors import DefinitionError
from halo.frontend.source import Source, load


def executed(text: str, file: str, cached: bool = True) -> dict[str, FunctionType]:
    """The functions of `text`, compiled as the file `file`; `cached`: linecache knows the text, as IPython arranges."""
    text = textwrap.dedent(text)
    scope: dict[str, FunctionType] = {}
    exec(compile(text, file, "exec"), scope)
    if cached:
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    return scope


def imported(path: Path, text: str) -> dict[str, FunctionType]:
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


def returned(source: Source) -> str:
    statement = source.body[-1]
    assert isinstance(statement, ast.Return) and statement.value is not None
    return ast.unparse(statement.value)


def span(source: Source, node: ast.AST) -> str:
    """What the Location of `node` underlines."""
    loc = source.loc(node)
    assert loc.text is not None and loc.end_line == loc.line
    return loc.text[loc.column : loc.end_column]


def plain(y, x):  # a decorator-free def, with a comment
    return y + x


def test_a_function_of_this_file():
    source = load(plain)
    assert returned(source) == "y + x"
    assert source.file == __file__
    assert source.loc(source.node).line == plain.__code__.co_firstlineno
    assert span(source, source.body[0].value.right) == "x"


# fmt: off
def test_a_nested_function_keeps_its_columns():
    def decorate(f):
        return f

    @decorate
    @decorate
    def nested(y, x):
        """A text
that goes on at the margin."""
        # and a comment
    # at a lower indentation
        return (y +
    x)

    source = load(nested)
    assert returned(source) == "y + x"
    value = source.body[-1].value
    assert source.loc(value.left).column == 16
    assert source.loc(value.right).column == 4
    assert source.loc(value).end_line == source.loc(value).line + 1
    assert "def nested(y, x):" in source.loc(source.node).text


def test_a_signature_over_several_lines():
    def long(
        y,
        x,
    ):
        return y - x

    assert returned(load(long)) == "y - x"


def test_a_bracket_that_closes_at_the_margin_of_the_def():
    def stepped(y):
        return (
            y
    )

    assert returned(load(stepped)) == "y"


def test_definitions_of_one_line():
    def one(y): return y + 1
    def two(y): return y + 2

    assert returned(load(one)) == "y + 1"
    assert returned(load(two)) == "y + 2"
# fmt: on


def test_columns_count_characters():
    def wide(y, x):
        return "äöü" + y, x

    source = load(wide)
    assert span(source, source.body[0].value.elts[1]) == "x"


def test_a_lambda():
    source = load(lambda y, x: y * x)
    assert returned(source) == "y * x"
    assert span(source, source.body[0].value) == "y * x"


def test_of_two_lambdas_in_a_line_the_parameters_tell():
    _, second = lambda y: y, lambda y, x: y // x
    assert returned(load(second)) == "y // x"


def test_lambdas_that_cannot_be_told_apart():
    first, _ = lambda y: y, lambda y: -y
    with pytest.raises(DefinitionError, match="which lambda"):
        load(first)


def test_a_notebook_cell():
    cell = "def f(y):\n    t = 2\n    return t*y\n"
    source = load(executed(cell, "<ipython-input-3-abc>")["f"])
    assert returned(source) == "t * y"
    assert source.loc(source.body[1]).render() == (
        "  <ipython-input-3-abc>:3  | return t*y\n                           | ^^^^^^^^^^"
    )


def test_ipython_itself():
    shell = pytest.importorskip("IPython.core.interactiveshell", reason="extra: notebook").InteractiveShell()
    shell.run_cell("x = 1\ndef f(y):\n    return y + 41")
    assert returned(load(shell.user_ns["f"])) == "y + 41"


def test_a_doctest():
    text = ">>> def f(y):\n...     return y + 40\n>>> assert load(f).body\n"
    test = doctest.DocTestParser().get_doctest(text, {"load": load}, "sample", None, None)
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_exec_without_a_text():
    f = executed("def f(y): return y", "<string>", cached=False)["f"]
    with pytest.raises(DefinitionError) as e:
        load(f)
    assert "the source of f cannot be found" in str(e.value)
    assert "source=TEXT" in e.value.hint


def test_exec_under_the_name_of_another_text():
    executed("x = 1\n", "<string>")  # as `python -c` does from 3.13 on
    f = executed("def f(y): return y", "<string>", cached=False)["f"]
    with pytest.raises(DefinitionError, match="the source of f cannot be found"):
        load(f)


def test_source_given():
    text = "    import math\n    def f(y):\n        return y + 1\n"
    f = executed("def f(y): return y", "<string>", cached=False)["f"]
    source = load(f, text)
    assert returned(source) == "y + 1"
    where = "<source of f>:3"
    assert source.loc(source.body[0]).render() == f"  {where}  | return y + 1\n  {' ' * len(where)}  | {'^' * 12}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(y) return y", "does not parse"),
        ("", "has no function f"),
        ("def g(y): return y", "has no function f"),
        ("def f(x): return x", "is not that of f"),
    ],
)
def test_source_given_that_is_not_the_function(text, message):
    f = executed("def f(y): return y", "<string>", cached=False)["f"]
    with pytest.raises(DefinitionError, match=message):
        load(f, text)


def test_a_file_that_changed_after_import(tmp_path):
    f = imported(tmp_path / "stale.py", "def f(y, x):\n    return y\n")["f"]
    (tmp_path / "stale.py").write_text("# a line more\ndef f(y, x):\n    return y\n")
    with pytest.raises(DefinitionError, match="changed since it was imported") as e:
        load(f)
    assert e.value.loc is not None and e.value.loc.line == 1


def test_a_file_that_is_imported_again(tmp_path):
    path = tmp_path / "again.py"
    first = imported(path, "def f(y):\n    return y + 1\n")["f"]
    assert returned(load(first)) == "y + 1"
    second = imported(path, "# new\ndef f(y):\n    return y + 22\n")["f"]
    assert returned(load(second)) == "y + 22"


def test_the_last_function_of_a_file_without_a_newline(tmp_path):
    f = imported(tmp_path / "last.py", "import sys\ndef f(y):\n\treturn y")["f"]
    assert returned(load(f)) == "y"


def test_a_text_at_the_margin(tmp_path):
    f = imported(tmp_path / "margin.py", 'def f(y):\n    t = """\nat the margin\n"""\n    return y\nx = 1\n')["f"]
    assert returned(load(f)) == "y"


def test_a_module_from_a_zip(tmp_path):
    import zipfile

    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("zipped_sample.py", "def f(y):\n    return y + 5\n")
    sys.path.insert(0, str(archive))
    try:
        import zipped_sample
    finally:
        sys.path.remove(str(archive))
    assert returned(load(zipped_sample.f)) == "y + 5"
