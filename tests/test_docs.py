"""The site: every block of code runs, every notebook runs, every directive has an example that does something."""

from __future__ import annotations

import importlib
import linecache
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from halo import graph, nn
from halo.schedule.directive import registry

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402  (the path is set above)
from examples_of_directives import EXAMPLES  # noqa: E402  (the path is set above)

PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOKS = sorted((DOCS / "tutorial").glob("*.ipynb"))
SAME_LOOPS = {"rename", "serial", "unscheduled", "compute_root", "trace_loads", "trace_stores", "add_trace_tag",
              "reorder_storage", "align_storage", "promise_alignment", "promise_output", "set_estimate",
              "set_estimates"}  # fmt: skip


def name(path: Path) -> str:
    return str(path.relative_to(DOCS))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_code_of_a_page_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    scope: dict[str, Any] = {}
    for k, code in enumerate(blocks):
        file = f"<{name(page)} {k}>"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        exec(compile(code, file, "exec"), scope)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name)
def test_a_notebook_runs(notebook: Path) -> None:
    nbformat, nbclient = (
        pytest.importorskip("nbformat", reason="extra: notebook"),
        pytest.importorskip("nbclient", reason="extra: notebook"),
    )
    content = nbformat.read(notebook, as_version=4)
    assert content.cells[0].source.startswith(f"# {int(notebook.name[:2])}. ")
    assert any("assert" in c.source for c in content.cells if c.cell_type == "code")
    assert not any(c.get("outputs") for c in content.cells), "notebooks are kept without outputs"
    nbclient.NotebookClient(content, timeout=120, kernel_name="python3").execute()
    shown = [o for c in content.cells if c.cell_type == "code" for o in c.outputs]
    assert not any(o.output_type == "error" for o in shown)


def test_every_notebook_and_page_is_in_the_contents() -> None:
    contents = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for path in (*NOTEBOOKS, *PAGES):
        assert name(path) in contents or path.name == "benchmarks.md"  # which `make bench` writes


def test_the_reference_has_the_functions_of_networks() -> None:
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert all(re.search(rf"::: halo\.graph\.(\w+\.)?{f}\n", reference) for f in graph.__all__ if f[0].islower())


@pytest.mark.parametrize("directive", sorted(set(registry) - {"within"}))
def test_every_directive_has_an_example(directive: str) -> None:
    before, after, _ = generate.shown(EXAMPLES[directive])
    assert f".{directive}(" in EXAMPLES[directive].code
    assert (before == after) == (directive in SAME_LOOPS)


def test_the_pages_that_are_made() -> None:
    pages = dict(generate.pages())
    assert all(f"### {d}\n" in pages["directives.md"] for d in set(registry) - {"within"})
    assert pages["directives.md"].count("halo-order") > 20
    assert all(f"## {e}\n" in pages["errors.md"] for e in ("BoundsError", "ScheduleError", "DefinitionError"))
    assert "f.split(old, outer, inner, factor, tail=" in pages["directives.md"]
    assert all(f"### {op}\n" in pages["operators.md"] for op in nn.OPS if hasattr(nn, op))


def test_the_pages_speak_of_what_there_is() -> None:
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    for found in re.findall(r"^::: (halo[\w.]*)", reference, re.M):
        module, _, name = found.rpartition(".")
        assert getattr(importlib.import_module(module), name).__doc__, found
