"""Prefetches: which memory is asked for, under every kind of loop and storage; and that nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import halo

from .passes import stages

Y, X = halo.vars("y x")
IMG = np.random.default_rng(3).integers(0, 1000, (41, 67), np.uint16)


def pipeline() -> tuple[halo.Func, halo.Func, halo.Input]:
    img = halo.Input("img", halo.u16, ndim=2)
    g, f = halo.Func("g"), halo.Func("f")
    g[Y, X] = img[Y, X] + img[Y + 1, X + 1]
    f[Y, X] = g[Y, X] + g[Y, X + 1] * 2
    return f, g, img


def want(img: np.ndarray) -> np.ndarray:
    g = img[:-1, :-1] + img[1:, 1:]
    return g[:, :-1] + g[:, 1:] * 2


def check(f: halo.Func, img: np.ndarray) -> None:
    wanted = want(img)
    np.testing.assert_array_equal(f(img=img, shape=wanted.shape), wanted)


def prefetches(f: halo.Func, step: str = "prefetch") -> list[str]:
    """The lines that ask for memory after the pass `step`."""
    text = stages(f, img=halo.u16)[step]
    return [line.strip() for line in text.splitlines() if line.strip().startswith(("prefetch", "fetch"))]


BOXES: dict[str, tuple[Callable[..., object], str]] = {
    "the next row but one": (
        lambda f, g, img: (g.compute_root(), f.prefetch(g, "y", 2)), "g[y + 2..y + 3, f.min[1]..f.shape[1] + f.min[1] + 1]"),
    "an input through what is inline": (
        lambda f, g, img: (g.compute_inline(), f.prefetch(img, "y")),
        "img[y + 1..y + 3, f.min[1]..f.shape[1] + f.min[1] + 2]"),
    "an input through what is computed there": (
        lambda f, g, img: (g.compute_at(f, "y"), f.prefetch(img, "y")),
        "img[y + 1..y + 3, f.min[1]..f.shape[1] + f.min[1] + 2]"),
    "a tile": (
        lambda f, g, img: (g.compute_root(), f.split("x", "xo", "xi", 16, tail="guard").prefetch(g, "xo", 2)),
        "g[y..y + 1, f.min[1] + 16*xo + 32..f.min[1] + min(f.shape[1], 16*xo + 48) + 1]"),
    "in an inner loop": (
        lambda f, g, img: (g.compute_root(), f.prefetch(g, "x", 3, from_="y")), "g[y + 3..y + 4, x..x + 2]"),
    "from the outer loop of a split": (
        lambda f, g, img: (g.compute_root(), f.split("y", "yo", "yi", 4, tail="round_up").prefetch(g, "x", 1, from_="yo")),
        "g[f.min[0] + yi + 4*yo + 4..f.min[0] + yi + 4*yo + 5, x..x + 2]"),
    "all lanes at once": (
        lambda f, g, img: (g.compute_root(), f.vectorize("x", 8, tail="round_up").reorder("x_v", "x").prefetch(g, "x", 4)),
        "g[y..y + 1, f.min[1] + 8*x + 32..f.min[1] + 8*x + 41]"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOXES)
def test_the_box_that_is_needed(name: str) -> None:
    f, g, img = pipeline()
    schedule, box = BOXES[name]
    schedule(f, g, img)
    assert prefetches(f) == [f"prefetch {box} guard"]
    check(f, IMG)


SCHEDULES: dict[str, Callable[..., object]] = {
    "parallel": lambda f, g, img: (g.compute_root().prefetch(img, "y", 2), f.parallel("y").prefetch(g, "y")),
    "vectorised": lambda f, g, img: (g.compute_root(), f.vectorize("x", 16).prefetch(g, "x", 2).prefetch(g, "x_v", 20)),
    "vectorised outside": lambda f, g, img: (g.compute_root(), f.vectorize("y", 4).prefetch(g, "x", 2)),
    "unrolled": lambda f, g, img: (g.compute_root(), f.unroll("x", 4).prefetch(g, "x_u", 2).prefetch(g, "x")),
    "fused": lambda f, g, img: (g.compute_root(), f.fuse("y", "x", "t").prefetch(g, "t", 9)),
    "a window": lambda f, g, img: (g.store_root().compute_at(f, "y").prefetch(img, "y"), f.serial("y").prefetch(g, "y")),
    "a folded axis": lambda f, g, img: (
        g.store_at(f, "yo").compute_at(f, "yi").fold_storage("y", 4), f.split("y", "yo", "yi", 8).prefetch(g, "x", 1)),
    "columns": lambda f, g, img: (g.compute_root().reorder_storage("x", "y"), f.prefetch(g, "y")),
    "shifted tails": lambda f, g, img: (g.compute_root(), f.vectorize("x", 16, tail="shift_inwards").prefetch(g, "x", 3)),
    "backwards": lambda f, g, img: (g.compute_root(), f.prefetch(g, "y", -2)),
    "nowhere near": lambda f, g, img: (g.compute_inline(), f.prefetch(img, "y", 2**31 - 1).prefetch(img, "x", 10**6)),
    "a distance of the call's": lambda f, g, img: (g.compute_root(), f.prefetch(g, "y", img.shape[0] // 10)),
    "in a branch": lambda f, g, img: (g.compute_root(), f.specialize(img.shape[1] > 30).prefetch(g, "y", 2)),
    "beside a thread": lambda f, g, img: (
        g.compute_root().async_().prefetch(img, "y", 2).stream_stores(), f.serial("y").prefetch(g, "y", 1)),
    "beside a thread for each row": lambda f, g, img: (
        g.store_root().compute_at(f, "y").async_(), f.serial("y").prefetch(img, "y", 2).stream_loads()),
    "in turns": lambda f, g, img: (
        g.hoist_storage_root().compute_at(f, "y").ring_buffer(3).async_().prefetch(img, "y", 1),
        f.serial("y").prefetch(img, "y", 2)),
    "together": lambda f, g, img: (
        g.compute_root(), g.clone_in(f).compute_root().prefetch(img, "y", 2).compute_with(g, "y")),
}  # fmt: skip


@pytest.mark.parametrize("strategy", ["guard", "clamp", "non_faulting"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_nothing_depends_on_it(name: str, strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = halo.Func.prefetch
    monkeypatch.setattr(
        halo.Func, "prefetch", lambda self, *args, **named: given(self, *args, **named, strategy=strategy)
    )
    f, g, img = pipeline()
    SCHEDULES[name](f, g, img)
    for data in (IMG, IMG[:3, :4], IMG[::-2, ::-1], np.asfortranarray(IMG), IMG[:, ::3]):
        check(f, data)
    small = IMG[:9, :12]
    run = f.compile(img=small, target="python")
    np.testing.assert_array_equal(run(small, shape=(8, 10)), want(small))
    with pytest.raises(halo.BoundsError):
        f(img=IMG, shape=(40, 66))


@pytest.mark.parametrize("loop", ["y", "x"])
@pytest.mark.parametrize("align", ["start", "end", "none"])
def test_from_a_loop_that_is_shared(loop: str, align: str) -> None:
    img, (a, b, f) = halo.Input("img", halo.i32, ndim=2), (halo.Func(name) for name in "abf")
    a[Y, X] = img[Y, X] + 1
    b[Y, X] = img[Y, X] * 2
    f[Y, X] = a[Y, X] + b[Y + 1, X]
    a.compute_root().prefetch(img, "x", 1, from_="y")
    b.compute_root().prefetch(img, "x", 2, from_="y").compute_with(a, loop, align)
    assert "prefetch img" in stages(f)["prefetch"]
    data = np.arange(63, dtype=np.int32).reshape(9, 7)
    np.testing.assert_array_equal(f(data, shape=(8, 7)), data[:8] + 1 + 2 * data[1:])


@pytest.mark.parametrize("strategy", ["guard", "clamp", "non_faulting"])
def test_strategies(strategy: str) -> None:
    f, g, img = pipeline()
    g.compute_inline()
    f.prefetch(img, "y", strategy=strategy)
    text = stages(f, img=halo.u16)["flatten"]
    before = text[: text.index("fetch img")]
    condition = before.rstrip().splitlines()[-2]
    assert ("y + 1" in condition) == (strategy == "guard")
    assert ("max(" in before) == (strategy == "clamp")


def test_tuples_and_updates() -> None:
    a = halo.Input("a", halo.f64, ndim=1)
    t, f = halo.Func("t"), halo.Func("f")
    t[X] = (a[X], halo.u8(X))
    f[X] = halo.f64(0)
    r = halo.rdom(9)
    f[X] += t[X + r[0]][0] * 2
    t.compute_root()
    f.update(0).prefetch(t, "x", 4).prefetch(t, "r", 1)
    data = np.random.default_rng(1).random(100)
    wanted = sum(2 * data[k : k + 92] for k in range(9))
    np.testing.assert_allclose(f(a=data, shape=(92,)), wanted)
    text = stages(f, a=halo.f64)["flatten"]
    assert "fetch t_0[" in text
    assert "fetch t_1[" not in text  # which is not read


@pytest.mark.parametrize("rank", range(1, 9))
def test_any_rank(rank: int) -> None:
    axes = halo.vars(" ".join(f"v{k}" for k in range(rank)))
    axes = axes if isinstance(axes, tuple) else (axes,)
    a, f, g = halo.Input("a", halo.i32, ndim=rank), halo.Func("f"), halo.Func("g")
    g[axes] = a[axes] + 1
    f[axes] = g[axes] * 2
    g.compute_root().prefetch(a, "v0", 1)
    f.prefetch(g, f"v{rank - 1}", 2, from_="v0", strategy="clamp")
    data = np.arange(3**rank if rank < 6 else 2**rank, dtype=np.int32).reshape((3 if rank < 6 else 2,) * rank)
    np.testing.assert_array_equal(f(a=data), data * 2 + 2)
    np.testing.assert_array_equal(f(a=data.T), data.T * 2 + 2)


def test_data_of_later_iterations_is_not_read() -> None:
    index, table, f = halo.Input("index", halo.u8, ndim=1), halo.Input("table", halo.f32, ndim=1), halo.Func("f")
    f[X] = table[index[X]]
    f.prefetch(table, "x", 10**6)
    data = np.random.default_rng(0).integers(0, 256, 50).astype(np.uint8)
    values = np.arange(256, dtype=np.float32)
    np.testing.assert_array_equal(f(index=data, table=values), values[data])
    assert "prefetch table[256]" in f.loops()


def test_what_an_update_is_about_to_update() -> None:
    i, img, f = halo.Var("i"), halo.Input("img", halo.u8, ndim=1), halo.Func("f")
    f[i] = 0
    r = halo.rdom(img, names="r")
    f[img[r[0]]] += 1
    f.update(0).prefetch(f, "r", 4).prefetch(img, "r", 256, strategy="clamp")
    data = np.random.default_rng(0).integers(0, 256, 999).astype(np.uint8)
    np.testing.assert_array_equal(f(img=data, shape=(256,)), np.bincount(data, minlength=256))


def test_what_is_kept_inside_the_loop_cannot_be_asked_for() -> None:
    f, g, _ = pipeline()
    g.compute_at(f, "y")
    f.prefetch(g, "y")
    with pytest.raises(halo.ScheduleError, match="kept inside it") as error:
        f(img=IMG, shape=(5, 5))
    assert "test_prefetch.py" in str(error.value)


def test_what_is_not_read_in_the_loop_cannot_be_asked_for() -> None:
    f, g, img = pipeline()
    g.compute_root()
    f.prefetch(img, "y")
    with pytest.raises(halo.ScheduleError, match="nothing of img is read in that loop") as error:
        f(img=IMG, shape=(5, 5))
    assert "test_prefetch.py" in str(error.value)


def test_loops_show_it() -> None:
    f, g, _ = pipeline()
    g.compute_root()
    f.vectorize("x", 8).prefetch(g, "y", 2).stream_stores().stream_loads(g)
    assert "  prefetch g[1, f.shape[1] + 1]\n" in f.loops()
    assert "stream f from g:\n" in f.loops()


@pytest.mark.parametrize(("width", "asked"), [(16, 2), (32, 3), (64, 5), (80, 1)])
def test_a_few_lines_are_asked_for_without_a_loop(width: int, asked: int) -> None:
    """Of so many f32, wherever the first of them lies in its line."""
    a = halo.Input("a", halo.f32, ndim=2)
    f = halo.Func("f")
    f[Y, X] = a[Y, X] + 1
    f.bound("x", 0, width).vectorize("x", 16).unroll("x").prefetch(a, "y", 8, strategy="non_faulting")
    data = np.zeros((20, width), np.float32)
    np.testing.assert_array_equal(f(a=data), data + 1)
    assert f.inspect_llvm(a=data).count("call void @llvm.prefetch") == asked
