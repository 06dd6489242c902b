"""Python function -> surface definitions.

A definition's body is evaluated at capture, the way Python would: what is constant is computed, loops over constants
run, helpers are called. What depends on index variables and inputs becomes surface expressions. One small function per
`ast` node does it: `expressions.EXPRESSIONS`, `statements.STATEMENTS`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from ..errors import DefinitionError, HaloError, Location, here
from ..ir.place import at
from ..ir.shapes import DimExpr
from ..ir.surface import Define, Definitions, Expr, Function, IndexVar, as_expr
from .expressions import CONDITIONS, EXPRESSIONS, LEAVES
from .inputs import Hint, Inputs
from .scope import MISSING, Scope
from .source import Source, load
from .stages import Stages
from .statements import STATEMENTS, UNSUPPORTED
from .values import PURE, Flow, Unbound, Undecided, boolean, unused

__all__ = ["Frame", "Translation", "translate"]


def translate(source: Source, scope: Scope, name: str, hints: Mapping[str, Hint], rank: int | None = None,
              target: Function | None = None) -> Definitions:  # fmt: skip
    """The Definitions that `source` writes for the Func `target` (known as `name` in its own body).

    `rank` is the number of index variables where the signature has a pack `*i`.
    """
    t = Translation(source, scope, name, hints, rank, target)
    flow = t.frame.run(source.body)
    return t.finish(flow)


class _Self(Function):
    """What stands for the Func being defined when none is given."""

    def __init__(self, name: str, ndim: int) -> None:
        self.name, self.ndim, self._where = name, ndim, None


class Translation:
    """One definition: its index variables, inputs, the stages written so far, and the conditions in force."""

    def __init__(self, source: Source, scope: Scope, name: str, hints: Mapping[str, Hint], rank: int | None,
                 target: Function | None) -> None:  # fmt: skip
        self.source, self.name = source, name
        self.vars, variables = _index_variables(source, rank)
        self.inputs = Inputs(source, hints)
        self.target = _Self(name, len(self.vars)) if target is None else target
        self.stages = Stages(self.target)
        self.size: int | None = None  # of the tuple of values; 1 if they are none
        self.conditions: list[Expr] = []
        self.sources: dict[FunctionType, Source] = {}
        self.tables: dict[int, Any] = {}
        self.place: Location | None = None  # of the pure stage: its return or assignment
        self.returned = False
        self.frame = Frame(self, source, scope, {**variables, **self.inputs.found}, None)

    def source_of(self, helper: FunctionType) -> Source:
        if helper not in self.sources:
            self.sources[helper] = load(helper)
        return self.sources[helper]

    def loop_names(self) -> set[str]:
        """The names of the loops around what is translated now."""
        return {*self.vars, *(n for loop in self.frame.loops for n in loop.names)}

    @contextmanager
    def under(self, condition: Expr) -> Iterator[None]:
        """Updates written inside happen only where `condition` holds."""
        self.conditions.append(condition)
        try:
            yield
        finally:
            self.conditions.pop()

    def finish(self, flow: Flow) -> Definitions:
        pure = self._returned(flow) if self.returned else self._assigned()
        return Definitions(self.vars, pure, self.stages.defines(), self.inputs.finished())

    def _returned(self, flow: Flow) -> Define:
        if flow.when is not True:
            raise DefinitionError(f"{self.name} returns nothing on some path", loc=self.source.loc(self.source.node),
                                  hint="end with a return, or give every if an else")  # fmt: skip
        pure = self._pure(flow.value)
        for access, _ in self.stages.reads(v for v in pure.values if v is not None):
            raise DefinitionError(f"{self.name} returns a value that is made of itself", loc=access.loc,
                                  hint=f"{self.name}[...] = ... in a loop over halo.rdom")  # fmt: skip
        return pure

    def _assigned(self) -> Define | None:
        value = self.frame.env.get(PURE, MISSING)
        if isinstance(value, Unbound):
            raise self.frame.unbound(value, self.place)
        if value is not MISSING:
            return self._pure(value)
        if not self.stages.updates:
            raise DefinitionError(f"{self.name} defines nothing", loc=self.source.loc(self.source.node),
                                  hint=f"return its value, or {self.name}[{', '.join(self.vars)}] = ...")  # fmt: skip
        return None

    def _pure(self, value: Any) -> Define:
        with at(self.place):
            values = tuple(as_expr(v) for v in (value if isinstance(value, tuple) else (value,)))
            return Define(tuple(IndexVar(v) for v in self.vars), values, loc=self.place)


def _index_variables(source: Source, rank: int | None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the index variables, outermost first, and what the parameters mean in the body."""
    args = source.node.args
    plain = [*args.posonlyargs, *args.args]
    names = [a.arg for a in plain]
    bound: dict[str, Any] = {}
    for a in plain:
        with at(source.loc(a)):
            bound[a.arg] = IndexVar(a.arg)
    if args.vararg is not None:
        pack, loc = args.vararg.arg, source.loc(args.vararg)
        if rank is None or rank < len(names):
            raise DefinitionError(f"the number of variables in *{pack} is not known here", loc=loc,
                                  hint="call it with arrays, or subscript it in a definition")  # fmt: skip
        taken = {a.arg for a in (*plain, *args.kwonlyargs)}
        packed = [unused(f"{pack}{k}", taken) for k in range(rank - len(names))]
        with at(loc):
            bound[pack] = tuple(IndexVar(n) for n in packed)
        names += packed
    return tuple(names), bound


