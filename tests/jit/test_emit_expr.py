"""Vectors, conditions and the sharing of values."""

from __future__ import annotations

import numpy as np
import pytest

from halo.errors import CompileError
from halo.ir.expr import Broadcast, Cast, Expr, Load, Op, Ramp, Reduce, Shuffle, Var
from halo.ir.node import interning
from halo.ir.stmt import Let, Store, block
from halo.types import Type, bool_, f32, f64, i32, index, u8, u16, u32

from .harness import Kernel, assert_same, at, k, op, outputs_of, pairs, port, ramp


def lanes_of(t: Type, data: np.ndarray, make: list) -> list[np.ndarray]:
    """Each function of `make` applied to the vector of all `data`."""
    with interning():
        src = port("src", t)
        values = [m(Load(src.buffer, ramp(k(0), len(data)))) for m in make]
        outs = [port(f"out{j}", v.type, "output") for j, v in enumerate(values)]
        body = block(*(Store(o.buffer, ramp(k(0), v.lanes), v) for o, v in zip(outs, values, strict=True)))
        kernel = Kernel(body, [src, *outs])
    results = [np.zeros(v.lanes, v.type.dtype) for v in values]
    assert kernel(data, *results) == 0
    return results


def test_ramps_and_broadcasts() -> None:
    a = np.array([3, 5, 2, 9], np.int32)
    got = lanes_of(i32, a, [
        lambda v: Ramp(Shuffle((v,), (1,)), k(3, i32), 5),
        lambda v: Ramp(v, k(10, i32), 3),
        lambda v: Ramp(v, v, 2),
        lambda v: Broadcast(v, 3),
        lambda v: Broadcast(Shuffle((v,), (2,)), 7),
        lambda v: Ramp(v, k(1, i32, 4), 1),
        lambda v: Cast(Ramp(k(2), k(-1), 6), i32),
    ])  # fmt: skip
    wanted = [5 + 3 * np.arange(5), np.concatenate([a, a + 10, a + 20]), np.concatenate([a, 2 * a]), np.tile(a, 3),
              np.full(7, 2), a, 2 - np.arange(6)]  # fmt: skip
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("t", [u8, f32, bool_], ids=lambda t: t.name)
def test_shuffles(t: Type) -> None:
    rng = np.random.default_rng(5)
    a = (rng.integers(0, 2, 12) if t is bool_ else rng.integers(0, 99, 12)).astype(t.dtype)
    cut = [(0, 4), (4, 4), (8, 3), (11, 1)]
    forms = [((0, 1), tuple(range(8))), ((0, 1), (0, 4, 1, 5, 2, 6, 3, 7)), ((0, 1, 2, 3), tuple(reversed(range(12)))),
             ((3, 2), (0, 1, 2, 3, 0)), ((2,), (1,)), ((3,), (0, 0, 0)), ((0,), (0, 1, 2, 3)), ((0, 1), (3, 2)),
             ((0, 1, 0), (0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11)), ((3, 3, 3), (2, 1, 0, 1))]  # fmt: skip

    def vector(v: Expr, j: int) -> Expr:
        start, n = cut[j]
        return Shuffle((v,), tuple(range(start, start + n)))

    got = lanes_of(t, a, [lambda v, f=f: Shuffle(tuple(vector(v, j) for j in f[0]), f[1]) for f in forms])
    for g, (which, picks) in zip(got, forms, strict=True):
        whole = np.concatenate([a[cut[j][0] : cut[j][0] + cut[j][1]] for j in which])
        assert_same(g, whole[list(picks)])


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("lanes", [4, 8, 12, 20, 64])
def test_reductions(lanes: int, n: int) -> None:
    rng = np.random.default_rng(6)
    for t in (u8, i32, f32, f64):
        a = rng.integers(0, 9, lanes).astype(t.dtype)
        groups = a.reshape(n, lanes // n)
        names = ["add", "mul", "min", "max"] + ([] if t.is_float else ["and", "or", "xor"])
        functions = dict(zip(("add", "mul", "min", "max", "and", "or", "xor"),
                             (np.add, np.multiply, np.minimum, np.maximum, np.bitwise_and, np.bitwise_or, np.bitwise_xor),
                             strict=True))  # fmt: skip
        got = lanes_of(t, a, [lambda v, m=m: Reduce(m, v, n) for m in names])
        for name, g in zip(names, got, strict=True):
            want = functions[name].reduce(groups, axis=1, dtype=t.dtype)
            np.testing.assert_allclose(g, want, rtol=1e-6 if t.is_float else 0, err_msg=f"{name} of {t}")
    flags = rng.random(lanes) < 0.8
    some, every = lanes_of(bool_, flags, [lambda v: Reduce("or", v, n), lambda v: Reduce("and", v, n)])
    np.testing.assert_array_equal(some, flags.reshape(n, -1).any(axis=1))
    np.testing.assert_array_equal(every, flags.reshape(n, -1).all(axis=1))


def test_float_reductions_fold_halves_in_a_fixed_order() -> None:
    a = np.random.default_rng(7).normal(0, 1e6, 12).astype(np.float32)
    (got,) = lanes_of(f32, a, [lambda v: Reduce("add", v, 1)])
    six = a[:6] + a[6:]
    three = six[:3] + six[3:]
    assert got[0] == np.float32(three[0] + three[2]) + three[1]


def test_rare_is_a_select() -> None:
    a, b, c = pairs(i32)

    def make(x: list[Expr]) -> list[Expr]:
        lanes = x[0].lanes
        common = op("mul", x[0], x[1])
        cond = op("lt", x[0], k(-1000, i32, lanes), type=bool_)
        zero = op("eq", x[1], k(0, i32, lanes), type=bool_)
        inner = op("rare", zero, common, op("add", common, x[2]), type=i32)
        outer = Op("rare", (cond, inner, x[2]), i32)
        return [outer, op("add", outer, common), op("select", cond, common, x[1], type=i32)]

    with np.errstate(all="ignore"):
        common = a * b
        outer = np.where(a < -1000, np.where(b == 0, common, common + c), c)
        wanted = [outer, outer + common, np.where(a < -1000, common, b)]
    for lanes in (1, 3, 16):
        for got, want in zip(outputs_of(make, (a, b, c), lanes), wanted, strict=True):
            assert_same(got, want)


def test_sums_of_thousands_of_terms() -> None:
    a = np.arange(64, dtype=np.uint32)

    def make(x: list[Expr]) -> list[Expr]:
        left, total = x[0], x[0]
        for j in range(3000):
            left = op("add", left, op("mul", x[0], k(j, u32, x[0].lanes)))
            total = op("add", k(j, u32, x[0].lanes), total)
        return [left, total]

    got = outputs_of(make, (a,), 16)
    terms = sum(range(3000))
    assert_same(got[0], a * np.uint32(1 + terms))
    assert_same(got[1], a + np.uint32(terms))


def test_indices_of_thousands_of_terms() -> None:
    with interning():
        src, out, held = port("src", u32), port("out", u32, "output"), Var("held")
        total = Load(src.buffer, k(0))
        for j in range(3000):
            total = op("add", op("mul", total, k(3, u32)), k(j % 2, u32))
        where = Cast(op("mod", total, k(4, u32)), index)
        store = Store(out.buffer, at(where, held), Load(src.buffer, at((where, 2), const=1)))
        kernel = Kernel(Let(held, where, store), [src, out])
    got, want = np.zeros(8, np.uint32), 5
    for j in range(3000):
        want = (3 * want + j % 2) % 2**32
    assert kernel(np.array([5, *range(1, 9)], np.uint32), got) == 0
    assert got[2 * (want % 4)] == 2 * (want % 4) + 1


def test_linear_sums() -> None:
    a = np.array([5, -3, 11, 2], np.int64)
    with interning():
        src, out = port("src", index), port("out", index, "output")
        p, q, r, s = (Load(src.buffer, k(j)) for j in range(4))
        sums = [
            at(p, q),
            at((p, 3), (q, -1), const=4),
            at((p, -1), (r, -7), (s, 2), const=-9),
            at(p, const=1),
            at((q, -1)),
        ]
        kernel = Kernel(block(*(Store(out.buffer, k(j), e) for j, e in enumerate(sums))), [src, out])
    got = np.zeros(5, np.int64)
    assert kernel(a, got) == 0
    assert got.tolist() == [2, 15 + 3 + 4, -5 - 77 + 4 - 9, 6, 3]


def test_a_value_is_computed_once() -> None:
    with interning():
        src, out = port("src", u16), port("out", u16, "output")
        x = Load(src.buffer, k(0))
        square = op("mul", x, x)
        kernel = Kernel(block(*(Store(out.buffer, k(j), op("add", square, k(j, u16))) for j in range(5))), [src, out])
    assert kernel.text.count("mul i16") == 1
    assert kernel.text.count("load i16") == 1


def test_what_has_no_machine_code_is_refused() -> None:
    with interning(), pytest.raises(CompileError, match="'tanh' has no machine code"):
        out = port("out", f32, "output")
        Kernel(Store(out.buffer, k(0), op("tanh", k(1.0, f32))), [out])
    with interning(), pytest.raises(CompileError, match=r"'sqrt' does not take halo\.i32"):
        out = port("out", i32, "output")
        Kernel(Store(out.buffer, k(0), op("sqrt", k(1, i32))), [out])
