"""The explorer in Notebook 7 and in marimo: it opens, a step is taken, a picture of each is kept."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from .chromium import opened, picture
from .servers import free_port, served

pytestmark = pytest.mark.browser
CODE = """import halo
import numpy as np
from examples import blur
grey = np.random.default_rng(0).integers(0, 20000, (256, 258), np.uint16)
tried = blur.blur_y.explore(img=halo.pad(grey, "edge"))"""
MARIMO = f"""import marimo

app = marimo.App()


@app.cell
def _():
{chr(10).join("    " + line for line in CODE.splitlines())}
    tried
    return


if __name__ == "__main__":
    app.run()
"""


def take_a_step(page: Any, name: str) -> None:
    page.locator(".halo-explore .step").first.wait_for(timeout=120_000)
    page.locator(".halo-explore .step", has=page.get_by_text("blur_x.compute_root()", exact=True)).first.click(
        timeout=120_000
    )
    page.locator(".halo-explore .state").nth(1).wait_for(timeout=120_000)
    picture(page, name)
    assert "compute_root" in page.locator(".halo-explore pre.code").inner_text()
    assert not [line for line in page.said if "halo" in line.lower()]
    assert not page.asked


def test_in_notebook_7(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="extra: notebook")
    pytest.importorskip("notebook", reason="extra: browser")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f"{CODE}\ntried")])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, tmp_path / "blur.ipynb")
    port, token = free_port(), secrets.token_hex(8)
    arguments = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ip=127.0.0.1",
        f"--IdentityProvider.token={token}",
    ]
    with served("notebook", arguments, tmp_path, f"http://127.0.0.1:{port}/api?token={token}"), opened() as page:
        page.goto(f"http://127.0.0.1:{port}/notebooks/blur.ipynb?token={token}")
        page.wait_for_selector(".jp-Notebook .cm-content", timeout=90_000)
        prompt = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").first
        for _ in range(30):  # until the kernel that it started takes cells
            page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
            page.keyboard.press("Shift+Enter")
            page.wait_for_timeout(2000)
            if prompt.inner_text().strip() not in ("[ ]:", ""):
                break
        take_a_step(page, "6_notebook_7")


def test_in_marimo(tmp_path: Path) -> None:
    pytest.importorskip("marimo", reason="extra: browser")
    (tmp_path / "app.py").write_text(MARIMO)
    port = free_port()
    arguments = ["run", "app.py", "--headless", "--no-token", f"--port={port}", "--host=127.0.0.1"]
    with served("marimo", arguments, tmp_path, f"http://127.0.0.1:{port}/"), opened() as page:
        page.goto(f"http://127.0.0.1:{port}/")
        take_a_step(page, "7_marimo")
