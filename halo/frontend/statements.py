"""The statements of Python, one small function per `ast` node: `STATEMENTS[type(node)](frame, node) -> Flow`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import DefinitionError
from ..ir.surface import Expr, IndexVar, RDom, as_expr
from . import loops
from .expressions import BINARY, assigned_element, binary, indices
from .scope import MISSING
from .stages import Stage, is_integer
from .values import PURE, Flow, Unbound, elements, is_constant, merge, not_, or_

if TYPE_CHECKING:
    from .translate import Frame

__all__ = ["STATEMENTS", "UNSUPPORTED"]

_DEFAULTS = {"add", "sub", "mul", "div"}  # updates for which a pure stage that is left out is 0 or 1


def _expression(frame: Frame, node: ast.Expr) -> Flow:
    if isinstance(node.value, ast.Constant):  # a docstring, or `...`
        return Flow()
    if isinstance(node.value, ast.Compare):
        raise frame.fail(node, "a comparison alone does nothing", "`=` to assign, `return` to give it as the value")
    value = frame.eval(node.value)
    what = "the value of this expression is not used" if value is not None else "this has no effect on the values"
    raise frame.fail(node, what, "return it, or assign it")


def _pass(frame: Frame, node: ast.Pass) -> Flow:
    return Flow()


def _return(frame: Frame, node: ast.Return) -> Flow:
    if frame.loops:
        raise frame.fail(node, "a return inside a loop over an rdom", "sum(...) or halo.argmin(...) over the rdom")
    if node.value is None:
        raise frame.fail(node, "return without a value", "return the value of the Func at this point")
    value = elements(frame.value(node.value))
    if isinstance(value, list):
        raise frame.fail(node.value, "a list is returned", "a tuple: return a, b")
    if frame.main:
        _returns(frame, node, value)
    return Flow(True, value)


def _returns(frame: Frame, node: ast.Return, value: Any) -> None:
    t = frame.t
    if PURE in frame.env or t.stages.updates:
        raise frame.fail(node, f"{t.name} is assigned to, and returns a value too", f"{t.name}[...] = ...")
    for v in value if isinstance(value, tuple) else (value,):
        frame.python(node, as_expr, v)
    t.place = frame.source.loc(frame.source.node if t.returned else node)  # of several returns, the definition's
    t.returned = True


def _if(frame: Frame, node: ast.If) -> Flow:
    condition = frame.condition(node.test)
    if not isinstance(condition, Expr):
        return frame.run(node.body if condition else node.orelse)
    before, count = frame.env, len(frame.t.stages.updates)
    with frame.t.under(condition):
        first, env = _branch(frame, node.body, before)
    with frame.t.under(not_(condition)):
        second, other = _branch(frame, node.orelse, before)
    frame.t.stages.choose(count, condition)
    if first.jump or second.jump:
        raise frame.fail(node, f"`{first.jump or second.jump}` under a condition that is not constant",
                         "put what follows under the opposite `if`")  # fmt: skip
    if first.when is True or second.when is True:
        frame.env = other if first.when is True else env
    else:
        frame.env = _merged(frame, node, condition, env, other)
    return Flow(_either(condition, first.when, second.when), _value(condition, first, second))


def _branch(frame: Frame, body: list[ast.stmt], before: dict[str, Any]) -> tuple[Flow, dict[str, Any]]:
    frame.env = dict(before)
    try:
        return frame.run(body), frame.env
    finally:
        frame.env = before


def _either(condition: Expr, a: Any, b: Any) -> Any:
    """Whether the branch that `condition` chooses returned."""
    if a is b and isinstance(a, bool):
        return a
    if a is True:
        return or_(condition, b)
    if b is True:
        return or_(not_(condition), a)
    return merge(condition, a, b)


def _value(condition: Expr, first: Flow, second: Flow) -> Any:
    if first.when is False or second.when is False:
        return second.value if first.when is False else first.value
    return merge(condition, first.value, second.value)


def _merged(frame: Frame, node: ast.If, condition: Expr, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """The locals after an `if`: selected by its condition where the branches differ."""
    pairs = {name: (a.get(name, MISSING), b.get(name, MISSING)) for name in {**a, **b}}
    return {name: _local(frame, node, condition, name, *pair) for name, pair in pairs.items()}


def _local(frame: Frame, node: ast.If, condition: Expr, name: str, a: Any, b: Any) -> Any:
    if a is b:
        return a
    if isinstance(a, Unbound) or isinstance(b, Unbound):
        return a if isinstance(a, Unbound) else b
    if a is MISSING or b is MISSING:
        what = f"{frame.t.name}[...]" if name == PURE else name
        return Unbound(f"{what} is assigned only in one branch of this `if`", f"assign {what} in the other branch too",
                       frame.source.loc(node))  # fmt: skip
    try:
        return merge(condition, a, b)
    except DefinitionError:
        return Unbound(f"{name} is different in the branches of this `if`, and they cannot be merged into one value",
                       "numbers or expressions in both branches", frame.source.loc(node))  # fmt: skip


def _for(frame: Frame, node: ast.For) -> Flow:
    if node.orelse:
        raise frame.fail(node.orelse[0], "`else` of a loop has no meaning in a definition", "write it after the loop")
    over = loops.iterable(frame, node.iter, node.target)
    if isinstance(over, RDom):
        return _for_domain(frame, node, over)
    flow = Flow()
    for item in loops.iterated(frame, node.iter, over):
        loops.unpack(frame, node.target, item)
        flow = flow.then(frame.run(node.body))
        if flow.when is True or flow.jump == "break":
            break
    return Flow(flow.when, flow.value)


def _for_domain(frame: Frame, node: ast.For, over: RDom) -> Flow:
    """A loop over an rdom: its updates are stages, its locals do not survive the iteration."""
    if not frame.main:
        raise frame.fail(node, "a loop over an rdom has nothing to assign to in a helper", "sum(...) over the rdom")
    before = frame.env
    lost = {name: Unbound(f"{name} is assigned in the body of this loop, and a local does not survive the iteration",
                          f"sum(...) over the rdom, or an update of {frame.t.name}[...]", frame.source.loc(node))
            for name in _assigned(node.body)}  # fmt: skip
    frame.env = {**before, **lost}
    count = len(frame.t.stages.updates)
    loop, condition = loops.open_domain(frame, node.target, over, frame.t.loop_names())
    frame.loops.append(loop)
    if condition is not None:
        frame.t.conditions.append(condition)
    try:
        flow = frame.run(node.body)
    finally:
        frame.loops.pop()
        if condition is not None:
            frame.t.conditions.pop()
    if flow.jump:
        raise frame.fail(node, f"`{flow.jump}` in a loop over an rdom", "an `if` round the update")
    if len(frame.t.stages.updates) == count:
        raise frame.fail(node, f"this loop does not assign to {frame.t.name}[...]", "sum(...) over the rdom")
    frame.env = {**before, **lost}
    return Flow()


def _assigned(body: list[ast.stmt]) -> list[str]:
    """The locals that the statements assign to."""
    nodes = [n for s in body for n in ast.walk(s)]
    inner = {n for c in nodes if isinstance(c, ast.comprehension) for n in ast.walk(c.target)}
    return sorted({n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n not in inner})


def _break(frame: Frame, node: ast.Break) -> Flow:
    return Flow(jump="break")


def _continue(frame: Frame, node: ast.Continue) -> Flow:
    return Flow(jump="continue")


def _assert(frame: Frame, node: ast.Assert) -> Flow:
    condition = frame.condition(node.test)
    if isinstance(condition, Expr):
        raise frame.fail(node, "an assert is about constants, and this is none", "halo.require(cond, value)")
    if not condition:
        message = "" if node.msg is None else f": {frame.eval(node.msg)}"
        raise frame.fail(node, f"the assertion does not hold{message}")
    return Flow()


def _raise(frame: Frame, node: ast.Raise) -> Flow:
    if frame.t.conditions:
        raise frame.fail(node, "raise under a condition that is not constant", "halo.require(cond, value)")
    text = "" if node.exc is None else ast.unparse(node.exc)
    if isinstance(node.exc, ast.Call) and len(node.exc.args) == 1:
        text = str(frame.eval(node.exc.args[0]))
    raise frame.fail(node, text or "raised here")


def _assign(frame: Frame, node: ast.Assign) -> Flow:
    value = frame.eval(node.value)
    for target in node.targets:
        _store(frame, node, target, value)
    return Flow()


def _store(frame: Frame, node: ast.Assign, target: ast.expr, value: Any) -> None:
    if isinstance(target, ast.Subscript):
        _store_element(frame, node, target, value)
    elif isinstance(target, (ast.Tuple, ast.List)) and any(isinstance(t, ast.Subscript) for t in target.elts):
        raise frame.fail(target, "several elements are assigned at once", "one assignment each, or halo.scatter")
    else:
        loops.unpack(frame, target, value)


def _store_element(frame: Frame, node: ast.Assign, target: ast.Subscript, value: Any) -> None:
    place, item = _own(frame, target)
    if place is not None:
        _stage(frame, node, place, item, frame.resolved(value, node), None)
        return
    base = frame.eval(target.value)
    key = frame.value(target.slice)
    if not isinstance(base, list) or not is_constant(key) or not isinstance(target.value, ast.Name):
        raise frame.fail(target, f"only {frame.t.name} can be assigned to here", "a Func of its own")
    changed = list(base)
    frame.python(node, changed.__setitem__, key, value)
    frame.env[target.value.id] = changed


def _augmented(frame: Frame, node: ast.AugAssign) -> Flow:
    value = frame.value(node.value)
    if isinstance(node.target, ast.Subscript):
        place, item = _own(frame, node.target)
        if place is None:
            raise frame.fail(node.target, f"only {frame.t.name} can be assigned to here", "a Func of its own")
        _stage(frame, node, place, item, value, BINARY[type(node.op)][0])
    elif isinstance(node.target, ast.Name):
        before = frame.resolved(frame.lookup(node.target.id, node.target), node.target)
        frame.env[node.target.id] = binary(frame, node, node.op, before, value)
    else:
        raise frame.fail(node.target, "an attribute cannot be assigned to in a definition", "a local")
    return Flow()


def _own(frame: Frame, target: ast.Subscript) -> tuple[ast.Subscript | None, ast.Subscript | None]:
    """Of `f[y, x]` the subscript; of `f[y, x][k]` that of the point and that of the element; `f` is the Func itself."""
    inner = target.value
    if isinstance(inner, ast.Subscript) and isinstance(inner.value, ast.Name):
        return (inner, target) if _is_self(frame, inner.value) else (None, None)
    return (target, None) if isinstance(inner, ast.Name) and _is_self(frame, inner) else (None, None)


def _is_self(frame: Frame, node: ast.Name) -> bool:
    return frame.main and node.id == frame.t.name and frame.env.get(node.id, MISSING) is MISSING


def _stage(frame: Frame, node: ast.Assign | ast.AugAssign, place: ast.Subscript, item: ast.Subscript | None, value: Any,
           op: str | None) -> None:  # fmt: skip
    """`f[...] = value` or `f[...] op= value`: the pure stage, or an update."""
    t = frame.t
    if t.returned:
        raise frame.fail(node, f"{t.name} returns a value, and is assigned to too", f"{t.name}[...] = ...")
    args = indices(frame, place)
    if len(args) != len(t.vars):
        raise frame.fail(place, f"{t.name} has {len(t.vars)} index variables and is subscripted by {len(args)}")
    values = _values(frame, node, elements(value), item)
    pure = frame.env.get(PURE)
    if isinstance(pure, Unbound):
        raise frame.unbound(pure, frame.source.loc(node))
    if pure is None and not t.stages.updates and op is None:
        _pure(frame, node, args, values, item)
        return
    if pure is None and op is not None and op not in _DEFAULTS and not t.stages.updates:
        raise frame.fail(node, f"nothing says what {t.name} is before this update",
                         f"{t.name}[{', '.join(t.vars)}] = ... above it")  # fmt: skip
    element = None if item is None else assigned_element(frame, item, frame.value(item.slice))
    t.stages.updates.append(Stage(args, values, op, tuple(frame.loops), tuple(t.conditions), frame.source.loc(node),
                                  element, isinstance(pure, Expr) and is_integer(pure)))  # fmt: skip


def _values(frame: Frame, node: ast.AST, value: Any, item: ast.Subscript | None) -> tuple[Expr | None, ...]:
    """The values of a stage, None for the elements that it leaves alone."""
    t = frame.t
    if item is not None:
        k = assigned_element(frame, item, frame.value(item.slice))
        return tuple(frame.python(node, as_expr, value) if j == k else None for j in range(t.size or 0))
    values = tuple(frame.python(node, as_expr, v) for v in (value if isinstance(value, tuple) else (value,)))
    if t.size is not None and len(values) != t.size:
        raise frame.fail(node, f"{t.name} has {_count(t.size)} and is assigned {_count(len(values))}")
    t.size = len(values)
    return values


def _count(n: int) -> str:
    return "one value" if n == 1 else f"{n} values"


def _pure(frame: Frame, node: ast.AST, args: tuple[Expr, ...], values: tuple[Any, ...], item: Any) -> None:
    t = frame.t
    plain = all(isinstance(a, IndexVar) and a.name == v for a, v in zip(args, t.vars, strict=True))
    if not plain or frame.loops or item is not None:
        raise frame.fail(node, f"nothing says what {t.name} is before this update",
                         f"{t.name}[{', '.join(t.vars)}] = ... above it")  # fmt: skip
    for access, _ in t.stages.reads(iter(values)):
        raise DefinitionError(f"{t.name} is read in its own pure stage", loc=access.loc,
                              hint="a loop over an rdom, to compute values from earlier ones")  # fmt: skip
    frame.env[PURE] = values[0] if len(values) == 1 else values
    t.place = t.place or frame.source.loc(node)


STATEMENTS: dict[type[ast.AST], Callable[[Any, Any], Flow]] = {
    ast.Expr: _expression, ast.Pass: _pass, ast.Return: _return, ast.If: _if, ast.For: _for, ast.Assign: _assign,
    ast.AugAssign: _augmented, ast.Assert: _assert, ast.Raise: _raise, ast.Break: _break, ast.Continue: _continue,
}  # fmt: skip

UNSUPPORTED: dict[type[ast.AST], tuple[str, str]] = {
    ast.While: ("`while`", "`for k in range(n)` (unrolled at capture) or `for r in halo.rdom(n)`"),
    ast.AsyncFor: ("`async for`", "for"), ast.AsyncWith: ("`async with`", ""), ast.Await: ("`await`", ""),
    ast.With: ("`with`", ""), ast.Try: ("`try`", "halo.require(cond, value) for a check at run time"),
    ast.FunctionDef: ("a nested `def`", "a helper function outside, which is inlined, or a lambda"),
    ast.AsyncFunctionDef: ("a coroutine", ""), ast.ClassDef: ("a nested class", ""),
    ast.Import: ("`import`", "import at the top of the module"),
    ast.ImportFrom: ("`import`", "import at the top of the module"),
    ast.Global: ("`global`", "a keyword-only parameter"), ast.Nonlocal: ("`nonlocal`", "a keyword-only parameter"),
    ast.Delete: ("`del`", ""), ast.AnnAssign: ("an annotated local", "a conversion: t = halo.u32(e)"),
    ast.Match: ("`match`", "if, elif, else"), ast.Yield: ("`yield`", "return the value at a point"),
    ast.YieldFrom: ("`yield from`", "return the value at a point"), ast.Starred: ("a starred expression here", ""),
}  # fmt: skip
