from __future__ import annotations

import itertools
from typing import Any

import pytest

from halo.frontend.typing import build_pipeline
from halo.ir.expr import Const, Expr
from halo.ir.fold import fold
from halo.ir.node import interning
from halo.ir.pipeline import Definition, Function, Pipeline
from halo.schedule.associativity import Operator, prove, stores_constant

from .helpers import Interpreter, define


def update(setup: str, name: str = "f", k: int = 1) -> tuple[Definition, Function]:
    p = build_pipeline([define(setup)[name]])
    return p[name].definitions[k], p[name]


def proven(setup: str) -> Operator | str:
    return prove(*update(setup))


def of(value: str, type: str = "i32", start: str = "0") -> str:
    return f"""
x = Var("x")
img, w = Input("img", {type}, ndim=2), Input("w", {type}, ndim=1)
f = Func("f")
f[x] = {type}({start})
r = rdom(9, names="r")
s, e, g = f[x], img[x, r.r], w[r.r]
f[x] = {value}
"""


ASSOCIATIVE = ["s + e", "e + s", "s - e", "s + e - g", "(s + e) + g", "s * e", "s * e * g", "min(s, e)", "max(e, s)",
               "max(max(s, e), g)", "s & e", "s | e", "s ^ e", "select(e > 3, s + g, s)", "select(e > 3, s, s * g)",
               "select(e > 3, s + e, s + g)", "select(e > 3, s, s)", "e * g + s"]  # fmt: skip
NOT_ASSOCIATIVE = ["e - s", "e", "s // e", "s + s", "s * s", "s * e + g", "min(s + e, g)", "min(max(s, e), g)",
                   "select(s > e, s + e, s)", "select(e > 3, s + e, s * e)", "s << e", "s & (e | s)"]  # fmt: skip


@pytest.mark.parametrize("value", ASSOCIATIVE)
@pytest.mark.parametrize("type", ["i32", "u8"])
def test_associative_updates_are_proven(value: str, type: str) -> None:
    with interning():
        d, f = update(of(value, type))
        op = prove(d, f)
        assert isinstance(op, Operator), op
        assert op.commutative
        assert op.exact
        check_laws(op, d, f, range(-2, 3) if type == "i32" else (0, 1, 2, 127, 255))


@pytest.mark.parametrize("value", NOT_ASSOCIATIVE)
def test_other_updates_are_not(value: str) -> None:
    with interning():
        assert isinstance(proven(of(value)), str)


def test_floats_are_associative_but_for_rounding() -> None:
    with interning():
        for value in ("s + e", "s * e", "min(s, e)", "s + e * g"):
            op = proven(of(value, "f32"))
            assert isinstance(op, Operator)
            assert op.commutative
            assert not op.exact


def test_the_identity_of_a_float_sum_keeps_the_sign_of_zero() -> None:
    with interning():
        op = proven(of("s + e", "f32"))
        assert isinstance(op, Operator)
        assert str(op.identity[0].value) == "-0.0"


def test_sums_computed_wider_than_they_are_stored() -> None:
    with interning():
        for value in ("cast(u8, cast(i32, s) + e * 3)", "cast(u8, cast(u16, s) * 3)"):
            op = proven(of(value, "u8"))
            assert isinstance(op, Operator)
            assert op.exact
        assert isinstance(proven(of("cast(u8, max(cast(i32, s) + e, 7))", "u8")), str)
        assert isinstance(proven(of("cast(u8, cast(i32, s) // 2 + e)", "u8")), str)


def test_saturating_sums() -> None:
    with interning():
        for value in ("sat_add(s, e)", "cast(u8, min(cast(u16, s) + e, 255))", "cast(u8, min(255, e + cast(i32, s)))"):
            d, f = update(of(value, "u8"))
            op = prove(d, f)
            assert isinstance(op, Operator), value
            check_laws(op, d, f, (0, 1, 100, 200, 255))
        assert isinstance(proven(of("sat_add(s, e)", "i32")), str)  # of signed integers the order matters
        assert isinstance(proven(of("cast(u8, min(cast(u16, s) + e, 200))", "u8")), str)


@pytest.mark.parametrize("arg", ["argmin", "argmax"])
@pytest.mark.parametrize("type", ["u8", "f32"])
@pytest.mark.parametrize("condition", ["", "r.where(img[0, r.a, r.b] > 3)"])
def test_inline_extrema_are_proven(arg: str, type: str, condition: str) -> None:
    setup = f"""
x = Var("x")
img = Input("img", {type}, ndim=3)
f = Func("f")
r = rdom(4, (-2, 5), names="a b")
{condition}
f[x] = {arg}(img[x, r.a, r.b], r)
"""
    with interning():
        d, f = update(setup)
        op = prove(d, f)
        assert isinstance(op, Operator), op
        assert not op.commutative
        assert op.exact
        coordinates = [(a, b) for a in (0, 1) for b in (0, -2)]
        keys = (0, 3, 255) if type == "u8" else (float("-inf"), 0.5, float("nan"))
        states = [(a, b, k) for a, b in coordinates for k in keys] + [tuple(c.value for c in op.identity)]
        check_associative(op, states)


