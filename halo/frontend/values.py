"""What a definition's names may hold while it is translated, beside Python's constants and surface expressions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DefinitionError, Location
from ..ir.surface import Access, Call, Expr, Indexable, Literal, RDom, Shape, Table, as_expr
from ..types import Type, bool_, f32, i32, i64

if TYPE_CHECKING:
    from .translate import Frame

__all__ = ["PURE", "Closure", "Flow", "Generator", "Partial", "SelfRead", "Span", "Unbound", "Undecided", "and_", "boolean",
           "elements", "is_boolean", "is_constant", "merge", "not_", "or_", "table", "unused"]  # fmt: skip

PURE = "="  # the local that holds the pure stage of a definition by assignments; no identifier can be this


class Undecided:
    """A keyword-only parameter of which nothing says yet whether it is an array or a scalar."""

    __slots__ = ("loc", "name")

    def __init__(self, name: str, loc: Location) -> None:
        self.name, self.loc = name, loc


class Unbound:
    """A local that has no value here, and why."""

    __slots__ = ("hint", "loc", "reason")

    def __init__(self, reason: str, hint: str = "", loc: Location | None = None) -> None:
        self.reason, self.hint, self.loc = reason, hint, loc


class Generator:
    """A generator expression: a reduction folds it if it is over an rdom, else it is iterated over at capture."""

    __slots__ = ("_elements", "frame", "node")

    def __init__(self, frame: Frame, node: ast.GeneratorExp, elements: Callable[[], Iterator[Any]]) -> None:
        self.frame, self.node, self._elements = frame, node, elements

    def __iter__(self) -> Iterator[Any]:
        return self._elements()


class Closure(NamedTuple):
    """A `lambda` of a definition's own body."""

    node: ast.Lambda
    frame: Frame


class Span(tuple[Any, Any]):
    """`range(a, b)` of expressions: the axis (a, b - a) of an rdom."""

    __slots__ = ()


class Partial:
    """A table subscripted by fewer indices than it has axes: `W[ky]`, to be followed by `[kx]`."""

    __slots__ = ("indices", "table")

    def __init__(self, table: Table, indices: tuple[Expr, ...]) -> None:
        self.table, self.indices = table, indices


class SelfRead(Access):
    """The Func being defined, at a point: how many values it has there is being found out, and may not be asked."""

    __slots__ = ()


class Flow(NamedTuple):
    """How some statements end: by `return value` where `when` holds; by `break` or `continue`; or at their end."""

    when: Any = False
    value: Any = None
    jump: str | None = None

    def then(self, later: Flow) -> Flow:
        """These statements, then those that `later` is of."""
        if self.when is False or (later.when is False and later.jump is None):
            return later if self.when is False else self
        value = self.value if later.when is False else merge(self.when, self.value, later.value)
        return Flow(or_(self.when, later.when), value, later.jump)


_SYMBOLIC = (Expr, Indexable, RDom, Shape, Undecided, Generator, Closure, Span, Partial)


def is_constant(value: Any) -> bool:
    """Whether `value` is known at capture, its elements included."""
    if isinstance(value, _SYMBOLIC):
        return False
    if isinstance(value, (tuple, list)):
        return all(map(is_constant, value))
    return not isinstance(value, dict) or all(map(is_constant, value.values()))


_TRUTHS = {"lt", "le", "gt", "ge", "eq", "ne", "lnot", "isnan", "isinf", "isfinite"}


def is_boolean(e: Any) -> bool:
    """Whether `e` is evidently of type bool_, whatever the types of the inputs are."""
    match e:
        case Literal(value=value, type=type):
            return type is bool_ if type is not None else isinstance(value, bool)
        case Call(op="cast", data=type):
            return type is bool_
        case Call(op="select", args=(_, a, b)) | Call(op="land" | "lor" | "and" | "or" | "xor", args=(a, b)):
            return is_boolean(a) and is_boolean(b)
        case Call(op="not" | "likely", args=(a,)):
            return is_boolean(a)
        case Call(op=op):
            return op in _TRUTHS
    return isinstance(e, (bool, np.bool_))


def boolean(e: Expr) -> Expr:
    """The truth of `e`: `e != 0`, but for what is boolean already."""
    return e if is_boolean(e) else Call("cast", (e,), bool_)


def and_(a: Any, b: Any) -> Any:
    """`a and b` of conditions (booleans or constants); `b` counts only where `a` holds."""
    if not isinstance(a, Expr):
        return b if a else False
    return (a if b else False) if not isinstance(b, Expr) else Call("land", (a, b))


def or_(a: Any, b: Any) -> Any:
    """`a or b` of conditions; `b` counts only where `a` does not hold."""
    if not isinstance(a, Expr):
        return True if a else b
    return (True if b else a) if not isinstance(b, Expr) else Call("lor", (a, b))


def not_(a: Any) -> Any:
    return Call("lnot", (a,)) if isinstance(a, Expr) else not a


def merge(when: Any, a: Any, b: Any) -> Any:
    """`a` where `when` holds, else `b`: tuples element by element, equal constants as they are."""
    if not isinstance(when, Expr):
        return a if when else b
    if a is b or (type(a) is type(b) and is_constant(a) and is_constant(b) and _equal(a, b)):
        return a
    a, b = elements(a), elements(b)
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(merge(when, x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, tuple) or isinstance(b, tuple):
        raise DefinitionError("one side of the condition is a tuple of another length than the other side")
    return Call("select", (when, as_expr(a), as_expr(b)))


def _equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else repr(a) == repr(b) and bool(a == b)


def elements(value: Any) -> Any:
    """The tuple that `f[y, x]` of a tuple-valued Func is; anything else as it is."""
    tuple_valued = isinstance(value, Access) and not isinstance(value, SelfRead) and value.item is None
    return tuple(value) if tuple_valued and (value.target.size or 1) > 1 else value


def table(value: Any, name: str) -> Table:
    """The lookup table of a constant: arrays keep their type, Python numbers are i32 (i64 if large) or f32."""
    if isinstance(value, np.ndarray):
        return Table(value, name)
    data = np.asarray(value)
    types: dict[str, Type] = {"b": bool_, "i": i32 if _fits_i32(data) else i64, "f": f32}
    if isinstance(value, (range, tuple, list)) and data.dtype.kind in types and not _has_numpy(value):
        data = data.astype(types[data.dtype.kind].dtype)
    return Table(data, name)


def _fits_i32(data: Any) -> bool:
    return bool(data.size == 0 or (i32.min <= data.min() and data.max() <= i32.max))


def _has_numpy(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_has_numpy, value))
    return isinstance(value, (np.ndarray, np.generic))


def unused(name: str, taken: Container[str]) -> str:
    """`name`, with underscores after it until it is none of `taken`."""
    while name in taken:
        name += "_"
    return name
