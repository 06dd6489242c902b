"""The strategies of convolutions, each pinned, against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import nn

LANES = halo.Target.host().natural_lanes(halo.f32)


@pytest.mark.parametrize("strategy", ["direct", "deep"])
@pytest.mark.parametrize(
    ("shape", "kernel", "attrs"),
    [
        ((2, 64, 7, 7), (80, 3, 3), {"padding": 1}),
        ((1, 96, 6, 9), (32, 1, 1), {}),
        ((1, 32, 15, 14), (48, 3, 2), {"strides": 2, "padding": (1, 0, 2, 1)}),
        ((1, 160, 5, 5), (16, 2, 2), {"dilation": 2}),
        ((3, 16, 4, 4), (144, 1, 3), {"padding": (0, 1)}),
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_blocked(strategy: str, shape: Any, kernel: Any, attrs: dict[str, Any], biased: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, np.float32)
    w = rng.standard_normal((kernel[0], shape[1], *kernel[1:]), np.float32) * np.float32(shape[1] ** -0.5)
    b = rng.standard_normal(kernel[0], np.float32) if biased else None
    want = nn.conv2d.reference(x, w, b, **attrs)
    blocked = nn.conv2d(
        nn.layout_transform(x, src="NCHW", dst=f"NCHW{LANES}c"),
        nn.layout_transform(w, src="OIHW", dst=f"OIHW{LANES}i{LANES}o"),
        None if b is None else nn.layout_transform(b, src="O", dst=f"O{LANES}o"),
        layout=f"NCHW{LANES}c", kernel_layout=f"OIHW{LANES}i{LANES}o", strategy=strategy, **attrs)  # fmt: skip
    got = nn.layout_transform(blocked, src=f"NCHW{LANES}c", dst="NCHW", shape=want.shape)
    np.testing.assert_allclose(got, want, atol=2e-5)


def test_weights_beyond_the_cache_are_read_once() -> None:
    """What is chosen: by the size of the weights, and by how many points they are read for."""

    def chosen(channels: int, size: int) -> str:
        layout, kernel = f"NCHW{LANES}c", f"OIHW{LANES}i{LANES}o"
        types = (
            nn.TensorType(nn.Layout(layout).physical((1, channels, size, size)), halo.f32),
            nn.TensorType(nn.Layout(kernel).physical((channels, channels, 3, 3)), halo.f32),
            None,
        )
        attrs = nn.conv2d.bound((None, None), {"padding": 1, "layout": layout, "kernel_layout": kernel})[1]
        return nn.conv2d.chosen(types, attrs, halo.Target.host()).name

    assert (chosen(512, 7), chosen(512, 14), chosen(64, 56), chosen(512, 1)) == ("deep", "deep", "direct", "direct")
