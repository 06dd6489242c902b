from __future__ import annotations

import ctypes
import gc
import os
import signal
import threading
from pathlib import Path

import pytest

from halo.errors import CompileError
from halo.jit import llvm
from halo.jit.target import Target

HOST = Target.host()


def answer(n: int) -> str:
    return f"define i32 @answer() {{\n  ret i32 {n}\n}}\n"


def call(library: llvm.Library, name: str = "answer") -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(library.address(name))())


def test_text_to_object_to_memory() -> None:
    data = llvm.compile_ir(answer(42), HOST)
    assert isinstance(data, bytes)
    assert call(llvm.load_object(data, {}, ("answer",))) == 42


def test_undefined_names_are_resolved() -> None:
    kind = ctypes.CFUNCTYPE(ctypes.c_int)
    seven = kind(lambda: 7)
    text = "declare i32 @halo_test()\ndefine i32 @answer() {\n %a = call i32 @halo_test()\n ret i32 %a\n}\n"
    data = llvm.compile_ir(text, HOST)
    address = ctypes.cast(seven, ctypes.c_void_p).value
    assert address is not None
    assert call(llvm.load_object(data, {"halo_test": address}, ("answer",))) == 7
    with pytest.raises(CompileError, match="loading failed"):
        llvm.load_object(data, {}, ("answer",))


def test_inspection() -> None:
    assert "answer" in llvm.asm(answer(5), HOST)
    text = "define i32 @answer(i32 %x) {\n %a = add i32 %x, 0\n ret i32 %a\n}\n"
    assert "= add" not in llvm.optimized(text, HOST)


def test_parts_are_compiled_side_by_side_and_know_each_other() -> None:
    texts = [f"declare i32 @part{k + 1}()\ndefine i32 @part{k}() {{\n %a = call i32 @part{k + 1}()\n ret i32 %a\n}}\n"
             for k in range(5)]  # fmt: skip
    parts = llvm.compile_parts([*texts, answer(6).replace("answer", "part5")], HOST)
    assert len(parts) == 6
    assert call(llvm.load_object(parts, {}, ("part0",)), "part0") == 6
    with pytest.raises(CompileError, match="compiling failed"):
        llvm.compile_parts([answer(1), "not LLVM", answer(2)], HOST)


def test_parts_are_compiled_where_there_are_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert len(llvm.compile_parts([answer(1), answer(2)], HOST)) == 2


@pytest.mark.parametrize("text", [
    "not LLVM",
    "define i32 @f() {\n ret i64 0\n}",
    "define void @f() {\n %a = add i32 %b, 1\n ret void\n}",
    "define void @f() {\na:\n br label %b\n}",
])  # fmt: skip
def test_bad_text_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(CompileError, match="compiling failed"):
        llvm.compile_ir(text, HOST)


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x7fELF" + bytes(60)])
def test_bad_objects_are_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(CompileError, match="loading failed"):
        llvm.load_object(data, {}, ("answer",))


def test_unknown_targets_are_an_error_of_ours() -> None:
    with pytest.raises(CompileError, match="compiling failed"):
        llvm.compile_ir(answer(1), Target("vax-dec-vms"))


def test_other_architectures() -> None:
    text = llvm.asm("define i32 @answer(i32 %x) {\n %a = add i32 %x, 3\n ret i32 %a\n}\n", Target("aarch64-linux-gnu"))
    assert "w0, w0, #3" in text


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_is_flat_over_many_compilations() -> None:
    def compile_and_drop(n: int) -> None:
        assert call(llvm.load_object(llvm.compile_ir(answer(n), HOST), {}, ("answer",))) == n

    for n in range(150):
        compile_and_drop(n)
    gc.collect()
    before = resident()
    for n in range(500):
        compile_and_drop(n)
    gc.collect()
    assert resident() - before < 4 << 20


def test_many_threads_at_once() -> None:
    failures: list[object] = []

    def work(n: int) -> None:
        for k in range(5):
            got = call(llvm.load_object(llvm.compile_ir(answer(n * 10 + k), HOST), {}, ("answer",)))
            if got != n * 10 + k:
                failures.append((n, k, got))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_compiles_although_another_thread_did_at_the_fork() -> None:
    stop = threading.Event()

    def keep_compiling() -> None:
        while not stop.is_set():
            llvm.compile_ir(answer(1), HOST)

    thread = threading.Thread(target=keep_compiling)
    thread.start()
    try:
        for n in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                os._exit(call(llvm.load_object(llvm.compile_ir(answer(n), HOST), {}, ("answer",))))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == n
    finally:
        stop.set()
        thread.join()
