"""The table of what a program is made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halo import f32, graph, nn
from halo.graph import parse

from .helpers import bottleneck

W = np.ones((16, 3, 3, 3), np.float32)


def test_parameters_and_arithmetic() -> None:
    text = """def main(%x: f32[1, 3, h, 8]) -> f32[1, 16, h, 8] {
      %0 = conv2d(%x, @w, padding=(1, 1, 1, 1)); %1 = multiply(%0, @s); %2 = add(%1, @s); %2 }"""
    m = parse(text, {"w": W, "s": np.float32(2)}, outputs=("y",))
    rows = m.summary(shapes={"x": (1, 3, 8, 8)})
    assert [r.operator for r in rows] == ["conv2d", "multiply", "add"]
    assert [r.parameters for r in rows] == [W.size, 1, 0]  # each constant once
    assert [r.flops for r in rows] == [2 * W.size * 64, 1024, 1024]
    assert rows.bytes == W.nbytes + 4 and rows.parameters == W.size + 1 and rows.flops == 2 * W.size * 64 + 2048
    assert "from x: f32[1, 3, 8, 8] to y: f32[1, 16, 8, 8]" in str(rows)
    open_ = m.summary()
    assert all(math.isnan(r.flops) for r in open_)
    assert "f32[1, 16, h, 8]" in str(open_)


def test_bodies_are_in_it() -> None:
    @graph.function
    def halved(x: Any) -> Any:
        while nn.max(x) > 1:
            x = x * 0.5
        return x

    rows = halved.module(nn.TensorType((3,), f32)).summary()
    assert {"loop", "multiply", "max", "greater"} <= {r.operator for r in rows}
    assert [r.value for r in rows if r.operator == "loop"] != [""]


def test_rows_are_values_of_the_program() -> None:
    m = bottleneck()
    rows = m.summary()
    assert {r.value for r in rows} <= set(m.values)
    assert len(str(rows).splitlines()) == len(rows) + 5
