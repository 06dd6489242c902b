"""What models begin with: bands of a spectrum, counts of words."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo import nn

from ..node import Node, adapter, element_type

__all__: list[str] = []


@adapter("MelWeightMatrix")
def _(n: Node) -> Any:
    bands, length, rate, low, high = (nn.reshape(n[k], shape=()) for k in range(5))
    frequencies = n.extent(nn.cast(length, dtype="i64")) // 2 + 1
    dtype = element_type(n.attrs.get("output_datatype", 1))
    return nn.mel_weights(length, rate, low, high, bands=n.extent(nn.cast(bands, dtype="i64")), frequencies=frequencies,
                          dtype=dtype.name)  # fmt: skip


@adapter("TfIdfVectorizer")
def _(n: Node) -> Any:
    if "pool_strings" in n.attrs:
        raise n.wrong("texts are not supported, only integers")
    x, mode = n[0], n.text("mode")
    if mode not in ("TF", "IDF", "TFIDF"):
        raise n.wrong(f"there is no mode {mode!r}; TF, IDF and TFIDF are")
    rows = nn.reshape(x, shape=(1, -1)) if x.type.ndim == 1 else x
    places = n.ints("ngram_indexes")
    if len(set(places)) < len(places) or min(places, default=0) < 0:
        raise n.wrong("two sequences of the pool are counted at one place")
    width = max(places, default=-1) + 1
    given = (n.attrs.get("weights") if mode != "TF" else None) or [1.0] * len(places)
    columns, weights = (
        np.zeros(width, np.int64),
        np.zeros(width, np.float32),
    )  # a column of weight 0 where none is counted
    counts: list[Any] = []
    first = counted = 0  # of the pool's sequences, and of those with a length that is asked for
    for size, grams in _grams(n, x.type.dtype.dtype):
        if n.attrs["min_gram_length"] <= size <= n.attrs["max_gram_length"] and len(grams):
            at = list(places[first : first + len(grams)])
            columns[at] = np.arange(counted, counted + len(grams))
            weights[at] = given[first : first + len(grams)]
            counted += len(grams)
            counts.append(nn.ngram_counts(rows, grams, skips=n.attrs["max_skip_count"] if size > 1 else 0))
        first += len(grams)
    if counts:
        found = nn.take(counts[0] if len(counts) == 1 else nn.concatenate(*counts, axis=1), columns, axis=1)
        found = nn.minimum(found, np.float32(1)) if mode == "IDF" else found
        found = nn.multiply(found, weights)
    else:
        found = nn.broadcast_to(np.zeros((1, width), np.float32), shape=(rows.type.shape[0], width))
    return nn.reshape(found, shape=(width,)) if x.type.ndim == 1 else found


def _grams(n: Node, dtype: Any) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """The pool's sequences of each length."""
    pool, starts = np.array(n.ints("pool_int64s"), np.int64), [*n.ints("ngram_counts")]
    ends = [*starts[1:], len(pool)]
    return [
        (size, pool[a:b].reshape(-1, size).astype(dtype))
        for size, (a, b) in enumerate(zip(starts, ends, strict=True), 1)
    ]
