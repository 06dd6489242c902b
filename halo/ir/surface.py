"""Surface expressions: what a definition says, before any type is known.

The decorator's translation and the object form both build these: plain immutable trees, never interned, which
`frontend.typing` gives types. Operators and functions are `Call`s by name, without meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ..errors import DefinitionError, Location, TypeMismatchError, here
from ..types import Type, as_type, i32
from .place import Located, place, site
from .shapes import DimExpr, Folds, as_extents
from .ufuncs import UFUNCS

__all__ = ["Access", "Augmented", "Call", "Define", "Definitions", "Expr", "Extent", "External", "Function", "IndexVar",
           "Indexable", "Input", "Item", "Literal", "Pad", "Param", "RDom", "RVarRef", "Reduction", "Shape",
           "Table", "Undef", "as_expr", "convert", "subscripts"]  # fmt: skip

Binary = Callable[[Any, Any], Any]


def _binary(op: str) -> tuple[Binary, Binary]:
    """The methods for `self op other` and `other op self`."""

    def forward(self: Expr, other: Any) -> Expr:
        return Call(op, (self, as_expr(other)))

    def reflected(self: Expr, other: Any) -> Expr:
        return Call(op, (as_expr(other), self))

    return forward, reflected


def _augmented(op: str) -> Binary:
    def method(self: Access, other: Any) -> Expr:
        others = other if isinstance(other, tuple) else (other,)
        return Augmented(op, (self, *map(as_expr, others)))

    return method


class Expr(Located):
    """A value at a point, in terms of index variables, inputs and other Funcs. Python's operators build larger ones.

    >>> import halo
    >>> x = halo.Var("x")
    >>> (x + 1) // 2
    (x + 1)//2
    """

    __slots__ = ()
    __hash__ = object.__hash__

    def astype(self, t: Any) -> Expr:
        """This value converted to the type `t` (integers wrap, floats to integers truncate and saturate)."""
        return Call("cast", (self,), as_type(t))

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("sub")
    __mul__, __rmul__ = _binary("mul")
    __truediv__, __rtruediv__ = _binary("div")
    __floordiv__, __rfloordiv__ = _binary("floordiv")
    __mod__, __rmod__ = _binary("mod")
    __pow__, __rpow__ = _binary("pow")
    __and__, __rand__ = _binary("and")
    __or__, __ror__ = _binary("or")
    __xor__, __rxor__ = _binary("xor")
    __lshift__, __rlshift__ = _binary("shl")
    __rshift__, __rrshift__ = _binary("shr")
    __lt__, _ = _binary("lt")
    __le__, _ = _binary("le")
    __gt__, _ = _binary("gt")
    __ge__, _ = _binary("ge")
    __eq__, _ = _binary("eq")
    __ne__, _ = _binary("ne")

    def __divmod__(self, other: Any) -> tuple[Expr, Expr]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Expr, Expr]:
        return other // self, other % self

    def __neg__(self) -> Expr:
        return Call("neg", (self,))

    def __pos__(self) -> Expr:
        return self

    def __invert__(self) -> Expr:
        return Call("not", (self,))

    def __abs__(self) -> Expr:
        return Call("abs", (self,))

    def __round__(self, digits: int | None = None) -> Expr:
        if digits:
            raise DefinitionError("round() of an expression takes no digits", loc=self.loc, hint="halo.round(10*e)/10")
        return Call("round", (self,))

    def __floor__(self) -> Expr:
        return Call("floor", (self,))

    def __ceil__(self) -> Expr:
        return Call("ceil", (self,))

    def __trunc__(self) -> Expr:
        return Call("trunc", (self,))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Expr:
        op = UFUNCS.get(ufunc.__name__)
        if op is None or method != "__call__" or kwargs:
            raise DefinitionError(f"numpy.{ufunc.__name__} has no meaning on an expression", loc=self.loc)
        return Call(op, tuple(as_expr(e) for e in inputs))

    def __bool__(self) -> bool:
        self._no("an expression has no truth value: its value is known only at each point",
                 "halo.select(cond, a, b), `&`, `|` and `~` in place of `if`, `and`, `or` and `not`")  # fmt: skip

    def __iter__(self) -> Iterator[Expr]:
        self._no("an expression is one value and cannot be iterated over", "halo.rdom(n) to loop, f[y, x][0] to pick")

    def __len__(self) -> int:
        self._no("an expression is one value and has no length", "img.shape[k] for an extent")

    def __getitem__(self, key: Any) -> Expr:
        self._no("an expression is one value and cannot be subscripted", "subscript a Func, an Input or a table")

    def __index__(self) -> int:
        self._no("an expression is not a Python integer: its value is known only at each point",
                 "halo.rdom(n) to loop over an expression's range")  # fmt: skip

    def __int__(self) -> int:
        self._no("an expression is not a Python number: its value is known only at each point", "halo.i32(e)")

    def __float__(self) -> float:
        self._no("an expression is not a Python number: its value is known only at each point",
                 "halo.f32(e), and halo.sqrt, halo.exp, ... in place of math's functions")  # fmt: skip

    def _no(self, message: str, cure: str) -> NoReturn:
        raise DefinitionError(message, loc=place.loc or here() or self.loc, hint=cure)

    def __repr__(self) -> str:
        from .surface_text import text

        return text(self)

    def _repr_html_(self) -> str:
        from ..show.reprs import expression

        return expression(repr(self))


class Literal(Expr):
    """A number. `type` None: a Python number, which takes the type of what it meets."""

    __slots__ = ("type", "value")

    def __init__(self, value: int | float | bool, type: Type | None = None) -> None:
        self.value, self.type, self._where = value, type, place.loc


class IndexVar(Expr):
    """An index variable, told apart by name inside one definition. Public as `halo.Var`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name, self._where = _identifier(name), site()


