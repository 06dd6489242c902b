"""Random pipelines whose stages are in random places, in threads of their own or not: the result is always the same."""

from __future__ import annotations

import random

import numpy as np
import pytest

import halo

Y, X = halo.vars("y x")


def stages(rng: random.Random) -> list[halo.Func]:
    """Two to five stages, each of which reads the one before, others too, and may update its values."""
    found: list[halo.Func] = []
    for k in range(rng.randint(2, 5)):
        f = halo.Func(f"f{k}")
        value = Y * (k + 3) + X * 7 + k
        for _ in range(rng.randint(1, 3) if found else 0):
            g = rng.choice(found[-3:])
            value += g[Y + rng.randint(-1, 2), X + rng.randint(-1, 1)] * rng.randint(1, 3)
        f[Y, X] = value + (found[-1][Y, X] if found else 0)
        if rng.random() < 0.3:
            r = halo.rdom(rng.randint(1, 4), names="r")
            f[Y, X] += r.r * X + Y
        if rng.random() < 0.15 and found:
            f[Y, X] += found[-1][Y, X]
        found.append(f.compute_root())
    return found


def schedule(fs: list[halo.Func], rng: random.Random) -> None:
    *producers, out = fs
    loops = _loops(out, rng)
    places = sorted(rng.randrange(-1, len(loops) - 1) for _ in producers)
    for f, at in zip(producers, places, strict=True):
        if at >= 0:
            _place(f, out, loops, at, rng)
        if rng.random() < 0.3:
            f.vectorize("x", 8)
        if rng.random() < 0.15:
            f.parallel("y")
        if rng.random() < 0.7:
            f.async_()


def _loops(out: halo.Func, rng: random.Random) -> list[str]:
    tail = rng.choice(("auto", "guard", "shift_inwards", "round_up"))
    loops = ["y", "x"]
    kind = rng.random()
    if kind < 0.3:
        out.split("y", "y", "yi", rng.choice((2, 3, 4, 8)), tail=tail)
        loops = ["y", "yi", "x"]
    elif kind < 0.5:
        out.tile("y", "x", "y", "xo", "yi", "xi", rng.choice((2, 4, 8)), rng.choice((4, 8)), tail=tail)
        loops = ["y", "xo", "yi", "xi"]
    if rng.random() < 0.1:
        out.parallel(loops[0])
    if rng.random() < 0.3:
        out.vectorize("x", 8) if loops[-1] == "x" else out.vectorize("xi")
    return loops


def _place(f: halo.Func, out: halo.Func, loops: list[str], at: int, rng: random.Random) -> None:
    """Compute `f` at loop number `at`; store it there, or further out, or allocate further out."""
    f.compute_at(out, loops[at])
    kind, outer = rng.random(), rng.randint(-1, at)
    if kind < 0.5:
        f.store_root() if outer < 0 else f.store_at(out, loops[outer])
        if rng.random() < 0.4:
            f.fold_storage("y", rng.choice((4, 8, 16, 5)))
    elif kind < 0.85:
        f.hoist_storage_root() if outer in (-1, at) else f.hoist_storage(out, loops[outer])
        f.ring_buffer(rng.choice((1, 2, 3)))


def check(seed: int) -> int:
    """How many threads the stages of pipeline `seed` have, if its schedule is legal, and so gave the right result."""
    shape = random.Random(seed).choice(((1, 3), (5, 33), (17, 16), (30, 33)))
    want = stages(random.Random(seed))[-1](shape=shape)
    rng = random.Random(seed)
    fs = stages(rng)
    schedule(fs, rng)
    try:
        got = fs[-1](shape=shape)
    except halo.ScheduleError:
        return 0
    for _ in range(8):
        np.testing.assert_array_equal(got, want, str(fs[-1].schedule()))
        got = fs[-1](shape=shape)
    return fs[-1].loops().count("fork ")


def test_a_stage_that_asks_for_its_own_values_while_another_runs_beside_it() -> None:
    """The thread of g kept asking for what is stored of f in a loop that has nothing of g: there is none of it there."""
    x = halo.Var("x")
    f, g = halo.Func("f"), halo.Func("g")
    g[x] = 3 * x
    f[x] = g[x] + g[x + 1]
    r = halo.rdom((1, 20), names="k")
    f[r[0]] += f[r[0] - 1]
    g.store_root().compute_at(f, "x").async_()
    f.update(0).prefetch(f, "k", 2)
    want = 6 * np.arange(21) + 3
    np.testing.assert_array_equal(f(shape=(21,)), np.cumsum(want))


def test_random_stages_in_threads() -> None:
    assert sum(map(check, range(8))) > 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1240, 20))
def test_many_random_stages_in_threads(seed: int) -> None:
    assert sum(map(check, range(seed, seed + 20))) > 4
