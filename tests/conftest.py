"""Shared by all tests: golden texts, a private disk cache, Hypothesis settings."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

GOLDEN = Path(__file__).parent / "golden"

# Set before halo is imported, so that no test reads or fills the user's own cache. Workers share that of who starts them.
CACHE = None
if "PYTEST_XDIST_WORKER" not in os.environ:
    CACHE = os.environ["HALO_CACHE_DIR"] = tempfile.mkdtemp(prefix="halo-test-cache-")

settings.register_profile("halo", deadline=None, derandomize="CI" in os.environ, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
settings.load_profile("halo")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/*.txt from what the tests give")


def pytest_sessionfinish() -> None:
    if CACHE is not None:
        shutil.rmtree(CACHE, ignore_errors=True)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)`: `text` must equal tests/golden/NAME.txt; `pytest --update-golden` writes that file."""
    update = request.config.getoption("--update-golden")

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        text = text.rstrip("\n") + "\n"
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.exists():
            pytest.fail(f"no golden text {path.relative_to(GOLDEN.parent)}: run pytest --update-golden\n\n{text}")
        wanted = path.read_text(encoding="utf-8")
        if sys.version_info < (3, 11):  # 3.10 knows the statement, not the columns
            text, wanted = (re.sub(r"\| *\^+", "|", t) for t in (text, wanted))
        assert text == wanted

    return check
