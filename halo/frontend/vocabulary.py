"""What a Python callable means in the language.

Constants never come here: a call of a known function on constants is made by Python itself at capture. On expressions,

* `operator` and NumPy's ufuncs are called as they are: the operators of `Expr` make the surface nodes;
* `math`, `builtins` and NumPy's other functions go by the table `WORDS` to the function of `ir.functions` (an op name);
* NumPy's scalar types and `bool` convert;
* functions on containers (`zip`, `len`, `tuple`, ...) run on tuples of expressions as on any other.
"""

from __future__ import annotations

import builtins
import functools
import itertools
import math
import operator
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..errors import DefinitionError
from ..ir import functions
from ..ir.surface import Expr, as_expr, convert
from ..types import as_type, bool_

__all__ = ["CONTAINERS", "REDUCTIONS", "WORDS", "is_halo", "is_njit", "meaning", "unknown"]

_SAME = """acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf exp exp2 expm1 floor fma hypot
           isfinite isinf isnan log10 log1p log2 pow sin sinh sqrt tan tanh trunc"""

REDUCTIONS: dict[Any, str] = {
    builtins.sum: "sum", builtins.min: "min", builtins.max: "max", builtins.any: "any", builtins.all: "all",
    math.prod: "prod", **{getattr(functions, name): name for name in functions.REDUCTIONS},
}  # fmt: skip

CONTAINERS: frozenset[Any] = frozenset({
    dict, enumerate, functools.partial, isinstance, itertools.accumulate, itertools.chain, itertools.combinations,
    itertools.permutations, itertools.product, itertools.zip_longest,
    itertools.islice, list, operator.attrgetter, operator.itemgetter, reversed, tuple, zip,
})  # fmt: skip
"""What runs on tuples, lists and dicts of expressions without looking at their elements."""


def _log(e: Any, base: Any = None) -> Any:
    return functions.log(e) if base is None else functions.log(e) / functions.log(base)


def _round(e: Any, digits: Any = None) -> Any:
    if digits:
        raise DefinitionError("round() of an expression takes no digits", hint="halo.round(10*e)/10")
    return functions.round(e)


def _rounded(e: Any, decimals: Any = 0) -> Any:
    return _round(e, decimals)


def _clip(a: Any, a_min: Any = None, a_max: Any = None) -> Any:
    """numpy.clip; a limit of None is no limit."""
    low = as_expr(a) if a_min is None else functions.max(a, a_min)
    return low if a_max is None else functions.min(low, a_max)


def _scaled(factor: float) -> Callable[[Any], Any]:
    return lambda e: as_expr(e) * factor


def _square(e: Any) -> Any:
    return as_expr(e) * as_expr(e)


def _ambiguous(name: str, types: str) -> Callable[..., Expr]:
    def refuse(*args: Any) -> Expr:
        raise DefinitionError(f"{name}() of an expression does not say how wide", hint=types)

    return refuse


WORDS: dict[Any, Callable[..., Any]] = {
    **{getattr(math, n): getattr(functions, n) for n in _SAME.split() if hasattr(math, n)},
    math.log: _log, math.fabs: functions.abs,
    math.degrees: _scaled(180 / math.pi), math.radians: _scaled(math.pi / 180),
    builtins.abs: functions.abs, builtins.round: _round, builtins.pow: functions.pow, builtins.divmod: builtins.divmod,
    builtins.bool: lambda e: convert(bool_, e),
    builtins.int: _ambiguous("int", "halo.i32(e), halo.i64(e)"),
    builtins.float: _ambiguous("float", "halo.f32(e), halo.f64(e)"),
    np.where: functions.select, np.clip: _clip, np.round: _rounded, np.around: _rounded, np.fix: functions.trunc,
    np.square: _square,
    **{getattr(np, n): _scaled(180 / math.pi) for n in ("degrees", "rad2deg")},
    **{getattr(np, n): _scaled(math.pi / 180) for n in ("radians", "deg2rad")},
}  # fmt: skip
"""Python callable -> the function that makes its expression."""

_INSTEAD = {
    builtins.print: "halo.debug_print(value, ...)", builtins.sorted: "halo.sort, or min and max of the elements",
    builtins.input: "a keyword-only parameter", builtins.open: "read the file outside and use the array",
    math.fmod: "`a % b` (floored)", math.fsum: "sum(...)", math.gamma: "a polynomial",
    np.sum: "sum(... for r in halo.rdom(...))", np.mean: "halo.mean(... for r in halo.rdom(...))",
    np.dot: "sum(a[k]*b[k] for k in halo.rdom(n))", np.pad: "halo.pad(img, mode)",
    np.max: "max(... for r in halo.rdom(...))", np.min: "min(... for r in halo.rdom(...))",
    np.roll: "an index: img[y, x - 1]",
}  # fmt: skip


def meaning(fn: Any) -> Callable[..., Any] | None:
    """The function that carries out `fn` on expressions, or None."""
    if isinstance(fn, np.ufunc):
        return WORDS.get(fn, fn)
    if isinstance(fn, type) and issubclass(fn, np.generic):
        type_ = as_type(fn)
        return lambda e: as_expr(e).astype(type_)
    try:
        found = WORDS.get(fn)
        if found is None and (fn in CONTAINERS or getattr(operator, getattr(fn, "__name__", ""), None) is fn):
            return fn  # type: ignore[no-any-return]  # whatever the user named
    except TypeError:  # not hashable
        return None
    return found


def is_halo(fn: Any) -> bool:
    """Whether `fn` is halo's own: a function, a type, a Func, or a method of one of its objects."""
    owner = getattr(fn, "__self__", None)
    homes = (getattr(fn, "__module__", None), type(fn).__module__, type(owner).__module__)
    return any(isinstance(m, str) and m.split(".")[0] == "halo" for m in homes)


def is_njit(fn: Any) -> bool:
    """Whether `fn` is a function decorated with `numba.njit` (numba is not imported to find out)."""
    return type(fn).__module__.startswith("numba.") and hasattr(fn, "py_func")


def unknown(fn: Any) -> DefinitionError:
    """The error for a callable that has no meaning on expressions."""
    name = getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None) or type(fn).__name__
    module = getattr(fn, "__module__", None) or ("numpy" if isinstance(fn, np.ufunc) else None)
    full = name if module in (None, "builtins") else f"{module}.{name}"
    try:
        hint = _INSTEAD.get(fn, "")
    except TypeError:
        hint = ""
    near = get_close_matches(name.split(".")[-1], functions.__all__, n=3)
    message = f"{full} has no meaning on expressions"
    return DefinitionError(message, legal=tuple(f"halo.{n}" for n in near), hint=hint)
