"""The signature of a kernel as plain data: what is cached beside the machine code, and all that a call needs to know.

A kernel takes 8-byte slots: for each array its pointer, extents and strides (in elements), and for an output also the
coordinate of its first element; then the scalars.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..errors import Location
from ..ir.pipeline import CheckInfo, Lowered
from ..types import Type

__all__ = ["Layout", "Port", "Scalar", "array_slots"]


def array_slots(ndim: int, output: bool) -> int:
    """How many slots an array has."""
    return 1 + ndim * (3 if output else 2)


@dataclass(frozen=True)
class Port:
    """An array of a call: an input, or element `item` of an output. `contiguous`: it promises a dense last axis."""

    name: str
    kind: str
    type: Type
    ndim: int
    contiguous: bool
    item: int

    @property
    def is_output(self) -> bool:
        return self.kind == "output"

    @property
    def slots(self) -> int:
        return array_slots(self.ndim, self.is_output)


@dataclass(frozen=True)
class Scalar:
    name: str
    type: Type


@dataclass(frozen=True)
class Layout:
    """The arrays and scalars of a kernel in the order of their slots, and its checks by their status, from 1."""

    ports: tuple[Port, ...]
    params: tuple[Scalar, ...]
    checks: tuple[CheckInfo, ...]

    @staticmethod
    def of(lowered: Lowered) -> Layout:
        ports = tuple(Port(p.name, p.kind, p.type, p.ndim, p.array.contiguous, p.item) for p in lowered.ports)
        return Layout(ports, tuple(Scalar(p.name, p.var.type) for p in lowered.params), lowered.checks)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The first slot of each port, then that of the first scalar."""
        offsets = [0]
        for p in self.ports:
            offsets.append(offsets[-1] + p.slots)
        return tuple(offsets)

    @property
    def slots(self) -> int:
        return self.offsets[-1] + len(self.params)

    @cached_property
    def inputs(self) -> dict[str, int]:
        """The number of each input's port."""
        return {p.name: k for k, p in enumerate(self.ports) if not p.is_output}

    @cached_property
    def outputs(self) -> tuple[tuple[int, ...], ...]:
        """The ports of each output, one an element of its tuple."""
        groups: list[list[int]] = []
        for k, p in enumerate(self.ports):
            if p.is_output:
                if p.item == 0:
                    groups.append([])
                groups[-1].append(k)
        return tuple(tuple(g) for g in groups)

    def with_locations(self, places: Sequence[Any]) -> Layout:
        """The same with the checks at `places`."""
        checks = tuple(replace(c, loc=place) for c, place in zip(self.checks, places, strict=True))
        return replace(self, checks=checks)

    def locations(self) -> Iterator[Location | None]:
        return (c.loc for c in self.checks)
