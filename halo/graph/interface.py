"""What a compiled program takes and gives: arrays by position or by name, checked against the types of the program."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.ir.shapes import values_of, within
from halo.jit import results
from halo.jit.arrays import is_addressable
from halo.jit.binding import Binder
from halo.jit.layout import Layout, Port
from halo.nn import TensorType
from halo.nn.tensor import array_of

from .ir import Tuple
from .module import Module
from .symbolic import evaluated

__all__ = ["Interface", "is_packed"]


class Interface:
    """The types of the inputs and outputs of a program, by name; `several`: whether a call gives a tuple."""

    def __init__(self, inputs: Mapping[str, TensorType], outputs: Mapping[str, TensorType]) -> None:
        self.inputs, self.outputs, self.several = dict(inputs), dict(outputs), len(outputs) != 1
        self._taken, self._given = self.inputs, self.outputs  # where those are for people
        self._module: Callable[[], Module | None] = lambda: None
        self._shapes: Mapping[str, Any] | None = None
        self._tapped: dict[tuple[str, ...], Any] = {}

    @property
    def binder(self) -> Binder | None:
        """What the machine code that takes calls knows of them; None where a name has two meanings in a call."""
        if {"out", "taps"} & set(self.inputs):
            return None
        types = (("input", self.inputs), ("output", self.outputs))
        ports = tuple(Port(n, kind, t.dtype, t.ndim, False, 0) for kind, of in types for n, t in of.items())
        return Binder("net", Layout(ports, (), ()), tuple(self.inputs), {}, {}, (), self.several)

    def remember(self, module: Module, shapes: Mapping[str, Any] | None) -> None:
        """What this was compiled from, as long as somebody else keeps it: taps are found in it."""
        self._module, self._shapes = weakref.ref(module), shapes

    def tapped(self, args: tuple[Any, ...], out: Any, taps: tuple[str, ...], inputs: Mapping[str, Any]) -> Any:
        """The result of a call, and the values inside that `taps` names. The program with these as further outputs is compiled
        once."""
        if out is not None:
            raise ArgumentError("a call with taps gives new arrays, and takes no out", loc=here())
        if taps not in self._tapped:
            module = self._module()
            if module is None:
                raise ArgumentError("the program of this net is gone, and with it what taps name", loc=here(),
                                    hint="keep the Module that it was compiled from")  # fmt: skip
            body = Tuple((*module.main.outputs, *(module.value(name) for name in taps)))
            self._tapped[taps] = module.with_main(replace(module.main, body=body)).compile(shapes=self._shapes)
        found = self._tapped[taps](*args, **inputs)
        found = found if isinstance(found, tuple) else (found,)
        own, rest = found[: len(self.outputs)], found[len(self.outputs) :]
        return tuple(own) if self.several else own[0], dict(zip(taps, rest, strict=True))

    def arrays(
        self, args: tuple[Any, ...], inputs: dict[str, Any]
    ) -> tuple[list[np.ndarray[Any, Any]], dict[str, int]]:
        """The arrays of a call, packed, and the symbolic extents by name."""
        if len(args) > len(self.inputs):
            raise ArgumentError(
                f"the net takes {len(self.inputs)} arrays, not {len(args)}", loc=here(), legal=tuple(self.inputs)
            )
        given = dict(zip(self.inputs, args, strict=False))
        for name, value in inputs.items():
            if name not in self.inputs or name in given:
                what = "is given twice" if name in given else "is no input of the net"
                raise ArgumentError(f"{name} {what}", loc=here(), legal=tuple(self.inputs))
            given[name] = value
        found = []
        for name in self.inputs:
            if name not in given:
                raise ArgumentError(f"the net is called without {name}", loc=here(), hint=f"net({name}=...)")
            found.append(array_of(given[name], name))
        types = self._taken.values()
        ranked = all(a.ndim == t.ndim for a, t in zip(found, types, strict=True))  # or else Dims are missing
        dims: dict[str, int] = values_of((t.shape for t in types), [a.shape for a in found]) if ranked else {}
        for a, (name, t) in zip(found, self._taken.items(), strict=True):
            fits = a.shape == evaluated(t.shape, dims) and within(t.shape, a.shape) if ranked else a.ndim == t.ndim
            if a.dtype != t.dtype.dtype or not fits:
                known = ", ".join(f"{n} = {v}" for n, v in dims.items() if v >= 0)
                known = f" with {known}" if known else ""
                raise ArgumentError(f"{name} is an array of {t}{known}, not of {a.dtype}{list(a.shape)}", loc=here())
        return [a if is_packed(a) else a.copy() for a in found], dims

    def given(self, out: Any) -> list[Any]:
        """What `out` of a call has for each output. Raises ArgumentError where that is not one each."""
        found = list(out) if self.several else [out]
        if len(found) != len(self.outputs):
            many = len(self.outputs)
            raise ArgumentError(f"out is {many} arrays, not {len(found)}", loc=here(), legal=tuple(self.outputs))
        return found

    def outs(self, out: Any, dims: Mapping[str, int]) -> list[np.ndarray[Any, Any]]:
        """The arrays that a call gives: new ones, or those on the memory of what `out` has. Raises ArgumentError where these do
        not fit."""
        shapes = [evaluated(t.shape, dims) for t in self._given.values()]
        if out is None:
            if any(n < 0 for shape in shapes for n in shape):
                raise ArgumentError(f"the result has no shape {shapes}", loc=here())
            try:
                return [
                    results.empty(shape, t.dtype.dtype) for shape, t in zip(shapes, self.outputs.values(), strict=True)
                ]
            except (MemoryError, ValueError) as error:
                raise ArgumentError(f"the results of {shapes} do not fit into memory", loc=here()) from error
        return self.written(out, shapes)

    def written(self, out: Any, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray[Any, Any]]:
        """The arrays on the memory of what `out` has. Raises ArgumentError where these are not of the outputs' types
        and of these shapes."""
        found = []
        for value, shape, (name, t) in zip(self.given(out), shapes, self.outputs.items(), strict=True):
            a = array_of(value, f"out for {name}", shared=True)
            if a.dtype != t.dtype.dtype or a.shape != shape:
                raise ArgumentError(f"out for {name} is an array of {TensorType(shape, t.dtype)}, not of {a.dtype}{list(a.shape)}",
                                    loc=here())  # fmt: skip
            if not a.flags.writeable:
                raise ArgumentError(f"out for {name} is read-only", loc=here(), hint="out=out.copy()")
            found.append(a)
        return found


def is_packed(a: np.ndarray[Any, Any]) -> bool:
    """Whether machine code takes it as it is."""
    return a.flags.c_contiguous and is_addressable(a)
