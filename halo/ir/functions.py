"""The functions of the language, for definitions written as expressions: `halo.select`, `halo.sqrt`, `halo.sum`, ...

Each makes a surface `Call` or `Reduction`; what it means stands in `frontend.operators` and `frontend.reductions`. The
decorated form reaches the same functions through its vocabulary.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from ..errors import ArgumentError, DefinitionError, here
from ..types import as_type
from .surface import Call, Expr, Extent, Indexable, IndexVar, Item, Literal, Pad, RDom, Reduction, Table, Undef, as_expr

PAD_MODES = ("edge", "constant", "reflect", "symmetric", "wrap")
REDUCTIONS = ("sum", "prod", "min", "max", "any", "all", "mean", "argmin", "argmax")

__all__ = ["PAD_MODES", "REDUCTIONS", "abs", "absd", "acos", "acosh", "all", "any", "argmax", "argmin", "asin",
           "asinh", "atan", "atan2", "atanh", "avg_down", "avg_up", "cbrt", "ceil", "clamp", "clz", "concat_bits",
           "copysign", "cos", "cosh", "ctz", "debug_print", "erf", "exp", "exp2", "expm1", "extract_bits", "floor",
           "fma", "fmax", "fmin", "gather", "hypot", "isfinite", "isinf", "isnan", "lerp", "likely", "log",
           "log1p", "log2", "log10", "max", "mean", "min", "mul_high", "pad", "popcount", "pow", "prod", "random_f32",
           "random_i32", "random_u32", "range", "rdom", "reduce", "reinterpret", "require", "round", "rsqrt",
           "sat_add", "sat_sub", "saturate", "scatter", "select", "sin", "sinh", "sqrt", "sum", "tan", "tanh",
           "trunc", "undef", "vars", "widening_add", "widening_mul", "widening_sub"]  # fmt: skip


def _function(name: str, params: str, doc: str) -> Callable[..., Expr]:
    names = params.split()

    def call(*args: Any) -> Expr:
        if len(args) != len(names):
            raise ArgumentError(f"halo.{name}({', '.join(names)}) is given {len(args)} arguments", loc=here())
        return Call(name, tuple(as_expr(a) for a in args))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    call.__module__ = "halo"
    kind = Parameter.POSITIONAL_ONLY
    taken = [Parameter(n, kind, annotation="Expr | int | float") for n in names]
    call.__signature__ = Signature(taken, return_annotation="Expr")  # type: ignore[attr-defined]  # inspect reads it, functions do not declare it
    return call


absd = _function(
    "absd", "a b", "`|a - b|` of integers without overflow: unsigned, of the wider width. Floats: `abs(a - b)`."
)
avg_down = _function("avg_down", "a b", "`(a + b) // 2` of integers, without overflow.")
avg_up = _function("avg_up", "a b", "`(a + b + 1) // 2` of integers, without overflow.")
clz = _function("clz", "e", "The number of leading zero bits (the width for 0).")
ctz = _function("ctz", "e", "The number of trailing zero bits (the width for 0).")
popcount = _function("popcount", "e", "The number of one bits.")
mul_high = _function("mul_high", "a b", "The upper half of the double-width product of integers.")
widening_add = _function(
    "widening_add", "a b", "The sum in twice the width (of integers of at most 32 bits, or f16, bf16 and f32)."
)
widening_mul = _function(
    "widening_mul", "a b", "The product in twice the width (of integers of at most 32 bits, or f16, bf16 and f32)."
)
widening_sub = _function(
    "widening_sub", "a b", "The difference in twice the width, signed (of integers of at most 32 bits, or floats)."
)
sat_add = _function("sat_add", "a b", "The sum of integers, clamped to the range of their type.")
sat_sub = _function("sat_sub", "a b", "The difference of integers, clamped to the range of their type.")
clamp = _function("clamp", "e lo hi", "`e` limited to lo..hi: `min(max(e, lo), hi)`.")
lerp = _function(
    "lerp", "a b w", "`a` at w = 0, `b` at w = 1; w a float, or an unsigned integer as a fraction of its range."
)
fma = _function("fma", "a b c", "`a*b + c` of floats, rounded once.")
fmin = _function("fmin", "a b", "The smaller float; of a number and NaN, the number.")
fmax = _function("fmax", "a b", "The larger float; of a number and NaN, the number.")
copysign = _function("copysign", "a b", "`a` with the sign of `b`.")
floor = _function("floor", "e", "The largest whole number not above.")
ceil = _function("ceil", "e", "The smallest whole number not below.")
trunc = _function("trunc", "e", "The whole part, towards zero.")
round = _function("round", "e", "The nearest whole number, halves to even; keeps the type.")
abs = _function("abs", "e", "The absolute value; keeps the type (the least integer stays what it is).")
sqrt = _function("sqrt", "e", "The square root.")
rsqrt = _function("rsqrt", "e", "`1 / sqrt(e)`.")
cbrt = _function("cbrt", "e", "The cube root.")
exp = _function("exp", "e", "e to the power.")
exp2 = _function("exp2", "e", "2 to the power.")
expm1 = _function("expm1", "e", "`exp(e) - 1`, precise near 0.")
log = _function("log", "e", "The natural logarithm.")
log2 = _function("log2", "e", "The logarithm to base 2.")
log10 = _function("log10", "e", "The logarithm to base 10.")
log1p = _function("log1p", "e", "`log(1 + e)`, precise near 0.")
pow = _function("pow", "a b", "`a ** b`.")
hypot = _function("hypot", "a b", "`sqrt(a*a + b*b)` without overflow.")
sin = _function("sin", "e", "The sine.")
cos = _function("cos", "e", "The cosine.")
tan = _function("tan", "e", "The tangent.")
asin = _function("asin", "e", "The inverse sine.")
acos = _function("acos", "e", "The inverse cosine.")
atan = _function("atan", "e", "The inverse tangent.")
atan2 = _function("atan2", "y x", "The angle of the point (x, y).")
sinh = _function("sinh", "e", "The hyperbolic sine.")
cosh = _function("cosh", "e", "The hyperbolic cosine.")
tanh = _function("tanh", "e", "The hyperbolic tangent.")
asinh = _function("asinh", "e", "The inverse hyperbolic sine.")
acosh = _function("acosh", "e", "The inverse hyperbolic cosine.")
atanh = _function("atanh", "e", "The inverse hyperbolic tangent.")
erf = _function("erf", "e", "The error function.")
isnan = _function("isnan", "e", "Whether not a number.")
isinf = _function("isinf", "e", "Whether infinite.")
isfinite = _function("isfinite", "e", "Whether neither infinite nor not a number.")
likely = _function("likely", "cond", "`cond`, and the hint that it nearly always holds: `select(likely(c), a, b)`.")

undef = Undef()


def select(condition: Any, value: Any, *rest: Any) -> Any:
    """`value` where `condition` holds, else what follows: `select(c0, v0, c1, v1, ..., otherwise)`; first true wins.

    Both sides may be evaluated; an access that the condition bounds is required only where it holds. Tuples of values
    are selected element by element.

    >>> import halo
    >>> x = halo.Var("x")
    >>> halo.select(x < 0, 0, x > 9, 9, x)
    select(x < 0, 0, select(x > 9, 9, x))
    """
    if len(rest) % 2 == 0:
        raise ArgumentError("halo.select takes conditions and values in pairs, then one value more", loc=here())
    otherwise = rest[0] if len(rest) == 1 else select(*rest)
    if isinstance(value, tuple) or isinstance(otherwise, tuple):
        if not (isinstance(value, tuple) and isinstance(otherwise, tuple) and len(value) == len(otherwise)):
            raise DefinitionError("both sides of a select are tuples of one length, or both are values", loc=here())
        return tuple(select(condition, a, b) for a, b in zip(value, otherwise, strict=True))
    return Call("select", (as_expr(condition), as_expr(value), as_expr(otherwise)))


def saturate(type: Any, e: Any) -> Expr:
    """`e` clamped to the range of `type`, then converted to it."""
    return Call("saturate", (as_expr(e),), as_type(type))


def reinterpret(type: Any, e: Any) -> Expr:
    """The bits of `e` read as `type`, which has the same width."""
    return Call("reinterpret", (as_expr(e),), as_type(type))


def extract_bits(type: Any, e: Any, lsb: Any) -> Expr:
    """The bits of `e` from bit `lsb` on as a `type`; bits beyond the width are 0."""
    return Call("extract_bits", (as_expr(e), as_expr(lsb)), as_type(type))


def concat_bits(*parts: Any) -> Expr:
    """The bits of 1, 2, 4 or 8 values of one type side by side, the first lowest, as an unsigned integer."""
    if len(parts) == 1 and isinstance(parts[0], (list, tuple)):
        parts = tuple(parts[0])
    return Call("concat_bits", tuple(as_expr(e) for e in parts))


def random_f32(*seed: Any) -> Expr:
    """A random f32 in [0, 1), the same at one point under every schedule; equal seeds give equal streams."""
    return Call("random_f32", tuple(as_expr(s) for s in seed))


def random_i32(*seed: Any) -> Expr:
    """A random i32 of full range; see `random_f32`."""
    return Call("random_i32", tuple(as_expr(s) for s in seed))


def random_u32(*seed: Any) -> Expr:
    """A random u32 of full range; see `random_f32`."""
    return Call("random_u32", tuple(as_expr(s) for s in seed))


def require(condition: Any, value: Any, *message: Any) -> Expr:
    """`value`; where `condition` does not hold, the call stops with an error that shows `message`."""
    return _message("require", (condition, value), message)


def debug_print(value: Any, *message: Any) -> Expr:
    """`value`; prints it and `message` (texts and expressions) each time it is computed."""
    return _message("print", (value,), message)


def _message(op: str, args: tuple[Any, ...], message: tuple[Any, ...]) -> Expr:
    """A Call whose data are the message's pieces: texts, and None for each expression among the arguments."""
    shown = tuple(as_expr(m) for m in message if not isinstance(m, str))
    return Call(op, tuple(as_expr(a) for a in args) + shown, tuple(m if isinstance(m, str) else None for m in message))


