from __future__ import annotations

import pickle

import pytest

from halo.errors import HaloError
from halo.frontend.typing import build_pipeline
from halo.ir.expr import Expr
from halo.ir.node import interning
from halo.ir.text import to_text
from halo.schedule.scalar import Scalar, as_scalar

from .helpers import Interpreter, define

SETUP = """
y, x = Var("y"), Var("x")
img = Input("img", f32, ndim=2)
n, k, b = Param("n", i32), Param("k", f32), Param("b", u8)
f = Func("f")
f[y, x] = img[y, x] * k + cast(f32, n) + cast(f32, b)
"""
TEXTS = ["n + 1", "2*n", "n//3 % 4", "max(n, img.shape[1]) - 1", "img.shape[0] >= 64", "k > 0.5", "n == 1 and k < 2",
         "b <= 3", "f.shape[1] > 8", "not n == 3", "0 - n", "u8(n)"]  # fmt: skip


def scalar(text: str) -> Scalar:
    scope = define(SETUP)
    for old, new in (("n == 1 and k < 2", "(n == 1) & (k < 2)"), ("not n == 3", "~(n == 3)"), ("u8(n)", "cast(u8, n)")):
        text = text.replace(old, new)
    return as_scalar(eval(text, scope))


@pytest.mark.parametrize("text", TEXTS)
def test_scalars_are_values_that_print_as_python(text: str) -> None:
    s = scalar(text)
    assert s == scalar(text)
    assert hash(s) == hash(scalar(text))
    assert Scalar.load(s.dump()) == s
    assert pickle.loads(pickle.dumps(s)) == s
    assert str(s).replace("~(n == 3)", "not n == 3").replace("(n == 1) & (k < 2)", "n == 1 and k < 2") == text


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("n", [-7, 0, 1, 3, 70])
def test_scalars_mean_what_python_means(text: str, n: int) -> None:
    with interning():
        p = build_pipeline([define(SETUP)["f"]])
        shapes = {"img": (64, 9), "f": (5, 7)}
        params = {"n": n, "k": 0.75, "b": 3}
        run = Interpreter(p, {}, {}, params)
        for a in (*p.inputs, p["f"].array):
            run.known |= dict(zip(a.extents, shapes[a.name], strict=True))
        got = run.value(scalar(text).typed(p), {})

    class Shaped:
        def __init__(self, shape: tuple[int, int]) -> None:
            self.shape = shape

    scope = {**params, "max": max, "u8": lambda v: v % 256, **{name: Shaped(s) for name, s in shapes.items()}}
    assert got == eval(text, scope)


def test_what_depends_on_data_is_no_scalar() -> None:
    scope = define(SETUP)
    for text in ("x + 1", "img[0, 0] > 3", "f[0, 0]"):
        with pytest.raises(ValueError, match="is not made of numbers, parameters and extents"):
            as_scalar(eval(text, scope))
    with pytest.raises(HaloError):
        as_scalar("n")


def test_integers_are_index_expressions() -> None:
    with interning():
        p = build_pipeline([define(SETUP)["f"]])

        def typed(text: str) -> Expr:
            return scalar(text).typed(p)

        assert typed("n + 1").type.name == "index"
        assert typed("k > 0.5").type.name == "bool_"
        assert to_text(typed("k > 0.5")) == "k > 0.5"
