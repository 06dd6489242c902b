"""Unroll: an unrolled loop becomes one copy of its body an iteration; where only an upper bound of their number is
known, each copy is guarded. Where none is known since promises do not hold, it stays a loop."""

from __future__ import annotations

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir.expr import Const
from ..ir.facts import const_bounds
from ..ir.stmt import For, If, Stmt, block
from ..types import index
from .inline_lets import substitute
from .walk import map_stmt

LIMIT = 1024


def unroll(s: Stmt, promises: bool) -> Stmt:
    """`promises`: those of the schedule hold. A loop that is too long even then is the schedule's fault."""
    s = map_stmt(s, lambda t: unroll(t, promises))
    if not (isinstance(s, For) and s.kind == "unroll"):
        return s
    count = const_bounds(s.extent)[1]
    if count is None or count > LIMIT:
        if not promises:
            return s.replace(kind="serial")
        raise ScheduleError(
            f"the unrolled loop {s.label} has no constant number of iterations" if count is None else
            f"the unrolled loop {s.label} has {count} iterations: too many copies",
            hint=f"unroll({s.label.rpartition('.')[2]!r}, 4)",
        )  # fmt: skip
    copies = []
    for k in range(count):
        body = substitute(s.body, {s.var: A.add(s.lo, Const(k, index))})
        copies.append(body if isinstance(s.extent, Const) else If(A.lt(Const(k, index), s.extent), body))
    return block(*copies)
