"""Reductions in lanes, along the last axis and across it, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halo import nn
from halo.graph import parse

NAMES = ("sum", "prod", "max", "min", "mean")
RNG = np.random.default_rng(5)


def close(got: np.ndarray, want: np.ndarray, dtype: str) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    digits = {"float16": 4e-3, "float32": 4e-6}.get(dtype, 1e-12)
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=digits, atol=digits)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_axes_of_any_shape_and_type(data: st.DataObject) -> None:
    """Last axes shorter and longer than the lanes, off and on their number; axes that stay before and behind."""
    before = data.draw(st.lists(st.integers(1, 5), max_size=3))
    shape = (*before, data.draw(st.sampled_from([1, 3, 8, 16, 31, 64, 257, 1300])))
    dtype = data.draw(st.sampled_from(["float32", "float64", "float16", "int32", "uint8", "int64"]))
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    keepdims, name = data.draw(st.booleans()), data.draw(st.sampled_from(NAMES))
    x = RNG.integers(1, 3, shape).astype(dtype) if dtype[0] in "iu" else RNG.uniform(0.9, 1.1, shape).astype(dtype)
    if name == "prod" and dtype == "float16":
        x[...] = 1  # each step rounds
    op = nn.OPS[name]
    close(op(x, axes=axes, keepdims=keepdims), op.reference(x, axes=axes, keepdims=keepdims), dtype)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_open_axes(name: str, axis: int) -> None:
    net = parse(f"def main(%x: f32[a, b, c]) -> f32[{', '.join(n for d, n in enumerate('abc') if d != axis)}] "
                f"{{ %0 = {name}(%x, axes=({axis},)); %0 }}").compile()  # fmt: skip
    for shape in ((2, 3, 4), (3, 1, 70), (5, 8, 1), (1, 9, 1100)):
        x = RNG.uniform(0.9, 1.1, shape).astype(np.float32)
        close(net(x), nn.OPS[name].reference(x, axes=(axis,)), "float32")


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1), (0, 1, 2)])
def test_what_is_elementwise_before_them_is_in_their_nest(axes: tuple[int, ...]) -> None:
    kept = ", ".join(str(n) for d, n in enumerate((6, 7, 80)) if d not in axes)
    net = parse(f"def main(%x: f32[6, 7, 80]) -> f32[{kept}] "
                f"{{ %0 = exp(%x); %1 = mean(%0, axes=({''.join(f'{a}, ' for a in axes)})); %1 }}").compile()  # fmt: skip
    assert len(net.groups) == 1
    x = RNG.standard_normal((6, 7, 80)).astype(np.float32)
    close(net(x), np.exp(x.astype(np.float64)).mean(axes).astype(np.float32), "float32")


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["max", "min"])
def test_nan_is_the_extreme_and_infinities_are_numbers(name: str, axis: int) -> None:
    x = RNG.standard_normal((20, 40)).astype(np.float32)
    x[3, 5], x[7, 8], x[9, 9] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(nn.OPS[name](x, axes=(axis,)), getattr(np, name)(x, axis))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_running_ones_along_any_axis(data: st.DataObject) -> None:
    """Lines that are neighbours and rows, as many as are taken at once, and others."""
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 8, 17, 70]), min_size=1, max_size=3)))
    axis, name = data.draw(st.integers(-len(shape), len(shape) - 1)), data.draw(st.sampled_from(["cumsum", "cumprod"]))
    attrs = {"axis": axis, "exclusive": data.draw(st.booleans()), "reverse": data.draw(st.booleans())}
    dtype = data.draw(st.sampled_from(["float32", "float64", "int32", "uint8"]))
    x = RNG.integers(1, 3, shape).astype(dtype) if dtype[0] in "iu" else RNG.uniform(0.9, 1.1, shape).astype(dtype)
    op = nn.OPS[name]
    close(op(x, **attrs), op.reference(x, **attrs), dtype)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_running_ones_along_open_axes(axis: int, reverse: bool) -> None:
    attrs = {"axis": axis, "reverse": reverse}
    net = parse(f"def main(%x: f32[a, b, c]) -> f32[a, b, c] "
                f"{{ %0 = cumsum(%x, axis={axis}, reverse={reverse}); %0 }}").compile()  # fmt: skip
    for shape in ((2, 3, 4), (3, 1, 70), (5, 8, 1), (1, 9, 200)):
        x = RNG.uniform(0.9, 1.1, shape).astype(np.float32)
        close(net(x), nn.cumsum.reference(x, **attrs), "float32")


LINES = RNG.standard_normal((4096, 1024)).astype(np.float32)
SCALE = RNG.standard_normal(1024).astype(np.float32)


@pytest.mark.parametrize(("name", "shape", "scales", "attrs"), [
    ("layer_norm", (4096, 1024), 2, {}), ("layer_norm", (16, 256, 32, 32), 2, {"axis": 2}), ("rms_norm", (4096, 1024), 1, {}),
    ("group_norm", (4, 64, 128, 128), 2, {"groups": 8}), ("group_norm", (4, 64, 128, 128), 2, {"groups": 64}),
])  # fmt: skip
def test_norms_of_what_is_larger_than_the_caches(
    name: str, shape: tuple[int, ...], scales: int, attrs: dict[str, int]
) -> None:
    """The line that comes next is asked for while one is stored: the last has none."""
    op, size = nn.OPS[name], {"group_norm": shape[1:2]}.get(name, shape[attrs.get("axis", -1) :])
    args = (LINES.reshape(shape), *(SCALE[: int(np.prod(size))].reshape(size),) * scales)
    np.testing.assert_allclose(op(*args, **attrs), op.reference(*args, **attrs), rtol=1e-4, atol=1e-5)
