"""Prefetches and streams: what is refused, and that they follow the loops that they name."""

from __future__ import annotations

from collections.abc import Callable

import halo
from halo.ir.node import interning
from halo.schedule.loops import Fetching, Streaming

from .helpers import BLUR, HIST, define, refusals, schedule_of, scheduled

REFUSED = {
    "no such loop": 'blur_y.prefetch(img, "z")',
    "a loop that was split": 'blur_y.prefetch(img, "x").split("x", "xo", "xi", 8)',
    "a loop further in": 'blur_y.prefetch(img, "y", 2, from_="x")',
    "no such loop to start from": 'blur_y.prefetch(img, "y", 2, from_="t")',
    "values that are computed inline": 'blur_x.compute_inline()\nblur_y.prefetch(blur_x, "y")',
    "another pipeline": 'f = Func("f"); f[x] = x\nblur_y.prefetch(f, "y")',
    "no Func": 'blur_y.prefetch(3, "y")',
    "a distance that is no number": 'blur_y.prefetch(img, "y", "far")',
    "a distance that varies": 'blur_y.prefetch(img, "y", x)',
    "a distance beyond all loops": 'blur_y.prefetch(img, "y", 2**31)',
    "an unknown strategy": 'blur_y.prefetch(img, "y", strategy="clamped")',
    "a stage that is computed inline": 'blur_x.compute_inline().prefetch(img, "y")',
    "loads of what is not read": "blur_x.compute_root()\nblur_y.stream_loads(img)",
    "loads of what is computed inline": "blur_x.compute_inline()\nblur_y.stream_loads([blur_x])",
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_hints", refusals(BLUR, REFUSED, "blur_y"))


STREAMS = {
    "a histogram": "hist.update(0).stream_stores()",
    "its own values": "cdf.compute_root()\nhist.update(0).stream_loads([hist])",
}


def test_refused_streams(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_streams", refusals(HIST, STREAMS, "cdf"))


def hints(code: str) -> list[Fetching | Streaming]:
    with interning():
        scope = define(BLUR, "blur_x.compute_root()\n" + code)
        return list(scheduled(scope, "blur_y")["blur_y"].definitions[0].loops.hints)


def test_hints_are_kept_in_order() -> None:
    first, second, third = hints(
        'blur_y.prefetch(blur_x, "x", 3, from_="y", strategy="clamp").stream_stores().stream_loads()'
    )
    assert isinstance(first, Fetching)
    assert (first.what, first.at, first.start, first.distance, first.strategy) == ("blur_x", "x", "y", 3, "clamp")
    assert isinstance(second, Streaming)
    assert second.stores
    assert isinstance(third, Streaming)
    assert third.loads is None


def test_a_loop_may_be_made_after_the_prefetch() -> None:
    (hint,) = hints('blur_y.prefetch(blur_x, "yo").split("y", "yo", "yi", 8)')
    assert isinstance(hint, Fetching)
    assert hint.start == hint.at == "yo"


def test_a_distance_may_be_a_parameter() -> None:
    (hint,) = hints('blur_y.prefetch(blur_x, "y", img.shape[0] // 100 + 1)')
    assert isinstance(hint, Fetching)
    assert hint.distance.type.name == "index"


def test_they_print_as_they_were_given() -> None:
    scope = define(BLUR, 'blur_x.compute_root()\nblur_y.prefetch(img, "y").prefetch(blur_x, "x", 2, from_="y", strategy="clamp")'
                         ".stream_stores().stream_loads(blur_x)")  # fmt: skip
    s = schedule_of([scope["blur_y"]])
    assert str(s).splitlines()[0] == (
        'blur_y.prefetch(img, "y").prefetch(blur_x, "x", 2, from_="y", strategy="clamp").stream_stores().stream_loads(blur_x)'
    )
    assert type(s).from_json(s.to_json()) == s


def test_an_rfactored_stage_keeps_them() -> None:
    i, a = halo.Var("i"), halo.Input("a", halo.i32, ndim=2)
    f, r = halo.Func("f"), halo.rdom((0, 64), names="r")
    f[i] = 0
    f[i] += a[i, r[0]]
    f.update(0).split("r", "ro", "ri", 8).prefetch(a, "ro", 2)
    intm = f.update(0).rfactor({"ro": "u"})
    intm.compute_root()
    assert "prefetch a" in f.loops()
