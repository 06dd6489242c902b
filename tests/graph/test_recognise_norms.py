"""Norms that are written out: found in every way of writing them, and only where they are norms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import nn
from halo.graph import Call, Function, Module, Var
from halo.graph.ir import walk
from halo.graph.passes.recognise import recognise
from halo.graph.passes.recognise_norms import recognise_norms
from halo.ir.shapes import as_extents
from halo.nn import TensorType
from halo.types import f32

from .helpers import groups, weights


def written_out(m: Module) -> Module:
    return recognise_norms(recognise(m))


def over_root(x: Any, axes: Any, how: str, epsilon: float = 1e-3) -> Any:
    """`x` over the root of the mean of its squares along `axes`, as exporters write it."""
    squares = nn.power(x, 2.0) if how == "power" else nn.multiply(x, x)
    mean = nn.mean(squares, axes=axes, keepdims=True)
    under = nn.add(epsilon, mean) if how == "power" else nn.add(mean, epsilon)
    if how == "rsqrt":
        return nn.multiply(nn.rsqrt(under), x)
    root = nn.sqrt(under)
    if how in ("reciprocal", "one over"):
        return nn.multiply(x, nn.reciprocal(root) if how == "reciprocal" else nn.divide(1.0, root))
    return nn.divide(x, root)


@pytest.mark.parametrize("how", ["power", "rsqrt", "reciprocal", "one over", "plain"])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("shape", "axes"), [((2, 3, 40), (-1,)), ((2, 3, 40), (1, 2)), (("n", 3, "w"), (2,))])
def test_norms_that_are_written_out_are_one_kernel(shape: Any, axes: Any, centred: bool, how: str) -> None:
    x = Var("x", TensorType(as_extents(shape) or (), f32))
    scale, shift = (weights(40 if shape[2] == 40 else 1, seed=k) for k in (1, 2))
    lines = nn.subtract(x, nn.mean(x, axes=axes, keepdims=True)) if centred else x
    m = Module({"main": Function((x,), nn.add(shift, nn.multiply(over_root(lines, axes, how), scale)))})
    assert groups(written_out(m)) == (["layer_norm"] if centred else ["rms_norm", "add"])
    a = np.random.default_rng(0).standard_normal((2, 3, 40)).astype(np.float32) + 3
    v = a.astype(np.float64)
    v = v - v.mean(axes, keepdims=True) if centred else v
    want = v / np.sqrt((v * v).mean(axes, keepdims=True) + 1e-3) * scale + shift
    np.testing.assert_allclose(m.compile()(a), want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    "what", ["axes", "squares", "not kept", "epsilon", "other mean", "shape", "f16", "long", "scale"]
)
def test_what_is_no_norm_stays_written_out(what: str) -> None:
    t = TensorType((1, 1 << 20) if what == "long" else (4, 5, 6), halo.f16 if what == "f16" else f32)
    x, z = Var("x", t), Var("z", t)
    if what == "axes":
        y = over_root(x, (1,), "plain")
    elif what == "squares":
        y = nn.divide(x, nn.sqrt(nn.add(nn.mean(nn.multiply(x, z), axes=(-1,), keepdims=True), 1.0)))
    elif what == "not kept":
        y = nn.divide(nn.transpose(x, axes=(2, 0, 1)), nn.sqrt(nn.add(nn.mean(nn.multiply(x, x), axes=(-1,)), 1.0)))
    elif what == "epsilon":
        y = nn.divide(x, nn.sqrt(nn.add(nn.mean(nn.multiply(x, x), axes=(-1,), keepdims=True), z)))
    elif what == "other mean":
        y = over_root(nn.subtract(x, nn.mean(z, axes=(-1,), keepdims=True)), (-1,), "plain")
        assert "rms_norm" in str(written_out(Module({"main": Function((x, z), y)})))
    elif what == "shape":
        line = nn.strided_slice(x, begin=(0,), end=(1,), axes=(0,))
        y = nn.divide(x, nn.sqrt(nn.add(nn.mean(nn.multiply(line, line), axes=(-1,), keepdims=True), 1.0)))
    elif what == "scale":  # of one line each
        y = nn.multiply(over_root(x, (-1,), "plain"), weights(5, 6))
        found = written_out(Module({"main": Function((x, z), y)}))
        assert [e.op.name for e in walk(found.main.body) if isinstance(e, Call)] == ["rms_norm", "multiply"]
    else:
        y = over_root(x, (-1,), "plain", np.asarray(1e-3, t.dtype.dtype) if what == "f16" else 1e-3)
    assert "layer_norm" not in str(written_out(Module({"main": Function((x, z), y)})))
    if what not in ("other mean", "scale"):
        assert "rms_norm" not in str(written_out(Module({"main": Function((x, z), y)})))
