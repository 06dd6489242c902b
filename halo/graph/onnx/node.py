"""What an adapter is given of an ONNX node, and the table that adapters are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from halo.errors import ArgumentError

from ..ir import Constant, Expr

__all__ = ["ADAPTERS", "Adapter", "Node", "adapter"]


@dataclass(frozen=True)
class Node:
    """One node: its inputs as expressions (None for one left out), its attributes, and the opset of its domain."""

    op: str
    name: str
    inputs: tuple[Expr | None, ...]
    attrs: Mapping[str, Any]
    opset: int
    outputs: int = 1

    def __getitem__(self, k: int) -> Expr:
        """Input `k`. ArgumentError if it is left out."""
        found = self.get(k)
        if found is None:
            raise self.wrong(f"input {k} is missing")
        return found

    def get(self, k: int) -> Expr | None:
        """Input `k`, None if it is left out."""
        return self.inputs[k] if k < len(self.inputs) else None

    def array(self, k: int) -> np.ndarray[Any, Any] | None:
        """The value of input `k`, which the model must hold; None if it is left out."""
        found = self.get(k)
        if found is None:
            return None
        if not isinstance(found, Constant):
            raise self.wrong(f"input {k} is computed when the model runs, and is taken as a constant only")
        return found.data

    def ints(self, name: str, k: int | None = None, default: Any = None) -> tuple[int, ...] | Any:
        """Integers: the attribute `name`, or input `k` where newer opsets have them there."""
        if name in self.attrs:
            return tuple(int(v) for v in self.attrs[name])
        found = None if k is None else self.array(k)
        return default if found is None else tuple(int(v) for v in found.reshape(-1))

    def wrong(self, why: str) -> ArgumentError:
        return ArgumentError(f"the {self.op} node {self.name or '(without a name)'}: {why}")


Adapter = Callable[[Node], "Expr | tuple[Expr, ...]"]
ADAPTERS: dict[str, list[tuple[int, Adapter]]] = {}
"""By operator: what it means since which opset, the oldest first."""


def adapter(op: str, since: int = 1) -> Callable[[Adapter], Adapter]:
    """Enter an adapter of ONNX's operator `op` into the table: what it means since opset `since`."""

    def enter(f: Adapter) -> Adapter:
        versions = ADAPTERS.setdefault(op, [])
        versions.append((since, f))
        versions.sort(key=lambda version: version[0])
        return f

    return enter


def adapter_of(op: str, opset: int) -> Adapter | None:
    """What `op` means in `opset`, None if there is no adapter."""
    return next((f for since, f in reversed(ADAPTERS.get(op, [])) if since <= opset), None)
