from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo.ir.node import interning
from halo.schedule.directive import Stage
from halo.schedule.loops import Dim, Facts, FuseOp, Loops, RenameOp, SplitOp
from halo.schedule.nesting import Fuse, Rename, Reorder, Split, Tile

from .helpers import HIST, define, loops_of, points, scheduled, unfolded

TAILS = ("guard", "predicate", "round_up", "shift_inwards")


def test_a_stage_starts_with_its_variables_then_its_reduction() -> None:
    loops = Loops.start(("y", "x"), ("r",))
    assert loops.names == ("y", "x", "r")
    assert [d.axis for d in loops.dims] == ["pure", "pure", "impure_r"]
    assert "y" in loops
    assert "z" not in loops
    with pytest.raises(KeyError):
        loops.dim("z")


def test_lineage_survives_reused_names() -> None:
    loops = Loops.start(("y", "x"))
    loops = Split("x", "x", "xi", 8).apply(loops)
    loops = Split("xi", "xa", "xb", 2).apply(loops)
    loops = Fuse("y", "x", "t").apply(loops)
    assert loops.names == ("t", "xa", "xb")
    assert loops.original == ("x", "y")
    assert loops.descendants("x") == ("t", "xa", "xb")
    assert loops.descendants("xi") == ("xa", "xb")
    assert loops.descendants("y") == ("t",)
    assert loops.roots("t") == {"y", "x"}
    assert loops.inner_parts() == {"xa", "xb"}


def test_constant_extents_are_followed_through_the_ops() -> None:
    loops = Loops.start(("x",), ("r",), Facts(update=True, extents=(("r", 30),)))
    loops = Rename("r", "s").apply(Split("x", "xo", "xi", 4).apply(loops))
    assert (loops.extent("xo"), loops.extent("xi"), loops.extent("s")) == (None, 4, 30)
    loops = Fuse("xi", "s", "t").apply(Split("s", "so", "s", 8).apply(loops))
    assert (loops.extent("so"), loops.extent("t")) == (4, 32)


def test_what_is_proven_of_reduction_variables() -> None:
    scope = define("""
x, y = Var("x"), Var("y")
img = Input("img", i32, ndim=2)
f = Func("f")
f[y, x] = 0
r = rdom(8, 9, names="ry rx")
f[r.ry, r.rx] += img[r.ry, r.rx]           # each site once
f[r.ry, x] += f[r.ry, r.rx] * 2            # reads other sites of its own row
f[y, r.rx] = f[y, r.rx - 1] + 1            # a scan
f[r.rx + 1, x] += 1                        # not a plain index
""")
    with interning():
        p = scheduled(scope, "f")
        axes = [{d.name: d.axis for d in d.loops.dims} for d in p["f"].definitions[1:]]
    pieces = [{n: a for n, a in found.items() if n in ("x", "y", "ry", "rx")} for found in axes]
    assert pieces[0] == {"ry": "pure_r", "rx": "pure_r"}
    assert pieces[1]["ry"] == "pure_r"
    assert pieces[1]["rx"] == "impure_r"
    assert pieces[2]["rx"] == "impure_r"
    assert pieces[3]["rx"] == "impure_r"


def test_a_condition_keeps_what_is_stored_from_what_is_read() -> None:
    scope = define("""
x, y = Var("x"), Var("y")
f = Func("f")
f[y, x] = y + x
r = rdom(8, 9, names="t j")
r.where(r.j > r.t)
f[y, r.j] += f[y, r.t]                     # behind the sites that are read
q = rdom(8, 9, names="t j")
q.where(q.j != q.t)
f[y, q.j] += f[y, q.t]
u = rdom(8, 9, names="t j")
u.where(u.j >= u.t)                        # one of them is stored to
f[y, u.j] += f[y, u.t]
v = rdom(9, 8, names="j t")
v.where(v.j > v.t)                         # the inner loop reads what others of the outer one store
f[y, v.j] += f[y, v.t]
""")
    with interning():
        p = scheduled(scope, "f")
        axes = [{d.name: d.axis for d in d.loops.dims if d.name in "tjy"} for d in p["f"].definitions[1:]]
    for found, of_j in zip(axes, ("apart_r", "apart_r", "impure_r", "impure_r"), strict=True):
        assert found == {"y": "pure", "t": "impure_r", "j": of_j}


