"""Typed IR expressions -> Python AST: what the two evaluators of `python_dialects` have in common."""

from __future__ import annotations

import ast
from collections.abc import Callable
from string import Formatter
from typing import Any

import numpy as np

from ..errors import CompileError
from ..ir.expr import Array, Cast, Const, Expr, Lin, Load, Op, Read
from ..ir.facts import const_bounds
from ..types import Type, index
from .python_code import (
    LOOSE,
    STRONG,
    Code,
    Names,
    all_unsigned,
    binary,
    call,
    item,
    literal,
    name,
    nested_list,
    np_,
    np_type,
    ref_,
)  # fmt: skip

__all__ = ["Expressions"]

_RING = {"add": ast.Add, "sub": ast.Sub, "mul": ast.Mult, "and": ast.BitAnd, "or": ast.BitOr, "xor": ast.BitXor}
_COMPARE = {"eq": ast.Eq, "ne": ast.NotEq, "lt": ast.Lt, "le": ast.LtE}
DIVIDE = {"floordiv": ast.FloorDiv, "mod": ast.Mod}
_SHIFT = {"shl": ast.LShift, "shr": ast.RShift}
_NUMPY_UNARY = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "rint", "sqrt": "sqrt", "isnan": "isnan",
                "isinf": "isinf", "isfinite": "isfinite"}  # fmt: skip


