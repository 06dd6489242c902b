"""`@numba.njit` scalar functions: their bodies as typed expressions, with the types that Numba infers.

Numba's own front end gives the intermediate representation of a function and the type of each of its variables. A body
without loops is a graph of blocks: what several branches assign becomes a select, so it vectorises like any definition.
What cannot be translated so is compiled by Numba and called lane by lane. A function that can raise is refused.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from ..errors import DefinitionError
from ..ir import algebra as A
from ..ir.expr import Const, Expr, Op
from ..ir.linked import Linked, link
from ..ir.surface import Call
from ..types import Type, as_type, bf16, bool_, f16, f32, f64, i64
from .library import RULES
from .operators import Stage, rule
from .promotion import Value, Weak, convert, data, number

__all__ = ["RULES", "Untranslatable"]


class Untranslatable(Exception):
    """What stands in a function that has no counterpart among typed expressions."""


@rule("call")
def _call(stage: Stage, call: Call, args: tuple[Value, ...]) -> Value:
    dispatcher, exprs = call.data, [convert(a, _seen_by_numba(a)) for a in args]
    try:
        value = _inlined(dispatcher, exprs)
    except Untranslatable:
        value = _linked(dispatcher, exprs)
    if not isinstance(value, Expr):
        raise _impossible(dispatcher, "it returns a tuple")
    return data(value)


def _impossible(dispatcher: Any, why: str) -> DefinitionError:
    return DefinitionError(f"the Numba function {dispatcher.__name__} cannot be part of a definition: {why}",
                           hint="a plain Python function, or halo.extern over whole arrays")  # fmt: skip


def _can_raise(name: str, why: str) -> DefinitionError:
    return DefinitionError(f"the Numba function {name} can raise, and a definition cannot: {why}",
                           hint="numba.njit(error_model='numpy') for divisions; halo.require for checks")  # fmt: skip


def _linked(dispatcher: Any, args: list[Expr]) -> Expr:
    """A call of the machine code that Numba makes of the function."""
    import numba
    from numba.core.errors import NumbaError

    types = tuple(numba.from_dtype(a.type.dtype) for a in args)
    if not args:
        raise _impossible(dispatcher, "it has no parameter")
    try:
        dispatcher.compile(types)
    except NumbaError as e:
        raise _impossible(dispatcher, f"Numba does not compile it: {e}") from None
    result = dispatcher.overloads[types].signature.return_type
    type = scalar(result)
    if type is None:
        raise _impossible(dispatcher, f"it returns {result}")
    options = {k: dispatcher.targetoptions[k] for k in ("error_model", "fastmath") if k in dispatcher.targetoptions}
    compiled = numba.cfunc(result(*types), **options)(dispatcher.py_func)
    if "PyErr_WriteUnraisable" in compiled.inspect_llvm():
        raise _can_raise(dispatcher.__name__, "its machine code has a path that does")
    name = "_".join(("njit", dispatcher.__name__, *(a.type.name for a in args)))
    linked = Linked(int(compiled.address or 0), dispatcher, compiled)
    return Op("call", tuple(args), type, link(name, linked))


def _seen_by_numba(value: Value) -> Type:
    """The type with which Numba sees an argument: Python's numbers and indices are int64 and float64."""
    if isinstance(value.kind, Type):
        return f32 if value.kind in (f16, bf16) else value.kind
    return {Weak.BOOL: bool_, Weak.INT: i64, Weak.INDEX: i64, Weak.FLOAT: f64}[value.kind]


def _inlined(dispatcher: Any, args: list[Expr], callers: tuple[Any, ...] = ()) -> Any:
    if dispatcher in callers:
        raise Untranslatable("it calls itself")
    return _Body(dispatcher, args, (*callers, dispatcher)).result()


def _front_end(function: Any, types: tuple[Any, ...]) -> Any:
    """Numba's representation of the function, without the branches that constants decide."""
    from numba.core import analysis, compiler, ssa
    from numba.core.rewrites.registry import rewrite_registry

    body = compiler.run_frontend(function)  # type: ignore[no-untyped-call]  # Numba is not typed
    analysis.rewrite_semantic_constants(body, types)  # type: ignore[no-untyped-call]  # Numba is not typed
    analysis.dead_branch_prune(body, types)  # type: ignore[no-untyped-call]  # Numba is not typed
    state = SimpleNamespace(func_ir=body, typemap=None, calltypes=None)
    rewrite_registry.apply("before-inference", state)  # type: ignore[no-untyped-call]  # Numba is not typed
    return ssa.reconstruct_ssa(body)  # type: ignore[no-untyped-call]  # Numba is not typed


