"""The canonical text: equal for equal pipelines, different for different ones, linear in the DAG."""

import os
import subprocess
import sys

import numpy as np
import pytest

from halo.errors import Location
from halo.ir.expr import Array, Const, Op, Read, Var
from halo.ir.node import interning
from halo.ir.pipeline import Definition, Function, Param, Pipeline
from halo.jit.canonical import UncacheableError, canonical
from halo.types import f32, index, u8


def pipeline(name="f", constant=1.0, factor=8, line=1, table=None, depth=0):
    """`f[x] = img[x] + constant`, its loop split by `factor`, defined at `line`."""
    from halo.schedule.loops import Dim, Loops, SplitOp

    with interning():
        x = Var("x")
        img = Array("img", (f32,), 1, "input")
        value = Op("add", (Read(img, (x,)), Const(constant, f32)), f32)
        for _ in range(depth):
            value = Op("mul", (value, value), f32)
        if table is not None:
            value = Op("add", (value, Read(Array("t", (f32,), 1, "table", table), (x,))), f32)
        loops = Loops((Dim("xo"), Dim("xi", "vectorize")), (SplitOp("x", "xo", "xi", factor, "guard"),))
        place = Location("f.py", line, 4)
        definition = Definition((x,), (value,), loops=loops, loc=place)
        f = Function(name, (x,), (f32,), Array(name, (f32,), 1), (definition,))
        return Pipeline((f,), (name,), (img,), (Param("k", Var("k", f32), 1.5),))


def test_equal_captures_have_equal_texts():
    assert canonical(pipeline()).text == canonical(pipeline()).text


@pytest.mark.parametrize("change", [{"name": "g"}, {"constant": 2.0}, {"constant": -0.0}, {"factor": 16}, {"depth": 1},
                                    {"table": np.arange(3, dtype=np.float32)}])  # fmt: skip
def test_every_difference_shows(change):
    assert canonical(pipeline()).text != canonical(pipeline(**change)).text


def test_signed_zero_and_nan():
    texts = {canonical(pipeline(constant=c)).text for c in (0.0, -0.0, float("nan"), float("inf"))}
    assert len(texts) == 4


def test_tables_by_content():
    a, b = np.arange(3, dtype=np.float32), np.arange(3, dtype=np.float32)
    assert canonical(pipeline(table=a)).text == canonical(pipeline(table=b)).text
    b[1] = 7
    assert canonical(pipeline(table=a)).text != canonical(pipeline(table=b)).text
    assert canonical(pipeline(table=a)).text != canonical(pipeline(table=a.astype(np.float64))).text


def test_lines_do_not_count_but_are_listed():
    assert canonical(pipeline(line=1)).text == canonical(pipeline(line=2)).text
    assert [place.line for place in canonical(pipeline(line=2)).locations] == [2]


def test_linear_in_the_dag_and_not_recursive():
    assert len(canonical(pipeline(depth=5000)).text) < 200_000  # 2**5000 as a tree


def test_types_and_constants_of_other_types_differ():
    with interning():
        texts = {canonical(Pipeline((), (), (), (), ((Const(1, t), "m"),))).text for t in (u8, f32, index)}
    assert len(texts) == 3


def test_python_functions_have_no_text():
    with pytest.raises(UncacheableError):
        canonical(Pipeline((), (), (), (Param("k", Var("k", f32), print),)))


def test_equal_in_another_process():
    code = "import test_canonical as t; print(t.canonical(t.pipeline()).text.hex())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    run = [sys.executable, "-c", code]
    other = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
    assert bytes.fromhex(other.stdout) == canonical(pipeline()).text
