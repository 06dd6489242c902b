"""Debian's Chromium, or the one that `CHROMIUM` names, driven by Playwright, with nobody to ask but this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PICTURES = Path(__file__).parent.parent.parent / "out" / "browser"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("there is no Chromium")
    return found


@contextmanager
def opened(scheme: str = "light") -> Iterator[Any]:
    """A page, in a light or a dark theme: `said` are the errors of its console, `asked` is whom else it asked."""
    api = pytest.importorskip("playwright.sync_api", reason="extra: browser")
    with api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 1100}, color_scheme=scheme)
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))

        def refuse(route: Any) -> None:
            page.asked.append(route.request.url)
            route.abort()

        page.route(lambda url: url.startswith("http") and "//127.0.0.1:" not in url, refuse)
        yield page
        browser.close()


def picture(page: Any, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(PICTURES / f"{name}.png"))
