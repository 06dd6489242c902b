from __future__ import annotations

import numpy as np

from halo.ir.expr import Broadcast, Cast, Const, Load, Op, Ramp, Shuffle, Var
from halo.ir.node import interning
from halo.ir.stmt import Let, Store
from halo.jit.emit_lane import lane_of
from halo.jit.target import Target
from halo.types import bool_, i32, index, u16

from .harness import HOST, Kernel, k, op, port, ramp


def test_a_lane_of_an_expression() -> None:
    with interning():
        lane, v = Var("lane"), Var("v")
        wide = Ramp(v, k(3), 4)
        assert lane_of(v, lane) is v
        assert lane_of(Broadcast(v, 4), lane) is v
        assert repr(lane_of(wide, Const(2, index))) == repr(lane_of(Ramp(v, k(3), 9), k(2)))
        whole = op("select", op("lt", wide, Broadcast(v, 4), type=bool_), op("mul", wide, wide), wide, type=index)
        part = lane_of(Cast(whole, i32), lane)
        assert part is not None
        assert part.lanes == 1


def test_what_has_no_short_scalar_form() -> None:
    with interning():
        lane, vector = Var("lane"), Var("vector")
        vector.lanes = 4
        wide = ramp(Var("v"), 4)
        printed = Op("print", (wide,), index, "x")
        for e in (vector, Shuffle((wide,), (1, 0, 2, 3)), Ramp(wide, k(1), 2), printed, op("add", wide, vector)):
            assert lane_of(e, lane) is None
        long = wide
        for j in range(2000):
            long = op("max", long, Broadcast(Var(f"v{j}"), 4))
        assert lane_of(long, lane) is None


def test_indices_without_scalar_form_are_kept_in_memory() -> None:
    """A masked gather and scatter of u16 by a vector that is bound by a Let."""
    plain = Target(HOST.triple)
    with interning():
        a, idx, msk, out = port("a", u16), port("idx", i32), port("mask", bool_), port("out", u16, "output")
        held = Var("held")
        held.lanes = 8
        lanes = ramp(k(0), 8)
        pred = Load(msk.buffer, lanes)
        store = Store(out.buffer, held, Load(a.buffer, held, pred), pred)
        body = Let(held, Cast(Load(idx.buffer, lanes), index), store)
        kernels = [Kernel(body, [a, idx, msk, out], target=t) for t in (HOST, plain)]
    data, where = np.arange(100, 120, dtype=np.uint16), np.array([3, 19, 0, 4, 4, 7, 11, 12], np.int32)
    mask = np.array([1, 0, 1, 1, 0, 0, 1, 1], bool)
    want = np.zeros(20, np.uint16)
    want[where[mask]] = data[where[mask]]
    for kernel in kernels:
        got = np.zeros(20, np.uint16)
        assert kernel(data, where, mask, got) == 0
        np.testing.assert_array_equal(got, want)
