"""The order of computation: the numbers of Halide's talk, and what else can be seen."""

from __future__ import annotations

import numpy as np
import pytest

import halo


def plane() -> halo.Func:
    y, x = halo.vars("y x")
    f = halo.Func("f")
    f[y, x] = y + x
    return f


def rows(order: object) -> list[list[int]]:
    return [[int(n) for n in line.split()] for line in str(order).splitlines()]


def test_the_example_of_the_talk() -> None:
    f = plane()
    f.split("x", "xo", "xi", 2).split("y", "yo", "yi", 2).reorder("yo", "xo", "yi", "xi")
    shown = rows(halo.show.order(f, shape=(8, 8)))
    assert shown[0] == [1, 2, 5, 6, 9, 10, 13, 14]
    assert shown[1] == [3, 4, 7, 8, 11, 12, 15, 16]
    assert shown[7][-1] == 64


def test_row_major_column_major_and_vectors() -> None:
    assert rows(halo.show.order(plane().serial("y"), (2, 3))) == [[1, 2, 3], [4, 5, 6]]
    assert rows(halo.show.order(plane().reorder("x", "y"), (2, 3))) == [[1, 3, 5], [2, 4, 6]]
    assert rows(halo.show.order(plane().vectorize("x", 2), (2, 4))) == [[1, 1, 2, 2], [3, 3, 4, 4]]


def test_a_tail_shows_what_it_really_does() -> None:
    """`shift_inwards` computes points of the last vector again."""
    f = plane().vectorize("x", 4, tail="shift_inwards")
    shown = halo.show.order(f, (1, 6))["f"]
    assert shown.first.tolist() == [[1, 1, 1, 1, 2, 2]]
    assert shown.times.tolist() == [[1, 1, 2, 2, 1, 1]]
    assert shown.recomputed == 2
    assert "2 computations too many" in str(shown)


@pytest.fixture
def blur() -> tuple[halo.Func, halo.Func]:
    y, x = halo.vars("y x")
    img, a, b = halo.Input("img", ndim=2), halo.Func("a"), halo.Func("b")
    a[y, x] = img[y, x - 1] + img[y, x] + img[y, x + 1]
    b[y, x] = a[y - 1, x] + a[y, x] + a[y + 1, x]
    return a, b


def test_producer_and_consumer_share_a_clock(blur: tuple[halo.Func, halo.Func]) -> None:
    a, b = blur
    a.compute_at(b, "y")
    shown = halo.show.order(b, (2, 2), of=(a, "b"))
    assert shown["a"].first.tolist() == [[1, 2], [3, 4], [5, 6], [13, 14]]
    assert shown["b"].first.tolist() == [[7, 8], [15, 16]]
    assert shown["a"].recomputed == 4
    assert repr(shown).startswith("a:\n 1  2\n")


def test_values_are_live_from_their_store_to_the_end_of_their_memory(blur: tuple[halo.Func, halo.Func]) -> None:
    a, b = blur
    a.store_root().compute_at(b, "y").fold_storage("y", 3)
    shown = halo.show.order(b, (4, 1), of=[a, b])
    live = {cell: (start, end) for cell, start, end in shown["a"].live}
    steps = {cell: n for cell, n in shown["a"].stores}
    assert shown["a"].recomputed == 0
    assert {cell: start for cell, (start, _) in live.items()} == steps
    assert live[0, 0][1] == steps[3, 0]  # its place is taken by row 3
    assert live[2, 0][1] == steps[5, 0]


def test_inputs_are_made_up_of_the_size_that_is_needed(blur: tuple[halo.Func, halo.Func]) -> None:
    y, x = halo.vars("y x")
    f, far = halo.Func("f"), halo.Input("far", halo.u8, ndim=1)
    f[y, x] = blur[1][2 * y, x] + far[x + 100 + y]
    assert rows(halo.show.order(f.serial("y"), (2, 2))) == [[1, 2], [3, 4]]


def test_one_stage_of_several() -> None:
    i = halo.Var("i")
    f, r = halo.Func("f"), halo.rdom(3, names="r")
    f[i] = 0
    f[i] += r.r
    assert rows(halo.show.order(f.serial("i"), (2,))) == [[1, 2]]
    assert rows(halo.show.order(f.update(0), (2,))) == [[1, 4]]
    assert halo.show.order(f.update(0), 2)["f.update(0)"].times.tolist() == [3, 3]


def test_a_scatter_leaves_cells_out() -> None:
    i = halo.Var("i")
    f, r, a = halo.Func("f"), halo.rdom(3, names="r"), halo.Input("a", halo.u8, ndim=1)
    f[i] = 0
    f[a[r.r]] += 1
    shown = halo.show.order(f.update(0), (9,), a=np.array([4, 8, 4], np.uint8))
    assert str(shown) == "1 . . . 2"
    assert shown["f.update(0)"].origin == (4,)


def test_three_axes_show_the_first_plane() -> None:
    c, y, x = halo.vars("c y x")
    f = halo.Func("f")
    f[c, y, x] = c + y + x
    assert rows(halo.show.order(f.reorder("y", "x", "c"), (2, 2, 2))) == [[1, 3], [5, 7]]


def test_html_and_animation(blur: tuple[halo.Func, halo.Func]) -> None:
    a, b = blur
    a.compute_at(b, "y")
    shown = halo.show.order(b, (4, 4), of=(a, b))
    page = shown._repr_html_()
    assert page.count("<table>") == 2
    assert page.count("<td") == 6 * 4 + 4 * 4
    assert page.count("again") > 8
    moving = str(shown.animate())
    assert moving.count("<td") == page.count("<td")
    assert "http" not in moving
    assert len(moving) < 20_000


def test_a_figure(blur: tuple[halo.Func, halo.Func]) -> None:
    pytest.importorskip("matplotlib", reason="extra: notebook")
    a, b = blur
    a.compute_at(b, "y")
    figure = halo.show.order(b, (4, 4), of=(a, b)).plot()
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert [t.get_text() for t in figure.axes[1].texts][:2] == ["13", "14"]


def test_what_cannot_be_shown() -> None:
    f = plane()
    with pytest.raises(halo.ArgumentError, match="f has 2 axes"):
        halo.show.order(f, (4,))
    with pytest.raises(halo.ArgumentError, match="too many cells"):
        halo.show.order(f, (4000, 4000))
    with pytest.raises(halo.ArgumentError, match="neither a Func nor a stage"):
        halo.show.order(3)
    with pytest.raises(halo.ArgumentError, match="not of a Pipeline"):
        halo.show.order(halo.Pipeline([f]))
    with pytest.raises(halo.ArgumentError, match="nothing happens to 'g'"):
        halo.show.order(f, (2, 2), of="g")
    with pytest.raises(halo.ArgumentError, match="'g' is not shown"):
        halo.show.order(f, (2, 2))["g"]
