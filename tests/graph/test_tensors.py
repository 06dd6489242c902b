"""Tensors of other libraries: they come in and go out on their own memory (DLPack). What is read of them is NumPy's."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import halo
from halo import graph, nn
from halo.graph import Function, Module, Net, Tuple, Var, parse
from halo.nn import TensorType

X = np.array([[-1, 2, -3], [4, -5, 6]], np.float32)
RELU = np.maximum(X, 0)


class Foreign:
    """A tensor as other libraries have them: DLPack is all that it offers."""

    def __init__(self, a: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self.a, self.device = a, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class WithGradient(Foreign):
    """One that its library does not give away, as PyTorch's parameters."""

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")


def net(shape: tuple[Any, ...] = ("n", 3)) -> Net:
    x = Var("x", TensorType(halo.ir.shapes.as_extents(shape) or (), halo.f32))
    return Module({"main": Function((x,), nn.relu(x))}).compile()


def pieces() -> Net:
    text = """def main(%x: f32[1]) -> f32[n] {
      %0 = loop trip @two carry (%x) with () -> f32[n]
        do (%i: i64[], %s: f32[n]) { %0 = concatenate(%s, %s); %0 };
      %0
    }"""
    return parse(text, {"two": np.array(2)}).compile()


def test_nets_take_and_give_them() -> None:
    f = net()
    np.testing.assert_array_equal(f(Foreign(X)), RELU)
    np.testing.assert_array_equal(f(x=Foreign(X[:, ::-1][::-1].T.copy().T)), RELU[:, ::-1][::-1])
    out = Foreign(np.zeros((2, 3), np.float32))
    assert f(Foreign(X), out=out) is out
    np.testing.assert_array_equal(out.a, RELU)
    np.testing.assert_array_equal(np.from_dlpack(f(Foreign(X))), RELU)


def test_nets_of_several_results_and_nets_in_pieces() -> None:
    x = Var("x", TensorType((2, 3), halo.f32))
    f = Module({"main": Function((x,), Tuple((nn.relu(x), nn.negative(x))))}).compile()
    outs = Foreign(np.zeros((2, 3), np.float32)), np.zeros((2, 3), np.float32)
    got = f(Foreign(X), out=outs)
    assert got[0] is outs[0] and got[1] is outs[1]
    np.testing.assert_array_equal(outs[0].a, RELU)
    np.testing.assert_array_equal(outs[1], -X)
    one, four = Foreign(np.float32([3])), Foreign(np.zeros(4, np.float32))
    assert pieces()(one, out=four) is four
    np.testing.assert_array_equal(four.a, [3, 3, 3, 3])


@pytest.mark.parametrize("shape", [("n", 3), (2, 3)])
def test_a_result_may_lie_in_memory_of_any_strides(shape: tuple[Any, ...]) -> None:
    f, whole = net(shape), np.zeros((4, 9), np.float32)
    for out in (whole[::2, ::3], whole[1::2, 6:], whole.T[:3, :2].T, whole[3:1:-1, 8:5:-1], X.copy()):
        assert f(X, out=out) is out
        np.testing.assert_array_equal(out, RELU)
    same = X.copy()
    np.testing.assert_array_equal(f(Foreign(same), out=Foreign(same)).a, RELU)
    raw = np.zeros(25, np.uint8)
    out = raw[1:].view(np.float32).reshape(2, 3)
    out[...] = X
    np.testing.assert_array_equal(f(out), RELU)
    np.testing.assert_array_equal(f(X, out=out), RELU)


def test_operators_take_them() -> None:
    np.testing.assert_array_equal(nn.relu(Foreign(X)), RELU)
    np.testing.assert_array_equal(nn.reshape(Foreign(X), shape=(3, 2)), X.reshape(3, 2))
    np.testing.assert_array_equal(nn.concatenate(Foreign(X), X, axis=0), np.concatenate((X, X)))
    np.testing.assert_array_equal(nn.matmul(Foreign(X), Foreign(X.T)), X @ X.T)
    t = nn.add(halo.Input("x", halo.f32, shape=("n", 3)), Foreign(X[0]))
    np.testing.assert_array_equal(t(Foreign(X)), X + X[0])


def test_programs_take_them() -> None:
    @graph.function
    def f(x: Any, y: Any) -> Any:
        return nn.relu(x) + y

    np.testing.assert_array_equal(f(Foreign(X), Foreign(X[0])), RELU + X[0])
    x = Var("x", TensorType((2, 3), halo.f32))
    y = nn.multiply(x, Foreign(X.astype(np.float32)))
    np.testing.assert_array_equal(Module({"main": Function((x,), y)}).compile()(X), X * X)


@pytest.mark.parametrize("call", [
    lambda value: net()(value),
    lambda value: net()(X, out=value),
    lambda value: nn.relu(value),
])  # fmt: skip
def test_what_is_refused(call: Any) -> None:
    with pytest.raises(halo.ArgumentError, match=r"DLPack device \(2, 0\), not in the CPU's memory") as found:
        call(Foreign(X, device=(2, 0)))
    assert found.value.loc is not None
    with pytest.raises(halo.ArgumentError, match=r"use tensor\.detach\(\)"):
        call(WithGradient(X))
    for value in ("a text", object()):
        with pytest.raises(halo.ArgumentError):
            call(value)


def test_results_that_do_not_fit_are_refused() -> None:
    f = net()
    for out in (Foreign(np.zeros((3, 2), np.float32)), Foreign(np.zeros((2, 3)))):
        with pytest.raises(halo.ArgumentError, match=r"out for output0 is an array of f32\[2, 3\], not of float"):
            f(X, out=out)
    fixed = np.zeros((2, 3), np.float32)
    fixed.flags.writeable = False
    with pytest.raises(halo.ArgumentError, match="out for output0 is read-only"):
        f(X, out=fixed)
    with pytest.raises(halo.ArgumentError, match=r"x is an array of f32\[n, 3\] with n = 2, not of float64"):
        f(Foreign(X.astype(np.float64)))


def test_torch() -> None:
    torch = pytest.importorskip("torch", reason="extra: torch")
    f, x = net(), torch.from_numpy(X.copy())
    out = torch.zeros(2, 3)
    assert f(x, out=out) is out
    assert torch.equal(out, torch.relu(x))
    assert torch.equal(torch.from_dlpack(f(x.T.contiguous().T)), torch.relu(x))
    assert torch.equal(torch.from_dlpack(nn.relu(x)), torch.relu(x))
    half = nn.relu(x.to(torch.bfloat16))
    np.testing.assert_array_equal(half, RELU.astype(ml_dtypes.bfloat16))
    with pytest.raises(halo.ArgumentError, match="detach"):
        nn.relu(x.requires_grad_())


def test_jax() -> None:
    jax = pytest.importorskip("jax", reason="no extra has it")
    f, x = net(), jax.numpy.asarray(X)
    np.testing.assert_array_equal(f(x), RELU)
    np.testing.assert_array_equal(jax.dlpack.from_dlpack(nn.relu(x)), RELU)
    np.testing.assert_array_equal(nn.relu(x.astype(jax.numpy.bfloat16)), RELU.astype(ml_dtypes.bfloat16))
    with pytest.raises(halo.ArgumentError, match="read-only"):
        f(x, out=x)
