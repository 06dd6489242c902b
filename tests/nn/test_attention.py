"""Attention and products of matrices in tiles: any shape, on and off the tile, as NumPy computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import halo
from halo import nn
from halo.graph import Function, Module, Var, parse
from halo.graph.ir import Call, walk
from halo.graph.passes.recognise import recognise
from halo.nn import TensorType

RNG = np.random.default_rng(0)


def r(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def close(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype
    tolerance = {2: 2e-2, 4: 2e-5, 8: 1e-12}[got.dtype.itemsize]
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_attention_of_any_shape(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([np.float32, np.float32, np.float64, np.float16, halo.bf16.dtype]))
    m, t, d, e = (data.draw(st.integers(1, n)) for n in (130, 70, 40, 70))
    batch = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))

    def drawn(*shape: int) -> np.ndarray:
        lead = tuple(1 if data.draw(st.booleans()) else n for n in batch)
        return r(*lead[data.draw(st.integers(0, len(lead))) :], *shape, dtype=dtype)

    rows = data.draw(st.booleans())
    q, k, v = drawn(m, d), drawn(*((t, d) if rows else (d, t))), drawn(t, e)
    lead = np.broadcast_shapes(*(x.shape[:-2] for x in (q, k, v)))
    mask = data.draw(st.sampled_from([None, (t,), (m, t), (1, t), (*lead, 1, t), (*lead, m, 1)]))
    bias = None if mask is None else r(*mask, dtype=dtype)
    attrs = {"k_layout": "TD" if rows else "DT", "scale": data.draw(st.sampled_from([None, 1.0, 0.25]))}
    close(nn.attention(q, k, v, bias, **attrs), nn.attention.reference(q, k, v, bias, **attrs))


def test_scores_that_are_minus_infinity_are_no_share() -> None:
    q, k, v = r(40, 8), r(50, 8), r(50, 16)
    mask = np.where(np.tri(40, 50, 10, dtype=bool), 0, -np.inf).astype(np.float32)
    close(nn.attention(q, k, v, mask), nn.attention.reference(q, k, v, mask))


SYMBOLIC = """def main(%q: f32[b, 3, m, 8], %k: f32[b, 3, 8, t], %v: f32[b, 3, t, 20], %mask: f32[b, 1, 1, t])
    -> f32[b, 3, m, 20] {
  %0 = matmul(%q, %k);
  %1 = divide(%0, @c);
  %2 = add(%1, %mask);
  %3 = softmax(%2);
  %4 = matmul(%3, %v);
  %4
}"""


def test_attention_of_extents_that_only_a_call_knows() -> None:
    """As exporters write it out; one kernel serves all extents."""
    net = parse(SYMBOLIC, {"c": np.float32(4)}).compile()
    assert [g.operators for g in net.groups] == [("attention",)]
    for b, m, t in ((1, 1, 1), (2, 5, 3), (1, 14, 32), (2, 40, 33), (1, 131, 64), (3, 3, 100)):
        q, k, v, mask = r(b, 3, m, 8), r(b, 3, 8, t), r(b, 3, t, 20), r(b, 1, 1, t)
        close(net(q, k, v, mask), nn.attention.reference(q, k, v, mask, scale=0.25, k_layout="DT"))


@pytest.mark.parametrize(("written", "found"), [
    ("%0 = matmul(%q, %k); %1 = softmax(%0); %2 = matmul(%1, %v); %2", True),
    ("%0 = matmul(%q, %k); %1 = multiply(@c, %0); %2 = softmax(%1); %3 = matmul(%2, %v); %3", True),
    ("%0 = matmul(%q, %k); %1 = add(%m, %0); %2 = softmax(%1); %3 = matmul(%2, %v); %3", True),
    ("%0 = matmul(%q, %k); %1 = softmax(%0, axis=1); %2 = matmul(%1, %v); %2", False),
    ("%0 = matmul(%q, %k); %1 = divide(@c, %0); %2 = softmax(%1); %3 = matmul(%2, %v); %3", False),
    ("%0 = matmul(%q, %k); %1 = softmax(%0); %2 = matmul(%1, %v); %3 = matmul(%1, %2); %3", False),
])  # fmt: skip
def test_what_is_attention(written: str, found: bool) -> None:
    """Not along another axis, nor divided by scores, nor where the shares are read as well."""
    types = "%q: f32[2, 9, 4], %k: f32[2, 4, 9], %v: f32[2, 9, 9], %m: f32[9, 9]"
    m = parse(f"def main({types}) -> f32[2, 9, 9] {{ {written} }}", {"c": np.float32(0.5)})
    assert any(isinstance(e, Call) and e.op is nn.attention for e in walk(recognise(m).main.body)) is found
    q, k, v, mask = r(2, 9, 4), r(2, 4, 9), r(2, 9, 9), r(9, 9)
    close(m.compile()(q, k, v, mask), m.compile(schedules={})(q, k, v, mask))
    p = q.astype(np.float64) @ k
    if "axis=1" not in written and "%1, %2" not in written:
        p = (
            p * 0.5
            if "multiply" in written
            else 0.5 / p
            if "divide" in written
            else p + mask
            if "add" in written
            else p
        )
        close(m.compile()(q, k, v, mask), (nn.softmax.reference(p) @ v).astype(np.float32))


@pytest.mark.parametrize(
    ("x", "units"), [((300, 600), 70), ((3, 129, 1025), 33), ((200, 2100), 96), ((2, 2, 140, 640), 260)]
)
def test_products_in_bands_of_rows(x: tuple[int, ...], units: int) -> None:
    """Of so many rows that not all stay in cache, and so many columns that they are copied in panels."""
    a, b, bias = r(*x), r(x[-1], units) / np.float32(x[-1] ** 0.5), r(units)
    v = Var("x", TensorType(x, halo.f32))
    net = Module({"main": Function((v,), nn.relu(nn.dense(v, b.T.copy(), bias)))}).compile()
    close(net(a), np.maximum(a.astype(np.float64) @ b + bias, 0).astype(np.float32))
    close(nn.matmul(a, b), nn.matmul.reference(a, b))
    wide = r(x[-1], 513) / np.float32(x[-1] ** 0.5)
    close(nn.matmul(a, wide), nn.matmul.reference(a, wide))
