"""Pieces of Python source as AST, the names in it, and what the code of an expression is worth.

A piece of code has a *form*, that decides which casts must be printed:

* STRONG: the evaluator gives the value exactly the type of the expression;
* WEAK: the value is right, its type another one (a literal, a widened integer);
* LOOSE: a wider integer that is right modulo 2**bits.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..types import ML_DTYPES, Type, bf16, bool_, f64

__all__ = ["LOOSE", "STRONG", "WEAK", "Code", "Comment", "Names", "all_unsigned", "binary", "bits_alone", "call",
           "float_literal", "item", "literal", "name", "nested_list", "np_", "np_type", "ref_", "stored_array"]  # fmt: skip

STRONG, WEAK, LOOSE = range(3)

_RESERVED = {
    *keyword.kwlist,
    "np",
    "ref",
    "objmode",
    *ML_DTYPES.values(),
    "kernel",
    "error",
    "range",
    "min",
    "max",
    "abs",
    "int",
}


@dataclass(frozen=True)
class Code:
    """A Python expression and its form; of a weak or loose one, whether the evaluator's own type is unsigned, and its
    largest magnitude (0: that of a value of its type)."""

    tree: ast.expr
    form: int = STRONG
    unsigned: bool = False
    most: int = 0


class Comment(ast.stmt):
    """A line of its own: `# text`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def name(s: str) -> ast.expr:
    return ast.Name(s, ast.Load())


def literal(value: Any) -> ast.expr:
    return ast.Constant(value)


def np_(attribute: str, of: str = "np") -> ast.expr:
    return ast.Attribute(name(of), attribute, ast.Load())


def ref_(attribute: str) -> ast.expr:
    """`ref.attribute`."""
    return np_(attribute, "ref")


def call(f: ast.expr | str, *args: ast.expr) -> ast.Call:
    return ast.Call(name(f) if isinstance(f, str) else f, list(args), [])


def binary(a: ast.expr, op: type[ast.operator], b: ast.expr) -> ast.expr:
    return ast.BinOp(a, op(), b)


def item(array: ast.expr, indices: Iterable[ast.expr]) -> ast.Subscript:
    """`array[i]`, `array[i, j]`, or `array[()]`."""
    indices = list(indices)
    return ast.Subscript(array, indices[0] if len(indices) == 1 else ast.Tuple(indices, ast.Load()), ast.Load())


def np_type(type: Type) -> ast.expr:
    """What holds values of `type`: of those that only store, the bits."""
    if type is bf16:
        return name("bfloat16")
    return np_("bool_" if type is bool_ else "uint8" if type.is_stored else type.dtype.name)


def bits_alone(source: Type, to: Type) -> bool:
    """Whether one reads as the other without a conversion: the bits of a type that only stores are what holds it."""
    return _held(source) is _held(to)


def _held(type: Type) -> Any:
    return np.uint8 if type.is_stored else type.dtype.type


def stored_array(tree: ast.expr, type: Type) -> ast.expr:
    """An array of bits as one of the type that they store."""
    return call(ast.Attribute(tree, "view", ast.Load()), name(type.dtype.name))


def all_unsigned(codes: tuple[Code, ...], type: Type) -> bool:
    """Whether the evaluator's type is unsigned for each of `codes`, values of `type`."""
    return all(c.unsigned or (c.form == STRONG and type.kind == "uint") for c in codes)


def float_literal(value: float, type: Type, written: Type | None = None) -> ast.expr:
    """`value`, rounded to `type`, with as few digits as tell it from other values of the type `written` (or `type`).

    Infinities and NaN have names.
    """
    value = _rounded(value, type)
    if math.isnan(value):
        return np_("nan")
    if math.isinf(value):
        return np_("inf") if value > 0 else ast.UnaryOp(ast.USub(), np_("inf"))
    written = written or type
    short = value if written is f64 else float(str(written.dtype.type(value)))
    return literal(short if _rounded(short, written) == value else value)


def _rounded(value: float, type: Type) -> float:
    with np.errstate(all="ignore"):
        return float(type.dtype.type(value))


def nested_list(values: Any) -> ast.expr:
    if isinstance(values, list):
        return ast.List([nested_list(v) for v in values], ast.Load())
    return float_literal(values, f64) if isinstance(values, float) else literal(values)


class Names:
    """Python identifiers for variables and arrays: the display name, numbered where it would be ambiguous.

    A name whose scope has ended is given again, to a value of the same type only (Numba types names, not values).
    """

    def __init__(self) -> None:
        self.live: set[str] = set()
        self.types: dict[str, Any] = {}

    def take(self, display: str, type: Any) -> str:
        base = re.sub(r"\W+", "_", display).strip("_") or "v"
        base = base + "_" if base in _RESERVED else f"v{base}" if base[0].isdigit() else base
        k, found = 0, base
        while found in self.live or self.types.get(found, type) is not type:
            k, found = k + 1, f"{base}_{k + 1}"
        self.live.add(found)
        self.types[found] = type
        return found

    def release(self, found: str) -> None:
        self.live.discard(found)
