"""Skip stages: what is produced is not computed when the conditions of all its readers are false.

    produce f; for y: for x: out[y, x] = f[y, x] if flag else 0    ->    if flag: produce f

Only conditions that hold, or do not, for the whole production count: on parameters, outer loops, and values that are
there already (`active[tile_y, tile_x]`). Not for storage that outlives the site: later iterations may need the values.
What `bound` promises of the outputs counts as known: a call that breaks it runs another copy.
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Op, Read, Var, children, is_false, is_true, reads
from ..ir.facts import arrays_read, free_vars
from ..ir.pipeline import Pipeline
from ..ir.stmt import Block, Extern, For, Hoist, If, Let, Memoize, Produce, Realize, Stmt, block, substmts
from ..types import index
from .compute_with import fused_groups
from .walk import exprs, map_stmt


def skip_stages(s: Stmt, p: Pipeline) -> Stmt:
    known: dict[Var, Expr] = {}
    for f in (p[name] for name in p.outputs):
        for d, lo, n in f.bound:
            known.update({f.array.extents[d]: n} if lo is None else {f.array.mins[d]: lo, f.array.extents[d]: n})
    joined = frozenset(f.array for group in fused_groups(p) if len(group) > 1 for f in group)
    return _Skip(known, joined).visit(s, frozenset(), frozenset())


class _Skip:
    """`known`: what the outputs' regions are promised to be. `joined`: what compute_with has others computed with."""

    def __init__(self, known: dict[Var, Expr], joined: frozenset[Array]) -> None:
        self.known, self.joined = known, joined
        self.read: dict[Stmt, frozenset[Array]] = {}
        self.made: set[Stmt] = set()  # the `if`s round productions, whose conditions are those of later readers again

    def visit(self, s: Stmt, there: frozenset[Array], own: frozenset[Array]) -> Stmt:
        """`there`: Arrays whose values are known already. `own`: those stored round this very site."""
        match s:
            case Realize():
                return s.replace(body=self.visit(s.body, there, own | {s.what}))
            case Block():
                return self.in_order(s, there, own)
            case Let():
                return s.replace(body=self.visit(s.body, there, own))
            case Memoize():
                body = self.visit(s.body, there, own)
                return s.replace(body=body, when=self.asked(body, s.what))
        return map_stmt(s, lambda t: self.visit(t, there, frozenset()))

    def in_order(self, s: Block, there: frozenset[Array], own: frozenset[Array]) -> Stmt:
        """From the last statement to the first: what only a skipped stage would read is skipped too."""
        before = []
        for t in s.stmts:
            before.append(there)
            there |= {t.what} if isinstance(t, Produce) else frozenset()
        done: list[Stmt] = []
        for t, arrays in zip(reversed(s.stmts), reversed(before), strict=True):
            inner = self.visit(t, arrays, frozenset())
            if isinstance(inner, Produce) and inner.what in own - self.joined:
                inner = self.conditional(inner, Block(tuple(done)), arrays)
            done.insert(0, inner)
        return block(*done)

    def conditional(self, s: Produce, rest: Stmt, there: frozenset[Array]) -> Stmt:
        used = self.used(rest, s.what)
        if is_true(used) or is_false(used):
            return s
        if any(r.array not in there and r.array.kind != "input" for r in reads((used,))):
            return s
        memo: dict[Expr, Expr] = {}
        made = If(A.rewrite(used, lambda e: _inside(e) if isinstance(e, Read) else None, memo), s)
        self.made.add(made)
        return made

    def asked(self, s: Stmt, what: Array) -> Expr | None:
        """The condition of the production of `what` at this site, if that is known before everything here."""
        inside: set[Expr] = set()
        while isinstance(s, Realize | Hoist | Memoize):
            inside |= {s.missed} if isinstance(s, Memoize) else set()
            s = s.body
        for t in s.stmts if isinstance(s, Block) else (s,):
            if t in self.made and isinstance(t, If) and isinstance(t.then, Produce) and t.then.what is what:
                known = inside.isdisjoint(free_vars(t.cond)) and not any(True for _ in reads((t.cond,)))
                return t.cond if known else None
        return None

    def arrays(self, s: Stmt) -> frozenset[Array]:
        """The Arrays that are read anywhere in `s`."""
        found = self.read.get(s)
        if found is None:
            own = [frozenset(s.inputs)] if isinstance(s, Extern) else [arrays_read(e) for e in exprs(s)]
            found = self.read[s] = frozenset[Array]().union(*own, *map(self.arrays, substmts(s)))
        return found

    def used(self, s: Stmt, what: Array) -> Expr:
        """A condition that holds whenever `s` reads `what`."""
        if what not in self.arrays(s):
            return A.false()
        if isinstance(s, Extern):
            return A.true() if what in s.inputs else A.false()
        memo: dict[Expr, Expr] = {}
        own: Expr = A.false()
        for e in () if s in self.made else exprs(s):
            own = A.or_(own, _read_when(e, what, memo))
            if is_true(own):
                return own
        if isinstance(s, If):
            then = A.and_(s.cond, self.used(s.then, what))
            orelse = A.false() if s.orelse is None else A.and_(A.not_(s.cond), self.used(s.orelse, what))
            return A.or_(own, A.or_(then, orelse))
        for t in substmts(s):
            inner = self.used(t, what)
            if isinstance(s, Let):
                inner = A.substitute(inner, {s.var: s.value})
            elif isinstance(s, For):
                inner = _whatever(A.substitute(inner, self.known), s.var)
            elif isinstance(s, Memoize):
                inner = _whatever(inner, s.missed)
            own = A.or_(own, inner)
            if is_true(own):  # most often the next stage reads it, whatever comes after
                break
        return own


def _inside(r: Read) -> Read:
    """The read, where the array has that point: a condition may now be evaluated where no reader would be."""
    conditions = [] if r.pred is None else [r.pred]
    for i, lo, n in zip(r.indices, r.array.mins, r.array.extents, strict=True):
        first = Const(0, index) if r.array.kind == "input" else lo
        conditions += [A.le(first, i), A.lt(i, A.add(first, n))]
    return Read(r.array, r.indices, r.item, A.all_of(conditions))


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
