"""Threads for the halves of forks: in processes of one, two and four threads, on every layer, from many callers, after a
fork, with pauses at random; and that nothing of it keeps a process from ending."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAD = """
import faulthandler; faulthandler.dump_traceback_later(240, exit=True)
import os, random, threading, time
import numpy as np
import halo
from halo.jit.runtime import memory, runtime

SHAPE = (40, 23)
rows, columns = np.mgrid[:40, :23]
WANT = 2 * (rows * 1000 + columns) + 1002

def pausing(longest):
    def copy(out, values):
        if longest and random.random() < 0.5:
            time.sleep(random.random() * longest)
        np.copyto(out, values + 1)
    return copy

def stages(place, longest=0.0, parallel=False):
    y, x = halo.vars("y x")
    f, g, h = halo.Func("f"), halo.Func("g"), halo.Func("h")
    f[y, x] = y * 1000 + x
    slow = halo.extern(pausing(longest), [f], halo.i32, 2)
    g[y, x] = slow[y, x]
    h[y, x] = g[y, x] + g[y + 1, x]
    after = halo.extern(pausing(longest), [h], halo.i32, 2)
    out = halo.Func("out")
    out[y, x] = after[y, x] - 1
    out.compute_root()
    for stage, at in ((f, g), (slow, g), (h, out), (after, out)):
        stage.compute_at(at, "y")
    if place == "fold":
        g.store_root().compute_at(out, "y").fold_storage("y", 8)
    elif place == "ring":
        g.compute_at(out, "y").hoist_storage_root().ring_buffer(3)
    elif place == "strips":
        g.store_at(out, "y").compute_at(out, "y_p")
        for stage in (h, after):
            stage.compute_at(out, "y_p")
        out.parallel("y", 8)
    else:
        g.compute_at(out, "y")
        if place == "parallel":
            out.parallel("y")
    return g.async_() and out

def check(out, times):
    for _ in range(times):
        np.testing.assert_array_equal(out(shape=SHAPE), WANT)

PLACES = ("fold", "ring", "strips", "within", "parallel")
"""


def in_process(code: str, **environment: str) -> list[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    run = subprocess.run([sys.executable, "-c", HEAD + code], env=env, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.parametrize("layer", ["tbb", "workqueue"])
@pytest.mark.parametrize("threads", ["1", "2", "4"])
def test_every_layer(layer: str, threads: str) -> None:
    code = """
for place in PLACES:
    check(stages(place), 20)
    check(stages(place, 1e-4), 2)
print(runtime().threads.count > 0, memory().live)
"""
    out = in_process(code, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS=threads)
    assert out == [str(threads != "1"), "0"]


def test_callers_in_several_threads() -> None:
    code = """
fine = []
def call(place):
    out = stages(place, 1e-4)
    check(out, 5)
    fine.append(place)
callers = [threading.Thread(target=call, args=(place,)) for place in PLACES * 2]
for t in callers: t.start()
for t in callers: t.join()
print(len(fine), memory().live)
"""
    assert in_process(code, NUMBA_NUM_THREADS="2") == ["10", "0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_children_of_a_fork() -> None:
    code = """
faulthandler.cancel_dump_traceback_later()
check(stages("fold"), 5)
for _ in range(2):
    child = os.fork()
    if child == 0:
        import signal
        signal.alarm(60)
        for place in PLACES:
            check(stages(place), 5)
        os._exit(7 if runtime().threads.count else 8)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
check(stages("fold"), 5)
"""
    assert in_process(code, NUMBA_NUM_THREADS="2") == ["7", "7"]


def test_a_process_ends_while_threads_wait_for_work() -> None:
    assert in_process('check(stages("fold"), 2); print(runtime().threads.count)', NUMBA_NUM_THREADS="2") == ["1"]


def test_threads_end_when_they_are_too_many() -> None:
    code = """
runtime().threads.limit = 1
fine = []
def call():
    check(stages("fold", 1e-4), 3)
    fine.append(1)
callers = [threading.Thread(target=call) for _ in range(4)]
for t in callers: t.start()
for t in callers: t.join()
print(len(fine), runtime().threads.count)
"""
    assert in_process(code, NUMBA_NUM_THREADS="2") == ["4", "1"]


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2", "4"])
def test_thousands_of_calls(threads: str) -> None:
    code = """
for place in PLACES:
    check(stages(place), 1000)
    check(stages(place, 1e-3), 20)
print(memory().live)
"""
    assert in_process(code, NUMBA_NUM_THREADS=threads) == ["0"]
