from __future__ import annotations

from collections.abc import Callable

from halo.ir.node import interning
from halo.ir.pipeline import ROOT, Function, Place

from .helpers import BLUR, define, refusals, scheduled

CHAIN = """
x, y = Var("x"), Var("y")
img = Input("img", u16, ndim=2)
a, b, c = Func("a"), Func("b"), Func("c")
a[y, x] = img[y, x] + img[y + 1, x]
b[y, x] = a[y, x] + a[y, x + 1]
c[y, x] = b[y, x] + b[y - 1, x]
c[y, x] += b[y, x + 1]
"""
PAIR = """
x, y = Var("x"), Var("y")
img = Input("img", u16, ndim=2)
f, g, h = Func("f"), Func("g"), Func("h")
f[y, x] = img[y, x] + img[y + 1, x]
g[y, x] = img[y, x] - img[y, x + 1]
h[y, x] = f[y, x] * g[y, x] + f[y, x + 1] - g[y + 1, x]
"""


def placed(code: str, setup: str = CHAIN, output: str = "c", name: str = "b") -> Function:
    with interning():
        return scheduled(define(setup, code), output)[name]


def test_places() -> None:
    assert placed("b.compute_root()").compute == ROOT
    assert placed("b.compute_root()\nb.compute_inline()").compute == Place("inline")
    assert placed('b.compute_at(c, "y")').compute == Place("at", "c", "y")
    assert placed('b.compute_at(c.update(0), "x")').compute == Place("at", "c", "x", 1)
    f = placed('b.store_at(c, "y").compute_at(c, "x")')
    assert (f.store, f.compute) == (Place("at", "c", "y"), Place("at", "c", "x"))
    assert placed('b.store_root().compute_at(c, "x")').store == ROOT
    f = placed('b.compute_at(c, "x").hoist_storage(c, "y")')
    assert (f.store, f.hoist) == (None, Place("at", "c", "y"))
    assert placed('b.compute_at(c, "x").hoist_storage_root()').hoist == ROOT


def test_the_last_place_holds() -> None:
    assert placed('b.compute_at(c, "y").compute_at(c, "x").compute_root()').compute == ROOT


def test_a_place_may_precede_the_split_that_makes_it() -> None:
    assert placed('b.compute_at(c, "yo")\nc.split("y", "yo", "yi", 8)').compute == Place("at", "c", "yo")


def test_a_place_in_a_specialisation() -> None:
    code = 'b.compute_at(c, "yo")\nc.specialize(img.shape[0] > 99).split("y", "yo", "yi", 8)'
    assert placed(code).compute == Place("at", "c", "yo")


def test_outputs_are_at_the_root_whatever_they_are_elsewhere() -> None:
    f = placed('b.store_root().compute_at(c, "x").vectorize("x", 8)', CHAIN, "b")
    assert (f.compute, f.store) == (ROOT, None)
    assert placed("b.compute_inline()", CHAIN, "b").compute == ROOT


def test_a_redefined_stage_is_meant_by_its_name() -> None:
    code = 'b.compute_at(c, "y")\nc = Func("c")\nc[y, x] = b[y, x] + b[y - 1, x]'
    assert placed(code).compute == Place("at", "c", "y")


def test_stages_that_run_together() -> None:
    code = 'f.compute_root()\ng.compute_root().compute_with(f, "y")'
    assert placed(code, PAIR, "h", "g").compute_with == ((0, "f", 0, "y"),)
    code = 'f.compute_at(h, "y")\ng.compute_at(h, "y").vectorize("x", 8).compute_with(f, "y")'
    assert placed(code, PAIR, "h", "g").compute_with == ((0, "f", 0, "y"),)


def test_how_they_are_aligned() -> None:
    code = 'f.compute_root()\ng.compute_root().compute_with(f, "x", align={})'
    for align, kept in (
        ('"end"', ((0, "end"),)),
        ('{"x": "start"}', ((0, (("x", "start"),)),)),
        ('"none"', ()),
        ("{}", ()),
    ):
        assert placed(code.format(align), PAIR, "h", "g").align_with == kept
    again = 'g.compute_with(f, "y", align="start").compute_with(f, "y")'
    assert placed(f"f.compute_root()\ng.compute_root()\n{again}", PAIR, "h", "g").align_with == ()