class Expressions:
    """Prints expressions; `bound` maps those that already have a name (variables, shared subexpressions)."""

    def __init__(self) -> None:
        self.bound: dict[Expr, Code] = {}
        self.names = Names()
        self.tables: dict[Any, tuple[str, ast.expr]] = {}  # constant arrays: their name and definition
        self.locate: Callable[[Array, int, tuple[Expr, ...]], tuple[ast.expr, tuple[Expr, ...]]]

    # What the two evaluators differ in

    def const(self, e: Const) -> Code:
        raise NotImplementedError

    def as_type(self, type: Type, tree: ast.expr) -> ast.expr:
        """A conversion between numbers of the same value, or of integers modulo 2**bits."""
        raise NotImplementedError

    def meet(self, codes: tuple[Code, ...], type: Type) -> tuple[Code, ...]:
        """The operands of one arithmetic operation, made such that the evaluator's result has the right type."""
        raise NotImplementedError

    def unify(self, codes: tuple[Code, ...], type: Type) -> tuple[Code, ...]:
        """The operands of a choice or a comparison, made such that the evaluator's common type holds them all."""
        return codes

    def ring(self, op: type[ast.operator], args: tuple[Code, ...], type: Type) -> Code:
        raise NotImplementedError

    def loaded(self, tree: ast.expr, type: Type) -> ast.expr:
        """The value of an array's element."""
        return tree

    def as_array(self, tree: ast.expr, type: Type) -> ast.expr:
        """An array as others see it."""
        return tree

    def stored(self, e: Expr) -> ast.expr:
        """What to assign to an array's element; the assignment converts weak and loose values itself."""
        return self.code(e).tree

    def element(self, type: Type) -> ast.expr:
        """The NumPy dtype of arrays of `type`."""
        return np_type(type)

    def table(self, key: Any, display: str, data: np.ndarray[Any, Any], type: Type) -> ast.expr:
        """The name of a constant array, defined before the function."""
        if key not in self.tables:
            self.tables[key] = self.names.take(display, key), self.array(data, type)
        return name(self.tables[key][0])

    def array(self, data: np.ndarray[Any, Any], type: Type) -> ast.expr:
        return call(np_("array"), nested_list(data.tolist()), self.element(type))

    def rounded(self, tree: ast.expr, type: Type) -> Code:
        return Code(tree)

    # Shared

    def value(self, e: Expr) -> ast.expr:
        """Code with the right value, whatever its type."""
        return self.exact(self.code(e), e.type).tree

    def typed(self, e: Expr) -> ast.expr:
        """Code with the right value and type."""
        return self.strong(self.code(e), e.type).tree

    def exact(self, c: Code, type: Type) -> Code:
        return self.strong(c, type) if c.form == LOOSE else c

    def strong(self, c: Code, type: Type) -> Code:
        return c if c.form == STRONG or type is index else Code(self.as_type(type, c.tree))

    def code(self, e: Expr) -> Code:
        found = self.bound.get(e)
        if found is not None:
            return found
        match e:
            case Const():
                return self.const(e)
            case Lin():
                return Code(self._sum(e))
            case Cast():
                return self.cast(e.value, e.type)
            case Read():
                return self._read(e)
            case Load() if e.buffer.table is not None:
                own = self.table(e.buffer, e.buffer.name, e.buffer.table, e.type)
                return Code(self.loaded(item(own, [self.subscript(e.index)]), e.type))
            case Op():
                return self._op(e)
        raise CompileError(f"no Python for {type(e).__name__} {e!r}")

    def _sum(self, e: Lin) -> ast.expr:
        parts: list[tuple[ast.expr, int]] = []
        for atom, k in sorted(e.terms, key=lambda t: t[1] < 0):
            tree = self.value(atom)
            parts.append((tree if abs(k) == 1 else binary(literal(abs(k)), ast.Mult, tree), k))
        if e.const:
            parts.insert(0 if parts[0][1] < 0 and e.const > 0 else len(parts), (literal(abs(e.const)), e.const))
        result, sign = parts[0]
        if sign < 0:
            result = ast.UnaryOp(ast.USub(), result)
        for tree, k in parts[1:]:
            result = binary(result, ast.Add if k > 0 else ast.Sub, tree)
        return result

    def _read(self, e: Read) -> Code:
        array, indices = self.locate(e.array, e.item, e.indices)
        found = Code(self.loaded(item(array, (self.subscript(i) for i in indices)), e.type))
        if e.pred is None:
            return found
        return self._conditional(self.value(e.pred), (found, self.const(Const(0, e.type))), e.type)

    def subscript(self, e: Expr) -> ast.expr:
        """`e` as one axis of a subscript, where a typed integer serves as well as an index."""
        if e not in self.bound and isinstance(e, Cast) and e.value.type.is_int:
            return self.value(e.value)
        return self.value(e)

    def _conditional(self, cond: ast.expr, arms: tuple[Code, ...], type: Type) -> Code:
        then, other = arms = self.unify(arms, type)
        form, most = max(then.form, other.form), max(then.most, other.most)
        return Code(ast.IfExp(cond, then.tree, other.tree), form, all_unsigned(arms, type), most)

    def _op(self, e: Op) -> Code:
        n, args = e.name, e.args
        operand = args[0].type if args else e.type
        if n in ("select", "rare"):
            return self._conditional(self.value(args[0]), tuple(self.code(a) for a in args[1:]), e.type)
        if n in _COMPARE:
            return self._compare(n, args)
        if operand.is_bool and n in ("and", "or", "xor", "not", "min", "max"):
            return self._logic(n, args)
        if n in _RING:
            op, args = _signed(n, args)
            return self.ring(op, tuple(self.code(a) for a in args), e.type)
        if n in DIVIDE and operand.is_int and _safe_divisor(args[1]):
            return self._quotient(n, args, e.type)
        if n in _SHIFT and isinstance(args[1], Const) and 0 <= args[1].value < e.type.bits:
            return self._shift(n, args, e.type)
        if n in ("min", "max") and operand.is_int:
            a, b = both = self.unify(tuple(self.exact(self.code(a), operand) for a in args), operand)
            return Code(call(n, a.tree, b.tree), max(a.form, b.form), all_unsigned(both, operand))
        if n in ("neg", "abs"):
            return self._sign(n, args[0])
        if n == "not":
            return self.wrapped(ast.UnaryOp(ast.Invert(), self.typed(args[0])), e.type)
        if n == "div":
            a, b = self.meet(tuple(self.code(a) for a in args), operand)
            return self.rounded(binary(a.tree, ast.Div, b.tree), operand)
        if n in _NUMPY_UNARY:
            tree = call(np_(_NUMPY_UNARY[n]), self.typed(args[0]))
            return self.rounded(tree, e.type) if n == "sqrt" else Code(tree)
        if n == "copysign":
            return Code(call(np_("copysign"), *(self.typed(a) for a in args)))
        if n == "random":
            return self._random(e)
        if n == "call":
            return Code(self.as_type(e.type, call(e.data, *(self.typed(a) for a in args))))
        if n in ("print", "require"):
            return self._print(e) if n == "print" else self._require(e)
        if n == "reinterpret":
            return Code(self.reinterpret(self.typed(args[0]), operand, e.type))
        return self._helper(e, operand)

    def _random(self, e: Op) -> Code:
        return Code(call(ref_("random"), literal(e.data), *(self.value(a) for a in e.args)))

    def _print(self, e: Op) -> Code:
        """`data` is the text, {} for each operand; the first is the value."""
        values = iter([self.typed(a) for a in e.args])
        pieces = []
        for text, field, _, _ in Formatter().parse(e.data):
            pieces += [literal(text.strip())] if text.strip() else []
            pieces += [next(values)] if field is not None else []
        return Code(call(ref_("debug_print"), *pieces))

    def _require(self, e: Op) -> Code:
        """`data` is the status that the kernel ends with, or (before it has one) the message and its place."""
        condition, value, *shown = (self.typed(a) for a in e.args)
        what = literal(e.data if isinstance(e.data, int) else e.data[0])
        return Code(call(ref_("require"), condition, what, value, *shown))

    def _helper(self, e: Op, operand: Type) -> Code:
        args = self.meet(tuple(self.exact(self.code(a), a.type) for a in e.args), operand)
        tree = call(ref_(e.name), *(a.tree for a in args))
        return Code(tree if e.type is operand else self.as_type(e.type, tree))

    def _compare(self, n: str, args: tuple[Expr, ...]) -> Code:
        a, b = args
        if n == "le" and isinstance(a, Lin) and a.const == 1:  # how `a < b` is kept for index values
            n, a = "lt", Lin(a.terms, 0) if len(a.terms) > 1 or a.terms[0][1] != 1 else a.terms[0][0]
        op = _COMPARE[n]
        if isinstance(a, Const) and n in ("lt", "le") and not isinstance(b, Const):
            a, b, op = b, a, ast.Gt if n == "lt" else ast.GtE
        left, right = self.unify((self.exact(self.code(a), a.type), self.exact(self.code(b), b.type)), a.type)
        return Code(ast.Compare(left.tree, [op()], [right.tree]))

    def _logic(self, n: str, args: tuple[Expr, ...]) -> Code:
        trees = [self.value(a) for a in args]
        if n == "not":
            return Code(ast.UnaryOp(ast.Not(), trees[0]))
        if n == "xor":
            return Code(ast.Compare(trees[0], [ast.NotEq()], [trees[1]]))
        op = ast.And if n in ("and", "min") else ast.Or
        flat = [t for tree in trees for t in (tree.values if _is_bool_op(tree, op) else [tree])]  # type: ignore[attr-defined]  # _is_bool_op says that it has values
        return Code(ast.BoolOp(op(), flat))

    def _quotient(self, n: str, args: tuple[Expr, ...], type: Type) -> Code:
        a, b = self.meet(tuple(self.exact(self.code(a), type) for a in args), type)
        return Code(binary(a.tree, DIVIDE[n], b.tree))

    def _shift(self, n: str, args: tuple[Expr, ...], type: Type) -> Code:
        tree = binary(self.typed(args[0]), _SHIFT[n], literal(args[1].value))  # type: ignore[attr-defined]  # the amount is a Const
        return self.wrapped(tree, type)

    def wrapped(self, tree: ast.expr, type: Type) -> Code:
        raise NotImplementedError

    def _sign(self, n: str, e: Expr) -> Code:
        tree = self.typed(e)
        if n == "neg":
            return self.negated(tree, e.type)
        return Code(tree if e.type.kind == "uint" else call("abs", tree))

    def negated(self, tree: ast.expr, type: Type) -> Code:
        return Code(ast.UnaryOp(ast.USub(), tree))

    def cast(self, value: Expr, to: Type) -> Code:
        raise NotImplementedError

    def reinterpret(self, tree: ast.expr, source: Type, to: Type) -> ast.expr:
        raise NotImplementedError


def _is_bool_op(tree: ast.expr, op: type[ast.boolop]) -> bool:
    return isinstance(tree, ast.BoolOp) and isinstance(tree.op, op)


def _signed(n: str, args: tuple[Expr, ...]) -> tuple[type[ast.operator], tuple[Expr, ...]]:
    """`a + -3` is written `a - 3`."""
    a, b = args
    if n == "add" and isinstance(b, Const) and b.type.kind == "int" and b.type.min < b.value < 0:
        return ast.Sub, (a, Const(-b.value, b.type))
    return _RING[n], args


def _safe_divisor(e: Expr) -> bool:
    """Whether Python's own division by `e` is the language's: never zero, and no overflow of MIN // -1."""
    lo, hi = const_bounds(e)
    return (lo is not None and lo > 0) or (hi is not None and hi < -1)