class Param(Expr):
    """A scalar input: `halo.Param("k", halo.f32, default=1.0)`. Without `dtype` its type comes from the argument."""

    __slots__ = ("default", "name", "type")

    def __init__(self, name: str, dtype: Any = None, default: Any = None) -> None:
        self.name, self.default = _identifier(name), default
        self.type, self._where = None if dtype is None else as_type(dtype), site()


class Extent(Expr):
    """`target.shape[axis]`."""

    __slots__ = ("axis", "target")

    def __init__(self, target: Indexable, axis: int) -> None:
        self.target, self.axis, self._where = target, axis, site()


class RVarRef(Expr):
    """The variable of axis `axis` of a reduction domain."""

    __slots__ = ("axis", "rdom")

    def __init__(self, rdom: RDom, axis: int) -> None:
        self.rdom, self.axis, self._where = rdom, axis, site()

    @property
    def name(self) -> str:
        return self.rdom.names[self.axis]


class Call(Expr):
    """The operator or function `op` on `args`; `data` is what it needs beside them (the Type of a "cast")."""

    __slots__ = ("args", "data", "op")

    def __init__(self, op: str, args: tuple[Expr, ...], data: Any = None) -> None:
        self.op, self.args, self.data, self._where = op, args, data, site()


class Access(Expr):
    """`target[indices]`, or element `item` of it where the target is tuple-valued."""

    __slots__ = ("indices", "item", "target")

    def __init__(self, target: Indexable, indices: tuple[Expr, ...], item: int | None = None) -> None:
        self.target, self.indices, self.item, self._where = target, indices, item, site()
        if target.ndim is not None and len(indices) != target.ndim:
            axes = "one axis" if target.ndim == 1 else f"{target.ndim} axes"
            message = f"{target.name} has {axes} and is subscripted by {len(indices)}"
            raise DefinitionError(message, loc=self.loc)

    def __getitem__(self, key: Any) -> Expr:
        """Element `key` of a tuple-valued Func at this point."""
        size = self.target.size
        if self.item is not None or not isinstance(key, int) or (size is not None and not -size <= key < size):
            self._no(f"{self.target.name}[...] has no element {key!r}", "f[y, x][0]: element 0 of a tuple-valued Func")
        return Access(self.target, self.indices, key + size if key < 0 and size is not None else key)

    def __setitem__(self, key: int, value: Any) -> None:
        if not isinstance(self.target, Function):
            self._no(f"{self.target.name} is an input and cannot be assigned to", "define a halo.Func")
        self.target.define(self.indices, value, item=key)

    def __iter__(self) -> Iterator[Expr]:
        return (self[k] for k in range(len(self)))

    def __len__(self) -> int:
        size = self.target.size
        if self.item is not None or size is None:
            self._no(f"{self.target.name}[...] is not a tuple", "return a tuple from its definition")
        return size

    __iadd__ = _augmented("add")
    __isub__ = _augmented("sub")
    __imul__ = _augmented("mul")
    __itruediv__ = _augmented("div")
    __ifloordiv__ = _augmented("floordiv")
    __imod__ = _augmented("mod")
    __ipow__ = _augmented("pow")
    __iand__ = _augmented("and")
    __ior__ = _augmented("or")
    __ixor__ = _augmented("xor")
    __ilshift__ = _augmented("shl")
    __irshift__ = _augmented("shr")


