"""The graph compiler: whole programs over the operators of `halo.nn`, from ONNX files or built by hand.

model = halo.graph.from_onnx("model.onnx")      # a Module: print it, edit it, compile it
net = model.compile()
out = net(data=image)
"""

from .artefact import load
from .capture import Captured, function
from .compare import Comparison, compare
from .compile import compile
from .control import if_, loop
from .ir import Call, Constant, Expr, Function, Global, If, Item, Let, Loop, Tuple, Var
from .module import Module
from .net import Group, Memory, Net
from .onnx import from_onnx, from_torch
from .parse import parse
from .pieces import Pieces
from .text import constants

__all__ = ["Call", "Captured", "Comparison", "Constant", "Expr", "Function", "Global", "Group", "If", "Item", "Let",
           "Loop", "Memory", "Module", "Net", "Pieces", "Tuple", "Var", "compare", "compile", "constants", "from_onnx",
           "from_torch", "function", "if_", "load", "loop", "parse"]  # fmt: skip
