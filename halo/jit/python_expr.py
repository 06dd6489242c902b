"""Typed IR expressions -> Python AST, for two evaluators that type arithmetic in their own ways.

`NumPyCode` is for plain Python: values are NumPy scalars, whose arithmetic wraps and rounds as the language says, and
`index` values are Python's own integers. `NumbaCode` is for `@njit`, which widens integers to 64 bits.

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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CompileError
from ..ir.expr import Array, Cast, Const, Expr, Lin, Load, Op, Read
from ..ir.facts import const_bounds
from ..types import Type, bf16, bool_, f16, f32, f64, index, u16

__all__ = [
    "Code",
    "Comment",
    "Expressions",
    "Names",
    "NumPyCode",
    "NumbaCode",
    "call",
    "item",
    "literal",
    "name",
    "np_",
]

STRONG, WEAK, LOOSE = range(3)

_RING = {"add": ast.Add, "sub": ast.Sub, "mul": ast.Mult, "and": ast.BitAnd, "or": ast.BitOr, "xor": ast.BitXor}
_COMPARE = {"eq": ast.Eq, "ne": ast.NotEq, "lt": ast.Lt, "le": ast.LtE}
_DIVIDE = {"floordiv": ast.FloorDiv, "mod": ast.Mod}
_SHIFT = {"shl": ast.LShift, "shr": ast.RShift}
_NUMPY_UNARY = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "rint", "sqrt": "sqrt", "isnan": "isnan",
                "isinf": "isinf", "isfinite": "isfinite"}  # fmt: skip
_RESERVED = {"np", "ref", "objmode", "range", "min", "max", "abs", "int", "error", "bfloat16", "kernel", *keyword.kwlist}


@dataclass(frozen=True)
class Code:
    """A Python expression, its form, and for the weak and loose ones whether the evaluator's own type is unsigned."""

    tree: ast.expr
    form: int = STRONG
    unsigned: bool = False


def name(s: str) -> ast.expr:
    return ast.Name(s, ast.Load())


def literal(value: Any) -> ast.expr:
    return ast.Constant(value)


def np_(attribute: str, of: str = "np") -> ast.expr:
    return ast.Attribute(name(of), attribute, ast.Load())


def call(f: ast.expr | str, *args: ast.expr) -> ast.Call:
    return ast.Call(name(f) if isinstance(f, str) else f, list(args), [])


def binary(a: ast.expr, op: type[ast.operator], b: ast.expr) -> ast.expr:
    return ast.BinOp(a, op(), b)


def item(array: ast.expr, indices: Iterable[ast.expr]) -> ast.Subscript:
    """`array[i]`, `array[i, j]`, or `array[()]`."""
    indices = list(indices)
    return ast.Subscript(array, indices[0] if len(indices) == 1 else ast.Tuple(indices, ast.Load()), ast.Load())


