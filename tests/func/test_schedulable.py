"""Directives as methods; schedules as values."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

import halo
from halo.errors import DefinitionError, ScheduleError

from .stages import IMG, image, stage, x, y


def test_methods_return_their_receiver() -> None:
    f = stage("f", image()[y, x])
    f[y, 0] = 1
    assert f.vectorize("x", 8) is f
    update = f.update(0)
    assert update.parallel("y") is update
    assert f.update().site == (f, 1)


def test_methods_have_signatures_and_docstrings() -> None:
    import inspect

    assert list(inspect.signature(halo.Func.split).parameters) == ["self", "old", "outer", "inner", "factor", "tail"]
    assert "for xo" in halo.Func.split.__doc__
    assert not hasattr(halo.Stage, "compute_at")


def test_directives_are_checked_where_they_are_given() -> None:
    f = stage("f", image()[y, x])
    with pytest.raises(ScheduleError, match='no loop "z"') as error:
        f.vectorize("z")
    assert error.value.loc.file == __file__
    assert '"x"' in error.value.legal
    f.split("x", "xo", "xi", 4)
    with pytest.raises(ScheduleError, match="became"):
        f.unroll("x")
    with pytest.raises(ScheduleError, match="factor"):
        f.split("y", "yo", "yi", -1)
    with pytest.raises(ScheduleError, match=r"update\(0\)"):
        f.update(0)
    assert len(f.directives) == 1


def test_schedules_are_values() -> None:
    low = stage("low", image()[y, x])
    top = stage("top", low[y, x] * 2)
    top.split("x", "xo", "xi", 8).vectorize("xi")
    low.compute_at(top, "xo")
    s = top.schedule()
    assert str(s) == 'top.split("x", "xo", "xi", 8).vectorize("xi")\nlow.compute_at(top, "xo")'
    assert s == top.schedule() == pickle.loads(pickle.dumps(s)) == copy.copy(s)
    assert halo.Schedule.from_json(s.to_json()) == s
    assert json.loads(s.to_json())
    hash(s)
    top.unschedule()
    assert top.schedule() == halo.Schedule()
    assert top.apply(s) is top
    assert top.schedule() == s
    scope = {"top": top.unschedule(), "low": low}
    exec(str(s), scope)
    assert top.schedule() == s


def test_a_schedule_of_other_stages_is_refused() -> None:
    f, g = stage("f", image()[y, x]), stage("g", image()[y, x])
    f.vectorize("x")
    g.parallel("y")
    before = g.schedule()
    with pytest.raises(ScheduleError, match="other stages"):
        g.apply(f.schedule())
    assert g.schedule() == before


def test_a_later_directive_makes_a_new_variant_beside_the_old() -> None:
    f = stage("f", image()[y, x] + 1)
    kernel = f.compile(img=IMG)
    f(img=IMG)
    f.vectorize("x", 4)
    assert f.compile(img=IMG) is not kernel
    np.testing.assert_array_equal(f(img=IMG), kernel(IMG))
    assert f.unschedule().compile(img=IMG) is kernel


def test_a_placement_target_that_is_redefined() -> None:
    low = stage("low", image()[y, x])
    top = stage("top", low[y, x] + 1)
    low.compute_at(top, "y")
    again = stage("top", low[y, x] + 2)
    assert 'low.compute_at(top, "y")' in str(again.schedule())
    np.testing.assert_array_equal(again(img=IMG), IMG + 2)


def test_copies_of_inputs() -> None:
    f = stage("f", image()[y, x] + image()[y, x + 1])
    f.parallel("y")
    made = f.inputs["img"].in_(f)
    assert made.name == "img_in_f"
    made.compute_at(f, "y").vectorize("i1", 4)
    assert str(f.schedule()).startswith("f.parallel")
    assert "img.in_(f)" in str(f.schedule())
    np.testing.assert_array_equal(f(img=IMG, shape=(7, 8)), IMG[:, 1:] + IMG[:, :-1])


def test_a_made_func_is_scheduled_but_not_read() -> None:
    low = stage("low", image()[y, x])
    top = stage("top", low[y, x] + low[y, x + 1])
    made = low.in_(top)
    assert isinstance(made, halo.Func)
    made.compute_at(top, "y")
    low.compute_root()
    np.testing.assert_array_equal(top(img=IMG, shape=(7, 8)), IMG[:, 1:] + IMG[:, :-1])
    with pytest.raises(DefinitionError, match="made by"):
        stage("g", made[y, x])


def test_specialisations() -> None:
    k = halo.Param("k", halo.i32)
    f = stage("f", image()[y, x] * k)
    branch = f.specialize(k == 1)
    assert branch.name == "f.specialize(k == 1)"
    branch.vectorize("x", 8)
    f.parallel("y")
    for value in (1, 5):
        np.testing.assert_array_equal(f(img=IMG, k=value), IMG * value)
    assert "specialize(k == 1).vectorize" in str(f.schedule())


def test_split_vars() -> None:
    f, y, x = halo.Func("f"), *halo.vars("y x")
    n = halo.Param("n", halo.i32)
    f[y, x] = y + n
    r = halo.rdom(3, names="r")
    f[y, x] += r[0]
    assert f.split_vars() == ("y", "x")
    assert f.update(0).split_vars() == ("y", "x", "r")
    f.tile("y", "x", "yo", "xo", "yi", "xi", 4, 8)
    wide = f.specialize(n > 3)
    wide.fuse("yi", "xi", "i")
    f.vectorize("xi", 4)
    inner = wide.specialize(n > 9).unroll("i", 2)
    assert f.split_vars() == ("yo", "xo", "yi", "xi", "xi_v")
    assert wide.split_vars() == ("yo", "xo", "i")
    assert inner.split_vars() == ("yo", "xo", "i", "i_u")
    assert f.update(0).split_vars() == ("y", "x", "r")


def test_split_vars_of_a_pack_are_not_known() -> None:
    @halo.func
    def f(*i, img):
        return img[i] + 1

    with pytest.raises(halo.ScheduleError, match="not known before its types are"):
        f.split_vars()
