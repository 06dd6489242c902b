"""The strategies of convolutions, each pinned, against the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import halo
from halo import nn
from halo.graph.ir import Function, Var
from halo.graph.kernels import scheduled
from halo.graph.module import Module
from halo.nn.tensor import type_of
from halo.types import as_type

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
        ((1, 32, 5, 19), (32, 1, 1), {}),
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

    def chosen(channels: int, size: int, taps: int = 3) -> str:
        layout, kernel = f"NCHW{LANES}c", f"OIHW{LANES}i{LANES}o"
        types = (
            nn.TensorType(nn.Layout(layout).physical((1, channels, size, size)), halo.f32),
            nn.TensorType(nn.Layout(kernel).physical((channels, channels, taps, taps)), halo.f32),
            None,
        )
        attrs = nn.conv2d.bound((None, None), {"padding": 1, "layout": layout, "kernel_layout": kernel})[1]
        return nn.conv2d.chosen(types, attrs, halo.Target.host()).name

    assert (chosen(512, 7), chosen(512, 14), chosen(64, 56), chosen(512, 1)) == ("deep", "deep", "direct", "direct")
    assert chosen(768, 32, taps=1) == "direct"  # the picture is the larger one


@pytest.mark.parametrize("size", [17, 19, 23])
def test_sums_of_deep_convolutions_stay_in_registers(size: int) -> None:
    """Also those of the last tile of a row, which is narrower."""
    layout, kernel = f"NCHW{LANES}c", f"OIHW{LANES}i{LANES}o"
    x = Var("x", nn.TensorType(nn.Layout(layout).physical((1, 736, size, size)), halo.f32))
    weight = Var("weight", nn.TensorType(nn.Layout(kernel).physical((736, 736, 1, 1)), halo.f32))
    body = nn.conv2d(x, weight, layout=layout, kernel_layout=kernel)
    lowered = str(scheduled(Function((x, weight), body)).func.lower().after("flatten"))
    tiles = re.findall(r"alloc f32 part\[(.*?) at most (.*?)\] stack", lowered)
    assert len(tiles) == 2
    assert all(n == most for n, most in tiles)


@pytest.mark.parametrize(("i", "o", "size"), [(32, 48, 3), (384, 768, 1)])
def test_sums_of_open_extents_stay_in_registers(i: int, o: int, size: int) -> None:
    """Whatever a call says, and whether weights fit into the cache (tasks are strips of rows) or not (blocks of channels)."""
    layout, kernel = f"NCHW{LANES}c", f"OIHW{LANES}i{LANES}o"
    x = Var("x", nn.TensorType((halo.Dim("n"), i // LANES, halo.Dim("h"), halo.Dim("w"), LANES), halo.f32))
    weight = Var("weight", nn.TensorType(nn.Layout(kernel).physical((o, i, size, size)), halo.f32))
    body = nn.conv2d(x, weight, padding=size // 2, layout=layout, kernel_layout=kernel)
    lowered = str(scheduled(Function((x, weight), body)).func.lower().after("flatten"))
    tiles = re.findall(r"alloc f32 sums\[(.*?) at most (.*?)\] stack", lowered)
    assert len(tiles) == 3  # heights
    assert all(n == most for n, most in tiles)


FAMILY: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("conv2d", ((2, 20, 9, 8), (24, 20, 3, 3), (24,)), {"padding": (0, 1, 2, 1), "strides": (2, 1)}),
    ("conv2d", ((1, 12, 7, 7), (6, 4, 3, 2)), {"groups": 3, "padding": 1, "dilation": 2}),
    ("conv2d", ((1, 18, 6, 7), (18, 1, 3, 3), (18,)), {"groups": 18, "padding": 1}),
    ("conv2d", ((1, 9, 8, 20), (3, 3, 10, 24), (24,)), {"layout": "NHWC", "kernel_layout": "HWIO", "groups": 2, "padding": 1}),
    ("conv", ((2, 5, 19), (4, 5, 4), (4,)), {"padding": (3, 1), "strides": 2, "dilation": 2}),
    ("conv", ((2, 4, 5, 6, 4), (6, 2, 2, 3, 1), (6,)), {"groups": 2, "dilation": (1, 2, 1), "padding": 1}),
    ("conv", ((1, 3, 4, 5, 5), (7, 3, 1, 1, 1), (7,)), {"strides": (2, 1, 1)}),
    ("conv", ((1, 3, 4, 5, 5), (7, 3, 1, 1, 1)), {}),
    ("conv", ((2, 3, 4, 5, 6), (2, 3, 3, 1, 1), (2,)), {"padding": (1, 0, 0)}),
    ("conv", ((1, 6, 5, 4, 4), (6, 1, 3, 2, 2), (6,)), {"groups": 6, "padding": (2, 1, 0, 1, 1, 1), "strides": (2, 1, 2)}),
    ("conv", ((1, 4, 2, 4, 4), (4, 1, 1, 3, 3)), {"groups": 4, "padding": (1, 1, 1)}),
    ("conv", ((1, 2, 3, 3, 4, 4), (3, 2, 2, 1, 2, 2), (3,)), {"padding": (1, 0, 0, 1)}),
    ("conv_transpose", ((2, 3, 5), (3, 4, 3), (4,)), {"strides": 2, "padding": (1, 0), "output_padding": 1}),
    ("conv_transpose", ((1, 4, 4, 3), (4, 3, 2, 3), (6,)), {"groups": 2, "strides": (3, 2), "dilation": (1, 2)}),
    ("conv_transpose", ((1, 18, 4, 3), (18, 1, 4, 4), (18,)), {"groups": 18, "strides": 2, "padding": 1}),
    ("conv_transpose", ((1, 2, 3, 3), (2, 1, 9, 9)), {"groups": 2, "strides": 5, "padding": 2, "output_padding": 3}),
    ("conv_transpose", ((1, 3, 3, 4), (3, 2, 3, 3), (2,)), {"strides": 4, "dilation": 3, "padding": (0, 3)}),
    ("conv_transpose", ((2, 4, 2, 2, 3), (4, 3, 2, 3, 2), (3,)), {"strides": (2, 1, 2), "padding": (0, 1, 0, 1, 1, 0)}),
    ("conv_transpose", ((1, 4, 2, 2, 3), (4, 1, 3, 3, 3)), {"groups": 4, "strides": 2, "padding": 1, "output_padding": 1}),
    ("conv", ((2, 37, 5, 17, 30), (45, 37, 1, 1, 1), (45,)), {}),
    ("conv", ((1, 3, 2, 2, 3, 4), (5, 3, 1, 1, 1, 1)), {}),
]  # fmt: skip
KINDS = (("int32", "int64"), ("float16", "bfloat16"), ("int8", "uint8"), ("float64",))


def typed_cases() -> Iterator[Any]:
    """Each of FAMILY in f32, and in one type of each kind: those of a kind are summed in the same way, and take turns."""
    for case in range(len(FAMILY)):
        yield case, "float32"
        for k, kind in enumerate(KINDS):
            quick = k == case % len(KINDS)
            yield pytest.param(case, kind[case // 4 % len(kind)], marks=() if quick else pytest.mark.slow)


def arrays(shapes: tuple[Any, ...], dtype: str) -> list[np.ndarray]:
    rng, t = np.random.default_rng(0), as_type(dtype).dtype
    if as_type(dtype).is_float:
        return [rng.standard_normal(shape).astype(t) for shape in shapes]
    return [rng.integers(0 if "u" in dtype else -9, 10, shape).astype(t) for shape in shapes]


def check(got: np.ndarray, want: np.ndarray, dtype: str) -> None:
    """`want` is in f64 for floats: the sums may be rounded in f32 at least, the result once."""
    assert (str(got.dtype), got.shape) == (dtype, want.shape)
    if not as_type(dtype).is_float:
        np.testing.assert_array_equal(got, want)
        return
    bits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[dtype]
    far = np.abs(got.astype(np.float64) - want).max() / np.abs(want).max()
    assert far <= 2.0**-bits + 2.0 ** (8 - max(bits, 24))


def wide(arrays: list[np.ndarray], dtype: str) -> list[np.ndarray]:
    return [a.astype(np.float64) if as_type(dtype).is_float else a for a in arrays]


@pytest.mark.parametrize(("case", "dtype"), [*typed_cases()])
def test_of_every_type_on_arrays_and_in_a_graph(case: int, dtype: str) -> None:
    name, shapes, attrs = FAMILY[case]
    op, args = nn.OPS[name], arrays(shapes, dtype)
    want = op.reference(*wide(args, dtype), **attrs)
    check(op(*args, **attrs), want, dtype)
    if dtype in ("float32", "float16", "bfloat16"):
        x = Var("x", type_of(args[0]))
        net = Module({"main": Function((x,), op(x, *args[1:], **attrs))}).compile()
        check(net(args[0]), want, dtype)


@pytest.mark.parametrize("case", range(len(FAMILY)))
def test_what_is_composed_is_as_it_is_defined(case: int) -> None:
    """The strategy that is the definition, which takes axes without entries too."""
    name, shapes, attrs = FAMILY[case]
    if name != "conv2d":
        args = arrays(shapes, "float32")
        check(
            nn.OPS[name](*args, strategy="direct", **attrs), nn.OPS[name](*args, **attrs).astype(np.float64), "float32"
        )
        empty = [np.zeros((0, *shapes[0][1:]), np.float32), *args[1:]]
        assert nn.OPS[name](*empty, **attrs).size == 0


@pytest.mark.parametrize(
    ("name", "shape", "kernel", "attrs"),
    [
        ("conv", (1, 6, 4, 5, 5), (8, 3, 3, 3, 3), {"groups": 2, "padding": 1}),
        ("conv", (2, 6, 30), (8, 6, 5), {"strides": 2}),
        ("conv_transpose", (1, 6, 5, 5), (6, 4, 4, 4), {"groups": 2, "strides": 2}),
        ("conv_transpose", (1, 6, 9), (6, 4, 3), {}),
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_batch_norms_go_into_all_of_them(name: str, shape: Any, kernel: Any, attrs: Any, biased: bool) -> None:
    o = kernel[0] if name == "conv" else kernel[1] * attrs.get("groups", 1)
    x, w, b, scale, shift, mean, variance = arrays((shape, kernel, *[(o,)] * 5), "float32")
    rest = (scale, shift, mean, abs(variance) + np.float32(0.5))
    v, op = Var("x", type_of(x)), nn.OPS[name]
    m = Module({"main": Function((v,), nn.relu(nn.batch_norm(op(v, w, b if biased else None, **attrs), *rest)))})
    before = op.reference(x, w, b if biased else None, **attrs)
    want = np.maximum(nn.batch_norm.reference(before, *rest), 0)
    np.testing.assert_allclose(m.compile()(x), want, rtol=1e-4, atol=1e-4)
    assert not any("multiply" in f for f in m.run_passes().functions)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "attrs"),
    [
        ("max_pool", {"kernel": 3, "strides": 2, "padding": 1}),
        ("average_pool", {"kernel": 3, "strides": 2, "padding": 1}),
        ("average_pool", {"kernel": 12, "padding": 2}),
        ("lp_pool", {"kernel": 3}),
        ("global_average_pool", {}),
    ],
)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pools_of_every_float(name: str, attrs: Any, layout: str, dtype: str) -> None:
    (x,) = arrays(((1, 15, 16, 17),), dtype)
    op = nn.OPS[name]
    want = op.reference(x.astype(np.float64), layout=layout, **attrs)
    check(op(x, layout=layout, **attrs), want, dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_largest_of_integers(dtype: str) -> None:
    (x,) = arrays(((1, 9, 8, 17),), dtype)
    attrs = {"kernel": 3, "strides": 2, "padding": 1, "layout": "NHWC"}
    np.testing.assert_array_equal(nn.max_pool(x, **attrs), nn.max_pool.reference(x, **attrs))


@pytest.mark.parametrize(
    ("shape", "kernel", "groups", "strides"),
    [
        ((1, 64, 28, 28), (64, 32, 3, 3), 2, 1),
        ((2, 256, 17, 17), (128, 8, 3, 3), 32, 1),
        ((1, 36, 40, 40), (24, 18, 3, 3), 2, 2),
        ((1, 96, 30, 30), (96, 48, 3, 2), 2, (2, 1)),
    ],
)
def test_groups_called_on_arrays_are_computed_in_blocks(
    shape: tuple[int, ...], kernel: tuple[int, ...], groups: int, strides: object
) -> None:
    rng = np.random.default_rng(3)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in (shape, kernel, kernel[:1]))
    attrs = {"groups": groups, "strides": strides, "padding": 1}
    types, target = tuple(nn.TensorType(a.shape, halo.f32) for a in (x, w, b)), halo.Target.host()
    bound = nn.conv2d.bound((x, w, b), attrs)[1]
    assert nn.conv2d.chosen(types, bound, target).name == "blocked groups"
    want = nn.conv2d.reference(x, w, b, **attrs)
    for strategy in (None, "grouped"):
        got = nn.conv2d(x, w, b, strategy=strategy, **attrs)
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= 2e-6 * np.abs(want).max()


@pytest.mark.parametrize("strategy", ["direct", "deep"])
def test_strategies_of_blocks_take_no_others(strategy: str) -> None:
    x, w = np.ones((1, 2, 5, 5), np.float32), np.ones((3, 2, 3, 3), np.float32)
    with pytest.raises(halo.ArgumentError, match="blocks of channels, and NCHW has none"):
        nn.conv2d(x, w, strategy=strategy)