class Frame:
    """The evaluation of one function body: the definition's own, or that of a helper it calls."""

    __slots__ = ("caller", "depth", "env", "loops", "scope", "source", "t", "wanted")

    def __init__(self, t: Translation, source: Source, scope: Scope, env: dict[str, Any], caller: Frame | None) -> None:
        self.t, self.source, self.scope, self.env, self.caller = t, source, scope, env, caller
        self.depth: int = 0 if caller is None else caller.depth + 1
        self.loops: list[Any] = []  # the rdom loops that this statement stands in
        self.wanted: int | None = None  # the number of axes that the loop being opened binds

    @property
    def main(self) -> bool:
        """Whether this is the definition's own body."""
        return self.caller is None

    def inlined(self, source: Source, scope: Scope, env: dict[str, Any]) -> Frame:
        """The body of a helper that is called here."""
        return Frame(self.t, source, scope, env, self)

    def child(self) -> Frame:
        """A scope inside this one, as a comprehension has."""
        inner = Frame(self.t, self.source, self.scope, dict(self.env), self.caller)
        inner.depth, inner.loops = self.depth, self.loops
        return inner

    def run(self, statements: list[ast.stmt]) -> Flow:
        """Carry out `statements` until one returns or jumps."""
        flow = Flow()
        for s in statements:
            handler = STATEMENTS.get(type(s))
            if handler is None:
                raise self.unsupported(s)
            flow = flow.then(self._standing(handler, s))
            if flow.when is True or flow.jump is not None:
                break
        return flow

    def eval(self, node: ast.expr) -> Any:
        """What `node` is: a constant, an expression, a Func, a tuple of these, ..."""
        handler = EXPRESSIONS.get(type(node))
        if handler is None:
            raise self.unsupported(node)
        return handler(self, node) if type(node) in LEAVES else self._standing(handler, node)

    def _standing(self, handler: Callable[[Any, Any], Any], node: ast.AST) -> Any:
        """`handler` on `node`: expressions that it makes stand there, and so do errors that do not know better."""
        loc = self.source.loc(node)
        try:
            with at(loc):
                return handler(self, node)
        except HaloError as e:
            if e.loc is None:
                e.loc = loc
            raise

    def value(self, node: ast.expr) -> Any:
        """As `eval`, where a parameter that is used here is a scalar."""
        return self.resolved(self.eval(node), node)

    def resolved(self, value: Any, node: ast.AST) -> Any:
        if isinstance(value, Undecided):
            return self.t.inputs.scalar(value, self.source.loc(node))
        if isinstance(value, (tuple, list)) and any(isinstance(v, Undecided) for v in value):
            return type(value)([self.resolved(v, node) for v in value])
        return as_expr(value) if isinstance(value, DimExpr) else value

    def expr(self, node: ast.expr) -> Expr:
        return as_expr(self.value(node))

    def condition(self, node: ast.expr) -> Any:
        """The truth of `node`: a Python bool if it is constant, else a boolean expression."""
        handler = CONDITIONS.get(type(node))
        if handler is not None:
            return handler(self, node)
        value = self.value(node)
        with at(self.source.loc(node)):
            return boolean(value) if isinstance(value, Expr) else self.python(node, bool, value)

    def lookup(self, name: str, node: ast.AST) -> Any:
        """What `name` means here."""
        value = self.env.get(name, MISSING)
        if isinstance(value, Unbound):
            raise self.unbound(value, self.source.loc(node))
        if isinstance(value, Undecided):
            return self.t.inputs.found[value.name]
        if value is not MISSING:
            return value
        if name == self.t.name and self.main:
            return self.t.target
        value = self.scope.lookup(name)
        if value is MISSING:
            raise self._undefined(name, node)
        return value

    def _undefined(self, name: str, node: ast.AST) -> DefinitionError:
        loc = self.source.loc(node)
        if name in self.scope.globals:
            return DefinitionError(f"{name} was not defined yet when {self.t.name} was decorated", loc=loc,
                                   hint=f"define {name} above {self.t.name}")  # fmt: skip
        near = self.scope.nearest(name, self.env)
        hint = f"did you mean {' or '.join(near)}?" if near else f"define it above {self.t.name}"
        return DefinitionError(f"{name} is not defined", loc=loc, hint=hint)

    def unbound(self, value: Unbound, loc: Location | None) -> DefinitionError:
        related = () if value.loc is None else ((value.loc, "assigned here"),)
        return DefinitionError(value.reason, loc=loc, hint=value.hint, related=related)

    def python(self, node: ast.AST, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """`fn(*args)` by Python itself; what it raises becomes an error at `node`."""
        try:
            return fn(*args, **kwargs)
        except HaloError as e:
            if e.loc is None or e.loc == here():  # the caller of the translation, not a place in the definition
                e.loc = self.source.loc(node)
            raise
        except Exception as e:
            raise self.fail(node, f"this raises {type(e).__name__}: {e}") from None

    def fail(self, node: ast.AST, message: str, hint: str = "") -> DefinitionError:
        return DefinitionError(message, loc=self.source.loc(node), hint=hint)

    def unsupported(self, node: ast.AST) -> DefinitionError:
        what, hint = UNSUPPORTED.get(type(node), (f"`{type(node).__name__}`", ""))
        return self.fail(node, f"{what} has no meaning in a definition", hint)
