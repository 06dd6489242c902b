"""Trying schedules: what is suggested, applied, refused, undone; the same through the widget's messages."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

import halo
from halo.show.assets import asset

from . import stages
from .stages import IMG, SHAPE


@pytest.fixture
def blur() -> halo.Func:
    return stages.blur()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halo.show.explore.SECONDS", 0.001)


def codes(e: halo.show.Explorer, legal: bool = True) -> list[str]:
    return [s.code for s in e.steps if s.legal is legal]


def test_every_legal_step_is_legal_and_keeps_the_result(blur: halo.Func) -> None:
    want = blur(img=IMG, shape=SHAPE)
    e = blur.explore(img=IMG, shape=SHAPE)
    e.apply("rows.compute_root()")
    assert len(codes(e)) > 15
    for code in codes(e):
        e.apply(code)
        np.testing.assert_array_equal(blur(img=IMG, shape=SHAPE), want)
        e.undo()


def test_every_refused_step_has_its_reason(blur: halo.Func) -> None:
    e = blur.explore(img=IMG, shape=SHAPE)
    refused = [s for s in e.steps if not s.legal]
    assert refused
    for s in refused:
        assert s.reason
        with pytest.raises(halo.HaloError) as error:
            e.apply(s)
        assert s.reason in str(error.value)
    assert len(e.states) == 1


def test_what_is_asked_of_the_nest_changes_nothing(blur: halo.Func) -> None:
    e = blur.explore(img=IMG, shape=SHAPE)
    before = blur.schedule()
    assert e.check(3)
    assert not e.check()
    assert blur.schedule() == before


def test_states_are_a_tree(blur: halo.Func) -> None:
    e = blur.explore(img=IMG, shape=SHAPE)
    first = e.apply('out.vectorize("x", 16)')
    second = e.apply('out.parallel("y")')
    assert e.undo() is first
    other = e.apply('out.parallel("y", 8)')
    assert (second.parent, other.parent) == (first.number, first.number)
    assert [(s.number, depth) for s, depth in e.tree()] == [(0, 0), (1, 1), (2, 2), (3, 2)]
    assert e.goto(2) is second
    assert str(blur.schedule()) == e.code == 'out.vectorize("x", 16).parallel("y")'
    assert [line[:2] for line in e.history().splitlines()] == ["  ", "  ", "->", "  "]
    e.goto(0)
    with pytest.raises(halo.ArgumentError, match="nothing to undo"):
        e.undo()
    with pytest.raises(halo.ArgumentError, match="no state 9"):
        e.goto(9)


def test_the_code_gives_the_same_schedule(blur: halo.Func) -> None:
    e = blur.explore(img=IMG, shape=SHAPE)
    for line in ('out.tile("y", "x", "yo", "xo", "yi", "xi", 32, 64)', 'out.vectorize("xi", 16)',
                 'rows.compute_at(out, "xo")', 'rows.vectorize("x", 16)'):  # fmt: skip
        e.apply(line)
    kept = blur.schedule()
    blur.unschedule()
    exec(str(kept), {"out": blur, "rows": blur["rows"]})
    assert blur.schedule() == kept
    assert pickle.loads(pickle.dumps(kept)) == kept


def test_steps_lead_to_the_hand_schedule(blur: halo.Func) -> None:
    """Each line of the usual schedule of a blur is among what is offered at its time."""
    e = blur.explore(img=IMG, shape=SHAPE)
    for line in ('out.tile("y", "x", "yo", "xo", "yi", "xi", 32, 256)', 'out.vectorize("xi", 32)', 'out.parallel("yo")',
                 'rows.compute_at(out, "xo")', 'rows.vectorize("x", 32)'):  # fmt: skip
        assert line in codes(e), line
        e.apply(line)


def test_one_stage_at_a_time(blur: halo.Func) -> None:
    e = blur.explore(img=IMG, shape=SHAPE)
    e.look_at("rows")
    assert e.stages == ("out", "rows")
    assert {c.partition(".")[0] for c in codes(e)} == {"rows"}
    e.look_at()
    assert {c.partition(".")[0] for c in codes(e)} == {"out", "rows"}
    with pytest.raises(halo.ArgumentError, match="no stage 'nosuch'"):
        e.look_at("nosuch")


def test_updates_and_reductions_have_steps() -> None:
    f, m = stages.product(16), np.ones((16, 16), np.float32)
    e = f.explore(a=m, b=m, shape=(16, 16))
    assert 'f.update(0).vectorize("j", 16)' in codes(e)
    e.apply('f.update(0).reorder("i", "k", "j")')
    assert 'f.update(0).reorder("k", "i")' in codes(e)


def test_a_report_is_numbers(blur: halo.Func) -> None:
    blur.vectorize("x", 16)
    blur["rows"].compute_at(blur, "y")
    r = blur.report(img=IMG, shape=SHAPE)
    rows = r["rows"]
    assert rows.redundancy == pytest.approx(3 * 64 / 66)
    assert (rows.loads, r["out"].loads, r["out"].redundancy) == (3, 3, 1)
    assert rows.times == 64
    assert {s["name"] for s in r.to_dict()["stages"]} >= {"rows", "out"}
    assert repr(r).splitlines()[0].split()[:6] == ["stage", "ms", "%", "times", "redundancy", "loads"]
    frame = pytest.importorskip("pandas", reason="no extra has it") and r.to_frame()
    assert frame.loc["rows", "redundancy"] == rows.redundancy


def test_text_and_snapshot_say_it_all(blur: halo.Func) -> None:
    e = blur.explore(img=IMG, shape=SHAPE)
    e.apply('out.vectorize("x", 16)')
    assert "next:" in repr(e)
    assert "refused:" in repr(e)
    still = e._repr_html_()
    assert "halo-vectorize" in still
    assert "as it was" in still
    bundle = e._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/html"] == still


def test_the_widget_does_what_the_page_asks(blur: halo.Func) -> None:
    pytest.importorskip("anywidget", reason="extra: notebook")
    from halo.show.widget import ExplorerWidget

    w = ExplorerWidget(blur.explore(img=IMG, shape=SHAPE))
    assert w.view["waiting"]
    assert "halo-nest" in w.view["nest"]
    while w.view["waiting"]:
        w.receive({"do": "more"})
    assert any(s["reason"] for s in w.view["steps"])
    w.receive({"do": "apply", "code": 'out.vectorize("x", 16)'})
    assert [s["now"] for s in w.view["states"]] == [False, True]
    assert w.view["code"] == 'out.vectorize("x", 16)'
    w.receive({"do": "apply", "code": "rows.store_root()"})
    assert "where values are kept" in w.view["error"]
    drawn = w.view
    w.receive({"do": "apply", "code": "rows.store_root()"})
    assert w.view != drawn  # the page hears of it again
    w.receive({"do": "more"})
    assert "where values are kept" in w.view["error"]  # until something else is done
    for nonsense in ("out.nosuch()", "1 +", "nobody.vectorize('x')", "out.vectorize()"):
        w.receive({"do": "apply", "code": nonsense})
        assert w.view["error"]
    assert len(w.view["states"]) == 2
    w.receive({"do": "look", "stage": "rows"})
    assert {s["code"].partition(".")[0] for s in w.view["steps"]} == {"rows"}
    w.receive({"do": "look", "stage": "nosuch"})
    assert (w.view["stage"], "no stage" in w.view["error"]) == ("rows", True)
    w.receive({"do": "undo"})
    assert w.view["error"] == ""
    w.receive({"do": "goto", "number": 1})
    w.receive({"do": "report"})
    assert w.view["report"][0][0] == "stage"
    assert w.view["roofline"].startswith("<svg")
    assert "before" not in w.view["roofline"]
    w.receive({"do": "more"})
    assert w.view["report"]  # of the same state still
    w.receive({"do": "apply", "code": 'out.parallel("y")'})
    assert "report" not in w.view
    w.receive({"do": "report"})
    assert 'class="before"' in w.view["roofline"]
    assert "halo-order" in w.view["order"]


def test_the_page_asks_nothing_that_anywidget_does_not_have() -> None:
    """So that it is the same in JupyterLab, Notebook 7, VS Code and marimo."""
    page = asset("explore.js")
    assert set(re.findall(r"\bmodel\.(\w+)", page)) <= {"get", "set", "save_changes", "send", "on", "off"}
    assert re.findall(r"^export .*", page, re.M) == ["export default { render };"]
    assert not re.search(r"\bimport\b|\brequire\(|fetch\(|https?:|\bJupyter\b", page)


def test_a_saved_notebook_keeps_a_snapshot() -> None:
    nbformat, nbclient = (
        pytest.importorskip("nbformat", reason="extra: notebook"),
        pytest.importorskip("nbclient", reason="extra: notebook"),
    )
    pytest.importorskip("anywidget", reason="extra: notebook")
    cell = """import numpy as np, halo
y, x = halo.vars("y x")
f = halo.Func("f")
f[y, x] = y + x
f.explore(shape=(64, 64))"""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    book = nbformat.reads(nbformat.writes(book), as_version=4)
    (shown,) = (o.data for o in book.cells[0].outputs if "data" in o)
    assert 'class="halo-nest"' in shown["text/html"]
    assert "as it was" in shown["text/plain"]
    model = shown["application/vnd.jupyter.widget-view+json"]["model_id"]
    state = book.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"][model]["state"]
    assert "halo-nest" in state["view"]["nest"]  # where widgets are drawn from what was saved
    assert len(nbformat.writes(book)) < 300_000
