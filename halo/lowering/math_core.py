"""What the definitions of the transcendentals are written in: IR expressions with Python's operators.

The formulas of `math_exp`, `math_log`, ... are straight-line code on values of any number of lanes. Python numbers in
them become constants of the type of the other operand.

Sources: J.-M. Muller, *Elementary Functions* (2016), and W. J. Cody and W. Waite, *Software Manual for the Elementary
Functions* (1980), for the methods; M. H. Payne and R. N. Hanek, *Radian reduction for trigonometric functions* (1983).
The polynomials are minimax for the relative error of the result: Remez' exchange in 200 bits with the leading
coefficients rounded one after the other and the others fitted again each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.algebra import broadcast
from ..ir.expr import Cast, Const, Expr, Op
from ..types import Type, bool_, f32, i32, i64, u32, u64

__all__ = ["Value", "copysign", "fma", "horner", "rare", "select", "unusual"]


class Value:
    """An expression that computes with `+ - * / & | ^ << >> < <= > >= ==` (comparisons give bool_)."""

    __slots__ = ("e",)

    def __init__(self, e: Expr) -> None:
        self.e = e

    @property
    def type(self) -> Type:
        return self.e.type

    @property
    def single(self) -> bool:
        """f32, not f64."""
        return self.type is f32

    def k(self, value: float) -> Value:
        """The constant `value` of this value's type and lanes."""
        return Value(broadcast(Const(value, self.type), self.e.lanes))

    def like(self, other: Any) -> Value:
        return other if isinstance(other, Value) else self.k(other)

    def op(self, name: str, *others: Any, type: Type | None = None) -> Value:
        return Value(Op(name, (self.e, *(self.like(o).e for o in others)), type or self.type))

    def __add__(self, other: Any) -> Value:
        return self.op("add", other)

    def __radd__(self, other: Any) -> Value:
        return self.k(other) + self

    def __sub__(self, other: Any) -> Value:
        return self.op("sub", other)

    def __rsub__(self, other: Any) -> Value:
        return self.k(other) - self

    def __mul__(self, other: Any) -> Value:
        return self.op("mul", other)

    def __rmul__(self, other: Any) -> Value:
        return self.k(other) * self

    def __truediv__(self, other: Any) -> Value:
        return self.op("div", other)

    def __rtruediv__(self, other: Any) -> Value:
        return self.k(other) / self

    def __neg__(self) -> Value:
        return self.op("neg")

    def __abs__(self) -> Value:
        return self.op("abs")

    def __and__(self, other: Any) -> Value:
        return self.op("and", other)

    def __or__(self, other: Any) -> Value:
        return self.op("or", other)

    def __xor__(self, other: Any) -> Value:
        return self.op("xor", other)

    def __invert__(self) -> Value:
        return self.op("not")

    def __lshift__(self, count: Any) -> Value:
        return self.op("shl", count)

    def __rshift__(self, count: Any) -> Value:
        return self.op("shr", count)

    def __lt__(self, other: Any) -> Value:
        return self.op("lt", other, type=bool_)

    def __le__(self, other: Any) -> Value:
        return self.op("le", other, type=bool_)

    def __gt__(self, other: Any) -> Value:
        return self.like(other) < self

    def __ge__(self, other: Any) -> Value:
        return self.like(other) <= self

    def equals(self, other: Any) -> Value:
        return self.op("eq", other, type=bool_)

    def differs(self, other: Any) -> Value:
        return self.op("ne", other, type=bool_)

    def to(self, type: Type) -> Value:
        """Converted."""
        return Value(Cast(self.e, type))

    def as_(self, type: Type) -> Value:
        """The same bits as another type of the same width."""
        return self.op("reinterpret", type=type)

    @property
    def bits(self) -> Value:
        """A float's bits, unsigned."""
        return self.as_(u32 if self.single else u64)

    @property
    def signed_bits(self) -> Value:
        return self.as_(i32 if self.single else i64)

    def sqrt(self) -> Value:
        return self.op("sqrt")

    def round(self) -> Value:
        return self.op("round")

    def floor(self) -> Value:
        return self.op("floor")

    def isnan(self) -> Value:
        return self.op("isnan", type=bool_)

    def fmin(self, other: Any) -> Value:
        """`self if self < other else other`: so a NaN is kept in `other`."""
        return self.op("fmin", other)

    def fmax(self, other: Any) -> Value:
        return self.op("fmax", other)


def fma(a: Any, b: Any, c: Any) -> Value:
    """`a * b + c`, rounded once."""
    one = next(v for v in (a, b, c) if isinstance(v, Value))
    return one.like(a).op("fma", b, c)


def select(cond: Value, then: Any, other: Any) -> Value:
    one = next(v for v in (then, other) if isinstance(v, Value))
    return Value(Op("select", (cond.e, one.like(then).e, one.like(other).e), one.type))


def rare(cond: Value, then: Any, other: Any) -> Value:
    """A `select` whose condition holds almost never: `then` costs a branch, and nothing more where no lane needs it."""
    one = next(v for v in (then, other) if isinstance(v, Value))
    return Value(Op("rare", (cond.e, one.like(then).e, one.like(other).e), one.type))


def copysign(size: Value, sign: Value) -> Value:
    return size.op("copysign", sign)


def unusual(x: Value) -> Value:
    """Whether x is anything but a positive normal number: zero, subnormal, negative, infinite or NaN."""
    least, many = (0x00800000, 0x7F000000) if x.single else (0x0010000000000000, 0x7FE0000000000000)
    return x.bits - least >= many


def horner(x: Value, coefficients: Sequence[float]) -> Value:
    """c[0] + x*(c[1] + x*(c[2] + ...))."""
    total = x.k(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = fma(total, x, c)
    return total
