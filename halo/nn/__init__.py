"""Operators written in halo: TOPI's, each one with its type rule, strategies, fusion kind and reference in one place.

    from halo import nn
    out = nn.conv2d(image, weight, strides=1, padding=1)        # arrays: computes now
    t = nn.relu(nn.conv2d(x, w, padding=1))                     # Inputs and Tensors: an nn.Tensor, to schedule or extend

Floats that one strategy of an operator gives do not depend on the schedule; other strategies may round otherwise.
"""

from .convolution import conv2d, merge_groups
from .elementwise import (
    absolute,
    add,
    ceil,
    clip,
    cos,
    divide,
    elementwise,
    elu,
    erf,
    exp,
    floor,
    hard_sigmoid,
    identity,
    leaky_relu,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    reciprocal,
    relu,
    rsqrt,
    sigmoid,
    sin,
    sqrt,
    subtract,
    tanh,
)
from .extents import extents
from .layouts import Layout, layout_transform
from .matrix import dense
from .normalisation import batch_norm, softmax
from .op import OPS, Kind, Op, Strategy, any_extent, op
from .pooling import average_pool, global_average_pool, max_pool
from .shape import concatenate, flatten, reshape, transpose
from .tensor import Tensor, TensorType, tensor

__all__ = [
    "OPS",
    "Kind",
    "Layout",
    "Op",
    "Strategy",
    "Tensor",
    "TensorType",
    "absolute",
    "add",
    "any_extent",
    "average_pool",
    "batch_norm",
    "ceil",
    "clip",
    "concatenate",
    "conv2d",
    "cos",
    "dense",
    "divide",
    "elementwise",
    "elu",
    "erf",
    "exp",
    "extents",
    "flatten",
    "floor",
    "global_average_pool",
    "hard_sigmoid",
    "identity",
    "layout_transform",
    "leaky_relu",
    "log",
    "max_pool",
    "maximum",
    "merge_groups",
    "minimum",
    "multiply",
    "negative",
    "op",
    "power",
    "reciprocal",
    "relu",
    "reshape",
    "rsqrt",
    "sigmoid",
    "sin",
    "softmax",
    "sqrt",
    "subtract",
    "tanh",
    "tensor",
    "transpose",
]