def scatter(*values: Any) -> Expr:
    """Several places (as a subscript that is assigned to) or several values at once: all are read before any is stored.

    `f[halo.scatter(3, 5)] = f[halo.gather(5, 3)]` swaps two elements.
    """
    return Call("scatter", tuple(as_expr(v) for v in values))


def gather(*values: Any) -> Expr:
    """The values for the places of a `halo.scatter`, in its order."""
    return Call("gather", tuple(as_expr(v) for v in values))


def vars(names: str) -> tuple[IndexVar, ...]:
    """Index variables: `y, x = halo.vars("y x")`."""
    if not isinstance(names, str):
        raise ArgumentError(f"halo.vars takes names in a text, not {names!r:.80}", loc=here(), hint='halo.vars("y x")')
    return tuple(IndexVar(n) for n in names.replace(",", " ").split())


def range(start: Any, stop: Any = None) -> tuple[Any, Any]:
    """An axis of `halo.rdom` from `start` up to before `stop`, which may be expressions."""
    if stop is None:
        return 0, start
    whole = isinstance(start, int) and isinstance(stop, int)
    return start, stop - start if whole else as_expr(stop) - as_expr(start)


def rdom(*axes: Any, names: Any = None, ndim: int | None = None) -> RDom:
    """A reduction domain, first axis outermost. An axis is a length, a `range(a, b)`, a pair `(lo, n)`, or an array
    input (all of its axes). `names` are the variables', `"ky kx"`; `ndim` is the number of them where it is not known.

    >>> import halo
    >>> ky, kx = halo.rdom(3, 3, names="ky kx")
    """
    spans: list[tuple[Expr, Expr]] = []
    for axis in axes:
        if isinstance(axis, Indexable):
            rank = axis.ndim if axis.ndim is not None or ndim is None else ndim - len(axes) + 1
            if rank is None:
                raise DefinitionError(f"the rank of {axis.name} is not known here", loc=here(),
                                      hint=f"halo.Input({axis.name!r}, ndim=2)")  # fmt: skip
            spans += [(Literal(0), Extent(axis, d)) for d in builtins.range(rank)]
        elif isinstance(axis, np.ndarray):
            spans += [(Literal(0), Literal(n)) for n in axis.shape]
        elif isinstance(axis, builtins.range):
            if axis.step != 1:
                raise DefinitionError(
                    "a domain's range has step 1", loc=here(), hint="halo.rdom(n) and 2*r in the body"
                )
            spans.append((Literal(axis.start), Literal(len(axis))))
        elif isinstance(axis, tuple):
            if len(axis) != 2:
                raise DefinitionError("a domain's axis is a pair (lo, n), a length n or a range(a, b)", loc=here())
            spans.append((as_expr(axis[0]), as_expr(axis[1])))
        else:
            spans.append((Literal(0), as_expr(axis)))
    return RDom(tuple(spans), _names(names, len(spans)))


