"""Any program gives what NumPy makes of it operator by operator, whatever the passes do to it, on any number of threads."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import graph
from halo.graph import Module
from halo.graph.control import is_open
from halo.graph.ir import walk
from tests.graph.programs import Maker, by_numpy
from tests.graph.wide_programs import WideMaker

LEAST, MOST = {"n": 1, "h": 5, "w": 5}, {"n": 4, "h": 20, "w": 20}
Arrays = Mapping[str, np.ndarray]


def check(maker: Maker, steps: int) -> None:
    m, _ = maker.program(steps)
    net = m.compile()
    opened = {str(k) for t in m.inputs.values() for k in t.shape if not isinstance(k, int)}
    for _ in range(3 if opened else 1):
        inputs = _inputs(maker, m, {name: int(maker.rng.integers(LEAST[name], MOST[name])) for name in sorted(opened)})
        found, want = _called(net, inputs, 1), by_numpy(m, inputs)
        for got, again in zip(found, _called(net, inputs, 2), strict=True):
            assert got.tobytes() == again.tobytes()
        _same(maker, found, want)


def check_in_all_ways(maker: Maker, steps: int, folder: Path) -> None:
    """After each pass, for extents that are known, from a file, and with values inside of it as further results."""
    m, _ = maker.program(steps)
    opened = {str(k) for t in m.inputs.values() for k in t.shape if not isinstance(k, int)}
    inputs = _inputs(maker, m, {name: int(maker.rng.integers(LEAST[name], MOST[name])) for name in sorted(opened)})
    want = by_numpy(m, inputs)
    cut = any(map(is_open, walk(m.main.body)))
    if not cut:
        m.run_passes(lambda name, after: _same(maker, by_numpy(after, inputs), want, name))
    net = m.compile()
    found = _called(net, inputs, 2)
    _same(maker, found, want)
    net.save(folder / "net")
    m.save(folder / "m.halo")
    for got, again in zip(found, _called(graph.load(folder / "net"), inputs, 2), strict=True):
        assert got.tobytes() == again.tobytes()
    _same(maker, by_numpy(Module.load(folder / "m.halo"), inputs), want)
    for known in (lambda n: n, lambda n: range(n % 2, n + 1, 2), lambda n: range(1, n + 2)) if opened else ():
        shapes = {name: tuple(map(known, a.shape)) for name, a in inputs.items()}
        _same(maker, _called(m.compile(shapes=shapes), inputs, 2), want)
    names = [name for name, e in m.values.items() if name.startswith("%") and not isinstance(e.type, tuple)]
    if names and not cut:
        names = names[:: max(len(names) // 3, 1)]
        result, taps = net(**inputs, taps=names)
        _same(maker, result if isinstance(result, tuple) else (result,), want)
        _same(maker, [taps[name] for name in names], by_numpy(m.extract(list(m.inputs), names), inputs))


def _inputs(maker: Maker, m: Module, dims: Mapping[str, int]) -> Arrays:
    made = {}
    for name, t in m.inputs.items():
        shape = [k if isinstance(k, int) else dims[str(k)] for k in t.shape]
        most = 2 if t.dtype.is_bool else 100
        values = maker.rng.standard_normal(shape) if t.dtype.is_float else maker.rng.integers(0, most, shape)
        made[name] = np.asarray(values).astype(t.dtype.dtype)
    return made


def _same(maker: Maker, found: Any, wanted: Any, after: str = "") -> None:
    """Floats but for their rounding, all else to the bit."""
    for got, want in zip(found, wanted, strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype), after
        if got.dtype.kind in "biu":
            np.testing.assert_array_equal(got, want, after)
        else:
            got, want = got.astype(np.float64), want.astype(np.float64)
            atol = maker.error * max(abs(want).max(initial=0, where=np.isfinite(want)), 1e-2)
            np.testing.assert_allclose(got, want, rtol=0, atol=atol, err_msg=after)


def _called(net: Any, inputs: Arrays, threads: int) -> Any:
    before = halo.get_num_threads()
    halo.set_num_threads(threads)
    try:
        found = net(**inputs)
    finally:
        halo.set_num_threads(before)
    return found if isinstance(found, tuple) else (found,)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_program_gives_what_numpy_makes_of_it(data: st.DataObject) -> None:
    check(Maker(lambda n: data.draw(st.integers(0, n - 1))), data.draw(st.sampled_from([3, 5, 8])))


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_so_do_those_with_all_else_that_networks_have(data: st.DataObject) -> None:
    check(WideMaker(lambda n: data.draw(st.integers(0, n - 1))), data.draw(st.sampled_from([3, 5, 8])))


@pytest.mark.parametrize("seed", range(4))
def test_and_in_all_ways(seed: int, tmp_path: Path) -> None:
    check_in_all_ways(WideMaker(random.Random(seed).randrange), 6, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_many_programs(seed: int) -> None:
    chance = random.Random(seed)
    check(Maker(chance.randrange), chance.choice((3, 5, 8, 12)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24, 64))
def test_many_programs_in_all_ways(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    check_in_all_ways((Maker if seed % 3 == 0 else WideMaker)(chance.randrange), chance.choice((3, 5, 8, 12)), tmp_path)
