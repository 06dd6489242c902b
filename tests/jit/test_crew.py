"""The crew: threads that share loops, sleep and wake. What loops compute on it is tested in `test_runtime`."""

import ctypes
import os

import numpy as np
import pytest

import halo
from halo.jit import llvm, runtime
from halo.jit.target import Target
from tests.jit.test_runtime import FORK, in_process, pointer

KERNELS = """
declare i32 @halo_par_for(ptr, ptr, i64, i64)

; closure: i64 {threads inside now, the most that ever were, iterations run, steps that an iteration takes}
define i32 @stay(i64 %i, ptr %closure) {
entry:
  %most.at = getelementptr i64, ptr %closure, i64 1
  %ran.at = getelementptr i64, ptr %closure, i64 2
  %steps.at = getelementptr i64, ptr %closure, i64 3
  %steps = load i64, ptr %steps.at
  %before = atomicrmw add ptr %closure, i64 1 seq_cst
  %inside = add i64 %before, 1
  %most = atomicrmw umax ptr %most.at, i64 %inside seq_cst
  %ran = atomicrmw add ptr %ran.at, i64 1 seq_cst
  br label %step
step:
  %k = phi i64 [ 0, %entry ], [ %k.next, %step ]
  %unused = load atomic i64, ptr %closure seq_cst, align 8
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %steps
  br i1 %more, label %step, label %leave
leave:
  %after = atomicrmw sub ptr %closure, i64 1 seq_cst
  ret i32 0
}
define i32 @crowd(ptr %closure, i64 %n) {
  %status = call i32 @halo_par_for(ptr @stay, ptr %closure, i64 0, i64 %n)
  ret i32 %status
}

; loops inside of loops inside of loops: 4, 3 and 2 iterations
define i32 @middle(i64 %i, ptr %closure) {
  %status = call i32 @halo_par_for(ptr @stay, ptr %closure, i64 0, i64 2)
  ret i32 %status
}
define i32 @outer(i64 %i, ptr %closure) {
  %status = call i32 @halo_par_for(ptr @middle, ptr %closure, i64 0, i64 3)
  ret i32 %status
}
define i32 @deep(ptr %closure) {
  %status = call i32 @halo_par_for(ptr @outer, ptr %closure, i64 0, i64 4)
  ret i32 %status
}
"""


class Crew:
    """Loops as Python calls, on the crew of this process."""

    def __init__(self):
        loaded = runtime.runtime()
        self.state = loaded.crew
        self.library = llvm.load_object(llvm.compile_ir(KERNELS, Target.host()), loaded.symbols, ("crowd", "deep"))
        self._crowd = ctypes.CFUNCTYPE(ctypes.c_int)(self.library.address("crowd"))
        self._deep = ctypes.CFUNCTYPE(ctypes.c_int)(self.library.address("deep"))

    def crowd(self, n, steps=0):
        """How many threads at most were in a loop of `n` iterations at once."""
        closure = np.array([0, 0, 0, steps], np.int64)
        assert self._crowd(pointer(closure), ctypes.c_int64(n)) == 0
        assert closure[0] == 0
        assert closure[2] == n
        return closure[1]

    def deep(self):
        closure = np.array([0, 0, 0, 50], np.int64)
        assert self._deep(pointer(closure)) == 0
        assert closure[0] == 0
        assert closure[2] == 24


def meet(native, awaited):
    """A loop that ends only if as many threads come as are awaited: one that is not woken would leave it hanging."""
    closure = np.array([0, awaited], np.int64)
    assert native.meeting(pointer(closure), ctypes.c_int64(awaited)) == 0


HEAD = "import test_crew as c, time, threading; crew = c.Crew()\n"


def crew_of(count, code):
    return in_process(HEAD + code, NUMBA_THREADING_LAYER="default", NUMBA_NUM_THREADS=str(count))


def test_members_fall_asleep_and_wake():
    code = """
crew.crowd(8)
assert threads.threading_layer() == "halo" and crew.state.count == 1
for gap in (0, 20e-6, 50e-6, 60e-6, 200e-6, 5e-3):
    for k in range(10 if gap > 1e-3 else 100):
        c.meet(native, 2)
        end = time.perf_counter() + gap * (k % 16) / 8
        while time.perf_counter() < end:
            pass
"""
    crew_of(2, code)


def test_nobody_spins_where_nothing_runs():
    code = """
for _ in range(100):
    crew.crowd(64)
time.sleep(0.05)
before = time.process_time()
time.sleep(0.5)
print(time.process_time() - before)
"""
    assert float(crew_of(4, code)) < 0.05


