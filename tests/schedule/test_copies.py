from __future__ import annotations

from collections.abc import Callable

from halo.ir.expr import Read
from halo.ir.node import interning
from halo.ir.pipeline import Pipeline
from halo.schedule.loops import walk

from .helpers import Interpreter, define, loops_of, refusals, scheduled

FAN = """
x = Var("x")
img = Input("img", i32, ndim=1)
f, g, h, out = Func("f"), Func("g"), Func("h"), Func("out")
f[x] = img[x] * 3
f[x] += x
g[x] = f[x - 1] + f[x + 1]
h[x] = f[x] * img[x + 2]
r = rdom(3, names="r")
h[x] += f[x - r.r]
out[x] = g[x] + h[x] * 2
"""
BOX = {"x": (-4, 20), "i0": (-6, 26), "u": (0, 4)}


def reads(p: Pipeline) -> dict[str, set[str]]:
    """Which Arrays each Function reads, by name."""
    found = {}
    for f in p.functions:
        nodes = walk([e for d in f.definitions for e in (*d.indices, *d.values, d.pred)])
        found[f.name] = {e.array.name for e in nodes if isinstance(e, Read)} - {f.name}
    return found


def same(code: str, *outputs: str) -> tuple[Pipeline, dict[str, set[str]]]:
    """The scheduled pipeline, which computes what the unscheduled one does, and what reads what in it."""
    with interning():
        values = []
        outputs = outputs or ("out",)
        everything = "f.compute_root()\ng.compute_root()\nh.compute_root()\n"
        for text in ("", code):
            p = scheduled(define(FAN, everything + text), *outputs)
            run = Interpreter(p, {"img": lambda x: x * x % 7}, BOX).run()
            values.append({s: v for s, v in run["out"].items() if 0 <= s[0] < 9})
        assert values[0] == values[1]
        return p, reads(p)


def names(p: Pipeline) -> list[str]:
    return [f.name for f in p.functions]


def test_a_copy_for_all_readers() -> None:
    p, by = same("copy = f.in_()")
    assert names(p) == ["f", "f_in", "g", "h", "out"]
    assert by["f_in"] == {"f"}
    assert by["g"] == {"f_in"}
    assert by["h"] == {"f_in", "img"}


def test_a_copy_for_one_reader() -> None:
    p, by = same("copy = f.in_(g)\ncopy.compute_root().vectorize('x', 4)")
    assert by["g"] == {"f_in_g"}
    assert by["h"] == {"f", "img"}
    assert loops_of(p, "f_in_g") == "x x_v:vectorize"


def test_a_copy_for_several_readers_and_another_for_the_rest() -> None:
    _, by = same("a, b = f.in_([g]), f.in_()")
    assert by["g"] == {"f_in_g"}
    assert by["h"] == {"f_in", "img"}
    assert by["f_in_g"] == by["f_in"] == {"f"}
    _, by = same("a = f.in_([g, h])")
    assert by["g"] == {"f_in_g_h"}


def test_a_copy_of_a_copy() -> None:
    _, by = same("a = f.in_()\nb = a.in_(g)")
    assert by["g"] == {"f_in_in_g"}
    assert by["f_in_in_g"] == {"f_in"}
    assert by["h"] == {"f_in", "img"}


def test_the_same_copy_twice_is_one() -> None:
    scope = define(FAN, "a, b, c, d = f.in_(g), f.in_(g), f.in_(), f.in_()")
    assert scope["a"] is scope["b"]
    assert scope["c"] is scope["d"]


def test_a_copy_of_an_input() -> None:
    p, by = same('a = img.in_()\na.compute_root().vectorize("i0", 4)')
    assert names(p)[0] == "img_in"
    assert by["f"] == {"img_in"}
    assert by["h"] == {"f", "img_in"}
    assert [v.name for v in p["img_in"].vars] == ["i0"]
    _, by = same("a = img.in_(h)")
    assert by["f"] == {"img"}


