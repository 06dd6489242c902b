"""Directives that choose between schedules at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..errors import Location
from .directive import CONDITION, Directive, Stage, Target, arg, directive, registry
from .scalar import Scalar

__all__ = ["Specialize", "Within"]


@directive("specialize")
class Specialize(Directive):
    """Make a second nest for the calls where `condition` (of parameters and extents) holds.

        f.specialize(w >= 16).vectorize("x", 16)     ->   if w >= 16: for y: for x: vector x_v in 0..16: s
                                                          else:       for y: for x: s

    Returns that nest's stage, which starts with the directives given so far; the other nest goes on with those that
    follow. The first condition that holds decides; the same condition again gives the same stage.
    """

    returns: ClassVar[str] = "branch"
    once: ClassVar[bool] = True
    condition: Scalar = arg(CONDITION)

    def check(self, stage: Stage) -> None:
        if not any(True for _ in self.condition.leaves()):
            self.refuse(stage, "the condition is always the same: it depends on no parameter and no extent")


@dataclass(frozen=True)
class Within(Directive):
    """A directive on the nest of the conditions `path`, one specialisation inside the other."""

    path: tuple[Scalar, ...]
    directive: Directive

    def targets(self) -> Iterator[Target]:
        return self.directive.targets()

    def redirected(self, resolve: Callable[[Target], Target]) -> Within:
        return replace(self, directive=self.directive.redirected(resolve))

    def __str__(self) -> str:
        return ".".join((*(f"specialize({c})" for c in self.path), str(self.directive)))

    def dump(self) -> dict[str, Any]:
        return {"do": "within", "path": [c.dump() for c in self.path], "directive": self.directive.dump()}

    @classmethod
    def restore(cls, data: dict[str, Any], loc: Location | None) -> Within:
        inner = Directive.load(data["directive"], loc)
        return cls(tuple(Scalar.load(c) for c in data["path"]), inner, loc=loc)


registry["within"] = Within
