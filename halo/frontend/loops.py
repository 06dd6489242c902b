"""Loops: comprehensions over constants, which run at capture, and the domains of `halo.rdom`, which do not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from ..ir import functions, surface_walk
from ..ir.place import at
from ..ir.surface import Expr, Indexable, Input, RDom, Shape
from .stages import Renamed, conjunction, join
from .values import Generator, Span, Undecided, unused
from .values import elements as as_tuple

if TYPE_CHECKING:
    from .translate import Frame

__all__ = ["MOST_ITERATIONS", "domain", "elements", "iterable", "iterated", "open_domain", "reduction", "unpack"]

MOST_ITERATIONS = 1 << 16  # of a loop that is unrolled at capture

_UNROLL = "halo.rdom to loop at run time; a `for` over `range` is unrolled at capture and needs constant bounds"


def iterable(frame: Frame, node: ast.expr, target: ast.expr) -> Any:
    """What a loop over `node` runs over; an array of unknown rank in an rdom has as many axes as there are targets."""
    several = isinstance(target, (ast.Tuple, ast.List))
    starred = several and any(isinstance(e, ast.Starred) for e in target.elts)  # type: ignore[attr-defined]  # `several` says that it is a tuple
    saved, frame.wanted = frame.wanted, None if starred else len(target.elts) if several else 1  # type: ignore[attr-defined]  # `several` says that it is a tuple
    try:
        return frame.eval(node)
    finally:
        frame.wanted = saved


def iterated(frame: Frame, node: ast.AST, value: Any) -> list[Any]:
    """The elements of something that is iterated over at capture."""
    value = as_tuple(value)
    if isinstance(value, RDom):
        raise frame.fail(
            node, "a loop over an rdom runs later: it has no elements here", "sum(... for r in halo.rdom(n))"
        )
    if isinstance(value, Span):
        raise frame.fail(node, "the bounds of this range are not constants", _UNROLL)
    if isinstance(value, (Expr, Indexable, Undecided)):
        raise frame.fail(node, "an expression cannot be iterated over at capture", _UNROLL)
    items: list[Any] = frame.python(node, _listed, value)
    if len(items) > MOST_ITERATIONS:
        raise frame.fail(node, f"this loop would be unrolled more than {MOST_ITERATIONS} times", _UNROLL)
    return items


def _listed(value: Any) -> list[Any]:
    return list(islice(value, MOST_ITERATIONS + 1))


def unpack(frame: Frame, target: ast.expr, value: Any) -> None:
    """`target = value` for names and tuples of names."""
    if isinstance(target, ast.Name):
        frame.env[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack_several(frame, target, value)
    else:
        raise frame.fail(target, "this cannot be assigned to here", "a name")


def _unpack_several(frame: Frame, target: ast.Tuple | ast.List, value: Any) -> None:
    targets = target.elts
    star = next((k for k, t in enumerate(targets) if isinstance(t, ast.Starred)), None)
    items = _items(frame, target, value, None if star is not None else len(targets))
    least = len(targets) - (star is not None)
    if len(items) < least or (star is None and len(items) > least):
        raise frame.fail(target, f"{len(targets)} names are assigned {len(items)} values")
    if star is not None:
        stop = star + len(items) - least
        items = [*items[:star], items[star:stop], *items[stop:]]
    for t, item in zip(targets, items, strict=True):
        unpack(frame, t.value if isinstance(t, ast.Starred) else t, item)


def _items(frame: Frame, node: ast.AST, value: Any, count: int | None) -> list[Any]:
    if isinstance(value, Shape) and isinstance(value.target, Input) and value.target.ndim is None and count is not None:
        frame.t.inputs.rank(value.target, count, frame.source.loc(node))
    return iterated(frame, node, value)


def elements(frame: Frame, node: Any, generators: list[ast.comprehension]) -> Iterator[Any]:
    """The values of a comprehension over constants."""
    return _elements(frame.child(), node, generators)


def _elements(frame: Frame, node: Any, generators: list[ast.comprehension]) -> Iterator[Any]:
    if not generators:
        yield (frame.eval(node.key), frame.eval(node.value)) if isinstance(node, ast.DictComp) else frame.eval(node.elt)
        return
    first = generators[0]
    for item in iterated(frame, first.iter, iterable(frame, first.iter, first.target)):
        unpack(frame, first.target, item)
        if all(_kept(frame, c) for c in first.ifs):
            yield from _elements(frame, node, generators[1:])


def _kept(frame: Frame, condition: ast.expr) -> bool:
    kept = frame.condition(condition)
    if isinstance(kept, Expr):
        raise frame.fail(condition, "the `if` of a comprehension over constants is not a constant",
                         "`e if cond else 0`, or loop over halo.rdom")  # fmt: skip
    return bool(kept)


def domain(frame: Frame, node: ast.AST, *axes: Any, names: Any = None, ndim: Any = None) -> RDom:
    """`halo.rdom(*axes)` in a definition."""
    wanted = frame.wanted if ndim is None else ndim
    loc = frame.source.loc(node)
    inputs = frame.t.inputs
    shaped = [inputs.array(a, loc) if isinstance(a, Undecided) and inputs.is_array(a) else a for a in axes]
    for a in shaped:
        inner = surface_walk.base(a) if isinstance(a, Indexable) else None
        if isinstance(inner, Input) and inner.ndim is None and wanted is not None:
            inputs.rank(inner, wanted - len(shaped) + 1, loc)
    return frame.python(node, functions.rdom, *(frame.resolved(a, node) for a in shaped), names=names)  # type: ignore[no-any-return]  # calls of the user's code give anything


def open_domain(frame: Frame, target: ast.expr, over: RDom, taken: set[str]) -> tuple[RDom, Expr | None]:
    """The loop `for target in over`: a domain named by its targets, which are bound; and the condition of `over`."""
    names, pattern = _target_names(frame, target, len(over))
    if frame.main and not taken.isdisjoint(names):
        name = next(n for n in names if n in taken)
        raise frame.fail(target, f"{name} names a loop of this definition already", "give the variable another name")
    names = tuple(unused(n, taken) for n in names)
    with at(frame.source.loc(target)):
        loop = RDom(over.axes, names)
    start = 0
    for name, size in pattern:
        refs = loop.vars[start : start + (1 if size is None else size)]
        frame.env[name] = refs[0] if size is None else tuple(refs)
        start += len(refs)
    old = [(over, axis) for axis in range(len(over))]
    return loop, Renamed(dict(zip(old, loop.vars, strict=True))).optional(over.condition())


def _target_names(frame: Frame, target: ast.expr, n: int) -> tuple[tuple[str, ...], list[tuple[str, int | None]]]:
    """The names of the `n` variables, and which local is bound to how many of them (None: to one, not to a tuple)."""
    targets = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
    stars = sum(isinstance(t, ast.Starred) for t in targets)
    if targets == [target] and n != 1 and isinstance(target, ast.Name):
        targets, stars = [ast.Starred(target)], 1
    if stars > 1 or (len(targets) != n if stars == 0 else len(targets) - 1 > n):
        axes = "one axis" if n == 1 else f"{n} axes"
        raise frame.fail(target, f"the rdom has {axes} and the loop {len(targets)} targets")
    names: list[str] = []
    pattern: list[tuple[str, int | None]] = []
    for t in targets:
        name = t.value if isinstance(t, ast.Starred) else t
        if not isinstance(name, ast.Name):
            raise frame.fail(t, "the target of a loop over an rdom is a name")
        size = n - len(targets) + 1 if isinstance(t, ast.Starred) else None
        pattern.append((name.id, size))
        names += [_fresh(name.id, names)] if size is None else [f"{name.id}{k}" for k in range(size)]
    return tuple(names), pattern


def _fresh(name: str, names: list[str]) -> str:
    """`_` may be a target several times."""
    return f"_{len(names)}" if name == "_" and name in names else name


def reduction(op: str, generator: Generator, start: Any) -> Any:
    """`sum(e for r in halo.rdom(n) if c)` and its like; None if the generator is not over an rdom."""
    inner, node = generator.frame.child(), generator.node
    opened: list[RDom] = []
    conditions: list[Any] = []
    taken = inner.t.loop_names()
    for k, g in enumerate(node.generators):
        over = iterable(inner, g.iter, g.target)
        if not isinstance(over, RDom):
            if k == 0 and not any(_over_rdom(x) for x in node.generators[1:]):
                return None
            raise inner.fail(g.iter, "the loops of a reduction are all over an rdom, or all over constants",
                             "halo.rdom(3) for range(3)")  # fmt: skip
        loop, condition = open_domain(inner, g.target, over, taken)
        taken |= set(loop.names)
        opened.append(loop)
        conditions += [] if condition is None else [condition]
        conditions += [inner.condition(c) for c in g.ifs]
    return _reduced(op, inner, tuple(opened), conditions, inner.expr(node.elt), start)


def _over_rdom(g: ast.comprehension) -> bool:
    return isinstance(g.iter, ast.Call) and ast.unparse(g.iter.func).split(".")[-1] == "rdom"


def _reduced(op: str, frame: Frame, opened: tuple[RDom, ...], conditions: list[Any], value: Expr, start: Any) -> Any:
    whole, renamed = join(opened)
    condition: Any = conjunction(conditions)
    if isinstance(condition, Expr):
        condition = renamed.expr(condition)
    where = None if condition is True else condition
    return functions.reduce(op, (renamed.expr(value),), cast(RDom, whole), where, start)
