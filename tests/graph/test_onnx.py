"""ONNX models against onnx's reference evaluator, and files that are no models."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import halo
from halo import graph, nn

onnx = pytest.importorskip("onnx", reason="extra: onnx")
from onnx import numpy_helper, parser  # noqa: E402  (once it is known to be there)
from onnx.reference import ReferenceEvaluator  # noqa: E402  (once it is known to be there)

RNG = np.random.default_rng(0)


def model(
    nodes: str, inputs: str = "float[1,4,9,8] x", output: str = "float[n] y", opset: int = 18, **initializers: Any
) -> Any:
    text = f'<ir_version: 8, opset_import: ["": {opset}]> g ({inputs}) => ({output}) {{ {nodes} }}'
    made = parser.parse_model(text)
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), name) for name, a in initializers.items())
    return made


def check(made: Any, **inputs: np.ndarray) -> None:
    got = graph.from_onnx(made).compile()(**inputs)
    want = ReferenceEvaluator(made).run(None, inputs)[0]
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def w(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, np.float32)


X = w(1, 4, 9, 8)


@pytest.mark.parametrize("nodes", [
    "y = Relu(x)",
    "a = LeakyRelu<alpha=0.2>(x) b1 = Elu(a) y = HardSwish(b1)",
    "y = PRelu(x, b4)",
    "y = Clip(x, one, x)",
    "a = Flatten<axis=3>(x) y = Gemm<transA=1>(a, a)",
    "a = Conv(x, cw) y = Conv<pads=[1,1,1,1]>(a, ow)",
    "y = Conv<pads=[1,1,1,1]>(x, w)",
    "y = Conv<strides=[2,2], dilations=[1,2]>(x, w, b)",
    "y = Conv<group=4, pads=[1,1,1,1], strides=[2,1]>(x, dw)",
    "y = Conv<group=2>(x, gw, b)",
    "a = Concat<axis=1>(x, x, x, x, x, x, x, x) c = Conv<group=2, pads=[1,1,1,1]>(a, gv) y = Relu(c)",
    "a = Concat<axis=1>(x, x) b1 = Concat<axis=1>(a, x) y = Transpose<perm=[0,2,3,1]>(b1)",
    'y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w, b)',
    'y = Conv<auto_pad="SAME_LOWER">(x, w, b)',
    "c = Conv<pads=[1,1,1,1]>(x, w, b) n = BatchNormalization(c, b, b, b, v) y = Relu(n)",
    "y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)",
    "y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x)",
    "y = AveragePool<kernel_shape=[3,2], pads=[1,0,1,1]>(x)",
    "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x)",
    "y = GlobalAveragePool(x)",
    "y = Sum(x, x, x)",
    "a = Sigmoid(x) y = Mul(a, x)",
    "a = Exp(x) b1 = Tanh(a) y = Sub(b1, a)",
    "y = Flatten<axis=2>(x)",
    "y = Reshape(x, s)",
    "f = Flatten(x) y = Gemm<transB=1, alpha=0.5, beta=2.0>(f, g, b)",
    "f = Flatten(x) y = Gemm(f, h)",
    "y = Softmax(x)",
    "y = Clip(x, lo, hi)",
    "a = Identity(x) y = Dropout(a)",
    "y = Unsqueeze(x, ax)",
    "y = Max(x, b4)",
])  # fmt: skip
def test_as_the_reference_evaluator(nodes: str) -> None:
    known = {
        "w": w(6, 4, 3, 3), "b": w(6), "v": abs(w(6)), "g": w(6, 288), "h": w(288, 5), "b4": w(4, 1, 1),
        "s": np.array([0, -1], np.int64), "lo": np.float32(-0.5), "hi": np.float32(1), "ax": np.array([0, -1], np.int64),
        "dw": w(4, 1, 3, 3), "gw": w(6, 2, 1, 1), "gv": w(32, 16, 3, 3),
        "one": np.float32(0.1), "cw": w(1, 4, 1, 1), "ow": w(20, 1, 3, 3),
    }  # fmt: skip
    used = {name: a for name, a in known.items() if any(f"{name}{end}" in nodes for end in (",", ")"))}
    check(model(nodes, **used), x=X)


@pytest.mark.parametrize(("nodes", "opset"), [
    ("y = Softmax<axis=1>(x)", 11),
    ("y = Clip<min=-0.5, max=0.5>(x)", 6),
    ("y = Reshape<shape=[1, -1]>(x)", 1),
])  # fmt: skip
def test_older_opsets(nodes: str, opset: int) -> None:
    made = model(nodes, opset=opset)
    got = graph.from_onnx(made).compile()(X)
    want = {"Softmax": lambda: np.exp(X.reshape(1, -1)) / np.exp(X.reshape(1, -1)).sum(), "Clip": lambda: np.clip(X, -0.5, 0.5),
            "Reshape": lambda: X.reshape(1, -1)}[nodes.split(" = ")[1].split("<")[0]]()  # fmt: skip
    np.testing.assert_allclose(got, want.reshape(got.shape), rtol=1e-5)


def test_all_operators_that_are_missing_are_named_at_once() -> None:
    made = model("a = ImageDecoder(x) b = StringSplit(x) c = StringSplit(b) y = com.acme.Foo(c)")
    with pytest.raises(halo.ArgumentError, match=r"ImageDecoder \(1\), StringSplit \(2\), com.acme.Foo \(1\)"):
        graph.from_onnx(made)


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
def test_words_that_follow_each_other(mode: str) -> None:
    """Sequences of one and two words, in the order that `ngram_indexes` says, in rows of any number."""
    made = model(
        f'y = TfIdfVectorizer<mode = "{mode}", min_gram_length = 1, max_gram_length = 2, max_skip_count = 1, '
        "ngram_counts = [0, 2], ngram_indexes = [3, 0, 1], pool_int64s = [5, 7, 5, 7], weights = [2.0, 0.5, 3.0]>(x)",
        inputs="int32[n,5] x", output="float[n,4] y",
    )  # fmt: skip
    x = np.array([[5, 7, 5, 7, 9], [5, 1, 7, 5, 5]], np.int32)
    counts = np.float32([[2, 2, 0, 2], [1, 1, 0, 3]])  # 7, then (5, 7) next to each other or one apart, nothing, 5
    weights = np.float32([0.5, 3, 0, 2])
    want = {"TF": counts, "IDF": np.minimum(counts, 1) * weights, "TFIDF": counts * weights}[mode]
    net = graph.from_onnx(made).compile()
    np.testing.assert_array_equal(net(x), want)
    np.testing.assert_array_equal(net(x[:1]), want[:1])
    del made.graph.node[0].attribute[:]
    with pytest.raises(halo.ArgumentError, match="TfIdfVectorizer"):
        graph.from_onnx(made)


def test_open_shapes_are_given() -> None:
    made = model("y = Relu(x)", inputs="float[n,3] x")
    assert graph.from_onnx(made).inputs["x"].shape == (halo.Dim("n"), 3)
    assert graph.from_onnx(made, shapes={"x": (2, 3)}).compile()(w(2, 3)).shape == (2, 3)
    with pytest.raises(halo.ArgumentError, match="no input of the model"):
        graph.from_onnx(made, shapes={"z": (2, 3)})


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x07\x12" * 40])
def test_no_model(data: bytes) -> None:
    with pytest.raises(halo.HaloError):
        graph.from_onnx(data).compile()


@pytest.mark.parametrize(
    "nodes", ["y = Relu(z)", "y = Relu(a) a = Relu(y)", "y = Conv(x, w)", "y = Flatten<axis=7>(x)", "y = Gemm(x, x)"]
)
def test_a_wrong_graph_is_refused(nodes: str) -> None:
    with pytest.raises(halo.ArgumentError, match=r"node|reads"):
        graph.from_onnx(model(nodes, **({"w": w(6, 3, 3, 3)} if "w" in nodes else {})))


@pytest.mark.slow
def test_resnet50_is_right() -> None:
    ort = pytest.importorskip("onnxruntime", reason="extra: dev")
    from benchmarks.models import light

    made = light("resnet50")
    net = graph.from_onnx(made).compile()
    x = RNG.standard_normal((1, 3, 224, 224), np.float32)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    want = session.run(None, {"gpu_0/data_0": x})[0]
    got = net(x)
    assert np.abs(got - want).max() / np.abs(want).max() < 1e-3
    assert got.argmax() == want.argmax()


TRANSPOSED = [
    ((5, 7, 2, 3), {"strides": [2, 3]}),  # no overlap
    ((5, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((5, 4, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((5, 3, 3, 5), {"strides": [2, 3], "pads": [0, 2, 1, 1], "output_padding": [1, 2]}),
    ((5, 3, 3, 2), {"strides": [1, 2], "dilations": [2, 3], "pads": [3, 1, 0, 2]}),
    ((5, 3, 2, 2), {"strides": [3, 2], "dilations": [2, 2]}),
    ((5, 3, 1, 2), {"strides": [2, 3], "pads": [2, 4, 1, 3]}),  # more padding than the window reaches
    ((6, 2, 3, 3), {"strides": [2, 2], "group": 3, "pads": [1, 0, 1, 0]}),
    ((6, 1, 4, 4), {"strides": [2, 2], "group": 6, "pads": [1, 1, 1, 1]}),
    ((5, 3, 4), {"strides": [2], "pads": [1, 2], "dilations": [3]}),
    ((16, 24, 3), {"strides": [2], "pads": [1, 1], "output_padding": [1]}),
    ((3, 2, 2, 3, 2), {"strides": [2, 1, 2], "pads": [0, 1, 0, 1, 1, 0]}),
]


VOLUMES = [
    ((4, 5, 3, 3, 3), {"pads": [1, 1, 1, 1, 1, 1]}),
    ((24, 16, 2, 3, 1), {"strides": [2, 1, 2], "pads": [0, 1, 0, 2, 1, 0]}),
    ((6, 2, 3, 2, 2), {"dilations": [2, 1, 2], "group": 3, "pads": [2, 0, 1, 1, 0, 1]}),
    ((6, 1, 3, 3, 1), {"group": 6, "strides": [3, 2, 1], "pads": [4, 1, 0, 3, 1, 0]}),
    ((3, 4, 1, 1, 1), {"pads": [1, 0, 0, 0, 0, 0]}),
]


@pytest.mark.parametrize(
    ("kind", "kernel", "attrs", "biased"),
    [
        (kind, *case, i % 2 == 0)
        for kind, cases in (("ConvTranspose", TRANSPOSED), ("Conv", VOLUMES))
        for i, case in enumerate(cases)
    ],
)
def test_convolutions(kind: str, kernel: tuple[int, ...], attrs: dict[str, Any], biased: bool) -> None:
    """Of extents that are known, and that only a call knows; beside ONNX Runtime."""
    ort = pytest.importorskip("onnxruntime", reason="extra: dev")
    from onnx import helper

    rng = np.random.default_rng(0)
    groups = attrs.get("group", 1)
    channels, out = (kernel[1] * groups, kernel[0]) if kind == "Conv" else (kernel[0], kernel[1] * groups)
    weights = [numpy_helper.from_array(rng.standard_normal(kernel, np.float32), "w")]
    if biased:
        weights.append(numpy_helper.from_array(w(out), "b"))
    node = helper.make_node(kind, ["x", *(v.name for v in weights)], ["y"], kernel_shape=kernel[2:], **attrs)

    def made(shape: Any) -> Any:
        x, y = (helper.make_tensor_value_info(n, 1, s) for n, s in (("x", shape), ("y", None)))
        g = helper.make_graph([node], "g", [x], [y], weights)
        return helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    shapes = [(batch, channels, *extents[: len(kernel) - 2]) for batch, extents in ((1, (4, 6, 3)), (2, (9, 5, 4)))]
    free = graph.from_onnx(made(["n", channels, "d", "h", "v"][: len(kernel)])).compile()
    for shape in shapes:
        x = rng.standard_normal(shape, np.float32)
        session = ort.InferenceSession(made(shape).SerializeToString(), providers=["CPUExecutionProvider"])
        (want,) = session.run(None, {"x": x})
        for net in (graph.from_onnx(made(shape)).compile(), free):
            got = net(x)
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent_layers_take_sequences_of_any_length(kind: str, gates: int, direction: str) -> None:
    size, hidden, runs = 5, 3, 2 if direction == "bidirectional" else 1
    made = model(f'y, h = {kind}<hidden_size={hidden}, direction="{direction}">(x, w, r, b)',
                 f"float[steps,batch,{size}] x", "float[t,d,batch,3] y, float[d,batch,3] h",
                 w=w(runs, gates * hidden, size), r=w(runs, gates * hidden, hidden), b=w(runs, 2 * gates * hidden))  # fmt: skip
    net = graph.from_onnx(made).compile()
    for steps, batch in ((1, 1), (4, 2), (7, 1)):
        x = w(steps, batch, size)
        for got, want in zip(net(x), ReferenceEvaluator(made).run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_branches_of_different_ranks_say_what_decides_them() -> None:
    made = model(
        "y = If (c) <then_branch = t () => (float[a] u) { u = Flatten (x) }, else_branch = f () => (float[b] v) { v = Relu (x) }>",
        "bool c, float[2,3,4] x",
    )
    with pytest.raises(halo.ArgumentError, match="no values of one type") as refused:
        graph.from_onnx(made)
    assert "values={" in str(refused.value)
    net = graph.from_onnx(made, values={"c": np.array(True)}).compile()
    assert net(c=np.array(True), x=w(2, 3, 4)).shape == (2, 12)


def test_axes_without_entries() -> None:
    made = model("a = Slice(x, s, e) b0 = Relu(a) c = Add(b0, b0) y = Concat<axis=0>(c, x)", inputs="float[2,3] x",
                 s=np.array([1]), e=np.array([1]))  # fmt: skip
    x = w(2, 3)
    np.testing.assert_array_equal(graph.from_onnx(made).compile()(x), x)
    m = graph.from_onnx(model("a = Slice(x, s, e) y = ReduceSum(a, z)", inputs="float[2,3] x",
                              s=np.array([1]), e=np.array([1]), z=np.array([0])))  # fmt: skip
    np.testing.assert_array_equal(m.compile()(x), np.zeros((1, 3)))


def test_nothing_is_read_where_there_is_nothing() -> None:
    for rows in ("2", "n"):
        made = model("y = Gather<axis=1>(x, i)", inputs=f"float[{rows},0] x", i=np.zeros((3, 0), np.int64))
        assert graph.from_onnx(made).compile()(w(2, 0)).shape == (2, 3, 0)


@pytest.mark.parametrize(("begin", "end", "entries"), [(-9, -9, [0]), (-3, -9, [0]), (9, -9, [2, 1, 0]), (-9, 0, [])])
def test_a_slice_backwards_begins_within_its_axis(begin: int, end: int, entries: list[int]) -> None:
    made = model("y = Slice(x, b, e, a, s)", inputs="float[3] x",
                 b=np.array([begin]), e=np.array([end]), a=np.array([0]), s=np.array([-1]))  # fmt: skip
    x = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(graph.from_onnx(made).compile()(x), x[entries])


@pytest.mark.parametrize("nodes", [
    "v = NonZero(x) y = Slice(v, far, end, a)",
    "c = ReduceSum<keepdims=0>(x) t = Greater(c, zero) i = If<then_branch = a () => (float[p,q] u) { u = Concat<axis=1>(x, x) }, "
    "else_branch = b () => (float[p,q] v) { v = Neg(x) }>(t) y = Slice(i, far, end, a)",
])  # fmt: skip
def test_what_has_no_entries_has_as_many_columns_as_a_call_tells(nodes: str) -> None:
    held = {"far": np.array([6]), "end": np.array([9]), "a": np.array([0]), "zero": np.float32(0)}
    used = {name: a for name, a in held.items() if name in re.findall(r"\w+", nodes)}
    made, x = model(nodes, inputs="float[3,n] x", output="float[r,s] y", **used), np.ones((3, 4), np.float32)
    want = ReferenceEvaluator(made).run(None, {"x": x})[0]
    assert graph.from_onnx(made).compile()(x).shape == want.shape


@pytest.mark.parametrize(("nodes", "shape"), [
    ("a = Relu(x) y = Conv<pads=[1,1,1,1]>(a, k)", (2, 3, 5, 6)),
    ("y = ConvTranspose(x, t)", (2, 3, 5, 6)),
    ("a = BatchNormalization(x, s, s, s, s) y = Add(a, x)", (2, 3, 5, 6)),
    ("a = Transpose<perm=[0,2,3,1]>(x) y = MatMul(a, d)", (2, 3, 5, 6)),
])  # fmt: skip
def test_weights_decide_axes_that_a_file_leaves_open(nodes: str, shape: tuple[int, ...]) -> None:
    constants = {"k": w(4, 3, 3, 3), "t": w(3, 4, 2, 2), "s": np.full(3, 2, np.float32), "d": w(3, 4)}
    used = {name: a for name, a in constants.items() if name in nodes.replace(",", " ").replace(")", " ").split()}
    open_, known = (model(nodes, inputs=f"float[{s}] x", **used) for s in ("n,c,h,w", "n,3,h,w"))
    m, x = graph.from_onnx(open_), w(*shape)
    assert str(m.inputs["x"]) == "f32[n, 3, h, w]"
    np.testing.assert_array_equal(m.compile()(x), graph.from_onnx(known).compile()(x))


@pytest.mark.parametrize("nodes", [
    "f = Flatten(x) r = Gemm<transB=1>(f, o96, v2) y = Relu(r)",
    "f = Flatten(x) y = LayerNormalization(f, v48, v48)",
    "r = Reshape(x, s) y = BatchNormalization(r, v24, v24, v24, v24)",
    "r = Reshape(x, s) y = InstanceNormalization(r, v24, v24)",
    "r = Reshape(x, s) y = Conv(r, c24)",
    "r = Reshape(x, s) y = ConvTranspose(r, c24)",
    "r = Reshape(x, t) y, last = GRU<hidden_size=2>(r, g8, g2)",
    "y = LayerNormalization<axis=2>(x, v44)",
    "y = ScatterND(x, one, x344)",
    "y = GatherND<batch_dims=1>(x, two)",
    "y = If<then_branch = a () => (float[n] u) { f = Flatten(x) u = MatMul(f, d48) }, "
    "else_branch = b () => (float[n] q) { q = MatMul(m48, d48) }>(yes)",
])  # fmt: skip
def test_weights_decide_what_open_axes_come_to(nodes: str) -> None:
    made = {"o96": w(2, 48), "c24": w(24, 24, 1), "g8": w(1, 6, 16), "g2": w(1, 6, 2), "x344": w(1, 3, 4, 4), "d48": w(48, 3),
            "m48": w(2, 48), "v44": w(4, 4), "s": np.array([0, -1, 2]), "t": np.array([2, 3, -1]), "one": np.array([[1]]),
            "yes": np.array(True),
            "two": np.array([[1], [2]]),
            **{f"v{k}": np.abs(w(k)) for k in (2, 3, 24, 48)}}  # fmt: skip
    used = {name: a for name, a in made.items() if name in re.findall(r"\w+", nodes)}
    net, x = graph.from_onnx(model(nodes, inputs="float[n,c,h,w] x", **used)).compile(), w(2, 3, 4, 4)
    first = net(x)[0] if net.several else net(x)
    want = ReferenceEvaluator(model(nodes, inputs="float[n,3,h,w] x", **used)).run(None, {"x": x})[0]
    np.testing.assert_allclose(first, want, rtol=1e-4, atol=1e-5)
    with pytest.raises(halo.ArgumentError):
        net(w(3, 3, 4, 5))


@pytest.mark.parametrize("scales", [(0.7, 0.4), (0.5, 2.0), (1.0, 0.6), (3.0, 1.5)])
def test_the_nearest_entries_before_opset_11_are_those_of_onnx_runtime(scales: tuple[float, float]) -> None:
    ort = pytest.importorskip("onnxruntime", reason="extra: dev")
    made = model("y = Resize(x, s)", output="float[a,b,c,d] y", opset=10, s=np.float32([1, 1, *scales]))
    want = ort.InferenceSession(made.SerializeToString()).run(None, {"x": X})[0]
    np.testing.assert_array_equal(graph.from_onnx(made).compile()(X), want)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_norms_of_all_that_is_spatial(p: int) -> None:
    ort = pytest.importorskip("onnxruntime", reason="extra: dev")
    made = model(f"y = GlobalLpPool<p={p}>(x)", inputs="float[n,4,h,w] x", output="float[a,b,c,d] y")
    want = ort.InferenceSession(made.SerializeToString()).run(None, {"x": X})[0]
    np.testing.assert_allclose(graph.from_onnx(made).compile()(X), want, rtol=1e-5)


@pytest.mark.parametrize(
    ("node", "p"),
    [(f"GlobalLpPool<p={p}>(x)", p) for p in (1, 2, 3)]
    + [(f"{op}(x)", p) for p in (1, 2) for op in (f"ReduceL{p}<axes=[1]>", f"LpNormalization<p={p}, axis=1>")],
)
def test_norms_of_narrow_floats_whose_squares_are_too_large(node: str, p: int) -> None:
    x = (300 * X).astype(np.float16)
    made = model(f"y = {node}", inputs="float16[1,4,9,8] x", output="float16[a,b,c,d] y", opset=13)
    axes = (2, 3) if node.startswith("Global") else 1
    norm = (np.abs(x.astype(np.float64)) ** p).sum(axis=axes, keepdims=True) ** (1 / p)
    want = x / norm if node.startswith("LpNorm") else norm
    np.testing.assert_allclose(graph.from_onnx(made).compile()(x), want, rtol=2e-3)


def test_an_operator_of_the_users_own_is_imported_and_fuses(monkeypatch: pytest.MonkeyPatch) -> None:
    from halo.graph.onnx import Node, adapter
    from halo.graph.onnx.node import ADAPTERS

    made = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18, "com.example": 1]>
        g (float[n,3,6,5] x, float[4,3,3,3] k) => (float[n,4,4,3] y) { a = Conv(x, k) b = com.example.Cube(a) y = Relu(b) }""")
    with pytest.raises(halo.ArgumentError, match=r"com\.example\.Cube \(1\)"):
        graph.from_onnx(made)

    @nn.op(nn.Kind.ELEMENTWISE)
    def cube(x: nn.TensorType) -> nn.TensorType:
        return x

    @cube.strategy("direct")
    def _(x: nn.Tensor) -> nn.Tensor:
        return nn.elementwise("cube", lambda v: v * v * v, x)

    monkeypatch.setitem(ADAPTERS, "com.example.Cube", [])

    @adapter("com.example.Cube")
    def _(n: Node) -> Any:
        return cube(n[0])

    net, x, k = graph.from_onnx(made).compile(), w(2, 3, 6, 5), w(4, 3, 3, 3)
    assert any({"cube", "relu"} <= {*g.operators} for g in net.groups)
    np.testing.assert_allclose(net(x, k), np.maximum(nn.conv2d(x, k) ** 3, 0), rtol=1e-4, atol=1e-5)


