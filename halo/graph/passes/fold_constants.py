"""Fold constants: a call whose arguments are all constants is computed now, by the operator itself, as is one that has no
entries; an If of a constant is one of its branches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from halo import nn
from halo.ir.shapes import DimExpr
from halo.nn import TensorType

from ..ir import (
    Call,
    Constant,
    Control,
    Expr,
    Function,
    Global,
    If,
    Item,
    Let,
    Tuple,
    Var,
    constant,
    walk,
    with_children,
)
from ..module import Module, in_bodies
from ..symbolic import inlined

MOST = 2**28  # bytes of what shapes may depend on
SMALL = 2**22  # bytes: what is larger, and much larger than its arguments, is better made again by each call


def fold_constants(m: Module) -> Module:
    return in_bodies(m, _folded)


def _folded(f: Function) -> Function:
    """An array goes with the last that reads it, so that the next one can be in its memory: new pages cost more than weights
    that are scaled and packed. What `rewrite` makes stays, as passes know it by its id."""
    unread = Counter(id(c) for e in walk(f.body) for c in e.children)
    new: dict[int, Expr] = {}
    for e in walk(f.body):
        new[id(e)] = folded(with_children(e, tuple(new[id(c)] for c in e.children)))
        for c in e.children:
            unread[id(c)] -= 1
            if not unread[id(c)]:
                del new[id(c)]
    return replace(f, body=new[id(f.body)])


def folded(e: Expr) -> Expr:
    """`e`, if all its arguments are constants, as what it is; and an If or an Item whose choice is known."""
    if isinstance(e, If) and isinstance(e.condition, Constant):
        return inlined(e.then if e.condition.data.item() else e.otherwise, e.args)
    if isinstance(e, Item) and isinstance(e.value, Tuple):
        return e.value.fields[e.index]
    if not isinstance(e, Call) or isinstance(e.op, Global) or not e.children:
        return e
    if 0 in e.type.shape and e.op is not nn.broadcast_to and (_known(e) or not _tells(e)):
        # nothing is computed, nor asked for to be read
        return constant(nn.broadcast_to(Constant(np.zeros((), e.type.dtype.dtype)), shape=e.type.shape))
    if not all(isinstance(c, Constant) for c in e.children) or not _known(e):
        return e
    arrays = tuple(None if a is None else a.data for a in e.args if a is None or isinstance(a, Constant))
    if e.type.bytes > max(SMALL, 4 * sum(a.nbytes for a in arrays if a is not None)):
        return e
    name = next(c.name for c in e.children if isinstance(c, Constant))
    return Constant(e.op.eager(arrays, e.attrs), name)


def _tells(e: Call) -> bool:
    """Whether what it is made of may tell an extent that nothing else does."""
    return any(isinstance(x, (Let, Control)) for x in walk(e))


def _known(e: Call) -> bool:
    """Whether nothing in it depends on the extents of a call."""
    shape = e.type.shape if isinstance(e.type, TensorType) else ()
    given = (n for _, v in e.attributes for n in (v if isinstance(v, tuple) else (v,)))
    return not any(isinstance(n, DimExpr) for n in (*shape, *given))


def value_of(e: Expr, given: Mapping[str, Any]) -> np.ndarray[Any, Any] | None:
    """What `e` is, computed by the operators themselves; None if it depends on a parameter that is not `given` by name."""
    made: dict[int, Any] = {}
    for x in walk(e):
        if isinstance(x, Constant):
            made[id(x)] = x.data
        elif isinstance(x, Var) and x.name in given:
            made[id(x)] = np.asarray(given[x.name])
        elif isinstance(x, Call) and not isinstance(x.op, Global) and _known(x) and x.type.bytes <= MOST:
            made[id(x)] = x.op.eager(tuple(None if a is None else made[id(a)] for a in x.args), x.attrs)
        else:
            return None
    return made[id(e)]  # type: ignore[no-any-return]  # an array
