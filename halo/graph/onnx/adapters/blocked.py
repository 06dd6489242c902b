"""ONNX Runtime's own layout, `com.microsoft.nchwc`: channels in blocks, of 16 where vectors are of AVX-512, else of 8.

Only its weights are in that order in the file. Tensors are imported as they would be without blocks, their channels filled
up with zeros to whole blocks: how they lie in memory is for halo to choose.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn

from ...ir import Constant
from ..node import Node, adapter
from .microsoft import activated, channels_last, channels_second, standard

__all__: list[str] = []


@adapter("com.microsoft.nchwc.ReorderInput")
def _(n: Node) -> Any:
    x = n[0]
    x = channels_second(x) if n.attrs.get("channels_last") else x
    more = -x.type.shape[1] % n.block
    if not isinstance(more, int):
        raise n.wrong(f"{x.type} has as many channels as a call says, and blocks are of {n.block}")
    return nn.pad(x, before=(0, 0, 0, 0), after=(0, more, 0, 0)) if more else x


@adapter("com.microsoft.nchwc.ReorderOutput")
def _(n: Node) -> Any:
    x, channels = n[0], n.attrs["channels"]
    x = x if channels == x.type.shape[1] else nn.strided_slice(x, begin=(0,), end=(channels,), axes=(1,))
    return channels_last(x) if n.attrs.get("channels_last") else x


@adapter("com.microsoft.nchwc.Conv")
def _(n: Node) -> Any:
    weight = n.array(1)
    if weight is None or weight.ndim != 4:
        raise n.wrong("its weights are of four axes")
    y = standard(n, "Conv", n[0], Constant(_plain(n, weight)), n.get(2))
    return activated(n, y if n.get(3) is None else nn.add(y, n[3]))


def _plain(n: Node, w: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Weights in blocks, [O/b, I/b, H, W, b of I, b of O], as [O, I, H, W]; those of a few input channels, or of one a group,
    are [O/b, I, H, W, b of O]."""
    b, (outs, ins, *window) = n.block, w.shape
    whole = ins >= b
    if outs % b or (whole and ins % b):
        raise n.wrong(f"weights {list(w.shape)} are not of whole blocks of {b} channels")
    if whole:
        return w.reshape(outs // b, ins // b, *window, b, b).transpose(0, 5, 1, 4, 2, 3).reshape(w.shape)
    return w.reshape(outs // b, ins, *window, b).transpose(0, 4, 1, 2, 3).reshape(w.shape)


def _pool(op: str) -> None:
    adapter(f"com.microsoft.nchwc.{op}")(lambda n: standard(n, op, n[0]))


for _op in ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"):
    _pool(_op)


@adapter("com.microsoft.nchwc.Upsample")
def _(n: Node) -> Any:
    scales = Constant(np.array(n.attrs["scales"], np.float32))
    return standard(n, "Resize", n[0], None, scales, nearest_mode=n.text("nearest_mode", "floor"))
