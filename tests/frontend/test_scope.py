"""Free names are what they were when the function was decorated."""

from __future__ import annotations

import math
import timeit

import numpy as np
import pytest

from halo.errors import DefinitionError
from halo.frontend.capture import capture
from halo.frontend.scope import MISSING, Scope, keep, touches_halo
from halo.ir import functions as halo

RADIUS = 3
WEIGHTS = [1, 2, 1]


def value(captured, rank=None):
    """The text of the one value that a definition returns."""
    (e,) = captured.definitions(rank).pure.values
    return repr(e)


def by_helper(y):
    return scale_of_module * y


scale_of_module = 10


def test_globals_are_looked_up_at_decoration():
    global RADIUS

    def f(y):
        return y + RADIUS

    captured = capture(f)
    RADIUS = 99
    try:
        assert value(captured) == "y + 3"
    finally:
        RADIUS = 3


def test_closure_cells_are_looked_up_at_decoration():
    made = []
    for k in range(3):

        def f(y):
            return y + k

        made.append(capture(f))
    assert [value(c) for c in made] == ["y + 0", "y + 1", "y + 2"]


def test_names_of_nested_generators():
    weights, taps = [1, 2, 4], range(3)

    def f(y, *, img):
        return sum(img[y + k] * weights[k] for k in taps)

    captured = capture(f)
    del weights[:]
    assert value(captured) == "img[y + 0]*1 + img[y + 1]*2 + img[y + 2]*4"


def test_lists_and_arrays_are_copied():
    nested, array, table = [[1, 2], [3, 4]], np.arange(3), {"a": [5]}

    def f(y):
        return y + nested[1][0] + array[2] + table["a"][0]

    captured = capture(f)
    nested[1][0], array[2], table["a"][0] = 0, 0, 0
    assert value(captured) == "y + 3 + i64(2) + 5"


def test_keep():
    inner = np.arange(4)
    kept = keep((inner, [inner], {"k": inner}, "text"))
    inner[:] = 9
    assert kept[0].tolist() == kept[1][0].tolist() == kept[2]["k"].tolist() == [0, 1, 2, 3]
    assert not kept[0].flags.writeable


def test_helpers_see_the_names_of_the_moment_too():
    global scale_of_module

    def f(y):
        return by_helper(y)

    captured = capture(f)
    scale_of_module = 20
    try:
        assert value(captured) == "10*y"
    finally:
        scale_of_module = 10


def test_helpers_on_constants_see_the_names_of_the_moment():
    offset = 5

    def helper(k):
        return k + offset

    def outer(k):
        return helper(k) + 1

    def f(y):
        return y + outer(2)

    captured = capture(f)
    offset = 50
    assert value(captured) == "y + 8"


def test_a_name_that_is_defined_below():
    def f(y):
        return later_defined[y]  # noqa: F821  (unbound on purpose)

    captured = capture(f)
    globals()["later_defined"] = [1, 2]
    try:
        with pytest.raises(DefinitionError) as e:
            captured.definitions()
    finally:
        del globals()["later_defined"]
    assert e.value.message == "later_defined was not defined yet when f was decorated"
    assert e.value.hint == "define later_defined above f"


def test_a_closure_cell_that_is_assigned_below():
    def f(y):
        return below + y

    captured = capture(f)
    below = 3
    with pytest.raises(DefinitionError, match="below is not defined"):
        captured.definitions()
    assert below == 3


def test_the_nearest_names_are_suggested():
    def f(image_row, *, gain):
        return image_rwo * gain + RADUIS  # noqa: F821  (unbound on purpose)

    with pytest.raises(DefinitionError) as e:
        capture(f).definitions()
    assert e.value.hint == "did you mean image_row?"


def test_its_own_name_is_always_itself():
    fib = "an older meaning"

    def fib(t):  # noqa: F811  (a second meaning on purpose)
        fib[t] = 1
        for r in halo.rdom((2, 8)):
            fib[r] = fib[r - 1] + fib[r - 2]

    captured = capture(fib)
    (update,) = captured.definitions().updates
    target = update.values[0].args[0].target
    assert target.name == "fib"


def test_builtins_may_be_shadowed():
    def sum(values):
        return 7

    def f(y):
        return y + sum([1, 2])

    assert value(capture(f)) == "y + 7"


def test_lookup():
    def f(y):
        return RADIUS + math.pi + len([])

    scope = Scope(f)
    assert scope.lookup("RADIUS") == 3
    assert scope.lookup("math") is math
    assert scope.lookup("len") is len
    assert scope.lookup("nothing") is MISSING


def test_frozen_helpers_that_call_each_other():
    def even(n):
        return True if n == 0 else odd(n - 1)

    def odd(n):
        return False if n == 0 else even(n - 1)

    def f(y):
        return y if even(10) else 0

    scope = Scope(f)
    frozen = scope.frozen(even)
    assert frozen(4) and not frozen(5)
    assert value(capture(f)) == "y"


def test_touches_halo():
    from halo.types import u8

    def plain(n):
        return n + RADIUS

    def typed(n):
        return u8(n)

    def by_way(n):
        return typed(n)

    scope = Scope(by_way)
    assert touches_halo(by_way, scope)
    assert not touches_halo(plain, Scope(plain))


def test_decorating_costs_microseconds():
    def f(y, x, *, img, gain=1.0):
        return sum(img[y + k, x] * WEIGHTS[k] for k in range(RADIUS)) * gain + by_helper(y)

    best = min(timeit.repeat(lambda: capture(f), number=200, repeat=5)) / 200
    assert best < 100e-6  # far above what it takes, so that a busy machine does not fail it
