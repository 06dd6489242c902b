"""Directives that put a copy of a Func between it and its readers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ..errors import Location
from ..ir import algebra as A
from ..ir.expr import Array, Expr, Read, Var
from ..ir.pipeline import Definition, Function
from .directive import MAYBE_TARGETS, TARGETS, Directive, Stage, Target, arg, directive
from .rewrite import mapped

__all__ = ["CloneIn", "EagerInline", "In", "Structural", "inlined", "wrapper"]


@dataclass(frozen=True)
class Structural(Directive):
    """A directive that makes a new Func. `made` is that Func where the user schedules, its name in a Schedule."""

    returns: ClassVar[str] = "made"
    made: Any = field(default=None, kw_only=True, compare=False, repr=False)

    def made_name(self, owner: str) -> str:
        """What the new Func is called unless the name is taken."""
        raise NotImplementedError

    def dump(self) -> dict[str, Any]:
        return super().dump() | {"made": self.made}

    @classmethod
    def restore(cls, data: dict[str, Any], loc: Location | None) -> Any:
        return replace(super().restore(data, loc), made=str(data["made"]))


@directive("in_", on="func")
class In(Structural):
    """Make a Func that copies this one, and let `consumer` (a Func or a list; all, if it is left out) read the copy.

        g[x] = f[x - 1] + f[x]   ->   f_in_g[x] = f[x]
                                      g[x] = f_in_g[x - 1] + f_in_g[x]

    The new Func, `f_in` or `f_in_g`, has the axes of `f` and is scheduled on its own: what `g` reads is staged, or `f`
    is computed in one layout and read in another. Of an input, its axes are called `i0`, `i1`, ...
    """

    once: ClassVar[bool] = True
    consumer: tuple[Target, ...] | None = arg(MAYBE_TARGETS, default=None)

    def check(self, stage: Stage) -> None:
        _check_consumers(self, stage, self.consumer)

    def made_name(self, owner: str) -> str:
        return "_".join((owner, "in", *(t.name for t in self.consumer or ())))


@directive("clone_in", on="func")
class CloneIn(Structural):
    """Make a second Func like this one, its directives so far included, and let `consumer` (a Func or a list) read it.

        g[x] = f[x];  h[x] = f[x]   ->   g[x] = f_clone_g[x];  h[x] = f[x]

    The new Func, `f_clone_g`, is computed apart from `f` and scheduled on its own.
    """

    once: ClassVar[bool] = True
    consumer: tuple[Target, ...] = arg(TARGETS)

    def check(self, stage: Stage) -> None:
        _check_consumers(self, stage, self.consumer)

    def made_name(self, owner: str) -> str:
        return "_".join((owner, "clone", *(t.name for t in self.consumer)))


def _check_consumers(d: Directive, stage: Stage, consumers: tuple[Target, ...] | None) -> None:
    if consumers == ():
        d.refuse(stage, "the list of consumers is empty")
    for t in consumers or ():
        if t.is_of(stage.label):
            d.refuse(stage, "a stage cannot be its own consumer")
        if t.stage is not None:
            d.refuse(stage, f"{t} is one stage of a Func: the whole Func reads the copy", hint=str(t).split(".")[0])


def wrapper(name: str, array: Array, vars: tuple[Var, ...], like: Function | None) -> Function:
    """The Function `name` whose values are those of `array`, point by point."""
    own = tuple(Var(v.name) for v in vars)
    values: list[Expr | None] = [Read(array, own, k) for k in range(len(array.types))]
    loc = None if like is None else like.loc
    made = Function(
        name, own, array.types, Array(name, array.types, array.ndim), (Definition(own, tuple(values), loc=loc),)
    )
    return replace(made, loc=loc)


@directive("eager_inline")
class EagerInline(Directive):
    """Put the definitions of the pure `funcs` in the place of their values in this stage now, before what follows looks at it.

    f[x] = g[f[x], img[r]]  (g[a, b] = a + b)   ->   f[x] = f[x] + img[r]:  rfactor sees the sum
    """

    funcs: tuple[Target, ...] = arg(TARGETS, star=True)


def inlined(d: Definition, functions: list[Function]) -> Definition:
    """`d` with the values of the pure `functions` replaced by what they are computed from."""
    bodies = {f.array: f for f in functions}
    memo: dict[Expr, Expr] = {}

    def through(e: Expr) -> Expr | None:
        f = bodies.get(e.array) if isinstance(e, Read) else None
        if f is None or not isinstance(e, Read):
            return None
        at: dict[Any, Expr] = {v: visit(i) for v, i in zip(f.vars, e.indices, strict=True)}
        value = f.definitions[0].values[e.item]
        assert value is not None
        value = visit(A.substitute(value, at))
        return value if e.pred is None else A.select(visit(e.pred), value, A.const(0, e.type))

    def visit(e: Expr) -> Expr:
        return A.rewrite(e, through, memo)

    return mapped(d, visit)
