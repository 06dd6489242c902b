"""Work, bytes and the roof: what is counted without running is what NumPy's definition of the pipeline says."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo.func import iterations
from halo.show.peaks import KINDS, Machine, machine
from halo.show.report import Report, StageReport
from halo.show.roofline import roofline

from .stages import IMG, SHAPE, blur, product


def test_bytes_and_flops_of_a_blur() -> None:
    f = blur()
    f["rows"].compute_root()
    r = f.report(img=IMG, shape=SHAPE)
    rows, out = r["rows"], r["out"]
    assert (rows.flops, out.flops, rows.loads, out.loads) == (3, 3, 3, 3)
    assert rows.outside == IMG.nbytes
    assert rows.between == out.between == 66 * 128 * 2
    assert out.outside == 64 * 128 * 2
    assert rows.footprint == 66 * 128 * 2
    assert out.footprint == 64 * 128 * 2
    assert out.intensity == pytest.approx(3 * 64 * 128 / (out.outside + out.between))
    assert r.whole.outside == IMG.nbytes + 64 * 128 * 2
    assert r.whole.flops == pytest.approx((3 * 66 + 3 * 64) / 64)


def test_what_is_inline_is_work_of_its_reader() -> None:
    f = blur()
    f["rows"].compute_inline()
    r = f.report(img=IMG, shape=SHAPE)
    assert [s.name for s in r if s.flops] == ["out"]
    assert (r["out"].flops, r["out"].outside) == (12, IMG.nbytes + 64 * 128 * 2)


@given(
    tile=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    tail=st.sampled_from(["guard", "shift_inwards", "round_up"]),
    where=st.sampled_from(["yo", "xo", "yi"]),
)
@settings(max_examples=10, deadline=None)
def test_counts_are_those_of_a_trace(tile: tuple[int, int], tail: str, where: str) -> None:
    """Whatever the tiles and the tails: points are exactly those that the nest stores when it runs."""
    f = blur()
    try:
        f.tile("y", "x", "yo", "xo", "yi", "xi", *tile, tail=tail)
        f["rows"].compute_at(f, where)
        done = f.trace(img=IMG[:40, :50], shape=(38, 48))
    except halo.HaloError:
        return
    r = f.report(img=IMG[:40, :50], shape=(38, 48))
    for name in ("rows", "out"):
        stores = len(done.of(name))
        assert r[name].flops == 3
        assert r[name].flops_per_second * r.seconds * r[name].seconds / sum(s.seconds for s in r) == pytest.approx(
            3 * stores
        )


def test_a_product_of_matrices_counts_its_updates() -> None:
    f, m = product(96), np.ones((96, 96), np.float32)
    found = f.report(a=m, b=m, shape=(96, 96))
    assert found.whole.flops == 2 * 96
    assert found.whole.outside == 3 * m.nbytes
    assert found["f"].outside + found["f"].between >= 3 * m.nbytes


def test_what_cannot_be_counted_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterations, "MOST", 0)
    f = blur().split("x", "xo", "xi", 7, tail="guard")
    found = f.report(img=IMG, shape=SHAPE)
    assert math.isnan(found["out"].flops)
    assert found["out"].bound == ""
    assert "-" in repr(found)
    assert roofline(found) == ""


def test_ranks_tuples_and_scalars() -> None:
    f = halo.Func("f")
    f[()] = (1, 2.0)
    assert f.report(shape=()).whole.outside == 4 + 4
    x, k = halo.Var("x"), halo.Param("k", halo.f32)
    g = halo.Func("g")
    g[x] = halo.sqrt(halo.f32(x) * k) + 1.0
    assert g.report(shape=100, k=2.0)["g"].flops == 3


def test_pads_among_the_arguments() -> None:
    f = blur()
    img = halo.pad(np.zeros((20, 30), np.uint16), "edge")
    r = f.report(img=img, shape=(20, 30))
    assert r["out"].outside <= 2 * 20 * 30 * 2
    assert f.profile(img=img, shape=(20, 30), runs=1).runs == 1
    assert len(f.trace(img=img, shape=(2, 3)).of("out")) == 6


def test_the_best_of_some_measurements_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from halo.show import peaks as own

    first = machine()
    assert 0 < first.peak("f32")
    assert first.bytes_per_second[-1][0] == "memory"
    assert first.name in str(first)
    for _ in range(own.TURNS):  # as many processes
        own._kept.cache_clear()
        monkeypatch.setattr(own, "_MEASURES", dict.fromkeys(own._MEASURES, lambda size: 1.0))  # it is busy
        assert machine() == first
    monkeypatch.setattr(own, "_MEASURES", {})  # from the disk, then
    own._kept.cache_clear()
    assert machine() == first


HERE = Machine(
    "some processor", 2, (("f32", 100e9),), (("L1", 200e9), ("memory", 10e9)), (("L1", 1 << 15), ("L2", 1 << 20))
)


def test_each_type_has_a_roof() -> None:
    roofs = dict(machine(*KINDS).ops_per_second)
    assert tuple(roofs) == tuple(KINDS)
    assert all(speed > 0 for speed in roofs.values())
    with pytest.raises(halo.ArgumentError, match="no operations are of the kind 'f128'"):
        machine("f128")


def test_a_stage_is_held_against_the_roof_of_its_type() -> None:
    f, m = product(64), np.ones((64, 64), np.float32)
    found = f.report(a=m, b=m, shape=(64, 64))
    assert [kind for kind, _ in found.machine.ops_per_second] == ["f32"]
    assert found["f"].computes == "f32"
    assert [kind for kind, _ in blur().report(img=IMG, shape=SHAPE).machine.ops_per_second] == ["i16"]
    assert "i16" in roofline(blur().report(img=IMG, shape=SHAPE))


def test_which_cache_holds_it() -> None:
    assert [HERE.fits(n) for n in (100, 1 << 15, (1 << 15) + 1, 1 << 21)] == ["L1", "L1", "L2", "no cache"]
    assert HERE.bandwidth("L1") == 200e9
    assert HERE.bandwidth("no cache") == 10e9
    assert Machine("", 1, (("f32", 1.0),), (("memory", 1.0),), ()).fits(5) == ""


def _stage(name: str, intensity: float, speed: float, share: float) -> StageReport:
    return StageReport(
        name, 1e-3, 1, 0, 0, 1, 1, 0, "", 8, 0, 1, intensity, speed, share, "memory" if share else ""
    )  # fmt: skip


def test_the_picture_has_a_dot_a_stage_and_says_it_in_words() -> None:
    whole = _stage("(whole call)", 0.5, 2e9, 0.4)
    r = Report((_stage("a<b", 0.1, 1e9, 1.0), _stage("idle", 0.0, 0.0, 0.0)), 1e-3, whole, HERE)
    text = roofline(r)
    root = ET.fromstring(text)
    kinds = [e.get("class") for e in root.iter() if e.get("class") in ("stage", "whole")]
    assert kinds == ["stage", "whole"]
    assert "a<b: 0.1 flops a byte, 1 Gflop/s, 100% of the roof, bound by memory" in root.get("aria-label", "")
    before = Report((_stage("a<b", 0.1, 0.5e9, 0.5),), 2e-3, whole, HERE)
    assert roofline(r, before).count('class="before"') == 2
    page = r._repr_html_()
    assert len(page) < 30_000
    assert not re.search(r"http|url\(|@import|<script|src=", page)
    assert json.dumps(r.to_dict())
