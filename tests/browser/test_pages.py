"""Everything that a notebook or a file shows, in Chromium without a network, light and dark: nothing fails, nobody is
asked, and it is there at once. Pictures of what it saw are kept under out/browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halo
from halo import graph, nn
from tests.blurred import blur

from .chromium import opened, picture

pytestmark = pytest.mark.browser
MOST = 2.0  # seconds until the page of a hundred stages stands
LARGEST = 300_000  # bytes of what a notebook shows; an animation and the page of the compiler may take more
THEMES = {"light": "color:#222;background:#fff", "dark": "color:#ddd;background:#111"}


def measured() -> halo.Func:
    f = blur()
    f.profile(img=IMG, shape=(256, 512))
    return f


def hundred() -> halo.Func:
    y, x = halo.vars("y x")
    f: Any = halo.Input("img", halo.u16, ndim=2)
    for k in range(100):
        g = halo.Func(f"s{k}")
        g[y, x] = (f[y, x] + f[y, x + 1] + f[y + 1, x]) // 3
        f = g.compute_root().vectorize("x", 32).parallel("y", 16)
    return f


def network() -> graph.Module:
    x = graph.Var("x", nn.TensorType((1, 8, 16, 16), halo.f32))
    w = graph.Constant(np.ones((8, 8, 3, 3), np.float32), "w")
    body = nn.softmax(nn.flatten(nn.relu(nn.add(nn.conv2d(x, w, padding=1), x))))
    return graph.Module({"main": graph.Function((x,), body)}, ("y",)).run_passes()


IMG = np.random.default_rng(0).integers(0, 20000, (258, 514), np.uint16)
SHOWN: dict[str, Callable[[], Any]] = {
    "func": measured,
    "schedule": lambda: blur().schedule(),
    "kernel": lambda: blur().compile(),
    "expr": lambda: halo.Var("x") * 2 < 7,
    "module": network,
    "order": lambda: halo.show.order(blur(), (8, 16), of=["rows", "out"]),
    "trace": lambda: blur().trace(img=IMG[:20, :40], shape=(18, 38)),
    "profile": lambda: blur().profile(img=IMG, shape=(256, 512)),
    "report": lambda: blur().report(img=IMG, shape=(256, 512)),
    "snapshot": lambda: blur().explore(img=IMG, shape=(256, 512)),
    "lowering": lambda: halo.show.lowering(blur()),
}


@pytest.mark.parametrize("theme", THEMES)
def test_what_a_notebook_shows(theme: str, tmp_path: Path) -> None:
    with opened(theme) as page:
        for name, make in SHOWN.items():
            html = make()._repr_html_()
            assert name in ("lowering", "trace") or len(html.encode()) < LARGEST
            file = tmp_path / f"{name}.html"
            file.write_text(
                f'<!doctype html><meta charset=utf-8><body style="{THEMES[theme]}">{html}', encoding="utf-8"
            )
            page.goto(file.as_uri())
            page.wait_for_timeout(200)
            picture(page, f"shown_{name}_{theme}")
            assert page.evaluate("document.body.innerText.trim().length") or name == "lowering"
        assert not page.said
        assert not page.asked


@pytest.mark.parametrize("theme", THEMES)
def test_the_page_of_a_hundred_stages_stands_at_once(theme: str, tmp_path: Path) -> None:
    file = halo.show.lowering(hundred()).save(tmp_path / "hundred.html")
    assert file.stat().st_size < 1_000_000
    with opened(theme) as page:
        start = time.perf_counter()
        page.goto(file.as_uri())
        page.wait_for_function("document.body.innerText.includes('s99')", timeout=30_000)
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        seconds = time.perf_counter() - start
        picture(page, f"lowering_of_a_hundred_{theme}")
        assert seconds < MOST
        assert not page.said
        assert not page.asked
