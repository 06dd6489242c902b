"""ONNX: models in, as graph programs. `adapters` has what each operator means, by the opset since which it means that."""

from .importer import from_onnx
from .node import Node, adapter
from .pytorch import from_torch

__all__ = ["Node", "adapter", "from_onnx", "from_torch"]
