"""One pipeline to be timed: what it computes, and who computes it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Run = Callable[[], Any]  # computes into an array of its own, and returns it
PEERS = ("halo", "default", "halide", "numba", "opencv", "numpy")


@dataclass(frozen=True)
class Case:
    """`peers` maps names of PEERS to functions that define and compile the pipeline and give its Run; `default` is halo
    without a schedule.

    `expected` gives the reference result in NumPy. Results may differ from it by `tolerance` times its largest value
    (0: not at all). `bytes` and `flops` are the least that a run must move and do.
    """

    name: str
    expected: Callable[[], np.ndarray]
    peers: Mapping[str, Callable[[], Run]]
    bytes: int
    flops: int
    tolerance: float = 0.0

    @functools.cached_property
    def wanted(self) -> np.ndarray:
        return self.expected()

    def check(self, peer: str, got: np.ndarray) -> None:
        """AssertionError where the result of `peer` is wrong."""
        want = self.wanted
        assert (got.dtype, got.shape) == (want.dtype, want.shape), (self.name, peer)
        if not self.tolerance:
            assert np.array_equal(got, want), (self.name, peer)
            return
        error = np.abs(got.astype(np.float64) - want.astype(np.float64)).max()
        assert error <= self.tolerance * np.abs(want.astype(np.float64)).max(), (self.name, peer, error)
