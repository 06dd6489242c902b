"""The native runtime: parallel loops and memory, called as kernels call them."""

import ctypes
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from halo import config
from halo.jit import cache, llvm, runtime, threads
from halo.jit.target import Target

KERNELS = """
declare i32 @halo_par_for(ptr, ptr, i64, i64)
declare ptr @halo_malloc(i64)
declare void @halo_free(ptr)

; closure: i64 counts[]
define i32 @count(i64 %i, ptr %counts) {
  %at = getelementptr i64, ptr %counts, i64 %i
  %old = atomicrmw add ptr %at, i64 1 monotonic
  ret i32 0
}
define i32 @counts(ptr %counts, i64 %lo, i64 %n) {
  %status = call i32 @halo_par_for(ptr @count, ptr %counts, i64 %lo, i64 %n)
  ret i32 %status
}

; 20 iterations inside each of 20: iteration i counts at 20*i...
define i32 @outer(i64 %i, ptr %counts) {
  %offset = mul i64 %i, 20
  %row = getelementptr i64, ptr %counts, i64 %offset
  %status = call i32 @halo_par_for(ptr @count, ptr %row, i64 0, i64 20)
  ret i32 %status
}
define i32 @nested(ptr %counts) {
  %status = call i32 @halo_par_for(ptr @outer, ptr %counts, i64 0, i64 20)
  ret i32 %status
}

; closure: i64 {failing iteration, iterations run}
define i32 @fail_at(i64 %i, ptr %closure) {
  %bad = load i64, ptr %closure
  %ran = getelementptr i64, ptr %closure, i64 1
  %old = atomicrmw add ptr %ran, i64 1 monotonic
  %is = icmp eq i64 %i, %bad
  %status = select i1 %is, i32 7, i32 0
  ret i32 %status
}
define i32 @failing(ptr %closure, i64 %n) {
  %status = call i32 @halo_par_for(ptr @fail_at, ptr %closure, i64 0, i64 %n)
  ret i32 %status
}

; closure: i64 {threads that came, threads that are awaited}: an iteration ends when all have come
define i32 @meet(i64 %i, ptr %closure) {
  %old = atomicrmw add ptr %closure, i64 1 seq_cst
  %at = getelementptr i64, ptr %closure, i64 1
  %awaited = load i64, ptr %at
  br label %wait
wait:
  %here = load atomic i64, ptr %closure seq_cst, align 8
  %all = icmp sge i64 %here, %awaited
  br i1 %all, label %done, label %wait
done:
  ret i32 0
}
define i32 @meeting(ptr %closure, i64 %n) {
  %status = call i32 @halo_par_for(ptr @meet, ptr %closure, i64 0, i64 %n)
  ret i32 %status
}

define i32 @churn(i64 %i, ptr %unused) {
entry:
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %next, %fine ]
  %size = mul i64 %k, 37
  %a = call ptr @halo_malloc(i64 %size)
  %b = call ptr @halo_malloc(i64 100)
  store i64 %i, ptr %a
  store i64 %k, ptr %b
  %back = load i64, ptr %a
  call void @halo_free(ptr %b)
  call void @halo_free(ptr %a)
  %same = icmp eq i64 %back, %i
  br i1 %same, label %fine, label %bad
fine:
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, 200
  br i1 %more, label %loop, label %good
good:
  ret i32 0
bad:
  ret i32 3
}
define i32 @churning(i64 %n) {
  %status = call i32 @halo_par_for(ptr @churn, ptr null, i64 0, i64 %n)
  ret i32 %status
}
"""
NAMES = ("counts", "nested", "failing", "meeting", "churning")


class Native:
    """The functions of `KERNELS`, and the runtime's own, as Python calls."""

    def __init__(self):
        self.runtime = runtime.runtime()
        code = llvm.compile_ir(KERNELS, Target.host())
        self.library = llvm.load_object(code, self.runtime.symbols, NAMES)
        for name in NAMES:
            setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int)(self.library.address(name)))
        self.malloc = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_int64)(self.runtime.symbols["halo_malloc"])
        self.free = ctypes.CFUNCTYPE(None, ctypes.c_size_t)(self.runtime.symbols["halo_free"])

    def counted(self, lo, n, size=None):
        counts = np.zeros(size or lo + n, np.int64)
        assert self.counts(pointer(counts), ctypes.c_int64(lo), ctypes.c_int64(n)) == 0
        return counts


def pointer(a):
    return ctypes.c_void_p(a.ctypes.data)


@pytest.fixture(scope="module")
def native():
    return Native()


# Parallel loops


@pytest.mark.parametrize(("lo", "n"), [(0, 1), (0, 2), (3, 7), (0, 64), (5, 100_000), (2, 0), (2, -3)])
def test_every_iteration_runs_once(native, lo, n):
    counts = native.counted(lo, n, max(lo + n, 8) + 3)
    expected = np.zeros_like(counts)
    expected[lo : lo + max(n, 0)] = 1
    assert np.array_equal(counts, expected)


