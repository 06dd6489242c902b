"""Choose nests: of those that `specialize` and the default schedule make for some calls only, what the call at hand asks for.

    if c == 3: A else: B; C        ->      check c == 3; if c == 3: A; C

What the other nests would cost to compile, only calls that need them pay: there the check fails, and a kernel is made
whose nests are those of that call.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir import algebra as A
from ..ir.expr import Expr, Var, is_false, is_true
from ..ir.pipeline import Pipeline
from ..ir.stmt import If, Let, Stmt
from .infer_bounds import Lets, closed, wrap
from .walk import map_stmt


def choose_nests(s: Stmt, p: Pipeline, call: Mapping[Var, Expr]) -> tuple[Stmt, tuple[Expr, ...]]:
    """`s` with the nests of calls where the variables are as in `call`, and what other calls have to have in common
    with them. Conditions that `call` does not decide stay."""
    conditions = {cond for f in p.functions for d in f.definitions for cond, _ in d.specializations}
    if not conditions or not call:
        return s, ()
    lets, root = Lets(), s
    while isinstance(root, Let):
        lets.append((root.var, root.value))
        root = root.body
    values, assumed, known = closed(lets), dict[Expr, None](), dict[Expr, None]()

    def visit(s: Stmt) -> Stmt:
        if isinstance(s, If) and s.orelse is not None and s.cond in conditions:
            cond = A.substitute(s.cond, values)
            holds = A.substitute(cond, dict(call))
            if is_true(holds):
                assumed[cond] = None
                if cond is not s.cond:  # of the region of some stage
                    return If(s.cond, visit(s.then), None, s.likely)
                known[cond] = None
                return visit(s.then)
            if is_false(holds):
                assumed[A.not_(cond)] = None
                return visit(s.orelse)
        return map_stmt(s, visit)

    s = visit(root)
    if known:  # to the passes to come, of all stages
        s = If(A.all_of(known), s)
    return wrap(lets, s), tuple(assumed)
