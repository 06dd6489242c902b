"""The explorer in a real JupyterLab, driven as a person would: `make test-browser`.

Needs JupyterLab, Playwright (the extra `browser`) and Chromium. Pictures of what it saw are kept under out/browser.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

import halo

from .chromium import PICTURES, opened, picture
from .servers import free_port, served

pytestmark = pytest.mark.browser
CELL = """
import numpy as np
from examples import local_laplacian
photo = np.random.default_rng(0).integers(0, 255, (192, 256, 3), np.uint8)
explorer = local_laplacian.local_laplacian.explore(img=photo)
explorer
"""
BLUR = """
from examples import blur
grey = np.random.default_rng(0).integers(0, 20000, (1024, 1026), np.uint16)
tried = blur.blur_y.explore(img=halo.pad(grey, "edge"))
"""
PLAIN = """from IPython.display import HTML
HTML('<div class="halo-explore"><div class="state">a cell that shows this alone</div></div>')"""
BOOKS = {"explore": (CELL,), "blur": (f"import halo\nimport numpy as np{BLUR}", PLAIN, "tried")}
MOST = 200.0  # milliseconds to the first paint, on a machine where a plain cell takes a quarter of it


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab with the notebooks of BOOKS; the address of one, but for its name."""
    nbformat = pytest.importorskip("nbformat", reason="extra: notebook")
    pytest.importorskip("jupyterlab", reason="extra: browser")
    home = tmp_path_factory.mktemp("lab")
    for name, cells in BOOKS.items():
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c.strip()) for c in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(book, home / f"{name}.ipynb")
    port, token = free_port(), secrets.token_hex(8)
    arguments = ["--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1",
                 f"--IdentityProvider.token={token}", f"--notebook-dir={home}"]  # fmt: skip
    with served("jupyterlab", arguments, home, f"http://127.0.0.1:{port}/api?token={token}"):
        # A workspace each: in that of another, JupyterLab opens its notebook again, beside or before this one.
        yield f"http://127.0.0.1:{port}/lab/workspaces/{{0}}/tree/{{0}}.ipynb?token={token}"


@pytest.fixture
def page(lab: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """One of the notebooks, open in Chromium."""
    with opened() as page:
        page.goto(lab.format(request.param))
        yield page


def run(page: Any, cell: int) -> None:
    """Run a cell, when the kernel is there and does nothing else."""
    page.wait_for_selector(".jp-Notebook .cm-content", timeout=90_000)
    page.get_by_text("| Idle").wait_for(timeout=90_000)
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(cell).click()
    page.keyboard.press("Shift+Enter")


FIRST_PAINT = """() => addEventListener("keydown", () => {
  performance.mark("run");
  const shown = document.querySelectorAll(".halo-explore .state").length;
  const seen = new MutationObserver(() => {
    if (document.querySelectorAll(".halo-explore .state").length === shown) return;
    seen.disconnect();
    requestAnimationFrame(() => setTimeout(() => performance.measure("first paint", "run")));
  });
  seen.observe(document.body, { subtree: true, childList: true });
}, { capture: true, once: true })"""


def first_paint(page: Any, cell: int) -> float:
    """Milliseconds from the key that runs a cell to the frame that has what it shows."""
    page.evaluate("performance.clearMeasures()")
    page.evaluate(FIRST_PAINT)
    run(page, cell)
    page.wait_for_function("performance.getEntriesByName('first paint').length", timeout=60_000)
    return float(page.evaluate("performance.getEntriesByName('first paint')[0].duration"))


@pytest.mark.parametrize("page", ["blur"], indirect=True)
def test_the_first_paint_of_a_blur_and_its_roofline(page: Any) -> None:
    run(page, 0)
    page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt", has_text=re.compile(r"\[\d+\]")).first.wait_for(
        timeout=120_000
    )
    plain, ours = first_paint(page, 1), first_paint(page, 2)
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / "first_paint.txt").write_text(f"{ours:.0f} ms, and {plain:.0f} ms of a cell that shows a word\n")
    assert ours < max(MOST, 4 * plain)
    page.click(".halo-explore .ask")
    page.wait_for_selector(".halo-explore .halo-roofline", timeout=120_000)
    page.wait_for_function("!document.querySelector('.halo-explore').textContent.includes('asking')", timeout=120_000)
    page.locator(".halo-explore .halo-roofline").scroll_into_view_if_needed()
    picture(page, "5_roofline")
    assert page.locator(".halo-explore .halo-roofline .stage").count() == 2


@pytest.mark.parametrize("page", ["explore"], indirect=True)
def test_two_steps_one_refused_undo_and_copy(page: Any) -> None:
    run(page, 0)
    page.wait_for_selector(".halo-explore .step", timeout=120_000)

    def states() -> int:
        return page.locator(".halo-explore .state").count()

    def click_step(code: str) -> None:
        page.locator(".halo-explore .step", has=page.get_by_text(code, exact=True)).first.click(timeout=120_000)

    picture(page, "1_opened")
    click_step('local_laplacian.reorder("x", "y_p")')
    page.wait_for_function("document.querySelectorAll('.halo-explore .state').length === 2", timeout=120_000)
    page.locator(".halo-explore select.stage").select_option("output_1")
    click_step('output_1.compute_at(output_0, "y")')
    page.wait_for_function("document.querySelectorAll('.halo-explore .state').length === 3", timeout=120_000)
    picture(page, "2_two_steps")

    page.locator(".halo-explore select.stage").select_option("grey_1")
    page.wait_for_selector(".halo-explore .step.refused", timeout=240_000)
    page.wait_for_function(
        "!document.querySelector('.halo-explore .steps').textContent.includes('asking')", timeout=240_000
    )
    refused = page.locator(".halo-explore .step.refused").first
    reason = refused.locator(".reason").inner_text()
    refused.click()
    page.wait_for_selector(".halo-explore .error:not([hidden])", timeout=120_000)
    assert reason.split("\n")[0] in page.locator(".halo-explore .error").inner_text()
    assert states() == 3
    picture(page, "3_refused")

    page.click(".halo-explore .undo")
    page.wait_for_function(
        "document.querySelectorAll('.halo-explore .state')[1].className.includes('now')", timeout=120_000
    )
    code = page.locator(".halo-explore pre.code").inner_text()
    assert 'reorder("x", "y_p")' in code
    page.click(".halo-explore .ask")
    page.wait_for_selector(".halo-explore .numbers table", timeout=120_000)
    picture(page, "4_undone_and_measured")

    from examples import local_laplacian

    f = local_laplacian.local_laplacian
    stages = f.program().stages()
    f.unschedule()
    exec(code, {"halo": halo, **stages})
    assert re.sub(r"\s", "", str(f.schedule())) == re.sub(r"\s", "", code)
    ours = [line for line in page.said if "halo" in line.lower()]
    assert not ours, ours
    assert not page.asked
