"""The expressions of Python, one small function per `ast` node: `EXPRESSIONS[type(node)](frame, node)`."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir import surface_walk
from ..ir.surface import Access, Call, Expr, Function, Indexable, Literal, Param, Shape, Table, subscripts
from . import calls, loops
from .values import (
    Closure,
    Generator,
    Partial,
    SelfRead,
    Undecided,
    and_,
    boolean,
    is_constant,
    merge,
    not_,
    or_,
    table,  # fmt: skip
)

if TYPE_CHECKING:
    from .translate import Frame

__all__ = ["BINARY", "CONDITIONS", "EXPRESSIONS", "LEAVES", "assigned_element", "indices"]

BINARY: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("add", operator.add), ast.Sub: ("sub", operator.sub), ast.Mult: ("mul", operator.mul),
    ast.Div: ("div", operator.truediv), ast.FloorDiv: ("floordiv", operator.floordiv), ast.Mod: ("mod", operator.mod),
    ast.Pow: ("pow", operator.pow), ast.LShift: ("shl", operator.lshift), ast.RShift: ("shr", operator.rshift),
    ast.BitAnd: ("and", operator.and_), ast.BitOr: ("or", operator.or_), ast.BitXor: ("xor", operator.xor),
    ast.MatMult: ("matmul", operator.matmul),
}  # fmt: skip

_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert}  # fmt: skip

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not}  # fmt: skip


def _constant(frame: Frame, node: ast.Constant) -> Any:
    return node.value


def _name(frame: Frame, node: ast.Name) -> Any:
    return frame.lookup(node.id, node)


def _binary(frame: Frame, node: ast.BinOp) -> Any:
    return binary(frame, node, node.op, _operand(frame, node.left), _operand(frame, node.right))


def _operand(frame: Frame, node: ast.expr) -> Any:
    value = frame.value(node)
    if isinstance(value, Indexable):
        raise frame.fail(node, f"{value.name} is an array here, not a value", f"{value.name}[...] at a point")
    return value


def binary(frame: Frame, node: ast.AST, op: ast.operator, a: Any, b: Any) -> Any:
    """`a op b`, for an operator or an augmented assignment to a local."""
    if isinstance(op, ast.MatMult) and not (is_constant(a) and is_constant(b)):
        raise frame.fail(node, "`@` has no meaning in a definition", "sum(a[i, k]*b[k, j] for k in halo.rdom(n))")
    return frame.python(node, BINARY[type(op)][1], a, b)


def _unary(frame: Frame, node: ast.UnaryOp) -> Any:
    if isinstance(node.op, ast.Not):
        return not_(frame.condition(node.operand))
    return frame.python(node, _UNARY[type(node.op)], _operand(frame, node.operand))


def _and_or(frame: Frame, node: ast.BoolOp) -> Any:
    """Python's value of `a and b`, `a or b`: one of the operands."""
    conjunction = isinstance(node.op, ast.And)
    value = frame.value(node.values[0])
    for operand in node.values[1:]:
        if isinstance(value, Expr):
            value = Call("land" if conjunction else "lor", (value, frame.expr(operand)))
        elif frame.python(node, bool, value) is conjunction:
            value = frame.value(operand)
    return value


def _condition_and_or(frame: Frame, node: ast.BoolOp) -> Any:
    """`a and b`, `a or b` where only the truth counts; what comes after a deciding constant is not looked at."""
    conjunction = isinstance(node.op, ast.And)
    whole: Any = conjunction
    for operand in node.values:
        whole = (and_ if conjunction else or_)(whole, frame.condition(operand))
        if whole is (not conjunction):
            return whole
    return whole


def _condition_not(frame: Frame, node: ast.UnaryOp) -> Any:
    if isinstance(node.op, ast.Not):
        return not_(frame.condition(node.operand))
    value = _unary(frame, node)
    return boolean(value) if isinstance(value, Expr) else bool(value)


def _compare(frame: Frame, node: ast.Compare) -> Any:
    whole: Any = True
    left = frame.value(node.left)
    for op, operand in zip(node.ops, node.comparators, strict=True):
        right = frame.value(operand)
        whole = and_(whole, _compared(frame, node, op, left, right))
        if whole is False:
            return False
        left = right
    return whole


def _compared(frame: Frame, node: ast.Compare, op: ast.cmpop, a: Any, b: Any) -> Any:
    if isinstance(op, (ast.In, ast.NotIn)):
        found = _member(frame, node, a, b)
        return found if isinstance(op, ast.In) else not_(found)
    result = frame.python(node, _COMPARE[type(op)], a, b)
    return bool(result) if isinstance(result, (bool, np.bool_)) else result


def _member(frame: Frame, node: ast.Compare, value: Any, collection: Any) -> Any:
    if is_constant(value) and is_constant(collection):
        return frame.python(node, operator.contains, collection, value)
    if not isinstance(collection, (tuple, list, range, set, frozenset)):
        raise frame.fail(node, "`in` needs a tuple or a list of values", "e in (1, 2, 3)")
    whole: Any = False
    for e in collection:
        whole = or_(whole, frame.python(node, operator.eq, value, e))
    return whole


