"""What the values of a memoized stage follow from, and where memoization would be wrong."""

from __future__ import annotations

import pytest

import halo

from .passes import after

Y, X = halo.vars("y x")
I = halo.Input("img", halo.i32, ndim=2)


def func(name: str, value: halo.Expr) -> halo.Func:
    f = halo.Func(name)
    f[Y, X] = value
    return f.compute_root()


def looked_up(f: halo.Func) -> list[str]:
    """The lines that look something up, without the numbers of stages."""
    lines = after(f, "inject_memoization").splitlines()
    return [line.strip() for line in lines if "= memoize(" in line]


def test_all_that_is_upstream_is_in_the_key() -> None:
    k, unused = halo.Param("k", halo.f32), halo.Param("unused", halo.i32)
    table = halo.Input("table", halo.i32, ndim=1)
    a = func("a", I[Y, X - 1] + I.shape[0])
    b = func("b", a[Y, X] + a[Y + 2, X])
    c = func("c", table[halo.clamp(b[Y, X], 0, 9)] + halo.i32(k))
    out = func("out", c[Y, X] + unused)
    c.memoize()
    (line,) = looked_up(out)
    assert "by(img.shape[0], k)" in line or "by(k, img.shape[0])" in line
    assert "table[0:min(10, table.shape[0])]" in line or "table[0:" in line
    assert "img[max(0, c.min[0]):" in line
    assert "unused" not in line


def test_the_schedule_of_what_is_upstream_does_not_matter() -> None:
    a = func("a", I[Y, X] + I[Y + 1, X])
    b = func("b", a[Y, X] + a[Y, X + 3])
    out = func("out", b[Y, X] * 2)
    b.memoize()
    plain = looked_up(out)
    a.compute_at(b, "y").store_root().vectorize("x", 8)
    b.split("x", "xo", "xi", 16)
    assert looked_up(out) == plain


def test_inside_of_vectors_is_refused() -> None:
    a = func("a", I[Y, X] + 1)
    out = func("out", a[Y, X] * 2)
    out.vectorize("x", 4)
    a.compute_at(out, "x_v").memoize()
    with pytest.raises(halo.ScheduleError, match=r"in the lanes of the vectorised loop out\.x_v") as error:
        out.loops()
    assert error.value.loc is not None and "memoize" in str(error.value)


def test_what_outlives_a_production_that_may_not_happen_is_refused() -> None:
    a = func("a", I[Y, X] + 1)
    b = func("b", a[Y, X] + a[Y + 1, X])
    out = func("out", b[Y, X] * 2)
    out.split("y", "yo", "yi", 4)
    b.compute_at(out, "yo").memoize()
    a.store_root().compute_at(b, "y")
    with pytest.raises(halo.ScheduleError, match=r"b\.memoize: a is computed inside of it"):
        out.loops()
    a.store_at(out, "yo")  # there it slides within one production
    assert "memoize b by img" in out.loops()