def _names(names: Any, n: int) -> tuple[str, ...]:
    if names is None:
        return ("r",) if n == 1 else tuple(f"r{k}" for k in builtins.range(n))
    listed = tuple(names.replace(",", " ").split() if isinstance(names, str) else names)
    if len(listed) != n or len(set(listed)) != n:
        raise DefinitionError(f"a domain of {n} axes has {n} different names, not {' '.join(listed)!r}", loc=here())
    return listed


def pad(target: Any, mode: str, value: Any = 0, bounds: Any = None) -> Pad:
    """An unbounded view of an array, `Input` or Func, in a definition or as an argument of a call.

    `mode` is NumPy's: edge, constant (with `value`), reflect, symmetric or wrap. `bounds`: a pair (lo, n) an axis, None
    leaves an axis as it is; a Func needs them, an array has its own.
    """
    if not isinstance(mode, str) or mode not in PAD_MODES:
        raise DefinitionError(f"pad has no mode {mode!r}", loc=here(), legal=PAD_MODES)
    view = target if isinstance(target, Indexable) else Table(target, "array")
    pairs = None if bounds is None else tuple(b if b is None else (as_expr(b[0]), as_expr(b[1])) for b in bounds)
    if pairs is not None and view.ndim is not None and len(pairs) != view.ndim:
        raise DefinitionError(f"pad of {view.name} needs bounds of {view.ndim} axes, not {len(pairs)}", loc=here())
    return Pad(view, mode, value, pairs)


