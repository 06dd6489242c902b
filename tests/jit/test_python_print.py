"""Source text without a redundant parenthesis, that parses to the tree it was printed from."""

from __future__ import annotations

import ast
import random
import warnings
from collections.abc import Callable

import pytest

from halo.jit.python_code import Comment
from halo.jit.python_print import to_text

AS_WRITTEN = [
    "out[y, x] = (img[y, x] + img[y, x + 1]) // 3",
    "out[()] = a[i]",
    "a[i,] = b[1:n, ::2]",
    "a, b = b, a + 1",
    "x = a - (b - c) - d",
    "x = a - b + c",
    "x = a * (b + c) * -d",
    "x = -a ** 2 + (-a) ** 2 + 2 ** -a",
    "x = a ** b ** c + (a ** b) ** c",
    "x = a / (b / c) % d",
    "x = a << 3 | b >> 1 & (c ^ d)",
    "x = ~a & -b",
    "x = not a and (b or c) and d < e",
    "x = not (a and b) or not c == d",
    "x = (a < b) == c",
    "x = a if b else c if d else e",
    "x = (a if b else c) if d else e",
    "x = a if (b if c else d) else e",
    "x = (a if b else c) + 1",
    "x = f(a, b + c)(d).view(np.uint8)",
    "x = (a + b).view(np.uint8)[i]",
    "x = (-1).real + 2.5 + (0).real",
    "x = [1, 2.0, (3, 4), True]",
    "x += y if z else w",
    "x = a < b + 1 <= c",
]


@pytest.mark.parametrize("source", AS_WRITTEN)
def test_parentheses_are_where_python_needs_them(source: str) -> None:
    text = to_text(ast.parse(source))
    assert text == source + "\n"
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(source))


def test_statements() -> None:
    source = """import numpy as np
from halo import ref


@ref.njit
def f(a, b):
    for i in range(n):
        if i < 3:
            a[i] = 1
        elif i < 5:
            pass
        else:
            return 2
    with objmode():
        g(a[0:n, 1:m])
    return 0
"""
    assert to_text(ast.parse(source)) == source


def test_comments_and_notes() -> None:
    module = ast.parse("for i in range(3):\n    f(i)")
    loop = module.body[0]
    assert isinstance(loop, ast.For)
    loop.note = "parallel"
    loop.body.insert(0, Comment("inside"))
    assert to_text(module) == "for i in range(3):  # parallel\n    # inside\n    f(i)\n"


BINARY = [ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr,
          ast.BitXor]  # fmt: skip


def any_expression(rng: random.Random, depth: int) -> ast.expr:
    """A random tree of the nodes that the backends print."""

    def below() -> ast.expr:
        return any_expression(rng, depth - 1)

    kinds: list[Callable[[], ast.expr]] = [
        lambda: ast.BinOp(below(), rng.choice(BINARY)(), below()),
        lambda: ast.UnaryOp(rng.choice([ast.USub, ast.Invert, ast.Not])(), below()),
        lambda: ast.Compare(below(), [rng.choice([ast.Lt, ast.Eq, ast.NotEq])()], [below()]),
        lambda: ast.BoolOp(rng.choice([ast.And, ast.Or])(), [below(), below()]),
        lambda: ast.IfExp(below(), below(), below()),
        lambda: ast.Subscript(below(), ast.Tuple([below(), below()], ast.Load()), ast.Load()),
        lambda: ast.Call(below(), [below(), below()], []),
        lambda: ast.Attribute(below(), "real", ast.Load()),
    ]
    leaves: list[Callable[[], ast.expr]] = [
        lambda: ast.Name(rng.choice("abc"), ast.Load()),
        lambda: ast.Constant(rng.choice([0, 7, 2.5, 1e300, True])),
    ]
    return rng.choice(kinds if depth and rng.random() < 0.9 else leaves)()


TREES = [any_expression(random.Random(seed), 4) for seed in range(400)]


def parsed(text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning: a number is not callable
            return ast.dump(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        return None


def test_what_is_printed_parses_to_the_same() -> None:
    for tree in TREES:
        text = to_text(ast.Expr(tree))
        assert parsed(text) == ast.dump(tree), text


def test_no_parenthesis_can_be_left_out() -> None:
    for tree in TREES:
        text = to_text(ast.Expr(tree)).strip()
        for start, end in pairs(text):
            without = f"{text[:start]} {text[start + 1 : end]} {text[end + 1 :]}"
            assert parsed(without) != ast.dump(tree) or text[start + 1 : end].isdigit(), text


def pairs(text: str) -> list[tuple[int, int]]:
    """Where the parentheses are that are not a call's."""
    opened: list[int] = []
    found = []
    for k, c in enumerate(text):
        if c == "(":
            opened.append(k)
        elif c == ")":
            found.append((opened.pop(), k))
    return [(a, b) for a, b in found if a == 0 or not (text[a - 1].isalnum() or text[a - 1] in ")]")]