class Augmented(Call):
    """What `f[y, x] += e` hands to `f.__setitem__`: the Call, and the knowledge that it came from `+=`."""

    __slots__ = ()


class Reduction(Expr):
    """`values` folded by `op` (sum, prod, min, max, any, all, mean, argmin, argmax) over `rdom` where `pred` holds."""

    __slots__ = ("op", "pred", "rdom", "start", "values")

    def __init__(self, op: str, values: tuple[Expr, ...], rdom: RDom, pred: Expr | None = None,
                 start: Expr | None = None) -> None:  # fmt: skip
        self.op, self.values, self.rdom, self.pred, self.start, self._where = op, values, rdom, pred, start, site()


class Item(Expr):
    """Element `index` of a tuple-valued Reduction (argmin, argmax)."""

    __slots__ = ("index", "reduction")

    def __init__(self, reduction: Reduction, index: int) -> None:
        self.reduction, self.index, self._where = reduction, index, site()


class Undef(Expr):
    """No value: what is stored keeps what it had. `halo.undef(halo.f32)` says the type where nothing else does."""

    __slots__ = ("type",)

    def __init__(self, type: Type | None = None) -> None:
        self.type, self._where = type, place.loc

    def __call__(self, type: Any) -> Undef:
        return Undef(as_type(type))


class Indexable(Located):
    """What a definition may subscript. `ndim` is None until it is known; `size` is the length of a tuple's values."""

    name: str
    ndim: int | None
    size: int | None = None

    def __getitem__(self, key: Any) -> Any:
        return Access(self, subscripts(key))

    @property
    def shape(self) -> Shape:
        """The extents of its axes, as expressions: `img.shape[0]`."""
        return Shape(self)

    def __iter__(self) -> Iterator[Any]:
        raise DefinitionError(f"{self.name} cannot be iterated over", loc=place.loc, hint=f"halo.rdom({self.name})")


class Shape(Sequence[Expr]):
    """The extents of an Input, Func or pad view: `img.shape[0]`, `len(img.shape)`, `h, w = img.shape`."""

    def __init__(self, target: Indexable) -> None:
        self.target = target

    def __len__(self) -> int:
        if self.target.ndim is None:
            raise DefinitionError(f"the rank of {self.target.name} is not known here", hint="halo.Input(name, ndim=2)")
        return self.target.ndim

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return tuple(Extent(self.target, d) for d in range(len(self))[k])
        ndim = self.target.ndim
        if isinstance(k, int) and k < 0:
            k += len(self)
        if not isinstance(k, int) or k < 0 or (ndim is not None and k >= ndim):
            raise DefinitionError(f"{self.target.name} has no axis {k!r}", loc=place.loc or here())
        return Extent(self.target, k)

    def __iter__(self) -> Iterator[Expr]:
        return (Extent(self.target, d) for d in range(len(self)))


