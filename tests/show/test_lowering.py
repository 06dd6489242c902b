"""The page of the compiler at work."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

import halo
from halo.lowering import PASSES
from tests import blurred


@pytest.fixture(name="blur")
def _blur() -> halo.Func:
    return blurred.blur()


def data(page: str) -> dict:
    packed = re.search(r'<script id="data"[^>]*>([^<]*)</script>', page)
    assert packed is not None
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_the_steps_are_the_passes_that_leave_a_nest(blur: halo.Func) -> None:
    made = halo.show.lowering(blur)
    names = [p.name for p in PASSES]
    assert [s.name for s in made.steps] == names[names.index("build_nest") :]
    assert all(s.seconds >= 0 for s in made.steps)
    assert "\n".join(made.steps[-1].lines) == blur.lower().after(names[-1])


def test_changes_lead_from_one_nest_to_the_next(blur: halo.Func) -> None:
    made = halo.show.lowering(blur)
    before: list[str] = []
    for step in made.steps:
        rebuilt, at = [], 0
        for _, i1, i2, j1, j2 in step.changes:
            rebuilt += [*before[at:i1], *step.lines[j1:j2]]
            at = i2
        rebuilt += before[at:]
        assert tuple(rebuilt) == step.lines
        before = list(step.lines)


def test_loops_are_linked_by_their_numbers(blur: halo.Func) -> None:
    made = halo.show.lowering(blur)
    nest = made.steps[-1].lines
    assert all(nest[k].lstrip().startswith("for ") for k in made.loops)
    serial = {k for k, line in enumerate(made.loops) if "parallel" not in nest[line]}
    labelled = {int(n) for n in re.findall(r"^loop\.(\d+)\.\w+:", made.llvm, re.M)}
    assert labelled <= serial
    assert len(labelled) > 4
    assert set(map(int, re.findall(r"# %loop\.(\d+)\.", made.asm))) & labelled


def test_labels_do_not_change_the_code(blur: halo.Func) -> None:
    renamed = re.sub(r"\b(?:loop|after)\.\d+\.(b\d+)", r"\1", halo.show.lowering(blur).llvm)
    assert renamed == blur.inspect_llvm()


def test_the_page_holds_all_of_it_and_asks_nobody_else(blur: halo.Func, tmp_path: Path) -> None:
    made = halo.show.lowering(blur)
    page = made.save(tmp_path / "page.html").read_text(encoding="utf-8")
    packed = data(page)
    assert packed["llvm"] == made.llvm
    assert packed["asm"] == made.asm
    assert [s[0] for s in packed["steps"]] == [s.name for s in made.steps]
    assert "out.tile(" in page
    assert not re.search(r"""(src|href)=["']?(http|//)|url\(|@import|fetch\(""", page)
    assert made._repr_html_().startswith("<iframe")
    assert repr(made).splitlines()[0].startswith("build_nest")


@pytest.mark.slow
def test_a_hundred_stages_are_under_a_megabyte() -> None:
    y, x = halo.vars("y x")
    f: halo.Func | halo.Input = halo.Input("img", halo.u16, ndim=2)
    for k in range(100):
        g = halo.Func(f"s{k}")
        g[y, x] = (f[y, x] + f[y, x + 1] + f[y + 1, x]) // 3
        g.compute_root().vectorize("x", 32).parallel("y", 16)
        f = g
    assert len(halo.show.lowering(f).html()) < 1_000_000
