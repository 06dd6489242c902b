"""Vectors put together and taken apart; sums of `index` terms."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.expr import Broadcast, Const, Expr
from .emit_function import Function

__all__ = ["any_lane", "concat", "constant_of", "linear", "permute", "pick", "splat", "widen"]


def constant_of(e: Expr) -> float | None:
    """The number that `e` is in every lane, if it is a constant."""
    while isinstance(e, Broadcast):
        e = e.value
    return e.value if isinstance(e, Const) else None


def linear(f: Function, terms: Sequence[tuple[Expr, int]]) -> str:
    """The sum of coef * atom over one or more `terms`."""
    total = ""
    for atom, coef in sorted(terms, key=lambda t: f.level(t[0])) if len(terms) > 1 else terms:
        value = f.value(atom)
        if coef == -1 and total:
            total = f.same(f"sub nsw i64 {total}, {value}")
            continue
        if coef != 1:
            value = f.same(f"mul nsw i64 {value}, {coef}")
        total = f.same(f"add nsw i64 {total}, {value}") if total else value
    return total


def any_lane(f: Function, cond: str, lanes: int) -> str:
    return cond if lanes == 1 else f.new(f"call i1 @llvm.vector.reduce.or(<{lanes} x i1> {cond})")


def splat(f: Function, scalar: str, type: str, lanes: int) -> str:
    """`lanes` copies of a scalar of the LLVM type `type`."""
    if scalar[0] != "%":
        return f"splat ({type} {scalar})"
    one = f.new(f"insertelement <{lanes} x {type}> poison, {type} {scalar}, i64 0")
    return f.new(f"shufflevector <{lanes} x {type}> {one}, <{lanes} x {type}> poison, <{lanes} x i32> zeroinitializer")


def pick(f: Function, type: str, lanes: int, a: str, b: str, picks: Sequence[int]) -> str:
    """Lanes `picks` of the concatenation of two vectors, `lanes` wide each."""
    mask = ", ".join(f"i32 {p}" for p in picks)
    return f.new(f"shufflevector <{lanes} x {type}> {a}, <{lanes} x {type}> {b}, <{len(picks)} x i32> <{mask}>")


def concat(f: Function, type: str, parts: list[tuple[str, int]]) -> tuple[str, int]:
    """The (value, lanes) pairs of `parts` end to end, as one such pair: by halves, shorter ones widened first."""
    while len(parts) > 1:
        joined = [_join(f, type, *parts[k], *parts[k + 1]) for k in range(0, len(parts) - 1, 2)]
        parts = joined + parts[len(parts) & ~1 :]
    return parts[0]


def _join(f: Function, type: str, a: str, n: int, b: str, m: int) -> tuple[str, int]:
    width = max(n, m, 2)
    a, b = widen(f, type, a, n, width), widen(f, type, b, m, width)
    return pick(f, type, width, a, b, [*range(n), *range(width, width + m)]), n + m


def widen(f: Function, type: str, a: str, lanes: int, width: int) -> str:
    """`a` with undefined lanes after its own."""
    if lanes == width:
        return a
    if lanes == 1:
        return f.new(f"insertelement <{width} x {type}> poison, {type} {a}, i64 0")
    mask = ", ".join(f"i32 {k}" if k < lanes else "i32 poison" for k in range(width))
    return f.new(f"shufflevector <{lanes} x {type}> {a}, <{lanes} x {type}> poison, <{width} x i32> <{mask}>")


def permute(f: Function, type: str, parts: list[tuple[str, int]], picks: Sequence[int]) -> str:
    """Lanes `picks` of the (value, lanes) pairs of `parts` end to end; a scalar if there is one pick."""
    if all(p < parts[0][1] for p in picks):
        parts = parts[:1]
    if len(parts) == 2 and parts[0][1] == parts[1][1] > 1 and len(picks) > 1:
        return pick(f, type, parts[0][1], parts[0][0], parts[1][0], picks)
    value, lanes = concat(f, type, parts)
    if lanes == 1:
        return value if len(picks) == 1 else splat(f, value, type, len(picks))
    if len(picks) == 1:
        return f.new(f"extractelement <{lanes} x {type}> {value}, i64 {picks[0]}")
    if lanes == len(picks) and all(k == p for k, p in enumerate(picks)):
        return value
    return pick(f, type, lanes, value, "poison", picks)
