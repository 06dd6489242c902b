from __future__ import annotations

from collections.abc import Callable

import pytest

from halo.ir.node import interning
from halo.schedule.loops import FuseOp, RenameOp, SplitOp
from halo.schedule.nesting import TAILS_OF_ANY_CALL

from .helpers import BLUR, HIST, define, loops_of, refusals, scheduled

SCAN = """
x, y = Var("x"), Var("y")
img = Input("img", i32, ndim=2)
f = Func("f")
f[y, x] = img[y, x]
r, s = rdom(8, names="r"), rdom(6, 7, names="a b")
f[y, r.r] += f[y, r.r - 1]
f[y, x] = f[y, x] * 2 + img[s.a, s.b]
f[y, x] += img[s.a, s.b]
"""


def after(code: str, name: str = "blur_y", stage: int = 0, setup: str = BLUR) -> tuple[str, tuple[object, ...]]:
    with interning():
        p = scheduled(define(setup, code), name)
        return loops_of(p, name, stage), p[name].definitions[stage].loops.ops


@pytest.mark.parametrize(
    ("code", "nest", "ops"),
    [
        ('split("x", "xo", "xi", 8)', "y xo xi", (SplitOp("x", "xo", "xi", 8, "guard"),)),
        ('split("x", "x", "xi", 8, tail="round_up")', "y x xi", (SplitOp("x", "x", "xi", 8, "round_up"),)),
        ('split("x", "xo", "x", 8)', "y xo x", (SplitOp("x", "xo", "x", 8, "guard"),)),
        ('fuse("y", "x", "t")', "t", (FuseOp("y", "x", "t"),)),
        ('fuse("x", "y", "y")', "y", (FuseOp("x", "y", "y"),)),
        ('split("x", "xo", "xi", 8).fuse("y", "xi", "t")', "xo t",
         (SplitOp("x", "xo", "xi", 8, "guard"), FuseOp("y", "xi", "t"))),
        ('split("x", "xo", "xi", 8).fuse("xo", "xi", "x")', "y x",
         (SplitOp("x", "xo", "xi", 8, "guard"), FuseOp("xo", "xi", "x"))),
        ('reorder("x", "y")', "x y", ()),
        ('reorder(x, y)', "x y", ()),
        ('split("x", "xo", "xi", 8).reorder("xi", "y")', "xi xo y", (SplitOp("x", "xo", "xi", 8, "guard"),)),
        ('tile("y", "x", "yo", "xo", "yi", "xi", 4, 8)', "yo xo yi xi",
         (SplitOp("y", "yo", "yi", 4, "guard"), SplitOp("x", "xo", "xi", 8, "guard"))),
        ('tile("y", "x", "yi", "xi", 4, 8, tail="round_up")', "y x yi xi",
         (SplitOp("y", "y", "yi", 4, "round_up"), SplitOp("x", "x", "xi", 8, "round_up"))),
        ('tile(["x", "y"], ["xo", "yo"], ["xi", "yi"], [8, 4])', "xo yo xi yi",
         (SplitOp("x", "xo", "xi", 8, "guard"), SplitOp("y", "yo", "yi", 4, "guard"))),
        ('tile(["y"], ["yi"], [4])', "y yi x", (SplitOp("y", "y", "yi", 4, "guard"),)),
        ('rename("x", "c")', "y c", (RenameOp("x", "c"),)),
        ('parallel("y")', "y:parallel x", ()),
        ('parallel("y", 8)', "y:parallel y_p x", (SplitOp("y", "y", "y_p", 8, "guard"),)),
        ('parallel("y").serial("y")', "y x", ()),
        ('vectorize("x", 16)', "y x x_v:vectorize", (SplitOp("x", "x", "x_v", 16, "guard"),)),
        ('vectorize("x")', "y x x_v:vectorize", (SplitOp("x", "x", "x_v", 32, "guard"),)),
        ('split("x", "x", "xi", 16).vectorize("xi")', "y x xi:vectorize", (SplitOp("x", "x", "xi", 16, "guard"),)),
        ('split("x", "x", "xi", 64).vectorize("xi")', "y x xi xi_v:vectorize",
         (SplitOp("x", "x", "xi", 64, "guard"), SplitOp("xi", "xi", "xi_v", 32, "guard"))),
        ('unroll("x", 2, tail="shift_inwards")', "y x x_u:unroll", (SplitOp("x", "x", "x_u", 2, "shift_inwards"),)),
        ('unroll("x")', "y x:unroll", ()),
        ('vectorize("x", 8).unroll("x", 4)', "y x x_u:unroll x_v:vectorize",
         (SplitOp("x", "x", "x_v", 8, "guard"), SplitOp("x", "x", "x_u", 4, "guard"))),
    ],
)  # fmt: skip
def test_directives_make_loops(code: str, nest: str, ops: tuple[object, ...]) -> None:
    assert after(f"blur_y.{code}") == (nest, ops)


