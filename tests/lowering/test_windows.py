"""Chains of stencils under random schedules of windows: stored outside of the loops that they are computed in, in tiles
that do not fit, in rings, in threads; against the same stages in plain loops, each over all of what its readers need."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

import halo

TAILS = ("auto", "guard", "round_up", "shift_inwards", "predicate")
SHAPES = ((1, 3), (5, 9), (9, 4), (17, 16), (3, 23), (12, 12))


def stages(rng: random.Random) -> list[halo.Func]:
    """Two to four stages, each a sum of rows and columns round its own of those before, some updated."""
    y, x = halo.vars("y x")
    made: list[halo.Func] = []
    for k in range(rng.choice((2, 3, 3, 4))):
        f = halo.Func(f"f{k}")
        if made:
            total = halo.i32(0)
            near = made[-1] if rng.random() < 0.8 else rng.choice(made)
            down = rng.choice((1, 1, 1, 1, 2, -1))
            for g in [near, *([rng.choice(made)] if k > 1 and rng.random() < 0.4 else [])]:
                for t in range(rng.randint(1, 4)):
                    total = total + g[down * y + rng.randint(-4, 5), x + rng.randint(-3, 4)] * (t + k)
            f[y, x] = total
        else:
            f[y, x] = y * 31 + x * 7
        _update(f, y, x, f"r{k}", rng)
        made.append(f)
    return made


def _update(f: halo.Func, y: halo.Var, x: halo.Var, name: str, rng: random.Random) -> None:
    (r,) = halo.rdom((1, 3), names=name)
    kind = rng.randrange(10)
    if kind == 0:
        f[y, x] += 3
    elif kind == 1:
        f[y, x] += r * x
    elif kind == 2:
        f[y, r * 2] += y + 1
    elif kind == 3:
        f[y, r] += f[y, r - 1]
    elif kind == 4:
        f[r, x] += f[r - 1, x] + 1


def schedule(fs: list[halo.Func], rng: random.Random) -> None:
    loops: dict[str, list[str]] = {}
    for f in reversed(fs):
        loops[f.name] = _loops(f, rng)
        for k in range(len(f.definitions.updates)):
            if rng.random() < 0.4:
                _loops(f.update(k), rng)
        if f is fs[-1]:
            continue
        later = fs[fs.index(f) + 1 :]
        reader = later[0] if rng.random() < 0.85 else rng.choice(later)
        if rng.random() < 0.8:
            at = rng.randrange(len(loops[reader.name]))
            _try(f.compute_at, reader, loops[reader.name][at])
            kind = rng.random()
            if kind < 0.4:
                f.store_root()
            elif kind < 0.75:
                _try(f.store_at, reader, loops[reader.name][rng.randint(0, at)])
            elif kind < 0.85 and _try(f.hoist_storage_root):
                _try(f.ring_buffer, rng.randint(2, 4))
        elif rng.random() < 0.8:
            f.compute_root()
        for chance, directive, *args in (
            (0.2, f.async_),
            (0.06, f.fold_storage, rng.choice("yx"), rng.randint(2, 16)),
            (0.1, f.align_bounds, rng.choice("yx"), rng.randint(2, 5)),
            (0.04, f.memoize),
        ):
            if rng.random() < chance:
                _try(directive, *args)


def _loops(stage: halo.Func | halo.Stage, rng: random.Random) -> list[str]:
    """The loops of the stage after some random directives."""
    names = ["y", "x"]
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        v, n, tail, kind = rng.choice(names), rng.randint(2, 8), rng.choice(TAILS), rng.randrange(8)
        at = names.index(v)
        if kind < 4 and _try(stage.split, v, f"{v}o", f"{v}i", n, tail=tail):
            names[at : at + 1] = [f"{v}o", f"{v}i"]
        elif kind == 4:
            _try(rng.choice((stage.vectorize, stage.unroll, stage.parallel)), v, n, tail=tail)
        elif kind == 5 and len(names) > at + 1 and _try(stage.fuse, v, names[at + 1], f"z{v}"):
            names[at : at + 2] = [f"z{v}"]
        elif kind == 6:
            order = rng.sample(names, len(names))
            names = order if _try(stage.reorder, *order) else names
        elif kind == 7:
            _try(stage.partition, v, rng.choice(("always", "never")))
    return names


def _try(directive: Callable[..., object], *args: object, **kwargs: object) -> bool:
    try:
        directive(*args, **kwargs)
    except halo.ScheduleError:
        return False
    return True


def plain(seed: int) -> halo.Func:
    fs = stages(random.Random(seed))
    for f in fs:
        if f is not fs[-1]:
            f.compute_root()
        for stage in (f, *(f.update(k) for k in range(len(f.definitions.updates)))):
            stage.never_partition_all()
    return fs[-1]


def check(seed: int) -> int:
    """How many of two random schedules of the chain `seed` were legal, and so gave the right result."""
    shape, legal = random.Random(seed).choice(SHAPES), 0
    want = plain(seed)(shape=shape)
    for turn in range(2):
        fs = stages(random.Random(seed))
        schedule(fs, random.Random(31 * seed + turn))
        try:
            got = fs[-1](shape=shape)
        except halo.ScheduleError:
            continue
        np.testing.assert_array_equal(got, want, f"{seed}\n{fs[-1].schedule()}")
        legal += 1
    return legal


def test_windows() -> None:
    assert sum(map(check, range(30))) > 25


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 400, 30))
def test_many_windows(seed: int) -> None:
    assert sum(map(check, range(seed, seed + 30))) > 25


def chain(updated: bool, *readings: tuple[tuple[int, int], ...]) -> list[halo.Func]:
    """f0, and stages that each read the one before at (rows, columns) from their own."""
    y, x = halo.vars("y x")
    made: list[halo.Func] = []
    for k, offsets in enumerate(((), *readings)):
        f = halo.Func(f"f{k}")
        read = (made[-1][y + a, x + b] * (n + k) for n, (a, b) in enumerate(offsets))
        f[y, x] = sum(read, 13 * y + 7 * x + halo.select((y ^ x) & 3 == 1, 5, 0))
        if updated:
            f[y, x] += 3
        made.append(f)
    return made


def test_a_window_inside_of_what_a_window_left() -> None:
    """f0 slides in the loops of f1, which slides in that over y of f2: f0's rows were those of all of f1's region."""
    readings = ((0, -1), (0, 4), (-4, -2), (-3, 0)), ((5, 3), (-2, -2))
    want = chain(True, *readings)
    want[0].compute_root()
    want[1].compute_root()
    f0, f1, f2 = chain(True, *readings)
    f1.split("y", "yo", "yi", 7, tail="guard").compute_at(f2, "y").store_root()
    f0.compute_at(f1, "x").store_at(f1, "yo")
    np.testing.assert_array_equal(f2(shape=(12, 12)), want[2](shape=(12, 12)))


def test_what_is_computed_innermost_is_stored_there_and_nowhere_else() -> None:
    """The storage of f0 for f1, both innermost, stood round f2's reading of f1 too, and its window slid over that."""
    f0, f1, f2 = chain(True, ((4, 2), (-3, 1)), ((0, -3), (3, 3)))
    for f in (f0, f1, f2):
        f.rename("y", "row")
    text = f2.loops()
    assert text.count("alloc f0") == text.count("alloc f1") == 1, text
