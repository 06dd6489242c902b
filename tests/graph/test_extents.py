"""Let: extents that the program computes, in graphs by hand and in what ONNX has of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import Dim, nn
from halo.graph import Function, Let, Module, Tuple, Var, constants, from_onnx, load, parse
from halo.graph.evaluate import evaluate
from halo.graph.shape_arithmetic import entries, shape_vector
from halo.nn import TensorType
from halo.types import f32, i64

onnx = pytest.importorskip("onnx", reason="extra: onnx")

X = Var("x", TensorType((5,), f32))
N = Dim("n")


def count_below_zero() -> Any:
    return nn.sum(nn.cast(nn.less(X, np.float32(0)), dtype="i64"))


def module(*outputs: Any) -> Module:
    return Module({"main": Function((X,), Tuple(outputs) if len(outputs) > 1 else outputs[0])})


def test_an_extent_is_what_a_value_is(tmp_path: Any) -> None:
    first = Let(N, count_below_zero(), nn.strided_slice(X, begin=(0,), end=(N,), axes=(0,)))
    m = module(nn.relu(first), Let(N, count_below_zero(), shape_vector((N, N + 1), (2,))))
    for stage in (m, m.run_passes()):
        assert str(parse(str(stage), constants(stage))) == str(stage)
    assert "let n = %2 in %3" in str(m)
    net = m.compile()
    net.save(tmp_path / "extents.halo")
    loaded = load(tmp_path / "extents.halo")
    assert all(r.seconds > 0 for r in loaded.profile(runs=2))
    for x in (np.float32([-1, 3, -1, 2, -4]), np.float32([1, 2, 3, 4, 5]), -np.ones(5, np.float32)):
        n = int((x < 0).sum())
        for found in (net(x), loaded(x), evaluate(m, {"x": x})):
            np.testing.assert_array_equal(found[0], np.maximum(x[:n], 0))
            np.testing.assert_array_equal(found[1], [n, n + 1])


def test_an_extent_of_less_than_nothing_is_none() -> None:
    below = nn.subtract(count_below_zero(), np.int64(3))
    m = module(Let(N, below, nn.arange(X_FIRST, X_FIRST, length=N)))
    for x, n in ((np.zeros(5, np.float32), 0), (-np.ones(5, np.float32), 2)):
        assert m.compile()(x).shape == evaluate(m, {"x": x})[0].shape == (n,)


X_FIRST = nn.reshape(nn.strided_slice(X, begin=(0,), end=(1,)), shape=())


def test_an_extent_is_an_integer() -> None:
    with pytest.raises(halo.ArgumentError, match=r"an extent is an i64\[\], not f32\[5\]"):
        Let(N, X, X)


def test_entries_are_known_one_by_one() -> None:
    v = Var("v", TensorType((2,), i64))
    vector = nn.concatenate(np.array([3]), nn.add(v, np.int64(1)), shape_vector((N,), (1,)))
    assert list(entries(vector)) == [3, None, None, N]
    assert list(entries(nn.multiply(vector, vector))) == [9, None, None, N * N]
    assert entries(X) is None


BODY = """Loop(n, c, x) <body = h (int64 i, bool c, float[p] s) => (bool d, float[q] t) {
  d = Identity(c) z = NonZero(s) zz = Squeeze<axes = [0]>(z) a = Gather(s, zz)
  e = Constant<value = float {1.0}>() b = Sub(a, e) t = Relu(b) }>"""
PROGRAMS = {
    "NonZero": "(float[4, 5] x) => (int64[2, k] y, float[2, k] z) { y = NonZero(x) c = Cast<to = 1>(y) z = Neg(c) }",
    "NonZero of open axes": "(float[a, b] x) => (int64[2, k] y, int64[2] s) { y = NonZero(x) s = Shape(y) }",
    "only the extent": "(float[4, 5] x) => (int64[2] s) { y = NonZero(x) s = Shape(y) }",
    "one after the other": """(float[40] x) => (int64[1, m] y) { axes = Constant<value_ints = [0]>() a = NonZero(x)
        q = Squeeze(a, axes) v = Gather(x, q) w = Relu(v) y = NonZero(w) }""",
    "Range": """(float[4, 5] x) => (float[k] r) { s = ReduceSum<keepdims = 0>(x) m = Abs(s)
        zero = Constant<value_float = 0.0>() step = Constant<value_float = 0.5>() r = Range(zero, m, step) }""",
    "Compress": "(float[4, 5] x, bool[4] c) => (float[k, 5] y, float[l] w) { y = Compress<axis = 0>(x, c) w = Compress(x, c) }",
    "Slice": """(float[8, 5] x, int64[2] from, int64[2] to) => (float[p, q] y, float[r, 5] z) {
        axes = Constant<value_ints = [0, 1]>() y = Slice(x, from, to, axes) two = Constant<value_ints = [2]>()
        i = Constant<value_ints = [0]>() end = Gather(to, i) z = Slice(x, two, end) }""",
    "Reshape": """(float[8, 6] x, int64[2] shape, int64[1] last) => (float[p, q] y, float[3, r] z) { y = Reshape(x, shape)
        three = Constant<value_ints = [3]>() s = Concat<axis = 0>(three, last) z = Reshape(x, s) }""",
    "Expand": """(float[1, 6] x, int64[2] shape) => (float[p, q] y, float[r, t] z) { y = Expand(x, shape)
        z = ConstantOfShape(shape) }""",
    "TopK": "(float[4, 9] x, int64[1] k) => (float[4, p] y, int64[4, p] i) { y, i = TopK(x, k) }",
    "Unique": "(float[12] x) => (float[p] y, int64[p] i, int64[12] j, int64[p] c) { f = Round(x) y, i, j, c = Unique(f) }",
    "NonMaxSuppression": """(float[1, 12, 4] b, float[1, 2, 12] s) => (int64[n, 3] y, float[n, 4] z) {
        most = Constant<value_ints = [4]>() t = Constant<value_floats = [0.3]>() least = Constant<value_floats = [0.2]>()
        y = NonMaxSuppression(b, s, most, t, least) two = Constant<value_int = 2>() i = Gather<axis = 1>(y, two)
        axes = Constant<value_ints = [0]>() boxes = Squeeze(b, axes) z = Gather(boxes, i) }""",
    "TopK of what counts": """(float[9] x) => (float[k] y, int64[k] i) { axes = Constant<value_ints = [0]>()
        a = NonZero(x) q = Squeeze(a, axes) v = Gather(x, q) n = Shape(v) five = Constant<value_ints = [5]>()
        both = Concat<axis = 0>(five, n) k = ReduceMin<keepdims = 1>(both) y, i = TopK(v, k) }""",
    "Unique of what counts": """(float[12] x) => (float[p] y, int64[p] i, int64[j] r, int64[p] c) {
        axes = Constant<value_ints = [0]>() f = Round(x) a = NonZero(f) q = Squeeze(a, axes) v = Gather(f, q)
        y, i, r, c = Unique(v) }""",
    "Unique of one": """(float[1] x) => (float[p] y, int64[p] i, int64[1] r, int64[p] c) {
        y, i, r, c = Unique<sorted = 0>(x) }""",
    "NonMaxSuppression of what counts": """(float[12, 4] b, float[12] s) => (int64[n, 3] y) {
        most = Constant<value_ints = [4]>() t = Constant<value_floats = [0.3]>() axes = Constant<value_ints = [0]>()
        two = Constant<value_ints = [0, 1]>() a = NonZero(s) q = Squeeze(a, axes) v = Gather(s, q) w = Gather(b, q)
        boxes = Unsqueeze(w, axes) scores = Unsqueeze(v, two) y = NonMaxSuppression(boxes, scores, most, t) }""",
    "parts that count": """(float[7] x, float[7] y) => (float[n] z, int64[n] i) { axes = Constant<value_ints = [0]>()
        a = NonZero(x) b = NonZero(y) p = Squeeze(a, axes) q = Squeeze(b, axes) v = Gather(x, p) w = Gather(y, q)
        u = Concat<axis = 0>(v, w) z = Relu(u) i = Concat<axis = 0>(p, q) }""",
    "If over an extent": """(float[9] x, bool c) => (float[k] y) { axes = Constant<value_ints = [0]>() a = NonZero(x)
        q = Squeeze(a, axes) v = Gather(x, q) n = Shape(v)
        y = If(c) <then_branch = g () => (float[p] t) { two = Constant<value_ints = [2]>() m = Mul(n, two)
                     t = ConstantOfShape<value = float {3.0}>(m) },
                   else_branch = h () => (float[q] t) { u = Relu(v) t = Concat<axis = 0>(u, u, x) }> }""",
    "Loop": f"(float[9] x, int64 n) => (float[k] y) {{ c = Constant<value = bool {{1}}>() y = {BODY} }}",
}  # fmt: skip
GIVEN: dict[str, list[dict[str, Any]]] = {
    "Slice": [{"from": [-7, 1], "to": [6, 100]}, {"from": [3, 0], "to": [-1, -2]}, {"from": [5, 4], "to": [2, 1]}],
    "Reshape": [{"shape": [-1, 4], "last": [16]}, {"shape": [0, 6], "last": [-1]}, {"shape": [2, 24], "last": [16]}],
    "Expand": [{"shape": [4, 6]}, {"shape": [1, 1]}, {"shape": [7, 6]}],
    "If over an extent": [{"c": True}, {"c": False}, {"c": True, "x": np.zeros(9)}, {"c": False, "x": np.zeros(9)}],
    **{name: [{}, {}, {"x": 0}] for name in ("TopK of what counts", "Unique of what counts", "parts that count")},
    "NonMaxSuppression of what counts": [{}, {}, {"s": 0}],
    "TopK": [{"k": [3]}, {"k": [1]}, {"k": [9]}],
    "Loop": [{"n": 2}, {"n": 0}, {"n": 1}],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_onnx(name: str) -> None:
    """One net is right for whatever its inputs hold, and so is the program run value by value."""
    import onnx.parser
    from onnx.reference import ReferenceEvaluator

    opset = 11 if name == "Loop" else 13
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]>\ng {PROGRAMS[name]}')
    m = from_onnx(proto)
    assert str(parse(str(m), constants(m))) == str(m)
    net, reference = m.compile(), ReferenceEvaluator(proto)
    rng = np.random.default_rng(0)
    for given in GIVEN.get(name, [{}, {}, {}]):
        inputs = {}
        for p in m.main.params:
            shape = tuple(n if isinstance(n, int) else {"a": 6, "b": 7}[str(n)] for n in p.type.shape)
            x = np.asarray(rng.integers(0, 4, shape) + rng.random(shape) * (name != "Loop"))
            x = np.where(rng.random(shape) < 0.3, 0, x)
            inputs[p.name] = np.broadcast_to(np.asarray(given.get(p.name, x), p.type.dtype.dtype), shape)
        want = reference.run(None, inputs)
        got = net(**inputs)
        for found in (got if isinstance(got, tuple) else (got,), evaluate(m, inputs)):
            for a, b in zip(found, want, strict=True):
                assert a.shape == b.shape, (a, b)
                np.testing.assert_array_equal(a, b)


def test_what_goes_backwards_from_where_only_running_tells() -> None:
    import onnx.parser

    text = """g (float[8] x, int64[1] from) => (float[p] y) { to = Constant<value_ints = [0]>()
        axes = Constant<value_ints = [0]>() back = Constant<value_ints = [-1]>() y = Slice(x, from, to, axes, back) }"""
    with pytest.raises(halo.ArgumentError, match="backwards"):
        from_onnx(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 13]>\n{text}'))


def test_an_extent_that_is_told_by_what_has_it() -> None:
    text = """def main(%x: f32[5]) -> f32[n] {
      %0 = broadcast_to(%x, shape=(<n>,)); %1 = sum(%0); %2 = cast(%1, dtype='i64'); %3 = let n = %2 in %0; %3 }"""
    with pytest.raises(halo.ArgumentError, match=r"what tells an extent of f32\[n\] has that extent"):
        parse(text).compile()


def test_what_is_told_by_the_same_value_is_one_extent() -> None:
    import onnx.parser

    text = "g (float[4, 5] x) => (float[k] y) { a = NonZero(x) b = NonZero(x) c = Cast<to = 1>(a) d = Cast<to = 1>(b) "
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 13]>\n{text} e = Add(c, d) y = ReduceSum<keepdims = 0>(e) }}'
    )
    net = from_onnx(proto).compile()
    assert str(net.program).count("let ") == 1
    assert net(np.eye(4, 5, dtype=np.float32)) == 2 * 2 * (0 + 1 + 2 + 3)


def test_extents_that_are_arithmetic_over_those_of_another_parameter() -> None:
    m = parse("def main(%x: f32[2*k + 1], %y: f32[k]) -> f32[3*k + 1] { %0 = concatenate(%x, %y); %0 }")
    x, y = np.arange(5, dtype=np.float32), np.ones(2, np.float32)
    for found in (m.compile()(x, y), evaluate(m, {"x": x, "y": y})[0]):
        np.testing.assert_array_equal(found, np.concatenate([x, y]))
    for f in (m.compile(), lambda x, y: evaluate(m, {"x": x, "y": y})):
        with pytest.raises(halo.ArgumentError, match=r"2\*k \+ 1"):
            f(x[:4], y)


EMPTY = {
    "take": ("(%x: f32[n, 4], %i: i64[m]) -> f32[m, 4] { %0 = take(%x, %i, axis=0); %0 }", (0, 4), (0,)),
    "gather_nd": ("(%x: f32[n, 4], %i: i64[m, 1]) -> f32[m, 4] { %0 = gather_nd(%x, %i); %0 }", (0, 4), (0, 1)),
    "reshape": ("(%x: f32[n, m]) -> f32[m*n] { %0 = reshape(%x, shape=(<m*n>,)); %1 = relu(%0); %1 }", (0, 3)),
    "cumsum": ("(%x: f32[n]) -> f32[n] { %0 = cumsum(%x); %0 }", (0,)),
    "tile": ("(%x: f32[n]) -> f32[2*n] { %0 = tile(%x, reps=(2,)); %0 }", (0,)),
    "concatenate": ("""(%x: f32[n, m], %y: f32[n, k]) -> f32[n, k + m] { %0 = concatenate(%x, %y, axis=1); %1 = relu(%0);
        %1 }""", (3, 4), (3, 0)),
    "suppression": ("""(%b: f32[1, 2, n, 4], %s: f32[1, 2, n]) -> bool[1, 2, n] {
        %0 = overlap_suppression(%b, %s, most=5); %0 }""", (1, 2, 0, 4), (1, 2, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_what_has_no_entries(name: str) -> None:
    text, *shapes = EMPTY[name]
    m = parse(f"def main{text}")
    types = [p.type for p in m.main.params]
    arrays = [np.ones(shape, t.dtype.dtype) for shape, t in zip(shapes, types, strict=True)]
    net = m.compile()
    (want,) = evaluate(m, dict(zip(m.inputs, arrays, strict=True)))
    np.testing.assert_array_equal(net(*arrays), want)
    some = [tuple(k or 1 for k in shape) for shape in shapes]  # and the same net where there are some
    arrays = [np.zeros(shape, t.dtype.dtype) for shape, t in zip(some, types, strict=True)]
    np.testing.assert_array_equal(net(*arrays), evaluate(m, dict(zip(m.inputs, arrays, strict=True)))[0])


@pytest.mark.parametrize("one", ["n", "n*m", "((n + 3)//4)*((m + 3)//4)"])
def test_parts_that_are_multiples_of_an_extent(one: str) -> None:
    text = f"""(%x: f32[2, 4*{one}], %y: f32[2, 2*{one}], %z: f32[2, {one}], %s: f32[n, m]) -> f32[2, 7*{one}] {{
        %0 = concatenate(%x, %y, %z, axis=1); %0 }}"""
    net = parse(f"def main{text}").compile()
    for n, m in ((1, 1), (5, 3), (16, 40), (0, 2)):
        k = {"n": n, "n*m": n * m}.get(one, -(-n // 4) * -(-m // 4))
        parts = [np.random.default_rng(j).random((2, j * k), np.float32) for j in (4, 2, 1)]
        np.testing.assert_array_equal(net(*parts, np.zeros((n, m), np.float32)), np.concatenate(parts, axis=1))
