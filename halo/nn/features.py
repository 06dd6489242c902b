"""Features that models begin with: bands of a spectrum, and how often words follow each other."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo
from halo import Func
from halo.errors import ArgumentError, here
from halo.types import as_type, f32, f64

from .op import Kind, op
from .shapes import indices, takes
from .tensor import Tensor, TensorType

__all__ = ["mel_weights", "ngram_counts"]


def _mel_weights(
    length: Any, rate: Any, low: Any, high: Any, *, bands: int, frequencies: int, dtype: str = "f32"
) -> Any:
    lowest, highest = (2595 * np.log10(1 + np.float64(v) / 700) for v in (low, high))
    mels = lowest + np.arange(bands + 2) * ((highest - lowest) / (bands + 2))
    ends = np.floor((int(length) + 1) * (700 * (10 ** (mels / 2595) - 1)) / int(rate))
    out = np.zeros((frequencies, bands))
    for k, b in np.ndindex(frequencies, bands):
        start, middle, end = ends[b : b + 3]
        if start <= k <= middle:
            out[k, b] = 1 if start == middle else (k - start) / (middle - start)
        if middle <= k < end:
            out[k, b] = (end - k) / (end - middle)
    return out.astype(as_type(dtype).dtype)


@op(Kind.OPAQUE, reference=_mel_weights)
def mel_weights(length: TensorType, rate: TensorType, low: TensorType, high: TensorType, *, bands: int, frequencies: int,
                dtype: str = "f32") -> TensorType:  # fmt: skip
    """What each frequency of a Fourier transform counts in each band of the mel scale, [frequencies, bands]: triangles that
    overlap, from `low` to `high` Hz. ONNX MelWeightMatrix. `length`: of the transform; `rate`: samples a second, an integer;
    all four are one value each. `frequencies`: length // 2 + 1.

    >>> from halo import nn
    >>> nn.mel_weights(np.int64(8), np.int64(4096), np.float32(0), np.float32(4096), bands=2, frequencies=5)
    array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ],
           [0. , 0.5],
           [0. , 0. ]], dtype=float32)
    """
    takes("mel_weights", "int", length, rate)
    takes("mel_weights", "number", low, high)
    if any(t.shape for t in (length, rate, low, high)):
        raise ArgumentError("mel_weights takes one length, one rate and two frequencies", loc=here())
    if any(isinstance(n, int) and n < 0 for n in (bands, frequencies)):
        raise ArgumentError(f"there are no {bands} bands of {frequencies} frequencies", loc=here())
    takes("mel_weights", "number", TensorType((), as_type(dtype)))
    return TensorType((frequencies, bands), as_type(dtype))


@mel_weights.strategy("direct")
def _(length: Tensor, rate: Tensor, low: Tensor, high: Tensor, *, bands: int, frequencies: int, dtype: str) -> Tensor:
    lowest, highest = (2595 / np.log(10) * halo.log(1 + v.func[()].astype(f64) / 700) for v in (low, high))
    ends, f, (k, b) = Func("ends"), Func("mel_weights"), indices(2)
    mel = lowest + b.astype(f64) * ((highest - lowest) / (f64(bands) + 2))
    hertz = 700 * (halo.exp(mel * (np.log(10) / 2595)) - 1)
    ends[b] = halo.floor((length.func[()].astype(f64) + 1) * hertz / rate.func[()].astype(f64))
    start, middle, end, at = ends[b], ends[b + 1], ends[b + 2], k.astype(f64)
    up = halo.select(start == middle, f64(1), (at - start) / (middle - start))
    f[k, b] = halo.select(
        (at >= middle) & (at < end), (end - at) / (end - middle), (at >= start) & (at <= middle), up, f64(0)
    ).astype(as_type(dtype))
    ends.compute_root()
    return Tensor(f, (frequencies, bands), as_type(dtype))


def _ngram_counts(x: Any, grams: Any, *, skips: int = 0) -> Any:
    size, many = grams.shape[1], x.shape[1]
    out = np.zeros((len(x), len(grams)), np.float32)
    for b, g, skip, first in np.ndindex(*out.shape, skips + 1, many):
        taken = x[b, first :: skip + 1][:size]
        out[b, g] += len(taken) == size and bool((taken == grams[g]).all())
    return out


@op(Kind.OPAQUE, reference=_ngram_counts)
def ngram_counts(x: TensorType, grams: TensorType, *, skips: int = 0) -> TensorType:
    """How often each of `grams`, [G, S], comes in the rows of `x`, [N, T]: S entries in a row, or with up to `skips` between
    one and the next, as many each time. The result: f32, [N, G]. What ONNX TfIdfVectorizer counts.

    >>> from halo import nn
    >>> nn.ngram_counts(np.array([[1, 2, 1, 2]]), np.array([[1, 2], [2, 2]]), skips=1)
    array([[2., 1.]], dtype=float32)
    """
    takes("ngram_counts", "int", x, grams)
    if x.ndim != 2 or grams.ndim != 2 or x.dtype is not grams.dtype or not isinstance(grams.shape[1], int):
        raise ArgumentError(f"{grams} are no sequences of what {x} has", loc=here())
    if grams.shape[1] < 1 or skips < 0:
        raise ArgumentError(f"there are no sequences of {grams.shape[1]} entries with {skips} between", loc=here())
    return TensorType((x.shape[0], grams.shape[0]), f32)


@ngram_counts.strategy("direct")
def _(x: Tensor, grams: Tensor, *, skips: int) -> Tensor:
    many, size = x.shape[1], int(grams.shape[1])
    f, (b, g) = Func("ngram_counts"), indices(2)
    if many == 0:
        f[b, g] = f32(0)
        return Tensor(f, (x.shape[0], grams.shape[0]), f32)
    r = halo.rdom(many, skips + 1, names=["first", "skip"])
    within = r.first + (size - 1) * (r.skip + 1) < many
    same = [x.func[b, halo.clamp(r.first + k * (r.skip + 1), 0, many - 1)] == grams.func[g, k] for k in range(size)]
    f[b, g] = halo.sum(halo.select(halo.all(within, *same), f32(1), f32(0)), r)
    return Tensor(f, (x.shape[0], grams.shape[0]), f32)
