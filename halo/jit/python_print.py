"""Python AST -> source text: astunparse's Unparser, but with the parentheses that Python needs and no others.

Two things that Python's own AST has no node for are printed too: `Comment` statements, and a `note` on a loop.
Imported where source is printed only: astunparse takes its time.
"""

from __future__ import annotations

import ast
import io
from typing import Any

from astunparse.unparser import Unparser, interleave

from .python_code import Comment

__all__ = ["to_text"]

_TEST, _OR, _AND, _NOT, _COMPARE, _BITOR, _BITXOR, _BITAND, _SHIFT, _SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(14)
_BINARY = {
    "BitOr": _BITOR, "BitXor": _BITXOR, "BitAnd": _BITAND, "LShift": _SHIFT, "RShift": _SHIFT, "Add": _SUM, "Sub": _SUM,
    "Mult": _PRODUCT, "Div": _PRODUCT, "FloorDiv": _PRODUCT, "Mod": _PRODUCT, "MatMult": _PRODUCT, "Pow": _POWER,
}  # fmt: skip


def to_text(tree: ast.AST) -> str:
    """The source of `tree`, ending in one newline.

    >>> to_text(ast.parse("out[(y, x)] = ((a + b) + (c * 2)) // 3"))
    'out[y, x] = (a + b + c * 2) // 3\\n'
    """
    buffer = io.StringIO()
    _Printer(tree, buffer)
    return "\n".join(line.rstrip() for line in buffer.getvalue().strip("\n").split("\n")) + "\n"


def _precedence(e: Any) -> int:
    match e:
        case ast.BinOp():
            return _BINARY[type(e.op).__name__]
        case ast.Compare():
            return _COMPARE
        case ast.BoolOp():
            return _AND if isinstance(e.op, ast.And) else _OR
        case ast.UnaryOp():
            return _NOT if isinstance(e.op, ast.Not) else _UNARY
        case ast.IfExp():
            return _TEST
        case ast.Constant(value=int() | float()) if repr(e.value).startswith("-"):
            return _UNARY
    return _ATOM


class _Printer(Unparser):  # type: ignore[misc]  # astunparse is not typed
    def operand(self, e: ast.AST, least: int) -> None:
        """`e`, in parentheses if it binds less tightly than `least`."""
        if _precedence(e) < least:
            self.write("(")
            self.dispatch(e)
            self.write(")")
        else:
            self.dispatch(e)

    def _Comment(self, t: Comment) -> None:
        self.fill(f"# {t.text}")

    def _FunctionDef(self, t: Any) -> None:
        self.write("\n")
        super()._FunctionDef(t)

    def _For(self, t: Any) -> None:
        self.fill("for ")
        self.dispatch(t.target)
        self.write(" in ")
        self.dispatch(t.iter)
        self.enter()
        self.write(f"  # {t.note}" if getattr(t, "note", "") else "")
        self.dispatch(t.body)
        self.leave()

    def _BinOp(self, t: Any) -> None:
        own = _precedence(t)
        power = isinstance(t.op, ast.Pow)
        self.operand(t.left, own + power)
        self.write(f" {self.binop[type(t.op).__name__]} ")
        self.operand(t.right, _UNARY if power else own + 1)

    def _UnaryOp(self, t: Any) -> None:
        is_not = isinstance(t.op, ast.Not)
        self.write("not " if is_not else self.unop[type(t.op).__name__])
        self.operand(t.operand, _NOT if is_not else _UNARY)

    def _Compare(self, t: Any) -> None:
        self.operand(t.left, _BITOR)
        for op, e in zip(t.ops, t.comparators, strict=True):
            self.write(f" {self.cmpops[type(op).__name__]} ")
            self.operand(e, _BITOR)

    def _BoolOp(self, t: Any) -> None:
        word, own = (" and ", _AND) if isinstance(t.op, ast.And) else (" or ", _OR)
        interleave(lambda: self.write(word), lambda e: self.operand(e, own + 1), t.values)

    def _IfExp(self, t: Any) -> None:
        self.operand(t.body, _OR)
        self.write(" if ")
        self.operand(t.test, _OR)
        self.write(" else ")
        self.operand(t.orelse, _TEST)

    def _Call(self, t: Any) -> None:
        self.operand(t.func, _ATOM)
        self.write("(")
        interleave(lambda: self.write(", "), self.dispatch, [*t.args, *t.keywords])
        self.write(")")

    def _Attribute(self, t: Any) -> None:
        bare_integer = isinstance(t.value, ast.Constant) and type(t.value.value) is int
        self.operand(t.value, _ATOM + bare_integer)
        self.write(f".{t.attr}")

    def _Subscript(self, t: Any) -> None:
        self.operand(t.value, _ATOM)
        self.write("[")
        if isinstance(t.slice, ast.Tuple) and t.slice.elts:
            self.bare(t.slice)
        else:
            self.dispatch(t.slice)
        self.write("]")

    def _Assign(self, t: Any) -> None:
        self.fill()
        for target in (*t.targets, t.value):
            if target is not t.targets[0]:
                self.write(" = ")
            self.bare(target)

    def _Return(self, t: Any) -> None:
        self.fill("return ")
        self.bare(t.value)

    def bare(self, e: Any) -> None:
        """`e`, a tuple without its parentheses where it has any elements."""
        if not isinstance(e, ast.Tuple) or not e.elts:
            self.dispatch(e)
            return
        interleave(lambda: self.write(", "), self.dispatch, e.elts)
        if len(e.elts) == 1:
            self.write(",")

    def _Constant(self, t: Any) -> None:
        self.write(repr(t.value))