def test_weights_that_disagree_are_refused() -> None:
    made = model(
        "a = Conv(x, k) b = Conv(x, l) y = Add(a, b)", inputs="float[n,c,h,w] x", k=w(4, 3, 1, 1), l=w(4, 2, 1, 1)
    )
    with pytest.raises(halo.ArgumentError, match="takes 2 channels, and x has 3"):
        graph.from_onnx(made)


def test_deformable_convolutions_of_any_batch() -> None:
    """With offsets that are whole, each tap reads another pixel; two groups of channels move alike."""
    made = model(
        "y = DeformConv<pads = [1, 1, 1, 1], group = 2>(x, w, o, b)", inputs="float[n,4,6,5] x, float[n,18,6,5] o",
        opset=19, w=w(6, 2, 3, 3), b=w(6),
    )  # fmt: skip
    plain = model("y = Conv<pads = [1, 1, 1, 1], group = 2>(x, w, b)", inputs="float[n,4,6,5] x")
    plain.graph.initializer.extend(made.graph.initializer)
    net, conv = graph.from_onnx(made).compile(), graph.from_onnx(plain).compile()
    for many in (1, 3):
        x, still = w(many, 4, 6, 5), np.zeros((many, 18, 6, 5), np.float32)
        np.testing.assert_allclose(net(x, still), conv(x), rtol=1e-4, atol=1e-5)
        moved = still.copy()
        moved[:, ::2] = 1  # all taps a row down
        below = np.concatenate([x[:, :, 1:], np.zeros_like(x[:, :, :1])], axis=2)
        np.testing.assert_allclose(net(x, moved)[:, :, 1:], conv(below)[:, :, 1:], rtol=1e-4, atol=1e-5)