@pytest.mark.parametrize("count", [2, 3, 8])
def test_all_come(count):
    """More threads than processors, too: awake, from sleep, with some awake and some asleep."""
    code = f"""
for k in range(6):
    c.meet(native, {count})
    if k % 3:
        time.sleep(0.002)
    for n in range(2, {count}):
        c.meet(native, n)
print(crew.state.count)
"""
    assert crew_of(count, code) == f"{count - 1}\n"


def test_a_loop_has_no_more_threads_than_it_may():
    code = """
most = {}
for n in (1, 2, 5, 8, 3):
    threads.set_num_threads(n)
    most[n] = max(crew.crowd(100, 300) for _ in range(50))
assert all(most[n] <= n for n in most), most
threads.set_num_threads(2)
c.meet(native, 2)
"""
    crew_of(8, code)


def test_a_caller_sleeps_until_the_others_are_done():
    """Iterations longer than patience, more threads than processors: the caller is through before the others."""
    code = """
for _ in range(20):
    crew.crowd(9, 1_000_000)
"""
    crew_of(8, code)


def test_loops_inside_of_loops():
    code = """
for _ in range(300):
    crew.deep()
def many():
    for _ in range(100):
        crew.deep()
t.run_in_threads([many] * 6)
"""
    crew_of(4, code)


@pytest.mark.parametrize("callers", [2, 12, 90])
def test_callers_at_once(callers):
    """More of them than there are posts: who finds none works alone."""
    code = f"""
def work():
    for n in (1, 2, 3, 64, 500):
        for _ in range({1200 // callers}):
            crew.crowd(n, 20)
t.run_in_threads([work] * {callers})
crew.crowd(100)
c.meet(native, 3)
"""
    crew_of(3, code)


def test_callers_with_counts_of_their_own():
    code = """
wrong = []
def work(n):
    threads.set_num_threads(n)
    for _ in range(300):
        if crew.crowd(20, 50) > n or threads.get_num_threads() != n:
            wrong.append(n)
t.run_in_threads([lambda n=n: work(n) for n in (1, 2, 3, 4, 5, 6)])
assert not wrong, wrong
"""
    crew_of(6, code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_children_have_members_of_their_own():
    """Whatever the parent's were doing: asleep, awake, in a loop of another thread."""
    code = """
def child():
    assert crew.state.count == 0
    for _ in range(5):
        c.meet(native, 4)
    crew.deep()
    assert crew.state.count == 3 and threads.threading_layer() == "halo"
c.meet(native, 4)
forked(child)
time.sleep(0.01)
forked(child)
stop = []
def loop():
    while not stop:
        crew.crowd(50, 100)
def fork():
    for _ in range(4):
        forked(child)
    stop.append(1)
t.run_in_threads([loop, loop, fork])
c.meet(native, 4)
"""
    crew_of(4, FORK + code)


def test_a_child_of_a_process_on_another_layer_has_a_crew():
    code = """
crew.crowd(8)
assert threads.threading_layer() == "tbb" and crew.state.count == 0
def child():
    c.meet(native, 2)
    assert threads.threading_layer() == "halo" and crew.state.count == 1
forked(child)
"""
    in_process(HEAD + FORK + code, NUMBA_THREADING_LAYER="tbb", NUMBA_NUM_THREADS="2")


def test_a_process_may_end_while_loops_run():
    code = """
def loop():
    while True:
        crew.crowd(50, 100)
for _ in range(3):
    threading.Thread(target=loop, daemon=True).start()
time.sleep(0.05)
print("over")
"""
    assert crew_of(4, code) == "over\n"


def test_a_hundred_thousand_launches():
    code = """
import numpy as np, random
def launch(times, size):
    counts = np.zeros(size, np.int64)
    arguments = t.pointer(counts), t.ctypes.c_int64(0), t.ctypes.c_int64(size)
    for k in range(times):
        assert native.counts(*arguments) == 0
        assert counts[-1] == counts[0] == k + 1
    assert (counts == times).all()
launch(60_000, 2)
launch(10_000, 7)
t.run_in_threads([lambda: launch(10_000, 5)] * 3)
"""
    crew_of(3, code)


@halo.func
def squares(y, x, *, a):
    return a[y, x] * 2 + a[y, x] * a[y, x]


@halo.func
def totals(y):
    return sum(squares[y, r] for r in halo.rdom(300))


def test_results_do_not_depend_on_the_number_of_threads():
    code = """
squares, totals = c.squares, c.totals
totals.parallel("y")
squares.compute_root().parallel("y").parallel("x")
a = t.np.random.default_rng(0).random((200, 300), t.np.float32)
found = []
def work(n):
    threads.set_num_threads(n)
    found.extend(totals(a, shape=(200,)).tobytes() for _ in range(30))
t.run_in_threads([lambda n=n: work(n) for n in (1, 2, 3, 8)])
print(len(found), len(set(found)))
"""
    assert crew_of(8, code) == "120 1\n"
