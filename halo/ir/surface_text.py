"""Surface expressions as Python text, for `repr`."""

from __future__ import annotations

from typing import Any

from .surface import Access, Call, Expr, Extent, IndexVar, Item, Literal, Param, Reduction, RVarRef, Undef

__all__ = ["text"]

_INFIX = {
    "lor": (1, " or "), "land": (2, " and "), "lt": (4, " < "), "le": (4, " <= "), "gt": (4, " > "), "ge": (4, " >= "),
    "eq": (4, " == "), "ne": (4, " != "), "or": (5, " | "), "xor": (6, " ^ "), "and": (7, " & "), "shl": (8, " << "),
    "shr": (8, " >> "), "add": (9, " + "), "sub": (9, " - "), "mul": (10, "*"), "div": (10, "/"),
    "floordiv": (10, "//"), "mod": (10, " % "),
}  # fmt: skip
_PREFIX = {"lnot": (3, "not "), "neg": (11, "-"), "not": (11, "~")}
_COMPARISON, _UNARY, _POWER, _ATOM = 4, 11, 12, 13


def text(e: Expr, depth: int = 40) -> str:
    """`e` as Python would write it; deeper than `depth`, an ellipsis."""
    return _text(e, depth)[1]


def _text(e: Any, depth: int) -> tuple[int, str]:
    """The precedence and the text of `e`."""
    if depth == 0:
        return _ATOM, "..."

    def inside(child: Any, least: int = 0) -> str:
        level, s = _text(child, depth - 1)
        return s if level >= least else f"({s})"

    def listed(children: Any) -> str:
        return ", ".join(inside(c) for c in children)

    match e:
        case Literal():
            number = repr(e.value)
            if e.type is not None:
                return _ATOM, f"{e.type.name}({number})"
            return (_UNARY if number.startswith("-") else _ATOM), number
        case IndexVar() | Param() | RVarRef():
            return _ATOM, e.name
        case Extent():
            return _ATOM, f"{e.target.name}.shape[{e.axis}]"
        case Access():
            return _ATOM, f"{e.target.name}[{listed(e.indices)}]" + ("" if e.item is None else f"[{e.item}]")
        case Call(op="cast"):
            return _ATOM, f"{e.data.name}({listed(e.args)})"
        case Call(op="pow"):
            return _POWER, f"{inside(e.args[0], _ATOM)}**{inside(e.args[1], _UNARY)}"
        case Call(op=op) if op in _INFIX and len(e.args) == 2:
            level, sign = _INFIX[op]
            chains = level != _COMPARISON
            return level, inside(e.args[0], level + (not chains)) + sign + inside(e.args[1], level + 1)
        case Call(op=op) if op in _PREFIX:
            level, sign = _PREFIX[op]
            return level, sign + inside(e.args[0], level)
        case Call():
            return _ATOM, f"{e.op}({listed(e.args)})"
        case Item():
            return _ATOM, f"{inside(e.reduction)}[{e.index}]"
        case Reduction():
            where = "" if e.pred is None else f" if {inside(e.pred, 1)}"
            domain = ", ".join(inside(n) if _zero(lo) else f"({inside(lo)}, {inside(n)})" for lo, n in e.rdom.axes)
            start = "" if e.start is None else f", {inside(e.start)}"
            loop = f"{listed(e.values)} for {', '.join(e.rdom.names)} in rdom({domain}){where}"
            return _ATOM, f"{e.op}({loop})" if not start else f"{e.op}(({loop}){start})"
        case Undef():
            return _ATOM, "undef"
    return _ATOM, object.__repr__(e)


def _zero(e: Any) -> bool:
    return isinstance(e, Literal) and e.value == 0
