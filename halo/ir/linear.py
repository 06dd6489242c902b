"""The canonical form of sums of index expressions."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from ..types import index
from .expr import Const, Expr, Lin, Op

_UID = attrgetter("uid")


def parts(e: Expr) -> tuple[tuple[tuple[Expr, int], ...], int]:
    """`e` as (terms, constant)."""
    if isinstance(e, Lin):
        return e.terms, e.const
    if isinstance(e, Const):
        return (), e.value
    return ((e, 1),), 0


def linear(terms: Iterable[tuple[Expr, int]], constant: int) -> Expr:
    """The canonical expression for `constant + sum(coef * atom)`; the atoms may repeat, in any order."""
    coefs: dict[Expr, int] = {}
    for atom, k in terms:
        coefs[atom] = coefs.get(atom, 0) + k
    live = [atom for atom, k in coefs.items() if k]
    if not live:
        return Const(constant, index)
    if len(live) == 1:
        if constant == 0 and coefs[live[0]] == 1:
            return live[0]
    else:
        live.sort(key=_UID)
    return Lin(tuple([(atom, coefs[atom]) for atom in live]), constant)


def shifted(e: Expr, by: int) -> Expr:
    """`e + by`."""
    if isinstance(e, Lin):
        if e.const + by == 0 and len(e.terms) == 1 and e.terms[0][1] == 1:
            return e.terms[0][0]
        return Lin(e.terms, e.const + by)
    if isinstance(e, Const):
        return Const(e.value + by, index)
    return Lin(((e, 1),), by) if by else e


def common_part(sums: list[Expr]) -> Expr:
    """The terms that all of the sums have, and their constant if it is the same."""
    (first, c), *others = (parts(e) for e in sums)
    shared = [t for t in first if all(t in terms for terms, _ in others)]
    return linear(shared, c if all(k == c for _, k in others) else 0)


def parity(sums: list[Expr]) -> Op | None:
    """The `x % 2` that is all that changes in the sums, if there is one."""
    atoms = {atom for e in sums for atom, _ in parts(e)[0]}
    atom = atoms.pop()
    if atoms or not (isinstance(atom, Op) and atom.name == "mod"):
        return None
    return atom if isinstance(atom.args[1], Const) and atom.args[1].value == 2 else None
