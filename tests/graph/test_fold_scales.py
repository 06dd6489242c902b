"""Scales, shifts and batch norms behind layers with weights: in the weights, with the same results, where they may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import nn
from halo.graph import Constant, Function, Module, Var, parse
from halo.graph.passes.fold_constants import fold_constants
from halo.graph.passes.fold_scales import fold_scales
from halo.nn import TensorType
from halo.types import f32

from .helpers import bottleneck, by_reference, calls, weights

X = "%x: f32[1, 8, 4, 4]"


def folded(m: Module) -> Module:
    return fold_constants(fold_scales(m))


def test_batch_norm_goes_into_the_weights() -> None:
    m = bottleneck()
    found = folded(m)
    assert "batch_norm" not in str(found)
    x = np.random.default_rng(0).standard_normal((1, 3, 9, 9), np.float32)
    np.testing.assert_allclose(by_reference(found, x=x), by_reference(m, x=x), rtol=1e-4, atol=1e-6)


def test_batch_norm_of_a_convolution_that_is_read_twice_is_written_out() -> None:
    norm = "batch_norm(%0, @s, @s, @s, @s)"
    text = f"def main({X}) -> f32[1, 8, 4, 4] {{ %0 = conv2d(%x, @w, padding=1); %1 = {norm}; %2 = add(%0, %1); %2 }}"
    m = parse(text, {"w": np.zeros((8, 8, 3, 3), np.float32), "s": np.ones(8, np.float32)})
    found = folded(m)
    assert "batch_norm" not in str(found)
    assert "%0 = conv2d(%x, @w, padding=1);" in str(found)
    x = np.random.default_rng(0).standard_normal((1, 8, 4, 4), np.float32)
    np.testing.assert_allclose(by_reference(found, x=x), by_reference(m, x=x), rtol=1e-5, atol=1e-7)


def layer(kind: str, x: Any, *, bias: bool) -> Any:
    """A layer of 8 channels with weights, and the axis that they are along."""
    b = weights(8, seed=1) if bias else None
    if kind == "dense":
        return nn.dense(x, weights(8, x.type.shape[-1]), b), -1
    if kind == "NHWC":
        return nn.conv2d(
            x, weights(3, 3, 2, 8), b, padding=1, layout="NHWC", kernel_layout="HWIO", groups=x.type.shape[-1] // 2
        ), -1
    if kind == "transposed":
        return nn.conv_transpose(x, weights(x.type.shape[1], 4, 3, 3), b, strides=2, groups=2), 1
    if kind == "1d":
        return nn.conv(x, weights(8, x.type.shape[1], 3), b), 1
    return nn.conv2d(x, weights(8, x.type.shape[1] // 2, 3, 3), b, groups=2), 1


KINDS = {"dense": (5, 7), "NHWC": (2, 6, 5, 4), "transposed": (1, 4, 3, 5), "1d": (2, 3, 9), "grouped": (2, 4, 5, 6)}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_scales_and_shifts_go_into_the_weights(kind: str, bias: bool) -> None:
    x = Var("x", TensorType(KINDS[kind], f32))
    y, axis = layer(kind, x, bias=bias)
    shape = [1] * y.type.ndim
    shape[axis] = 8
    along = [weights(*shape[axis if axis < 0 and k % 2 else 0 :], seed=k) + 2 for k in range(5)]
    norm = [abs(weights(8, seed=k)) + 1 for k in range(4)]
    y = nn.subtract(nn.divide(nn.add(nn.multiply(along[0], y), along[1]), along[2]), np.float32(3))
    y = nn.add(along[4], nn.multiply(nn.batch_norm(nn.multiply(y, np.float32(0.5)), *norm, axis=axis), along[3]))
    m = Module({"main": Function((x,), y)})
    found = folded(m)
    assert len(calls(found)) == 1
    a = np.random.default_rng(0).standard_normal(KINDS[kind], np.float32)
    want = by_reference(m, x=a)
    np.testing.assert_allclose(by_reference(found, x=a), want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(m.compile()(a), want, rtol=1e-4, atol=1e-4)


def test_scales_of_a_batch_norm_are_its_own() -> None:
    x = Var("x", TensorType((halo.Dim("n"), 8, 4), f32))
    norm = [abs(weights(8, seed=k)) + 1 for k in range(4)]
    y = nn.add(nn.multiply(nn.batch_norm(x, *norm), weights(8, 1)), weights(1, 8, 1, seed=1))
    m = Module({"main": Function((x,), y)})
    assert calls(folded(m)) == ["multiply", "add"]
    a = np.random.default_rng(0).standard_normal((3, 8, 4), np.float32)
    np.testing.assert_allclose(m.compile()(a), by_reference(m, x=a), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "what", ["read twice", "other axis", "wider", "not finite", "a parameter", "shared weights", "f16"]
)
def test_what_is_no_scale_of_a_layer_stays(what: str) -> None:
    t = halo.f16 if what == "f16" else f32
    x, z = Var("x", TensorType((1, 8, 8), t)), Var("z", TensorType((8, 1), f32))
    w = Constant(weights(8, 8, 1).astype(t.dtype))
    y = nn.conv(x, w)
    by: Any = np.full((8, 1), 2, t.dtype)
    if what == "other axis":
        by = np.arange(8, dtype=np.float32)
    elif what == "wider":
        by = np.ones((3, 8, 1), np.float32)
    elif what == "not finite":
        by = np.float32(np.inf)
    elif what == "a parameter":
        by = z
    scaled = nn.multiply(y, by)
    if what == "read twice":
        scaled = nn.add(scaled, y)
    elif what == "shared weights":
        scaled = nn.add(scaled, nn.conv(nn.exp(x), w))
    m = Module({"main": Function((x, z), scaled)})
    assert "multiply" in calls(folded(m))
