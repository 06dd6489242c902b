"""Kernels and Funcs inside `@numba.njit` functions.

To Numba such an object is a jitted function that this module writes: it fills the kernel's slots from Numba's arrays
and calls the machine code. What that does not serve (overlapping arrays, empty axes, a failed check) goes to the slow
path in Python, which computes it or raises.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, HaloError
from ..types import ArrayType, Type, as_type, f32, f64
from .layout import Port
from .runtime import runtime

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["kernel_type", "numba_type"]

KernelFor = Callable[[Mapping[str, Any]], "Kernel"]


def kernel_type(kernel: Kernel) -> tuple[Any, Any]:
    """The Numba type of `kernel`, and the function that it names, which the caller keeps."""
    b = kernel.binder
    return numba_type(b.name, b.order, b.defaults, sum(map(len, b.layout.outputs)), lambda types: kernel)


def numba_type(
    name: str, order: Sequence[str], defaults: Mapping[str, Any], outputs: int, kernel_for: KernelFor
) -> tuple[Any, Any]:
    """(type, function) of a callable with the arguments `order`, then `outputs` output arrays, all of which may be left
    out as in Python.

    `kernel_for(types)` gives the Kernel for a call: an ArrayType for an array, a Type for a number, nothing for an
    argument that was left out. The type refers to the function weakly.
    """
    import numba
    from numba.core import errors
    from numba.extending import overload

    runtime().load_layer()  # a thread of a parallel region could not: it would wait for Python's lock for ever
    outs = ("out",) if outputs == 1 else tuple(f"out{k}" for k in range(outputs))
    optional = {*outs, *(n for k, n in enumerate(order) if all(later in defaults for later in order[k:]))}
    parameters = ", ".join(f"{n}=None" if n in optional else n for n in (*order, *outs))

    def choose(given: Mapping[str, Any]) -> Any:
        try:
            return _Implementation(given, order, outs, parameters, kernel_for).function()
        except HaloError as error:
            raise errors.TypingError(f"{name}: {error.message}") from error

    scope: dict[str, Any] = {"choose": choose}
    exec(f"def stub({parameters}): pass\ndef typed({parameters}): return choose(locals())", scope)
    exec(f"def call({parameters}): return stub({', '.join((*order, *outs))})", scope)
    overload(scope["stub"], strict=False)(scope["typed"])
    function = numba.njit(scope["call"])
    return numba.types.Dispatcher(function), function


class _Implementation:
    """The function for one combination of types. Names of its own start with `h_`, as no argument's does."""

    def __init__(self, given: Mapping[str, Any], order: Sequence[str], outs: Sequence[str], parameters: str,
                 kernel_for: KernelFor) -> None:  # fmt: skip
        self.order, self.parameters = order, parameters
        self.types = {n: found for n in (*order, *outs) if (found := _type_of(n, given[n])) is not None}
        self.numba = given
        self.kernel = kernel_for({n: t for n, t in self.types.items() if n not in outs})
        self.binder, self.layout = self.kernel.binder, self.kernel.binder.layout
        self.ports = [k for group in self.layout.outputs for k in group]
        self.outs = dict(zip(self.ports, outs, strict=True))
        self.lines: list[str] = []
        self.conditions: list[str] = []
        self.scope: dict[str, Any] = {"np": np, "h_slow": self._slow}

    def _slow(self, *arguments: Any) -> None:
        self.kernel._slow(0, *arguments)

    def function(self) -> Any:
        import numba

        self._inputs()
        self._outputs()
        self._run()
        text = "\n    ".join([f"def implementation({self.parameters}):", *self.lines])
        self.scope["objmode"] = numba.objmode
        exec(compile(text, f"<halo {self.binder.name} for Numba>", "exec"), self.scope)
        return self.scope["implementation"]

    # Arguments

    def _inputs(self) -> None:
        self.lines.append(f"h_slots = np.empty({max(self.layout.slots, 1)}, np.int64)")
        for name, k in self.layout.inputs.items():
            port = self.layout.ports[k]
            if name in self.binder.constants:
                self.conditions.append("False")
            else:
                self._check(name, name, port)
                self._array(name, port, self.layout.offsets[k])
        for slot, p in enumerate(self.layout.params, self.layout.offsets[-1]):
            if p.name in self.types:
                self._scalar(p.name, p.type, slot, self.types[p.name])
            elif p.name in self.binder.defaults:
                self.scope[f"h_{p.name}"] = self.binder.defaults[p.name]
                self._scalar(f"h_{p.name}", p.type, slot, p.type)
            elif p.name in self.binder.constants:
                self.conditions.append("False")
            else:
                raise ArgumentError(f"the argument {p.name} is missing")

    def _check(self, shown: str, name: str, port: Port) -> None:
        found = self.types.get(name)
        if found is None:
            raise ArgumentError(f"the argument {shown} is missing")
        if not isinstance(found, ArrayType) or (found.type, found.ndim) != (port.type, port.ndim):
            raise ArgumentError(f"{shown} takes {ArrayType(port.type, port.ndim)!r}, not {found!r}")

    def _array(self, a: str, port: Port, slot: int) -> None:
        """Fill the slots of the array called `a`; the conditions under which machine code can address it."""
        n, size = port.ndim, port.type.bytes
        self.lines += [f"h_data_{a} = {a}.ctypes.data", f"h_slots[{slot}] = h_data_{a}"]
        self.conditions += [f"{a}.size > 0", f"h_data_{a} % {size} == 0"]
        for d in range(n):
            last = f"1 if {a}.shape[{d}] == 1 else " if d == n - 1 else ""
            self.lines.append(f"h_slots[{slot + 1 + d}] = {a}.shape[{d}]")
            self.lines.append(f"h_slots[{slot + 1 + n + d}] = {last}{a}.strides[{d}] // {size}")
            self.conditions += [f"{a}.strides[{d}] % {size} == 0", f"{a}.shape[{d}] < 2**31"]
        if port.contiguous:
            self.conditions.append(f"h_slots[{slot + 2 * n}] == 1")
        reach = [f"({a}.shape[{d}] - 1) * {a}.strides[{d}]" for d in range(n)]
        low, high = (" + ".join([f"h_data_{a}", *(f"{f}({r}, 0)" for r in reach)]) for f in ("min", "max"))
        self.lines += [f"h_low_{a} = {low}", f"h_high_{a} = {high} + {size}"]

    def _scalar(self, name: str, type: Type, slot: int, given: Any) -> None:
        if isinstance(given, ArrayType) or (type.is_float and type not in (f32, f64)):
            raise ArgumentError(f"{name} takes a {type.name}, not {given!r}, from jitted code")
        if type.is_float:
            index = slot if type is f64 else 2 * slot  # little-endian: the low half comes first
            self.lines.append(f"h_slots.view(np.float{type.bits})[{index}] = {name}")
            return
        if given.is_float or given.is_bool is not type.is_bool:
            raise ArgumentError(f"{name} takes a {type.name}, not a {given.name}")
        self.lines.append(f"h_slots[{slot}] = np.int64({name})")
        if given.is_int and given.min < type.min:
            self.conditions.append(f"{name} >= {type.min}")
        if given.is_int and given.max > type.max:
            self.conditions.append(f"{name} <= np.{'int64' if given.is_signed else 'uint64'}({type.max})")

    # Results

    def _outputs(self) -> None:
        inputs = [n for n in self.layout.inputs if n not in self.binder.constants]
        before: list[str] = []
        for k, region in ((k, r) for r, g in zip(self.binder.regions, self.layout.outputs, strict=True) for k in g):
            port, name, result = self.layout.ports[k], self.outs[k], f"h_result{k}"
            if name in self.types:
                self._check(name, name, port)
                if not self.numba[name].mutable:
                    raise ArgumentError(f"{name} is read-only")
                self.lines.append(f"{result} = {name}")
            else:
                self.scope[f"h_dtype{k}"] = port.type.dtype
                self.lines.append(f"{result} = np.empty({self._extents(port, region)}, h_dtype{k})")
            slot = self.layout.offsets[k]
            self._array(result, port, slot)
            self.lines += [f"h_slots[{slot + 1 + 2 * port.ndim + d}] = 0" for d in range(port.ndim)]
            if name in self.types:
                self._apart(result, port, [*inputs, *before])
            before.append(result)

    def _extents(self, port: Port, region: Sequence[tuple[str, int] | None]) -> str:
        if None in region or self.binder.reads_out:
            raise ArgumentError(f"nothing says how long the axes of {port.name} are: pass out")
        return "(" + "".join(f"{name}.shape[{axis}], " for name, axis in filter(None, region)) + ")"

    def _apart(self, result: str, port: Port, others: Sequence[str]) -> None:
        """`result` steps over itself, each axis over all of the next, and meets none of the others."""
        self.conditions += [f"(h_high_{o} <= h_low_{result}) | (h_high_{result} <= h_low_{o})" for o in others]
        for d in range(port.ndim):
            over = f"{result}.shape[{d + 1}] * {result}.strides[{d + 1}]" if d + 1 < port.ndim else str(port.type.bytes)
            self.conditions.append(f"({result}.shape[{d}] == 1) | ({result}.strides[{d}] >= {over})")

    def _run(self) -> None:
        from .kernel import MachineCode

        code = self.kernel.code
        self.lines.append("h_status = 1")
        if isinstance(code, MachineCode) and not code.calls_python:
            native = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)
            self.scope["h_native"] = native(code.address)
            self.lines += [
                "h_error = np.empty(64, np.int64)",
                "if " + " & ".join(f"({c})" for c in self.conditions or ["True"]) + ":",
                "    h_status = h_native(h_slots.ctypes, h_error.ctypes)",
            ]
        arguments = [f"h_{n}" if f"h_{n}" in self.scope else n for n in self.order]
        arguments += [f"h_result{k}" for k in self.ports]
        self.lines += ["if h_status != 0:", "    with objmode():", f"        h_slow({', '.join(arguments)})"]
        self.lines.append(f"return {self._result()}")

    def _result(self) -> str:
        groups = [tuple(f"h_result{k}" for k in g) for g in self.layout.outputs]
        entries = [g[0] if len(g) == 1 else f"({', '.join(g)})" for g in groups]
        return f"({', '.join(entries)},)" if self.binder.several else entries[0]


def _type_of(name: str, given: Any) -> ArrayType | Type | None:
    """What Numba's type means in the language; None for what was left out."""
    from numba.core import types
    from numba.np.numpy_support import as_dtype

    unliteral: Any = types.unliteral
    given = unliteral(given)
    if isinstance(given, types.Omitted) or given is None or given is types.none:
        return None
    if isinstance(given, types.Array):
        return ArrayType(as_type(as_dtype(given.dtype)), given.ndim)
    if isinstance(given, (types.Integer, types.Float, types.Boolean)):
        return as_type(as_dtype(given))
    raise ArgumentError(f"{name} takes an array or a number, not {given}")
