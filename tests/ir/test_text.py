from __future__ import annotations

from textwrap import dedent

import pytest

from halo.ir import algebra as A
from halo.ir.expr import Array, Broadcast, Buffer, Cast, Const, Expr, Load, Op, Ramp, Read, Reduce, Shuffle, Var
from halo.ir.stmt import (
    Allocate,
    Block,
    Check,
    Evaluate,
    Extern,
    For,
    If,
    Let,
    Produce,
    Provide,
    Realize,
    Stmt,
    Store,
    block,
)
from halo.ir.text import loops_text, to_text
from halo.types import bool_, f16, f32, f64, i32, index, u8, u16, u32

x, y, w, h = Var("x"), Var("y"), Var("w"), Var("h")
a, b = Var("a", i32), Var("b", i32)
f, g = Var("f", f32), Var("g", f32)
p, q = Var("p", bool_), Var("q", bool_)
img = Array("img", (u16,), 2, "input")
out = Array("out", (u16,), 2)
pair = Array("pair", (u8, f32), 1)


def n(value: int) -> Expr:
    return A.const(value)


def op(name: str, *args: Expr) -> Op:
    return Op(name, args, bool_ if name in ("lt", "le", "eq", "ne") else args[0].type)


def text(s: Stmt) -> str:
    return to_text(s)


def expected(s: str) -> str:
    return dedent(s).strip("\n")


@pytest.mark.parametrize(
    ("e", "want"),
    [
        (A.add(A.mul(n(8), y), A.sub(x, n(1))), "x + 8*y - 1"),
        (A.sub(y, x), "y - x"),
        (A.sub(n(7), x), "7 - x"),
        (A.neg(x), "-x"),
        (A.sub(A.neg(x), n(7)), "-x - 7"),
        (A.mul(n(3), A.floordiv(A.add(h, n(7)), n(8))), "3*((h + 7)//8)"),
        (A.mod(A.add(y, n(2)), n(4)), "(y + 2) % 4"),
        (A.neg(A.floordiv(x, n(8))), "-(x//8)"),
        (A.sub(y, A.floordiv(x, n(8))), "y - x//8"),
        (A.minimum(A.minimum(x, y), w), "min(x, y, w)"),
        (A.lt(x, w), "x < w"),
        (A.le(x, w), "x <= w"),
        (A.ge(x, n(1)), "x >= 1"),
        (A.lt(x, A.sub(w, n(2))), "x + 3 <= w"),
        (A.eq(x, n(0)), "x == 0"),
    ],
)
def test_index_expressions(e: Expr, want: str) -> None:
    assert to_text(e) == want


@pytest.mark.parametrize(
    ("e", "want"),
    [
        (op("mul", op("add", a, b), a), "(a + b)*a"),
        (op("sub", a, op("sub", b, a)), "a - (b - a)"),
        (op("sub", op("sub", a, b), a), "a - b - a"),
        (op("floordiv", op("add", a, b), Const(3, i32)), "(a + b) // 3"),
        (op("shl", a, op("and", b, Const(7, i32))), "a << (b & 7)"),
        (op("or", op("xor", a, b), op("and", a, b)), "a ^ b | a & b"),
        (op("neg", op("mul", a, b)), "-(a*b)"),
        (op("not", a), "~a"),
        (op("lt", Const(3, i32), a), "a > 3"),
        (op("mul", a, Const(-3, i32)), "a*-3"),
        (op("and", op("not", p), op("or", p, q)), "not p and (p or q)"),
        (op("eq", op("lt", a, b), p), "(a < b) == p"),
        (Op("select", (p, a, Const(0, i32)), i32), "select(p, a, 0)"),
        (Op("select", (p, Const(1, i32), Const(0, i32)), i32), "select(p, i32(1), i32(0))"),
        (Op("fma", (f, g, Const(0.1, f32)), f32), "fma(f, g, 0.1)"),
        (op("div", f, Const(3.0, f32)), "f / 3.0"),
        (Op("isnan", (f,), bool_), "isnan(f)"),
        (Op("reinterpret", (f,), u32), "reinterpret(f, u32)"),
        (Op("random", (n(7), x), u32), "random(7, x, u32)"),
        (Const(3, u8), "u8(3)"),
        (Const(float("inf"), f64), "f64(inf)"),
        (Const(0.5, f16), "f16(0.5)"),
        (Const(1, bool_), "True"),
        (Cast(Cast(a, u8), f32), "f32(u8(a))"),
        (Read(img, (y, A.sub(x, n(1)))), "img[y, x - 1]"),
        (Read(img, (y, x), 0, A.lt(x, w)), "where(x < w, img[y, x])"),
        (Read(pair, (x,), 1), "pair[x][1]"),
        (Read(Array("zero", (u8,), 0), ()), "zero[()]"),
    ],
)
def test_values(e: Expr, want: str) -> None:
    assert to_text(e) == want


def test_vectors() -> None:
    buffer = Buffer("tmp", u8, "heap")
    ramp = Ramp(x, n(1), 8)
    load = Load(buffer, ramp)
    assert to_text(load) == "tmp[ramp(x, 1, 8)]"
    assert to_text(op("add", load, Broadcast(Const(2, u8), 8))) == "tmp[ramp(x, 1, 8)] + broadcast(2, 8)"
    assert to_text(Shuffle((load, load), (0, 8, 1, 9))) == (
        "shuffle((tmp[ramp(x, 1, 8)], tmp[ramp(x, 1, 8)]), (0, 8, 1, 9))"
    )
    assert to_text(Reduce("add", load, 2)) == "reduce_add(tmp[ramp(x, 1, 8)], 2)"


