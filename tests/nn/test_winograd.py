"""Winograd's convolutions against the sums themselves: every extent, padding and tail, whatever follows; which tiles are
chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import halo
from halo import graph, nn
from halo.nn.winograd import POINTS, TAPS, transforms, winograd_tile

LANES = halo.Target.host().natural_lanes(halo.f32)
BOUND = {(2, np.float32): 2e-6, (4, np.float32): 1e-5, (2, np.float64): 4e-15, (4, np.float64): 2e-14}


def blocked(x: Any, w: Any, b: Any, lanes: int) -> tuple[Any, Any, Any, dict[str, str]]:
    kernel = f"OIHW{lanes}i{lanes}o"
    return (
        nn.layout_transform(x, src="NCHW", dst=f"NCHW{lanes}c"),
        nn.layout_transform(w, src="OIHW", dst=kernel),
        None if b is None else nn.layout_transform(b, src="O", dst=f"O{lanes}o"),
        {"layout": f"NCHW{lanes}c", "kernel_layout": kernel},
    )


def example(seed: int, n: int, i: int, o: int, h: int, w: int, dtype: Any = np.float32) -> tuple[Any, Any, Any]:
    """Entries of x within 1, and weights that add up to 1 for each channel out, as the bound is stated for."""
    rng = np.random.default_rng(seed)
    x, weight = rng.uniform(-1, 1, (n, i, h, w)), rng.standard_normal((o, i, TAPS, TAPS))
    weight /= np.abs(weight).sum((1, 2, 3), keepdims=True)
    return x.astype(dtype), weight.astype(dtype), rng.uniform(-1, 1, o).astype(dtype)


@pytest.mark.parametrize("m", POINTS)
def test_transforms_are_a_correlation(m: int) -> None:
    t, rng = transforms(m), np.random.default_rng(m)
    d, g = rng.integers(-9, 9, m + 2), rng.integers(-9, 9, TAPS)
    a, b, c = (np.array([[*map(float, row)] for row in rows]) for rows in (t.result, t.window, t.data))
    np.testing.assert_allclose(a @ ((b @ g) * (c @ d)), np.correlate(d, g), atol=1e-12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_extents_and_paddings(data: st.DataObject) -> None:
    draw = data.draw
    m, dtype = draw(st.sampled_from([*POINTS])), draw(st.sampled_from([np.float32, np.float32, np.float64]))
    n, i, o, h, w = (draw(st.integers(1, most)) for most in (2, 40, 70, 19, 40))
    before = [draw(st.integers(0, 2)) for _ in range(2)]
    after = [draw(st.integers(max(TAPS - k - b, 0), 3)) for k, b in zip((h, w), before, strict=True)]
    attrs: dict[str, Any] = {"padding": (*before, *after)}
    x, weight, bias = example(draw(st.integers(0, 99)), n, i, o, h, w, dtype)
    bias = bias if draw(st.booleans()) else None
    want = nn.conv2d.reference(*(None if a is None else a.astype(np.float64) for a in (x, weight, bias)), **attrs)
    lanes = draw(st.sampled_from([4, LANES]))
    xb, wb, bb, layouts = blocked(x, weight, bias, lanes)
    made = nn.winograd_weights(wb, tile=m, kernel_layout=layouts["kernel_layout"])
    got = nn.conv2d_winograd(xb, made, bb, tile=m, layout=layouts["layout"], **attrs)
    got = nn.layout_transform(got, src=layouts["layout"], dst="NCHW", shape=want.shape)
    assert np.abs(got - want).max() <= BOUND[m, dtype]


@pytest.mark.parametrize(
    ("n", "i", "o", "h", "w"),
    [(1, 64, 64, 29, 56), (2, 256, 48, 14, 13), (1, 16, 16, 5, 400), (1, 512, 40, 7, 7), (1, 272, 512, 8, 50)],
)
@pytest.mark.parametrize("m", POINTS)
def test_strips_and_channels(m: int, n: int, i: int, o: int, h: int, w: int) -> None:
    """Extents for which the tasks are strips, parts of them, or channels."""
    x, weight, bias = example(0, n, i, o, h, w)
    xb, wb, bb, layouts = blocked(x, weight, bias, LANES)
    made = nn.winograd_weights(wb, tile=m, kernel_layout=layouts["kernel_layout"])
    got = nn.conv2d_winograd(xb, made, bb, tile=m, padding=1, layout=layouts["layout"])
    want = nn.conv2d.reference(x, weight, bias, padding=1)
    assert np.abs(nn.layout_transform(got, src=layouts["layout"], dst="NCHW", shape=want.shape) - want).max() <= 1e-5


def test_no_weights_are_subnormal() -> None:
    """As of a net that was trained on pictures of one row: the rows of its windows that only meet padding have decayed."""
    x, weight, bias = example(5, 1, 32, 32, 1, 40)
    weight[:, :, ::2] *= 1e-39
    made = nn.winograd_weights(weight, tile=4)
    assert not ((made != 0) & (abs(made) < np.finfo(np.float32).tiny)).any()
    xb, wb, bb, layouts = blocked(x, weight, bias, LANES)
    got = nn.conv2d(xb, wb, bb, padding=1, strategy="winograd", **layouts)
    want = nn.conv2d.reference(x, weight, bias, padding=1)
    assert np.abs(nn.layout_transform(got, src=layouts["layout"], dst="NCHW", shape=want.shape) - want).max() <= 1e-5


def test_the_strategy_by_name() -> None:
    x, weight, bias = example(1, 1, 32, 32, 9, 9)
    xb, wb, bb, layouts = blocked(x, weight, bias, LANES)
    direct = nn.conv2d(xb, wb, bb, padding=1, strategy="direct", **layouts)
    for first in (xb, halo.Input("x", halo.f32, shape=xb.shape)):
        made = nn.conv2d(first, wb, bb, padding=1, strategy="winograd", **layouts)
        got = made if isinstance(made, np.ndarray) else made.func(x=xb, shape=made.shape)
        np.testing.assert_allclose(got, direct, atol=1e-5)
        assert (got != direct).any()
    with pytest.raises(halo.errors.ArgumentError, match="3 x 3, strides 1"):
        nn.conv2d(xb, wb, bb, strides=2, strategy="winograd", **layouts)


# In graphs -----------------------------------------------------------------------------------------------------------


def network(shape: Any, weight: Any, bias: Any) -> graph.Module:
    """relu(conv2d(x) + y)."""
    x = graph.Var("x", nn.TensorType(shape, halo.f32))
    h, w = shape[2:]
    y = graph.Var("y", nn.TensorType((shape[0], weight.shape[0], h, w), halo.f32))
    return graph.Module({"main": graph.Function((x, y), nn.relu(nn.add(nn.conv2d(x, weight, bias, padding=1), y)))})


def operators(net: Any) -> set[str]:
    return {name for g in net.groups for name in g.operators}


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 48, 20, 24), [(1, 48, 20, 24)]),
        ((1, 48, halo.Dim("h"), halo.Dim("w")), [(1, 48, 20, 24), (1, 48, 3, 5), (1, 48, 33, 130), (1, 48, 1, 1)]),
        ((1, 48, 5, halo.Dim("w")), [(1, 48, 5, w) for w in (4, 7, 9, 12, 15, 26, 29, 33, 57, 223, 225, 229)]),
        ((halo.Dim("n"), 48, 12, halo.Dim("w")), [(3, 48, 12, 31), (1, 48, 12, 2)]),
        ((halo.Dim("n"), 48, 12, 12), [(2, 48, 12, 12), (1, 48, 12, 12)]),
    ],
)
def test_a_graph_transforms_its_weights_once(shape: Any, sizes: Any) -> None:
    x, weight, bias = example(2, 1, 48, 40, 1, 1)
    net = network(shape, weight, bias).compile()
    assert "conv2d_winograd" in operators(net)
    assert not {"winograd_weights", "conv2d"} & operators(net)
    for size in sizes:
        x = example(3, *size[:2], 1, *size[2:])[0]
        y = np.random.default_rng(4).standard_normal((size[0], 40, *size[2:]), np.float32)
        want = np.maximum(nn.conv2d.reference(x, weight, bias, padding=1) + y, 0)
        np.testing.assert_allclose(net(x=x, y=y), want, atol=1e-5)


def test_weights_that_a_call_gives_are_not_transformed() -> None:
    x, w = (graph.Var(n, nn.TensorType(s, halo.f32)) for n, s in (("x", (1, 64, 28, 28)), ("w", (64, 64, 3, 3))))
    net = graph.Module({"main": graph.Function((x, w), nn.conv2d(x, w, padding=1))}).compile()
    assert "conv2d" in operators(net)


def test_which_tiles() -> None:
    """As measured beside direct sums: larger ones where there are many results for each weight."""

    def chosen(i: int, o: int, size: Any, **attrs: Any) -> int:
        layouts = {"layout": f"NCHW{LANES}c", "kernel_layout": f"OIHW{LANES}i{LANES}o"}
        shape = nn.Layout(layouts["layout"]).physical((1, i, size, size))
        kernel = nn.Layout(layouts["kernel_layout"]).physical((o, i, 3, 3))
        types = (nn.TensorType(shape, halo.f32), nn.TensorType(kernel, halo.f32), None)
        return winograd_tile(types, nn.conv2d.bound((None, None), {"padding": 1, **layouts, **attrs})[1])

    assert [chosen(64, 64, 56), chosen(256, 256, 14), chosen(512, 512, 7), chosen(512, 512, 28)] == [4, 2, 0, 4]
    assert chosen(96, 24, halo.Dim("n")) == 4
    assert [chosen(64, 64, 56, strides=2), chosen(64, 64, 56, dilation=2), chosen(64, 64, 56, groups=2)] == [0, 0, 0]
