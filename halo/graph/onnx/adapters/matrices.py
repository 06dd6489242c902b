"""Products of matrices."""

from __future__ import annotations

from typing import Any

from halo import nn
from halo.nn.shapes import decided

from ...ir import Constant
from ..node import Node, adapter

__all__ = ["shifted"]


@adapter("Gemm")
def _(n: Node) -> Any:
    alpha, beta = float(n.attrs.get("alpha", 1)), float(n.attrs.get("beta", 1))
    return nn.gemm(n[0], n[1], n.get(2), alpha=alpha, beta=beta, trans_a=bool(n.attrs.get("transA")),
                   trans_b=bool(n.attrs.get("transB")))  # fmt: skip


@adapter("MatMul")
def _(n: Node) -> Any:
    a, b = n[0], n[1]
    if isinstance(b, Constant) and b.type.ndim > 1 and a.type.ndim:
        decided("MatMul", a.type.shape[-1], b.type.shape[-2])
    return nn.matmul(a, b)


@adapter("Einsum")
def _(n: Node) -> Any:
    return nn.einsum(*(n[k] for k in range(len(n.inputs))), equation=n.text("equation"))


@adapter("MatMulInteger")
def _(n: Node) -> Any:
    a, b = (shifted(n[k], n.get(2 + k), rows=k == 0) for k in (0, 1))
    return nn.matmul(a, b)


def shifted(x: Any, zero: Any, rows: bool = False) -> Any:
    """`x` without its zero point, as i32: one, or one a row or column."""
    x = nn.cast(x, dtype="i32")
    if zero is None:
        return x
    zero = nn.cast(zero, dtype="i32")
    if rows and zero.type.ndim == 1:
        zero = nn.reshape(zero, shape=(-1, 1))
    return nn.subtract(x, zero)


@adapter("Det")
def _(n: Node) -> Any:
    return nn.det(n[0])