class Comment(ast.stmt):
    """A line of its own: `# text`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


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
        return call(np_("array"), _nested(data.tolist()), self.element(type))

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
        return Code(ast.IfExp(cond, then.tree, other.tree), max(then.form, other.form), _unsigned(arms, type))

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
        if n in _DIVIDE and operand.is_int and _safe_divisor(args[1]):
            return self._quotient(n, args, e.type)
        if n in _SHIFT and isinstance(args[1], Const) and 0 <= args[1].value < e.type.bits:
            return self._shift(n, args, e.type)
        if n in ("min", "max") and operand.is_int:
            a, b = both = self.unify(tuple(self.exact(self.code(a), operand) for a in args), operand)
            return Code(call(n, a.tree, b.tree), max(a.form, b.form), _unsigned(both, operand))
        if n in ("neg", "abs"):
            return self._sign(n, args[0])
        if n == "not":
            return Code(self.as_type(e.type, ast.UnaryOp(ast.Invert(), self.typed(args[0]))))
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
        if n == "reinterpret":
            return Code(self.reinterpret(self.typed(args[0]), operand, e.type))
        return self._helper(e, operand)

    def _random(self, e: Op) -> Code:
        return Code(call(np_("random", "ref"), literal(e.data), *(self.value(a) for a in e.args)))

    def _helper(self, e: Op, operand: Type) -> Code:
        args = self.meet(tuple(self.exact(self.code(a), a.type) for a in e.args), operand)
        tree = call(np_(e.name, "ref"), *(a.tree for a in args))
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
        flat = [t for tree in trees for t in (tree.values if _is_bool_op(tree, op) else [tree])]  # type: ignore[attr-defined]
        return Code(ast.BoolOp(op(), flat))

    def _quotient(self, n: str, args: tuple[Expr, ...], type: Type) -> Code:
        a, b = self.meet(tuple(self.exact(self.code(a), type) for a in args), type)
        return Code(binary(a.tree, _DIVIDE[n], b.tree))

    def _shift(self, n: str, args: tuple[Expr, ...], type: Type) -> Code:
        tree = binary(self.typed(args[0]), _SHIFT[n], literal(args[1].value))  # type: ignore[attr-defined]
        return self.shifted(tree, type)

    def shifted(self, tree: ast.expr, type: Type) -> Code:
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


def _unsigned(codes: tuple[Code, ...], type: Type) -> bool:
    """Whether the evaluator's type is unsigned for each of `codes`, values of `type`."""
    return all(c.unsigned or (c.form == STRONG and type.kind == "uint") for c in codes)


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


def _decimal(value: float, type: Type) -> float:
    """A double that prints shortest among those that round to `value` in `type`."""
    rounded = _rounded(value, type)
    if type is f64 or not math.isfinite(rounded):
        return rounded
    short = float(str(type.dtype.type(rounded)))
    return short if _rounded(short, type) == rounded else rounded


def _rounded(value: float, type: Type) -> float:
    with np.errstate(all="ignore"):
        return float(type.dtype.type(value))


def _number(value: float) -> ast.expr:
    """A float literal; infinities and NaN have names."""
    if math.isnan(value):
        return np_("nan")
    if math.isinf(value):
        return np_("inf") if value > 0 else ast.UnaryOp(ast.USub(), np_("inf"))
    return literal(value)


def np_type(type: Type) -> ast.expr:
    return name("bfloat16") if type is bf16 else np_(type.dtype.name if type is not bool_ else "bool_")


def _nested(values: Any) -> ast.expr:
    if isinstance(values, list):
        return ast.List([_nested(v) for v in values], ast.Load())
    return _number(values) if isinstance(values, float) else literal(values)


class NumPyCode(Expressions):
    """Plain Python over NumPy scalars. Weak literals adopt the type of the other operand (NEP 50)."""

    def const(self, e: Const) -> Code:
        if e.type is bool_:
            return Code(literal(bool(e.value)))
        if e.type is bf16:
            return Code(call("bfloat16", _number(_decimal(e.value, bf16))))
        if e.type.is_float:
            return Code(_number(_decimal(e.value, e.type)), WEAK)
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

    def shifted(self, tree: ast.expr, type: Type) -> Code:
        return Code(tree)

    def cast(self, value: Expr, to: Type) -> Code:
        source = value.type
        if to is bool_:
            return Code(ast.Compare(self.value(value), [ast.NotEq()], [literal(0)]))
        if to is index:
            return Code(call("int", self.typed(value) if source.is_int else call(np_("i64", "ref"), self.typed(value))))
        if source is index and to.is_int:
            lo, hi = const_bounds(value)
            fits = lo is not None and hi is not None and to.min <= lo and hi <= to.max
            return Code(call(np_type(to) if fits else np_(to.name, "ref"), self.value(value)))
        if source.is_float and to.is_int:
            return Code(call(np_(to.name, "ref"), self.typed(value)))
        return Code(self.as_type(to, self.typed(value)))

    def reinterpret(self, tree: ast.expr, source: Type, to: Type) -> ast.expr:
        return call(ast.Attribute(tree, "view", ast.Load()), np_type(to))


