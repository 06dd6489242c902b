"""Indices with divisions in them: loads of their phases are the loads of the whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from halo.ir import algebra as A
from halo.ir.expr import Broadcast, Expr, Load, Ramp, Var
from halo.ir.node import interning
from halo.ir.stmt import For, Store, block
from halo.jit.emit_phases import phases
from halo.types import bool_, u16

from .harness import Kernel, at, k, op, port, ramp

LANES = 12
Shape = Callable[[Expr], Expr]


def c(value: int) -> Expr:
    return Broadcast(k(value), LANES)


def over(name: str, x: Expr, by: int) -> Expr:
    return op(name, x, c(by))


SHAPES: dict[str, tuple[Shape, Callable[[np.ndarray], np.ndarray]]] = {
    "halves": (lambda x: over("floordiv", x, 2), lambda x: x // 2),
    "thirds": (lambda x: over("floordiv", x, 3), lambda x: x // 3),
    "nearest": (
        lambda x: A.add(A.add(over("floordiv", x, 2), c(-1)), A.mul(over("mod", x, 2), c(2))),
        lambda x: x // 2 - 1 + 2 * (x % 2),
    ),
    "parity": (lambda x: over("mod", x, 2), lambda x: x % 2),
    "both": (lambda x: A.add(over("floordiv", x, 2), over("mod", x, 3)), lambda x: x // 2 + x % 3),
    "clamped": (
        lambda x: op("max", c(2), op("min", c(7), over("floordiv", A.sub(x, c(3)), 2))),
        lambda x: np.clip((x - 3) // 2, 2, 7),
    ),
    "twice a half": (lambda x: A.mul(over("floordiv", x, 2), c(2)), lambda x: x // 2 * 2),
    "mosaic": (lambda x: op("sub", x, over("mod", x, 2)), lambda x: x - x % 2),
}


@pytest.mark.parametrize("name", SHAPES)
def test_phases(name: str) -> None:
    make, meaning = SHAPES[name]
    with interning():
        a, msk, v = port("a", u16), port("mask", bool_), Var("v")
        outs = [port(f"out{j}", u16, "output") for j in range(3)]
        index = make(Ramp(at(v, const=4), k(1), LANES))
        apart = phases(index)
        assert apart is not None
        assert sum(e.lanes for e in apart) == LANES
        to = ramp(at((v, LANES)), LANES)
        conds = (None, Load(msk.buffer, ramp(k(0), LANES)), Broadcast(op("lt", v, k(5), type=bool_), LANES))
        body = block(*(Store(o.buffer, to, Load(a.buffer, index, p)) for o, p in zip(outs, conds, strict=True)))
        kernel = Kernel(For(v, k(0), k(9), "serial", body), [a, msk, *outs])
    assert "gather" not in kernel.text
    data = np.arange(100, 150, dtype=np.uint16)
    mask = np.random.default_rng(1).random(LANES) < 0.5
    got = [np.zeros((9, LANES), np.uint16) for _ in range(3)]
    assert kernel(data, mask, *(g.ravel() for g in got)) == 0
    want = data[meaning(np.arange(4, 13)[:, None] + np.arange(LANES))]
    np.testing.assert_array_equal(got[0], want)
    np.testing.assert_array_equal(got[1], np.where(mask, want, 0))
    np.testing.assert_array_equal(got[2], np.where(np.arange(9)[:, None] < 5, want, 0))


def test_what_has_no_phases() -> None:
    with interning():
        x = Ramp(Var("v"), k(1), LANES)
        by_variable = op("floordiv", x, Broadcast(Var("w"), LANES))
        inside = over("floordiv", op("min", x, c(5)), 2)
        for index in (x, by_variable, inside, over("floordiv", x, 5), over("floordiv", x, -2), over("mod", x, 0)):
            assert phases(index) is None
