"""`@halo.graph.function`: Python's control flow on tensors, against the same function on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import Dim, graph, nn
from halo.graph import Function, If, Loop, Module, Var, constants, parse
from halo.graph.ir import every
from halo.nn import TensorType
from halo.types import f32, i64

A = np.float32([-1, 0, 1, 2])
SMALL = 3


@graph.function
def branches(x: Any, y: Any) -> Any:
    total = nn.sum(x)
    if total > 0:
        z = x + y
        w = z
    elif total < -10:
        z, w = x - y, y
    else:
        z = w = y
    return z * w


@graph.function
def returns(x: Any) -> Any:
    if nn.max(x) > 1 and not nn.min(x) < -5:
        return nn.exp(x), x
    y = -x
    if nn.sum(x) > 0 or SMALL > 5:
        return y, y + x
    return 2 * y, 1 / (x * x + 1)


@graph.function
def newton(a: Any) -> Any:
    x, steps = a, 0
    while nn.max(nn.absolute(x * x - a)) > 1e-3 * nn.max(a):
        x = 0.5 * (x + a / x)
        steps = steps + 1
    return x, steps


@graph.function
def powers(x: Any, n: Any) -> Any:
    y = x
    for i in range(n):
        y = y * 0.5 if nn.equal(nn.mod(i, np.int64(2)), np.int64(0)) else y + x
    for _ in range(SMALL):
        y = y + 1
    return y


@graph.function
def backwards(n: Any) -> Any:
    total = 0
    for i in range(n, 1, -3):
        total = total * 10 + i
    return total


@graph.function
def horner(coefficients: Any, x: Any) -> Any:
    y = x * 0
    for c in coefficients:
        y = y * x + c
    return y


def test_a_branch_on_a_tensor() -> None:
    y = np.float32([5, 6, 7, 8])
    for x in (A, -A, A - 9):
        got = branches(x, y)
        z, w = (x + y, x + y) if x.sum() > 0 else (x - y, y) if x.sum() < -10 else (y, y)
        np.testing.assert_allclose(got, z * w)
    m = branches.module(A, y)
    assert sum(isinstance(e, If) for e in every(m.main)) == 2
    assert str(parse(str(m), constants(m))) == str(m)


def test_branches_that_return() -> None:
    for x in (A, A - 8, -A, A - 4, np.float32([0.5, 0.1, 0, 0])):
        if x.max() > 1 and not x.min() < -5:
            want = np.exp(x), x
        elif x.sum() > 0:
            want = -x, 0 * x
        else:
            want = -2 * x, 1 / (x * x + 1)
        for got, expected in zip(returns(x), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_while() -> None:
    a = np.float32([2, 9, 16])
    x, steps = newton(a)
    np.testing.assert_allclose(x, np.sqrt(a), rtol=1e-3)
    assert 2 < steps < 10
    assert [type(e) for e in every(newton.module(a).main) if isinstance(e, (If, Loop))] == [Loop]


def test_for() -> None:
    for n in (0, 1, 4, -2):
        y = A
        for i in range(n):
            y = y * np.float32(0.5) if i % 2 == 0 else y + A
        np.testing.assert_allclose(powers(A, np.array(n)), y + 3)
        np.testing.assert_array_equal(
            backwards(np.array(n)), sum(i * 10**k for k, i in enumerate(reversed(range(n, 1, -3))))
        )
    c = np.float32([3, 2, 1])
    np.testing.assert_allclose(horner(c, np.float32(2)), 3 * 4 + 2 * 2 + 1)


def test_any_extents_and_calls_of_another() -> None:
    @graph.function
    def both(x: Any) -> Any:
        a, b = newton(x)
        return nn.sum(a) + nn.cast(b, dtype="f32") * 0

    net = both.module(TensorType(("n",), f32)).compile()
    for n in (1, 3, 7):
        a = np.linspace(1, 9, n, dtype=np.float32)
        np.testing.assert_allclose(net(a), np.sqrt(a).sum(), rtol=1e-3)


def test_what_is_inside_may_be_of_any_kind() -> None:
    @graph.function
    def listed(x: Any, n: Any) -> Any:
        parts = [x + k for k in range(3)]
        y = x
        for i in range(n):
            y = y + parts[1] * (2 if SMALL == 3 else 3)
            while SMALL > 10:
                pass
        return nn.concatenate(*parts, y)

    want = np.concatenate([A, A + 1, A + 2, A + 2 * 2 * (A + 1)])
    np.testing.assert_allclose(listed(A, np.array(2)), want)


@graph.function
def breaks(x: Any) -> Any:
    while nn.sum(x) > 0:
        x = x - 1
        if nn.max(x) < 0:
            break
    return x


@graph.function
def deep(x: Any) -> Any:
    for _ in range(3):
        if nn.sum(x) > 0:
            return x
    return x


@graph.function
def inner(x: Any) -> Any:
    while nn.sum(x) > 0:
        return x
    return x


@graph.function
def lists(x: Any) -> Any:
    found: Any = []
    while nn.sum(x) > 0:
        found = [*found, x]
        x = x - 1
    return x


@graph.function
def other_type(x: Any) -> Any:
    y = x if nn.sum(x) > 0 else nn.cast(x, dtype="i32")
    return y


@graph.function
def truth(x: Any) -> Any:
    return next(k for k in (1, 2) if nn.sum(x) > k)


@graph.function
def nothing(x: Any) -> Any:
    x + 1


@graph.function
def leaks(x: Any) -> Any:
    found = [x]
    if nn.sum(x) > 0:
        found.append(x * 2)
    return found[-1]


@graph.function
def endless(x: Any) -> Any:
    return endless(x * 2) if nn.sum(x) > 0 else x


@graph.function
def nested(x: Any) -> Any:
    return x, (x, x)


@graph.function
def fraction(x: Any) -> Any:
    return nn.cast(x, dtype="i32") * 0.5


@graph.function
def too_large(x: Any) -> Any:
    return nn.cast(x, dtype="u8") + 300


@graph.function
def quotient(x: Any) -> Any:
    return nn.cast(x, dtype="i32") / 2


@graph.function
def far(x: Any) -> Any:
    return x[4]


@graph.function
def many_axes(x: Any) -> Any:
    return x[0, 0]


@graph.function
def masked(x: Any) -> Any:
    return x[x > 0]


@graph.function
def two_tensors(x: Any) -> Any:
    i = nn.cast(x, dtype="i64")
    return nn.expand_dims(x, 0)[0, i]


@pytest.mark.parametrize(("f", "words", "line"), [
    (leaks, "which is none of its inputs", "f(A)"),
    (endless, "calls itself again and again", "return endless"),
    (nested, "an array of numbers", "f(A)"),
    (fraction, "0.5 is no i32", "* 0.5"),
    (too_large, "300 is no u8", "+ 300"),
    (quotient, "/ is of floats, not of i32", "/ 2"),
    (far, "an axis of 4 entries has no entry 4", "x[4]"),
    (many_axes, "a tensor of 1 axes is subscripted by 2", "x[0, 0]"),
    (masked, "an integer, a slice or a tensor of integers", "x[x > 0]"),
    (two_tensors, "has slices beside it only", "[0, i]"),
    (breaks, "only a call knows", "break"),
    (deep, "returns a value, and the other one nothing", "if nn.sum"),
    (inner, "does not return", "return x"),
    (lists, "carries tensors, and found is of type list", "while"),
    (other_type, "no values of one type", "y = x if"),
    (truth, "known only when the program runs", "return next"),
    (nothing, "returns nothing", "def nothing"),
])  # fmt: skip
def test_what_has_no_meaning(f: Any, words: str, line: str) -> None:
    with pytest.raises(halo.HaloError) as caught:
        f(A)
    assert words in str(caught.value)
    assert line in str(caught.value)


@graph.function
def subscripts(x: Any, i: Any) -> Any:
    first = x[::-1, 1:], x[..., -1], x[None, 0], x[-2:], x[:, ::2], x[:, None, -1:0:-2]
    return *first, x[i[0]], x[:, i], x[i, 1:], x[: x.shape[0] - 1, x.ndim], x[()]


@graph.function
def operators(x: Any, i: Any) -> Any:
    odd = i % 2 == 1
    both = i // 2, -7 // i, x // 0.5, x % 0.5, abs(x), 2**x, np.float32(2) * x, A + x, A > x, A[None] @ x
    return *both, i != 2, ~odd | (i > 2) & odd, odd ^ (i > 2), i & 2, ~i, i | 1, 3 ^ i, x * x.shape[0]


@graph.function
def sums_of_rows(x: Any) -> Any:
    total, back = x[0] * 0, x[0] * 0
    for i in range(x.shape[0]):
        total = total + x[i]
    for i in range(x.shape[0] - 1, -1, -2):
        back = back * 2 + x[i]
    return total, back


def test_subscripts_and_extents_are_those_of_arrays() -> None:
    i = np.array([2, 0, -1])
    m = subscripts.module(TensorType(("n", "m"), f32), TensorType((3,), i64))
    assert str(parse(str(m), constants(m))) == str(m)
    net = m.compile()
    for shape in ((3, 4), (6, 3)):
        x = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
        for f in (subscripts, net):
            for a, b in zip(f(x, i), subscripts._f(x, i), strict=True):
                np.testing.assert_array_equal(a, b)
    rows = sums_of_rows.module(TensorType(("n", 4), f32)).compile()
    for n in (1, 4, 5):
        x = np.arange(4 * n, dtype=np.float32).reshape(n, 4)
        for f in (sums_of_rows, rows):
            for a, b in zip(f(x), sums_of_rows._f(x), strict=True):
                np.testing.assert_array_equal(a, b)


def test_operators_are_pythons() -> None:
    i = np.array([-3, 1, 2, 7])
    net = operators.module(TensorType(("n",), f32), TensorType(("m",), i64)).compile()
    for f in (operators, net):
        for a, b in zip(f(A, i), operators._f(A, i), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_quotients_are_rounded_down_up_to_the_ends_of_the_type(dtype: Any) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = np.array([low, low + 1, low // 2, 0, 1, high - 1, high], dtype)[:, None]
    y = np.array([1, 2, 3, 7, high, *((low, low + 1, -2, -3) if low else ())], dtype)
    np.testing.assert_array_equal(quotients(x, y), x // y)


@graph.function
def quotients(x: Any, y: Any) -> Any:
    return x // y


@graph.function
def both_ways(x: Any) -> Any:
    return x + 1, x * 2


def test_results_of_programs_inside_are_taken_apart() -> None:
    inner = both_ways.module(TensorType(("n",), f32))

    @graph.function
    def outer(x: Any) -> Any:
        more, twice = inner(x)
        return more * twice, inner(more)[1]

    x = np.array([1, -2, 3], np.float32)
    for a, b in zip(outer(x), ((x + 1) * (2 * x), 2 * (x + 1)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_of_open_extents_are_dims_in_any_type() -> None:
    assert TensorType(("n", "n//2", 3), f32).shape == (Dim("n"), Dim("n") // 2, 3)
    x = Var("x", TensorType(("n", 3, 8, 8), f32))
    y = nn.conv2d(x, np.ones((4, 3, 3, 3), np.float32))
    net = Module({"main": Function((x,), y)}, ("y",)).compile()
    np.testing.assert_array_equal(net(np.ones((2, 3, 8, 8), np.float32)), np.full((2, 4, 6, 6), 27, np.float32))


def test_wrong_calls() -> None:
    with pytest.raises(halo.ArgumentError, match="missing a required argument"):
        branches(A)
    with pytest.raises(halo.DefinitionError, match="decorates Python functions"):
        graph.function(3)
    m = powers.module(TensorType((4,), f32), TensorType((), i64))
    assert list(m.inputs) == ["x", "n"]


@graph.function
def selected(x: Any, floor: Any, merge: Any) -> Any:
    """What values select decides extents: at the top, in branches, and in a loop."""
    above = nn.compress(x, x > floor)
    values, first, inverse, counts = nn.unique(above)
    kept = nn.compress(values, values > 2) if merge else values * 2
    while nn.max(above) > 100:
        above = nn.compress(above, above < 100)
    if merge:
        last = nn.compress(kept, kept > 3)
        return above, values, counts, kept + 1, last
    return above, values, counts, kept + 1, nn.negative(above)


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("values", [[3, -1, 2, 3, 0, 5], [300, 1, 1, 200, 7, 3], [5, 5, 5, 5, 5, 5]])
def test_values_select_how_much_there_is(values: list[int], merge: bool) -> None:
    x = np.array(values, np.float32)
    above = x[x > 0]
    kinds, counts = np.unique(above, return_counts=True)
    kept = kinds[kinds > 2] if merge else kinds * 2
    while above.max() > 100:
        above = above[above < 100]
    want = (above, kinds, counts, kept + 1, kept[kept > 3] if merge else -above)
    for got, expected in zip(selected(x, np.float32(0), np.array(merge)), want, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_boxes_that_overlap_go_in_a_program() -> None:
    @graph.function
    def kept(boxes: Any, scores: Any) -> Any:
        return nn.non_max_suppression(boxes, scores, most=3, threshold=0.5, least=0.1)

    boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 1.1], [5, 5, 6, 6]]], np.float32)
    scores = np.array([[[0.5, 0.9, 0.7]]], np.float32)
    np.testing.assert_array_equal(kept(boxes, scores), [[0, 0, 1], [0, 0, 2]])
    np.testing.assert_array_equal(kept(boxes, scores * 0), np.empty((0, 3)))


def test_extents_of_functions_called_inside_have_names_of_their_own() -> None:
    @graph.function
    def either(x: Any, c: Any) -> Any:
        if c:
            x = nn.concatenate(x, x)
        return nn.compress(x, x > 0)

    @graph.function
    def both(x: Any, y: Any, c: Any) -> Any:
        return either(x, c), either(y, c)

    x, y = np.array([1, 0, 2], np.float32), np.array([0, 3], np.float32)
    shapes = [t.shape for t in both.module(x, y, np.array(True)).main.body.type]
    assert shapes[0] != shapes[1]
    for c, times in ((True, 2), (False, 1)):
        got = both(x, y, np.array(c))
        np.testing.assert_array_equal(got[0], np.tile([1, 2], times))
        np.testing.assert_array_equal(got[1], np.tile([3], times))


def test_what_values_select_is_no_extent_without_a_program_around_it() -> None:
    x = graph.Var("x", TensorType((3,), f32))
    with pytest.raises(halo.HaloError, match="known of arrays alone"):
        nn.compress(x, nn.greater(x, np.float32(0)))
