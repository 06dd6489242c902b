"""A compiled pipeline: machine code and the way into it.

    compile_kernel(pipeline, target, lower, ...) -> Kernel      from the disk cache, or lowered, emitted, compiled, kept
    kernel(*arrays, out=None, shape=None, **inputs)             computes

`lower` is called only if the cache has no code: whoever knows the schedule passes it in, and `instead`, which makes the
Kernel that runs when a check of this one (of the kind `fallback` or `specialize`) does not hold for a call. The same
binding of arguments and the same errors serve the reference backends: there `target` is "python" or "numba".
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from .. import config
from ..errors import ArgumentError, BoundsError, CompileError, here
from ..ir import linked
from ..ir.pipeline import Lowered, Pipeline
from ..timing import Stopwatch
from ..types import ArrayType
from . import cache
from .binding import Binder, Bound, Place
from .canonical import Canonical, UncacheableError, canonical
from .entry import fast_entry, native, slow_path
from .externs import FAILED, External, Externals, calls_in, value
from .layout import Layout
from .runtime import is_loaded, runtime
from .target import Target

__all__ = ["Kernel", "compile_kernel", "restored"]

Instead = Callable[[str, Mapping[str, Any]], "Kernel"]
"""Of the kind of a check, and of the shapes of arrays and the values of scalars by name of the call that failed it."""

_ERROR_WORDS = 64
_OUT_OF_MEMORY = -1


@dataclass(frozen=True)
class Options:
    """What `compile_kernel` is told of the calls to come; see `Binder`."""

    name: str
    order: tuple[str, ...]
    regions: tuple[tuple[Place | None, ...], ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    several: bool = False
    reads_out: frozenset[int] = frozenset()


class Code(Protocol):
    """Something that computes: machine code, or a reference backend."""

    def run(self, bound: Bound, layout: Layout) -> tuple[int, list[int]]:
        """Compute; the status, and what a failed check says."""


class MachineCode:
    """Loaded object code. `address` is the kernel, `i32 (slots, error)`; it may be called with Python's lock held
    unless it `calls_python`."""

    def __init__(
        self, code: bytes | Sequence[bytes], name: str, calls_python: bool = False, externals: Sequence[External] = ()
    ) -> None:
        from . import llvm

        self._externals, self.object = Externals(externals), code
        symbols = runtime().symbols | linked.addresses() | self._externals.symbols
        self._library = llvm.load_object(code, symbols, (name,))
        self.address, self.calls_python = self._library.address(name), calls_python
        self._call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(self.address)

    def run(self, bound: Bound, layout: Layout) -> tuple[int, list[int]]:
        slots, error = _slots(bound, layout), (ctypes.c_int64 * _ERROR_WORDS)()
        status = self._call(slots, error)  # ctypes lets go of Python's lock
        if status == FAILED and (raised := self._externals.raised(ctypes.addressof(error))) is not None:
            raise raised
        return status, list(error) if status else []


class Reference:
    """A nest that runs as Python source."""

    def __init__(self, lowered: Lowered, backend: str) -> None:
        self.lowered, self.backend = lowered, backend

    def run(self, bound: Bound, layout: Layout) -> tuple[int, list[int]]:
        from . import python

        origins = [bound.origins[k] for k, p in enumerate(layout.ports) if p.is_output]
        return python.run(self.lowered, self.backend, bound.arrays, bound.params, origins)


class Kernel:
    """A pipeline compiled for one combination of types: the callable with the least overhead.

    >>> import halo, numpy as np
    >>> @halo.func
    ... def double(x, *, a):
    ...     return a[x] * 2
    >>> kernel = double.compile(a=halo.i32)
    >>> kernel(np.arange(3, dtype=np.int32))
    array([0, 2, 4], dtype=int32)
    """

    def __init__(self, binder: Binder, code: Code, instead: Instead | None = None) -> None:
        self.binder, self.code = binder, code
        self._make = instead
        self._instead: dict[str, Kernel] = {}
        self._lock = threading.Lock()
        self._numba: Any = None
        slow = slow_path(self)
        self._entry = None
        if isinstance(code, MachineCode) and not code.calls_python:
            self._entry = fast_entry(binder, code.address, slow)
        self._call = functools.partial(slow, 0) if self._entry is None else self._entry.function

    @property
    def name(self) -> str:
        """That of the Func or Pipeline it was compiled from."""
        return self.binder.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute. Inputs by position (outputs may follow them) or by name; `out=`, `shape=` as in a Func's call."""
        return self._call(*args, **kwargs)

    def realize(self, shape: Any = None, origin: Any = None, **inputs: Any) -> Any:
        """The values on the box of `shape` whose first point is `origin`."""
        return self._run((), inputs, None, shape, origin)

    def _slow(self, status: int, /, *args: Any, out: Any = None, shape: Any = None, **inputs: Any) -> Any:
        """The call in full. `status` is what the machine code said to the same arguments, or 0 if it was not asked."""
        other = self._instead.get(self._kind(status))
        if other is not None:
            return other(*args, out=out, shape=shape, **inputs)
        return self._run(args, inputs, out, shape, None)

    def _run(self, args: tuple[Any, ...], inputs: Mapping[str, Any], out: Any, shape: Any, origin: Any) -> Any:
        bound = self.binder.bind(args, inputs, out, shape, origin)
        if not bound.empty:
            status, values = self.code.run(bound, self.binder.layout)
            if status:
                if self._kind(status) in ("fallback", "specialize"):
                    return self._other(self._kind(status), bound)._run(args, inputs, out, shape, origin)
                raise self._error(status, values)
        return bound.finish()

    def _kind(self, status: int) -> str:
        checks = self.binder.layout.checks
        return checks[status - 1].kind if 0 < status <= len(checks) else ""

    def _other(self, kind: str, call: Bound) -> Kernel:
        """The Kernel for calls that fail a check of this kind, compiled when the first comes."""
        with self._lock:
            if kind not in self._instead:
                layout = self.binder.layout
                known = {p.name: a.shape for p, a in zip(layout.ports, call.arrays, strict=True)}
                known |= {p.name: value.item() for p, value in zip(layout.params, call.params, strict=True)}
                self._instead[kind] = self.instead(kind, known)
            return self._instead[kind]

    def instead(self, kind: str, call: Mapping[str, Any]) -> Kernel:
        """The Kernel for calls that fail a check of this kind, made anew."""
        if self._make is None:
            raise CompileError(f"{self.name} has no more cautious variant")
        return self._make(kind, call)

    def _error(self, status: int, values: list[int]) -> Exception:
        if status == _OUT_OF_MEMORY:
            return MemoryError(f"{self.name} could not get memory for its intermediates")
        kind = self._kind(status)
        if not kind:
            return CompileError(f"{self.name} ended with the unknown status {status}")
        check = self.binder.layout.checks[status - 1]
        if kind == "require":
            shown = [str(value(t, word)) for t, word in zip(check.types[1:], values[1:], strict=False)]
            return ArgumentError(check.message.format(*shown) or "a requirement does not hold", loc=check.loc or here())
        if kind == "domain":
            lo, hi, first, last = values[:4]
            exists = f"it is defined at {first}..{last} only" if first <= last else "it is empty"
            message = f"{check.array} is needed at {lo}..{hi} along axis {check.axis}, and {exists}"
            return BoundsError(message, loc=check.loc, hint="halo.clamp(i, lo, hi), or a smaller shape=")
        lo, hi, extent = values[:3]
        exists = f"0..{extent - 1} exists" if extent else "it is empty"
        message = f"{check.array} is too small along axis {check.axis}: {lo}..{hi} is needed, {exists}"
        return BoundsError(message, loc=check.loc, hint=f'{check.array}=halo.pad({check.array}, "edge")')

    @property
    def is_storable(self) -> bool:
        """Whether it is machine code alone, which calls nothing of this process."""
        return isinstance(self.code, MachineCode) and not self.code.calls_python

    def stored(self) -> bytes:
        """The machine code with all that calls need to know, for `restored` in a process on such a machine."""
        b = self.binder
        if not isinstance(self.code, MachineCode) or not self.is_storable:
            raise CompileError(f"{self.name} cannot be stored: it is not machine code alone")
        bare = b.layout.with_locations([None] * len(b.layout.checks))
        options = Options(b.name, b.order, b.regions, b.defaults, b.constants, b.several, b.reads_out)
        return pickle.dumps((bare, options, self.code.object), protocol=4)

    @property
    def _numba_type_(self) -> Any:
        """What `numba.typeof` asks for: a Kernel is a function to jitted code."""
        if self._numba is None:
            from .njit import kernel_type

            self._numba = kernel_type(self)
        return self._numba[0]

    def _types(self) -> tuple[dict[str, str], list[str]]:
        """The types of the inputs by name, and those of the results."""
        layout = self.binder.layout
        types = {p.name: repr(ArrayType(p.type, p.ndim, p.contiguous)).removeprefix("halo.") for p in layout.ports}
        results = [types[layout.ports[k].name] for group in layout.outputs for k in group]
        types |= {p.name: p.type.name for p in layout.params}
        return {name: types.get(name, "?") for name in self.binder.order}, results

    def __repr__(self) -> str:
        inputs, results = self._types()
        arguments = ", ".join(f"{name}: {t}" for name, t in inputs.items())
        return f"<halo.Kernel {self.name}({arguments}) -> {', '.join(results)}>"

    def _repr_html_(self) -> str:
        from ..show.reprs import kernel

        inputs, results = self._types()
        return kernel(self.name, inputs.items(), results)