REFUSED = {
    "unknown stage": 'other = Func("other")\nb.compute_at(other, "y")',
    "not a stage": 'b.compute_at(img, "y")',
    "at itself": 'b.compute_at(b, "y")',
    "unknown loop": 'b.compute_at(c, "z")',
    "a loop that is no more": 'b.compute_at(c, "y")\nc.split("y", "yo", "yi", 8)\nc.update(0).fuse("y", "x", "t")',
    "a loop of one stage only": 'b.compute_at(c.update(0), "yo")\nc.split("y", "yo", "yi", 8)',
    "a stage that is inlined": 'b.compute_inline()\na.compute_at(b, "y")',
    "store without compute": 'b.store_at(c, "y")',
    "hoist without compute": "b.hoist_storage_root()",
    "store inside of compute": 'b.compute_at(c, "y").store_at(c, "x")',
    "store in a loop, compute at the root": 'b.compute_root().store_at(c, "x")',
    "store outside of a parallel loop": 'b.store_root().compute_at(c, "y")\nc.parallel("y")',
    "store outside of a vectorised loop": 'b.store_at(c, "y").compute_at(c, "xi")\nc.split("x", "x", "xi", 8).vectorize("xi")',
    "hoist inside of store": 'b.compute_at(c, "x").store_at(c, "y").hoist_storage(c, "x")',
    "loops of what is inlined": 'a.vectorize("x", 8)',
    "loops of what is asked inline": 'a.vectorize("x", 8).compute_inline()',
}
REFUSED_OUTPUT = {"an output in a loop": 'b.compute_at(c, "y")'}
REFUSED_TOGETHER = {
    "unknown stage": 'other = Func("other")\ng.compute_root().compute_with(other, "y")',
    "with itself": 'g.compute_root().compute_with(g, "y")',
    "with what is inlined": 'f.compute_inline()\ng.compute_root().compute_with(f, "y")',
    "at different places": 'f.compute_root()\ng.compute_at(h, "y").compute_with(f, "x")',
    "one needs the other": 'h.compute_with(f, "y")\nf.compute_root()',
    "unknown loop": 'f.compute_root()\ng.compute_root().compute_with(f, "z")',
    "loops that differ": 'f.compute_root().parallel("y")\ng.compute_root().compute_with(f, "y")',
    "loops of other names": 'f.compute_root()\ng.compute_root().rename("y", "z").compute_with(f, "x")',
    "too few loops": 'f.compute_root().split("x", "x", "xi", 8)\ng.compute_root().compute_with(f, "xi")',
    "aligned along a loop that is not shared": 'f.compute_root()\ng.compute_root().compute_with(f, "y", align={"x": "end"})',
    "aligned in no way that there is": 'f.compute_root()\ng.compute_root().compute_with(f, "y", align="begin")',
    "aligned by a number": 'f.compute_root()\ng.compute_root().compute_with(f, "y", align={"y": 3})',
    "specialised": 'f.compute_root()\ng.compute_root().compute_with(f, "y").specialize(img.shape[0] > 8).parallel("y")',
    "each inside the other": 'f.compute_root().compute_with(g, "y")\ng.compute_root().compute_with(f, "y")',
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_places", refusals(CHAIN, REFUSED, "c"))


def test_refusals_of_outputs(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_places_of_outputs", refusals(CHAIN, REFUSED_OUTPUT, "b", "c"))


def test_refusals_of_compute_with(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_compute_with", refusals(PAIR, REFUSED_TOGETHER, "h"))


EXTERN = """
from halo.func.extern import extern
y, x = Var("y"), Var("x")
img = Input("img", u16, ndim=2)
a, c = Func("a"), Func("c")
a[y, x] = img[y, x] + 1
def double(out, inp):
    out[:] = inp * 2
e = extern(double, [a], u16, 2)
c[y, x] = e[y, x] + 1
"""
REFUSED_EXTERN = {
    "loops of a call": "e.compute_root().vectorize(e.definitions.vars[-1], 8)",
    "a place in a call": "e.compute_root()\na.compute_at(e, e.definitions.vars[-1])",
}


def test_refusals_of_extern_stages(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_extern", refusals(EXTERN, REFUSED_EXTERN, "c"))


def test_refusals_of_other_stages() -> None:
    with interning():
        p = scheduled(define(BLUR, 'blur_x.compute_at(blur_y, "y")'), "blur_x")
    assert p["blur_x"].compute == ROOT
