"""Activations that are written out: found in every order of their factors, and only where they are activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halo
from halo import nn
from halo.graph import Function, Module, Var
from halo.graph.passes.recognise import recognise
from halo.graph.passes.recognise_activations import recognise_activations
from halo.nn import TensorType

from .helpers import by_reference, groups

ROOT, PI, CUBE = math.sqrt(2), math.sqrt(2 / math.pi), 0.044715


def like(x: Any) -> Callable[[float], Any]:
    """Numbers of the type of `x`."""
    return x.type.dtype.dtype.type


def share_below(x: Any) -> Any:
    c = like(x)
    return nn.add(nn.erf(nn.divide(x, c(ROOT))), c(1))


def by_tanh(x: Any, inner: Any) -> Any:
    c = like(x)
    return nn.multiply(nn.multiply(c(0.5), x), nn.add(c(1), nn.tanh(inner)))


def relu6(x: Any) -> Any:
    return nn.clip(nn.add(x, like(x)(3)), low=0.0, high=6.0)


def cube(x: Any) -> Any:
    c = like(x)
    return nn.multiply(c(CUBE), nn.power(x, c(3)))


FORMS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "half last": (lambda x, c: nn.multiply(nn.multiply(x, share_below(x)), c(0.5)), "gelu"),
    "half first": (lambda x, c: nn.multiply(nn.multiply(x, c(0.5)), share_below(x)), "gelu"),
    "half with the share": (lambda x, c: nn.multiply(x, nn.multiply(c(0.5), share_below(x))), "gelu"),
    "halved": (lambda x, c: nn.divide(nn.multiply(share_below(x), x), c(2)), "gelu"),
    "times": (lambda x, c: nn.multiply(x, nn.add(c(1), nn.erf(nn.multiply(c(0.70710678), x)))), "gelu_multiply"),
    "cube": (lambda x, c: by_tanh(x, nn.multiply(c(PI), nn.add(x, cube(x)))), "gelu"),
    "square": (lambda x, c: by_tanh(x, nn.multiply(
        nn.multiply(c(PI), x), nn.add(c(1), nn.multiply(nn.multiply(c(CUBE), x), x)))), "gelu"),
    "sixth last": (lambda x, c: nn.divide(nn.multiply(x, relu6(x)), c(6)), "hard_swish"),
    "sixth of the share": (lambda x, c: nn.multiply(nn.divide(relu6(x), c(6)), x), "hard_swish"),
    "hard sigmoid": (lambda x, c: nn.multiply(x, nn.hard_sigmoid(x, alpha=1 / 6, beta=0.5)), "hard_swish"),
    "sixth first": (lambda x, c: nn.multiply(
        x, nn.clip(nn.add(nn.multiply(x, c(1 / 6)), c(0.5)), low=0.0, high=1.0)), "hard_swish"),
    "scaled": (lambda x, c: nn.multiply(c(7), nn.divide(nn.multiply(x, relu6(x)), c(6))), "hard_swish_multiply"),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("how", FORMS)
def test_activations_that_are_written_out_are_one_operator(how: str, dtype: str) -> None:
    form, expected = FORMS[how]
    of = halo.types.as_type(dtype)
    x = Var("x", TensorType((halo.Dim("n"), 5), of))
    m = Module({"main": Function((x,), form(x, like(x)))})
    assert groups(recognise_activations(recognise(m))) == [expected]
    a = np.linspace(-9, 9, 500).reshape(100, 5).astype(of.dtype)
    want = by_reference(m, x=a)
    np.testing.assert_allclose(m.compile()(a), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("what", ["read twice", "f16", "root", "one", "cube", "other", "high", "low", "offset", "six"])
def test_what_is_no_activation_stays_written_out(what: str) -> None:
    of = halo.f16 if what == "f16" else halo.f32
    x, z = (Var(name, TensorType((4, 5), of)) for name in "xz")
    c, share = like(x), share_below(x)
    form = nn.multiply(x, share)
    if what == "read twice":
        form = nn.add(form, share)
    elif what == "root":
        form = nn.multiply(x, nn.add(nn.erf(nn.divide(x, c(1.4))), c(1)))
    elif what == "one":
        form = nn.multiply(x, nn.add(nn.erf(nn.divide(x, c(ROOT))), c(2)))
    elif what == "cube":
        form = by_tanh(x, nn.multiply(c(PI), nn.add(x, nn.multiply(c(0.05), nn.power(x, c(3))))))
    elif what == "other":
        form = nn.multiply(z, share)
    elif what in ("high", "low", "offset", "six"):
        low, high, offset = (
            -1.0 if what == "low" else 0.0,
            5.0 if what == "high" else 6.0,
            2.0 if what == "offset" else 3.0,
        )
        y = nn.multiply(x, c(2)) if what == "six" else x
        form = nn.multiply(x, nn.clip(nn.add(y, c(offset)), low=low, high=high))
    m = Module({"main": Function((x, z), form)})
    found = groups(recognise_activations(recognise(m)))[0]
    assert "gelu" not in found
    assert "swish" not in found
