"""Two evaluators of Python source, which type arithmetic in their own ways.

`NumPyCode` is for plain Python: values are NumPy scalars, whose arithmetic wraps and rounds as the language says, and
`index` values are Python's own integers. `NumbaCode` is for `@njit`, which widens integers to 64 bits.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from ..ir.expr import Const, Expr, Op
from ..ir.facts import const_bounds
from ..types import Type, bf16, bool_, f16, f32, f64, index, u16
from .python_code import (
    LOOSE,
    STRONG,
    WEAK,
    Code,
    all_unsigned,
    binary,
    bits_alone,
    call,
    float_literal,
    literal,
    np_,
    np_type,
    ref_,
    stored_array,
)  # fmt: skip
from .python_expr import DIVIDE, Expressions

__all__ = ["NumPyCode", "NumbaCode"]


class NumPyCode(Expressions):
    """Plain Python over NumPy scalars. Weak literals adopt the type of the other operand (NEP 50)."""

    def const(self, e: Const) -> Code:
        if e.type is bool_:
            return Code(literal(bool(e.value)))
        if e.type.is_stored:  # where nothing is read
            return Code(literal(0), WEAK)
        if e.type is bf16:
            return Code(call("bfloat16", float_literal(e.value, bf16)))
        if e.type.is_float:
            return Code(float_literal(e.value, e.type), WEAK)
        return Code(literal(e.value), STRONG if e.type is index else WEAK)

    def as_type(self, type: Type, tree: ast.expr) -> ast.expr:
        return call(np_type(type), tree)

    def meet(self, codes: tuple[Code, ...], type: Type) -> tuple[Code, ...]:
        if type is index or type is bool_ or any(c.form == STRONG for c in codes):
            return codes
        return (self.strong(codes[0], type), *codes[1:])

    def ring(self, op: type[ast.operator], args: tuple[Code, ...], type: Type) -> Code:
        a, b = self.meet(args, type)
        return Code(binary(a.tree, op, b.tree))

    def wrapped(self, tree: ast.expr, type: Type) -> Code:
        return Code(tree)

    def cast(self, value: Expr, to: Type) -> Code:
        source = value.type
        if to is bool_:
            return Code(ast.Compare(self.value(value), [ast.NotEq()], [literal(0)]))
        if to is index:
            return Code(call("int", self.typed(value) if source.is_int else call(ref_("i64"), self.typed(value))))
        if source is index and to.is_int:
            lo, hi = const_bounds(value)
            fits = lo is not None and hi is not None and to.min <= lo and hi <= to.max
            return Code(call(np_type(to) if fits else ref_(to.name), self.value(value)))
        if source.is_float and to.is_int:
            return Code(call(ref_(to.name), self.typed(value)))
        return Code(self.as_type(to, self.typed(value)))

    def reinterpret(self, tree: ast.expr, source: Type, to: Type) -> ast.expr:
        return tree if bits_alone(source, to) else call(ast.Attribute(tree, "view", ast.Load()), np_type(to))

    def array(self, data: np.ndarray[Any, Any], type: Type) -> ast.expr:
        return super().array(data.view(np.uint8) if type.is_stored else data, type)

    def as_array(self, tree: ast.expr, type: Type) -> ast.expr:
        return stored_array(tree, type) if type.is_stored else tree


_OVERFLOWING: dict[type[ast.operator], str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}


def _most(op: type[ast.operator], codes: tuple[Code, ...], type: Type) -> int:
    """The largest magnitude of a result."""
    a, b = (0 if c.form == STRONG else c.most for c in codes)
    a, b = (m or max(-int(type.min), int(type.max)) for m in (a, b))
    return a * b if op is ast.Mult else a + b


class NumbaCode(Expressions):
    """`@njit`: integers are computed in 64 bits, so wrapping is a cast; floats keep their types between equals only."""

    def const(self, e: Const) -> Code:
        if e.type is bool_:
            return Code(literal(bool(e.value)))
        if e.type.is_stored:  # where nothing is read
            return Code(literal(0), WEAK)
        if e.type is f64:
            return Code(float_literal(e.value, f64))
        if e.type.is_float:
            return Code(call(np_("float32"), float_literal(e.value, e.type, f32)))
        if e.type.name == "u64":
            return Code(call(np_("uint64"), literal(e.value)))
        if e.type is index or e.type.name == "i64":
            return Code(literal(e.value))
        return Code(literal(e.value), WEAK, most=max(abs(e.value), 1))

    def as_type(self, type: Type, tree: ast.expr) -> ast.expr:
        convert = np_("float32") if type in (f16, bf16) else np_type(type)
        done = isinstance(tree, ast.Call) and ast.dump(tree.func) == ast.dump(convert)
        return tree if done else call(convert, tree)

    def meet(self, codes: tuple[Code, ...], type: Type) -> tuple[Code, ...]:
        """An unsigned 64-bit integer never meets a signed one: Numba would compute in floats."""
        if not type.is_int or type is index or type.name == "u64":
            return tuple(self.strong(c, type) for c in codes)
        return codes if all_unsigned(codes, type) else tuple(self.strong(c, type) if c.unsigned else c for c in codes)

    unify = meet

    def ring(self, op: type[ast.operator], args: tuple[Code, ...], type: Type) -> Code:
        """Signed arithmetic that overflows 64 bits has no meaning in Numba."""
        a, b = both = self.meet(args, type)
        if type.name == "i64" and op in _OVERFLOWING:
            return Code(call(ref_(_OVERFLOWING[op]), a.tree, b.tree))
        if not type.is_int or type.bits == 64:
            return self.rounded(binary(a.tree, op, b.tree), type)
        most = _most(op, both, type)
        if most >= 2**63 and not all_unsigned(both, type):
            a, b = both = tuple(self.strong(c, type) for c in both)
            most = _most(op, both, type)
        return Code(binary(a.tree, op, b.tree), LOOSE, all_unsigned(both, type), most)

    def rounded(self, tree: ast.expr, type: Type) -> Code:
        return Code(call(ref_(type.name), tree)) if type in (f16, bf16) else Code(tree)

    def wrapped(self, tree: ast.expr, type: Type) -> Code:
        return Code(self.as_type(type, tree))

    def negated(self, tree: ast.expr, type: Type) -> Code:
        tree = ast.UnaryOp(ast.USub(), tree)
        return Code(self.as_type(type, tree) if type.is_int and type is not index else tree)

    def _quotient(self, n: str, args: tuple[Expr, ...], type: Type) -> Code:
        a, b = self.meet(tuple(self.exact(self.code(a), type) for a in args), type)
        tree = binary(a.tree, DIVIDE[n], b.tree)
        return Code(tree) if type.bits == 64 else Code(tree, WEAK, all_unsigned((a, b), type))

    def _helper(self, e: Op, operand: Type) -> Code:
        tree = call(ref_(e.name), *(self.typed(a) for a in e.args))
        if e.type in (f16, bf16):
            return self.rounded(tree, e.type)
        return Code(tree if e.type is operand else self.as_type(e.type, tree))

    def loaded(self, tree: ast.expr, type: Type) -> ast.expr:
        return call(ref_(f"{type.name}_value"), tree) if type in (f16, bf16) else tree

    def element(self, type: Type) -> ast.expr:
        return np_("uint16") if type in (f16, bf16) else np_type(type)

    def array(self, data: np.ndarray[Any, Any], type: Type) -> ast.expr:
        held = np.uint16 if type in (f16, bf16) else np.uint8 if type.is_stored else None
        return super().array(data if held is None else data.view(held), type)

    def as_array(self, tree: ast.expr, type: Type) -> ast.expr:
        if type.is_stored:
            return stored_array(tree, type)
        return call(ast.Attribute(tree, "view", ast.Load()), np_type(type)) if type in (f16, bf16) else tree

    def stored(self, e: Expr) -> ast.expr:
        tree = self.code(e).tree
        if e.type not in (f16, bf16):
            return tree
        rounds = ref_(e.type.name)
        if isinstance(tree, ast.Call) and ast.dump(tree.func) == ast.dump(rounds):  # as making bits of it does too
            tree = tree.args[0]
        return call(ref_(f"{e.type.name}_bits"), tree)

    def cast(self, value: Expr, to: Type) -> Code:
        source = value.type
        if to is bool_:
            return Code(ast.Compare(self.typed(value), [ast.NotEq()], [self.const(Const(0, source)).tree]))
        if to in (f16, bf16):
            return self.rounded(self.as_type(f32, self.value(value)) if not source.is_float else self.typed(value), to)
        if source in (f16, bf16) and to is f32:
            return self.code(value)
        if source.is_float and not to.is_float:
            tree = call(np_("i64" if to is index else to.name, "ref"), self.typed(value))
            return Code(tree)
        c = self.code(value)
        if source.bits == to.bits == 64 and source.kind == to.kind:
            return c
        if not (source.is_int and to.is_int and to.bits <= source.bits):
            c = self.exact(c, source)
        return Code(self.as_type(to, c.tree))

    def reinterpret(self, tree: ast.expr, source: Type, to: Type) -> ast.expr:
        if bits_alone(source, to):
            return tree
        if source.bits == 16:
            if source.is_float:
                tree = call(ref_(f"{source.name}_bits"), tree)
            return call(ref_(f"{to.name}_value"), self.as_type(u16, tree)) if to.is_float else self.as_type(to, tree)
        return call(ast.Attribute(self.as_type(source, tree), "view", ast.Load()), np_type(to))
