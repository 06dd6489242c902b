"""Suppression: of boxes that overlap, the one with the best score."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here
from halo.ir.shapes import dim_min
from halo.jit.target import Target
from halo.types import bool_, i32, u8

from .op import Kind, op
from .shapes import same_type, takes
from .tensor import Tensor, TensorType

__all__ = ["overlap_suppression"]

OUT, WAITS, KEPT = range(3)  # what a box is
MOST = 2**31 - 1  # boxes: an extent is no more


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
            if len(taken) == most or (least is not None and not scores[b, c, k] > least):
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
    (their common area by that of both together), if its score is not above `least`, or if `most` are kept. The greedy step
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
    """A step keeps the first box that waits, and takes out those behind it that overlap it: at most `most` steps."""
    many, dtype = scores.shape[2], scores.dtype
    b, c, s, k, t = halo.vars("b c s k t")
    y, v, x, w = _corners(lambda n: boxes.func[b, c, halo.clamp(k, 0, many - 1), n], centred)
    sides, area, start, first, step, state = map(Func, ("sides", "area", "start", "first", "step", "state"))
    sides[b, c, s, k] = halo.select(
        s == 0, halo.min(y, v), s == 1, halo.max(y, v), s == 2, halo.min(x, w), halo.max(x, w)
    )
    area[b, c, k] = (sides[b, c, 1, k] - sides[b, c, 0, k]) * (sides[b, c, 3, k] - sides[b, c, 2, k])
    score = scores.func[b, c, halo.clamp(k, 0, many - 1)]
    good = score > least if least is not None else score == score
    start[b, c, k] = halo.select(good, u8(WAITS), u8(OUT))
    r = halo.rdom(many, names="k")
    first[t, b, c] = i32(many)
    first[t, b, c] = halo.min(first[t, b, c], halo.select(state[t - 1, b, c, r.k] == WAITS, i32(r.k), i32(many)))
    best = halo.clamp(first[t, b, c], 0, many - 1)

    def common(low: int) -> Any:
        own, other = (sides[b, c, low + 1, at] for at in (k, best)), (sides[b, c, low, at] for at in (k, best))
        return halo.max(halo.min(*own) - halo.max(*other), dtype(0))

    both = common(0) * common(2)
    total = area[b, c, k] + area[b, c, best] - both
    apart = halo.select(total > 0, both / total, dtype(0)) <= threshold
    old = state[t - 1, b, c, k]
    left = halo.select((old == WAITS) & ~apart, u8(OUT), old)
    step[t, b, c, k] = halo.select(first[t, b, c] == i32(many), old, k == best, u8(KEPT), left)
    steps = dim_min(min(most, MOST) if isinstance(most, int) else most, many)
    halo.scan(state, start, step, steps)
    lanes = Target.host().natural_lanes(dtype)
    for f in (sides, area, start):
        f.compute_root().vectorize(k, lanes)
    first.compute_at(state, "t").update(0).split("k", "k", "kv", lanes).atomic().vectorize("kv")
    state.update(0).vectorize(k, lanes)
    state.update(1).vectorize(k, lanes)
    f = Func("overlap_suppression")
    f[b, c, k] = state[steps - 1, b, c, k] == KEPT
    return Tensor(f, scores.shape, bool_)
