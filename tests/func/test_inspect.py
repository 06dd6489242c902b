"""Inspectors and reprs."""

from __future__ import annotations

import pytest

import halo
from halo.errors import ArgumentError, TypeMismatchError

from .stages import IMG, image, scaled, stage, x, y


def test_inspectors_take_what_compile_takes() -> None:
    f = stage("f", image()[y, x] + 1)
    assert "] = img[" in f.inspect_source(img=halo.u8)
    assert "define" in f.inspect_llvm(img="float32")
    assert f.inspect_asm(img=IMG)
    with pytest.raises(ArgumentError, match="array img is missing"):
        f.inspect_source()
    f(img=IMG)
    assert f.inspect_source() == f.inspect_source(img=halo.i32)
    with pytest.raises(ArgumentError, match="Python source"):
        f.inspect_source(target="host")
    with pytest.raises(ArgumentError, match="2 axes"):
        f.inspect_llvm(img=halo.u8[:])


def test_loops_need_no_types_of_integer_definitions_either() -> None:
    assert "f[...]" in stage("f", image()[y, x] & 3).loops()
    table = halo.Input("table", ndim=1)
    assert "f[...]" in stage("f", table[image()[y, x]]).loops()
    with pytest.raises(TypeMismatchError):
        stage("f", halo.reinterpret(halo.u64, image()[y, x])).loops()


def test_inspect_inputs() -> None:
    f = stage("f", image()[y, x - 1] + image()[y, x + 2])
    regions = f.inspect_inputs(img=halo.u8)
    assert str(regions) == "img[f.min[0]..f.shape[0] + f.min[0] - 1, f.min[1] - 1..f.shape[1] + f.min[1] + 1]"
    assert list(regions) == ["img"]
    assert len(regions["img"]) == len(regions) + 1


def test_repr() -> None:
    f = stage("f", image()[y, x] * 2)
    f[y, 0] += 3
    f.vectorize("x", 8)
    f.update(0).parallel("y")
    assert repr(f).split("\n") == [
        "f[y, x] = img[y, x]*2", "f[y, 0] += 3", 'f.vectorize("x", 8)', 'f.update(0).parallel("y")',
    ]  # fmt: skip
    assert "img[y, x]*2" in f._repr_html_()
    assert repr(halo.Func("g")) == "<halo.Func g, not defined>"
    assert "any rank" in repr(scaled)
    assert repr(f.update(0)) == "<halo.Stage f.update(0)>"


def test_lower_shows_every_pass() -> None:
    f = stage("f", halo.pad(image(), "edge")[y, x - 1] + 1).serial("y")
    low = f.lower(img=halo.u8)
    names = list(low.timings)
    assert names[:2] == ["inline", "guard_reads"] and "partition" in names
    assert "+    for x in" in low.diff("partition")
    assert low.diff("requirements") == ""
    assert low.diff("build_nest").startswith("--- before build_nest\n+++ after build_nest")
    assert all(seconds >= 0 for seconds in low.timings.values())
    assert repr(low).splitlines()[0].startswith("inline ")
    with pytest.raises(ArgumentError, match="no pass that leaves a nest is called 'simplify'"):
        low.after("simplify")


def test_dump_argument_list() -> None:
    @halo.func
    def f(y, x, *, img: halo.u16[:, ::1], table, k: halo.f32 = 1.5):
        return (img[y, x] * k, table[y])

    assert f.dump_argument_list().splitlines() == [
        "img: u16[:, ::1]", "table: ?[:]", "k: f32 = 1.5", "-> f.0[:, :]", "-> f.1[:, :]"
    ]  # fmt: skip
