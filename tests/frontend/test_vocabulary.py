"""What Python callables mean on expressions."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

from halo.errors import DefinitionError, HaloError
from halo.frontend.capture import capture
from halo.frontend.vocabulary import WORDS, is_halo, is_njit, meaning, unknown
from halo.ir import functions
from halo.ir.surface import IndexVar, as_expr
from halo.types import u8

from .written import pure

X = IndexVar("x")


def written(text, **names):
    source = f"def f(y, *, a, b):\n    return {text}\n"
    scope = {"math": math, "np": np, "operator": operator, **names}
    exec(source, scope)
    (value,) = capture(scope["f"], source).definitions().pure.values
    return repr(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("math.sqrt(a[y])", "sqrt(a[y])"),
        ("math.atan2(a[y], b[y])", "atan2(a[y], b[y])"),
        ("math.log(a[y])", "log(a[y])"),
        ("math.log(a[y], 2)", "log(a[y])/log(2)"),
        ("math.fabs(a[y])", "abs(a[y])"),
        ("math.floor(a[y])", "floor(a[y])"),
        ("math.degrees(a[y])", f"a[y]*{180 / math.pi!r}"),
        ("math.isnan(a[y])", "isnan(a[y])"),
        ("np.sqrt(a[y])", "sqrt(a[y])"),
        ("np.maximum(a[y], 3)", "max(a[y], 3)"),
        ("np.arctan2(a[y], b[y])", "atan2(a[y], b[y])"),
        ("np.where(a[y] > 0, a[y], 0)", "select(a[y] > 0, a[y], 0)"),
        ("np.clip(a[y], 0, 255)", "min(max(a[y], 0), 255)"),
        ("np.clip(a[y], a_min=None, a_max=7)", "min(a[y], 7)"),
        ("np.abs(a[y])", "abs(a[y])"),
        ("np.round(a[y])", "round(a[y])"),
        ("np.square(a[y])", "a[y]*a[y]"),
        ("np.fix(a[y])", "trunc(a[y])"),
        ("np.deg2rad(a[y])", f"a[y]*{math.pi / 180!r}"),
        ("np.logical_and(a[y] > 0, b[y] > 0)", "a[y] > 0 and b[y] > 0"),
        ("np.uint8(a[y])", "u8(a[y])"),
        ("np.float32(a[y])", "f32(a[y])"),
        ("np.bool_(a[y])", "bool_(a[y])"),
        ("operator.add(a[y], 1)", "a[y] + 1"),
        ("operator.rshift(a[y], 1)", "a[y] >> 1"),
        ("abs(a[y])", "abs(a[y])"),
        ("round(a[y])", "round(a[y])"),
        ("pow(a[y], 2)", "a[y]**2"),
        ("divmod(a[y], 3)[1]", "a[y] % 3"),
        ("min(a[y], 3, b[y])", "min(min(a[y], 3), b[y])"),
        ("max(a[y], 3.5)", "max(a[y], 3.5)"),
        ("bool(a[y])", "bool_(a[y])"),
        ("sum([a[y], b[y], 1])", "a[y] + b[y] + 1"),
        ("sum([a[y]], 5)", "5 + a[y]"),
        ("int(3.7) + float(2) + y", "5.0 + y"),
        ("math.hypot(3, 4) + y", "5.0 + y"),
    ],
)
def test_words(text, expected):
    assert written(text) == expected


def test_every_word_makes_an_expression():
    """Each function of the table gives a value for as many expressions as it takes."""
    special = {int, float, divmod}
    for callable_, word in WORDS.items():
        if callable_ in special:
            continue
        for count in (1, 2, 3):
            try:
                made = word(*[X] * count)
            except (TypeError, DefinitionError):
                continue
            except Exception as e:
                if type(e).__name__ != "ArgumentError":
                    raise
                continue
            assert as_expr(made) is made
            break
        else:
            pytest.fail(f"{callable_} takes neither one, two nor three expressions")


@pytest.mark.parametrize(
    "name",
    """acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh erf exp expm1 fabs floor hypot isfinite isinf isnan
    log log10 log1p log2 pow sin sinh sqrt tan tanh trunc""".split(),
)
def test_math_is_covered(name):
    assert getattr(math, name) in WORDS


def test_of_whom_a_callable_is():
    assert is_halo(functions.sqrt) and is_halo(u8) and is_halo(as_expr(3).astype) and is_halo(X)
    assert not is_halo(math.sqrt) and not is_halo(np.sqrt) and not is_halo(len) and not is_halo(written)
    assert not is_njit(written)


def test_what_has_no_meaning():
    assert meaning(math.gamma) is None and meaning(sorted) is None and meaning(np.fft.fft) is None
    assert meaning([]) is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("math.gamma(a[y])", "math.gamma has no meaning on expressions", "a polynomial"),
        ("np.sum(a[y])", "numpy.sum has no meaning", "sum(... for r in halo.rdom(...))"),
        ("sorted([a[y], b[y]])", "sorted has no meaning", "halo.sort, or min and max of the elements"),
        ("int(a[y])", "int() of an expression does not say how wide", "halo.i32(e), halo.i64(e)"),
        ("float(a[y])", "float() of an expression", "halo.f32(e), halo.f64(e)"),
        ("round(a[y], 1)", "round() of an expression takes no digits", "halo.round(10*e)/10"),
        ("np.round(a[y], 1)", "round() of an expression takes no digits", "halo.round(10*e)/10"),
        ("np.heaviside(a[y], 0)", "numpy.heaviside has no meaning", ""),
        ("max([])", "raises ValueError", ""),
        ("math.sqrt(a[y], b[y])", "sqrt(e) is given 2 arguments", ""),
        ("math.sqrt('a') + y", "this raises TypeError", ""),
        ("1 // 0 + y", "this raises ZeroDivisionError", ""),
        ("max([a[y]], key=abs)", "max of expressions takes no key", "halo.argmin or halo.argmax"),
        ("'a' + a[y]", "is not a value of the language", ""),
        ("a[y] @ b[y]", "`@` has no meaning", "sum(a[i, k]*b[k, j] for k in halo.rdom(n))"),
        ("math.pi(a[y])", "is not a function", ""),
    ],
)
def test_errors(text, message, hint):
    with pytest.raises(HaloError) as e:  # an ArgumentError where halo's function is given too much
        written(text)
    assert message in str(e.value)
    assert hint in e.value.hint
    assert e.value.loc is not None and e.value.loc.file == "<source of f>"


def test_near_names_are_listed():
    def sqtr(v):
        raise AssertionError

    error = unknown(sqtr)
    assert "halo.sqrt" in error.legal


def test_functions_of_the_object_form_are_the_same():
    def f(x):
        return functions.min(x, 3) + functions.sum([x, 1]) + functions.abs(x)

    assert pure(f) == "min(x, 3) + (x + 1) + abs(x)"
