"""`@halo.graph.function`: a program captured from Python's syntax tree, statement by statement.

Expressions are Python's own, over graph expressions. An `if`, a `while` or a `for` over a tensor that only a call knows
becomes an If or a Loop; over anything else it is carried out here, so that it leaves no trace in the program.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any

import numpy as np

from halo import nn
from halo.errors import ArgumentError, DefinitionError, here
from halo.frontend.source import Source, load
from halo.ir.shapes import Dim, DimExpr
from halo.nn import TensorType
from halo.nn.selection import extents_by
from halo.nn.tensor import array_of, type_of

from .arithmetic import applied
from .control import if_, loop
from .ir import Constant, Expr, Function, Tuple, Var, constant
from .lets import bound_by
from .module import Module
from .shape_arithmetic import shape_vector
from .symbolic import inlined

__all__ = ["Captured", "function"]

Env = dict[str, Any]
_NUMBERS = (Expr, np.ndarray, np.generic, bool, int, float)
_tracing: ContextVar[_Tracer | None] = ContextVar("tracing", default=None)


def function(f: FunctionType) -> Captured:
    """Capture a Python function as a graph program.

    Called with arrays it computes, compiled once for their types; with graph expressions it becomes part of the program
    that it is called in; `module(...)` is the program. `if`, `while`, `for i in range(n)` and `for row in x` on tensors
    become If and Loop, as do `and`, `or`, `not` and `a if c else b`; subscripts are those of arrays, and `x.shape` is known.
    Raises DefinitionError for what has no such meaning: a `break` in a loop on tensors, say.

    >>> import numpy as np
    >>> from halo import graph, nn
    >>> @graph.function
    ... def halved(x):
    ...     while nn.max(x) > 1:
    ...         x = x * 0.5
    ...     return x
    >>> halved(np.array([1, 5], np.float32))
    array([0.125, 0.625], dtype=float32)
    """
    if not isinstance(f, FunctionType):
        raise DefinitionError(f"halo.graph.function decorates Python functions, not {type(f).__name__}", loc=here())
    return Captured(f)


class Captured:
    """A function that `function` captures."""

    def __init__(self, f: FunctionType) -> None:
        functools.update_wrapper(self, f)
        self._f, self._source = f, None
        self.signature = inspect.signature(f)
        self._nets: dict[Any, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = self._bound(args, kwargs)
        if any(isinstance(a, Expr) for a in given.values()):
            return self._traced(given)
        arrays = {name: array_of(a, name) for name, a in given.items()}
        key = tuple((a.dtype, a.shape) for a in arrays.values())
        if key not in self._nets:
            self._nets[key] = self.module(**arrays).compile()
        return self._nets[key](**arrays)

    def module(self, *args: Any, **kwargs: Any) -> Module:
        """The program for inputs of these types: each a TensorType, or an array or number that is of it.

        >>> from halo import f32, graph, nn
        >>> @graph.function
        ... def f(x, y):
        ...     return nn.relu(x) + 2 * y
        >>> print(f.module(nn.TensorType((3,), f32), nn.TensorType(("n", 3), f32)))
        def main(%x: f32[3], %y: f32[n, 3]) -> f32[n, 3] {
          %0 = relu(%x);
          %1 = multiply(@c, %y);
          %2 = add(%0, %1);
          %2
        }
        """
        given = self._bound(args, kwargs)
        params = {name: Var(name, _type(a)) for name, a in given.items()}
        found = self._traced(params)
        results = found if isinstance(found, tuple) else (found,)
        body = constant(found) if not isinstance(found, tuple) else Tuple(tuple(map(constant, results)))
        return Module({"main": Function(tuple(params.values()), body)})

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Env:
        try:
            found = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{self._f.__name__}: {error}", loc=here()) from error
        found.apply_defaults()
        return dict(found.arguments)

    def _traced(self, given: Env) -> Any:
        found = inspect.getclosurevars(self._f)
        env = {**self._f.__globals__, **found.nonlocals, **given}
        try:
            return _Tracer(load(self._f)).run(env)
        except RecursionError:
            raise DefinitionError(
                f"{self._f.__name__} calls itself again and again", loc=here(), hint="a while"
            ) from None


def _type(a: Any) -> TensorType:
    if isinstance(a, TensorType):
        from halo.ir.shapes import as_extents

        return TensorType(as_extents(a.shape) or (), a.dtype)
    return type_of(a)


class _Leaves(Exception):
    """A loop that is carried out here ends, or goes on."""

    def __init__(self, ends: bool) -> None:
        self.ends = ends


class _Returned(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class _Tracer:
    """Carries out one function. `inside`: how many loops on tensors it is in."""

    def __init__(self, source: Source) -> None:
        self.source, self.inside = source, 0
        caller = _tracing.get()
        self.counter: Iterator[int] = itertools.count() if caller is None else caller.counter
        self.lets: dict[str, tuple[Dim, Expr]] = {}

    def run(self, env: Env) -> Any:
        token = _tracing.set(self)
        try:
            with extents_by(self.extent):
                self.block(self.source.body, env)
        except _Returned as found:
            if isinstance(found.value, Expr):
                return bound_by(self.lets, (found.value,))[0]
            several = isinstance(found.value, (tuple, list))
            return bound_by(self.lets, tuple(map(constant, found.value))) if several else found.value
        finally:
            _tracing.reset(token)
        raise self.wrong(self.source.node, "the function returns nothing")

    def extent(self, count: Expr) -> Dim:
        """What stands for an i64[] in types."""
        dim = Dim(self.named("count"))
        self.lets[dim.name] = dim, nn.reshape(nn.cast(count, dtype="i64"), shape=())
        return dim

    @contextmanager
    def scope(self) -> Iterator[dict[str, tuple[Dim, Expr]]]:
        """A body, which binds the extents that are counted in it."""
        outside, self.lets = self.lets, {}
        try:
            yield self.lets
        finally:
            self.lets = outside

    def wrong(self, node: ast.AST, why: str, hint: str = "") -> DefinitionError:
        return DefinitionError(why, loc=self.source.loc(node), hint=hint)

    # Statements ------------------------------------------------------------------------------------------------------

    def block(self, statements: Sequence[ast.stmt], env: Env) -> None:
        todo = list(statements)
        while todo:
            s = todo.pop(0)
            match s:
                case ast.If():
                    test = self.test(s.test, env)
                    if not isinstance(test, Expr):
                        todo = [*(s.body if test else s.orelse), *todo]
                    elif any(
                        isinstance(x, ast.Return) for part in (s.body, s.orelse) for y in part for x in ast.walk(y)
                    ):
                        raise _Returned(self.either(s, test, todo, env))
                    else:
                        self.branch(s, test, env)
                case ast.While():
                    self.while_(s, env)
                case ast.For():
                    self.for_(s, env)
                case ast.Return():
                    if self.inside:
                        raise self.wrong(s, "a loop on tensors does not return", "assign, and return behind it")
                    raise _Returned(None if s.value is None else self.value(s.value, env))
                case ast.Break() | ast.Continue():
                    raise _Leaves(isinstance(s, ast.Break))
                case _:
                    self.execute(s, env)

    def branch(self, s: ast.If, test: Expr, env: Env) -> None:
        """Names that a branch assigns are what its values are called after it."""
        read = [n for n in _read(s) if isinstance(env.get(n), Expr)]
        own = tuple(Var(n, env[n].type) for n in read)
        ends = [{**env, **dict(zip(read, own, strict=True))} for _ in (s.body, s.orelse)]
        counted = []
        for body, inner in zip((s.body, s.orelse), ends, strict=True):
            try:
                with self.scope() as lets:
                    self.block(body, inner)
            except _Leaves as leaves:
                raise self.wrong(s, "whether a loop ends here, only a call knows",
                                 "put it into the condition of a while") from leaves  # fmt: skip
            counted.append(lets)
        names = []
        for n in _assigned([*s.body, *s.orelse]):
            a, b = (inner.get(n, _MISSING) for inner in ends)
            env.pop(n, None) if n not in read else None
            if a is b and not isinstance(a, Expr):
                env |= {} if a is _MISSING else {n: a}
            elif isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS):
                names.append(n)
            elif a is not _MISSING and b is not _MISSING:
                raise self.wrong(s, f"{n} is no tensor, and differs between the branches")
        values = (tuple(constant(inner[n]) for n in names) for inner in ends)
        results = [Tuple(bound_by(lets, v)) for lets, v in zip(counted, values, strict=True)]
        then, otherwise = (functools.partial(_over, Function(own, r)) for r in results)
        env |= zip(names, if_(test, [env[n] for n in read], then, otherwise, self.named("if")), strict=True)

    def either(self, s: ast.If, test: Expr, rest: list[ast.stmt], env: Env) -> Any:
        """What the function returns, where a branch of `s` does; `rest` is what follows."""
        if self.inside:
            raise self.wrong(s, "a loop on tensors does not return", "assign, and return behind it")
        several: list[bool] = []

        def taken(body: list[ast.stmt]) -> Callable[..., Any]:
            def build(*own: Expr) -> tuple[Expr, ...]:
                try:
                    with self.scope() as lets:
                        self.block([*body, *rest], {**env, **dict(zip(read, own, strict=True))})
                except _Returned as found:
                    several.append(isinstance(found.value, (tuple, list)))
                    return bound_by(lets, tuple(map(constant, found.value if several[-1] else (found.value,))))
                raise self.wrong(s, "one branch returns a value, and the other one nothing")

            return build

        names = dict.fromkeys((*_read(s), *(n for x in rest for n in _read(x))))
        read = [n for n in names if isinstance(env.get(n), Expr)]
        found = if_(test, [env[n] for n in read], taken(s.body), taken(s.orelse), self.named("if"))
        return tuple(found) if any(several) else found[0]

    def while_(self, s: ast.While, env: Env) -> None:
        while True:
            test = self.test(s.test, env)
            if isinstance(test, Expr):
                self.loop(s, None, test, env, {})
                break
            if not test:
                break
            if not self.goes_on(s.body, env):
                return
        self.block(s.orelse, env)

    def for_(self, s: ast.For, env: Env) -> None:
        values = self.iterated(s.iter, env)
        if isinstance(values, Expr):
            rows = values
            self.loop(s, shape_vector((rows.type.shape[0],), ()), None, env, {_ROWS: rows})
        elif isinstance(values, _Range):
            self.loop(s, values.trip, None, env, {_START: values.start, _STEP: constant(values.step)})
        else:
            for value in values:
                env[_ITEM] = value
                self.execute(ast.copy_location(ast.Assign([s.target], _name(_ITEM, s.target)), s.target), env)
                if not self.goes_on(s.body, env):
                    return
        self.block(s.orelse, env)

    def goes_on(self, body: list[ast.stmt], env: Env) -> bool:
        """Carry out an iteration; whether its loop is not left by it."""
        try:
            self.block(body, env)
        except _Leaves as leaves:
            return not leaves.ends
        return True

    def iterated(self, node: ast.expr, env: Env) -> Any:
        """What a `for` goes through: `range` of tensors is one."""
        if isinstance(node, ast.Call) and self.value(node.func, env) is builtins.range and not node.keywords:
            args = [self.value(a, env) for a in node.args]
            if any(isinstance(a, (Expr, DimExpr)) for a in args):
                start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
                if not isinstance(step, int) or step == 0:
                    raise self.wrong(node, "the step of a range of tensors is an integer")
                first, last = (_count(v) for v in (start, stop))
                rounded = last - first + (step - 1 if step > 0 else step + 1)
                return _Range(first, nn.divide(rounded, np.int64(step)), step)
        return self.value(node, env)

    def loop(self, s: ast.While | ast.For, trip: Any, test: Expr | None, env: Env, more: Env) -> None:
        """A loop on tensors: it carries the names that its body assigns and that were there before."""
        for x in (x for y in s.body for x in ast.walk(y) if isinstance(x, (ast.Break, ast.Continue))):
            if not any(x in ast.walk(y) for y in ast.walk(s) if isinstance(y, (ast.For, ast.While)) and y is not s):
                raise self.wrong(
                    x, "whether a loop on tensors ends here, only a call knows", "put it into the condition"
                )
        if isinstance(s, ast.For) and not isinstance(s.target, ast.Name):
            raise self.wrong(s.target, "a loop on tensors counts with one name")
        assigned = _assigned(s.body)
        names = [n for n in assigned if isinstance(env.get(n, _MISSING), _NUMBERS)]
        for n in assigned:
            if n in env and n not in names:
                raise self.wrong(s, f"a loop on tensors carries tensors, and {n} is of type {type(env[n]).__name__}")
        read = [n for n in _read(s) if n not in names and isinstance(env.get(n), Expr)]

        def body(i: Expr, *own: Expr) -> tuple[Expr | None, Sequence[Expr], Sequence[Expr]]:
            inner = {**env, **dict(zip((*names, *read, *more), own, strict=True))}
            if isinstance(s, ast.For):
                target = s.target.id  # type: ignore[attr-defined]  # a Name
                inner[target] = nn.take(inner[_ROWS], i, axis=0) if _ROWS in more else inner[_START] + i * inner[_STEP]
            self.inside += 1
            with self.scope() as lets:
                self.block(s.body, inner)
                test = self.value(s.test, inner) if isinstance(s, ast.While) else False
            self.inside -= 1
            again = test if isinstance(test, Expr) else Constant(np.array(bool(test)))
            again, *values = bound_by(lets, (again, *(constant(inner[n]) for n in names)))
            return again if isinstance(s, ast.While) else None, values, []

        carried = [constant(env[n]) for n in names]
        args = [*(env[n] for n in read), *more.values()]
        found = loop(trip, test, carried, args, body, self.named("for" if isinstance(s, ast.For) else "while"))
        env |= zip(names, found, strict=True)
        for n in assigned:  # it is there only where there was an iteration
            if n not in names:
                env.pop(n, None)

    def named(self, stem: str) -> str:
        return f"{stem}{next(self.counter)}"

    # Python's own ----------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr, env: Env) -> Any:
        tree = ast.Expression(_Words().visit(self.placed(node)))
        return eval(compile(ast.fix_missing_locations(tree), self.source.file, "eval"), self.with_words(env))

    def test(self, node: ast.expr, env: Env) -> Any:
        """A condition: one that is a constant is decided here."""
        found = self.value(node, env)
        return bool(found.data.item()) if isinstance(found, Constant) and found.data.size == 1 else found

    def execute(self, s: ast.stmt, env: Env) -> None:
        tree = ast.Module([_Words().visit(self.placed(s))], [])
        exec(compile(ast.fix_missing_locations(tree), self.source.file, "exec"), self.with_words(env))

    def placed(self, node: Any) -> Any:
        """A copy of `node` on the lines where it stands in the file."""
        from copy import deepcopy

        return ast.increment_lineno(deepcopy(node), self.source.shift)

    def with_words(self, env: Env) -> Env:
        env[_WORDS] = self
        return env

    def not_(self, a: Any) -> Any:
        return nn.logical_not(a) if isinstance(a, Expr) else not a

    def either_or(self, a: Any, b: Callable[[], Any], both: bool) -> Any:
        if isinstance(a, Expr):
            return (nn.logical_and if both else nn.logical_or)(a, constant(b()))
        return b() if bool(a) == both else a

    def equal(self, a: Any, b: Any, same: bool) -> Any:
        if isinstance(a, Expr) or isinstance(b, Expr):
            return applied(nn.equal if same else nn.not_equal, a, b)
        return a == b if same else a != b

    def choose(self, test: Any, a: Callable[[], Any], b: Callable[[], Any]) -> Any:
        if not isinstance(test, Expr):
            return a() if test else b()

        def taken(value: Callable[[], Any]) -> tuple[Expr, ...]:
            with self.scope() as lets:
                found = constant(value())
            return bound_by(lets, (found,))

        return if_(test, [], lambda: taken(a), lambda: taken(b), self.named("if"))[0]


class _Range:
    """`range` of tensors: from `start` on, so many."""

    def __init__(self, start: Expr, trip: Expr, step: int) -> None:
        self.start, self.trip, self.step = start, trip, step


def _count(v: Any) -> Expr:
    """A bound of `range` as an i64[]."""
    return shape_vector((v,), ()) if isinstance(v, DimExpr) else constant(nn.cast(constant(v), dtype="i64"))


def _over(f: Function, *args: Expr) -> tuple[Expr, ...]:
    found = inlined(f, args)
    assert isinstance(found, Tuple)
    return found.fields


_MISSING = object()
_WORDS, _ITEM, _ROWS, _START, _STEP = "__halo_words", "__halo_item", "__halo_rows", "__halo_start", "__halo_step"


def _name(name: str, place: ast.AST) -> ast.Name:
    return ast.copy_location(ast.Name(name, ast.Load()), place)


class _Words(ast.NodeTransformer):
    """`and`, `or`, `not`, `==`, `!=` and `a if c else b`, which Python decides at once, as calls that may be of tensors."""

    def call(self, node: ast.expr, word: str, *args: ast.expr) -> ast.expr:
        f = ast.copy_location(ast.Attribute(_name(_WORDS, node), word, ast.Load()), node)
        return ast.copy_location(ast.Call(f, list(args), []), node)

    def later(self, node: ast.expr) -> ast.expr:
        none = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        return ast.copy_location(ast.Lambda(none, node), node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        found = node.values[-1]
        for value in reversed(node.values[:-1]):
            both = ast.copy_location(ast.Constant(isinstance(node.op, ast.And)), node)
            found = self.call(node, "either_or", value, self.later(found), both)
        return found

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return self.call(node, "not_", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) != 1 or not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            return node
        same = ast.copy_location(ast.Constant(isinstance(node.ops[0], ast.Eq)), node)
        return self.call(node, "equal", node.left, node.comparators[0], same)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        return self.call(node, "choose", node.test, self.later(node.body), self.later(node.orelse))


def _assigned(statements: Sequence[ast.AST]) -> list[str]:
    """The names that statements assign, but those of functions and comprehensions inside."""
    found: dict[str, None] = {}
    todo = list(reversed(statements))
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = None
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found[node.id] = None
            todo += reversed(list(ast.iter_child_nodes(node)))
    return list(found)


def _read(s: ast.AST) -> list[str]:
    """The names that a statement uses."""
    return list(dict.fromkeys(x.id for x in ast.walk(s) if isinstance(x, ast.Name)))
