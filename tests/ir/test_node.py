"""What nodes are kept in, and what is kept from the garbage collector."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from halo.ir import algebra as A
from halo.ir.expr import Const, Var
from halo.ir.facts import free_vars
from halo.ir.node import Node, interning, node_count, uncollected
from halo.types import index


def test_nodes_are_counted_once():
    with interning():
        x = Var("x")
        before = node_count()
        first = A.add(x, Const(3, index))
        made = node_count() - before
        assert A.add(x, Const(3, index)) is first
        assert node_count() - before == made


def test_expressions_die_without_the_collector():
    """No node is in a cycle, nor what substitutes: thousands of them are gone at the end of a compilation."""
    gc.collect()
    gc.disable()
    try:
        with interning():
            x, y = Var("x"), Var("y")
            e = A.minimum(A.add(x, y), A.floordiv(A.mul(x, Const(3, index)), Const(2, index)))
            assert free_vars(A.substitute(e, {x: A.add(y, Const(1, index))})) == {y}
            assert free_vars(e) == {x, y}
            del x, y, e
        gc.set_debug(gc.DEBUG_SAVEALL)  # what the collector finds of other threads does not count
        gc.collect()
        assert not [e for e in gc.garbage if isinstance(e, Node)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_the_collector_is_as_before():
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="oops"), uncollected():
        raise ValueError("oops")
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_last_of_several_threads_resumes():
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with uncollected():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=work)
    with uncollected():
        thread.start()
        inside.wait()
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_collects():
    with uncollected():
        pid = os.fork()
        if pid == 0:
            os._exit(0 if gc.isenabled() else 1)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
