"""Requirements inside definitions: each gets a status of its own, and its message goes among the kernel's checks."""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Expr, Op
from ..ir.pipeline import CheckInfo
from ..ir.stmt import Stmt
from .walk import map_exprs


def requirements(s: Stmt, checks: tuple[CheckInfo, ...]) -> tuple[Stmt, tuple[CheckInfo, ...]]:
    """`s` with the status that a kernel ends with in place of each requirement's message, and all the checks.

    require(a[x] > 0, a[x]; ("a is {}", place))   ->   require(a[x] > 0, a[x]; 3)
    """
    infos = list(checks)
    memo: dict[Expr, Expr] = {}

    def numbered(e: Expr) -> Expr | None:
        if not isinstance(e, Op) or e.name != "require" or isinstance(e.data, int):
            return None
        message, loc = e.data
        args = tuple(A.rewrite(a, numbered, memo) for a in e.args)
        infos.append(CheckInfo("require", message=message, loc=loc, types=tuple(a.type for a in args[1:])))
        return Op("require", args, e.type, len(infos))

    return map_exprs(s, lambda e: A.rewrite(e, numbered, memo)), tuple(infos)
