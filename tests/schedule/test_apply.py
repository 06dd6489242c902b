from __future__ import annotations

import pytest

from halo.errors import ScheduleError
from halo.frontend.typing import build_pipeline
from halo.ir.node import interning
from halo.schedule import Loops, apply
from halo.schedule.loops import Facts
from halo.schedule.nesting import Split, Vectorize
from halo.schedule.placement import ComputeRoot

from .helpers import BLUR, define, loops_of


def test_directives_of_unknown_stages_are_refused() -> None:
    with interning():
        p = build_pipeline([define(BLUR)["blur_y"]])
        with pytest.raises(ScheduleError, match="blurx is not a stage of this pipeline") as error:
            apply(p, {"blurx": [(0, ComputeRoot())]})
        assert error.value.hint == "blur_x"
        with pytest.raises(ScheduleError, match=r"blur_x.update\(0\)\.compute_root\(\): there is no such stage"):
            apply(p, {"blur_x": [(1, ComputeRoot())]})
        assert apply(p, {"blurx": []}).outputs == ("blur_y",)


def test_the_pipeline_that_is_given_stays_as_it_is() -> None:
    with interning():
        p = build_pipeline([define(BLUR)["blur_y"]])
        q = apply(p, {"blur_y": [(0, Split("x", "xo", "xi", 8))], "blur_x": [(0, ComputeRoot())]})
        assert p["blur_y"].definitions[0].loops is None
        assert loops_of(q, "blur_y") == "y xo xi"
        assert [f.scheduled for f in q.functions] == [True, True]


def test_loops_leave_with_nothing_but_what_lowering_reads() -> None:
    class Wide:
        vector_bits = 256

    with interning():
        p = build_pipeline([define(BLUR)["blur_y"]])
        q = apply(p, {"blur_y": [(0, Vectorize("x"))]}, Wide())
        loops = q["blur_y"].definitions[0].loops
        assert isinstance(loops, Loops)
        assert loops.facts == Facts()
        assert loops.extent("x_v") == 16
