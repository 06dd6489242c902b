"""One pipeline to be timed: what it computes, and who computes it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import halo

Run = Callable[[], np.ndarray]  # computes, and returns the result
PEERS = ("default", "halide", "numba", "opencv", "numpy", "onnxruntime")  # `default` is halo without a schedule
COMPILERS = ("halo", "default", "halide", "numba")


@dataclass(frozen=True)
class Case:
    """`func` defines the pipeline and `schedule` schedules it; `peers` maps names of PEERS to functions that define and
    compile the same, and give what takes the arrays of `inputs` and one to fill, in this order.

    `reference` computes the result in NumPy, from f64 where `wide` is set. Results may differ from it by `tolerance`
    times its largest value (0: not at all), or by what `differs` says of a peer whose function is not quite the same.
    `bytes` and `flops` are the least that a run must move and do; `computes` says what most of the flops are: a key of
    `halo.show.peaks.KINDS`.
    """

    name: str
    inputs: Mapping[str, np.ndarray]
    shape: tuple[int, ...]
    dtype: Any
    func: Callable[[], halo.Func]
    schedule: Callable[[halo.Func], object]
    reference: Callable[..., np.ndarray]
    bytes: int
    flops: int = 0
    channels: int = 1  # results to a pixel
    peers: Mapping[str, Callable[[], Callable[..., object]]] = field(default_factory=dict)
    wide: bool = False
    tolerance: float = 0.0
    differs: Mapping[str, float] = field(default_factory=dict)
    computes: str = "f32"

    def run(self, peer: str) -> Run | None:
        """Define and compile for `peer` ("halo" or one of PEERS); None where it has no such function."""
        arrays = tuple(self.inputs.values())
        if peer in ("halo", "default"):
            f = self.func()
            if peer == "halo":
                self.schedule(f)
            kernel, out = f.compile(**self.inputs), self.out
            mine = [self.inputs[name] for name in f.inputs]
            return lambda: kernel(*mine, out=out)
        if peer in self.peers:
            return filling(self.peers[peer](), *arrays, out=self.out)
        return (lambda: self.reference(*arrays)) if peer == "numpy" else None

    @property
    def pixels(self) -> int:
        return math.prod(self.shape) // self.channels

    @functools.cached_property
    def out(self) -> np.ndarray:
        """What all peers fill: were it one each, whose lies in huge pages would be luck. Touched: its pages are there."""
        return np.ones(self.shape, self.dtype)

    @functools.cached_property
    def wanted(self) -> np.ndarray:
        return self.reference(*(a.astype(np.float64) if self.wide else a for a in self.inputs.values())).astype(
            self.dtype
        )

    def check(self, peer: str, got: np.ndarray) -> None:
        """AssertionError where the result of `peer` is wrong."""
        want = self.wanted
        assert got.shape == want.shape, (self.name, peer, got.shape)
        if not self.tolerance and peer not in self.differs:
            assert np.array_equal(got, want), (self.name, peer)
            return
        error = np.abs(got.astype(np.float64) - want.astype(np.float64)).max()
        most = self.differs.get(peer, self.tolerance * np.abs(want.astype(np.float64)).max())
        assert error <= most, (self.name, peer, error)


def filling(kernel: Callable[..., object], *arrays: np.ndarray, out: np.ndarray) -> Run:
    """What calls `kernel` with `arrays` and `out`, and returns `out`."""

    def run() -> np.ndarray:
        kernel(*arrays, out)
        return out

    return run
