"""What a notebook shows of an object."""

from __future__ import annotations

import re

import numpy as np
import pytest

import halo


@pytest.fixture
def blur() -> halo.Func:
    y, x = halo.vars("y x")
    img, rows, out = halo.Input("img", halo.u16, ndim=2), halo.Func("rows"), halo.Func("out")
    rows[y, x] = img[y, x] + img[y, x + 1]
    out[y, x] = rows[y, x] + halo.select(rows[y + 1, x] < 3, 1, 2)
    out.vectorize("x", 8).parallel("y").unroll("x", 2)
    rows.compute_at(out, "y")
    return out


def plain(page: str) -> str:
    return re.sub(r"<style>.*?</style>|<[^>]*>", "", page, flags=re.S)


def test_a_func_shows_its_definition_its_directives_and_the_nest(blur: halo.Func) -> None:
    page = blur._repr_html_()
    text = plain(page)
    assert "out[y, x] = rows[y, x] + select(rows[y + 1, x] &lt; 3, 1, 2)" in text
    assert "out.vectorize(&quot;x&quot;, 8)" in text
    for kind in ("parallel", "vectorize", "unroll", "alloc"):
        assert f'<i class="halo-{kind}">' in page
    assert "memory rows" in text
    assert "<u>out</u>" in page


def test_badges_say_what_the_text_says(blur: halo.Func) -> None:
    badges = re.findall(r'<i class="halo-(\w+)">', blur._repr_html_())
    words = re.findall(r"^ *alloc|parallel|vectorize|unroll", blur.loops(), re.M)
    assert badges == [w.strip() for w in words]


def test_times_stand_where_they_were_measured_under_this_schedule(blur: halo.Func) -> None:
    assert 'class="halo-time"' not in blur._repr_html_()
    p = blur.profile(img=np.ones((40, 80), np.uint16), shape=(30, 70), runs=1)
    page = blur._repr_html_()
    assert re.findall(r"<u>(\w+)</u> <i class=\"halo-time\">([\d.]+) ms", page) == [
        (name, f"{p[name].seconds * 1e3:.3f}") for name in re.findall(r"produce (\w+)", blur.loops())
    ]
    blur["rows"].compute_root()
    assert 'class="halo-time"' not in blur._repr_html_()


def test_what_is_not_yet_defined_shows_what_is_there() -> None:
    assert "not defined" in halo.Func("f")._repr_html_()
    y, x = halo.vars("y x")
    g = halo.Func("g")
    g[y, x] = halo.Input("a", ndim=1)[halo.Input("b", halo.f32, ndim=1)[x] + y]  # no index: there is no nest
    assert "b[x]" in g._repr_html_()


def test_a_schedule_is_python_to_copy(blur: halo.Func) -> None:
    page = blur.schedule()._repr_html_()
    assert plain(page).replace("&quot;", '"') == str(blur.schedule())
    blur.unschedule()
    assert "without directives" in blur.schedule()._repr_html_()


def test_a_kernel_is_a_signature(blur: halo.Func) -> None:
    text = blur.compile()._repr_html_()
    assert "<td>img</td><td>u16[:, :]</td>" in text
    assert "<td><small>result</small></td><td>u16[:, :]</td>" in text


def test_an_expression(blur: halo.Func) -> None:
    x = halo.Var("x")
    assert "x*2 &lt; 7" in (x * 2 < 7)._repr_html_()


def test_light_and_asking_nobody(blur: halo.Func) -> None:
    page = blur._repr_html_()
    assert len(page) < 10_000
    assert not re.search(r"http|url\(|@import|<script|src=", page)


def test_what_is_tensorised_says_by_what() -> None:
    f, x, a = halo.Func("f"), halo.Var("x"), halo.Input("a", halo.u8, 2)
    r = halo.rdom(4, names="k")
    f[x] = halo.i32(0)
    f[x] += halo.i32(a[x, r.k]) * halo.i32(halo.i8(r.k))
    f.update(0).split("x", "xo", "xi", 16).tensorize("xi", "dot_u8i8_i32").partition("xi", "never")
    badges = re.findall(r'<i class="halo-(\w+)">([^<]*)<', f._repr_html_())
    assert badges == [
        ("tensorize", "tensorize dot_u8i8_i32"),
        ("partition", "partition never"),
        ("tensorize", "tensorize"),
    ]
