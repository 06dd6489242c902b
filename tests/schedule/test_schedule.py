from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from halo.errors import ScheduleError
from halo.func.program import Program
from halo.schedule import Schedule
from halo.schedule.directive import registry

from .helpers import BLUR, define, schedule_of

ALL = """
blur_y.tile("y", "x", "yo", "xo", "yi", "xi", 8, 64).vectorize("xi", 16, tail="predicate").parallel("yo").unroll("yi")
blur_y.specialize(img.shape[1] >= 64).never_partition("xo").specialize(k == 1).serial("yo")
blur_y.tile(["yi"], ["yj"], [2]).bound("x", 0, 2*n).align_bounds("y", 2, 1).set_estimate("y", 0, 100)
blur_x_in_blur_y = blur_x.in_(blur_y)
blur_x_in_blur_y.compute_at(blur_y, "xo").reorder("x", "y").partition("x", "always")
total = blur_y.update(0).fuse("ry", "rx", "r").split("r", "ro", "ri", n, tail="guard").rfactor({"ro": "u"})
total.compute_root().update(0).atomic()
blur_x.clone_in(other).compute_root().hoist_storage_root().store_in("stack").fold_storage("y", 4).ring_buffer(2).async_()
blur_x.store_at(blur_y, "yo").compute_at(blur_y, "xo").rename("x", "c").align_storage("x", 16).reorder_storage("x", "y")
other.compute_root().compute_with(total.update(0), "y", align={"y": "start"}).bound_extent("x", 4)
other.bound_storage("x", 99).align_extent("y", 2)
other.compute_inline().hoist_storage(blur_y, "yo").store_root().always_partition("y").never_partition_all()
blur_x.unscheduled().set_estimates([(0, n), (0, 100)]).eager_inline(other)
other.trace_loads().trace_stores().trace_realizations().add_trace_tag("seen").debug_to_file("other.npy")
other.promise_output("stride", 1, n).change_type(u8).compute_root()
blur_x.prefetch(img, "y", n, from_="y", strategy="clamp").stream_stores().stream_loads([img]).stream_loads()
staged = img.in_()
staged.split("i0", "io", "ii", 16).split("i1", "jo", "ji", 4).reorder("io", "jo", "ii", "ji").tensorize("ii", "dot_u8i8_i32")
staged.always_partition_all().memoize(n // 2).promise_alignment(64)
"""
SETUP = (
    BLUR.replace("blur_y[y, x] = ", 'other = Func("other")\nother[y, x] = blur_x[y, x]\nblur_y[y, x] = other[y, x] + ')
    + 'k, n = Param("k", f32), Param("n", i32)\nr = rdom(4, 9, names="ry rx")\nblur_y[y, x] += img[r.ry, r.rx] + u16(n) + u16(k)\n'
)


def made(code: str = ALL) -> tuple[dict[str, Any], Schedule]:
    scope = define(SETUP, code)
    return scope, schedule_of([scope["blur_y"]])


def test_it_prints_as_the_calls_that_recreate_it(golden: Callable[[str, str], None]) -> None:
    _, s = made()
    golden("schedule/printed", str(s))
    assert repr(s) == str(s)
    _, again = made(str(s))
    assert again == s
    assert str(again) == str(s)


def test_every_directive_is_in_that_text() -> None:
    text = str(made()[1])
    assert [name for name in registry if f"{name}(" not in text and name != "within"] == []


def test_schedules_are_values() -> None:
    scope, s = made()
    assert s == made()[1]
    assert hash(s) == hash(made()[1])
    assert s != made("")[1]
    assert pickle.loads(pickle.dumps(s)) == s
    with pytest.raises(AttributeError):
        s.entries = ()


def test_json_and_back() -> None:
    _, s = made()
    text = s.to_json()
    assert Schedule.from_json(text) == s
    assert str(Schedule.from_json(text)) == str(s)


def test_a_schedule_is_given_to_other_funcs_of_the_same_names() -> None:
    _, s = made()
    scope = define(SETUP)
    program = Program([scope["blur_y"]], "p")
    s.give(program.stages())
    assert program.schedule() == s
    assert str(program.schedule()) == str(s)


def test_without_directives() -> None:
    s = made("")[1]
    assert str(s) == ""
    assert repr(s) == "<halo schedule without directives>"
    assert Schedule.from_json(s.to_json()) == s == Schedule()


def test_names_are_those_of_the_pipeline() -> None:
    code = """
y, x = Var("y"), Var("x")
img = Input("img", u16, ndim=2)
levels = [Func("lvl") for _ in range(3)]
levels[0][y, x] = img[y, x] + img[y, x + 1]
for a, b in zip(levels, levels[1:]):
    b[y, x] = a[y, 2*x] + a[y, 2*x + 1]
levels[0].compute_at(levels[2], "y").vectorize("x", 8)
levels[1].compute_at(levels[2], "x")
"""
    scope = define(code)
    assert (
        str(schedule_of([scope["levels"][2]]))
        == 'lvl_1.compute_at(lvl_2, "x")\nlvl.compute_at(lvl_2, "y").vectorize("x", 8)'
    )


def test_a_made_func_with_a_name_in_use_gets_a_number() -> None:
    code = 'blur_y_intm = Func("blur_y_intm")\nblur_y_intm[y, x] = blur_y[y, x]\nblur_y.update(0).rfactor({"ry": "u"})'
    scope = define(SETUP, code)
    assert str(schedule_of([scope["blur_y_intm"]])) == 'blur_y_intm_1 = blur_y.update(0).rfactor({"ry": "u"})'


REFUSED = {
    "other stages": lambda s: s.give({"f": None}),
    "no JSON": lambda s: Schedule.from_json("{"),
    "JSON of something else": lambda s: Schedule.from_json('{"halo": 1}'),
    "an entry of something else": lambda s: Schedule.from_json('{"halo": 1, "directives": [{"do": "split"}]}'),
    "an unknown directive": lambda s: Schedule.from_json(
        '{"halo": 1, "directives": [{"func": "f", "stage": 0, "do": "skew"}]}'
    ),
    "a directive with arguments missing": lambda s: Schedule.from_json(
        '{"halo": 1, "directives": [{"func": "f", "stage": 0, "do": "split", "old": "x"}]}'
    ),
    "a directive with bad arguments": lambda s: Schedule.from_json(
        '{"halo": 1, "directives": [{"func": "f", "stage": 0, "do": "fold_storage", "v": "x", "n": -1}]}'
    ),
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    parts = []
    for title, attempt in REFUSED.items():
        with pytest.raises(ScheduleError) as error:
            attempt(made()[1])
        parts.append(f"## {title}\n\n{error.value}")
    golden("errors/ScheduleError_values", "\n\n\n".join(parts))
