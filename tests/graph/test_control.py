"""If and Loop: types, text, every pass, machine code without Python in between; ONNX's If, Loop and Scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import nn
from halo.graph import (
    Constant,
    Function,
    If,
    Loop,
    Module,
    Net,
    Pieces,
    Tuple,
    Var,
    artefact,
    constants,
    from_onnx,
    if_,
    load,
    loop,
    parse,
)  # fmt: skip
from halo.graph.compile import relink
from halo.graph.evaluate import evaluate
from halo.graph.ir import walk
from halo.graph.passes.fold_constants import fold_constants
from halo.graph.shape_arithmetic import shape_vector
from halo.nn import TensorType
from halo.types import bool_, f32, i64

X = Var("x", TensorType((4,), f32))
C, N = Var("c", TensorType((), bool_)), Var("n", TensorType((), i64))
A = np.float32([-1, 0, 1, 2])
TRUE, FALSE = np.array(True), np.array(False)


def module(params: Any, outputs: Any) -> Module:
    made = Module({"main": Function(tuple(params), outputs[0] if len(outputs) == 1 else Tuple(tuple(outputs)))})
    for stage in (made, made.run_passes()):
        assert str(parse(str(stage), constants(stage))) == str(stage)
    return made


def test_a_branch_is_taken() -> None:
    made = if_(C, [X], lambda x: [nn.relu(nn.exp(x)), nn.exp(x)], lambda x: [nn.negative(x), x])
    net = module((C, X), made).compile()
    power = np.exp(A)
    for got, want in zip((*net(TRUE, A), *net(FALSE, A)), (power, power, -A, A), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_branch_in_a_branch_and_values_of_outside_in_both() -> None:
    outer = nn.add(X, X)

    def inner(x: Any, y: Any) -> Any:
        return if_(nn.less(nn.sum(x), np.float32(0)), [y], lambda y: [nn.negative(y)], lambda y: [y])

    made = if_(C, [X, outer], inner, lambda x, y: [nn.add(inner(x, y)[0], x)])
    net = module((C, X), [nn.add(made[0], outer)]).compile()
    for x in (A, -A):
        chosen = -2 * x if x.sum() < 0 else 2 * x
        np.testing.assert_array_equal(net(TRUE, x), chosen + 2 * x)
        np.testing.assert_array_equal(net(FALSE, x), chosen + x + 2 * x)


def test_a_loop_carries_and_stacks() -> None:
    two = Constant(np.float32(2))

    def body(i: Any, s: Any, t: Any, factor: Any) -> Any:
        return None, [t, nn.multiply(s, factor)], [nn.add(s, nn.cast(i, dtype="f32")), i]

    made = loop(Constant(np.array(3)), None, [X, nn.exp(X)], [two], body)
    s, t, rows, numbers = module((X,), made).compile()(A)
    want, states = [], (A, np.exp(A))
    for i in range(3):
        want.append(states[0] + i)
        states = (states[1], states[0] * 2)
    np.testing.assert_allclose(s, states[0], rtol=1e-6)
    np.testing.assert_allclose(t, states[1], rtol=1e-6)
    np.testing.assert_allclose(rows, want, rtol=1e-6)
    np.testing.assert_array_equal(numbers, [0, 1, 2])


def test_a_loop_ends_when_its_condition_does_or_its_trips() -> None:
    made = loop(N, C, [X], [], lambda i, s: (nn.less(nn.sum(s), np.float32(100)), [nn.add(s, nn.relu(s))], []))
    net = module((C, X, N), made).compile()

    def want(c: bool, x: np.ndarray, n: int) -> np.ndarray:
        for _ in range(n):
            if not c:
                break
            c, x = x.sum() < 100, x + np.maximum(x, 0)
        return x

    for c in (True, False):
        for n in (-3, 0, 1, 5, 2**40):
            np.testing.assert_array_equal(net(np.array(c), A, np.array(n)), want(c, A, n))


def test_loops_in_loops_and_branches_in_them() -> None:
    def inner(i: Any, s: Any, t: Any) -> Any:
        odd = nn.equal(nn.mod(i, np.int64(2)), np.int64(1))
        return None, if_(odd, [s, t], lambda s, t: [nn.add(s, t)], lambda s, t: [nn.subtract(s, nn.exp(t))]), []

    def outer(i: Any, s: Any) -> Any:
        return None, loop(Constant(np.array(5)), None, [s], [nn.multiply(s, np.float32(0.25))], inner), []

    net = module((X,), loop(Constant(np.array(3)), None, [X], [], outer)).compile()
    s = A
    for _ in range(3):
        t = s * np.float32(0.25)
        for i in range(5):
            s = s + t if i % 2 else s - np.exp(t)
    np.testing.assert_allclose(net(A), s, rtol=1e-5)


def test_axes_that_a_call_decides() -> None:
    x = Var("x", TensorType((halo.Dim("n"), 3), f32))
    made = loop(Constant(np.array(4)), None, [x], [], lambda i, s: (None, [nn.add(s, s)], [nn.sum(s, axes=(1,))]))
    m = module((x,), made)
    net = m.compile()
    fixed = m.compile(shapes={"x": (2, 3)})
    for n in (1, 5, 2):
        a = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
        end, rows = net(a)
        np.testing.assert_array_equal(end, a * 16)
        np.testing.assert_allclose(rows, [(a * 2**k).sum(1) for k in range(4)])
    np.testing.assert_array_equal(fixed(a)[1], rows)


COUNTS: Any = {  # while it holds of k and n; from where, and how far at a time
    "below": (nn.less, lambda k, n: k < n, 0, 1),
    "up to": (nn.less_equal, lambda k, n: k <= n, -2, 3),
    "the other way round": (lambda k, n: nn.greater(n, k), lambda k, n: n > k, 1, 2),
    "and always": (lambda k, n: nn.logical_and(nn.less(k, n), Constant(TRUE)), lambda k, n: k < n, 0, 1),
    "down": (lambda k, n: nn.greater_equal(k, nn.negative(n)), lambda k, n: k >= -n, 3, -2),
}


@pytest.mark.parametrize("dtype", [halo.i32, f32])
@pytest.mark.parametrize("name", COUNTS)
def test_a_condition_that_counts_is_a_trip_count(name: str, dtype: Any) -> None:
    test, holds, start, step = COUNTS[name]
    x, scalar = Var("x", TensorType((halo.Dim("n"), 4), f32)), dtype.dtype.type
    count, half = (
        nn.cast(shape_vector((halo.Dim("n"),), ()), dtype=dtype.name),
        Constant(np.eye(4, dtype=np.float32) / 2),
    )

    def body(i: Any, k: Any, s: Any, count: Any, half: Any) -> Any:
        now = nn.add(nn.add(nn.matmul(s, half), nn.take(x, np.array([0]), axis=0)), nn.cast(k, dtype="f32"))
        then = nn.add(k, scalar(step))
        return test(then, count), [then, now, count, half], [now]

    k, zeros = Constant(scalar(start)), Constant(np.zeros((1, 4), np.float32))
    for first, trip in (test(k, count), None), (Constant(TRUE), None), (test(k, count), 3), (test(k, count), 2**62):
        most = None if trip is None else Constant(np.array(trip))
        m = module((x,), loop(most, first, [k, zeros, count, half], [], body))
        (made,) = (e for e in walk(m.main.body) if isinstance(e, Loop))
        assert made.condition is None and len(made.carried) == 2
        assert (4, 4) not in {p.type.shape for p in made.body.params}
        net = m.compile()
        assert isinstance(net, Net) and not isinstance(net, Pieces)  # no Python in between
        for n in (1, 2, 5):
            a = np.arange(4 * n, dtype=np.float32).reshape(n, 4)
            at, s, rows = start, np.zeros((1, 4), np.float32), list[Any]()
            while (holds(at, n) or (isinstance(first, Constant) and not rows)) and len(rows) < (trip or 99):
                s = s / 2 + a[:1] + at
                at += step
                rows.append(s)
            got = net(a)
            np.testing.assert_array_equal(got[0], at)
            np.testing.assert_allclose(got[1], s, rtol=1e-6)
            np.testing.assert_array_equal(got[2], n)
            np.testing.assert_allclose(got[4], np.array(rows, np.float32).reshape(-1, 1, 4), rtol=1e-6)


def test_a_loop_whose_condition_does_more_than_count_keeps_it() -> None:
    """The bound changes; the step does; the first iteration asks something else."""
    n, zero, one = shape_vector((halo.Dim("n"),), ()), Constant(np.array(0)), np.int64(1)
    x = Var("x", TensorType((halo.Dim("n"),), f32))

    def shrinks(i: Any, k: Any, n: Any) -> Any:
        return nn.less(nn.add(k, one), n), [nn.add(k, one), nn.subtract(n, one)], []

    def doubles(i: Any, k: Any, n: Any) -> Any:
        return nn.less(nn.add(nn.add(k, k), one), n), [nn.add(nn.add(k, k), one), n], []

    def counts(i: Any, k: Any, n: Any) -> Any:
        return nn.less(nn.add(k, one), n), [nn.add(k, one), n], []

    for body, first, want in (
        (shrinks, nn.less(zero, n), 5),
        (doubles, nn.less(zero, n), 15),
        (counts, nn.greater(nn.sum(x), np.float32(99)), 0),
    ):
        m = module((x,), loop(None, first, [zero, n], [], body)[:1])
        assert all(e.condition is not None for e in walk(m.main.body) if isinstance(e, Loop))
        np.testing.assert_array_equal(m.compile()(np.ones(8, np.float32)), want)


def test_saved_and_loaded(tmp_path: Any) -> None:
    made = loop(N, None, [X], [], lambda i, s: (None, [nn.add(s, np.float32([1, 2, 3, 4]))], []))
    net = module((X, N), made).compile()
    net.save(tmp_path / "loop.halo")
    for n in (0, 3):
        np.testing.assert_array_equal(load(tmp_path / "loop.halo")(A, np.array(n)), A + n * np.float32([1, 2, 3, 4]))
    assert "add" in str(net.profile(A, np.array(3), runs=2))


def test_extents_that_only_running_tells() -> None:
    big = np.float32(100)
    made = loop(N, C, [X], [], lambda i, s: (nn.less(nn.max(s), big), [nn.add(s, s)], [nn.sum(s), s]))
    last = nn.add(made[2], made[0])  # of so many rows as there were iterations
    net = module((C, X, N), [made[0], nn.exp(made[1]), last, nn.sum(last, axes=(0,))]).compile()
    assert len(net.nets) == 2
    for c, x, n in ((True, A, 1000), (True, A, 2), (False, A, 3), (True, A, 0), (True, A * 200, 9)):
        sums, rows, s, again = [], [], x, c
        while again and len(rows) < n:
            sums.append(s.sum())
            rows.append(s)
            again, s = s.max() < big, s + s
        got = net(np.array(c), x, np.array(n))
        table = np.array(rows, np.float32).reshape(-1, 4) + s
        for a, b in zip(got, (s, np.exp(np.float32(sums)), table, table.sum(0)), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_rows_that_nothing_stacked_are_as_long_as_they_would_be() -> None:
    n, m = halo.Dim("n"), halo.Dim("m")
    x = Var("x", TensorType((n, m), f32))
    big = np.float32(100)
    made = loop(N, C, [x], [], lambda i, s: (nn.less(nn.max(s), big), [nn.add(s, s)], [nn.transpose(s)]))
    net = module((C, N, x), [nn.exp(made[1]), nn.sum(made[1], axes=(0,))]).compile()
    assert isinstance(net, Pieces)
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    for trips in (0, 1, 2):
        rows = np.array([a.T * 2**k for k in range(trips)], np.float32).reshape(trips, 3, 2)
        for got, want in zip(net(TRUE, np.array(trips), a), (np.exp(rows), rows.sum(0)), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_value_that_grows_and_a_branch_of_another_shape() -> None:
    def grow(i: Any, s: Any) -> Any:
        other = if_(nn.equal(i, np.int64(1)), [s], lambda s: [nn.concatenate(s, s)], lambda s: [s])
        return None, [nn.concatenate(other[0], nn.relu(s))], [i]

    made = loop(N, None, [X], [], grow)
    net = module((X, N), [nn.negative(made[0]), made[1]]).compile()
    for n in (0, 1, 2, 3):
        s = A
        for i in range(n):
            s = np.concatenate([s, s, np.maximum(s, 0)] if i == 1 else [s, np.maximum(s, 0)])
        got, numbers = net(A, np.array(n))
        np.testing.assert_array_equal(got, -s)
        assert not np.shares_memory(got, A)
        np.testing.assert_array_equal(numbers, np.arange(n))
        out = np.empty_like(s), np.empty(n, np.int64)
        assert net(A, np.array(n), out=out)[0] is out[0]
        np.testing.assert_array_equal(out[0], -s)
    with pytest.raises(halo.ArgumentError, match="out for"):
        net(A, np.array(1), out=out)


def growing() -> Module:
    """A value that doubles, and one more row, until it is large enough: in pieces; a product before it, and one after it."""
    w = Constant(np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4), "w")
    x = Var("x", TensorType((halo.Dim("n"), 4), f32))
    start = nn.relu(nn.matmul(x, w))

    def grow(i: Any, s: Any) -> Any:
        return nn.less(nn.sum(s), np.float32(500)), [nn.concatenate(s, nn.relu(nn.add(s, np.float32(1))))], [nn.sum(s)]

    made = loop(N, Constant(TRUE), [start], [], grow)
    end = nn.relu(nn.matmul(made[0], w))
    return Module({"main": Function((x, N), Tuple((end, made[1])))}, ("end", "sums"))


def grown(x: np.ndarray, n: int) -> tuple[np.ndarray, list[float]]:
    w = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
    s, sums, again = np.maximum(x @ w, 0), [], True
    while again and len(sums) < n:
        sums.append(s.sum())
        again, s = s.sum() < 500, np.concatenate([s, np.maximum(s + 1, 0)])
    return np.maximum(s @ w, 0), sums


def assert_grown(net: Any, x: np.ndarray, n: int) -> None:
    for got, want in zip(net(x, np.array(n)), grown(x, n), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_what_is_in_pieces_is_looked_into_as_any_net(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    m, x = growing(), np.abs(np.linspace(-3, 2, 12, dtype=np.float32).reshape(3, 4))
    net = m.compile()
    assert isinstance(net, Pieces)
    assert isinstance(net, Net)
    assert len(net.nets) > 2
    assert_grown(net, x, 7)
    assert net.memory.constants >= 64
    assert net.memory.arena > 0
    assert net.benchmark(x, np.array(3), seconds=0.01) > 0

    rows = net.profile(x, np.array(3), runs=2)
    assert [r.name for r in rows] == [g.name for g in net.groups]
    assert all(r.seconds > 0 and r.bytes > 0 for r in rows)
    assert all(g.seconds == r.seconds for g, r in zip(net.groups, rows, strict=True))
    assert "GFLOP/s" in str(net.profile(x, np.array(0), runs=2))  # an iteration that there is not takes no time
    assert any(g.seconds == 0 for g in net.groups)

    result, taps = net(x, np.array(2), taps=["%0"])
    np.testing.assert_allclose(taps["%0"], x @ m.main.outputs[0].args[0].args[1].data, rtol=1e-5)
    np.testing.assert_array_equal(result[0], net(x, np.array(2))[0])

    net.save(tmp_path / "grown.halo")
    for again in (load(tmp_path / "grown.halo"), relink(parse(str(net.program), constants(net.program), m.outputs))):
        assert list(again.outputs) == ["end", "sums"]
        assert [g.name for g in again.groups] == [g.name for g in net.groups]
        for n in (0, 1, 9):
            assert_grown(again, x, n)
    assert "compiled again" not in capsys.readouterr().err
    monkeypatch.setattr(artefact, "_made_by", lambda: "another machine")
    assert_grown(load(tmp_path / "grown.halo"), x, 4)
    assert "compiled again" in capsys.readouterr().err


def test_groups_of_pieces_are_scheduled_anew() -> None:
    m, seen = growing(), []
    net = m.compile()
    name = next(g.name for g in net.groups if "concatenate" in g.operators or "sum" in g.operators)

    def reschedule(f: halo.Func) -> None:
        seen.append(f.name)
        f.unschedule()

    assert_grown(m.compile(schedules={name: reschedule}), np.ones((2, 4), np.float32), 6)
    assert seen
    with pytest.raises(halo.ArgumentError, match="no group"):
        m.compile(schedules={"conv3d": reschedule})


def test_an_if_of_a_constant_is_a_branch() -> None:
    assert if_(Constant(TRUE), [X], lambda x: [nn.relu(x)], lambda x: [x])[0].op is nn.relu
    both = [Function((X,), nn.relu(X)), Function((X,), X)]
    m = Module({"main": Function((X,), If(Constant(FALSE), (X,), *both, X.type))})
    assert fold_constants(m).main.body is X


@pytest.mark.parametrize(("text", "words"), [
    ("%0 = if %x (%x) -> f32[4] then (%a: f32[4]) { %a } else (%a: f32[4]) { %a }; %0", "condition of an If"),
    ("%0 = if %c (%x) -> f32[4] then (%a: f32[3]) { %a } else (%a: f32[4]) { %a }; %0", "none of"),
    ("%0 = if %c (%x) -> f32[4] then (%a: f32[4]) { %a } else (%a: f32[4]) { %b }; %0", "no value %b"),
    ("%0 = if %c (%x) -> f32[4] then (%a: f32[4]) { %x } else (%a: f32[4]) { %a }; %0", "no value %x"),
    ("%0 = loop carry (%x) with () -> f32[4] do (%i: i64[], %a: f32[4]) { %i }; %0", "none of"),
    ("%0 = loop carry (%x) with () -> f32[3] do (%i: i64[], %a: f32[4]) { %a }; %0", "does not give"),
    ("%0 = loop trip %c carry (%x) with () -> f32[4] do (%i: i64[], %a: f32[4]) { %a }; %0", "how often"),
    ("%0 = loop carry (%x) -> f32[4] do (%i: i64[], %a: f32[4]) { %a }; %0", "is wanted"),
])  # fmt: skip
def test_what_is_no_program(text: str, words: str) -> None:
    with pytest.raises(halo.ArgumentError, match=words):
        parse(f"def main(%c: bool_[], %x: f32[4]) -> f32[4] {{ {text} }}")


def test_what_does_not_fit() -> None:
    with pytest.raises(halo.ArgumentError, match="1 and 2 values"):
        if_(C, [X], lambda x: [x], lambda x: [x, x])
    with pytest.raises(halo.ArgumentError, match="no values of one type"):
        if_(C, [X], lambda x: [x], lambda x: [nn.reshape(x, shape=(2, 2))])
    with pytest.raises(halo.ArgumentError, match="no values of one type"):
        loop(N, None, [X], [], lambda i, s: (None, [nn.cast(s, dtype="i32")], []))
    with pytest.raises(halo.ArgumentError, match="no values of one type"):  # after no iteration it is what it was
        loop(N, None, [X], [], lambda i, s: (None, [nn.reshape(s, shape=(2, 2))], []))
    with pytest.raises(halo.ArgumentError, match="trip count"):
        loop(X, None, [X], [], lambda i, s: (None, [s], []))


onnx = pytest.importorskip("onnx", reason="extra: onnx")
from onnx import parser  # noqa: E402  (once it is known to be there)


@pytest.mark.parametrize(("nodes", "inputs", "outputs"), [
    ("r = If<then_branch = t () => (float[3] a) { a = Add(x, y) }, else_branch = e () => (float[3] b) { b = Sub(x, y) }>(c)",
     "bool c, float[3] x, float[3] y", "float[3] r"),
    ("v = ReduceSum<keepdims = 0>(x) k = Less(v, zero) s = Neg(y) r = If<then_branch = t () => (float[3] a) { a = Add(s, x) }, "
     "else_branch = e () => (float[3] b) { b = Identity(s) }>(k)", "float[3] x, float[3] y, float zero", "float[3] r"),
    ("r, rows = Loop<body = b (int64 i, bool go, float[3] s) => (bool more, float[3] next, float[3] row) { "
     "f = Cast<to = 1>(i) t = Add(s, f) next = Mul(t, y) row = Identity(s) more = Identity(go) }>(five, , x)",
     "float[3] x, float[3] y", "float[3] r, float[5, 3] rows"),
    ("r = Loop<body = b (int64 i, bool go, float[3] s) => (bool more, float[3] next) { "
     "next = Add(s, y) v = ReduceMax<keepdims = 0>(next) more = Less(v, big) }>(five, , x)",
     "float[3] x, float[3] y, float big", "float[3] r"),
    ("r = Loop<body = b (int64 i, bool go, float[] s) => (bool more, float[] next) { f = Cast<to = 1>(i) t = Add(s, f) "
     "next = Add(t, x) v = ReduceMax<keepdims = 0>(next) more = Less(v, big) }>(five, , nought)",
     "float[3] x, float big", "float[] r"),
    ("r, rows = Loop<body = b (int64 i, bool go, float[] s) => (bool more, float[] next, float[3] row) { "
     "next = Add(s, x) row = Mul(next, y) more = Identity(go) }>(five, , nought)",
     "float[3] x, float[3] y", "float[] r, float[5, 3] rows"),
    ("v = ReduceSum<keepdims = 0>(x) k = Less(v, zero) s = If<then_branch = t () => (float[] a) { a = Add(zero, zero) }, "
     "else_branch = e () => (float[] b) { b = Cast<to = 1>(one) }>(k) r = Add(s, x)", "float[3] x, float zero", "float[3] r"),
    ("n = Shape (x) k = Squeeze (n) c = Cast<to = 6> (k) f = Cast<to = 1> (c) o = Less (nought, f) "
     "m, p, t, u, rows = Loop<body = b (int64 i, bool go, int32 a, float s, int32 v, float[3] z) => "
     "(bool more, int32 d, float e, int32 v2, float[3] z2, float[3] row) { d = Add (a, unit) q = Gather (x, a) e = Add (s, q) "
     "row = Mul (z, e) h = Cast<to = 1> (d) l = Cast<to = 1> (v) more = Less (h, l) v2 = Identity (v) z2 = Identity (z) }>"
     "(, o, start, nought, c, y) r = Add (u, p)", "float[N] x, float[3] y", "float[3] r, float[N, 3] rows"),
    ("r, rows = Scan<num_scan_inputs = 2, scan_input_axes = [0, 1], scan_input_directions = [0, 1], scan_output_axes = [1], "
     "scan_output_directions = [1], body = step (float[3] a, float[3] p, float[3] q) => (float[3] b, float[3] m) { "
     "b = Add(a, p) m = Mul(b, q) }>(x, z, w)", "float[3] x, float[5, 3] z, float[3, 5] w", "float[3] r, float[3, 5] rows"),
])  # fmt: skip
def test_as_onnx_runtime(nodes: str, inputs: str, outputs: str) -> None:
    made = parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 18]> g ({inputs}) => ({outputs}) <int64 five = {{5}}, int32 start = {{0}}, '
        f"int32 unit = {{1}}, int64[1] one = {{1}}, float nought = {{0}}> {{ {nodes} }}"
    )
    ort = pytest.importorskip("onnxruntime", reason="extra: dev")
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    m = from_onnx(made)
    assert str(parse(str(m), constants(m))) == str(m)
    net = m.compile()
    assert isinstance(net, Net) and not isinstance(net, Pieces)  # no Python in between
    rng = np.random.default_rng(0)
    for k in range(4):
        given = {
            name: np.array(k % 2 == 0)
            if t.dtype.is_bool
            else rng.standard_normal([n if isinstance(n, int) else 3 for n in t.shape], np.float32) * (k + 1)
            for name, t in net.inputs.items()
        }
        given = {name: np.asarray(a) for name, a in given.items()}
        got = net(**given)
        for a, b in zip(got if isinstance(got, tuple) else (got,), session.run(None, given), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_all_that_is_missing_inside_is_named() -> None:
    made = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]> g (bool c, float[3] x) => (float[3] r) {
        r = If<then_branch = t () => (float[3] a) { a = com.acme.Foo(x) },
               else_branch = e () => (float[3] b) { b = com.acme.Bar(x) }>(c)
    }""")
    with pytest.raises(halo.ArgumentError, match=r"com.acme.Bar \(1\), com.acme.Foo \(1\)"):
        from_onnx(made)


