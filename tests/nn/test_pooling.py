"""Pools, and what is elementwise before them, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halo import nn
from halo.graph import parse

RNG = np.random.default_rng(6)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_is_before_a_pool_of_windows_apart_is_in_its_nest(data: st.DataObject) -> None:
    """And is a kernel of its own where an entry is in several windows."""
    name, layout = (
        data.draw(st.sampled_from(["max_pool", "average_pool"])),
        data.draw(st.sampled_from(["NCHW", "NHWC"])),
    )
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(2))
    strides = tuple(data.draw(st.integers(1, 3)) for _ in range(2))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    attrs = {
        "kernel": kernel,
        "strides": strides,
        "padding": padding,
        "ceil": data.draw(st.booleans()),
        "layout": layout,
    }
    shape = (2, data.draw(st.integers(1, 20)), data.draw(st.integers(4, 9)), data.draw(st.sampled_from([5, 16, 40])))
    shape = shape if layout == "NCHW" else (shape[0], *shape[2:], shape[1])
    x = RNG.standard_normal(shape).astype(np.float32)
    op = nn.OPS[name]
    want = op.reference(np.maximum(-x, 0), **attrs)
    given_ = ", ".join(f"{k}={v!r}" for k, v in attrs.items())
    net = parse(f"def main(%x: f32{list(shape)}) -> f32{list(want.shape)} "
                f"{{ %0 = negative(%x); %1 = relu(%0); %2 = {name}(%1, {given_}); %2 }}").compile()  # fmt: skip
    assert len(net.groups) == (1 if all(s >= k for s, k in zip(strides, kernel, strict=True)) else 2)
    np.testing.assert_allclose(net(x), want, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
@pytest.mark.parametrize("shape", [(2, 3, 7, 7), (1, 2, 1, 1), (2, 1, 5, 64), (1, 17, 3, 150), (2, 2, 9, 1)])
def test_global_average_pools_of_plain_layouts(shape: tuple[int, ...], dtype: str) -> None:
    net = parse(f"def main(%x: {dtype}{list(shape)}) -> {dtype}[{shape[0]}, {shape[1]}, 1, 1] "
                "{ %0 = exp(%x); %1 = global_average_pool(%0); %1 }").compile()  # fmt: skip
    assert len(net.groups) == 1
    x = RNG.standard_normal(shape).astype({"f16": "float16", "f32": "float32", "f64": "float64"}[dtype])
    want = np.exp(x.astype(np.float64)).mean((2, 3), keepdims=True)
    np.testing.assert_allclose(net(x).astype(np.float64), want, rtol={"f16": 4e-3, "f32": 2e-6, "f64": 1e-13}[dtype])
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    got = nn.global_average_pool(last, layout="NHWC").transpose(0, 3, 1, 2)
    np.testing.assert_allclose(got, nn.global_average_pool(x), rtol=4e-3 if dtype == "f16" else 2e-6, atol=1e-6)


def test_a_global_average_pool_of_open_axes() -> None:
    net = parse(
        "def main(%x: f32[n, 3, h, w]) -> f32[n, 3, 1, 1] { %0 = relu(%x); %1 = global_average_pool(%0); %1 }"
    ).compile()
    for n, h, w in ((1, 4, 5), (2, 1, 90), (1, 7, 16)):
        x = RNG.standard_normal((n, 3, h, w)).astype(np.float32)
        np.testing.assert_allclose(net(x), np.maximum(x, 0).mean((2, 3), keepdims=True), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "dilation"),
    [(3, 2, 1, 1), (3, 1, 1, 1), ((3, 5), (2, 3), (1, 2), 1), (3, 2, 1, 2), ((2, 3), (3, 1), 0, (1, 2)), (5, 2, (2, 2, 1, 0), 1)],
)  # fmt: skip
def test_windows_that_have_columns_in_common(
    dtype: Any, kernel: Any, strides: Any, padding: Any, dilation: Any
) -> None:
    attrs = {"kernel": kernel, "strides": strides, "padding": padding, "dilation": dilation}
    for width, ceil in ((64, False), (71, True), (131, False)):
        x = (np.random.default_rng(width).standard_normal((2, 3, 9, width)) * 50).astype(dtype)
        if dtype is not np.int8:
            x[0, 1, 2, 5], x[1, 0, 3, 7:20] = np.nan, -np.inf
        want = nn.max_pool.reference(x, **attrs, ceil=ceil)
        np.testing.assert_array_equal(nn.max_pool(x, **attrs, ceil=ceil), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
def test_means_of_windows_that_have_columns_in_common(dtype: Any, counts: bool, ceil: bool) -> None:
    for kernel, strides, padding in ((3, 1, 1), (3, 2, (1, 0, 1, 1)), ((2, 5), (1, 3), (0, 2)), (7, 1, 3)):
        attrs = {"kernel": kernel, "strides": strides, "padding": padding, "ceil": ceil, "count_include_pad": counts}
        x = RNG.standard_normal((1, 2, 9, 70)).astype(dtype)
        want = nn.average_pool.reference(x.astype(np.float64), **attrs)
        rtol = {np.float16: 1e-3, np.float32: 2e-6, np.float64: 1e-13}[dtype]
        np.testing.assert_allclose(nn.average_pool(x, **attrs).astype(np.float64), want, rtol=rtol, atol=rtol)
        powers = {"kernel": kernel, "strides": strides, "padding": padding, "ceil": ceil}
        want = nn.lp_pool.reference(x.astype(np.float64), **powers)
        np.testing.assert_allclose(nn.lp_pool(x, **powers).astype(np.float64), want, rtol=2 * rtol, atol=rtol)


@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
def test_pictures_that_are_larger_than_the_caches(name: str) -> None:
    """Whose rows are asked for before they are read, those behind the last one too."""
    x = RNG.standard_normal((2, 3, 1000, 701), np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf if name == "max_pool" else 0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    for strides in (1, 2):
        of = windows[:, :, ::strides, ::strides]
        if name == "max_pool":
            np.testing.assert_array_equal(nn.max_pool(x, kernel=3, strides=strides, padding=1), of.max((-1, -2)))
        else:
            got = nn.average_pool(x, kernel=3, strides=strides, padding=1, count_include_pad=True)
            np.testing.assert_allclose(got, of.mean((-1, -2), dtype=np.float64), rtol=2e-6, atol=1e-6)
