from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo.ir.node import interning
from halo.ir.pipeline import Pipeline

from .helpers import HIST, Interpreter, define, loops_of, refusals, scheduled

SUM = """
x = Var("x")
img = Input("img", i32, ndim=3)
f = Func("f")
r = rdom(5, (-1, 7), names="a b")
f[x] = 7
f[x] += img[x, r.a, r.b]
"""
MIXED = """
x = Var("x")
img = Input("img", u8, ndim=3)
f = Func("f")
r = rdom((1, 4), 6, names="a b")
f[x] = ({start})
{where}
v = i32(img[x, r.a, r.b])
f[x] = ({value})
"""
KINDS = {
    "sum": MIXED.format(start="i32(3)", where="", value="f[x] + v"),
    "product": MIXED.format(start="i32(3)", where="", value="f[x] * (v + 3)"),
    "minimum": MIXED.format(start="i32(30)", where="", value="min(v, f[x])"),
    "where": MIXED.format(start="i32(3)", where="r.where(img[0, r.a, r.b] > 3)", value="f[x] - v * v"),
    "saturating": MIXED.format(start="u8(3)", where="", value="sat_add(f[x], img[x, r.a, r.b])"),
    "argmin": MIXED.format(start="i32(99), i32(-1), i32(-1)", where="",
                           value="min(v, f[x][0]), select(v < f[x][0], r.a, f[x][1]), select(v < f[x][0], r.b, f[x][2])"),
    "complex": MIXED.format(start="i32(1), i32(2)", where="",
                            value="f[x][0] * v - f[x][1] * r.a, f[x][0] * r.a + f[x][1] * v"),
    "two": MIXED.format(start="i32(1), i32(2)", where="", value="f[x][0] + v, max(f[x][1], v * r.b)"),
    "histogram": 'x, y = Var("x"), Var("y")\nimg = Input("img", u8, ndim=3)\nf = Func("f")\nf[x] = 0\n'
                 'r = rdom((1, 4), 6, names="a b")\nf[img[0, r.a, r.b]] += r.a\n',
}  # fmt: skip
COMMUTATIVE = [k for k in KINDS if k != "argmin"]


def image(*site: int) -> int:
    """Few values, so that some are equal."""
    x, a, b = site
    return (7 * a + 3 * b * b + 5 * x + a * b) % 6


def results(p: Pipeline, boxes: dict[str, Any]) -> dict[tuple[int, ...], list[Any]]:
    values = Interpreter(p, {"img": image}, {"x": (0, 6), **boxes}).run()
    return {k: v for k, v in values["f"].items() if 0 <= k[-1] < 6}


def same(setup: str, code: str, boxes: dict[str, Any]) -> Pipeline:
    """The scheduled pipeline, which gives what the unscheduled one gives."""
    with interning():
        plain, p = scheduled(define(setup), "f"), scheduled(define(setup, code), "f")
        assert results(p, boxes) == results(plain, boxes)
        return p


U = {"u": (-1, 12), "v": (-1, 12)}


@pytest.mark.parametrize("kind", KINDS)
def test_factoring_the_outer_loop(kind: str) -> None:
    p = same(KINDS[kind], 'intm = f.update(0).rfactor({"a": "u"})', U)
    assert [v.name for v in p["f_intm"].vars] == ["u", "x"]
    assert [r.var.name for r in p["f_intm"].definitions[1].rvars] == ["b"]
    assert [r.var.name for r in p["f"].definitions[1].rvars] == ["a"]
    assert [f.name for f in p.functions] == ["f_intm", "f"]


@pytest.mark.parametrize("kind", COMMUTATIVE)
def test_factoring_the_inner_loop(kind: str) -> None:
    same(KINDS[kind], 'intm = f.update(0).rfactor("b", "u")', U)


@pytest.mark.parametrize("kind", KINDS)
def test_factoring_all_loops(kind: str) -> None:
    p = same(KINDS[kind], 'intm = f.update(0).rfactor({"b": "u", "a": "v"})', U)
    assert [v.name for v in p["f_intm"].vars] == ["u", "v", "x"]
    assert p["f_intm"].definitions[1].rvars == ()


@pytest.mark.parametrize("kind", COMMUTATIVE)
def test_factoring_parts_of_loops(kind: str) -> None:
    code = """
f.update(0).split("b", "bo", "bi", 4).split("a", "ao", "ai", 3, tail="predicate").reorder("ai", "bi", "bo", "ao")
intm = f.update(0).rfactor({"bi": "u", "ai": "v"})
intm.compute_root().update(0).parallel("v").reorder("bo", "u")
"""
    p = same(KINDS[kind], code, U)
    assert loops_of(p, "f_intm", 1).endswith("v:parallel bo u ao")


@pytest.mark.parametrize("kind", KINDS)
def test_factoring_a_fused_and_split_loop(kind: str) -> None:
    code = 'f.update(0).fuse("a", "b", "t").split("t", "to", "ti", 5).rename("to", "k").rfactor({"k": "u"})'
    p = same(KINDS[kind], code, U)
    assert len(p["f_intm"].definitions[1].rvars) == 1


@pytest.mark.parametrize("kind", COMMUTATIVE)
def test_factoring_twice(kind: str) -> None:
    code = """
g = f.update(0).split("b", "bo", "bi", 4).rfactor({"bi": "u"})
h = g.update(0).rfactor({"a": "v"})
"""
    p = same(KINDS[kind], code, U)
    assert [f.name for f in p.functions] == ["f_intm_intm", "f_intm", "f"]


