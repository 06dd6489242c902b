"""The networks of the benchmarks: those with real weights of `pretrained`, and real architectures with random weights.

The latter are those that the onnx package carries without weights. Each weight in these files is a ConstantOfShape. It
becomes an initializer: He-normal for convolutions and matrices, U(0.5, 1.5) for scales and variances, N(0, 0.1) for the
rest. The final Softmax is cut off, since over random logits it is one-hot. `python -m benchmarks.models` (`make models`)
writes all of them where the cache is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from halo.progress import Progress

from .pretrained import PRETRAINED, efficientnet_lite0, fetch, minilm

__all__ = ["LIGHT", "directory", "light", "network", "samples"]

LIGHT = ("resnet50", "squeezenet", "vgg19", "densenet121", "shufflenet")
USUAL = {"ocr-classifier": {2: 48, 3: 192}, "ocr-recogniser": {2: 48, 3: 320}, "ocr-detector": {2: 640, 3: 640},
         "minilm": {1: 128}}  # fmt: skip
"""The extents, by axis, that a network which leaves them open is timed at; 1 where nothing is said."""
INTEGERS = {"input_ids": 30522, "attention_mask": 1, "token_type_ids": 2}
"""Values of these inputs are below."""


def directory() -> Path:
    """Where models are kept, outside the repository."""
    root = os.environ.get("HALO_MODELS") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "halo-models"
    )
    return Path(root)


def network(name: str) -> Any:
    """The network `name`, one of LIGHT or PRETRAINED, as an `onnx.ModelProto`."""
    import onnx

    if name in LIGHT:
        return light(name)
    path = fetch(name, directory())
    if name in ("efficientnet-lite0", "minilm"):
        return (efficientnet_lite0 if name == "efficientnet-lite0" else minilm)(path)
    return onnx.load(path)


def samples(name: str, model: Any, **extents: int) -> dict[str, np.ndarray]:
    """Random inputs for the network: of the extents that it leaves open, those of `extents`, else what is usual for it."""
    from onnx import helper

    rng = np.random.default_rng(0)
    usual = USUAL.get(name, {})
    made = {}
    weights = {t.name for t in model.graph.initializer}
    for v in (v for v in model.graph.input if v.name not in weights):
        t = v.type.tensor_type
        shape = tuple(
            d.dim_value if d.dim_value > 0 else extents.get(f"d{k}", usual.get(k, 1)) for k, d in enumerate(t.shape.dim)
        )
        dtype = helper.tensor_dtype_to_np_dtype(t.elem_type)
        if dtype.kind == "f":
            made[v.name] = rng.standard_normal(shape).astype(dtype)
        else:
            made[v.name] = rng.integers(0, INTEGERS.get(v.name, 256), shape).astype(dtype)
            made[v.name] |= v.name == "attention_mask"
    return made


def light(name: str, seed: int = 0) -> Any:
    """The network `name` as an `onnx.ModelProto` with random weights, always the same for a seed."""
    import onnx
    from onnx import helper, numpy_helper

    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    model = onnx.load(path)
    graph = model.graph
    rng = np.random.default_rng(seed)
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    made = {
        n.output[0]: tuple(int(v) for v in shapes[n.input[0]]) for n in graph.node if n.op_type == "ConstantOfShape"
    }
    kinds = _kinds(graph)
    weights = [numpy_helper.from_array(_weights(rng, kinds.get(key, ""), shape), key) for key, shape in made.items()]
    nodes = [n for n in graph.node if n.op_type != "ConstantOfShape"]
    if nodes[-1].op_type == "Softmax":
        cut = nodes.pop()
        graph.output[0].name = cut.input[0]
    read = {name for n in nodes for name in n.input}
    kept = [t for t in graph.initializer if t.name in read]
    given = {t.name for t in (*kept, *weights)}
    inputs = [v for v in graph.input if v.name in read and v.name not in given]
    new = helper.make_graph(nodes, name, inputs, list(graph.output), [*kept, *weights])
    return helper.make_model(new, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def _kinds(graph: Any) -> dict[str, str]:
    """What each weight is for."""
    kinds: dict[str, str] = {}
    behind = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Unsqueeze"}
    for n in graph.node:
        if n.op_type in ("Conv", "Gemm"):
            kinds[n.input[1]] = "matrix"
        elif n.op_type == "BatchNormalization":
            kinds[n.input[1]] = kinds[n.input[4]] = "scale"
        elif n.op_type == "Mul":
            kinds |= {behind[name]: "scale" for name in n.input if name in behind}
    return kinds


def _weights(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "matrix":
        return (rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))).astype(np.float32)
    if kind == "scale":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return (rng.standard_normal(shape, np.float32) * np.float32(0.1)).astype(np.float32)


def main() -> None:
    import onnx

    directory().mkdir(parents=True, exist_ok=True)
    names = (*LIGHT, *PRETRAINED)
    with Progress("models", len(names)) as progress:
        for name in names:
            path = directory() / f"{name}.onnx"
            if not path.exists():
                made = path.with_suffix(".part")  # a file of that name is whole
                onnx.save(network(name), made)
                made.replace(path)
            progress.say(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
            progress.advance(note=name)


if __name__ == "__main__":
    main()
