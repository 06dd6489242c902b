"""LLVM: text to machine code to memory. The only file that imports llvmlite.

`compile_ir(text, target)` gives object code as bytes, which the disk cache keeps (`compile_parts` of several modules,
side by side); `load_object(bytes, symbols, names)` a Library, unloaded when it is dropped.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import CompileError
from .target import Target

__all__ = [
    "Library", "asm", "compile_ir", "compile_parts", "host", "load_object", "optimized", "verify", "workers",
]  # fmt: skip

T = TypeVar("T")
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # no child finds LLVM in the middle of what another thread had it do
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_idle: dict[Target, list[_Compiler]] = {}
_numbers = itertools.count()
_GENERATION = 64
_jit: Any = None
_ready = False


def _binding() -> Any:
    global _ready
    import llvmlite.binding as binding

    if not _ready:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        _ready = True
    return binding


@contextmanager
def _reported(doing: str) -> Iterator[None]:
    """LLVM's complaints are faults of halo's own."""
    with _lock:
        try:
            yield
        except (RuntimeError, OSError, ValueError) as error:
            raise CompileError(f"{doing} failed: {error}") from error


def host() -> tuple[str, str, str]:
    """(triple, cpu, features) of this machine."""
    binding = _binding()
    return binding.get_process_triple(), binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


class _Compiler:
    """A target machine, and the passes over a function: LLVM's simplifications at its first level.

    Vectorising and unrolling are halo's; what else the higher levels do makes kernels no faster, and compiling twice as
    slow. Passes are made once: llvmlite never frees them.
    """

    def __init__(self, binding: Any, target: Target) -> None:
        self._binding = binding
        self.machine = _description(binding, target.triple).create_target_machine(
            target.cpu, target.features, opt=2, reloc="pic", codemodel="small")  # fmt: skip
        self._options = options = binding.create_pipeline_tuning_options(speed_level=1)
        options.loop_vectorization = options.slp_vectorization = False
        options.loop_unrolling = options.loop_interleaving = False
        self._passes = self._builder().getFunctionPassManager()

    def _builder(self) -> Any:
        """The analyses of one module."""
        return self._binding.create_pass_builder(self.machine, self._options)

    def optimize(self, module: Any) -> None:
        run, builder = _unlocked("LLVMPY_RunNewFunctionPassManager"), self._builder()
        for function in module.functions:
            if not function.is_declaration:
                run(self._passes, function, builder)

    def object_code(self, module: Any) -> bytes:
        ffi = self._binding.ffi
        with ffi.OutputString() as message:
            memory = _unlocked("LLVMPY_TargetMachineEmitToMemory")(self.machine, module, 1, message)
            if not memory:
                raise RuntimeError(str(message))
        try:
            return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory))
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)


@functools.cache
def _unlocked(name: str) -> Any:
    """A function of llvmlite's, without the lock that lets one thread in at a time: LLVM itself has no need of it as long
    as they work in different contexts."""
    lib = _binding().ffi.lib
    locked, handle = getattr(lib, name), getattr(lib, "_handle", None)
    if handle is None:
        return locked
    function = ctypes.CDLL(lib._name, handle=handle)[name]
    function.argtypes, function.restype = locked.argtypes, locked.restype
    return function


def _description(binding: Any, triple: str) -> Any:
    try:
        return binding.Target.from_triple(triple)
    except RuntimeError:  # not this machine's architecture
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
        return binding.Target.from_triple(triple)


@contextmanager
def _compiler(target: Target) -> Iterator[_Compiler]:
    """One that nobody else uses meanwhile."""
    idle = _idle.setdefault(target, [])
    try:
        compiler = idle.pop()
    except IndexError:
        compiler = _Compiler(_binding(), target)
    try:
        yield compiler
    finally:
        idle.append(compiler)


def _module(text: str, target: Target, use: Callable[[_Compiler, Any], T]) -> T:
    """What `use` makes of the optimised module, in a context of its own that leaves nothing behind."""
    binding = _binding()
    with _compiler(target) as compiler:
        context = binding.create_context()
        try:
            module = binding.parse_assembly(text, context)
            try:
                module.verify()
                compiler.optimize(module)
                return use(compiler, module)
            finally:
                module.close()
        finally:
            context.close()


def verify(text: str) -> None:
    """Raise CompileError if LLVM refuses the IR `text`."""
    binding = _binding()
    with _reported("reading"):
        context = binding.create_context()
        try:
            module = binding.parse_assembly(text, context)
            try:
                module.verify()
            finally:
                module.close()
        finally:
            context.close()


def workers() -> int:
    """How many modules are worth compiling at once: one a processor."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compile_ir(text: str, target: Target) -> bytes:
    """Object code for the LLVM IR `text`, position-independent. Raises CompileError if LLVM refuses it."""
    return compile_parts((text,), target)[0]


def compile_parts(texts: Sequence[str], target: Target) -> tuple[bytes, ...]:
    """Object code for each of the modules `texts`, in a thread each."""
    codes: list[bytes] = [b""] * len(texts)
    waiting, errors = list(range(len(texts))), list[BaseException]()

    def work() -> None:
        try:
            for k in iter(lambda: waiting.pop() if waiting else None, None):
                codes[k] = _module(texts[k], target, lambda compiler, module: compiler.object_code(module))
        except BaseException as error:
            errors.append(error)

    with _reported("compiling"):
        threads = [threading.Thread(target=work, name="halo-llvm") for _ in texts[1:]]
        started = [t for t in threads if _started(t)]
        work()
        for t in started:
            t.join()
        for error in errors:
            raise error
    return tuple(codes)


def _started(thread: threading.Thread) -> bool:
    """Whether there is such a thread now: not where the process is ending, or has as many as it may."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def asm(text: str, target: Target, verbose: bool = False) -> str:
    """The assembly of the LLVM IR `text`; if `verbose`, with the names of its blocks, and LLVM's remarks, as comments."""

    def emitted(compiler: _Compiler, module: Any) -> str:
        compiler.machine.set_asm_verbosity(verbose)
        return str(compiler.machine.emit_assembly(module))

    with _reported("compiling"):
        return _module(text, target, emitted)


def optimized(text: str, target: Target) -> str:
    """The LLVM IR `text` as it is after optimisation."""
    with _reported("compiling"):
        return _module(text, target, lambda compiler, module: str(module))


class Library:
    """Object code in memory. Its addresses are good for as long as it lives."""

    def __init__(self, tracker: Any, jit: Any) -> None:
        self._tracker, self._jit = tracker, jit  # let go of in this order

    def address(self, name: str) -> int:
        return int(self._tracker[name])


def load_object(data: bytes | Sequence[bytes], symbols: Mapping[str, int], names: tuple[str, ...] = ()) -> Library:
    """Load object code (or its parts, which know each other), its undefined names resolved by `symbols` (name ->
    address), and export `names`."""
    global _jit
    binding = _binding()
    with _reported("loading"):
        number = next(_numbers)
        if number % _GENERATION == 0:  # an ORC session keeps 10 KB of every library it ever had
            _jit = binding.create_lljit_compiler(use_jit_link=True)
        builder = binding.JITLibraryBuilder()
        for code in (data,) if isinstance(data, bytes) else data:
            builder.add_object_img(code)
        builder.add_current_process()
        for name, address in symbols.items():
            builder.import_symbol(name, address)
        for name in names:
            builder.export_symbol(name)
        return Library(builder.link(_jit, f"halo{number}"), _jit)
