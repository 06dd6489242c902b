"""Plans: what a program is beside its kernels and its constants, as plain data. A file keeps it as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from halo.jit.driver import Instruction
from halo.jit.extents import Extents
from halo.jit.ports import Shapes
from halo.nn import TensorType

__all__ = ["Place", "Plan"]


@dataclass(frozen=True)
class Place:
    """A call of the kernel `name`: the node of the program that it comes from, and all that fused into it; the `extents` that
    the function of the kernel calls otherwise than the program."""

    name: str
    source: str
    sources: tuple[str, ...]
    extents: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Plan:
    """How kernels become a function: the arrays that it takes and gives, by name, and the `code` that drives `program`.

    `slots` is a frame before a call; `constants` says which of its slots have the address of which constant, and `inside`
    which are so many bytes from the start of the arena. `extents`: what a call decides, if it decides anything. `places`
    are the calls of kernels, as they are written down.
    """

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    program: tuple[Instruction, ...]
    code: bytes
    slots: np.ndarray[Any, Any]
    constants: tuple[tuple[int, str], ...]
    inside: tuple[tuple[int, int], ...]
    arena: int
    extents: Extents | None
    places: tuple[Place, ...]

    @property
    def shapes(self) -> Shapes:
        """Those of the arrays that it takes and gives."""
        dims = () if self.extents is None else self.extents.dims
        taken, given = (tuple(t.shape for t in types.values()) for types in (self.inputs, self.outputs))
        return Shapes(taken, given, dims)
