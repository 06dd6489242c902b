"""Kernels written by hand in the IR, compiled and called on NumPy arrays: what the tests of code generation share."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from halo.ir.expr import Array, Broadcast, Buffer, Const, Expr, Load, Op, Ramp, Var
from halo.ir.linear import linear
from halo.ir.node import interning
from halo.ir.pipeline import Lowered, Param, Port
from halo.ir.stmt import For, Stmt, Store, block
from halo.jit import llvm
from halo.jit.emit import emit
from halo.jit.target import Target
from halo.types import Type, as_type, bool_, index

LANES = [1, 7, 16, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4, 8, 32, 64))]
SIZE = 1344  # divisible by all of them
HOST = Target.host()


class Runtime:
    """halo_malloc, halo_free and halo_par_for in Python: blocks are counted, loops run backwards."""

    def __init__(self) -> None:
        self.live: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.count = 0
        self.fail_at = -1  # which allocation fails
        self.loops: list[int] = []
        make = ctypes.CFUNCTYPE
        self.printed: list[tuple[str, list[float]]] = []
        self._functions = {
            "halo_print": make(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(self._print),
            "halo_malloc": make(ctypes.c_void_p, ctypes.c_int64)(self._malloc),
            "halo_free": make(None, ctypes.c_void_p)(self._free),
            "halo_release": make(None, ctypes.POINTER(ctypes.c_void_p))(self._release),
            "halo_par_for": make(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
                self._par_for),
        }  # fmt: skip

    def symbols(self) -> dict[str, int]:
        return {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in self._functions.items()}

    def _print(self, message: bytes, types: bytes, values: int) -> None:
        names = types.decode().split(",")
        read = [(ctypes.c_double if t.startswith("f") or t == "bf16" else ctypes.c_int64).from_address(values + 8 * j).value
                for j, t in enumerate(names)]  # fmt: skip
        self.printed.append((message.decode(), read))

    def _malloc(self, size: int) -> int:
        self.count += 1
        if self.count - 1 == self.fail_at:
            return 0
        block = ctypes.create_string_buffer(size + 64)
        address = (ctypes.addressof(block) + 63) & ~63
        self.live[address] = block
        return address

    def _free(self, address: int) -> None:
        del self.live[address]

    def _release(self, slot: Any) -> None:
        if slot[0]:
            self._free(slot[0])
        slot[0] = None

    def _par_for(self, task: int, closure: int, lo: int, n: int) -> int:
        self.loops.append(n)
        run = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, ctypes.c_void_p)(task)
        return next((status for i in reversed(range(lo, lo + n)) if (status := run(i, closure))), 0)


class Kernel:
    """A body over `arrays` (name -> (type, rank, kind)), compiled for `target` and callable by name."""

    def __init__(self, body: Stmt, ports: Sequence[Port], params: Sequence[Param] = (), target: Target = HOST,
                 symbols: Mapping[str, int] = MappingProxyType({})) -> None:  # fmt: skip
        self.ports, self.params = ports, params
        self.runtime = Runtime()
        self.error = (ctypes.c_int64 * 16)()
        self.text = emit(Lowered(None, body, tuple(ports), tuple(params), ()), target, "kernel")
        self.object = llvm.compile_ir(self.text, target)
        self.library = llvm.load_object(self.object, {**self.runtime.symbols(), **symbols}, ("kernel",))
        self.call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(self.library.address("kernel"))

    def __call__(self, *arrays: np.ndarray, **params: float) -> int:
        """The status of a call with one array a port, in order, and the params by name."""
        slots = b""
        for array, port in zip(arrays, self.ports, strict=True):
            strides = [s // array.itemsize for s in array.strides]
            origin = [0] * array.ndim if port.kind == "output" else []
            slots += np.array([array.ctypes.data, *array.shape, *strides, *origin], np.int64).tobytes()
        for p in self.params:
            slots += np.array([params[p.name]], p.var.type.dtype).tobytes().ljust(8, b"\0")
        return int(self.call(slots, self.error))


def port(name: str, type: Type, kind: str = "input", ndim: int = 1) -> Port:
    array = Array(name, (type,), ndim)
    mins = array.mins if kind == "output" else ()
    return Port(name, kind, type, ndim, array, 0, Buffer(name, type, kind), array.extents, array.strides, mins)


def k(value: float, type: Type = index, lanes: int = 1) -> Expr:
    return Const(value, type) if lanes == 1 else Broadcast(Const(value, type), lanes)


def at(*terms: Expr | tuple[Expr, int], const: int = 0) -> Expr:
    return linear([t if isinstance(t, tuple) else (t, 1) for t in terms], const)


def ramp(base: Expr, lanes: int, stride: int = 1) -> Expr:
    return base if lanes == 1 else Ramp(base, k(stride), lanes)


def op(name: str, *args: Expr, type: Type | None = None) -> Expr:
    return Op(name, args, type or args[0].type)


@contextlib.contextmanager
def elements(n: int, lanes: int) -> Iterator[tuple[Var, Callable[[Stmt], Stmt]]]:
    """`i` for lanes i..i + lanes of n elements, and what makes a statement the body of the loop over i."""
    with interning():
        v = Var("v")
        yield v, lambda body: For(v, k(0), k(n // lanes), "serial", body)


def outputs_of(make: Callable[[list[Expr]], list[Expr]], arrays: Sequence[np.ndarray], lanes: int,
               target: Target = HOST) -> list[np.ndarray]:  # fmt: skip
    """What `make` computes from one element of each of the arrays, for all elements, `lanes` at a time."""
    with elements(len(arrays[0]), lanes) as (v, loop):
        where = ramp(at((v, lanes)), lanes)
        inputs = [port(f"in{j}", as_type(a.dtype)) for j, a in enumerate(arrays)]
        values = make([Load(p.buffer, where) for p in inputs])
        outputs = [port(f"out{j}", e.type, "output") for j, e in enumerate(values)]
        body = loop(block(*(Store(p.buffer, where, e) for p, e in zip(outputs, values, strict=True))))
        kernel = Kernel(body, [*inputs, *outputs], target=target)
    results = [np.empty(len(arrays[0]), p.type.dtype) for p in outputs]
    assert kernel(*arrays, *results) == 0
    return results


def pairs(type: Type, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three arrays of SIZE values of `type`: every pair of 24 extreme ones, then random ones of all magnitudes."""
    rng = np.random.default_rng(seed)
    extreme = _extremes(type)
    a, b = (m.ravel() for m in np.meshgrid(extreme, extreme))
    left = SIZE - len(a)
    arrays = [np.concatenate([x, _random(type, left, rng)]) for x in (a, b)]
    return arrays[0], arrays[1], np.concatenate([rng.permutation(a), _random(type, left, rng)])


