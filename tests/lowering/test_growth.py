"""Large pipelines compile, and what that takes grows with their size alone: nodes of expressions and text for LLVM."""

from __future__ import annotations

import time

import numpy as np
import pytest

import halo
from halo.func.signature import signature
from halo.ir.node import interning, node_count
from halo.jit.emit import emit
from halo.jit.target import Target

Y, X = halo.vars("y x")


def func(name, variables, value):
    f = halo.Func(name)
    f[variables] = value
    return f


def chain(n, schedule=None):
    """`n` sums of two neighbours, each of the one before."""
    f = halo.Input("img", halo.f32, ndim=2)
    for k in range(n):
        f = func(f"f{k}", (Y, X), (f[Y, X] + f[Y, X + 1]) * 0.5)
        if schedule is not None:
            schedule(f)
    return f


def windows(n):
    """Each is computed in the rows of the last, and slides."""
    stages, f = [], halo.Input("img", halo.f32, ndim=2)
    for k in range(n):
        f = func(f"f{k}", (Y, X), (f[Y, X] + f[Y + 1, X]) * 0.5)
        stages.append(f)
    for g in stages[:-1]:
        g.store_root().compute_at(f, "y")
    return f


def fan(n):
    """`n` stages of one input, all read by the last."""
    img = halo.Input("img", halo.f32, ndim=2)
    parts = [func(f"f{k}", (Y, X), img[Y, X] * float(k)).compute_root() for k in range(n)]
    return func("out", (Y, X), sum((p[Y, X] + p[Y, X + 1] for p in parts[1:]), parts[0][Y, X]))


def pyramid(n):
    """`n` times coarser and finer again."""
    levels = [halo.pad(halo.Input("img", halo.f32, ndim=2), "edge")]
    for k in range(n):
        f = levels[-1]
        levels.append(func(f"down{k}", (Y, X), (f[2 * Y, 2 * X] + f[2 * Y + 1, 2 * X + 1]) * 0.5).compute_root())
    out = levels[-1]
    for k in reversed(range(n)):
        out = func(f"up{k}", (Y, X), out[Y // 2, X // 2] + levels[k][Y, X]).compute_root()
    return out


def work(f):
    """(nodes, characters of LLVM IR) that the pipeline of `f` takes."""
    program, before = f.program(), node_count()
    with interning():
        low = program.lowered(signature(program.arguments, {}, complete=False))
        nodes = node_count() - before
        return nodes, len(emit(low, Target.host(), "f"))


GROWING = {
    "chain": (lambda n: chain(n, lambda f: f.compute_root()), (10, 30, 100, 300)),
    "default": (lambda n: func("out", (Y, X), chain(n)[Y, X]), (10, 30, 100)),
    "parallel": (lambda n: chain(n, lambda f: f.compute_root().parallel("y").vectorize("x", 8)), (10, 30, 100)),
    "windows": (windows, (5, 10, 20)),
    "fan": (fan, (10, 30, 60)),
    "pyramid": (pyramid, (4, 8, 12)),
}


@pytest.mark.parametrize("name", GROWING)
def test_nodes_and_text_grow_with_the_pipeline(name):
    """What one more stage takes does not grow."""
    make, sizes = GROWING[name]
    took = [work(make(n)) for n in sizes]
    steps = [
        [(b - a) / (n - m) for a, b in zip(small, large, strict=True)]
        for m, n, small, large in zip(sizes, sizes[1:], took, took[1:], strict=False)
    ]
    for first, last in zip(steps[0], steps[-1], strict=True):
        assert last <= 1.25 * first, (took, steps)


@pytest.mark.slow
def test_time_grows_with_the_pipeline():
    """Ten times the stages take no more than twenty times as long."""

    def seconds(n):
        f = chain(n, lambda f: f.compute_root())
        start = time.process_time()
        f.compile()
        return time.process_time() - start

    with halo.options(cache=False):
        seconds(3)
        small, large = min(seconds(30) for _ in range(3)), seconds(300)
    assert large <= 20 * small


# Sizes that other compilers choke on ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_four_hundred_stages():
    img = np.random.default_rng(0).random((3, 450), np.float32)
    want = img
    for _ in range(400):
        want = (want[:, :-1] + want[:, 1:]) * np.float32(0.5)
    f = chain(400, lambda f: f.compute_root())
    np.testing.assert_array_equal(f(img=img, shape=(3, 50)), want[:, :50])


def test_a_hundred_inputs():
    inputs = [halo.Input(f"a{k}", halo.i32, ndim=2) for k in range(100)]
    f = func("f", (Y, X), sum((a[Y, X] * k for k, a in enumerate(inputs)), halo.i32(0)))
    arrays = np.random.default_rng(0).integers(-99, 99, (100, 5, 37), np.int32)
    want = sum(k * a for k, a in enumerate(arrays))
    np.testing.assert_array_equal(f(*arrays), want)
    np.testing.assert_array_equal(f.parallel("y").vectorize("x", 8)(*arrays), want)


def test_eight_dimensions():
    v = halo.vars("a b c d e f g h")
    img = halo.pad(halo.Input("img", halo.i32, ndim=8), "edge")
    out = func("out", v, sum(img[(*v[:k], v[k] - 1, *v[k + 1 :])] * (k + 1) for k in range(8)))
    a = np.random.default_rng(0).integers(-99, 99, (3, 2, 1, 2, 3, 2, 2, 5), np.int32)
    want = sum((k + 1) * np.take(a, [0, *range(n - 1)], axis=k) for k, n in enumerate(a.shape))
    np.testing.assert_array_equal(out(img=a), want)


def test_twenty_updates_in_one_another():
    """Each a sum of two of the one before, computed inside the loops of the last."""
    f = halo.Input("img", halo.i32, ndim=1)
    stages = []
    for k in range(20):
        g, r = halo.Func(f"g{k}"), halo.rdom((0, 2), names=f"r{k}")
        g[X] = k
        g[X] += f[X + r[0]]
        stages.append(g)
        f = g
    for g in stages[:-1]:
        g.compute_at(f, "x")
    a = np.random.default_rng(0).integers(-99, 99, 60, np.int32)
    want = a
    for k in range(20):
        want = want[:-1] + want[1:] + np.int32(k)
    np.testing.assert_array_equal(f(img=a, shape=(40,)), want[:40])
