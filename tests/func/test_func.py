"""Funcs: definition, names, inputs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import halo
from halo.errors import ArgumentError, DefinitionError

from .stages import IMG, RNG, Definer, both, image, rows, scaled, stage, x, y


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


def test_definitions_may_follow_directives() -> None:
    f = stage("f", image()[y, x])
    f.vectorize("x", 4)
    f[y, x] += 1
    f.update(0).vectorize("x", 4)
    f[y, 0] = halo.sum(image()[y, (r := halo.rdom(9))[0]], r)
    want = IMG + 1
    want[:, 0] = IMG.sum(axis=1)
    np.testing.assert_array_equal(f(img=IMG), want)


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
