"""Calls: of constants by Python itself, of the vocabulary, of reductions, of helpers that are inlined."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from ..errors import DefinitionError, HaloError
from ..ir import functions, surface_walk
from ..ir.surface import Call, Expr, Extent, Function, Indexable, Input, as_expr
from . import loops
from .scope import touches_halo
from .values import Closure, Generator, Span, Undecided, and_, boolean, elements, is_constant, or_
from .vocabulary import REDUCTIONS, is_halo, is_njit, meaning, unknown

if TYPE_CHECKING:
    from .translate import Frame

__all__ = ["call"]

MOST_DEPTH = 60  # of helpers that call helpers

_LAZY = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def call(frame: Frame, node: ast.Call) -> Any:
    fn = frame.eval(node.func)
    wanted, frame.wanted = frame.wanted, None
    args = [a for e in node.args for a in _argument(frame, e)]
    kwargs: dict[str, Any] = {}
    for k in node.keywords:
        kwargs |= {k.arg: frame.eval(k.value)} if k.arg is not None else frame.python(node, dict, frame.eval(k.value))
    frame.wanted = wanted
    return apply(frame, node, fn, args, kwargs)


def _argument(frame: Frame, node: ast.expr) -> list[Any]:
    if isinstance(node, ast.Starred):
        return loops.iterated(frame, node.value, frame.eval(node.value))
    return [frame.eval(node)]


def apply(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """`fn(*args, **kwargs)`."""
    special = _SPECIAL.get(fn) if getattr(type(fn), "__hash__", None) else None
    if special is not None:
        return special(frame, node, fn, args, kwargs)
    if isinstance(fn, functools.partial):
        return apply(frame, node, fn.func, [*fn.args, *args], {**fn.keywords, **kwargs})
    if isinstance(fn, Closure):
        return _closure(frame, node, fn, args, kwargs)
    if isinstance(fn, Function):
        return _bound(frame, node, fn, args, kwargs)
    if getattr(fn, "takes_array", False):
        return _of_array(frame, node, fn, args, kwargs)
    if is_halo(fn):
        return frame.python(node, fn, *(frame.resolved(a, node) for a in args), **_resolved(frame, node, kwargs))
    if isinstance(fn, MethodType) and isinstance(fn.__func__, FunctionType):
        fn, args = fn.__func__, [fn.__self__, *args]
    if isinstance(fn, FunctionType):
        return _helper(frame, node, fn, args, kwargs)
    args, kwargs = [frame.resolved(a, node) for a in args], _resolved(frame, node, kwargs)
    if is_njit(fn):
        return _njit(frame, node, fn, args, kwargs)
    if not callable(fn):
        raise frame.fail(node, f"{ast.unparse(getattr(node, 'func', node))} is not a function")
    if is_constant(args) and is_constant(kwargs) and fn not in _SIDE_EFFECTS:
        return frame.python(node, fn, *args, **kwargs)
    word = meaning(fn)
    if word is None:
        raise unknown(fn)
    made = frame.python(node, word, *args, **kwargs)
    return tuple(loops.iterated(frame, node, made)) if isinstance(made, Iterator) else made


def _resolved(frame: Frame, node: ast.AST, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: frame.resolved(v, node) for name, v in kwargs.items()}


_SIDE_EFFECTS = frozenset({print, input, open, exec, eval, globals, locals, vars, setattr, delattr})


def _closure(frame: Frame, node: ast.AST, fn: Closure, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """A call of a lambda written in the definition."""
    inner, parameters = fn.frame.child(), fn.node.args
    names = [a.arg for a in (*parameters.posonlyargs, *parameters.args)]
    defaults = dict(zip(reversed(names), reversed(parameters.defaults), strict=False))
    bound = {**dict(zip(names, args, strict=False)), **kwargs}
    missing = [n for n in names if n not in bound]
    plain = not (parameters.vararg or parameters.kwarg or parameters.kwonlyargs)
    if not plain or len(args) > len(names) or any(n not in defaults for n in missing) or set(kwargs) - set(names):
        raise frame.fail(node, "the arguments do not fit the lambda's parameters", "def a helper function outside")
    inner.env |= {n: fn.frame.eval(defaults[n]) for n in missing} | bound
    return inner.eval(fn.node.body)


def _helper(frame: Frame, node: ast.AST, fn: FunctionType, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """A call of a plain Python function: by Python if all is constant, else its body is translated in place."""
    word = meaning(fn)
    if word is not None:
        return frame.python(node, word, *(frame.resolved(a, node) for a in args), **_resolved(frame, node, kwargs))
    scope = frame.scope.of(fn)
    if is_constant(args) and is_constant(kwargs) and not touches_halo(fn, frame.scope):
        value = frame.python(node, frame.scope.frozen(fn), *args, **kwargs)
        if is_constant(value):
            return value
    if fn.__code__.co_flags & _LAZY:
        raise frame.fail(node, f"{fn.__name__} is a generator or a coroutine", "return a tuple of values")
    if frame.depth >= MOST_DEPTH:
        raise frame.fail(node, f"{fn.__name__} calls itself without end: what stops it is not a constant")
    bound = frame.python(node, inspect.signature(fn).bind, *args, **kwargs)
    bound.apply_defaults()
    try:
        inner = frame.inlined(frame.t.source_of(fn), scope, dict(bound.arguments))
        flow = inner.run(inner.source.body)
        if flow.when is not True:
            raise inner.fail(inner.source.node, f"{fn.__name__} returns nothing on some path",
                             "end with a return, or give every if an else")  # fmt: skip
    except HaloError as e:
        e.related += ((frame.source.loc(node), f"{fn.__name__} is inlined here"),)
        raise
    return flow.value


def _njit(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """A call of a `numba.njit` function, which keeps Numba's own types: `frontend.typing` looks into it."""
    if is_constant(args) and is_constant(kwargs):
        return frame.python(node, fn.py_func, *args, **kwargs)
    bound = frame.python(node, inspect.signature(fn.py_func).bind, *args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise frame.fail(node, f"{fn.__name__} has keyword-only parameters", "positional ones")
    return Call("call", tuple(as_expr(a) for a in bound.args), fn)


def _bound(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """`blur(img=e)`: a new Func in which `e` stands in an input's place, which says what a parameter given for it is."""
    wanted = frame.python(node, lambda: dict(fn.inputs))
    given = dict(zip(wanted, args, strict=False)) | kwargs
    for name, value in given.items():
        like, loc = wanted.get(name), frame.source.loc(node)
        if isinstance(value, Undecided) and isinstance(like, Input):
            value = given[name] = frame.t.inputs.array(value, loc)
        inner = surface_walk.base(value) if isinstance(value, Indexable) else None
        if isinstance(inner, Input) and isinstance(like, Input) and like.ndim is not None:
            frame.t.inputs.rank(inner, like.ndim, loc)
    if len(args) > len(wanted):
        raise frame.fail(node, f"{fn.name} has {len(wanted)} inputs and is given {len(args)} arguments")
    return frame.python(node, fn, **_resolved(frame, node, given))


Special = Callable[[Any, ast.AST, Any, list[Any], dict[str, Any]], Any]


def _reduce(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """`sum`, `min`, `any`, ...: over an rdom, over constants, or of several values."""
    op = REDUCTIONS[fn]
    args = [frame.resolved(a, node) for a in args]
    if args and isinstance(args[0], Generator):
        start = kwargs.get("start", args[1] if len(args) > 1 else None)
        folded = loops.reduction(op, args[0], start)
        if folded is not None:
            if len(args) > 2 or set(kwargs) - {"start"} or (start is not None and op not in ("sum", "prod")):
                raise frame.fail(node, f"{op} over an rdom takes the generator" + _START.get(op, " alone"))
            return folded
        args[0] = list(args[0])
    if is_halo(fn):
        return frame.python(node, fn, *args, **_resolved(frame, node, kwargs))
    if is_constant(args) and is_constant(kwargs):
        return frame.python(node, fn, *args, **kwargs)
    if "key" in kwargs:
        raise frame.fail(node, f"{op} of expressions takes no key", "halo.argmin or halo.argmax")
    return frame.python(node, _FOLD[op], frame, node, args, **kwargs)


_START = {"sum": " and a start value", "prod": " and a start value"}


def _sum(frame: Frame, node: ast.AST, args: list[Any], start: Any = 0) -> Any:
    values, *rest = args
    values = loops.iterated(frame, node, values)
    start = rest[0] if rest else start
    if values and isinstance(start, int) and start == 0:
        start, *values = values
    for v in values:
        start = start + frame.resolved(v, node)
    return start


def _product(frame: Frame, node: ast.AST, args: list[Any], start: Any = 1) -> Any:
    values = loops.iterated(frame, node, args[0])
    for v in values:
        start = v if isinstance(start, int) and start == 1 else start * v
    return start


def _extreme(op: str) -> Callable[..., Any]:
    def fold(frame: Frame, node: ast.AST, args: list[Any]) -> Any:
        values = loops.iterated(frame, node, args[0]) if len(args) == 1 else args
        if not values:
            raise DefinitionError(f"{op}() of no values")
        whole = as_expr(values[0])
        for v in values[1:]:
            whole = Call(op, (whole, as_expr(v)))
        return whole

    return fold


def _quantified(combine: Callable[[Any, Any], Any], empty: bool) -> Callable[..., Any]:
    def fold(frame: Frame, node: ast.AST, args: list[Any]) -> Any:
        whole: Any = empty
        for v in loops.iterated(frame, node, args[0]):
            whole = combine(whole, boolean(v) if isinstance(v, Expr) else bool(v))
        return whole

    return fold


_FOLD: dict[str, Callable[..., Any]] = {
    "sum": _sum, "prod": _product, "min": _extreme("min"), "max": _extreme("max"), "any": _quantified(or_, False),
    "all": _quantified(and_, True),
}  # fmt: skip


def _range(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    args = [frame.resolved(a, node) for a in args]
    if is_constant(args):
        return frame.python(node, range, *args, **kwargs)
    if len(args) > 2 or kwargs:
        raise frame.fail(node, "a range with a step has constant bounds", "halo.rdom(n) and 2*r in the body")
    return Span(frame.python(node, functions.range, *args))


def _domain(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return frame.python(node, loops.domain, frame, node, *args, **kwargs)


def _of_array(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if args and isinstance(args[0], Undecided):
        args = [frame.t.inputs.array(args[0], frame.source.loc(node)), *args[1:]]
    return frame.python(node, fn, *(frame.resolved(a, node) for a in args), **_resolved(frame, node, kwargs))


def _len(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if len(args) == 1 and isinstance(args[0], Undecided):
        args = [frame.t.inputs.array(args[0], frame.source.loc(node))]
    if len(args) == 1 and isinstance(args[0], Indexable):
        return Extent(args[0], 0)
    return frame.python(node, len, *map(elements, args), **kwargs)


def _map(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    columns = [loops.iterated(frame, node, a) for a in args[1:]]
    return tuple(apply(frame, node, args[0], list(row), {}) for row in zip(*columns, strict=False))


def _filter(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    kept = [
        (v, v if args[0] is None else apply(frame, node, args[0], [v], {}))
        for v in loops.iterated(frame, node, args[1])
    ]
    if not all(is_constant(k) for _, k in kept):
        raise frame.fail(node, "filter needs constant conditions", "`e if cond else 0`, or an `if` over halo.rdom")
    return tuple(v for v, k in kept if k)


def _accumulate(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    values = [*args[2:3], *loops.iterated(frame, node, args[1])]
    if not values:
        raise frame.fail(node, "reduce() of no values")
    whole = values[0]
    for v in values[1:]:
        whole = apply(frame, node, args[0], [whole, v], {})
    return whole


def _kind(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return frame.python(node, isinstance, *args)


def _forbidden(name: str) -> Special:
    def refuse(frame: Frame, node: ast.AST, fn: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        raise frame.fail(node, f"{name} has no meaning in a definition", _FORBIDDEN[name])

    return refuse


_FORBIDDEN = {"print": "halo.debug_print(value, ...)", "super": "a plain function", "breakpoint": "halo.debug_print"}

_SPECIAL: dict[Any, Special] = {
    **dict.fromkeys(REDUCTIONS, _reduce), range: _range, functions.rdom: _domain, functions.pad: _of_array, len: _len,
    map: _map, filter: _filter, functools.reduce: _accumulate, isinstance: _kind,
    **{getattr(builtins, name): _forbidden(name) for name in _FORBIDDEN},
}  # fmt: skip
