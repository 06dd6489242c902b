"""Requirements inside definitions: a status each, the message with its values, under any schedule and backend."""

import numpy as np
import pytest

import halo
from halo.ir.expr import Const, Op, Var
from halo.ir.node import interning
from halo.ir.pipeline import CheckInfo
from halo.ir.stmt import Block, Evaluate
from halo.lowering.requirements import requirements
from halo.types import bool_, f32, i32

CHECKS = (CheckInfo("bounds", "a"),)


def test_each_gets_a_status():
    with interning():
        c, x = Var("c", bool_), Var("x", f32)
        inner = Op("require", (c, x), f32, ("inner {}", None))
        outer = Op("require", (Op("not", (c,), bool_), inner, Const(3, i32)), f32, ("outer {}", None))
        s, checks = requirements(Block((Evaluate(outer), Evaluate(inner))), CHECKS)
        first, second = (t.value for t in s.stmts)
        assert first.args[1] is second
        assert {first.data, second.data} == {2, 3}
        assert checks[0] is CHECKS[0]
        assert checks[second.data - 1].message == "inner {}"
        assert checks[second.data - 1].types == (f32,)
        assert checks[first.data - 1].types == (f32, i32)


def test_nothing_changes_without():
    with interning():
        s = Evaluate(Op("neg", (Var("x", f32),), f32))
        assert requirements(s, CHECKS)[1] == CHECKS


@pytest.mark.parametrize("target", ["host", "python"])
def test_the_message_has_the_values(target):
    @halo.func
    def f(x, *, a: halo.f32[:]):
        return halo.require(a[x] < 0.5, a[x], "at", x, "is", a[x], "{not less}")

    kernel = f.compile(target=target)
    fine = np.full(11, 0.1, np.float32)
    np.testing.assert_array_equal(kernel(fine), fine)
    fine[7] = 0.7
    with pytest.raises(halo.ArgumentError) as e:
        kernel(fine)
    assert e.value.message == "at 7 is 0.7 {not less}"
    assert "halo.require" in str(e.value)


@pytest.mark.parametrize("n", [1, 3, 8, 16, 17, 37])
def test_lanes_that_do_not_count_require_nothing(n):
    @halo.func
    def f(x, *, a: halo.i32[:]):
        return halo.require(a[x] > 0, a[x], "a is not positive")

    f.vectorize("x", 16)
    kernel = f.compile()
    a = np.arange(1, n + 1, dtype=np.int32)
    np.testing.assert_array_equal(kernel(a), a)
    a[n - 1] = 0
    with pytest.raises(halo.ArgumentError, match="a is not positive"):
        kernel(a)