def reduce(op: str, values: tuple[Any, ...], over: RDom, where: Any = None, start: Any = None) -> Any:
    """`values` folded by `op` over `over`; argmin and argmax give the tuple (coordinates..., value)."""
    if not isinstance(over, RDom):
        raise DefinitionError(f"halo.{op} reduces over a domain, not over {over!r:.80}", loc=here(),
                              hint=f"halo.{op}(e, halo.rdom(n))")  # fmt: skip
    conditions = [c for c in (over.condition(), where) if c is not None]
    pred = _fold("all", "land", tuple(conditions)) if conditions else None
    node = Reduction(op, tuple(as_expr(v) for v in values), over, pred, None if start is None else as_expr(start))
    return tuple(Item(node, k) for k in builtins.range(len(over) + 1)) if op.startswith("arg") else node


def sum(e: Any, over: RDom | None = None, start: Any = None) -> Any:
    """The sum of `e` over the domain `over`, in the type of `e` (or of `start`); or of a list of values."""
    if over is None:
        values = [as_expr(v) for v in _values("sum", e)]
        return builtins.sum(values[1:], values[0]) if values else Literal(0)
    return reduce("sum", (e,), over, start=start)


def prod(e: Any, over: RDom, start: Any = None) -> Any:
    """The product of `e` over the domain `over`."""
    return reduce("prod", (e,), over, start=start)


def mean(e: Any, over: RDom) -> Any:
    """The mean of `e` over the domain `over`, accumulated in f32 or f64."""
    return reduce("mean", (e,), over)


def any(*args: Any) -> Any:
    """Whether one of the values is true: `any(a, b)`, or `any(e, r)` over a domain."""
    return _fold("any", "lor", args)


def all(*args: Any) -> Any:
    """Whether every value is true: `all(a, b)`, or `all(e, r)` over a domain."""
    return _fold("all", "land", args)


def min(*args: Any) -> Any:
    """The least of the values (NaN if one is): `min(a, b)`, or `min(e, r)` over a domain."""
    return _fold("min", "min", args)


def max(*args: Any) -> Any:
    """The greatest of the values (NaN if one is): `max(a, b)`, or `max(e, r)` over a domain."""
    return _fold("max", "max", args)


def argmin(e: Any, over: RDom) -> Any:
    """`(coordinates..., value)` of the first least `e` over the domain `over`."""
    return reduce("argmin", (e,), over)


def argmax(e: Any, over: RDom) -> Any:
    """`(coordinates..., value)` of the first greatest `e` over the domain `over`."""
    return reduce("argmax", (e,), over)


def _values(reduction: str, values: Any) -> Any:
    if not hasattr(values, "__iter__") or isinstance(values, np.ndarray):
        raise ArgumentError(f"halo.{reduction} takes values, a list of them, or a value and a domain", loc=here())
    return values


def _fold(reduction: str, op: str, args: tuple[Any, ...]) -> Any:
    if len(args) == 2 and isinstance(args[1], RDom):
        return reduce(reduction, args[:1], args[1])
    if len(args) == 1 and not isinstance(args[0], Expr):
        args = tuple(_values(reduction, args[0]))
    if not args:
        raise ArgumentError(f"halo.{reduction}() needs a value", loc=here())
    total = as_expr(args[0])
    for a in args[1:]:
        total = Call(op, (total, as_expr(a)))
    return total
