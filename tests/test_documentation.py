"""What README and the docstrings show is so."""

from __future__ import annotations

import doctest
import importlib
import linecache
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import halo

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
MODULES = sorted(m.name for m in pkgutil.walk_packages(halo.__path__, "halo.") if not m.name.endswith("__main__"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


@pytest.mark.parametrize("name", ["halo", *MODULES])
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert not result.failed


def test_the_example_of_the_readme_runs_and_has_the_loops_shown() -> None:
    code = blocks("python")[0]
    linecache.cache["<readme>"] = (len(code), None, code.splitlines(keepends=True), "<readme>")
    photo = np.random.default_rng(1).integers(0, 20000, (61, 300), np.uint16)
    scope: dict = {"photo": photo}
    exec(compile(code, "<readme>", "exec"), scope)
    p = np.pad(photo, 1, "edge")
    rows = (p[:, :-2] + p[:, 1:-1] + p[:, 2:]) // 3
    np.testing.assert_array_equal(scope["out"], (rows[:-2] + rows[1:-1] + rows[2:]) // 3)
    assert scope["blur_y"].loops().strip() in README
    assert len([line for line in code.splitlines() if line]) <= 12


def test_the_readme_says_whose_name_it_shares() -> None:
    assert "spinner" in README.splitlines()[2]