def test_nest_of_the_architecture() -> None:
    yo, yi, row, r = Var("yo"), Var("yi"), Var("y"), Var("r")
    blur_x = Array("blur_x", (u16,), 2)
    value = A.op("floordiv", A.op("add", Read(img, (r, x)), Read(img, (r, A.add(x, n(1))))), Const(3, u16))
    first = A.select(A.eq(yi, n(0)), row, A.add(row, n(2)))
    rows = For(r, first, A.sub(A.add(row, n(3)), first), "serial", For(x, n(0), w, "vectorize",
               Provide(blur_x, (A.mod(r, n(4)), x), (value,))))  # fmt: skip
    rest = For(x, n(0), w, "serial", Provide(out, (row, x), (Read(blur_x, (A.mod(row, n(4)), x)),)))
    inner = For(yi, n(0), n(8), "serial", Let(row, A.add(A.mul(yo, n(8)), yi), block(Produce(blur_x, rows), rest)))
    bounds = ((A.mul(yo, n(8)), n(10)), (n(0), w))
    nest = For(yo, n(0), A.floordiv(A.add(h, n(7)), n(8)), "parallel", Realize(blur_x, bounds, inner, fold=((0, 4),)))
    assert to_text(nest) == expected(
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
        """
    )
    assert loops_text(nest) == expected(
        """
        for yo in 0..(h + 7)//8 parallel:
          alloc blur_x[4 of 10, w]
          for yi in 0..8:
            y = 8*yo + yi
            produce blur_x:
              for r in select(yi == 0, y, y + 2)..y + 3:
                for x in 0..w vectorize:
                  blur_x[...] = ...
            for x in 0..w:
              out[...] = ...
        """
    )


def store(target: Array, *values: Expr | None, pred: Expr | None = None) -> Provide:
    return Provide(target, (y, x)[2 - target.ndim :], values, pred)


def test_bounds_are_sums_in_canonical_form() -> None:
    assert text(For(x, A.sub(y, n(1)), n(3), "unroll", store(out, Const(0, u16)), "never")) == expected(
        """
        for x in y - 1..y + 2 unroll partition never:
          out[y, x] = 0
        """
    )


def test_names_are_unique_in_scope_only() -> None:
    x2, x3 = Var("x"), Var("x")
    inner = For(x2, n(0), x, "serial", Provide(out, (x, x2), (Const(1, u16),)))
    s = block(For(x, n(0), w, "serial", inner), For(x3, n(0), w, "serial", Provide(out, (x3, x3), (Const(2, u16),))))
    assert text(s) == expected(
        """
        for x in 0..w:
          for x_1 in 0..x:
            out[x, x_1] = 1
        for x in 0..w:
          out[x, x] = 2
        """
    )


def test_let_before_other_statements_is_closed_by_a_colon() -> None:
    s = block(Let(y, n(3), store(out, Const(1, u16))), store(out, Const(2, u16)))
    assert text(s) == expected(
        """
        y = 3:
          out[y, x] = 1
        out[y, x] = 2
        """
    )


def test_conditions_predicates_tuples() -> None:
    leaf = Provide(pair, (x,), (None, f), pred=A.lt(x, w))
    s = If(A.lt(x, w), leaf, If(p, store(out, Const(1, u16)), Evaluate(Op("print", (x,), i32))), likely=True)
    assert text(s) == expected(
        """
        if likely(x < w):
          pair[x] = ..., f where x < w
        elif p:
          out[y, x] = 1
        else:
          print(x, i32)
        """
    )


def test_flat_statements() -> None:
    buffer = Buffer("tmp", u8, "stack")
    body = block(
        Check(A.le(w, n(64)), 3, (w,)),
        Store(buffer, Ramp(x, n(1), 4), Broadcast(Const(7, u8), 4), atomic=True),
        Extern(dedent, out, (img,), ((n(0), h), (n(0), w))),
        Block(()),
    )
    assert text(Allocate(buffer, A.add(w, n(8)), body, 72)) == expected(
        """
        alloc u8 tmp[w + 8 at most 72] stack
        check w <= 64 else 3, w
        atomic tmp[ramp(x, 1, 4)] = broadcast(7, 4)
        extern out[0..h, 0..w] = dedent(img)
        """
    )


def test_loops_leave_out_what_no_bound_needs() -> None:
    tail = If(A.lt(x, w), store(out, Const(1, u16)), likely=True)
    other = If(p, store(out, Const(2, u16)))
    loop = For(y, n(0), h, "serial", block(tail, other))
    s = Let(a, Const(2, i32), Let(h, A.add(w, n(1)), block(Check(p, 1), loop)))
    assert loops_text(s) == expected(
        """
        h = w + 1
        for y in 0..h:
          out[...] = ...
          if p:
            out[...] = ...
        """
    )


def test_loops_over_all_of_an_axis_have_no_bounds() -> None:
    rows = For(y, out.mins[0], out.extents[0], "parallel", For(x, out.mins[1], A.sub(out.extents[1], n(1)), "serial",
               store(out, Const(1, u16))))  # fmt: skip
    assert loops_text(Let(out.extents[0], w, Produce(out, rows))) == expected(
        """
        produce out:
          for y parallel:
            for x in out.min[1]..out.shape[1] + out.min[1] - 1:
              out[...] = ...
        """
    )


def test_long_chains_do_not_recurse() -> None:
    s: Stmt = store(out, Const(1, u16))
    for k in range(3000):
        s = Let(Var(f"t{k}"), n(k), s)
    assert len(text(s).splitlines()) == 3001
    assert loops_text(s) == "out[...] = ..."


def test_types_of_neighbours() -> None:
    assert to_text(op("add", Const(1, index), Const(2, index))) == "1 + 2"
    assert to_text(op("add", Const(1, u8), Const(2, u8))) == "u8(1) + u8(2)"
