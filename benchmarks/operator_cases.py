"""The operators that `benchmarks.operators` times: each a small ONNX model, with what NumPy and PyTorch say for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import halo
from halo import nn

__all__ = ["NEAR", "Operator", "of_memory", "operators"]

LARGE = 1 << 24  # f32 of an array of 64 MB
NEAR = 1 << 16  # f32 of one that is in the cache of a core, with the result
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """An ONNX node: what it reads, under the names of arrays and of nodes before it, and what it makes, of which only the
    first is looked at."""

    kind: str
    reads: tuple[str, ...]
    makes: str = "y"
    attributes: tuple[tuple[str, Any], ...] = ()
    besides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operator:
    """`nodes` over `inputs`, which change from call to call, and `weights`, which do not.

    `reference` computes the result in NumPy, `torch` in PyTorch from its module and tensors; both take the inputs and then
    the weights. `flops` are the operations that the definition has (0 where memory limits it)."""

    name: str
    nodes: tuple[Node, ...]
    inputs: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    reference: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    flops: int = 0
    opset: int = 21

    @property
    def is_small(self) -> bool:
        """Whether no array has 64 MB, which is where memory is to limit it."""
        return max(a.size for a in self.inputs.values()) < LARGE

    def cut(self) -> Operator:
        """Of one axis, the same with so few entries that all is in the cache of a core: what its arithmetic takes."""
        return replace(self, inputs={name: a[:NEAR] for name, a in self.inputs.items()})

    def model(self) -> Any:
        """The whole as an `onnx.ModelProto`."""
        return self._model(self.nodes, self.inputs, self.weights, self.nodes[-1].makes)

    def pieces(self) -> Iterator[tuple[Any, tuple[str, ...], str]]:
        """Each node as a model of its own, the names of the arrays that it takes at a call, and of what it makes."""
        for node in self.nodes:
            given = tuple(dict.fromkeys(name for name in node.reads if name and name not in self.weights))
            own = {name: self.weights[name] for name in node.reads if name in self.weights}
            yield self._model((node,), given, own, node.makes), given, node.makes

    def _model(
        self, nodes: Sequence[Node], inputs: Sequence[str] | dict[str, Any], weights: dict[str, Any], out: str
    ) -> Any:
        from onnx import helper, numpy_helper, shape_inference

        def info(name: str) -> Any:
            a = self.inputs[name]
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)

        def whole() -> Any:
            made = [helper.make_node(n.kind, n.reads, [n.makes, *n.besides], **dict(n.attributes)) for n in self.nodes]
            last = helper.make_empty_tensor_value_info(self.nodes[-1].makes)
            stored = [numpy_helper.from_array(a, name) for name, a in self.weights.items()]
            graph = helper.make_graph(made, self.name, list(map(info, self.inputs)), [last], stored)
            opsets = [helper.make_opsetid("", self.opset)]
            model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
            return shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)

        known = whole()
        types = {v.name: v for v in (*known.graph.input, *known.graph.value_info, *known.graph.output)}
        if len(nodes) == len(self.nodes):
            return known
        made = [helper.make_node(n.kind, n.reads, [n.makes, *n.besides], **dict(n.attributes)) for n in nodes]
        stored = [numpy_helper.from_array(a, name) for name, a in weights.items()]
        graph = helper.make_graph(made, self.name, [types[name] for name in inputs], [types[out]], stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)


def operators() -> Iterator[tuple[str, Callable[[], Operator]]]:
    """The name of each, and what makes it."""
    for family in (*OF_MEMORY, _reductions, _convolutions, _products, _movement, _fused):
        yield from family()


def of_memory() -> tuple[str, ...]:
    """The names of those that are to be as fast as memory: what is elementwise, softmax, norms and pools."""
    return tuple(name for family in OF_MEMORY for name, _ in family())


Made = Iterator[tuple[str, Callable[[], Operator]]]


def _floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def _one(kind: str, inputs: dict[str, np.ndarray], reference: Callable[..., Any], torch: Callable[..., Any] | None = None,
         weights: dict[str, np.ndarray] | None = None, flops: int = 0, reads: tuple[str, ...] | None = None,
         besides: tuple[str, ...] = (), **attributes: Any) -> Callable[[str], Operator]:  # fmt: skip
    weights = weights or {}
    node = Node(
        kind, (*inputs, *weights) if reads is None else reads, attributes=tuple(attributes.items()), besides=besides
    )
    return lambda name: Operator(name, (node,), inputs, weights, reference, torch, flops)


def _named(name: str, make: Callable[[], Callable[[str], Operator]]) -> tuple[str, Callable[[], Operator]]:
    return name, lambda: make()(name)


def _elementwise() -> Made:
    n = LARGE
    yield _named("add", lambda: _one("Add", {"a": _floats(4096, 4096), "b": _floats(4096, 4096, seed=1)}, np.add,
                                     lambda t, a, b: a + b))  # fmt: skip
    yield _named("add, a row", lambda: _one("Add", {"a": _floats(4096, 4096), "b": _floats(4096)}, np.add,
                                            lambda t, a, b: a + b))  # fmt: skip
    yield _named("add, a column", lambda: _one("Add", {"a": _floats(4096, 4096), "b": _floats(4096, 1)}, np.add,
                                               lambda t, a, b: a + b))  # fmt: skip
    yield _named("relu", lambda: _one("Relu", {"x": _floats(n)}, lambda x: np.maximum(x, 0), lambda t, x: t.relu(x)))
    yield _named("gelu", lambda: _one("Gelu", {"x": _floats(n)}, nn.gelu.reference,
                                      lambda t, x: t.nn.functional.gelu(x)))  # fmt: skip
    yield _named("exp", lambda: _one("Exp", {"x": _floats(n)}, np.exp, lambda t, x: t.exp(x)))
    yield _named("sigmoid", lambda: _one("Sigmoid", {"x": _floats(n)}, lambda x: 1 / (1 + np.exp(-x)),
                                         lambda t, x: t.sigmoid(x)))  # fmt: skip


def _reductions() -> Made:
    for kind, f in (("ReduceSum", "sum"), ("ReduceMean", "mean")):
        for axis in range(3):

            def made(kind: str = kind, f: str = f, axis: int = axis) -> Callable[[str], Operator]:
                return _one(kind, {"x": _floats(256, 256, 256)}, lambda x, axes: getattr(np, f)(x.astype(np.float64), axis),
                            lambda t, x, axes: getattr(t, f)(x, axis), {"axes": np.array([axis], np.int64)},
                            keepdims=0)  # fmt: skip

            yield _named(f"{f}, axis {axis}", made)
    for axis in range(3):

        def most(axis: int = axis) -> Callable[[str], Operator]:
            return _one("ArgMax", {"x": _floats(256, 256, 256)}, lambda x: np.argmax(x, axis),
                        lambda t, x: t.argmax(x, axis), axis=axis, keepdims=0)  # fmt: skip

        yield _named(f"argmax, axis {axis}", most)


def _norms() -> Made:
    image, rows = (8, 64, 128, 256), (16384, 1024)

    def functional(name: str) -> Callable[..., Any]:
        return lambda t, *args: getattr(t.nn.functional, name)(*args)

    def channels() -> dict[str, np.ndarray]:
        return {"scale": _floats(64, seed=1), "bias": _floats(64, seed=2)}

    yield _named("softmax", lambda: _one("Softmax", {"x": _floats(*rows)}, nn.softmax.reference,
                                         lambda t, x: t.softmax(x, -1), axis=-1))  # fmt: skip
    yield _named("softmax, axis 1 of 3", lambda: _one(
        "Softmax", {"x": _floats(256, 256, 256)}, lambda x: nn.softmax.reference(x, axis=1), lambda t, x: t.softmax(x, 1),
        axis=1))  # fmt: skip
    yield _named("layer norm", lambda: _one(
        "LayerNormalization", {"x": _floats(*rows)}, nn.layer_norm.reference,
        lambda t, x, s, b: t.nn.functional.layer_norm(x, s.shape, s, b),
        {"scale": _floats(1024, seed=1), "bias": _floats(1024, seed=2)}, axis=-1))  # fmt: skip
    yield _named("rms norm", lambda: _rms(rows))
    yield _named("batch norm", lambda: _one(
        "BatchNormalization", {"x": _floats(*image)}, nn.batch_norm.reference,
        lambda t, x, s, b, m, v: t.nn.functional.batch_norm(x, m, v, s, b),
        {**channels(), "mean": _floats(64, seed=3), "variance": abs(_floats(64, seed=4)) + 0.5}))  # fmt: skip
    yield _named("instance norm", lambda: _one(
        "InstanceNormalization", {"x": _floats(*image)}, lambda x, s, b: nn.group_norm.reference(x, s, b, groups=64),
        lambda t, x, s, b: t.nn.functional.instance_norm(x, weight=s, bias=b), channels()))  # fmt: skip
    yield _named("group norm", lambda: _one(
        "GroupNormalization", {"x": _floats(*image)}, lambda x, s, b: nn.group_norm.reference(x, s, b, groups=8),
        lambda t, x, s, b: t.nn.functional.group_norm(x, 8, s, b), channels(), num_groups=8))  # fmt: skip
    yield _named(
        "lrn", lambda: _one("LRN", {"x": _floats(1, 64, 56, 56)}, lambda x: nn.lrn.reference(x, size=5), size=5)
    )


def _rms(rows: Shape) -> Callable[[str], Operator]:
    """Written out, as models of the opsets before 23 do, which ONNX Runtime fuses to its own operator."""
    nodes = (
        Node("Mul", ("x", "x"), "squares"),
        Node("ReduceMean", ("squares", "axes"), "mean", (("keepdims", 1),)),
        Node("Add", ("mean", "epsilon"), "shifted"),
        Node("Sqrt", ("shifted",), "root"),
        Node("Div", ("x", "root"), "normal"),
        Node("Mul", ("normal", "scale")),
    )
    weights = {"axes": np.array([-1], np.int64), "epsilon": np.float32(1e-5), "scale": _floats(rows[-1], seed=1)}

    def torch(t: Any, x: Any, axes: Any, epsilon: Any, scale: Any) -> Any:
        return t.nn.functional.rms_norm(x, scale.shape, scale, 1e-5)

    return lambda name: Operator(name, nodes, {"x": _floats(*rows)}, {k: np.asarray(v) for k, v in weights.items()},
                                 lambda x, axes, epsilon, scale: nn.rms_norm.reference(x, scale), torch)  # fmt: skip


def _pools() -> Made:
    image = (8, 64, 128, 256)
    for kind, f in (("MaxPool", "max_pool"), ("AveragePool", "average_pool")):
        for k, s, p in ((2, 2, 0), (3, 2, 1), (3, 1, 1)):

            def made(kind: str = kind, f: str = f, k: int = k, s: int = s, p: int = p) -> Callable[[str], Operator]:
                def torch(t: Any, x: Any) -> Any:
                    own = getattr(t.nn.functional, f.replace("average", "avg") + "2d")
                    return own(x, k, s, p, **({} if f == "max_pool" else {"count_include_pad": False}))

                return _one(kind, {"x": _floats(*image)},
                            lambda x: getattr(nn, f).reference(x, kernel=k, strides=s, padding=p), torch,
                            kernel_shape=[k, k], strides=[s, s], pads=[p] * 4)  # fmt: skip

            yield _named(f"{'max' if f == 'max_pool' else 'average'} pool {k}x{k}/{s}", made)
    for kind, f in (("MaxPool", "max_pool"), ("AveragePool", "average_pool")):
        for k, s in ((2, 2), (3, 1)):

            def volumes(kind: str = kind, f: str = f, k: int = k, s: int = s) -> Callable[[str], Operator]:
                attrs = {"kernel": k, "strides": s, "padding": k // 3, "layout": "NCDHW"}
                return _one(kind, {"x": _floats(1, 32, 16, 112, 112)}, lambda x: getattr(nn, f).reference(x, **attrs),
                            kernel_shape=[k] * 3, strides=[s] * 3, pads=[k // 3] * 6)  # fmt: skip

            yield _named(f"{'max' if f == 'max_pool' else 'average'} pool 3d {k}x{k}x{k}/{s}", volumes)
    yield _named("global average pool", lambda: _one(
        "GlobalAveragePool", {"x": _floats(*image)}, lambda x: x.astype(np.float64).mean((2, 3), keepdims=True),
        lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, 1)))  # fmt: skip


OF_MEMORY = (_elementwise, _norms, _pools)
CONVOLUTIONS: tuple[tuple[str, Shape, Shape, dict[str, Any]], ...] = (
    ("conv 1x1", (1, 256, 28, 28), (256, 256, 1, 1), {}),
    ("conv 3x3", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    ("conv 3x3, 256 channels", (1, 256, 28, 28), (256, 256, 3, 3), {"padding": 1}),
    ("conv 5x5", (1, 64, 28, 28), (64, 64, 5, 5), {"padding": 2}),
    ("conv 7x7/2", (1, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "strides": 2}),
    ("conv 3x3/2", (1, 64, 112, 112), (128, 64, 3, 3), {"padding": 1, "strides": 2}),
    ("conv 3x3, batch 8", (8, 64, 28, 28), (64, 64, 3, 3), {"padding": 1}),
    ("conv depthwise 3x3", (1, 144, 56, 56), (144, 1, 3, 3), {"padding": 1, "groups": 144}),
    ("conv depthwise 5x5/2", (1, 144, 56, 56), (144, 1, 5, 5), {"padding": 2, "strides": 2, "groups": 144}),
    ("conv 3x3, 32 groups", (1, 256, 28, 28), (256, 8, 3, 3), {"padding": 1, "groups": 32}),
    ("conv 3x3, dilation 2", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 2, "dilation": 2}),
    ("conv 1d, 9 taps", (1, 64, 4096), (64, 64, 9), {"padding": 4}),
    ("conv 1d, 3 taps/2", (1, 256, 2048), (256, 256, 3), {"strides": 2}),
    ("conv 1d depthwise, 31 taps", (1, 256, 1024), (256, 1, 31), {"padding": 15, "groups": 256}),
    ("conv 3d 3x3x3", (1, 16, 16, 56, 56), (32, 16, 3, 3, 3), {"padding": 1}),
    ("conv 3d 3x3x3/2", (1, 32, 16, 56, 56), (64, 32, 3, 3, 3), {"padding": 1, "strides": 2}),
    ("conv 3d 1x1x1", (1, 64, 8, 28, 28), (128, 64, 1, 1, 1), {}),
    ("conv 3d 3x1x1", (1, 64, 8, 28, 28), (64, 64, 3, 1, 1), {"padding": (1, 0, 0)}),
    ("conv 3d depthwise 3x3x3", (1, 64, 8, 28, 28), (64, 1, 3, 3, 3), {"padding": 1, "groups": 64}),
    ("conv transpose 2x2/2", (1, 64, 56, 56), (64, 32, 2, 2), {"strides": 2}),
    ("conv transpose 4x4/2", (1, 64, 28, 28), (64, 64, 4, 4), {"strides": 2, "padding": 1}),
    ("conv transpose 3x3", (1, 64, 28, 28), (64, 64, 3, 3), {"padding": 1}),
    ("conv transpose 3x3/2, 4 groups", (1, 64, 28, 28), (64, 16, 3, 3), {"strides": 2, "padding": 1, "groups": 4}),
    ("conv transpose depthwise 4x4/2", (1, 64, 56, 56), (64, 1, 4, 4), {"strides": 2, "padding": 1, "groups": 64}),
    ("conv transpose 1d 16/8", (1, 256, 400), (256, 128, 16), {"strides": 8, "padding": 4}),
    ("conv transpose 3d 2x2x2/2", (1, 64, 8, 14, 14), (64, 32, 2, 2, 2), {"strides": 2}),
    ("conv transpose 3d 3x3x3", (1, 32, 8, 28, 28), (32, 32, 3, 3, 3), {"padding": 1}),
)


def _convolution(x: Shape, w: Shape, transposed: bool, attrs: dict[str, Any]) -> Callable[[str], Operator]:
    n = len(x) - 2
    strides, padding, dilation, groups = (attrs.get(k, v) for k, v in (("strides", 1), ("padding", 0), ("dilation", 1),
                                                                       ("groups", 1)))  # fmt: skip
    op = nn.conv_transpose if transposed else nn.conv
    out = op.infer((nn.TensorType(x, halo.f32), nn.TensorType(w, halo.f32)), attrs)

    def reference(x: Any, w: Any, b: Any) -> Any:
        assert op.reference is not None
        return op.reference(x, w, b, **attrs)

    def torch(t: Any, x: Any, w: Any, b: Any) -> Any:
        f = getattr(t.nn.functional, f"conv{'_transpose' if transposed else ''}{n}d")
        return f(x, w, b, stride=strides, padding=padding, dilation=dilation, groups=groups)

    points = math.prod(x[2:] if transposed else out.static[2:])
    scale = np.float32(1 / math.sqrt(math.prod(w[1:])))
    pads = [padding] * n if isinstance(padding, int) else list(padding)
    return _one("ConvTranspose" if transposed else "Conv", {"x": _floats(*x)}, reference, torch,
                {"w": _floats(*w, seed=1) * scale, "b": _floats(out.static[1], seed=2)},
                2 * x[0] * points * math.prod(w), strides=[strides] * n, pads=pads * 2, dilations=[dilation] * n,
                group=groups)  # fmt: skip


def _convolutions() -> Made:
    for name, x, w, attrs in CONVOLUTIONS:

        def made(
            x: Shape = x, w: Shape = w, name: str = name, attrs: dict[str, Any] = attrs
        ) -> Callable[[str], Operator]:
            return _convolution(x, w, "transpose" in name, attrs)

        yield _named(name, made)
    for name, x, w, attrs in CHANNELS_LAST:

        def last(x: Shape = x, w: Shape = w, attrs: dict[str, Any] = attrs) -> Callable[[str], Operator]:
            return _channels_last(x, w, **attrs)

        yield _named(f"NHWC {name}", last)


CHANNELS_LAST: tuple[tuple[str, Shape, Shape, dict[str, Any]], ...] = (
    ("conv 1x1", (1, 28, 28, 256), (256, 256, 1, 1), {}),
    ("conv 3x3", (1, 56, 56, 64), (64, 64, 3, 3), {"padding": 1}),
    ("conv depthwise 3x3", (1, 56, 56, 144), (144, 1, 3, 3), {"padding": 1, "groups": 144}),
)


def _channels_last(x: Shape, w: Shape, padding: int = 0, groups: int = 1) -> Callable[[str], Operator]:
    """As ONNX writes a convolution of [N, H, W, C]: between transposes."""
    conv = (("pads", [padding] * 4), ("group", groups))
    nodes = (Node("Transpose", ("x",), "second", (("perm", [0, 3, 1, 2]),)), Node("Conv", ("second", "w"), "sums", conv),
             Node("Transpose", ("sums",), "y", (("perm", [0, 2, 3, 1]),)))  # fmt: skip
    weights = _floats(*w, seed=1) * np.float32(1 / math.sqrt(math.prod(w[1:])))

    def reference(x: Any, w: Any) -> Any:
        return nn.conv2d.reference(x, w, padding=padding, groups=groups, layout="NHWC")

    def torch(t: Any, x: Any, w: Any) -> Any:
        return (
            t.nn.functional.conv2d(x.permute(0, 3, 1, 2), w, padding=padding, groups=groups)
            .permute(0, 2, 3, 1)
            .contiguous()
        )

    return lambda name: Operator(name, nodes, {"x": _floats(*x)}, {"w": weights}, reference, torch,
                                 2 * math.prod(x[:3]) * math.prod(w))  # fmt: skip


def _products() -> Made:
    for m in (1, 7, 49, 128, 1024):

        def gemm(m: int = m) -> Callable[[str], Operator]:
            return _one("Gemm", {"x": _floats(m, 1024)}, lambda x, w, b: x.astype(np.float64) @ w.T + b,
                        lambda t, x, w, b: t.nn.functional.linear(x, w, b),
                        {"w": _floats(1024, 1024, seed=1) / 32, "b": _floats(1024, seed=2)}, 2 * m << 20, transB=1)  # fmt: skip

        yield _named(f"gemm, {m} rows", gemm)
    for n in (256, 1024):

        def matmul(n: int = n) -> Callable[[str], Operator]:
            return _one("MatMul", {"a": _floats(n, n), "b": _floats(n, n, seed=1)},
                        lambda a, b: a.astype(np.float64) @ b, lambda t, a, b: a @ b, flops=2 * n**3)  # fmt: skip

        yield _named(f"matmul of arrays, {n}", matmul)
    yield _named("batch matmul", lambda: _one(
        "MatMul", {"a": _floats(12, 128, 64), "b": _floats(12, 64, 128, seed=1)},
        lambda a, b: a.astype(np.float64) @ b, lambda t, a, b: a @ b, flops=2 * 12 * 128 * 64 * 128))  # fmt: skip
    yield _named("einsum bhqd,bhkd->bhqk", lambda: _one(
        "Einsum", {"q": _floats(1, 12, 128, 64), "k": _floats(1, 12, 128, 64, seed=1)},
        lambda q, k: q.astype(np.float64) @ k.swapaxes(2, 3), lambda t, q, k: t.einsum("bhqd,bhkd->bhqk", q, k),
        flops=2 * 12 * 128 * 64 * 128, equation="bhqd,bhkd->bhqk"))  # fmt: skip
    yield _named("einsum ij,jk->ik", lambda: _one(
        "Einsum", {"a": _floats(512, 512), "b": _floats(512, 512, seed=1)}, lambda a, b: a.astype(np.float64) @ b,
        lambda t, a, b: t.einsum("ij,jk->ik", a, b), flops=2 << 27, equation="ij,jk->ik"))  # fmt: skip
    for tokens in (128, 512):

        def attention(tokens: int = tokens) -> Callable[[str], Operator]:
            return _attention((1, 12, tokens, 64))

        yield _named(f"attention, {tokens} tokens", attention)


def _attention(shape: Shape) -> Callable[[str], Operator]:
    *batch, tokens, depth = shape
    nodes = (
        Node("Transpose", ("k",), "kt", (("perm", [0, 1, 3, 2]),)),
        Node("MatMul", ("q", "kt"), "scores"),
        Node("Mul", ("scores", "scale"), "scaled"),
        Node("Softmax", ("scaled",), "weights", (("axis", -1),)),
        Node("MatMul", ("weights", "v")),
    )

    def reference(q: Any, k: Any, v: Any, scale: Any) -> Any:
        return nn.softmax.reference(q.astype(np.float64) @ k.swapaxes(2, 3) * scale) @ v

    inputs = {name: _floats(*shape, seed=seed) for seed, name in enumerate("qkv")}
    flops = 4 * math.prod(batch) * tokens * tokens * depth
    return lambda name: Operator(name, nodes, inputs, {"scale": np.asarray(np.float32(depth**-0.5))}, reference,
                                 lambda t, q, k, v, s: t.nn.functional.scaled_dot_product_attention(q, k, v),
                                 flops)  # fmt: skip


def _movement() -> Made:
    n = 4096
    yield _named("transpose", lambda: _one("Transpose", {"x": _floats(n, n)}, lambda x: x.T,
                                           lambda t, x: x.T.contiguous(), perm=[1, 0]))  # fmt: skip
    yield _named("transpose to NHWC", lambda: _one(
        "Transpose", {"x": _floats(8, 64, 128, 256)}, lambda x: x.transpose(0, 2, 3, 1),
        lambda t, x: x.permute(0, 2, 3, 1).contiguous(), perm=[0, 2, 3, 1]))  # fmt: skip
    yield _named("transpose heads", lambda: _one(
        "Transpose", {"x": _floats(32, 512, 12, 64)}, lambda x: x.transpose(0, 2, 1, 3),
        lambda t, x: x.permute(0, 2, 1, 3).contiguous(), perm=[0, 2, 1, 3]))  # fmt: skip
    for axis in (0, 1):

        def joined(axis: int = axis) -> Callable[[str], Operator]:
            return _one("Concat", {"a": _floats(2048, 4096), "b": _floats(2048, 4096, seed=1)},
                        lambda a, b: np.concatenate((a, b), axis), lambda t, a, b: t.cat((a, b), axis), axis=axis)  # fmt: skip

        yield _named(f"concat, axis {axis}", joined)
    rows = np.random.default_rng(0).integers(0, 30000, (64, 128))
    yield _named("gather rows", lambda: _one("Gather", {"x": _floats(30000, 384), "rows": rows}, lambda x, rows: x[rows],
                                             lambda t, x, rows: x[rows]))  # fmt: skip
    yield _named("slice", lambda: _one(
        "Slice", {"x": _floats(4096, 4096)}, lambda x, *_: x[:, 100:3100], lambda t, x, *_: x[:, 100:3100].contiguous(),
        {"start": np.array([100]), "end": np.array([3100]), "axes": np.array([1])}))  # fmt: skip
    yield _named("pad", lambda: _one(
        "Pad", {"x": _floats(64, 512, 512)}, lambda x, _: np.pad(x, ((0, 0), (1, 1), (1, 1))),
        lambda t, x, _: t.nn.functional.pad(x, (1, 1, 1, 1)), {"pads": np.array([0, 1, 1, 0, 1, 1])}))  # fmt: skip
    for mode in ("nearest", "linear", "cubic"):

        def resized(mode: str = mode) -> Callable[[str], Operator]:
            how = {"nearest": {"coordinates": "asymmetric", "nearest": "floor"}}.get(
                mode, {"coordinates": "half_pixel"}
            )
            attributes = {"coordinate_transformation_mode": how["coordinates"],
                          **({"nearest_mode": "floor"} if mode == "nearest" else {})}  # fmt: skip
            twice = {"size": (1, 64, 256, 256), "scales": (1.0, 1.0, 2.0, 2.0)}

            def torch(t: Any, x: Any, _: Any) -> Any:
                name = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
                return t.nn.functional.interpolate(x, scale_factor=2, mode=name)

            return _one("Resize", {"x": _floats(1, 64, 128, 128)},
                        lambda x, _: nn.resize.reference(x, mode=mode, **twice, **how), torch,
                        {"scales": np.array([1, 1, 2, 2], np.float32)}, reads=("x", "", "scales"), mode=mode,
                        **attributes)  # fmt: skip

        yield _named(f"resize {mode}", resized)
    yield _named("topk, 5 of 1000", lambda: _one(
        "TopK", {"x": _floats(256, 1000)}, lambda x, k: np.sort(x, -1)[:, ::-1][:, :5], lambda t, x, k: t.topk(x, 5).values,
        {"k": np.array([5])}, besides=("places",)))  # fmt: skip
    yield _named("cumsum", lambda: _one("CumSum", {"x": _floats(4096, 4096)}, lambda x, _: np.cumsum(x.astype(np.float64), -1),
                                        lambda t, x, _: t.cumsum(x, -1), {"axis": np.asarray(1)}))  # fmt: skip


def _fused() -> Made:
    def convolved() -> Callable[[str], Operator]:
        nodes = (Node("Conv", ("x", "w"), "sums", (("pads", [1] * 4),)), Node("Add", ("sums", "b"), "shifted"),
                 Node("Relu", ("shifted",)))  # fmt: skip

        def torch(t: Any, x: Any, w: Any, b: Any) -> Any:
            return t.relu(t.nn.functional.conv2d(x, w, b.reshape(-1), padding=1))

        return lambda name: Operator(
            name, nodes, {"x": _floats(1, 64, 56, 56)},
            {"w": _floats(64, 64, 3, 3, seed=1) / 24, "b": _floats(64, 1, 1, seed=2)},
            lambda x, w, b: np.maximum(nn.conv2d.reference(x, w, b.reshape(-1), padding=1), 0),
            torch, 2 * 56 * 56 * 64 * 64 * 9)  # fmt: skip

    def dense() -> Callable[[str], Operator]:
        nodes = (Node("MatMul", ("x", "w"), "sums"), Node("Add", ("sums", "b"), "shifted"), Node("Gelu", ("shifted",)))
        return lambda name: Operator(
            name, nodes, {"x": _floats(512, 384)}, {"w": _floats(384, 1536, seed=1) / 20, "b": _floats(1536, seed=2)},
            lambda x, w, b: nn.gelu.reference(x.astype(np.float64) @ w + b),
            lambda t, x, w, b: t.nn.functional.gelu(x @ w + b), 2 * 512 * 384 * 1536)  # fmt: skip

    def chain() -> Callable[[str], Operator]:
        nodes = (Node("Mul", ("x", "y0"), "product"), Node("Add", ("product", "row"), "shifted"),
                 Node("Tanh", ("shifted",), "bent"), Node("Add", ("bent", "x")))  # fmt: skip
        return lambda name: Operator(
            name, nodes, {"x": _floats(4096, 4096), "y0": _floats(4096, 4096, seed=1)}, {"row": _floats(4096, seed=2)},
            lambda x, y, row: np.tanh(x * y + row) + x, lambda t, x, y, row: t.tanh(x * y + row) + x)  # fmt: skip

    def residual() -> Callable[[str], Operator]:
        nodes = (Node("Add", ("x", "before"), "both"), Node("LayerNormalization", ("both", "scale", "bias")))
        return lambda name: Operator(
            name, nodes, {"x": _floats(16384, 1024), "before": _floats(16384, 1024, seed=3)},
            {"scale": _floats(1024, seed=1), "bias": _floats(1024, seed=2)},
            lambda x, p, s, b: nn.layer_norm.reference(x + p, s, b),
            lambda t, x, p, s, b: t.nn.functional.layer_norm(x + p, s.shape, s, b))  # fmt: skip

    def pooled() -> Callable[[str], Operator]:
        nodes = (Node("BatchNormalization", ("x", "scale", "bias", "mean", "variance"), "normal"),
                 Node("Relu", ("normal",), "positive"),
                 Node("MaxPool", ("positive",), "y", (("kernel_shape", [2, 2]), ("strides", [2, 2]))))  # fmt: skip

        def torch(t: Any, x: Any, s: Any, b: Any, m: Any, v: Any) -> Any:
            return t.nn.functional.max_pool2d(t.relu(t.nn.functional.batch_norm(x, m, v, s, b)), 2)

        def reference(x: Any, *args: Any) -> Any:
            normal = nn.batch_norm.reference(x, *args)
            return nn.max_pool.reference(np.maximum(normal, 0), kernel=2, strides=2)

        weights = {name: _floats(64, seed=k) for k, name in enumerate(("scale", "bias", "mean"))}
        return lambda name: Operator(name, nodes, {"x": _floats(8, 64, 128, 256)},
                                     {**weights, "variance": abs(_floats(64, seed=4)) + 0.5}, reference, torch)  # fmt: skip

    for name, make in (("conv 3x3 + bias + relu", convolved), ("dense + bias + gelu", dense), ("mul + add + tanh + add", chain),
                       ("add + layer norm", residual), ("batch norm + relu + max pool", pooled)):  # fmt: skip
        yield _named(name, make)
