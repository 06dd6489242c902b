"""Packing by hand: weights in the order in which an operator reads them, for calls on arrays. Graphs do it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .convolution import conv2d, kernel_blocks, of_blocks
from .einsum import matmul
from .layouts import layout_transform
from .matrix import dense, panels
from .op import Op
from .tensor import TensorType, array_of, type_of

__all__ = ["Packed", "pack"]


@dataclass(frozen=True, eq=False)
class Packed:
    """The weights of `op`, which are of `type`, as `data` in the layout `kernel_layout`: the second argument of its calls."""

    op: Op
    type: TensorType
    data: Any
    kernel_layout: str

    def __halo_op__(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        x, weight, *rest = args
        if op is not self.op or weight is not self:
            raise ArgumentError(f"these are weights of {self.op.name}, as its second argument", loc=here())
        if op is not conv2d:
            units = self.type.shape[0 if op is dense else 1]
            return dense(x, self.data, *rest, kernel_layout=self.kernel_layout, units=units)
        if attrs["groups"] != 1:
            raise ArgumentError("packed weights are of a convolution of one group", loc=here())
        given = {name: v for name, v in attrs.items() if name not in ("groups", "kernel_layout")}
        return of_blocks(x, self.data, *rest, units=self.type.shape[0], kernel_layout=self.kernel_layout, **given)

    def __repr__(self) -> str:
        return f"<weights of nn.{self.op.name}, {self.type} as {self.kernel_layout}>"


def pack(op: Op, weight: Any, *, rows: int = 128) -> Packed:
    """The weights of `nn.conv2d` [O, I, KH, KW], of `nn.dense` [O, I] or of `nn.matmul` [I, O], an array, in the order in which
    they are read: what else every call does anew. `rows`: how many a product has, about; fewer than 4 take wider panels.
    Raises ArgumentError for other operators.

    >>> import numpy as np
    >>> from halo import nn
    >>> weight = nn.pack(nn.dense, np.eye(2, 3, dtype=np.float32))
    >>> nn.dense(np.ones((1, 3), np.float32), weight)
    array([[1., 1.]], dtype=float32)
    """
    array = array_of(weight, "the weights")
    t = type_of(array)
    axes = {conv2d.name: "OIHW", dense.name: "OI", matmul.name: "IO"}.get(op.name, "")
    if not axes or t.ndim != len(axes):
        raise ArgumentError(f"{op.name} has no weights of {t} that are packed", loc=here(),
                            legal=("nn.conv2d", "nn.dense", "nn.matmul"))  # fmt: skip
    if op is conv2d:
        layout = kernel_blocks(t, axes)
    else:
        layout = panels(Target.host(), rows, t.shape[axes.index("O")], t.dtype)
    return Packed(op, t, layout_transform(array, src=axes, dst=layout), layout)
