"""Surface expressions: operators, subscripts, domains, and the errors of what they are not."""

from __future__ import annotations

import inspect
import operator

import numpy as np
import pytest

import halo
from halo.errors import ArgumentError, DefinitionError, TypeMismatchError
from halo.ir import functions
from halo.ir.surface import (
    Access,
    Augmented,
    Call,
    Extent,
    IndexVar,
    Input,
    Literal,
    Param,
    RDom,
    Table,
    as_expr,
    subscripts,
)
from halo.ir.surface_walk import Rewriter, base, operands, walk
from halo.types import ALL, Type, u8

x, y = IndexVar("x"), IndexVar("y")
IMG = Input("img", ndim=2)

BINARY = {
    operator.add: "add", operator.sub: "sub", operator.mul: "mul", operator.truediv: "div", operator.floordiv: "floordiv",
    operator.mod: "mod", operator.pow: "pow", operator.and_: "and", operator.or_: "or", operator.xor: "xor",
    operator.lshift: "shl", operator.rshift: "shr", operator.lt: "lt", operator.le: "le", operator.gt: "gt",
    operator.ge: "ge", operator.eq: "eq", operator.ne: "ne",
}  # fmt: skip
MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


@pytest.mark.parametrize("op", BINARY, ids=BINARY.get)
def test_binary_operators(op: object) -> None:
    e = op(x, 2)
    assert (e.op, e.args[0]) == (BINARY[op], x) or e.args[0] is x
    assert e.args[1].value == 2
    r = op(2, x)
    if r.op in MIRRORED.values() and r.args[0] is x:  # Python turns 2 < x round
        assert r.op == MIRRORED[BINARY[op]]
    elif BINARY[op] not in ("eq", "ne"):
        assert (r.op, r.args[0].value) == (BINARY[op], 2)


def test_unary_operators_and_builtins() -> None:
    import math

    named = {"neg": -x, "not": ~x, "abs": abs(x), "round": round(x), "floor": math.floor(x), "ceil": math.ceil(x),
             "trunc": math.trunc(x)}  # fmt: skip
    assert all(e.op == name for name, e in named.items())
    assert +x is x
    assert [e.op for e in divmod(x, 2)] == ["floordiv", "mod"]
    assert [e.args[1] for e in divmod(7, x)] == [x, x]


def test_numpy_scalars_and_ufuncs_make_expressions() -> None:
    e = np.float32(2) * x
    assert (e.op, e.args[0].type) == ("mul", halo.f32)
    assert np.sqrt(x).op == "sqrt"
    assert np.arctan2(y, x).op == "atan2"
    assert np.logical_and(x > 0, y > 0).op == "land"
    with pytest.raises(DefinitionError, match=r"numpy\.nextafter"):
        np.nextafter(x, y)


@pytest.mark.parametrize("use", [bool, iter, len, int, float, operator.index, lambda e: e[0]])
def test_an_expression_is_no_python_value(use: object) -> None:
    with pytest.raises(DefinitionError) as error:
        use(x + 1)
    assert error.value.hint
    assert error.value.loc.file == __file__


def test_bool_of_an_expression_explains_the_cure() -> None:
    with pytest.raises(DefinitionError, match="truth value") as error:
        if x > 0:
            pass
    assert "halo.select" in str(error.value)
    assert "if x > 0" in str(error.value)


def test_values_become_literals() -> None:
    assert as_expr(3).type is None
    assert as_expr(True).value is True
    assert as_expr(np.uint8(3)).type is u8
    assert as_expr(np.array(2.5)).type is halo.f64
    assert as_expr(x) is x
    with pytest.raises(DefinitionError, match="not a value of the language"):
        as_expr("text")
    with pytest.raises(DefinitionError, match="subscript"):
        as_expr(IMG)
    with pytest.raises(DefinitionError, match="subscript"):
        as_expr(np.zeros(3))


def test_types_convert() -> None:
    assert (halo.u8(x).op, halo.u8(x).data) == ("cast", u8)
    assert x.astype("float32").data is halo.f32
    assert (halo.f32(3).value, halo.f32(3).type) == (3.0, halo.f32)
    assert halo.bool_(2).value is True
    assert halo.i32(3.9).value == 3
    for value in (300, -1, float("nan")):
        with pytest.raises(TypeMismatchError, match="does not fit"):
            halo.u8(value)


@pytest.mark.parametrize("t", ALL, ids=str)
def test_the_extremes_of_a_type_are_literals_of_it(t: Type) -> None:
    assert t(t.min).type is t
    assert t(t.max).type is t


def test_subscripts() -> None:
    e = IMG[y, x + 1]
    assert isinstance(e, Access)
    assert e.indices[0] is y
    r = halo.rdom(3, 3)
    assert subscripts((r,)) == (r[0], r[1]) or [v.axis for v in subscripts((r,))] == [0, 1]
    for key in ((slice(None), x), (..., x), None):
        with pytest.raises(DefinitionError, match="one point"):
            IMG[key]
    with pytest.raises(DefinitionError, match="2 axes and is subscripted by 1"):
        IMG[x]


def test_shapes() -> None:
    h, w = IMG.shape
    assert (h.axis, w.axis) == (0, 1)
    assert IMG.shape[-1].axis == 1
    assert len(IMG.shape[:1]) == 1
    unknown = Input("unknown")
    assert isinstance(unknown.shape[1], Extent)
    with pytest.raises(DefinitionError, match="rank of unknown"):
        len(unknown.shape)


