"""Skip stages: what is produced is not computed when the conditions of all its readers are false.

    produce f; for y: for x: out[y, x] = f[y, x] if flag else 0    ->    if flag: produce f

Only conditions that hold, or do not, for the whole production count: on parameters, outer loops, and values that are
there already (`active[tile_y, tile_x]`). Not for storage that outlives the site: later iterations may need the values.
What `bound` promises of the outputs counts as known: a call that breaks it runs another copy.
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Op, Read, Var, children, is_false, is_true, reads
from ..ir.facts import free_vars
from ..ir.pipeline import Pipeline
from ..ir.stmt import Block, Extern, For, If, Let, Produce, Realize, Stmt, block
from ..types import index
from .walk import exprs, map_stmt, substmts

Known = dict[Var, Expr]


def skip_stages(s: Stmt, p: Pipeline) -> Stmt:
    known: Known = {}
    for f in (p[name] for name in p.outputs):
        for d, lo, n in f.bound:
            known.update({f.array.extents[d]: n} if lo is None else {f.array.mins[d]: lo, f.array.extents[d]: n})
    return _visit(s, known, frozenset(), frozenset())


def _visit(s: Stmt, known: Known, there: frozenset[Array], own: frozenset[Array]) -> Stmt:
    """`there`: Arrays whose values are known already. `own`: those stored round this very site."""
    match s:
        case Realize():
            return s.replace(body=_visit(s.body, known, there, own | {s.what}))
        case Block():
            done: list[Stmt] = []
            for k, t in enumerate(s.stmts):
                if isinstance(t, Produce):
                    inner = t.replace(body=_visit(t.body, known, there, frozenset()))
                    rest = Block(s.stmts[k + 1 :])
                    done.append(_conditional(inner, rest, known, there) if t.what in own else inner)
                    there |= {t.what}
                else:
                    done.append(_visit(t, known, there, frozenset()))
            return block(*done)
        case Let():
            return s.replace(body=_visit(s.body, known, there, own))
    return map_stmt(s, lambda t: _visit(t, known, there, frozenset()))


def _conditional(s: Produce, rest: Stmt, known: Known, there: frozenset[Array]) -> Stmt:
    used = _used(rest, s.what, known)
    if is_true(used) or is_false(used):
        return s
    if any(r.array not in there and r.array.kind != "input" for r in reads((used,))):
        return s
    memo: dict[Expr, Expr] = {}
    return If(A.rewrite(used, lambda e: _inside(e) if isinstance(e, Read) else None, memo), s)


def _inside(r: Read) -> Read:
    """The read, where the array has that point: a condition may now be evaluated where no reader would be."""
    conditions = [] if r.pred is None else [r.pred]
    for i, lo, n in zip(r.indices, r.array.mins, r.array.extents, strict=True):
        first = Const(0, index) if r.array.kind == "input" else lo
        conditions += [A.le(first, i), A.lt(i, A.add(first, n))]
    return Read(r.array, r.indices, r.item, A.all_of(conditions))


def _used(s: Stmt, what: Array, known: Known) -> Expr:
    """A condition that holds whenever `s` reads `what`."""
    if isinstance(s, Extern):
        return A.true() if what in s.inputs else A.false()
    memo: dict[Expr, Expr] = {}
    own: Expr = A.false()
    for e in exprs(s):
        own = A.or_(own, _read_when(e, what, memo))
        if is_true(own):
            return own
    if isinstance(s, If):
        then = A.and_(s.cond, _used(s.then, what, known))
        orelse = A.false() if s.orelse is None else A.and_(A.not_(s.cond), _used(s.orelse, what, known))
        return A.or_(own, A.or_(then, orelse))
    for t in substmts(s):
        inner = _used(t, what, known)
        if isinstance(s, Let):
            inner = A.substitute(inner, {s.var: s.value})
        elif isinstance(s, For):
            inner = _whatever(A.substitute(inner, known), s.var)
        own = A.or_(own, inner)
        if is_true(own):  # most often the next stage reads it, whatever comes after
            break
    return own


def _read_when(e: Expr, what: Array, memo: dict[Expr, Expr]) -> Expr:
    found: Expr | None = memo.get(e)
    if found is None:
        if isinstance(e, Read) and e.array is what:
            found = A.true()
        elif isinstance(e, Op) and e.name == "select":
            cond, then, other = e.args
            found = A.or_(
                _read_when(cond, what, memo),
                A.or_(A.and_(cond, _read_when(then, what, memo)), A.and_(A.not_(cond), _read_when(other, what, memo))),
            )
        else:
            found = A.false()
            for c in children(e):
                found = A.or_(found, _read_when(c, what, memo))
        memo[e] = found
    return found


def _whatever(cond: Expr, v: Var) -> Expr:
    """A condition without `v` that holds whenever `cond` does for some v."""
    if v not in free_vars(cond):
        return cond
    if isinstance(cond, Op) and cond.name in ("and", "or"):
        a, b = (_whatever(c, v) for c in cond.args)
        return A.and_(a, b) if cond.name == "and" else A.or_(a, b)
    return A.true()
