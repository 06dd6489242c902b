"""Attention as ONNX Runtime's optimiser writes it: Attention, MultiHeadAttention and RotaryEmbedding of its domain."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from halo import nn

from ...ir import Constant
from ..node import Node, adapter

__all__: list[str] = []


def _heads(x: Any, heads: int) -> Any:
    """[B, S, heads * H] as [B, heads, S, H]."""
    return nn.transpose(nn.reshape(x, shape=(*x.type.shape[:2], heads, -1)), axes=(0, 2, 1, 3))


def _part(x: Any, begin: Any, end: Any) -> Any:
    return nn.strided_slice(x, begin=(begin,), end=(end,), axes=(x.type.ndim - 1,))


def _masked(n: Node, mask: Any, keys: Any) -> Any:
    """What is added to the scores, [B, heads, S, keys], where `mask` says that a key does not count."""
    if mask is None:
        return None
    batch = mask.type.shape[0]
    if mask.type.ndim == 1:  # how many keys count
        counts = nn.less(_places(keys), nn.reshape(nn.cast(mask, dtype="i64"), shape=(batch, 1)))
    elif mask.type.ndim in (2, 3):
        counts = nn.not_equal(mask, np.zeros((), mask.type.dtype.dtype))
    else:
        raise n.wrong(f"a mask is of one to three axes, not {mask.type}")
    shape = counts.type.shape
    counts = nn.reshape(counts, shape=(shape[0], 1, *((1,) if len(shape) == 2 else ()), *shape[1:]))
    low = np.asarray(n.attrs.get("mask_filter_value", -10000), n[0].type.dtype.dtype)
    return nn.where(counts, np.zeros_like(low), low)


def _places(count: Any) -> Any:
    return nn.arange(Constant(np.array(0)), Constant(np.array(1)), length=count)


def _causal(past: Any, queries: Any, keys: Any, dtype: Any) -> Any:
    """What is added to the scores of keys that come after their query; the first query is at the first key that is not past."""
    own = nn.strided_slice(_places(past + queries), begin=(past,), end=(past + queries,))
    later = nn.greater(_places(keys), nn.reshape(own, shape=(queries, 1)))
    return nn.where(later, np.asarray(np.finfo(dtype).min, dtype), np.zeros((), dtype))


def _attention(n: Node, q: Any, k: Any, v: Any, mask: Any, bias: Any, past: Any) -> Any:
    """softmax(q k' scale + what is added) v, of [B, heads, S, H] and as [B, S, heads * H]; the first `past` keys are."""
    queries, keys = q.type.shape[2], k.type.shape[2]
    more = [_masked(n, mask, keys), bias]
    if n.attrs.get("unidirectional"):
        more.append(_causal(past, queries, keys, q.type.dtype.dtype))
    added = [m for m in more if m is not None]
    found = nn.attention(
        q, k, v, functools.reduce(nn.add, added) if added else None, scale=n.attrs.get("scale") or None
    )
    found = nn.transpose(found, axes=(0, 2, 1, 3))
    return nn.reshape(found, shape=(*found.type.shape[:2], -1))


def _packed(x: Any, count: int) -> list[Any]:
    """The parts of [B, S, heads, count, H], each as [B, S, heads * H]."""
    b, s, heads, _, size = x.type.shape
    parts = (nn.strided_slice(x, begin=(k,), end=(k + 1,), axes=(3,)) for k in range(count))
    return [nn.reshape(p, shape=(b, s, heads * size)) for p in parts]


@adapter("com.microsoft.Attention")
def _(n: Node) -> Any:
    if n.attrs.get("do_rotary") or n.attrs.get("past_present_share_buffer"):
        raise n.wrong("it neither turns its keys nor shares their memory")
    x, weight, bias, heads = n[0], n[1], n.get(2), n.attrs["num_heads"]
    whole = weight.type.static[1]
    sizes = n.ints("qkv_hidden_sizes", default=(whole // 3,) * 3)
    both = nn.matmul(x, weight)
    both = both if bias is None else nn.add(both, bias)
    ends = np.cumsum((0, *sizes)).tolist()
    q, k, v = (_heads(_part(both, a, b), heads) for a, b in itertools.pairwise(ends))
    if (past := n.get(4)) is not None:  # keys and values, [2, B, heads, P, H]
        k, v = (nn.concatenate(nn.take(past, Constant(np.array(i))), new, axis=2) for i, new in enumerate((k, v)))
    y = _attention(n, q, k, v, n.get(3), n.get(5), 0 if past is None else past.type.shape[3])
    if n.outputs == 1:
        return y
    return y, nn.concatenate(*(nn.reshape(a, shape=(1, *a.type.shape)) for a in (k, v)), axis=0)


@adapter("com.microsoft.MultiHeadAttention")
def _(n: Node) -> Any:
    heads, bias = n.attrs["num_heads"], n.get(3)
    query, key, value = n[0], n.get(1), n.get(2)
    if any(n.get(k) is not None for k in (8, 9)):
        raise n.wrong("what is past is as long as it is")
    if key is None and value is None and query.type.ndim == 5:
        parts = _packed(query, 3)
    elif key is not None and value is None and key.type.ndim == 5:
        parts = [query, *_packed(key, 2)]
    elif key is not None and value is not None and query.type.ndim == 3:
        parts = [query, key, value]
    else:
        raise n.wrong("query, key and value are three tensors, or one of five axes, or the last two are")
    if bias is not None:
        width, whole = parts[0].type.static[2], bias.type.static[0]
        ends = (0, width, 2 * width, whole)
        parts = [
            p if p.type.ndim == 4 else nn.add(p, _part(bias, a, b))
            for p, (a, b) in zip(parts, itertools.pairwise(ends), strict=True)
        ]
    q, k, v = (p if p.type.ndim == 4 else _heads(p, heads) for p in parts)
    if n.get(6) is not None:
        k, v = nn.concatenate(n[6], k, axis=2), nn.concatenate(n[7], v, axis=2)
    y = _attention(n, q, k, v, n.get(4), n.get(5), 0 if n.get(6) is None else n[6].type.shape[2])
    return (y, k, v)[: 3 if n.outputs > 1 else 1]


@adapter("com.microsoft.RotaryEmbedding")
def _(n: Node) -> Any:
    x, places, cosines, sines = n[0], n[1], n[2], n[3]
    if n.attrs.get("is_packed_batching"):
        raise n.wrong("batches are not packed")
    turned, flat = 2 * cosines.type.static[1], x.type.ndim == 3
    size = x.type.shape[-1] // n.attrs["num_heads"] if n.attrs.get("rotary_embedding_dim") and flat else turned
    v = nn.reshape(x, shape=(*x.type.shape[:2], -1, size)) if flat else nn.transpose(x, axes=(0, 2, 1, 3))
    if places.type.ndim == 1:  # the first one
        places = nn.add(nn.reshape(_places(v.type.shape[1]), shape=(1, -1)), places)
    c, s = (nn.take(t, places) for t in (cosines, sines))
    c, s = (nn.reshape(t, shape=(*t.type.shape[:2], 1, t.type.shape[2])) for t in (c, s))
    if n.attrs.get("interleaved"):
        a, b = (nn.strided_slice(v, begin=(k,), end=(turned,), axes=(3,), strides=(2,)) for k in (0, 1))
    else:
        a, b = _part(v, 0, turned // 2), _part(v, turned // 2, turned)
    pair = (nn.subtract(nn.multiply(a, c), nn.multiply(b, s)), nn.add(nn.multiply(a, s), nn.multiply(b, c)))
    if n.attrs.get("interleaved"):
        grown = nn.concatenate(*(nn.reshape(p, shape=(*p.type.shape, 1)) for p in pair), axis=4)
        y = nn.reshape(grown, shape=(*v.type.shape[:3], turned))
    else:
        y = nn.concatenate(*pair, axis=3)
    if v.type.shape[3] != turned:
        y = nn.concatenate(y, _part(v, turned, v.type.shape[3]), axis=3)
    return nn.reshape(y, shape=x.type.shape) if flat else nn.transpose(y, axes=(0, 2, 1, 3))