class Input(Indexable):
    """An array input: `halo.Input("img", halo.u8, ndim=2)`. What is left out comes from the argument of the call.
    `shape=("n", 3)`: every call gives those extents; code is made for packed arrays, and a copy of it for others."""

    def __init__(self, name: str, dtype: Any = None, ndim: int | None = None, contiguous: bool = False,
                 shape: Any = None) -> None:  # fmt: skip
        self.name, self.contiguous, self.extents = _identifier(name), contiguous, as_extents(shape)
        self.ndim = ndim if self.extents is None else len(self.extents)
        self.type, self._where = None if dtype is None else as_type(dtype), site()
        self.directives: list[Any] = []

    def __repr__(self) -> str:
        return f"halo.Input({self.name!r}" + (f", {self.type!r}" if self.type else "") + f", ndim={self.ndim})"


class Table(Indexable):
    """Constant data that a definition subscripts: `data` is an ndarray."""

    def __init__(self, data: Any, name: str = "table") -> None:
        foreign = not isinstance(data, np.ndarray) and hasattr(data, "__dlpack__")
        self.data = np.asarray(np.from_dlpack(data) if foreign else data)
        self.name, self.ndim, self.type, self._where = name, self.data.ndim, as_type(self.data.dtype), site()

    def __repr__(self) -> str:
        return f"{self.name}{list(self.data.shape)}"


class Pad(Indexable):
    """An unbounded view of `target`. `mode`: edge, constant, reflect, symmetric or wrap; `bounds`: (lo, n) an axis,
    None to leave an axis alone, or None altogether for the target's own extents."""

    def __init__(self, target: Indexable, mode: str, value: Any = 0,
                 bounds: tuple[tuple[Expr, Expr] | None, ...] | None = None) -> None:  # fmt: skip
        self.target, self.mode, self.value, self.bounds, self._where = target, mode, as_expr(value), bounds, site()
        self.name = target.name

    @property
    def ndim(self) -> int | None:  # type: ignore[override]  # known of some only later
        return self.target.ndim

    @property
    def size(self) -> int | None:  # type: ignore[override]  # known of some only later
        return self.target.size

    def __repr__(self) -> str:
        return f"halo.pad({self.target.name}, {self.mode!r})"


class RDom(Located):
    """A reduction domain: an ordered box of variables, first axis outermost. Made by `halo.rdom`.

    >>> import halo
    >>> r = halo.rdom(3, (-1, 3), names="ky kx")
    >>> r.kx, [v.name for v in r]
    (kx, ['ky', 'kx'])
    """

    def __init__(self, axes: tuple[tuple[Expr, Expr], ...], names: tuple[str, ...]) -> None:
        self.axes, self.names, self._where = axes, names, site()
        self._condition: Expr | None = None
        self._used = False
        self.vars = tuple(RVarRef(self, k) for k in range(len(axes)))

    def where(self, condition: Any) -> RDom:
        """Run only at the points where `condition` (of these and of pure variables) holds."""
        if self._used:
            raise DefinitionError("the domain is used already: give its condition before the first use", loc=self.loc)
        own, before = as_expr(condition), self._condition
        self._condition = own if before is None else Call("and", (before, own))
        return self

    def condition(self) -> Expr | None:
        """What `where` was given; none can be added from now on."""
        self._used = True
        return self._condition

    def __getattr__(self, name: str) -> RVarRef:
        if name in self.__dict__.get("names", ()):
            return self.vars[self.names.index(name)]
        raise AttributeError(f"the domain has no axis {name!r}: {', '.join(self.__dict__.get('names', ()))}")

    def __getitem__(self, k: int) -> RVarRef:
        return self.vars[k]

    def __iter__(self) -> Iterator[RVarRef]:
        return iter(self.vars)

    def __len__(self) -> int:
        return len(self.vars)

    def __repr__(self) -> str:
        return f"halo.rdom({', '.join(f'({lo!r}, {n!r})' for lo, n in self.axes)}, names={' '.join(self.names)!r})"