def test_a_reader_stands_for_the_pieces_of_its_reductions() -> None:
    _, by = same('a = h.update(0).rfactor({"r": "u"})\nb = f.in_(h)')
    assert by["h_intm"] == {"f_in_h"}
    assert by["h"] == {"f_in_h", "img", "h_intm"}
    _, by = same('a = h.update(0).rfactor({"r": "u"})\nb = f.in_(a)')
    assert by["h_intm"] == {"f_in_h_intm"}
    assert by["h"] == {"f", "img", "h_intm"}


def test_a_clone_has_the_directives_given_so_far() -> None:
    p, by = same(
        'f.split("x", "xo", "xi", 4)\na = f.clone_in(g)\nf.parallel("xo")\na.unroll("xi")\na.update(0).vectorize("x", 4)'
    )
    assert names(p) == ["f", "f_clone_g", "g", "h", "out"]
    assert by["g"] == {"f_clone_g"}
    assert by["f_clone_g"] == {"img"}
    assert (loops_of(p, "f"), loops_of(p, "f", 1)) == ("xo:parallel xi", "x")
    assert (loops_of(p, "f_clone_g"), loops_of(p, "f_clone_g", 1)) == ("xo xi:unroll", "x x_v:vectorize")
    assert p["f_clone_g"].compute == p["f"].compute
    assert not set(p["f"].vars) & set(p["f_clone_g"].vars)


def test_a_copy_is_a_place() -> None:
    p, _ = same('a = g.in_()\na.compute_root()\nf.in_(g).compute_at(g, "x")\ng.compute_at(a, "x")')
    assert p["g"].compute.func == "g_in"


def test_copies_without_directives_cost_nothing() -> None:
    p, _ = same("a = f.in_(g)")
    assert p["f_in_g"].compute.kind == "inline"


REFUSED: dict[str, str] = {
    "a reader that does not read it": "f.in_(out)",
    "itself": "f.in_(f)",
    "no readers": "f.in_([])",
    "a reader that reads a copy": "a = f.in_()\nf.in_(g)",
    "one stage of a reader": "f.in_(h.update(0))",
    "a clone for what does not read it": "f.clone_in(out)",
    "not a stage": "f.in_(3)",
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_copies", refusals(FAN, REFUSED, "out"))


def test_outputs_can_be_copied() -> None:
    _, by = same("a = g.in_()\na.compute_root()", "out", "g")
    assert by["out"] == {"g_in", "h"}


INLINED = """
a, b, x = Var("a"), Var("b"), Var("x")
img = Input("img", i32, ndim=1)
op, f = Func("op"), Func("f")
op[a, b] = a + 2*b
r = rdom(6, names="r")
f[x] = 0
f[x] = op[f[x], img[r.r]]
"""


def test_inlining_now_lets_later_directives_see_what_is_computed() -> None:
    code = 'f.compute_root().update(0).eager_inline(op).rfactor({"r": "u"}).compute_root()'
    with interning():
        p = scheduled(define(INLINED, code), "f")
        assert names(p) == ["op", "f_intm", "f"]
        assert reads(p)["f_intm"] == {"img"}
        run = Interpreter(p, {"img": lambda x: x * x % 7}, {**BOX, "a": (0, 1), "b": (0, 1), "u": (0, 6)}).run()
        assert run["f"][3,] == [2 * sum(k * k % 7 for k in range(6))]


def test_inlining_now_of_what_has_updates_is_refused(golden: Callable[[str, str], None]) -> None:
    cases = {"with updates": "g.eager_inline(f)", "not in the pipeline": 'g.eager_inline(Func("q"))'}
    texts = [refusals(FAN, cases, "out")]
    texts.append(refusals(INLINED, {"an operator inside another Func": 'f.update(0).rfactor({"r": "u"})'}, "f"))
    golden("errors/ScheduleError_eager_inline", "\n\n\n".join(texts))