def _conditional(frame: Frame, node: ast.IfExp) -> Any:
    condition = frame.condition(node.test)
    if not isinstance(condition, Expr):
        return frame.eval(node.body if condition else node.orelse)
    return merge(condition, frame.value(node.body), frame.value(node.orelse))


def _attribute(frame: Frame, node: ast.Attribute) -> Any:
    base = frame.eval(node.value)
    if isinstance(base, Undecided):
        loc = frame.source.loc(node)
        base = frame.t.inputs.scalar(base, loc) if node.attr == "astype" else frame.t.inputs.array(base, loc)
    allowed = _UNCHANGING.get(type(base))
    if allowed is not None and node.attr not in allowed:
        hint = "values = [*values, e]" if isinstance(base, list) else ""
        raise frame.fail(node, f".{node.attr} of a {type(base).__name__}: values do not change in a definition", hint)
    value = getattr(base, node.attr, _NOTHING)
    if value is _NOTHING:
        near = get_close_matches(node.attr, [n for n in dir(base) if not n.startswith("_")], n=1)
        raise frame.fail(node, f"{ast.unparse(node.value)} has no {node.attr}", f".{near[0]}" if near else "")
    return value


_NOTHING: Any = object()
_UNCHANGING: dict[type, set[str]] = {list: {"copy", "count", "index"}, dict: {"copy", "get", "items", "keys", "values"}}


def _subscript(frame: Frame, node: ast.Subscript) -> Any:
    base = frame.eval(node.value)
    if isinstance(base, (Undecided, Param)) and (frame.t.inputs.found.get(base.name) is base):
        base = frame.t.inputs.array(base, frame.source.loc(node))
    if isinstance(base, Indexable):
        return access(frame, node, base)
    key = frame.value(node.slice)
    if isinstance(base, Partial):
        return looked_up(frame, node, base.table, (*base.indices, *_flat(frame, node, key)))
    if isinstance(base, SelfRead):
        raise frame.fail(node, f"{frame.t.name}[...] is not a tuple", f"{frame.t.name}[...] = a, b  above it")
    if isinstance(base, Access):
        if not isinstance(surface_walk.base(base.target), Function):
            raise frame.fail(node, f"{base!r} is one value", f"all indices in one subscript: {base.target.name}[y, x]")
        return frame.python(node, operator.getitem, base, key)
    if is_constant(key):
        return frame.python(node, operator.getitem, base, key)
    if isinstance(base, Shape):
        raise frame.fail(node, "an axis of a shape is chosen by a constant")
    if is_constant(base) and isinstance(base, (tuple, list, range, np.ndarray)):
        name = node.value.id if isinstance(node.value, ast.Name) else "table"
        return looked_up(frame, node, _table(frame, node, base, name), _flat(frame, node, key))
    hint = "a table of numbers can be" if isinstance(base, (tuple, list)) else "subscript a Func, an input or a table"
    raise frame.fail(node, f"{ast.unparse(node.value)} cannot be subscripted by an expression", hint)


def access(frame: Frame, node: ast.Subscript, base: Indexable) -> Any:
    """`base[...]` of an input, a Func or a pad view."""
    t, place = frame.t, indices(frame, node)
    t.inputs.rank(surface_walk.base(getattr(base, "sorted", base)), len(place), frame.source.loc(node))
    if base is not t.target:
        return frame.python(node, operator.getitem, base, place)
    if t.size is None or t.size == 1:
        return t.stages.read(frame.python(node, SelfRead, base, place))
    return tuple(t.stages.read(frame.python(node, SelfRead, base, place, k)) for k in range(t.size))


def indices(frame: Frame, node: ast.Subscript) -> tuple[Expr, ...]:
    """The index expressions of a subscript: `[y, x]`, `[i]` and `[(*i, k)]` with a pack `i`."""
    key = frame.value(node.slice)
    return subscripts(tuple(_flat(frame, node, key)))


def _flat(frame: Frame, node: ast.Subscript, key: Any) -> tuple[Any, ...]:
    if not isinstance(key, tuple):
        return (key,)
    if any(isinstance(k, tuple) for k in key):
        raise frame.fail(node.slice, "one of the indices is a pack of several", "star it in parentheses: img[(*i, k)]")
    return key


def assigned_element(frame: Frame, node: ast.Subscript, key: Any) -> int:
    """`key` as the number of an element of the tuple that is being defined."""
    size = frame.t.size
    if size is None or size == 1:
        raise frame.fail(node, f"{frame.t.name}[...] is not a tuple", f"{frame.t.name}[...] = a, b  above it")
    if not isinstance(key, int) or not -size <= key < size:
        raise frame.fail(node, f"{frame.t.name} has {size} values and no element {key!r}")
    return key % size