def test_domains() -> None:
    r = halo.rdom(3, (-1, 5), range(2, 6), IMG, names="a b c d e")
    assert [(lo.value, getattr(n, "value", n)) for lo, n in r.axes[:3]] == [(0, 3), (-1, 5), (2, 4)]
    assert [n.axis for _, n in r.axes[3:]] == [0, 1]
    assert r.b.name == "b"
    assert [v.name for v in halo.rdom(2, 2)] == ["r0", "r1"]
    assert halo.rdom(7).names == ("r",)
    lo, n = halo.range(x, x + 3)
    assert lo is x
    with pytest.raises(AttributeError, match="no axis"):
        _ = r.z
    with pytest.raises(DefinitionError, match="step 1"):
        halo.rdom(range(0, 9, 2))
    with pytest.raises(DefinitionError, match="different names"):
        halo.rdom(2, 2, names="k k")
    with pytest.raises(DefinitionError, match="rank of img"):
        halo.rdom(Input("img"))
    assert len(halo.rdom(Input("img"), ndim=2)) == 2


def test_a_domain_has_its_condition_before_its_first_use() -> None:
    r = halo.rdom(9)
    r.where(r.r > 2).where(r.r < 7)
    total = halo.sum(IMG[r, 0], r)
    assert total.pred.op == "and"
    with pytest.raises(DefinitionError, match="before the first use"):
        r.where(r.r > 3)


def test_reductions() -> None:
    r = halo.rdom(3)
    assert halo.max(x, y, 3).op == "max"
    assert halo.max(IMG[r, x], r).op == "max"
    assert halo.sum([x, y]).op == "add"
    assert len(halo.argmin(IMG[r, x], r)) == 2
    with pytest.raises(ArgumentError, match="needs a value"):
        halo.min()


def test_augmented_assignment_is_remembered() -> None:
    e = IMG[y, x]
    e += 1
    assert isinstance(e, Augmented)
    assert e.op == "add"
    v = x
    v += 1
    assert type(v) is Call


def test_select() -> None:
    e = halo.select(x > 0, 1, x > 5, 2, 3)
    assert e.args[2].op == "select"
    assert len(halo.select(x > 0, (1, 2), (3, 4))) == 2
    with pytest.raises(ArgumentError, match="in pairs"):
        halo.select(x > 0, 1)
    with pytest.raises(DefinitionError, match="tuples of one length"):
        halo.select(x > 0, (1, 2), 3)


def test_pad() -> None:
    view = halo.pad(IMG, "edge")
    assert view.ndim == 2
    assert base(halo.pad(view, "wrap", bounds=[(0, 3), None])) is IMG
    with pytest.raises(DefinitionError, match="no mode") as error:
        halo.pad(IMG, "mirror")
    assert "reflect" in error.value.legal
    with pytest.raises(DefinitionError, match="bounds of 2 axes"):
        halo.pad(IMG, "edge", bounds=[(0, 3)])


PLAIN = [n for n in functions.__all__ if getattr(getattr(functions, n), "__qualname__", "") == n
         and getattr(getattr(functions, n), "__module__", "") == "halo"]  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_functions_say_what_they_take(name: str) -> None:
    f = getattr(functions, name)
    count = len(inspect.signature(f).parameters)
    e = f(*[x] * count)
    assert (e.op, len(e.args)) == (name, count)
    assert f.__doc__
    with pytest.raises(ArgumentError, match=f"halo.{name}"):
        f(*[x] * (count + 1))


@pytest.mark.parametrize("text", [
    "(x + 1)*2", "x - (y - 1)", "-(x + y)//2 % 3", "x < y", "(x < 3) & (y >= 2)", "~x", "x**-y", "2**x**y", "(-x)**2",
    "img[y, x - 1]", "select(x > 0, img[y, x], 0)", "u8(x)", "u8(3)", "img.shape[1] - 1", "1.5*x", "x << 1 | y",
])  # fmt: skip
def test_repr_is_the_python_that_makes_it(text: str) -> None:
    names = {"x": x, "y": y, "img": IMG, "select": halo.select, "u8": u8}
    assert repr(eval(text, names)) == text


def test_repr_of_reductions() -> None:
    r = halo.rdom(3, (1, 2), names="k l")
    assert repr(halo.sum(IMG[r], r)) == "sum(img[k, l] for k, l in rdom(3, (1, 2)))"


def test_deep_expressions_print_and_walk() -> None:
    e = x
    for _ in range(5000):
        e = e + 1
    assert "..." in repr(e)
    assert sum(isinstance(n, Call) for n in walk((e,))) == 5000


def test_walk_goes_once_and_in_order() -> None:
    shared = IMG[y, x]
    e = shared * 2 + shared
    assert [n.op for n in walk((e,)) if isinstance(n, Call)] == ["add", "mul"]
    assert sum(n is shared for n in walk((e,))) == 1
    assert operands(e)[1] is shared


def test_rewriting_keeps_what_does_not_change() -> None:
    class Swap(Rewriter):
        def leaf(self, e):
            return y if e is x else None

    e = IMG[x, y] + Literal(1)
    swap = Swap()
    new = swap.expr(e)
    assert new is not e
    assert new.args[0].indices[0] is y
    assert new.args[1] is e.args[1]
    assert swap.expr(IMG[y, y] * y) is not None
    keep = y * 2
    assert swap.expr(keep) is keep
    assert new.loc == e.loc


def test_tables_and_params() -> None:
    t = Table([[1, 2], [3, 4]])
    assert (t.ndim, t.type) == (2, halo.i64)
    p = Param("gain", "f32", default=2.0)
    assert (p.type, (p * x).op) == (halo.f32, "mul")
    assert isinstance(halo.rdom(2), RDom)
    with pytest.raises(DefinitionError, match="identifier"):
        IndexVar("not one")
