"""Traces in motion: what the panels show is what the events say."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import halo

from .stages import IMG, blur


def traced() -> halo.func.trace.Trace:
    f = blur()
    f["rows"].store_root().compute_at(f, "y").fold_storage("y", 4)
    f.serial("y")
    return f.trace(img=IMG[:8, :7], shape=(6, 5))


def test_a_folded_buffer_keeps_what_fits() -> None:
    view = traced().show(of=["rows"])
    most = 0
    for (s,) in view.states():
        most = max(most, len(s.live))
    assert most == 4 * 5
    assert [m for m in dict.fromkeys(s.memory for (s,) in view.states())] == ["", "memory [4, 5]"]
    assert next(view.states())[0].live == set()


def test_every_event_is_in_its_frame() -> None:
    t = traced()
    view = t.show()
    assert [p.name for p in view.panels] == list(t.arrays)
    for k, panel in enumerate(view.panels):
        for kind, what in (("store", "stored"), ("load", "loaded")):
            lit = {(view.ends[n + 1], cell) for n, frame in enumerate(view.frames) if k in frame
                   for cell in getattr(frame[k], what)}  # fmt: skip
            e = t.of(panel.name, kind)
            want = {(view.ends[int(np.searchsorted(view.ends, step, side="right"))], int(cell))
                    for step, cell in zip(e.step, panel.numbers(e.at), strict=True)}  # fmt: skip
            assert lit == want


def test_text() -> None:
    x = halo.Var("x")
    f, g = halo.Func("f"), halo.Func("g")
    g[x] = x
    f[x] = g[x] + g[x + 1]
    g.compute_root()
    f.serial("x")
    view = f.trace(shape=3).show()
    assert view.text(2) == "g memory [4]\noS..\n\nf\n..."
    assert view.text() == "g\n....\n\nf\nooo"
    assert view.text(0) == "g\n....\n\nf\n..."
    assert repr(view).splitlines()[0].split() == ["steps", "g", "f"]
    assert "1 stored" in repr(view)
    with pytest.raises(halo.ArgumentError, match="no step 99"):
        view.text(99)


def test_inputs_are_there_from_the_start() -> None:
    view = traced().show(of=["img"])
    assert next(view.states())[0].live == set(view.panels[0].shown)


@pytest.mark.parametrize("rank", range(9))
def test_any_rank(rank: int, tmp_path: Path) -> None:
    names = [f"v{k}" for k in range(rank)]
    vs = halo.vars(" ".join(names)) if rank > 1 else [halo.Var(n) for n in names]
    f = halo.Func("f")
    f[tuple(vs)] = 1
    shape = (2, 3, 1, 2, 3, 1, 2, 4)[:rank]
    view = f.trace(shape=shape).show()
    (panel,) = view.panels
    assert panel.extents == shape
    points = np.argwhere(np.ones(shape)) if rank else np.zeros((1, 0), int)
    numbers = panel.numbers(points)
    assert set(numbers[numbers >= 0].tolist()) == set(panel.shown)
    assert len(view._repr_html_()) < 300_000
    view.save(tmp_path / "f.gif")
    assert (tmp_path / "f.gif").read_bytes()[:3] == b"GIF"


def test_one_plane_can_be_chosen() -> None:
    c, y, x = halo.vars("c y x")
    f = halo.Func("f")
    f[c, y, x] = c + y + x
    t = f.trace(shape=(5, 2, 3))
    assert len(t.show().panels[0].planes) == 5
    assert t.show(planes={"f": (3,)}).panels[0].planes == (3,)
    for wrong in ((5,), (0, 0), ()):
        with pytest.raises(halo.ArgumentError, match="has no plane"):
            t.show(planes={"f": wrong})
    with pytest.raises(halo.ArgumentError, match="nothing happens to 'g'"):
        t.show(of=["g"])


def test_what_is_long_is_sampled_and_stays_light() -> None:
    f = blur()
    f["rows"].compute_root()
    view = f.trace(img=np.zeros((130, 202), np.uint16), shape=(128, 200)).show()
    page = view._repr_html_()
    assert len(page) < 300_000
    assert len(view.frames) <= 400
    assert view.ends[-1] == view.steps
    assert "a cell is" in page
    assert not re.search(r"http|url\(|@import|src=", page)
    data = re.search(r"trace\(root, (\{.*\})\);\}\)\(document", page, re.S)
    assert data is not None
    assert len(json.loads(data[1])["frames"]) == len(view.frames)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image", reason="extra: image")
    view = traced().show()
    view.save(tmp_path / "a.gif")
    with image.open(tmp_path / "a.gif") as gif:
        assert 2 < gif.n_frames <= len(view.frames) + 1  # equal ones are one, longer
    view.save(tmp_path / "a.html")
    assert "<canvas" in (tmp_path / "a.html").read_text()
    with pytest.raises(halo.ArgumentError, match=r"not written as '\.mp4'"):
        view.save(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        view.save(tmp_path / "b.gif")


def test_a_call_of_nothing() -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = x
    view = f.trace(shape=0).show()
    assert view._repr_html_()
    assert repr(view)