def compile_kernel(
    pipeline: Pipeline,
    target: Target | str,
    lower: Callable[[], Lowered],
    options: Options,
    *,
    variant: str = "",
    instead: Instead | None = None,
    cached: bool = True,
    watch: Stopwatch | None = None,
) -> Kernel:
    """The Kernel of the typed `pipeline`.

    `lower` gives its loops where the disk cache (used if `cached`) has no code for it. What the code depends on beside
    `pipeline` and `target` is `variant`: the schedule and the options of `lower`, as text. `watch`, if there is one, is
    told of each step, and then printed.
    """
    if isinstance(target, str):
        lowered = lower()
        return Kernel(_binder(Layout.of(lowered), options), Reference(lowered, target), instead)
    lap = _unwatched if watch is None else watch.lap
    known = _canonical(pipeline) if cached and config.current().cache else None
    parts = (repr(target), variant, options.name)
    key = "" if known is None else cache.digest(known.text, *(part.encode() for part in parts))
    found = None if known is None else _load(cache.get(key), known)
    lap("cache")
    with _runtime_meanwhile():
        compiled = found or _compile(lower(), target, options.name, lap)
    if known is not None and found is None and not compiled.externals:  # callbacks live in this process alone
        cache.put(key, _dump(compiled, known))
    code = MachineCode(compiled.code, options.name, compiled.calls_python, compiled.externals)
    kernel = Kernel(_binder(compiled.layout, options), code, instead)
    lap("load")
    if watch is not None:
        how = "compiled" if found is None else "from the cache"
        print(f"halo: {options.name} {how} in {watch.seconds * 1e3:.1f} ms\n{watch}", file=sys.stderr)
    return kernel


