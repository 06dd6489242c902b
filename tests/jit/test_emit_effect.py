"""Requirements, printing, linked functions and random numbers."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from halo.errors import CompileError
from halo.ir.expr import Broadcast, Cast, Load, Op, Shuffle, Var
from halo.ir.node import interning
from halo.ir.random import random_bits
from halo.ir.stmt import For, Store, block
from halo.types import bool_, f16, f32, f64, i8, i32, u32

from .harness import Kernel, at, k, op, port, ramp


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("lanes", [1, 3, 16, 64, 96])
def test_requirements(lanes: int, parallel: bool) -> None:
    n = 2 * lanes
    with interning():
        a, out, v = port("a", i32), port("out", i32, "output"), Var("v")
        where = ramp(op("mul", v, k(lanes)), lanes)
        x = Load(a.buffer, where)
        fine = op("lt", x, k(100, i32, lanes), type=bool_)
        shown = Cast(x, f32)
        value = Op("require", (fine, x, shown), i32, 7)
        body = For(v, k(0), k(2), "parallel" if parallel else "serial", Store(out.buffer, where, value))
        kernel = Kernel(body, [a, out])
    data, got = np.arange(n, dtype=np.int32) % 50, np.zeros(n, np.int32)
    assert kernel(data, got) == 0
    np.testing.assert_array_equal(got, data)
    data[lanes - 1] = 150
    data[lanes:] = 60
    assert kernel(data, got) == 7
    assert kernel.error[0] == 150
    assert np.int64(kernel.error[1]).view(np.float64) == 150.0


def test_requirements_have_a_status() -> None:
    with interning(), pytest.raises(CompileError, match="no status"):
        out = port("out", i32, "output")
        Kernel(Store(out.buffer, k(0), Op("require", (k(1, bool_), k(1, i32)), i32, "message")), [out])


@pytest.mark.parametrize("lanes", [1, 4])
def test_printing(lanes: int) -> None:
    with interning():
        a, out = port("a", f32), port("out", f32, "output")
        x = Load(a.buffer, ramp(k(0), lanes))
        shown = Op("print", (x, Cast(x, i8), Cast(x, f16)), f32, 'half of "x": \N{SNOWMAN}')
        kernel = Kernel(Store(out.buffer, ramp(k(0), lanes), shown), [a, out])
    data, got = np.arange(-1.5, 2.5, dtype=np.float32), np.zeros(4, np.float32)
    assert kernel(data, got) == 0
    assert (got[:lanes] == data[:lanes]).all()
    assert kernel.runtime.printed == [('half of "x": \N{SNOWMAN}', [x, int(x), x]) for x in data[:lanes].tolist()]


@pytest.mark.parametrize("lanes", [1, 5])
def test_linked_functions(lanes: int) -> None:
    function = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_bool)(lambda x, up: x + 1 if up else -x)
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    with interning():
        a, out = port("a", f64), port("out", f64, "output")
        x = Load(a.buffer, ramp(k(0), lanes))
        up = op("lt", x, k(2.0, f64, lanes), type=bool_)
        value = Op("call", (x, up), f64, "linked")
        kernel = Kernel(Store(out.buffer, ramp(k(0), lanes), value), [a, out], symbols={"linked": address})
        with pytest.raises(CompileError, match="not linked under a name"):
            Kernel(Store(out.buffer, ramp(k(0), lanes), Op("call", (x, up), f64, print)), [a, out])
    data, got = np.arange(5.0), np.zeros(5)
    assert kernel(data, got) == 0
    np.testing.assert_array_equal(got[:lanes], np.where(data < 2, data + 1, -data)[:lanes])


def test_random_numbers() -> None:
    """The same in every number of lanes; uniform; neighbours, streams and coordinates have nothing in common."""
    h, w = 64, 96
    results = []
    for lanes in (1, 3, 16):
        with interning():
            out, y, x = port("out", u32, "output", 3), Var("y"), Var("x")
            columns = ramp(op("mul", x, k(lanes)), lanes)
            row = y if lanes == 1 else Broadcast(y, lanes)
            stores = []
            for s, stream in enumerate((0, 1)):
                where = ramp(at((y, w), (x, lanes), const=s * h * w), lanes)
                stores.append(Store(out.buffer, where, Op("random", (row, columns), u32, stream)))
            kernel = Kernel(For(y, k(0), k(h), "serial", For(x, k(0), k(w // lanes), "serial", block(*stores))), [out])
        got = np.zeros((2, h, w), np.uint32)
        assert kernel(got) == 0
        results.append(got)
    assert all((r == results[0]).all() for r in results)
    bits = np.unpackbits(results[0].view(np.uint8)).reshape(2, h, w, 32)
    assert abs(bits.mean((0, 1, 2)) - 0.5).max() < 0.03
    for a, b in ((bits[0], bits[1]), (bits[:, 1:], bits[:, :-1]), (bits[:, :, 1:], bits[:, :, :-1])):
        assert abs((a ^ b).mean() - 0.5) < 0.01
    assert len(np.unique(results[0])) > 2 * h * w - 5


def test_random_bits_without_coordinates_are_the_stream() -> None:
    with interning():
        assert random_bits(Op("random", (), u32, 2**32 + 5)) is k(5, u32)
        vector = Shuffle((ramp(k(0), 4),), (3, 2, 1, 0))
        assert random_bits(Op("random", (vector,), u32, 5)).lanes == 4
