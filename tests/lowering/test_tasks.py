"""Parallel loops are handed out in tasks of about 16384 points; the steady state and the tails stay inside a task."""

from __future__ import annotations

import pytest

from halo.ir.algebra import add, const, mul
from halo.ir.expr import Array, Const, Expr, Var
from halo.ir.facts import free_vars
from halo.ir.stmt import For, Provide, Stmt, block
from halo.lowering.tasks import tasks
from halo.types import i32, index

F = Array("f", (i32,), 2)
Y, X = Var("y"), Var("x")


def stored(*loops: tuple[Var, Expr, str]) -> Stmt:
    s: Stmt = Provide(F, (Y, X), (Const(0, i32),))
    for var, extent, kind in reversed(loops):
        s = For(var, const(0), extent, kind, s)
    return s


@pytest.mark.parametrize(
    ("rows", "columns", "grain"), [(2000, 2000, 8), (2000, 100000, 1), (64, 64, 256), (64, 0, 16384), (7, 16384, 1)]
)
def test_tasks_store_about_as_many_points(rows: int, columns: int, grain: int) -> None:
    made = tasks(stored((Y, const(rows), "parallel"), (X, const(columns), "serial")))
    assert isinstance(made, For) and made.kind == "parallel"
    if grain == 1:
        assert made.extent is const(rows)
        return
    inner = made.body
    assert isinstance(inner, For) and inner.kind == "serial"
    assert made.extent is const(-(-rows // grain))
    assert inner.lo is mul(made.var, const(grain))
    assert made.partition == "never"


def test_every_store_counts_and_inner_loops_that_vary_count_by_their_bound() -> None:
    width = Var("w", index, 0, 100)
    varying = For(X, const(0), add(Y, const(1)), "serial", Provide(F, (Y, X), (Const(0, i32),)))
    known = stored((X, width, "vectorize"))
    made = tasks(For(Y, const(0), const(1 << 20), "parallel", block(varying, known, known)))
    assert isinstance(made, For)
    assert width in free_vars(made.extent)
    assert Y not in free_vars(made.extent)


def test_serial_loops_are_left_alone() -> None:
    s = stored((Y, const(5), "serial"), (X, const(5), "vectorize"))
    assert tasks(s) is s
