"""Dot products: sums of neighbouring products of bytes or 16-bit integers become an instruction that adds them up.

    x + reduce_add(i32(a)*i32(b), 16), a and b of 64 lanes    ->    dot_u8i8_i32(x, a, b)

It is what `tensorize` gives, found where vectors are already made; integers alone, whose sums are the same in any order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..ir import algebra as A
from ..ir.expr import Broadcast, Cast, Expr, Instruction, Op, Reduce
from ..ir.intrinsic import Code, Intrinsic, Meaning, declared
from ..ir.stmt import Stmt, Store
from ..types import Type
from .walk import map_stmt

__all__ = ["dot_products"]


def dot_products(s: Stmt, has: Callable[[str], bool]) -> Stmt:
    """`has` knows the features of the target."""

    @functools.cache
    def known() -> list[tuple[Intrinsic, Code]]:
        """The exact ones of this target; few pipelines need to know them."""
        found = ((i, i.code(has)) for i in declared.values() if i.built_in and not i.rounds)
        return [(i, code) for i, code in found if code is not None]

    def visit(s: Stmt) -> Stmt:
        if not (isinstance(s, Store) and s.atomic):
            return map_stmt(s, visit)
        e = s.value
        if isinstance(e, Op) and e.name == "add" and e.type.is_int and e.lanes > 1:
            for total, sums in (e.args, e.args[::-1]):
                if (
                    isinstance(sums, Reduce)
                    and sums.name == "add"
                    and isinstance(sums.value, Op)
                    and sums.value.name == "mul"
                ):
                    for i, code in known():
                        operands = _operands(i.meaning, sums, sums.value)
                        if operands is not None:
                            return s.replace(value=Instruction(code, (total, *operands), e.type, e.lanes))
        return s

    return visit(s)


def _operands(m: Meaning, sums: Reduce, product: Op) -> tuple[Expr, ...] | None:
    """What takes the places of the operands of the dot product `m`, if `sums`, of products, is it; else None."""
    lanes, depth = m.extents[m.vars[0]], m.extents[m.rvars[0]]
    if sums.type is not m.own.types[0] or (sums.n, product.lanes) != (lanes, lanes * depth):
        return None
    first, second = m.operands
    for x, y in (product.args, product.args[::-1]):
        a, b = _narrow(x, first.type), _narrow(y, second.type)
        if a is not None and b is not None:
            return a, b
    return None


def _narrow(e: Expr, type: Type) -> Expr | None:
    """The vector of `type` that `e` is converted from."""
    if isinstance(e, Broadcast):
        inner = _narrow(e.value, type)
        return None if inner is None else A.broadcast(inner, e.lanes) if inner.lanes == 1 else Broadcast(inner, e.n)
    return e.value if isinstance(e, Cast) and e.value.type is type else None