def _table(frame: Frame, node: ast.Subscript, data: Any, name: str) -> Table:
    tables = frame.t.tables
    if id(data) not in tables:
        tables[id(data)] = data, frame.python(node, table, data, name)
    return tables[id(data)][1]  # type: ignore[no-any-return]  # a dict of any values


def looked_up(frame: Frame, node: ast.Subscript, t: Table, key: tuple[Any, ...]) -> Any:
    """`t[key]`; with fewer indices than axes, what is left to subscript. Constants count from the end if negative."""
    shape = t.data.shape
    if len(key) > len(shape):
        raise frame.fail(node, f"{t.name} has {len(shape)} axes and is subscripted by {len(key)}")
    for k, n in zip(key, shape, strict=False):
        if isinstance(k, int) and not -n <= k < n:
            raise frame.fail(node, f"index {k} is outside {t.name}, which has {n} elements along this axis")
    whole = subscripts(tuple(k % n if isinstance(k, int) else k for k, n in zip(key, shape, strict=False)))
    return Access(t, whole) if len(key) == len(shape) else Partial(t, whole)


def _slice(frame: Frame, node: ast.Slice) -> slice:
    parts = [None if e is None else frame.value(e) for e in (node.lower, node.upper, node.step)]
    if not all(map(is_constant, parts)):
        raise frame.fail(node, "a slice has constant bounds", "halo.rdom to loop over a range of elements")
    return slice(*parts)


def _tuple(frame: Frame, node: ast.Tuple) -> tuple[Any, ...]:
    return tuple(_starred(frame, node.elts))


def _list(frame: Frame, node: ast.List) -> list[Any]:
    return list(_starred(frame, node.elts))


def _set(frame: Frame, node: ast.Set) -> set[Any]:
    values = list(_starred(frame, node.elts))
    if not is_constant(values):
        raise frame.fail(node, "a set has constant elements", "a tuple")
    return set(values)


def _starred(frame: Frame, nodes: list[ast.expr]) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from loops.iterated(frame, node.value, frame.eval(node.value))
        else:
            yield frame.eval(node)


def _dict(frame: Frame, node: ast.Dict) -> dict[Any, Any]:
    whole: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            whole |= frame.python(node, dict, frame.eval(value))
        else:
            whole[frame.eval(key)] = frame.eval(value)
    return whole


def _list_comprehension(frame: Frame, node: ast.ListComp) -> list[Any]:
    return list(loops.elements(frame, node, node.generators))


def _set_comprehension(frame: Frame, node: ast.SetComp) -> set[Any]:
    return frame.python(node, set, list(loops.elements(frame, node, node.generators)))  # type: ignore[no-any-return]  # calls of the user's code give anything


def _dict_comprehension(frame: Frame, node: ast.DictComp) -> dict[Any, Any]:
    return dict(loops.elements(frame, node, node.generators))


def _generator(frame: Frame, node: ast.GeneratorExp) -> Generator:
    here = frame.child()
    return Generator(here, node, lambda: loops.elements(here, node, node.generators))


def _lambda(frame: Frame, node: ast.Lambda) -> Closure:
    return Closure(node, frame.child())


def _walrus(frame: Frame, node: ast.NamedExpr) -> Any:
    value = frame.env[node.target.id] = frame.eval(node.value)
    return value


def _joined(frame: Frame, node: ast.JoinedStr) -> str:
    return "".join(str(frame.eval(v)) for v in node.values)


_CONVERSIONS: dict[str, Callable[[Any], str]] = {"s": str, "r": repr, "a": ascii}


def _formatted(frame: Frame, node: ast.FormattedValue) -> str:
    value = frame.eval(node.value)
    if node.conversion != -1:
        value = _CONVERSIONS[chr(node.conversion)](value)
    if isinstance(value, Expr) and not isinstance(value, Literal):
        return str(value)
    return str(frame.python(node, format, value, "" if node.format_spec is None else frame.eval(node.format_spec)))


EXPRESSIONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Constant: _constant, ast.Name: _name, ast.BinOp: _binary, ast.UnaryOp: _unary, ast.BoolOp: _and_or,
    ast.Compare: _compare, ast.IfExp: _conditional, ast.Attribute: _attribute, ast.Subscript: _subscript,
    ast.Slice: _slice, ast.Call: calls.call, ast.Tuple: _tuple, ast.List: _list, ast.Set: _set, ast.Dict: _dict,
    ast.ListComp: _list_comprehension, ast.SetComp: _set_comprehension, ast.DictComp: _dict_comprehension,
    ast.GeneratorExp: _generator, ast.Lambda: _lambda, ast.NamedExpr: _walrus, ast.JoinedStr: _joined,
    ast.FormattedValue: _formatted,
}  # fmt: skip

LEAVES = frozenset({ast.Constant, ast.Name})
"""The nodes that make no expression of their own."""

CONDITIONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.BoolOp: _condition_and_or, ast.UnaryOp: _condition_not}  # fmt: skip
"""The nodes of which the truth is simpler to say than the value."""