@settings(max_examples=30)
@given(st.sampled_from(COMMUTATIVE), st.integers(1, 5), st.integers(1, 4), st.permutations(["ao", "ai", "bo", "bi"]),
       st.sets(st.sampled_from(["ao", "ai", "bo", "bi"]), min_size=1, max_size=2))  # fmt: skip
def test_any_parts_in_any_order(kind: str, fa: int, fb: int, order: list[str], chosen: set[str]) -> None:
    names = {n: f"u{n}" for n in sorted(chosen)}
    code = (
        f'f.update(0).split("a", "ao", "ai", {fa}).split("b", "bo", "bi", {fb}).reorder(*{order!r}).rfactor({names!r})'
    )
    same(KINDS[kind], code, {n: (0, 6) for n in names.values()})


def test_the_intermediate_inherits_the_schedule() -> None:
    code = """
f.compute_root().update(0).split("x", "xo", "xi", 4).split("a", "ao", "ai", 2).parallel("xo").unroll("xi").reorder("ao", "xi", "ai")
intm = f.update(0).rfactor({"ao": "u"})
intm.compute_root().vectorize("x", 4).update(0).vectorize("u", 2)
"""
    p = same(SUM, code, {"u": (0, 3)})
    assert loops_of(p, "f_intm", 1) == "xo:parallel u u_v:vectorize xi:unroll ai b"
    assert loops_of(p, "f_intm", 0) == "u x x_v:vectorize"
    assert loops_of(p, "f", 1) == "xo:parallel ao xi:unroll"


def test_a_piece_starts_with_the_identity_and_the_merge_is_the_operator() -> None:
    with interning():
        p = scheduled(define(KINDS["argmin"], 'f.update(0).rfactor({"a": "u"})'), "f")
        assert [c.value for c in p["f_intm"].definitions[0].values] == [2**31 - 1, 0, 0]
        merge = p["f"].definitions[1]
        assert merge.pred is None
        assert merge.indices == p["f"].vars


def test_a_constant_site_is_merged_at_that_site_alone() -> None:
    setup = SUM.replace("f[x] += img[x, r.a, r.b]", "f[3] += img[0, r.a, r.b]")
    p = same(setup, 'f.update(0).rfactor({"a": "u"})', {"u": (0, 6)})
    assert [e.value for e in p["f"].definitions[1].indices] == [3]


def test_a_name_in_use_gets_a_number() -> None:
    setup = SUM + 'f_intm = Func("f_intm")\nf_intm[x] = f[x]\n'
    with interning():
        p = scheduled(define(setup, 'f.compute_root()\nf.update(0).rfactor({"a": "u"})'), "f_intm")
        assert [f.name for f in p.functions] == ["f_intm_1", "f", "f_intm"]


def test_atomic_allows_parallel_and_vectorised_reductions() -> None:
    code = 'hist.update(0).vectorize("rx", 8).parallel("ry").atomic()'
    with interning():
        p = scheduled(define(HIST, code), "hist")
        assert p["hist"].definitions[1].atomic
        assert loops_of(p, "hist", 1) == "ry:parallel rx rx_v:vectorize"
        q = scheduled(define(KINDS["complex"], 'f.update(0).atomic().parallel("a")'), "f")
        assert q["f"].definitions[1].atomic


REFUSED = {
    "of the pure stage": 'f.rfactor({"a": "u"})',
    "an unknown loop": 'f.update(0).rfactor({"c": "u"})',
    "a pure loop": 'f.update(0).rfactor({"x": "u"})',
    "a loop that is no more": 'f.update(0).split("a", "ao", "ai", 2).rfactor({"a": "u"})',
    "a new variable that is there": 'f.update(0).rfactor({"a": "x"})',
    "two new variables of one name": 'f.update(0).rfactor({"a": "u", "b": "u"})',
    "no loops": "f.update(0).rfactor({})",
    "no mapping": 'f.update(0).rfactor("a")',
    "fused with a pure loop": 'f.update(0).fuse("x", "a", "t").rfactor({"t": "u"})',
    "after specialize": 'f.update(0).specialize(img.shape[0] > 8)\nf.update(0).rfactor({"a": "u"})',
    "in a specialisation": 'f.update(0).specialize(img.shape[0] > 8).rfactor({"a": "u"})',
    "an atomic pure stage": "f.atomic()",
}
REFUSED_ARGMIN = {
    "an inner loop where order matters": 'f.update(0).rfactor({"b": "u"})',
    "atomic where order matters": "f.update(0).atomic()",
    "parallel where order matters": 'f.update(0).parallel("a")',
}
REFUSED_DIVISION = {
    "an operator that is not associative": 'f.update(0).rfactor({"a": "u"})',
    "atomic of an operator that is not associative": "f.update(0).atomic()",
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    texts = [refusals(SUM, REFUSED, "f"), refusals(KINDS["argmin"], REFUSED_ARGMIN, "f")]
    texts.append(refusals(SUM.replace("+= img[x, r.a, r.b]", "= f[x] // 2 + img[x, r.a, r.b]"), REFUSED_DIVISION, "f"))
    golden("errors/ScheduleError_reductions", "\n\n\n".join(texts))