def test_bounds_make_constant_extents() -> None:
    assert after('blur_y.bound("x", 0, 16).vectorize("x")')[0] == "y x:vectorize"
    assert after('blur_y.vectorize("x").bound("x", 0, 16)')[0] == "y x:vectorize"
    assert after('blur_y.bound("x", 0, 40).vectorize("x")')[0] == "y x x_v:vectorize"


def test_the_natural_width_is_that_of_the_widest_type_stored() -> None:
    class Narrow:
        vector_bits = 128

    with interning():
        p = scheduled(define(BLUR, 'blur_y.vectorize("x")'), "blur_y", target=Narrow())
        assert p["blur_y"].definitions[0].loops.extent("x_v") == 8


def test_partition_is_kept_by_the_loops() -> None:
    def modes(code: str) -> list[str]:
        with interning():
            p = scheduled(define(BLUR, f"blur_y.{code}"), "blur_y")
            return [d.partition for d in p["blur_y"].definitions[0].loops.dims]

    assert modes('partition("x", "always")') == ["auto", "always"]
    assert modes('never_partition("y", "x")') == ["never", "never"]
    assert modes("never_partition_all()") == ["never", "never"]
    assert modes('always_partition("y")') == ["always", "auto"]
    assert modes('always_partition_all().split("x", "xo", "xi", 4)') == ["always"] * 3


def test_reduction_loops_of_an_exact_operator_reorder() -> None:
    assert after('f.update(2).reorder("b", "a")', "f", 3, SCAN)[0] == "y x b a"
    assert after('f.update(2).reorder("a", "b", "y", "x")', "f", 3, SCAN)[0] == "a b y x"


def test_pure_loops_move_anywhere() -> None:
    assert after('f.update(0).reorder("r", "y")', "f", 1, SCAN)[0] == "r y"
    assert (
        after('f.update(1).reorder("a", "b", "y", "x").vectorize("x", 4)', "f", 2, SCAN)[0] == "a b y x x_v:vectorize"
    )


def test_a_factor_may_be_a_parameter() -> None:
    setup = BLUR + 'k = Param("k", i32)\nblur_y[y, x] += u16(k)\n'
    with interning():
        p = scheduled(define(setup, 'blur_y.split("x", "xo", "xi", k + 1)'), "blur_y")
        op = p["blur_y"].definitions[0].loops.ops[0]
        assert (op.tail, repr(op.factor)) == ("guard", repr(op.factor))
        assert op.factor.type.name == "index"


def test_without_promises_tails_that_few_calls_fit_are_guards() -> None:
    code = 'blur_y.split("x", "x", "xi", 8, tail="round_up").split("y", "y", "yi", 8, tail="predicate")'
    with interning():
        p = scheduled(define(BLUR, code), "blur_y", promises=False)
        assert [op.tail for op in p["blur_y"].definitions[0].loops.ops] == ["guard", "predicate"]
    assert set(TAILS_OF_ANY_CALL) == {"guard", "predicate"}


