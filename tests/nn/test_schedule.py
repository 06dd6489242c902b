"""What is larger than the caches: its inputs are asked for ahead, its results pass the caches, and it is what NumPy has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import halo
from halo import nn
from halo.graph import Module, parse

Made = tuple[str, Callable[..., np.ndarray], list[str]]


def arrays(m: Module) -> list[np.ndarray]:
    """What it may be called with."""
    rng = np.random.default_rng(7)
    return [rng.standard_normal(t.shape, np.float32).astype(t.dtype.dtype) for t in m.inputs.values()]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(x.dtype)


CASES: dict[str, Made] = {
    "one axis": ("(%x: f32[4194304]) -> f32[4194304] { %0 = sigmoid(%x); %0 }", sigmoid, ["x"]),
    "some axes, the first of one entry": (
        "(%x: f32[1, 64, 256, 272], %y: f32[1, 64, 256, 272]) -> f32[1, 64, 256, 272] { %0 = add(%x, %y); %1 = relu(%0); %1 }",
        lambda x, y: np.maximum(x + y, 0),
        ["x", "y"],
    ),
    "what is broadcast is not": (
        "(%x: f32[4096, 1040], %y: f32[1040], %z: f32[4096, 1]) -> f32[4096, 1040] { %0 = add(%x, %y); %1 = multiply(%0, %z); %1 }",
        lambda x, y, z: (x + y) * z,
        ["x"],
    ),
    "rows that end inside a vector": (
        "(%x: f32[65536, 80]) -> f32[65536, 80] { %0 = sigmoid(%x); %0 }", sigmoid, ["x"]
    ),
    "colours": (
        "(%x: f32[4194304, 2]) -> f32[4194304, 2] { %0 = sigmoid(%x); %0 }", sigmoid, []
    ),
    "a narrower type": (
        "(%x: f16[2048, 4096]) -> f16[2048, 4096] { %0 = relu(%x); %0 }",
        lambda x: np.maximum(x, 0),
        ["x"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_elementwise_asks_for_its_inputs_ahead(name: str) -> None:
    text, want, asked = CASES[name]
    m = parse(f"def main{text}")
    net, given = m.compile(), arrays(m)
    (group,) = net.groups
    schedule = str(group.schedule())
    assert "stream_stores" in schedule or not asked
    assert schedule.count(".prefetch(") == len(asked)
    got = net(*given)
    np.testing.assert_allclose(got, want(*given), rtol=1e-6, atol=1e-6)
    plain = m.compile(schedules={group.name: lambda f: f.unschedule()})
    np.testing.assert_array_equal(plain(*given), got)


LINES: dict[str, tuple[str, Callable[..., np.ndarray], int]] = {
    "rows": ("f32[8192, 528]", lambda x: nn.softmax.reference(x), 1),
    "rows of a narrower type": ("f16[8192, 1056]", lambda x: nn.softmax.reference(x), 1),
    "columns": ("f32[16, 300, 1040]", lambda x: nn.softmax.reference(x, axis=1), 2),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_ask_for_the_next_ones(name: str) -> None:
    type, want, asked = LINES[name]
    m = parse(f"def main(%x: {type}) -> {type} {{ %0 = softmax(%x, axis={1 if name == 'columns' else -1}); %0 }}")
    net, (x,) = m.compile(), arrays(m)
    (group,) = net.groups
    assert str(group.schedule()).count(".prefetch(") == asked
    assert ("compute_with(line_powers" in str(group.schedule())) == (name == "columns")
    got = net(x)
    np.testing.assert_allclose(got, want(x), rtol=1e-3 if x.dtype == np.float16 else 1e-5, atol=1e-7)
    threads = halo.get_num_threads()
    halo.set_num_threads(1)
    try:
        np.testing.assert_array_equal(net(x), got)
    finally:
        halo.set_num_threads(threads)
