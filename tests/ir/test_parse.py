from __future__ import annotations

from textwrap import dedent

import pytest

from halo.ir.expr import Array, Buffer, Const, Op, Read, Var
from halo.ir.parse import parse, parse_expr
from halo.ir.stmt import For, Realize
from halo.ir.text import to_text
from halo.types import bool_, f32, i32, u8, u16

THINGS = [
    Var("a", i32), Var("b", i32), Var("f", f32), Var("g", f32), Var("p", bool_), Var("q", bool_),
    Array("img", (u16,), 2, "input"), Array("out", (u16,), 2), Array("blur_x", (u16,), 2), Array("pair", (u8, f32), 1),
    Array("zero", (u8,), 0), Buffer("tmp", u8, "heap"),
]  # fmt: skip

EXPRESSIONS = [
    "x + 8*y - 1", "7 - x", "-x", "3*((h + 7)//8)", "(y + 2) % 4", "min(x, y, w)", "x < w", "x >= 1", "x == 0",
    "(a + b)*a", "a - (b - a)", "a - b - a", "(a + b) // 3", "a << (b & 7)", "a ^ b | a & b", "-(a*b)", "~a", "a > 3",
    "a*-3", "not p and (p or q)", "(a < b) == p", "select(p, a, 0)", "select(p, i32(1), i32(0))", "fma(f, g, 0.1)",
    "f / 3.0", "isnan(f)", "reinterpret(f, u32)", "u8(3)", "f64(inf)", "f64(nan)", "True", "f32(u8(a))",
    "img[y, x - 1]", "where(x < w, img[y, x])", "pair[x][1]", "zero[()]", "img.shape[0] - 2", "tmp[ramp(x, 1, 8)]",
    "tmp[ramp(x, 1, 8)] + broadcast(2, 8)", "shuffle((tmp[ramp(x, 1, 8)], tmp[ramp(y, 1, 8)]), (0, 8, 1, 9))",
    "reduce_add(tmp[ramp(x, 1, 8)], 2)", "where(x < w, tmp[x])", "min(a, b)*max(a, 1)", "rare(p, a, b)",
]  # fmt: skip

STATEMENTS = [
    """
    for yo in 0..(h + 7)//8 parallel:
      alloc blur_x[4 of 10, w] at [8*yo, 0]
      for yi in 0..8:
        y = 8*yo + yi
        produce blur_x:
          for r in select(yi == 0, y, y + 2)..y + 3:
            for x in 0..w vectorize:
              blur_x[r % 4, x] = (img[r, x] + img[r, x + 1]) // 3
        for x in 0..w:
          out[y, x] = blur_x[y % 4, x]
    """,
    """
    alloc blur_x[h, w] stack:
      y = 3:
        out[y, x] = 1
      out[y, x] = 2
    out[y, x] = 3
    """,
    """
    hoist out:
      pass
    hoist blur_x[h, w + 1]:
      alloc blur_x[h, w]
      produce blur_x:
        blur_x[y, x] = 1
    """,
    """
    hoist blur_x[h, w] ring 2:
      for y in 0..h:
        alloc blur_x[4 of h, w] at [y, 0] heap slot y % 2
        blur_x[y, x] = 1
    """,
    """
    alloc blur_x[8 of h, w] ahead 2
    fork full = 0, room = 3:
      for y in 0..h:
        acquire room
        produce blur_x:
          blur_x[y, 0] = 1
        release full
    beside:
      for y in 0..h:
        acquire full
        out[y, 0] = blur_x[y % 8, 0]
        release room
    alone:
      pass
    """,
    """
    atomic tmp[x + 1]:
      tmp[x + 1] = 7
    """,
    """
    alloc blur_x[h, w]
    blur_x_missed = memoize(blur_x[y:h + y, 0:w], 2, by(a, img.shape[0]), img[y:h + y + 2, max(0, x):w], zero[()], key=b, when=p):
      produce blur_x:
        if blur_x_missed:
          blur_x[y, x] = 1
          keep blur_x_missed
      out[y, x] = blur_x[y, x]
    """,
    """
    pair_missed = recall(of(u8(pair_0[2*w]), f32(pair_1[2*w])), 0, by(a, 2*w), view(tmp[x], (w,), (1,)), view(tmp[0], (), ())):
      if pair_missed:
        pair_0[x] = 3
        pair_1[x] = f
        keep pair_missed
    """,
    """
    if likely(x < w):
      pair[x] = ..., f where x < w
    elif p:
      zero[()] = 1
    else:
      print(x, i32)
    """,
    """
    alloc u8 line[w + 8 at most 72] stack
    check w <= 64 else 3, w, h
    check p else 4
    atomic line[ramp(x, 1, 4)] = broadcast(7, 4)
    for r in y - 1..y + 2 unroll partition never:
      pass
    """,
    """
    for y in 0..h:
      prefetch img[2*y + 4..2*y + 9, 0..min(h, w)] guard
      prefetch pair[y..y + 1] items 0, 1 clamp
      stream out:
        out[y, x] = 1
      stream out, pair from img, blur_x:
        pass
      stream from img:
        pass
    """,
    """
    alloc u8 line[64] stack
    fetch line[0] .. line[w - 1]
    """,
    """
    produce zero:
      alloc u8 zero[w] heap
      zero[x] = 1
    """,
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_print_as_they_were_read(text: str) -> None:
    assert to_text(parse_expr(text, THINGS)) == text


@pytest.mark.parametrize("text", STATEMENTS)
def test_statements_print_as_they_were_read(text: str) -> None:
    text = dedent(text).strip()
    assert to_text(parse(text, THINGS)) == text


def test_values_have_the_types_of_their_neighbours() -> None:
    e = parse_expr("img[y, x]*2 + 1", THINGS)
    assert e.type is u16
    assert isinstance(e, Op)
    assert e.args[1] is Const(1, u16)


def test_variables_are_bound_where_the_text_binds_them() -> None:
    s = parse("for x in 0..4:\n  out[x, x] = img[x, y]", THINGS)
    assert isinstance(s, For)
    assert s.body.indices == (s.var, s.var)
    read = s.body.values[0]
    assert isinstance(read, Read)
    assert read.indices[0] is s.var
    assert read.indices[1] is not s.var


def test_folds_and_bounds() -> None:
    s = parse("alloc blur_x[4 of n + 2, w] at [y - 1, 0]\npass", THINGS)
    assert isinstance(s, Realize)
    assert s.fold == ((0, 4),)
    assert [to_text(e) for pair in s.bounds for e in pair] == ["y - 1", "n + 2", "0", "w"]


@pytest.mark.parametrize("text", ["lambda: 1", "img", "nothing[3]", "x < y < z"])
def test_what_is_no_ir_is_a_syntax_error(text: str) -> None:
    with pytest.raises(SyntaxError):
        parse_expr(text, THINGS)