def test_negative_start(native):
    counts = np.zeros(20, np.int64)
    middle = ctypes.c_void_p(counts.ctypes.data + 80)
    assert native.counts(middle, ctypes.c_int64(-10), ctypes.c_int64(20)) == 0
    assert (counts == 1).all()


def test_nested_loops_run(native):
    counts = np.zeros(400, np.int64)
    assert native.nested(pointer(counts)) == 0
    assert (counts == 1).all()


def test_the_first_status_is_returned_and_stops_the_loop(native):
    closure = np.array([0, 0], np.int64)
    assert native.failing(pointer(closure), ctypes.c_int64(1_000_000)) == 7
    assert closure[1] < 500_000
    assert native.failing(pointer(np.array([-1, 0], np.int64)), ctypes.c_int64(1000)) == 0
    for n in (1, 5):
        assert native.failing(pointer(np.array([n - 1, 0], np.int64)), ctypes.c_int64(n)) == 7


def test_eight_callers_at_once(native):
    wrong = []

    def work():
        for n in (3, 50, 1000):
            for _ in range(20):
                if not (native.counted(0, n) == 1).all():
                    wrong.append(n)

    run_in_threads([work] * 8)
    assert not wrong


def run_in_threads(functions):
    threads = [threading.Thread(target=f) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def in_process(code, **environment):
    """Run `code` after the setting up in a new process; what it prints."""
    here = os.path.dirname(__file__)
    head = "import sys, os; import test_runtime as t; from halo.jit import threads; native = t.Native()\n"
    path = os.pathsep.join([here, *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", head + code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


CHECK = """
def check():
    for n in (1, 2, 50, 3000):
        assert (native.counted(0, n) == 1).all()
    counts = t.np.zeros(400, t.np.int64)
    assert native.nested(t.pointer(counts)) == 0 and (counts == 1).all()
"""
LAYERS = ["default", "tbb", "workqueue", "omp"]


@pytest.mark.parametrize("layer", LAYERS)
def test_layers(layer):
    """Right with every layer: many callers, nested loops, both threads at work."""
    code = """
check()
t.run_in_threads([check] * 8)
closure = t.np.array([0, 2], t.np.int64)
assert native.meeting(t.pointer(closure), t.ctypes.c_int64(2)) == 0
print(threads.threading_layer(), "numba" in sys.modules)
"""
    name = "halo" if layer == "default" else layer
    assert in_process(CHECK + code, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == f"{name} False\n"


FORK = """
def forked(then):
    child = os.fork()
    if child == 0:
        try:
            then()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("where", ["main", "other", "launched elsewhere", "busy"])
def test_fork(layer, where):
    """Children and grandchildren of a process that ran loops run loops, whichever thread forks."""
    code = {
        "main": "check(); forked(lambda: (check(), forked(check))); check()",
        "other": "check(); t.run_in_threads([lambda: forked(check)]); check()",
        "launched elsewhere": "t.run_in_threads([check]); forked(check); check()",
        "busy": """
stop = []
def loop():
    while not stop:
        check()
def fork():
    for _ in range(3):
        forked(check)
    stop.append(1)
t.run_in_threads([loop, loop, loop, fork])
""",
    }[where]
    in_process(CHECK + FORK + code, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_children_are_parallel_and_keep_the_number_of_threads():
    code = """
def both():
    closure = t.np.array([0, 2], t.np.int64)
    assert native.meeting(t.pointer(closure), t.ctypes.c_int64(2)) == 0
def one():
    assert threads.get_num_threads() == 1
    check()
both()
forked(both)
threads.set_num_threads(1)
forked(one)
threads.set_num_threads(2)
forked(lambda: forked(both))
"""
    in_process(CHECK + FORK + code, NUMBA_NUM_THREADS="2")


def test_two_threads_share_a_loop(native):
    """An iteration that waits for another one ends: they run at the same time."""
    if threads.get_num_threads() == 1:
        pytest.skip("one thread")
    closure = np.array([0, 2], np.int64)
    assert native.meeting(pointer(closure), ctypes.c_int64(2)) == 0


# Memory


def test_blocks_are_aligned_and_apart(native):
    sizes = [0, 1, 63, 64, 65, 80, 81, 100, 128, 129, 1000, 4095, 4096, 4097, 10**5, 10**6 + 1]
    blocks = [(native.malloc(n), n) for n in sizes for _ in range(3)]
    assert all(p % 64 == 0 and p for p, _ in blocks)
    for k, (p, n) in enumerate(blocks):
        ctypes.memset(p, k, n)
    for k, (p, n) in enumerate(blocks):
        assert ctypes.string_at(p, n) == bytes([k]) * n
        native.free(p)


def test_a_freed_block_comes_back(native):
    first = native.malloc(5 << 20)
    ctypes.memset(first, 1, 5 << 20)
    native.free(first)
    second = native.malloc(5 << 20)
    assert second == first
    native.free(second)


def test_a_freed_block_serves_down_to_half_its_size(native):
    runtime.trim()
    before = runtime.memory().live
    first = native.malloc(8 << 20)
    native.free(first)
    second = native.malloc((4 << 20) + 1)
    assert second == first
    assert runtime.memory().live - before == 8 << 20
    other = native.malloc(8 << 20)  # in use: it is not there twice
    native.free(second)
    third = native.malloc((2 << 20) + 1)
    assert third not in (first, other)
    assert runtime.memory().kept == 8 << 20
    for p in (other, third):
        native.free(p)
    assert runtime.memory().live == before


def test_counters(native):
    runtime.trim()
    before = runtime.memory()
    assert before.kept == 0
    p, q = native.malloc(1000), native.malloc(1 << 20)
    during = runtime.memory()
    assert during.calls - before.calls == 2
    assert 1000 + (1 << 20) <= during.live - before.live <= 1.25 * (1000 + (1 << 20))
    assert during.peak >= during.live
    native.free(p)
    native.free(q)
    after = runtime.memory()
    assert after.live == before.live
    assert after.kept == during.live - before.live
    runtime.trim()
    assert runtime.memory().kept == 0


def test_kept_memory_is_bounded(native):
    state = native.runtime.state
    saved, state.limit = state.limit, 10 << 20
    try:
        runtime.trim()
        blocks = [native.malloc(1 << 20) for _ in range(20)]
        for p in blocks:
            native.free(p)
            assert runtime.memory().kept <= 10 << 20
        assert runtime.memory().kept > 0
        native.free(native.malloc(11 << 20))
        assert runtime.memory().kept <= 10 << 20
    finally:
        state.limit = saved


def test_out_of_memory_is_null(native):
    for absurd in (-1, 1 << 62, (1 << 46) + 1, 1 << 46):
        assert native.malloc(absurd) == 0
    native.free(0)


def test_threads_share_the_pool(native):
    before = runtime.memory()
    failed = []

    def churn():
        if native.churning(ctypes.c_int64(50)) != 0:
            failed.append(1)

    run_in_threads([churn] * 4)
    assert not failed
    assert runtime.memory().live == before.live
    assert runtime.memory().calls - before.calls == 4 * 50 * 200 * 2


def test_the_limit_is_an_option():
    assert in_process("print(native.runtime.state.limit)", HALO_MEMORY_POOL="3M") == f"{3 << 20}\n"


def test_pooled_memory_saves_page_faults(native):
    import resource

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        p = native.malloc(64 << 20)
        ctypes.memset(p, 1, 64 << 20)
        native.free(p)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    runtime.trim()
    faults()
    assert faults() < 10


# The library


@pytest.mark.parametrize(
    ("name", "mirror"),
    [
        ("State", runtime.State),
        ("Threads", runtime.Threads),
        ("Crew", runtime.Crew),
        ("Memo", runtime.MemoState),
    ],
)
def test_every_state_field_has_its_place(name, mirror):
    """`State` mirrors the head of %State, `Threads` %Threads, `Crew` %Crew, `MemoState` the head of %Memo."""
    text = "\n".join(path.read_text() for path in runtime._SOURCES)
    text = text[text.index(f"%{name} = type") :]
    fields = re.findall(r"^  (ptr|i64),?\s+; (\d+) (\w+)", text[: text.index("\n}")], re.M)
    assert [int(k) for _, k, _ in fields] == list(range(len(fields)))
    types = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64}
    assert [(n, types[t]) for t, _, n in fields][: len(mirror._fields_)] == list(mirror._fields_)


def test_compiled_once_for_all_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_state", cache._State())
    with config.options(cache=True):
        first = runtime.Runtime()
        calls = []
        monkeypatch.setattr(llvm, "compile_ir", lambda *a: calls.append(a))
        second = runtime.Runtime()
    assert not calls
    assert set(first.symbols) == set(second.symbols) == {*runtime._EXPORTS, "halo_print"}


def test_libraries_are_freed(native):
    """500 libraries come and go; the memory stays."""
    code = llvm.compile_ir(KERNELS, Target.host())

    def load(n):
        for _ in range(n):
            llvm.load_object(code, native.runtime.symbols, NAMES)

    load(50)
    before = resident()
    load(500)
    assert resident() - before < 4 << 20


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_launch_is_quick(native):
    """An upper bound far from the measured 1 µs: it would catch a pool that is started anew at each loop."""
    counts = np.zeros(64, np.int64)
    at, lo, n = pointer(counts), ctypes.c_int64(0), ctypes.c_int64(64)
    native.counts(at, lo, n)
    start = time.perf_counter()
    for _ in range(200):
        native.counts(at, lo, n)
    assert (time.perf_counter() - start) / 200 < 2e-3
