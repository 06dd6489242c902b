"""Funcs: definition, names, binding, schedules, calls, inspectors."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import halo
from halo.errors import ArgumentError, BoundsError, DefinitionError, ScheduleError, TypeMismatchError

RNG = np.random.default_rng(8)
IMG = RNG.integers(0, 200, (7, 9), np.int32)
y, x = halo.vars("y x")
Definer = Callable[[halo.Func], None]


def stage(name: str, value: object) -> halo.Func:
    f = halo.Func(name)
    f[y, x] = value
    return f


def image(name: str = "img", dtype: object = None) -> halo.Input:
    return halo.Input(name, dtype, ndim=2)


@halo.func
def rows(y, x, *, img):
    return img[y, x] + img[y, x + 1]


@halo.func
def both(y, x, *, gain=2.0):
    return rows[y, x] * gain


# Definition ----------------------------------------------------------------------------------------------------------


def test_both_forms_give_the_same() -> None:
    @halo.func
    def f(y, x, *, img, w):
        return sum(img[y + ky, x + kx] * w[ky, kx] for ky, kx in halo.rdom(3, 3)) if y > 0 else 1

    ky, kx = halo.rdom(3, 3, names="ky kx")
    img, w = image(), image("w")
    g = stage("f", halo.select(y > 0, halo.sum(img[y + ky, x + kx] * w[ky, kx], ky.rdom), 1))
    assert repr(f) == repr(g)
    assert f.loops() == g.loops()
    assert list(f.inputs) == list(g.inputs)


def test_definitions_come_before_the_first_use() -> None:
    f = stage("f", image()[y, x])
    f[y, 0] = 1
    g = stage("g", f[y, x] * 2)
    with pytest.raises(DefinitionError, match="in use"):
        f[y, 1] = 2
    np.testing.assert_array_equal(g(img=IMG)[:, 0], np.full(7, 2))


@pytest.mark.parametrize(
    ("define", "match"),
    [
        (lambda f: f.__setitem__((y, 0), 1), "not at every point"),
        (lambda f: f.__setitem__((y, y), 1), "not at every point"),
        (lambda f: f.__setitem__(slice(None), 1), "one point"),
        (lambda f: f.__setitem__((y, halo.rdom(3)[0]), 1), "first definition"),
        (lambda f: f(shape=(3,)), "not defined"),
        (lambda f: f.__setitem__("name", 1), "stage"),
    ],
)
def test_wrong_definitions(define: Definer, match: str) -> None:
    with pytest.raises(DefinitionError, match=match) as error:
        define(halo.Func("f"))
    assert error.value.loc is not None


def test_ranks_are_checked_where_they_are_written() -> None:
    f = stage("f", 0)
    with pytest.raises(DefinitionError, match="2 axes"):
        f[x] = 1
    with pytest.raises(DefinitionError, match="2 axes and is subscripted by 3"):
        f[y, x, 0]
    with pytest.raises(DefinitionError, match="identifier"):
        halo.Func("two words")


def test_decorated_funcs_take_no_further_definitions() -> None:
    with pytest.raises(DefinitionError, match="decorated"):
        rows[y, x] = 3
    assert rows.py_func(1, 2, img={(1, 2): 3, (1, 3): 4}) == 7
    assert not hasattr(stage("f", 0), "py_func")
    assert bool(rows)


def test_updates_of_one_element_of_a_tuple() -> None:
    f = halo.Func("f")
    f[x] = (x, x * 10)
    f[x][1] += 5
    f[3][0] = 100
    first, second = f(shape=(5,))
    np.testing.assert_array_equal(first, [0, 1, 2, 100, 4])
    np.testing.assert_array_equal(second, np.arange(5) * 10 + 5)
    with pytest.raises(DefinitionError, match="no element"):
        halo.Func("g")[x][2] = 3


def test_tuples_are_updated_as_a_whole() -> None:
    f = halo.Func("f")
    f[x] = (x, 0)
    f[x] += (1, 2)
    f[x] = f[x][1], f[x][0]  # both read before either is stored
    a, b = f(shape=(3,))
    np.testing.assert_array_equal(a, [2, 2, 2])
    np.testing.assert_array_equal(b, [1, 2, 3])
    g = halo.Func("g")
    g[x] = f[x]
    assert g.size == 2


def test_a_domain_with_a_condition() -> None:
    f, r = halo.Func("f"), halo.rdom(5, 5)
    r.where(r.r0 < r.r1)
    f[x] = 0
    f[x] += r.r0 * 10 + r.r1
    want = sum(a * 10 + b for a in range(5) for b in range(5) if a < b)
    np.testing.assert_array_equal(f(shape=(2,)), [want, want])


def test_the_variables_of_a_scatter_without_a_pure_stage() -> None:
    f, img = halo.Func("f"), halo.Input("img", halo.u8, ndim=1)
    r = halo.rdom(img)
    f[img[r]] += 1
    a = RNG.integers(0, 5, 40, np.uint8)
    np.testing.assert_array_equal(f(img=a, shape=(5,)), np.bincount(a, minlength=5))


def test_a_func_of_no_variables() -> None:
    f, r = halo.Func("f"), halo.rdom(image())
    f[()] = halo.sum(image()[r], r)
    out = f(img=IMG)
    assert out.shape == ()
    assert out == IMG.sum()


# Names and inputs ----------------------------------------------------------------------------------------------------


def test_inputs_are_ordered_own_first_then_depth_first() -> None:
    @halo.func
    def low(x, *, c, a):
        return a[x] + c[x]

    @halo.func
    def top(x, *, b, k=1.0):
        return low[x] * k + b[x]

    assert list(top.inputs) == ["b", "k", "c", "a"]
    assert isinstance(top.inputs["b"], halo.Input)
    assert isinstance(top.inputs["k"], halo.Param)


def test_stages_by_name() -> None:
    assert both["rows"] is rows
    assert both["both"] is both
    with pytest.raises(ArgumentError, match="no stage 'blur'") as error:
        both["blur"]
    assert "rows" in error.value.legal


def test_the_stage_of_an_inline_reduction_has_a_name() -> None:
    @halo.func
    def f(y, x, *, img):
        return 1 + sum(img[y, x + k] for k in halo.rdom(3))

    assert f["f_sum"].name == "f_sum"
    f["f_sum"].update(0).unroll("k")
    assert "f_sum.update(0).unroll" in str(f.schedule())
    want = 1 + IMG[:, :7] + IMG[:, 1:8] + IMG[:, 2:9]
    np.testing.assert_array_equal(f(img=IMG, shape=(7, 7)), want)


# Binding -------------------------------------------------------------------------------------------------------------


def test_binding_a_func() -> None:
    double = stage("double", image("a")[y, x] * 2)
    bound = rows(img=double)
    assert isinstance(bound, halo.Func)
    assert list(bound.inputs) == ["a"]
    assert list(rows.inputs) == ["img"]
    np.testing.assert_array_equal(bound(a=IMG, shape=(7, 8)), (IMG[:, :-1] + IMG[:, 1:]) * 2)


def test_binding_reaches_producers_and_shares_the_rest() -> None:
    shared = stage("shared", image("other")[y, x])
    top = stage("top", rows[y, x] + shared[y, x])
    bound = top(img=image("src"))
    assert list(bound.inputs) == ["src", "other"]
    assert bound["shared"] is shared
    assert bound["rows"] is not rows
    np.testing.assert_array_equal(bound(src=IMG, other=IMG, shape=(7, 8)), IMG[:, :-1] * 2 + IMG[:, 1:])


def test_what_is_bound_is_not_substituted_in() -> None:
    twice = rows(img=rows)
    assert list(twice.inputs) == ["img"]
    want = IMG[:, :-2] + 2 * IMG[:, 1:-1] + IMG[:, 2:]
    np.testing.assert_array_equal(twice(img=IMG, shape=(7, 7)), want)


def test_substitution_is_simultaneous() -> None:
    f = stage("f", image("a")[y, x] * 10 + image("b")[y, x])
    swapped = f(a=image("b"), b=image("a"))
    np.testing.assert_array_equal(swapped(a=IMG, b=IMG * 0), IMG)


def test_binding_copies_directives() -> None:
    low = stage("low", image()[y, x])
    top = stage("top", low[y, x] + low[y, x + 1])
    top.vectorize("x", 8)
    low.compute_at(top, "y").vectorize("x", 4)
    bound = top(img=image("src"))
    assert str(bound.schedule()) == str(top.schedule())
    bound["low"].compute_root()
    assert str(bound.schedule()) != str(top.schedule())
    np.testing.assert_array_equal(bound(src=IMG, shape=(7, 8)), IMG[:, :-1] + IMG[:, 1:])


def test_binding_copies_what_directives_made() -> None:
    f, img = halo.Func("f"), halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(64)
    f[x] = halo.sum(img[r] * x, r)
    f.update(0).split("r", "ro", "ri", 8).rfactor("ro", "u").compute_root().update(0).parallel("u")
    bound = f(img=halo.Input("src", ndim=1))
    assert str(bound.schedule()) == str(f.schedule())
    a = np.arange(64, dtype=np.int32)
    np.testing.assert_array_equal(bound(src=a, shape=(3,)), a.sum() * np.arange(3))


def test_binding_scalars_and_constants() -> None:
    k = halo.Param("k", halo.i32)
    scaled = stage("scaled", image()[y, x] * halo.Param("gain", halo.i32) + 1)
    np.testing.assert_array_equal(scaled(gain=k + 1)(img=IMG, k=2), IMG * 3 + 1)
    total = halo.Func("total")
    total[()] = 5
    np.testing.assert_array_equal(scaled(gain=total)(img=IMG), IMG * 5 + 1)
    f = stage("f", image("a")[y, x] + image("b")[y, x] * halo.Param("c", halo.i32))
    half = f(a=image("src"), b=IMG, c=2)
    np.testing.assert_array_equal(half(src=IMG), IMG * 3)


def test_binding_checks_ranks_and_kinds() -> None:
    with pytest.raises(ArgumentError, match="2 indices"):
        rows(img=halo.Input("line", ndim=1))
    with pytest.raises(ArgumentError, match="array"):
        rows(img=x + 1)
    with pytest.raises(ArgumentError, match="scalar"):
        both(gain=image())
    typed = stage("typed", image(dtype=halo.u8)[y, x])
    with pytest.raises(TypeMismatchError, match="annotated"):
        typed(img=stage("g", 1.5))(shape=(2, 2))
    with pytest.raises(ArgumentError, match="no input 'image'"):
        rows(image=rows)


def test_the_shape_of_a_bound_func_needs_bounds() -> None:
    f = stage("f", image()[y, image().shape[1] - 1 - x])
    source = stage("source", y * 100 + x)
    with pytest.raises(DefinitionError, match="no extents"):
        f(img=source)(shape=(2, 3))
    bound = f(img=halo.pad(source, "edge", bounds=[(0, 2), (0, 3)]))
    np.testing.assert_array_equal(bound(shape=(2, 3)), [[2, 1, 0], [102, 101, 100]])


def test_pads_as_arguments() -> None:
    want = np.pad(IMG, ((0, 0), (0, 1)), "reflect")
    np.testing.assert_array_equal(rows(img=halo.pad(IMG, "reflect")), want[:, :-1] + want[:, 1:])
    filled = np.pad(IMG, ((0, 0), (0, 1)), constant_values=9)
    np.testing.assert_array_equal(rows(halo.pad(IMG, "constant", 9)), filled[:, :-1] + filled[:, 1:])
    np.testing.assert_array_equal(rows(halo.pad(IMG[::-1], "constant", 9)), (filled[:, :-1] + filled[:, 1:])[::-1])


# Rank-generic --------------------------------------------------------------------------------------------------------


@halo.func
def scaled(*i, img, k=3):
    return img[i] * k


@pytest.mark.parametrize("n", range(1, 5))
def test_rank_generic_funcs(n: int) -> None:
    a = RNG.integers(0, 9, (2, 3, 2, 4)[:n], np.int32)
    np.testing.assert_array_equal(scaled(img=a), a * 3)
    np.testing.assert_array_equal(scaled(a, k=2), a * 2)


def test_rank_generic_funcs_in_definitions() -> None:
    f = stage("f", scaled[y, x] + 1)
    np.testing.assert_array_equal(f(img=IMG), IMG * 3 + 1)
    line = halo.Func("line")
    line[x] = scaled[x]
    np.testing.assert_array_equal(line(img=IMG[0]), IMG[0] * 3)


def test_the_rank_may_not_be_known() -> None:
    @halo.func
    def f(*i, img):
        return img[i]

    with pytest.raises(ArgumentError, match="how many axes"):
        f.loops()


# Schedules -----------------------------------------------------------------------------------------------------------


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


# Calls ---------------------------------------------------------------------------------------------------------------


def test_positions_names_and_mistakes() -> None:
    add = stage("add", image("a")[y, x] - image("b")[y, x])
    np.testing.assert_array_equal(add(IMG, b=IMG), IMG * 0)
    for args, kwargs, match in (
        ((IMG, IMG, IMG), {}, "2 inputs"), ((IMG,), {"a": IMG}, "twice"), ((IMG,), {"c": IMG}, "no input 'c'"),
        ((IMG,), {}, "b"), ((IMG, 3), {}, "b"), ((IMG, IMG[0]), {}, "b"), ((IMG, halo.u8), {}, "no value"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=match):
            add(*args, **kwargs)


def test_each_combination_of_types_is_its_own_variant() -> None:
    f = stage("f", image()[y, x] + 1)
    for t in ("uint8", "int16", "float32", "bool"):
        out = f(img=IMG.astype(t))
        assert out.dtype == ("int32" if t == "bool" else t)


def test_annotations_fix_types() -> None:
    @halo.func
    def f(y, x, *, img: halo.u16[:, :], k: halo.f32 = 1):
        return img[y, x] * k

    assert f(img=IMG.astype(np.uint16), k=2).dtype == np.float32
    with pytest.raises(ArgumentError, match=r"u16.*i32"):
        f(img=IMG)
    with pytest.raises(ArgumentError, match="scalar"):
        f(img=IMG.astype(np.uint16), k=IMG)


def test_python_floats_take_the_type_of_what_they_meet() -> None:
    f = stage("f", image()[y, x] * halo.Param("k"))
    for t in (np.float16, np.float32, np.float64):
        out = f(img=np.ones((2, 2), t), k=0.1)
        assert out.dtype == t
        assert (out == t(0.1)).all()
    assert f(img=np.ones((2, 2), np.float32), k=np.float64(0.1)).dtype == np.float64
    assert f(img=IMG, k=3).dtype == np.int32
    assert f(img=IMG, k=2**40).dtype == np.int64


def test_out_of_range_scalars() -> None:
    f = stage("f", image()[y, x] + halo.Param("k", halo.u8))
    with pytest.raises(ArgumentError, match="k"):
        f(img=IMG, k=256)
    with pytest.raises(ArgumentError):
        stage("g", image()[y, x] * halo.Param("k"))(img=IMG, k=2**70)


def test_regions() -> None:
    def shape_of(f: halo.Func, **arrays: np.ndarray) -> tuple[int, ...]:
        return f(**arrays).shape

    a, b = np.zeros((5, 6), np.int32), np.zeros((9, 9), np.int32)
    first = stage("first", image("a")[y, x] + image("b")[y, x])
    assert shape_of(first, a=a, b=b) == (5, 6)
    low = stage("low", image("a")[x, y])
    assert shape_of(stage("top", low[y, x]), a=a) == (6, 5)
    assert shape_of(stage("top", low[x, y] + image("b")[y + 1, x + 1]), a=a, b=b) == (5, 6)
    assert shape_of(stage("top", low[x, y + 1] + image("b")[y, x + 1]), a=b, b=np.zeros((8, 12), np.int32)) == (8, 9)
    mixed = stage("mixed", image("a")[y + 1, x] + image("b")[y, x + 3])
    assert shape_of(mixed, a=np.zeros((8, 4), np.int32), b=b[:7]) == (7, 4)
    with pytest.raises(ArgumentError, match="shape="):
        stage("none", image("a")[y + 1, x])(a=a)
    with pytest.raises(BoundsError, match="b is too small"):
        first(a=b, b=a)


def test_padded_and_bound_inputs_have_their_arrays_extents() -> None:
    view = halo.pad(image(), "edge")
    f = stage("f", view[y, x] - view[y, x - 1])
    np.testing.assert_array_equal(f(img=IMG), np.diff(IMG, axis=1, prepend=IMG[:, :1]))


def test_origins() -> None:
    f = stage("f", halo.pad(image(), "wrap")[y, x])
    np.testing.assert_array_equal(f.realize((3, 4), origin=(-2, 5), img=IMG), np.take(np.take(IMG, range(-2, 1), 0, mode="wrap"),
                                                                                      range(5, 9), 1, mode="wrap"))  # fmt: skip


def test_pipelines() -> None:
    low = stage("low", image()[y, x] + 1)
    total = halo.Func("total")
    r = halo.rdom(7)
    total[x] = halo.sum(low[r, x], r)
    p = halo.Pipeline([low, total])
    a, b = p(img=IMG)
    np.testing.assert_array_equal(a, IMG + 1)
    np.testing.assert_array_equal(b, (IMG + 1).sum(axis=0))
    a, b = p(img=IMG, shape=((2, 3), (4,)))
    assert (a.shape, b.shape) == ((2, 3), (4,))
    outs = np.zeros((7, 9), np.int32), np.zeros(9, np.int32)
    assert p(img=IMG, out=outs)[1] is outs[1]
    assert p["low"] is low
    assert "low" in p.loops()
    assert list(p.inputs) == ["img"]
    assert repr(p) == "halo.Pipeline([low, total])"
    bound = p(img=stage("source", y + x))
    np.testing.assert_array_equal(bound(shape=((2, 2), (2,)))[0], [[1, 2], [2, 3]])
    for wrong in ([], [3], [low, low]):
        with pytest.raises(ArgumentError):
            halo.Pipeline(wrong)


def test_large_constants_are_bound_not_embedded() -> None:
    table = np.arange(30000, dtype=np.int32)

    @halo.func
    def f(x, *, a: halo.u8[:]):
        return table[halo.i32(a[x]) * 100]

    a = RNG.integers(0, 255, 20, np.uint8)
    np.testing.assert_array_equal(f(a), a.astype(int) * 100)
    assert list(f.inputs) == ["a"]
    assert len(f.inspect_llvm()) < 200_000


def test_extern_stages_are_typed_and_placed() -> None:
    def smooth(out: np.ndarray, a: np.ndarray) -> None:
        out[...] = a

    img = image(dtype=halo.u8)
    e = halo.extern(smooth, [img], halo.f32, 2, bounds=lambda box: [[box[0], (0, img.shape[1])]])
    f = stage("f", e[y, x] * 2)
    assert list(f.inputs) == ["img"]
    assert "smooth" in f.loops()
    with pytest.raises(DefinitionError, match="function"):
        halo.extern(3, [img], halo.u8, 2)
    with pytest.raises(DefinitionError, match="Funcs and Inputs"):
        halo.extern(smooth, [IMG], halo.u8, 2)
    wrong = halo.extern(smooth, [img], halo.u8, 2, bounds=lambda box: 3)
    with pytest.raises(DefinitionError, match="bounds of the extern stage"):
        stage("g", wrong[y, x]).loops()


# Inspectors ----------------------------------------------------------------------------------------------------------


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


# The package ---------------------------------------------------------------------------------------------------------


def test_public_names() -> None:
    assert len(set(halo.__all__)) == len(halo.__all__)
    for name in halo.__all__:
        assert getattr(halo, name) is not None, name
    assert set(halo.__all__) <= set(dir(halo))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = halo.nothing


def test_import_is_light() -> None:
    code = """
import sys, numpy
before = set(sys.modules)
import halo
new = {m.split(".")[0] for m in set(sys.modules) - before}
assert not new & {"numba", "llvmlite", "ml_dtypes", "astunparse", "IPython"}, new
assert "halo.lowering" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
