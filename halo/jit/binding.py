"""From the arguments of a call to the arrays and numbers that a kernel runs on. Nothing is written before all is checked."""

from __future__ import annotations

import difflib
import numbers
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArgumentError, here
from ..types import Type
from . import arrays, results
from .arrays import Array
from .layout import Layout, Port

__all__ = ["Binder", "Bound", "Place"]

Place = tuple[str, int]  # an input's name and axis
_AXIS = 2**31 - 1


@dataclass
class Bound:
    """A call, checked: one array a port, one origin an output port, the scalars; `copies` are (out, scratch) pairs."""

    arrays: list[Array]
    origins: dict[int, tuple[int, ...]]
    params: list[Any]
    result: Any = None
    copies: list[tuple[Array, Array]] = field(default_factory=list)
    empty: bool = False

    def finish(self) -> Any:
        """Copy what was computed in scratch to where it was asked for; the call's result."""
        for out, scratch in self.copies:
            out[...] = scratch
        return self.result


@dataclass(frozen=True)
class Binder:
    """What a kernel knows of its calls.

    `order` names the arguments in their positional order, `defaults` the scalars that may be left out, `constants` the
    arrays and numbers that are not arguments. `regions` gives for every output the input axis whose extent each of its
    axes has, `several` says that the result has one entry an output, `reads_out` which outputs are read and so must be
    given (`halo.undef`).
    """

    name: str
    layout: Layout
    order: tuple[str, ...]
    defaults: Mapping[str, Any]
    constants: Mapping[str, Any]
    regions: tuple[tuple[Place | None, ...], ...]
    several: bool = False
    reads_out: frozenset[int] = frozenset()

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any, shape: Any, origin: Any) -> Bound:
        """The checked call. Raises ArgumentError for what does not fit, naming both sides."""
        values, outs = self._named(args, kwargs)
        flat: list[Any] = [None] * len(self.layout.ports)
        for name, k in self.layout.inputs.items():
            flat[k] = self._input(self.layout.ports[k], values[name])
        params = [_scalar(p.name, p.type, values[p.name]) for p in self.layout.params]
        bound = Bound(flat, {}, params)
        given = self._outs(out, outs)
        shapes, origins = self._entries("shape", shape), self._entries("origin", origin)
        results = []
        for k, group in enumerate(self.layout.outputs):
            arrays_k = self._output(bound, k, group, [given[j] for j in group], shapes[k])
            bound.origins.update(dict.fromkeys(group, self._origin(group, origins[k])))
            results.append(arrays_k if len(group) > 1 else arrays_k[0])
        bound.result = tuple(results) if self.several else results[0]
        bound.empty = all(flat[j].size == 0 for g in self.layout.outputs for j in g)
        return bound

    # Names

    def _named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Any, ...]]:
        """The value of every argument, and the outputs given by position after them."""
        count = sum(map(len, self.layout.outputs))
        if len(args) > len(self.order) + count:
            most = f"{len(self.order)} arguments and {count} outputs"
            raise ArgumentError(f"{self.name} takes at most {most}, not {len(args)}", loc=here(), legal=self.order)
        values = dict(zip(self.order, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.order:
                near = difflib.get_close_matches(name, self.order, 1)
                hint = f"{near[0]}=..." if near else ""
                raise ArgumentError(f"{self.name} has no input {name!r}", loc=here(), legal=self.order, hint=hint)
            if name in values:
                raise ArgumentError(f"{self.name} is given {name!r} twice", loc=here())
            values[name] = value
        values = {**self.defaults, **values, **self.constants}
        missing = [name for name in self.order if name not in values]
        if missing:
            hint = ", ".join(f"{name}=..." for name in missing)
            raise ArgumentError(f"{self.name} is called without {', '.join(missing)}", loc=here(), hint=hint)
        return values, args[len(self.order) :]

    # Inputs

    def _input(self, port: Port, value: Any) -> Array:
        a = arrays.as_array(value, port.name)
        _check_kind(a, port.name, port.type, port.ndim)
        if any(n > _AXIS for n in a.shape):
            raise ArgumentError(f"{port.name} has an axis longer than 2**31 - 1", loc=here())
        if not arrays.is_addressable(a):
            a = np.ascontiguousarray(a, a.dtype.newbyteorder("=")).copy() if a.ndim else a.astype(port.type.dtype)
        if port.contiguous and a.size and arrays.element_strides(a)[-1] != 1:
            hint = f"{port.name}=numpy.ascontiguousarray({port.name})"
            raise ArgumentError(f"{port.name} is promised to be contiguous along its last axis", loc=here(), hint=hint)
        return a

    # Outputs

    def _outs(self, out: Any, positional: tuple[Any, ...]) -> dict[int, Any]:
        """What the caller gave for each output port: an array or None."""
        ports = [j for group in self.layout.outputs for j in group]
        if positional:
            if out is not None:
                raise ArgumentError(f"{self.name} is given outputs by position and as out=", loc=here())
            return dict(zip(ports, (*positional, *(None for _ in ports[len(positional) :])), strict=True))
        given: dict[int, Any] = {}
        for group, entry in zip(self.layout.outputs, self._entries("out", out), strict=True):
            items = (entry,) if len(group) == 1 else (None,) * len(group) if entry is None else entry
            if not isinstance(items, (tuple, list)) or len(items) != len(group):
                raise ArgumentError(f"{self.name} gives {len(group)} arrays, so out is a tuple of as many", loc=here())
            given.update(zip(group, items, strict=True))
        return given

    def _entries(self, what: str, value: Any) -> Sequence[Any]:
        """`value`, which a caller gives for all outputs, as one entry an output."""
        count = len(self.layout.outputs)
        if value is None:
            return (None,) * count
        if not self.several:
            return (value,)
        if not isinstance(value, (tuple, list)) or len(value) != count:
            raise ArgumentError(f"{self.name} has {count} outputs, so {what} has an entry for each", loc=here())
        return value

    def _output(self, bound: Bound, k: int, group: tuple[int, ...], given: list[Any], shape: Any) -> tuple[Any, ...]:
        """Put the memory to compute output `k` in into `bound`; the arrays that the call gives back."""
        ports = [self.layout.ports[j] for j in group]
        views = [None if g is None else self._out_view(p, g) for p, g in zip(ports, given, strict=True)]
        extents = self._shape(k, ports[0], views, shape, bound)
        results = []
        for j, port, view, own in zip(group, ports, views, given, strict=True):
            if view is None:
                if k in self.reads_out:
                    raise ArgumentError(f"{self.name} reads what it leaves undefined, so it needs out=", loc=here())
                bound.arrays[j] = own = _empty(extents, port)
            elif self._usable(bound, view):
                bound.arrays[j] = view
            else:
                bound.arrays[j] = _empty(extents, port)
                if k in self.reads_out:
                    bound.arrays[j][...] = view
                bound.copies.append((view, bound.arrays[j]))
            results.append(own)
        return tuple(results)

    def _out_view(self, port: Port, value: Any) -> Array:
        a = arrays.as_array(value, "out", shared=True)
        _check_kind(a, "out", port.type, port.ndim)
        if not a.flags.writeable:
            raise ArgumentError("out is read-only", loc=here(), hint="out=out.copy()")
        return a

    def _usable(self, bound: Bound, out: Array) -> bool:
        """Whether machine code may write `out` while it reads the inputs."""
        for k, other in enumerate(bound.arrays):
            if other is not None and self.layout.ports[k].is_output and arrays.overlap(out, other):
                raise ArgumentError("two outputs share memory", loc=here())
        if any(arrays.overlap(out, view) for view, _ in bound.copies):
            raise ArgumentError("two outputs share memory", loc=here())
        inputs = (bound.arrays[k] for k in self.layout.inputs.values())
        return (
            arrays.is_addressable(out)
            and not arrays.overlaps_itself(out)
            and not any(arrays.overlap(out, a) for a in inputs)
        )

    def _shape(self, k: int, port: Port, outs: list[Array | None], shape: Any, bound: Bound) -> tuple[int, ...]:
        """The extents of output `k`: those of `out`, else `shape`, else those of the inputs that its axes run over."""
        found = next((a.shape for a in outs if a is not None), None)
        if found is not None and any(a is not None and a.shape != found for a in outs):
            raise ArgumentError(f"the arrays of {port.name} have one shape", loc=here())
        if shape is not None:
            asked = _integers("shape", shape, port, 0)
            if found is not None and found != asked:
                raise ArgumentError(f"out is of shape {found}, and shape= says {asked}", loc=here())
            return asked
        if found is not None:
            return tuple(found)
        extents = []
        for d, place in enumerate(self.regions[k]):
            if place is None:
                raise ArgumentError(f"nothing says how long axis {d} of {port.name} is", loc=here(), hint="shape=(...)")
            extents.append(bound.arrays[self.layout.inputs[place[0]]].shape[place[1]])
        return tuple(extents)

    def _origin(self, group: tuple[int, ...], origin: Any) -> tuple[int, ...]:
        port = self.layout.ports[group[0]]
        return (0,) * port.ndim if origin is None else _integers("origin", origin, port, -_AXIS - 1)


def _empty(extents: tuple[int, ...], port: Port) -> Array:
    try:
        return results.empty(extents, port.type.dtype)
    except ValueError as error:
        raise ArgumentError(f"{port.name} of shape {extents} is larger than memory can be", loc=here()) from error


def _integers(what: str, value: Any, port: Port, least: int) -> tuple[int, ...]:
    """`value` as one integer an axis (an integer alone for one axis)."""
    given = value if isinstance(value, (tuple, list)) else (value,)
    try:
        numbers = tuple(operator.index(n) for n in given)
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) != len(given) or len(given) != port.ndim or not all(least <= n <= _AXIS for n in numbers):
        wanted = f"{_axes(port.ndim)} from {least} to 2**31 - 1"
        message = f"{what} of {port.name} is a tuple of integers, {wanted}, not {arrays.described(value)}"
        raise ArgumentError(message, loc=here())
    return numbers


def _scalar(name: str, type: Type, value: Any) -> Any:
    """`value` as a NumPy scalar of `type`: a real number for a float, else one that the type holds exactly."""
    number = (
        value.item() if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim) else value
    )
    if type.is_bool:
        fits = isinstance(number, bool)
    elif type.is_float:
        fits = isinstance(number, numbers.Real)
    else:
        fits = isinstance(number, numbers.Integral) and type.holds(int(number))
    if not fits:
        raise ArgumentError(f"{name} takes a {type.name}, not {arrays.described(value)}", loc=here())
    if not type.is_float:
        return type.dtype.type(number)
    try:
        with np.errstate(all="ignore"):
            return np.float64(number).astype(type.dtype)
    except OverflowError as error:
        raise ArgumentError(f"{name} takes a {type.name}, and {error}", loc=here()) from error


def _check_kind(a: Array, name: str, type: Type, ndim: int) -> None:
    found = arrays.element_type(a)
    if found is type and a.ndim == ndim:
        return
    has = f"{found.name if found else a.dtype} with {_axes(a.ndim)}"
    hint = f"{name}={name}.astype({type.dtype.name!r})" if a.ndim == ndim and found is not None else ""
    raise ArgumentError(f"{name} takes an array of {type.name} with {_axes(ndim)}, not of {has}", loc=here(), hint=hint)


def _axes(n: int) -> str:
    return "1 axis" if n == 1 else f"{n} axes"
