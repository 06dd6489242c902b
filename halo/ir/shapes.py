"""Shapes: one entry an axis, an integer, or what only a call knows: a `Dim`, or integer arithmetic over Dims.

Such an expression is a sum of products in one normal form, so that two that are written differently compare equal:

    (h + 1)//2 == (h - 1)//2 + 1        (h//2)//2 == h//4        -(-h//8) == (h + 7)//8
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ArgumentError, UnknownValueError, here

__all__ = [
    "SYMBOLIC",
    "Dim",
    "DimExpr",
    "Extents",
    "Folds",
    "Told",
    "as_extents",
    "dim_join",
    "dim_max",
    "dim_min",
    "dims_of",
    "folds_of",
    "met",
    "never_negative",
    "shown",
    "told",
    "values_of",
    "with_folds",
    "within",
]

Atom = Any  # a Dim or a _Fold: what products are made of


class DimExpr:
    """An integer expression of Dims, which a call gives its value: what `+ - * // %` make of them.

    It is equal to what is the same in normal form. It has no order, and no value before a call: ArgumentError.

    >>> import halo
    >>> h = halo.Dim("h")
    >>> (h - 1)//2 + 1, 2*h*3 - h, (h + 4)//2 == h//2 + 2
    ((h + 1)//2, 5*h, True)
    """

    __slots__ = ("terms", "text")
    terms: tuple[tuple[tuple[Atom, ...], int], ...]  # (atoms of the product, coefficient), the constant last
    text: str

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, (int, DimExpr)):
            return NotImplemented
        return _sum((*self.terms, *_terms(other)))

    __radd__ = __add__

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        return self + -other if isinstance(other, (int, DimExpr)) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return -self + other if isinstance(other, (int, DimExpr)) else NotImplemented

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, (int, DimExpr)):
            return NotImplemented
        return _sum(tuple(((*a, *b), c * k) for a, c in self.terms for b, k in _terms(other)))

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        return _quotient(self, other) if isinstance(other, (int, DimExpr)) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Any:
        return _quotient(other, self) if isinstance(other, int) else NotImplemented

    def __mod__(self, other: Any) -> Any:
        return self - self // other * other if isinstance(other, (int, DimExpr)) else NotImplemented

    def __rmod__(self, other: Any) -> Any:
        return other - other // self * self if isinstance(other, int) else NotImplemented

    def __pos__(self) -> Any:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DimExpr) and other.text == self.text

    def __hash__(self) -> int:
        return hash((DimExpr, self.text))

    def _unknown(self, *_: Any) -> Any:
        raise UnknownValueError(f"the extent {self} is known when the program runs, and is wanted before", loc=here(),
                                hint="an integer in its place, as compile(shapes={...}) gives it")  # fmt: skip

    __lt__ = __le__ = __gt__ = __ge__ = __index__ = __int__ = __float__ = __bool__ = __truediv__ = _unknown

    def evaluate(self, of: Mapping[str, Any] | Callable[[str], Any], folds: Folds | None = None) -> Any:
        """Its value where each Dim has the value `of` its name: of integers, or of whatever has their operators and `folds`."""
        value = of if callable(of) else of.__getitem__
        total: Any = 0
        for atoms, c in self.terms:
            product: Any = c
            for k, a in enumerate(atoms):
                found = value(a.name) if isinstance(a, Dim) else a.evaluate(value, folds or _INTEGERS)
                product = found if c == 1 and k == 0 else product * found
            total = product if isinstance(total, int) and total == 0 else total + product
        return total

    def __repr__(self) -> str:
        return self.text


class Dim(DimExpr):
    """A symbolic extent: the same name is the same extent, whatever a call makes of it. Arithmetic makes a `DimExpr`.

    >>> import halo
    >>> halo.Dim("n") == halo.Dim("n"), halo.Dim("n"), halo.Dim("n") // 2
    (True, n, n//2)
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ArgumentError(f"the name of a Dim is an identifier, not {name!r}", loc=here(), hint='halo.Dim("n")')
        self.name = self.text = name
        self.terms = (((self,), 1),)


class Folds(NamedTuple):
    """How values of some kind fold: the larger one of two, and the extent of two axes that meet (see `dim_join`)."""

    larger: Callable[[Any, Any], Any]
    joined: Callable[[Any, Any], Any]


class _Fold:
    """`a//b`, 0 where `b` is; the larger one of `a` and `b`; or that of them which is not 1."""

    __slots__ = ("a", "b", "op", "text")

    def __init__(self, op: str, a: Any, b: Any) -> None:
        self.op, self.a, self.b = op, a, b
        self.text = f"{_factor(a)}//{_factor(b)}" if op == "//" else f"{op}({a}, {b})"

    def evaluate(self, value: Callable[[str], Any], folds: Folds) -> Any:
        a, b = (n.evaluate(value, folds) if isinstance(n, DimExpr) else n for n in (self.a, self.b))
        if self.op != "//":
            return (folds.larger if self.op == "max" else folds.joined)(a, b)
        return 0 if isinstance(b, int) and b == 0 else a // b


Extents = tuple[int | DimExpr, ...]


def dims_of(n: Any) -> Iterator[str]:
    """The names of the Dims in an extent."""
    for atoms, _ in n.terms if isinstance(n, DimExpr) else ():
        for a in atoms:
            if isinstance(a, Dim):
                yield a.name
            else:
                yield from dims_of(a.a)
                yield from dims_of(a.b)


def folds_of(n: Any) -> Iterator[str]:
    """The quotients and the like that an extent is made of, as text; not those inside of others."""
    for atoms, _ in n.terms if isinstance(n, DimExpr) else ():
        yield from (a.text for a in atoms if isinstance(a, _Fold))


def with_folds(n: Any, of: Mapping[str, DimExpr]) -> Any:
    """An extent with `of` in place of those of its quotients and the like that it names by their text.

    >>> with_folds(2 * (Dim("h") // 2) + 1, {"h//2": Dim("k")})
    2*k + 1
    """
    if not isinstance(n, DimExpr):
        return n
    total: Any = 0
    for atoms, c in n.terms:
        product: Any = c
        for a in atoms:
            product = product * (a if isinstance(a, Dim) else of.get(a.text, _one(a)))
        total = total + product
    return total


@dataclass(frozen=True)
class Told:
    """Where a Dim is told: axis `axis` of shape number `shape` has `scale` times it, and `offset`."""

    shape: int
    axis: int
    scale: int
    offset: int

    def value(self, extent: Any) -> Any:
        """The Dim, where the axis has this extent; it fits only if the same extent comes of that again."""
        return (extent - self.offset) // self.scale

    @property
    def is_plain(self) -> bool:
        return (self.scale, self.offset) == (1, 0)


def told(shapes: Iterable[Extents]) -> dict[str, Told]:
    """What tells the Dims of `shapes`, by name: an entry `n`, or where there is none one like `32*n + 1`."""
    found: dict[str, Told] = {}
    for k, shape in enumerate(shapes):
        for axis, n in enumerate(shape):
            name, scale, offset = _multiple(n)
            new, old = Told(k, axis, scale, offset), found.get(name)
            if scale > 0 and (old is None or (new.is_plain and not old.is_plain)):
                found[name] = new
    return found


def _multiple(n: Any) -> tuple[str, int, int]:
    """The name, the scale and the offset of `scale*dim + offset`; a scale of 0 for what is none."""
    offset: Any = n
    for atoms, c in _terms(n):
        for a in atoms:
            offset = n - c * a if isinstance(a, Dim) else n
            if isinstance(offset, int):
                return a.name, c, offset
    return "", 0, 0


def values_of(shapes: Iterable[Extents], given: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The Dims that `shapes` tell, by name, of arrays of the shapes `given`."""
    return {name: t.value(given[t.shape][t.axis]) for name, t in told(shapes).items() if t.axis < len(given[t.shape])}


def within(shape: Extents, given: Sequence[Any]) -> bool:
    """Whether the extents `given` are not less than those of `shape` may be: 9 at least of `n + 9`, as far as is plain to see."""
    return all(t.offset <= 0 or never_negative(t.value(given[t.axis])) for t in told((shape,)).values())


def greatest_of(bounds: Iterable[tuple[Any, int]]) -> dict[str, int]:
    """How great Dims are, by name, whose multiples `32*n + 1` are bounded."""
    found: dict[str, int] = {}
    for n, most in bounds:
        name, scale, offset = _multiple(n)
        if scale > 0:
            value = (most - offset) // scale
            found[name] = min(value, found.get(name, value))
    return found


def greatest_value(n: Any, most: Mapping[str, int]) -> int | None:
    """One that the extent `n` is never greater than, where Dims are `most` by name; None where that is not told."""
    found = _span(n, most)
    return None if found is None else found[1]


def _span(n: Any, most: Mapping[str, int]) -> tuple[int, int] | None:
    """The ends that follow from those of the parts of `n`."""
    low = high = 0
    for atoms, c in _terms(n):
        ends = (c, c)
        for a in atoms:
            of = (0, most[a.name]) if isinstance(a, Dim) and a.name in most else _span_of_fold(a, most)
            if of is None:
                return None
            corners = [x * y for x in ends for y in of]
            ends = (min(corners), max(corners))
        low, high = low + ends[0], high + ends[1]
    return low, high


def _span_of_fold(fold: Any, most: Mapping[str, int]) -> tuple[int, int] | None:
    if not isinstance(fold, _Fold):
        return None
    a, b = _span(fold.a, most), _span(fold.b, most)
    if a is None or b is None or (fold.op == "//" and b[0] < 1):
        return None
    if fold.op == "//":
        corners = [x // y for x in a for y in b]
        return min(corners), max(corners)
    return (max(a[0], b[0]) if fold.op == "max" else min(a[0], b[0])), max(a[1], b[1])


def dim_max(a: Any, b: Any) -> Any:
    """The larger one of two extents."""
    if never_negative(difference := a - b):
        return a
    if never_negative(-difference):
        return b
    a, b = sorted((a, b), key=str)
    return _one(_Fold("max", a, b))


def dim_min(a: Any, b: Any) -> Any:
    """The smaller one of two extents."""
    return -dim_max(-a, -b)


def dim_join(a: Any, b: Any) -> Any:
    """The extent of the axis that two make which meet where arrays broadcast: both are equal, or one is 1 and repeated.

    >>> dim_join(Dim("n"), 1), dim_join(Dim("n"), Dim("m")), dim_join(Dim("n"), dim_join(Dim("m"), Dim("n")))
    (n, join(m, n), join(m, n))
    """
    parts = {str(n): n for n in (*met(a), *met(b)) if n != 1}
    known = [n for n in parts.values() if isinstance(n, int)]
    if known or not parts:
        return known[0] if known else 1
    *others, found = (parts[text] for text in sorted(parts))
    for n in reversed(others):
        found = _one(_Fold("join", n, found))
    return found


def met(n: Any) -> Iterator[Any]:
    """The extents that meet in `n`: itself, if none do."""
    atoms = n.terms[0][0] if isinstance(n, DimExpr) and len(n.terms) == 1 and n.terms[0][1] == 1 else ()
    if len(atoms) == 1 and isinstance(fold := atoms[0], _Fold) and fold.op == "join":
        yield from met(fold.a)
        yield from met(fold.b)
    else:
        yield n


def never_negative(n: Any) -> bool:
    """Whether that is plain to see of an integer or an extent: Dims are none."""
    if all(_is_sum_of(atoms, c) for atoms, c in _terms(n)):
        return True
    for atoms, c in _terms(n):
        fold = atoms[0] if len(atoms) == 1 else None
        if isinstance(fold, _Fold) and fold.op == "//" and isinstance(fold.b, int) and c % fold.b == 0:
            least = fold.a if c < 0 else fold.a - (fold.b - 1)  # of a//b are (a - b + 1)/b and a/b the ends
            return never_negative(n - _sum(((atoms, c),)) + c // fold.b * least)
    return False


def _is_sum_of(atoms: tuple[Atom, ...], c: int) -> bool:
    """Whether `c` times the product of `atoms` is never negative: of factors that are not, and of one that is never positive
    where `c` is negative."""
    others = [a for a in atoms if not _has_sign(a, 1)]
    return not others if c >= 0 else len(others) <= 1 and any(_has_sign(a, -1) for a in others or atoms)


def _has_sign(a: Atom, sign: int) -> bool:
    """Whether an atom is never negative, or never positive where `sign` is -1."""
    if isinstance(a, Dim):
        return sign == 1
    if a.op == "//":
        return never_negative(sign * a.a) and never_negative(a.b)
    return (any if sign == 1 and a.op == "max" else all)((never_negative(sign * a.a), never_negative(sign * a.b)))


_INTEGERS = Folds(max, lambda a, b: b if a == 1 else a)
SYMBOLIC = Folds(dim_max, dim_join)
"""Of extents that are arithmetic over Dims themselves."""


def _terms(n: Any) -> Any:
    return n.terms if isinstance(n, DimExpr) else (((), n),)


def _one(atom: Atom) -> DimExpr:
    return _expression((((atom,), 1),))


def _sum(terms: Any) -> Any:
    """The sum of `terms` in normal form: an integer where there are no Dims in it."""
    sums: dict[tuple[str, ...], tuple[tuple[Atom, ...], int]] = {}
    for atoms, c in terms:
        atoms = tuple(sorted(atoms, key=lambda a: a.text))
        key = tuple(a.text for a in atoms)
        sums[key] = atoms, c + (sums[key][1] if key in sums else 0)
    kept = tuple(sums[key] for key in sorted(sums, key=lambda k: (not k, k)) if sums[key][1])
    if not kept:
        return 0
    if len(kept) == 1:
        (atoms, c), *_ = kept
        if not atoms:
            return c
        if c == 1 and len(atoms) == 1 and isinstance(atoms[0], Dim):
            return atoms[0]
    return _expression(kept)


def _expression(terms: Any) -> DimExpr:
    e = DimExpr()
    e.terms = terms
    first = True
    text = ""
    for atoms, c in terms:
        sign = ("-" if c < 0 else "") if first else (" - " if c < 0 else " + ")
        factors = [] if abs(c) == 1 and atoms else [str(abs(c))]
        several = c < 0 or len(atoms) + len(factors) > 1
        factors += [f"({a.text})" if several and isinstance(a, _Fold) and a.op == "//" else a.text for a in atoms]
        text += sign + "*".join(factors)
        first = False
    e.text = text
    return e


def _factor(n: Any) -> str:
    return str(n) if isinstance(n, (int, Dim)) and str(n)[0] != "-" else f"({n})"


def _quotient(a: Any, b: Any) -> Any:
    """`a//b`, rounded down: what `b` divides comes out of it, and quotients of quotients are one."""
    if isinstance(b, int):
        if b == 0:
            raise ArgumentError(f"the extent {a} is divided by 0", loc=here())
        if b < 0:
            return _quotient(-a, -b)
        whole = _sum(tuple((atoms, c // b) for atoms, c in a.terms))
        rest = _sum(tuple((atoms, c % b) for atoms, c in a.terms))
        if isinstance(rest, int):
            return whole
        inner = atoms, c = rest.terms[0]
        if 2 * c > b:  # a//b = -((b - 1 - a)//b)
            return whole - _quotient(b - 1 - rest, b)
        constant = rest - _sum((inner,))
        if c == 1 and len(atoms) == 1 and isinstance(atoms[0], _Fold) and isinstance(constant, int):
            fold = atoms[0]
            if fold.op == "//" and isinstance(fold.b, int):  # (n//m + k)//b = (n + k*m)//(m*b)
                return whole + _quotient(fold.a + constant * fold.b, fold.b * b)
        return whole + _one(_Fold("//", rest, b))
    if a == 0 or a == b:
        return 0 if a == 0 else 1
    divided = _divided(a, b)
    return _one(_Fold("//", a, b)) if divided is None else divided


def _divided(a: Any, b: DimExpr) -> Any:
    """`a/b` where `b` divides `a` as polynomials of the same atoms, else None."""
    names = sorted({x.text for n in (a, b) for atoms, _ in _terms(n) for x in atoms})

    def first(n: Any) -> Any:
        """The term that is first in an order that multiplication keeps."""
        return max(_terms(n), key=lambda term: [sum(x.text == name for x in term[0]) for name in names])

    (by, k), whole, rest = first(b), 0, a
    while isinstance(rest, DimExpr):
        atoms, c = first(rest)
        left = list(atoms)
        for atom in by:
            found = next((j for j, x in enumerate(left) if x.text == atom.text), None)
            if found is None:
                return None
            del left[found]
        if c % k:
            return None
        part = _sum(((tuple(left), c // k),))
        whole, rest = whole + part, rest - part * b
    return whole if rest == 0 else None


# From what users write -----------------------------------------------------------------------------------------------


def as_extents(shape: Any) -> Extents | None:
    """`shape` with names made Dims; None where it is None. Raises ArgumentError for what is no shape.

    >>> as_extents(("n", 3, "(n + 1)//2"))
    (n, 3, (n + 1)//2)
    """
    if shape is None:
        return None
    entries = shape if isinstance(shape, (tuple, list)) else (shape,)
    found: list[int | DimExpr] = []
    for n in entries:
        if isinstance(n, str):
            n = _parsed(n)
        if isinstance(n, DimExpr):
            found.append(n)
        elif not isinstance(n, bool) and hasattr(n, "__index__") and 0 <= n.__index__() < 2**31:
            found.append(n.__index__())
        else:
            raise _no_shape(n)
    return tuple(found)


def _no_shape(n: Any) -> ArgumentError:
    return ArgumentError(
        f"a shape has integers from 0 to 2**31 - 1 and names, not {n!r}", loc=here(), hint='shape=("n", 3)'
    )


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}  # fmt: skip


def _parsed(text: str) -> Any:
    """The extent that `text` is: a name, or arithmetic."""
    if text.isidentifier():
        return Dim(text)

    def value(e: ast.expr) -> Any:
        match e:
            case ast.Constant(int(n)) if not isinstance(n, bool):
                return n
            case ast.Name(name):
                return Dim(name)
            case ast.UnaryOp(ast.USub(), n):
                return -value(n)
            case ast.BinOp(a, op, b) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(a), value(b))
            case ast.Call(ast.Name("max"), [a, b]):
                return dim_max(value(a), value(b))
            case ast.Call(ast.Name("join"), [a, b]):
                return dim_join(value(a), value(b))
        raise _no_shape(text)

    try:
        return value(ast.parse(text, mode="eval").body)
    except (SyntaxError, RecursionError, ZeroDivisionError, ValueError, MemoryError) as error:
        raise _no_shape(text) from error


def shown(shape: Extents) -> str:
    """`(n, 3)`, as errors and listings write it."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