def restored(data: bytes, instead: Instead | None = None) -> Kernel:
    """The Kernel that `stored` gave. The data is code: it must come from where code may come from."""
    layout, options, code = pickle.loads(data)
    return Kernel(_binder(layout, options), MachineCode(code, options.name), instead)


@contextmanager
def _runtime_meanwhile() -> Iterator[None]:
    """What every kernel links against is loaded while the first one is lowered."""
    if is_loaded():
        yield
        return

    def load() -> None:
        with contextlib.suppress(Exception):  # raised again where it is needed
            runtime()
            native()

    thread = threading.Thread(target=load, name="halo-runtime")
    with contextlib.suppress(RuntimeError):  # no threads to be had: it is loaded afterwards
        thread.start()
    try:
        yield
    finally:
        if thread.ident is not None:
            thread.join()


def _binder(layout: Layout, o: Options) -> Binder:
    return Binder(o.name, layout, o.order, o.defaults, o.constants, o.regions, o.several, o.reads_out)


@dataclass(frozen=True)
class _Compiled:
    layout: Layout
    code: tuple[bytes, ...]
    calls_python: bool
    externals: tuple[External, ...] = ()


def _unwatched(step: str) -> None:
    """Nobody wants to know."""


def _compile(lowered: Lowered, target: Target, name: str, lap: Callable[[str], None]) -> _Compiled:
    from . import llvm
    from .emit import emit_parts

    externals = calls_in(lowered.body)
    texts = emit_parts(lowered, target, name, llvm.workers())
    calls_python = bool(externals) or any("@halo_print(" in text for text in texts)
    lap("emit")
    code = llvm.compile_parts(texts, target)
    lap("llvm")
    return _Compiled(Layout.of(lowered), code, calls_python, externals)


# What is kept on disk: the layout with its checks' places as numbers, so that they are those of the pipeline at hand


def _canonical(pipeline: Pipeline) -> Canonical | None:
    try:
        return canonical(pipeline)
    except UncacheableError:
        return None


def _dump(compiled: _Compiled, known: Canonical) -> bytes:
    layout = compiled.layout
    numbers = {place: k for k, place in reversed(list(enumerate(known.locations)))}
    places: list[Any] = [loc if loc is None else numbers.get(loc, loc) for loc in layout.locations()]
    bare = layout.with_locations([None] * len(places))
    return pickle.dumps((bare, places, compiled.code, compiled.calls_python), protocol=4)


def _load(data: bytes | None, known: Canonical) -> _Compiled | None:
    if data is None:
        return None
    layout, places, code, calls_python = pickle.loads(data)
    placed = layout.with_locations([known.locations[k] if isinstance(k, int) else k for k in places])
    return _Compiled(placed, code, calls_python)


# Calling


def _slots(bound: Bound, layout: Layout) -> Any:
    """The kernel's first argument. See `layout`."""
    from .arrays import element_strides

    words: list[int] = []
    for k, (a, p) in enumerate(zip(bound.arrays, layout.ports, strict=True)):
        words += [a.ctypes.data, *a.shape, *element_strides(a)]
        if p.is_output:
            words += bound.origins[k]
    slots = (ctypes.c_int64 * max(layout.slots, 1))(*words)
    for k, scalar in enumerate(bound.params, len(words)):
        ctypes.memmove(ctypes.addressof(slots) + 8 * k, scalar.tobytes(), scalar.dtype.itemsize)
    return slots
