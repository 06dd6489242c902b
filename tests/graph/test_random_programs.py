"""Any program gives what NumPy makes of it operator by operator, whatever the passes do to it, on any number of threads."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from tests.graph.programs import Maker, by_numpy

LEAST, MOST = {"n": 1, "h": 5, "w": 5}, {"n": 4, "h": 20, "w": 20}


def check(maker: Maker, steps: int) -> None:
    m, shapes = maker.program(steps)
    net = m.compile()
    opened = {str(k) for s in shapes.values() for k in s if not isinstance(k, int)}
    for _ in range(3 if opened else 1):
        dims = {name: int(maker.rng.integers(LEAST[name], MOST[name])) for name in sorted(opened)}
        inputs = {name: maker.rng.standard_normal([k if isinstance(k, int) else dims[str(k)] for k in s]).astype(maker.type.dtype)
                  for name, s in shapes.items()}  # fmt: skip
        found = _called(net, inputs, 1)
        for got, again, want in zip(found, _called(net, inputs, 2), by_numpy(m, inputs), strict=True):
            assert got.shape == want.shape
            assert got.tobytes() == again.tobytes()
            got, want = got.astype(np.float64), want.astype(np.float64)
            np.testing.assert_allclose(got, want, rtol=0, atol=maker.error * max(abs(want).max(initial=0), 1e-2))


def _called(net: Any, inputs: dict[str, np.ndarray], threads: int) -> Any:
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_many_programs(seed: int) -> None:
    chance = random.Random(seed)
    check(Maker(chance.randrange), chance.choice((3, 5, 8, 12)))
