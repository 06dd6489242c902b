"""Reductions. Since opset 13 (ReduceSum) or 18 the axes are an input."""

from __future__ import annotations

from typing import Any

from halo import nn

from ..node import Node, adapter

__all__: list[str] = []


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


def _l2(x: Any, **attrs: Any) -> Any:
    squares = _squares(x if x.type.dtype.is_float else nn.cast(x, dtype="f64"), **attrs)
    return nn.cast(nn.sqrt(squares), dtype=x.type.dtype)


for _op, _f in (
    ("ReduceSum", nn.sum),
    ("ReduceMean", nn.mean),
    ("ReduceProd", nn.prod),
    ("ReduceMax", _extreme(nn.max, nn.any)),
    ("ReduceMin", _extreme(nn.min, nn.all)),
    ("ReduceLogSumExp", nn.logsumexp),
    ("ReduceL1", lambda x, **attrs: nn.sum(nn.absolute(x), **attrs)),
    ("ReduceL2", _l2),
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