def _extremes(type: Type) -> np.ndarray:
    if type is bool_:
        return np.array([False, True] * 12)
    if type.is_float:
        big = {"f16": 65504.0, "bf16": 3.3895e38, "f32": 3.4028234663852886e38, "f64": 1.7976931348623157e308}[
            type.name
        ]
        tiny = {"f16": 2.0**-24, "bf16": 2.0**-133, "f32": 2.0**-149, "f64": 5e-324}[type.name]
        values = [0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 1e3, big, tiny, 3 * tiny, np.inf]
        return np.array([*values, *(-v for v in values), np.nan, 0.1], np.float64).astype(type.dtype)
    lo, hi = int(type.min), int(type.max)
    values = [0, 1, 2, 3, 7, 8, 10, 100, type.bits - 1, type.bits, type.bits + 1, hi // 2, hi // 2 + 1, hi - 2, hi - 1, hi,
              lo, lo + 1, lo + 2, lo // 2, -1, -2, -3, -7]  # fmt: skip
    return np.array([type.wrap(x) for x in values], type.dtype)


def _random(type: Type, n: int, rng: np.random.Generator) -> np.ndarray:
    if type is bool_:
        return rng.integers(0, 2, n).astype(bool)
    bits = rng.integers(0, 256, n * type.bytes, np.uint8).view(type.dtype)
    if type.is_float:
        usual = rng.normal(0, 30, n).astype(type.dtype)
        return np.where(rng.random(n) < 0.5, bits, usual).astype(type.dtype)
    small = rng.integers(-20, 20, n).astype(type.dtype)
    return np.where(rng.random(n) < 0.5, bits, small).astype(type.dtype)


def assert_same(actual: np.ndarray, expected: np.ndarray, what: str = "") -> None:
    """Equal bit for bit, all NaNs being one value."""
    assert actual.dtype == expected.dtype, what
    if actual.dtype.kind in "fV":
        with np.errstate(invalid="ignore"):  # signalling NaNs
            nan, got = np.isnan(expected), np.isnan(actual)
        assert (got == nan).all(), f"{what}: NaN in another place"
        actual, expected = actual[~nan], expected[~nan]
        unsigned = f"u{actual.dtype.itemsize}"
        actual, expected = actual.view(unsigned), expected.view(unsigned)
    np.testing.assert_array_equal(actual, expected, what)
