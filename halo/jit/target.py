"""What machine code is made for: a value, so that it can key caches and print in errors."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ..errors import ArgumentError
from ..types import Type

__all__ = ["REFERENCE", "Target", "as_target"]

REFERENCE = ("python", "numba")  # targets that run the lowered nest as Python source


@dataclass(frozen=True)
class Target:
    """A CPU to compile for. `features` is LLVM's list of names with + or - before each, sorted.

    >>> Target("x86_64-unknown-linux-gnu", "haswell", "+avx2,+fma").vector_bits
    256
    """

    triple: str
    cpu: str = ""
    features: str = ""

    @staticmethod
    def host() -> Target:
        """The machine this process runs on."""
        return _host()

    def has(self, feature: str) -> bool:
        """Whether it has a feature, by LLVM's name: `has("avx2")`."""
        return f"+{feature}" in self._names

    @functools.cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.features.split(","))

    @property
    def arch(self) -> str:
        """The first part of the triple: x86_64, aarch64, ..."""
        return self.triple.split("-", 1)[0]

    @property
    def is_x86(self) -> bool:
        """Whether it is a processor of the x86 family."""
        return self.arch in ("x86_64", "i386", "i686")

    @functools.cached_property
    def vector_bits(self) -> int:
        """The width of the vector registers that code should use."""
        if self.has("avx512f") and self.has("avx512bw") and self.has("avx512vl"):
            return 512
        return 256 if self.has("avx2") else 128

    @property
    def has_fma(self) -> bool:
        """Whether a multiply-add that rounds once is an instruction."""
        return self.has("fma") or not self.is_x86

    @property
    def has_f16(self) -> bool:
        """Whether f16 converts to and from f32 by an instruction."""
        return self.has("f16c") or self.has("avx512f") or self.arch in ("aarch64", "arm64")

    @property
    def streams(self) -> bool:
        """Whether vectors are stored past the caches by an instruction."""
        return self.arch in ("x86_64", "aarch64", "arm64")

    def masks(self, bytes: int) -> bool:
        """Whether vectors of elements of that size are loaded and stored under a mask by an instruction."""
        if bytes < 4:
            return self.has("avx512bw") and self.has("avx512vl")
        return self.has("avx2") or self.has("avx512f")

    def gathers(self, bytes: int) -> bool:
        """Whether vectors of elements of that size are gathered by an instruction."""
        return bytes >= 4 and (self.has("avx2") or self.has("avx512f"))

    def scatters(self, bytes: int) -> bool:
        """Whether vectors of elements of that size are scattered by an instruction."""
        return bytes >= 4 and self.has("avx512f")

    def natural_lanes(self, type: Type) -> int:
        """How many values of `type` fill a vector register.

        >>> import halo
        >>> Target("x86_64-unknown-linux-gnu", "haswell", "+avx2").natural_lanes(halo.u16)
        16
        """
        return max(self.vector_bits // (8 * type.bytes), 1)


@functools.cache
def _host() -> Target:
    from . import llvm

    return Target(*llvm.host())


def as_target(target: Target | str | None) -> Target | str:
    """`target` as a `Target`, or one of the names of the reference backends; None is the host.

    Raises ArgumentError for any other name.
    """
    if target is None or (isinstance(target, str) and target == "host"):
        return Target.host()
    if isinstance(target, Target) or (isinstance(target, str) and target in REFERENCE):
        return target
    raise ArgumentError(f"{target!r} is not a target", legal=("host", *REFERENCE), hint='target="python"')
