"""Every operator against its NumPy reference: on arrays, as a Tensor, and both the same bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import nn

RNG = np.random.default_rng(0)


def r(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, np.float32)


CASES: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "absolute": [((r(3, 4),), {})],
    "ceil": [((r(3, 4),), {})],
    "cos": [((r(3, 4),), {})],
    "elu": [((r(3, 4),), {"alpha": 0.5})],
    "erf": [((r(3, 4),), {})],
    "floor": [((r(3, 4),), {})],
    "hard_sigmoid": [((r(3, 4),), {})],
    "leaky_relu": [((r(3, 4),), {"alpha": 0.1})],
    "log": [((abs(r(3, 4)) + 0.1,), {})],
    "negative": [((r(3, 4),), {})],
    "power": [((abs(r(3, 4)), r(4)), {})],
    "reciprocal": [((abs(r(3, 4)) + 1,), {})],
    "sin": [((r(3, 4),), {})],
    "add": [((r(5, 1, 3), r(4, 3)), {}), ((r(2, 3), r(1)), {})],
    "average_pool": [
        ((r(2, 5, 13, 14),), {"kernel": 3, "strides": 2, "padding": 1}),
        ((r(1, 2, 8, 8),), {"kernel": 2, "count_include_pad": True, "padding": 1}),
        ((r(1, 2, 9, 9),), {"kernel": 2, "ceil": True}),
    ],
    "batch_norm": [((r(2, 6, 4, 4), r(6), r(6), r(6), abs(r(6))), {})],
    "clip": [((r(3, 4),), {"low": -0.5, "high": 0.5})],
    "concatenate": [((r(2, 3, 4), r(2, 1, 4), r(2, 5, 4)), {"axis": 1}), ((r(3), r(4)), {}), ((r(2, 2), r(2, 1)), {"axis": -1})],
    "conv2d": [
        ((r(2, 32, 14, 15), r(48, 32, 3, 3), r(48)), {"padding": 1}),
        ((r(1, 3, 14, 15), r(64, 3, 7, 7), r(64)), {"padding": 3, "strides": 2}),
        ((r(1, 20, 9, 8), r(20, 20, 3, 3)), {"padding": (0, 1, 2, 1), "strides": (2, 1), "dilation": 2}),
        ((r(1, 32, 7, 7), r(32, 32, 1, 1)), {}),
        ((r(2, 12, 9, 9), r(24, 4, 3, 3), r(24)), {"groups": 3, "padding": 1}),
    ],
    "dense": [((r(1, 70), r(100, 70), r(100)), {}), ((r(33, 70), r(32, 70)), {}), ((r(2, 3), r(5, 3)), {})],
    "divide": [((r(3, 4), abs(r(4)) + 1), {}),
               ((np.arange(-6, 6, dtype=np.int32).reshape(3, 4), np.array([2, -3, 5, -1], np.int32)), {})],
    "exp": [((r(3, 4),), {})],
    "extents": [((), {"values": (2, 3, 4), "shape": (3, 1)})],
    "flatten": [((r(2, 3, 4),), {}), ((r(2, 3, 4),), {"axis": -1})],
    "global_average_pool": [((r(2, 5, 7, 6),), {})],
    "identity": [((r(3, 4),), {})],
    "layout_transform": [
        ((r(1, 20, 5, 6),), {"src": "NCHW", "dst": "NCHW16c"}),
        ((r(1, 2, 5, 6, 16),), {"src": "NCHW16c", "dst": "NCHW", "shape": (1, 20, 5, 6)}),
        ((r(40, 20, 3, 3),), {"src": "OIHW", "dst": "OIHW16i16o"}),
        ((r(5,),), {"src": "O", "dst": "O4o"}),
    ],
    "max_pool": [
        ((r(2, 5, 13, 14),), {"kernel": 3, "strides": 2, "padding": 1}),
        ((r(1, 3, 9, 9),), {"kernel": 2, "ceil": True}),
        ((r(1, 3, 9, 9),), {"kernel": (2, 3), "padding": (0, 1, 1, 1), "dilation": 2}),
    ],
    "maximum": [((r(3, 4), r(4)), {})],
    "merge_groups": [((r(12, 2, 3, 3),), {"groups": 6, "into": 2})],
    "minimum": [((r(3, 4), r(4)), {})],
    "multiply": [((r(3, 1), r(1, 4)), {})],
    "relu": [((r(3, 4),), {}), ((np.float32(-1.0),), {})],
    "reshape": [((r(2, 3, 4),), {"shape": (4, -1)})],
    "rsqrt": [((abs(r(3, 4)) + 1,), {})],
    "sigmoid": [((r(3, 4),), {})],
    "softmax": [((r(3, 10),), {}), ((r(2, 3, 4),), {"axis": 1})],
    "sqrt": [((abs(r(3, 4)),), {})],
    "subtract": [((r(3, 4), r(4)), {})],
    "tanh": [((r(3, 4),), {})],
    "transpose": [((r(2, 3, 4),), {"axes": (0, 2, 1)}), ((r(2, 3),), {})],
}  # fmt: skip
ALL = [
    pytest.param(name, args, attrs, id=f"{name}{k}") for name, of in CASES.items() for k, (args, attrs) in enumerate(of)
]


def error(got: np.ndarray, want: np.ndarray) -> float:
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    return float(np.abs(got - want).max() / max(float(np.abs(want).max()), 1e-30))


@pytest.mark.parametrize(("name", "args", "attrs"), ALL)
def test_on_arrays_as_numpy(name: str, args: Any, attrs: Any) -> None:
    op = nn.OPS[name]
    want = op.reference(*args, **attrs)
    assert error(op(*args, **attrs), want) < 1e-5
    types = tuple(nn.tensor(a).type for a in args)
    padded = (*types, *(None,) * (0 if op.variadic else len(op.params) - len(args)))
    assert op.infer(padded, op.bound(args, attrs)[1]).shape == want.shape


@pytest.mark.parametrize(("name", "args", "attrs"), ALL)
def test_tensors_give_the_same_bits(name: str, args: Any, attrs: Any) -> None:
    op = nn.OPS[name]
    if not args or not np.ndim(args[0]):
        pytest.skip("inputs are arrays")
    inputs = [halo.Input(f"a{k}", a.dtype, shape=a.shape) for k, a in enumerate(args)]
    out = op(*inputs, **attrs)
    got = out(**{f"a{k}": a for k, a in enumerate(args)})
    np.testing.assert_array_equal(got, op(*args, **attrs))


def test_every_operator_has_cases_and_a_reference() -> None:
    builtin = {name for name, op in nn.OPS.items() if op.__module__.startswith("halo.nn")}
    assert builtin == set(CASES)
    assert all(nn.OPS[name].reference is not None for name in builtin)
    assert all(nn.OPS[name].__doc__ for name in builtin)


def test_nan_and_negative_zero_go_through_relu_and_pools() -> None:
    x = np.array([[[[np.nan, 1.0], [-0.0, 2.0]]]], np.float32)
    assert np.isnan(nn.max_pool(x, kernel=2)).all()
    assert np.isnan(nn.relu(x)[0, 0, 0, 0])


@pytest.mark.parametrize(("call", "words"), [
    (lambda: nn.add(r(3), r(4)), "do not broadcast"),
    (lambda: nn.add(r(3), r(3).astype(np.float64)), "one type"),
    (lambda: nn.conv2d(r(1, 3, 5, 5), r(4, 2, 3, 3)), "takes 2 channels"),
    (lambda: nn.conv2d(r(1, 3, 2, 2), r(4, 3, 3, 3)), "larger than the axis"),
    (lambda: nn.conv2d(r(1, 3, 5, 5), r(4, 3, 3, 3), padding=-1), "padding is"),
    (lambda: nn.conv2d(r(1, 3, 5, 5), r(4, 3, 3, 3), r(5)), "bias has"),
    (lambda: nn.conv2d(r(1, 3, 5, 5), r(4, 3, 3, 3), stride=2), "unexpected keyword"),
    (lambda: nn.dense(r(2, 3), r(4, 5)), "dense of 5 inputs"),
    (lambda: nn.max_pool(r(2, 3), kernel=2), "does not take 2 axes"),
    (lambda: nn.reshape(r(2, 3), shape=(4, 2)), "does not reshape"),
    (lambda: nn.softmax(r(2), axis=1), "no axis 1"),
    (lambda: nn.layout_transform(r(2), src="NCHW", dst="NC"), "does not go"),
    (lambda: nn.relu(r(2), strategy="fast"), "no strategy"),
])  # fmt: skip
def test_what_does_not_fit_is_said(call: Any, words: str) -> None:
    if "strategy" in words:
        with pytest.raises(halo.ArgumentError, match=words):
            nn.relu(r(7, 7), strategy="fast")
        return
    with pytest.raises(halo.ArgumentError, match=words):
        call()


def test_an_operator_of_the_users_own() -> None:
    @nn.op(nn.Kind.ELEMENTWISE, reference=lambda x: x * x * x, general=nn.any_extent)
    def cube_of_test(x: Any) -> Any:
        return x

    @cube_of_test.strategy("direct")
    def _(x: Any) -> Any:
        return nn.elementwise("cube", lambda v: v * v * v, x)

    try:
        a = r(3, 5)
        np.testing.assert_allclose(cube_of_test(a), a**3, rtol=1e-5)
        out = cube_of_test(nn.relu(halo.Input("x", halo.f32, shape=("n", 5))))
        assert out.shape == (halo.Dim("n"), 5)
        np.testing.assert_allclose(out(x=a), np.maximum(a, 0) ** 3, rtol=1e-5)
    finally:
        del nn.OPS["cube_of_test"]