@dataclass(frozen=True, eq=False)
class Define:
    """One stage as written: `f[args] = values` over `rdom` where `pred`; `op` is the augmented operator ("add": +=)."""

    args: tuple[Expr, ...]
    values: tuple[Expr | None, ...]
    rdom: RDom | None = None
    pred: Expr | None = None
    op: str | None = None
    loc: Location | None = None


@dataclass(frozen=True, eq=False)
class Definitions:
    """All of a Func: its index variables, pure stage (None: the default of the first update's operator) and updates.
    `inputs` are those that the Func itself declares, in signature order."""

    vars: tuple[str, ...]
    pure: Define | None
    updates: tuple[Define, ...] = ()
    inputs: tuple[Input | Param, ...] = ()


@dataclass(frozen=True, eq=False)
class External:
    """The function of an extern stage: `bounds(box)` gives what it reads of each of `inputs` to write `box`."""

    function: Any
    inputs: tuple[Indexable, ...]
    types: tuple[Type, ...]
    bounds: Any = None


class Function(Indexable):
    """What has definitions. `halo.Func` is the one class of it; typing needs no more than this."""

    fastmath: bool = False
    innermost: bool = False  # made of an inline reduction
    external: External | None = None
    scan: Any = None  # the frontend's Scan that it is a state of

    @property
    def definitions(self) -> Definitions:
        raise NotImplementedError

    def define(self, args: tuple[Expr, ...], value: Any, item: int | None = None) -> None:
        raise NotImplementedError

    def freeze(self) -> None:
        """Take no further definitions."""


def subscripts(key: Any) -> tuple[Expr, ...]:
    """The index expressions of `f[key]`; a multi-axis RDom stands for all its variables."""
    out: list[Expr] = []
    for k in key if isinstance(key, tuple) else (key,):
        if isinstance(k, RDom):
            out.extend(k)
        elif isinstance(k, (slice, type(Ellipsis), type(None))):
            raise DefinitionError("a definition subscripts one point, not a slice", loc=place.loc or here(),
                                  hint="f[y, x] with index variables, or halo.rdom to loop")  # fmt: skip
        else:
            out.append(as_expr(k))
    return tuple(out)


def as_expr(value: Any) -> Expr:
    """`value` as an expression: expressions as they are, Python numbers weak, NumPy's with their type, Dims as parameters."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
        return Literal(value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        own = as_type(value.dtype)
        return Literal(float(value) if own.is_float else value.item(), own)
    if isinstance(value, RDom) and len(value) == 1:
        return value[0]
    if isinstance(value, DimExpr):
        return as_expr(value.evaluate(lambda name: Param(name, i32), _FOLDS))
    what, hint = f"a {type(value).__module__}.{type(value).__qualname__}", ""
    if isinstance(value, Indexable):
        what, hint = repr(value), f"{value.name}[...]: subscript it with index variables"
    elif isinstance(value, (np.ndarray, list, tuple)):
        hint = "subscript the table with index variables, or make it a halo.Input"
    raise DefinitionError(f"{what} is not a value of the language", loc=place.loc or here(), hint=hint)


_FOLDS = Folds(lambda a, b: Call("max", (as_expr(a), as_expr(b))),
               lambda a, b: Call("select", (as_expr(a) == 1, as_expr(b), as_expr(a))))  # fmt: skip


def convert(type: Type, value: Any) -> Expr:
    """`halo.u8(value)`: a cast of an expression; a number, which must fit, as a constant of that type."""
    if not isinstance(expr := as_expr(value), Literal):
        return Call("cast", (expr,), type)
    number = expr.value
    if type.is_bool or type.is_float:
        return Literal(bool(number) if type.is_bool else float(number), type)
    if not math.isfinite(number) or not type.holds(int(number)):
        message = f"{number!r} does not fit {type!r} ({type.min} to {type.max})"
        raise TypeMismatchError(message, loc=place.loc or here())
    return Literal(int(number), type)


Type._convert = convert


def _identifier(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise DefinitionError(f"a name is an identifier, not {name!r}", loc=place.loc or here())
    return name
