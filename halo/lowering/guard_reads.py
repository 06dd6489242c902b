"""Guard reads: an access in one arm of a select whose condition bounds its indices happens only where that arm is taken.

`img[y, x - 1] if x > 0 else 0` needs, and touches, `img` only where x > 0: the `Read` gets the condition as its
predicate. Conditions on data, and those that are not affine in a variable or a term of the indices, do not narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..ir import algebra as A
from ..ir.expr import Expr, Op, Read, is_false, is_true
from ..ir.facts import free_vars
from ..ir.linear import parts
from ..ir.pipeline import Definition, Function, Pipeline
from ..types import index


def guard_reads(p: Pipeline) -> Pipeline:
    memo: dict[tuple[Expr, Expr], Expr] = {}

    def guarded(e: Expr, under: Expr) -> Expr:
        key = (e, under)
        if key not in memo:
            memo[key] = _visit(e, under)
        return memo[key]

    def _visit(e: Expr, under: Expr) -> Expr:
        if isinstance(e, Read):
            pred = A.all_of(c for c in A.conjuncts(under) if _narrows(c, e))
            indices = tuple(guarded(i, under) for i in e.indices)
            own = pred if e.pred is None else A.and_(e.pred, pred)
            return Read(e.array, indices, e.item, None if is_true(own) else own)
        if isinstance(e, Op) and e.name == "select":
            cond, then, other = e.args
            c = guarded(cond, under)
            return A.select(
                c, guarded(then, A.and_(under, _affine(cond))), guarded(other, A.and_(under, _affine(A.not_(cond))))
            )
        return A.map_children(e, lambda c: guarded(c, under))

    return replace(p, functions=tuple(_map(f, lambda e: guarded(e, A.true())) for f in p.functions))


def _map(f: Function, go: Callable[[Expr], Expr]) -> Function:
    def definition(d: Definition) -> Definition:
        return replace(
            d,
            indices=tuple(go(i) for i in d.indices),
            values=tuple(None if v is None else go(v) for v in d.values),
            pred=None if d.pred is None else _guarding(d.pred, go(d.pred)),
        )

    return replace(f, definitions=tuple(definition(d) for d in f.definitions))


def _guarding(pred: Expr, guarded: Expr) -> Expr:
    """The predicate of an update, what is affine in it first where it reads something."""
    if guarded is pred:
        return pred
    return A.all_of(dict.fromkeys([*A.conjuncts(_affine(pred)), *A.conjuncts(guarded)]))


def _affine(cond: Expr) -> Expr:
    """The conjuncts of `cond` that compare index expressions."""
    return A.all_of(
        c for c in _conjuncts(cond) if isinstance(c, Op) and c.name in ("le", "eq") and c.args[0].type is index
    )


def _conjuncts(cond: Expr) -> Iterator[Expr]:
    """What holds where `cond` does. `select(a, b, False)` is a conjunction that looks at `b` only where `a` holds, and
    `not select(a, True, b)` that of the opposites."""
    for c in A.conjuncts(cond):
        inner = c.args[0] if isinstance(c, Op) and c.name == "not" else None
        if isinstance(c, Op) and c.name == "select" and is_false(c.args[2]):
            yield from (*_conjuncts(c.args[0]), *_conjuncts(c.args[1]))
        elif isinstance(inner, Op) and inner.name == "select" and is_true(inner.args[1]):
            yield from (*_conjuncts(A.not_(inner.args[0])), *_conjuncts(A.not_(inner.args[2])))
        elif isinstance(inner, Op) and inner.name == "or":
            yield from (*_conjuncts(A.not_(inner.args[0])), *_conjuncts(A.not_(inner.args[1])))
        else:
            yield c


def _narrows(cond: Expr, read: Read) -> bool:
    """Whether `cond` is affine in a variable that the indices of `read` depend on, or in a term of one (`x % 8`)."""
    assert isinstance(cond, Op)
    atoms = _atoms(A.sub(cond.args[1], cond.args[0]))
    return any(not atoms.isdisjoint(free_vars(i)) or not atoms.isdisjoint(_atoms(i)) for i in read.indices)


def _atoms(e: Expr) -> set[Expr]:
    return {atom for atom, _ in parts(e)[0]}
