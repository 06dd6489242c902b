"""Operators of ONNX Runtime's own domains, against ONNX Runtime: each alone, and networks as its optimiser writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halo
from halo.graph import from_onnx

onnx = pytest.importorskip("onnx", reason="extra: onnx")
ort = pytest.importorskip("onnxruntime", reason="extra: dev")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

RNG = np.random.default_rng(0)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, np.float32)


def model(op: str, inputs: list[Any], outputs: int, attrs: dict[str, Any], held: tuple[int, ...] = (),
          domain: str = "com.microsoft", used: tuple[int, ...] = ()) -> Any:  # fmt: skip
    """One node; the inputs `held` are in the model, and its outputs are those `used` (all, unless said)."""
    names = [f"x{k}" if a is not None else "" for k, a in enumerate(inputs)]
    own = [f"y{k}" if not used or k in used else "" for k in range(outputs)]
    node = helper.make_node(op, names, own, domain=domain, name="node", **attrs)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for k, (name, a) in enumerate(zip(names, inputs, strict=True)) if name and k not in held
    ]  # fmt: skip
    constants = [numpy_helper.from_array(inputs[k], names[k]) for k in held]
    results = [onnx.ValueInfoProto(name=name) for name in own if name]
    graph = helper.make_graph([node], "g", given, results, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def session(m: Any, level: str = "ORT_DISABLE_ALL", written: Path | None = None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    if written is not None:
        options.optimized_model_filepath = str(written)
    return ort.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])


def check(m: Any, arrays: dict[str, Any], tolerance: float = 2e-5) -> None:
    want = session(m).run(None, arrays)
    got = from_onnx(m).compile()(**arrays)
    got = got if isinstance(got, tuple) else (got,)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


X, W, B = f32(2, 4, 9, 8), f32(6, 4, 3, 3), f32(6)
A = f32(3, 5, 16)
IDS = RNG.integers(0, 7, (2, 5)).astype(np.int32)
Q, K, V = f32(2, 5, 12), f32(2, 7, 12), f32(2, 7, 12)
LINE = np.array([3, 1, 3, 2, 1, 9], np.float32)

CASES = {
    **{
        f"FusedConv {name}": (
            "FusedConv",
            [X, W, B],
            1,
            {"activation": name, "pads": [1, 1, 1, 1], "strides": [2, 1], **({"activation_params": p} if p else {})},
        )
        for name, p in (
            ("Relu", ()),
            ("Tanh", ()),
            ("Sigmoid", ()),
            ("LeakyRelu", (0.3,)),
            ("Clip", (-1.0, 2.0)),
            ("HardSigmoid", (0.25, 0.4)),
        )
    },
    "FusedConv with a sum": ("FusedConv", [X, W, B, f32(2, 6, 7, 6)], 1, {"activation": "Relu"}),
    "FusedConv alone": ("FusedConv", [X, W], 1, {}),
    "FusedGemm Relu": (
        "FusedGemm",
        [f32(3, 5), f32(5, 4), f32(4)],
        1,
        {"activation": "Relu", "alpha": 0.5, "beta": 2.0},
    ),
    "FusedGemm LeakyRelu": (
        "FusedGemm",
        [f32(5, 3), f32(4, 5), f32(3, 1)],
        1,
        {"activation": "LeakyRelu", "activation_alpha": 0.2, "transA": 1, "transB": 1},
    ),
    "FusedGemm HardSigmoid": (
        "FusedGemm",
        [f32(3, 5), f32(5, 4)],
        1,
        {"activation": "HardSigmoid", "activation_alpha": 0.3, "activation_beta": 0.4},
    ),
    **{
        f"FusedMatMul {t}": ("FusedMatMul", [f32(*a), f32(*b)], 1, {"alpha": 0.25, **dict.fromkeys(t.split(), 1)})
        for t, a, b in (
            ("", (2, 3, 4), (2, 4, 5)),
            ("transA", (2, 4, 3), (4, 5)),
            ("transB", (2, 3, 4), (2, 5, 4)),
            ("transA transB", (4, 3), (5, 4)),
            ("transBatchA", (3, 2, 4), (2, 4, 5)),
            ("transBatchA transBatchB", (3, 2, 6, 4), (4, 2, 6, 5)),
            ("transBatchB transB", (2, 3, 4), (5, 2, 4)),
            ("transBatchA transA", (4, 2, 3), (2, 4, 5)),
            ("transA", (4,), (4, 5)),
        )
    },
    "TransposeMatMul": ("TransposeMatMul", [f32(2, 4, 3), f32(2, 4, 5)], 1, {"transA": 1, "alpha": 2.0}),
    "ConvTransposeWithDynamicPads": (
        "ConvTransposeWithDynamicPads",
        [X, f32(4, 3, 3, 3), np.array([1, 0, 1, 2]), f32(3)],
        1,
        {"strides": [2, 2]},
        (2,),
    ),
    "NhwcMaxPool": (
        "NhwcMaxPool",
        [RNG.integers(-99, 99, (1, 9, 8, 3)).astype(np.int8)],
        1,
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]},
    ),
    "Gelu": ("Gelu", [A], 1, {}),
    "BiasGelu": ("BiasGelu", [A, f32(16)], 1, {}),
    "FastGelu": ("FastGelu", [A], 1, {}),
    "FastGelu with a bias": ("FastGelu", [A, f32(16)], 1, {}),
    "QuickGelu": ("QuickGelu", [A], 1, {}),
    "QuickGelu alpha": ("QuickGelu", [A], 1, {"alpha": 1.0}),
    "LayerNormalization": ("LayerNormalization", [A, f32(16), f32(16)], 1, {"epsilon": 1e-3}, (), ""),
    "SimplifiedLayerNormalization": ("SimplifiedLayerNormalization", [A, f32(16)], 1, {"epsilon": 1e-3}, (), ""),
    "SimplifiedLayerNormalization, both": ("SimplifiedLayerNormalization", [A, f32(16)], 2, {"axis": -1}, (), ""),
    "SkipLayerNormalization": (
        "SkipLayerNormalization",
        [A, f32(3, 5, 16), f32(16), f32(16), f32(16)],
        1,
        {"epsilon": 1e-5},
    ),
    "SkipLayerNormalization without a shift": ("SkipLayerNormalization", [A, f32(3, 5, 16), f32(16)], 1, {}),
    "SkipLayerNormalization and the sum": (
        "SkipLayerNormalization",
        [A, f32(1, 5, 16), f32(16), f32(16)],
        4,
        {},
        (),
        "com.microsoft",
        (0, 3),
    ),
    "SkipSimplifiedLayerNormalization": (
        "SkipSimplifiedLayerNormalization",
        [A, f32(3, 5, 16), f32(16)],
        1,
        {"epsilon": 1e-3},
    ),
    "SkipSimplifiedLayerNormalization and the sum": (
        "SkipSimplifiedLayerNormalization",
        [A, f32(3, 5, 16), f32(16), f32(16)],
        4,
        {},
        (),
        "com.microsoft",
        (0, 3),
    ),
    "EmbedLayerNormalization": (
        "EmbedLayerNormalization",
        [IDS, IDS % 2, f32(7, 8), f32(9, 8), f32(2, 8), f32(8), f32(8), (IDS < 5).astype(np.int32)],
        3,
        {},
    ),
    "EmbedLayerNormalization, places": (
        "EmbedLayerNormalization",
        [IDS, None, f32(7, 8), f32(9, 8), None, f32(8), f32(8), None, IDS % 3],
        2,
        {"epsilon": 1e-3},
    ),
    "Attention": ("Attention", [Q, f32(12, 36), f32(36)], 1, {"num_heads": 3}),
    "Attention, causal": ("Attention", [Q, f32(12, 36), f32(36)], 1, {"num_heads": 3, "unidirectional": 1}),
    "Attention, lengths": (
        "Attention",
        [Q, f32(12, 36), f32(36), np.array([3, 5], np.int32)],
        1,
        {"num_heads": 2, "scale": 0.5},
    ),
    "Attention, a mask": ("Attention", [Q, f32(12, 36), f32(36), (IDS > 1).astype(np.int32)], 1, {"num_heads": 2}),
    "Attention, sizes": ("Attention", [Q, f32(12, 40), f32(40)], 1, {"num_heads": 2, "qkv_hidden_sizes": [16, 16, 8]}),
    "Attention, past": (
        "Attention",
        [Q, f32(12, 36), f32(36), None, f32(2, 2, 3, 4, 4)],
        2,
        {"num_heads": 3, "unidirectional": 1},
    ),
    "Attention, a bias": ("Attention", [Q, f32(12, 36), f32(36), None, None, f32(2, 3, 5, 5)], 1, {"num_heads": 3}),
    "MultiHeadAttention": ("MultiHeadAttention", [Q, K, V], 1, {"num_heads": 3}),
    "MultiHeadAttention, all": (
        "MultiHeadAttention",
        [Q, K, V, f32(36), (RNG.random((2, 7)) > 0.3).astype(np.int32), f32(2, 3, 5, 7)],
        1,
        {"num_heads": 3},
    ),
    "MultiHeadAttention, causal": (
        "MultiHeadAttention",
        [
            Q,
            f32(2, 5, 12),
            f32(2, 5, 12),
            f32(36),
            np.array([[1, 1, 0, 1, 1], [1, 0, 1, 1, 0]], np.int32),
            f32(1, 3, 5, 5),
        ],
        1,
        {"num_heads": 3, "unidirectional": 1},
    ),
    "MultiHeadAttention, past": (
        "MultiHeadAttention",
        [Q, f32(2, 5, 12), f32(2, 5, 12), None, None, None, f32(2, 3, 4, 4), f32(2, 3, 4, 4)],
        3,
        {"num_heads": 3},
    ),
    "MultiHeadAttention, heads apart": (
        "MultiHeadAttention",
        [Q, f32(2, 3, 7, 4), f32(2, 3, 7, 4)],
        1,
        {"num_heads": 3},
    ),
    "RotaryEmbedding": ("RotaryEmbedding", [f32(2, 5, 12), np.array([2]), f32(9, 2), f32(9, 2)], 1, {}),
    "RotaryEmbedding, places": (
        "RotaryEmbedding",
        [f32(2, 5, 12), IDS.astype(np.int64), f32(9, 2), f32(9, 2)],
        1,
        {"interleaved": 1},
    ),
    "RotaryEmbedding, heads": ("RotaryEmbedding", [f32(2, 3, 5, 6), IDS.astype(np.int64), f32(9, 3), f32(9, 3)], 1, {}),
    "RotaryEmbedding, a part": (
        "RotaryEmbedding",
        [f32(2, 5, 12), IDS.astype(np.int64), f32(9, 2), f32(9, 2)],
        1,
        {"rotary_embedding_dim": 4, "num_heads": 2},
    ),
    "Trilu": ("Trilu", [f32(2, 4, 5), np.array(1)], 1, {"upper": 0}, (1,)),
    "GridSample": ("GridSample", [X, f32(2, 3, 5, 2)], 1, {"mode": "bilinear", "padding_mode": "border"}),
    "Pad": ("Pad", [X, np.array([0, 0, 1, 2, 0, 0, 3, 0]), np.array(2, np.float32)], 1, {"mode": "constant"}, (1, 2)),
    "Range": ("Range", [np.array(1, np.int32), np.array(9, np.int32)], 1, {}, (0, 1)),
    "Range, steps": (
        "Range",
        [np.array(1, np.float32), np.array(9, np.float32), np.array(2.5, np.float32)],
        1,
        {},
        (0, 1, 2),
    ),
    "Unique": ("Unique", [LINE], 3, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_is_that_of_onnx_runtime(name: str) -> None:
    op, inputs, outputs, attrs, *more = CASES[name]
    m = model(op, inputs, outputs, attrs, *more)
    held = more[0] if more else ()
    check(m, {f"x{k}": a for k, a in enumerate(inputs) if a is not None and k not in held})


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("which", ["all", "keys and values"])
def test_attention_of_what_is_packed(which: str, biased: bool) -> None:
    """ONNX Runtime takes it on some devices only: it is the same as of its parts."""
    apart, bias = [f32(2, 5, 3, 4) for _ in range(3)], f32(36) if biased else None
    flat = [a.reshape(2, 5, 12) for a in apart]
    packed: list[Any] = [np.stack(apart, 3), None, None] if which == "all" else [flat[0], np.stack(apart[1:], 3), None]
    attrs = {"num_heads": 3, "unidirectional": 1}
    nets = [from_onnx(model("MultiHeadAttention", [*given, bias], 1, attrs)).compile() for given in (packed, flat)]
    values = [{f"x{k}": a for k, a in enumerate([*given, bias]) if a is not None} for given in (packed, flat)]
    np.testing.assert_array_equal(*(net(**given) for net, given in zip(nets, values, strict=True)))


@pytest.mark.parametrize("name", ["Attention", "Attention, causal", "Attention, a mask", "MultiHeadAttention, all"])
def test_attention_is_one_kernel(name: str) -> None:
    op, inputs, outputs, attrs, *_ = CASES[name]
    net = from_onnx(model(op, inputs, outputs, attrs)).compile()
    assert sum("attention" in g.operators for g in net.groups) == 1
    assert not any("softmax" in g.operators for g in net.groups)


def gelu(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def test_operators_that_onnx_runtime_has_on_gpus_only() -> None:
    x, bias, skip = f32(2, 3, 8), f32(8), f32(2, 3, 8)

    def run(op: str, *inputs: Any, outputs: int = 1, **attrs: Any) -> Any:
        m = from_onnx(model(op, list(inputs), outputs, attrs))
        return m.compile()(*inputs)

    np.testing.assert_allclose(run("BiasAdd", x, bias, skip), x + bias + skip, rtol=1e-6)
    left, right = np.split(x + bias, 2, axis=-1)
    np.testing.assert_allclose(run("BiasSplitGelu", x, bias), left * gelu(right), rtol=1e-4, atol=1e-6)
    image, more, scale, shift = f32(2, 3, 5, 8), f32(2, 8), f32(8), f32(8)

    def norm(v: np.ndarray) -> np.ndarray:
        groups = v.reshape(2, 15, 4, 2)
        mean, var = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
        y = ((groups - mean) / np.sqrt(var + 1e-5)).reshape(v.shape) * scale + shift
        return y / (1 + np.exp(-y))

    attrs = {"groups": 4, "activation": 1, "epsilon": 1e-5}
    np.testing.assert_allclose(run("GroupNorm", image, scale, shift, **attrs), norm(image), rtol=1e-4, atol=1e-5)
    total = image + more[:, None, None] + bias
    y, s = run("SkipGroupNorm", image, scale, shift, more, bias, outputs=2, **attrs)
    np.testing.assert_allclose(s, total, rtol=1e-6)
    np.testing.assert_allclose(y, norm(total), rtol=1e-4, atol=1e-5)


NETWORK = """<ir_version: 8, opset_import: ["": 17]>
g (float[1, 3, 20, 20] x) => (float[1, 40, 2, 2] y, float[1, 8, 10, 10] z) {
  a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w0, b0)
  six = Constant <value_float = 6.0> ()
  zero = Constant <value_float = 0.0> ()
  c = Clip (a, zero, six)
  d = Conv <pads = [1, 1, 1, 1], group = 24> (c, w1, b1)
  e = HardSigmoid <alpha = 0.2, beta = 0.5> (d)
  f = Conv (e, w2, b2)
  h = Conv <pads = [1, 1, 1, 1]> (c, w3)
  i = Add (f, h)
  j = Relu (i)
  k = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (j)
  l = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (k)
  m = GlobalAveragePool (l)
  n = Conv (m, w4, b4)
  o = Sigmoid (n)
  p = Mul (l, o)
  scales = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
  q = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (p, , scales)
  r = Conv (q, w5, b5)
  y = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (r)
  z = Conv <pads = [1, 1, 1, 1]> (j, w6, b6)
}"""
WEIGHTS = {
    "w0": (24, 3, 3, 3), "b0": (24,), "w1": (24, 1, 3, 3), "b1": (24,), "w2": (40, 24, 1, 1), "b2": (40,), "w3": (40, 24, 3, 3),
    "w4": (40, 40, 1, 1), "b4": (40,), "w5": (40, 40, 1, 1), "b5": (40,), "w6": (8, 40, 3, 3), "b6": (8,),
}  # fmt: skip


@pytest.mark.parametrize("level", ["BASIC", "EXTENDED", "ALL"])
def test_what_the_optimiser_writes(level: str, tmp_path: Path) -> None:
    m = onnx.parser.parse_model(NETWORK)
    rng = np.random.default_rng(1)
    held = [numpy_helper.from_array((rng.standard_normal(s) * 0.3).astype(np.float32), n) for n, s in WEIGHTS.items()]
    m.graph.initializer.extend(held)
    path = tmp_path / "optimised.onnx"
    x = rng.standard_normal((1, 3, 20, 20), np.float32)
    want = session(m, f"ORT_ENABLE_{level}", path).run(None, {"x": x})
    domains = {n.domain for n in onnx.load(path).graph.node}
    assert level != "EXTENDED" or "com.microsoft" in domains
    got = from_onnx(path).compile()(x)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    damaged = onnx.load(path)
    if any(d.endswith("nchwc") for d in domains):
        weights = next(n.input[1] for n in damaged.graph.node if n.op_type == "Conv")
        (held,) = (t for t in damaged.graph.initializer if t.name == weights)
        held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held)[:-1], weights))
        with pytest.raises(halo.HaloError):
            from_onnx(damaged)


def test_what_is_not_there_is_said() -> None:
    m = model("QAttention", [Q], 1, {})
    m.graph.node.append(helper.make_node("Conv", ["x0"], ["z"], domain="com.microsoft.other"))
    with pytest.raises(
        halo.ArgumentError, match=r"com\.microsoft\.QAttention \(1\), com\.microsoft\.other\.Conv \(1\)"
    ):
        from_onnx(m)
    with pytest.raises(halo.ArgumentError, match="there is no activation 'Blur'"):
        from_onnx(model("FusedConv", [X, W], 1, {"activation": "Blur"}))
    with pytest.raises(halo.ArgumentError, match="the MultiHeadAttention node node"):
        from_onnx(model("MultiHeadAttention", [Q], 1, {"num_heads": 3}))
