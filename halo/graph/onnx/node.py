"""What an adapter is given of an ONNX node, and the table that adapters are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halo import nn
from halo.errors import ArgumentError, UnknownValueError, here
from halo.ir.shapes import dim_max
from halo.types import Type, as_type

from ..ir import Expr
from ..passes.fold_constants import value_of
from ..shape_arithmetic import entries, values

__all__ = ["ADAPTERS", "Adapter", "Node", "adapter", "adapter_of", "element_type"]


@dataclass(frozen=True)
class Node:
    """One node: its inputs as expressions (None for one left out), its attributes, and the opset of its domain."""

    op: str
    name: str
    inputs: tuple[Expr | None, ...]
    attrs: Mapping[str, Any]
    opset: int
    outputs: int = 1
    given: Mapping[str, Any] = field(default_factory=dict)  # what is known of the inputs of the model, by name
    let: Callable[[Expr], Any] | None = None  # an extent that an i64[] gives when the program runs
    rank: int | None = None  # how many axes the first output has at the most, where the model says so
    block: int = 16  # channels in ONNX Runtime's own layout

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
        """The value of input `k`, which the model must hold, or what it holds must decide; None if it is left out."""
        found = self.get(k)
        if found is None:
            return None
        return self.value(found, f"input {k}")

    def value(self, e: Expr, what: str = "what its shape depends on") -> np.ndarray[Any, Any]:
        """The value of an expression over what the model holds, and what is known of its inputs."""
        value = value_of(e, self.given)
        if value is None and (known := values(e)) is not None and all(isinstance(v, int) for v in known.reshape(-1)):
            return np.asarray(known, e.type.dtype.dtype)
        if value is None:
            why = f"{what} is computed when the model runs, and is taken as a constant only"
            raise self.wrong(why, UnknownValueError)
        return value

    def scalar(self, k: int, default: Any = None) -> Any:
        """The one value of input `k`, as `array` finds it."""
        found = self.array(k)
        if found is not None and found.size != 1:
            raise self.wrong(f"input {k} is one value, not {found.shape}")
        return default if found is None else found.item()

    def text(self, name: str, default: str = "") -> str:
        """The attribute `name`, a text."""
        found = self.attrs.get(name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    def is_known(self, k: int) -> bool:
        """Whether the model, shapes or what is given decides input `k`."""
        return _is_known(self[k], self.given)

    def extent(self, e: Expr) -> Any:
        """The one integer of `e` as an extent, 0 if it is less: an integer where the model decides it, arithmetic over
        symbolic axes where shapes do, else one that a Let gives when the program runs."""
        known = values(e)
        if known is None:
            known = value_of(nn.cast(e, dtype="i64"), self.given)
        if known is not None:
            return dim_max(known.astype(object).item(), 0)
        assert self.let is not None
        return self.let(nn.reshape(nn.cast(e, dtype="i64"), shape=()))

    def each(self, k: int) -> list[Any]:
        """The integers of input `k`, a vector: those that are known, and an i64[] for each that is computed."""
        e = self[k]
        known = self.entries(k) if self.is_known(k) else entries(e)
        if known is None or known.ndim != 1:
            raise self.wrong(f"input {k} is a vector of integers, not {e.type}")
        one = [nn.reshape(nn.strided_slice(e, begin=(j,), end=(j + 1,)), shape=()) for j in range(len(known))]
        return [nn.cast(x, dtype="i64") if v is None else v for v, x in zip(known, one, strict=True)]

    def extents(self, k: int) -> tuple[Any, ...]:
        """The integers of input `k`, a vector, as `extent` finds each."""
        return tuple(self.extent(v) if isinstance(v, Expr) else v for v in self.each(k))

    def entries(self, k: int) -> np.ndarray[Any, Any] | None:
        """The integers of input `k`, or extents where shapes decide them; None if it is left out."""
        found = self.get(k)
        known = None if found is None else values(found)
        if found is None or known is not None:
            return known
        if found.type.dtype.is_float:
            raise self.wrong(f"input {k} is integers, not {found.type}")
        return self.value(found, f"input {k}").astype(object)

    def ints(self, name: str, k: int | None = None, default: Any = None) -> tuple[Any, ...] | Any:
        """Integers: the attribute `name`, or input `k` where newer opsets have them there; extents where shapes decide."""
        if name in self.attrs:
            return tuple(int(v) for v in self.attrs[name])
        found = None if k is None else self.entries(k)
        return default if found is None else tuple(found.reshape(-1))

    def wrong(self, why: str, kind: type[ArgumentError] = ArgumentError) -> ArgumentError:
        return kind(f"the {self.op} node {self.name or '(without a name)'}: {why}")


def _is_known(e: Expr, given: Mapping[str, Any]) -> bool:
    return values(e) is not None or value_of(e, given) is not None


def element_type(number: int) -> Type:
    """The type that ONNX numbers so. Raises ArgumentError for what is none, and for one that is not of the language."""
    from onnx import helper

    try:
        return as_type(helper.tensor_dtype_to_np_dtype(number))
    except KeyError:
        raise ArgumentError(f"ONNX has no type {number}", loc=here()) from None


Adapter = Callable[[Node], "Expr | tuple[Expr, ...]"]
ADAPTERS: dict[str, list[tuple[int, Adapter]]] = {}
"""By operator: what it means since which opset, the oldest first."""


def adapter(op: str, since: int = 1) -> Callable[[Adapter], Adapter]:
    """Enter an adapter of ONNX's operator `op` into the table: what it means since opset `since`. One of another domain is
    called by both names, as "com.example.Square"; what was entered for the same opset before is replaced."""

    def enter(f: Adapter) -> Adapter:
        others = [version for version in ADAPTERS.get(op, []) if version[0] != since]
        ADAPTERS[op] = sorted([*others, (since, f)], key=lambda version: version[0])
        return f

    return enter


def adapter_of(op: str, opset: int) -> Adapter | None:
    """What `op` means in `opset`, None if there is no adapter."""
    return next((f for since, f in reversed(ADAPTERS.get(op, [])) if since <= opset), None)
