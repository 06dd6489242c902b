"""Whose threads loops run on: halo's or Numba's layers, without Numba; and the number of threads that both share."""

import os
import subprocess
import sys

import pytest

from halo.errors import ArgumentError
from halo.jit import threads


def in_process(code, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    head = "import sys; from halo.jit import threads\n"
    run = subprocess.run([sys.executable, "-c", head + code], env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_numba_is_not_imported():
    out = in_process("print(threads.threading_layer(), any(m.split('.')[0] == 'numba' for m in sys.modules))")
    assert out == ["halo", "False"]


@pytest.mark.parametrize("layer", ["tbb", "omp", "workqueue"])
def test_the_layer_that_is_asked_for(layer):
    assert in_process("print(threads.threading_layer())", NUMBA_THREADING_LAYER=layer) == [layer]


@pytest.mark.parametrize("group", ["default", "safe", "threadsafe", "forksafe", ""])
@pytest.mark.parametrize("tbb", [True, False])
def test_only_a_layer_that_is_named_is_used(group, tbb):
    code = f"threads._preload_tbb = lambda: {tbb}; print(threads.threading_layer(), threads.layer().parallel_for)"
    assert in_process(code, NUMBA_THREADING_LAYER=group) == ["halo", "None"]


def test_no_layer_at_all():
    code = "threads._path = lambda m: None; print(threads.threading_layer(), threads.get_num_threads())"
    assert in_process(code) == ["serial", "1"]


def test_a_missing_layer_is_replaced_with_a_warning():
    code = """
import warnings
threads._preload_tbb = lambda: False
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    print(threads.threading_layer(), len(seen), "tbb" in str(seen[0].message))
"""
    assert in_process(code, NUMBA_THREADING_LAYER="tbb") == ["halo", "1", "True"]


def test_an_unknown_layer_is_refused(monkeypatch):
    monkeypatch.setenv("NUMBA_THREADING_LAYER", "cuda")
    with pytest.raises(ArgumentError, match="NUMBA_THREADING_LAYER") as e:
        threads.layer()
    assert "workqueue" in e.value.legal


@pytest.mark.parametrize(("value", "count"), [("3", "3"), ("1", "1"), ("many", None), ("", None)])
def test_numba_num_threads(value, count):
    out = in_process("print(threads.get_num_threads())", NUMBA_NUM_THREADS=value)
    assert out == [count or str(len(os.sched_getaffinity(0)))]


@pytest.mark.parametrize("layer", ["tbb", "omp", "workqueue"])
def test_set_num_threads_is_numbas(layer):
    """Set in one, seen in the other; other threads keep their own."""
    code = """
import threading
print(threads.get_num_threads())
import numba
numba.get_num_threads()
threads.set_num_threads(2)
print(numba.get_num_threads(), numba.threading_layer())
numba.set_num_threads(3)
print(threads.get_num_threads())
other = threading.Thread(target=lambda: print(threads.get_num_threads()))
other.start()
other.join()
"""
    out = in_process(code, NUMBA_NUM_THREADS="4", NUMBA_THREADING_LAYER=layer)
    assert out == ["4", "2", layer, "3", "4"]


def test_numba_first():
    code = """
import numba
numba.set_num_threads(2)
print(threads.get_num_threads(), threads.threading_layer())
threads.set_num_threads(1)
print(numba.get_num_threads())
"""
    assert in_process(code, NUMBA_NUM_THREADS="3") == ["2", "halo", "1"]


def test_numba_first_on_another_layer():
    """Numba finds no TBB by itself and launches OpenMP: its number of threads still holds."""
    code = """
import numba
numba.config.THREADING_LAYER = "omp"
numba.set_num_threads(2)
print(numba.threading_layer(), threads.get_num_threads(), threads.threading_layer())
"""
    assert in_process(code, NUMBA_NUM_THREADS="3") == ["omp", "2", "halo"]


def test_numba_runs_beside_it():
    code = """
threads.layer()
import numba
@numba.njit(parallel=True)
def total(n):
    s = 0
    for i in numba.prange(n):
        s += i
    return s
print(total(1000), threads.threading_layer())
"""
    assert in_process(code) == ["499500", "halo"]


@pytest.mark.parametrize("bad", [0, -1, 10**6, 1.5, True, "2", None])
def test_bad_counts_are_refused(bad):
    with pytest.raises(ArgumentError):
        threads.set_num_threads(bad)


def test_set_and_get():
    before = threads.get_num_threads()
    try:
        threads.set_num_threads(1)
        assert threads.get_num_threads() == 1
    finally:
        threads.set_num_threads(before)
