"""29: stages in threads of their own. Results are those of the same stages without `async_`, bit for bit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halo
from halo.jit.runtime import memory, runtime

from .stages import X, Y, func

SHAPE = (61, 37)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def window(y: np.ndarray) -> np.ndarray:
    return y * 1000 + COLUMNS


WANT = window(ROWS - 1) + window(ROWS + 1) + 1

PLACES: dict[str, Callable[[halo.Func, halo.Func], Any]] = {
    "at the root": lambda f, g: f.compute_root(),
    "in each iteration": lambda f, g: f.compute_at(g, "y"),
    "with a window": lambda f, g: f.store_root().compute_at(g, "y"),
    "with a window in both directions": lambda f, g: f.store_root().compute_at(g, "x"),
    "folded": lambda f, g: f.store_root().compute_at(g, "y").fold_storage("y", 16),
    "folded as narrow as it can be": lambda f, g: f.store_root().compute_at(g, "y").fold_storage("y", 3),
    "in a ring": lambda f, g: f.compute_at(g, "y").hoist_storage_root().ring_buffer(2),
    "in a ring of tiles": lambda f, g: (
        g.tile("y", "x", "yo", "xo", "yi", "xi", 8, 16),
        f.compute_at(g, "xo").hoist_storage_root().ring_buffer(3),
    ),
    "in a ring of windows": lambda f, g: (
        g.split("y", "yo", "yi", 8),
        f.store_at(g, "yo").compute_at(g, "yi").hoist_storage_root().ring_buffer(2),
    ),
    "in a ring with a tail": lambda f, g: (
        g.split("y", "yo", "yi", 7, tail="guard"),
        f.compute_at(g, "yi").hoist_storage_root().ring_buffer(2),
    ),
    "in a parallel loop": lambda f, g: (g.parallel("y"), f.compute_at(g, "y")),
    "in parallel strips with a window": lambda f, g: (
        g.parallel("y", 16),
        f.store_at(g, "y").compute_at(g, "y_p"),
    ),
    "with parallel loops inside": lambda f, g: (g.parallel("x"), f.store_root().compute_at(g, "y").parallel("x")),
    "with vectors": lambda f, g: (g.vectorize("x", 8), f.store_root().compute_at(g, "y").vectorize("x", 8)),
    "specialised": lambda f, g: (
        g.specialize(halo.Param("k", halo.i32) > 0).vectorize("x", 8),
        f.store_root().compute_at(g, "y"),
    ),
}


def pair() -> tuple[halo.Func, halo.Func]:
    f = func("f", (Y, X), Y * 1000 + X)
    return f, func("g", (Y, X), f[Y - 1, X] + f[Y + 1, X] + halo.Param("k", halo.i32))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("place", PLACES)
def test_29_an_async_stage(place: str, threads: int) -> None:
    f, g = pair()
    PLACES[place](f, g)
    f.async_()
    before = halo.get_num_threads()
    if threads > before:
        pytest.skip("there is one thread")
    halo.set_num_threads(threads)
    try:
        for _ in range(20):
            np.testing.assert_array_equal(g(shape=SHAPE, k=1), WANT)
    finally:
        halo.set_num_threads(before)
    np.testing.assert_array_equal(g.compile(target="python", k=halo.i32)(shape=SHAPE, k=1), WANT)


@pytest.mark.parametrize("place", PLACES)
def test_29_an_async_stage_without_a_thread(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    f, g = pair()
    PLACES[place](f, g)
    f.async_()
    threads = runtime().threads
    idle, limit = threads.idle, threads.limit
    threads.idle, threads.limit = None, 0
    try:
        np.testing.assert_array_equal(g(shape=SHAPE, k=1), WANT)
    finally:
        threads.idle, threads.limit = idle, limit


@pytest.mark.parametrize("length", [2, 3, 5])
def test_29_a_chain_of_async_copies(length: int) -> None:
    def stages() -> list[halo.Func]:
        found = [func("f0", (Y, X), Y * Y + 3 * X)]
        for k in range(1, length):
            f = found[-1]
            found.append(func(f"f{k}", (Y, X), f[Y, X] + f[Y + 1, X]))
        return found

    want = stages()[-1](shape=SHAPE)
    *producers, last = stages()
    for f in producers:
        f.store_root().compute_at(last, "y").async_()
    for _ in range(20):
        np.testing.assert_array_equal(last(shape=SHAPE), want)


@pytest.mark.parametrize("sizes", [(0, 0), (4, 0), (0, 8), (8, 8)])
def test_29_readers_in_two_threads(sizes: tuple[int, int]) -> None:
    def stages() -> tuple[halo.Func, halo.Func, halo.Func]:
        a = func("a", (Y, X), Y * 7 + X)
        b = func("b", (Y, X), a[Y, X] + a[Y + 1, X])
        return a, b, func("c", (Y, X), b[Y, X] + b[Y + 1, X] + 3 * a[Y, X])

    want = stages()[-1](shape=SHAPE)
    a, b, c = stages()
    for f, size in ((a, sizes[0]), (b, sizes[1])):
        f.store_root().compute_at(c, "y").async_()
        if size:
            f.fold_storage("y", size)
    for _ in range(20):
        np.testing.assert_array_equal(c(shape=SHAPE), want)


@pytest.mark.parametrize("limit", range(4))
@pytest.mark.parametrize("length", [3, 5])
def test_29_some_threads_but_not_enough(length: int, limit: int) -> None:
    a = func("a", (Y, X), Y * 7 + X)
    stages = [a]
    for k in range(1, length):
        f = stages[-1]
        stages.append(func(f"f{k}", (Y, X), f[Y, X] + f[Y + 1, X] + 3 * a[Y, X]))
    want = stages[-1](shape=SHAPE)
    for f in stages[:-1]:
        f.store_root().compute_at(stages[-1], "y").async_()
    threads = runtime().threads
    idle, count, most = threads.idle, threads.count, threads.limit
    threads.idle, threads.limit = None, count + limit
    try:
        for _ in range(10):
            np.testing.assert_array_equal(stages[-1](shape=SHAPE), want)
    finally:
        threads.idle, threads.limit = threads.idle or idle, most


def test_29_at_one_place_others_come_first_or_run_beside() -> None:
    def stages() -> list[halo.Func]:
        a = func("a", (Y, X), Y * 7 + X)
        b = func("b", (Y, X), a[Y, X] * 2)
        c = func("c", (Y, X), Y - X)
        return [a, b, c, func("d", (Y, X), a[Y, X] + b[Y + 1, X] + c[Y, X + 1])]

    want = stages()[-1](shape=SHAPE)
    for at in (None, "y", "x"):
        for asynchronous in range(1, 8):
            *producers, d = stages()
            for k, f in enumerate(producers):
                f.compute_root() if at is None else f.compute_at(d, at)
                if asynchronous >> k & 1:
                    f.async_()
            np.testing.assert_array_equal(d(shape=SHAPE), want)
            assert d.loops().count("fork") == asynchronous.bit_count()


def test_29_an_async_stage_with_updates() -> None:
    r = halo.rdom(5, names="r")

    def stages() -> tuple[halo.Func, halo.Func]:
        f = func("f", (Y, X), Y * 1000 + X)
        f[Y, X] += r.r * X
        f[Y, X] += f[Y, X] // 3
        g = func("g", (Y, X), f[Y - 1, X] + f[Y + 1, X])
        g[Y, X] += f[Y, X]
        return f, g

    want = stages()[1](shape=SHAPE)
    for place in ("in each iteration", "with a window", "in a ring"):
        f, g = stages()
        PLACES[place](f, g)
        f.async_()
        for _ in range(20):
            np.testing.assert_array_equal(g(shape=SHAPE), want)


def test_29_an_async_tuple() -> None:
    f = func("f", (Y, X), (Y * 1000 + X, Y - X))
    g = func("g", (Y, X), f[Y, X][0] + f[Y + 1, X][1])
    f.store_root().compute_at(g, "y").async_()
    np.testing.assert_array_equal(g(shape=SHAPE), ROWS * 1000 + COLUMNS + ROWS + 1 - COLUMNS)


def test_29_async_stages_that_run_together() -> None:
    a, b = func("a", (Y, X), Y * 7 + X), func("b", (Y, X), Y - X)
    c = func("c", (Y, X), a[Y, X] + b[Y + 1, X])
    a.compute_at(c, "y").async_()
    b.compute_at(c, "y").async_().compute_with(a, "y")
    for _ in range(20):
        np.testing.assert_array_equal(c(shape=SHAPE), ROWS * 7 + COLUMNS + ROWS + 1 - COLUMNS)


def test_29_async_stages_in_async_stages() -> None:
    a = func("a", (Y, X), Y * 7 + X)
    b = func("b", (Y, X), a[Y, X - 1] + a[Y, X + 1])
    c = func("c", (Y, X), b[Y, X] + b[Y + 1, X])
    b.store_root().compute_at(c, "y").async_()
    a.compute_at(b, "y").async_()
    want = 2 * (ROWS * 7 + COLUMNS) + 2 * ((ROWS + 1) * 7 + COLUMNS)
    for _ in range(20):
        np.testing.assert_array_equal(c(shape=SHAPE), want)


def failing(at: int, error: BaseException) -> Callable[[np.ndarray, np.ndarray], None]:
    calls = iter(range(1, 10**9))

    def copy(out: np.ndarray, values: np.ndarray) -> None:
        if next(calls) == at:
            raise error
        np.copyto(out, values)

    return copy


PIPELINED = ("in each iteration", "with a window", "folded", "in a ring", "at the root")


@pytest.mark.parametrize("place", PIPELINED)
@pytest.mark.parametrize(("producer", "consumer"), [(1, 0), (0, 1), (40, 0), (0, 40), (20, 22)])
def test_29_an_exception_in_either_half_ends_both(place: str, producer: int, consumer: int) -> None:
    f = func("f", (Y, X), Y * 1000 + X)
    first = halo.extern(failing(producer, KeyError("first")), [f], halo.i32, 2)
    g = func("g", (Y, X), first[Y, X])
    h = func("h", (Y, X), g[Y - 1, X] + g[Y + 1, X])
    second = halo.extern(failing(consumer, KeyError("second")), [h], halo.i32, 2)
    out = func("out", (Y, X), second[Y, X] + 1)
    for stage, at in ((f, g), (first, g), (h, out), (second, out)):
        stage.compute_at(at, "y")
    PLACES[place](g, out)
    g.async_()
    live = memory().live
    with pytest.raises(KeyError):
        out(shape=SHAPE)
    assert memory().live == live
    for _ in range(3):  # later ones succeed, but for the exception that the other half did not come to raise
        with contextlib.suppress(KeyError):
            np.testing.assert_array_equal(out(shape=SHAPE), WANT)


@pytest.mark.parametrize("place", PIPELINED)
@pytest.mark.parametrize("half", ["producer", "consumer"])
def test_29_a_requirement_in_either_half(place: str, half: str) -> None:
    k = halo.Param("k", halo.i32)

    def required(value: Any, of: str) -> Any:
        return halo.require(Y < k, value, "row", Y) if half == of else value

    f = func("f", (Y, X), required(Y * 1000 + X, "producer"))
    g = func("g", (Y, X), required(f[Y - 1, X] + f[Y + 1, X], "consumer"))
    PLACES[place](f, g)
    f.async_()
    for _ in range(10):
        live = memory().live
        with pytest.raises(halo.ArgumentError, match="row 40"):
            g(shape=SHAPE, k=40)
        assert memory().live == live
        np.testing.assert_array_equal(g(shape=SHAPE, k=100), WANT - 1)


@pytest.mark.parametrize("place", ["in each iteration", "in a ring", "at the root"])
def test_29_no_memory_in_either_half(place: str) -> None:
    k = halo.Param("k", halo.i32)
    for huge in ("producer", "consumer"):
        far = [k if half == huge else 0 for half in ("producer", "consumer")]
        a, b = func("a", (Y, X), Y * 1000 + X), func("b", (Y, X), Y + X)
        f = func("f", (Y, X), a[Y, X] + halo.min(abs(a[Y + far[0], X + far[0]]), 0))
        g = func("g", (Y, X), f[Y - 1, X] + f[Y + 1, X] + 1 + halo.min(b[Y, X], b[Y + far[1], X + far[1]], 0))
        a.compute_at(f, "y")
        b.compute_at(g, "y")
        PLACES[place](f, g)
        f.async_()
        live = memory().live
        with pytest.raises(MemoryError):
            g(shape=SHAPE, k=10**9)
        assert memory().live == live
        np.testing.assert_array_equal(g(shape=SHAPE, k=3), WANT)


def test_29_memory_is_flat_and_threads_are_used_again() -> None:
    f, g = pair()
    PLACES["folded"](f, g)
    f.async_()
    g(shape=SHAPE, k=1)
    before = memory().live, runtime().threads.count
    for _ in range(500):
        g(shape=SHAPE, k=1)
    assert (memory().live, runtime().threads.count) == before


REFUSED: dict[str, Callable[[], halo.Func]] = {}


def refused(make: Callable[[], halo.Func]) -> Callable[[], halo.Func]:
    REFUSED[make.__name__] = make
    return make


@refused
def an_async_stage_that_is_inlined() -> halo.Func:
    f = halo.Func("f")
    f[Y, X] = Y + X
    f.async_()
    return func("g", (Y, X), f[Y, X])


@refused
def an_async_output() -> halo.Func:
    f = halo.Func("f")
    f[Y, X] = Y + X
    return f.async_()


@refused
def a_producer_between() -> halo.Func:
    a = func("a", (Y, X), Y + X)
    b = func("b", (Y, X), a[Y, X] + a[Y + 1, X])
    c = func("c", (Y, X), b[Y, X] + b[Y + 1, X])
    a.store_root().compute_at(c, "y")
    b.store_root().compute_at(c, "y").async_()
    return c


@refused
def an_async_stage_in_lanes() -> halo.Func:
    f = func("f", (Y, X), Y + X)
    g = func("g", (Y, X), f[Y, X] + f[Y, X + 1])
    g.vectorize("x", 8)
    f.compute_at(g, "x_v").async_()
    return g


@refused
def some_of_the_stages_that_run_together() -> halo.Func:
    a, b = func("a", (Y, X), Y + X), func("b", (Y, X), Y - X)
    c = func("c", (Y, X), a[Y, X] + b[Y, X])
    a.compute_at(c, "y")
    b.compute_at(c, "y").compute_with(a, "y").async_()
    return c


def test_29_refusals(golden: Callable[[str, str], None]) -> None:
    texts = []
    for name, make in REFUSED.items():
        with pytest.raises(halo.ScheduleError) as e:
            make()(shape=SHAPE)
        shown = f"{e.value.message}\nlegal: {', '.join(e.value.legal)}\ntry: {e.value.hint}"
        texts.append(f"## {name.replace('_', ' ')}\n\n{shown}")
        assert e.value.loc is not None
    golden("errors/ScheduleError_async", "\n\n".join(texts))


def test_29_a_profile_of_async_stages() -> None:
    f, g = pair()
    PLACES["folded"](f, g)
    f.async_()
    found = {s.name: s for s in g.profile(shape=SHAPE, k=1, runs=3)}
    assert found["f"].seconds > 0
    assert found["g"].seconds > 0


@pytest.mark.parametrize("k", [0, 1])
@pytest.mark.parametrize("split", ["y", "x"])
def test_29_async_stages_of_a_specialised_reader(split: str, k: int) -> None:
    def stages() -> tuple[halo.Func, halo.Func, halo.Func]:
        a = func("a", (Y, X), Y * 7 + X)
        b = func("b", (Y, X), a[Y, X] + a[Y + 1, X])
        return a, b, func("c", (Y, X), b[Y, X] + b[Y + 1, X] + 3 * a[Y, X] + halo.Param("k", halo.i32))

    want = stages()[2](shape=SHAPE, k=k)
    a, b, c = stages()
    c.split(split, split, f"{split}i", 4)
    a.store_root().compute_at(c, "yi" if split == "y" else "y").async_()
    b.store_at(c, "y").compute_at(c, "yi" if split == "y" else "x").async_()
    c.specialize(c.inputs["k"] > 0).vectorize("x" if split == "y" else "xi", 4)
    for _ in range(10):
        np.testing.assert_array_equal(c(shape=SHAPE, k=k), want)
