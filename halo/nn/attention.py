"""Attention: the scores of a tile of queries, their softmax and its product with the values, one after another in cache."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .convolution import is_narrow, widened
from .einsum import matmul
from .elementwise import add, multiply
from .lines import along, extent, line_stages
from .op import Kind, Types, op
from .schedule import bound, by_height, in_parallel, summed_loops, tiled
from .shape import transpose
from .shapes import broadcast, broadcasts_to, equal, indices, places, same_type, takes
from .softmax import softmax
from .tensor import Tensor, TensorType, type_of
from .tiles import Tile, registers

__all__ = ["attention"]


def _reference(q: Any, k: Any, v: Any, mask: Any = None, *, scale: float | None = None, k_layout: str = "TD") -> Any:
    wide = [x.astype(np.float64) for x in (q, k, v)]
    scores = wide[0] @ (wide[1].swapaxes(-1, -2) if k_layout == "TD" else wide[1])
    scores = scores * (q.shape[-1] ** -0.5 if scale is None else scale) + (0 if mask is None else mask)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True) @ wide[2]).astype(q.dtype)


@op(Kind.ANCHOR, reference=_reference)
def attention(q: TensorType, k: TensorType, v: TensorType, mask: TensorType | None = None, *,
              scale: float | None = None, k_layout: str = "TD") -> TensorType:  # fmt: skip
    """softmax(q @ k.T * scale + mask) @ v, of matrices in the last two axes, the others broadcast: scaled dot-product
    attention (Vaswani et al., 2017), the core of ONNX Attention. There are never more scores than of one tile of queries.

    `q`: [..., M, D]; `k`: [..., T, D], or [..., D, T] with `k_layout` "DT"; `v`: [..., T, E]; `mask`: broadcast to
    [..., M, T]; the result: [..., M, E]. `scale`: 1 / sqrt(D) by default. Raises ArgumentError where these do not fit.

    >>> from halo import nn
    >>> q = np.ones((1, 4), np.float32)
    >>> nn.attention(q, np.ones((2, 4), np.float32), np.array([[1, 2], [3, 6]], np.float32))
    array([[2., 4.]], dtype=float32)
    """
    given = (q, k, v) if mask is None else (q, k, v, mask)
    takes("attention", "float", *given)
    if any(t.ndim < 2 for t in (q, k, v)) or k_layout not in ("TD", "DT"):
        raise ArgumentError(
            f"attention takes matrices, and k_layout TD or DT: not {q}, {k}, {v} and {k_layout!r}", loc=here()
        )
    t, d = k.shape[-2:] if k_layout == "TD" else k.shape[-2:][::-1]
    if not equal(q.shape[-1], d) or not equal(v.shape[-2], t):
        raise ArgumentError(f"queries {q}, keys {k} and values {v} do not fit", loc=here())
    batch = broadcast(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    scores = (*batch, q.shape[-2], t)
    if mask is not None and not broadcasts_to(mask.shape, scores):
        raise ArgumentError(f"the mask {mask} is not of the scores {list(scores)}", loc=here())
    return TensorType((*batch, q.shape[-2], v.shape[-1]), same_type("attention", *given))


def _factor(q: TensorType, scale: float | None) -> float:
    if scale is not None:
        return scale
    if not isinstance(q.shape[-1], int):
        raise ArgumentError(
            f"the scale of queries {q} is known in a call only", loc=here(), hint="attention(..., scale=...)"
        )
    return float(max(q.shape[-1], 1) ** -0.5)


def _of_floats(types: Types, attrs: Any, target: Target) -> bool:
    return all(t is None or (0 not in t.shape and t.dtype in (halo.f32, halo.f64)) for t in types)


attention.strategy("wide", when=is_narrow, composed=True)(widened(attention))


@attention.strategy("transposed", when=lambda types, attrs, target: attrs["k_layout"] == "TD", composed=True)
def _(q: Any, k: Any, v: Any, mask: Any = None, *, scale: float | None, k_layout: str) -> Any:
    axes = tuple(range(type_of(k).ndim))
    return attention(q, transpose(k, axes=(*axes[:-2], axes[-1], axes[-2])), v, mask, scale=scale, k_layout="DT")


def _schedule(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """A task is some tiles of queries. The keys that it reads are copied in whole vectors, those of no token zero."""
    f, lanes = out.func, target.natural_lanes(out.dtype)
    *batch, i, j = f.definitions.vars
    *_, rows, columns = out.shape
    bound(f, out)
    own = lanes
    while isinstance(columns, int) and own > max(columns, 1):
        own //= 2
    vectors = 2 if isinstance(columns, int) and columns >= 2 * own else 1
    width, height = own * vectors, (registers(target) - 3) // 2
    height = min(height, rows) if isinstance(rows, int) else height
    for stage, high in by_height(f, out.ndim - 2, rows, Tile(1, height, vectors)):
        if isinstance(columns, int):
            tiled(stage, j, "jo", width, columns)
        else:
            stage.split(j, "jo", j, width).never_partition("jo")
        tiled(stage, i, "io", high, rows)
        stage.split("io", "it", "io", GROUP)
        stage.reorder(*batch, "it", "io", "jo", i, j).vectorize(j, own).unroll(j).unroll(i)
        task = in_parallel(stage, [*batch, "it"])
    values, dots, scores, powers, keys = (f[name] for name in ("values", "dots", "line_scores", "line_powers", "keys"))
    for g in line_stages(f, values, dots, keys):
        g.compute_at(f, "io")
    *_, i, j = values.definitions.vars
    values.compute_at(f, "jo").vectorize(j, own).unroll(j).unroll(i)
    values.update(0).reorder(*summed_loops(values), i, j).vectorize(j, own).unroll(j).unroll(i)
    *_, i, j = scores.definitions.vars
    scores.split(j, "jo", j, 2 * lanes, "round_up").reorder("jo", i, j).vectorize(j, lanes).unroll(j).unroll(i)
    *_, i, j = dots.definitions.vars
    dots.compute_at(scores, "jo").vectorize(j, lanes).unroll(j).unroll(i)
    dots.update(0).reorder(*summed_loops(dots), i, j).vectorize(j, lanes).unroll(j).unroll(i)
    powers.vectorize(powers.definitions.vars[-1], lanes)
    keys.compute_at(f, task).vectorize(keys.definitions.vars[-1], lanes)


GROUP = 8  # tiles of queries for which the keys are copied once


@attention.strategy("tiles", when=_of_floats, schedule=_schedule)
def _(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, scale: float | None, k_layout: str) -> Tensor:
    given = (q, k, v) if mask is None else (q, k, v, mask)
    shape = attention.infer(tuple(x.type for x in given), {"k_layout": k_layout}).shape
    dtype, tokens, depth = q.dtype, extent(k, k.ndim - 1), extent(k, k.ndim - 2)
    factor = dtype(_factor(q.type, scale))
    *batch, i, j = indices(len(shape))
    rest = (*batch, i)

    def at(x: Tensor, *last: Any, of: Any = None) -> Any:
        return x.func[places((*batch, *last), (*shape[:-2], *(of or x.shape[-2:])), x.shape)]

    keys, dots, scores, powers = Func("keys"), Func("dots"), Func("line_scores"), Func("line_powers")
    place = indices(k.ndim, "p")
    keys[place] = halo.pad(k.func, "constant", 0, bounds=[*(None for _ in place[1:]), (0, tokens)])[place]
    r: RDom = halo.rdom(depth, names="d")
    dots[(*rest, j)] = dtype(0)
    dots[(*rest, j)] += at(q, i, r.d) * at(Tensor(keys, k.shape, dtype), r.d, j)
    scores[(*rest, j)] = dots[(*rest, j)] * factor
    masked = Func("masked")
    masked[(*rest, j)] = (
        scores[(*rest, j)] if mask is None else scores[(*rest, j)] + at(mask, i, j, of=(q.shape[-2], k.shape[-1]))
    )
    top = along("line_top", rest, dtype(-math.inf), halo.max, lambda t: masked[(*rest, t)], (tokens,), dtype)
    powers[(*rest, j)] = halo.exp(masked[(*rest, j)] - top[rest])
    total = along("line_sum", rest, dtype(0), operator.add, lambda t: powers[(*rest, t)], (tokens,), dtype)
    share, values, f = Func("line_share"), Func("values"), Func("attention")
    share[rest] = 1 / total[rest]
    s: RDom = halo.rdom(tokens, names="t")
    values[(*rest, j)] = dtype(0)
    values[(*rest, j)] += powers[(*rest, s.t)] * at(v, s.t, j)
    f[(*rest, j)] = values[(*rest, j)] * share[rest]
    return Tensor(f, shape, dtype)


@attention.strategy("apart", composed=True)
def _(q: Any, k: Any, v: Any, mask: Any = None, *, scale: float | None, k_layout: str) -> Any:
    scores = multiply(matmul(q, k), np.asarray(_factor(type_of(q), scale), type_of(q).dtype.dtype))
    return matmul(softmax(scores if mask is None else add(scores, mask)), v)