def _infer(body: Any, types: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """The types of the variables, of the result, and the signatures of the calls."""
    from numba.core import typed_passes
    from numba.core.registry import cpu_target

    typing, target = cpu_target.typing_context, cpu_target.target_context
    typing.refresh()
    target.refresh()
    inferred = typed_passes.type_inference_stage(typing, target, body, types, None)  # type: ignore[no-untyped-call]  # Numba is not typed
    return inferred[0], inferred[1], inferred[2]


class _Body:
    """One function on one list of typed arguments."""

    def __init__(self, dispatcher: Any, args: list[Expr], callers: tuple[Any, ...]) -> None:
        import numba
        from numba.core.analysis import compute_cfg_from_blocks
        from numba.core.errors import NumbaError

        self.name, self.args, self.callers = dispatcher.__name__, args, callers
        self.checked = dispatcher.targetoptions.get("error_model", "python") == "python"
        types = tuple(numba.from_dtype(a.type.dtype) for a in args)
        try:
            body = _front_end(dispatcher.py_func, types)
            self.blocks = body.blocks
            self.graph = compute_cfg_from_blocks(self.blocks)  # type: ignore[no-untyped-call]  # Numba is not typed
            self._check_graph()
            self._types, self._result, self.calls = _infer(body, types)
        except NumbaError as e:
            raise Untranslatable(f"Numba does not compile it for {', '.join(map(repr, types))}: {e}") from None
        self.dominators = self.graph.immediate_dominators()
        self.values: dict[str, Any] = {}
        self._paths: dict[tuple[int, int], Expr] = {}

    def _check_graph(self) -> None:
        from numba.core import ir

        if any(isinstance(b.body[-1], (ir.Raise, ir.StaticRaise, ir.DynamicRaise)) for b in self.blocks.values()):
            raise _can_raise(self.name, "it has a raise or an assert")
        if self.graph.loops():
            raise Untranslatable("it has a loop")

    def result(self) -> Any:
        """What the function returns, selected by the path that returns it: an expression or a tuple of these."""
        from numba.core import ir

        returned: list[tuple[int, Any]] = []
        for label in self.graph.topo_order():
            self.label = label
            for s in self.blocks[label].body:
                if isinstance(s, ir.Assign):
                    self.values[s.target.name] = self._typed(s.target.name, self.evaluate(s.value, s.target.name))
                elif isinstance(s, ir.Return):
                    returned.append((label, self.values[s.value.name]))
                elif not isinstance(s, (ir.Branch, ir.Jump, ir.Del)):
                    raise Untranslatable(f"`{s}`")
        entry = self.graph.entry_point()
        whole = self._of_type(returned[-1][1], self._result)
        for label, value in reversed(returned[:-1]):
            whole = _select(self._reached(entry, label), self._of_type(value, self._result), whole)
        return whole

    def _typed(self, name: str, value: Any) -> Any:
        type = scalar(self._types.get(name))
        return value if type is None or not isinstance(value, Expr) else A.cast(value, type)

    def _of_type(self, value: Any, wanted: Any) -> Any:
        """`value` converted to a Numba type: a scalar, or a tuple of them."""
        type = scalar(wanted)
        if isinstance(value, tuple):
            return tuple(self._of_type(v, t) for v, t in zip(value, wanted, strict=True))
        if type is None or not isinstance(value, Expr):
            raise Untranslatable(f"{wanted} is not a number")
        return A.cast(value, type)

    # Control -----------------------------------------------------------------------------------------------------

    def _reached(self, origin: int, label: int) -> Expr:
        """Whether control that is at block `origin`, which dominates `label`, gets there."""
        if label == origin:
            return A.true()
        if (origin, label) not in self._paths:
            whole: Expr = A.false()
            for before, _ in self.graph.predecessors(label):
                whole = A.or_(whole, self._taken(origin, before, label))
            self._paths[origin, label] = whole
        return self._paths[origin, label]

    def _taken(self, origin: int, before: int, label: int) -> Expr:
        """Whether control goes from `origin` over block `before` to `label`."""
        from numba.core import ir

        end = self.blocks[before].body[-1]
        reached = self._reached(origin, before)
        if not isinstance(end, ir.Branch) or end.truebr == end.falsebr:
            return reached
        condition = A.cast(self.values[end.cond.name], bool_)
        return A.and_(reached, condition if end.truebr == label else A.not_(condition))

    def _phi(self, expr: Any, name: str) -> Any:
        """What the branches that meet here assigned."""
        from numba.core import ir

        pairs = [(self.values[v.name], b) for v, b in zip(expr.incoming_values, expr.incoming_blocks, strict=True)
                 if v is not ir.UNDEFINED]  # fmt: skip
        whole = self._of_type(pairs[-1][0], self._types[name])
        for value, before in reversed(pairs[:-1]):
            taken = self._taken(self.dominators[self.label], before, self.label)
            whole = _select(taken, self._of_type(value, self._types[name]), whole)
        return whole

    # Values ------------------------------------------------------------------------------------------------------

    def evaluate(self, v: Any, name: str) -> Any:
        from numba.core import ir

        if isinstance(v, ir.Arg):
            return self.args[v.index]
        if isinstance(v, ir.Var):
            return self.values[v.name]
        if isinstance(v, (ir.Const, ir.Global, ir.FreeVar)):
            return self._constant(v.value, name)
        if isinstance(v, ir.Expr) and v.op == "phi":
            return self._phi(v, name)
        if isinstance(v, ir.Expr) and v.op in _EXPRESSIONS:
            return _EXPRESSIONS[v.op](self, v)
        raise Untranslatable(f"`{v}`")

    def _constant(self, value: Any, name: str) -> Any:
        type = scalar(self._types.get(name))
        if type is None or not isinstance(value, (bool, int, float, np.generic)):
            return value
        return number(value.item() if isinstance(value, np.generic) else value, type)

    def operands(self, expr: Any, vars: list[Any]) -> tuple[list[Expr], Type]:
        """The operands converted as Numba's signature of the call says, and the type of its result."""
        signature = self.calls[expr]
        result = scalar(signature.return_type)
        if result is None:
            raise Untranslatable(f"`{expr}` is {signature.return_type}")
        return [self.operand(v, t) for v, t in zip(vars, signature.args, strict=True)], result

    def operand(self, v: Any, wanted: Any) -> Expr:
        return self._of_type(self.values[v.name], wanted)  # type: ignore[no-any-return]  # Numba's types are Any

    def division(self, b: Expr) -> None:
        if self.checked and not (isinstance(b, Const) and b.value != 0):
            raise _can_raise(self.name, "it divides by what may be zero")


def _select(condition: Expr, a: Any, b: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(_select(condition, x, y) for x, y in zip(a, b, strict=True))
    return A.select(condition, a, b)


def scalar(t: Any) -> Type | None:
    """The halo type of a Numba scalar type (of a literal too), or None."""
    from numba.core import types

    t = types.unliteral(t) if t is not None else None  # type: ignore[no-untyped-call]  # Numba is not typed
    if isinstance(t, types.Boolean):
        return bool_
    if isinstance(t, (types.Integer, types.Float)):
        return as_type(t.name)
    return None


def _binary(body: _Body, expr: Any) -> Expr:
    fn = expr.fn if expr.op == "binop" else expr.immutable_fn
    values = [body.values[v.name] for v in (expr.lhs, expr.rhs)]
    if fn in (operator.is_, operator.is_not) and any(v is None for v in values):
        return number((values[0] is values[1]) is (fn is operator.is_), bool_)
    (a, b), result = body.operands(expr, [expr.lhs, expr.rhs])
    if fn is operator.truediv:
        body.division(b)
        return A.op("div", A.cast(a, result), A.cast(b, result))
    if fn is operator.pow:
        return _power(a, b, result)
    if fn in _COMPARISONS:
        if a.type is not b.type:
            raise Untranslatable(f"it compares {a.type!r} with {b.type!r}")
        return _COMPARISONS[fn](a, b)
    if fn not in _ARITHMETIC:
        raise Untranslatable(f"`{expr}`")
    if fn in (operator.floordiv, operator.mod):
        body.division(b)
    return A.op(_ARITHMETIC[fn], A.cast(a, result), A.cast(b, result))


def _power(a: Expr, b: Expr, result: Type) -> Expr:
    """As Numba has it: products for a constant whole exponent."""
    base = A.cast(a, result)
    if isinstance(b, Const) and b.type.is_int and 0 <= b.value <= 64:
        whole: Expr = number(1, result)
        square, n = base, b.value
        while n:
            whole = A.op("mul", whole, square) if n & 1 else whole
            square, n = A.op("mul", square, square), n >> 1
        return whole
    if a.type.is_float and b.type.is_float:
        return A.op("pow", base, A.cast(b, result))
    raise Untranslatable("it has a power of integers that is not constant")


def _unary(body: _Body, expr: Any) -> Expr:
    (a,), result = body.operands(expr, [expr.value])
    fn = getattr(operator, expr.fn) if isinstance(expr.fn, str) else expr.fn
    if fn is operator.not_:
        return A.not_(A.cast(a, bool_))
    if fn not in (operator.neg, operator.pos, operator.invert):
        raise Untranslatable(f"`{expr}`")
    e = A.cast(a, result)
    return e if fn is operator.pos else A.neg(e) if fn is operator.neg else A.op("not", e)


def _function(body: _Body, expr: Any) -> Any:
    fn, signature = body.values[expr.func.name], body.calls[expr]
    if expr.kws or expr.vararg is not None:
        raise Untranslatable(f"it calls {fn} with keywords")
    if hasattr(fn, "py_func"):
        return _inlined(fn, [body.operand(v, t) for v, t in zip(expr.args, signature.args, strict=True)], body.callers)
    if fn in (min, max):
        return _extreme(body, operator.lt if fn is min else operator.gt, expr)
    args, result = body.operands(expr, expr.args)
    if (fn is round and len(args) == 1) or fn in (math.floor, math.ceil, math.trunc):
        return A.cast(A.op(fn.__name__, args[0]), result)
    if _converts(fn) and len(args) == 1:
        return A.cast(args[0], result)
    name = _FUNCTIONS.get(fn) if callable(fn) else None
    if name is None:
        raise Untranslatable(f"it calls {getattr(fn, '__name__', fn)}")
    if name in ("isnan", "isinf", "isfinite"):
        return A.op(name, args[0], type=bool_)
    if name == "abs" and result.kind == "uint":
        return A.cast(args[0], result)
    return A.op(name, *(A.cast(a, result) for a in args))


def _converts(fn: Any) -> bool:
    from numba.core import types

    number_class = isinstance(fn, type) and (fn in (bool, int, float) or issubclass(fn, np.generic))
    return number_class or isinstance(fn, types.Number)


def _extreme(body: _Body, beats: Callable[[Any, Any], Any], expr: Any) -> Expr:
    """Python's algorithm, which Numba keeps: a later argument wins if it is strictly less (or greater)."""
    values = [body.operand(v, body.calls[expr].return_type) for v in expr.args]
    whole = values[0]
    for value in values[1:]:
        whole = A.select(_COMPARISONS[beats](value, whole), value, whole)
    return whole


def _attribute(body: _Body, expr: Any) -> Any:
    base = body.values[expr.value.name]
    if not isinstance(base, ModuleType):
        raise Untranslatable(f"`{expr}`")
    value = getattr(base, expr.attr)
    if isinstance(value, float) and not isinstance(value, np.generic):
        return number(value, f64)
    return value


def _tuple(body: _Body, expr: Any) -> tuple[Any, ...]:
    return tuple(body.values[v.name] for v in expr.items)


def _unpacked(body: _Body, expr: Any) -> Any:
    return body.values[expr.value.name]


def _item(body: _Body, expr: Any) -> Any:
    value = body.values[expr.value.name]
    if not isinstance(value, tuple) or not isinstance(expr.index, int):
        raise Untranslatable("it subscripts something else than a tuple")
    return value[expr.index]


_EXPRESSIONS: dict[str, Callable[[_Body, Any], Any]] = {
    "binop": _binary, "inplace_binop": _binary, "unary": _unary, "call": _function, "getattr": _attribute,
    "cast": _unpacked, "build_tuple": _tuple, "exhaust_iter": _unpacked, "static_getitem": _item,
}  # fmt: skip

_ARITHMETIC: dict[Any, str] = {
    operator.add: "add", operator.sub: "sub", operator.mul: "mul", operator.floordiv: "floordiv", operator.mod: "mod",
    operator.and_: "and", operator.or_: "or", operator.xor: "xor", operator.lshift: "shl", operator.rshift: "shr",
}  # fmt: skip

_COMPARISONS: dict[Any, Callable[[Expr, Expr], Expr]] = {
    operator.lt: A.lt, operator.le: A.le, operator.gt: A.gt, operator.ge: A.ge, operator.eq: A.eq, operator.ne: A.ne,
}  # fmt: skip

_MATH = """acos acosh asin asinh atan atan2 atanh copysign cos cosh erf exp expm1 hypot isfinite isinf isnan log log10
           log1p log2 pow sin sinh sqrt tan tanh"""
_SAME = """cbrt ceil copysign cos cosh exp exp2 expm1 floor fmax fmin hypot isfinite isinf isnan log log10 log1p log2
           sin sinh sqrt tan tanh trunc"""

_FUNCTIONS: dict[Any, str] = {
    abs: "abs", math.fabs: "abs", np.abs: "abs", np.fabs: "abs", np.arccos: "acos", np.arcsin: "asin",
    np.arctan: "atan", np.arctan2: "atan2", np.arccosh: "acosh", np.arcsinh: "asinh", np.arctanh: "atanh",
    np.maximum: "max", np.minimum: "min", np.power: "pow", np.rint: "round",
    **{getattr(math, name): name for name in _MATH.split()}, **{getattr(np, name): name for name in _SAME.split()},
}  # fmt: skip
