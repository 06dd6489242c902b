"""The reference backends: definitions that are made more than once, and statements that have no source."""

from __future__ import annotations

import numpy as np
import pytest

from halo.errors import CompileError
from halo.ir import algebra as A
from halo.ir.expr import Array, Buffer, Cast, Const, Expr, Var
from halo.ir.node import interning
from halo.ir.stmt import For, Let, Provide, Stmt, Store, block
from halo.jit.python import run, to_source
from halo.types import i32, index
from tests.jit.test_python import lowered, output


def test_one_variable_may_have_several_definitions() -> None:
    with interning():
        out, n, x = Array("out", (i32,), 1), Var("n"), Var("x")

        def filled(value: Expr, and_: int) -> Stmt:
            stored = A.op("add", Cast(n, i32), Const(and_, i32))
            return Let(n, value, For(x, Const(0, index), n, "serial", Provide(out, (x,), (stored,))))

        half = A.floordiv(out.extents[0], Const(2, index))
        low = lowered(block(filled(out.extents[0], 10), filled(half, 20), filled(Const(1, index), 30)), output(out))
        result = np.zeros(6, np.int32)
        run(low, "python", [result])
    assert result.tolist() == [31, 23, 23, 16, 16, 16]


def test_flat_memory_has_no_source() -> None:
    with pytest.raises(CompileError, match="Store"):
        to_source(lowered(Store(Buffer("b", i32, "heap"), Const(0, index), Const(1, i32))))