REFUSED = {
    "unknown loop": 'blur_y.split("z", "zo", "zi", 8)',
    "a loop that is no more": 'blur_y.split("x", "xo", "xi", 8).vectorize("x", 8)',
    "a fused loop that is no more": 'blur_y.fuse("y", "x", "t").parallel("y")',
    "same new names": 'blur_y.split("x", "a", "a", 8)',
    "a name in use": 'blur_y.split("x", "y", "xi", 8)',
    "a name that was in use": 'blur_y.split("x", "xo", "xi", 8).split("y", "x", "yi", 8)',
    "a factor of zero": 'blur_y.split("x", "xo", "xi", 0)',
    "a negative factor": 'blur_y.vectorize("x", -8)',
    "a factor that is no integer": 'blur_y.split("x", "xo", "xi", 8.5)',
    "a factor that varies": 'blur_y.split("x", "xo", "xi", x + 1)',
    "an unknown tail": 'blur_y.split("x", "xo", "xi", 8, tail="roundup")',
    "a missing argument": 'blur_y.split("x", "xo", "xi")',
    "an unknown argument": 'blur_y.vectorize("x", lanes=8)',
    "a Func as a loop": "blur_y.parallel(blur_x)",
    "fuse with itself": 'blur_y.fuse("x", "x", "t")',
    "fuse of loops run differently": 'blur_y.parallel("y").fuse("y", "x", "t")',
    "reorder twice the same": 'blur_y.reorder("x", "x")',
    "tile with too few arguments": 'blur_y.tile("y", "x", 8, 8)',
    "tile with lists of different lengths": 'blur_y.tile(["y", "x"], ["yo", "xo"], ["yi"], [8, 8])',
    "tile of one loop twice": 'blur_y.tile("x", "x", "a", "b", "c", "d", 8, 8)',
    "rename to a name in use": 'blur_y.rename("x", "y")',
    "too many lanes": 'blur_y.vectorize("x", 1024).vectorize("y", 128)',
    "a partition mode": 'blur_y.partition("x", "sometimes")',
    "half masked inside a split": 'blur_y.split("x", "xo", "xi", 8).split("xi", "a", "b", 3, tail="predicate_loads")',
    "a split of what is half masked": 'blur_y.split("x", "xo", "xi", 8, tail="predicate_stores").split("xo", "a", "b", 3)',
    "blend then parallel": 'blur_y.split("x", "xo", "xi", 8, tail="round_up_and_blend").parallel("xo")',
    "parallel then blend": 'blur_y.parallel("x").split("x", "xo", "xi", 8, tail="shift_inwards_and_blend")',
}
REFUSED_UPDATES = {
    "shift inwards in an update": 'f.update(1).vectorize("x", 8, tail="shift_inwards")',
    "round up inside a split of an update": 'f.update(1).split("x", "xo", "xi", 8).unroll("xi", 3, tail="round_up")',
    "round up of a reduction loop": 'f.update(0).split("r", "ro", "ri", 8, tail="round_up")',
    "an order that matters": 'f.update(1).reorder("b", "a")',
    "an order that matters, by fuse": 'f.update(1).fuse("b", "a", "t")',
    "an order that matters, by tile": 'f.update(1).tile("a", "b", "ao", "bo", "ai", "bi", 2, 2)',
    "a parallel scan": 'f.update(0).parallel("r")',
    "a vectorised fold": 'f.update(2).vectorize("b", 4)',
    "a loop fused with a scan": 'f.update(0).fuse("y", "r", "t").parallel("t")',
}
REFUSED_RACES = {
    "a parallel histogram": 'hist.update(0).parallel("ry")',
    "a loop of the fold, vectorised": 'hist.update(0).split("rx", "rxo", "rxi", 8).vectorize("rxi")',
    "after a rename": 'hist.update(0).parallel("ry").rename("ry", "rows")',
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_loops", refusals(BLUR, REFUSED, "blur_y"))


def test_refusals_of_updates(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_update_loops", refusals(SCAN, REFUSED_UPDATES, "f"))


def test_refusals_of_races(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_races", refusals(HIST, REFUSED_RACES, "hist"))


def test_stores_of_a_constant_may_race() -> None:
    setup = """
x = Var("x")
img = Input("img", u8, ndim=1)
seen = Func("seen")
seen[x] = u8(0)
r = rdom(100, names="r")
seen[img[r.r]] = u8(1)
"""
    assert after('seen.update(0).vectorize("r", 8).parallel("r")', "seen", 1, setup)[0] == "r:parallel r_v:vectorize"


def test_pure_reduction_loops_run_in_parallel() -> None:
    setup = """
x = Var("x")
img = Input("img", u8, ndim=1)
f = Func("f")
f[x] = u8(0)
r = rdom(100, names="r")
f[r.r] += img[r.r]
"""
    assert after('f.update(0).vectorize("r", 8).parallel("r")', "f", 1, setup)[0] == "r:parallel r_v:vectorize"
