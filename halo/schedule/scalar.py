"""Numbers that a directive takes beside plain ints: expressions of parameters and extents, known when a call starts.

A surface expression has no equality (`==` builds another one), so a directive keeps a `Scalar`: a small tree by name,
which compares, hashes, pickles, goes to JSON, prints as the Python it came from, and becomes typed IR in a pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir import surface as S
from ..ir.expr import Const, Expr
from ..ir.pipeline import Pipeline
from ..ir.surface_text import text
from ..types import Type, as_type, bool_, f32, index, promote

__all__ = ["Scalar", "as_scalar"]

_ARITHMETIC = {"add": A.add, "sub": A.sub, "mul": A.mul, "floordiv": A.floordiv, "mod": A.mod, "min": A.minimum,
               "max": A.maximum}  # fmt: skip
_COMPARISONS = {"eq": A.eq, "ne": A.ne, "lt": A.lt, "le": A.le, "gt": A.gt, "ge": A.ge}
_LOGIC = {"and": A.and_, "land": A.and_, "or": A.or_, "lor": A.or_}


@dataclass(frozen=True)
class Scalar:
    """`op` applied to `args`; the leaves are const (a number), param (a name) and extent (an array's name, an axis)."""

    op: str
    args: tuple[Any, ...]

    def surface(self) -> S.Expr:
        """This as a surface expression, with parameters and arrays made anew by name."""
        match self.op:
            case "const":
                return S.Literal(self.args[0])
            case "param":
                return S.Param(self.args[0])
            case "extent":
                return S.Extent(S.Input(self.args[0]), self.args[1])
            case "cast":
                return S.Call("cast", (self.args[0].surface(),), as_type(self.args[1]))
        return S.Call(self.op, tuple(a.surface() for a in self.args))

    def __str__(self) -> str:
        return text(self.surface())

    def leaves(self) -> Iterator[Scalar]:
        """The parameters and extents that this depends on."""
        if self.op in ("param", "extent"):
            yield self
        for a in self.args:
            if isinstance(a, Scalar):
                yield from a.leaves()

    def dump(self) -> list[Any]:
        return [self.op, *(a.dump() if isinstance(a, Scalar) else a for a in self.args)]

    @staticmethod
    def load(data: Any) -> Scalar:
        return Scalar(data[0], tuple(Scalar.load(a) if isinstance(a, list) else a for a in data[1:]))

    def typed(self, p: Pipeline) -> Expr:
        """This in the typed IR of pipeline `p`: integers are `index`, truth values bool_, floats as they promote."""
        match self.op:
            case "const":
                value = self.args[0]
                return Const(value, bool_ if isinstance(value, bool) else f32 if isinstance(value, float) else index)
            case "param":
                return _index(_param(p, self.args[0]))
            case "extent":
                return _extent(p, *self.args)
            case "cast":
                return A.cast(self.args[0].typed(p), as_type(self.args[1]))
            case "select":
                condition, *values = self.args
                then, otherwise = _matched(Scalar("max", (*values,)), [v.typed(p) for v in values])
                return A.select(_truth(condition.typed(p)), then, otherwise)
        args = _matched(self, [a.typed(p) for a in self.args])
        return (_ARITHMETIC | _COMPARISONS | _LOGIC)[self.op](*args) if len(args) == 2 else A.not_(*args)


def _index(e: Expr) -> Expr:
    return A.cast(e, index) if e.type.is_int else e


def _truth(e: Expr) -> Expr:
    return e if e.type is bool_ else A.ne(e, Const(0, e.type))


def _matched(s: Scalar, args: list[Expr]) -> list[Expr]:
    """Operands brought to one type: numbers written in Python follow the typed operand beside them."""
    if s.op in _LOGIC or s.op in ("not", "lnot"):
        return [_truth(e) for e in args]
    typed = [e.type for e, a in zip(args, s.args, strict=True) if a.op != "const" and e.type.is_float]
    weak = [e.type for e in args if e.type.is_float]
    if not (typed or weak):
        return [A.cast(e, index) for e in args]
    common: Type = (typed or weak)[0]
    for t in typed:
        common = promote(common, t)
    return [A.cast(e, common) for e in args]


def _param(p: Pipeline, name: str) -> Expr:
    for q in p.params:
        if q.name == name:
            return q.var
    raise ScheduleError(f"{name} is not a parameter of this pipeline", legal=tuple(q.name for q in p.params))


def _extent(p: Pipeline, name: str, axis: int) -> Expr:
    arrays = (*p.inputs, *(f.array for f in p.functions if f.name in p.outputs))
    for a in arrays:
        if a.name == name:
            return a.extents[axis]
    raise ScheduleError(f"the extents of {name} are not known when a call starts: it is neither an input nor an output",
                        legal=tuple(f"{a.name}.shape[k]" for a in arrays))  # fmt: skip


def as_scalar(value: Any) -> Scalar:
    """`value` (a number or a surface expression) as a Scalar. ValueError if it is more than parameters and extents."""
    e = S.as_expr(value)
    match e:
        case S.Literal():
            return Scalar("const", (e.value,))
        case S.Param():
            return Scalar("param", (e.name,))
        case S.Extent():
            return Scalar("extent", (e.target.name, e.axis))
        case S.Call(op="cast"):
            return Scalar("cast", (as_scalar(e.args[0]), e.data.name))
        case S.Call(op="neg"):
            return Scalar("sub", (Scalar("const", (0,)), as_scalar(e.args[0])))
        case S.Call(op=op) if op in _ARITHMETIC | _COMPARISONS | _LOGIC or op in ("not", "lnot", "select"):
            return Scalar(op, tuple(as_scalar(a) for a in e.args))
    raise ValueError(f"{e!r} is not made of numbers, parameters and extents")
