"""Directives that decide at run time what is computed: which of several nests, and whether at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..errors import Location
from ..ir.pipeline import Function, Pipeline
from .directive import CONDITION, MAYBE_INTEGER, Directive, Stage, Target, arg, directive, registry
from .scalar import Scalar
from .storage import Storage, typed

__all__ = ["Memoize", "Specialize", "Within"]


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


@directive("memoize", on="func")
class Memoize(Storage):
    """Keep the values for later calls, and compute them only if no call before did.

    alloc f: produce f; s   ->   memoize f by k, img: produce f: if f_missed: ...; s

    They are found again by all that they follow from: parameters, the region, and the content of what is read of each
    input, so that the result never depends on it; hashing an input takes about as long as reading it. What was used
    longest ago leaves the cache when it is full (`halo.memoization_cache`, `halo.options(memoize_bytes=...)`), or what
    has the number `eviction_key` (of parameters and extents) when `halo.memoization_cache_evict` says so. Producers
    computed at the same place that nothing else reads are not computed either. (Halide's `memoize`.)
    """

    eviction_key: int | Scalar | None = arg(MAYBE_INTEGER, default=None)

    def store(self, function: Function, p: Pipeline) -> Function:
        if function.memoized is not None:
            self.refuse(function.name, "it is memoized already")
        key = None if self.eviction_key is None else typed(self, self.eviction_key, function, p)
        if key is not None and not key.type.is_int:
            self.refuse(function.name, f"the eviction key is no integer but {key.type.name}",
                        hint=f"{function.name}.memoize(halo.i64({self.eviction_key}))")  # fmt: skip
        return replace(function, memoized=(key, self.loc))


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
