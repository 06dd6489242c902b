"""Calls of nets: what machine code serves, what Python does, what is refused, many at once. The values are NumPy's."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import halo
from halo import nn
from halo.errors import ArgumentError
from halo.graph import Function, Module, Net, Tuple, Var, load, parse
from halo.ir.shapes import Dim
from halo.jit.ports import FRAMES
from halo.types import Type

RNG = np.random.default_rng(0)
N = Dim("n")


def var(name: str, shape: tuple[Any, ...], dtype: Type = halo.f32) -> Var:
    return Var(name, nn.TensorType(shape, dtype))


def compiled(params: tuple[Var, ...], *results: Any) -> Net:
    return Module({"main": Function(params, Tuple(results) if len(results) > 1 else results[0])}).compile()


def fixed() -> Net:
    x, y = var("x", (3, 4)), var("y", (4,))
    return compiled((x, y), nn.add(x, y))


def open_axes() -> Net:
    """`x @ x.T` and twice x, of any number of rows."""
    x, y = var("x", (N, 3)), var("y", (N, 3))
    return compiled((x, y), nn.matmul(x, nn.transpose(y)), nn.add(x, y))


def data(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.asarray(RNG.random(shape) * 50).astype(dtype)


def fast(net: Net, *args: np.ndarray) -> Net:
    """The net, called once, so that it has a frame; from now on it fails where a call goes through Python."""
    if args:
        net(*args)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("this call is served by machine code")

    assert net._entry is not None
    net.__dict__["_slow"] = refuse
    return net


def test_machine_code_serves_packed_arrays() -> None:
    x, y = data(3, 4), data(4)
    net = fast(fixed(), x, y)
    out = np.empty((3, 4), np.float32)
    assert net(x, y, out=out) is out
    for got in (out, net(x, y), net(x, y=y), net(y=y, x=x), net(x, y, out=None), net(x.reshape(1, 3, 4)[0], y)):
        np.testing.assert_array_equal(got, x + y)
    assert net(x, y) is not net(x, y)


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16", "i8", "u8", "i32", "i64", "u16", "bool_"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 5, 1), (2, 1, 1, 3, 1, 2)])
def test_machine_code_serves_every_type_and_rank(dtype: str, shape: tuple[int, ...]) -> None:
    t: Type = getattr(halo, dtype)
    x, a = var("x", shape, t), data(*shape).astype(t.dtype)
    net = fast(compiled((x,), nn.where(nn.equal(x, x), x, x)), a)
    got = net(a)
    assert got.dtype == t.dtype
    assert got.shape == shape
    np.testing.assert_array_equal(got, a)


def test_an_extent_is_new_once() -> None:
    net = open_axes()
    for n in (2, 5, 2, 9):
        x, y = data(n, 3), data(n, 3)
        fast(net, x, y)
        product, total = net(x, y)
        np.testing.assert_allclose(product, x @ y.T, rtol=1e-5)
        np.testing.assert_array_equal(total, x + y)
        del net.__dict__["_slow"]


def test_python_serves_the_rest() -> None:
    net, x, y = fixed(), data(3, 4), data(4)
    for a in (np.asfortranarray(x), x[::-1][::-1], x.tolist(), np.repeat(x, 2, 1)[:, ::2], x.view(np.ndarray)):
        a = np.asarray(a, np.float32)
        np.testing.assert_array_equal(net(a, y), x + y)
    np.testing.assert_array_equal(net(np.broadcast_to(x[:1], (3, 4)), y), x[:1] + np.zeros((3, 1), np.float32) + y)

    class Own(np.ndarray):
        pass

    np.testing.assert_array_equal(net(x.view(Own), y), x + y)
    several, a, b = open_axes(), data(2, 3), data(2, 3)
    outs = np.empty((2, 2), np.float32), np.empty((2, 3), np.float32)
    got = several(a, b, out=outs)
    assert got[0] is outs[0]
    assert got[1] is outs[1]
    np.testing.assert_array_equal(outs[1], a + b)
    product, total = several(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32))
    assert product.shape == (0, 0)
    assert total.shape == (0, 3)


def test_results_over_what_is_read() -> None:
    x = var("x", (6, 6))
    net, a = compiled((x,), nn.matmul(x, nn.transpose(x))), data(6, 6)
    want = a @ a.T
    assert net(a, out=a) is a
    np.testing.assert_allclose(a, want, rtol=1e-5)
    both = data(12, 6)
    first = both[:6].copy()
    net(both[:6], out=both[3:9])
    np.testing.assert_allclose(both[3:9], first @ first.T, rtol=1e-5)
    several, memory = open_axes(), data(8, 3)
    b = data(3, 3)
    outs = memory[:3], memory[2:5]
    want = b + b
    several(b, b, out=outs)
    np.testing.assert_array_equal(outs[1], want)  # the last one to be written


X, Y = data(3, 4), data(4)
LOCKED = np.empty((3, 4), np.float32)
LOCKED.flags.writeable = False


@pytest.mark.parametrize("call", [
    lambda net: net(X),
    lambda net: net(X, Y, Y),
    lambda net: net(X, Y, np.empty((3, 4), np.float32)),
    lambda net: net(X, Y, y=Y),
    lambda net: net(X, z=Y),
    lambda net: net(X, Y, shape=(3, 4)),
    lambda net: net(X, Y, shape=None),
    lambda net: net(X, Y[:3]),
    lambda net: net(X[:2], Y),
    lambda net: net(X.T, Y),
    lambda net: net(X[None], Y),
    lambda net: net(X.astype(np.float64), Y),
    lambda net: net(X.view(np.int32), Y),
    lambda net: net(X.astype(">f4"), Y),
    lambda net: net(X, Y, out=np.empty((3, 4))),
    lambda net: net(X, Y, out=np.empty((4, 3), np.float32)),
    lambda net: net(X, Y, out=np.empty((1, 3, 4), np.float32)),
    lambda net: net(X, Y, out=LOCKED),
    lambda net: net(X, Y, out=(np.empty((3, 4), np.float32),)),
    lambda net: net(X, Y, out=7),
])  # fmt: skip
def test_what_does_not_fit_is_refused(call: Any) -> None:
    net = fixed()
    with pytest.raises(ArgumentError):
        call(net)
    np.testing.assert_array_equal(net(X, Y), X + Y)


def test_extents_that_disagree_are_refused() -> None:
    net = open_axes()
    net(data(2, 3), data(2, 3))
    for shapes in (((2, 3), (5, 3)), ((5, 3), (2, 3)), ((2, 4), (2, 4)), ((1, 3), (2, 3))):
        with pytest.raises(ArgumentError):
            net(*(data(*shape) for shape in shapes))


@pytest.mark.parametrize(
    "shapes", [((2,), (2, 3)), ((2, 3), (2,)), ((), ()), ((2, 3), (1, 2, 3)), ((3,), (3,)), ((2, 3, 1), ())]
)
def test_arrays_of_other_ranks_are_refused_where_axes_are_open(shapes: tuple[tuple[int, ...], ...]) -> None:
    x, y = var("x", (3 * N, N)), var("y", (Dim("k"), N))
    net = compiled((x, y), nn.matmul(x, nn.transpose(y)))
    with pytest.raises(ArgumentError, match=r"[xy] is an array of f32\[(3\*n|k), n\], not of float32"):
        net(*(data(*shape) for shape in shapes))
    np.testing.assert_array_equal(net(np.ones((6, 2), np.float32), np.ones((4, 2), np.float32)), np.full((6, 4), 2))


@pytest.mark.parametrize("name", ["out", "taps", "self", "status", "shape", "args", "_"])
def test_inputs_of_any_name(name: str) -> None:
    a, b = var("a", (3,)), var(name, (3,))
    net, x, y = compiled((a, b), nn.add(nn.add(a, a), b)), data(3), data(3)
    np.testing.assert_array_equal(net(x, y), x + x + y)
    if name not in ("out", "taps"):
        np.testing.assert_array_equal(net(x, **{name: y}), x + x + y)
        np.testing.assert_array_equal(net(**{name: y}, a=x, out=np.empty(3, np.float32)), x + x + y)


def test_more_threads_than_frames() -> None:
    """Each with data and extents of its own, time and again."""
    net, wrong = open_axes(), list[int]()

    def work(k: int) -> None:
        n = 1 + k % 5
        x, y = np.full((n, 3), k, np.float32), np.arange(3 * n, dtype=np.float32).reshape(n, 3)
        for _ in range(200):
            product, total = net(x, y)
            if not (np.array_equal(total, x + y) and np.array_equal(product, x @ y.T)):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(FRAMES + 16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert len(net._frames) <= FRAMES
    taken = [net.driver.take() for _ in net._frames]
    assert set(taken) == set(net._frames)  # all came back
    assert net.driver.take() is None


def test_a_frame_comes_back_after_a_check_that_fails() -> None:
    @nn.op(nn.Kind.ELEMENTWISE)
    def checked(x):
        return x

    @checked.strategy("direct")
    def _(x):
        return nn.elementwise("checked", lambda v: halo.require(v > 0, v, "a value must be positive"), x)

    try:
        x = var("x", (5,))
        net, a = compiled((x,), nn.add(checked(x), nn.softmax(x))), 1 + data(5)
        for _ in range(3):
            net(a)
            with pytest.raises(ArgumentError, match="a value must be positive"):
                net(-a)
        assert len(net._frames) == 1
        fast(net)(a)
    finally:
        del nn.OPS["checked"]


def test_a_net_that_is_dropped_is_gone() -> None:
    net = fixed()
    net(X, Y)
    gone = weakref.ref(net)
    gc.disable()
    try:
        del net
        assert gone() is None
    finally:
        gc.enable()


def test_other_threads_run_while_a_net_does() -> None:
    """However few bytes it takes: other threads count on."""
    x = var("x", (1, 1))
    big = nn.broadcast_to(x, shape=(700, 700))
    net = compiled((x,), nn.max(nn.matmul(big, nn.sqrt(nn.matmul(big, big)))))
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1

    other = threading.Thread(target=count)
    a = np.ones((1, 1), np.float32)
    net(a)
    other.start()
    try:
        during = 0
        for _ in range(10):
            before = counted[0]
            net(a)
            during += counted[0] - before
    finally:
        stop.set()
        other.join()
    assert during > 100


def test_a_saved_net_is_as_fast(tmp_path: Any) -> None:
    net = fixed()
    net.save(tmp_path / "net")
    again = fast(halo.graph.load(tmp_path / "net"), X, Y)
    np.testing.assert_array_equal(again(X, Y), X + Y)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, x: m.compile()(x, taps=3), "taps is a list of names, not 3"),
        (lambda m, x: m.compile()(x, taps="%0"), "taps is a list of names, not '%0'"),
        (lambda m, x: m.compile(shapes=3), "shapes is a dict with names as keys, not 3"),
        (lambda m, x: m.compile(schedules=[1]), "schedules is a dict with names as keys"),
        (lambda m, x: m.compile().save(None), "a file has a path, not None"),
        (lambda m, x: load(3), "a file has a path, not 3"),
        (lambda m, x: parse(None), "a program is text, not NoneType"),
        (lambda m, x: parse(str(m), 3), "constants is a dict"),
        (lambda m, x: parse(str(m), outputs=("a", "b")), "has 1 outputs, not 2"),
        (lambda m, x: m.extract(None, ["%0"]), "inputs is a list of names, not None"),
        (lambda m, x: m.extract(["x"], "%0"), "outputs is a list of names"),
        (lambda m, x: m.extract(["x"], []), "has at least one output"),
    ],
)
def test_what_a_door_does_not_take(call: Any, words: str) -> None:
    m = parse("def main(%x: f32[n, 4]) -> f32[n, 4] { %0 = exp(%x); %0 }")
    with pytest.raises(halo.ArgumentError, match=re.escape(words)):
        call(m, np.ones((2, 4), np.float32))