# Any program -----------------------------------------------------------------------------------------------------------


class _Maker:
    """A random program over values of f32[4]."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def pick(self, n: int) -> int:
        return self.draw(st.integers(0, n - 1))

    def values(self, known: list[Any], depth: int) -> list[Any]:
        """`known` and more."""
        found = list(known)
        for _ in range(self.draw(st.integers(1, 4))):
            a, b = (found[self.pick(len(found))] for _ in range(2))
            match self.pick(8 if depth else 5):
                case 0:
                    found.append(nn.add(a, b))
                case 1:
                    found.append(nn.multiply(nn.tanh(a), b))
                case 2:
                    both = nn.concatenate(nn.sin(a), nn.cos(b))
                    found.append(nn.strided_slice(both, begin=(2,), end=(6,)))
                case 3:
                    found.append(nn.reshape(nn.tanh(nn.reshape(a, shape=(2, 2))), shape=(4,)))
                case 4:
                    found.append(nn.softmax(a))
                case 5 | 6:
                    found += self.branch(found, nn.less(nn.sum(a), nn.sum(b)), depth - 1)
                case _:
                    found += self.loop(found, a, depth - 1)
        return found

    def branch(self, known: list[Any], condition: Any, depth: int) -> Any:
        count, args = self.draw(st.integers(1, 2)), [known[self.pick(len(known))] for _ in range(2)]
        return if_(
            condition, args, lambda *own: self.results(own, count, depth), lambda *own: self.results(own, count, depth)
        )

    def results(self, own: Any, count: int, depth: int) -> list[Any]:
        made = self.values(list(own), depth)
        return [made[-1 - self.pick(len(made))] for _ in range(count)]

    def loop(self, known: list[Any], start: Any, depth: int) -> list[Any]:
        args, test = [known[self.pick(len(known))] for _ in range(2)], bool(self.pick(2))
        trip = Constant(np.array(self.pick(4)))
        rows = 0 if test else self.pick(2)

        def body(i: Any, *own: Any) -> Any:
            made = self.values([*own, nn.multiply(own[0], nn.cast(i, dtype="f32"))], depth)
            again = nn.less(nn.sum(made[-1]), np.float32(3)) if test else None
            return again, [made[-1], made[self.pick(len(made))]], [made[self.pick(len(made))]] * rows

        found = loop(trip, Constant(TRUE) if test else None, [start, known[-1]], args, body)
        return [*found[:2], *(nn.sum(r, axes=(0,)) for r in found[2:])]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_program_is_what_it_is_value_by_value(data: Any) -> None:
    maker = _Maker(data.draw)
    y = Var("y", TensorType((4,), f32))
    made = maker.values([X, y], 2)
    m = module((X, y), [made[maker.pick(len(made))] for _ in range(2)] + [made[-1]])
    inputs = {"x": A, "y": np.float32([0.5, -1, 0.25, 3])}
    net = m.compile()
    want = evaluate(m, inputs)
    for _ in range(2):
        for got, expected in zip(net(**inputs), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