def test_extrema_written_by_hand() -> None:
    tuple_of = """
x = Var("x")
img = Input("img", {type}, ndim=2)
f = Func("f")
f[x] = ({type}(0), i32(0))
r = rdom(9, names="r")
v = img[x, r.r]
f[x] = {value}
"""
    with interning():
        for type in ("u8", "f32"):
            for value in ("(select(v < f[x][0], v, f[x][0]), select(v < f[x][0], r.r, f[x][1]))",
                          "(max(v, f[x][0]), select(v > f[x][0], r.r, f[x][1]))"):  # fmt: skip
                op = proven(tuple_of.format(type=type, value=value))
                assert isinstance(op, Operator), value
                assert not op.commutative
        last = "(select(v <= f[x][0], v, f[x][0]), select(v <= f[x][0], r.r, f[x][1]))"
        assert isinstance(proven(tuple_of.format(type="u8", value=last)), str)  # the last one of equals has no identity
        mixed = "(min(v, f[x][0]), select(v > f[x][0], r.r, f[x][1]))"
        assert isinstance(proven(tuple_of.format(type="u8", value=mixed)), str)


COMPLEX = """
x = Var("x")
img = Input("img", {type}, ndim=3)
f = Func("f")
f[x] = ({type}(1), {type}(0))
r = rdom(9, names="r")
a, b = img[0, x, r.r], img[1, x, r.r]
p, q = f[x][0], f[x][1]
f[x] = ({value})
"""


@pytest.mark.parametrize("type", ["i32", "f32"])
def test_complex_products(type: str) -> None:
    with interning():
        for value in ("p*a - q*b, p*b + q*a", "a*p - b*q, a*q + b*p", "p*a + q*(-b), q*a + b*p"):
            op = proven(COMPLEX.format(type=type, value=value))
            assert isinstance(op, Operator), value
            assert op.exact is (type == "i32")
            if type == "i32":
                check_associative(op, list(itertools.product((-2, 0, 1, 3), repeat=2)))
        for value in ("p*a - q*b, p*b - q*a", "p*a + q*b, p*b + q*a", "p*a - q*b, p*p + q*a"):
            assert isinstance(proven(COMPLEX.format(type=type, value=value)), str)


def test_tuples_of_independent_operators() -> None:
    with interning():
        op = proven(COMPLEX.format(type="i32", value="p + a, max(q, b)"))
        assert isinstance(op, Operator)
        assert [c.value for c in op.identity] == [0, -(2**31)]
        assert proven(COMPLEX.format(type="i32", value="p + q, q + b")) == "what its elements 0, 1 do together is not " \
            "a known associative operation"  # fmt: skip


def test_elements_that_stay() -> None:
    setup = """
x = Var("x")
img = Input("img", i32, ndim=2)
f = Func("f")
f[x] = (i32(0), i32(0), i32(1))
r = rdom(9, names="r")
f[x][1] += img[x, r.r] {also}
"""
    with interning():
        op = proven(setup.format(also=""))
        assert isinstance(op, Operator)
        assert op.items == (1,)
        reason = proven(setup.format(also="* f[x][2]"))
        assert reason == "it reads an element of the tuple that it does not update"


def test_reasons() -> None:
    with interning():
        assert proven(of("f[x - 1] + e")) == "it reads f at another point than the one it stores"
        assert proven(of("s // e")) == "its value is not a known associative operation"
        scatter = of("0").replace("f[x] = 0", "f[max(min(f[0], 3), 0)] += w[r.r]")
        assert proven(scatter) == "its indices or its condition read f itself"


def test_stores_that_come_in_any_order() -> None:
    setup = """
x, y = Var("x"), Var("y")
img = Input("img", u8, ndim=2)
f = Func("f")
f[y, x] = 0
r = rdom(9, names="r")
f[y, img[0, r.r]] = {value}
"""
    with interning():
        assert stores_constant(*update(setup.format(value="1")))
        assert stores_constant(*update(setup.format(value="i32(img[y, 0])")))
        assert not stores_constant(*update(setup.format(value="i32(img[y, r.r])")))
        assert not stores_constant(*update(setup.format(value="f[y, 0]")))


# Laws ----------------------------------------------------------------------------------------------------------------


def run(values: list[Expr]) -> tuple[Any, ...]:
    return tuple(_value(v) for v in values)


def _value(e: Expr) -> Any:
    return Interpreter(Pipeline((), (), ()), {}, {}).value(e, {})


def check_associative(op: Operator, states: list[tuple[Any, ...]]) -> None:
    """(a b) c = a (b c), and the identity changes nothing, on constants."""
    types = [c.type for c in op.identity]

    def lift(s: tuple[Any, ...]) -> list[Expr]:
        return [Const(v, t) for v, t in zip(s, types, strict=True)]

    def combine(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
        return run(op.combine(lift(a), lift(b)))

    nothing = run(list(op.identity))
    for a in states:
        assert repr(combine(a, nothing)) == repr(a)
        for b, c in itertools.product(states, repeat=2):
            assert repr(combine(combine(a, b), c)) == repr(combine(a, combine(b, c)))
        if op.commutative:
            assert all(combine(a, b) == combine(b, a) for b in states)


def check_laws(op: Operator, d: Definition, f: Function, values: Any) -> None:
    check_associative(op, [(f.types[0].wrap(v),) for v in values])
    assert fold("add", (1, 2), f.types[0], f.types[0]) == 3
