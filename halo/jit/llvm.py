"""LLVM: text to machine code to memory. The only file that imports llvmlite.

`compile_ir(text, target)` gives object code as bytes, which the disk cache keeps; `load_object(bytes, symbols, names)`
a Library, unloaded when it is dropped.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import CompileError
from .target import Target

__all__ = ["Library", "asm", "compile_ir", "host", "load_object", "optimized", "verify"]

T = TypeVar("T")
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # no child finds LLVM in the middle of what another thread had it do
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_compilers: dict[Target, _Compiler] = {}
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
        builder = self._builder()
        for function in module.functions:
            if not function.is_declaration:
                self._passes.run(function, builder)


def _description(binding: Any, triple: str) -> Any:
    try:
        return binding.Target.from_triple(triple)
    except RuntimeError:  # not this machine's architecture
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
        return binding.Target.from_triple(triple)


def _compiler(target: Target) -> _Compiler:
    found = _compilers.get(target)
    if found is None:
        found = _compilers[target] = _Compiler(_binding(), target)
    return found


def _module(text: str, target: Target, use: Callable[[Any, Any], T]) -> T:
    """What `use` makes of the optimised module, in a context of its own that leaves nothing behind."""
    binding = _binding()
    with _reported("compiling"):
        compiler = _compiler(target)
        context = binding.create_context()
        try:
            module = binding.parse_assembly(text, context)
            try:
                module.verify()
                compiler.optimize(module)
                return use(compiler.machine, module)
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


def compile_ir(text: str, target: Target) -> bytes:
    """Object code for the LLVM IR `text`, position-independent. Raises CompileError if LLVM refuses it."""
    return bytes(_module(text, target, lambda machine, module: machine.emit_object(module)))


def asm(text: str, target: Target, verbose: bool = False) -> str:
    """The assembly of the LLVM IR `text`; if `verbose`, with the names of its blocks, and LLVM's remarks, as comments."""

    def emitted(machine: Any, module: Any) -> str:
        machine.set_asm_verbosity(verbose)
        return str(machine.emit_assembly(module))

    return _module(text, target, emitted)


def optimized(text: str, target: Target) -> str:
    """The LLVM IR `text` as it is after optimisation."""
    return _module(text, target, lambda machine, module: str(module))


class Library:
    """Object code in memory. Its addresses are good for as long as it lives."""

    def __init__(self, tracker: Any, jit: Any) -> None:
        self._tracker, self._jit = tracker, jit  # let go of in this order

    def address(self, name: str) -> int:
        return int(self._tracker[name])


def load_object(data: bytes, symbols: Mapping[str, int], names: tuple[str, ...] = ()) -> Library:
    """Load object code, its undefined names resolved by `symbols` (name -> address), and export `names`."""
    global _jit
    binding = _binding()
    with _reported("loading"):
        number = next(_numbers)
        if number % _GENERATION == 0:  # an ORC session keeps 10 KB of every library it ever had
            _jit = binding.create_lljit_compiler(use_jit_link=True)
        builder = binding.JITLibraryBuilder().add_object_img(data).add_current_process()
        for name, address in symbols.items():
            builder.import_symbol(name, address)
        for name in names:
            builder.export_symbol(name)
        return Library(builder.link(_jit, f"halo{number}"), _jit)
