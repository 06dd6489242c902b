"""Calls in definitions: helpers inlined or run, closures, methods, functional tools, Numba functions."""

from __future__ import annotations

import functools
import itertools
import math
import operator

import numpy as np
import pytest

from halo.errors import DefinitionError
from halo.ir import functions as halo
from halo.ir.surface import Call
from halo.types import f32

from .written import definitions, pure, values


def clip01(v):
    """A helper with an `if`."""
    if v < 0:
        return 0
    return 1 if v > 1 else v


def tap(image, y, x, dy=0, *, dx=0, scale=2):
    value = image[y + dy, x + dx]
    return value * scale


def gaussian(radius):
    weights = []
    k = -radius
    while k <= radius:  # a language that no definition has
        weights.append(math.comb(2 * radius, k + radius))
        k += 1
    return weights


class Camera:
    def __init__(self, gain):
        self.gain = gain

    def expose(self, v):
        return v * self.gain


def test_helpers_are_inlined():
    def f(x, *, a):
        return clip01(a[x]) + clip01(2)

    assert pure(f) == "select(a[x] < 0, 0, select(a[x] > 1, 1, a[x])) + 1"


def test_helpers_subscript_what_they_are_given():
    def f(y, x, *, img):
        return tap(img, y, x) + tap(img, y, x, 1, dx=-1, scale=1)

    d = definitions(f)
    assert d.inputs[0].ndim == 2
    assert pure(f) == "img[y + 0, x + 0]*2 + img[y + 1, x + -1]*1"


def test_helpers_on_constants_are_run_by_python():
    def f(x, *, a):
        return sum(w * a[x + k] for k, w in enumerate(gaussian(1)))

    assert pure(f) == "1*a[x + 0] + 2*a[x + 1] + 1*a[x + 2]"


def test_helpers_on_constants_that_read_a_func_are_inlined():
    def f(x, *, a):
        def_image = a

        return total_of(def_image, 3) + x

    assert pure(f) == "sum(a[r, 3] for r in rdom(5)) + x"


def total_of(image, column):
    return sum(image[r, column] for r in halo.rdom(5))


def test_a_func_that_a_helper_reaches_by_a_closure():
    table = halo.pad(np.arange(4), "edge")

    def at_most(k):
        return sum(table[r] for r in halo.rdom(k))

    def f(x):
        return at_most(2) + x

    assert pure(f) == "sum(array[r] for r in rdom(2)) + x"


def test_recursion_that_constants_stop():
    def power(v, n):
        return v if n == 1 else power(v, n // 2) * power(v, n - n // 2)

    def f(x):
        return power(x, 4)

    assert pure(f) == "x*x*(x*x)"


def test_recursion_without_end():
    def endless(v):
        return endless(v + 1) if v > 0 else v

    def f(x):
        return endless(x)

    with pytest.raises(DefinitionError, match="endless calls itself without end"):
        definitions(f)


def test_lambdas():
    double = lambda v: v * 2

    def f(x, *, a):
        scale = lambda v, k=3: v * k
        return double(a[x]) + scale(x) + scale(x, k=5) + (lambda: 7)()

    assert pure(f) == "a[x]*2 + x*3 + x*5 + 7"


def test_methods_and_partials():
    camera, shifted = Camera(4), functools.partial(tap, dy=2, scale=1)

    def f(y, x, *, img):
        return camera.expose(img[y, x]) + shifted(img, y, x) + Camera(2).gain

    assert pure(f) == "img[y, x]*4 + img[y + 2, x + 0]*1 + 2"


def test_functional_tools():
    def f(x, *, a):
        squares = map(lambda v: v * v, (a[x], x))
        kept = filter(lambda k: k % 2, range(5))
        pairs = [p * q for p, q in zip((a[x], 1), itertools.chain((2,), (x,)), strict=True)]
        return functools.reduce(operator.sub, [*squares, *kept]) + sum(reversed(pairs)) + operator.neg(x)

    assert pure(f) == "a[x]*a[x] - x*x - 1 - 3 + (1*x + a[x]*2) + -x"


def test_arguments_by_star():
    def f(x, *, a):
        args, options = (a, x), {"scale": 3}
        return tap2(*args, **options)

    assert pure(f) == "a[x]*3"


def tap2(image, x, scale):
    return image[x] * scale


def test_halo_functions():
    def f(x, *, a):
        return halo.select(a[x] > 1, halo.clamp(a[x], 0, 9), halo.absd(a[x], x)) + halo.saturate(f32, a[x])

    assert pure(f) == "select(a[x] > 1, clamp(a[x], 0, 9), absd(a[x], x)) + saturate(a[x])"


def test_a_tuple_from_a_helper():
    def both(v):
        return v + 1, v - 1

    def f(x):
        hi, lo = both(x)
        return both(hi * lo)

    assert values(f) == ["(x + 1)*(x - 1) + 1", "(x + 1)*(x - 1) - 1"]


def test_errors_in_a_helper_show_both_places():
    def f(x, *, a):
        return bad_helper(a[x])

    with pytest.raises(DefinitionError) as e:
        definitions(f)
    assert e.value.loc.text.strip() == "return np.fft.fft(v)"
    ((place, note),) = e.value.related
    assert note == "bad_helper is inlined here"
    assert place.text.strip() == "return bad_helper(a[x])"


def bad_helper(v):
    return np.fft.fft(v)


def test_numba_functions():
    import numba

    @numba.njit
    def twice(v, k=2):
        return v * k

    def f(x, *, a):
        return twice(a[x]) + twice(3)

    (total,) = definitions(f).pure.values
    call = total.args[0]
    assert isinstance(call, Call) and (call.op, call.data) == ("call", twice)
    assert [repr(v) for v in call.args] == ["a[x]", "2"]
    assert repr(total.args[1]) == "6"