class NumbaCode(Expressions):
    """`@njit`: integers are computed in 64 bits, so wrapping is a cast; floats keep their types between equals only."""

    def const(self, e: Const) -> Code:
        if e.type is bool_:
            return Code(literal(bool(e.value)))
        if e.type is f64:
            return Code(_number(e.value))
        if e.type.is_float:
            return Code(call(np_("float32"), _number(_decimal(_rounded(e.value, e.type), f32))))
        if e.type.name == "u64":
            return Code(call(np_("uint64"), literal(e.value)))
        return Code(literal(e.value), STRONG if e.type is index or e.type.name == "i64" else WEAK)

    def as_type(self, type: Type, tree: ast.expr) -> ast.expr:
        convert = np_("float32") if type in (f16, bf16) else np_type(type)
        done = isinstance(tree, ast.Call) and ast.dump(tree.func) == ast.dump(convert)
        return tree if done else call(convert, tree)

    def meet(self, codes: tuple[Code, ...], type: Type) -> tuple[Code, ...]:
        """An unsigned 64-bit integer never meets a signed one: Numba would compute in floats."""
        if not type.is_int or type is index or type.name == "u64":
            return tuple(self.strong(c, type) for c in codes)
        return codes if _unsigned(codes, type) else tuple(self.strong(c, type) if c.unsigned else c for c in codes)

    unify = meet

    def ring(self, op: type[ast.operator], args: tuple[Code, ...], type: Type) -> Code:
        a, b = self.meet(args, type)
        tree = binary(a.tree, op, b.tree)
        if not type.is_int or type.bits == 64:
            return self.rounded(tree, type)
        return Code(tree, LOOSE, _unsigned((a, b), type))

    def rounded(self, tree: ast.expr, type: Type) -> Code:
        return Code(call(np_(type.name, "ref"), tree)) if type in (f16, bf16) else Code(tree)

    def shifted(self, tree: ast.expr, type: Type) -> Code:
        return Code(self.as_type(type, tree))

    def negated(self, tree: ast.expr, type: Type) -> Code:
        tree = ast.UnaryOp(ast.USub(), tree)
        return Code(self.as_type(type, tree) if type.is_int and type is not index else tree)

    def _quotient(self, n: str, args: tuple[Expr, ...], type: Type) -> Code:
        a, b = self.meet(tuple(self.exact(self.code(a), type) for a in args), type)
        tree = binary(a.tree, _DIVIDE[n], b.tree)
        return Code(tree) if type.bits == 64 else Code(tree, WEAK, _unsigned((a, b), type))

    def _helper(self, e: Op, operand: Type) -> Code:
        tree = call(np_(e.name, "ref"), *(self.typed(a) for a in e.args))
        if e.type in (f16, bf16):
            return self.rounded(tree, e.type)
        return Code(tree if e.type is operand else self.as_type(e.type, tree))

    def loaded(self, tree: ast.expr, type: Type) -> ast.expr:
        return call(np_(f"{type.name}_value", "ref"), tree) if type in (f16, bf16) else tree

    def element(self, type: Type) -> ast.expr:
        return np_("uint16") if type in (f16, bf16) else np_type(type)

    def array(self, data: np.ndarray[Any, Any], type: Type) -> ast.expr:
        return super().array(data.view(np.uint16) if type in (f16, bf16) else data, type)

    def as_array(self, tree: ast.expr, type: Type) -> ast.expr:
        return call(ast.Attribute(tree, "view", ast.Load()), np_type(type)) if type in (f16, bf16) else tree

    def stored(self, e: Expr) -> ast.expr:
        tree = self.code(e).tree
        return call(np_(f"{e.type.name}_bits", "ref"), tree) if e.type in (f16, bf16) else tree

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
        if source.bits == 16:
            if source.is_float:
                tree = call(np_(f"{source.name}_bits", "ref"), tree)
            return (
                call(np_(f"{to.name}_value", "ref"), self.as_type(u16, tree)) if to.is_float else self.as_type(to, tree)
            )
        return call(ast.Attribute(self.as_type(source, tree), "view", ast.Load()), np_type(to))
