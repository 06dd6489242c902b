"""What the language says holds on every target: each test runs as machine code, and as the Python that
`inspect_source()` shows, plain and under Numba."""

from __future__ import annotations

import importlib

import pytest

from halo.jit.target import as_target

program = importlib.import_module("halo.func.program")  # `halo.func` is the decorator


@pytest.fixture(autouse=True, params=["host", "python", pytest.param("numba", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The target of calls that name none."""
    if request.param != "host":
        monkeypatch.setattr(program, "as_target", lambda t: as_target(request.param if t is None else t))
    return request.param
