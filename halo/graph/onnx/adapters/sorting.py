"""Order: the largest, the different, the boxes that do not overlap."""

from __future__ import annotations

from typing import Any

from halo import nn

from ..node import Node, adapter

__all__: list[str] = []


def _top(n: Node, k: Any, largest: bool) -> Any:
    x, axis = n[0], n.attrs.get("axis", -1)
    first = nn.topk(x, k=k, axis=axis, largest=largest)
    return nn.gather_elements(x, first, axis=axis), first


@adapter("TopK", 1)
def _(n: Node) -> Any:
    return _top(n, n.attrs["k"], True)


@adapter("TopK", 10)
def _(n: Node) -> Any:
    (k,) = n.extents(1)
    return _top(n, k, bool(n.attrs.get("largest", 1)))


@adapter("Unique")
def _(n: Node) -> Any:
    """The results' shapes depend on what the values are."""
    return nn.unique(n[0], axis=n.attrs.get("axis"), ordered=bool(n.attrs.get("sorted", 1)))


@adapter("NonMaxSuppression")
def _(n: Node) -> Any:
    given, least = n.get(2), n.scalar(4)
    return nn.non_max_suppression(
        n[0], n[1], most=0 if given is None else n.extent(nn.reshape(given, shape=())), threshold=float(n.scalar(3, 0.0)),
        least=None if least is None else float(least), centred=bool(n.attrs.get("center_point_box")),
    )  # fmt: skip
