"""Layouts in compiled nets, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halo import nn
from halo.graph import parse

RNG = np.random.default_rng(7)


def check(dtype: str, shape: tuple[int, ...], made: tuple[int, ...], /, **attrs: Any) -> None:
    """A net that transforms what it computes gives what the reference makes of that."""
    named = ", ".join(f'{k}="{v}"' if isinstance(v, str) else f"{k}={v}" for k, v in attrs.items())
    net = parse(
        f"def main(%x: {dtype}{list(shape)}) -> {dtype}{list(made)} {{ "
        f"%0 = negative(%x); %1 = layout_transform(%0, {named}); %1 }}"
    ).compile()
    kind = {"f32": "float32", "f64": "float64", "f16": "float16", "i8": "int8"}[dtype]
    x = RNG.integers(-99, 99, shape).astype(kind)
    np.testing.assert_array_equal(net(x), nn.layout_transform.reference(-x, **attrs))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_from_blocks_of_channels_to_rows_of_points(data: st.DataObject) -> None:
    """Channels that fill their blocks and do not; rows of whole vectors, of some more, and short ones."""
    block, dtype = data.draw(st.sampled_from([4, 8, 16])), data.draw(st.sampled_from(["f32", "f64", "f16", "i8"]))
    letters = data.draw(st.sampled_from(["NCHW", "NCDHW", "NCW"]))
    n, c, v = (
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(1, 40)),
        data.draw(st.sampled_from([3, 16, 17, 40, 64, 75])),
    )
    shape = (n, c, *(data.draw(st.integers(1, 5)) for _ in letters[2:-1]), v)
    src, blocked = f"{letters}{block}c", (n, -(-c // block), *shape[2:], block)
    check(dtype, blocked, shape, src=src, dst=letters, shape=shape)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_from_rows_to_panels(data: st.DataObject) -> None:
    """Rows and columns that fill strips and panels and do not; panels of whole vectors, and of less."""
    block, dtype = data.draw(st.sampled_from([4, 16, 32, 48])), data.draw(st.sampled_from(["f32", "f64", "f16", "i8"]))
    letters = data.draw(st.sampled_from(["IO", "HIO"]))
    shape = (*data.draw(st.lists(st.integers(1, 40), min_size=len(letters) - 1, max_size=len(letters) - 1)),
             data.draw(st.sampled_from([1, 15, 32, 75, 96, 200])))  # fmt: skip
    dst = f"O{letters[:-1]}{block}o"
    panels = (-(-shape[-1] // block), *shape[:-1], block)
    check(dtype, shape, panels, src=letters, dst=dst)
