"""Reductions. Since opset 13 (ReduceSum) or 18 the axes are an input."""

from __future__ import annotations

from typing import Any

from halo import nn

from ..node import Node, adapter

__all__ = ["norm"]


def _reduction(op: str, f: Any) -> None:
    def made(n: Node) -> Any:
        axes = n.ints("axes", 1)
        x, keepdims = n[0], bool(n.attrs.get("keepdims", 1))
        if not axes:
            axes = () if n.attrs.get("noop_with_empty_axes") else None
        return f(x, axes=axes, keepdims=keepdims)

    adapter(op)(made)


def _extreme(f: Any, of_bools: Any) -> Any:
    return lambda x, **attrs: (of_bools if x.type.dtype.is_bool else f)(x, **attrs)


def _squares(x: Any, **attrs: Any) -> Any:
    return nn.sum(nn.multiply(x, x), **attrs)


def norm(x: Any, p: float, **attrs: Any) -> Any:
    """sum(|x|**p)**(1/p) over axes. Powers of narrow floats are found in f32, those of integers in f64."""
    if p == 1:
        return nn.sum(nn.absolute(x), **attrs)
    dtype = x.type.dtype
    wide = nn.cast(x, dtype="f64" if not dtype.is_float else "f32" if dtype.bits < 32 else dtype.name)
    if p == 2:
        return nn.cast(nn.sqrt(_squares(wide, **attrs)), dtype=dtype)
    number = wide.type.dtype.dtype.type
    sums = nn.sum(nn.power(nn.absolute(wide), number(p)), **attrs)
    return nn.cast(nn.power(sums, number(1 / p)), dtype=dtype)


for _op, _f in (
    ("ReduceSum", nn.sum),
    ("ReduceMean", nn.mean),
    ("ReduceProd", nn.prod),
    ("ReduceMax", _extreme(nn.max, nn.any)),
    ("ReduceMin", _extreme(nn.min, nn.all)),
    ("ReduceLogSumExp", nn.logsumexp),
    ("ReduceL1", lambda x, **attrs: norm(x, 1, **attrs)),
    ("ReduceL2", lambda x, **attrs: norm(x, 2, **attrs)),
    ("ReduceLogSum", lambda x, **attrs: nn.log(nn.sum(x, **attrs))),
    ("ReduceSumSquare", _squares),
):
    _reduction(_op, _f)


def _arg(op: str, f: Any) -> None:
    adapter(op)(lambda n: f(n[0], axis=n.attrs.get("axis", 0), keepdims=bool(n.attrs.get("keepdims", 1)),
                            last=bool(n.attrs.get("select_last_index", 0))))  # fmt: skip


_arg("ArgMax", nn.argmax)
_arg("ArgMin", nn.argmin)


def _running(op: str, f: Any) -> None:
    adapter(op)(lambda n: f(n[0], axis=n.scalar(1), exclusive=bool(n.attrs.get("exclusive")),
                            reverse=bool(n.attrs.get("reverse"))))  # fmt: skip


_running("CumSum", nn.cumsum)
_running("CumProd", nn.cumprod)
