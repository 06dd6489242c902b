"""Suppression: of boxes that overlap, the one with the best score."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here
from halo.jit.target import Target
from halo.types import bool_, i32

from .op import Kind, op
from .schedule import bound, in_parallel
from .shapes import same_type, takes
from .tensor import Tensor, TensorType

__all__ = ["overlap_suppression"]

OUT = 2**31 - 1  # more boxes than any are kept before one that is out: an extent is no more


def _corners(at: Any, centred: bool) -> tuple[Any, Any, Any, Any]:
    """The least and largest y and x of the box whose four numbers `at` gives."""
    a, b, c, d = (at(k) for k in range(4))
    return (b - d / 2, b + d / 2, a - c / 2, a + c / 2) if centred else (a, c, b, d)


def _suppression(boxes: Any, scores: Any, *, most: int, threshold: float = 0.0, least: float | None = None,
                 centred: bool = False) -> Any:  # fmt: skip
    kept = np.zeros(scores.shape, np.bool_)
    for b, c in np.ndindex(*scores.shape[:2]):
        taken: list[Any] = []
        for k, box in enumerate(boxes[b, c]):
            if len(taken) == most or np.isnan(scores[b, c, k]) or (least is not None and scores[b, c, k] <= least):
                continue
            if all(_overlap(box.astype(np.float64), o.astype(np.float64), centred) <= threshold for o in taken):
                taken.append(box)
                kept[b, c, k] = True
    return kept


def _overlap(p: Any, q: Any, centred: bool) -> float:
    py, pv, px, pw = _corners(lambda k: p[k], centred)
    qy, qv, qx, qw = _corners(lambda k: q[k], centred)
    (py, pv), (px, pw), (qy, qv), (qx, qw) = (sorted(s) for s in ((py, pv), (px, pw), (qy, qv), (qx, qw)))
    both = max(min(pv, qv) - max(py, qy), 0) * max(min(pw, qw) - max(px, qx), 0)
    total = (pv - py) * (pw - px) + (qv - qy) * (qw - qx) - both
    return float(both / total) if total > 0 else 0.0


@op(Kind.OPAQUE, reference=_suppression)
def overlap_suppression(boxes: TensorType, scores: TensorType, *, most: int, threshold: float = 0.0,
                        least: float | None = None, centred: bool = False) -> TensorType:  # fmt: skip
    """Which of the boxes are kept, the best first: one is not if it overlaps one kept before it by more than `threshold`
    (their common area by that of both together), if its score is NaN or not above `least`, or if `most` are kept. The greedy step
    of ONNX NonMaxSuppression, TOPI non_max_suppression.

    `boxes`: [N, C, B, 4] in the order of their `scores`, [N, C, B], the best first: two corners (y, x, y, x), or where
    `centred` the centre and size (x, y, w, h).

    >>> from halo import nn
    >>> boxes = np.array([[[[0, 0, 2, 2], [0, 0, 2, 2.5], [5, 5, 6, 6]]]], np.float32)
    >>> nn.overlap_suppression(boxes, np.array([[[3, 2, 1]]], np.float32), most=2, threshold=0.5)
    array([[[ True, False,  True]]])
    """
    takes("overlap_suppression", "float", boxes, scores)
    same_type("overlap_suppression", boxes, scores)
    if boxes.ndim != 4 or boxes.shape != (*scores.shape, 4):
        raise ArgumentError(f"scores {scores} are not those of boxes {boxes}", loc=here())
    return TensorType(scores.shape, bool_)


@overlap_suppression.strategy("direct")
def _(boxes: Tensor, scores: Tensor, *, most: int, threshold: float, least: float | None, centred: bool) -> Tensor:
    """One box after the other takes out those behind it that overlap it, if it is not out itself and not too many are
    kept: each box has how many are kept before it."""
    many, dtype = scores.shape[2], scores.dtype
    b, c, k = halo.vars("b c k")
    y, v, x, w = _corners(lambda n: boxes.func[b, c, k, n], centred)
    names = ("top", "bottom", "left", "right", "area", "before")
    top, bottom, left, right, area, before = sides = [*map(Func, names)]
    for side, found in zip(sides, (halo.min(y, v), halo.max(y, v), halo.min(x, w), halo.max(x, w)), strict=False):
        side[b, c, k] = found
    area[b, c, k] = (bottom[b, c, k] - top[b, c, k]) * (right[b, c, k] - left[b, c, k])
    score = scores.func[b, c, k]
    good = score > least if least is not None else score == score
    before[b, c, k] = halo.select(good, i32(0), i32(OUT))
    r = halo.rdom(many, many, names="t j")
    limit = halo.clamp(most, 0, OUT) if not isinstance(most, int) else min(most, OUT)
    r.where((r.j > r.t) & (before[b, c, r.t] < i32(limit)))

    def common(low: Func, high: Func) -> Any:
        ends = (f(g[b, c, r.t], g[b, c, r.j]) for f, g in ((halo.min, high), (halo.max, low)))
        return halo.max(next(ends) - next(ends), dtype(0))

    both = common(top, bottom) * common(left, right)
    total = area[b, c, r.t] + area[b, c, r.j] - both
    apart = halo.select(total > 0, both / total, dtype(0)) <= threshold
    old = before[b, c, r.j]
    before[b, c, r.j] = halo.select(apart & (old < i32(OUT)), old + 1, i32(OUT))
    lanes = Target.host().natural_lanes(dtype)
    f = Func("overlap_suppression")
    f[b, c, k] = before[b, c, k] < i32(limit)
    out = Tensor(f, scores.shape, bool_)
    bound(f, out)
    task = in_parallel(f.vectorize(k, lanes), ["b", "c"])
    for g in sides:
        g.compute_at(f, task).vectorize(k, lanes)
    before.update(0).vectorize("j", lanes)
    return out
