"""What ONNX models compute of shapes is known when the program is made; the program takes all extents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import Dim, graph, nn
from halo.graph import Call, Constant, Module
from halo.graph.ir import walk
from halo.graph.shape_arithmetic import shape_vector, values

onnx = pytest.importorskip("onnx", reason="extra: onnx")

N, H = Dim("n"), Dim("h")
CONSTANTS = {"zero": 0, "one": 1}
VECTORS = {"axis": 0, "axis2": 1, "ones": 1, "two": 2, "three": 3, "rest": -1, "rest4": 4}
SHAPE = (
    "many = Constant<value = int64[1] {24}> () second = Constant<value = int64[6] {0, 0, 0, 0, 1, 0}> () "
    "around = Constant<value = int64[6] {0, 1, 1, 0, 2, 0}> () s = Shape (x) b = Gather (s, zero) h = Gather (s, one) "
    "bs = Unsqueeze (b, axis) hs = Unsqueeze (h, axis) "
)
MODELS = {
    "rows": "c = Concat<axis = 0> (bs, rest) y = Reshape (x, c)",
    "split": "half = Div (hs, two) c = Concat<axis = 0> (bs, half, rest) d = Mul (half, two) "
    "k = Slice (x, axis, d, axis2) y = Reshape (k, c)",
    "merged": "m = Mul (bs, hs) c = Concat<axis = 0> (m, rest) y = Reshape (x, c)",
    "expanded": "c = Concat<axis = 0> (two, bs, hs, rest4) y = Expand (x, c)",
    "padded": "c = Concat<axis = 0> (bs, hs) z = ConstantOfShape<value = float[1] {2.0}> (c) "
    "u = Unsqueeze (z, rest) y = Add (x, u)",
    "numbered": "r = Range (zero, h, one) f = Cast<to = 1> (r) u = Unsqueeze (f, rest) y = Mul (x, u)",
    "numbered in floats": "e = Cast<to = 1> (h) t = Constant<value = float {2.0}> () a = Constant<value = float {1.0}> () "
    "q = Div (e, a) w = Mul (q, t) l = Floor (w) r = Range (a, l, t) u = Unsqueeze (r, rest) y = Mul (x, u)",
    "padded to 24": "m = Sub (many, hs) k = Mul (m, second) y = Pad (x, k)",
    "padded and merged": "p = Pad (x, around) c = Concat<axis = 0> (ones, bs, rest) z = Reshape (p, c) y = Neg (z)",
    "minus": "k = Sub (hs, ones) y = Slice (x, axis, k, axis2)",
    "branches": "r = Shape (s) k = Squeeze (r) e = Equal (k, three) n = Not (e) "
    "y = If (n) <then_branch = t () => (float[a] u) { u = Relu (x) }, else_branch = f () => (float[b, c, d] v) { v = Neg (x) }>",
    "parts": "p, q = Split<axis = 2> (x) y = Sub (p, q)",
    "as data": "f = Cast<to = 1> (s) g = ReduceSum<keepdims = 0> (f) y = Add (x, g)",
    "chosen": "e = Equal (s, rest) o = ConstantOfShape<value = int64[1] {1}> (three) w = Where (e, o, s) y = Expand (x, w)",
}


def model(body: str) -> Any:
    known = [f"{name} = Constant<value = int64 {{{v}}}> ()" for name, v in CONSTANTS.items()]
    known += [f"{name} = Constant<value = int64[1] {{{v}}}> ()" for name, v in VECTORS.items()]
    head = '<ir_version: 8, opset_import: ["": 17]> g (float[n, h, 4] x) => (float y) '
    text = f"{head} {{ {' '.join(known)} {SHAPE} {body} }}"
    made = onnx.parser.parse_model(text)
    made.graph.output[0].type.tensor_type.ClearField("shape")
    return made


@pytest.mark.parametrize("name", MODELS)
def test_models_as_the_reference_evaluator(name: str) -> None:
    from onnx.reference import ReferenceEvaluator

    made = model(MODELS[name])
    net = graph.from_onnx(made).compile()
    theirs = ReferenceEvaluator(made)
    for n, h in ((1, 2), (3, 6), (2, 7), (5, 20)):
        x = np.random.default_rng(n).standard_normal((n, h, 4), np.float32)
        (want,) = theirs.run(None, {"x": x})
        np.testing.assert_allclose(net(x), want, rtol=1e-6, err_msg=f"{name} {n} {h}")


def test_nothing_is_left_of_shape_arithmetic() -> None:
    m = graph.from_onnx(model(MODELS["split"]))
    assert {e.op.name for e in walk(m.main.body) if isinstance(e, Call)} == {"strided_slice", "reshape"}


def ints(*v: int) -> Constant:
    return Constant(np.array(v, np.int64))


def test_values() -> None:
    s = shape_vector((N, 3, H), (3,))
    assert values(nn.take(s, ints(2, 0)))[0] == H
    assert list(values(nn.multiply(s, ints(2, 2, 2)))) == [2 * N, 6, 2 * H]
    assert isinstance(shape_vector((2, 3), (2,)), Constant)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(-9, 9), st.integers(-9, 9), st.sampled_from((1, 2, 3, -1, -2)))
def test_slices_of_symbolic_axes(extent: int, begin: int, end: int, stride: int) -> None:
    t = nn.TensorType((H,), halo.f32)
    made = nn.strided_slice.infer((t,), {"begin": (begin,), "end": (end,), "strides": (stride,), "axes": None})
    (n,) = made.shape
    assert (n if isinstance(n, int) else n.evaluate({"h": extent})) == len(range(extent)[begin:end:stride])


def test_a_reshape_that_does_not_fit_is_refused_by_the_call() -> None:
    m = graph.parse("def main(%x: f32[n, h]) -> f32[4, n] { %0 = reshape(%x, shape=(4, <n>)); %1 = relu(%0); %1 }")
    assert isinstance(m, Module)
    net = m.compile()
    assert net(np.ones((3, 4), np.float32)).shape == (4, 3)
    with pytest.raises(halo.HaloError, match="takes"):
        net(np.ones((3, 5), np.float32))