def test_a_histogram_has_an_ordered_reduction() -> None:
    with interning():
        p = scheduled(define(HIST), "hist")
        assert loops_of(p, "hist", 1) == "ry rx"
        assert {d.axis for d in p["hist"].definitions[1].loops.dims} == {"impure_r"}


def test_loops_are_values() -> None:
    a = Loops((Dim("x"),), (SplitOp("y", "a", "b", 2, "guard"), FuseOp("a", "b", "c"), RenameOp("c", "x")))
    b = Loops((Dim("x"),), (SplitOp("y", "a", "b", 2, "guard"), FuseOp("a", "b", "c"), RenameOp("c", "x")))
    assert a == b
    assert hash(a) == hash(b)


# The same points, however they are visited ---------------------------------------------------------------------------


@st.composite
def transformed(draw: st.DrawFn, tails: tuple[str, ...]) -> Loops:
    stage = Stage("f", Loops.start(("z", "y", "x")))
    for k in range(draw(st.integers(0, 5))):
        names = stage.loops.names
        kind = draw(st.sampled_from(["split", "split", "fuse", "reorder", "rename", "tile"]))
        one = draw(st.sampled_from(names))
        others = [n for n in names if n != one]
        d: Any
        if kind == "split":
            reuse = draw(st.booleans())
            d = Split(one, one if reuse else f"o{k}", f"i{k}", draw(st.integers(1, 5)), draw(st.sampled_from(tails)))
        elif kind == "fuse" and others:
            d = Fuse(one, draw(st.sampled_from(others)), f"f{k}")
        elif kind == "tile" and others:
            two = draw(st.sampled_from(others))
            tail = draw(st.sampled_from(tails))
            factors = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
            d = Tile((one, two), (f"a{k}", f"b{k}"), (f"c{k}", f"d{k}"), factors, tail)
        elif kind == "rename":
            d = Rename(one, f"n{k}")
        else:
            d = Reorder(tuple(draw(st.permutations(names))[: draw(st.integers(1, len(names)))]))
        stage = d.run(stage)
    return stage.loops


RANGES = st.fixed_dictionaries({n: st.tuples(st.integers(-3, 3), st.integers(0, 6)) for n in ("z", "y", "x")})


def plain(ranges: dict[str, tuple[int, int]]) -> Counter[tuple[tuple[str, int], ...]]:
    return counted(Loops.start(("z", "y", "x")), ranges)


def counted(loops: Loops, ranges: dict[str, tuple[int, int]]) -> Counter[tuple[tuple[str, int], ...]]:
    return Counter(tuple(sorted(p.items())) for p in points(loops, ranges))


@given(transformed(("guard", "predicate")), RANGES)
def test_guarded_loops_visit_each_point_once(loops: Loops, ranges: dict[str, tuple[int, int]]) -> None:
    assert counted(loops, ranges) == plain(ranges)


@given(transformed(("guard", "shift_inwards")), RANGES)
def test_shifted_loops_visit_the_same_points(loops: Loops, ranges: dict[str, tuple[int, int]]) -> None:
    assert set(counted(loops, ranges)) == set(plain(ranges))


@given(transformed(TAILS), RANGES)
def test_rounded_loops_visit_all_points_and_others_only_outside(
    loops: Loops, ranges: dict[str, tuple[int, int]]
) -> None:
    visited, wanted = set(counted(loops, ranges)), set(plain(ranges))
    inside = {p for p in visited if all(lo <= v < lo + n for (name, v) in p for lo, n in (ranges[name],))}
    assert inside == wanted


@given(transformed(("guard",)), RANGES)
def test_constant_extents_are_right(loops: Loops, ranges: dict[str, tuple[int, int]]) -> None:
    facts = Facts(extents=tuple((n, extent) for n, (_, extent) in ranges.items()))
    known, (sizes, _) = replace(loops, facts=facts), unfolded(loops, ranges)
    assert {d.name: known.extent(d.name) for d in loops.dims} == {n: extent for n, (_, extent) in sizes.items()}
