"""The cache of memoized stages, seen from Python: what is in it, how large it may be, and what is to leave it."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ArgumentError, here
from .runtime import runtime

__all__ = ["MemoizationInfo", "memoization_cache", "memoization_cache_evict", "memoization_cache_set_size"]


@dataclass(frozen=True)
class MemoizationInfo:
    """How often a memoized stage was found and how often it was computed, since the process began; the values kept now,
    the bytes that they take, and how many they may."""

    hits: int
    misses: int
    entries: int
    bytes: int
    limit: int


def memoization_cache() -> MemoizationInfo:
    """What the cache of memoized stages holds.

    >>> import halo, numpy as np
    >>> @halo.func
    ... def squares(x, *, a):
    ...     return a[x] * a[x]
    >>> @halo.func
    ... def neighbours(x):
    ...     return squares[x] + squares[x + 1]
    >>> _ = squares.compute_root().memoize()
    >>> before, a = halo.memoization_cache(), np.arange(5)
    >>> neighbours(a, shape=4), neighbours(a, shape=4)
    (array([ 1,  5, 13, 25]), array([ 1,  5, 13, 25]))
    >>> halo.memoization_cache().hits - before.hits, halo.memoization_cache().misses - before.misses
    (1, 1)
    """
    state = runtime().memo
    return MemoizationInfo(state.hits, state.misses, state.entries, state.bytes, state.limit)


def memoization_cache_set_size(bytes: int) -> None:
    """Let the cache take `bytes` in all (headers of 128 bytes included), and no more from now on: what was used longest
    ago leaves it. 0 keeps nothing. The size that a process begins with is the option `memoize_bytes`. (Halide's
    `memoization_cache_set_size`.)

    Raises ArgumentError for what is no number of bytes.
    """
    size = _integer(bytes, "memoization_cache_set_size")
    if size < 0:
        raise ArgumentError(f"memoization_cache_set_size takes a number of bytes, not {size}", loc=here())
    size = min(size, 2**63 - 1)
    runtime().memo.limit = size
    _until(lambda: runtime().shrink(size))


def memoization_cache_evict(eviction_key: int | None = None) -> None:
    """Forget the values of stages whose `memoize(eviction_key)` is this number now; without one, all values. Kernels
    that are using them have them to the end. (Halide's `memoization_cache_evict`.)

    Raises ArgumentError for what is no integer.
    """
    if eviction_key is None:
        _until(lambda: runtime().shrink(0))
    else:
        key = (_integer(eviction_key, "memoization_cache_evict") + 2**63) % 2**64 - 2**63
        _until(lambda: runtime().evict(key))


def _until(done: Callable[[], int]) -> None:
    """Again, while other threads hold the cache."""
    while not done():
        time.sleep(0.001)


def _integer(value: object, name: str) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]  # what is none raises TypeError
    except TypeError:
        raise ArgumentError(f"{name} takes an integer, not {value!r}", loc=here()) from None
