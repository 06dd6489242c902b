"""Real architectures: the networks that the onnx package carries without weights, given seeded random ones.

Each weight in these files is a ConstantOfShape. It becomes an initializer: He-normal for convolutions and matrices,
U(0.5, 1.5) for scales and variances, N(0, 0.1) for the rest. The final Softmax is cut off, since over random logits it is
one-hot. `python -m benchmarks.models` (`make models`) writes them where the cache is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LIGHT", "directory", "light"]

LIGHT = ("resnet50", "squeezenet", "vgg19", "densenet121", "shufflenet")


def directory() -> Path:
    """Where models are kept, outside the repository."""
    root = os.environ.get("HALO_MODELS") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "halo-models"
    )
    return Path(root)


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
    for name in LIGHT:
        path = directory() / f"{name}.onnx"
        if not path.exists():
            onnx.save(light(name), path)
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
