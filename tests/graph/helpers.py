"""Small networks of the kinds that real ones are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn
from halo.graph import Call, Constant, Function, Module, Var
from halo.graph.ir import walk
from halo.graph.passes.fuse import fuse
from halo.nn import TensorType
from halo.types import f32

from .programs import by_numpy


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))


def conv(x: Any, o: int, k: int, name: str, **attrs: Any) -> Any:
    """A convolution, and the batch norm behind it, of constant weights."""
    i = x.type.shape[1]
    rng = np.random.default_rng(o + k)
    w = Constant(weights(o, i, k, k, seed=o * k), f"{name}.w")
    scale, bias, mean, var = (
        Constant(rng.uniform(0.5, 1.5, o).astype(np.float32), f"{name}.{n}") for n in ("s", "b", "m", "v")
    )
    return nn.batch_norm(nn.conv2d(x, w, padding=k // 2, **attrs), scale, bias, mean, var)


def bottleneck(size: int = 9, channels: int = 32) -> Module:
    """Two convolutions beside a shortcut, a pool and a classifier: ResNet in small."""
    x = Var("x", TensorType((1, 3, size, size), f32))
    stem = nn.max_pool(nn.relu(conv(x, channels, 3, "stem")), kernel=3, strides=2, padding=1)
    inner = nn.relu(conv(stem, 16, 1, "a"))
    inner = nn.relu(conv(inner, 16, 3, "b"))
    joined = nn.relu(nn.add(conv(inner, channels, 1, "c"), conv(stem, channels, 1, "d")))
    again = nn.relu(conv(nn.relu(conv(joined, 16, 1, "e")), 16, 3, "f"))
    joined = nn.relu(nn.add(conv(again, channels, 1, "g"), joined))
    pooled = nn.flatten(nn.global_average_pool(joined))
    fc, shift = Constant(weights(10, channels), "fc.w"), Constant(weights(10), "fc.b")
    return Module({"main": Function((x,), nn.softmax(nn.dense(pooled, fc, shift)))}, ("y",))


def by_reference(m: Module, **inputs: np.ndarray) -> np.ndarray:
    """What the operators' NumPy references make of the program, its first output."""
    return by_numpy(m, inputs)[0]


def calls(m: Module) -> list[str]:
    """The operators, or the functions, that `main` calls."""
    return [e.op.name for e in walk(m.main.body) if isinstance(e, Call)]


def groups(m: Module) -> list[str]:
    """What becomes one kernel each."""
    return calls(fuse(m))
